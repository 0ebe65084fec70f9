/* SPDX-License-Identifier: BSD-2-Clause */
/* Short texts for status values. */
#include <stddef.h>
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

static const struct {
	int status;
	const char *text;
} texts[] = {
	{ UDS_SUCCESS, "success" },
	{ UDS_ERR_CORRUPT, "damaged: the bytes contradict the format" },
	{ UDS_ERR_NOT_AN_INDEX, "not a UDS index" },
	{ UDS_ERR_NOT_A_SNAPSHOT, "not an exception store" },
	{ UDS_ERR_UNSUPPORTED_VERSION, "unsupported version of the format" },
	{ UDS_ERR_NEEDS_RECOVERY, "not saved cleanly: needs recovery" },
	{ UDS_ERR_NONCE_MISMATCH, "another index than the one asked for (nonce)" },
	{ UDS_ERR_OVERFLOW, "no room left where the format puts it" },
	{ UDS_ERR_DUPLICATE_NAME, "record name is there already" },
	{ UDS_ERR_BAD_STATE, "the call does not fit the state of the handle" },
	{ UDS_ERR_READ_ONLY, "opened for reading only" },
	{ UDS_ERR_STOPPED, "stopped on request" },
	{ UDS_ERR_INVALID_SNAPSHOT, "the snapshot is marked invalid" },
	{ UDS_ERR_SNAPSHOT_OVERFLOW, "the snapshot is full and takes no more writes" },
	{ UDS_ERR_IN_USE, "in use by another opener" },
	{ UDS_ERR_NO_DIRECT_IO, "direct I/O is refused there" },
	{ UDS_ERR_NOT_EMPTY, "there is content already" },
	{ UDS_ERR_OUT_OF_RANGE, "past the end" },
	{ UDS_ERR_UNALIGNED, "offset, length or memory is not aligned" },
	{ UDS_ERR_MISMATCH, "two parts contradict each other" },
	{ UDS_ERR_NO_ROOM, "the store has no room left" },
	{ UDS_ERR_WOULD_LOSE_RECORDS, "records that a damaged save has would be lost" },
	{ UDS_ERR_EXISTS, "there already" },
};

UDS_PUBLIC const char *uds_strerror(int status)
{
	/* The range that the system's own numbers can have; those of the library lie below it. */
	if (status < 0 && status > -4096)
		return system_text(-status);
	if (status > 0)
		return "no error";
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].status == status)
			return texts[i].text;
	}
	return "unknown status";
}
