/* SPDX-License-Identifier: BSD-2-Clause */
/* Asking the file system by FIEMAP, and making places of its answers. */
#include "scan_extents.h"

#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>

#if defined(HAVE_LINUX_FS_H) && defined(HAVE_LINUX_FIEMAP_H)
#define CAN_ASK 1
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/vfs.h>
#ifdef HAVE_LINUX_BTRFS_H
#include <linux/btrfs.h>
#endif
#else
#define CAN_ASK 0
#endif

#define FRACTION UINT64_C(0x9e3779b97f4a7c15)

static uint64_t mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * FRACTION;
	return hash ^ hash >> 29;
}

static uint64_t not_zero(uint64_t hash)
{
	return hash == 0 ? 1 : hash;
}

#if CAN_ASK
uint64_t sharing_file_system(int descriptor, uint64_t device)
{
	struct statfs fs;

	if (fstatfs(descriptor, &fs) != 0)
		return 0;
	switch ((unsigned long)fs.f_type) {
	case EXT4_SUPER_MAGIC: /* ext2 and ext3, too */
	case TMPFS_MAGIC:
	case RAMFS_MAGIC:
		return 0;
#ifdef HAVE_LINUX_BTRFS_H
	case BTRFS_SUPER_MAGIC: {
		struct btrfs_ioctl_fs_info_args info;
		uint64_t parts[2];

		memset(&info, 0, sizeof(info));
		if (ioctl(descriptor, BTRFS_IOC_FS_INFO, &info) != 0)
			break;
		memcpy(parts, info.fsid, sizeof(parts));
		return not_zero(mix(mix(1, parts[0]), parts[1]));
	}
#endif
	default:
		break;
	}
	return not_zero(mix(2, device));
}

bool is_in_memory(int descriptor)
{
	struct statfs fs;

	return fstatfs(descriptor, &fs) == 0 &&
	       ((unsigned long)fs.f_type == TMPFS_MAGIC || (unsigned long)fs.f_type == RAMFS_MAGIC);
}

/* Asks for the extents from @offset on. */
static void ask(struct extent_cursor *cursor, uint64_t offset)
{
	const uint32_t unknown = FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC |
				 FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_DATA_TAIL |
				 FIEMAP_EXTENT_UNWRITTEN;
	union {
		struct fiemap map;
		uint8_t bytes[sizeof(struct fiemap) +
			      EXTENTS_AT_ONCE * sizeof(struct fiemap_extent)];
	} answer;

	memset(&answer.map, 0, sizeof(answer.map));
	answer.map.fm_start = offset;
	answer.map.fm_length = cursor->end - offset;
	answer.map.fm_extent_count = EXTENTS_AT_ONCE;
	cursor->count = 0;
	cursor->next = 0;
	cursor->asked = cursor->end;
	if (ioctl(cursor->descriptor, FS_IOC_FIEMAP, &answer.map) != 0)
		return;
	for (unsigned int i = 0; i < answer.map.fm_mapped_extents && i < EXTENTS_AT_ONCE; i++) {
		struct fiemap_extent one;

		memcpy(&one, answer.bytes + sizeof(answer.map) + i * sizeof(one), sizeof(one));
		cursor->list[cursor->count++] = (struct extent){
			.logical = one.fe_logical,
			.physical = one.fe_physical,
			.bytes = one.fe_length,
			.shared = (one.fe_flags & FIEMAP_EXTENT_SHARED) != 0 &&
				  (one.fe_flags & unknown) == 0,
			.encoded = (one.fe_flags & FIEMAP_EXTENT_ENCODED) != 0,
		};
	}
	if (cursor->count == EXTENTS_AT_ONCE) {
		const struct extent *last = &cursor->list[cursor->count - 1];

		if (last->logical + last->bytes > offset &&
		    last->logical + last->bytes < cursor->end)
			cursor->asked = last->logical + last->bytes;
	}
}
#else
uint64_t sharing_file_system(int descriptor, uint64_t device)
{
	(void)descriptor;
	(void)device;
	return 0;
}

bool is_in_memory(int descriptor)
{
	(void)descriptor;
	return false;
}

static void ask(struct extent_cursor *cursor, uint64_t offset)
{
	(void)offset;
	cursor->count = 0;
	cursor->next = 0;
	cursor->asked = cursor->end;
}
#endif

void extents_start(struct extent_cursor *cursor, int descriptor, uint64_t file_system,
		   uint64_t offset, uint64_t bytes)
{
	cursor->descriptor = descriptor;
	cursor->file_system = file_system;
	cursor->end = offset + bytes;
	cursor->asked = offset;
	cursor->count = 0;
	cursor->next = 0;
	if (file_system != 0 && bytes > 0)
		ask(cursor, offset);
}

/* The extent that has a byte of the file; NULL when none has. */
static const struct extent *extent_at(struct extent_cursor *cursor, uint64_t offset)
{
	if (offset >= cursor->asked && offset < cursor->end)
		ask(cursor, offset);
	while (cursor->next < cursor->count) {
		const struct extent *extent = &cursor->list[cursor->next];

		if (offset < extent->logical)
			return NULL;
		if (offset - extent->logical < extent->bytes)
			return extent;
		cursor->next++;
	}
	return NULL;
}

struct block_place extents_place(struct extent_cursor *cursor, uint64_t offset, uint64_t bytes,
				 unsigned int block_shift, const struct uds_record_name *name)
{
	const struct block_place nowhere = { 0, 0 };
	uint64_t at = offset, end = offset + bytes;
	uint64_t start = 0, follows = 0, chain = 0;
	bool one_piece = true;

	if (cursor->file_system == 0)
		return nowhere;
	while (at < end) {
		const struct extent *extent = extent_at(cursor, at);
		uint64_t physical;

		if (extent == NULL || !extent->shared)
			return nowhere;
		physical = extent->physical + (extent->encoded ? 0 : at - extent->logical);
		if (at == offset)
			start = physical;
		if (extent->encoded || (at != offset && physical != follows))
			one_piece = false;
		chain = mix(mix(chain, physical), at - offset);
		follows = physical + (extent->logical + extent->bytes - at);
		at = extent->logical + extent->bytes;
	}
	if (one_piece) {
		/* Blocks need not begin at multiples of their size there. */
		uint64_t phase = start & ((UINT64_C(1) << block_shift) - 1);

		return (struct block_place){ not_zero(mix(cursor->file_system, phase)),
					     start >> block_shift };
	}
	memcpy(&start, name->bytes, sizeof(start));
	return (struct block_place){ not_zero(mix(cursor->file_system, UINT64_MAX)),
				     mix(chain, start) };
}
