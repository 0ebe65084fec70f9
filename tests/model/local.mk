# SPDX-License-Identifier: BSD-2-Clause
#
# Stores against simple models of what they must do.

if HAVE_CHECK
model_tests = tests/model/test_index_model
check_PROGRAMS += $(model_tests)
TESTS += $(model_tests)
THREADED_TESTS += tests/model/test_index_model

tests_model_test_index_model_SOURCES = \
	tests/format/convert.c tests/format/convert.h \
	tests/model/history.c tests/model/history.h \
	tests/model/model.c tests/model/model.h \
	tests/model/test_index_model.c
tests_model_test_index_model_CPPFLAGS = $(TEST_CPPFLAGS)
tests_model_test_index_model_CFLAGS = $(TEST_CFLAGS)
tests_model_test_index_model_LDADD = $(TEST_LDADD)
endif
