/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The formulas of uds-scaling(7): what an index of so many records takes, and what it does.
 *
 * Sizes come from uds_geometry_compute(). Rates and times are inputs. Nothing here reads, writes
 * or prints.
 */
#ifndef BENCH_SCALING_MODEL_H
#define BENCH_SCALING_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/geometry.h>
#include <uds/shards.h>

/* The largest of the usual sizes, in GB. */
#define SCALING_LARGEST 1024u

/* What one processor does in one shard whose pages are in memory, each in requests a second. */
struct scaling_rates {
	double post;   /* of new names */
	double stream; /* of old names, in long runs */
	double random; /* of old names, in no order */
};

struct scaling_inputs {
	struct scaling_rates rates[2]; /* dense, sparse */
	double read_seconds;	       /* of one page, when no other is read */
	double reads;		       /* of pages a second, with many in flight, for each shard */
	double round_trip_seconds;     /* to a shard and back; 0: on the same machine */
	double duplicates;	       /* part of the requests whose names were stored before */
	double run;		       /* how many of these follow each other as they were stored */
	double saves;		       /* in the time in which all chapters are written once */
	uint32_t largest;	       /* the largest shard, in GB */
	uint32_t shards;	       /* the most of one logical index */
};

/* Bytes of memory of one open index with one zone that is full, by purpose. */
struct scaling_memory {
	uint64_t volume_index;
	uint64_t open_chapters; /* the open one, and the one that is being written */
	uint64_t new_pages;	/* of the chapter that is being written */
	uint64_t page_map;
	uint64_t read_cache;
	uint64_t sparse_cache;
	uint64_t checksums;
};

/* What requests for names that were stored before ask of the volume, for each of these requests. */
struct scaling_lookups {
	double found; /* part of them */
	double pages; /* that are read */
};

/* One line of the table. */
struct scaling_row {
	double data_bytes;
	uint32_t block_bytes;
	bool sparse;
	double records;		/* one for each block */
	char memory_size[8];	/* of a shard: "256M" to "1024G" */
	uint32_t indexes;	/* logical ones, of one manifest each */
	uint32_t shards;	/* of each of them */
	uint64_t shard_records; /* that a shard has room for */
	double fullest;		/* names of the fullest shard, beside the mean */
	uint64_t shard_memory_bytes;
	uint64_t shard_disk_bytes;
	double memory_bytes; /* of all shards */
	double disk_bytes;
	struct scaling_lookups stream, random;
	double stream_rate, random_rate; /* requests a second, of all shards */
	double stream_storage_bytes;	 /* between shard and storage, for each request */
	double random_storage_bytes;
	uint32_t request_bytes; /* to a shard of another program and back, as structs */
	double new_seconds;	/* one request for a new name, alone */
	double hit_seconds;	/* one for an old name, alone, with both pages to be read */
};

struct scaling_memory scaling_memory_of(const struct uds_configuration *configuration,
					const struct uds_geometry *geometry);
uint64_t scaling_memory_sum(const struct scaling_memory *memory);

/* @run: so many names follow each other as they were stored, and then come others. */
struct scaling_lookups scaling_lookups_of(const struct uds_configuration *configuration,
					  const struct uds_geometry *geometry, double run);

/* Bytes that are written for each record that is stored. */
double scaling_written_bytes(const struct uds_geometry *geometry, double saves);

/* About how many times the mean the fullest of @shards has (libuds_shards(3), Placement). */
double scaling_fullest(uint32_t shards);

/*
 * Fills in the rest of a row that has data_bytes, block_bytes and sparse.
 *
 * Returns 0, or what uds_geometry_compute() returns.
 */
int scaling_compute(const struct scaling_inputs *inputs, struct uds_message *ret_message,
		    struct scaling_row *row);

#endif
