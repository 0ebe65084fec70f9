/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding data by the block status that the server gives. */
#include "nbd/find_data.h"

#include <errno.h>

#include "nbd/client.h"

/* How much is asked for at once. */
#define ASKED (UINT64_C(1) << 30)

static int ask(void *context, uint64_t offset, struct extents *ret_extents)
{
	struct client *client = context;
	struct job job = { .kind = JOB_EXTENTS, .extents = ret_extents };

	offset &= ~(uint64_t)(client->facts.block_bytes - 1);
	job.offset = offset;
	job.length = client->facts.bytes - offset < ASKED ? client->facts.bytes - offset : ASKED;
	return client_run(client, &job);
}

int nbd_find_data(void *context, uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end)
{
	struct client *client = context;
	int r;

	if (!client->facts.has_extents)
		return -EOPNOTSUPP;
	r = extents_find_data(&client->extents, &client->env, client->facts.bytes, ask, client,
			      offset, ret_begin, ret_end);
	/* A server that promised block status and refuses it: then all may be data. */
	return r == -EINVAL || r == -ENOTSUP || r == -EOVERFLOW ? -EOPNOTSUPP : r;
}
