/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The whole index images among the golden vectors (index/NAME.img.xz and NAME.json), in memory.
 */
#ifndef TESTS_INDEX_IMAGE_H
#define TESTS_INDEX_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/geometry.h>
#include <uds/io.h>

#include "given_io.h"

#define IMAGE_SLOTS 2

/* What NAME.json tells of a save slot. */
struct image_save {
	bool present;
	unsigned int zones;
	uint64_t timestamp, nonce, newest, oldest, last_save;
};

struct index_image {
	char name[64];
	uint8_t *bytes;
	size_t size;
	uint64_t offset; /* where the index begins */
	struct uds_configuration configuration;
	uint32_t index_pages, records_per_chapter, delta_lists;
	uint8_t nonce_data[32];
	uint64_t primary_nonce, volume_nonce;
	uint32_t super_version;
	uint64_t volume_offset, start_offset, total_blocks;
	uint64_t name_seed;
	bool clean;
	struct image_save saves[IMAGE_SLOTS];
};

/*
 * The names of all images, sorted; NULL ends the list. NULL when there are no vectors. The list
 * lives as long as the program.
 */
const char *const *index_image_names(void);

/* Reads an image; fails the test when that is not possible. */
void index_image_load(const char *name, struct index_image *ret_image);
void index_image_free(struct index_image *image);

/* Fails the test where two configurations differ in a member; the padding between them may. */
void assert_same_configuration(const struct uds_configuration *found,
			       const struct uds_configuration *wanted);

/* A fresh I/O in memory with the content of the image. */
struct uds_io *index_image_io(const struct index_image *image);

#endif
