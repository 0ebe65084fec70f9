# SPDX-License-Identifier: BSD-2-Clause

UNIT_TESTS += tests/unit/test_base
tests_unit_test_base_SOURCES = tests/unit/test_base.c
tests_unit_test_base_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_base_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_base_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_io_file
tests_unit_test_io_file_SOURCES = tests/unit/test_io_file.c
tests_unit_test_io_file_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_io_file_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_io_file_LDADD = $(TEST_LDADD)
