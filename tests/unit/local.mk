# SPDX-License-Identifier: BSD-2-Clause

UNIT_TESTS += tests/unit/test_base
tests_unit_test_base_SOURCES = tests/unit/test_base.c
tests_unit_test_base_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_base_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_base_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_crew
tests_unit_test_crew_SOURCES = tests/unit/test_crew.c
tests_unit_test_crew_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_crew_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_crew_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_device_mapper
tests_unit_test_device_mapper_SOURCES = tests/unit/test_device_mapper.c
tests_unit_test_device_mapper_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_device_mapper_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_device_mapper_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_io_system
tests_unit_test_io_system_SOURCES = tests/unit/test_io_system.c
tests_unit_test_io_system_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_io_system_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_io_system_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_bytes_io
tests_unit_test_bytes_io_SOURCES = tests/unit/test_bytes_io.c
tests_unit_test_bytes_io_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_bytes_io_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_bytes_io_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_stops
tests_unit_test_stops_SOURCES = tests/unit/test_stops.c
tests_unit_test_stops_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_stops_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_stops_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_vdo_geometry
tests_unit_test_vdo_geometry_SOURCES = tests/unit/test_vdo_geometry.c
tests_unit_test_vdo_geometry_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_vdo_geometry_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_vdo_geometry_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_allocator
tests_unit_test_allocator_SOURCES = tests/unit/test_allocator.c
tests_unit_test_allocator_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_allocator_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_allocator_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_bounded_memory
tests_unit_test_bounded_memory_SOURCES = tests/unit/test_bounded_memory.c
tests_unit_test_bounded_memory_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_bounded_memory_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_bounded_memory_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_lost_blocks
tests_unit_test_lost_blocks_SOURCES = tests/unit/test_lost_blocks.c
tests_unit_test_lost_blocks_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_lost_blocks_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_lost_blocks_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_index_damage
tests_unit_test_index_damage_SOURCES = tests/unit/test_index_damage.c
tests_unit_test_index_damage_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_index_damage_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_index_damage_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_index_findings
tests_unit_test_index_findings_SOURCES = tests/unit/test_index_findings.c
tests_unit_test_index_findings_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_index_findings_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_index_findings_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_io_file
tests_unit_test_io_file_SOURCES = tests/unit/test_io_file.c
tests_unit_test_io_file_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_io_file_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_io_file_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_io
tests_unit_test_io_SOURCES = tests/unit/test_io.c
tests_unit_test_io_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_io_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_io_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_io_device
tests_unit_test_io_device_SOURCES = tests/unit/test_io_device.c
tests_unit_test_io_device_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_io_device_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_io_device_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_io_engine
THREADED_TESTS += tests/unit/test_io_engine
tests_unit_test_io_engine_SOURCES = tests/unit/test_io_engine.c
tests_unit_test_io_engine_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_io_engine_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_io_engine_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_engine_sharing
THREADED_TESTS += tests/unit/test_engine_sharing
tests_unit_test_engine_sharing_SOURCES = tests/unit/test_engine_sharing.c
tests_unit_test_engine_sharing_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_engine_sharing_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_engine_sharing_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_io_memory
THREADED_TESTS += tests/unit/test_io_memory
tests_unit_test_io_memory_SOURCES = tests/unit/test_io_memory.c
tests_unit_test_io_memory_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_io_memory_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_io_memory_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_io_places
tests_unit_test_io_places_SOURCES = tests/unit/test_io_places.c
tests_unit_test_io_places_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_io_places_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_io_places_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_io_stacks
tests_unit_test_io_stacks_SOURCES = tests/unit/test_io_stacks.c
tests_unit_test_io_stacks_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_io_stacks_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_io_stacks_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_io_races
THREADED_TESTS += tests/unit/test_io_races
tests_unit_test_io_races_SOURCES = tests/unit/test_io_races.c
tests_unit_test_io_races_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_io_races_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_io_races_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_io_registered
THREADED_TESTS += tests/unit/test_io_registered
tests_unit_test_io_registered_SOURCES = tests/unit/test_io_registered.c
tests_unit_test_io_registered_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_io_registered_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_io_registered_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_io_standard
THREADED_TESTS += tests/unit/test_io_standard
tests_unit_test_io_standard_SOURCES = tests/unit/test_io_standard.c
tests_unit_test_io_standard_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_io_standard_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_io_standard_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_io_schemes
THREADED_TESTS += tests/unit/test_io_schemes
tests_unit_test_io_schemes_SOURCES = tests/unit/test_io_schemes.c
tests_unit_test_io_schemes_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_io_schemes_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_io_schemes_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_io_uri
tests_unit_test_io_uri_SOURCES = tests/unit/test_io_uri.c
tests_unit_test_io_uri_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_io_uri_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_io_uri_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_support
tests_unit_test_support_SOURCES = tests/unit/test_support.c
tests_unit_test_support_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_support_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_support_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_crash
tests_unit_test_crash_SOURCES = tests/unit/test_crash.c
tests_unit_test_crash_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_crash_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_crash_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_chapter
tests_unit_test_chapter_SOURCES = tests/unit/test_chapter.c
tests_unit_test_chapter_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_chapter_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_chapter_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_chapter_index
tests_unit_test_chapter_index_SOURCES = tests/unit/test_chapter_index.c
tests_unit_test_chapter_index_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_chapter_index_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_chapter_index_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_open_chapter
tests_unit_test_open_chapter_SOURCES = tests/unit/test_open_chapter.c
tests_unit_test_open_chapter_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_open_chapter_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_open_chapter_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_record_page
tests_unit_test_record_page_SOURCES = tests/unit/test_record_page.c
tests_unit_test_record_page_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_record_page_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_record_page_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_recorded_chapters
tests_unit_test_recorded_chapters_SOURCES = tests/unit/test_recorded_chapters.c
tests_unit_test_recorded_chapters_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_recorded_chapters_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_recorded_chapters_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_zone_save
THREADED_TESTS += tests/unit/test_zone_save
tests_unit_test_zone_save_SOURCES = tests/unit/test_zone_save.c
tests_unit_test_zone_save_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_zone_save_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_zone_save_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_zone_memory
tests_unit_test_zone_memory_SOURCES = tests/unit/test_zone_memory.c
tests_unit_test_zone_memory_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_zone_memory_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_zone_memory_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_list_entries
tests_unit_test_list_entries_SOURCES = tests/unit/test_list_entries.c
tests_unit_test_list_entries_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_list_entries_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_list_entries_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_list_planes
tests_unit_test_list_planes_SOURCES = tests/unit/test_list_planes.c
tests_unit_test_list_planes_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_list_planes_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_list_planes_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_delta
tests_unit_test_delta_SOURCES = tests/unit/test_delta.c
tests_unit_test_delta_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_delta_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_delta_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_geometry
tests_unit_test_geometry_SOURCES = tests/unit/test_geometry.c
tests_unit_test_geometry_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_geometry_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_geometry_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_layout
tests_unit_test_layout_SOURCES = tests/unit/test_layout.c
tests_unit_test_layout_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_layout_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_layout_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_volume_index
tests_unit_test_volume_index_SOURCES = tests/unit/test_volume_index.c \
	tests/unit/volume_index_model.c tests/unit/volume_index_model.h
