/* SPDX-License-Identifier: BSD-2-Clause */
/* Which configurations agree with a super block, the saves and the chapters. */
#include "volume/config_restore.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/env.h"
#include "base/message.h"
#include "volume/config_moved.h"
#include "volume/page_reader.h"
#include "volume/saves.h"
#include "volume/whole_chapter.h"

/* What the head of a saved volume index has (uds-format, 13.6). */
#define SPARSE_MAGIC	   "MI6-0001"
#define DENSE_MAGIC	   "MI5-0005"
#define MAGIC_BYTES	   8u
#define SPARSE_HEAD_BYTES  12u
#define SUB_INDEX_NONCE_AT 8u
#define SUB_INDEX_LISTS_AT 36u

/* Of the volume index (4.3): so many records to a list, and at least so many lists. */
#define RECORDS_PER_LIST 256u
#define MINIMUM_LISTS	 256u

/* The most slots that are read whole to find one that holds a chapter. */
#define SLOTS_TRIED 8u

struct config_search {
	struct uds_io *io;
	const struct uds_env *env;
	const struct super_block *super;
	uint8_t *block;
	struct saves saves;
	bool kind_known;      /* by a saved volume index: */
	uint32_t sample_rate; /* 0: dense */
	uint64_t lists;	      /* of the sub-index that has most names */
	bool shapes; /* find those of chapters and volume, whatever the volume index is like */
	bool too_many;
	struct config_candidates found;
};

/* What one stream says. Returns 0, or UDS_ERR_CORRUPT when it is none of this index. */
static int read_stream(struct config_search *search, const struct save_region *region,
		       uint32_t *ret_rate, uint32_t *ret_lists, struct uds_message *message)
{
	const uint8_t *sub = search->block;
	uint32_t rate = 0;
	int r;

	r = io_read(search->io, search->block, BLOCK_BYTES, region->offset, message);
	if (r < 0)
		return r;
	if (memcmp(sub, SPARSE_MAGIC, MAGIC_BYTES) == 0) {
		rate = get_le32(sub + MAGIC_BYTES);
		sub += SPARSE_HEAD_BYTES;
		if (rate == 0)
			return UDS_ERR_CORRUPT;
	}
	if (memcmp(sub, DENSE_MAGIC, MAGIC_BYTES) != 0 ||
	    get_le64(sub + SUB_INDEX_NONCE_AT) != search->super->volume_nonce)
		return UDS_ERR_CORRUPT;
	*ret_rate = rate;
	*ret_lists = get_le32(sub + SUB_INDEX_LISTS_AT);
	return 0;
}

/*
 * What a save says of the kind of index. It need not be one that counts: its volume index
 * is still there.
 */
static int ask_save(struct config_search *search, const struct save *save,
		    struct uds_message *message)
{
	uint32_t rate = 0, lists = 0;
	uint64_t all = 0;
	int r = 0;

	for (unsigned int zone = 0; r == 0 && zone < save->zones; zone++) {
		uint32_t first = rate;

		r = read_stream(search, &save->volume_index[zone], &rate, &lists, message);
		if (r == 0 && zone > 0 && rate != first)
			r = UDS_ERR_CORRUPT;
		all += lists;
	}
	if (r < 0)
		return r;
	search->kind_known = true;
	search->sample_rate = rate;
	search->lists = all;
	return 0;
}

static int ask_saves(struct config_search *search, struct uds_message *message)
{
	const struct save_slot *latest;
	int r;

	saves_read(search->io, search->super, search->block, &search->saves);
	r = saves_check_readable(&search->saves, message);
	if (r < 0)
		return r;
	latest = saves_find_latest(&search->saves);
	if (latest == NULL)
		return 0;
	r = ask_save(search, &latest->save, message);
	/* The older save is of the same index, and so of the same kind. */
	latest = &search->saves.slots[1 - latest->save.slot];
	if (r == UDS_ERR_CORRUPT && latest->state == SLOT_VALID)
		r = ask_save(search, &latest->save, message);
	return r == UDS_ERR_CORRUPT ? 0 : r;
}

/*
 * The sizes that the regions were made with: a conversion takes a chapter, and leaves the saves
 * as they were.
 */
static int original_sizes(const struct super_block *super,
			  const struct uds_configuration *configuration,
			  struct geometry_sizes *ret_sizes)
{
	struct uds_configuration original = *configuration;
	struct geometry geometry;
	int r;

	if (super->version == SUPER_VERSION_CONVERTED) {
		original.chapters_per_volume++;
		original.remapped_virtual = 0;
		original.remapped_physical = 0;
	}
	r = geometry_make(&original, &geometry, NULL);
	if (r == 0)
		geometry_sizes(&geometry, ret_sizes);
	return r;
}

