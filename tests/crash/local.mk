# SPDX-License-Identifier: BSD-2-Clause
#
# Power cuts at every write.

UNIT_TESTS += tests/crash/test_index_crash
tests_crash_test_index_crash_SOURCES = tests/crash/test_index_crash.c
tests_crash_test_index_crash_CPPFLAGS = $(TEST_CPPFLAGS)
tests_crash_test_index_crash_CFLAGS = $(TEST_CFLAGS)
tests_crash_test_index_crash_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/crash/test_torn_chapter
tests_crash_test_torn_chapter_SOURCES = tests/crash/test_torn_chapter.c
tests_crash_test_torn_chapter_CPPFLAGS = $(TEST_CPPFLAGS)
tests_crash_test_torn_chapter_CFLAGS = $(TEST_CFLAGS)
tests_crash_test_torn_chapter_LDADD = $(TEST_LDADD)
