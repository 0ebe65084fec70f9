# SPDX-License-Identifier: BSD-2-Clause

lib_libcore_la_SOURCES += \
	lib/index/volume_index.h
