# SPDX-License-Identifier: BSD-2-Clause

lib_libcore_la_SOURCES += \
	lib/index/vi_bits.h \
	lib/index/vi_format.h \
	lib/index/vi_index.h \
	lib/index/vi_list.c lib/index/vi_list.h \
	lib/index/vi_list_avx2.c \
	lib/index/vi_list_avx512.c \
	lib/index/vi_list_operations.h \
	lib/index/vi_list_portable.c \
	lib/index/vi_pool.c lib/index/vi_pool.h \
	lib/index/volume_index.c lib/index/volume_index.h \
	lib/index/volume_index_load.c \
	lib/index/volume_index_save.c
