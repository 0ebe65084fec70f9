/* SPDX-License-Identifier: BSD-2-Clause */
/* The headers of the extras area. */
#include "extras/area.h"

#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32.h"
#include "base/message.h"

#define MAGIC		 "UDSextra"
#define MAGIC_BYTES	 8u
#define AREA_VERSION	 1u
#define GENERATION_LIMIT (UINT64_C(1) << 62)

/* Blocks of the area. */
#define HEADERS		2u
#define SAVES_START	2u
#define CHECKSUMS_START EXTRAS_FIRST_BLOCKS

/* Bytes of a header: all in one sector, which a power cut leaves old or new. */
#define AT_VERSION	   8
#define AT_NONCE	   16
#define AT_ID		   24
#define AT_GENERATION	   32
#define AT_BLOCKS	   40
#define AT_SAVES	   48
#define AT_CHECKSUMS	   56
#define AT_SLOTS	   64
#define AT_PARTS	   68
#define AT_JOURNAL	   72
#define AT_JOURNAL_BLOCKS  80
#define AT_OPEN_CHAPTER	   88
#define AT_SAVE_CHECKSUMS  96
#define AT_JOURNAL_FROM	   104
#define AT_SAVE_JOURNAL	   112
#define AT_INTENT_SLOT	   128
#define AT_INTENT_CHECKSUM 132
#define AT_INTENT_JOURNAL  136
#define AT_AGAIN_END	   144
#define AT_AGAIN_CHAPTER   152
#define AT_FLUSHED_FROM	   160
#define AT_HEADER_CHECKSUM 508

uint64_t extras_checksum_offset(const struct extras_area *area, uint32_t slot, uint32_t part)
{
	return area->start + (CHECKSUMS_START + (uint64_t)slot * area->parts + part) * BLOCK_BYTES;
}

void extras_make(const struct geometry *geometry, uint64_t start, uint64_t nonce, uint64_t id,
		 struct extras_area *ret_area)
{
	memset(ret_area, 0, sizeof(*ret_area));
	ret_area->present = true;
	ret_area->start = start;
	ret_area->blocks = geometry_extras_blocks(geometry);
	ret_area->nonce = nonce;
	ret_area->id = id;
	ret_area->slots = geometry->chapters_per_volume;
	ret_area->parts = geometry_checksum_blocks(geometry);
	ret_area->journal = geometry_journal_at(geometry);
	ret_area->journal_blocks = geometry_journal_blocks(geometry);
	ret_area->intent.slot = EXTRAS_NO_SLOT;
}

static void encode_journal(const struct extras_area *area, uint8_t *block)
{
	put_le64(block + AT_JOURNAL, area->journal);
	put_le64(block + AT_JOURNAL_BLOCKS, area->journal_blocks);
	put_le64(block + AT_JOURNAL_FROM, area->journal_from);
	for (unsigned int i = 0; i < EXTRAS_SAVES; i++)
		put_le64(block + AT_SAVE_JOURNAL + (size_t)8 * i, area->save_journal[i]);
	put_le32(block + AT_INTENT_SLOT, area->intent.slot);
	put_le32(block + AT_INTENT_CHECKSUM, area->intent.checksum);
	put_le64(block + AT_INTENT_JOURNAL, area->intent.journal);
	put_le64(block + AT_AGAIN_END, area->again_end);
	put_le64(block + AT_AGAIN_CHAPTER, area->again_chapter);
	put_le64(block + AT_FLUSHED_FROM, area->flushed_from);
}

static void decode_journal(const uint8_t *block, struct extras_area *area)
{
	area->journal = get_le64(block + AT_JOURNAL);
	area->journal_blocks = get_le64(block + AT_JOURNAL_BLOCKS);
	area->journal_from = get_le64(block + AT_JOURNAL_FROM);
	for (unsigned int i = 0; i < EXTRAS_SAVES; i++)
		area->save_journal[i] = get_le64(block + AT_SAVE_JOURNAL + (size_t)8 * i);
	area->intent.slot = get_le32(block + AT_INTENT_SLOT);
	area->intent.checksum = get_le32(block + AT_INTENT_CHECKSUM);
	area->intent.journal = get_le64(block + AT_INTENT_JOURNAL);
	area->again_end = get_le64(block + AT_AGAIN_END);
	area->again_chapter = get_le64(block + AT_AGAIN_CHAPTER);
	area->flushed_from = get_le64(block + AT_FLUSHED_FROM);
}

