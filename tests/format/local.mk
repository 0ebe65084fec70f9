# SPDX-License-Identifier: BSD-2-Clause
#
# Readers and checkers of the formats that share no code with the library, and their tests.

TEST_EXTENSIONS = .py
PY_LOG_COMPILER = $(SHELL) $(top_srcdir)/tests/format/run-python

format_tests = \
	tests/format/test_cow_format.py \
	tests/format/test_exec_against_model.py \
	tests/format/test_model.py \
	tests/format/test_snapshot_against_model.py \
	tests/format/test_uds_format.py

TESTS += $(format_tests)
EXTRA_DIST += \
	$(format_tests) \
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
