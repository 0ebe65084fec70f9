# SPDX-License-Identifier: BSD-2-Clause
#
# What the libraries for other storage share; each compiles it in.
PLUGINS_COMMON = \
	plugins/common/copy_text.h \
	plugins/common/extents.c plugins/common/extents.h \
	plugins/common/hash.h \
	plugins/common/monotonic.h \
	plugins/common/signals.h \
	plugins/common/uri_number.c plugins/common/uri_number.h
