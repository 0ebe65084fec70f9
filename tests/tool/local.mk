# SPDX-License-Identifier: BSD-2-Clause
#
# The uds command, used as a user would.

tool_tests = \
	tests/tool/test_tool_completion.py \
	tests/tool/test_tool_created.py \
	tests/tool/test_tool_damage.py \
	tests/tool/test_tool_index.py \
	tests/tool/test_tool_json.py \
	tests/tool/test_tool_lvm.py \
	tests/tool/test_tool_names.py \
	tests/tool/test_tool_output.py \
	tests/tool/test_tool_quiet.py \
	tests/tool/test_tool_recover.py \
	tests/tool/test_tool_requests.py \
	tests/tool/test_tool_rescue.py \
	tests/tool/test_tool_salvage.py \
	tests/tool/test_tool_scan.py \
	tests/tool/test_tool_scan_shared.py \
	tests/tool/test_tool_scan_trees.py \
	tests/tool/test_tool_shards.py \
	tests/tool/test_tool_signals.py \
	tests/tool/test_tool_snapshot.py \
	tests/tool/test_tool_standard.py \
	tests/tool/test_tool_terminal.py \
	tests/tool/test_tool_usage.py \
	tests/tool/test_tool_vdo.py \
	tests/tool/test_tool_vectors.py

TESTS += $(tool_tests)
# Reading, walking and asking the index are threads of a scan.
THREADED_TESTS += tests/tool/test_tool_scan.py
EXTRA_DIST += $(tool_tests) tests/tool/run-uds tests/tool/lvm_image.py tests/tool/tool_support.py tests/tool/vdo_image.py
