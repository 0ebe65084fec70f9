/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where data may be. The server is asked for a long range at once, and its answer is kept for the
 * questions that follow, until this client changes anything.
 */
#include "nbd/find_data.h"

#include <errno.h>

#include "base/env.h"
#include "nbd/client.h"

/* How much is asked for at once. */
#define ASKED (UINT64_C(1) << 30)

static int ask(struct client *client, uint64_t offset)
{
	struct job job = { .kind = JOB_EXTENTS, .offset = offset };

	job.length = client->facts.bytes - offset < ASKED ? client->facts.bytes - offset : ASKED;
	job.extents = client->extents;
	/* Before the question: a change while it is on its way makes the answer old. */
	client->extents_changes = atomic_load(&client->changes);
	client->extents->count = 0;
	return client_run(client, &job);
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

static bool is_known(const struct client *client, uint64_t offset)
{
	uint64_t begin;

	return client->extents_changes == atomic_load(&client->changes) &&
	       find_extent(client->extents, offset, &begin) < client->extents->count;
}

static int find_data(struct client *client, uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end)
{
	const uint64_t size = client->facts.bytes;
	uint64_t end;
	int r = 0;

	while (offset < size) {
		if (!is_known(client, offset))
			r = ask(client, offset & ~(uint64_t)(client->facts.block_bytes - 1));
		if (r < 0)
			return r;
		end = pass_over(client->extents, offset, true);
		if (end == offset)
			break;
		offset = end;
	}
	end = offset < size ? pass_over(client->extents, offset, false) : size;
	/* An answer that does not hold the offset tells nothing. */
	if (offset < size && end == offset)
		return -EOPNOTSUPP;
	*ret_begin = offset < size ? offset : size;
	*ret_end = end < size ? end : size;
	return 0;
}

int nbd_find_data(void *context, uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end)
{
	struct client *client = context;
	int r;

	if (!client->facts.has_extents)
		return -EOPNOTSUPP;
	pthread_mutex_lock(&client->extents_lock);
	if (client->extents == NULL)
		client->extents = env_allocate_zeroed(&client->env, 1, sizeof(*client->extents));
	r = client->extents == NULL ? -ENOMEM : find_data(client, offset, ret_begin, ret_end);
	pthread_mutex_unlock(&client->extents_lock);
	/* A server that promised block status and refuses it: then all may be data. */
	return r == -EINVAL || r == -ENOTSUP || r == -EOVERFLOW ? -EOPNOTSUPP : r;
}
