/* SPDX-License-Identifier: BSD-2-Clause */
/* The sizes, the place and the volume nonce of an index whose super block is damaged. */
#include "volume/super_restore.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/env.h"
#include "base/message.h"
#include "base/murmur3_find.h"
#include "extras/area.h"
#include "volume/page_reader.h"
#include "volume/save_header.h"
#include "volume/whole_chapter.h"

/* Where the seed data and the primary nonce lie in a super block of 7 regions (14.2 and 14.3). */
#define SEED_AT	   (24u + 7u * 24u + 32u)
#define PRIMARY_AT (SEED_AT + NONCE_DATA_BYTES)
#define VERSION_AT (PRIMARY_AT + 8u)

/* The highest number that a version is known to have had. */
#define LATEST_VERSION 7u

/* What starts nonce_hash() of the seed data (14.5). */
#define PRIMARY_START UINT64_C(0xa1b1e0fc)

/*
 * In a saved volume index (13.6): the nonce of its first sub-index, and where that begins in
 * a sparse one.
 */
#define NONCE_IN_STREAM	  8u
#define SPARSE_HEAD_BYTES 12u
#define SPARSE_MAGIC	  "MI6-0001"

struct super_search {
	struct uds_io *io;
	const struct uds_env *env;
	const struct super_clues *clues;
	struct geometry geometry;
	struct super_block super;
	uint8_t *block;
	bool placed;	  /* by a save header */
	bool nonce_known; /* super.volume_nonce */
	struct uds_message scratch;
};

/*
 * Everything that follows from the configuration, for an index whose regions begin at block @first.
 */
static void place(struct super_search *search, uint64_t first, uint64_t save_blocks)
{
	struct super_block *super = &search->super;
	uint64_t moved = search->clues->converted ? geometry_chapter_blocks(&search->geometry) : 0;

	super->first = first;
	super->volume_offset = moved;
	super->volume_start = first + 2;
	super->volume_blocks = search->geometry.bytes_per_volume / BLOCK_BYTES;
	super->save_blocks = save_blocks;
	super->save_start[0] = super->volume_start + super->volume_blocks + moved;
	super->save_start[1] = super->save_start[0] + save_blocks;
	super->seal_start = super->save_start[1] + save_blocks;
	super->total_blocks = 3 + super->volume_blocks + SAVE_SLOTS * save_blocks;
}

/* A conversion takes a chapter, and leaves the saves as they were (19.6). */
static int take_sizes(struct super_search *search, struct uds_message *message)
{
	struct uds_configuration original = *search->clues->configuration;
	struct geometry_sizes sizes;
	struct geometry geometry;
	int r;

	r = geometry_make(&original, &search->geometry, message);
	if (r == 0 && search->clues->converted) {
		original.chapters_per_volume++;
		original.remapped_virtual = 0;
		original.remapped_physical = 0;
	}
	if (r == 0)
		r = geometry_make(&original, &geometry, message);
	if (r < 0)
		return r == -EINVAL ? UDS_ERR_CORRUPT : r;
	geometry_sizes(&geometry, &sizes);
	search->super.version =
		search->clues->converted ? SUPER_VERSION_CONVERTED : SUPER_VERSION_PLAIN;
	search->super.open_chapter_blocks = sizes.open_chapter_blocks;
	search->super.page_map_blocks = sizes.page_map_blocks;
	place(search, search->clues->at, sizes.save_blocks);
	return 0;
}

/* The nonce of a save's volume index, if the save belongs to it. */
static void ask_save(struct super_search *search, const struct region_table *table, uint64_t shift)
{
	const uint8_t *payload = search->block + table->payload_at;
	uint64_t timestamp = get_le64(payload), said = get_le64(payload + 8), nonce;
	uint32_t version = get_le32(payload + 16);
	uint64_t at = table->regions[2].start - shift;

	if (search->nonce_known || table->type != TABLE_SAVE || table->count < 3 ||
	    table->payload_bytes < 24 ||
	    uds_io_read(search->io, search->block, BLOCK_BYTES, at * BLOCK_BYTES) < 0)
		return;
	payload = search->block;
	if (memcmp(payload, SPARSE_MAGIC, 8) == 0)
		payload += SPARSE_HEAD_BYTES;
	nonce = get_le64(payload + NONCE_IN_STREAM);
	search->nonce_known =
		nonce_save(nonce, timestamp, version, table->regions[0].start) == said;
	if (search->nonce_known)
		search->super.volume_nonce = nonce;
}

