/* SPDX-License-Identifier: BSD-2-Clause */
/* From a configuration to a geometry: the limits (uds-format, 4.2) and the derived numbers. */
#include "geometry/geometry.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "delta/delta_code.h"

#define CHAPTER_MEAN_DELTA 65536u

/* List numbers are 16 bits wide and the number behind the last list must be one, too. */
#define MAXIMUM_RECORDS_PER_CHAPTER (UINT32_C(1) << 21)

/* The reference implementation counts cached pages in 15 bits. */
#define MAXIMUM_CACHE_PAGES 32767u

#define MAXIMUM_PAGE_BYTES 65536u
#define MAXIMUM_MEAN_DELTA (UINT32_C(1) << 23)

/* Checks of single parameters, in the order in which later ones rely on earlier ones. */
static int check_configuration(const struct uds_configuration *c, struct uds_message *message)
{
	uint32_t most_pages;

	/*
	 * First, since the limits below are computed from it. Whole blocks, because the layout
	 * counts in them.
	 */
	if (c->page_bytes < BLOCK_BYTES || c->page_bytes > MAXIMUM_PAGE_BYTES ||
	    c->page_bytes % BLOCK_BYTES != 0)
		return failure(message, -EINVAL,
			       "page size %" PRIu32 " is not a multiple of 4096 from 4096 to 65536",
			       c->page_bytes);
	if (c->cache_chapters < 1 || c->cache_chapters > MAXIMUM_CACHE_PAGES)
		return failure(message, -EINVAL,
			       "cache chapters %" PRIu32 " are not in the range 1 to %u",
			       c->cache_chapters, MAXIMUM_CACHE_PAGES);
	most_pages = MAXIMUM_RECORDS_PER_CHAPTER / (c->page_bytes / UDS_RECORD_BYTES);
	/* Both limits at once, so that the sentence gives the range that is really possible. */
	if (most_pages > MAXIMUM_CACHE_PAGES / c->cache_chapters)
		most_pages = MAXIMUM_CACHE_PAGES / c->cache_chapters;
	if (c->record_pages_per_chapter < 1 || c->record_pages_per_chapter > most_pages)
		return failure(
			message, -EINVAL,
			"record pages per chapter %" PRIu32 " are not in the range 1 to %" PRIu32
			" for pages of %" PRIu32 " bytes and %" PRIu32 " cache chapters",
			c->record_pages_per_chapter, most_pages, c->page_bytes, c->cache_chapters);
	/* One slot would be the open chapter's, and none would be left for a closed one (11.4). */
	if (c->chapters_per_volume < 2)
		return failure(message, -EINVAL, "chapters per volume %" PRIu32 " are fewer than 2",
			       c->chapters_per_volume);
	if (c->sparse_chapters_per_volume >= c->chapters_per_volume)
		return failure(message, -EINVAL,
			       "sparse chapters %" PRIu32 " are not in the range 0 to %" PRIu32,
			       c->sparse_chapters_per_volume, c->chapters_per_volume - 1);
	if (c->volume_index_mean_delta < 1 || c->volume_index_mean_delta > MAXIMUM_MEAN_DELTA)
		return failure(message, -EINVAL,
			       "volume index mean delta %" PRIu32
			       " is not in the range 1 to %" PRIu32,
			       c->volume_index_mean_delta, MAXIMUM_MEAN_DELTA);
	return 0;
}

static int check_sampling(const struct geometry *g, struct uds_message *message)
{
	if (!geometry_is_sparse(g)) {
		/* The format has no samples in a dense index (3). */
		if (g->sparse_sample_rate != 0)
			return failure(message, -EINVAL,
				       "sparse sample rate %" PRIu32 " is not 0 in a dense index",
				       g->sparse_sample_rate);
		return 0;
	}
	/* 1 would leave no names for the other sub-index, more than the records no samples. */
	if (g->sparse_sample_rate < 2 || g->sparse_sample_rate > g->records_per_chapter)
		return failure(message, -EINVAL,
			       "sparse sample rate %" PRIu32 " is not in the range 2 to %" PRIu32,
			       g->sparse_sample_rate, g->records_per_chapter);
	return 0;
}

static int check_remapping(const struct geometry *g, struct uds_message *message)
{
	/*
	 * Odd is how the format marks a converted volume (4.1), and only such a one has a moved
	 * chapter.
	 */
	if (!g->reduced && (g->remapped_virtual != 0 || g->remapped_physical != 0))
		return failure(message, -EINVAL,
			       "a remapped chapter needs an odd number of chapters, not %" PRIu32,
			       g->chapters_per_volume);
	if (g->remapped_physical >= g->chapters_per_volume)
		return failure(message, -EINVAL,
			       "remapped physical chapter %" PRIu64
			       " is not in the range 0 to %" PRIu32,
			       g->remapped_physical, g->chapters_per_volume - 1);
	return 0;
}

