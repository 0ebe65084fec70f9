# SPDX-License-Identifier: BSD-2-Clause
#
# libuds-nbd, on servers of nbdkit. The program links the shared libraries, as others do.
if HAVE_LIBNBD
if HAVE_CHECK
check_PROGRAMS += tests/nbd/test_nbd
TESTS += tests/nbd/test_nbd
THREADED_TESTS += tests/nbd/test_nbd
tests_nbd_test_nbd_SOURCES = tests/nbd/test_nbd.c tests/nbd/nbd_server.c tests/nbd/nbd_server.h \
	tests/support/check_main.c tests/support/run_requests.c tests/support/run_requests.h tests/support/torture_env.c
tests_nbd_test_nbd_CPPFLAGS = $(TEST_CPPFLAGS)
tests_nbd_test_nbd_CFLAGS = $(TEST_CFLAGS)
tests_nbd_test_nbd_LDADD = libuds-nbd.la libuds.la $(CHECK_LIBS) -lpthread
if HAVE_SHARDS
check_PROGRAMS += tests/nbd/test_nbd_shards
TESTS += tests/nbd/test_nbd_shards
tests_nbd_test_nbd_shards_SOURCES = tests/nbd/test_nbd_shards.c tests/nbd/nbd_server.c tests/nbd/nbd_server.h \
	tests/support/check_main.c
tests_nbd_test_nbd_shards_CPPFLAGS = $(TEST_CPPFLAGS)
tests_nbd_test_nbd_shards_CFLAGS = $(TEST_CFLAGS)
tests_nbd_test_nbd_shards_LDADD = libuds-nbd.la libuds-shards.la libuds.la $(CHECK_LIBS) -lpthread
endif
endif
endif

# Skips where there is no libuds-nbd. Not in sanitized builds: once is enough for what takes long.
if !SANITIZED
TESTS += tests/nbd/test_nbd_tool.py
endif
EXTRA_DIST += tests/nbd/test_nbd_tool.py