/* Takes a configuration for possible if all sizes of the super block follow from it. */
static void try_configuration(struct config_search *search,
			      const struct uds_configuration *configuration)
{
	const struct super_block *super = search->super;
	struct geometry_sizes sizes;
	struct geometry geometry;
	uint64_t moved = 0;

	if (geometry_make(configuration, &geometry, NULL) != 0 ||
	    original_sizes(super, configuration, &sizes) != 0)
		return;
	if (super->version == SUPER_VERSION_CONVERTED)
		moved = geometry_chapter_blocks(&geometry);
	if (geometry.bytes_per_volume / BLOCK_BYTES != super->volume_blocks ||
	    sizes.page_map_blocks != super->page_map_blocks ||
	    sizes.open_chapter_blocks != super->open_chapter_blocks ||
	    moved != super->volume_offset)
		return;
	if (!search->shapes &&
	    (sizes.save_blocks != super->save_blocks ||
	     (search->kind_known && search->sample_rate != configuration->sparse_sample_rate)))
		return;
	search->too_many |= search->found.count == CONFIG_CANDIDATES;
	if (!search->too_many)
		search->found.list[search->found.count++] = *configuration;
}

/*
 * The numbers of dense chapters that give a sub-index so many lists: few, since the lists are made
 * for the records of so many chapters; more only where there are as few lists as there can be.
 */
static void try_sparse(struct config_search *search, struct uds_configuration *configuration)
{
	uint64_t records = (uint64_t)configuration->page_bytes / UDS_RECORD_BYTES *
			   configuration->record_pages_per_chapter;
	uint64_t first, last;

	if (search->sample_rate > records)
		return;
	records -= records / search->sample_rate;
	if (records == 0)
		return;
	first = search->lists == MINIMUM_LISTS ? 1 : search->lists * RECORDS_PER_LIST / records;
	last = ((search->lists + 1) * RECORDS_PER_LIST - 1) / records;
	if (last >= configuration->chapters_per_volume)
		last = configuration->chapters_per_volume - 1;
	configuration->sparse_sample_rate = search->sample_rate;
	/*
	 * One less for an odd number of chapters, which the volume index takes for the
	 * next even one.
	 */
	for (uint64_t dense = first > 1 ? first - 1 : 1; dense <= last; dense++) {
		configuration->sparse_chapters_per_volume =
			configuration->chapters_per_volume - (uint32_t)dense;
		try_configuration(search, configuration);
	}
}

/* All shapes with pages of this size. */
static void try_page_bytes(struct config_search *search, uint32_t page_bytes)
{
	const struct super_block *super = search->super;
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	uint64_t blocks = page_bytes / BLOCK_BYTES, pages, record_pages;

	/* An open chapter takes the blocks of its records, and one for its head (10.5). */
	if (super->open_chapter_blocks < 2 || (super->open_chapter_blocks - 1) % blocks != 0 ||
	    super->volume_blocks % blocks != 0 || super->volume_blocks == 0)
		return;
	record_pages = (super->open_chapter_blocks - 1) / blocks;
	/* Without the header page (11.1). More than the limit in 4.2 are none. */
	pages = super->volume_blocks / blocks - 1;
	if (record_pages > UINT16_MAX || pages > UINT32_MAX)
		return;
	configuration.page_bytes = page_bytes;
	configuration.record_pages_per_chapter = (uint32_t)record_pages;
	/*
	 * An entry of a chapter's index takes less than its record: there are not more index pages.
	 */
	for (uint64_t one = record_pages + 1; one <= 2 * record_pages + 1; one++) {
		if (pages % one != 0)
			continue;
		configuration.chapters_per_volume = (uint32_t)(pages / one);
		configuration.sparse_chapters_per_volume = 0;
		configuration.sparse_sample_rate = 0;
		if (search->sample_rate == 0 || search->shapes)
			try_configuration(search, &configuration);
		else
			try_sparse(search, &configuration);
	}
}

/* Whether the volume has a whole chapter, if these are its pages. Returns 1, 0, or an error. */
static int has_chapter(struct config_search *search, const struct uds_configuration *configuration,
		       struct uds_message *message)
{
	struct page_reader reader;
	struct geometry geometry;
	unsigned int tried = 0;
	uint64_t vcn;
	int r;

