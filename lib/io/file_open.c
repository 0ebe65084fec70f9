/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening a file or a block device: the file backend's way in. A step that fails undoes those
 * before it, also the making of the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "io/block_device.h"
#include "io/descriptor.h"
#include "io/file.h"

/* How often, 10 ms apart, a file under a lease is asked for. */
#define LEASE_TRIES 200

static int cannot_open(const char *path, int status, struct uds_message *message)
{
	return failure(message, status, "%s: cannot be opened: %s", path, uds_strerror(status));
}

static int check_options(const char *path, const struct uds_io_file_options *options,
			 struct uds_message *message)
{
	if (options->create && !options->write)
		return failure(message, -EINVAL, "%s: to create it, it must be opened to write",
			       path);
	if (options->exclusive_create && !options->create)
		return failure(message, -EINVAL, "%s: exclusive_create without create", path);
	if (options->no_lock && options->write)
		return failure(message, -EINVAL, "%s: no writing without the lock", path);
	if (options->direct != UDS_IO_DIRECT_NO && options->direct != UDS_IO_DIRECT_YES &&
	    options->direct != UDS_IO_DIRECT_AUTO)
		return failure(message, -EINVAL, "%s: unknown value %d for direct", path,
			       (int)options->direct);
	if (options->map && options->direct == UDS_IO_DIRECT_YES)
		return failure(message, -EINVAL,
			       "%s: mapped files are in the page cache: no O_DIRECT", path);
	return 0;
}

static int check_kind(const char *path, const struct stat *st, struct uds_message *message)
{
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return 0;
	if (S_ISDIR(st->st_mode))
		return failure(message, -EISDIR, "%s: is a directory", path);
	return failure(message, -EINVAL, "%s: neither a regular file nor a block device", path);
}

/*
 * What is at the path may have changed since it was looked at, into @was; from here on it stays
 * what it is. A file in place of a device was perhaps come to by a link that is not to be followed.
 */
static int settle(int fd, const struct stat *was, const char *path, struct uds_message *message)
{
	struct stat st;
	int flags, r;

	if (fstat(fd, &st) < 0)
		return cannot_open(path, -errno, message);
	r = check_kind(path, &st, message);
	if (r < 0)
		return r;
	if ((st.st_mode & S_IFMT) != (was->st_mode & S_IFMT))
		return failure(message, -EINVAL,
			       "%s: something else has taken its place while it was opened", path);
	/* With O_NONBLOCK io_uring would give up where a transfer has to wait for the device. */
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		return cannot_open(path, -errno, message);
	return 0;
}

/*
 * Somebody has a lease on the file (a file server, say): asking for it has made the kernel call it
 * back, and most give it up at once.
 */
static int wait_for_lease(const char *path, int flags, struct uds_message *message)
{
	const struct timespec pause = { .tv_nsec = 10000000L };
	int fd = -EWOULDBLOCK;

	for (int tries = 0; tries < LEASE_TRIES && fd == -EWOULDBLOCK; tries++) {
		nanosleep(&pause, NULL);
		fd = descriptor_open(path, flags);
	}
	if (fd == -EWOULDBLOCK)
		return failure(message, UDS_ERR_IN_USE,
			       "%s: somebody holds a lease on it and does not give it up", path);
	return fd < 0 ? cannot_open(path, fd, message) : fd;
}

/*
 * What is there is looked at before it is opened: opening some devices already does something.
 * Should a FIFO take its place meanwhile, O_NONBLOCK keeps the open from waiting for the other end.
 *
 * @no_link: a symbolic link is followed to a device only.
 */
