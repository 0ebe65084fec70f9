/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What every unit test program shares: running its cases, skipping one with a reason, and the line
 * that the summary counts.
 *
 * A program is a main() that fills a suite and returns run_suite(suite).
 */
#ifndef TESTS_CHECK_MAIN_H
#define TESTS_CHECK_MAIN_H

#include "check_places.h"
#include "scale.h"

/*
 * Runs the suite, prints each failure, each skip with its reason, and "result: P passed, F
 * failed, S skipped".
 */
int run_suite(Suite *suite);

/*
 * For a suite whose tests change what is the process's own, such as its descriptors, limits or
 * registered schemes: each of them runs in a process of its own, whatever CK_FORK says.
 */
int run_suite_apart(Suite *suite);

/* Ends the test that runs as skipped, not as passed. */
#define skip_test(...)                  \
	do {                            \
		note_skip(__VA_ARGS__); \
		return;                 \
	} while (0)

void note_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * As tcase_add_loop_test(), for many cases that are much alike: a run in part takes half of them,
 * each bit of the number with both values; 32-bit code takes the other half.
 */
#define tcase_add_alike(tcase, test, from, to)                                           \
	do {                                                                             \
		for (int n_ = (from); n_ < (int)(to); n_++)                              \
			if (!test_in_part() ||                                           \
			    __builtin_parity((unsigned int)n_) == (sizeof(void *) == 4)) \
				tcase_add_loop_test(tcase, test, n_, n_ + 1);            \
	} while (0)

/* The folder with the golden vectors, or NULL where there is none: then skip with "no vectors". */
const char *vectors_dir(void);

/*
 * A fresh empty folder for the files of this program; removed by the caller's file names
 * or make clean.
 */
const char *scratch_dir(void);

#endif
