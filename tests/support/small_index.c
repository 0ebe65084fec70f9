/* SPDX-License-Identifier: BSD-2-Clause */
/* Making and opening the smallest indexes. */
#include "small_index.h"

#include "check_main.h"

void small_index_shape(uint32_t record_pages, uint32_t chapters, struct small_shape *ret_shape)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;

	configuration.page_bytes = 4096;
	configuration.record_pages_per_chapter = record_pages;
	configuration.chapters_per_volume = chapters;
	ret_shape->record_pages = record_pages;
	ret_shape->chapters = chapters;
	ret_shape->configuration = configuration;
	small_index_measure(ret_shape, false);
}

void small_index_add_extras(struct small_shape *shape)
{
	small_index_measure(shape, true);
}

void small_index_measure(struct small_shape *shape, bool extras)
{
	struct uds_geometry geometry = { .size = sizeof(geometry) };

	ck_assert_int_eq(uds_geometry_compute(&shape->configuration, NULL, &geometry), 0);
	shape->records = geometry.records_per_chapter;
	shape->index_pages = geometry.index_pages_per_chapter;
	shape->extras = extras;
	shape->bytes = geometry.index_bytes + (extras ? geometry.extras_bytes : 0);
}

int small_index_create(const struct small_shape *shape, struct uds_io *io,
		       const struct uds_env *env, struct uds_message *message)
{
	static const uint8_t nonce_data[32] = "the tests' smallest index";
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;

	options.env = env;
	options.nonce_data = nonce_data;
	options.no_extras = !shape->extras;
	return uds_index_format(io, &shape->configuration, &options, message);
}

int small_index_open(struct uds_io *io, const struct uds_env *env, unsigned int zones,
		     enum uds_index_mode mode, struct uds_message *message,
		     struct uds_index **ret_index)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;

	options.env = env;
	options.zones = zones;
	options.mode = mode;
	options.cache_bytes = 65536; /* small, so that pages are read from the I/O */
	return uds_index_open(io, &options, message, ret_index);
}

uint64_t small_index_open_chapter(struct uds_index *index, uint64_t *ret_records)
{
	struct uds_index_statistics statistics = { .size = sizeof(statistics) };

	ck_assert_int_eq(uds_index_get_statistics(index, &statistics), 0);
	/* The histories count on every record being kept. */
	ck_assert_uint_eq(statistics.overflows, 0);
	ck_assert_uint_eq(statistics.early_expiries, 0);
	ck_assert_uint_eq(statistics.unreachable_records, 0);
	ck_assert_uint_eq(statistics.dropped_at_load, 0);
	if (ret_records != NULL)
		*ret_records = statistics.open_chapter_records;
	return statistics.open_chapter;
}