static int open_existing(const char *path, bool write, bool no_link, struct uds_message *message)
{
	struct stat st;
	int flags = (write ? O_RDWR : O_RDONLY) | O_NONBLOCK;
	int fd, r;

	if (stat(path, &st) < 0)
		return cannot_open(path, -errno, message);
	r = check_kind(path, &st, message);
	if (r < 0)
		return r;
	/* For a device O_EXCL is a claim that the kernel grants only once (file_lock.c). */
	if (write && S_ISBLK(st.st_mode))
		flags |= O_EXCL;
	if (no_link && !S_ISBLK(st.st_mode))
		flags |= O_NOFOLLOW;
	fd = descriptor_open(path, flags);
	if (fd == -EBUSY && S_ISBLK(st.st_mode))
		return file_device_in_use(st.st_rdev, path, message);
	if (fd == -EWOULDBLOCK)
		fd = wait_for_lease(path, flags, message);
	else if (fd < 0)
		cannot_open(path, fd, message);
	if (fd < 0)
		return fd;
	r = settle(fd, &st, path, message);
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

/*
 * A user who may make names in the folder could lead what is created over any file that its user
 * may write. So it is not written through a symbolic link, whether that leads to a file or nowhere;
 * only to a device, as those in /dev/mapper do, which take rights to be made.
 */
static int refuse_link(const char *path, struct uds_message *message)
{
	struct stat st;

	if (lstat(path, &st) < 0 || !S_ISLNK(st.st_mode))
		return 0;
	/* Anything else is refused for what it is. */
	if (stat(path, &st) < 0 ? errno != ENOENT : !S_ISREG(st.st_mode))
		return 0;
	return failure(
		message, -ELOOP,
		"%s: is a symbolic link, and nothing is created through one: name the file itself",
		path);
}

/*
 * Whether the file was made here must be known to undo it, so it is made exclusively, or opened as
 * it is; twice, in case another process removes or makes it in between.
 */
static int open_or_create(const char *path, const struct uds_io_file_options *options,
			  bool *ret_created, struct uds_message *message)
{
	int fd = -ENOENT, r;

	*ret_created = false;
	if (!options->create)
		return open_existing(path, options->write, false, message);
	for (int tries = 0; tries < 2 && fd == -ENOENT; tries++) {
		fd = descriptor_open(path, O_RDWR | O_CREAT | O_EXCL);
		if (fd >= 0)
			*ret_created = true;
		if (fd != -EEXIST || options->exclusive_create)
			return fd < 0 ? cannot_open(path, fd, message) : fd;
		r = refuse_link(path, message);
		fd = r < 0 ? r : open_existing(path, true, true, message);
	}
	return fd;
}

/* Makes the name of a new file durable, as far as its directory may be opened at all. */
static int flush_directory(const char *path, const struct uds_env *env, struct uds_message *message)
{
	const char *slash = strrchr(path, '/');
	size_t length = slash == NULL ? 1 : slash == path ? 1 : (size_t)(slash - path);
	char *directory;
	int fd, r = 0;

	directory = env_allocate(env, length + 1, 1);
	if (directory == NULL)
		return failure(message, -ENOMEM, "%s: no memory", path);
	memcpy(directory, slash == NULL ? "." : path, length);
	directory[length] = '\0';
	fd = descriptor_open(directory, O_RDONLY | O_DIRECTORY);
	if (fd >= 0) {
		/* EINVAL: the file system has no such thing as flushing a directory. */
		if (fsync(fd) < 0 && errno != EINVAL)
			r = failure(message, -errno, "%s: flushing its directory: %s", path,
				    uds_strerror(-errno));
		close(fd);
	}
	env_release(env, directory);
	return r;
}

/*
 * Some kernels open a read-only device to write and refuse each write later: too late for a user.
 */
static int check_writable(int fd, const char *path, struct uds_message *message)
{
	int read_only;

	if (ioctl(fd, BLKROGET, &read_only) < 0)
		return cannot_open(path, -errno, message);
	if (read_only != 0)
		return failure(message, -EROFS, "%s: is a read-only device", path);
	return 0;
}

/*
 * Others that have a device write to it past its page cache: device-mapper to what it lies on, a
 * disk to its partitions and the reverse, and the cache is kept for as long as anyone has the
 * device open. So what is in it is dropped first (what is not written back yet is the newest there
 * is, and stays), and a device that somebody uses now is read with O_DIRECT.
 */
static int refresh_device(int fd, const struct stat *st, const struct uds_io_file_options *options,
			  const struct uds_env *env, const char *path, uint32_t *ret_alignment,
			  bool *ret_in_use)
{
	struct uds_message unused;
	uint32_t block, memory;
	int r;

	*ret_alignment = 0;
	/* Only advice: where it is not followed, reads are as fresh as the cache. */
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	/* Opening to write has shown that nothing has it. */
	*ret_in_use = !options->write && file_device_has_user(st->st_rdev);
	if (!*ret_in_use || options->direct != UDS_IO_DIRECT_NO)
		return 0;
	r = file_make_direct(fd, st, env, path, &block, &memory, &unused);
	if (r == 0) {
		*ret_alignment = block > memory ? block : memory;
		env_log(env, UDS_LOG_INFO, "%s: in use, so it is read past the page cache", path);
	}
	/*
	 * Without O_DIRECT it is read through its page cache, which may be stale: better
	 * than not at all.
	 */
	return r == -ENOMEM ? r : 0;
}

/* O_DIRECT as the caller wants it; the limits stay as they are where it is off. */
static int make_direct(int fd, const struct stat *st, const struct uds_io_file_options *options,
		       const struct uds_env *env, const char *path, struct uds_io_limits *limits,
		       struct uds_message *message)
{
	int r;

	if (options->direct == UDS_IO_DIRECT_NO)
		return 0;
	r = file_make_direct(fd, st, env, path, &limits->block_bytes, &limits->memory_alignment,
			     message);
	if (r == UDS_ERR_NO_DIRECT_IO && options->direct == UDS_IO_DIRECT_AUTO) {
		env_log(env, UDS_LOG_INFO, "%s: no O_DIRECT here, using the page cache", path);
		r = 0;
	}
	return r;
}

static int learn_size(struct file_io *file, const struct uds_io_file_options *options,
		      const struct stat *st)
{
	uint64_t bytes;

	/*
	 * With a lock the size counts from when it was taken: until then a writer may
	 * have been there.
	 */
	if (!options->no_lock || file->block_device)
		return file_get_size(file, &bytes);
	atomic_store(&file->size_seen, (uint64_t)st->st_size);
	return 0;
}

/* A file that is read past the cache is not mapped: that would be through the cache. */
static int map_file(struct file_io *file, const struct uds_io_file_options *options,
		    const char *path, struct uds_message *message)
{
	int r;

	file->wants_map = options->map && file->block_bytes == 1;
	r = file_map(file);
	return r < 0 ? failure(message, r, "%s: mapping it: %s", path, uds_strerror(r)) : 0;
}

static struct file_io *make_file(int fd, const struct stat *st, const struct uds_env *env,
				 uint32_t hidden_alignment, const struct uds_io_limits *limits)
{
	struct file_io *file = env_allocate_zeroed(env, 1, sizeof(*file));

	if (file == NULL)
		return NULL;
	file->env = *env;
	file->fd = fd;
	ring_slots_init(&file->slots);
	file->block_device = S_ISBLK(st->st_mode);
	file->hidden_alignment = hidden_alignment;
	file->block_bytes = hidden_alignment != 0 ? hidden_alignment : limits->block_bytes;
	return file;
}

/* Everything between the descriptor and the handle. */
static int finish_open(int fd, const char *path, const struct uds_io_file_options *options,
		       const struct uds_env *env, struct uds_message *message,
		       struct uds_io **ret_io)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_io_ops ops = file_ops;
	struct file_io *file;
	uint32_t hidden_alignment = 0;
	bool in_use = false;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return cannot_open(path, -errno, message);
	r = check_kind(path, &st, message);
	if (r == 0 && options->write && S_ISREG(st.st_mode))
		r = file_check_image(&st, path, message);
	if (r == 0 && options->write && S_ISBLK(st.st_mode))
		r = check_writable(fd, path, message);
	if (r == 0 && !options->no_lock)
		r = file_lock(fd, &st, options->write, path, message);
	if (r < 0)
		return r;
	if (S_ISBLK(st.st_mode)) {
		r = refresh_device(fd, &st, options, env, path, &hidden_alignment, &in_use);
		if (r < 0)
			return cannot_open(path, r, message);
	}
	r = make_direct(fd, &st, options, env, path, &limits, message);
	if (r < 0)
		return r;
	file = make_file(fd, &st, env, hidden_alignment, &limits);
	if (file == NULL)
		return failure(message, -ENOMEM, "%s: no memory", path);
	limits.read_only = !options->write;
	limits.name = path;
	r = learn_size(file, options, &st);
	if (r < 0)
		failure(message, r, "%s: asking for its size: %s", path, uds_strerror(r));
	if (r == 0)
		r = map_file(file, options, path, message);
	if (r == 0) {
		ops.identity = file_identity;
		r = uds_io_open_ops(&ops, file, &limits, env, message, ret_io);
	}
	if (r == 0) {
		(*ret_io)->ring_file = options->uring ? file : NULL;
		(*ret_io)->in_use = in_use;
		(*ret_io)->map = file->wants_map ? &file->map : NULL;
	}
	if (r < 0) {
		file_unmap(file);
		ring_slots_end(&file->slots);
		env_release(env, file);
	}
	return r;
}

