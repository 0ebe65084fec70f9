/* SPDX-License-Identifier: BSD-2-Clause */
/* The default allocator and clock, and the calls that go through an environment. */
#include "base/env.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/bits.h"
#include "base/message.h"
#include "base/struct_size.h"

#define HUGE_PAGE_BYTES ((size_t)2 << 20)

static void *default_allocate(void *context, size_t bytes, size_t alignment)
{
	void *memory;

	(void)context;
	/* What posix_memalign() demands at least. */
	if (alignment < sizeof(void *))
		alignment = sizeof(void *);
	/* One byte where none is asked for, since NULL means "no memory" everywhere. */
	if (posix_memalign(&memory, alignment, bytes == 0 ? 1 : bytes) != 0)
		return NULL;
	return memory;
}

static void default_release(void *context, void *memory)
{
	(void)context;
	free(memory);
}

static void default_log(void *context, enum uds_log_level level, const char *sentence)
{
	(void)context;
	(void)level;
	(void)sentence;
}

static uint64_t default_now_ms(void *context)
{
	struct timespec now;

	(void)context;
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int env_take(const struct uds_env *given, struct uds_message *message, struct uds_env *ret_env)
{
	struct uds_env env = UDS_ENV_INIT;
	int r;

	if (given != NULL) {
		r = STRUCT_IN(&env, given, uds_env, now_ms, message);
		if (r < 0)
			return r;
	}
	/* Memory of one allocator must never reach the release of another. */
	if ((env.allocate == NULL) != (env.release == NULL))
		return failure(message, -EINVAL,
			       "struct uds_env: half an allocator: allocate and release are given "
			       "both or not at all");
	if (env.allocate == NULL) {
		env.allocate = default_allocate;
		env.release = default_release;
	}
	if (env.log == NULL)
		env.log = default_log;
	if (env.now_ms == NULL)
		env.now_ms = default_now_ms;
	*ret_env = env;
	return 0;
}

int env_complete(const struct uds_env *given, struct uds_env *ret_env)
{
	return env_take(given, NULL, ret_env);
}

void *env_allocate(const struct uds_env *env, uint64_t count, size_t bytes_each)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, bytes_each, &bytes))
		return NULL;
	/* The strictest alignment of any type: callers put structs into it. */
	return env->allocate(env->context, bytes == 0 ? 1 : bytes, _Alignof(max_align_t));
}

void *env_allocate_zeroed(const struct uds_env *env, uint64_t count, size_t bytes_each)
{
	void *memory = env_allocate(env, count, bytes_each);

	if (memory != NULL)
		memset(memory, 0, (size_t)count * bytes_each);
	return memory;
}

void *env_allocate_aligned(const struct uds_env *env, uint64_t bytes, size_t alignment)
{
	if (bytes > SIZE_MAX)
		return NULL;
	return env->allocate(env->context, bytes == 0 ? 1 : (size_t)bytes, alignment);
}

/* Whether env_allocate_large() maps so much memory itself. */
static bool is_mapped(const struct uds_env *env, uint64_t bytes)
{
	/* Only the default allocator may be passed by: a caller's own has to see all memory. */
	return env->allocate == default_allocate && bytes >= HUGE_PAGE_BYTES &&
	       bytes <= SIZE_MAX - 2 * HUGE_PAGE_BYTES;
}

/* Whole huge pages that begin at one: more is mapped, and both ends are given back. */
static void *map_huge_pages(size_t bytes)
{
	const size_t length = (bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES;
	/* A huge page more than is needed, so that an aligned start is in it wherever it begins. */
	uint8_t *mapping = mmap(NULL, length + HUGE_PAGE_BYTES, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t before;

	if (mapping == MAP_FAILED)
		return NULL;
	before = -(uintptr_t)mapping % HUGE_PAGE_BYTES;
	if (before > 0)
		munmap(mapping, before);
	munmap(mapping + before + length, HUGE_PAGE_BYTES - before);
#ifdef MADV_HUGEPAGE
	/* Only advice: without huge pages the memory works as well. */
	(void)madvise(mapping + before, length, MADV_HUGEPAGE);
#endif
	return mapping + before;
}

void *env_allocate_large(const struct uds_env *env, uint64_t bytes)
{
	if (is_mapped(env, bytes))
		return map_huge_pages((size_t)bytes);
	return env_allocate_aligned(env, bytes, bytes < HUGE_PAGE_BYTES ? 64 : HUGE_PAGE_BYTES);
}

void env_release_large(const struct uds_env *env, void *memory, uint64_t bytes)
{
	if (memory == NULL)
		return;
	/*
	 * The same question as at the allocation, with the same answer: no list of mappings is
	 * needed.
	 */
	if (is_mapped(env, bytes))
		munmap(memory,
		       ((size_t)bytes + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES * HUGE_PAGE_BYTES);
	else
		env_release(env, memory);
}

void env_release(const struct uds_env *env, void *memory)
{
	if (memory != NULL)
		env->release(env->context, memory);
}

void env_log(const struct uds_env *env, enum uds_log_level level, const char *format, ...)
{
	char sentence[512];
	va_list args;

	/*
	 * Longer sentences are cut: a log must not need memory, which may be what there is none of.
	 */
	va_start(args, format);
	vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	env->log(env->context, level, sentence);
}

uint64_t env_now_ms(const struct uds_env *env)
{
	return env->now_ms(env->context);
}
