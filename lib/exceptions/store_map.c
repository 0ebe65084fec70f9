/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Everything that touches the map of a store, under its lock. What is removed has been cut before,
 * so that it cannot fail when the list on the device has changed already.
 */
#include "exceptions/store_private.h"

static bool find_or_next(struct uds_exception_store *store, uint64_t old_chunk,
			 bool (*seek)(const struct exception_map *map, uint64_t old_chunk,
				      struct map_run *ret_run),
			 struct map_run *ret_run)
{
	bool found;

	pthread_rwlock_rdlock(&store->map_lock);
	found = seek(store->map, old_chunk, ret_run);
	pthread_rwlock_unlock(&store->map_lock);
	return found;
}

bool store_find(struct uds_exception_store *store, uint64_t old_chunk, struct map_run *ret_run)
{
	return find_or_next(store, old_chunk, map_find, ret_run);
}

bool store_next(struct uds_exception_store *store, uint64_t old_chunk, struct map_run *ret_run)
{
	return find_or_next(store, old_chunk, map_next, ret_run);
}

bool store_is_hidden(struct uds_exception_store *store, const struct uds_exception *exception)
{
	struct map_run run;

	return !store_find(store, exception->old_chunk, &run) ||
	       run.new_chunk != exception->new_chunk;
}

/* Consecutive pairs as one run; returns how many it took. */
static size_t take_run(const struct uds_exception *pairs, size_t count, struct map_run *ret_run)
{
	size_t n = 1;

	/* In both numbers, so that one extent describes them all. */
	while (n < count && pairs[n].old_chunk == pairs[0].old_chunk + n &&
	       pairs[n].new_chunk == pairs[0].new_chunk + n)
		n++;
	ret_run->old_chunk = pairs[0].old_chunk;
	ret_run->new_chunk = pairs[0].new_chunk;
	ret_run->count = n;
	return n;
}

void store_unmap_pairs(struct uds_exception_store *store, const struct uds_exception *pairs,
		       size_t count)
{
	struct map_run run;

	pthread_rwlock_wrlock(&store->map_lock);
	for (size_t i = 0; i < count;) {
		i += take_run(pairs + i, count - i, &run);
		map_erase(store->map, &run);
	}
	pthread_rwlock_unlock(&store->map_lock);
}

/* Into the map as extents of their own, so that removing them again cannot fail. */
int store_map_pairs(struct uds_exception_store *store, const struct uds_exception *pairs,
		    size_t count)
{
	struct map_run run;
	size_t done = 0;
	int r = 0;

	pthread_rwlock_wrlock(&store->map_lock);
	while (done < count && r == 0) {
		size_t n = take_run(pairs + done, count - done, &run);

		r = map_insert(store->map, &run);
		if (r == 0)
			done += n;
	}
	pthread_rwlock_unlock(&store->map_lock);
	/* Runs of @done pairs, which are extents of their own still: this cannot fail. */
	if (r < 0)
		store_unmap_pairs(store, pairs, done);
	return r;
}

void store_join_pairs(struct uds_exception_store *store, const struct uds_exception *pairs,
		      size_t count)
{
	struct map_run run;

	pthread_rwlock_wrlock(&store->map_lock);
	for (size_t i = 0; i < count;) {
		i += take_run(pairs + i, count - i, &run);
		/*
		 * At both ends; joined only now, since a failed write would have to take them out
		 * again.
		 */
		map_join(store->map, run.old_chunk);
		map_join(store->map, run.old_chunk + run.count);
	}
	pthread_rwlock_unlock(&store->map_lock);
}

/* Entries [index, ...) of the area that are consecutive on both sides, ending before @end. */
static struct map_run entry_run(const uint8_t *area, uint64_t index, uint64_t end)
{
	struct uds_exception first, e;
	struct map_run run;

	first = area_entry(area, index);
	run.old_chunk = first.old_chunk;
	run.new_chunk = first.new_chunk;
	run.count = 1;
	while (index + run.count < end) {
		e = area_entry(area, index + run.count);
		if (e.old_chunk != first.old_chunk + run.count ||
		    e.new_chunk != first.new_chunk + run.count)
			break;
		run.count++;
	}
	return run;
}

/* An entry that only repeats an earlier one: the map keeps what the earlier one says. */
static bool take_repeated(struct uds_exception_store *store, uint64_t old_chunk)
{
	size_t low = 0, count = store->repeated_count;

	while (count > 0) {
		struct repeated_entry *e = &store->repeated[low + count / 2];

		if (e->old_chunk == old_chunk) {
			if (e->times == 0)
				return false;
			e->times--;
			return true;
		}
		if (e->old_chunk < old_chunk) {
			low += count / 2 + 1;
			count -= count / 2 + 1;
		} else {
			count /= 2;
		}
	}
	return false;
}

/* Cuts the map at both ends of a run. With the lock. */
static int cut_run(struct uds_exception_store *store, const struct map_run *run)
{
	int r = map_split(store->map, run->old_chunk);

	return r < 0 ? r : map_split(store->map, run->old_chunk + run->count);
}

/* Cuts the map where the runs of these entries begin and end, so that unmapping cannot fail. */
int store_cut_map(struct uds_exception_store *store, const uint8_t *area, uint64_t first,
		  uint64_t end)
{
	/* Repeated entries are counted one by one, so none may be hidden in a run. */
	bool singly = store->repeated_count > 0;
	int r = 0;

	pthread_rwlock_wrlock(&store->map_lock);
	for (uint64_t i = first; i < end && r == 0;) {
		struct map_run run = entry_run(area, i, singly ? i + 1 : end);

		r = cut_run(store, &run);
		i += run.count;
	}
	pthread_rwlock_unlock(&store->map_lock);
	return r;
}

/*
 * Only pairs that are in the map as such go: what hides another entry stays until it is taken off
 * itself.
 */
void store_unmap(struct uds_exception_store *store, const uint8_t *area, uint64_t first,
		 uint64_t end)
{
	bool singly = store->repeated_count > 0;

	pthread_rwlock_wrlock(&store->map_lock);
	for (uint64_t i = first; i < end;) {
		struct map_run run = entry_run(area, i, singly ? i + 1 : end), there;

		i += run.count;
		/* The map keeps the pair as long as an earlier entry says the same. */
		if (singly && map_find(store->map, run.old_chunk, &there) &&
		    there.new_chunk == run.new_chunk && take_repeated(store, run.old_chunk))
			continue;
		map_erase(store->map, &run);
	}
	pthread_rwlock_unlock(&store->map_lock);
}

int store_forget_runs(struct uds_exception_store *store, const struct map_run *runs, size_t count)
{
	int r = 0;

	pthread_rwlock_wrlock(&store->map_lock);
	/* All cuts first: they may fail, and nothing is lost then. Erasing cannot. */
	for (size_t i = 0; i < count && r == 0; i++)
		r = cut_run(store, &runs[i]);
	for (size_t i = 0; i < count && r == 0; i++)
		map_erase(store->map, &runs[i]);
	pthread_rwlock_unlock(&store->map_lock);
	return r;
}
