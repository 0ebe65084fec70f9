# SPDX-License-Identifier: BSD-2-Clause

lib_libcore_la_SOURCES += \
	lib/volume_index/additions.c lib/volume_index/additions.h \
	lib/volume_index/enter.c lib/volume_index/enter.h \
	lib/volume_index/known_names.c lib/volume_index/known_names.h \
	lib/volume_index/list.c lib/volume_index/list.h \
	lib/volume_index/list_avx2.c \
	lib/volume_index/list_choose.c \
	lib/volume_index/list_cut.c lib/volume_index/list_cut.h \
	lib/volume_index/list_bits.h \
	lib/volume_index/list_entries.c lib/volume_index/list_entries.h \
	lib/volume_index/list_operations.h \
	lib/volume_index/list_planes.c lib/volume_index/list_planes.h \
	lib/volume_index/list_portable.c \
	lib/volume_index/load.c \
	lib/volume_index/load_lists.c lib/volume_index/load_lists.h \
	lib/volume_index/pool.c lib/volume_index/pool.h \
	lib/volume_index/private.h \
	lib/volume_index/reserve.c \
	lib/volume_index/shared_entries.c lib/volume_index/shared_entries.h \
	lib/volume_index/save.c lib/volume_index/save_lists.c lib/volume_index/save_plan.c \
	lib/volume_index/save_slices.c lib/volume_index/sizes.c \
	lib/volume_index/stream_format.h \
	lib/volume_index/volume_index.c lib/volume_index/volume_index.h \
	lib/volume_index/walk.c \
	lib/volume_index/zone_save.h
