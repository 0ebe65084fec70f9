/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading: each chunk from where it lives. */
#include <inttypes.h>

#include "base/message.h"
#include "base/visibility.h"
#include "snapshot/bytes_io.h"
#include "snapshot/device.h"

/* One request holds so much at a time, so that a long read lets writers in between. */
#define WINDOW_BYTES (UINT64_C(64) << 20)

int device_check_range(struct uds_snapshot *s, size_t length, uint64_t offset)
{
	struct uds_message message;

	if (offset <= s->size_bytes && length <= s->size_bytes - offset)
		return 0;
	return device_failed(s,
			     failure(&message, UDS_ERR_OUT_OF_RANGE,
				     "%s: %zu bytes at %" PRIu64 " go past the end at %" PRIu64,
				     uds_io_name(s->origin), length, offset, s->size_bytes),
			     &message);
}

/* Part of one extent: all of it from the COW device. */
static int read_new(struct uds_snapshot *s, uint8_t *to, size_t length, uint64_t offset,
		    const struct map_run *run, struct uds_message *message)
{
	uint64_t chunks = s->store != NULL ? store_geometry(s->store).device_chunks : UINT64_MAX;
	uint64_t in_chunk = offset % s->chunk_bytes;

	if (run->new_chunk >= chunks ||
	    (in_chunk + length - 1) / s->chunk_bytes >= chunks - run->new_chunk)
		return failure(message, UDS_ERR_CORRUPT,
			       "%s: old chunk %" PRIu64 " -> new chunk %" PRIu64
			       ": behind the end of the device, which has %" PRIu64 " chunks",
			       uds_io_name(s->cow), run->old_chunk, run->new_chunk, chunks);
	return bytes_read(s->cow, &s->env, to, length, run->new_chunk * s->chunk_bytes + in_chunk,
			  message);
}

int device_read_view(struct uds_snapshot *s, void *buffer, size_t length, uint64_t offset,
		     struct uds_message *message)
{
	uint8_t *to = buffer;
	int r = 0;

	while (length > 0 && r == 0) {
		uint64_t in_chunk = offset % s->chunk_bytes;
		size_t part = length;
		struct map_run run;
		bool copied = device_lookup(s, offset / s->chunk_bytes, &run);

		if (run.count <= (in_chunk + length - 1) / s->chunk_bytes)
			part = (size_t)(run.count * s->chunk_bytes - in_chunk);
		if (copied)
			r = read_new(s, to, part, offset, &run, message);
		else
			r = bytes_read(s->origin, &s->env, to, part, offset, message);
		to += part;
		offset += part;
		length -= part;
	}
	return r;
}

/* One window, its chunks held: the view, or what is on the origin. */
static int read_window(struct uds_snapshot *s, void *buffer, size_t length, uint64_t offset,
		       bool view, struct uds_message *message)
{
	struct device_state state = device_get_state(s);

	if (view && state.given_up)
		return failure(message, UDS_ERR_INVALID_SNAPSHOT, "%s: the snapshot is invalid",
			       uds_io_name(s->cow));
	if (view || (state.merging && !state.given_up))
		return device_read_view(s, buffer, length, offset, message);
	return bytes_read(s->origin, &s->env, buffer, length, offset, message);
}

static int read_range(struct uds_snapshot *s, void *buffer, size_t length, uint64_t offset,
		      bool view)
{
	uint8_t *to = buffer;
	int r = device_check_range(s, length, offset);

	while (length > 0 && r == 0) {
		size_t part = length < WINDOW_BYTES ? length : (size_t)WINDOW_BYTES;
		struct uds_message message = { "" };
		struct range_hold hold;

		range_acquire(&s->ranges, &hold, offset / s->chunk_bytes,
			      (offset + part - 1) / s->chunk_bytes, false);
		r = read_window(s, to, part, offset, view, &message);
		range_release(&s->ranges, &hold);
		device_failed(s, r, &message);
		to += part;
		offset += part;
		length -= part;
	}
	return r;
}

UDS_PUBLIC int uds_snapshot_read(struct uds_snapshot *s, void *buffer, size_t length,
				 uint64_t offset)
{
	return read_range(s, buffer, length, offset, true);
}

UDS_PUBLIC int uds_snapshot_origin_read(struct uds_snapshot *s, void *buffer, size_t length,
					uint64_t offset)
{
	return read_range(s, buffer, length, offset, false);
}
