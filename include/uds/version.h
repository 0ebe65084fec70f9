/* SPDX-License-Identifier: BSD-2-Clause */
/* Which version of the library this is: of the headers, and of the library that runs. */
#ifndef UDS_VERSION_H
#define UDS_VERSION_H

#ifdef __cplusplus
extern "C" {
#endif

#define UDS_VERSION_MAJOR  0
#define UDS_VERSION_MINOR  2
#define UDS_VERSION_PATCH  0
#define UDS_VERSION_STRING "0.2.0"

/* To compare with: a later version has a larger number. */
#define UDS_VERSION_NUMBER(major, minor, patch) ((major)*1000000 + (minor)*1000 + (patch))

#define UDS_VERSION UDS_VERSION_NUMBER(UDS_VERSION_MAJOR, UDS_VERSION_MINOR, UDS_VERSION_PATCH)

/*
 * Returns the version of the library that the program runs with, as in UDS_VERSION_STRING of its
 * headers: "1.2.3". Never NULL.
 *
 * Threads: any. Since 0.1.
 */
const char *uds_version(void);

#ifdef __cplusplus
}
#endif

#endif
