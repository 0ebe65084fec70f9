# SPDX-License-Identifier: BSD-2-Clause
udsinclude_HEADERS += include/uds/testing.h

lib_libcore_la_SOURCES += \
	lib/testing/crash_image.c lib/testing/crash_image.h \
	lib/testing/crash_log.c lib/testing/crash_log.h \
	lib/testing/crash_sweep.c \
	lib/testing/crash_state.c lib/testing/crash_state.h
