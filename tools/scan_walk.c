/* SPDX-License-Identifier: BSD-2-Clause */
/* Walking trees: what is looked at, what is left out, and what could not be read. */
#include "scan_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef __linux__
#include <linux/magic.h>
#include <sys/vfs.h>
#endif
#ifdef HAVE_LINUX_FS_H
#include <linux/fs.h>
#endif

#define SMALL_FILE_BYTES 65536

struct file_key {
	uint64_t device, inode;
};

/* A hash set by linear probing; inode 0 is an empty place, which no file system gives to a file. */
struct seen_files {
	struct file_key *keys;
	size_t places; /* a power of two, or 0 */
	size_t count;
};

struct walker {
	char **paths; /* that are still to be walked */
	FTS *fts;     /* the tree that is being walked; NULL between trees */
	struct walker_options options;
	struct seen_files seen;
	bool many_paths; /* one file may be met again by the same name */
	uint64_t errors;
};

static size_t place_of(const struct seen_files *seen, struct file_key key)
{
	uint64_t h = (key.inode ^ key.device << 32) * UINT64_C(0x9e3779b97f4a7c15);
	size_t at = (size_t)(h >> 20) & (seen->places - 1);

	while (seen->keys[at].inode != 0 &&
	       (seen->keys[at].inode != key.inode || seen->keys[at].device != key.device))
		at = (at + 1) & (seen->places - 1);
	return at;
}

static int grow(struct seen_files *seen)
{
	struct seen_files larger = { .places = seen->places == 0 ? 1024 : 2 * seen->places };

	larger.keys = calloc(larger.places, sizeof(*larger.keys));
	if (larger.keys == NULL)
		return -ENOMEM;
	larger.count = seen->count;
	for (size_t i = 0; i < seen->places; i++) {
		if (seen->keys[i].inode != 0)
			larger.keys[place_of(&larger, seen->keys[i])] = seen->keys[i];
	}
	free(seen->keys);
	*seen = larger;
	return 0;
}

