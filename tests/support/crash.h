/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The library's crash simulator (uds/testing.h) for tests: what must not fail here ends the test.
 */
#ifndef TESTS_CRASH_H
#define TESTS_CRASH_H

#include <uds/testing.h>

#include "check_places.h"

static inline struct uds_crash_log *crash_log(void)
{
	struct uds_crash_log *log;

	ck_assert_int_eq(uds_crash_log_make(NULL, NULL, &log), 0);
	return log;
}

/* A device in memory. @bytes: NULL: zeroes. */
static inline void crash_add(struct uds_crash_log *log, const void *bytes, uint64_t size,
			     uint32_t block_bytes)
{
	struct uds_crash_device device = UDS_CRASH_DEVICE_INIT;
	uint32_t number;

	device.bytes = bytes;
	device.size_bytes = size;
	device.block_bytes = block_bytes;
	ck_assert_int_eq(uds_crash_log_add(log, &device, NULL, &number), 0);
}

static inline struct uds_io *crash_open(struct uds_crash_log *log, uint32_t number)
{
	struct uds_io *io;

	ck_assert_int_eq(uds_crash_log_open(log, number, NULL, &io), 0);
	return io;
}

static inline void crash_mark(struct uds_crash_log *log, uint64_t value)
{
	ck_assert_int_eq(uds_crash_log_mark(log, value, NULL), 0);
}

static inline const uint8_t *crash_bytes(struct uds_crash_log *log, uint32_t number)
{
	const uint8_t *bytes;

	ck_assert_int_eq(uds_crash_log_bytes(log, number, NULL, &bytes, NULL), 0);
	return bytes;
}

static inline struct uds_crash_log *crash_after(struct uds_crash_log *log, uint64_t cut,
						uint32_t variant, uint64_t seed)
{
	struct uds_crash_log *after;

	ck_assert_int_eq(uds_crash_log_after(log, cut, variant, seed, NULL, &after), 0);
	return after;
}

/* A sweep with where it is. Set options between start and the first next. */
struct crash_cuts {
	struct uds_crash_log *log;
	struct uds_crash_sweep_options options;
	struct uds_crash_sweep *sweep;
	struct uds_crash_state state;
};

static inline void crash_start(struct crash_cuts *cuts, struct uds_crash_log *log, uint64_t seed)
{
	*cuts = (struct crash_cuts){ log, UDS_CRASH_SWEEP_OPTIONS_INIT, NULL,
				     UDS_CRASH_STATE_INIT };
	cuts->options.seed = seed;
}

/* The next state, to be freed by the caller; NULL at the end, when the sweep is gone too. */
static inline struct uds_crash_log *crash_next(struct crash_cuts *cuts)
{
	struct uds_crash_log *after = NULL;
	int r = 0;

	if (cuts->sweep == NULL)
		r = uds_crash_sweep_make(cuts->log, &cuts->options, NULL, &cuts->sweep);
	ck_assert_int_eq(r, 0);
	r = uds_crash_sweep_next(cuts->sweep, &cuts->state, NULL, &after);
	ck_assert_int_ge(r, 0);
	if (r == 0) {
		uds_crash_sweep_free(cuts->sweep);
		cuts->sweep = NULL;
	}
	return after;
}

#endif
