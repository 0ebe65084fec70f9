/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * COW devices of any content: the header and the areas, as a store and as a snapshot of
 * a small origin.
 */
#include <stdlib.h>
#include <string.h>

#include <uds/snapshot.h>

#include "fuzz.h"

#define ORIGIN_BYTES 5000u

/* A decoder of a device of so many bytes; what it is opened with. */
#define MEMORY_BASE   (UINT64_C(512) << 10)
#define MEMORY_FACTOR 16

static int count_range(void *context, uint64_t old_chunk, uint64_t new_chunk, uint64_t count)
{
	(void)old_chunk;
	FUZZ_REQUIRE(count > 0 && new_chunk > 0);
	*(uint64_t *)context += count;
	return 0;
}

static int count_entry(void *context, uint64_t area, uint64_t index,
		       const struct uds_exception *exception)
{
	(void)area;
	(void)index;
	FUZZ_REQUIRE(exception->new_chunk > 0);
	++*(uint64_t *)context;
	return 0;
}

static int count_finding(void *context, const struct uds_exception_finding *finding)
{
	FUZZ_REQUIRE(finding->sentence[0] != '\0');
	++*(uint64_t *)context;
	return 0;
}

/* Adds exceptions and takes some off; each step may be refused. */
static void change_store(struct uds_exception_store *store)
{
	struct uds_exception exceptions[3];
	uint64_t new_chunk, count;

	for (size_t i = 0; i < 3; i++) {
		if (uds_exception_store_prepare(store, 3 + 7 * i, &exceptions[i]) < 0) {
			(void)uds_exception_store_abandon(store, exceptions, i);
			return;
		}
		FUZZ_REQUIRE(exceptions[i].new_chunk > 1);
	}
	if (uds_exception_store_commit(store, exceptions, 3) == 0) {
		FUZZ_REQUIRE(uds_exception_store_lookup(store, 10, &new_chunk, &count) == 1);
		FUZZ_REQUIRE(new_chunk == exceptions[1].new_chunk);
	}
	if (uds_exception_store_prepare_merge(store, &exceptions[0], &count) == 1)
		(void)uds_exception_store_commit_merge(store, 1);
	(void)uds_exception_store_end_merge(store);
}

static void use_store(struct uds_exception_store *store)
{
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;
	uint64_t entries = 0, ranged = 0, found, run;
	char line[128];

	FUZZ_REQUIRE(uds_exception_store_get_status(store, &status) == 0);
	(void)uds_exception_store_status_line(store, line, sizeof(line));
	if (uds_exception_store_for_each_entry(store, count_entry, &entries) == 0 &&
	    uds_exception_store_for_each_range(store, 0, UINT64_MAX, count_range, &ranged) == 0)
		FUZZ_REQUIRE(ranged <= entries);
	for (uint64_t chunk = 0; chunk < 16; chunk++)
		(void)uds_exception_store_lookup(store, chunk, &found, &run);
}

void fuzz_exception_store(const uint8_t *bytes, size_t size)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct fuzz_input input = { bytes, size };
	uint8_t how = fuzz_u8(&input);
	struct uds_io *io = fuzz_io(input.at, input.left);
	struct uds_message message = { "" };
	struct uds_exception_store *store;
	uint64_t findings = 0, counted = 0;

	options.env = fuzz_env_begin(input.left, MEMORY_BASE, MEMORY_FACTOR);
	options.origin_bytes = how & 8 ? ORIGIN_BYTES : 0;
	options.queue_depth = 1;
	if (uds_exception_store_verify(io, &options, count_finding, &counted, &message,
				       &findings) == 0)
		FUZZ_REQUIRE(findings == counted);
	options.strict = how & 1;
	options.salvage = how & 2;
	options.read_only = how & 4;
	if (uds_exception_store_open(io, &options, &message, &store) == 0) {
		use_store(store);
		if (!options.read_only)
			change_store(store);
		use_store(store);
		(void)uds_exception_store_close(store);
	} else {
		FUZZ_REQUIRE(message.text[0] != '\0');
	}
	FUZZ_REQUIRE(uds_io_close(io) == 0);
	fuzz_env_end();
}

