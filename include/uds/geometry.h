/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The shape of an index: what a user chooses, and every number that follows from it.
 */
#ifndef UDS_GEOMETRY_H
#define UDS_GEOMETRY_H

#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The parameters that the config block keeps (uds-format, 4.1 and 14.6). */
struct uds_configuration {
	size_t size;			  /* of this struct */
	uint32_t page_bytes;		  /* of volume pages; 32768 in the usual sizes */
	uint32_t record_pages_per_chapter;
	uint32_t chapters_per_volume;	  /* an odd number: a converted volume */
	uint32_t sparse_chapters_per_volume; /* 0: a dense index */
	uint32_t cache_chapters;	  /* 7 in the usual sizes */
	uint32_t volume_index_mean_delta; /* 4096 in the usual sizes */
	uint32_t sparse_sample_rate;	  /* 0 in a dense index, 32 in the usual sparse sizes */
	uint64_t nonce;			  /* the user's: identifies the owner */
	uint64_t remapped_virtual;	  /* converted volumes only */
	uint64_t remapped_physical;
};

#define UDS_CONFIGURATION_INIT                                                           \
	{                                                                                \
		sizeof(struct uds_configuration), 32768, 64, 1024, 0, 7, 4096, 0, 0, 0, 0 \
	}

#ifdef __cplusplus
}
#endif

#endif
