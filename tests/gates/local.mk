# SPDX-License-Identifier: BSD-2-Clause
#
# What "quickstart check-long" asks of the code beside its tests: coverage, static analysis, valgrind.

# The tests of the interface, for valgrind's memcheck; and those with threads, for its helgrind. Left out of these
# are test_io_races and test_merge_sizes, which do not end within four minutes under it; the thread sanitizer runs them.
MEMCHECK_TESTS = $(addprefix tests/unit/test_, io io_file io_memory io_uri io_schemes io_engine bytes_io failures options \
	structs geometry volume_public volume_parts index index_changes index_sparse index_findings extras \
	exception_store store_list snapshot_partial snapshot_settle snapshot_targets merge_salvage vdo_geometry)
HELGRIND_TESTS = $(addprefix tests/unit/test_, io_engine range_lock index index_waits chapter_writer \
	snapshot_threads exception_store)

EXTRA_DIST += .clang-tidy tests/gates/coverage.py tests/gates/helgrind.supp tests/gates/lint
