/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The file backend's work on an open descriptor: whole transfers, size, flush, discard. Opening
 * is in file_open.c.
 *
 * The system may transfer less than was asked for, or be interrupted; here a transfer goes on until
 * all of it is done or an error is known.
 */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/env.h"
#include "io/block_device.h"

/* musl has the other flags of fallocate(), but not this one. */
#ifndef FALLOC_FL_ZERO_RANGE
#define FALLOC_FL_ZERO_RANGE 0x10
#endif

/* The most that is handed to the system at once: a multiple of any block, below its own limit. */
#define MAX_TRANSFER ((size_t)1 << 30)

/* A multiple of any block, and at least two of them. */
#define BOUNCE_BYTES ((size_t)1 << 18)

int file_get_size(struct file_io *file, uint64_t *ret_bytes)
{
	uint64_t bytes;

	if (file->block_device) {
		if (ioctl(file->fd, BLKGETSIZE64, &bytes) < 0)
			return -errno;
	} else {
		struct stat st;

		if (fstat(file->fd, &st) < 0)
			return -errno;
		bytes = (uint64_t)st.st_size;
	}
	/* Remembered: a range inside of it needs no system call to be checked. */
	atomic_store(&file->size_seen, bytes);
	*ret_bytes = bytes;
	return 0;
}

int file_check_range(struct file_io *file, uint64_t offset, uint64_t length)
{
	uint64_t size = atomic_load(&file->size_seen);
	int r;

	if (offset <= size && length <= size - offset)
		return 0;
	/* The file may have grown since: asked before it is refused. */
	r = file_get_size(file, &size);
	if (r < 0)
		return r;
	return offset <= size && length <= size - offset ? 0 : UDS_ERR_OUT_OF_RANGE;
}

/*
 * How much of a short transfer counts: with O_DIRECT the next one must begin on a block again.
 * 0 when nothing does.
 */
static size_t progress_of(const struct file_io *file, size_t done, size_t asked)
{
	return done == asked ? done : done & ~((size_t)file->block_bytes - 1);
}

/*
 * What a read that brought nothing comes to: UDS_ERR_OUT_OF_RANGE when the file has become shorter,
 * -EIO when the range is inside of it, or what asking for the size said.
 */
static int read_ended(struct file_io *file, uint64_t offset, uint64_t length)
{
	uint64_t size = 0;
	int r;

	/* Not the remembered size: a file that became shorter is the usual reason. */
	r = file_get_size(file, &size);
	if (r < 0)
		return r;
	return offset <= size && length <= size - offset ? -EIO : UDS_ERR_OUT_OF_RANGE;
}

/*
 * So many reads in a row that bring nothing, inside of the file, are a device that gives up
 * without a word.
 */
#define EMPTY_READS 3u

static int read_whole(struct file_io *file, void *buffer, size_t length, uint64_t offset)
{
	unsigned int empty = 0;
	uint8_t *at = buffer;

	while (length > 0) {
		size_t part = length < MAX_TRANSFER ? length : MAX_TRANSFER;
		ssize_t n = pread(file->fd, at, part, (off_t)offset);
		size_t progress;

		/* Nothing was transferred yet: the same part again. */
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		progress = progress_of(file, (size_t)n, part);
		if (progress == 0) {
			int r = read_ended(file, offset, length);

			/* It may have grown again meanwhile, but not again and again. */
			if (r != -EIO || ++empty == EMPTY_READS)
				return r;
		}
		empty = progress == 0 ? empty : 0;
		at += progress;
		offset += progress;
		length -= progress;
	}
	return 0;
}

bool file_must_bounce(const struct file_io *file, const void *buffer, size_t length,
		      uint64_t offset)
{
	return file->hidden_alignment != 0 &&
	       (((uintptr_t)buffer | length | offset) & (file->hidden_alignment - 1)) != 0;
}

