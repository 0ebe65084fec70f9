# SPDX-License-Identifier: BSD-2-Clause
udsinclude_HEADERS += include/uds/engine.h include/uds/io.h

lib_libcore_la_SOURCES += \
	lib/io/bytes_io.c lib/io/bytes_io.h \
	lib/io/copier.c lib/io/copier.h \
	lib/io/block_device.h \
	lib/io/descriptor.c lib/io/descriptor.h \
	lib/io/device_mapper.c lib/io/device_mapper.h \
	lib/io/engine.c lib/io/engine_private.h \
	lib/io/engine_buffers.c \
	lib/io/engine_done.c \
	lib/io/engine_pass.c \
	lib/io/engine_wait.c \
	lib/io/file.c lib/io/file.h \
	lib/io/file_direct.c \
	lib/io/file_lock.c \
	lib/io/file_open.c \
	lib/io/file_places.c \
	lib/io/file_users.c \
	lib/io/io.c lib/io/io.h \
	lib/io/memory.c \
	lib/io/place.c \
	lib/io/ranges.c \
	lib/io/readers.c lib/io/readers.h \
	lib/io/request.c \
	lib/io/ring.h lib/io/ring_files.h \
	lib/io/share_lock.h \
	lib/io/sysfs.c lib/io/sysfs.h \
	lib/io/workers.c lib/io/workers.h \
	lib/io/zeroes.c

if HAVE_LIBURING
lib_libcore_la_SOURCES += lib/io/ring.c lib/io/ring_files.c
endif