	r = geometry_make(configuration, &geometry, message);
	if (r < 0)
		return r;
	page_reader_init(&reader, search->io, search->env, &geometry, search->super->volume_nonce,
			 super_block_volume_at(search->super) * BLOCK_BYTES);
	for (uint32_t slot = 0; slot < geometry.chapters_per_volume && tried < SLOTS_TRIED;
	     slot++) {
		r = chapter_read_head(&reader, slot, &vcn, message);
		tried += r == 0;
		if (r == 0)
			r = chapter_read_whole(&reader, slot, &vcn, message);
		if (r == 0)
			return 1;
		/* Another slot may be one that can be read. */
		if (r == -ENOMEM)
			return r;
	}
	return 0;
}

/* Where the volume has a chapter in one of the shapes, it has that shape. */
static int ask_volume(struct config_search *search, struct uds_message *message)
{
	struct config_candidates *found = &search->found;
	bool has[CONFIG_CANDIDATES] = { false }, any = false;
	unsigned int kept = 0;
	int r = 0;

	for (unsigned int i = 0; i < found->count; i++) {
		const struct uds_configuration *c = &found->list[i], *before = c - 1;

		/* Those that differ in the volume index alone are next to each other. */
		if (i == 0 || c->page_bytes != before->page_bytes ||
		    c->chapters_per_volume != before->chapters_per_volume)
			r = has_chapter(search, c, message);
		if (r < 0)
			return r;
		has[i] = r == 1;
		any |= has[i];
	}
	for (unsigned int i = 0; i < found->count; i++) {
		if (has[i] || !any)
			found->list[kept++] = found->list[i];
	}
	found->count = kept;
	return 0;
}

static void try_all(struct config_search *search)
{
	for (uint32_t bytes = BLOCK_BYTES; bytes <= 16 * BLOCK_BYTES; bytes += BLOCK_BYTES)
		try_page_bytes(search, bytes);
}

/* One that the sizes do not contradict, nor chapters of another shape with the same sizes. */
static int check_given(struct config_search *search, const struct uds_configuration *given,
		       struct uds_message *message)
{
	struct config_candidates *found = &search->found;
	int r;

	try_configuration(search, given);
	if (found->count == 1) {
		search->shapes = true;
		try_all(search);
		r = ask_volume(search, message);
		if (r < 0)
			return r;
	}
	/* It was the first, if it is still there. */
	if (found->count == 0 || found->list[0].page_bytes != given->page_bytes ||
	    found->list[0].chapters_per_volume != given->chapters_per_volume)
		return failure(message, UDS_ERR_CORRUPT,
			       "the configuration that was given contradicts the rest of the "
			       "index");
	found->count = 1;
	return 0;
}

/* Only the chapters tell which one a conversion has moved. */
static int find_moved(struct config_search *search, struct uds_message *message)
{
	const struct save_slot *latest = saves_find_latest(&search->saves);
	uint64_t open_chapter = latest != NULL ? latest->save.newest : 0;
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < search->found.count; i++)
		r = config_find_moved(search->io, search->env, search->super,
				      open_chapter < CHAPTER_LIMIT ? open_chapter : 0,
				      &search->found.list[i], message);
	return r;
}

static int find(struct config_search *search, struct uds_message *message)
{
	int r = 0;

	if (!search->kind_known)
		return failure(message, UDS_ERR_CORRUPT,
			       "only a save says whether the index is sparse, and there is none");
	try_all(search);
	if (search->too_many)
		return failure(message, UDS_ERR_CORRUPT,
			       "more than %u configurations agree with the rest of the index",
			       CONFIG_CANDIDATES);
	if (search->found.count == 0)
		return failure(message, UDS_ERR_CORRUPT,
			       "no configuration with 7 cache chapters and mean delta 4096 agrees "
			       "with the rest of the index");
	if (search->super->version == SUPER_VERSION_CONVERTED)
		r = find_moved(search, message);
	return r < 0 ? r : ask_volume(search, message);
}

int config_restore(struct uds_io *io, const struct uds_env *env, const struct super_block *super,
		   const struct uds_configuration *given, struct uds_message *ret_message,
		   struct config_candidates *ret_candidates)
{
	/* Not on the stack: saves have sentences. */
	struct config_search *search = env_allocate_zeroed(env, 1, sizeof(*search));
	int r;

	if (search == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	search->io = io;
	search->env = env;
	search->super = super;
	search->block = io_allocate_buffer(io, env, BLOCK_BYTES);
	r = search->block == NULL ? failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM))
				  : ask_saves(search, ret_message);
	if (r == 0)
		r = given != NULL ? check_given(search, given, ret_message)
				  : find(search, ret_message);
	if (r == 0)
		*ret_candidates = search->found;
	env_release(env, search->block);
	env_release(env, search);
	return r;
}
