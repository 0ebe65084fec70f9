/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The files of a scan: shared by the walk, the readers and the report, and gone when the last of
 * them lets go.
 *
 * Threads: any, but for the table, which is the main thread's.
 */
#ifndef TOOLS_SCAN_FILE_H
#define TOOLS_SCAN_FILE_H

#include "base/hash_key.h"
#include "scan.h"
#include "scan_walk.h"

/* What is known of all files of a device; asking for each would take long. */
struct scan_device {
	uint64_t device;
	uint64_t file_system; /* for scan_file.file_system */
	bool in_memory;
};

/*
 * Takes over the descriptor or I/O of what was walked, also when it fails; a large file gets an
 * I/O. One user.
 * @number: of the device. Returns 0 or a negative status.
 */
int scan_file_make(const struct walked_file *walked, const struct scan_device *device,
		   unsigned int number, struct scan_file **ret_file);
void scan_file_use(struct scan_file *file);

/* The descriptor has users of its own, the maker being the first. */
void scan_file_use_descriptor(struct scan_file *file);
void scan_file_release_descriptor(struct scan_file *file);

void scan_file_release(struct scan_file *file);

/* Files that are kept for the report, found by what records say about them. */
struct file_table {
	struct hash_key key;
	struct scan_file **files;
	size_t count, room;
	size_t *places; /* 1 + number in files; a hash table by linear probing */
	size_t place_count;
};

/* Returns 0 or -ENOMEM. Becomes one more user. */
int file_table_add(struct file_table *table, struct scan_file *file);

/* NULL when no such file was met, or several of which records cannot say which. */
struct scan_file *file_table_find(const struct file_table *table, unsigned int device,
				  uint64_t inode);
void file_table_free(struct file_table *table);

#endif
