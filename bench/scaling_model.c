/* SPDX-License-Identifier: BSD-2-Clause */
/* The formulas, as uds-scaling(7) has them. */
#include "scaling_model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include <uds/index.h>
#include <uds/record.h>

/* A record of an open chapter, with its two to four places in the hash table of 4 bytes each. */
#define OPEN_RECORD_BYTES (sizeof(struct uds_record) + 16u)

/* Bytes that have a checksum of their own, and what it takes: 4 bytes, and a bit. */
#define CHECKED_BYTES  4096u
#define CHECKSUM_BYTES 4.125

struct scaling_memory scaling_memory_of(const struct uds_configuration *c,
					const struct uds_geometry *g)
{
	struct scaling_memory m = { 0 };

	m.volume_index = g->volume_index_bytes;
	m.open_chapters = 2 * (uint64_t)OPEN_RECORD_BYTES * g->records_per_chapter;
	m.new_pages = (uint64_t)g->pages_per_chapter * c->page_bytes;
	m.page_map = 2 * (uint64_t)c->chapters_per_volume * g->index_pages_per_chapter;
	m.read_cache = (uint64_t)c->cache_chapters * g->pages_per_chapter * c->page_bytes;
	if (c->sparse_chapters_per_volume > 0)
		m.sparse_cache =
			(uint64_t)c->cache_chapters * g->index_pages_per_chapter * c->page_bytes;
	m.checksums = (uint64_t)((double)g->volume_bytes / CHECKED_BYTES * CHECKSUM_BYTES);
	return m;
}

uint64_t scaling_memory_sum(const struct scaling_memory *m)
{
	return m->volume_index + m->open_chapters + m->new_pages + m->page_map + m->read_cache +
	       m->sparse_cache + m->checksums;
}

/* The index pages of a chapter are met at random; @names of them meet so many. */
static double index_pages_met(double pages, double names)
{
	return pages * (1 - pow(1 - 1 / pages, names));
}

/* Records are on the record pages of a chapter in the order in which they were stored. */
static double record_pages_met(const struct uds_geometry *g, double names)
{
	return 1 + (names - 1) / g->records_per_page;
}

/*
 * Of a run in a sparse chapter, the names from the first one on that is in the sample: the mean of
 * 1 - m^i for i from 1 to @run, where m is the part of the names that are not in it.
 */
static double found_of_run(double rate, double run)
{
	double m = 1 - 1 / rate;

	return 1 - m * (1 - pow(m, run)) / (run * (1 - m));
}

struct scaling_lookups scaling_lookups_of(const struct uds_configuration *c,
					  const struct uds_geometry *g, double run)
{
	double cached = (double)c->cache_chapters / c->chapters_per_volume;
	double index_pages = g->index_pages_per_chapter, seen = 1;
	struct scaling_lookups l = { .found = 1 };

	run = fmin(run, g->records_per_chapter);
	if (c->sparse_chapters_per_volume > 0) {
		double rate = c->sparse_sample_rate;

		/*
		 * The first name of the sample is looked up as in a dense index, and brings all
		 * index pages of its chapter.
		 */
		seen = 1 - pow(1 - 1 / rate, run);
		l.found = cached + (1 - cached) * found_of_run(rate, run);
		l.pages = (1 - cached) * seen * (1 + index_pages);
		seen = cached + (1 - cached) * seen;
		l.pages += seen * record_pages_met(g, run * l.found / seen);
	} else {
		l.pages = (1 - cached) *
			  (index_pages_met(index_pages, run) + record_pages_met(g, run));
	}
	l.pages /= run;
	return l;
}

double scaling_written_bytes(const struct uds_geometry *g, double saves)
{
	return ((double)g->volume_bytes + saves * (double)g->save_bytes) /
	       (double)g->records_per_volume;
}

double scaling_fullest(uint32_t shards)
{
	return 1 + sqrt(2 * log(shards) * (shards - 1) / UDS_SHARDS_SLOTS);
}

/* ---- which shards ---- */

/* The usual sizes by number, from the smallest: 256M, 512M, 768M, and each GB. */
static void size_text(uint32_t number, char ret_text[8])
{
	if (number < 3)
		snprintf(ret_text, 8, "%uM", (number + 1) * 256);
	else
		snprintf(ret_text, 8, "%uG", (number - 2) & 0xffffu);
}

static int size_compute(uint32_t number, bool sparse, struct uds_message *ret_message,
			struct uds_configuration *ret_configuration,
			struct uds_geometry *ret_geometry)
{
	struct uds_geometry geometry = UDS_GEOMETRY_INIT;
	char text[8];
	int r;

