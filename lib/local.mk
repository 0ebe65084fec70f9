# SPDX-License-Identifier: BSD-2-Clause
#
# lib/libcore.la holds all layers; libuds.la shows its public names only. Tests of internal
# functions link libcore.la. The static libuds.a is made one object, whose hidden names are local.

noinst_LTLIBRARIES += lib/libcore.la
lib_libcore_la_SOURCES =
lib_libcore_la_SHORTNAME = libcore_la
lib_libcore_la_CFLAGS = $(AM_CFLAGS) $(UDS_FRAME_LIMIT)
lib_libcore_la_LIBADD = $(ZLIB_LIBS) $(URING_LIBS)
if SHARED
# Both libraries are of position-independent code, so that each file is compiled once.
lib_libcore_la_LIBTOOLFLAGS = --tag=disable-static
endif

lib_LTLIBRARIES += libuds.la
libuds_la_SOURCES =
libuds_la_LIBADD = lib/libcore.la
libuds_la_LDFLAGS = $(AM_LDFLAGS) -version-info $(UDS_LT_VERSION) -no-undefined \
	-Wl,--version-script=$(top_srcdir)/lib/libuds.map
libuds_la_LINK = AR="$(AR)" RANLIB="$(RANLIB)" $(SHELL) $(top_srcdir)/lib/one_object "$(OBJCOPY)" "$(CC) $(CFLAGS)" -- \
	$(LIBTOOL) $(AM_V_lt) --tag=CC $(AM_LIBTOOLFLAGS) $(LIBTOOLFLAGS) --mode=link \
	$(CC) $(AM_CFLAGS) $(CFLAGS) $(libuds_la_LDFLAGS) $(LDFLAGS) -o $@
EXTRA_libuds_la_DEPENDENCIES = $(top_srcdir)/lib/libuds.map $(top_srcdir)/lib/one_object
EXTRA_DIST += lib/libuds.map lib/one_object

include_HEADERS = include/uds.h
udsincludedir = $(includedir)/uds
udsinclude_HEADERS =

include lib/base/local.mk
include lib/io/local.mk
include lib/geometry/local.mk
include lib/delta/local.mk
include lib/chapter/local.mk
include lib/extras/local.mk
include lib/volume/local.mk
include lib/volume_index/local.mk
include lib/sparse/local.mk
include lib/index/local.mk
include lib/check/local.mk
include lib/exceptions/local.mk
include lib/snapshot/local.mk
include lib/vdo/local.mk
include lib/lvm/local.mk
include lib/uri/local.mk
include lib/testing/local.mk
