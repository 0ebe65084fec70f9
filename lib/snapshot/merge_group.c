/* SPDX-License-Identifier: BSD-2-Clause */
/* Gathering the next exceptions of a merge, and committing them. */
#include "snapshot/merge_group.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "exceptions/run_sort.h"
#include "io/io.h"

int merge_cursor_open(struct uds_snapshot *s, const struct lost_chunks *lost,
		      struct merge_cursor *ret_cursor, struct uds_message *message)
{
	ret_cursor->s = s;
	ret_cursor->lost = lost;
	ret_cursor->entered = false;
	return list_cursor_open(device_list(s), &ret_cursor->list, message);
}

void merge_cursor_close(struct merge_cursor *cursor)
{
	list_cursor_close(&cursor->list);
}

static void *grown(const struct uds_env *env, void *old, size_t count, size_t room, size_t each)
{
	void *fresh = env_allocate(env, room, each);

	if (fresh != NULL && count > 0)
		memcpy(fresh, old, count * each);
	if (fresh != NULL)
		env_release(env, old);
	return fresh;
}

/*
 * The next @count entries of the cursor's area go too. An area is in a group once, however often
 * the group is added to: what takes several areas off at once relies on it.
 */
static int group_add_part(struct merge_group *group, struct merge_cursor *cursor, uint64_t count)
{
	const struct uds_env *env = &cursor->s->env;
	struct area_cut *part;

	if (group->part_count > 0 && !cursor->entered) {
		group->parts[group->part_count - 1].count += count;
		return 0;
	}
	if (group->part_count == group->part_room) {
		size_t room = group->part_room == 0 ? 8 : group->part_room * 2;

		part = grown(env, group->parts, group->part_count, room, sizeof(*part));
		if (part == NULL)
			return -ENOMEM;
		group->parts = part;
		group->part_room = room;
	}
	part = &group->parts[group->part_count];
	part->count = count;
	part->content = NULL;
	/*
	 * A copy of the area, for the commit: the cursor reads on while this group waits for its
	 * turn.
	 */
	if (cursor->entered) {
		part->content = env_allocate(env, cursor->list.geometry.chunk_bytes, 1);
		if (part->content == NULL)
			return -ENOMEM;
		memcpy(part->content, cursor->list.content,
		       (size_t)cursor->list.geometry.chunk_bytes);
		cursor->entered = false;
	}
	group->part_count++;
	return 0;
}

static int group_add_run(struct merge_group *group, const struct uds_env *env,
			 const struct map_run *run)
{
	size_t room = group->run_room == 0 ? 256 : group->run_room * 2;
	struct map_run *last;

	if (group->run_count > 0) {
		last = &group->runs[group->run_count - 1];
		if (last->old_chunk + last->count == run->old_chunk &&
		    last->new_chunk + last->count == run->new_chunk) {
			last->count += run->count;
			return 0;
		}
	}
	if (group->run_count == group->run_room) {
		struct map_run *runs =
			grown(env, group->runs, group->run_count, room, sizeof(*runs));

		if (runs == NULL)
			return -ENOMEM;
		group->runs = runs;
		group->run_room = room;
		/* As long as the old runs: made again when the group is sorted. */
		env_release(env, group->scratch);
		group->scratch = NULL;
		env_release(env, group->pieces);
		group->pieces = NULL;
	}
	group->runs[group->run_count++] = *run;
	return 0;
}

/*
 * Entries [first, end) of the cursor's area. What an earlier entry hides is not copied, nor what
 * is lost.
 */
static int group_add_entries(struct merge_group *group, struct merge_cursor *cursor, uint64_t first,
			     uint64_t end)
{
	for (uint64_t i = first; i < end; i++) {
		struct uds_exception e = area_entry(cursor->list.content, i);
		struct map_run run = { e.old_chunk, e.new_chunk, 1 };
		int r;

		/*
		 * What this merge found, or an earlier one: their entries go without being copied.
		 */
		if (lost_have(cursor->lost, &e) || lost_have(&cursor->s->lost, &e)) {
			group->lost++;
			continue;
		}
		/*
		 * Never copied, neither together with the entry that hides it nor before (uds-cow,
		 * 11.8, duplicates).
		 */
		if (store_is_hidden(device_list(cursor->s), &e)) {
			group->hidden++;
			continue;
		}
		r = group_add_run(group, &cursor->s->env, &run);
		if (r < 0)
			return r;
	}
	return 0;
}