/* Returns 1 when the file was there already, 0 when it is new, or -ENOMEM. */
static int remember(struct seen_files *seen, const struct stat *st)
{
	struct file_key key = { (uint64_t)st->st_dev, (uint64_t)st->st_ino };
	size_t at;
	int r;

	if (2 * seen->count >= seen->places) {
		r = grow(seen);
		if (r < 0)
			return r;
	}
	at = place_of(seen, key);
	if (seen->keys[at].inode != 0)
		return 1;
	seen->keys[at] = key;
	seen->count++;
	return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

int walker_open(char **paths, const struct walker_options *options, struct walker **ret_walker)
{
	struct walker *walker = calloc(1, sizeof(*walker));

	if (walker == NULL)
		return -ENOMEM;
	walker->options = *options;
	walker->paths = paths;
	walker->many_paths = paths[0] != NULL && paths[1] != NULL;
	*ret_walker = walker;
	return 0;
}

void walker_close(struct walker *walker)
{
	if (walker == NULL)
		return;
	if (walker->fts != NULL)
		fts_close(walker->fts);
	free(walker->seen.keys);
	free(walker);
}

/* Trees come in the order they are named in; what is inside is sorted. */
static int next_tree(struct walker *walker)
{
	char *roots[] = { *walker->paths++, NULL };
	int flags = FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR;

	if (walker->options.one_file_system)
		flags |= FTS_XDEV;
	walker->fts = fts_open(roots, flags, by_name);
	return walker->fts == NULL ? -errno : 0;
}

/*
 * Whether a directory is the top of a mount that shows the system's state as files: some of them
 * are endless, or claim to be larger than any disk.
 */
static bool is_system_view(const FTSENT *entry)
{
#ifdef __linux__
	struct statfs fs;

	if (entry->fts_info != FTS_D || entry->fts_level == FTS_ROOTLEVEL ||
	    entry->fts_statp->st_dev == entry->fts_parent->fts_statp->st_dev ||
	    statfs(entry->fts_accpath, &fs) != 0)
		return false;
	switch ((unsigned long)fs.f_type) {
	case PROC_SUPER_MAGIC:
	case SYSFS_MAGIC:
	case DEBUGFS_MAGIC:
	case TRACEFS_MAGIC:
	case SECURITYFS_MAGIC:
	case CGROUP_SUPER_MAGIC:
	case CGROUP2_SUPER_MAGIC:
	case DEVPTS_SUPER_MAGIC:
		return true;
	default:
		return false;
	}
#else
	(void)entry;
	return false;
#endif
}

/* The next entry of any tree. Returns 1, 0 at the end, or a negated errno. */
static int next_entry(struct walker *walker, FTSENT **ret_entry)
{
	int r;

	for (;;) {
		if (walker->fts == NULL) {
			if (*walker->paths == NULL)
				return 0;
			r = next_tree(walker);
			if (r < 0)
				return r;
		}
		errno = 0;
		*ret_entry = fts_read(walker->fts);
		if (*ret_entry != NULL)
			return 1;
		if (errno != 0)
			return -errno;
		fts_close(walker->fts);
		walker->fts = NULL;
	}
}

uint64_t walker_errors(const struct walker *walker)
{
	return walker->errors;
}

static void tell(struct walker *walker, const char *path, const char *what)
{
	walker->errors++;
	if (!walker->options.silent)
		complain_path(walker->options.command, path, "%s", what);
}

/* The length of a block device, which stat does not know. */
static int device_size(int descriptor, uint64_t *ret_size)
{
	off_t end;

#ifdef BLKGETSIZE64
	if (ioctl(descriptor, BLKGETSIZE64, ret_size) == 0)
		return 0;
#endif
	end = lseek(descriptor, 0, SEEK_END);
	if (end < 0)
		return -errno;
	*ret_size = (uint64_t)end;
	return 0;
}

/* Opens what the walk found. Returns false after a message. */
static bool open_file(struct walker *walker, const FTSENT *entry, struct walked_file *ret_file)
{
	struct stat st;
	/* Should it have become a pipe by now, this does not wait for a writer. */
	int descriptor = open(entry->fts_accpath, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int r = 0;

	if (descriptor < 0 || fstat(descriptor, &st) < 0) {
		tell(walker, entry->fts_path,
		     errno == ENOENT ? "vanished while scanning" : strerror(errno));
		if (descriptor >= 0)
			close(descriptor);
		return false;
	}
	ret_file->path = entry->fts_path;
	ret_file->descriptor = descriptor;
	ret_file->device = (uint64_t)st.st_dev;
	ret_file->inode = (uint64_t)st.st_ino;
	ret_file->size = (uint64_t)st.st_size;
	/* Looking for holes in a small file takes longer than reading it. */
	ret_file->may_have_holes = st.st_size > SMALL_FILE_BYTES;
	if (S_ISBLK(st.st_mode)) {
		ret_file->may_have_holes = false;
		r = device_size(descriptor, &ret_file->size);
		if (r < 0)
			tell(walker, entry->fts_path, strerror(-r));
	} else if (!S_ISREG(st.st_mode)) {
		tell(walker, entry->fts_path, "is no longer a regular file");
		r = -EINVAL;
	}
	if (r < 0)
		close(descriptor);
	return r == 0;
}

/* Whether a scan reads it: a regular file, or a block device that was named. */
static bool is_wanted(struct walker *walker, const FTSENT *entry)
{
	bool named = entry->fts_level == FTS_ROOTLEVEL;

	switch (entry->fts_info) {
	case FTS_F:
		return true;
	case FTS_DEFAULT:
		if (named && S_ISBLK(entry->fts_statp->st_mode))
			return true;
		if (named)
			tell(walker, entry->fts_path,
			     "neither a file, a directory nor a block device");
		return false;
	case FTS_SLNONE:
		tell(walker, entry->fts_path, "a symbolic link that leads nowhere");
		return false;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		tell(walker, entry->fts_path,
		     entry->fts_errno == ENOENT && !named ? "vanished while scanning"
							  : strerror(entry->fts_errno));
		return false;
	case FTS_DC:
		tell(walker, entry->fts_path, "a directory inside itself");
		return false;
	default:
		return false;
	}
}

int walker_next(struct walker *walker, struct walked_file *ret_file)
{
	FTSENT *entry;
	int r;

	while ((r = next_entry(walker, &entry)) > 0) {
		if (is_system_view(entry))
			fts_set(walker->fts, entry, FTS_SKIP);
		if (!is_wanted(walker, entry))
			continue;
		if (walker->many_paths || entry->fts_statp->st_nlink > 1) {
			r = remember(&walker->seen, entry->fts_statp);
			if (r < 0)
				return r;
			if (r > 0)
				continue;
		}
		if (open_file(walker, entry, ret_file))
			return 1;
	}
	return r;
}

void find_data(const struct walked_file *file, uint64_t offset, uint64_t *ret_begin,
	       uint64_t *ret_end)
{
	off_t begin, end;

	*ret_begin = offset;
	*ret_end = file->size;
	if (!file->may_have_holes || offset >= file->size)
		return;
	begin = lseek(file->descriptor, (off_t)offset, SEEK_DATA);
	if (begin < 0) {
		/* ENXIO: only a hole follows. Anything else: nobody knows, read it all. */
		if (errno == ENXIO)
			*ret_begin = file->size;
		return;
	}
	if ((uint64_t)begin >= file->size) {
		*ret_begin = file->size;
		return;
	}
	*ret_begin = (uint64_t)begin;
	end = lseek(file->descriptor, begin, SEEK_HOLE);
	if (end > begin && (uint64_t)end < file->size)
		*ret_end = (uint64_t)end;
}
