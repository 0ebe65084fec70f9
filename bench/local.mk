# SPDX-License-Identifier: BSD-2-Clause
#
# Benchmarks are not built by default: make bench-programs.

BENCHES =
EXTRA_DIST += bench/README.md bench/nbd bench/rbd bench/scan bench/serve bench/vdo

BENCHES += bench/micro/chapter
bench_micro_chapter_SOURCES = bench/micro/chapter.c
bench_micro_chapter_LDADD = lib/libcore.la

BENCHES += bench/index
bench_index_SOURCES = bench/index.c bench/measure.h bench/workload.c bench/workload.h tests/support/names.h
bench_index_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/support
bench_index_LDADD = libuds.la

BENCHES += bench/async
bench_async_SOURCES = bench/async.c bench/measure.h tests/support/names.h
bench_async_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/support
bench_async_LDADD = libuds.la -lpthread

BENCHES += bench/micro/volume_index
bench_micro_volume_index_SOURCES = bench/micro/volume_index.c \
	bench/micro/sorted_lists.c bench/micro/sorted_lists.h
bench_micro_volume_index_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
bench_micro_volume_index_LDADD = lib/libcore.la

BENCHES += bench/flush
bench_flush_SOURCES = bench/flush.c bench/latency.c bench/latency.h bench/measure.h tests/support/names.h
bench_flush_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/support
bench_flush_LDADD = libuds.la

BENCHES += bench/snapshot_open
bench_snapshot_open_SOURCES = bench/snapshot_open.c bench/measure.h
bench_snapshot_open_LDADD = lib/libcore.la

BENCHES += bench/merge
bench_merge_SOURCES = bench/merge.c bench/measure.h
bench_merge_LDADD = lib/libcore.la

# A test runs it.
check_PROGRAMS += bench/scaling
bench_scaling_SOURCES = bench/scaling.c bench/scaling_io.c bench/scaling_io.h bench/scaling_measure.c bench/measure.h bench/scaling_measure.h \
	bench/scaling_model.c bench/scaling_model.h bench/scaling_output.c bench/scaling_output.h bench/plot.c bench/plot.h tests/support/names.h
bench_scaling_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/support
bench_scaling_LDADD = libuds.la -lm

if HAVE_SHARDS
BENCHES += bench/shards
bench_shards_SOURCES = bench/shards.c bench/measure.h tests/support/names.h
bench_shards_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/support
bench_shards_LDADD = libuds-shards.la libuds.la -lpthread
endif

if HAVE_LIBNBD
BENCHES += bench/nbd_load
bench_nbd_load_SOURCES = bench/nbd_load.c bench/measure.h
bench_nbd_load_LDADD = libuds-nbd.la libuds.la
endif

BENCHES += bench/storage
bench_storage_SOURCES = bench/storage.c bench/measure.h tests/support/names.h tools/schemes.c tools/schemes.h
bench_storage_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tests/support -I$(top_srcdir)/tools -DLIBRARY_FOLDER='"$(libdir)"'
bench_storage_LDADD = libuds.la -ldl -lpthread

EXTRA_PROGRAMS += $(BENCHES)
CLEANFILES += $(BENCHES)

.PHONY: bench-programs
bench-programs: $(BENCHES) bench/scaling
