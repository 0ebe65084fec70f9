/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inner side of an I/O, and helpers that all stores share.
 *
 * A struct uds_io may be used by any number of threads; but for the sentences of failures nothing in it
 * changes after it was made.
 */
#ifndef IO_IO_H
#define IO_IO_H

#include <uds/io.h>

#include "base/failures.h"

struct uds_io {
	struct uds_env env;
	struct uds_io_ops ops;
	void *context;
	char *name;
	struct failures *failures; /* of calls on it and on its queues, for each thread */
	uint32_t block_bytes;
	uint32_t memory_alignment;
	bool read_only;
};

/*
 * A buffer that any I/O accepts: aligned to the larger of the I/O's demand and 4096.
 * Freed with env_release.
 */
void *io_allocate_buffer(const struct uds_io *io, const struct uds_env *env, uint64_t bytes);

/*
 * Whether a transfer obeys the limits: 0, or UDS_ERR_READ_ONLY, UDS_ERR_UNALIGNED or, for numbers
 * that no file offset can hold, UDS_ERR_OUT_OF_RANGE.
 */
int io_check_transfer(const struct uds_io *io, enum uds_io_kind kind, const void *buffer,
		      size_t length, uint64_t offset);

/*
 * What a backend's operation returned, as a status. Only 0, a negated errno and the statuses by
 * which io_check_transfer() refuses are a backend's to give. Anything else would be taken for
 * success, for a count, or for something that the library itself found out (that a store is full or
 * needs recovery, that a caller asked to stop), and becomes -EIO here, logged with what it was.
 */
int io_status(const struct uds_io *io, const char *operation, int said);

/*
 * Waits for everything in flight and forgets it, whatever became of it: for when reaping failed and
 * the requests' memory is to be given back. A backend that cannot even be waited for is closed.
 */
void io_queue_drain(struct uds_io_queue *queue);

/* uds_io_read and uds_io_write with a sentence that names the I/O, the place and the reason. */
int io_read(struct uds_io *io, void *buffer, size_t length, uint64_t offset,
	    struct uds_message *message);
int io_write(struct uds_io *io, const void *buffer, size_t length, uint64_t offset,
	     struct uds_message *message);
int io_flush(struct uds_io *io, struct uds_message *message);

#endif
