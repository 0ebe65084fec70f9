/* SPDX-License-Identifier: BSD-2-Clause */
/* All calls are passed on. */
#include "scaling_io.h"

#include <time.h>

static int counted_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	struct counted_io *counted = context;
	uint32_t delay = atomic_load(&counted->delay_microseconds);
	struct timespec time = { 0, (long)delay * 1000 };

	if (delay > 0)
		nanosleep(&time, NULL);
	atomic_fetch_add(&counted->pages_read,
			 (length + counted->page_bytes - 1) / counted->page_bytes);
	atomic_fetch_add(&counted->bytes_read, length);
	return uds_io_read(counted->inner, buffer, length, offset);
}

static int counted_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	struct counted_io *counted = context;

	atomic_fetch_add(&counted->bytes_written, length);
	return uds_io_write(counted->inner, buffer, length, offset);
}

static int counted_flush(void *context)
{
	struct counted_io *counted = context;

	return uds_io_flush(counted->inner);
}

static int counted_size(void *context, uint64_t *ret_bytes)
{
	struct counted_io *counted = context;

	return uds_io_size(counted->inner, ret_bytes);
}

static int counted_resize(void *context, uint64_t bytes)
{
	struct counted_io *counted = context;

	return uds_io_resize(counted->inner, bytes);
}

static int counted_close(void *context)
{
	struct counted_io *counted = context;

	return uds_io_close(counted->inner);
}

int counted_io_open(struct counted_io *counted, struct uds_message *ret_message,
		    struct uds_io **ret_io)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_io_ops ops = UDS_IO_OPS_INIT;

	ops.read = counted_read;
	ops.write = counted_write;
	ops.flush = counted_flush;
	ops.get_size = counted_size;
	ops.resize = counted_resize;
	ops.close = counted_close;
	limits.block_bytes = uds_io_block_bytes(counted->inner);
	limits.memory_alignment = uds_io_memory_alignment(counted->inner);
	limits.name = uds_io_name(counted->inner);
	return uds_io_open_ops(&ops, counted, &limits, NULL, ret_message, ret_io);
}

void counted_io_reset(struct counted_io *counted)
{
	atomic_store(&counted->pages_read, 0);
	atomic_store(&counted->bytes_read, 0);
}
