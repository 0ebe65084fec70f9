# SPDX-License-Identifier: BSD-2-Clause

udsinclude_HEADERS += include/uds/snapshot.h

lib_libcore_la_SOURCES += \
	lib/snapshot/copy_out.c lib/snapshot/copy_out.h \
	lib/snapshot/device.h \
	lib/snapshot/device_open.c \
	lib/snapshot/device_read.c \
	lib/snapshot/device_state.c \
	lib/snapshot/device_status.c \
	lib/snapshot/device_write.c \
	lib/snapshot/differences.c \
	lib/snapshot/find_data.c \
	lib/snapshot/keep_old.c lib/snapshot/keep_old.h \
	lib/snapshot/loss_list.c lib/snapshot/loss_list.h \
	lib/snapshot/lost_chunks.c lib/snapshot/lost_chunks.h \
	lib/snapshot/merge.c \
	lib/snapshot/merge_check.c lib/snapshot/merge_check.h \
	lib/snapshot/merge_committer.c lib/snapshot/merge_committer.h \
	lib/snapshot/merge_group.c lib/snapshot/merge_group.h \
	lib/snapshot/merge_losses.c lib/snapshot/merge_losses.h \
	lib/snapshot/merge_pace.c \
	lib/snapshot/merge_role.c lib/snapshot/merge_role.h \
	lib/snapshot/merge_run.h \
	lib/snapshot/new_exceptions.c lib/snapshot/new_exceptions.h \
	lib/snapshot/origin.c lib/snapshot/origin.h \
	lib/snapshot/origin_write.c \
	lib/snapshot/range_lock.c lib/snapshot/range_lock.h \
	lib/snapshot/write_window.c lib/snapshot/write_window.h
