/* SPDX-License-Identifier: BSD-2-Clause */
/* Gathering the next exceptions of a merge, and committing them. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "exceptions/run_sort.h"
#include "io/io.h"
#include "snapshot/merge.h"

int merge_cursor_open(struct uds_snapshot *s, const struct lost_chunks *lost,
		      struct merge_cursor *ret_cursor, struct uds_message *message)
{
	struct merge_cursor cursor = { .s = s, .lost = lost, .geometry = store_geometry(s->store) };
	struct uds_exception_store *store = s->store;
	int r = 0;

	cursor.content = io_allocate_buffer(s->cow, &s->env, cursor.geometry.chunk_bytes);
	if (cursor.content == NULL)
		return failure(message, -ENOMEM, "%s: no memory for an area", uds_io_name(s->cow));
	store_acquire(store);
	cursor.area = store->current_area;
	cursor.left = store->committed;
	memcpy(cursor.content, store->area, (size_t)cursor.geometry.chunk_bytes);
	store_release(store);
	/* The reader has a pointer to the geometry: the caller's, which stays where it is. */
	*ret_cursor = cursor;
	if (cursor.area > 0)
		r = area_reader_open(s->cow, &s->env, &ret_cursor->geometry, cursor.area - 1, -1, 0,
				     &ret_cursor->reader);
	if (r < 0) {
		merge_cursor_close(ret_cursor);
		return failure(message, r, "%s: making a queue: %s", uds_io_name(s->cow),
			       uds_strerror(r));
	}
	return 0;
}

void merge_cursor_close(struct merge_cursor *cursor)
{
	area_reader_close(cursor->reader);
	env_release(&cursor->s->env, cursor->content);
	cursor->reader = NULL;
	cursor->content = NULL;
}

/* Goes to the area before; false: there is none. */
static int cursor_step(struct merge_cursor *cursor, bool *ret_more, struct uds_message *message)
{
	int r;

	*ret_more = cursor->area > 0;
	if (cursor->area == 0)
		return 0;
	r = area_reader_next(cursor->reader, cursor->content, message);
	if (r < 0)
		return r;
	cursor->area--;
	cursor->left = cursor->geometry.per_area;
	cursor->entered = true;
	if (cow_entry_new(cursor->content, cursor->left - 1) == 0)
		return failure(message, UDS_ERR_CORRUPT,
			       "%s: area %" PRIu64
			       " was full when the store was opened, and is not now",
			       uds_io_name(cursor->s->cow), cursor->area);
	return 0;
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
	if (cursor->entered) {
		part->content = env_allocate(env, cursor->geometry.chunk_bytes, 1);
		if (part->content == NULL)
			return -ENOMEM;
		memcpy(part->content, cursor->content, (size_t)cursor->geometry.chunk_bytes);
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
 * cannot be had.
 */
static int group_add_entries(struct merge_group *group, struct merge_cursor *cursor, uint64_t first,
			     uint64_t end)
{
	for (uint64_t i = first; i < end; i++) {
		struct uds_exception e = { cow_entry_old(cursor->content, i),
					   cow_entry_new(cursor->content, i) };
		struct map_run run = { e.old_chunk, e.new_chunk, 1 };
		int r;

		if (merge_losses_have(cursor->lost, &e) ||
		    merge_losses_have(&cursor->s->lost, &e)) {
			group->lost++;
			continue;
		}
		if (store_is_hidden(cursor->s->store, &e)) {
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
		group->pieces[i].length = length < s->size_bytes - to ? length : s->size_bytes - to;
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

	if (most == 0)
		most = 1;
	if (most > limit)
		most = limit;
	while (group->entries < most && r == 0) {
		uint64_t want = most - group->entries;
		bool more = true;

		if (cursor->left == 0)
			r = cursor_step(cursor, &more, message);
		if (r < 0 || !more)
			break;
		if (want > cursor->left)
			want = cursor->left;
		r = group_add_part(group, cursor, want);
		if (r == 0)
			r = group_add_entries(group, cursor, cursor->left - want, cursor->left);
		group->entries += want;
		cursor->left -= want;
	}
	if (r == 0)
		r = group_sort(group, s);
	if (r < 0 && message->text[0] == '\0')
		failure(message, r, "%s: gathering what to merge: %s", uds_io_name(s->cow),
			uds_strerror(r));
	group->claim.runs = group->runs;
	group->claim.count = group->run_count;
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
		       struct uds_io_queue *queue, uint64_t *ret_entries, uint64_t *ret_rounds,
		       struct uds_message *message)
{
	uint64_t at_once = store_areas_at_once(s->chunk_bytes);
	struct uds_exception_store *store = s->store;
	int r = device_flush_origin(s, message);

	*ret_entries = 0;
	*ret_rounds = 0;
	for (size_t i = 0, n; i < group->part_count && r == 0; i += n) {
		n = group->part_count - i < at_once ? group->part_count - i : (size_t)at_once;
		store_acquire(store);
		r = store_settle(store, message);
		if (r == 0)
			r = store_step_back(store, group->parts[i].content, message);
		if (r == 0 && n == 1)
			r = store_take_off(store, group->parts[i].count, message);
		else if (r == 0)
			r = store_take_off_areas(store, queue, group->parts + i, n, message);
		store_release(store);
		for (size_t k = i; k < i + n && r == 0; k++)
			*ret_entries += group->parts[k].count;
		*ret_rounds += r == 0;
	}
	return r;
}
