# SPDX-License-Identifier: BSD-2-Clause
#
# Every I/O operation and every allocation failing in turn.

UNIT_TESTS += tests/fault/test_failing_calls
tests_fault_test_failing_calls_SOURCES = tests/fault/test_failing_calls.c
tests_fault_test_failing_calls_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fault_test_failing_calls_CFLAGS = $(TEST_CFLAGS)
tests_fault_test_failing_calls_LDADD = $(TEST_LDADD)
THREADED_TESTS += tests/fault/test_failing_calls

UNIT_TESTS += tests/fault/test_index_faults
tests_fault_test_index_faults_SOURCES = tests/fault/test_index_faults.c
tests_fault_test_index_faults_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fault_test_index_faults_CFLAGS = $(TEST_CFLAGS)
tests_fault_test_index_faults_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/fault/test_sparse_faults
tests_fault_test_sparse_faults_SOURCES = tests/fault/test_sparse_faults.c
tests_fault_test_sparse_faults_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fault_test_sparse_faults_CFLAGS = $(TEST_CFLAGS)
tests_fault_test_sparse_faults_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/fault/test_backend_statuses
tests_fault_test_backend_statuses_SOURCES = tests/fault/test_backend_statuses.c
tests_fault_test_backend_statuses_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fault_test_backend_statuses_CFLAGS = $(TEST_CFLAGS)
tests_fault_test_backend_statuses_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/fault/test_allocations
tests_fault_test_allocations_SOURCES = tests/fault/test_allocations.c
tests_fault_test_allocations_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fault_test_allocations_CFLAGS = $(TEST_CFLAGS)
tests_fault_test_allocations_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/fault/test_chapter_retry
tests_fault_test_chapter_retry_SOURCES = tests/fault/test_chapter_retry.c
tests_fault_test_chapter_retry_CPPFLAGS = $(TEST_CPPFLAGS)
tests_fault_test_chapter_retry_CFLAGS = $(TEST_CFLAGS)
tests_fault_test_chapter_retry_LDADD = $(TEST_LDADD)
