# SPDX-License-Identifier: BSD-2-Clause

udsinclude_HEADERS += include/uds/index.h

lib_libcore_la_SOURCES += \
	lib/index/chapter_copy.c lib/index/chapter_copy.h \
	lib/index/chapter_view.c lib/index/chapter_view.h \
	lib/index/close_chapter.c \
	lib/index/dropped_records.c lib/index/dropped_records.h \
	lib/index/index.h \
	lib/index/info.c \
	lib/index/iterate.c \
	lib/index/led_entries.c lib/index/led_entries.h \
	lib/index/lookup.c \
	lib/index/open.c \
	lib/index/rebuild.c lib/index/rebuild.h \
	lib/index/replay.c lib/index/replay.h \
	lib/index/request.c \
	lib/index/run.c \
	lib/index/save.c lib/index/save.h \
	lib/index/saved_records.c lib/index/saved_records.h \
	lib/index/share.h \
	lib/index/sparse_cache.c lib/index/sparse_cache.h \
	lib/index/statistics.c \
	lib/index/triage.c \
	lib/index/verify.c \
	lib/index/vi_bits.h \
	lib/index/vi_format.h \
	lib/index/vi_index.h \
	lib/index/vi_list.c lib/index/vi_list.h \
	lib/index/vi_list_avx2.c \
	lib/index/vi_list_operations.h \
	lib/index/vi_list_portable.c \
	lib/index/vi_pool.c lib/index/vi_pool.h \
	lib/index/volume_index.c lib/index/volume_index.h \
	lib/index/volume_index_load.c \
	lib/index/volume_index_save.c
