# SPDX-License-Identifier: BSD-2-Clause
udsinclude_HEADERS += include/uds/vdo.h

lib_libcore_la_SOURCES += \
	lib/vdo/advice.c \
	lib/vdo/geometry_block.c lib/vdo/geometry_block.h \
	lib/vdo/super_block.c lib/vdo/super_block.h \
	lib/vdo/volume.c
