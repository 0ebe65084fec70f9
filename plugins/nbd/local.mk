# SPDX-License-Identifier: BSD-2-Clause
#
# libuds-nbd, the I/O backend for network block devices: a shared library of its own, as it stands on libnbd. It links
# the public names of libuds only; a few small files of lib/base are compiled in.
if HAVE_LIBNBD
lib_LTLIBRARIES += libuds-nbd.la
pkgconfig_DATA += libuds-nbd.pc
udsinclude_HEADERS += include/uds/nbd.h
libuds_nbd_la_SOURCES = \
	plugins/nbd/backend.c \
	plugins/nbd/client.c plugins/nbd/client.h \
	plugins/nbd/export.c plugins/nbd/export.h \
	plugins/nbd/find_data.c plugins/nbd/find_data.h \
	plugins/nbd/open.c plugins/nbd/open.h \
	plugins/nbd/parts.c \
	plugins/nbd/place.c plugins/nbd/place.h \
	plugins/nbd/recover.c \
	plugins/nbd/scheme.c \
	plugins/nbd/unflushed.c plugins/nbd/unflushed.h \
	$(PLUGINS_COMMON) \
	lib/base/env.c lib/base/message.c lib/base/struct_size.c
libuds_nbd_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/plugins $(LIBNBD_CFLAGS)
libuds_nbd_la_LDFLAGS = $(AM_LDFLAGS) -shared -version-info $(UDS_NBD_LT_VERSION) -no-undefined \
	-Wl,--version-script=$(top_srcdir)/plugins/nbd/libuds-nbd.map
libuds_nbd_la_LIBADD = libuds.la $(LIBNBD_LIBS)
EXTRA_libuds_nbd_la_DEPENDENCIES = $(top_srcdir)/plugins/nbd/libuds-nbd.map
else
EXTRA_DIST += include/uds/nbd.h
endif
EXTRA_DIST += plugins/nbd/libuds-nbd.map
