# SPDX-License-Identifier: BSD-2-Clause
#
# Power cuts at every write.

UNIT_TESTS += tests/crash/test_scenarios
tests_crash_test_scenarios_SOURCES = tests/crash/test_scenarios.c
tests_crash_test_scenarios_CPPFLAGS = $(TEST_CPPFLAGS)
tests_crash_test_scenarios_CFLAGS = $(TEST_CFLAGS)
tests_crash_test_scenarios_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/crash/test_torn_chapter
tests_crash_test_torn_chapter_SOURCES = tests/crash/test_torn_chapter.c
tests_crash_test_torn_chapter_CPPFLAGS = $(TEST_CPPFLAGS)
tests_crash_test_torn_chapter_CFLAGS = $(TEST_CFLAGS)
tests_crash_test_torn_chapter_LDADD = $(TEST_LDADD)
