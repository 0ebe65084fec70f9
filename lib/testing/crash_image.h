/* SPDX-License-Identifier: BSD-2-Clause */
/* The bytes of a device, in memory. What fails for lack of memory changes nothing. */
#ifndef TESTING_CRASH_IMAGE_H
#define TESTING_CRASH_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>

struct crash_image {
	uint8_t *bytes; /* NULL: there is no image yet */
	uint64_t size;
};

/* New bytes are zero. Returns 0 or -ENOMEM. */
int crash_image_resize(struct crash_image *image, const struct uds_env *env, uint64_t size);

int crash_image_copy(struct crash_image *image, const struct uds_env *env,
		     const struct crash_image *from);

/* NULL @bytes: zeroes. What lies behind the end, because a resize was lost, is lost with it. */
void crash_image_write(struct crash_image *image, const uint8_t *bytes, uint64_t length,
		       uint64_t offset);

void crash_image_free(struct crash_image *image, const struct uds_env *env);

#endif
