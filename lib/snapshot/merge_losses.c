/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A merge that salvages: what is lost is looked for first, and left out then.
 *
 * Leaving out means to take the exceptions out of the map, so that requests that come during the
 * merge go to the origin: what they write there stays. Left in, it would be written to chunks that
 * are dropped.
 */
#include "snapshot/merge_losses.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "exceptions/merge_list.h"
#include "io/io.h"
#include "snapshot/loss_list.h"

struct loss_search {
	struct uds_snapshot *s;
	struct lost_chunks *lost;
	struct loss_list report;
	uint64_t next; /* chunks before this one are in the list, or not lost */
};

/* Chunks [first, end) are lost, as far as they have an exception. */
static int add_chunks(struct loss_search *search, uint64_t first, uint64_t end)
{
	struct map_run run;
	int r = 0;

	for (uint64_t at = first; at < end && r == 0; at += run.count) {
		bool there = device_lookup(search->s, at, &run);

		if (run.count > end - at)
			run.count = end - at;
		if (there)
			r = lost_add(search->lost, &search->s->env, &run);
	}
	return r;
}

/* Lost bytes: of each chunk that they touch nothing is copied. */
static int take_bytes(void *context, uint64_t offset, uint64_t length, int status,
		      const struct uds_message *message)
{
	struct loss_search *search = context;
	uint64_t unit = search->s->chunk_bytes, size = search->s->origin->size_bytes;
	uint64_t first = offset / unit, end = (offset + length - 1) / unit + 1, end_byte;
	int r;

	if (first < search->next)
		first = search->next; /* another part of the chunk before */
	if (first >= end)
		return 0;
	search->next = end;
	r = add_chunks(search, first, end);
	end_byte = end > size / unit ? size : end * unit;
	return r < 0 ? r
		     : loss_list_add(&search->report, first * unit, end_byte - first * unit, status,
				     message);
}

/* The next run of chunks on the origin that have an exception, from @chunk on; false: no more. */
static bool next_run(struct uds_snapshot *s, uint64_t chunk, struct map_run *ret_run)
{
	return s->store->ops->next(s->store, chunk, ret_run) &&
	       ret_run->old_chunk <= (s->origin->size_bytes - 1) / s->chunk_bytes;
}

static int search_run(struct loss_search *search, const struct map_run *run, uint8_t *buffer,
		      int (*tick)(void *), void *tick_context)
{
	struct uds_snapshot *s = search->s;
	struct uds_message ignored;
	uint64_t offset = run->old_chunk * s->chunk_bytes, length = run->count * s->chunk_bytes;
	int r = 0;

	if (length > s->origin->size_bytes - offset)
		length = s->origin->size_bytes - offset;
	for (uint64_t part; length > 0 && r == 0; offset += part, length -= part) {
		part = length < SALVAGE_BYTES ? length : SALVAGE_BYTES;
		r = device_read_past_errors(s, buffer, part, offset, take_bytes, search, &ignored);
		if (r == 0 && tick != NULL)
			r = tick(tick_context);
	}
	return r;
}

int merge_losses_find(struct uds_snapshot *s, uds_snapshot_loss_fn each, void *context,
		      int (*tick)(void *), void *tick_context, struct lost_chunks *ret_lost,
		      struct uds_message *message)
{
	struct loss_search search = { .s = s, .lost = ret_lost };
	uint8_t *buffer = device_salvage_buffer(s);
	int r = buffer == NULL ? -ENOMEM : 0;
	struct map_run run;

	search.report.each = each;
	search.report.context = context;
	for (uint64_t at = 0; s->origin->size_bytes > 0 && r == 0 && next_run(s, at, &run);
	     at = run.old_chunk + run.count)
		r = search_run(&search, &run, buffer, tick, tick_context);
	if (r == 0)
		r = loss_list_end(&search.report);
	env_release(&s->env, buffer);
	if (r < 0 && message->text[0] == '\0')
		failure(message, r, "%s: looking for what cannot be read: %s", uds_io_name(s->cow),
			uds_strerror(r));
	return r;
}

/* Whether a chunk is still lost: 1, 0, or -ENOMEM. */
static int still_lost(struct uds_snapshot *s, const struct map_run *chunk, uint8_t *buffer)
{
	uint64_t offset = chunk->old_chunk * s->chunk_bytes, part;
	uint64_t left = device_chunk_length(s, chunk->old_chunk);
	int r = 0;

	for (; left > 0 && r == 0; offset += part, left -= part) {
		part = left < SALVAGE_BYTES ? left : SALVAGE_BYTES;
		r = device_read_held(s, buffer, part, offset);
	}
	/* No memory says nothing about the chunk; any other error is the loss itself. */
	return r == -ENOMEM ? r : r < 0;
}

/* What of @found has the same exception as before, and is still lost. */
static int look_again(struct uds_snapshot *s, const struct lost_chunks *found, uint8_t *buffer,
		      struct lost_chunks *ret_lost)
{
	int r = 0;

	for (size_t i = 0; i < found->count && r >= 0; i++) {
		const struct map_run *run = &found->runs[i];

		for (uint64_t k = 0; k < run->count && r >= 0; k++) {
			struct map_run chunk = { run->old_chunk + k, run->new_chunk + k, 1 }, there;

			/* Written since it was found lost: what is there now is good. */
			if (!device_lookup(s, chunk.old_chunk, &there) ||
			    there.new_chunk != chunk.new_chunk)
				continue;
			r = still_lost(s, &chunk, buffer);
			if (r > 0)
				r = lost_add(ret_lost, &s->env, &chunk);
		}
	}
	return r < 0 ? r : 0;
}

/* From now on these are the snapshot's lost ones, too, and no longer in the map; or nothing is. */
static int take_out(struct uds_snapshot *s, const struct lost_chunks *lost)
{
	size_t count = s->lost.count + lost->count;
	struct map_run *scratch = env_allocate(&s->env, count, sizeof(scratch[0]));
	int r = scratch == NULL ? -ENOMEM : lost_reserve(&s->lost, &s->env, count);

	/* Before the map changes for good, everything that needs memory is there. */
	if (r == 0)
		r = store_forget_runs(device_list(s), lost->runs, lost->count);
	if (r == 0)
		lost_merge(&s->lost, lost, scratch);
	env_release(&s->env, scratch);
	return r;
}

int merge_losses_give_up(struct uds_snapshot *s, const struct lost_chunks *found,
			 struct uds_message *message)
{
	struct lost_chunks lost = { 0 };
	uint8_t *buffer;
	int r;

	if (found->count == 0)
		return 0;
	buffer = device_salvage_buffer(s);
	/* Under the hold, so that no write comes between this look and the step out of the map. */
	r = buffer == NULL ? -ENOMEM : look_again(s, found, buffer, &lost);
	if (r == 0 && lost.count > 0)
		r = take_out(s, &lost);
	env_release(&s->env, buffer);
	env_release(&s->env, lost.runs);
	return r == 0 ? 0
		      : failure(message, r, "%s: no memory to leave out what cannot be read",
				uds_io_name(s->cow));
}
