/* SPDX-License-Identifier: BSD-2-Clause */
/* Everything is hidden but what is marked with this and named in libuds.map. */
#ifndef BASE_VISIBILITY_H
#define BASE_VISIBILITY_H

#define UDS_PUBLIC __attribute__((visibility("default")))

#endif
