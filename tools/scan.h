/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the parts of `uds scan` pass to each other.
 *
 * One thread walks and cuts files into batches of blocks, in order. Reader threads take batches,
 * have several of them read at once, and name the blocks of those that are. The main thread takes
 * the batches back in the order they were cut, posts the names to the index and counts. So the
 * result does not depend on who was faster.
 */
#ifndef TOOLS_SCAN_H
#define TOOLS_SCAN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/engine.h>
#include <uds/index.h>

#include "scan_extents.h"
#include "scan_walk.h"
#include "target.h"
#include "tool.h"

#define DEFAULT_BLOCK_BYTES 4096
#define MIN_BLOCK_BYTES	    512
#define MAX_BLOCK_BYTES	    (UINT64_C(1) << 20)

/* A batch has at most so many blocks and bytes; a single block may be as large as all of it. */
#define BATCH_BLOCKS 2048
#define BATCH_BYTES  (UINT64_C(1) << 20)
#define BATCH_PIECES 256

/*
 * A file from when it is opened to when its last block has been posted, or to the report. Its
 * descriptor is closed as soon as it has been read: there may be many files on their way.
 */
struct scan_file {
	char *path;
	int descriptor; /* -1 once it is closed */
	/* of the descriptor, or of a volume; NULL: it is read without one, or closed */
	struct uds_io *io;
	bool is_volume; /* named by a URI: there is no descriptor */
	uint64_t size;
	uint64_t inode;
	uint64_t file_system; /* on which its blocks may be shared; 0: they are not */
	unsigned int device;  /* a small number, in the order they were met; at most LAST_DEVICE */
	atomic_uint users;    /* pieces under way, the walk, the table */
	atomic_uint readers;  /* of these, who still needs the descriptor */
	atomic_bool told;     /* a read error was reported: once is enough */
	bool shares_key;      /* records cannot tell it from a later file */
	uint64_t duplicate_bytes;
};

/* A range of one file in a batch: data to read, or (in_buffer false) a hole. */
struct scan_piece {
	struct scan_file *file;
	uint64_t first_block; /* in the file, in blocks */
	uint64_t bytes;	      /* of the file: the last block may be a part of one */
	bool hole;
	size_t buffer_offset;

	/* Unused for a hole. */
	struct uds_io_request transfer;
	struct scan_batch *batch;

	/* Filled in by the reader. */
	uint64_t zero_bytes;
	uint64_t zero_blocks;
	uint64_t read_bytes;
	uint32_t first_request, request_count;
};

struct scan_batch {
	uint8_t *buffer;
	size_t buffer_used;
	struct scan_piece pieces[BATCH_PIECES];
	unsigned int piece_count;
	unsigned int transfers;	 /* in flight */
	struct scan_batch *next; /* among those that are read */
	struct uds_request requests[BATCH_BLOCKS];
	uint64_t blocks[BATCH_BLOCKS];		 /* of each request: its block number in the file */
	struct block_place places[BATCH_BLOCKS]; /* and where it lies, when that is shared */
	unsigned int request_count;
};

/* What a scan is asked for. */
struct scan_options {
	const struct command *command;
	char **paths;
	uint64_t block_bytes;
	unsigned int block_shift; /* its logarithm */
	uint64_t readers;
	unsigned int batch_pieces; /* at most BATCH_PIECES: how many files may be open in a batch */
	uint64_t time; /* identifies this scan in the data of records; see scan_data.h */
	bool one_file_system;
	bool keep_files;	  /* for a table or a listing */
	bool keep_places;	  /* somebody will read in records where a block lies */
	bool has_index;		  /* one that is not only this scan's */
	struct left_out left_out; /* where the indexes lie */
};

/* What it found. */
struct scan_totals {
	uint64_t files, bytes;
	uint64_t zero_blocks, zero_bytes;
	uint64_t unique_blocks, unique_bytes;
	uint64_t duplicate_blocks, duplicate_bytes; /* first seen in this scan */
	uint64_t known_blocks, known_bytes;	    /* first seen in an earlier one */
	uint64_t shared_blocks, shared_bytes;	    /* of both: stored once already */
	uint64_t errors;
	bool left_out; /* the index itself was met, and not read */
	double seconds;
};

/* Sparse files may add up to more bytes than can be counted. */
static inline void add_bytes(uint64_t *sum, uint64_t bytes)
{
	*sum = bytes > UINT64_MAX - *sum ? UINT64_MAX : *sum + bytes;
}

static inline uint64_t scan_blocks(const struct scan_totals *totals)
{
	return totals->zero_blocks + totals->unique_blocks + totals->duplicate_blocks +
	       totals->known_blocks;
}

#endif
