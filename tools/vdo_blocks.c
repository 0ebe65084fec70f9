/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading and hashing the data blocks of a VDO volume. */
#include "vdo_blocks.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "step.h"

#define BLOCK		  ((size_t)UDS_VDO_BLOCK_BYTES)
#define SLOTS		  4u /* runs that are ahead of who takes them */
#define SECTOR_BYTES	  512u
#define SECTOR_COUNTERS	  504u /* behind a position of 8 bytes */
#define BLOCK_COUNTERS	  (8 * SECTOR_COUNTERS)
#define COUNTER_FREE	  0u
#define COUNTER_MAP	  254u /* a page of the block map, or a full counter */
#define NO_MORE_WANTED	  1
#define COMPRESSED_HEADER 36u /* version 1.0, and 14 lengths of two bytes */

struct slot {
	struct vdo_run run;
	uint8_t *bytes;
	bool full;
};

/* What the two threads share. */
struct walker {
	const struct vdo_walk *walk;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct slot slots[SLOTS];
	bool stop;     /* the taker wants no more */
	bool finished; /* the reader has made all */
	int status;    /* of the reader */
	struct uds_message *message;
	uint8_t *counters; /* of one slab, as they lie on the device */
	uint64_t skipped;
};

bool vdo_counters_are_right(const struct uds_vdo_info *info)
{
	return info->state == UDS_VDO_CLEAN || info->state == UDS_VDO_NEW;
}

uint64_t vdo_data_blocks(const struct uds_vdo_info *info)
{
	return info->slab_count * info->slab_data_blocks;
}

uint64_t vdo_data_block_of(const struct uds_vdo_info *info, uint64_t block)
{
	uint64_t first = info->first_slab_block + info->bio_offset, slab;

	if (block < first)
		return UINT64_MAX;
	slab = (block - first) / info->slab_blocks;
	block = (block - first) % info->slab_blocks;
	if (slab >= info->slab_count || block >= info->slab_data_blocks)
		return UINT64_MAX;
	return slab * info->slab_data_blocks + block;
}

uint64_t vdo_advice_block(const struct uds_vdo_info *info, uint64_t device_block)
{
	return device_block + info->bio_offset;
}

static uint8_t counter_of(const uint8_t *counters, uint64_t number)
{
	uint64_t sector = number / SECTOR_COUNTERS;

	return counters[sector * SECTOR_BYTES + 8 + number % SECTOR_COUNTERS];
}

static int read_blocks(struct uds_io *io, uint64_t block, uint64_t count, uint8_t *bytes,
		       struct uds_message *message)
{
	int r = uds_io_read(io, bytes, (size_t)count * BLOCK, block * BLOCK);

	if (r < 0)
		snprintf(message->text, sizeof(message->text),
			 "%.200s: reading %llu blocks from block %llu on: %s", uds_io_name(io),
			 (unsigned long long)count, (unsigned long long)block, uds_strerror(r));
	return r;
}

static int read_counters(struct uds_io *io, const struct uds_vdo_info *info, uint64_t slab,
			 uint8_t *counters, struct uds_message *message)
{
	uint64_t at = info->first_slab_block + slab * info->slab_blocks + info->slab_data_blocks;

	return read_blocks(io, at, info->slab_reference_blocks, counters, message);
}

static uint8_t *make_counters(const struct uds_vdo_info *info)
{
	return aligned_alloc(BLOCK, (size_t)info->slab_reference_blocks * BLOCK);
}

int vdo_count_used(struct uds_io *io, const struct uds_vdo_info *info, uint64_t *ret_used,
		   struct uds_message *message)
{
	uint8_t *counters = make_counters(info);
	uint64_t used = 0;
	int r = counters == NULL ? -ENOMEM : 0;

	for (uint64_t slab = 0; r == 0 && slab < info->slab_count; slab++) {
		r = read_counters(io, info, slab, counters, message);
		for (uint64_t i = 0; r == 0 && i < info->slab_data_blocks; i++) {
			uint8_t counter = counter_of(counters, i);

			used += counter != COUNTER_FREE && counter != COUNTER_MAP;
		}
	}
	free(counters);
	if (r == 0)
		*ret_used = used;
	return r;
}

static bool is_zero(const uint8_t *block)
{
	return block[0] == 0 && memcmp(block, block + 1, BLOCK - 1) == 0;
}

/* A page of the block map has a version, the nonce of the volume, and its own place. */
static bool is_map_page(const struct uds_vdo_info *info, const uint8_t *block,
			uint64_t device_block)
{
	return get_le32(block) == 4 && get_le32(block + 4) == 1 &&
	       get_le64(block + 8) == info->nonce &&
	       get_le64(block + 16) == vdo_advice_block(info, device_block);
}

