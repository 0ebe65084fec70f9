# SPDX-License-Identifier: BSD-2-Clause
#
# The uds command. It links the library's public names only; the hash of block names and the
# hashing of tables are the library's files, compiled in.
if BUILD_TOOL
bin_PROGRAMS += uds
uds_CPPFLAGS = $(AM_CPPFLAGS) $(JANSSON_CFLAGS) -DNBDKIT_PLUGIN='"$(nbdkitplugindir)/nbdkit-uds-plugin.so"' \
	-DLIBRARY_FOLDER='"$(libdir)"'
uds_LDADD = libuds.la $(JANSSON_LIBS) -ldl
uds_SOURCES = \
	tools/commands.c tools/families.h \
	tools/create.c tools/create.h \
	tools/document.c tools/document.h \
	tools/dump.c \
	tools/find.c \
	tools/find_lvm.c tools/find_lvm.h \
	tools/findings.c tools/findings.h \
	tools/identify.c tools/identify.h \
	tools/info.c \
	tools/lines.c tools/lines.h \
	tools/main.c tools/tool.h \
	tools/messages.c \
	tools/optional.c tools/optional.h \
	tools/options.c tools/options.h \
	tools/output.c tools/output.h \
	tools/progress.c tools/progress.h \
	tools/recover.c \
	tools/requests.c \
	tools/scan.c tools/scan.h tools/scan_data.h \
	tools/scan_cut.c tools/scan_cut.h \
	tools/scan_extents.c tools/scan_extents.h \
	tools/scan_file.c tools/scan_file.h \
	tools/scan_hash.c tools/scan_hash.h \
	tools/scan_index.c tools/scan_index.h \
	tools/scan_left_out.c tools/scan_left_out.h \
	tools/scan_name.c tools/scan_name.h \
	tools/scan_pipe.c tools/scan_pipe.h \
	tools/scan_read.c tools/scan_read.h \
	tools/scan_report.c tools/scan_report.h \
	tools/scan_room.c tools/scan_room.h \
	tools/scan_seen.c \
	tools/scan_set.c tools/scan_set.h \
	tools/scan_time.c tools/scan_time.h \
	tools/scan_tree.c tools/scan_tree.h \
	tools/scan_volume.c tools/scan_volume.h \
	tools/scan_walk.c tools/scan_walk.h \
	tools/schemes.c tools/schemes.h \
	tools/snapshot_commands.c \
	tools/snapshot_data.c \
	tools/snapshot_diff.c \
	tools/snapshot_group.c tools/snapshot_group.h \
	tools/snapshot_info.c \
	tools/snapshot_merge.c \
	tools/snapshot_missing.c tools/snapshot_missing.h \
	tools/snapshot_serve.c \
	tools/snapshot_output.c tools/snapshot_output.h \
	tools/snapshot_target.c tools/snapshot_target.h \
	tools/standard.c tools/standard.h \
	tools/step.c tools/step.h \
	tools/target.c tools/target.h \
	tools/text.c tools/text.h \
	tools/vdo_audit.c \
	tools/vdo_blocks.c tools/vdo_blocks.h \
	tools/vdo_commands.c \
	tools/vdo_prime.c \
	tools/vdo_show.c tools/vdo_show.h \
	tools/vdo_target.c tools/vdo_target.h \
	tools/verify.c \
	lib/base/hash_key.c lib/base/hash_key.h \
	tools/find_shards.h tools/shard_target.h tools/shards_commands.c
if HAVE_SHARDS
uds_SOURCES += tools/find_shards.c tools/shards.c tools/shards_info.c tools/shard_target.c
uds_CPPFLAGS += -DWITH_SHARDS
uds_LDADD += libuds-shards.la
else
EXTRA_DIST += tools/find_shards.c tools/shards.c tools/shards_info.c tools/shard_target.c
endif
endif
