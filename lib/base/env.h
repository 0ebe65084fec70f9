/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * struct uds_env inside the library: filling in its defaults, and allocating and logging through
 * it. Each object keeps a completed copy.
 */
#ifndef BASE_ENV_H
#define BASE_ENV_H

#include <uds/env.h>
#include <uds/status.h>

/*
 * Copies @given (NULL: defaults) and fills in the defaults.
 *
 * Returns 0, -EINVAL for half an allocator, or what struct_in() returns.
 */
int env_take(const struct uds_env *given, struct uds_message *message, struct uds_env *ret_env);

/* The same without a message. */
int env_complete(const struct uds_env *given, struct uds_env *ret_env);

/*
 * Memory aligned for any object, not cleared; NULL when there is none or the product overflows.
 * Counts and sizes are 64 bits wide here, so that what a 32-bit machine cannot address fails
 * instead of wrapping.
 */
void *env_allocate(const struct uds_env *env, uint64_t count, size_t bytes_each);

/* The same, cleared. */
void *env_allocate_zeroed(const struct uds_env *env, uint64_t count, size_t bytes_each);

/* @alignment: a power of two. Not cleared. For buffers of I/O and for cache lines. */
void *env_allocate_aligned(const struct uds_env *env, uint64_t bytes, size_t alignment);

/*
 * Memory that is used at random places: aligned to cache lines, and, where it is large enough,
 * made of huge pages, because with small ones each access would also miss the TLB. Not cleared.
 * Only memory that the library maps itself is given such advice; a caller's allocator decides
 * for its own.
 */
void *env_allocate_large(const struct uds_env *env, uint64_t bytes);

/* @bytes: as many as were allocated. @memory may be NULL. */
void env_release_large(const struct uds_env *env, void *memory, uint64_t bytes);

/* @memory may be NULL. */
void env_release(const struct uds_env *env, void *memory);

void env_log(const struct uds_env *env, enum uds_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

uint64_t env_now_ms(const struct uds_env *env);

#endif
