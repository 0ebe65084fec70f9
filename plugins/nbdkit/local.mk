# SPDX-License-Identifier: BSD-2-Clause
#
# The plugin with which nbdkit serves snapshots. It links the library's public names only; the
# loading of libraries that bring URI schemes is the command's.
if HAVE_NBDKIT
nbdkitplugin_LTLIBRARIES = plugins/nbdkit/nbdkit-uds-plugin.la
plugins_nbdkit_nbdkit_uds_plugin_la_SOURCES = plugins/nbdkit/uds.c tools/schemes.c tools/schemes.h
plugins_nbdkit_nbdkit_uds_plugin_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/tools -DLIBRARY_FOLDER='"$(libdir)"' $(NBDKIT_CFLAGS)
plugins_nbdkit_nbdkit_uds_plugin_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared
plugins_nbdkit_nbdkit_uds_plugin_la_LIBADD = libuds.la -ldl
endif
dist_man_MANS += plugins/nbdkit/uds-nbdkit.1
