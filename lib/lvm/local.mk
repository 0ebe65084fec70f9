# SPDX-License-Identifier: BSD-2-Clause
udsinclude_HEADERS += include/uds/lvm.h

lib_libcore_la_SOURCES += \
	lib/lvm/group.c lib/lvm/group.h \
	lib/lvm/label.c lib/lvm/label.h \
	lib/lvm/metadata_area.c lib/lvm/metadata_area.h \
	lib/lvm/model.c lib/lvm/model.h \
	lib/lvm/model_check.c lib/lvm/model_check.h \
	lib/lvm/text.c lib/lvm/text.h \
	lib/lvm/volume.c
