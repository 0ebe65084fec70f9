/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shape of an index: the configuration that a user chooses, and the numbers that
 * follow from it.
 *
 * Everything here is computed from the configuration alone (uds-format, 4). Nothing is read or
 * written.
 */
#ifndef UDS_GEOMETRY_H
#define UDS_GEOMETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The parameters that the config block keeps (uds-format, 4.1 and 14.6). */
struct uds_configuration {
	uint64_t size;	     /* of this struct: set by UDS_CONFIGURATION_INIT */
	uint32_t page_bytes; /* of volume pages; 32768 in the usual sizes */
	uint32_t record_pages_per_chapter;
	uint32_t chapters_per_volume;	     /* odd in a converted volume */
	uint32_t sparse_chapters_per_volume; /* 0: a dense index */
	uint32_t cache_chapters;	     /* 7 in the usual sizes */
	uint32_t volume_index_mean_delta;    /* 4096 in the usual sizes */
	uint32_t sparse_sample_rate;	     /* 0 in a dense index, 32 in the usual sparse sizes */
	uint64_t nonce;			     /* the user's: identifies the owner */
	uint64_t remapped_virtual;	     /* converted volumes only */
	uint64_t remapped_physical;
};

#define UDS_CONFIGURATION_INIT                                                            \
	{                                                                                 \
		sizeof(struct uds_configuration), 32768, 64, 1024, 0, 7, 4096, 0, 0, 0, 0 \
	}

/*
 * Fills in the configuration of one of the usual sizes (uds-format, 4.1), with a nonce of 0.
 *
 * @memory: "256M", "512M", "768M", or "1G" to "1024G": about the memory of the volume index.
 * @sparse: ten times the chapters in the same memory; the volume index keeps only a sample of the
 *     names in the oldest 95 % of them.
 * @ret_configuration: the size member is set as well; it need not be set before.
 *
 * Returns 0, or -EINVAL for any other text; the sentence lists the possible ones.
 *
 * Threads: any. Since 0.1.
 */
int uds_configuration_for_memory(const char *memory, bool sparse, struct uds_message *ret_message,
				 struct uds_configuration *ret_configuration);

/* What follows from a configuration (uds-format, 4.2 to 4.4). */
struct uds_geometry {
	uint64_t size; /* of this struct: set by UDS_GEOMETRY_INIT */
	uint32_t records_per_page;
	uint32_t records_per_chapter;
	uint64_t records_per_volume; /* with every chapter full */
	uint32_t dense_chapters;
	uint32_t chapter_payload_bits;	  /* width of a record page number in a chapter index */
	uint32_t delta_lists_per_chapter; /* in a chapter index */
	uint32_t chapter_address_bits;
	uint32_t index_pages_per_chapter;
	uint32_t pages_per_chapter; /* index pages and record pages */
	uint32_t pages_per_volume;
	uint64_t volume_bytes;	     /* all chapters and one header page */
	uint64_t save_bytes;	     /* of one of the two save slots */
	uint64_t index_bytes;	     /* of the whole index on its I/O, without extras */
	uint64_t volume_index_bytes; /* the most memory that the format allows the volume index */
	uint64_t open_chapter_bytes; /* of the largest saved open chapter */
	uint64_t extras_bytes;	     /* behind index_bytes, of an index with extras */
};

#define UDS_GEOMETRY_INIT                                                                   \
	{                                                                                   \
		sizeof(struct uds_geometry), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
	}

/*
 * Checks a configuration, and computes the numbers that follow from it.
 *
 * Returns 0; -EINVAL or -E2BIG for a size member (libuds(3), Structs); or -EINVAL for a parameter
 * outside the range that the format and the reference implementation allow, which the sentence
 * names:
 *   page_bytes                  a multiple of 4096, 4096 to 65536
 *   record_pages_per_chapter    1 or more, at most 2097152 records in a chapter (uds-format, 20.1,
 *                               S4), and at most 32767 divided by cache_chapters
 *   chapters_per_volume         2 or more; at most 2^32 - 1 pages in the volume
 *   sparse_chapters_per_volume  less than chapters_per_volume
 *   sparse_sample_rate          0 without sparse chapters, else 2 to records per chapter
 *   cache_chapters              1 to 32767
 *   volume_index_mean_delta     1 to 8388608, but not where, with the other numbers, the reference
 *                               implementation writes damaged lists (uds-format, 20.2, R2)
 *   remapped_virtual            0 with an even chapters_per_volume
 *   remapped_physical           less than chapters_per_volume, and 0 when that is even
 *
 * Threads: any. Since 0.1.
 */
int uds_geometry_compute(const struct uds_configuration *configuration,
			 struct uds_message *ret_message, struct uds_geometry *ret_geometry);

/*
 * Computes the slot of a chapter in the volume, from 0 (uds-format, 11.2 and 11.3). Many virtual
 * chapters share a slot; it holds the latest of them that was written.
 *
 * Returns 0; -EINVAL or -E2BIG as uds_geometry_compute() does for the configuration.
 *
 * Threads: any. Since 0.1.
 */
int uds_geometry_physical_chapter(const struct uds_configuration *configuration,
				  uint64_t virtual_chapter, struct uds_message *ret_message,
				  uint32_t *ret_physical_chapter);

#ifdef __cplusplus
}
#endif

#endif
