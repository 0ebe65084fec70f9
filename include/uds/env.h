/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a handle gets from its program: an allocator, a logger, a clock; and the progress callback.
 *
 * Each handle is made with an environment, or with NULL for the defaults, and hands it on to the
 * handles that it makes itself.
 */
#ifndef UDS_ENV_H
#define UDS_ENV_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum uds_log_level {
	UDS_LOG_ERROR = 3,
	UDS_LOG_WARNING = 4,
	UDS_LOG_NOTICE = 5,
	UDS_LOG_INFO = 6,
	UDS_LOG_DEBUG = 7,
};

/*
 * Members other than size may be zero, for the default. The struct is copied; what context points
 * to must outlive every handle made with it.
 *
 * Threads: the functions are called from any thread, several at once.
 */
struct uds_env {
	uint64_t size; /* of this struct: set by UDS_ENV_INIT */
	void *context;

	/*
	 * @alignment is a power of two. Returns NULL when there is no memory. Default:
	 * aligned_alloc. Set both allocate and release, or neither.
	 */
	void *(*allocate)(void *context, size_t bytes, size_t alignment);

	/* @memory came from allocate; never NULL. */
	void (*release)(void *context, void *memory);

	/* @sentence has no newline. Default: nothing is logged. */
	void (*log)(void *context, enum uds_log_level level, const char *sentence);

	/*
	 * Milliseconds since 1970, for the time stamps of saves. More than INT64_MAX counts as
	 * that. Default: the system's clock.
	 */
	uint64_t (*now_ms)(void *context);
};

#define UDS_ENV_INIT                                  \
	{                                             \
		sizeof(struct uds_env), 0, 0, 0, 0, 0 \
	}

/*
 * Reports the progress of long work, on the thread that called the function.
 *
 * @done, @total: in the unit that the function names. @total is 0 when it is not known.
 *
 * Return 0 to go on. Any other value asks to stop: the function then returns UDS_ERR_STOPPED as
 * soon as that is safe.
 */
typedef int (*uds_progress_fn)(void *context, uint64_t done, uint64_t total);

#ifdef __cplusplus
}
#endif

#endif
