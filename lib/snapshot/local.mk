# SPDX-License-Identifier: BSD-2-Clause
udsinclude_HEADERS += include/uds/exception_store.h include/uds/snapshot.h

lib_libcore_la_SOURCES += \
	lib/snapshot/area.c lib/snapshot/area.h \
	lib/snapshot/area_reader.c \
	lib/snapshot/bytes_io.c lib/snapshot/bytes_io.h \
	lib/snapshot/copier.c lib/snapshot/copier.h \
	lib/snapshot/cow_format.h \
	lib/snapshot/device.c lib/snapshot/device.h \
	lib/snapshot/device_read.c \
	lib/snapshot/device_status.c \
	lib/snapshot/device_target.c \
	lib/snapshot/device_write.c \
	lib/snapshot/exception_map.c lib/snapshot/exception_map.h \
	lib/snapshot/exception_tree.c lib/snapshot/exception_tree.h \
	lib/snapshot/merge.c lib/snapshot/merge.h \
	lib/snapshot/merge_committer.c \
	lib/snapshot/merge_group.c \
	lib/snapshot/range_lock.c lib/snapshot/range_lock.h \
	lib/snapshot/run_sort.c lib/snapshot/run_sort.h \
	lib/snapshot/store.c lib/snapshot/store.h \
	lib/snapshot/store_areas.c \
	lib/snapshot/store_commit.c \
	lib/snapshot/store_load.c \
	lib/snapshot/store_merge.c \
	lib/snapshot/store_query.c \
	lib/snapshot/store_verify.c \
	lib/snapshot/transient.c lib/snapshot/transient.h