tests_unit_test_volume_index_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_volume_index_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_volume_index_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_enter
tests_unit_test_enter_SOURCES = tests/unit/test_enter.c
tests_unit_test_enter_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_enter_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_enter_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_volume_index_save
tests_unit_test_volume_index_save_SOURCES = tests/unit/test_volume_index_save.c \
	tests/unit/volume_index_model.c tests/unit/volume_index_model.h
tests_unit_test_volume_index_save_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_volume_index_save_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_volume_index_save_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_volume_parts
THREADED_TESTS += tests/unit/test_volume_parts
tests_unit_test_volume_parts_SOURCES = tests/unit/test_volume_parts.c
tests_unit_test_volume_parts_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_volume_parts_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_volume_parts_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_volume_public
tests_unit_test_volume_public_SOURCES = tests/unit/test_volume_public.c
tests_unit_test_volume_public_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_volume_public_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_volume_public_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_page_reader
tests_unit_test_page_reader_SOURCES = tests/unit/test_page_reader.c
tests_unit_test_page_reader_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_page_reader_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_page_reader_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_volume
tests_unit_test_volume_SOURCES = tests/unit/test_volume.c
tests_unit_test_volume_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_volume_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_volume_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_chapter_writer
THREADED_TESTS += tests/unit/test_chapter_writer
tests_unit_test_chapter_writer_SOURCES = tests/unit/test_chapter_writer.c
tests_unit_test_chapter_writer_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_chapter_writer_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_chapter_writer_LDADD = $(TEST_LDADD)

include tests/unit/snapshot.mk
include tests/unit/interface.mk
include tests/unit/tool.mk

