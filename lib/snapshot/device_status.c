/* SPDX-License-Identifier: BSD-2-Clause */
/* What state a snapshot is in, in figures and in words. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "snapshot/device.h"

UDS_PUBLIC const char *uds_snapshot_state_name(enum uds_snapshot_state state)
{
	switch (state) {
	case UDS_SNAPSHOT_EMPTY:
		return "empty";
	case UDS_SNAPSHOT_ACTIVE:
		return "active";
	case UDS_SNAPSHOT_FULL:
		return "full";
	case UDS_SNAPSHOT_OVERFLOW:
		return "overflow";
	case UDS_SNAPSHOT_INVALID:
		return "invalid";
	case UDS_SNAPSHOT_MERGING:
		return "merging";
	case UDS_SNAPSHOT_MERGED:
		return "merged";
	case UDS_SNAPSHOT_MERGE_FAILED:
		return "merge-failed";
	case UDS_SNAPSHOT_DAMAGED:
		return "damaged";
	}
	return "unknown";
}

UDS_PUBLIC const char *uds_snapshot_state_meaning(enum uds_snapshot_state state)
{
	switch (state) {
	case UDS_SNAPSHOT_EMPTY:
		return uds_exception_store_state_meaning(UDS_STORE_EMPTY);
	case UDS_SNAPSHOT_ACTIVE:
		return uds_exception_store_state_meaning(UDS_STORE_ACTIVE);
	case UDS_SNAPSHOT_FULL:
		return uds_exception_store_state_meaning(UDS_STORE_FULL);
	case UDS_SNAPSHOT_OVERFLOW:
		return "A write to the snapshot found no room: it can be read, but no longer "
		       "written, until it is opened again.";
	case UDS_SNAPSHOT_INVALID:
		return uds_exception_store_state_meaning(UDS_STORE_INVALID);
	case UDS_SNAPSHOT_MERGING:
		return "The snapshot is being merged into the origin, which reads as the snapshot "
		       "already. It can be stopped and taken up again at any time.";
	case UDS_SNAPSHOT_MERGED:
		return "Everything is merged: the origin has the snapshot's content, and the store "
		       "is empty.";
	case UDS_SNAPSHOT_MERGE_FAILED:
		return "Merging met an error. Nothing is lost: what is not merged yet is read from "
		       "the COW device; merge again when the cause is gone.";
	case UDS_SNAPSHOT_DAMAGED:
		return uds_exception_store_state_meaning(UDS_STORE_DAMAGED);
	}
	return "";
}

static enum uds_snapshot_state from_store(enum uds_exception_store_state state)
{
	switch (state) {
	case UDS_STORE_EMPTY:
		return UDS_SNAPSHOT_EMPTY;
	case UDS_STORE_ACTIVE:
		return UDS_SNAPSHOT_ACTIVE;
	case UDS_STORE_FULL:
		return UDS_SNAPSHOT_FULL;
	case UDS_STORE_INVALID:
		return UDS_SNAPSHOT_INVALID;
	case UDS_STORE_DAMAGED:
		return UDS_SNAPSHOT_DAMAGED;
	}
	return UDS_SNAPSHOT_DAMAGED;
}

UDS_PUBLIC int uds_snapshot_get_status(const struct uds_snapshot *given,
				       struct uds_snapshot_status *ret_status)
{
	struct uds_snapshot *s = (struct uds_snapshot *)(uintptr_t)given; /* for its lock */
	struct uds_snapshot_status status = UDS_SNAPSHOT_STATUS_INIT;
	struct uds_exception_store_status store = UDS_EXCEPTION_STORE_STATUS_INIT;
	struct uds_message message;
	int r = STRUCT_OUT_CHECK(ret_status, uds_snapshot_status, room, &message);

	failures_begin(s->failures);
	if (r < 0)
		return device_end(s, r, &message, "its figures");
	s->store->ops->get_status(s->store, &store);
	status.transient = device_list(s) == NULL;
	status.size_bytes = s->origin->size_bytes;
	status.chunk_bytes = s->chunk_bytes;
	status.state = from_store(store.state);
	status.exceptions = store.exceptions;
	status.allocated_sectors = store.allocated_sectors;
	status.total_sectors = store.total_sectors;
	status.metadata_sectors = store.metadata_sectors;
	status.room = store.room;
	pthread_mutex_lock(&s->lock);
	status.merging = s->merging;
	/* From the gravest on: what was given up stays so, whatever else is true of it. */
	if (s->given_up)
		status.state = UDS_SNAPSHOT_INVALID;
	else if (s->merge_failed)
		status.state = UDS_SNAPSHOT_MERGE_FAILED;
	else if (s->merging)
		status.state = status.exceptions == 0 ? UDS_SNAPSHOT_MERGED : UDS_SNAPSHOT_MERGING;
	else if (s->overflow && status.state != UDS_SNAPSHOT_INVALID)
		status.state = UDS_SNAPSHOT_OVERFLOW;
	pthread_mutex_unlock(&s->lock);
	struct_out(ret_status, &status, sizeof(status));
	return 0;
}

UDS_PUBLIC int uds_snapshot_status_line(const struct uds_snapshot *s, char *ret_line, size_t room)
{
	struct uds_snapshot_status status = UDS_SNAPSHOT_STATUS_INIT;
	char line[96];
	size_t n;

	uds_snapshot_get_status(s, &status);
	if (status.state == UDS_SNAPSHOT_INVALID)
		snprintf(line, sizeof(line), "Invalid");
	else if (status.state == UDS_SNAPSHOT_MERGE_FAILED)
		snprintf(line, sizeof(line), "Merge failed");
	else if (status.state == UDS_SNAPSHOT_OVERFLOW)
		snprintf(line, sizeof(line), "Overflow");
	else
		snprintf(line, sizeof(line), "%" PRIu64 "/%" PRIu64 " %" PRIu64,
			 status.allocated_sectors, status.total_sectors, status.metadata_sectors);
	n = strlen(line) + 1;
	if (n > room)
		return failures_say(s->failures, -ERANGE,
				    "%s: the status line takes %zu bytes, there is room for %zu",
				    uds_io_name(s->cow), n, room);
	memcpy(ret_line, line, n);
	return 0;
}
