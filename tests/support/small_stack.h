/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Measuring how much stack calls need: each runs on a thread with 64 KB, and none may use more than
 * 8 KB, whatever the C library needs below it included.
 */
#ifndef TESTS_SMALL_STACK_H
#define TESTS_SMALL_STACK_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <uds/status.h>

#include "check_main.h"
#include "sanitizer.h"

#define STACK_BYTES 65536u
#define GUARD_BYTES 65536u
#define MOST_BYTES  8192u
#define PATTERN	    UINT64_C(0x5bd1e995a5a5c3c3)

/* Is there where lines are counted, of a library that is not optimised. */
void __gcov_init(void *counts) __attribute__((weak));

static inline bool stack_is_larger(void)
{
	return SANITIZED || __gcov_init != NULL;
}

static _Thread_local uint64_t *stack_low;
static _Thread_local uint64_t *stack_top;

/* The worst of each call, by name. */
static struct {
	char name[64];
	size_t bytes;
} worst[160];
static size_t worst_count;

/* Fills the unused part of this thread's stack. */
static __attribute__((noinline)) void fill(void)
{
	stack_top = __builtin_frame_address(0);
	for (volatile uint64_t *p = stack_low; p < stack_top - 32; p++)
		*p = PATTERN;
}

/* After a call: how far it came. */
static __attribute__((noinline)) void note(const char *call)
{
	const uint64_t *p = stack_low;
	size_t length = strcspn(call, "("), i = 0, bytes;

	while (p < stack_top && *p == PATTERN)
		p++;
	bytes = (size_t)(stack_top - p) * sizeof(*p);
	while (i < worst_count &&
	       (strncmp(worst[i].name, call, length) != 0 || worst[i].name[length] != '\0'))
		i++;
	if (i == worst_count)
		snprintf(worst[worst_count++].name, sizeof(worst[0].name), "%.*s", (int)length,
			 call);
	if (bytes > worst[i].bytes)
		worst[i].bytes = bytes;
}

#define MEASURE(call)                     \
	__extension__({                   \
		__auto_type m_result = 0; \
                                          \
		fill();                   \
		m_result = (int)(call);   \
		note(#call);              \
		m_result;                 \
	})

#define MEASURE_VOID(call)   \
	do {                 \
		fill();      \
		call;        \
		note(#call); \
	} while (0)

struct job {
	void (*run)(void *context);
	void *context;
	void *stack;
};

static void *start(void *context)
{
	struct job *job = context;

	/* The thread's own data is at the upper end; this function is just below it. */
	stack_low = job->stack;
	job->run(job->context);
	return NULL;
}

/* Runs something on a thread with a small stack, and fails where a call came too far. */
static void on_small_stack(void (*run)(void *), void *context)
{
	uint8_t *memory = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct job job = { run, context, memory + GUARD_BYTES };
	pthread_attr_t attributes;
	pthread_t thread;

	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert_int_eq(mprotect(memory, GUARD_BYTES, PROT_NONE), 0);
	pthread_attr_init(&attributes);
	ck_assert_int_eq(pthread_attr_setstack(&attributes, job.stack, STACK_BYTES), 0);
	worst_count = 0;
	memset(worst, 0, sizeof(worst));
	ck_assert_int_eq(pthread_create(&thread, &attributes, start, &job), 0);
	pthread_join(thread, NULL);
	pthread_attr_destroy(&attributes);
	munmap(memory, GUARD_BYTES + STACK_BYTES);
	for (size_t i = 0; i < worst_count; i++)
		printf("%6zu bytes of stack: %s\n", worst[i].bytes, worst[i].name);
	for (size_t i = 0; i < worst_count; i++)
		ck_assert_msg(worst[i].bytes <= MOST_BYTES, "%s used %zu bytes of stack",
			      worst[i].name, worst[i].bytes);
	ck_assert_uint_gt(worst_count, 0);
}

/* A call that was to succeed. Not a ck_assert(): that would need the stack that is measured. */
static void good(int status)
{
	if (status < 0) {
		printf("status %d: %s\n", status, uds_strerror(status));
		abort();
	}
}

/* The same for one that returns a pointer. */
#define MEASURE_POINTER(call)          \
	__extension__({                \
		const void *m_pointer; \
                                       \
		fill();                \
		m_pointer = (call);    \
		note(#call);           \
		m_pointer;             \
	})

/*
 * Runs the program again with all symbols bound: what the loader needs to look up a function at its
 * first call is not the library's.
 */
static inline void bind_symbols(const char *name)
{
	if (getenv("LD_BIND_NOW") != NULL)
		return;
	setenv("LD_BIND_NOW", "1", 1);
	execl("/proc/self/exe", name, (char *)NULL);
}

#endif
