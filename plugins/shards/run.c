/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests: split over the shards, carried out in all of them at once, and put back.
 *
 * While a shard is being added or removed, a name whose slot moves is asked for at its home, as
 * before; what the request changed there is told to the target (move.h). Both happen under one
 * lock, so that the target sees the changes of a name in the order in which its home did.
 */
#include "shards/move.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/visibility.h"
#include "shards/placement.h"

/* More requests are carried out in pieces of this, which bounds the memory for them. */
#define PIECE 4096u

/* Fewer requests are not worth waking threads for, unless they wait for devices. */
#define WORTH_THREADS 16u

/* The requests of one shard. */
struct part {
	struct task task;
	struct uds_index *index;
	struct uds_request *requests;
	size_t count;
	int status;
	struct uds_message said;
};

/* One piece, split. */
struct split {
	struct part *parts; /* by number of the shard */
	struct uds_request *requests;
	uint8_t *numbers;    /* of the shard, for each request of the caller */
	uint32_t *positions; /* in @requests, for each request of the caller */
};

static void run_part(struct task *task)
{
	struct part *part = (struct part *)task;

	part->status = uds_index_run(part->index, part->requests, part->count);
	if (part->status < 0)
		uds_index_error_message(part->index, &part->said);
}

static void split_free(const struct uds_shards *shards, struct split *split)
{
	env_release(&shards->env, split->parts);
	env_release(&shards->env, split->requests);
	env_release(&shards->env, split->numbers);
	env_release(&shards->env, split->positions);
}

static int split_make(const struct uds_shards *shards, size_t count, struct split *split)
{
	const struct uds_env *env = &shards->env;

	split->parts = env_allocate_zeroed(env, shards->manifest.count, sizeof(*split->parts));
	split->requests = env_allocate(env, count, sizeof(*split->requests));
	split->numbers = env_allocate(env, count, 1);
	split->positions = env_allocate(env, count, sizeof(*split->positions));
	if (split->parts != NULL && split->requests != NULL && split->numbers != NULL &&
	    split->positions != NULL)
		return 0;
	split_free(shards, split);
	return -ENOMEM;
}

/* Copies each request to its shard's part, in their order. */
static void scatter(const struct uds_shards *shards, const uint8_t *places,
		    const struct uds_request *requests, size_t count, struct split *split)
{
	struct uds_request *at = split->requests;

	for (size_t i = 0; i < count; i++) {
		split->numbers[i] = places[slot_of(&requests[i].name)];
		split->parts[split->numbers[i]].count++;
	}
	for (unsigned int n = 0; n < shards->manifest.count; n++) {
		split->parts[n].requests = at;
		at += split->parts[n].count;
		split->parts[n].count = 0;
	}
	for (size_t i = 0; i < count; i++) {
		struct part *part = &split->parts[split->numbers[i]];
		struct uds_request *to = &part->requests[part->count++];

		*to = requests[i];
		split->positions[i] = (uint32_t)(to - split->requests);
	}
}

/* The caller does the last part itself, after it has given the others away. */
static void run_parts(struct uds_shards *shards, struct split *split, size_t count)
{
	struct part *own = NULL;
	struct round round;

	round_start(&round);
	for (unsigned int n = 0; n < shards->manifest.count; n++) {
		struct part *part = &split->parts[n];

		if (part->count == 0)
			continue;
		part->index = shards->shards[n]->index;
		part->task.run = run_part;
		if (own != NULL && count >= WORTH_THREADS)
			round_give(&round, &shards->shards[own - split->parts]->worker, &own->task);
		else if (own != NULL)
			run_part(&own->task);
		own = part;
	}
	if (own != NULL)
		run_part(&own->task);
	round_end(&round);
}

/* Keeps the sentence of the part that had the first request that failed. */
static int gather(struct uds_shards *shards, const struct split *split,
		  struct uds_request *requests, size_t count)
{
	int status = 0;

	for (size_t i = 0; i < count; i++) {
		const struct uds_request *done = &split->requests[split->positions[i]];

		requests[i] = *done;
		if (done->status < 0 && status == 0) {
			const struct part *part = &split->parts[split->numbers[i]];

			status = done->status;
			/* Its own sentence only if it is about this failure. */
			if (part->status == status)
				failures_keep(shards->failures, status, &part->said);
		}
	}
	return status;
}

static int all_failed(struct uds_request *requests, size_t count, int status)
{
	for (size_t i = 0; i < count; i++)
		requests[i].status = status;
	return status;
}

/* Within the gate, and under told when names of the piece move. */
static int run_split(struct uds_shards *shards, const uint8_t *places, struct uds_request *requests,
		     size_t count)
{
	struct split split;
	int r;

	if (split_make(shards, count, &split) < 0)
		return all_failed(requests, count, -ENOMEM);
	scatter(shards, places, requests, count, &split);
	run_parts(shards, &split, count);
	r = gather(shards, &split, requests, count);
	split_free(shards, &split);
	return r;
}

/* One request needs no copy. */
static int run_one(struct uds_shards *shards, const uint8_t *places, struct uds_request *request)
{
	struct uds_index *index = shards->shards[places[slot_of(&request->name)]]->index;
	struct uds_message said;
	int r = uds_index_run(index, request, 1);

	if (r < 0) {
		uds_index_error_message(index, &said);
		failures_keep(shards->failures, r, &said);
	}
	return r;
}

int shards_run_at(struct uds_shards *shards, const uint8_t *places, struct uds_request *requests,
		  size_t count)
{
	return count == 1 ? run_one(shards, places, requests)
			  : run_split(shards, places, requests, count);
}

static bool any_moves(const struct uds_shards *shards, const struct uds_request *requests,
		      size_t count)
{
	if (shards->manifest.state == UDS_SHARDS_STABLE)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (shards_moves(shards, &requests[i].name))
			return true;
	}
	return false;
}

static int run_piece(struct uds_shards *shards, struct uds_request *requests, size_t count)
{
	int r;

	if (!any_moves(shards, requests, count))
		return shards_run_at(shards, shards->home, requests, count);
	pthread_mutex_lock(&shards->told);
	r = shards_run_at(shards, shards->home, requests, count);
	/* The caller's sentence is about its own requests. */
	if (r < 0)
		failures_hold(shards->failures, r, "%s: carrying out requests: %s", shards->name,
			      uds_strerror(r));
	shards_tell(shards, requests, count);
	pthread_mutex_unlock(&shards->told);
	return r;
}

UDS_PUBLIC int uds_shards_run(struct uds_shards *shards, struct uds_request *requests, size_t count)
{
	int status = 0;

	failures_begin(shards->failures);
	for (size_t done = 0; done < count;) {
		size_t piece = count - done < PIECE ? count - done : PIECE;
		int r;

		/* Piece by piece: a move that ends must not wait for a caller's millions. */
		gate_enter(&shards->gate);
		r = run_piece(shards, requests + done, piece);
		gate_leave(&shards->gate);
		/* The sentence of the first one stays, whatever the others say. */
		if (r < 0 && status == 0) {
			status = r;
			failures_hold(shards->failures, r, "%s: carrying out requests: %s",
				      shards->name, uds_strerror(r));
		}
		done += piece;
	}
	return shards_end(shards, status, "carrying out requests");
}