/* Whether the block has the form of a compressed one: version, and lengths that fit. */
static bool is_compressed(const uint8_t *block)
{
	size_t sum = COMPRESSED_HEADER;

	if (get_le32(block) != 1 || get_le32(block + 4) != 0 || get_le16(block + 8) == 0)
		return false;
	for (unsigned int i = 0; i < UDS_VDO_SLOTS; i++)
		sum += get_le16(block + 8 + 2 * (size_t)i);
	return sum <= BLOCK;
}

/* The names of the fragments, behind those that the run has. */
static void name_fragments(lz4_fn decompress, const uint8_t *block, struct vdo_run *run,
			   unsigned int *count)
{
	size_t at = COMPRESSED_HEADER;
	uint8_t whole[UDS_VDO_BLOCK_BYTES];

	for (unsigned int i = 0; i < UDS_VDO_SLOTS; i++) {
		uint16_t length = get_le16(block + 8 + 2 * (size_t)i);
		struct vdo_fragment *fragment = &run->fragments[*count];

		if (length > 0 && decompress((const char *)block + at, (char *)whole, length,
					     (int)sizeof(whole)) == (int)sizeof(whole)) {
			fragment->slot = (uint8_t)i;
			uds_record_name_of_block(whole, sizeof(whole), &fragment->name);
			++*count;
		}
		at += length;
	}
}

/* What one block of a run is. @read: its bytes are there. */
static void look_at(const struct walker *walker, struct slot *slot, unsigned int i,
		    unsigned int *fragments)
{
	const struct vdo_walk *walk = walker->walk;
	const uint8_t *block = slot->bytes + i * BLOCK;
	struct vdo_run *run = &slot->run;

	if (is_zero(block)) {
		run->kinds[i] = VDO_BLOCK_ZERO;
		return;
	}
	if (is_map_page(walk->info, block, run->block + i)) {
		run->kinds[i] = VDO_BLOCK_MAP;
		return;
	}
	run->kinds[i] = VDO_BLOCK_DATA;
	uds_record_name_of_block(block, BLOCK, &run->names[i]);
	if (!is_compressed(block))
		return;
	run->kinds[i] = VDO_BLOCK_COMPRESSED;
	if (walk->decompress != NULL)
		name_fragments(walk->decompress, block, run, fragments);
}

/* Whether a block is to be read at all. */
static bool is_wanted(struct walker *walker, const struct vdo_run *run, unsigned int i)
{
	const struct vdo_walk *walk = walker->walk;

	/* By the block, so that the sample is the same wherever runs are cut. */
	if (walk->sample > 1 && (run->first + i) / VDO_RUN_BLOCKS % walk->sample != 0)
		return false;
	if (!walk->trust_counters)
		return true;
	if (run->counters[i] == COUNTER_FREE)
		return false;
	if (run->counters[i] == COUNTER_MAP || walker->skipped >= walk->skip)
		return true;
	walker->skipped++;
	return false;
}

/* Reads what is wanted of a run, neighbours together, and looks at it. */
static int fill_run(struct walker *walker, struct slot *slot)
{
	struct vdo_run *run = &slot->run;
	unsigned int fragments = 0, i = 0;
	bool wanted[VDO_RUN_BLOCKS] = { false };
	int r = 0;

	memset(run->kinds, VDO_BLOCK_NOT_READ, sizeof(run->kinds));
	for (unsigned int n = 0; n < run->count; n++)
		wanted[n] = is_wanted(walker, run, n);
	while (r == 0 && i < run->count) {
		unsigned int first = i;

		while (i < run->count && wanted[i])
			i++;
		if (i > first)
			r = read_blocks(walker->walk->io, run->block + first, i - first,
					slot->bytes + first * BLOCK, walker->message);
		i += i == first;
	}
	for (i = 0; r == 0 && i < run->count; i++) {
		run->fragment_at[i] = fragments;
		if (wanted[i])
			look_at(walker, slot, i, &fragments);
	}
	run->fragment_at[run->count] = fragments;
	return r;
}

/* Waits for a slot whose state is @full. NULL: there is none any more. */
static struct slot *wait_for(struct walker *walker, unsigned int number, bool full)
{
	struct slot *slot = &walker->slots[number % SLOTS];

