# SPDX-License-Identifier: BSD-2-Clause

lib_libcore_la_SOURCES += \
	lib/check/damage.c \
	lib/check/info.c \
	lib/check/iterate.c \
	lib/check/led_entries.c lib/check/led_entries.h \
	lib/check/lost_block.c lib/check/lost_block.h \
	lib/check/placeholder.h \
	lib/check/repair.c \
	lib/check/verify.c lib/check/verify_private.h
