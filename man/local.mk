# SPDX-License-Identifier: BSD-2-Clause
dist_man_MANS += man/uds.1
dist_man_MANS += man/libuds_engine.3 man/libuds_io.3
dist_man_MANS += man/libuds_chapter.3
dist_man_MANS += man/libuds_volume.3
dist_man_MANS += man/libuds_testing.3
dist_man_MANS += man/libuds_lvm.3
dist_man_MANS += man/libuds_vdo.3
dist_man_MANS += man/libuds.3
dist_man_MANS += man/libuds_async.3 man/libuds_index.3
dist_man_MANS += man/libuds_exception_store.3 man/libuds_snapshot.3
dist_man_MANS += man/uds-format.5 man/uds-extras.5 man/uds-cow.5 man/uds-glossary.7 man/uds-lvm.7 man/uds-rescue.7 man/uds-scaling.7 man/uds-security.7 man/uds-vdo.7
if HAVE_SHARDS
dist_man_MANS += man/libuds_shards.3
else
EXTRA_DIST += man/libuds_shards.3
endif
if HAVE_LIBNBD
dist_man_MANS += man/libuds_nbd.3
else
EXTRA_DIST += man/libuds_nbd.3
endif
if HAVE_LIBRBD
dist_man_MANS += man/libuds_rbd.3
else
EXTRA_DIST += man/libuds_rbd.3
endif
