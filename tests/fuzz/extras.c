/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The extras area behind an index: its headers and its checksum blocks.
 *
 * Of each block the input has the front only. Its checksum is put right, for all but some, or the
 * fuzzer would never get past it.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32.h"
#include "extras/area.h"
#include "extras/checksums.h"
#include "fuzz.h"

#define FRONT	   160u /* all that a header has, but for its checksum */
#define AT_HEADER  508u
#define AT_BLOCK   4092u
#define MOST_BLOCK 64u

/* Takes a block from the input: a byte that says whether its checksum is right, and its front. */
static void take_block(struct fuzz_input *input, uint8_t *block, size_t checksum_at)
{
	bool right = fuzz_u8(input) % 8 != 7;
	uint8_t *front = fuzz_take(input, FRONT);

	memset(block, 0, BLOCK_BYTES);
	memcpy(block, front, FRONT);
	if (right)
		put_le32(block + checksum_at, crc32_add(0, block, checksum_at));
	free(front);
}

static void check_header(const uint8_t *block)
{
	uint8_t once[BLOCK_BYTES];
	struct extras_area area = { .start = 0 }, second = area;
	struct uds_message message = { "" };

	if (extras_decode_header(block, &area, &message) < 0) {
		FUZZ_REQUIRE(message.text[0] != '\0');
		return;
	}
	extras_encode_header(&area, once);
	FUZZ_REQUIRE(extras_decode_header(once, &second, &message) == 0);
	FUZZ_REQUIRE(second.blocks == area.blocks && second.id == area.id &&
		     second.generation == area.generation && second.slots == area.slots);
}

static void use_checksums(const struct uds_env *env, struct uds_io *io,
			  const struct geometry *geometry, const struct extras_area *area)
{
	size_t chapter_bytes = (size_t)geometry->pages_per_chapter * geometry->page_bytes;
	uint32_t blocks = (uint32_t)(chapter_bytes / BLOCK_BYTES), unreadable;
	uint8_t *pages = calloc(1, chapter_bytes);
	struct checksum_damage damage;
	struct uds_message message;
	struct checksums *checksums;

	FUZZ_REQUIRE(pages != NULL);
	FUZZ_REQUIRE(checksums_make(env, io, geometry, area, &checksums) == 0);
	FUZZ_REQUIRE(checksums_read(checksums, &unreadable, &message) == 0 && unreadable == 0);
	for (uint32_t slot = 0; slot < area->slots; slot++) {
		uint64_t vcn = slot + UINT64_C(3) * area->slots;

		if (!checksums_check(checksums, slot, 0, pages, blocks, &damage))
			FUZZ_REQUIRE(damage.block < blocks && damage.expected != damage.found);
		FUZZ_REQUIRE(checksums_begin_chapter(checksums, slot, vcn, &message) == 0);
		checksums_set(checksums, slot, vcn, pages);
		FUZZ_REQUIRE(checksums_know(checksums, slot, vcn));
		FUZZ_REQUIRE(checksums_check(checksums, slot, 0, pages, blocks, &damage));
		FUZZ_REQUIRE(checksums_were_checked(checksums, slot, 0, blocks));
	}
	FUZZ_REQUIRE(checksums_write(checksums, &message) == 0);
	/* What was written is read again. */
	FUZZ_REQUIRE(checksums_read(checksums, &unreadable, &message) == 0 && unreadable == 0);
	for (uint32_t slot = 0; slot < area->slots; slot++)
		FUZZ_REQUIRE(checksums_know(checksums, slot, slot + UINT64_C(3) * area->slots));
	checksums_free(checksums);
	free(pages);
}

void fuzz_extras(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = { bytes, size };
	const struct geometry *geometry = fuzz_geometry(fuzz_u8(&input));
	size_t blocks = (size_t)geometry_extras_blocks(geometry) - fuzz_u8(&input) % 3;
	uint8_t *image = calloc(blocks, BLOCK_BYTES), block[BLOCK_BYTES];
	/* Blocks are read by the megabyte, whatever their number. */
	const struct uds_env *env = fuzz_env_begin(blocks * BLOCK_BYTES, 5 << 18, 2);
	struct extras_area area;
	struct uds_io *io;

	FUZZ_REQUIRE(image != NULL && blocks > 4);
	for (size_t i = 0; i < 2; i++) {
		take_block(&input, image + i * BLOCK_BYTES, AT_HEADER);
		check_header(image + i * BLOCK_BYTES);
	}
	for (size_t i = EXTRAS_FIRST_BLOCKS; i < blocks && i < MOST_BLOCK && input.left > 0; i++)
		take_block(&input, image + i * BLOCK_BYTES, AT_BLOCK);
	io = fuzz_io(image, blocks * BLOCK_BYTES);
	extras_read(io, geometry, 0, blocks * BLOCK_BYTES, FUZZ_NONCE, block, &area);
	if (area.present) {
		FUZZ_REQUIRE(area.slots == geometry->chapters_per_volume && area.blocks <= blocks);
		use_checksums(env, io, geometry, &area);
	}
	FUZZ_REQUIRE(uds_io_close(io) == 0);
	free(image);
	fuzz_env_end();
}
