# SPDX-License-Identifier: BSD-2-Clause
lib_libcore_la_SOURCES += \
	lib/volume/config_block.c lib/volume/config_block.h \
	lib/volume/layout.c lib/volume/layout.h \
	lib/volume/layout_create.c \
	lib/volume/nonces.c lib/volume/nonces.h \
	lib/volume/region_table.c lib/volume/region_table.h \
	lib/volume/save_header.c lib/volume/save_header.h \
	lib/volume/saves.c lib/volume/saves.h \
	lib/volume/super_block.c lib/volume/super_block.h
