/* SPDX-License-Identifier: BSD-2-Clause */
/* Going down and up in a tree with few descriptors, and the names of a directory in order. */
#include "scan_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How many of the directories next to the one being walked stay open, besides the top. */
#define OPEN_LEVELS 12

#ifndef O_PATH
#define O_PATH O_RDONLY
#endif
#ifndef PATH_MAX
#define PATH_MAX 4096
#endif

static void level_free(struct tree_level *level)
{
	if (level->descriptor >= 0)
		close(level->descriptor);
	free(level->names);
	free(level->order);
}

void tree_free(struct tree *tree)
{
	while (tree->depth > 0)
		level_free(&tree->levels[--tree->depth]);
	free(tree->levels);
	free(tree->path);
	memset(tree, 0, sizeof(*tree));
}

/* Makes room for @bytes and a zero byte. */
static int path_reserve(struct tree *tree, size_t bytes)
{
	size_t room = tree->path_room == 0 ? 256 : tree->path_room;
	char *path;

	if (bytes < tree->path_room)
		return 0;
	while (room <= bytes)
		room *= 2;
	path = realloc(tree->path, room);
	if (path == NULL)
		return -ENOMEM;
	tree->path = path;
	tree->path_room = room;
	return 0;
}

int tree_start(struct tree *tree, const char *path)
{
	int r = path_reserve(tree, strlen(path));

	if (r == 0)
		memcpy(tree->path, path, strlen(path) + 1);
	return r;
}

/* Names while they are collected. */
struct names {
	char *bytes;
	size_t used, room, count;
};

static int names_add(struct names *names, const char *name)
{
	size_t bytes = strlen(name) + 1;

	if (names->used + bytes > names->room) {
		size_t room = 2 * names->room + bytes + 1000;
		char *larger = realloc(names->bytes, room);

		if (larger == NULL)
			return -ENOMEM;
		names->bytes = larger;
		names->room = room;
	}
	memcpy(names->bytes + names->used, name, bytes);
	names->used += bytes;
	names->count++;
	return 0;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Returns 0 or -ENOMEM; what else went wrong is @ret_read_error. */
static int collect_names(int descriptor, struct names *ret_names, int *ret_read_error)
{
	/* The stream takes a descriptor of its own with it when it is closed. */
	int own = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
	DIR *directory = own < 0 ? NULL : fdopendir(own);
	const struct dirent *entry;
	int r = 0;

	*ret_read_error = 0;
	if (directory == NULL) {
		*ret_read_error = errno;
		if (own >= 0)
			close(own);
		return *ret_read_error == ENOMEM ? -ENOMEM : 0;
	}
	for (errno = 0; r == 0 && (entry = readdir(directory)) != NULL; errno = 0) {
		if (!is_dots(entry->d_name))
			r = names_add(ret_names, entry->d_name);
	}
	if (r == 0)
		*ret_read_error = errno;
	closedir(directory);
	return r;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int read_names(struct tree_level *level, int *ret_read_error)
{
	struct names names = { NULL, 0, 0, 0 };
	int r = collect_names(level->descriptor, &names, ret_read_error);
	char *p;

	level->names = p = names.bytes;
	if (r < 0 || names.count == 0)
		return r;
	level->order = malloc(names.count * sizeof(*level->order));
	if (level->order == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < names.count; i++) {
		level->order[i] = p;
		p += strlen(p) + 1;
	}
	level->count = names.count;
	qsort(level->order, level->count, sizeof(*level->order), by_name);
	return 0;
}

/* Room for one more level; one that is far above gives its descriptor back. */
static int make_room(struct tree *tree)
{
	if (tree->depth == tree->room) {
		size_t room = tree->room == 0 ? 16 : 2 * tree->room;
		struct tree_level *levels = realloc(tree->levels, room * sizeof(*levels));

		if (levels == NULL)
			return -ENOMEM;
		tree->levels = levels;
		tree->room = room;
	}
	if (tree->depth > OPEN_LEVELS) {
		struct tree_level *far = &tree->levels[tree->depth - OPEN_LEVELS];

		if (far->descriptor >= 0)
			close(far->descriptor);
		far->descriptor = -1;
	}
	return 0;
}

int tree_enter(struct tree *tree, int descriptor, const struct stat *st, int *ret_read_error)
{
	struct tree_level level = { .descriptor = descriptor,
				    .device = st->st_dev,
				    .inode = st->st_ino,
				    .path_bytes = strlen(tree->path) };
	int r = make_room(tree);

	if (r == 0)
		r = read_names(&level, ret_read_error);
	if (r < 0) {
		level_free(&level);
		return r;
	}
	tree->levels[tree->depth++] = level;
	return 0;
}

int tree_next(struct tree *tree, const char **ret_name)
{
	struct tree_level *level = &tree->levels[tree->depth - 1];
	size_t end = level->path_bytes;
	const char *name;
	int r;

	if (level->descriptor < 0 || level->next == level->count)
		return 0;
	name = level->order[level->next];
	r = path_reserve(tree, end + 1 + strlen(name));
	if (r < 0)
		return r;
	level->next++;
	if (end == 0 || tree->path[end - 1] != '/')
		tree->path[end++] = '/';
	memcpy(tree->path + end, name, strlen(name) + 1);
	*ret_name = name;
	return 1;
}

/* Opens the directory above @below, if it is still the one that it was. */
static bool open_again(struct tree_level *level, const struct tree_level *below)
{
	struct stat st;
	int descriptor;

	if (below->descriptor < 0)
		return false;
	descriptor = openat(below->descriptor, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (descriptor < 0)
		return false;
	if (fstat(descriptor, &st) < 0 || st.st_dev != level->device || st.st_ino != level->inode) {
		close(descriptor);
		return false;
	}
	level->descriptor = descriptor;
	return true;
}

bool tree_leave(struct tree *tree)
{
	struct tree_level *below = &tree->levels[--tree->depth];
	struct tree_level *level;
	bool good = true;

	if (tree->depth > 0) {
		level = &tree->levels[tree->depth - 1];
		tree->path[level->path_bytes] = '\0';
		if (level->descriptor < 0)
			good = open_again(level, below) || level->next == level->count;
	}
	level_free(below);
	return good;
}

int open_start_of_path(const char *path, int *ret_descriptor, const char **ret_name)
{
	int descriptor = AT_FDCWD;
	char start[PATH_MAX];

	while (strlen(path) >= PATH_MAX) {
		size_t bytes = PATH_MAX - 1;
		int next, error;

		while (bytes > 0 && path[bytes] != '/')
			bytes--;
		if (bytes == 0) {
			next = -1;
			errno = ENAMETOOLONG;
		} else {
			memcpy(start, path, bytes);
			start[bytes] = '\0';
			next = openat(descriptor, start, O_PATH | O_DIRECTORY | O_CLOEXEC);
		}
		error = errno;
		if (descriptor != AT_FDCWD)
			close(descriptor);
		if (next < 0)
			return -error;
		descriptor = next;
		while (path[bytes] == '/')
			bytes++;
		path += bytes;
	}
	*ret_descriptor = descriptor;
	/*
	 * A path of no bytes is none; what ends in slashes leads to the directory that is open now.
	 */
	*ret_name = *path == '\0' && descriptor != AT_FDCWD ? "." : path;
	return 0;
}
