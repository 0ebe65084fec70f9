/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which files a scan looks at: the regular files of the trees it is given, each once however many
 * names it has, and the block devices that are named themselves.
 *
 * Symbolic links are followed only where they are named on the command line (device names often are
 * links). Files come in the order of their names, so that two scans of one tree agree on which of
 * two equal blocks came first.
 *
 * Threads: a walker is used by one thread at a time.
 */
#ifndef TOOLS_SCAN_WALK_H
#define TOOLS_SCAN_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "tool.h"

struct walker;

struct walker_options {
	const struct command *command;
	bool silent;	      /* errors are neither told nor counted: somebody walks again */
	bool one_file_system; /* do not go into other mounts */
};

/* A file that is open to be read. The path is valid until the next one. */
struct walked_file {
	const char *path;
	int descriptor; /* the caller's: it closes it */
	uint64_t size;	/* bytes */
	uint64_t device, inode;
	bool may_have_holes;
};

/*
 * @paths: ends with NULL; borrowed.
 * Returns 0 or a negated errno.
 */
int walker_open(char **paths, const struct walker_options *options, struct walker **ret_walker);
void walker_close(struct walker *walker);

/* The next file that can be opened. Returns 1, 0 when there are no more, or a negated errno. */
int walker_next(struct walker *walker, struct walked_file *ret_file);

/* What could not be read, so far. */
uint64_t walker_errors(const struct walker *walker);

/*
 * Finds the next range with data in it from @offset on.
 *
 * @ret_begin, @ret_end: both @size when only holes follow.
 */
void find_data(const struct walked_file *file, uint64_t offset, uint64_t *ret_begin,
	       uint64_t *ret_end);

#endif
