/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The smallest indexes that do everything, for tests that make one thousands of times.
 */
#ifndef TESTS_SMALL_INDEX_H
#define TESTS_SMALL_INDEX_H

#include <uds/index.h>

struct small_shape {
	uint32_t record_pages; /* of a chapter, 128 records each */
	uint32_t chapters;     /* of the volume */
	uint32_t records;      /* of a chapter */
	uint32_t index_pages;  /* of a chapter: 1, or more when it has some thousand records */
	uint64_t bytes;	       /* of the index on its I/O, with extras if it has any */
	bool extras;
	struct uds_configuration configuration;
};

/* Pages of 4096 bytes, no extras. */
void small_index_shape(uint32_t record_pages, uint32_t chapters, struct small_shape *ret_shape);

/* With extras from now on. */
void small_index_add_extras(struct small_shape *shape);

/* Computes the sizes again after the configuration was changed. */
void small_index_measure(struct small_shape *shape, bool extras);

/*
 * Creates it with fixed nonce data, so that every one is the same. Returns what uds_index_format
 * does.
 */
int small_index_create(const struct small_shape *shape, struct uds_io *io,
		       const struct uds_env *env, struct uds_message *message);

/* Opens it. Returns what uds_index_open does; -EIO and the like may come from anywhere in it. */
int small_index_open(struct uds_io *io, const struct uds_env *env, unsigned int zones,
		     enum uds_index_mode mode, struct uds_message *message,
		     struct uds_index **ret_index);

/* The number of the open chapter, and the records in it. */
uint64_t small_index_open_chapter(struct uds_index *index, uint64_t *ret_records);

#endif
