# SPDX-License-Identifier: BSD-2-Clause

lib_libcore_la_SOURCES += \
	lib/chapter/chapter_index.h \
	lib/chapter/collation.h \
	lib/chapter/index_page.h \
	lib/chapter/open_zone.h \
	lib/chapter/record_page.h \
	lib/chapter/saved_chapter.h