UDS_PUBLIC int uds_io_open_file(const char *path, const struct uds_io_file_options *given,
				const struct uds_env *given_env, struct uds_message *ret_message,
				struct uds_io **ret_io)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_env env;
	bool created;
	int fd, r;

	r = env_take(given_env, ret_message, &env);
	if (r == 0 && given != NULL)
		r = STRUCT_IN(&options, given, uds_io_file_options, uring, ret_message);
	if (r < 0)
		return failure_in(ret_message, r, "%s", path);
	r = check_options(path, &options, ret_message);
	if (r < 0)
		return r;
	fd = open_or_create(path, &options, &created, &message);
	if (fd < 0) {
		r = fd;
		goto out;
	}
	if (created)
		r = flush_directory(path, &env, &message);
	if (r == 0)
		r = finish_open(fd, path, &options, &env, &message, ret_io);
	if (r < 0) {
		/* Locked by another already: it is theirs now. */
		if (created && r != UDS_ERR_IN_USE)
			unlink(path);
		close(fd);
	}
out:
	/* An open that falls back from O_DIRECT succeeds; its sentence is not given out. */
	if (r < 0 && ret_message != NULL)
		*ret_message = message;
	return r;
}

/*
 * Whether the descriptor is one that the options can be kept with; takes off what they do not say.
 */