static int group_sort(struct merge_group *group, const struct uds_snapshot *s)
{
	struct map_run *sorted;

	if (group->run_count == 0)
		return 0;
	if (group->scratch == NULL)
		group->scratch = env_allocate(&s->env, group->run_room, sizeof(group->runs[0]));
	if (group->pieces == NULL)
		group->pieces = env_allocate(&s->env, group->run_room, sizeof(group->pieces[0]));
	if (group->scratch == NULL || group->pieces == NULL)
		return -ENOMEM;
	/* By old chunk: writes to the origin become as long as they can. */
	sorted = runs_sort(group->runs, group->scratch, group->run_count);
	if (sorted != group->runs) {
		group->scratch = group->runs;
		group->runs = sorted;
	}
	group->run_count = runs_join(group->runs, group->run_count);
	for (size_t i = 0; i < group->run_count; i++) {
		const struct map_run *run = &group->runs[i];
		uint64_t to = run->old_chunk * s->chunk_bytes;
		uint64_t length = run->count * s->chunk_bytes;

		group->pieces[i].from = run->new_chunk * s->chunk_bytes;
		group->pieces[i].to = to;
		/* The origin may end inside of its last chunk (uds-cow, 11.3). */
		group->pieces[i].length =
			length < s->origin->size_bytes - to ? length : s->origin->size_bytes - to;
	}
	return 0;
}

void merge_group_clear(struct merge_group *group, const struct uds_env *env)
{
	for (size_t i = 0; i < group->part_count; i++)
		env_release(env, group->parts[i].content);
	group->part_count = 0;
	group->run_count = 0;
	group->entries = 0;
	group->hidden = 0;
	group->lost = 0;
}

int merge_group_fill(struct merge_group *group, struct merge_cursor *cursor, uint64_t limit,
		     uint64_t bytes, struct uds_message *message)
{
	struct uds_snapshot *s = cursor->s;
	uint64_t most = bytes / s->chunk_bytes;
	int r = 0;

	/* A chunk at least, however large chunks are. */
	if (most == 0)
		most = 1;
	if (most > limit)
		most = limit;
	while (group->entries < most && r == 0) {
		uint64_t want = most - group->entries;
		bool more = true;

		if (cursor->list.left == 0) {
			r = list_cursor_step(&cursor->list, &more, message);
			cursor->entered = cursor->entered || more;
		}
		if (r < 0 || !more)
			break;
		if (want > cursor->list.left)
			want = cursor->list.left;
		r = group_add_part(group, cursor, want);
		/* From the end of the list: the newest entries go first (uds-cow, 11.1). */
		if (r == 0)
			r = group_add_entries(group, cursor, cursor->list.left - want,
					      cursor->list.left);
		group->entries += want;
		cursor->list.left -= want;
	}
	if (r == 0)
		r = group_sort(group, s);
	if (r < 0 && message->text[0] == '\0')
		failure(message, r, "%s: gathering what to merge: %s", uds_io_name(s->cow),
			uds_strerror(r));
	/* Set again, since runs that have grown lie elsewhere. */
	group->claim.runs = group->runs;
	group->claim.count = group->run_count;
	group->claim.chunk_bytes = s->chunk_bytes;
	return r;
}

void merge_group_release(struct merge_group *group, const struct uds_env *env)
{
	merge_group_clear(group, env);
	env_release(env, group->parts);
	env_release(env, group->runs);
	env_release(env, group->scratch);
	env_release(env, group->pieces);
}

int merge_group_commit(struct merge_group *group, struct uds_snapshot *s,
		       struct uds_io_engine *engine, uint64_t *ret_entries, uint64_t *ret_rounds,
		       struct uds_message *message)
{
	/*
	 * The origin first, whatever follows: an entry must not go before its data is durable there
	 * (uds-cow, 11.4; 13, D2).
	 */
	int r = origin_flush_copies(s->origin, message);

	*ret_entries = 0;
	*ret_rounds = 0;
	return r < 0 ? r
		     : store_take_off_cuts(device_list(s), engine, group->parts, group->part_count,
					   ret_entries, ret_rounds, message);
}
