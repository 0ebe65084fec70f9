/* SPDX-License-Identifier: BSD-2-Clause */
/* Statistics and configuration of an open index. */
#include "base/struct_size.h"
#include "base/visibility.h"
#include "index/batch.h"
#include "index/checkpoint.h"
#include "index/journal.h"

static uint64_t found(const uint64_t *requests)
{
	return requests[UDS_LOCATION_OPEN_CHAPTER] + requests[UDS_LOCATION_DENSE] +
	       requests[UDS_LOCATION_SPARSE];
}

static void add_counters(const struct zone_counters *c, struct uds_index_statistics *s)
{
	const uint64_t *posts = c->requests[COUNT_POSTS];

	s->overflows += c->overflows;
	s->posts_found_open_chapter += posts[UDS_LOCATION_OPEN_CHAPTER];
	s->posts_found_dense += posts[UDS_LOCATION_DENSE];
	s->posts_found_sparse += posts[UDS_LOCATION_SPARSE];
	s->posts_not_found += posts[UDS_LOCATION_NONE];
	s->updates_found += found(c->requests[COUNT_UPDATES]);
	s->updates_not_found += c->requests[COUNT_UPDATES][UDS_LOCATION_NONE];
	s->deletions_found += found(c->requests[COUNT_DELETIONS]);
	s->deletions_not_found += c->requests[COUNT_DELETIONS][UDS_LOCATION_NONE];
	s->queries_found += found(c->requests[COUNT_QUERIES]);
	s->queries_not_found += c->requests[COUNT_QUERIES][UDS_LOCATION_NONE];
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
	for (unsigned int i = 0; i < index->zone_count; i++)
		s->memory_bytes += batch_pool_count(&index->zones[i]) * sizeof(struct batch);
	s->memory_bytes += journal_memory_bytes(index);
	s->memory_bytes += index->queue_bytes;
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
	uint64_t lost;
	bool flushed;
	int r = STRUCT_OUT_CHECK(ret_statistics, uds_index_statistics, chapters_written, &message);

	failures_begin(index->failures);
	if (r < 0)
		return index_failure(index, r, &message);
	/* Figures of one moment: sums would not agree if zones went on in between. */
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
	flushed = index->flushed;
	lost = index->left_out_lost;
	s.oldest_chapter = index->oldest;
	add_memory(index, &vi, &s);
	index_unlock_all(index);
	/* Counted without the zones' locks, so they may be a little ahead. */
	s.checkpoints = checkpointer_count(index, &s.checkpoint_failures);
	s.pages_read = volume_pages_read(index->volume);
	s.damaged_reads = volume_damaged_reads(index->volume);
	if (index->writer != NULL) {
		chapter_writer_get_statistics(index->writer, &writer);
		s.chapters_written = writer.chapters;
		/*
		 * After a flush, records that a chapter leaves out are stored again (left_out.h):
		 * only those are lost that found no room.
		 */
		s.unreachable_records = flushed ? lost : writer.unreachable_records;
		s.unwritten_records = writer.unwritten_records;
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