/*
 * What a save header says of the place of the index, and its save of the nonce. Returns 0
 * or an error.
 */
static int ask_slot(struct super_search *search, unsigned int slot, struct uds_message *message)
{
	struct super_block *super = &search->super;
	/* The saves lie behind the volume, whatever was cut from the front of the device. */
	uint64_t at = search->clues->at + 2 + super->volume_blocks + slot * super->save_blocks;
	struct region_table table;
	uint64_t front, shift;
	int r;

	r = io_read(search->io, search->block, BLOCK_BYTES, at * BLOCK_BYTES, message);
	/* The configuration is not that of this index. */
	if (r == UDS_ERR_OUT_OF_RANGE)
		return 0;
	if (r < 0)
		return r;
	if (region_table_decode(search->block, &table, NULL) < 0 || table.count < 2 ||
	    table.blocks != super->save_blocks || table.regions[0].kind != REGION_HEADER ||
	    table.regions[1].blocks != super->page_map_blocks || table.regions[0].start < at ||
	    table.regions[0].start > MAX_BLOCKS)
		return 0;
	shift = table.regions[0].start - at;
	front = uds_io_device_offset(search->io) / BLOCK_BYTES;
	/*
	 * A copy of a part of a device has the place of the device; one that is used as a
	 * part does not.
	 */
	if (front > shift || (!search->clues->converted && front != shift))
		front = 0;
	if (shift - front > super->volume_offset)
		return 0;
	super->front = front;
	super->start_offset = shift - front;
	place(search, search->clues->at + shift - super->volume_offset, super->save_blocks);
	search->placed = true;
	ask_save(search, &table, shift);
	return 0;
}

/*
 * Where no save tells the nonce: a whole chapter, that is one whose pages have it and agree
 * with each other.
 */
static int ask_chapters(struct super_search *search, struct uds_message *message)
{
	struct page_reader reader;
	uint64_t nonce, vcn, start = super_block_volume_at(&search->super) * BLOCK_BYTES;
	int r;

	for (uint32_t slot = 0; slot < search->geometry.chapters_per_volume; slot++) {
		uint64_t page = geometry_physical_page(&search->geometry, slot, 0);

		if (uds_io_read(search->io, search->block, BLOCK_BYTES,
				start + page * search->geometry.page_bytes) < 0)
			continue;
		nonce = get_le64(search->block);
		if (nonce == 0 || (search->nonce_known && nonce == search->super.volume_nonce))
			continue;
		page_reader_init(&reader, search->io, search->env, &search->geometry, nonce, start);
		r = chapter_read_whole(&reader, slot, &vcn, &search->scratch);
		if (r == -ENOMEM)
			return failure(message, r, "%s", uds_strerror(r));
		if (r < 0)
			continue;
		if (search->nonce_known)
			return failure(message, UDS_ERR_CORRUPT,
				       "the volume has chapters of two indexes");
		search->nonce_known = true;
		search->super.volume_nonce = nonce;
	}
	return 0;
}

/* The extras, where they are there and the saves and chapters say nothing. */
static void ask_extras(struct super_search *search)
{
	struct extras_area area = { 0 };
	uint64_t at = search->clues->at + search->super.total_blocks;

	for (unsigned int i = 0; i < 2 && !search->nonce_known; i++) {
		if (uds_io_read(search->io, search->block, BLOCK_BYTES, (at + i) * BLOCK_BYTES) <
			    0 ||
		    extras_decode_header(search->block, &area, NULL) < 0 ||
		    area.slots != search->geometry.chapters_per_volume)
			continue;
		search->nonce_known = true;
		search->super.volume_nonce = area.nonce;
	}
}

static bool leads_to(struct super_search *search, uint64_t primary)
{
	struct super_block *super = &search->super;
	uint64_t nonce = nonce_volume(primary, super->volume_start);

	if (search->nonce_known && nonce != super->volume_nonce)
		return false;
	super->primary_nonce = primary;
	super->volume_nonce = nonce;
	return true;
}

