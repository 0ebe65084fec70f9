/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where a snapshot differs from its origin, or from another snapshot of it: where one of them has
 * exceptions; and of these ranges, if wanted, those whose content is another one.
 */
#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "base/visibility.h"
#include "io/io.h"
#include "snapshot/device.h"

#define COMPARE_BYTES (UINT64_C(1) << 20) /* read at once of each */
#define EQUAL_BYTES   UINT64_C(4096)	  /* blocks that are compared */

struct differences {
	struct uds_snapshot *from;
	struct uds_snapshot *to; /* NULL: the origin */
	uint8_t *buffers[2];	 /* for the contents; NULL: they are not compared */
	uds_snapshot_range_fn each;
	void *context;

	/* Found and not reported yet: the next range may go on with it. Empty: none. */
	uint64_t begin, end;
	struct uds_message message;
};

static int report(struct differences *d)
{
	if (d->begin == d->end)
		return 0;
	return d->each(d->context, d->begin, d->end - d->begin) != 0 ? UDS_ERR_STOPPED : 0;
}

/* Ranges that touch are reported as one: exceptions may lie in any order on the COW device. */
static int add(struct differences *d, uint64_t begin, uint64_t end)
{
	int r = begin == d->end ? 0 : report(d);

	/* Also where nothing waits to be reported: that has no beginning yet. */
	if (begin != d->end || d->begin == d->end)
		d->begin = begin;
	d->end = end;
	return r;
}

static int read_both(struct differences *d, uint64_t begin, uint64_t length)
{
	int r = device_read(d->from, true, d->buffers[0], length, begin, &d->message);

	if (r == 0 && d->to == NULL)
		r = device_read(d->from, false, d->buffers[1], length, begin, &d->message);
	else if (r == 0)
		r = device_read(d->to, true, d->buffers[1], length, begin, &d->message);
	return r;
}

/* At most COMPARE_BYTES. */
static int add_unequal(struct differences *d, uint64_t begin, uint64_t end)
{
	int r = read_both(d, begin, end - begin);

	for (uint64_t at = begin, next; at < end && r == 0; at = next) {
		next = round_up(at + 1, EQUAL_BYTES) < end ? round_up(at + 1, EQUAL_BYTES) : end;
		if (memcmp(d->buffers[0] + (at - begin), d->buffers[1] + (at - begin),
			   (size_t)(next - at)) != 0)
			r = add(d, at, next);
	}
	return r;
}

static int add_range(struct differences *d, uint64_t begin, uint64_t end)
{
	int r = 0;

	if (d->buffers[0] == NULL)
		return add(d, begin, end);
	for (uint64_t at = begin, next; at < end && r == 0; at = next) {
		next = at + io_run_part(d->from->origin->io, at, end - at, COMPARE_BYTES);
		r = add_unequal(d, at, next);
	}
	return r;
}

/* The first run of exceptions at or behind @at, cut to [at, end); false: none. */
static bool next_run(struct uds_snapshot *s, uint64_t at, uint64_t end, uint64_t *ret_begin,
		     uint64_t *ret_end)
{
	struct map_run run;
	uint64_t begin, behind;

	if (s == NULL || !s->store->ops->next(s->store, at / s->chunk_bytes, &run) ||
	    run.old_chunk >= ceil_div(end, s->chunk_bytes))
		return false;
	begin = run.old_chunk * s->chunk_bytes;
	behind = run.old_chunk + run.count;
	*ret_begin = begin < at ? at : begin;
	*ret_end = behind < ceil_div(end, s->chunk_bytes) ? behind * s->chunk_bytes : end;
	return true;
}

static int go_through(struct differences *d, uint64_t offset, uint64_t end)
{
	uint64_t at = offset, begin, stop, other_begin, other_stop;
	int r = 0;

	while (at < end && r == 0) {
		bool found = next_run(d->from, at, end, &begin, &stop);

		/*
		 * Of the runs of both the one that begins first; the rest of the other comes next.
		 */
		if (next_run(d->to, at, end, &other_begin, &other_stop) &&
		    (!found || other_begin < begin)) {
			found = true;
			begin = other_begin;
			stop = other_stop;
		}
		if (!found)
			break;
		r = add_range(d, begin, stop);
		at = stop;
	}
	return r < 0 ? r : report(d);
}

static int with_buffers(struct differences *d, uint64_t offset, uint64_t end)
{
	const struct uds_env *env = &d->from->env;
	uint64_t bytes = end - offset < COMPARE_BYTES ? end - offset : COMPARE_BYTES;
	int r = -ENOMEM;

	if (end <= offset)
		return 0;
	for (unsigned int i = 0; i < 2; i++)
		d->buffers[i] = env_allocate(env, bytes, 1);
	if (d->buffers[0] != NULL && d->buffers[1] != NULL)
		r = go_through(d, offset, end);
	for (unsigned int i = 0; i < 2; i++)
		env_release(env, d->buffers[i]);
	return r;
}

static int check(struct differences *d)
{
	if (d->to != NULL && d->to->origin != d->from->origin)
		return failure(&d->message, -EINVAL,
			       "%s: %s was not opened beside it: only snapshots of one origin are "
			       "compared",
			       uds_io_name(d->from->cow), uds_io_name(d->to->cow));
	if (device_get_state(d->from).is_invalid)
		return failure(&d->message, UDS_ERR_INVALID_SNAPSHOT, "%s: the snapshot is invalid",
			       uds_io_name(d->from->cow));
	if (d->to != NULL && device_get_state(d->to).is_invalid)
		return failure(&d->message, UDS_ERR_INVALID_SNAPSHOT, "%s: the snapshot is invalid",
			       uds_io_name(d->to->cow));
	return 0;
}

/* @what: for a failure without a sentence. */
static int for_each(struct differences *d, uint64_t offset, uint64_t length, bool compare,
		    const char *what)
{
	uint64_t end = length < UINT64_MAX - offset ? offset + length : UINT64_MAX;
	struct uds_snapshot *from = d->from;
	int r;

	failures_begin(from->failures);
	/* A last chunk that the origin's end cuts short has changed only as far as it goes. */
	if (end > from->origin->size_bytes)
		end = from->origin->size_bytes;
	r = check(d);
	if (r == 0 && from != d->to)
		r = compare ? with_buffers(d, offset, end) : go_through(d, offset, end);
	return device_end(from, r, &d->message, what);
}

UDS_PUBLIC int uds_snapshot_for_each_difference(struct uds_snapshot *from, struct uds_snapshot *to,
						uint64_t offset, uint64_t length, bool compare,
						uds_snapshot_range_fn each, void *context)
{
	struct differences d = { .from = from, .to = to, .each = each, .context = context };

	return for_each(&d, offset, length, compare, "looking for differences");
}

UDS_PUBLIC int uds_snapshot_for_each_changed_range(struct uds_snapshot *s, uint64_t offset,
						   uint64_t length, uds_snapshot_range_fn each,
						   void *context)
{
	struct differences d = { .from = s, .each = each, .context = context };

	return for_each(&d, offset, length, false, "going through the changed ranges");
}
