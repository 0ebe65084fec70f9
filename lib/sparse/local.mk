# SPDX-License-Identifier: BSD-2-Clause

lib_libcore_la_SOURCES += \
	lib/sparse/chapter_copy.c lib/sparse/chapter_copy.h \
	lib/sparse/sparse_cache.c lib/sparse/sparse_cache.h
