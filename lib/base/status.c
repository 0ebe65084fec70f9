/* SPDX-License-Identifier: BSD-2-Clause */
/* Short texts for status values. */
#include <string.h>

#include <uds/status.h>

#include "base/visibility.h"

/* The system's text for an errno: one that no other call overwrites, where the system has such. */
static const char *system_text(int number)
{
#ifdef HAVE_STRERRORDESC_NP
	const char *text = strerrordesc_np(number);
#else
	const char *text = strerror(number);
#endif

	return text != NULL ? text : "unknown error";
}

UDS_PUBLIC const char *uds_strerror(int status)
{
	if (status < 0 && status > -4096)
		return system_text(-status);
	if (status > 0)
		return "no error";
	switch ((enum uds_status)status) {
	case UDS_SUCCESS:
		return "success";
	case UDS_ERR_CORRUPT:
		return "damaged: the bytes contradict the format";
	case UDS_ERR_NOT_AN_INDEX:
		return "not a UDS index";
	case UDS_ERR_NOT_A_SNAPSHOT:
		return "not an exception store";
	case UDS_ERR_UNSUPPORTED_VERSION:
		return "unsupported version of the format";
	case UDS_ERR_NOT_SUPPORTED_YET:
		return "not supported yet";
	case UDS_ERR_NEEDS_RECOVERY:
		return "not saved cleanly: needs recovery";
	case UDS_ERR_NONCE_MISMATCH:
		return "another index than the one asked for (nonce)";
	case UDS_ERR_OVERFLOW:
		return "no room left where the format puts it";
	case UDS_ERR_DUPLICATE_NAME:
		return "record name is there already";
	case UDS_ERR_BAD_STATE:
		return "the call does not fit the state of the handle";
	case UDS_ERR_READ_ONLY:
		return "opened for reading only";
	case UDS_ERR_STOPPED:
		return "stopped on request";
	case UDS_ERR_INVALID_SNAPSHOT:
		return "the snapshot is marked invalid";
	case UDS_ERR_SNAPSHOT_OVERFLOW:
		return "the snapshot is full and takes no more writes";
	case UDS_ERR_MERGE_FAILED:
		return "a merge failed before; resume it or open again";
	case UDS_ERR_IN_USE:
		return "in use by another opener";
	case UDS_ERR_NO_DIRECT_IO:
		return "direct I/O is refused there";
	case UDS_ERR_NOT_EMPTY:
		return "there is content already";
	case UDS_ERR_OUT_OF_RANGE:
		return "past the end";
	case UDS_ERR_UNALIGNED:
		return "offset, length or memory is not aligned";
	case UDS_ERR_FAILED_BEFORE:
		return "unusable after an earlier error; open again";
	case UDS_ERR_MISMATCH:
		return "two parts contradict each other";
	case UDS_ERR_NO_ROOM:
		return "the store has no room left";
	case UDS_ERR_WOULD_LOSE_RECORDS:
		return "records that a damaged save has would be lost";
	case UDS_ERR_EXISTS:
		return "there already";
	}
	return "unknown status";
}
