/* SPDX-License-Identifier: BSD-2-Clause */
/* What cannot be read of a snapshot. */
#include "snapshot_missing.h"

#include <inttypes.h>
#include <stdio.h>

#include "output.h"

void tell_missing(struct missing *missing)
{
	uint64_t last = missing->offset + missing->length - 1;
	json_t *o;

	if (missing->length == 0)
		return;
	complain(missing->target->command,
		 "%s: bytes %" PRIu64 " to %" PRIu64 " (%" PRIu64 ") are missing: %s",
		 missing->target->cow_uri, missing->offset, last, missing->length,
		 missing->sentence.text);
	o = json_object();
	json_object_set_new(o, "offset", json_unsigned(missing->offset));
	json_object_set_new(o, "length", json_unsigned(missing->length));
	json_object_set_new(o, "reason", json_path(missing->sentence.text));
	json_array_append_new(missing->list, o);
	missing->length = 0;
}

int take_missing(void *context, const struct uds_snapshot_loss *loss)
{
	struct missing *missing = context;

	missing->total += loss->length;
	if (missing->length > 0 && missing->offset + missing->length == loss->offset) {
		missing->length += loss->length;
		return 0;
	}
	tell_missing(missing);
	missing->offset = loss->offset;
	missing->length = loss->length;
	snprintf(missing->sentence.text, sizeof(missing->sentence.text), "%s", loss->sentence);
	return was_interrupted();
}

static bool list_is_known(const struct snapshot_target *target,
			  struct uds_exception_store_status *ret_status)
{
	struct uds_exception_store *store = target->store;

	if (target->snapshot != NULL)
		store = uds_snapshot_store(target->snapshot);
	return uds_exception_store_get_status(store, ret_status) < 0 ||
	       ret_status->list_status == 0;
}

int tell_unknown_list(const struct snapshot_target *target, json_t *o)
{
	struct uds_exception_store_status s = { .size = sizeof(s) };
	bool known = list_is_known(target, &s);

	if (o != NULL)
		json_object_set_new(o, "list_unknown_from",
				    known ? json_null() : json_unsigned(s.exceptions));
	if (known)
		return EXIT_GOOD;
	complain(target->command,
		 "%s: the list of exceptions goes on at entry %" PRIu64 ", in area %" PRIu64
		 ", and is unknown from there on: %s; chunks without a known exception are taken "
		 "from the origin, and may not be the content of the snapshot",
		 target->cow_uri, s.exceptions, s.current_area,
		 s.list_status == UDS_ERR_CORRUPT ? "that area is behind the end of the device"
						  : uds_strerror(s.list_status));
	return EXIT_DAMAGE;
}
