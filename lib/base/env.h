/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inner side of struct uds_env: completing what a caller gave, and memory and log lines
 * through it. Every object keeps a completed copy.
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

/* The same without a sentence. */
int env_complete(const struct uds_env *given, struct uds_env *ret_env);

/*
 * Memory aligned for any object, not cleared; NULL when there is none or the product overflows. Counts and
 * sizes are 64 bits wide here, so that what a 32-bit machine cannot address fails instead of wrapping.
 */
void *env_allocate(const struct uds_env *env, uint64_t count, size_t bytes_each);

/* The same, cleared. */
void *env_allocate_zeroed(const struct uds_env *env, uint64_t count, size_t bytes_each);

/* @alignment: a power of two. Not cleared. For buffers of I/O and for cache lines. */
void *env_allocate_aligned(const struct uds_env *env, uint64_t bytes, size_t alignment);

/* NULL is fine. */
void env_release(const struct uds_env *env, void *memory);

void env_log(const struct uds_env *env, enum uds_log_level level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

uint64_t env_now_ms(const struct uds_env *env);

#endif
