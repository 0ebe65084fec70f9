/* SPDX-License-Identifier: BSD-2-Clause */
/* A sink and a source of bytes, used front to back: for the parts of a save. */
#ifndef BASE_STREAM_H
#define BASE_STREAM_H

#include <stddef.h>

struct byte_sink {
	/* Takes all of @bytes. Returns 0, or the error that ends the writing. */
	int (*write)(void *context, const void *bytes, size_t length);
	void *context;
};

struct byte_source {
	/*
	 * Fills all of @ret_bytes with the next @length bytes. Returns 0; UDS_ERR_OUT_OF_RANGE when
	 * fewer are left; or the error of the reading.
	 */
	int (*read)(void *context, void *ret_bytes, size_t length);
	void *context;
};

#endif