void extras_encode_header(const struct extras_area *area, uint8_t block[BLOCK_BYTES])
{
	memset(block, 0, BLOCK_BYTES);
	memcpy(block, MAGIC, MAGIC_BYTES);
	put_le32(block + AT_VERSION, AREA_VERSION);
	put_le64(block + AT_NONCE, area->nonce);
	put_le64(block + AT_ID, area->id);
	put_le64(block + AT_GENERATION, area->generation);
	put_le64(block + AT_BLOCKS, area->blocks);
	put_le64(block + AT_SAVES, SAVES_START);
	put_le64(block + AT_CHECKSUMS, CHECKSUMS_START);
	put_le32(block + AT_SLOTS, area->slots);
	put_le32(block + AT_PARTS, area->parts);
	put_le64(block + AT_OPEN_CHAPTER, area->open_chapter);
	for (size_t i = 0; i < EXTRAS_SAVES; i++)
		put_le32(block + AT_SAVE_CHECKSUMS + 4 * i, area->save_checksums[i]);
	encode_journal(area, block);
	put_le32(block + AT_HEADER_CHECKSUM, crc32_add(0, block, AT_HEADER_CHECKSUM));
}

/*
 * A version 1 has its parts in fixed places: other numbers are damage that the checksum let pass.
 */
static int check_places(const uint8_t *block, const struct extras_area *area,
			struct uds_message *ret_message)
{
	uint64_t end = CHECKSUMS_START + (uint64_t)area->slots * area->parts;
	const struct {
		const char *what;
		uint64_t expected, found;
	} places[] = {
		{ "copies of save headers", SAVES_START, get_le64(block + AT_SAVES) },
		{ "checksums", CHECKSUMS_START, get_le64(block + AT_CHECKSUMS) },
		{ "journal", end, area->journal },
		{ "blocks", end + area->journal_blocks, area->blocks },
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (places[i].found != places[i].expected)
			return failure(ret_message, UDS_ERR_CORRUPT,
				       "%s: expected %" PRIu64 ", found %" PRIu64, places[i].what,
				       places[i].expected, places[i].found);
	}
	return 0;
}

int extras_decode_header(const uint8_t block[BLOCK_BYTES], struct extras_area *area,
			 struct uds_message *ret_message)
{
	uint32_t found = get_le32(block + AT_HEADER_CHECKSUM);
	uint32_t expected = crc32_add(0, block, AT_HEADER_CHECKSUM);

	if (memcmp(block, MAGIC, MAGIC_BYTES) != 0)
		return failure(ret_message, UDS_ERR_CORRUPT, "no magic number");
	/*
	 * After the magic number: bytes of another program are no damage, a header that is wrong
	 * is.
	 */
	if (found != expected)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "checksum: expected %08" PRIx32 ", found %08" PRIx32, expected,
			       found);
	if (get_le32(block + AT_VERSION) != AREA_VERSION)
		return failure(ret_message, UDS_ERR_UNSUPPORTED_VERSION,
			       "version: expected %u, found %" PRIu32, AREA_VERSION,
			       get_le32(block + AT_VERSION));
	/* Only taken here: extras_read() compares slots and parts with the geometry. */
	area->nonce = get_le64(block + AT_NONCE);
	area->id = get_le64(block + AT_ID);
	area->generation = get_le64(block + AT_GENERATION);
	area->blocks = get_le64(block + AT_BLOCKS);
	area->slots = get_le32(block + AT_SLOTS);
	area->parts = get_le32(block + AT_PARTS);
	area->open_chapter = get_le64(block + AT_OPEN_CHAPTER);
	/* One more must not wrap, or the older header would count. */
	if (area->generation >= GENERATION_LIMIT)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "generation: expected less than %" PRIu64 ", found %" PRIu64,
			       GENERATION_LIMIT, area->generation);
	for (size_t i = 0; i < EXTRAS_SAVES; i++)
		area->save_checksums[i] = get_le32(block + AT_SAVE_CHECKSUMS + 4 * i);
	decode_journal(block, area);
	return check_places(block, area, ret_message);
}

/*
 * Reads one header, which may be better than that in @area. What was there once and is no good is
 * said in @area->why; bytes without the magic number are another program's, and no fault.
 */
static void read_header(struct uds_io *io, unsigned int i, uint64_t nonce, uint8_t *block,
			struct extras_area *area, struct uds_message *unreadable, int *status)
{
	struct extras_area read = { .start = area->start };
	int r;

	r = io_read(io, block, BLOCK_BYTES, area->start + (uint64_t)i * BLOCK_BYTES, &area->why);
	if (r < 0) {
		*unreadable = area->why;
		*status = r;
	}
	if (r < 0 || memcmp(block, MAGIC, MAGIC_BYTES) != 0)
		return;
	r = extras_decode_header(block, &read, &read.why);
	if (r < 0) {
		area->why = read.why;
		failure_in(&area->why, r, "header %u", i);
		return;
	}
	/* Of another index that was here, or the older of the two: headers are written in turn. */
	if (read.nonce != nonce || (area->present && read.generation <= area->generation))
		return;
	read.present = true;
	*area = read;
}

