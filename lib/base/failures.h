/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The sentences about the failures of calls on one handle: of each thread that of its last call,
 * for uds_..._error_message(). libuds(3), ERRORS, states the rule that callers rely on.
 *
 * Each public call on the handle that returns a status
 *
 *	1. begins with failures_begin(), which forgets what the thread's call before left;
 *	2. keeps the sentence of a failure where it is found: failures_keep(), failures_say();
 *	3. ends with failures_end(), which forgets the sentence when the call succeeded after all,
 *	   and gives it a general one when it failed without any. So no failing call is without a
 *	   sentence.
 *
 * Bounded: sentences of at most FAILURES_MAX threads are kept; one more takes the place of the
 * oldest. Without memory for a sentence, the status's own text stands in for it.
 *
 * Threads: everything may be called by any number of threads at once, under any locks. While no
 * thread has a sentence, failures_begin() and failures_end() of a success cost one load each.
 */
#ifndef BASE_FAILURES_H
#define BASE_FAILURES_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/status.h>

#define FAILURES_MAX 64

struct failures {
	/*
	 * Bit n % 64 for each thread number n that has a sentence; written under the table's lock.
	 */
	_Atomic uint64_t threads;
};

/* Returns 0 or -ENOMEM. */
int failures_make(const struct uds_env *env, struct failures **ret_failures);

/* May be NULL. */
void failures_free(struct failures *failures);

/* The slow side of failures_begin() and failures_end(). */
void failures_forget(struct failures *failures);

static inline void failures_begin(struct failures *failures)
{
	if (atomic_load_explicit(&failures->threads, memory_order_relaxed) != 0)
		failures_forget(failures);
}

/* Keeps the sentence for the calling thread, unless it is held. Returns @status. */
int failures_keep(struct failures *failures, int status, const struct uds_message *message);

/* The same, formatted here. */
int failures_say(struct failures *failures, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Of a piece of work that goes on after a failure: whatever the thread keeps until its
 * next failures_begin(), the sentence that it has now stays. If it has none for @status,
 * it gets this one.
 */
void failures_hold(struct failures *failures, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Ends a call. @what: names the handle and what was asked for; ": " and the status's own text come
 * behind it. Only used when the call failed without a sentence. Returns @status.
 */
int failures_end_slowly(struct failures *failures, int status, const char *what, ...)
	__attribute__((format(printf, 3, 4)));

static inline bool failures_quiet(const struct failures *failures, int status)
{
	return status >= 0 && atomic_load_explicit(&failures->threads, memory_order_relaxed) == 0;
}

/* A macro, so that nothing is formatted, or even passed, while nothing has failed. */
#define failures_end(table, status, ...)                                           \
	__extension__({                                                            \
		struct failures *end_table = (table);                              \
		int end_status = (status);                                         \
                                                                                   \
		failures_quiet(end_table, end_status)                              \
			? end_status                                               \
			: failures_end_slowly(end_table, end_status, __VA_ARGS__); \
	})

/*
 * Ends a call that has found its sentence itself, and gives it to the caller, too. An
 * empty one becomes the status's own text. @ret_message: may be NULL; untouched by a
 * success. Returns @status.
 */
int failures_give(struct failures *failures, int status, struct uds_message *message,
		  struct uds_message *ret_message);

/* The calling thread's sentence; empty when its last call did not fail. */
void failures_get(struct failures *failures, struct uds_message *ret_message);

#endif
