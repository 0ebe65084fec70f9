# SPDX-License-Identifier: BSD-2-Clause
lib_libcore_la_SOURCES += \
	lib/uri/nested.c lib/uri/nested.h \
	lib/uri/open_uri.c \
	lib/uri/schemes.c lib/uri/schemes.h \
	lib/uri/uri.c lib/uri/uri.h
