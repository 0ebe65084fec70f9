# SPDX-License-Identifier: BSD-2-Clause
#
# Readers and checkers of the formats that share no code with the library, and their tests.

TEST_EXTENSIONS = .py
PY_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/format/run-python

# These use the library, so a sanitized build runs them as well.
format_tests = \
	tests/format/test_exec_against_model.py \
	tests/format/test_scan_names.py \
	tests/format/test_snapshot_against_model.py

# These hold the readers and models themselves against the golden vectors.
format_self_tests = \
	tests/format/test_cow_format.py \
	tests/format/test_model.py \
	tests/format/test_uds_format.py

TESTS += $(format_tests)
if !SANITIZED
TESTS += $(format_self_tests)
endif
EXTRA_DIST += \
	$(format_tests) \
	$(format_self_tests) \
	tests/format/cow_format.py \
	tests/format/model.py \
	tests/format/run-python \
	tests/format/snapshot_peers.py \
	tests/format/support.py \
	tests/format/uds_check.py \
	tests/format/uds_check_volume.py \
	tests/format/uds_faults.py \
	tests/format/uds_format.py \
	tests/format/uds_planter.py \
	tests/format/uds_rules.py

# For tests in Python: makes converted indexes.
check_PROGRAMS += tests/format/convert_file
tests_format_convert_file_SOURCES = \
	tests/format/convert.c tests/format/convert.h \
	tests/format/convert_file.c
tests_format_convert_file_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/support
tests_format_convert_file_CFLAGS = $(TEST_CFLAGS)
tests_format_convert_file_LDADD = lib/libcore.la

# The golden traces and images of the index, by the library.
if HAVE_CHECK
if BUILD_TOOL
index_vector_tests = \
	tests/format/test_final_queries \
	tests/format/test_trace_replay
check_PROGRAMS += $(index_vector_tests)
TESTS += $(index_vector_tests)

index_vector_sources = \
	tests/format/convert.c tests/format/convert.h \
	tests/format/image_diff.c tests/format/image_diff.h \
	tests/format/replay.c tests/format/replay.h \
	tests/format/trace.c tests/format/trace.h

tests_format_test_final_queries_SOURCES = \
	tests/format/test_final_queries.c $(index_vector_sources)
tests_format_test_final_queries_CPPFLAGS = $(TEST_CPPFLAGS) $(JANSSON_CFLAGS)
tests_format_test_final_queries_CFLAGS = $(TEST_CFLAGS)
tests_format_test_final_queries_LDADD = $(TEST_LDADD) $(JANSSON_LIBS)

tests_format_test_trace_replay_SOURCES = \
	tests/format/test_trace_replay.c $(index_vector_sources)
tests_format_test_trace_replay_CPPFLAGS = $(TEST_CPPFLAGS) $(JANSSON_CFLAGS)
tests_format_test_trace_replay_CFLAGS = $(TEST_CFLAGS)
tests_format_test_trace_replay_LDADD = $(TEST_LDADD) $(JANSSON_LIBS)
endif
endif
