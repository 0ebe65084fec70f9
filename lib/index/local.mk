# SPDX-License-Identifier: BSD-2-Clause

udsinclude_HEADERS += include/uds/index.h

lib_libcore_la_SOURCES += \
	lib/index/close_chapter.c \
	lib/index/dropped_records.c lib/index/dropped_records.h \
	lib/index/index.h \
	lib/index/lookup.c \
	lib/index/open.c \
	lib/index/rebuild.c lib/index/rebuild.h \
	lib/index/replay.c lib/index/replay.h \
	lib/index/request.c \
	lib/index/run.c \
	lib/index/save.c lib/index/save.h \
	lib/index/saved_records.c lib/index/saved_records.h \
	lib/index/share.h \
	lib/index/statistics.c \
	lib/index/triage.c