	pthread_mutex_lock(&walker->lock);
	while (slot->full != full && !walker->stop && !(full && walker->finished))
		pthread_cond_wait(&walker->changed, &walker->lock);
	if (slot->full != full || (!full && walker->stop))
		slot = NULL;
	pthread_mutex_unlock(&walker->lock);
	return slot;
}

static void set_full(struct walker *walker, struct slot *slot, bool full)
{
	pthread_mutex_lock(&walker->lock);
	slot->full = full;
	pthread_cond_broadcast(&walker->changed);
	pthread_mutex_unlock(&walker->lock);
}

/* How many blocks the run from @block on has, with @left to the end of the slab. */
static unsigned int run_count(const struct walker *walker, uint64_t block, uint64_t left)
{
	return (unsigned int)(step_bytes(walker->walk->io, block * BLOCK, left * BLOCK,
					 VDO_RUN_BLOCKS * BLOCK, BLOCK) /
			      BLOCK);
}

static int read_slab(struct walker *walker, uint64_t slab, unsigned int *number)
{
	const struct uds_vdo_info *info = walker->walk->info;
	uint64_t at = 0;
	int r = read_counters(walker->walk->io, info, slab, walker->counters, walker->message);

	while (r == 0 && at < info->slab_data_blocks) {
		struct slot *slot = wait_for(walker, *number, false);

		if (slot == NULL)
			return NO_MORE_WANTED;
		slot->run.first = slab * info->slab_data_blocks + at;
		slot->run.block = info->first_slab_block + slab * info->slab_blocks + at;
		slot->run.count = run_count(walker, slot->run.block, info->slab_data_blocks - at);
		for (unsigned int i = 0; i < slot->run.count; i++)
			slot->run.counters[i] = counter_of(walker->counters, at + i);
		at += slot->run.count;
		r = fill_run(walker, slot);
		if (r == 0)
			set_full(walker, slot, true);
		++*number;
	}
	return r;
}

static void *read_ahead(void *context)
{
	struct walker *walker = context;
	unsigned int number = 0;
	int r = 0;

	for (uint64_t slab = 0; r == 0 && slab < walker->walk->info->slab_count; slab++)
		r = read_slab(walker, slab, &number);
	pthread_mutex_lock(&walker->lock);
	walker->status = r == NO_MORE_WANTED ? 0 : r;
	walker->finished = true;
	pthread_cond_broadcast(&walker->changed);
	pthread_mutex_unlock(&walker->lock);
	return NULL;
}

static int take_all(struct walker *walker)
{
	struct slot *slot;
	int r = 0;

	for (unsigned int number = 0; r == 0; number++) {
		slot = wait_for(walker, number, true);
		if (slot == NULL)
			break;
		r = walker->walk->take(walker->walk->context, &slot->run);
		set_full(walker, slot, false);
	}
	pthread_mutex_lock(&walker->lock);
	walker->stop = true;
	pthread_cond_broadcast(&walker->changed);
	pthread_mutex_unlock(&walker->lock);
	return r;
}

static int run_walker(struct walker *walker)
{
	pthread_t reader;
	int r = -pthread_create(&reader, NULL, read_ahead, walker);

	if (r < 0) {
		snprintf(walker->message->text, sizeof(walker->message->text),
			 "a thread that reads ahead cannot be made: %s", uds_strerror(r));
		return r;
	}
	r = take_all(walker);
	pthread_join(reader, NULL);
	return r == 0 ? walker->status : r;
}

int vdo_walk(const struct vdo_walk *walk, struct uds_message *message)
{
	struct walker walker = { .walk = walk, .message = message };
	bool room = true;
	int r = -ENOMEM;

	pthread_mutex_init(&walker.lock, NULL);
	pthread_cond_init(&walker.changed, NULL);
	walker.counters = make_counters(walk->info);
	for (unsigned int i = 0; i < SLOTS; i++) {
		struct slot *slot = &walker.slots[i];

		slot->bytes = aligned_alloc(BLOCK, VDO_RUN_BLOCKS * BLOCK);
		slot->run.fragments = calloc((size_t)VDO_RUN_BLOCKS * UDS_VDO_SLOTS,
					     sizeof(*slot->run.fragments));
		room = room && slot->bytes != NULL && slot->run.fragments != NULL;
	}
	if (room && walker.counters != NULL)
		r = run_walker(&walker);
	for (unsigned int i = 0; i < SLOTS; i++) {
		free(walker.slots[i].bytes);
		free(walker.slots[i].run.fragments);
	}
	free(walker.counters);
	pthread_cond_destroy(&walker.changed);
	pthread_mutex_destroy(&walker.lock);
	return r;
}
