# SPDX-License-Identifier: BSD-2-Clause

udsinclude_HEADERS += include/uds/snapshot.h

lib_libcore_la_SOURCES += \
	lib/snapshot/device.c lib/snapshot/device.h \
	lib/snapshot/device_read.c \
	lib/snapshot/device_status.c \
	lib/snapshot/device_target.c \
	lib/snapshot/device_write.c \
	lib/snapshot/merge.c lib/snapshot/merge.h \
	lib/snapshot/merge_check.c \
	lib/snapshot/merge_committer.c \
	lib/snapshot/merge_group.c \
	lib/snapshot/merge_losses.c \
	lib/snapshot/range_lock.c lib/snapshot/range_lock.h
