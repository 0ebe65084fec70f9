/* SPDX-License-Identifier: BSD-2-Clause */
#include "testing/crash_image.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"

static uint8_t *allocate(const struct uds_env *env, uint64_t size)
{
	return env_allocate(env, size, 1);
}

int crash_image_resize(struct crash_image *image, const struct uds_env *env, uint64_t size)
{
	/*
	 * Always a new piece: when the memory is missing, the old bytes and the old size stay
	 * together.
	 */
	uint64_t kept = size < image->size ? size : image->size;
	uint8_t *bytes = allocate(env, size);

	if (bytes == NULL)
		return -ENOMEM;
	if (kept > 0)
		memcpy(bytes, image->bytes, (size_t)kept);
	/* What a file grows by reads as zero (libuds_io(3)), also where it was cut off before. */
	memset(bytes + kept, 0, (size_t)(size - kept));
	env_release(env, image->bytes);
	image->bytes = bytes;
	image->size = size;
	return 0;
}

int crash_image_copy(struct crash_image *image, const struct uds_env *env,
		     const struct crash_image *from)
{
	uint8_t *bytes = allocate(env, from->size);

	if (bytes == NULL)
		return -ENOMEM;
	memcpy(bytes, from->bytes, (size_t)from->size);
	env_release(env, image->bytes);
	image->bytes = bytes;
	image->size = from->size;
	return 0;
}

void crash_image_write(struct crash_image *image, const uint8_t *bytes, uint64_t length,
		       uint64_t offset)
{
	if (offset >= image->size)
		return;
	/*
	 * Replayed without the resize in front of it, a write may reach over the end: the part that
	 * has a place stays. Subtracted, as offset + length could wrap.
	 */
	if (length > image->size - offset)
		length = image->size - offset;
	if (bytes == NULL)
		memset(image->bytes + offset, 0, (size_t)length);
	else
		memcpy(image->bytes + offset, bytes, (size_t)length);
}

void crash_image_free(struct crash_image *image, const struct uds_env *env)
{
	env_release(env, image->bytes);
	image->bytes = NULL;
	image->size = 0;
}
