/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The bytes of a device, in memory. Copies share their blocks until one of them is written, so
 * a state of a device costs what it differs in. What fails for lack of memory changes nothing
 * that is seen.
 */
#ifndef TESTING_CRASH_IMAGE_H
#define TESTING_CRASH_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>

struct crash_block;

/* Behind the end of the image its last block is zero. */
struct crash_image {
	struct crash_block **blocks; /* of 4096 bytes; NULL: zeroes. NULL: there is no image yet */
	uint64_t size;
};

/* New bytes are zero. Returns 0 or -ENOMEM. */
int crash_image_resize(struct crash_image *image, const struct uds_env *env, uint64_t size);

int crash_image_copy(struct crash_image *image, const struct uds_env *env,
		     const struct crash_image *from);

/* After that a write to these bytes does not fail. Returns 0 or -ENOMEM. */
int crash_image_prepare(struct crash_image *image, const struct uds_env *env, uint64_t length,
			uint64_t offset);

/*
 * NULL @bytes: zeroes. What lies behind the end, because a resize was lost, is lost with it.
 * Returns 0 or -ENOMEM.
 */
int crash_image_write(struct crash_image *image, const struct uds_env *env, const uint8_t *bytes,
		      uint64_t length, uint64_t offset);

/* All of the bytes must be in the image. */
void crash_image_read(const struct crash_image *image, uint8_t *bytes, uint64_t length,
		      uint64_t offset);

void crash_image_free(struct crash_image *image, const struct uds_env *env);

#endif
