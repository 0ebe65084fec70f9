/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which files a scan looks at: the regular files of the trees it is given, each once however many
 * names it has and however many mounts show it, and the block devices that are named themselves.
 *
 * Files and directories are known by their device and inode numbers, so a directory that is mounted
 * in several places, or lies in several of the trees, is walked where it is met first, and a mount
 * inside itself ends there.
 *
 * What is named by a URI whose scheme the command knows is one volume, read through the library's
 * I/O layer; a file or device that is also met by its path is read once.
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
#include <stddef.h>
#include <stdint.h>

#include <uds/io.h>

#include "scan_left_out.h"
#include "tool.h"

struct walker;

struct walker_options {
	const struct command *command;
	bool silent;	      /* errors are neither told nor counted: somebody walks again */
	bool one_file_system; /* do not go into mounts of others */

	/* Not read, wherever it is met; NULL: everything is. */
	const struct left_out *left_out;

	/* Called for whatever is met, with its path; a value other than 0 stops. May be NULL. */
	int (*look)(void *context, const char *path);
	void *look_context;
};

/* A file that is open to be read. The path is valid until the next one. */
struct walked_file {
	const char *path;
	/* One of them is there, and the caller's: walked_file_close() */
	int descriptor;	   /* -1: there is an I/O */
	struct uds_io *io; /* of a volume that is named by a URI, or NULL */
	uint64_t size;	   /* bytes */
	uint64_t device, inode;
	bool is_device; /* a block device */
	bool may_have_holes;
};

/*
 * @paths: ends with NULL; borrowed.
 * Returns 0 or a negated errno.
 */
int walker_open(char **paths, const struct walker_options *options, struct walker **ret_walker);
void walker_close(struct walker *walker);

/*
 * The next file that can be opened. Returns 1, 0 when there are no more, -ECANCELED when it was
 * stopped, or another negated errno.
 */
int walker_next(struct walker *walker, struct walked_file *ret_file);

/* Closes a file that no scan_file has taken over. */
void walked_file_close(const struct walked_file *file);

/* What could not be read, so far. */
uint64_t walker_errors(const struct walker *walker);

/* A message about the file that came last, which then counts as one that could not be read. */
void walker_refuse(struct walker *walker, const char *what);

/* Whether what is to be left out was met. */
bool walker_left_out(const struct walker *walker);

/*
 * Finds the next range with data in it from @offset on.
 *
 * @ret_begin, @ret_end: both @size when only holes follow.
 */
void find_data(const struct walked_file *file, uint64_t offset, uint64_t *ret_begin,
	       uint64_t *ret_end);

#endif
