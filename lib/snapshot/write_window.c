/* SPDX-License-Identifier: BSD-2-Clause */
/* Cutting a write into windows, and writing the data of one. */
#include "snapshot/write_window.h"

#include <errno.h>

#include "base/message.h"
#include "io/bytes_io.h"

#define WINDOW_BYTES (UINT64_C(4) << 20)

int window_write(struct write_window *w, struct uds_io *io, uint64_t at, uint64_t bytes)
{
	uint64_t unit = failing_unit(io), step = bytes, smaller;
	int first = 0, r;

	while (bytes > 0) {
		uint64_t part = part_to_try(at, bytes, step, unit);

		r = bytes_write(io, &w->s->env, w->data + w->done, (size_t)part, at, w->message);
		smaller = r < 0 && r != -ENOMEM ? smaller_step(at, part, unit) : 0;
		/*
		 * No memory is no bad block; anything else is tried again in halves, down to the
		 * unit that fails.
		 */
		if (smaller != 0) {
			first = first == 0 ? r : first;
			step = smaller;
			continue;
		}
		/*
		 * Data up to the first block that cannot be written is written, and the caller
		 * learns how much.
		 */
		if (r < 0)
			return r;
		step *= 2;
		w->done += (size_t)part;
		at += part;
		bytes -= part;
	}
	/*
	 * All is written in the end. The first error is reported all the same: what a device says
	 * once is not kept from its owner.
	 */
	return first;
}

/* How much of a request one window takes: whole chunks, but for the ends of the request. */
static size_t window_length(const struct uds_snapshot *s, size_t length, uint64_t offset)
{
	/* At least one chunk, since a chunk is copied and committed as a whole. */
	uint64_t window = s->chunk_bytes > WINDOW_BYTES ? s->chunk_bytes : WINDOW_BYTES;
	uint64_t room = window - offset % s->chunk_bytes;

	return length < room ? length : (size_t)room;
}

static int write_windows(struct uds_snapshot *s, const uint8_t *data, size_t length,
			 uint64_t offset, int (*write)(struct write_window *w), size_t *ret_done,
			 struct uds_message *message)
{
	int r = 0;

	while (*ret_done < length && r == 0) {
		struct range_hold hold;
		struct write_window w = {
			.s = s,
			.data = data + *ret_done,
			.offset = offset + *ret_done,
			.length = window_length(s, length - *ret_done, offset + *ret_done),
			.message = message,
		};

		message->text[0] = '\0'; /* a window that went well may have left one */
		origin_hold(s->origin, &hold, w.offset, w.length, true);
		r = write(&w);
		origin_let_go(s->origin, &hold);
		/* Nothing that was written to a snapshot is left of it when it becomes invalid. */
		*ret_done = r == UDS_ERR_INVALID_SNAPSHOT ? 0 : *ret_done + w.done;
	}
	return r;
}

int write_in_windows(struct uds_snapshot *s, struct uds_io *io, const void *buffer, size_t length,
		     uint64_t offset, int (*write)(struct write_window *w), size_t *ret_done,
		     const char *what)
{
	struct uds_message message = { "" };
	size_t done = 0;
	int r;

	failures_begin(s->failures);
	if (s->read_only || uds_io_is_read_only(io))
		r = failure(&message, UDS_ERR_READ_ONLY, "%s: opened to read only",
			    uds_io_name(io));
	else
		r = device_check_range(s, length, offset, &message);
	if (r == 0)
		r = write_windows(s, buffer, length, offset, write, &done, &message);
	if (ret_done != NULL)
		*ret_done = done;
	return device_end(s, r, &message, what);
}
