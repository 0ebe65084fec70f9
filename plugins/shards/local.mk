# SPDX-License-Identifier: BSD-2-Clause
#
# libuds-shards, one logical index over several: a library of its own, as it reads and writes JSON with jansson. It
# links the public names of libuds only; a few small files of lib/base are compiled in. Its tests link the convenience
# library, for what it keeps to itself.
if HAVE_SHARDS
lib_LTLIBRARIES += libuds-shards.la
noinst_LTLIBRARIES += plugins/shards/libcore.la
pkgconfig_DATA += libuds-shards.pc
udsinclude_HEADERS += include/uds/shards.h
plugins_shards_libcore_la_SOURCES = \
	plugins/shards/calls.c plugins/shards/shards.h \
	plugins/shards/format.c \
	plugins/shards/gate.h \
	plugins/shards/manifest.c plugins/shards/manifest.h plugins/shards/manifest_json.c \
	plugins/shards/manifest_place.c plugins/shards/manifest_place.h \
	plugins/shards/move.c plugins/shards/move.h plugins/shards/move_names.c \
	plugins/shards/open.c \
	plugins/shards/placement.c plugins/shards/placement.h \
	plugins/shards/run.c \
	plugins/shards/same_place.c \
	plugins/shards/tell.c \
	plugins/shards/worker.c plugins/shards/worker.h
plugins_shards_libcore_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/plugins $(JANSSON_CFLAGS)
libuds_shards_la_SOURCES = \
	lib/base/env.c lib/base/failures.c lib/base/message.c lib/base/struct_size.c
libuds_shards_la_LDFLAGS = $(AM_LDFLAGS) -shared -version-info $(UDS_SHARDS_LT_VERSION) -no-undefined \
	-Wl,--version-script=$(top_srcdir)/plugins/shards/libuds-shards.map
libuds_shards_la_LIBADD = plugins/shards/libcore.la libuds.la $(JANSSON_LIBS)
EXTRA_libuds_shards_la_DEPENDENCIES = $(top_srcdir)/plugins/shards/libuds-shards.map
else
EXTRA_DIST += include/uds/shards.h
endif
EXTRA_DIST += plugins/shards/libuds-shards.map
