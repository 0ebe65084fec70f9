/* SPDX-License-Identifier: BSD-2-Clause */
#include "index/lane.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "index/drive.h"
#include "index/lookup.h"
#include "index/operation.h"
#include "index/triage.h"

/* In uds_index_operation.reserved. */
#define IN_BUCKET 1u

/* ---- where operations wait for pages ---- */

int parking_make(const struct uds_env *env, uint32_t count, struct parking *ret_parking)
{
	struct parked *all = env_allocate_zeroed(env, count, sizeof(*all));

	if (all == NULL)
		return -ENOMEM;
	ret_parking->all = all;
	ret_parking->free = NULL;
	for (uint32_t i = count; i-- > 0;) {
		all[i].next = ret_parking->free;
		ret_parking->free = &all[i];
	}
	pthread_mutex_init(&ret_parking->lock, NULL);
	return 0;
}

void parking_free(const struct uds_env *env, struct parking *parking)
{
	if (parking->all == NULL)
		return;
	env_release(env, parking->all);
	pthread_mutex_destroy(&parking->lock);
}

/* There is one for each operation. */
static struct parked *take_parked(struct parking *parking)
{
	struct parked *parked;

	pthread_mutex_lock(&parking->lock);
	parked = parking->free;
	parking->free = parked->next;
	pthread_mutex_unlock(&parking->lock);
	parked->why = NULL;
	return parked;
}

static void give_parked(struct lane *lane, struct parked *parked)
{
	struct parking *parking = lane->parking;

	env_release(&lane->index->env, parked->why);
	pthread_mutex_lock(&parking->lock);
	parked->next = parking->free;
	parking->free = parked;
	pthread_mutex_unlock(&parking->lock);
}

void parked_ended(const struct uds_env *env, struct parked *parked,
		  const struct uds_message *message)
{
	const struct volume_lookup *lookup = &parked->lookup;

	*parked->answer =
		(struct page_answer){ lookup->vcn, lookup->status, lookup->found, lookup->data };
	if (lookup->status == 0 || message->text[0] == '\0')
		return;
	/* Without memory for it, the status's own text is the sentence. */
	parked->why = env_allocate(env, 1, sizeof(*parked->why));
	if (parked->why != NULL)
		*parked->why = *message;
}

/* ---- names that wait ---- */

static struct operation_list *bucket_of(const struct lane *lane,
					const struct uds_index_operation *operation)
{
	uint32_t hash = (operation->place[1] ^ operation->place[2]) * UINT32_C(2654435769);

	return &lane->buckets[(hash >> 16) & lane->bucket_mask];
}

/* Whether an operation has to queue up behind another one, where it is then. */
static bool is_blocked(struct lane *lane, struct uds_index_operation *operation)
{
	struct operation_list *bucket;

	if (lane->queued == 0 || (operation->reserved & IN_BUCKET) != 0)
		return false;
	bucket = bucket_of(lane, operation);
	if (bucket->first == NULL)
		return false;
	operation->reserved |= IN_BUCKET;
	operation_list_add(bucket, operation);
	lane->queued++;
	return true;
}

/* The first to wait in its bucket. */
static void enter_bucket(struct lane *lane, struct uds_index_operation *operation)
{
	if ((operation->reserved & IN_BUCKET) != 0)
		return;
	operation->reserved |= IN_BUCKET;
	operation_list_add(bucket_of(lane, operation), operation);
	lane->queued++;
}

/* It was the first, and is done: the next one goes on. */
static void leave_bucket(struct lane *lane, struct uds_index_operation *operation)
{
	struct operation_list *bucket = bucket_of(lane, operation);

	(void)operation_list_take(bucket);
	lane->queued--;
	if (bucket->first != NULL) {
		bucket->first->waits = lane->unblocked;
		lane->unblocked = bucket->first;
	}
}

/* ---- carrying out ---- */

static struct uds_index_operation *owner_of(const struct operation *operation)
{
	/* The request is the first member of what the caller submitted. */
	return (struct uds_index_operation *)(void *)operation->request;
}

