# SPDX-License-Identifier: BSD-2-Clause
#
# libuds-rbd, on a real Ceph cluster of this machine, which one script starts for itself and for the Check program. Skips
# where there is no libuds-rbd or no cluster. Under the address sanitizer only the program runs: once is enough for what takes long.
if HAVE_LIBRBD
if HAVE_CHECK
check_PROGRAMS += tests/rbd/test_rbd
tests_rbd_test_rbd_SOURCES = tests/rbd/test_rbd.c tests/support/check_main.c tests/support/run_requests.c \
	tests/support/run_requests.h tests/support/torture_env.c
tests_rbd_test_rbd_CPPFLAGS = $(TEST_CPPFLAGS)
tests_rbd_test_rbd_CFLAGS = $(TEST_CFLAGS)
tests_rbd_test_rbd_LDADD = libuds-rbd.la libuds.la $(LIBRBD_LIBS) $(CHECK_LIBS) -lpthread
endif
endif

TESTS += tests/rbd/test_rbd_tool.py
EXTRA_DIST += tests/rbd/test_rbd_tool.py tests/rbd/ceph_cluster.py
