# SPDX-License-Identifier: BSD-2-Clause
#
# Tests of the exception store and of snapshots.

if BUILD_TOOL
UNIT_TESTS += tests/unit/test_snapshot_vectors
tests_unit_test_snapshot_vectors_SOURCES = tests/unit/test_snapshot_vectors.c
tests_unit_test_snapshot_vectors_CPPFLAGS = $(TEST_CPPFLAGS) $(JANSSON_CFLAGS)
tests_unit_test_snapshot_vectors_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_snapshot_vectors_LDADD = $(TEST_LDADD) $(JANSSON_LIBS)
endif