/* Of an operation that failed, for the caller that gets it: not for this thread. */
static void keep_sentence(struct lane *lane, struct uds_index_operation *operation)
{
	struct uds_index *index = lane->index;
	struct uds_message *sentence;

	request_failed(index, &operation->request, operation->request.status);
	sentence = env_allocate(&index->env, 1, sizeof(*sentence));
	if (sentence != NULL)
		failures_get(index->failures, sentence);
	operation->sentence = sentence;
	failures_begin(index->failures);
}

static void complete(struct lane *lane, struct lane_pass *pass,
		     struct uds_index_operation *operation)
{
	if ((operation->reserved & IN_BUCKET) != 0)
		leave_bucket(lane, operation);
	operation_list_add(&pass->done, operation);
}

/* Without being carried out. */
static void refuse(struct lane *lane, struct lane_pass *pass, struct uds_index_operation *operation,
		   int status)
{
	operation->request.status = status;
	operation->request.found = false;
	/* That all were cancelled, everybody knows. */
	if (status != -ECANCELED)
		keep_sentence(lane, operation);
	complete(lane, pass, operation);
}

/* Leaves an operation that wants a search of the volume waiting for it. */
static void park(struct lane *lane, struct lane_pass *pass, struct batch *batch,
		 struct operation *operation)
{
	struct uds_index_operation *owner = owner_of(operation);
	struct volume_search search;
	struct page_answer *answer;
	struct parked *parked;

	/* It does: the same function has just said so to its step. */
	(void)lookup_wants_search(batch, operation, &search, &answer);
	parked = take_parked(lane->parking);
	parked->operation = *operation;
	parked->owner = owner;
	/* The same answer of the copy. */
	parked->answer = (struct page_answer *)(void *)((uint8_t *)&parked->operation +
							((uint8_t *)answer - (uint8_t *)operation));
	if (search.knows_page)
		volume_lookup_start_in_page(&parked->lookup, search.vcn, search.record_page,
					    &search.name, NULL);
	else
		volume_lookup_start(&parked->lookup, search.vcn, &search.name, NULL);
	enter_bucket(lane, owner);
	parked->next = pass->started;
	pass->started = parked;
}

/* From here on the operation waits no more; what it is carried out with is in the batch. */
static void unpark(struct lane *lane, struct uds_index_operation *owner)
{
	struct parked *parked = owner->waits;

	if (parked == NULL)
		return;
	/* If it fails now, this is why. */
	if (parked->why != NULL)
		(void)index_failure(lane->index, parked->lookup.status, parked->why);
	owner->waits = NULL;
	give_parked(lane, parked);
}

static void carry_out(struct lane *lane, struct lane_pass *pass, struct batch *batch, size_t i)
{
	struct operation *operation = &batch->operations[i];
	struct uds_index_operation *owner = owner_of(operation);

	if (is_blocked(lane, owner))
		return;
	unpark(lane, owner);
	if (pass->cancelled || owner->kind != UDS_OPERATION_REQUEST) {
		refuse(lane, pass, owner, pass->cancelled ? -ECANCELED : -EINVAL);
		return;
	}
	if (!batch_drive_operation(batch, i, !pass->parks)) {
		park(lane, pass, batch, operation);
		return;
	}
	if (owner->request.status < 0)
		keep_sentence(lane, owner);
	complete(lane, pass, owner);
}

static void add_new(struct batch *batch, struct uds_index_operation *operation)
{
	struct name_place place = {
		.sub = (uint8_t)(operation->place[0] & 0xff),
		.zone = (uint8_t)(operation->place[0] >> 8),
		.list = operation->place[1],
		.address = operation->place[2],
	};

	operation->waits = NULL;
	batch_add(batch, &operation->request, &place);
}

/* One whose lookup has ended, with the answer. */
static void add_found(struct batch *batch, struct parked *parked)
{
	add_new(batch, parked->owner);
	batch->operations[batch->count - 1] = parked->operation;
	parked->owner->waits = parked;
}

