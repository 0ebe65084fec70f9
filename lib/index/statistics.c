/* SPDX-License-Identifier: BSD-2-Clause */
/* What an index tells about itself while it is open. */
#include "base/struct_size.h"
#include "base/visibility.h"
#include "index/index.h"

static void add_counters(const struct zone_counters *c, struct uds_index_statistics *s)
{
	s->overflows += c->overflows;
	s->posts_found_open_chapter += c->posts_found[UDS_LOCATION_OPEN_CHAPTER];
	s->posts_found_dense += c->posts_found[UDS_LOCATION_DENSE];
	s->posts_found_sparse += c->posts_found[UDS_LOCATION_SPARSE];
	s->posts_not_found += c->posts_found[UDS_LOCATION_NONE];
	s->updates_found += c->updates_found;
	s->updates_not_found += c->updates_not_found;
	s->deletions_found += c->deletions_found;
	s->deletions_not_found += c->deletions_not_found;
	s->queries_found += c->queries_found;
	s->queries_not_found += c->queries_not_found;
}

static void add_memory(const struct uds_index *index, const struct volume_index_statistics *vi,
		       struct uds_index_statistics *s)
{
	uint64_t zone = open_zone_bytes(index->geometry.records_per_chapter / index->zone_count);

	s->volume_index_bytes = vi->memory_bytes;
	s->memory_bytes = sizeof(*index) + vi->memory_bytes + volume_memory_bytes(index->volume) +
			  index->zone_count * (sizeof(*index->zones) + zone);
	if (!index->read_only)
		s->memory_bytes += index->zone_count * zone;
	if (index->cache != NULL)
		s->memory_bytes += sparse_cache_bytes(index->cache);
}

UDS_PUBLIC int uds_index_get_statistics(const struct uds_index *index,
					struct uds_index_statistics *ret_statistics)
{
	struct uds_index_statistics s = UDS_INDEX_STATISTICS_INIT;
	struct chapter_writer_statistics writer;
	struct volume_index_statistics vi = { 0 };
	struct uds_message message;
	int r = STRUCT_OUT_CHECK(ret_statistics, uds_index_statistics, chapters_written, &message);

	failures_begin(index->failures);
	if (r < 0)
		return index_failure(index, r, &message);
	index_lock_all(index);
	for (unsigned int i = 0; i < index->zone_count; i++) {
		volume_index_add_statistics(index->volume_index, i, &vi);
		add_counters(&index->zones[i].counters, &s);
		s.open_chapter_records += open_zone_live(index->zones[i].open);
	}
	s.entries = vi.entries;
	s.collisions = vi.collisions;
	s.discards = vi.discards;
	s.early_expiries = vi.early_expiries;
	s.dropped_at_load = index->dropped_at_load;
	s.open_chapter = index->newest;
	s.oldest_chapter = index->oldest;
	add_memory(index, &vi, &s);
	index_unlock_all(index);
	s.pages_read = volume_pages_read(index->volume);
	if (index->writer != NULL) {
		chapter_writer_get_statistics(index->writer, &writer);
		s.chapters_written = writer.chapters;
		s.unreachable_records = writer.unreachable_records;
		s.memory_bytes += writer.memory_bytes;
	}
	struct_out(ret_statistics, &s, sizeof(s));
	return 0;
}

UDS_PUBLIC int uds_index_get_configuration(const struct uds_index *index,
					   struct uds_configuration *ret_configuration)
{
	struct uds_configuration c;
	struct uds_message message;
	int r = STRUCT_OUT_CHECK(ret_configuration, uds_configuration, remapped_physical, &message);

	failures_begin(index->failures);
	if (r < 0)
		return index_failure(index, r, &message);
	geometry_configuration(&index->geometry, &c);
	struct_out(ret_configuration, &c, sizeof(c));
	return 0;
}
