/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sequences of operations on a snapshot, against two arrays, what the origin and what the snapshot
 * should read as: writes to both sides, merges that stop early, writes while merging, reopening.
 */
#include <stdlib.h>
#include <string.h>

#include <uds/snapshot.h>

#include "fuzz.h"

#define CHUNK  512u
#define CHUNKS 70u
#define TAIL   100u /* bytes of a last chunk that is a part of one */
#define SIZE   (CHUNKS * CHUNK + TAIL)

struct world {
	const struct uds_env *env;
	struct uds_io *origin_io, *cow_io;
	struct uds_snapshot *s;
	uint8_t origin[SIZE], view[SIZE], buffer[SIZE];
	bool merging, keep_on_overflow;
};

static void open_world(struct world *w)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;

	options.env = w->env;
	options.keep_on_overflow = w->keep_on_overflow;
	options.queue_depth = 2;
	FUZZ_REQUIRE(uds_snapshot_open(w->origin_io, w->cow_io, &options, NULL, &w->s) == 0);
	w->merging = false;
}

/* A fresh snapshot of the origin as it is. */
static void new_snapshot(struct world *w)
{
	struct uds_exception_store_format_options format = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;

	(void)uds_snapshot_close(w->s);
	format.env = w->env;
	format.chunk_bytes = CHUNK;
	format.force = true;
	FUZZ_REQUIRE(uds_exception_store_format(w->cow_io, &format, NULL) == 0);
	memcpy(w->view, w->origin, SIZE);
	open_world(w);
}

static bool has_exception(struct world *w, size_t chunk)
{
	uint64_t new_chunk;

	return uds_exception_store_lookup(uds_snapshot_store(w->s), chunk, &new_chunk, NULL) == 1;
}

static enum uds_snapshot_state state(struct world *w)
{
	struct uds_snapshot_status status = UDS_SNAPSHOT_STATUS_INIT;

	FUZZ_REQUIRE(uds_snapshot_get_status(w->s, &status) == 0);
	return (enum uds_snapshot_state)status.state;
}

static size_t part_of(size_t at, size_t end)
{
	size_t part = CHUNK - at % CHUNK;

	return part < end - at ? part : end - at;
}

/* Two bytes are an offset, two a length; the content is new at each step. */
static void pick(struct world *w, struct fuzz_input *input, size_t *ret_offset, size_t *ret_length)
{
	uint32_t where = fuzz_u32(input);
	size_t offset = (where & 0xffff) % SIZE, length = (where >> 16) % 3000 + 1;
	uint8_t seed = fuzz_u8(input);

	if (seed % 3 == 0) {
		offset -= offset % CHUNK;
		length = CHUNK;
	}
	if (length > SIZE - offset)
		length = SIZE - offset;
	for (size_t i = 0; i < length; i++)
		w->buffer[i] = (uint8_t)(seed + i * 31 + i / 256);
	*ret_offset = offset;
	*ret_length = length;
}

static void write_origin(struct world *w, struct fuzz_input *input)
{
	size_t offset, length;
	bool to_origin[CHUNKS + 1];

	pick(w, input, &offset, &length);
	/*
	 * While it merges, a chunk with an exception is written where its content is:
	 * in the snapshot.
	 */
	for (size_t chunk = 0; chunk <= CHUNKS; chunk++)
		to_origin[chunk] = !w->merging || !has_exception(w, chunk);
	FUZZ_REQUIRE(uds_snapshot_origin_write(w->s, w->buffer, length, offset) == 0);
	for (size_t at = offset, end = offset + length; at < end; at += part_of(at, end)) {
		if (to_origin[at / CHUNK])
			memcpy(w->origin + at, w->buffer + (at - offset), part_of(at, end));
		if (w->merging)
			memcpy(w->view + at, w->buffer + (at - offset), part_of(at, end));
	}
}

/* Of a write that found no room, whole chunks at its front may have been done. */
static void learn_overflow(struct world *w, size_t offset, size_t length)
{
	uint8_t *found = malloc(length);

	FUZZ_REQUIRE(found != NULL);
	FUZZ_REQUIRE(uds_snapshot_read(w->s, found, length, offset) == 0);
	for (size_t at = offset, end = offset + length; at < end; at += part_of(at, end)) {
		if (memcmp(found + (at - offset), w->buffer + (at - offset), part_of(at, end)) != 0)
			break;
		memcpy(w->view + at, w->buffer + (at - offset), part_of(at, end));
	}
	free(found);
}