UNIT_TESTS += tests/unit/test_index
THREADED_TESTS += tests/unit/test_index
tests_unit_test_index_SOURCES = tests/unit/test_index.c
tests_unit_test_index_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_index_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_index_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_index_sparse
tests_unit_test_index_sparse_SOURCES = tests/unit/test_index_sparse.c
tests_unit_test_index_sparse_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_index_sparse_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_index_sparse_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_index_changes
tests_unit_test_index_changes_SOURCES = tests/unit/test_index_changes.c
tests_unit_test_index_changes_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_index_changes_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_index_changes_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_index_twins
tests_unit_test_index_twins_SOURCES = tests/unit/test_index_twins.c
tests_unit_test_index_twins_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_index_twins_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_index_twins_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_known_names
tests_unit_test_known_names_SOURCES = tests/unit/test_known_names.c
tests_unit_test_known_names_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_known_names_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_known_names_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_index_recent
THREADED_TESTS += tests/unit/test_index_recent
tests_unit_test_index_recent_SOURCES = tests/unit/test_index_recent.c
tests_unit_test_index_recent_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_index_recent_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_index_recent_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_index_crafted
tests_unit_test_index_crafted_SOURCES = tests/unit/test_index_crafted.c
tests_unit_test_index_crafted_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_index_crafted_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_index_crafted_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_index_checkpoint
tests_unit_test_index_checkpoint_SOURCES = tests/unit/test_index_checkpoint.c
tests_unit_test_index_checkpoint_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_index_checkpoint_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_index_checkpoint_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_checkpoint_interval
THREADED_TESTS += tests/unit/test_checkpoint_interval
tests_unit_test_checkpoint_interval_SOURCES = tests/unit/test_checkpoint_interval.c
tests_unit_test_checkpoint_interval_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_checkpoint_interval_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_checkpoint_interval_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_index_recovery
tests_unit_test_index_recovery_SOURCES = tests/unit/test_index_recovery.c
tests_unit_test_index_recovery_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_index_recovery_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_index_recovery_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_small_stack
tests_unit_test_small_stack_SOURCES = tests/unit/test_small_stack.c
tests_unit_test_small_stack_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_small_stack_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_small_stack_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_small_stack_rest
tests_unit_test_small_stack_rest_SOURCES = tests/unit/test_small_stack_rest.c
tests_unit_test_small_stack_rest_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_small_stack_rest_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_small_stack_rest_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_index_waits
THREADED_TESTS += tests/unit/test_index_waits
tests_unit_test_index_waits_SOURCES = tests/unit/test_index_waits.c
tests_unit_test_index_waits_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_index_waits_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_index_waits_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_async
THREADED_TESTS += tests/unit/test_async
tests_unit_test_async_SOURCES = tests/unit/test_async.c
tests_unit_test_async_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_async_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_async_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_async_faults
tests_unit_test_async_faults_SOURCES = tests/unit/test_async_faults.c
tests_unit_test_async_faults_CPPFLAGS = $(TEST_CPPFLAGS) -D_GNU_SOURCE
tests_unit_test_async_faults_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_async_faults_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_flush_group
tests_unit_test_flush_group_SOURCES = tests/unit/test_flush_group.c
tests_unit_test_flush_group_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_flush_group_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_flush_group_LDADD = $(TEST_LDADD)
THREADED_TESTS += tests/unit/test_flush_group

UNIT_TESTS += tests/unit/test_journal
tests_unit_test_journal_SOURCES = tests/unit/test_journal.c
tests_unit_test_journal_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_journal_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_journal_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_extras
tests_unit_test_extras_SOURCES = tests/unit/test_extras.c
tests_unit_test_extras_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_extras_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_extras_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_extras_blocks
tests_unit_test_extras_blocks_SOURCES = tests/unit/test_extras_blocks.c
tests_unit_test_extras_blocks_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_extras_blocks_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_extras_blocks_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_vdo_volume
tests_unit_test_vdo_volume_SOURCES = tests/unit/test_vdo_volume.c
tests_unit_test_vdo_volume_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_vdo_volume_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_vdo_volume_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_lvm
tests_unit_test_lvm_SOURCES = tests/unit/test_lvm.c
tests_unit_test_lvm_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_lvm_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_lvm_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_engine_ranges
tests_unit_test_engine_ranges_SOURCES = tests/unit/test_engine_ranges.c tests/support/run_requests.c \
	tests/support/run_requests.h
tests_unit_test_engine_ranges_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_engine_ranges_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_engine_ranges_LDADD = $(TEST_LDADD)

UNIT_TESTS += tests/unit/test_io_ranges
tests_unit_test_io_ranges_SOURCES = tests/unit/test_io_ranges.c
tests_unit_test_io_ranges_CPPFLAGS = $(TEST_CPPFLAGS)
tests_unit_test_io_ranges_CFLAGS = $(TEST_CFLAGS)
tests_unit_test_io_ranges_LDADD = $(TEST_LDADD)
