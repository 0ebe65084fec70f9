# SPDX-License-Identifier: BSD-2-Clause
udsinclude_HEADERS += include/uds/volume.h

lib_libcore_la_SOURCES += \
	lib/volume/chapter_view.c lib/volume/chapter_view.h \
	lib/volume/chapter_builder.c lib/volume/chapter_builder.h \
	lib/volume/chapter_mend.c lib/volume/chapter_mend.h \
	lib/volume/chapter_stream.c lib/volume/chapter_stream.h \
	lib/volume/chapter_writer.c lib/volume/chapter_writer.h \
	lib/volume/config_block.c lib/volume/config_block.h \
	lib/volume/config_moved.c lib/volume/config_moved.h \
	lib/volume/config_restore.c lib/volume/config_restore.h \
	lib/volume/region_stream.c lib/volume/region_stream.h \
	lib/volume/crowd.h \
	lib/volume/empty_volume.c lib/volume/empty_volume.h \
	lib/volume/find_chapters.c lib/volume/find_chapters.h \
	lib/volume/layout.c lib/volume/layout.h \
	lib/volume/layout_create.c \
	lib/volume/lookup.c lib/volume/lookup.h \
	lib/volume/lookup_flight.c lib/volume/lookup_flight.h \
	lib/volume/nonces.c lib/volume/nonces.h \
	lib/volume/page_buffers.c lib/volume/page_buffers.h \
	lib/volume/page_cache.c lib/volume/page_cache.h \
	lib/volume/page_check.c lib/volume/page_check.h \
	lib/volume/page_keeping.c lib/volume/page_keeping.h \
	lib/volume/page_map.c lib/volume/page_map.h \
	lib/volume/page_reader.c lib/volume/page_reader.h \
	lib/volume/public.c \
	lib/volume/region_table.c lib/volume/region_table.h \
	lib/volume/save_header.c lib/volume/save_header.h \
	lib/volume/save_wipe.c lib/volume/save_wipe.h \
	lib/volume/saves.c lib/volume/saves.h \
	lib/volume/slot_table.c lib/volume/slot_table.h \
	lib/volume/super_block.c lib/volume/super_block.h \
	lib/volume/super_restore.c lib/volume/super_restore.h \
	lib/volume/volume.c lib/volume/volume.h \
	lib/volume/volume_private.h \
	lib/volume/volume_search.c lib/volume/volume_search.h \
	lib/volume/whole_chapter.c lib/volume/whole_chapter.h
