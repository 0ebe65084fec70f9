# SPDX-License-Identifier: BSD-2-Clause

udsinclude_HEADERS += include/uds/exception_store.h

lib_libcore_la_SOURCES += \
	lib/exceptions/area.c lib/exceptions/area.h \
	lib/exceptions/area_reader.c lib/exceptions/area_reader.h \
	lib/exceptions/chunk_store.h \
	lib/exceptions/cow_format.h \
	lib/exceptions/exception_map.c lib/exceptions/exception_map.h \
	lib/exceptions/exception_tree.c lib/exceptions/exception_tree.h \
	lib/exceptions/merge_list.h \
	lib/exceptions/persistent.c lib/exceptions/persistent.h \
	lib/exceptions/run_sort.c lib/exceptions/run_sort.h \
	lib/exceptions/store.c \
	lib/exceptions/store_areas.c \
	lib/exceptions/store_commit.c \
	lib/exceptions/store_kinds.c lib/exceptions/store_kinds.h \
	lib/exceptions/store_list.c \
	lib/exceptions/store_load.c \
	lib/exceptions/store_map.c \
	lib/exceptions/store_merge.c \
	lib/exceptions/store_private.h \
	lib/exceptions/store_status.c \
	lib/exceptions/store_room.c \
	lib/exceptions/store_settle.c \
	lib/exceptions/store_state.c \
	lib/exceptions/store_take_off.c \
	lib/exceptions/store_verify.c \
	lib/exceptions/transient.c lib/exceptions/transient.h
