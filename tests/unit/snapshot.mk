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

UNIT_TESTS += tests/unit/test_range_lock
THREADED_TESTS += tests/unit/test_range_lock
tests_unit_test_range_lock_SOURCES = tests/unit/test_range_lock.c
tests_unit_test_range_lock_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_range_lock_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_range_lock_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_snapshot_settle
tests_unit_test_snapshot_settle_SOURCES = tests/unit/test_snapshot_settle.c
tests_unit_test_snapshot_settle_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_snapshot_settle_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_snapshot_settle_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_exception_map
tests_unit_test_exception_map_SOURCES = tests/unit/test_exception_map.c
tests_unit_test_exception_map_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_exception_map_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_exception_map_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_snapshot_defects
THREADED_TESTS += tests/unit/test_snapshot_defects
tests_unit_test_snapshot_defects_SOURCES = tests/unit/test_snapshot_defects.c
tests_unit_test_snapshot_defects_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_snapshot_defects_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_snapshot_defects_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_snapshot_model
tests_unit_test_snapshot_model_SOURCES = tests/unit/test_snapshot_model.c
tests_unit_test_snapshot_model_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_snapshot_model_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_snapshot_model_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_snapshot_threads
tests_unit_test_snapshot_threads_SOURCES = tests/unit/test_snapshot_threads.c
tests_unit_test_snapshot_threads_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_snapshot_threads_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_snapshot_threads_LDADD = $(TEST_LDADD)
THREADED_TESTS += tests/unit/test_snapshot_threads

UNIT_TESTS += tests/unit/test_exception_store
tests_unit_test_exception_store_SOURCES = tests/unit/test_exception_store.c
tests_unit_test_exception_store_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_exception_store_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_exception_store_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_snapshot_faults
tests_unit_test_snapshot_faults_SOURCES = tests/unit/test_snapshot_faults.c
tests_unit_test_snapshot_faults_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_snapshot_faults_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_snapshot_faults_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_snapshot_targets
tests_unit_test_snapshot_targets_SOURCES = tests/unit/test_snapshot_targets.c
tests_unit_test_snapshot_targets_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_snapshot_targets_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_snapshot_targets_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_snapshot_partial
tests_unit_test_snapshot_partial_SOURCES = tests/unit/test_snapshot_partial.c
tests_unit_test_snapshot_partial_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_snapshot_partial_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_snapshot_partial_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_merge_sizes
THREADED_TESTS += tests/unit/test_merge_sizes
tests_unit_test_merge_sizes_SOURCES = tests/unit/test_merge_sizes.c
tests_unit_test_merge_sizes_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_merge_sizes_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_merge_sizes_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_snapshot_cut
tests_unit_test_snapshot_cut_SOURCES = tests/unit/test_snapshot_cut.c
tests_unit_test_snapshot_cut_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_snapshot_cut_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_snapshot_cut_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_merge_salvage
tests_unit_test_merge_salvage_SOURCES = tests/unit/test_merge_salvage.c
tests_unit_test_merge_salvage_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_merge_salvage_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_merge_salvage_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_store_list
tests_unit_test_store_list_SOURCES = tests/unit/test_store_list.c
tests_unit_test_store_list_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_store_list_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_store_list_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_snapshot_beside
THREADED_TESTS += tests/unit/test_snapshot_beside
tests_unit_test_snapshot_beside_SOURCES = tests/unit/test_snapshot_beside.c
tests_unit_test_snapshot_beside_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_snapshot_beside_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_snapshot_beside_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_find_data
tests_unit_test_find_data_SOURCES = tests/unit/test_find_data.c
tests_unit_test_find_data_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_find_data_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_find_data_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_store_damage
tests_unit_test_store_damage_SOURCES = tests/unit/test_store_damage.c
tests_unit_test_store_damage_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_store_damage_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_store_damage_LDADD = $(TEST_LDADD)
