/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory backend: bytes that live as long as the I/O. For tests, for throw-away indexes, and
 * for programs that move the bytes elsewhere themselves.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/visibility.h"
#include "io/io.h"

struct memory_io {
	struct uds_env env;
	pthread_rwlock_t lock; /* taken for writing by resize only: bytes and size change there */
	uint8_t *bytes;
	uint64_t size;
};

static int memory_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	struct memory_io *memory = context;
	int r = UDS_ERR_OUT_OF_RANGE;

	pthread_rwlock_rdlock(&memory->lock);
	if (offset <= memory->size && length <= memory->size - offset) {
		memcpy(buffer, memory->bytes + offset, length);
		r = 0;
	}
	pthread_rwlock_unlock(&memory->lock);
	return r;
}

static int memory_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	struct memory_io *memory = context;
	int r = UDS_ERR_OUT_OF_RANGE;

	pthread_rwlock_rdlock(&memory->lock);
	if (offset <= memory->size && length <= memory->size - offset) {
		memcpy(memory->bytes + offset, buffer, length);
		r = 0;
	}
	pthread_rwlock_unlock(&memory->lock);
	return r;
}

static int memory_flush(void *context)
{
	(void)context;
	return 0;
}

static int memory_size(void *context, uint64_t *ret_bytes)
{
	struct memory_io *memory = context;

	pthread_rwlock_rdlock(&memory->lock);
	*ret_bytes = memory->size;
	pthread_rwlock_unlock(&memory->lock);
	return 0;
}

static int memory_resize(void *context, uint64_t bytes)
{
	struct memory_io *memory = context;
	uint64_t kept;
	uint8_t *fresh;

	if (bytes > SIZE_MAX / 2)
		return -ENOMEM;
	fresh = env_allocate_aligned(&memory->env, bytes, 4096);
	if (fresh == NULL)
		return -ENOMEM;
	pthread_rwlock_wrlock(&memory->lock);
	kept = bytes < memory->size ? bytes : memory->size;
	memcpy(fresh, memory->bytes, (size_t)kept);
	memset(fresh + kept, 0, (size_t)(bytes - kept));
	env_release(&memory->env, memory->bytes);
	memory->bytes = fresh;
	memory->size = bytes;
	pthread_rwlock_unlock(&memory->lock);
	return 0;
}

static int memory_close(void *context)
{
	struct memory_io *memory = context;
	struct uds_env env = memory->env;

	pthread_rwlock_destroy(&memory->lock);
	env_release(&env, memory->bytes);
	env_release(&env, memory);
	return 0;
}

static const struct uds_io_ops memory_ops = {
	.size = sizeof(struct uds_io_ops),
	.read = memory_read,
	.write = memory_write,
	.flush = memory_flush,
	.get_size = memory_size,
	.close = memory_close,
	.resize = memory_resize,
};

UDS_PUBLIC int uds_io_open_memory(uint64_t bytes, uint32_t block_bytes,
				  const struct uds_env *given_env, struct uds_io **ret_io)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct memory_io *memory;
	struct uds_env env;
	int r;

	r = env_complete(given_env, &env);
	if (r < 0)
		return r;
	if (!is_power_of_two(block_bytes))
		return -EINVAL;
	if (bytes > SIZE_MAX / 2)
		return -ENOMEM;
	memory = env_allocate_zeroed(&env, 1, sizeof(*memory));
	if (memory == NULL)
		return -ENOMEM;
	memory->env = env;
	memory->size = bytes;
	memory->bytes = env_allocate_aligned(&env, bytes, 4096);
	if (memory->bytes == NULL) {
		env_release(&env, memory);
		return -ENOMEM;
	}
	memset(memory->bytes, 0, (size_t)bytes);
	pthread_rwlock_init(&memory->lock, NULL);

	limits.block_bytes = block_bytes;
	limits.name = "mem:";
	r = uds_io_create(&memory_ops, memory, &limits, &env, ret_io);
	if (r < 0)
		memory_close(memory);
	return r;
}