static int settle_descriptor(int descriptor, const char *name,
			     const struct uds_io_file_options *options, struct uds_message *message)
{
	const int unwanted = O_NONBLOCK | O_APPEND | O_DIRECT;
	int flags;

	if (options->create)
		return failure(message, -EINVAL, "%s: a descriptor creates nothing", name);
	if (descriptor >= 0 && descriptor < FIRST_DESCRIPTOR)
		return failure(message, -EINVAL, "%s: descriptor %d is a standard one", name,
			       descriptor);
	flags = fcntl(descriptor, F_GETFL);
	if (flags < 0)
		return cannot_open(name, -errno, message);
	if ((flags & O_PATH) != 0 || (flags & O_ACCMODE) == O_WRONLY ||
	    (options->write && (flags & O_ACCMODE) != O_RDWR))
		return failure(message, -EBADF, "%s: its descriptor is not open to %s", name,
			       options->write ? "read and write" : "read");
	/*
	 * O_APPEND would send each write to the end; O_DIRECT is set again if the options say so.
	 */
	if ((flags & unwanted) != 0 && fcntl(descriptor, F_SETFL, flags & ~unwanted) < 0)
		return cannot_open(name, -errno, message);
	return 0;
}

/* O_EXCL, which keeps mounts and device-mapper away, is had at an open only. */
static int refuse_device(int descriptor, const char *name, struct uds_message *message)
{
	struct stat st;

	if (fstat(descriptor, &st) < 0)
		return cannot_open(name, -errno, message);
	if (S_ISBLK(st.st_mode))
		return failure(message, -EINVAL,
			       "%s: a block device is opened for writing by its path only", name);
	return 0;
}

UDS_PUBLIC int uds_io_open_descriptor(int descriptor, const char *name,
				      const struct uds_io_file_options *given,
				      const struct uds_env *given_env,
				      struct uds_message *ret_message, struct uds_io **ret_io)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_env env;
	int r;

	r = env_take(given_env, ret_message, &env);
	if (r == 0 && given != NULL)
		r = STRUCT_IN(&options, given, uds_io_file_options, uring, ret_message);
	if (r < 0)
		return failure_in(ret_message, r, "%s", name);
	r = check_options(name, &options, &message);
	if (r == 0)
		r = settle_descriptor(descriptor, name, &options, &message);
	if (r == 0 && options.write)
		r = refuse_device(descriptor, name, &message);
	if (r == 0)
		r = finish_open(descriptor, name, &options, &env, &message, ret_io);
	if (r < 0 && ret_message != NULL)
		*ret_message = message;
	return r;
}
