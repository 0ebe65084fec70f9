/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Check's assertions, less costly in loops.
 *
 * Check writes the place of each assertion that passes to a file, and names the last one when a
 * test crashes. That is a system call each, and most of the time of tests that compare bytes one by
 * one. So a place is written only the first time: a crash is reported with the assertion that was
 * reached last among those never reached before.
 */
#ifndef TESTS_CHECK_PLACES_H
#define TESTS_CHECK_PLACES_H

#include <check.h>

/* Check's own macros are used inside of this one, and are not free of warnings. */
#pragma GCC system_header

void mark_place_once(const char *file, int line);

#undef ck_assert_msg
#define ck_assert_msg(expr, ...)                                                        \
	((expr) ? mark_place_once(__FILE__, __LINE__)                                   \
		: _ck_assert_failed(__FILE__, __LINE__, "Assertion '" #expr "' failed", \
				    ##__VA_ARGS__))

#endif