	size_text(number, text);
	r = uds_configuration_for_memory(text, sparse, ret_message, ret_configuration);
	if (r == 0)
		r = uds_geometry_compute(ret_configuration, ret_message, &geometry);
	*ret_geometry = geometry;
	return r;
}

/* With one chapter less: its slot is being written again. */
static uint64_t room(const struct uds_geometry *g)
{
	return g->records_per_volume - g->records_per_chapter;
}

/* How many shards of so much room the records take: the fullest one has room for its part. */
static void choose_counts(struct scaling_row *row, double shard_room, uint32_t most)
{
	double records;

	row->indexes =
		(uint32_t)fmax(1, ceil(row->records * scaling_fullest(most) / (shard_room * most)));
	records = row->records / row->indexes;
	row->shards = 1;
	while (row->shards < most &&
	       shard_room * row->shards < records * scaling_fullest(row->shards))
		row->shards++;
}

/* The smallest size with which so many shards are enough. */
static int choose_size(struct scaling_row *row, uint32_t largest, struct uds_message *ret_message,
		       struct uds_configuration *ret_configuration,
		       struct uds_geometry *ret_geometry)
{
	double needed = row->records * row->fullest / row->indexes / row->shards;
	uint32_t low = 0, high = largest;
	int r;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		r = size_compute(middle, row->sparse, ret_message, ret_configuration, ret_geometry);
		if (r < 0)
			return r;
		if ((double)room(ret_geometry) < needed)
			low = middle + 1;
		else
			high = middle;
	}
	size_text(low, row->memory_size);
	return size_compute(low, row->sparse, ret_message, ret_configuration, ret_geometry);
}

static int choose_shards(const struct scaling_inputs *in, struct uds_message *ret_message,
			 struct scaling_row *row, struct uds_configuration *ret_configuration,
			 struct uds_geometry *ret_geometry)
{
	uint32_t largest = in->largest + 2; /* its number */
	int r;

	r = size_compute(largest, row->sparse, ret_message, ret_configuration, ret_geometry);
	if (r < 0)
		return r;
	choose_counts(row, (double)room(ret_geometry), in->shards);
	row->fullest = scaling_fullest(row->shards);
	return choose_size(row, largest, ret_message, ret_configuration, ret_geometry);
}

/* ---- what they do ---- */

/* Requests a second of all shards, of which the fullest one is busy all the time. */
static double rate(const struct scaling_inputs *in, const struct scaling_row *row, double old_rate,
		   double pages)
{
	double seconds =
		(1 - in->duplicates) / in->rates[row->sparse].post + in->duplicates / old_rate;
	double shard = 1 / fmax(seconds, in->duplicates * pages / in->reads);

	return shard * row->indexes * row->shards / row->fullest;
}

/*
 * Bytes between a shard and its storage for each request: pages are read, and each record that is
 * stored, or found and stored again, is written.
 */
static double storage_bytes(const struct scaling_inputs *in, const struct scaling_lookups *lookups,
			    const struct uds_configuration *c, const struct uds_geometry *g)
{
	return in->duplicates * lookups->pages * c->page_bytes +
	       scaling_written_bytes(g, in->saves);
}

int scaling_compute(const struct scaling_inputs *in, struct uds_message *ret_message,
		    struct scaling_row *row)
{
	const struct scaling_rates *rates = &in->rates[row->sparse];
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_geometry g = UDS_GEOMETRY_INIT;
	struct scaling_memory memory;
	double shards;
	int r;

	row->records = ceil(row->data_bytes / row->block_bytes);
	r = choose_shards(in, ret_message, row, &c, &g);
	if (r < 0)
		return r;
	shards = (double)row->indexes * row->shards;
	memory = scaling_memory_of(&c, &g);
	row->shard_records = room(&g);
	row->shard_memory_bytes = scaling_memory_sum(&memory);
	row->shard_disk_bytes = g.index_bytes + g.extras_bytes;
	row->memory_bytes = (double)row->shard_memory_bytes * shards;
	row->disk_bytes = (double)row->shard_disk_bytes * shards;
	row->stream = scaling_lookups_of(&c, &g, in->run);
	row->random = scaling_lookups_of(&c, &g, 1);
	row->stream_rate = rate(in, row, rates->stream, row->stream.pages);
	row->random_rate = rate(in, row, rates->random, row->random.pages);
	row->stream_storage_bytes = storage_bytes(in, &row->stream, &c, &g);
	row->random_storage_bytes = storage_bytes(in, &row->random, &c, &g);
	row->request_bytes = 2 * sizeof(struct uds_request);
	row->new_seconds = in->round_trip_seconds + 1 / rates->post;
	row->hit_seconds = in->round_trip_seconds + 2 * in->read_seconds + 1 / rates->random;
	return 0;
}
