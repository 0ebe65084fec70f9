/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The directories that a walk is in: from the top of a tree down to the one that is being walked,
 * each with the names that are still to be visited, in order.
 *
 * Everything is opened from the descriptor of its directory, so a path may be longer than the
 * system takes at once, and a tree as deep as memory allows: of the directories above only the top
 * and the nearest few stay open, and the others are opened again on the way back, through "..".
 *
 * Threads: one at a time.
 */
#ifndef TOOLS_SCAN_TREE_H
#define TOOLS_SCAN_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct tree_level {
	int descriptor; /* -1: closed for the time being, or for good */
	dev_t device;
	ino_t inode;
	size_t path_bytes; /* how much of the path is that of this directory */
	char *names;	   /* one after the other, each with its zero byte */
	char **order;	   /* sorted */
	size_t count, next;
};

/* All zeros: no directory is open. */
struct tree {
	struct tree_level *levels; /* [0] is the top, [depth - 1] the one that is being walked */
	size_t depth, room;
	char *path; /* of what is being visited; NULL before the first */
	size_t path_room;
};

void tree_free(struct tree *tree);

/* Makes the path that of a new tree, with nothing open yet. Returns 0 or -ENOMEM. */
int tree_start(struct tree *tree, const char *path);

/*
 * Goes down into the directory that the path names. @descriptor: of it; taken over in any case.
 *
 * @ret_read_error: 0, or why not all of its names could be read: the walk goes on with the others.
 * Returns 0 or -ENOMEM.
 */
int tree_enter(struct tree *tree, int descriptor, const struct stat *st, int *ret_read_error);

/*
 * The next name in the directory that is being walked; the path is then that of it.
 * Returns 1, 0 at its end, or -ENOMEM.
 */
int tree_next(struct tree *tree, const char **ret_name);

/*
 * Goes up again; the path is then that of the directory above.
 *
 * Returns false when that one could not be opened again: it has moved, and the names that were left
 * in it will not come.
 */
bool tree_leave(struct tree *tree);

/* The directory that is being walked. */
static inline const struct tree_level *tree_top(const struct tree *tree)
{
	return &tree->levels[tree->depth - 1];
}

/*
 * Opens what comes before the end of a path that is too long to be used at once. @ret_name: what is
 * left, to be used with @ret_descriptor. A short path is left whole, with AT_FDCWD, which close()
 * need not be called for.
 *
 * Returns 0 or a negated errno.
 */
int open_start_of_path(const char *path, int *ret_descriptor, const char **ret_name);

#endif
