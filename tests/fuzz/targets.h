/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fuzz targets, by name: fuzz_NAME() takes one input. Whatever the bytes are, it returns; what
 * must not be ends the process.
 */
#ifndef TESTS_FUZZ_TARGETS_H
#define TESTS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

/* FUZZ_WITH_SHARDS: with libuds-shards, which needs jansson. */
#ifdef FUZZ_WITH_SHARDS
#define FUZZ_SHARDS(X) X(shards_manifest)
#else
#define FUZZ_SHARDS(X)
#endif

#define FUZZ_TARGETS(X)     \
	X(region_table)     \
	X(super_block)      \
	X(config_block)     \
	X(save_header)      \
	X(vdo_geometry)     \
	X(vdo_volume)       \
	X(lvm_pv)           \
	X(lvm_group)        \
	X(page_map)         \
	X(delta_list)       \
	X(index_page)       \
	X(record_page)      \
	X(chapter)          \
	X(volume_index)     \
	X(open_chapter)     \
	X(extras)           \
	X(journal)          \
	X(index_image)      \
	X(exception_store)  \
	X(snapshot_image)   \
	X(uri)              \
	X(lines)            \
	FUZZ_SHARDS(X)      \
	X(index_operations) \
	X(snapshot_operations)

#define FUZZ_DECLARE(name) void fuzz_##name(const uint8_t *bytes, size_t size);
FUZZ_TARGETS(FUZZ_DECLARE)
#undef FUZZ_DECLARE

#endif
