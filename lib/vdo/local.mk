# SPDX-License-Identifier: BSD-2-Clause
lib_libcore_la_SOURCES += \
	lib/vdo/geometry_block.c lib/vdo/geometry_block.h
