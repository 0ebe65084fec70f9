/* SPDX-License-Identifier: BSD-2-Clause */
/* Walking trees: what is looked at, what is left out, and what could not be read. */
#include "scan_walk.h"

#include <errno.h>
#include <fcntl.h>
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

#include "scan_set.h"
#include "scan_tree.h"
#include "scan_volume.h"
#include "schemes.h"

#define SMALL_FILE_BYTES 65536

struct walker {
	char **paths; /* that are still to be walked */
	struct walker_options options;
	struct tree tree;
	struct pair_set files, directories; /* that were met */
	dev_t top_device;		    /* of the tree that is being walked */
	bool left_out;
	uint64_t errors;
};

/* Where something is opened from: a directory, and a name in it. */
struct place {
	int directory;
	const char *name;
	int follow; /* O_NOFOLLOW, or 0 for what is named on the command line */
};

int walker_open(char **paths, const struct walker_options *options, struct walker **ret_walker)
{
	struct walker *walker = calloc(1, sizeof(*walker));

	if (walker == NULL)
		return -ENOMEM;
	walker->options = *options;
	walker->paths = paths;
	*ret_walker = walker;
	return 0;
}

void walker_close(struct walker *walker)
{
	if (walker == NULL)
		return;
	tree_free(&walker->tree);
	pair_set_free(&walker->files);
	pair_set_free(&walker->directories);
	free(walker);
}

void walked_file_close(const struct walked_file *file)
{
	if (file->io != NULL)
		uds_io_close(file->io);
	else
		close(file->descriptor);
}

uint64_t walker_errors(const struct walker *walker)
{
	return walker->errors;
}

bool walker_left_out(const struct walker *walker)
{
	return walker->left_out;
}

static struct file_key key_of(const struct stat *st)
{
	/* No file system gives inode 0 to a file. */
	if (S_ISBLK(st->st_mode))
		return (struct file_key){ (uint64_t)st->st_rdev, 0 };
	return (struct file_key){ (uint64_t)st->st_dev, (uint64_t)st->st_ino };
}

void walker_refuse(struct walker *walker, const char *what)
{
	walker->errors++;
	if (!walker->options.silent)
		complain_path(walker->options.command, walker->tree.path, "%s", what);
}

/* @error: an errno. */
static void tell_error(struct walker *walker, int error)
{
	bool named = walker->tree.depth == 0;

	/* Links are not followed below, and what was a directory may be one no more. */
	if (!named && (error == ENOENT || error == ELOOP || error == ENOTDIR))
		walker_refuse(walker, "vanished while scanning");
	else
		walker_refuse(walker, strerror(error));
}

/*
 * Whether a directory is the top of a mount that shows the system's state as files: some of them
 * are endless, or claim to be larger than any disk.
 */
static bool is_system_view(const struct walker *walker, int descriptor, const struct stat *st)
{
#ifdef __linux__
	struct statfs fs;

	if (walker->tree.depth == 0 || st->st_dev == tree_top(&walker->tree)->device ||
	    fstatfs(descriptor, &fs) != 0)
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
	(void)walker;
	(void)descriptor;
	(void)st;
	return false;
#endif
}

static bool is_other_file_system(const struct walker *walker, const struct stat *st)
{
	return walker->options.one_file_system && walker->tree.depth > 0 &&
	       st->st_dev != walker->top_device;
}

