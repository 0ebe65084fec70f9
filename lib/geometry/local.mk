# SPDX-License-Identifier: BSD-2-Clause
udsinclude_HEADERS += include/uds/geometry.h include/uds/record.h

lib_libcore_la_SOURCES += \
	lib/geometry/chapter_map.c \
	lib/geometry/geometry.h \
	lib/geometry/geometry_make.c \
	lib/geometry/name_bits.h \
	lib/geometry/name_zone.h \
	lib/geometry/public.c \
	lib/geometry/volume_index_parameters.c
