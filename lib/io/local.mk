# SPDX-License-Identifier: BSD-2-Clause
udsinclude_HEADERS += include/uds/io.h

lib_libcore_la_SOURCES += \
	lib/io/io.c lib/io/io.h \
	lib/io/memory.c \
	lib/io/queue.c