/* Fills an empty batch. Returns whether there is anything in it. */
static bool fill(struct lane *lane, struct lane_pass *pass, struct batch *batch)
{
	struct uds_index_operation *operation;

	while (batch->count < BATCH_MAX && pass->found != NULL) {
		struct parked *parked = pass->found;

		pass->found = parked->next;
		add_found(batch, parked);
	}
	while (batch->count < BATCH_MAX && lane->unblocked != NULL) {
		operation = lane->unblocked;
		lane->unblocked = operation->waits;
		add_new(batch, operation);
	}
	while (batch->count < BATCH_MAX && (operation = operation_list_take(&pass->input)) != NULL)
		add_new(batch, operation);
	return batch->count > 0;
}

static void drive_batch(struct lane *lane, struct lane_pass *pass, struct batch *batch)
{
	operations_prefetch_first(batch, 0, false);
	for (size_t i = 0; i < batch->count; i++) {
		operations_prefetch_next(batch, i, false);
		carry_out(lane, pass, batch, i);
	}
	triage_drop_chapters(batch);
}

/* No batch, and no memory for one more: other threads have all that there are. */
static void refuse_all(struct lane *lane, struct lane_pass *pass)
{
	struct uds_index_operation *operation;

	for (struct parked *parked = pass->found; parked != NULL; parked = pass->found) {
		pass->found = parked->next;
		operation = parked->owner;
		give_parked(lane, parked);
		refuse(lane, pass, operation, -ENOMEM);
	}
	while ((operation = operation_list_take(&pass->input)) != NULL) {
		if (!is_blocked(lane, operation))
			refuse(lane, pass, operation, -ENOMEM);
	}
	while (lane->unblocked != NULL) {
		operation = lane->unblocked;
		lane->unblocked = operation->waits;
		refuse(lane, pass, operation, -ENOMEM);
	}
}

void lane_drive(struct lane *lane, struct lane_pass *pass)
{
	struct batch *batch = batch_take_aside(lane->index, lane->zone);

	if (batch == NULL) {
		refuse_all(lane, pass);
		return;
	}
	while (fill(lane, pass, batch)) {
		drive_batch(lane, pass, batch);
		batch->count = 0;
		batch->close_status = 0;
		/* Others that want the zone come in between. */
		pthread_mutex_unlock(&lane->zone->lock);
		pthread_mutex_lock(&lane->zone->lock);
	}
	batch_give_aside(batch);
}

/* ---- lanes ---- */

int lane_make(struct lane *lane, struct uds_index *index, unsigned int zone, uint32_t depth,
	      struct parking *parking)
{
	uint32_t buckets = 16;

	/* Enough for few names to share one, spread over the zones. */
	while (buckets < 4 * depth / index->zone_count)
		buckets *= 2;
	lane->index = index;
	lane->zone = &index->zones[zone];
	lane->parking = parking;
	lane->bucket_mask = buckets - 1;
	lane->buckets = env_allocate_zeroed(&index->env, buckets, sizeof(lane->buckets[0]));
	return lane->buckets == NULL ? -ENOMEM : 0;
}

void lane_free(struct lane *lane)
{
	if (lane->index != NULL)
		env_release(&lane->index->env, lane->buckets);
}

uint64_t lane_bytes(const struct lane *lane)
{
	return ((uint64_t)lane->bucket_mask + 1) * sizeof(lane->buckets[0]);
}

unsigned int lane_locate(const struct uds_index *index, struct uds_index_operation *operation)
{
	struct name_place place;

	volume_index_locate(index->volume_index, &operation->request.name, &place);
	operation->place[0] = place.sub | (uint32_t)place.zone << 8;
	operation->place[1] = place.list;
	operation->place[2] = place.address;
	operation->reserved = 0;
	operation->waits = NULL;
	operation->sentence = NULL;
	return place.zone;
}
