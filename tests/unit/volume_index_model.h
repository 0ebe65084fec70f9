/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A slow and simple model of the volume index, written from uds-format, 5 and 13, without any of
 * the library's list code: each list is an array of entries in the order of the format.
 */
#ifndef TESTS_VI_MODEL_H
#define TESTS_VI_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "check_main.h"
#include "geometry/geometry.h"
#include "volume_index/private.h"
#include "volume_index/volume_index.h"

/* Check's own assertions are a system call each, which is too slow for millions of them. */
#define must(condition)                                                    \
	do {                                                               \
		if (!(condition))                                          \
			ck_abort_msg("line %d: %s", __LINE__, #condition); \
	} while (0)
#define must_equal(a, b)                                                                          \
	do {                                                                                      \
		uint64_t must_a = (uint64_t)(a), must_b = (uint64_t)(b);                          \
		if (must_a != must_b)                                                             \
			ck_abort_msg("line %d: %s is %llu, %s is %llu", __LINE__, #a,             \
				     (unsigned long long)must_a, #b, (unsigned long long)must_b); \
	} while (0)

struct model_entry {
	uint32_t key;
	uint32_t value;
	bool collision;
	struct uds_record_name name; /* of a collision entry */
};

struct model_list {
	struct model_entry *entries;
	uint32_t count;
	uint32_t room;
	uint64_t flush_from;
	uint64_t bits; /* coded size, when it is known */
	bool bits_known;
};

struct model_window {
	uint64_t low;
	uint64_t high;
};

struct model {
	struct geometry geometry;
	unsigned int zones;
	unsigned int subs;
	struct volume_index_parameters parameters[2];
	struct model_list *lists[2];
	struct model_window windows[2][MAXIMUM_ZONES];
	uint64_t early_expiries;
	uint64_t overflows;
};

struct model_record {
	bool found;
	bool collision;
	uint64_t vcn;
	unsigned int sub;
	uint32_t list;
	uint32_t at;
};

void model_make(struct model *model, const struct geometry *geometry, unsigned int zones);
void model_free(struct model *model);
void model_get(struct model *model, const struct uds_record_name *name,
	       struct model_record *ret_record);
/* 0 or UDS_ERR_OVERFLOW. */
int model_put(struct model *model, struct model_record *record, const struct uds_record_name *name,
	      uint64_t vcn);
void model_set(struct model *model, struct model_record *record, uint64_t vcn);
void model_remove(struct model *model, struct model_record *record);
void model_open_chapter(struct model *model, unsigned int zone, uint64_t vcn);

/* The size of a list in the format. */
uint64_t model_coded_bits(const struct model *model, unsigned int sub, uint32_t list);

/* One list, as it stands in memory. */
struct list_info {
	uint64_t flush_from; /* entries of chapters below this are known to be gone */
	uint32_t coded_bits; /* its size in the format */
	uint32_t entries;
	uint32_t collisions;
};

/* @list: its number in the whole sub-index. */
struct list_info list_info_of(const struct volume_index *index, enum sub_index sub, uint32_t list);

/* Compares everything that can be seen; fails the test that runs at the first difference. */
void model_compare(const struct model *model, const struct volume_index *index);

/* Copies the model's windows for another number of zones, as a load does (13.6). */
void model_rezone(struct model *model, unsigned int zones);

#endif