void extras_read(struct uds_io *io, const struct geometry *geometry, uint64_t start, uint64_t end,
		 uint64_t nonce, uint8_t *block, struct extras_area *ret_area)
{
	struct uds_message unreadable = { "" };
	struct extras_area *area = ret_area;
	int status = 0;

	memset(area, 0, sizeof(*area));
	area->start = start;
	/* The device ends before an area could begin: as in an index without one. */
	if (end < start || end - start < (uint64_t)HEADERS * BLOCK_BYTES)
		return;
	for (unsigned int i = 0; i < HEADERS; i++)
		read_header(io, i, nonce, block, area, &unreadable, &status);
	area->unreadable = status;
	if (!area->present)
		return;
	/*
	 * A power cut may have left one header damaged; the other one is enough. One that cannot be
	 * read was perhaps the later: that is said.
	 */
	area->why = unreadable;
	area->present = false;
	/*
	 * An area of another shape, or cut off, does not count. The reason is kept for those that
	 * ask.
	 */
	if (area->slots != geometry->chapters_per_volume ||
	    area->parts != geometry_checksum_blocks(geometry))
		failure(&area->why, 0,
			"header: slots and checksum blocks for each: expected %" PRIu32
			" and %" PRIu32 ", found %" PRIu32 " and %" PRIu32,
			geometry->chapters_per_volume, geometry_checksum_blocks(geometry),
			area->slots, area->parts);
	else if (area->journal_blocks != geometry_journal_blocks(geometry))
		failure(&area->why, 0,
			"header: blocks of the journal: expected %" PRIu64 ", found %" PRIu64,
			geometry_journal_blocks(geometry), area->journal_blocks);
	else if ((end - start) / BLOCK_BYTES < area->blocks)
		failure(&area->why, 0, "cut off: expected %" PRIu64 " blocks, found %" PRIu64,
			area->blocks, (end - start) / BLOCK_BYTES);
	else
		area->present = true;
}

int extras_write_header(struct uds_io *io, struct extras_area *area, struct extras_area *next,
			uint8_t *block, struct uds_message *ret_message)
{
	int r;

	next->generation = area->generation + 1;
	extras_encode_header(next, block);
	/* In turn: a power cut during this write leaves the other header, with the state before. */
	r = io_write(io, block, BLOCK_BYTES, area->start + next->generation % HEADERS * BLOCK_BYTES,
		     ret_message);
	if (r == 0)
		r = io_flush(io, ret_message);
	if (r < 0)
		return failure_in(ret_message, r, "extras: header");
	/* Only now: after a failure the same generation is tried again, over the same header. */
	*area = *next;
	area->due = false;
	return 0;
}

void extras_end_intent(struct extras_area *area)
{
	const struct extras_intent *intent = &area->intent;

	if (intent->slot >= EXTRAS_SAVES)
		return;
	/* What was announced has happened: from now on it is simply what the slot has. */
	area->save_checksums[intent->slot] = intent->checksum;
	area->save_journal[intent->slot] = intent->journal;
	area->intent.slot = EXTRAS_NO_SLOT;
}

/* The intent first: the slot's other checksum is that of the save before, which is gone. */
static bool is_intended(const struct extras_area *area, unsigned int slot, uint32_t checksum)
{
	return area->intent.slot == slot && area->intent.checksum == checksum;
}

bool extras_know_save(const struct extras_area *area, unsigned int slot, uint32_t checksum)
{
	return is_intended(area, slot, checksum) || area->save_checksums[slot] == checksum;
}

uint64_t extras_save_journal(const struct extras_area *area, unsigned int slot, uint32_t checksum)
{
	return is_intended(area, slot, checksum) ? area->intent.journal : area->save_journal[slot];
}

int extras_write(struct uds_io *io, struct extras_area *area, uint64_t open_chapter, uint8_t *saves,
		 struct uds_message *ret_message)
{
	struct extras_area next = *area;
	int r;

	next.open_chapter = open_chapter;
	/* The headers of the saves are as they are now: nothing is under way any more. */
	next.intent.slot = EXTRAS_NO_SLOT;
	/* The copies are durable before the header whose checksums are theirs. */
	r = io_write(io, saves, (size_t)EXTRAS_SAVES * BLOCK_BYTES,
		     area->start + (uint64_t)SAVES_START * BLOCK_BYTES, ret_message);
	if (r == 0)
		r = io_flush(io, ret_message);
	if (r < 0)
		return failure_in(ret_message, r, "extras");
	/* From here on @saves is scratch for the header. */
	return extras_write_header(io, area, &next, saves, ret_message);
}
