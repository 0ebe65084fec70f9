/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The check of a store: reads the header and all areas without a store, and reports everything that
 * contradicts the format, each with its place and values. It never writes.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "base/visibility.h"
#include "exceptions/area.h"
#include "exceptions/area_reader.h"
#include "exceptions/store_private.h"
#include "io/io.h"

struct store_check {
	struct uds_env env;
	struct uds_io *io;
	struct cow_geometry geometry;
	uint64_t origin_chunks; /* UINT64_MAX: not known */
	uds_exception_finding_fn found;
	void *context;
	uint64_t findings;
	struct exception_map *by_old; /* old chunk -> new chunk */
	struct exception_map *by_new; /* new chunk -> old chunk */
	uint8_t *area;
};

static int report(struct store_check *v, const struct uds_exception_finding *where,
		  enum uds_exception_finding_kind kind, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

static int report(struct store_check *v, const struct uds_exception_finding *where,
		  enum uds_exception_finding_kind kind, const char *format, ...)
{
	struct uds_exception_finding finding = *where;
	char sentence[512], reason[256];
	va_list args;

	v->findings++;
	if (v->found == NULL)
		return 0;
	va_start(args, format);
	vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	if (kind >= UDS_FINDING_NEW_BEHIND_END && kind <= UDS_FINDING_STALE_ENTRY)
		snprintf(sentence, sizeof(sentence),
			 "%s: area %" PRIu64 ", entry %" PRIu64 ": old chunk %" PRIu64
			 " -> new chunk %" PRIu64 ": %s",
			 uds_io_name(v->io), finding.area, finding.index, finding.old_chunk,
			 finding.new_chunk, reason);
	else
		snprintf(sentence, sizeof(sentence), "%s", reason);
	finding.size = sizeof(finding);
	finding.kind = kind;
	finding.sentence = sentence;
	return v->found(v->context, &finding) != 0 ? UDS_ERR_STOPPED : 0;
}

static int check_alone(struct store_check *v, const struct uds_exception_finding *at)
{
	const struct cow_geometry *g = &v->geometry;
	int r = 0;

	if (at->old_chunk >= COW_OLD_CHUNK_LIMIT)
		r = report(v, at, UDS_FINDING_OLD_BEHIND_ORIGIN,
			   "no origin can have such an old chunk");
	else if (at->old_chunk >= v->origin_chunks)
		r = report(v, at, UDS_FINDING_OLD_BEHIND_ORIGIN,
			   "the origin has only %" PRIu64 " chunks", v->origin_chunks);
	if (r < 0)
		return r;
	if (at->new_chunk >= g->device_chunks)
		return report(v, at, UDS_FINDING_NEW_BEHIND_END,
			      "the device has only %" PRIu64 " whole chunks", g->device_chunks);
	if (cow_is_metadata(g, at->new_chunk))
		return report(v, at, UDS_FINDING_NEW_IS_METADATA,
			      "the new chunk is the place of area %" PRIu64,
			      at->new_chunk / (g->per_area + 1));
	return 0;
}

/* Against the entries before it. */
static int check_doubles(struct store_check *v, const struct uds_exception_finding *at)
{
	struct map_run run = { at->old_chunk, at->new_chunk, 1 }, there;
	int r = 0;

	/* The maps have no room for such numbers; check_alone() has reported them. */
	if (at->old_chunk >= COW_OLD_CHUNK_LIMIT || at->new_chunk >= COW_NEW_CHUNK_LIMIT - 1)
		return 0;
	/* Only the first entry of a chunk goes in: it is the one that counts (5, rule 7). */
	if (map_find(v->by_old, at->old_chunk, &there))
		r = report(v, at, UDS_FINDING_OLD_TWICE,
			   "an earlier entry maps this old chunk to new chunk %" PRIu64
			   " and hides this one",
			   there.new_chunk);
	else
		r = map_add(v->by_old, &run, NULL, NULL);
	if (r < 0)
		return r;
	run.old_chunk = at->new_chunk;
	run.new_chunk = at->old_chunk;
	if (map_find(v->by_new, at->new_chunk, &there))
		return report(v, at, UDS_FINDING_NEW_TWICE,
			      "an earlier entry uses this new chunk for old chunk %" PRIu64,
			      there.new_chunk);
	return map_add(v->by_new, &run, NULL, NULL);
}

/* Returns 1 when the list goes on in the next area. */
static int check_area(struct store_check *v, uint64_t area)
{
	struct uds_exception_finding at = { .area = area };
	uint64_t i;
	int r;

	for (i = 0; i < v->geometry.per_area; i++) {
		at.index = i;
		at.old_chunk = cow_entry_old(v->area, i);
		at.new_chunk = cow_entry_new(v->area, i);
		if (at.new_chunk == 0)
			break;
		r = check_alone(v, &at);
		if (r == 0)
			r = check_doubles(v, &at);
		if (r < 0)
			return r;
	}
	if (i == v->geometry.per_area)
		return 1;
	/* Also what is no whole entry, as half a torn write is (11.6). */
	for (; i < v->geometry.per_area; i++) {
		at.index = i;
		at.old_chunk = cow_entry_old(v->area, i);
		at.new_chunk = cow_entry_new(v->area, i);
		if (at.old_chunk == 0 && at.new_chunk == 0)
			continue;
		r = report(v, &at, UDS_FINDING_STALE_ENTRY, "not zero, behind the end of the list");
		if (r < 0)
			return r;
	}
	return 0;
}

static int check_areas(struct store_check *v, const struct uds_exception_store_options *options,
		       struct area_reader *reader)
{
	struct uds_exception_finding at = { .area = 0 };
	struct uds_message message = { "" };
	int r;

	for (at.area = 0;; at.area++) {
		r = area_reader_next(reader, v->area, &message);
		/*
		 * A finding and the end: without this area it is not known where the next ones are
		 * the list's.
		 */
		if (r < 0)
			return report(v, &at,
				      r == UDS_ERR_CORRUPT ? UDS_FINDING_CUT_SHORT
							   : UDS_FINDING_READ_ERROR,
				      "%s", message.text);
		r = check_area(v, at.area);
		if (r <= 0)
			return r;
		if (options->progress != NULL && at.area % 64 == 0 &&
		    options->progress(options->progress_context, at.area, 0) != 0)
			return UDS_ERR_STOPPED;
	}
}

/* The header's findings; returns 1 when the areas can be looked at. */
static int check_header(struct store_check *v, struct uds_message *message)
{
	struct uds_exception_finding at = { .area = 0 };
	struct cow_header header = { 0, 0, 0, 0 };
	struct uds_message reason = { "" };
	uint64_t device_bytes = 0;
	int r;

	r = cow_read_header(v->io, &v->env, &header, &reason);
	if (r == UDS_ERR_NOT_A_SNAPSHOT)
		return report(v, &at, UDS_FINDING_NO_MAGIC, "%s", reason.text);
	if (r == UDS_ERR_UNSUPPORTED_VERSION)
		return report(v, &at, UDS_FINDING_VERSION, "%s", reason.text);
	if (r == UDS_ERR_CORRUPT)
		return report(v, &at, UDS_FINDING_CHUNK_SIZE, "%s", reason.text);
	if (r == 0)
		r = uds_io_size(v->io, &device_bytes);
	if (r < 0)
		return failure_or(message, &reason, r, "%s: the header: %s", uds_io_name(v->io),
				  uds_strerror(r));
	cow_geometry_make(header.chunk_sectors * SECTOR_BYTES, device_bytes, &v->geometry);
	/* Its list is checked all the same, since it may be salvaged. */
	if (header.valid == 0) {
		r = report(v, &at, UDS_FINDING_INVALID,
			   "%s: header: the snapshot is marked invalid", uds_io_name(v->io));
		if (r < 0)
			return r;
	}
	if (v->geometry.device_chunks < 2) {
		area_cut_short(v->io, &v->geometry, 0, &reason);
		return report(v, &at, UDS_FINDING_CUT_SHORT, "%s", reason.text);
	}
	return 1;
}

static int verify(struct store_check *v, const struct uds_exception_store_options *options,
		  struct uds_message *message)
{
	struct area_reader *reader = NULL;
	int r = check_header(v, message);

	if (r <= 0)
		return r;
	v->origin_chunks = UINT64_MAX;
	if (options->origin_known || options->origin_bytes != 0)
		v->origin_chunks = ceil_div(options->origin_bytes, v->geometry.chunk_bytes);
	v->area = io_allocate_buffer(v->io, &v->env, v->geometry.chunk_bytes);
	r = v->area == NULL ? -ENOMEM : map_make(&v->env, &v->by_old);
	if (r == 0)
		r = map_make(&v->env, &v->by_new);
	if (r == 0)
		r = area_reader_open(v->io, &v->env, &v->geometry, 0, 1, options->engine,
				     options->queue_depth, &reader);
	if (r == 0)
		r = check_areas(v, options, reader);
	area_reader_close(reader);
	map_free(v->by_old);
	map_free(v->by_new);
	env_release(&v->env, v->area);
	if (r == -ENOMEM)
		return failure(message, r, "%s: no memory", uds_io_name(v->io));
	return r == UDS_ERR_STOPPED
		       ? failure(message, r, "%s: the check was stopped", uds_io_name(v->io))
		       : r;
}

UDS_PUBLIC int uds_exception_store_verify(struct uds_io *cow,
					  const struct uds_exception_store_options *given,
					  uds_exception_finding_fn found, void *found_context,
					  struct uds_message *ret_message, uint64_t *ret_findings)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct store_check v;
	int r;

	memset(&v, 0, sizeof(v));
	r = store_take_options(given, ret_message, &options, &v.env);
	if (r < 0)
		return r;
	v.io = cow;
	v.found = found;
	v.context = found_context;
	r = verify(&v, &options, ret_message);
	if (r == 0)
		*ret_findings = v.findings;
	return r;
}
