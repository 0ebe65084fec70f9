# SPDX-License-Identifier: BSD-2-Clause
#
# libuds-rbd, the I/O backend for images of a Ceph cluster: a shared library of its own, as it stands on librbd. It links
# the public names of libuds only; a few small files of lib/base are compiled in.
if HAVE_LIBRBD
lib_LTLIBRARIES += libuds-rbd.la
pkgconfig_DATA += libuds-rbd.pc
udsinclude_HEADERS += include/uds/rbd.h
libuds_rbd_la_SOURCES = \
	plugins/rbd/backend.c \
	plugins/rbd/cluster.c plugins/rbd/cluster.h \
	plugins/rbd/find_data.c plugins/rbd/find_data.h \
	plugins/rbd/image.c plugins/rbd/image.h \
	plugins/rbd/keeper.c \
	plugins/rbd/lock.c \
	plugins/rbd/open.c plugins/rbd/open.h \
	plugins/rbd/scheme.c \
	plugins/rbd/spec.c plugins/rbd/spec.h \
	$(PLUGINS_COMMON) \
	lib/base/env.c lib/base/message.c lib/base/struct_size.c
libuds_rbd_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/plugins
libuds_rbd_la_LDFLAGS = $(AM_LDFLAGS) -shared -version-info $(UDS_RBD_LT_VERSION) -no-undefined \
	-Wl,--version-script=$(top_srcdir)/plugins/rbd/libuds-rbd.map
libuds_rbd_la_LIBADD = libuds.la $(LIBRBD_LIBS)
EXTRA_libuds_rbd_la_DEPENDENCIES = $(top_srcdir)/plugins/rbd/libuds-rbd.map
else
EXTRA_DIST += include/uds/rbd.h
endif
EXTRA_DIST += plugins/rbd/libuds-rbd.map
