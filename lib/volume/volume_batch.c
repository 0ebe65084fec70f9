/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many lookups at once.
 *
 * Where reads are quick, one after the other is best. Where they take the time of a device, all
 * index pages of up to BATCH_LOOKUPS names are submitted together, then all record pages.
 */
#include "volume/volume_batch.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "volume/volume_search.h"

#define BATCH_LOOKUPS 64u

/* One lookup of a batch: what it reads at present. */
struct batch_lookup {
	struct volume_search *search;
	struct lookup lookup;
	struct uds_io_request request;
	struct scratch scratch; /* its buffer is part of the batch's */
	struct uds_message message;
	uint32_t list_start,
		list_bits; /* read alone, when the head was kept; 0 bits: the whole page */
	int result;	   /* of the step: as lookup_in_index_page() */
	bool reading;
};

struct volume_batch {
	struct volume_batch *next;
	struct uds_io_queue *queue;
	bool broken; /* requests may still be under way: not to be used again */
	uint8_t *buffers;
	struct batch_lookup lookups[BATCH_LOOKUPS];
};

static void free_batch(struct volume *volume, struct volume_batch *batch)
{
	uds_io_queue_close(batch->queue);
	env_release(&volume->env, batch->buffers);
	env_release(&volume->env, batch);
}

void volume_free_batches(struct volume *volume)
{
	while (volume->batches != NULL) {
		struct volume_batch *batch = volume->batches;

		volume->batches = batch->next;
		free_batch(volume, batch);
	}
}

static int take_batch(struct volume *volume, struct volume_batch **ret_batch)
{
	const size_t page_bytes = volume->geometry.page_bytes;
	struct volume_batch *batch;
	int r;

	pthread_mutex_lock(&volume->pool_lock);
	batch = volume->batches;
	if (batch != NULL)
		volume->batches = batch->next;
	pthread_mutex_unlock(&volume->pool_lock);
	if (batch == NULL) {
		batch = env_allocate_zeroed(&volume->env, 1, sizeof(*batch));
		if (batch == NULL)
			return -ENOMEM;
		batch->buffers = io_allocate_buffer(volume->io, &volume->env,
						    BATCH_LOOKUPS * (uint64_t)page_bytes);
		r = -ENOMEM;
		if (batch->buffers != NULL)
			r = uds_io_queue_open(volume->io, BATCH_LOOKUPS, &batch->queue);
		if (r < 0) {
			free_batch(volume, batch);
			return r;
		}
		for (unsigned int i = 0; i < BATCH_LOOKUPS; i++)
			batch->lookups[i].scratch.buffer = batch->buffers + i * page_bytes;
	}
	*ret_batch = batch;
	return 0;
}

static void give_batch(struct volume *volume, struct volume_batch *batch)
{
	pthread_mutex_lock(&volume->pool_lock);
	batch->next = volume->batches;
	volume->batches = batch;
	pthread_mutex_unlock(&volume->pool_lock);
}

/* Makes the request for bytes [from, to) of the lookup's page. */
static void want(struct volume *volume, struct batch_lookup *b, uint32_t from, uint32_t to)
{
	uint32_t block = uds_io_block_bytes(volume->io);
	uint32_t start = from / block * block;

	b->request.kind = UDS_IO_READ;
	b->request.buffer = b->scratch.buffer;
	b->request.offset = volume_page_offset(volume, b->lookup.slot, b->lookup.page) + start;
	b->request.length = (size_t)round_up(to, block) - start;
	b->request.user = b;
	b->reading = true;
}

/* Reads everything that is wanted. What fails has its error as result. */
static void read_wanted(struct volume *volume, struct volume_batch *batch, size_t count)
{
	struct uds_io_request *requests[BATCH_LOOKUPS];
	size_t wanted = 0, done = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		if (batch->lookups[i].reading)
			requests[wanted++] = &batch->lookups[i].request;
	}
	if (wanted == 0)
		return;
	atomic_fetch_add_explicit(&volume->pages_read, wanted, memory_order_relaxed);
	r = uds_io_queue_submit(batch->queue, requests, wanted);
	for (size_t i = 0; i < wanted && r < 0; i++)
		requests[i]->status = r;
	while (r >= 0 && done < wanted) {
		struct uds_io_request *some[BATCH_LOOKUPS];

		r = uds_io_queue_reap(batch->queue, some, BATCH_LOOKUPS);
		if (r < 0)
			batch->broken = true;
		else
			done += (size_t)r;
	}
	for (size_t i = 0; i < count; i++) {
		struct batch_lookup *b = &batch->lookups[i];

		if (!b->reading)
			continue;
		if (r >= 0)
			b->result = b->request.status;
		else
			b->result = r;
		if (b->result < 0)
			failure(b->lookup.message, b->result, "reading %zu bytes at %llu: %s",
				b->request.length, (unsigned long long)b->request.offset,
				uds_strerror(b->result));
	}
}

/* Finds out what to read of the index page. */
static void plan_index(struct volume *volume, struct batch_lookup *b)
{
	const struct kept_head *kept = slot_head(volume->slots, b->lookup.slot, b->lookup.page);

	b->list_bits = 0;
	if (kept == NULL) {
		want(volume, b, 0, volume->geometry.page_bytes);
		return;
	}
	b->result = lookup_find_list(&b->lookup, volume, &kept->head, kept->bytes, &b->list_start,
				     &b->list_bits);
	if (b->result > 0)
		want(volume, b, b->list_start / 8, (b->list_start + b->list_bits + 7) / 8);
}

