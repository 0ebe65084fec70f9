# SPDX-License-Identifier: BSD-2-Clause

lib_libcore_la_SOURCES += \
	lib/delta/bit_writer.h \
	lib/delta/delta_append.c \
	lib/delta/delta_code.c lib/delta/delta_code.h \
	lib/delta/delta_list.c \
	lib/delta/delta_together.c