/* Other seed data, for a primary nonce that is right. */
static void make_seed(struct super_search *search)
{
	memcpy(search->super.nonce_data, "made in a repair", 16);
	nonce_bytes_for(PRIMARY_START, search->super.primary_nonce, search->super.nonce_data);
}

/* A primary nonce by trying all that make a difference. */
static int search_primary(struct super_search *search, struct uds_message *message)
{
	const struct super_clues *clues = search->clues;
	uint32_t seed = 0;

	for (unsigned int part = 0; part < NONCE_SEED_PARTS; part++) {
		if (clues->progress != NULL &&
		    clues->progress(clues->progress_context, part, NONCE_SEED_PARTS) != 0)
			return failure(message, UDS_ERR_STOPPED, "%s",
				       uds_strerror(UDS_ERR_STOPPED));
		/* nonce_volume() begins with the primary nonce plus 1 (14.5). */
		if (nonce_find_seed(search->super.volume_nonce, search->super.volume_start, part,
				    &seed) == 1 &&
		    leads_to(search, nonce_start_for(seed) - 1))
			return 0;
	}
	return failure(message, UDS_ERR_CORRUPT,
		       "no seed data lead to the volume nonce that the index has");
}

static int find_seed(struct super_search *search, struct uds_message *message, bool *ret_same)
{
	const uint8_t *found = search->clues->found;
	uint64_t primary = get_le64(found + PRIMARY_AT);
	int r = 0;

	memcpy(search->super.nonce_data, found + SEED_AT, NONCE_DATA_BYTES);
	*ret_same = false;
	/* Where nothing has the volume nonce, they have to agree with each other. */
	if ((search->nonce_known || primary == nonce_primary(found + SEED_AT)) &&
	    leads_to(search, nonce_primary(found + SEED_AT))) {
		*ret_same = true;
		return 0;
	}
	if (!search->nonce_known)
		return failure(message, UDS_ERR_CORRUPT,
			       "its seed data are damaged, and there is no save, no chapter and no "
			       "extras that they led to");
	/* For a trial, one whose volume nonce follows from it is as good as the right one. */
	if (search->clues->no_search)
		search->nonce_known = false;
	if (!leads_to(search, primary))
		r = search_primary(search, message);
	if (r == 0)
		make_seed(search);
	return r;
}

/* An index of another version is not damaged. */
static int check_version(const struct super_search *search, struct uds_message *message)
{
	struct region_table table;
	uint32_t version = get_le32(search->clues->found + VERSION_AT);

	if (region_table_decode(search->clues->found, &table, NULL) == 0 && version > 0 &&
	    version < LATEST_VERSION && version != search->super.version)
		return failure(message, UDS_ERR_CORRUPT, "it may be one of version %" PRIu32,
			       version);
	return 0;
}

static int restore(struct super_search *search, struct uds_message *message, bool *ret_same_seed)
{
	int r;

	r = take_sizes(search, message);
	if (r == 0)
		r = check_version(search, message);
	for (unsigned int slot = 0; r == 0 && slot < SAVE_SLOTS; slot++)
		r = ask_slot(search, slot, message);
	/* Both headers are there even when nothing was ever saved. */
	if (r == 0 && !search->placed)
		r = failure(message, UDS_ERR_CORRUPT,
			    "no save header is where the configuration says that they are");
	if (r == 0 && !search->nonce_known)
		r = ask_chapters(search, message);
	if (r == 0 && !search->nonce_known && !search->clues->converted)
		ask_extras(search);
	return r < 0 ? r : find_seed(search, message, ret_same_seed);
}

int super_restore(struct uds_io *io, const struct uds_env *env, const struct super_clues *clues,
		  struct uds_message *ret_message, struct super_block *ret_super,
		  bool *ret_same_seed)
{
	/* Not on the stack: it has a sentence. */
	struct super_search *search = env_allocate_zeroed(env, 1, sizeof(*search));
	int r;

	if (search == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	search->io = io;
	search->env = env;
	search->clues = clues;
	search->block = io_allocate_buffer(io, env, BLOCK_BYTES);
	r = search->block == NULL ? failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM))
				  : restore(search, ret_message, ret_same_seed);
	if (r == 0)
		*ret_super = search->super;
	env_release(env, search->block);
	env_release(env, search);
	return r;
}