static int count_loss(void *context, const struct uds_snapshot_loss *loss)
{
	FUZZ_REQUIRE(loss->length > 0 && loss->offset < ORIGIN_BYTES);
	FUZZ_REQUIRE(loss->length <= ORIGIN_BYTES - loss->offset);
	++*(uint64_t *)context;
	return 0;
}

/* A merge that ends leaves the origin as the snapshot was. */
static void merge(struct uds_snapshot *snapshot, struct uds_io *origin, const uint8_t *before,
		  bool readable, uint8_t how)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = UDS_MERGE_RESULT_INIT;
	uint8_t after[ORIGIN_BYTES];

	options.allow_cut = true;
	options.salvage = how & 16;
	options.skip_equal = how & 32;
	options.force = how & 2;
	options.round_bytes = how & 64 ? 512 : 0;
	if (uds_snapshot_merge(snapshot, &options, &result) < 0 || result.remaining > 0)
		return;
	FUZZ_REQUIRE(uds_io_read(origin, after, ORIGIN_BYTES, 0) == 0);
	if (readable && result.chunks_lost == 0)
		FUZZ_REQUIRE(memcmp(before, after, ORIGIN_BYTES) == 0);
}

static int count_difference(void *context, uint64_t offset, uint64_t length)
{
	FUZZ_REQUIRE(length > 0 && offset < ORIGIN_BYTES && length <= ORIGIN_BYTES - offset);
	++*(uint64_t *)context;
	return 0;
}

static void use_snapshot(struct uds_snapshot *snapshot, struct uds_io *origin, uint8_t how)
{
	uint8_t view[ORIGIN_BYTES], part[300];
	uint64_t losses = 0, differences = 0, lost;
	size_t done;
	bool readable = uds_snapshot_read(snapshot, view, ORIGIN_BYTES, 0) == 0;

	(void)uds_snapshot_salvage(snapshot, part, sizeof(part), 700, count_loss, &losses, &lost);
	(void)uds_snapshot_salvage(snapshot, NULL, ORIGIN_BYTES, 0, count_loss, &losses, &lost);
	(void)uds_snapshot_for_each_difference(snapshot, NULL, 0, ORIGIN_BYTES, how & 64,
					       count_difference, &differences);
	(void)uds_snapshot_read_partial(snapshot, part, sizeof(part), 600, &done);
	if (how & 128) {
		memset(part, 0x3c, sizeof(part));
		if (uds_snapshot_write(snapshot, part, sizeof(part), 1000) == 0 && readable)
			memcpy(view + 1000, part, sizeof(part));
		else
			readable = false;
		(void)uds_snapshot_origin_write(snapshot, part, sizeof(part), 3000);
		readable = readable && uds_snapshot_read(snapshot, part, sizeof(part), 3000) == 0 &&
			   memcmp(part, view + 3000, sizeof(part)) == 0;
	}
	merge(snapshot, origin, view, readable, how);
}

void fuzz_snapshot_image(const uint8_t *bytes, size_t size)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct fuzz_input input = { bytes, size };
	uint8_t how = fuzz_u8(&input), content[ORIGIN_BYTES];
	struct uds_message message = { "" };
	struct uds_snapshot *snapshot;
	struct uds_io *origin, *cow;

	for (size_t i = 0; i < ORIGIN_BYTES; i++)
		content[i] = (uint8_t)(i * 7 + i / 512);
	origin = fuzz_io(content, ORIGIN_BYTES);
	cow = fuzz_io(input.at, input.left);
	/* A merge that compares has the copier's buffers twice: as much again. */
	options.env = fuzz_env_begin(input.left, 2 * MEMORY_BASE, MEMORY_FACTOR);
	options.strict = how & 1;
	options.salvage = how & 2;
	options.read_only = how & 4;
	options.keep_on_overflow = how & 8;
	options.queue_depth = 1;
	if (uds_snapshot_open(origin, cow, &options, &message, &snapshot) == 0) {
		use_snapshot(snapshot, origin, how);
		(void)uds_snapshot_close(snapshot);
	} else {
		FUZZ_REQUIRE(message.text[0] != '\0');
	}
	FUZZ_REQUIRE(uds_io_close(cow) == 0);
	FUZZ_REQUIRE(uds_io_close(origin) == 0);
	fuzz_env_end();
}