/* Whether a file is mounted on its name by itself; its number alone does not say so (overlayfs). */
static bool is_mounted(const struct place *place)
{
#ifdef STATX_ATTR_MOUNT_ROOT
	struct statx st;

	if (statx(place->directory, place->name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &st) ==
	    0)
		return (st.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
#else
	(void)place;
#endif
	return false;
}

/* Goes down into a directory, unless it is one to stay out of. Returns 0 or a negated errno. */
static int enter_directory(struct walker *walker, const struct place *place)
{
	int descriptor = openat(place->directory, place->name,
				O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | place->follow);
	struct file_key key;
	struct stat st;
	int error = 0, r;

	if (descriptor < 0 || fstat(descriptor, &st) < 0) {
		tell_error(walker, errno);
		if (descriptor >= 0)
			close(descriptor);
		return 0;
	}
	key = key_of(&st);
	if (is_other_file_system(walker, &st) || is_system_view(walker, descriptor, &st) ||
	    pair_set_has(&walker->directories, key.device, key.inode)) {
		close(descriptor);
		return 0;
	}
	if (walker->tree.depth == 0)
		walker->top_device = st.st_dev;
	r = pair_set_add(&walker->directories, key.device, key.inode);
	if (r < 0) {
		close(descriptor);
		return r;
	}
	r = tree_enter(&walker->tree, descriptor, &st, &error);
	if (r == 0 && error != 0)
		walker_refuse(walker, strerror(error));
	return r;
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

/* Opens what the walk found. Returns 0, or a negated errno after a message. */
static int open_file(struct walker *walker, const struct place *place, struct stat *ret_st,
		     struct walked_file *ret_file)
{
	/* Should it have become a pipe by now, this does not wait for a writer. */
	int descriptor = openat(place->directory, place->name,
				O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | place->follow);
	int r = 0;

	if (descriptor < 0 || fstat(descriptor, ret_st) < 0) {
		r = -errno;
		tell_error(walker, -r);
		if (descriptor >= 0)
			close(descriptor);
		return r;
	}
	ret_file->path = walker->tree.path;
	ret_file->descriptor = descriptor;
	ret_file->io = NULL;
	ret_file->device = (uint64_t)ret_st->st_dev;
	ret_file->inode = (uint64_t)ret_st->st_ino;
	ret_file->is_device = S_ISBLK(ret_st->st_mode);
	ret_file->size = (uint64_t)ret_st->st_size;
	/* Looking for holes in a small file takes longer than reading it. */
	ret_file->may_have_holes = ret_st->st_size > SMALL_FILE_BYTES;
	if (S_ISBLK(ret_st->st_mode)) {
		ret_file->may_have_holes = false;
		/* What others wrote to the device does not reach what is cached of it. */
		(void)posix_fadvise(descriptor, 0, 0, POSIX_FADV_DONTNEED);
		r = device_size(descriptor, &ret_file->size);
		if (r < 0)
			tell_error(walker, -r);
	} else if (!S_ISREG(ret_st->st_mode)) {
		walker_refuse(walker, "is no longer a regular file");
		r = -EINVAL;
	}
	if (r < 0)
		close(descriptor);
	return r;
}

/* Returns 1 with a file to be read, 0 when there is none, or -ENOMEM. */
static int take_file(struct walker *walker, const struct place *place, struct stat *st,
		     struct walked_file *ret_file)
{
	struct file_key key = key_of(st);
	int opened, r;

	if (walker->options.left_out != NULL && left_out_has_file(walker->options.left_out, key)) {
		walker->left_out = true;
		return 0;
	}
	if (pair_set_has(&walker->files, key.device, key.inode) ||
	    (is_other_file_system(walker, st) && is_mounted(place)))
		return 0;
	opened = open_file(walker, place, st, ret_file);
	if (opened == 0)
		key = key_of(st); /* of what is there by now */
	else if (opened == -ENOENT)
		return 0; /* it may still be there by another name */
	r = pair_set_add(&walker->files, key.device, key.inode);
	if (r == 0)
		return opened == 0;
	if (opened == 0)
		close(ret_file->descriptor);
	return r;
}

static bool is_stopped(const struct walker *walker)
{
	const struct walker_options *options = &walker->options;

	return options->look != NULL &&
	       options->look(options->look_context, walker->tree.path) != 0;
}

/* Looks at a name in a directory. Returns 1 with a file, 0 to go on, or a negated errno. */
static int visit(struct walker *walker, const char *name, struct walked_file *ret_file)
{
	struct place place = { tree_top(&walker->tree)->descriptor, name, O_NOFOLLOW };
	struct stat st;

	if (is_stopped(walker))
		return -ECANCELED;
	if (fstatat(place.directory, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0) {
		tell_error(walker, errno);
		return 0;
	}
	/* What is on another file system is not even opened: it may be one that does not answer. */
	if (S_ISDIR(st.st_mode))
		return is_other_file_system(walker, &st) ? 0 : enter_directory(walker, &place);
	return S_ISREG(st.st_mode) ? take_file(walker, &place, &st, ret_file) : 0;
}

/* Looks at what is named on the command line; see visit(). */
static int visit_named(struct walker *walker, const struct place *place,
		       struct walked_file *ret_file)
{
	struct stat st;

	if (fstatat(place->directory, place->name, &st, 0) < 0) {
		int error = errno;

		if (error == ENOENT &&
		    fstatat(place->directory, place->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			walker_refuse(walker, "a symbolic link that leads nowhere");
		else
			tell_error(walker, error);
		return 0;
	}
	if (S_ISDIR(st.st_mode))
		return enter_directory(walker, place);
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode))
		return take_file(walker, place, &st, ret_file);
	walker_refuse(walker, "neither a file, a directory nor a block device");
	return 0;
}

/* Opens a volume that a URI names; see visit(). */
static int visit_volume(struct walker *walker, const char *uri, struct walked_file *ret_file)
{
	struct uds_message message = { "" };
	struct walked_file file;
	struct file_key key;
	int r = volume_open(uri, walker->options.command, &message, &file);

	if (r < 0) {
		walker->errors++;
		if (!walker->options.silent)
			complain_about(walker->options.command, uri,
				       message.text[0] != '\0' ? message.text : uds_strerror(r));
		return 0;
	}
	key = volume_key(file.io, uri);
	if (walker->options.left_out != NULL &&
	    left_out_has_volume(walker->options.left_out, file.io)) {
		walker->left_out = true;
		r = 0;
	} else if (!pair_set_has(&walker->files, key.device, key.inode)) {
		r = pair_set_add(&walker->files, key.device, key.inode);
		r = r == 0 ? 1 : r;
	}
	if (r == 1)
		*ret_file = file;
	else
		walked_file_close(&file);
	return r;
}

/* Starts with the next of the paths that were named, in their order; see visit(). */
static int visit_next_path(struct walker *walker, struct walked_file *ret_file)
{
	const char *path = *walker->paths++;
	struct place place = { AT_FDCWD, path, 0 };
	int r = tree_start(&walker->tree, path);

	if (r < 0)
		return r;
	if (is_stopped(walker))
		return -ECANCELED;
	if (has_known_scheme(path))
		return visit_volume(walker, path, ret_file);
	r = open_start_of_path(path, &place.directory, &place.name);
	if (r < 0) {
		tell_error(walker, -r);
		return 0;
	}
	r = visit_named(walker, &place, ret_file);
	if (place.directory != AT_FDCWD)
		close(place.directory);
	return r;
}

int walker_next(struct walker *walker, struct walked_file *ret_file)
{
	const char *name;
	int r = 0;

	while (r == 0) {
		if (walker->tree.depth == 0) {
			if (*walker->paths == NULL)
				return 0;
			r = visit_next_path(walker, ret_file);
			continue;
		}
		r = tree_next(&walker->tree, &name);
		if (r < 0)
			return r;
		if (r == 0 && !tree_leave(&walker->tree))
			walker_refuse(walker,
				      "was moved while scanning; the rest of it is left out");
		if (r == 0)
			continue;
		r = visit(walker, name, ret_file);
	}
	return r;
}

void find_data(const struct walked_file *file, uint64_t offset, uint64_t *ret_begin,
	       uint64_t *ret_end)
{
	off_t begin, end;

	if (file->io != NULL) {
		volume_find_data(file, offset, ret_begin, ret_end);
		return;
	}
	*ret_begin = offset;
	*ret_end = file->size;
	if (!file->may_have_holes || offset >= file->size)
		return;
	begin = lseek(file->descriptor, (off_t)offset, SEEK_DATA);
	if (begin < 0) {
		/* ENXIO: only a hole follows. Anything else: not known, read it all. */
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
