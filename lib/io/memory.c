/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The memory backend: bytes that live as long as the I/O. For tests, for throw-away indexes, and
 * for programs that move the bytes elsewhere themselves.
 *
 * The bytes lie in chunks that are allocated when something other than zeros is first written into
 * them, so that a size costs next to nothing by itself. Chunks hang on leaves, leaves on one table:
 *
 *	leaves[offset / LEAF_BYTES] -> chunks[offset % LEAF_BYTES / CHUNK_BYTES] -> bytes
 *
 * A missing one reads as zeros. A thread that makes one puts it in by compare and exchange; it
 * stays until the I/O is closed or made shorter.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "base/visibility.h"
#include "io/io.h"

#define CHUNK_BYTES ((size_t)32768)
#define LEAF_CHUNKS ((size_t)1024)
#define LEAF_BYTES  (CHUNK_BYTES * LEAF_CHUNKS)

struct leaf {
	_Atomic(uint8_t *) chunks[LEAF_CHUNKS];
};

struct leaf_slot {
	_Atomic(struct leaf *) leaf;
};

struct memory_io {
	struct uds_env env;
	pthread_rwlock_t lock;	  /* taken for writing by resize only: the rest changes there */
	struct leaf_slot *leaves; /* NULL when leaf_count is 0 */
	size_t leaf_count;
	uint64_t size;
};

static _Atomic(uint8_t *) *chunk_slot(struct leaf *leaf, uint64_t offset)
{
	return &leaf->chunks[offset % LEAF_BYTES / CHUNK_BYTES];
}

/* The chunk that holds @offset, or NULL where nothing but zeros was ever written. */
static uint8_t *find_chunk(const struct memory_io *memory, uint64_t offset)
{
	struct leaf *leaf = atomic_load(&memory->leaves[offset / LEAF_BYTES].leaf);

	return leaf == NULL ? NULL : atomic_load(chunk_slot(leaf, offset));
}

static struct leaf *make_leaf(struct memory_io *memory, uint64_t offset)
{
	/* By compare and exchange, since two writers may come to the same empty leaf. */
	_Atomic(struct leaf *) *slot = &memory->leaves[offset / LEAF_BYTES].leaf;
	struct leaf *leaf = atomic_load(slot), *fresh;

	if (leaf != NULL)
		return leaf;
	/* Zeroed, since a missing chunk reads as zeros. */
	fresh = env_allocate_zeroed(&memory->env, 1, sizeof(*fresh));
	if (fresh == NULL || atomic_compare_exchange_strong(slot, &leaf, fresh))
		return fresh;
	env_release(&memory->env, fresh); /* another thread was faster */
	return leaf;
}

/* Returns the chunk that holds @offset, a new one where there was none; NULL: no memory. */
static uint8_t *make_chunk(struct memory_io *memory, uint64_t offset)
{
	struct leaf *leaf = make_leaf(memory, offset);
	uint8_t *chunk = NULL, *fresh;

	if (leaf == NULL)
		return NULL;
	fresh = env_allocate_aligned(&memory->env, CHUNK_BYTES, 4096);
	if (fresh == NULL)
		return NULL;
	/* Before it can be seen: others may read it as soon as it is in its slot. */
	memset(fresh, 0, CHUNK_BYTES);
	if (atomic_compare_exchange_strong(chunk_slot(leaf, offset), &chunk, fresh))
		return fresh;
	env_release(&memory->env, fresh);
	return chunk;
}

/* How much of @length bytes at @offset lies in one chunk. */
static size_t part_in_chunk(uint64_t offset, size_t length)
{
	size_t left = CHUNK_BYTES - (size_t)(offset % CHUNK_BYTES);

	return length < left ? length : left;
}

static void read_parts(const struct memory_io *memory, uint8_t *to, size_t length, uint64_t offset)
{
	while (length > 0) {
		size_t part = part_in_chunk(offset, length);
		const uint8_t *chunk = find_chunk(memory, offset);

		if (chunk != NULL)
			memcpy(to, chunk + offset % CHUNK_BYTES, part);
		else
			memset(to, 0, part);
		to += part;
		offset += part;
		length -= part;
	}
}

static bool is_zero(const uint8_t *bytes, size_t length)
{
	/* The first byte is zero, and each of the others is as the one before it. */
	return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0;
}

static int write_parts(struct memory_io *memory, const uint8_t *from, size_t length,
		       uint64_t offset)
{
	while (length > 0) {
		size_t part = part_in_chunk(offset, length);
		uint8_t *chunk = find_chunk(memory, offset);

		/* Zeros into nothing are nothing: sparse images stay small. */
		if (chunk == NULL && !is_zero(from, part)) {
			chunk = make_chunk(memory, offset);
			if (chunk == NULL)
				return -ENOMEM;
		}
		if (chunk != NULL)
			memcpy(chunk + offset % CHUNK_BYTES, from, part);
		from += part;
		offset += part;
		length -= part;
	}
	return 0;
}

