# SPDX-License-Identifier: BSD-2-Clause
udsinclude_HEADERS += include/uds/chapter.h

lib_libcore_la_SOURCES += \
	lib/chapter/chapter_index.c lib/chapter/chapter_index.h \
	lib/chapter/chapter_lists.c lib/chapter/chapter_lists.h \
	lib/chapter/chapter_replay.c \
	lib/chapter/chapter_sort.c \
	lib/chapter/closed_chapter.c lib/chapter/closed_chapter.h \
	lib/chapter/collation.c lib/chapter/collation.h \
	lib/chapter/index_page.c lib/chapter/index_page.h \
	lib/chapter/open_zone.c lib/chapter/open_zone.h \
	lib/chapter/public.c lib/chapter/public.h \
	lib/chapter/public_pages.c lib/chapter/public_pages.h \
	lib/chapter/record_page.c lib/chapter/record_page.h \
	lib/chapter/saved_chapter.c lib/chapter/saved_chapter.h \
	lib/chapter/zone_memory.c lib/chapter/zone_memory.h
