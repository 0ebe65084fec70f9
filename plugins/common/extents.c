/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding data in the extents that a server has told. */
#include "common/extents.h"

#include <errno.h>

#include "base/env.h"

/* One search. */
struct search {
	struct known_extents *known;
	uint64_t size; /* of the I/O */
	ask_extents_fn ask;
	void *context;
};

void extents_init(struct known_extents *known)
{
	atomic_init(&known->changes, 0);
	pthread_mutex_init(&known->lock, NULL);
	known->extents = NULL;
	known->as_of = 0;
}

void extents_free(struct known_extents *known, const struct uds_env *env)
{
	pthread_mutex_destroy(&known->lock);
	env_release(env, known->extents);
}

static int ask(const struct search *search, uint64_t offset)
{
	struct known_extents *known = search->known;

	/* Before the question: a change while it is on its way makes the answer old. */
	known->as_of = atomic_load(&known->changes);
	known->extents->count = 0;
	return search->ask(search->context, offset, known->extents);
}

/* The extent that holds the offset, and where it begins; count: none of them does. */
static uint32_t find_extent(const struct extents *extents, uint64_t offset, uint64_t *ret_begin)
{
	uint64_t begin = extents->offset;
	uint32_t i = 0;

	while (i < extents->count && begin + extents->entry[i].length <= offset)
		begin += extents->entry[i++].length;
	*ret_begin = begin;
	return offset < begin ? extents->count : i;
}

/*
 * Goes on from the offset: over zeroes, or over data. Returns where that ends in what is known;
 * @offset itself: it begins with the other.
 */
static uint64_t pass_over(const struct extents *extents, uint64_t offset, bool zero)
{
	uint64_t begin;
	uint32_t i = find_extent(extents, offset, &begin);

	for (; i < extents->count && extents->entry[i].zero == zero; i++) {
		begin += extents->entry[i].length;
		offset = begin;
	}
	return offset;
}

static bool is_known(const struct known_extents *known, uint64_t offset)
{
	uint64_t begin;

	return known->as_of == atomic_load(&known->changes) &&
	       find_extent(known->extents, offset, &begin) < known->extents->count;
}

static int find_data(const struct search *search, uint64_t offset, uint64_t *ret_begin,
		     uint64_t *ret_end)
{
	const struct extents *extents = search->known->extents;
	const uint64_t size = search->size;
	uint64_t end;
	int r = 0;

	while (offset < size) {
		if (!is_known(search->known, offset))
			r = ask(search, offset);
		if (r < 0)
			return r;
		end = pass_over(extents, offset, true);
		if (end == offset)
			break;
		offset = end;
	}
	end = offset < size ? pass_over(extents, offset, false) : size;
	/* An answer that does not hold the offset tells nothing. */
	if (offset < size && end == offset)
		return -EOPNOTSUPP;
	*ret_begin = offset < size ? offset : size;
	*ret_end = end < size ? end : size;
	return 0;
}

int extents_find_data(struct known_extents *known, const struct uds_env *env, uint64_t size,
		      ask_extents_fn ask_function, void *context, uint64_t offset,
		      uint64_t *ret_begin, uint64_t *ret_end)
{
	const struct search search = {
		.known = known, .size = size, .ask = ask_function, .context = context
	};
	int r;

	pthread_mutex_lock(&known->lock);
	if (known->extents == NULL)
		known->extents = env_allocate_zeroed(env, 1, sizeof(*known->extents));
	r = known->extents == NULL ? -ENOMEM : find_data(&search, offset, ret_begin, ret_end);
	pthread_mutex_unlock(&known->lock);
	return r;
}
