/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What fuzz targets share: taking an input apart, an allocator that knows how much memory a decoder
 * may ask for, and I/Os in memory.
 *
 * Threads: the environment may be used by any number; all else is one thread's.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stdbool.h>

#include <uds/env.h>
#include <uds/geometry.h>
#include <uds/io.h>

#include "geometry/geometry.h"
#include "targets.h"

/* Ends the process, as a crash does, with what does not hold. */
#define FUZZ_REQUIRE(condition)                                              \
	do {                                                                 \
		if (!(condition))                                            \
			fuzz_fail(__FILE__, __LINE__, __func__, #condition); \
	} while (0)

_Noreturn void fuzz_fail(const char *file, int line, const char *function, const char *condition);

/* An input that is taken from its front; behind its end all is zero. */
struct fuzz_input {
	const uint8_t *at;
	size_t left;
};

uint8_t fuzz_u8(struct fuzz_input *input);
uint32_t fuzz_u32(struct fuzz_input *input);
uint64_t fuzz_u64(struct fuzz_input *input);

/* A copy of @bytes of the input, of which it may have fewer: the rest is zeros. To be freed. */
uint8_t *fuzz_take(struct fuzz_input *input, size_t bytes);

/*
 * An environment that holds what was asked for against a bound: whoever asks for more at a time
 * than @base bytes and @factor times the size of the image ends the process. So does what is not
 * given back by fuzz_env_end(). One at a time.
 */
const struct uds_env *fuzz_env_begin(uint64_t image_bytes, uint64_t base, uint64_t factor);
void fuzz_env_end(void);

/* An I/O in memory that holds a copy. Its memory does not count in the environment. */
struct uds_io *fuzz_io(const uint8_t *bytes, size_t size);

/*
 * One of the small geometries that targets work on, by any number: dense, sparse,
 * with larger pages.
 */
const struct geometry *fuzz_geometry(uint8_t which);

/*
 * Sequences of operations end after so many bytes: many short ones find more than a few long ones.
 */
#define FUZZ_SESSION 400u

#define FUZZ_NONCE UINT64_C(0x1122334455667788)

#endif
