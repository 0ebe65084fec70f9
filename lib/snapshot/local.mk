# SPDX-License-Identifier: BSD-2-Clause
udsinclude_HEADERS += include/uds/exception_store.h include/uds/snapshot.h
