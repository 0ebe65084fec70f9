/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inner side of the file backend: what its parts share.
 *
 *   file_open.c    opening a path, and undoing it when a later step fails
 *   file_lock.c    locks
 *   file_users.c   what uses a device or an image
 *   file_places.c  where the bytes lie: the identity
 *   file_direct.c  O_DIRECT and the alignment that it needs
 *   file.c         transfers, size, discard
 *
 * The descriptor and the kind never change after the open; size_seen, slots and the length of the
 * mapping are the only state that threads share.
 */
#ifndef IO_FILE_H
#define IO_FILE_H

#include <stdatomic.h>
#include <sys/stat.h>

#include "io/io.h"
#include "io/ring_files.h"

struct file_io {
	struct uds_env env;
	int fd;
	bool block_device;
	uint32_t block_bytes; /* what O_DIRECT demands of offsets and lengths; 1 without it */

	/*
	 * O_DIRECT that the caller did not ask for, to read what others change (0: no). What is not
	 * a multiple of it, in offset, length or memory, is read by way of a buffer.
	 */
	uint32_t hidden_alignment;

	/*
	 * The last size that was looked up. Writes may not go past the end, and only this handle
	 * changes the size of what it has locked; a device that has grown is looked at again.
	 */
	_Atomic uint64_t size_seen;

	struct ring_slots slots; /* in the rings that it is used with */

	bool wants_map;
	struct io_map map;   /* made when there is something to be mapped */
	size_t mapped_bytes; /* of all of the mapping, also when the file has become shorter */
};

/*
 * Maps the file as it is now, if that is asked for and it is not empty. What it grows by later is
 * not in the mapping. Returns 0, or what the system said.
 */
int file_map(struct file_io *file);
void file_unmap(struct file_io *file);

/* All but the identity, which is added where a file is opened. */
extern const struct uds_io_ops file_ops;

int file_get_size(struct file_io *file, uint64_t *ret_bytes);

/* 0, or UDS_ERR_OUT_OF_RANGE for a range that goes past the end. */
int file_check_range(struct file_io *file, uint64_t offset, uint64_t length);

/*
 * Locks an open file or device for this opener, exclusively (@write) or shared. The lock goes
 * with the descriptor.
 *
 * Returns 0, UDS_ERR_IN_USE with a sentence, or what the system said.
 */
int file_lock(int fd, const struct stat *st, bool write, const char *path,
	      struct uds_message *message);

/*
 * A regular file that a loop device, a mount or swapping uses must not be written beside them: 0,
 * or UDS_ERR_IN_USE and what uses it.
 */
int file_check_image(const struct stat *st, const char *path, struct uds_message *message);

/*
 * Whether the device, or what contains it or is contained in it, is mounted, stacked upon
 * or swapped to.
 */
bool file_device_has_user(dev_t device);

/* Whether a read has to go by way of a buffer. */
bool file_must_bounce(const struct file_io *file, const void *buffer, size_t length,
		      uint64_t offset);

/* uds_io_ops's identity. */
int file_identity(void *context, struct uds_io_place *ret_places, size_t room, size_t *ret_count);

/* A block device that could not be opened exclusively: UDS_ERR_IN_USE, and its user. */
int file_device_in_use(dev_t device, const char *path, struct uds_message *message);

/*
 * Turns O_DIRECT on and finds what it demands.
 *
 * Returns 0, UDS_ERR_NO_DIRECT_IO with a sentence (then O_DIRECT is off again), or what the
 * system said.
 */
int file_make_direct(int fd, const struct stat *st, const struct uds_env *env, const char *path,
		     uint32_t *ret_block_bytes, uint32_t *ret_memory_alignment,
		     struct uds_message *message);

#endif
