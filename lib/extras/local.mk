# SPDX-License-Identifier: BSD-2-Clause

lib_libcore_la_SOURCES += \
	lib/extras/area.c lib/extras/area.h \
	lib/extras/checksums.c lib/extras/checksums.h \
	lib/extras/journal.c lib/extras/journal.h