static int memory_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	struct memory_io *memory = context;
	int r = UDS_ERR_OUT_OF_RANGE;

	/* Shared by readers and writers of bytes: only resize takes chunks away. */
	pthread_rwlock_rdlock(&memory->lock);
	if (offset <= memory->size && length <= memory->size - offset) {
		read_parts(memory, buffer, length, offset);
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
	if (offset <= memory->size && length <= memory->size - offset)
		r = write_parts(memory, buffer, length, offset);
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

static int grow_table(struct memory_io *memory, uint64_t bytes)
{
	size_t count = (size_t)((bytes + LEAF_BYTES - 1) / LEAF_BYTES);
	struct leaf_slot *fresh;

	if (count <= memory->leaf_count)
		return 0;
	fresh = env_allocate_zeroed(&memory->env, count, sizeof(fresh[0]));
	if (fresh == NULL)
		return -ENOMEM;
	/* No other thread is in here: the lock is held for writing, or the I/O is not open yet. */
	for (size_t i = 0; i < memory->leaf_count; i++)
		atomic_init(&fresh[i].leaf, atomic_load(&memory->leaves[i].leaf));
	env_release(&memory->env, memory->leaves);
	memory->leaves = fresh;
	memory->leaf_count = count;
	return 0;
}

/* Gives back the chunks from @offset on; what is left of the one it lies in becomes zeros. */
static void cut_leaf(struct memory_io *memory, struct leaf *leaf, size_t offset)
{
	for (size_t i = offset / CHUNK_BYTES; i < LEAF_CHUNKS; i++) {
		uint8_t *chunk = atomic_load(&leaf->chunks[i]);
		size_t kept = i == offset / CHUNK_BYTES ? offset % CHUNK_BYTES : 0;

		if (chunk == NULL)
			continue;
		/* So that making it longer again shows zeros, and not what was there. */
		if (kept > 0) {
			memset(chunk + kept, 0, CHUNK_BYTES - kept);
			continue;
		}
		env_release(&memory->env, chunk);
		atomic_store(&leaf->chunks[i], NULL);
	}
}

static void cut(struct memory_io *memory, uint64_t bytes)
{
	size_t first = (size_t)(bytes / LEAF_BYTES);

	for (size_t i = first; i < memory->leaf_count; i++) {
		struct leaf *leaf = atomic_load(&memory->leaves[i].leaf);
		size_t offset = i == first ? (size_t)(bytes % LEAF_BYTES) : 0;

		if (leaf == NULL)
			continue;
		cut_leaf(memory, leaf, offset);
		if (offset > 0)
			continue;
		env_release(&memory->env, leaf);
		atomic_store(&memory->leaves[i].leaf, NULL);
	}
}

static int memory_resize(void *context, uint64_t bytes)
{
	struct memory_io *memory = context;
	int r;

	if (bytes > UDS_IO_MEMORY_BYTES_MAX)
		return -EFBIG;
	pthread_rwlock_wrlock(&memory->lock);
	/* The table first: where there is no memory for it the size stays. */
	r = grow_table(memory, bytes);
	if (r == 0) {
		if (bytes < memory->size)
			cut(memory, bytes);
		memory->size = bytes;
	}
	pthread_rwlock_unlock(&memory->lock);
	return r;
}

/* From here on there is a chunk, or there is none, up to @ret_end. */
static bool has_chunk(const struct memory_io *memory, uint64_t offset, uint64_t *ret_end)
{
	if (atomic_load(&memory->leaves[offset / LEAF_BYTES].leaf) == NULL) {
		*ret_end = offset - offset % LEAF_BYTES + LEAF_BYTES;
		return false;
	}
	*ret_end = offset - offset % CHUNK_BYTES + CHUNK_BYTES;
	return find_chunk(memory, offset) != NULL;
}

static int memory_find_data(void *context, uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end)
{
	struct memory_io *memory = context;
	uint64_t begin = offset, end, next;

	pthread_rwlock_rdlock(&memory->lock);
	while (begin < memory->size && !has_chunk(memory, begin, &next))
		begin = next;
	end = begin;
	while (end < memory->size && has_chunk(memory, end, &next))
		end = next;
	/* A leaf may reach behind the end. */
	*ret_begin = begin < memory->size ? begin : memory->size;
	*ret_end = end < memory->size ? end : memory->size;
	pthread_rwlock_unlock(&memory->lock);
	return 0;
}

static int memory_close(void *context)
{
	struct memory_io *memory = context;
	struct uds_env env = memory->env;

	cut(memory, 0);
	pthread_rwlock_destroy(&memory->lock);
	env_release(&env, memory->leaves);
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
	.find_data = memory_find_data,
};

UDS_PUBLIC int uds_io_open_memory(uint64_t bytes, uint32_t block_bytes,
				  const struct uds_env *given_env, struct uds_message *ret_message,
				  struct uds_io **ret_io)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct memory_io *memory;
	struct uds_env env;
	int r = env_take(given_env, ret_message, &env);

	if (r < 0)
		return r;
	if (!is_power_of_two(block_bytes))
		return failure(ret_message, -EINVAL,
			       "mem:: block_bytes: expected a power of two, found %" PRIu32,
			       block_bytes);
	limits.block_bytes = block_bytes;
	limits.name = "mem:";
	limits.quick = true;
	memory = env_allocate_zeroed(&env, 1, sizeof(*memory));
	if (memory == NULL)
		return failure(ret_message, -ENOMEM, "%s: %s", limits.name, uds_strerror(-ENOMEM));
	memory->env = env;
	pthread_rwlock_init(&memory->lock, NULL);
	r = memory_resize(memory, bytes);
	if (r == -EFBIG)
		failure(ret_message, r, "%s: expected at most %" PRIu64 " bytes, found %" PRIu64,
			limits.name, UDS_IO_MEMORY_BYTES_MAX, bytes);
	else if (r < 0)
		failure(ret_message, r, "%s: %s", limits.name, uds_strerror(r));
	else
		r = uds_io_open_ops(&memory_ops, memory, &limits, &env, ret_message, ret_io);
	if (r < 0)
		memory_close(memory);
	return r;
}