static void derive(struct geometry *g)
{
	/*
	 * The numbers of 4.2, in its order. No step can overflow but that of pages_per_volume,
	 * which is checked afterwards.
	 */
	g->reduced = g->chapters_per_volume % 2 != 0;
	g->records_per_page = g->page_bytes / UDS_RECORD_BYTES;
	g->records_per_chapter = g->records_per_page * g->record_pages_per_chapter;
	g->dense_chapters_per_volume = g->chapters_per_volume - g->sparse_chapters_per_volume;
	g->chapter_mean_delta = CHAPTER_MEAN_DELTA;
	g->chapter_payload_bits = bits_per(g->record_pages_per_chapter - 1);
	g->chapter_delta_list_bits = bits_per((g->records_per_chapter - 1) | 63) - 6;
	g->delta_lists_per_chapter = UINT32_C(1) << g->chapter_delta_list_bits;
	g->chapter_address_bits =
		16 - g->chapter_delta_list_bits + bits_per(g->records_per_chapter - 1);
	g->index_pages_per_chapter =
		(uint32_t)page_count(g->records_per_chapter, g->delta_lists_per_chapter,
				     CHAPTER_MEAN_DELTA, g->chapter_payload_bits, g->page_bytes);
	g->pages_per_chapter = g->index_pages_per_chapter + g->record_pages_per_chapter;
	g->pages_per_volume = g->pages_per_chapter * g->chapters_per_volume;
	g->bytes_per_volume = (uint64_t)g->page_bytes * ((uint64_t)g->pages_per_volume + 1);
}

/* A small or unusual configuration can give a volume index that the format cannot represent. */
static int check_volume_index(const struct geometry *g, enum sub_index which,
			      struct uds_message *message)
{
	struct volume_index_parameters p;
	struct delta_code code;

	if (volume_index_parameters_try(g, which, &p) < 0)
		return failure(message, -EINVAL,
			       "no volume index for %" PRIu32 " chapters of %" PRIu32
			       " records with mean delta %" PRIu32 ": choose a smaller volume or "
			       "another mean delta",
			       g->chapters_per_volume, g->records_per_chapter,
			       g->volume_index_mean_delta);
	if (delta_code_make(p.mean_delta, p.chapter_bits, &code) < 0)
		return failure(message, -EINVAL,
			       "this configuration leads to a volume index with mean delta %" PRIu32
			       ", for which the format is not defined: choose another number of "
			       "chapters, record pages or mean delta",
			       p.mean_delta);
	return 0;
}

int geometry_make(const struct uds_configuration *configuration, struct geometry *ret_geometry,
		  struct uds_message *message)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct geometry g = { 0 };
	int r;

	r = STRUCT_IN(&c, configuration, uds_configuration, remapped_physical, message);
	if (r == 0)
		r = check_configuration(&c, message);
	if (r < 0)
		return r;
	g.page_bytes = c.page_bytes;
	g.record_pages_per_chapter = c.record_pages_per_chapter;
	g.chapters_per_volume = c.chapters_per_volume;
	g.sparse_chapters_per_volume = c.sparse_chapters_per_volume;
	g.cache_chapters = c.cache_chapters;
	g.volume_index_mean_delta = c.volume_index_mean_delta;
	g.sparse_sample_rate = c.sparse_sample_rate;
	g.nonce = c.nonce;
	g.remapped_virtual = c.remapped_virtual;
	g.remapped_physical = c.remapped_physical;
	derive(&g);
	/* The format counts pages in 32 bits. */
	if ((uint64_t)g.pages_per_chapter * g.chapters_per_volume > UINT32_MAX)
		return failure(message, -EINVAL,
			       "chapters per volume %" PRIu32 " are not in the range 2 to %" PRIu32
			       " for chapters of %" PRIu32 " pages",
			       g.chapters_per_volume, UINT32_MAX / g.pages_per_chapter,
			       g.pages_per_chapter);
	r = check_sampling(&g, message);
	if (r == 0)
		r = check_remapping(&g, message);
	/* The non-hook sub-index of a sparse index, or the only one of a dense one. */
	if (r == 0)
		r = check_volume_index(&g, SUB_INDEX_DENSE, message);
	if (r == 0 && geometry_is_sparse(&g))
		r = check_volume_index(&g, SUB_INDEX_HOOK, message);
	if (r == 0)
		*ret_geometry = g;
	return r;
}

void geometry_configuration(const struct geometry *g, struct uds_configuration *ret_configuration)
{
	struct uds_configuration *c = ret_configuration;

	/* Clears the padding too: the struct is copied to callers inside of other structs. */
	memset(c, 0, sizeof(*c));
	c->size = sizeof(*c);
	c->page_bytes = g->page_bytes;
	c->record_pages_per_chapter = g->record_pages_per_chapter;
	c->chapters_per_volume = g->chapters_per_volume;
	c->sparse_chapters_per_volume = g->sparse_chapters_per_volume;
	c->cache_chapters = g->cache_chapters;
	c->volume_index_mean_delta = g->volume_index_mean_delta;
	c->sparse_sample_rate = g->sparse_sample_rate;
	c->nonce = g->nonce;
	c->remapped_virtual = g->remapped_virtual;
	c->remapped_physical = g->remapped_physical;
}