static void write_view(struct world *w, struct fuzz_input *input)
{
	size_t offset, length;
	int r;

	pick(w, input, &offset, &length);
	r = uds_snapshot_write(w->s, w->buffer, length, offset);
	if (w->merging)
		FUZZ_REQUIRE(r == UDS_ERR_BAD_STATE);
	else if (r == 0)
		memcpy(w->view + offset, w->buffer, length);
	else if (r == UDS_ERR_INVALID_SNAPSHOT)
		FUZZ_REQUIRE(state(w) == UDS_SNAPSHOT_INVALID);
	else {
		FUZZ_REQUIRE(r == UDS_ERR_SNAPSHOT_OVERFLOW && w->keep_on_overflow);
		learn_overflow(w, offset, length);
	}
}

static void check(struct world *w)
{
	int r = uds_snapshot_read(w->s, w->buffer, SIZE, 0);

	if (state(w) == UDS_SNAPSHOT_INVALID)
		FUZZ_REQUIRE(r == UDS_ERR_INVALID_SNAPSHOT);
	else
		FUZZ_REQUIRE(r == 0 && memcmp(w->buffer, w->view, SIZE) == 0);
	FUZZ_REQUIRE(uds_snapshot_origin_read(w->s, w->buffer, SIZE, 0) == 0);
	FUZZ_REQUIRE(memcmp(w->buffer, w->merging ? w->view : w->origin, SIZE) == 0);
}

/* Where an exception is gone, the origin has the view. */
static void merge(struct world *w, uint8_t how)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = UDS_MERGE_RESULT_INIT;
	bool before[CHUNKS + 1];

	if (state(w) == UDS_SNAPSHOT_INVALID)
		return;
	for (size_t c = 0; c <= CHUNKS; c++)
		before[c] = has_exception(w, c);
	options.allow_cut = true;
	options.limit = how & 15;
	options.round_bytes = (1 + (how >> 4 & 3)) * CHUNK;
	options.skip_equal = how >> 6 & 1;
	FUZZ_REQUIRE(uds_snapshot_merge(w->s, &options, &result) == 0);
	FUZZ_REQUIRE(result.chunks_copied + result.chunks_equal + result.chunks_hidden ==
		     result.exceptions);
	w->merging = true;
	for (size_t c = 0; c <= CHUNKS; c++) {
		if (before[c] && !has_exception(w, c))
			memcpy(w->origin + c * CHUNK, w->view + c * CHUNK,
			       c < CHUNKS ? CHUNK : TAIL);
	}
}

static void step(struct world *w, struct fuzz_input *input)
{
	switch (fuzz_u8(input) % 10) {
	case 0:
	case 1:
		write_origin(w, input);
		break;
	case 2:
	case 3:
		write_view(w, input);
		break;
	case 4:
	case 5:
		merge(w, fuzz_u8(input));
		break;
	case 6:
		if (state(w) != UDS_SNAPSHOT_INVALID) {
			FUZZ_REQUIRE(uds_snapshot_close(w->s) == 0);
			open_world(w);
		}
		break;
	case 7:
		if (state(w) != UDS_SNAPSHOT_INVALID) {
			FUZZ_REQUIRE(uds_snapshot_end_merge(w->s) == 0);
			w->merging = false;
		}
		break;
	case 8:
		new_snapshot(w);
		break;
	default:
		check(w);
	}
}

void fuzz_snapshot_operations(const uint8_t *bytes, size_t size)
{
	static struct world w;
	struct fuzz_input input = { bytes, size < FUZZ_SESSION ? size : FUZZ_SESSION };
	uint8_t shape = fuzz_u8(&input);

	memset(&w, 0, sizeof(w));
	w.env = fuzz_env_begin(0, 16 << 20, 0);
	w.keep_on_overflow = shape & 1;
	for (size_t i = 0; i < SIZE; i++)
		w.origin[i] = (uint8_t)(i * 13 + i / 512);
	w.origin_io = fuzz_io(w.origin, SIZE);
	/* Room for all chunks and the areas between them, or for some. */
	FUZZ_REQUIRE(uds_io_open_memory((shape & 2 ? 20 : 90) * CHUNK, 1, NULL, NULL, &w.cow_io) ==
		     0);
	new_snapshot(&w);
	while (input.left > 0)
		step(&w, &input);
	check(&w);
	(void)uds_snapshot_close(w.s);
	FUZZ_REQUIRE(uds_io_close(w.cow_io) == 0);
	FUZZ_REQUIRE(uds_io_close(w.origin_io) == 0);
	fuzz_env_end();
}
