# SPDX-License-Identifier: BSD-2-Clause
#
# Benchmarks are not built by default: make bench-programs.

BENCHES =
EXTRA_DIST += bench/README.md bench/nbd bench/rbd bench/scan bench/serve bench/vdo bench/plots/size.svg bench/plots/batch.svg

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

# The index and its peers: each is a shared object that the driver loads, by its path or from bench/peers/.libs. A
# test runs the driver with this library and with a peer of its own; the others are optional.
if SHARED
check_PROGRAMS += bench/compare
check_LTLIBRARIES += bench/peers/uds.la
endif
PEERS =
PEER_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere -export-symbols-regex '^bench_peer$$'
bench_compare_SOURCES = bench/compare.c bench/compare.h bench/compare_output.c bench/compare_output.h \
	bench/compare_peers.c bench/compare_peers.h bench/compare_report.c bench/compare_results.c bench/compare_results.h \
	bench/compare_side.c bench/compare_side.h bench/compare_work.c bench/compare_work.h bench/measure.h \
	bench/peers/peer.h bench/plot.c bench/plot.h bench/workload.c bench/workload.h tests/support/names.h
bench_compare_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/bench -I$(top_srcdir)/tests/support
bench_compare_LDADD = -ldl -lm -lpthread

bench_peers_uds_la_SOURCES = bench/peers/uds.c bench/peers/peer.h
bench_peers_uds_la_LDFLAGS = $(PEER_LDFLAGS)
bench_peers_uds_la_LIBADD = lib/libcore.la

if HAVE_LMDB
PEERS += bench/peers/lmdb.la
endif
bench_peers_lmdb_la_SOURCES = bench/peers/lmdb.c bench/peers/peer.h
bench_peers_lmdb_la_CFLAGS = $(AM_CFLAGS) $(LMDB_CFLAGS)
bench_peers_lmdb_la_LDFLAGS = $(PEER_LDFLAGS)
bench_peers_lmdb_la_LIBADD = $(LMDB_LIBS)

if HAVE_ROCKSDB
PEERS += bench/peers/rocksdb.la
endif
bench_peers_rocksdb_la_SOURCES = bench/peers/rocksdb.c bench/peers/peer.h
bench_peers_rocksdb_la_CPPFLAGS = $(AM_CPPFLAGS) -DROCKSDB_VERSION='"$(ROCKSDB_VERSION)"'
bench_peers_rocksdb_la_CFLAGS = $(AM_CFLAGS) $(ROCKSDB_CFLAGS)
bench_peers_rocksdb_la_LDFLAGS = $(PEER_LDFLAGS)
bench_peers_rocksdb_la_LIBADD = $(ROCKSDB_LIBS)

if HAVE_SQLITE
PEERS += bench/peers/sqlite.la
endif
bench_peers_sqlite_la_SOURCES = bench/peers/sqlite.c bench/peers/peer.h
bench_peers_sqlite_la_CFLAGS = $(AM_CFLAGS) $(SQLITE_CFLAGS)
bench_peers_sqlite_la_LDFLAGS = $(PEER_LDFLAGS)
bench_peers_sqlite_la_LIBADD = $(SQLITE_LIBS)

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
EXTRA_LTLIBRARIES = bench/peers/lmdb.la bench/peers/rocksdb.la bench/peers/sqlite.la
CLEANFILES += $(BENCHES) $(PEERS)

if SHARED
COMPARED = bench/compare bench/peers/uds.la $(PEERS)
endif

.PHONY: bench-programs bench
bench-programs: $(BENCHES) $(COMPARED) bench/scaling

# At most ten minutes. BENCH_FLAGS adds to what is measured, or replaces it.
BENCH_REPORT = bench-report
BENCH_PLACE = /dev/shm
BENCH_FLAGS =
bench: $(COMPARED)
	bench/compare --at "$(BENCH_PLACE)" --records 100K,500K,2M --batch 256,1 --runs 3 --seconds 0.5 \
		--report "$(BENCH_REPORT)" $(BENCH_FLAGS)
