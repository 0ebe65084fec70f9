/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inner side of an I/O, and helpers that all stores share.
 *
 * A struct uds_io may be used by any number of threads; but for the sentences of failures nothing
 * in it changes after it was made.
 */
#ifndef IO_IO_H
#define IO_IO_H

#include <uds/engine.h>
#include <uds/io.h>

#include "base/failures.h"

struct file_io;

/* What of an I/O is in the memory of the process, from byte 0 on. It only grows, or goes. */
struct io_map {
	const uint8_t *bytes;
	_Atomic uint64_t length;
};

struct uds_io {
	struct uds_env env;
	struct uds_io_ops ops;
	void *context;
	char *name;
	struct failures *failures; /* of calls on it, for each thread */
	uint32_t block_bytes;
	uint32_t memory_alignment;
	bool read_only;
	bool quick;
	bool in_use;		   /* the system was using the device when it was opened to read */
	uint64_t device_offset;	   /* as in struct uds_io_limits */
	uint64_t preferred_bytes;  /* as in struct uds_io_limits */
	const struct io_map *map;  /* NULL: nothing of it can be read in place */
	struct file_io *ring_file; /* what io_uring may be used for; NULL: not for this I/O */
	void *owned;		   /* what the I/O stands on and belongs to it, see close_owned */
	/* called when the backend is closed; NULL: nothing is owned */
	int (*close_owned)(void *owned);
};

/*
 * The bytes themselves, to be read without a transfer while the I/O is open; NULL where they are
 * not mapped. They change when they are written.
 */
static inline const uint8_t *io_mapped(const struct uds_io *io, uint64_t offset, uint64_t length)
{
	uint64_t mapped;

	if (io->map == NULL)
		return NULL;
	mapped = atomic_load_explicit(&io->map->length, memory_order_acquire);
	return offset <= mapped && length <= mapped - offset ? io->map->bytes + offset : NULL;
}

/*
 * A buffer that any I/O accepts: aligned to the larger of the I/O's demand and 4096.
 * Freed with env_release.
 */
void *io_allocate_buffer(const struct uds_io *io, const struct uds_env *env, uint64_t bytes);

/*
 * How long the next transfer of a run is: of the @length bytes at @offset that are left, at most
 * @most. One that is not the last ends at a multiple of the I/O's preferred length if it reaches
 * one, so that those behind it begin there: that costs a run at most one more transfer. Preferred
 * lengths that are no multiple of 4096 are ignored: everything is laid out in blocks of that.
 */
uint64_t io_run_part(const struct uds_io *io, uint64_t offset, uint64_t length, uint64_t most);

/*
 * Whether a transfer obeys the limits: 0, or UDS_ERR_READ_ONLY, UDS_ERR_UNALIGNED or, for numbers
 * that no file offset can hold, UDS_ERR_OUT_OF_RANGE.
 */
int io_check_transfer(const struct uds_io *io, enum uds_io_kind kind, const void *buffer,
		      uint64_t length, uint64_t offset);

/* Whether an I/O is made by uds_io_open_ranges(). */
bool io_is_ranges(const struct uds_io *io);

/*
 * For a request for ranges that may be handed on: makes it one for the I/O below, if that does the
 * same. False: it cannot, and is as it was.
 */
bool ranges_find_below(struct uds_io_request *request);

/* Whether a request may be handed on: 0, what io_check_transfer() says, or -EINVAL. */
int io_check_request(const struct uds_io_request *request);

/* Whether there is nothing to do for it. */
bool io_is_empty_request(const struct uds_io_request *request);

/*
 * Carries out a request that was checked, by the plain functions of its backend.
 * Returns its status.
 */
int io_carry_out(const struct uds_io_request *request);

/* uds_io_discard() and uds_io_write_zeroes() without sentences. */
int io_discard(struct uds_io *io, uint64_t offset, uint64_t length);
int io_write_zeroes(struct uds_io *io, uint64_t offset, uint64_t length);

/*
 * What a backend's operation returned, as a status. Only 0, a negated errno and the statuses by
 * which io_check_transfer() refuses are a backend's to give. Anything else would be taken for
 * success, for a count, or for something that the library itself found out (that a store is full or
 * needs recovery, that a caller asked to stop), and becomes -EIO here, logged with what it was.
 */
int io_status(const struct uds_io *io, const char *operation, int said);

/*
 * Opens an engine for up to @depth requests that uses the threads of @share; NULL: it has some of
 * its own. Every part of the library that has many requests in flight gets its engine here. Returns
 * 0 or -ENOMEM.
 */
int engine_open(struct uds_io_engine *share, unsigned int depth, const struct uds_env *env,
		struct uds_io_engine **ret_engine);

/*
 * uds_io_engine_submit() by a part of the library that never has more in flight than its engine is
 * deep: that is not refused.
 */
void engine_submit(struct uds_io_engine *engine, struct uds_io_request *const *requests,
		   size_t count);

/* uds_io_read and uds_io_write with a sentence that names the I/O, the place and the reason. */
int io_read(struct uds_io *io, void *buffer, size_t length, uint64_t offset,
	    struct uds_message *message);
int io_write(struct uds_io *io, const void *buffer, size_t length, uint64_t offset,
	     struct uds_message *message);
int io_flush(struct uds_io *io, struct uds_message *message);

#endif
