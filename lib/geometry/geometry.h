/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The numbers that follow from a configuration, inside the library: computed once by
 * geometry_make(), read-only from then on, copied freely.
 *
 * geometry_make() checks all limits, so the format's products and shifts of these numbers cannot
 * overflow.
 */
#ifndef GEOMETRY_GEOMETRY_H
#define GEOMETRY_GEOMETRY_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/geometry.h>

#define BLOCK_BYTES   4096u
#define MAXIMUM_ZONES 16u

/* In place of a chapter number: no chapter. */
#define NO_CHAPTER UINT64_MAX

/*
 * No index ever reaches this number. Higher ones come from damage, and sums with
 * them could overflow.
 */
#define CHAPTER_LIMIT (UINT64_C(1) << 54)

struct geometry {
	/* The configuration. */
	uint32_t page_bytes;
	uint32_t record_pages_per_chapter;
	uint32_t chapters_per_volume;
	uint32_t sparse_chapters_per_volume;
	uint32_t cache_chapters;
	uint32_t volume_index_mean_delta;
	uint32_t sparse_sample_rate;
	uint64_t nonce;
	uint64_t remapped_virtual;
	uint64_t remapped_physical;

	/* Derived (uds-format, 4.2). */
	bool reduced; /* an odd number of chapters: a converted volume */
	uint32_t records_per_page;
	uint32_t records_per_chapter;
	uint32_t dense_chapters_per_volume;
	uint32_t chapter_mean_delta; /* 65536 */
	uint32_t chapter_payload_bits;
	uint32_t chapter_delta_list_bits;
	uint32_t delta_lists_per_chapter; /* 1 to 32768 */
	uint32_t chapter_address_bits;
	uint32_t index_pages_per_chapter;
	uint32_t pages_per_chapter;
	uint32_t pages_per_volume;
	uint64_t bytes_per_volume;
};

/*
 * Checks a configuration and computes everything. The message has the parameter and
 * its allowed range.
 *
 * Returns 0, or -EINVAL as uds_geometry_compute() says.
 */
int geometry_make(const struct uds_configuration *configuration, struct geometry *ret_geometry,
		  struct uds_message *message);

/* The configuration again, with its size member set. */
void geometry_configuration(const struct geometry *geometry,
			    struct uds_configuration *ret_configuration);

static inline bool geometry_is_sparse(const struct geometry *geometry)
{
	return geometry->sparse_chapters_per_volume > 0;
}

/* The slot of a chapter (uds-format, 11.2 and 11.3). */
uint32_t geometry_physical_chapter(const struct geometry *geometry, uint64_t vcn);

/* By how much the oldest chapter moves on when chapter @newest is opened (11.4): 0, 1 or 2. */
unsigned int geometry_chapters_to_expire(const struct geometry *geometry, uint64_t newest);

/* Whether only a sample of a chapter's names is in the volume index (11.5). */
bool geometry_is_chapter_sparse(const struct geometry *geometry, uint64_t oldest, uint64_t newest,
				uint64_t vcn);

/*
 * Number of page @page of a physical chapter in the volume region, whose page 0 is the
 * header page (11.1).
 */
static inline uint64_t geometry_physical_page(const struct geometry *geometry, uint32_t chapter,
					      uint32_t page)
{
	return 1 + (uint64_t)chapter * geometry->pages_per_chapter + page;
}

/* The volume index is one of these (dense), or both (sparse). */
enum sub_index {
	SUB_INDEX_DENSE = 0, /* all names; in a sparse index those that are not hooks */
	SUB_INDEX_HOOK = 1,  /* the sample of a sparse index */
};

/* What shapes a sub-index of the volume index (4.3). */
struct volume_index_parameters {
	uint32_t records_per_chapter; /* that go into this sub-index */
	uint32_t chapter_count;	      /* that it covers; for the lower end of its window (13.2) */
	uint32_t list_count;	      /* 256 or more */
	uint32_t address_bits;	      /* width of a key, at most 31 */
	uint32_t chapter_bits;	      /* width of a value */
	uint64_t chapter_mask;
	uint32_t mean_delta;	    /* of its delta code: not the configured one */
	uint64_t chapter_bits_size; /* expected coded size of one chapter's records, in bits */
	uint64_t memory_bytes;	    /* of the lists, all zones together */
	uint64_t target_free_bytes;
	uint64_t saved_bytes; /* the most that it takes in a save */
};