static void search_index_part(struct volume *volume, struct batch_lookup *b)
{
	uint32_t block = uds_io_block_bytes(volume->io);
	uint32_t byte = b->list_start / 8;

	if (b->result < 0)
		return;
	if (b->list_bits == 0)
		b->result = lookup_in_index_page(&b->lookup, volume, b->scratch.buffer);
	else
		b->result = lookup_in_list(&b->lookup, volume, b->scratch.buffer + byte % block,
					   b->list_start % 8, b->list_bits);
}

static void plan_record_page(struct volume *volume, struct batch_lookup *b)
{
	b->lookup.page = volume->geometry.index_pages_per_chapter + b->lookup.record_page;
	if (!lookup_cached_record_page(&b->lookup, volume, &b->result))
		want(volume, b, 0, volume->geometry.page_bytes);
}

static void search_record_page(struct volume *volume, struct batch_lookup *b)
{
	if (b->result < 0)
		return;
	page_cache_add(volume->cache,
		       geometry_physical_page(&volume->geometry, b->lookup.slot, b->lookup.page),
		       b->scratch.buffer);
	b->result = lookup_in_record_page(&b->lookup, volume, b->scratch.buffer);
}

/* Both steps of all lookups of the batch, each in a slot. */
static void run_batch(struct volume *volume, struct volume_batch *batch, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		batch->lookups[i].reading = false;
		plan_index(volume, &batch->lookups[i]);
	}
	read_wanted(volume, batch, count);
	for (size_t i = 0; i < count; i++) {
		struct batch_lookup *b = &batch->lookups[i];

		if (b->reading)
			search_index_part(volume, b);
		b->reading = false;
		if (b->result > 0)
			plan_record_page(volume, b);
	}
	read_wanted(volume, batch, count);
	for (size_t i = 0; i < count; i++) {
		if (batch->lookups[i].reading)
			search_record_page(volume, &batch->lookups[i]);
	}
}

/*
 * Prepares up to BATCH_LOOKUPS lookups. Returns how many searches that took; in @ret_used, the
 * lookups.
 */
static size_t enter_slots(struct volume *volume, struct volume_batch *batch,
			  struct volume_search *searches, size_t count, size_t *ret_used)
{
	size_t taken = 0, used = 0;

	while (taken < count && used < BATCH_LOOKUPS) {
		struct volume_search *search = &searches[taken++];
		struct batch_lookup *b = &batch->lookups[used];
		uint32_t slot = geometry_physical_chapter(&volume->geometry, search->vcn);

		search->found = false;
		search->status = 0;
		if (!slot_enter(volume->slots, slot))
			continue;
		b->search = search;
		b->result = 0;
		b->reading = false;
		lookup_start(&b->lookup, volume, search->vcn, &search->name, &b->message);
		used++;
	}
	*ret_used = used;
	return taken;
}

/* Hands the results over. Returns the first error, with its message, or 0. */
static int leave_slots(struct volume *volume, struct volume_batch *batch, size_t used,
		       struct uds_message *ret_message)
{
	int first = 0;

	for (size_t i = 0; i < used; i++) {
		struct batch_lookup *b = &batch->lookups[i];

		slot_leave(volume->slots, b->lookup.slot);
		b->search->status = b->result < 0 ? b->result : 0;
		b->search->found = b->result > 0;
		if (b->result > 0)
			b->search->data = b->lookup.data;
		if (b->result < 0 && first == 0) {
			first = b->result;
			volume_page_failure(volume, b->lookup.slot, b->lookup.vcn, b->lookup.page,
					    first, &b->message);
			if (ret_message != NULL)
				*ret_message = b->message;
		}
	}
	return first;
}

static int search_together(struct volume *volume, struct volume_search *searches, size_t count,
			   struct uds_message *ret_message)
{
	struct uds_message message = { "" };
	struct volume_batch *batch = NULL;
	int r, first = 0;
	size_t used;

	r = take_batch(volume, &batch);
	if (r < 0) {
		for (size_t i = 0; i < count; i++)
			searches[i].status = r;
		return failure(ret_message, r, "%s", uds_strerror(r));
	}
	while (count > 0) {
		size_t taken = enter_slots(volume, batch, searches, count, &used);

		run_batch(volume, batch, used);
		r = leave_slots(volume, batch, used, &message);
		if (r < 0 && first == 0) {
			first = r;
			if (ret_message != NULL)
				*ret_message = message;
		}
		searches += taken;
		count -= taken;
		if (batch->broken)
			break;
	}
	for (size_t i = 0; i < count; i++)
		searches[i].status = first; /* nothing can be read any more */
	if (batch->broken)
		free_batch(volume, batch);
	else
		give_batch(volume, batch);
	return first;
}

int volume_search_many(struct volume *volume, struct volume_search *searches, size_t count,
		       struct uds_message *ret_message)
{
	struct uds_message message = { "" };
	int r, first = 0;

	if (count > 1 && volume_reads_are_slow(volume))
		return search_together(volume, searches, count, ret_message);
	for (size_t i = 0; i < count; i++) {
		struct volume_search *search = &searches[i];

		search->found = false;
		r = volume_search_chapter(volume, search->vcn, &search->name, &search->found,
					  &search->data, &message);
		search->status = r;
		if (r < 0 && first == 0) {
			first = r;
			if (ret_message != NULL)
				*ret_message = message;
		}
	}
	return first;
}
