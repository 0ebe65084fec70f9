# SPDX-License-Identifier: BSD-2-Clause
#
# What holds for the whole public interface.

UNIT_TESTS += tests/unit/test_structs
tests_unit_test_structs_SOURCES = tests/unit/test_structs.c
tests_unit_test_structs_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_structs_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_structs_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_options
tests_unit_test_options_SOURCES = tests/unit/test_options.c
tests_unit_test_options_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_options_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_options_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_failures
THREADED_TESTS += tests/unit/test_failures
tests_unit_test_failures_SOURCES = tests/unit/test_failures.c
tests_unit_test_failures_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_failures_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_failures_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_own_message
tests_unit_test_own_message_SOURCES = tests/unit/test_own_message.c
tests_unit_test_own_message_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_own_message_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_own_message_LDADD = $(TEST_LDADD)
