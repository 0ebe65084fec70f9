/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A damage generator for index images: one function that damages one structure of any kind, and
 * knows where each lies.
 */
#ifndef TESTS_INDEX_DAMAGE_H
#define TESTS_INDEX_DAMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "volume/layout.h"

enum index_structure {
	SUPER_BLOCK_REGIONS,
	CONFIG_BLOCK,
	SAVE_HEADER,	    /* of save @number */
	OPEN_CHAPTER_HEAD,  /* of the latest save, as all that follow of a save */
	VOLUME_INDEX_HEAD,  /* of stream @number */
	VOLUME_INDEX_HEADS, /* of its lists */
	VOLUME_INDEX_LISTS,
	PAGE_MAP_HEAD,
	PAGE_MAP_BODY,
	INDEX_PAGE_HEAD, /* of page @number of chapter @vcn */
	INDEX_PAGE_LISTS,
	RECORD_PAGE_NAME,
	RECORD_PAGE_DATA,
	RECORD_PAGE,	    /* all of it */
	CHAPTER,	    /* all pages */
	EXTRAS_HEADER,	    /* number @number */
	EXTRAS_HEADERS,	    /* both */
	EXTRAS_CHECKSUMS,   /* of chapter @vcn */
	EXTRAS_SAVE_COPIES, /* of the save headers */
	EXTRAS_JOURNAL	    /* block @number */
};

struct index_damage {
	enum index_structure structure;
	uint64_t vcn;
	uint32_t number;
};

/*
 * The bytes that an image has of a structure. Fails the test for one that the image does not have.
 */
void index_damage_place(const struct layout *layout, const struct index_damage *damage,
			uint64_t *ret_offset, uint64_t *ret_length);

/* Changes these bytes. @layout: of the image while it was good. */
void index_damage_apply(const struct layout *layout, const struct index_damage *damage,
			uint8_t *bytes, size_t size);

#endif
