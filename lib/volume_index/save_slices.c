/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The lists of a save in slices: copied one after the other, encoded by all members of the crew,
 * and written in order. Slices are used in turn: the one whose turn it is to be filled is the
 * oldest of those that were given, so it is written first.
 */
#include <errno.h>

#include "base/env.h"
#include "volume_index/volume_index.h"
#include "volume_index/zone_save.h"

static int make_slice(struct zone_save *save, struct slice *slice)
{
	const struct uds_env *env = &save->index->env;

	slice->save = save;
	slice->memory = env_allocate(env, 1, SLICE_BYTES);
	slice->bytes = env_allocate(env, 1, SLICE_BYTES + STREAM_LIST_BUFFER_BYTES);
	if (slice->memory == NULL || slice->bytes == NULL)
		return -ENOMEM;
	return list_encoder_make(save->index, &slice->encoder);
}

int slices_make(struct zone_save *save)
{
	const unsigned int members = crew_members(save->crew);
	/* Without threads one is enough: it is encoded while its caller waits. */
	const unsigned int count = members == 1 ? 1 : SLICES_EACH * members;
	int r = 0;

	save->slices = env_allocate_zeroed(&save->index->env, count, sizeof(*save->slices));
	if (save->slices == NULL)
		return -ENOMEM;
	save->slice_count = count;
	for (unsigned int i = 0; r == 0 && i < count; i++)
		r = make_slice(save, &save->slices[i]);
	return r;
}

void slices_free(struct zone_save *save)
{
	const struct uds_env *env = &save->index->env;

	for (unsigned int i = 0; i < save->slice_count; i++) {
		struct slice *slice = &save->slices[i];

		if (slice->given)
			crew_wait(save->crew, &slice->job);
		list_encoder_free(save->index, &slice->encoder);
		env_release(env, slice->bytes);
		env_release(env, slice->memory);
	}
	env_release(env, save->slices);
}

static struct slice *filled_slice(const struct zone_save *save)
{
	return &save->slices[save->turn];
}

/* What a list that is taken now becomes, at most. */
static uint32_t coded_bytes(const struct part *part, uint32_t list)
{
	const uint8_t *copy = part->kept[list];
	const uint32_t bits =
		part->sizes != NULL ? part->sizes[list] : part->frozen.heads[list].coded_bits;

	return STREAM_LIST_HEADER_BYTES + (copy != NULL ? get_le16(copy + 2) : (bits + 7) / 8);
}

/* False: there is no room for it. */
static bool copy_block(struct slice *slice, struct part *part, uint32_t list)
{
	const struct list_pool *pool = &part->zone->pool;
	const uint32_t block = part->zone->heads[list].block;
	struct list_pool_chunk *chunk = &slice->chunks[slice->count];
	const uint32_t coded = coded_bytes(part, list);
	uint32_t bytes;

	if (slice->coded_bytes + coded > SLICE_BYTES)
		return false;
	/* One that was kept has what is written of it already. */
	if (block != NO_BLOCK && part->kept[list] == NULL) {
		bytes = list_pool_block_bytes(pool, block);
		if (slice->used + bytes + POOL_PAD > SLICE_BYTES)
			return false;
		chunk->memory = slice->memory + slice->used;
		chunk->block_bytes = bytes;
		memcpy(chunk->memory, list_pool_block(pool, block), bytes);
		slice->used += bytes;
		part->frozen.heads[list].block = slice->count << POOL_INDEX_BITS;
	}
	slice->coded_bytes += coded;
	return true;
}

static void begin_slice(struct zone_save *save, struct slice *slice)
{
	slice->part = &save->parts[save->sub];
	slice->first = save->next;
	slice->used = 0;
	slice->coded_bytes = 0;
	slice->where = slice->part->frozen;
	slice->where.pool.chunks = slice->chunks;
}

/* Whether it has all that it can have of its part. */
static bool is_full(const struct slice *slice)
{
	const struct part *part = slice->part;

	return slice->first + slice->count == part->frozen.list_count ||
	       slice->count == SLICE_LISTS ||
	       /* The largest list may have no room any more. */
	       slice->used > SLICE_BYTES - (1u << 16) - POOL_PAD ||
	       slice->coded_bytes > SLICE_BYTES - STREAM_LIST_BUFFER_BYTES;
}

void slices_take(struct zone_save *save)
{
	struct slice *slice = filled_slice(save);
	struct part *part = &save->parts[save->sub];

	if (slice->count == 0)
		begin_slice(save, slice);
	for (uint32_t i = 0; i < TAKE_LISTS && save->next < part->frozen.list_count &&
			     slice->count < SLICE_LISTS && copy_block(slice, part, save->next);
	     i++) {
		slice->count++;
		save->next++;
	}
	if (save->next == part->frozen.list_count) {
		save->sub++;
		save->next = 0;
	}
}

bool slices_are_due(const struct zone_save *save)
{
	const struct slice *slice = filled_slice(save);

	return slice->count > 0 && is_full(slice);
}

/* A list of the slice. Returns as zone_save_encode(). */
static int put_list(struct slice *slice, uint32_t list)
{
	const struct zone_save *save = slice->save;
	struct part *part = slice->part;
	uint8_t *copy = part->kept[list], *to = slice->bytes + slice->length;
	int bytes;

	if (copy == NULL)
		return zone_save_encode(save, &slice->encoder, part, &slice->where, list, to);
	bytes = (int)(STREAM_LIST_HEADER_BYTES + get_le16(copy + 2));
	memcpy(to, copy, (size_t)bytes);
	env_release(&save->index->env, copy);
	part->kept[list] = NULL;
	return bytes;
}

static void encode_slice(struct crew_job *job)
{
	struct slice *slice = (struct slice *)job;

	slice->length = 0;
	slice->status = 0;
	for (uint32_t i = 0; i < slice->count; i++) {
		int bytes = put_list(slice, slice->first + i);

		if (bytes < 0) {
			slice->status = bytes;
			return;
		}
		slice->length += (size_t)bytes;
	}
}

/* Waits for a slice, if it was given, and writes it: it can be filled again. */
static int write_slice(struct zone_save *save, struct slice *slice)
{
	const struct byte_sink *sink = save->output.sink;

	if (!slice->given)
		return 0;
	crew_wait(save->crew, &slice->job);
	slice->given = false;
	slice->count = 0;
	if (slice->status < 0)
		return slice->status;
	return slice->length == 0 ? 0 : sink->write(sink->context, slice->bytes, slice->length);
}

int slices_give(struct zone_save *save)
{
	struct slice *slice = filled_slice(save);

	slice->job.run = encode_slice;
	slice->given = true;
	crew_give(save->crew, save->turn % crew_members(save->crew), &slice->job);
	save->turn = (save->turn + 1) % save->slice_count;
	return write_slice(save, filled_slice(save));
}

int slices_finish(struct zone_save *save)
{
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < save->slice_count; i++)
		r = write_slice(save, &save->slices[(save->turn + i) % save->slice_count]);
	return r;
}
