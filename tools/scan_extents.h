/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where the blocks of a file lie on its device, as far as the file system says that others have
 * them too (reflinks, snapshots of btrfs). Two blocks in the same place are stored once already.
 *
 * Threads: any, each with a cursor of its own.
 */
#ifndef TOOLS_SCAN_EXTENTS_H
#define TOOLS_SCAN_EXTENTS_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/record.h>

#define EXTENTS_AT_ONCE 48

/* A place, as a pair for a pair_set (scan_set.h); first 0: not shared, or not known. */
struct block_place {
	uint64_t first, second;
};

/* A range of a file that lies in one piece. */
struct extent {
	uint64_t logical, physical, bytes;
	bool shared;  /* with another file, or another part of this one */
	bool encoded; /* compressed: what is inside has no place of its own */
};

/* Goes through the extents of a range. */
struct extent_cursor {
	int descriptor;
	uint64_t file_system; /* 0: none that shares */
	uint64_t end;	      /* of the range */
	uint64_t asked;	      /* up to here the list has all extents */
	struct extent list[EXTENTS_AT_ONCE];
	unsigned int count, next;
};

/*
 * A number for the file system that a file is on, such that equal places there are the same; 0 when
 * its files never share blocks. @device: that of the file: btrfs has several for one file system.
 */
uint64_t sharing_file_system(int descriptor, uint64_t device);

/* Whether the files of this file system are in memory anyway. */
bool is_in_memory(int descriptor);

void extents_start(struct extent_cursor *cursor, int descriptor, uint64_t file_system,
		   uint64_t offset, uint64_t bytes);

/*
 * The place of a block; blocks are asked for in order. @bytes: of the file; the last block may be
 * a part of one. @name: of the block; what is compressed is in the same place when it has the same
 * name.
 */
struct block_place extents_place(struct extent_cursor *cursor, uint64_t offset, uint64_t bytes,
				 unsigned int block_shift, const struct uds_record_name *name);

#endif