/* Reads the blocks around each part and copies the part out of them. */
static int read_bouncing(struct file_io *file, uint8_t *to, size_t length, uint64_t offset)
{
	const uint32_t mask = file->hidden_alignment - 1;
	uint8_t *bounce;
	int r;

	/* Before the blocks around it are read, which may reach over the end. */
	r = file_check_range(file, offset, length);
	if (r < 0)
		return r;
	bounce = env_allocate_aligned(&file->env, BOUNCE_BYTES, file->hidden_alignment);
	if (bounce == NULL)
		return -ENOMEM;
	while (r == 0 && length > 0) {
		size_t skip = (size_t)(offset & mask);
		size_t part = length < BOUNCE_BYTES - skip ? length : BOUNCE_BYTES - skip;

		/*
		 * Whole blocks: the caller's alignment is smaller than what the descriptor now
		 * demands.
		 */
		r = read_whole(file, bounce, (skip + part + mask) & ~(size_t)mask, offset - skip);
		if (r < 0)
			break;
		memcpy(to, bounce + skip, part);
		to += part;
		offset += part;
		length -= part;
	}
	env_release(&file->env, bounce);
	return r;
}

/* Up to here a copy out of the mapping costs less than a call. */
#define MAPPED_READ_MOST 65536u

static bool read_mapped(const struct file_io *file, void *buffer, size_t length, uint64_t offset)
{
	uint64_t mapped = atomic_load_explicit(&file->map.length, memory_order_acquire);

	if (length > MAPPED_READ_MOST || offset > mapped || length > mapped - offset)
		return false;
	memcpy(buffer, file->map.bytes + offset, length);
	return true;
}

int file_map(struct file_io *file)
{
	uint64_t size = atomic_load(&file->size_seen);
	void *bytes;

	if (!file->wants_map || size == 0 || file->map.bytes != NULL)
		return 0;
	if (size > SIZE_MAX)
		return -EFBIG;
	bytes = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, file->fd, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	/* Names are spread evenly: what is around one is not asked for next. */
	(void)madvise(bytes, (size_t)size, MADV_RANDOM);
	file->map.bytes = bytes;
	file->mapped_bytes = (size_t)size;
	atomic_store_explicit(&file->map.length, size, memory_order_release);
	return 0;
}

void file_unmap(struct file_io *file)
{
	if (file->map.bytes != NULL)
		munmap((void *)(uintptr_t)file->map.bytes, file->mapped_bytes);
}

/* Before the file becomes shorter: what is gone must not be touched. */
static void shorten_map(struct file_io *file, uint64_t bytes)
{
	if (bytes < atomic_load(&file->map.length))
		atomic_store(&file->map.length, bytes);
}

static int file_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	struct file_io *file = context;

	if (read_mapped(file, buffer, length, offset))
		return 0;
	if (file_must_bounce(file, buffer, length, offset))
		return read_bouncing(file, buffer, length, offset);
	return read_whole(file, buffer, length, offset);
}

static int file_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	struct file_io *file = context;
	const uint8_t *at = buffer;
	int r;

	/* A write behind the end would make the file longer; only resize does that. */
	r = file_check_range(file, offset, length);
	if (r < 0)
		return r;
	while (length > 0) {
		size_t part = length < MAX_TRANSFER ? length : MAX_TRANSFER;
		ssize_t n = pwrite(file->fd, at, part, (off_t)offset);
		size_t progress;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		progress = progress_of(file, (size_t)n, part);
		/* Nothing went, and no error either: trying again could go on for ever. */
		if (progress == 0)
			return -EIO;
		at += progress;
		offset += progress;
		length -= progress;
	}
	return 0;
}