/*
 * Computes the parameters of a sub-index; the hook one exists in a sparse index only.
 *
 * Cannot fail for a geometry from geometry_make(), which computes the same to check the limits.
 */
void volume_index_parameters_make(const struct geometry *geometry, enum sub_index which,
				  struct volume_index_parameters *ret_parameters);

/* The same while limits are still being checked: -EINVAL when a number leaves its range. */
int volume_index_parameters_try(const struct geometry *geometry, enum sub_index which,
				struct volume_index_parameters *ret_parameters);

/* Bytes of list memory that the format gives each of @zones zones. */
uint64_t volume_index_zone_bytes(const struct volume_index_parameters *parameters,
				 unsigned int zones);

/*
 * The number of used bits above which a zone expires chapters early (13.5), and its bits
 * for one chapter.
 */
uint64_t volume_index_max_zone_bits(const struct volume_index_parameters *parameters,
				    unsigned int zones);
uint64_t volume_index_chapter_zone_bits(const struct volume_index_parameters *parameters,
					unsigned int zones);

/* How many lists each zone has; the last one has the rest (6.1). */
static inline uint32_t volume_index_lists_per_zone(const struct volume_index_parameters *parameters,
						   unsigned int zones)
{
	return (parameters->list_count + zones - 1) / zones;
}

/* Sizes of the regions of a new index, in blocks (4.4). */
struct geometry_sizes {
	uint64_t volume_blocks;
	uint64_t volume_index_blocks;
	uint64_t page_map_blocks;
	uint64_t open_chapter_blocks;
	uint64_t save_blocks;
	uint64_t sub_index_blocks;
	uint64_t total_blocks;
};

/*
 * The extras area (uds-extras): what it has besides checksums, and how many of these fit
 * into a block.
 */
#define EXTRAS_FIRST_BLOCKS 4u
#define CHECKSUMS_PER_BLOCK 1013u

/* Blocks of a chapter's pages, each of which has a checksum. */
static inline uint32_t geometry_chapter_blocks(const struct geometry *geometry)
{
	return geometry->pages_per_chapter * (geometry->page_bytes / BLOCK_BYTES);
}

/* Checksum blocks of each chapter slot. */
static inline uint32_t geometry_checksum_blocks(const struct geometry *geometry)
{
	return (geometry_chapter_blocks(geometry) + CHECKSUMS_PER_BLOCK - 1) / CHECKSUMS_PER_BLOCK;
}

/*
 * Entries of a block of the journal, and how many open chapters' records the journal has room for.
 */
#define JOURNAL_BLOCK_ENTRIES 122u
#define JOURNAL_CHAPTERS      8u

/* The most blocks that the records of an open chapter take in the journal. */
static inline uint64_t geometry_journal_chapter_blocks(const struct geometry *geometry)
{
	return (geometry->records_per_chapter + JOURNAL_BLOCK_ENTRIES - 1) / JOURNAL_BLOCK_ENTRIES;
}

/*
 * Blocks of the journal. A reduced volume has none: its chapters may overwrite what the latest save
 * needs before they are durable, and then no save has the deletions that the journal left to it.
 */
static inline uint64_t geometry_journal_blocks(const struct geometry *geometry)
{
	if (geometry->reduced)
		return 0;
	return JOURNAL_CHAPTERS * (geometry_journal_chapter_blocks(geometry) + 1);
}

/* Where the journal begins in the area. */
static inline uint64_t geometry_journal_at(const struct geometry *geometry)
{
	return EXTRAS_FIRST_BLOCKS +
	       (uint64_t)geometry->chapters_per_volume * geometry_checksum_blocks(geometry);
}

/* Blocks of the whole area. */
static inline uint64_t geometry_extras_blocks(const struct geometry *geometry)
{
	return geometry_journal_at(geometry) + geometry_journal_blocks(geometry);
}

void geometry_sizes(const struct geometry *geometry, struct geometry_sizes *ret_sizes);

#endif
