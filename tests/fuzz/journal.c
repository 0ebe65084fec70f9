/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The journal behind an index: which chain of its blocks counts, and what is in it.
 *
 * Of each block the input has the head and some entries. Its checksum is put right, for all but
 * some, or the fuzzer would never get past it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32.h"
#include "extras/journal.h"
#include "fuzz.h"

#define FRONT	    200u
#define AT_CHECKSUM 4092u

/* A place, whether the checksum is right, and the front. */
static void take_block(struct fuzz_input *input, const struct extras_area *area, uint8_t *image)
{
	uint64_t place = fuzz_u8(input) % area->journal_blocks;
	uint8_t *block = image + (area->journal + place) * BLOCK_BYTES;
	bool right = fuzz_u8(input) % 8 != 7;
	uint8_t *front = fuzz_take(input, FRONT);

	memset(block, 0, BLOCK_BYTES);
	memcpy(block, front, FRONT);
	if (right)
		put_le32(block + AT_CHECKSUM, crc32_add(0, block, AT_CHECKSUM));
	free(front);
}

/* What decodes is encoded to what decodes to the same. */
static void check_block(const struct extras_area *area, uint64_t place, const uint8_t *block)
{
	struct journal_head head = { 0 }, second = { 0 };
	uint8_t *again = calloc(1, BLOCK_BYTES);
	struct journal_entry entry;

	FUZZ_REQUIRE(again != NULL);
	if (journal_check_block(area, place, block, &head)) {
		for (uint32_t i = 0; i < head.count; i++) {
			journal_get_entry(block, i, &entry);
			FUZZ_REQUIRE(entry.kind >= JOURNAL_STORE && entry.kind <= JOURNAL_CARRIED);
			journal_put_entry(again, i, &entry);
		}
		journal_end_block(area, &head, again);
		FUZZ_REQUIRE(journal_check_block(area, place, again, &second));
		FUZZ_REQUIRE(second.number == head.number && second.tail == head.tail &&
			     second.end == head.end && second.durable == head.durable &&
			     second.chapter == head.chapter && second.count == head.count);
	}
	free(again);
}

static void check_chain(struct uds_io *io, const struct extras_area *area,
			const struct journal_found *found)
{
	uint8_t *block = calloc(1, BLOCK_BYTES);
	struct uds_message message = { "" };

	FUZZ_REQUIRE(block != NULL);
	FUZZ_REQUIRE(found->end >= found->tail && found->next >= found->end);
	FUZZ_REQUIRE(found->end - found->tail <= area->journal_blocks);
	for (uint64_t n = found->tail; n < found->end; n++)
		FUZZ_REQUIRE(journal_read(io, area, n, 1, block, &message) == 0);
	FUZZ_REQUIRE(found->end == found->tail || found->tail >= area->journal_from);
	free(block);
}

void fuzz_journal(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = { bytes, size };
	const struct geometry *geometry = fuzz_geometry(fuzz_u8(&input));
	size_t image_bytes = (size_t)geometry_extras_blocks(geometry) * BLOCK_BYTES;
	uint8_t *image = calloc(1, image_bytes);
	const struct uds_env *env = fuzz_env_begin(image_bytes, 5 << 18, 2);
	struct uds_message message = { "" };
	struct journal_found found;
	struct extras_area area;
	struct uds_io *io;

	FUZZ_REQUIRE(image != NULL);
	extras_make(geometry, 0, FUZZ_NONCE, 77, &area);
	area.journal_from = fuzz_u8(&input) % 4;
	area.again_end = fuzz_u8(&input);
	area.again_chapter = fuzz_u8(&input);
	while (area.journal_blocks > 0 && input.left > 0)
		take_block(&input, &area, image);
	for (uint64_t place = 0; place < area.journal_blocks; place++)
		check_block(&area, place, image + (area.journal + place) * BLOCK_BYTES);
	io = fuzz_io(image, image_bytes);
	if (area.journal_blocks > 0) {
		FUZZ_REQUIRE(journal_find(io, env, &area, false, &message, &found) == 0);
		check_chain(io, &area, &found);
	}
	FUZZ_REQUIRE(uds_io_close(io) == 0);
	free(image);
	fuzz_env_end();
}
