/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The status values that calls of this library return, and the sentence that explains a failure.
 *
 * A status is an int. 0 is success; -4095 to -1 is a negated errno, from the system or for a bad
 * argument; below -4096 is one of the values here, for what the library itself has found.
 *
 * libuds(3) has the rules that hold for all headers: Errors (where the sentence is), Structs (what
 * the size member must be), Threads.
 */
#ifndef UDS_STATUS_H
#define UDS_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

enum uds_status {
	UDS_SUCCESS = 0,
	UDS_ERR_CORRUPT = -4097,	     /* bytes on the device contradict the format */
	UDS_ERR_NOT_AN_INDEX = -4098,	     /* no UDS index at this place */
	UDS_ERR_NOT_A_SNAPSHOT = -4099,	     /* no exception store at this place */
	UDS_ERR_UNSUPPORTED_VERSION = -4100, /* the format, in a version that is not known */
	UDS_ERR_NEEDS_RECOVERY = -4102,	     /* not saved cleanly, and recovery was not allowed */
	UDS_ERR_NONCE_MISMATCH = -4103,	     /* an index, but not the one that was asked for */
	UDS_ERR_OVERFLOW = -4104,	     /* does not fit where the format puts it */
	UDS_ERR_DUPLICATE_NAME = -4105,	     /* a record name is there twice */
	UDS_ERR_BAD_STATE = -4106,	     /* the call does not fit the state of the handle */
	UDS_ERR_READ_ONLY = -4107,	     /* a change through a handle that was opened to read */
	UDS_ERR_STOPPED = -4108,	     /* a callback asked to stop */
	UDS_ERR_INVALID_SNAPSHOT = -4109,    /* the exception store is marked invalid */
	UDS_ERR_SNAPSHOT_OVERFLOW = -4110, /* the snapshot ran full: readable, no longer writable */
	UDS_ERR_IN_USE = -4112,		   /* another opener or the system uses it */
	UDS_ERR_NO_DIRECT_IO = -4113,	   /* O_DIRECT was asked for and is refused there */
	UDS_ERR_NOT_EMPTY = -4114,	   /* foreign content is in the way; force is needed */
	UDS_ERR_OUT_OF_RANGE = -4115,	   /* behind the end of the device or region */
	UDS_ERR_UNALIGNED = -4116,	   /* offset, length or memory off the I/O's alignment */
	/* two parts contradict each other, and neither is known to be right */
	UDS_ERR_MISMATCH = -4118,
	/* the store, or a table of the library, is full; a device says -ENOSPC */
	UDS_ERR_NO_ROOM = -4119,
	/* opening would lose records that a damaged save has; it must be asked for */
	UDS_ERR_WOULD_LOSE_RECORDS = -4120,
	UDS_ERR_EXISTS = -4121, /* what was to be made is there already */
};

/*
 * A full sentence about a failure: which file, which region or page, what was expected, what was
 * found. Calls that take a @ret_message fill it when they fail, and leave it untouched when they
 * succeed. It may be NULL.
 */
struct uds_message {
	char text[512];
};

/*
 * Returns a short constant text for any status, the library's or a negated errno's; never NULL.
 *
 * Threads: any. Since 0.1.
 */
const char *uds_strerror(int status);

#ifdef __cplusplus
}
#endif

#endif
