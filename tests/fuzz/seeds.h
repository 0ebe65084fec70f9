/* SPDX-License-Identifier: BSD-2-Clause */
/* Images that the library makes: what index_image writes over, and what the corpora begin with. */
#ifndef TESTS_FUZZ_SEEDS_H
#define TESTS_FUZZ_SEEDS_H

#include <stddef.h>
#include <stdint.h>

#include <uds/record.h>

struct seed_image {
	uint8_t *bytes;
	size_t size;
};

/*
 * Saved, crashed, sparse and saved by two zones, with a save that later chapters invalidated,
 * or with extras.
 */
#define SEED_INDEXES 5

/* One of the small indexes, by any number; made once. */
const struct seed_image *seed_index(uint8_t which);

/* The i-th record of them. */
void seed_record(uint32_t i, struct uds_record_name *ret_name, struct uds_record_data *ret_data);

#endif
