# SPDX-License-Identifier: BSD-2-Clause
#
# Parts of the uds command that know neither its options nor the library.
UNIT_TESTS += tests/unit/test_tool_text
tests_unit_test_tool_text_SOURCES = tests/unit/test_tool_text.c tools/text.c
tests_unit_test_tool_text_CPPFLAGS = $(TEST_CPPFLAGS) -I$(top_srcdir)/tools
tests_unit_test_tool_text_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_tool_text_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_tool_scan
tests_unit_test_tool_scan_SOURCES = tests/unit/test_tool_scan.c tools/scan_set.c \
	tools/scan_tree.c
tests_unit_test_tool_scan_CPPFLAGS = $(TEST_CPPFLAGS) -I$(top_srcdir)/tools
tests_unit_test_tool_scan_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_tool_scan_LDADD = $(TEST_LDADD)
