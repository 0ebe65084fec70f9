# SPDX-License-Identifier: BSD-2-Clause
#
# Small programs against the public interface, each run by a script beside it (test_*).

EXAMPLE_TESTS =
EXAMPLES = examples/io_backend examples/io_copy
examples_io_backend_SOURCES = examples/io_backend.c
examples_io_backend_LDADD = libuds.la
examples_io_copy_SOURCES = examples/io_copy.c
examples_io_copy_LDADD = libuds.la
EXAMPLE_TESTS += examples/test_io
EXTRA_DIST += examples/test_io

EXAMPLES += examples/chapter_pages
examples_chapter_pages_SOURCES = examples/chapter_pages.c
examples_chapter_pages_LDADD = libuds.la
EXAMPLE_TESTS += examples/test_chapter
EXTRA_DIST += examples/test_chapter

EXAMPLES += examples/volume_history
examples_volume_history_SOURCES = examples/volume_history.c
examples_volume_history_LDADD = libuds.la
EXAMPLE_TESTS += examples/test_volume
EXTRA_DIST += examples/test_volume
EXAMPLES += examples/index_dedup
examples_index_dedup_SOURCES = examples/index_dedup.c
examples_index_dedup_LDADD = libuds.la
EXAMPLE_TESTS += examples/test_index
EXTRA_DIST += examples/test_index

EXAMPLES += examples/index_async
examples_index_async_SOURCES = examples/index_async.c
examples_index_async_LDADD = libuds.la
EXAMPLE_TESTS += examples/test_async
EXTRA_DIST += examples/test_async

EXAMPLES += examples/exception_copy examples/incremental_backup examples/snapshot_merge
examples_exception_copy_SOURCES = examples/exception_copy.c
examples_exception_copy_LDADD = libuds.la
examples_incremental_backup_SOURCES = examples/incremental_backup.c
examples_incremental_backup_LDADD = libuds.la
examples_snapshot_merge_SOURCES = examples/snapshot_merge.c
examples_snapshot_merge_LDADD = libuds.la
EXAMPLE_TESTS += examples/test_snapshot
EXTRA_DIST += examples/test_snapshot

if HAVE_SHARDS
EXAMPLES += examples/shards_writer
examples_shards_writer_SOURCES = examples/shards_writer.c
examples_shards_writer_LDADD = libuds-shards.la libuds.la
endif
EXAMPLE_TESTS += examples/test_shards
EXTRA_DIST += examples/shards_writer.c examples/test_shards

noinst_PROGRAMS += $(EXAMPLES)
TESTS += $(EXAMPLE_TESTS)
EXAMPLES += examples/crash_test
examples_crash_test_SOURCES = examples/crash_test.c
examples_crash_test_LDADD = libuds.la
EXAMPLE_TESTS += examples/test_crash
EXTRA_DIST += examples/test_crash

