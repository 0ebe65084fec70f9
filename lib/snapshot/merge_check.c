/* SPDX-License-Identifier: BSD-2-Clause */
/* Conditions of a merge. */
#include "snapshot/merge_check.h"

#include <inttypes.h>

#include "base/env.h"
#include "base/message.h"
#include "exceptions/merge_list.h"
#include "snapshot/keep_old.h"

uint64_t merge_bytes_cut(struct uds_snapshot *s)
{
	uint64_t there = s->origin->size_bytes % s->chunk_bytes;
	struct map_run run;

	if (there == 0 || !device_lookup(s, s->origin->size_bytes / s->chunk_bytes, &run))
		return 0;
	return s->chunk_bytes - there;
}

/* Says that a chunk will be cut; refuses it where the origin's length is none of a device. */
static int check_cut(struct uds_snapshot *s, const struct uds_merge_options *options,
		     struct uds_message *message)
{
	uint64_t cut = merge_bytes_cut(s), chunk = s->origin->size_bytes / s->chunk_bytes;

	if (cut == 0)
		return 0;
	if (s->origin->size_bytes % SECTOR_BYTES != 0 && !options->allow_cut)
		return failure(message, UDS_ERR_OUT_OF_RANGE,
			       "%s: its %" PRIu64
			       " bytes are no multiple of 512, as if it had been "
			       "cut, and end inside chunk %" PRIu64 " of %" PRIu64
			       " bytes, which has an exception: merging drops the last %" PRIu64
			       " bytes of that chunk, and must be forced",
			       uds_io_name(s->origin->io), s->origin->size_bytes, chunk,
			       s->chunk_bytes, cut);
	env_log(&s->env, UDS_LOG_WARNING,
		"%s: its %" PRIu64 " bytes end inside chunk %" PRIu64 " of %" PRIu64
		" bytes, which has an exception: merging drops the last %" PRIu64
		" bytes of that chunk",
		uds_io_name(s->origin->io), s->origin->size_bytes, chunk, s->chunk_bytes, cut);
	return 0;
}

/* Without salvage each exception must lead to a chunk, and the list be whole. */
static int check_entries(struct uds_snapshot *s, const struct uds_merge_options *options,
			 const struct uds_exception_store_status *status,
			 struct uds_message *message)
{
	if (options->salvage)
		return 0;
	if (status->list_status != 0)
		return failure(message, UDS_ERR_CORRUPT,
			       "%s: cannot be merged: the list of exceptions goes on at entry "
			       "%" PRIu64 ", in area %" PRIu64 ", and cannot be read there: %s",
			       uds_io_name(s->cow), status->exceptions, status->current_area,
			       uds_strerror(status->list_status));
	if (status->new_behind_end + status->new_is_metadata != 0)
		return store_refuse_merge(device_list(s), message);
	return 0;
}

static int check_merging(struct uds_snapshot *s, struct uds_message *message)
{
	struct uds_snapshot *merging = device_that_merges(s->origin);

	/* The origin reads as one snapshot at most. */
	if (merging == NULL || merging == s)
		return 0;
	return failure(message, UDS_ERR_BAD_STATE,
		       "%s: %s is being merged into the same origin: that merge is to be ended "
		       "first",
		       uds_io_name(s->cow), uds_io_name(merging->cow));
}

int merge_check_others(struct uds_snapshot *s, struct uds_message *message)
{
	int r = check_merging(s, message);

	return r == 0 && keep_old_is_refused(s->origin, s, message) ? UDS_ERR_READ_ONLY : r;
}

/* Now, and again by who takes the role, with everything held. */
static int check_others(struct uds_snapshot *s, bool dry_run, struct uds_message *message)
{
	struct range_hold hold;
	int r;

	origin_hold(s->origin, &hold, 0, 1, false);
	/* A dry run writes nothing that others would have to keep. */
	r = dry_run ? check_merging(s, message) : merge_check_others(s, message);
	origin_let_go(s->origin, &hold);
	return r;
}

int merge_check(struct uds_snapshot *s, const struct uds_merge_options *options,
		struct uds_message *message)
{
	const char *name = uds_io_name(s->cow);
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;
	int r;

	if (device_list(s) == NULL)
		return failure(message, UDS_ERR_BAD_STATE,
			       "%s: a transient snapshot cannot be merged", name);
	s->store->ops->get_status(s->store, &status);
	/*
	 * An invalid snapshot is a mixture: chunks that it does not cover may be newer than it
	 * (uds-cow, 6.6).
	 */
	if (device_get_state(s).given_up || (!status.valid && !options->force))
		return failure(message, UDS_ERR_INVALID_SNAPSHOT,
			       "%s: the snapshot is marked invalid: it must not be merged", name);
	if (!options->dry_run && (s->read_only || uds_io_is_read_only(s->cow)))
		return failure(message, UDS_ERR_READ_ONLY, "%s: opened to read only", name);
	if (!options->dry_run && uds_io_is_read_only(s->origin->io))
		return failure(message, UDS_ERR_READ_ONLY, "%s: opened to read only",
			       uds_io_name(s->origin->io));
	r = check_others(s, options->dry_run, message);
	if (r == 0)
		r = check_entries(s, options, &status, message);
	if (r < 0)
		return r;
	if (status.old_behind_origin != 0)
		return failure(message, UDS_ERR_OUT_OF_RANGE,
			       "%s: too small: %" PRIu64 " bytes, and %" PRIu64
			       " exception%s for chunks behind that, up to chunk %" PRIu64
			       " of %" PRIu64 " bytes",
			       uds_io_name(s->origin->io), s->origin->size_bytes,
			       status.old_behind_origin,
			       status.old_behind_origin == 1 ? " is" : "s are", status.highest_old,
			       s->chunk_bytes);
	return check_cut(s, options, message);
}
