/* SPDX-License-Identifier: BSD-2-Clause */
/* The public face of the geometry: uds/geometry.h. */
#include <uds/geometry.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "geometry/geometry.h"

#define USUAL_CHAPTERS	  1024u
#define LARGEST_GIGABYTES 1024u
#define USUAL_SAMPLE_RATE 32u

/* "1G" to "1024G", without sign, leading zero or space; 0 for anything else. */
static uint32_t parse_gigabytes(const char *text)
{
	uint32_t n = 0;

	if (*text < '1' || *text > '9')
		return 0;
	for (; *text >= '0' && *text <= '9'; text++) {
		/* No longer number is right either, so the product cannot overflow. */
		n = n * 10 + (uint32_t)(*text - '0');
		if (n > LARGEST_GIGABYTES)
			return 0;
	}
	return strcmp(text, "G") == 0 ? n : 0;
}

UDS_PUBLIC int uds_configuration_for_memory(const char *memory, bool sparse,
					    struct uds_message *ret_message,
					    struct uds_configuration *ret_configuration)
{
	static const struct {
		const char *text;
		uint32_t record_pages;
	} small[] = { { "256M", 64 }, { "512M", 128 }, { "768M", 192 } };
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	uint32_t chapters = 0;

	for (size_t i = 0; i < sizeof(small) / sizeof(small[0]); i++) {
		if (strcmp(memory, small[i].text) == 0) {
			chapters = USUAL_CHAPTERS;
			c.record_pages_per_chapter = small[i].record_pages;
		}
	}
	if (chapters == 0) {
		chapters = USUAL_CHAPTERS * parse_gigabytes(memory);
		c.record_pages_per_chapter = 256;
	}
	if (chapters == 0)
		return failure(ret_message, -EINVAL,
			       "memory size \"%.32s\" is none of 256M, 512M, 768M, 1G to 1024G",
			       memory);
	c.chapters_per_volume = chapters;
	if (sparse) {
		/* 95 % of the chapters, as the format's sizes have it (4.1). */
		c.sparse_chapters_per_volume = chapters * 19 / 2;
		c.chapters_per_volume = chapters * 10;
		c.sparse_sample_rate = USUAL_SAMPLE_RATE;
	}
	*ret_configuration = c;
	return 0;
}

UDS_PUBLIC int uds_geometry_compute(const struct uds_configuration *configuration,
				    struct uds_message *ret_message,
				    struct uds_geometry *ret_geometry)
{
	struct volume_index_parameters p;
	struct uds_geometry out = { 0 };
	struct geometry_sizes sizes;
	struct geometry g = { 0 };
	int r;

	r = STRUCT_OUT_CHECK(ret_geometry, uds_geometry, open_chapter_bytes, ret_message);
	if (r == 0)
		r = geometry_make(configuration, &g, ret_message);
	if (r < 0)
		return r;
	geometry_sizes(&g, &sizes);
	out.records_per_page = g.records_per_page;
	out.records_per_chapter = g.records_per_chapter;
	out.records_per_volume = (uint64_t)g.records_per_chapter * g.chapters_per_volume;
	out.dense_chapters = g.dense_chapters_per_volume;
	out.chapter_payload_bits = g.chapter_payload_bits;
	out.delta_lists_per_chapter = g.delta_lists_per_chapter;
	out.chapter_address_bits = g.chapter_address_bits;
	out.index_pages_per_chapter = g.index_pages_per_chapter;
	out.pages_per_chapter = g.pages_per_chapter;
	out.pages_per_volume = g.pages_per_volume;
	out.volume_bytes = g.bytes_per_volume;
	out.save_bytes = sizes.save_blocks * BLOCK_BYTES;
	out.index_bytes = sizes.total_blocks * BLOCK_BYTES;
	volume_index_parameters_make(&g, SUB_INDEX_DENSE, &p);
	out.volume_index_bytes = volume_index_zone_bytes(&p, 1);
	if (geometry_is_sparse(&g)) {
		volume_index_parameters_make(&g, SUB_INDEX_HOOK, &p);
		out.volume_index_bytes += volume_index_zone_bytes(&p, 1);
	}
	out.open_chapter_bytes = 14 + UINT64_C(32) * g.records_per_chapter;
	out.extras_bytes = geometry_extras_blocks(&g) * BLOCK_BYTES;
	struct_out(ret_geometry, &out, sizeof(out));
	return 0;
}

UDS_PUBLIC int uds_geometry_physical_chapter(const struct uds_configuration *configuration,
					     uint64_t virtual_chapter,
					     struct uds_message *ret_message,
					     uint32_t *ret_physical_chapter)
{
	struct geometry g;
	int r = geometry_make(configuration, &g, ret_message);

	if (r == 0)
		*ret_physical_chapter = geometry_physical_chapter(&g, virtual_chapter);
	return r;
}
