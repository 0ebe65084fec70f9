/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * O_DIRECT: turning it on, and finding out what it demands of offsets, lengths and memory.
 *
 * A block device says its logical sector size. For a regular file newer kernels tell (statx,
 * STATX_DIOALIGN); older ones are asked by reading. Where even that says nothing, because the file
 * is empty, 4096 serves: every sector size in use divides it.
 */
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "io/block_device.h"

#define SMALLEST_BLOCK 512
#define SAFE_BLOCK     4096

struct alignment {
	uint32_t block;
	uint32_t memory;
};

static int device_alignment(int fd, struct alignment *ret_alignment)
{
	int sector;

	if (ioctl(fd, BLKSSZGET, &sector) < 0)
		return -errno;
	/* Numbers that no device has would make all masks below wrong. */
	if (sector < SMALLEST_BLOCK || !is_power_of_two((uint64_t)sector))
		return -EIO;
	ret_alignment->block = ret_alignment->memory = (uint32_t)sector;
	return 0;
}

/*
 * What the kernel says. 0, -ENODATA when it says nothing, -EINVAL when it says "not for this file".
 */
static int told_alignment(int fd, struct alignment *ret_alignment)
{
#ifdef STATX_DIOALIGN
	struct statx stx;

	if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) < 0 ||
	    (stx.stx_mask & STATX_DIOALIGN) == 0)
		return -ENODATA;
	if (stx.stx_dio_offset_align == 0)
		return -EINVAL;
	if (!is_power_of_two(stx.stx_dio_offset_align) || !is_power_of_two(stx.stx_dio_mem_align))
		return -ENODATA;
	ret_alignment->block = stx.stx_dio_offset_align;
	ret_alignment->memory = stx.stx_dio_mem_align;
	return 0;
#else
	(void)fd;
	(void)ret_alignment;
	return -ENODATA;
#endif
}

/* Tries reads of both sizes. 0, -EINVAL when neither is taken, or what the system said. */
static int probed_alignment(int fd, const struct stat *st, const struct uds_env *env,
			    struct alignment *ret_alignment)
{
	uint32_t block;
	uint8_t *memory;
	int r = -EINVAL;

	ret_alignment->block = ret_alignment->memory = SAFE_BLOCK;
	memory = env_allocate_aligned(env, (size_t)2 * SAFE_BLOCK, SAFE_BLOCK);
	if (memory == NULL)
		return -ENOMEM;
	/*
	 * A read at the end looks at no alignment, so a file too short for the step is read whole.
	 */
	for (block = st->st_size > SMALLEST_BLOCK ? SMALLEST_BLOCK : SAFE_BLOCK;
	     block <= SAFE_BLOCK && r == -EINVAL; block *= SAFE_BLOCK / SMALLEST_BLOCK) {
		/*
		 * At an odd multiple of 512, in the file and in memory: at 0 a larger demand would
		 * be met, too.
		 */
		uint64_t offset = block == SMALLEST_BLOCK ? SMALLEST_BLOCK : 0;
		ssize_t n;

		do
			n = pread(fd, memory + (block == SMALLEST_BLOCK ? SMALLEST_BLOCK : 0),
				  block, (off_t)offset);
		while (n < 0 && errno == EINTR);
		r = n < 0 ? -errno : 0;
		if (r == 0)
			ret_alignment->block = ret_alignment->memory = block;
	}
	env_release(env, memory);
	return r;
}

static int find_alignment(int fd, const struct stat *st, const struct uds_env *env,
			  struct alignment *ret_alignment)
{
	int r;

	if (S_ISBLK(st->st_mode))
		return device_alignment(fd, ret_alignment);
	/* Asked first: a read that tries has to find data in the file. */
	r = told_alignment(fd, ret_alignment);
	return r == -ENODATA ? probed_alignment(fd, st, env, ret_alignment) : r;
}

int file_make_direct(int fd, const struct stat *st, const struct uds_env *env, const char *path,
		     uint32_t *ret_block_bytes, uint32_t *ret_memory_alignment,
		     struct uds_message *message)
{
	struct alignment alignment = { SAFE_BLOCK, SAFE_BLOCK };
	int flags, r;

	flags = fcntl(fd, F_GETFL);
	if (flags < 0)
		return failure(message, -errno, "%s: reading its open flags: %s", path,
			       uds_strerror(-errno));
	if (fcntl(fd, F_SETFL, flags | O_DIRECT) < 0)
		return failure(message, UDS_ERR_NO_DIRECT_IO,
			       "%s: its file system refuses O_DIRECT: %s", path,
			       uds_strerror(-errno));
	r = find_alignment(fd, st, env, &alignment);
	if (r == 0) {
		*ret_block_bytes = alignment.block;
		/*
		 * Stricter than some kernels say: sector alignment has been enough for every one.
		 */
		*ret_memory_alignment =
			alignment.memory > SMALLEST_BLOCK ? alignment.memory : SMALLEST_BLOCK;
		return 0;
	}
	/* Off again, for a caller that goes on without. */
	(void)fcntl(fd, F_SETFL, flags);
	if (r == -EINVAL)
		return failure(message, UDS_ERR_NO_DIRECT_IO,
			       "%s: takes O_DIRECT but no transfer with it, aligned to %d or not",
			       path, SAFE_BLOCK);
	return failure(message, r, "%s: finding the alignment that O_DIRECT needs: %s", path,
		       uds_strerror(r));
}
