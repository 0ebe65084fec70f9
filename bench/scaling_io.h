/* SPDX-License-Identifier: BSD-2-Clause */
/* An I/O on another one that counts what goes through it, and can make its reads slow. */
#ifndef BENCH_SCALING_IO_H
#define BENCH_SCALING_IO_H

#include <stdatomic.h>
#include <stdint.h>

#include <uds/io.h>

struct counted_io {
	struct uds_io *inner;
	uint32_t page_bytes;
	_Atomic uint64_t pages_read; /* a part of a page counts as one */
	_Atomic uint64_t bytes_read;
	_Atomic uint64_t bytes_written;
	_Atomic uint32_t delay_microseconds; /* of each read; 0: none */
};

/*
 * @counted: its inner I/O and page_bytes are set, all else is 0. It must stay until the I/O is
 * closed, which closes the inner one.
 *
 * Returns what uds_io_open_ops() returns.
 */
int counted_io_open(struct counted_io *counted, struct uds_message *ret_message,
		    struct uds_io **ret_io);

/* Counts reads from 0 again. */
void counted_io_reset(struct counted_io *counted);

#endif
