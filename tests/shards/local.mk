# SPDX-License-Identifier: BSD-2-Clause
#
# libuds-shards: its parts, and all of it on devices in memory.
if HAVE_SHARDS
if HAVE_CHECK
shards_tests = tests/shards/test_shards tests/shards/test_shards_files tests/shards/test_shards_move tests/shards/test_shards_threads
check_PROGRAMS += $(shards_tests)
TESTS += $(shards_tests)
THREADED_TESTS += tests/shards/test_shards_threads
check_LTLIBRARIES += tests/shards/libsupport.la
tests_shards_libsupport_la_SOURCES = tests/shards/fixture.c tests/shards/fixture.h
tests_shards_libsupport_la_CPPFLAGS = $(TEST_CPPFLAGS)
tests_shards_libsupport_la_CFLAGS = $(TEST_CFLAGS)
SHARDS_LDADD = tests/shards/libsupport.la tests/libsupport.la plugins/shards/libcore.la lib/libcore.la $(JANSSON_LIBS) $(CHECK_LIBS)
tests_shards_test_shards_SOURCES = tests/shards/test_shards.c
tests_shards_test_shards_CPPFLAGS = $(TEST_CPPFLAGS) -I$(top_srcdir)/plugins
tests_shards_test_shards_CFLAGS = $(TEST_CFLAGS)
tests_shards_test_shards_LDADD = $(SHARDS_LDADD)
tests_shards_test_shards_files_SOURCES = tests/shards/test_shards_files.c
tests_shards_test_shards_files_CPPFLAGS = $(TEST_CPPFLAGS)
tests_shards_test_shards_files_CFLAGS = $(TEST_CFLAGS)
tests_shards_test_shards_files_LDADD = $(SHARDS_LDADD)
tests_shards_test_shards_move_SOURCES = tests/shards/test_shards_move.c
tests_shards_test_shards_move_CPPFLAGS = $(TEST_CPPFLAGS) -I$(top_srcdir)/plugins
tests_shards_test_shards_move_CFLAGS = $(TEST_CFLAGS)
tests_shards_test_shards_move_LDADD = $(SHARDS_LDADD)
tests_shards_test_shards_threads_SOURCES = tests/shards/test_shards_threads.c
tests_shards_test_shards_threads_CPPFLAGS = $(TEST_CPPFLAGS)
tests_shards_test_shards_threads_CFLAGS = $(TEST_CFLAGS)
tests_shards_test_shards_threads_LDADD = $(SHARDS_LDADD)
endif
endif
