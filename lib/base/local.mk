# SPDX-License-Identifier: BSD-2-Clause
udsinclude_HEADERS += include/uds/env.h include/uds/old_names.h include/uds/status.h
udsinclude_HEADERS += include/uds/version.h

lib_libcore_la_SOURCES += \
	lib/base/bits.h \
	lib/base/block_name.c \
	lib/base/byte_count.h \
	lib/base/bytes.h \
	lib/base/crc32.c lib/base/crc32.h \
	lib/base/crew.c lib/base/crew.h \
	lib/base/deadline.c lib/base/deadline.h \
	lib/base/env.c lib/base/env.h \
	lib/base/failures.c lib/base/failures.h \
	lib/base/hash_key.c lib/base/hash_key.h \
	lib/base/lanes.h \
	lib/base/message.c lib/base/message.h \
	lib/base/murmur3.c lib/base/murmur3.h \
	lib/base/murmur3_find.c lib/base/murmur3_find.h lib/base/murmur3_mix.h \
	lib/base/run_part.h \
	lib/base/sort.c lib/base/sort.h \
	lib/base/status.c \
	lib/base/stream.h \
	lib/base/struct_size.c lib/base/struct_size.h \
	lib/base/version.c \
	lib/base/visibility.h
