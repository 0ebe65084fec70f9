/* SPDX-License-Identifier: BSD-2-Clause */
#include "testing/crash_image.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include <uds/testing.h>

#include "base/env.h"

#define BLOCK ((uint64_t)UDS_CRASH_BLOCK)

/* Counted atomically: the logs that share it may be used by different threads. */
struct crash_block {
	_Atomic uint32_t users;
	uint8_t bytes[UDS_CRASH_BLOCK];
};

static uint64_t block_count(uint64_t size)
{
	return size / BLOCK + (size % BLOCK != 0);
}

static void release(struct crash_block *block, const struct uds_env *env)
{
	if (block != NULL && atomic_fetch_sub(&block->users, 1) == 1)
		env_release(env, block);
}

/* A block of its own with the first bytes of another one, which may be NULL. NULL: no memory. */
static struct crash_block *make_block(const struct uds_env *env, const struct crash_block *from,
				      uint64_t length)
{
	struct crash_block *block = env_allocate(env, 1, sizeof(*block));

	if (block == NULL)
		return NULL;
	atomic_init(&block->users, 1);
	if (from == NULL)
		length = 0;
	else
		memcpy(block->bytes, from->bytes, (size_t)length);
	memset(block->bytes + length, 0, (size_t)(BLOCK - length));
	return block;
}

/* An image of @size bytes that has as many of the blocks of another one as it can. */
static int share(const struct crash_image *from, const struct uds_env *env, uint64_t size,
		 struct crash_image *ret_image)
{
	uint64_t count = block_count(size), kept = block_count(from->size);
	struct crash_block **blocks =
		env_allocate_zeroed(env, count + 1, sizeof(struct crash_block *));

	if (blocks == NULL)
		return -ENOMEM;
	kept = kept < count ? kept : count;
	for (uint64_t i = 0; i < kept; i++) {
		blocks[i] = from->blocks[i];
		if (blocks[i] != NULL)
			atomic_fetch_add(&blocks[i]->users, 1);
	}
	ret_image->blocks = blocks;
	ret_image->size = size;
	return 0;
}

int crash_image_copy(struct crash_image *image, const struct uds_env *env,
		     const struct crash_image *from)
{
	struct crash_image copy;

	if (share(from, env, from->size, &copy) < 0)
		return -ENOMEM;
	crash_image_free(image, env);
	*image = copy;
	return 0;
}

int crash_image_resize(struct crash_image *image, const struct uds_env *env, uint64_t size)
{
	struct crash_image resized;
	uint64_t last = size / BLOCK;

	if (share(image, env, size, &resized) < 0)
		return -ENOMEM;
	/* What a file grows by reads as zero (libuds_io(3)), also where it was cut off before. */
	if (size < image->size && size % BLOCK != 0 && resized.blocks[last] != NULL) {
		struct crash_block *cut = make_block(env, resized.blocks[last], size % BLOCK);

		if (cut == NULL) {
			crash_image_free(&resized, env);
			return -ENOMEM;
		}
		release(resized.blocks[last], env);
		resized.blocks[last] = cut;
	}
	crash_image_free(image, env);
	*image = resized;
	return 0;
}

/*
 * Replayed without the resize in front of it, a write may reach over the end: the part that has
 * a place stays.
 */
static uint64_t inside(const struct crash_image *image, uint64_t length, uint64_t offset)
{
	if (offset >= image->size)
		return 0;
	/* Subtracted, as offset + length could wrap. */
	return length > image->size - offset ? image->size - offset : length;
}

int crash_image_prepare(struct crash_image *image, const struct uds_env *env, uint64_t length,
			uint64_t offset)
{
	length = inside(image, length, offset);
	if (length == 0)
		return 0;
	for (uint64_t i = offset / BLOCK; i <= (offset + length - 1) / BLOCK; i++) {
		struct crash_block *block = image->blocks[i];

		if (block != NULL && atomic_load(&block->users) == 1)
			continue;
		image->blocks[i] = make_block(env, block, BLOCK);
		if (image->blocks[i] == NULL) {
			image->blocks[i] = block;
			return -ENOMEM;
		}
		release(block, env);
	}
	return 0;
}

int crash_image_write(struct crash_image *image, const struct uds_env *env, const uint8_t *bytes,
		      uint64_t length, uint64_t offset)
{
	length = inside(image, length, offset);
	if (crash_image_prepare(image, env, length, offset) < 0)
		return -ENOMEM;
	while (length > 0) {
		uint8_t *to = image->blocks[offset / BLOCK]->bytes + offset % BLOCK;
		uint64_t part = BLOCK - offset % BLOCK;

		part = part < length ? part : length;
		if (bytes == NULL) {
			memset(to, 0, (size_t)part);
		} else {
			memcpy(to, bytes, (size_t)part);
			bytes += part;
		}
		offset += part;
		length -= part;
	}
	return 0;
}

void crash_image_read(const struct crash_image *image, uint8_t *bytes, uint64_t length,
		      uint64_t offset)
{
	while (length > 0) {
		const struct crash_block *block = image->blocks[offset / BLOCK];
		uint64_t part = BLOCK - offset % BLOCK;

		part = part < length ? part : length;
		if (block == NULL)
			memset(bytes, 0, (size_t)part);
		else
			memcpy(bytes, block->bytes + offset % BLOCK, (size_t)part);
		bytes += part;
		offset += part;
		length -= part;
	}
}

void crash_image_free(struct crash_image *image, const struct uds_env *env)
{
	if (image->blocks == NULL)
		return;
	for (uint64_t i = 0; i < block_count(image->size); i++)
		release(image->blocks[i], env);
	env_release(env, image->blocks);
	image->blocks = NULL;
	image->size = 0;
}
