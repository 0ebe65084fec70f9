/* SPDX-License-Identifier: BSD-2-Clause */
/* Repeating at the target what a request changed at the home. */
#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "shards/move.h"

void shards_stop_telling(struct uds_shards *shards, int status)
{
	shards->telling = false;
	shards->copied = false;
	if (shards->told_status == 0)
		shards->told_status = status;
}

int shards_check_told(struct uds_shards *shards)
{
	int r = 0;

	pthread_mutex_lock(&shards->told);
	if (shards->switch_unsure && !shards->copied)
		r = shards->told_status;
	pthread_mutex_unlock(&shards->told);
	if (r < 0)
		return failures_say(shards->failures, r,
				    "%s: nothing is durable until the move is resumed: the shard "
				    "that names move to failed, and may be their home after a "
				    "crash: %s",
				    shards->name, uds_strerror(r));
	return 0;
}

/*
 * What makes the target know what the home knows after this request. Returns false when it changed
 * nothing there.
 */
static bool make_telling(const struct uds_request *request, struct uds_request *ret_telling)
{
	bool stores_new =
		request->kind == UDS_UPDATE || (request->kind == UDS_POST && !request->found);
	bool stores_old =
		request->found && (request->kind == UDS_POST || request->kind == UDS_QUERY);

	if (request->status < 0)
		return false;
	memset(ret_telling, 0, sizeof(*ret_telling));
	ret_telling->name = request->name;
	ret_telling->kind = request->kind == UDS_DELETE ? UDS_DELETE : UDS_UPDATE;
	if (stores_new)
		ret_telling->new_data = request->new_data;
	else if (stores_old)
		ret_telling->new_data = request->old_data;
	return stores_new || stores_old || request->kind == UDS_DELETE;
}

void shards_tell(struct uds_shards *shards, const struct uds_request *requests, size_t count)
{
	struct uds_request *tellings;
	size_t told = 0;
	int r = 0;

	if (!shards->telling)
		return;
	tellings = env_allocate(&shards->env, count, sizeof(*tellings));
	if (tellings == NULL) {
		shards_stop_telling(shards, -ENOMEM);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (shards_moves(shards, &requests[i].name) &&
		    make_telling(&requests[i], &tellings[told]))
			told++;
	}
	if (told > 0)
		r = shards_run_at(shards, shards->target, tellings, told);
	env_release(&shards->env, tellings);
	if (r < 0)
		shards_stop_telling(shards, r);
}
