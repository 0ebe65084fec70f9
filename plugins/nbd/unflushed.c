/* SPDX-License-Identifier: BSD-2-Clause */
/* Keeping acknowledged writes until a flush. */
#include "nbd/unflushed.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"

/* How many writes are kept at most: small ones would need more memory than their bytes. */
#define MOST_WRITES 65536u

/* The ring is a multiple of this, and so of the block of nearly every server. */
#define GRAIN 65536u

int unflushed_make(struct unflushed *u, const struct uds_env *env, uint64_t bytes,
		   uint32_t block_bytes)
{
	uint64_t grain = block_bytes > GRAIN ? block_bytes : GRAIN;

	memset(u, 0, sizeof(*u));
	u->ring_bytes = (bytes + grain - 1) / grain * grain;
	u->ring = env_allocate(env, u->ring_bytes, 1);
	u->writes = env_allocate(env, MOST_WRITES, sizeof(*u->writes));
	u->samples = env_allocate_zeroed(env, SAMPLES, sizeof(*u->samples));
	u->sample_bytes = block_bytes > 512 ? block_bytes : 512;
	if (u->ring != NULL && u->writes != NULL && u->samples != NULL)
		return 0;
	unflushed_free(u, env);
	return -ENOMEM;
}

void unflushed_free(struct unflushed *u, const struct uds_env *env)
{
	env_release(env, u->ring);
	env_release(env, u->writes);
	env_release(env, u->samples);
	memset(u, 0, sizeof(*u));
}

bool unflushed_reserve(struct unflushed *u, uint32_t data_bytes)
{
	/* Two writes, as one that crosses the ring's end is kept in two pieces. */
	if (u->used + u->reserved + data_bytes > u->ring_bytes ||
	    u->count + u->reserved_writes + 2 > MOST_WRITES)
		return false;
	u->reserved += data_bytes;
	u->reserved_writes += 2;
	return true;
}

void unflushed_unreserve(struct unflushed *u, uint32_t data_bytes)
{
	u->reserved -= data_bytes;
	u->reserved_writes -= 2;
}

static void add(struct unflushed *u, const uint8_t *data, uint64_t offset, uint32_t length)
{
	struct unflushed_write *write = &u->writes[(u->first + u->count) % MOST_WRITES];

	write->offset = offset;
	write->length = length;
	write->zeroes = data == NULL;
	write->data = NULL;
	u->count++;
	if (data == NULL)
		return;
	write->data = u->ring + u->end;
	memcpy(u->ring + u->end, data, length);
	u->end = (u->end + length) % u->ring_bytes;
	u->used += length;
}

void unflushed_keep(struct unflushed *u, const uint8_t *data, uint64_t offset, uint32_t length)
{
	uint64_t to_end = u->ring_bytes - u->end;
	uint32_t head = data != NULL && length > to_end ? (uint32_t)to_end : length;

	unflushed_unreserve(u, data != NULL ? length : 0);
	add(u, data, offset, head);
	if (head < length)
		add(u, data + head, offset + head, length - head);
}

const struct unflushed_write *unflushed_get(const struct unflushed *u, uint32_t number)
{
	return &u->writes[(u->first + number) % MOST_WRITES];
}

bool unflushed_is_half_full(const struct unflushed *u)
{
	return u->used > u->ring_bytes / 2 || u->count > MOST_WRITES / 2;
}

void unflushed_forget_samples(struct unflushed *u, uint64_t offset, uint64_t length)
{
	for (uint32_t i = 0; i < SAMPLES; i++) {
		struct flushed_sample *sample = &u->samples[i];

		if (sample->length > 0 &&
		    ranges_meet(sample->offset, sample->length, offset, length))
			sample->length = 0;
	}
}

/* Whether a write behind number @behind has changed the range since. */
static bool is_changed_behind(const struct unflushed *u, uint32_t behind, uint64_t offset,
			      uint32_t length)
{
	for (uint32_t i = behind + 1; i < u->count; i++) {
		const struct unflushed_write *write = unflushed_get(u, i);

		if (ranges_meet(write->offset, write->length, offset, length))
			return true;
	}
	return false;
}

/* Samples of the newest of those that are durable now; the newest tells most. */
static void take_samples(struct unflushed *u, uint32_t count)
{
	uint32_t taken = 0;

	/* While nothing but these may lie behind them, the search for changes is short. */
	if (u->sample_bytes > SAMPLE_BYTES || u->count - count > SAMPLES)
		return;
	for (uint32_t i = count; i > 0 && count - i < SAMPLES && taken < SAMPLES / 2; i--) {
		const struct unflushed_write *write = unflushed_get(u, i - 1);
		struct flushed_sample *sample = &u->samples[u->next_sample];
		uint32_t length = write->length < u->sample_bytes ? write->length : u->sample_bytes;

		if (write->zeroes || is_changed_behind(u, i - 1, write->offset, length))
			continue;
		sample->offset = write->offset;
		sample->length = length;
		memcpy(sample->data, write->data, length);
		u->next_sample = (u->next_sample + 1) % SAMPLES;
		taken++;
	}
}

uint64_t unflushed_mark(const struct unflushed *u)
{
	return u->dropped + u->count;
}

void unflushed_drop(struct unflushed *u, uint64_t mark)
{
	/* Of two flushes at once the later one may be done first. */
	uint32_t count = mark > u->dropped ? (uint32_t)(mark - u->dropped) : 0;

	take_samples(u, count);
	u->dropped += count;
	for (; count > 0; count--) {
		if (!u->writes[u->first].zeroes)
			u->used -= u->writes[u->first].length;
		u->first = (u->first + 1) % MOST_WRITES;
		u->count--;
	}
}
