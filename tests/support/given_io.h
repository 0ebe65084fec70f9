/* SPDX-License-Identifier: BSD-2-Clause */
/* I/Os in memory with given bytes, the bytes of an I/O, and the last line of a log. */
#ifndef TESTS_GIVEN_IO_H
#define TESTS_GIVEN_IO_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <uds/io.h>

#include "check_main.h"

static inline struct uds_io *bytes_io(const uint8_t *bytes, uint64_t length)
{
	struct uds_io *io;

	ck_assert_int_eq(uds_io_open_memory(length, 1, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_write(io, bytes, (size_t)length, 0), 0);
	return io;
}

/* Everything that is on an I/O. Freed by the caller. */
static inline uint8_t *bytes_of(struct uds_io *io, uint64_t *ret_length)
{
	uint8_t *bytes;

	ck_assert_int_eq(uds_io_size(io, ret_length), 0);
	bytes = malloc((size_t)*ret_length);
	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(uds_io_read(io, bytes, (size_t)*ret_length, 0), 0);
	return bytes;
}

static inline struct uds_io *copy_of(struct uds_io *io)
{
	uint64_t length;
	uint8_t *bytes = bytes_of(io, &length);
	struct uds_io *copy = bytes_io(bytes, length);

	free(bytes);
	return copy;
}

/* What was logged last, a warning or worse. */
struct kept_log {
	char text[600];
};

/* The log of an environment whose context is a struct kept_log. */
static inline void keep_log(void *context, enum uds_log_level level, const char *sentence)
{
	struct kept_log *kept = context;

	if (level <= UDS_LOG_WARNING)
		snprintf(kept->text, sizeof(kept->text), "%s", sentence);
}

#endif