static int file_flush(void *context)
{
	struct file_io *file = context;

	/*
	 * fdatasync() and not fsync(): the time of the last change need not be durable, the size
	 * is.
	 */
	while (fdatasync(file->fd) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int file_size(void *context, uint64_t *ret_bytes)
{
	return file_get_size(context, ret_bytes);
}

static int file_resize(void *context, uint64_t bytes)
{
	struct file_io *file = context;

	if (file->block_device)
		return -EOPNOTSUPP;
	if (bytes > INT64_MAX)
		return -EFBIG;
	shorten_map(file, bytes);
	while (ftruncate(file->fd, (off_t)bytes) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	atomic_store(&file->size_seen, bytes);
	/* A mapping saves time, and nothing else: without one the file is read. */
	(void)file_map(file);
	return 0;
}

/* The whole sectors of the range; a part of a sector at either end stays as it is. */
static int discard_sectors(struct file_io *file, uint64_t offset, uint64_t length)
{
	uint64_t range[2], end = offset + length;
	int sector;

	if (ioctl(file->fd, BLKSSZGET, &sector) < 0)
		return -errno;
	/* Inwards: a sector that is not wholly in the range has other data. */
	range[0] = (offset + (uint64_t)sector - 1) & ~((uint64_t)sector - 1);
	end &= ~((uint64_t)sector - 1);
	/* No whole sector lies in the range: nothing to do, as a discard promises nothing. */
	if (range[0] >= end)
		return 0;
	range[1] = end - range[0];
	return ioctl(file->fd, BLKDISCARD, range) < 0 ? -errno : 0;
}

static int file_discard(void *context, uint64_t offset, uint64_t length)
{
	struct file_io *file = context;
	int r;

	r = file_check_range(file, offset, length);
	if (r < 0 || length == 0)
		return r;
	if (file->block_device)
		return discard_sectors(file, offset, length);
	/* KEEP_SIZE: the file stays as long as it is. */
	while (fallocate(file->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			 (off_t)length) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

static int file_write_zeroes(void *context, uint64_t offset, uint64_t length)
{
	struct file_io *file = context;
	uint64_t range[2] = { offset, length };
	int r;

	r = file_check_range(file, offset, length);
	if (r < 0)
		return r;
	/*
	 * A device wants whole sectors; the caller writes anything else. Whatever the error was,
	 * the writes that follow tell whether the device has failed.
	 */
	if (file->block_device)
		return ioctl(file->fd, BLKZEROOUT, range) < 0 ? -EOPNOTSUPP : 0;
	while (fallocate(file->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			 (off_t)length) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

/*
 * The position of the descriptor moves, which nothing else uses: transfers say where they are. A
 * file that becomes shorter meanwhile has no data there.
 */
static int file_find_data(void *context, uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end)
{
	struct file_io *file = context;
	off_t begin, end;
	int r;

	if (file->block_device)
		return -EOPNOTSUPP;
	begin = lseek(file->fd, (off_t)offset, SEEK_DATA);
	/* No data from there on; also when the file became shorter than that meanwhile. */
	if (begin < 0 && errno == ENXIO) {
		r = file_size(file, ret_end);
		*ret_begin = *ret_end;
		return r;
	}
	end = begin < 0 ? -1 : lseek(file->fd, begin, SEEK_HOLE);
	/* EINVAL: a file system without SEEK_DATA. */
	if (end < 0)
		return errno == EINVAL ? -EOPNOTSUPP : -errno;
	*ret_begin = (uint64_t)begin;
	*ret_end = (uint64_t)end;
	return 0;
}

static int file_close(void *context)
{
	struct file_io *file = context;
	struct uds_env env = file->env;
	int r = 0;

	/* Before the descriptor is closed: a ring that still has the file keeps its lock alive. */
	ring_slots_end(&file->slots);
	file_unmap(file);
	/* After EINTR the descriptor is gone all the same: Linux closes it first. */
	if (close(file->fd) < 0 && errno != EINTR)
		r = -errno;
	env_release(&env, file);
	return r;
}

const struct uds_io_ops file_ops = {
	.size = sizeof(struct uds_io_ops),
	.read = file_read,
	.write = file_write,
	.flush = file_flush,
	.get_size = file_size,
	.close = file_close,
	.discard = file_discard,
	.resize = file_resize,
	.write_zeroes = file_write_zeroes,
	.find_data = file_find_data,
};
