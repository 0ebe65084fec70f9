/* SPDX-License-Identifier: BSD-2-Clause */
/* The open chapter in a save: the live records of all zones, taken in turn. */
#include "chapter/saved_chapter.h"

#include <inttypes.h>
#include <string.h>

#include "base/message.h"

static const char magic[5] = { 'A', 'L', 'B', 'O', 'C' };
static const char version[5] = { '0', '2', '.', '0', '0' };

static uint64_t live_records(struct open_zone *const *zones, unsigned int count)
{
	uint64_t live = 0;

	for (unsigned int z = 0; z < count; z++)
		live += open_zone_live(zones[z]);
	return live;
}

uint64_t saved_chapter_bytes(struct open_zone *const *zones, unsigned int count)
{
	return SAVED_CHAPTER_HEAD_BYTES + UDS_RECORD_BYTES * live_records(zones, count);
}

int saved_chapter_write(struct open_zone *const *zones, unsigned int count, uint8_t *memory,
			size_t room)
{
	const uint64_t live = live_records(zones, count);
	uint8_t *next = memory + SAVED_CHAPTER_HEAD_BYTES;
	uint64_t written = 0;
	uint32_t largest = 0;

	/* Before the first byte: what is there stays as it is. */
	if (room < saved_chapter_bytes(zones, count))
		return UDS_ERR_OVERFLOW;
	memcpy(memory, magic, sizeof(magic));
	memcpy(memory + 5, version, sizeof(version));
	put_le32(memory + 10, (uint32_t)live);
	for (unsigned int z = 0; z < count; z++) {
		if (zones[z]->size > largest)
			largest = zones[z]->size;
	}
	/* Stop at the largest zone, too: if the counters disagree, counting alone would not end. */
	for (uint32_t number = 1; number <= largest && written < live; number++) {
		for (unsigned int z = 0; z < count && written < live; z++) {
			if (number > zones[z]->size || open_zone_is_removed(zones[z], number))
				continue;
			memcpy(next, &zones[z]->records[number - 1], UDS_RECORD_BYTES);
			next += UDS_RECORD_BYTES;
			written++;
		}
	}
	return written == live ? 0 : UDS_ERR_BAD_STATE;
}

int saved_chapter_check_head(const struct geometry *geometry,
			     const uint8_t head[SAVED_CHAPTER_HEAD_BYTES], uint64_t *ret_bytes,
			     struct uds_message *message)
{
	uint32_t count;

	/*
	 * Also how a save that later chapters invalidated looks: its first block was wiped (15.4).
	 */
	if (memcmp(head, magic, sizeof(magic)) != 0)
		return failure(message, UDS_ERR_CORRUPT,
			       "open chapter: no magic ALBOC at its start");
	if (memcmp(head + 5, version, sizeof(version)) != 0)
		return failure(message, UDS_ERR_CORRUPT, "open chapter: its version is not 02.00");
	count = get_le32(head + 10);
	/*
	 * The reference does not compare this (20.1, S8): the count would run through whatever lies
	 * behind.
	 */
	if (count > geometry->records_per_chapter)
		return failure(message, UDS_ERR_CORRUPT,
			       "open chapter: %" PRIu32 " records, but a chapter has %" PRIu32
			       " at most",
			       count, geometry->records_per_chapter);
	*ret_bytes = SAVED_CHAPTER_HEAD_BYTES + UDS_RECORD_BYTES * (uint64_t)count;
	return 0;
}

/* Puts one record into its zone. Returns 0, 1 when it was dropped, or UDS_ERR_DUPLICATE_NAME. */
static int load_record(const struct zone_chooser *chooser, struct open_zone *const *zones,
		       const struct uds_record *record)
{
	struct open_zone *zone = zones[name_zone(chooser, &record->name)];
	uint32_t room;

	/* Two records of one name are never written. Taking the second one would hide damage. */
	if (open_zone_search(zone, &record->name) != NULL)
		return UDS_ERR_DUPLICATE_NAME;
	/*
	 * Keep one number free: the put that fills a zone closes the chapter, so a full
	 * zone cannot exist.
	 */
	if (zone->size > 0 && zone->capacity - zone->size <= 1)
		return 1;
	return open_zone_put(zone, &record->name, &record->data, &room);
}

static void reset_zones(struct open_zone *const *zones, unsigned int count)
{
	for (unsigned int z = 0; z < count; z++)
		open_zone_reset(zones[z]);
}

int saved_chapter_load(const struct geometry *geometry, const struct zone_chooser *chooser,
		       struct open_zone *const *zones, unsigned int count, const uint8_t *memory,
		       size_t bytes, dropped_record_fn dropped, void *dropped_context,
		       uint64_t *ret_dropped, struct uds_message *message)
{
	uint64_t needed = 0, drops = 0;
	int r;

	/*
	 * Also when the load fails: the zones are empty then, and hold nothing of a half-read save.
	 */
	reset_zones(zones, count);
	if (bytes < SAVED_CHAPTER_HEAD_BYTES)
		return failure(message, UDS_ERR_CORRUPT,
			       "open chapter: %zu bytes are too few for its head", bytes);
	r = saved_chapter_check_head(geometry, memory, &needed, message);
	if (r < 0)
		return r;
	if (bytes < needed)
		return failure(message, UDS_ERR_CORRUPT,
			       "open chapter: its records take %" PRIu64
			       " bytes, but there are %zu",
			       needed, bytes);
	for (uint64_t at = SAVED_CHAPTER_HEAD_BYTES; at < needed; at += UDS_RECORD_BYTES) {
		struct uds_record record;

		memcpy(&record, memory + at, sizeof(record));
		r = load_record(chooser, zones, &record);
		if (r < 0) {
			reset_zones(zones, count);
			return failure(message, UDS_ERR_CORRUPT,
				       "open chapter: the name of record %" PRIu64
				       " is there twice",
				       (at - SAVED_CHAPTER_HEAD_BYTES) / UDS_RECORD_BYTES);
		}
		if (r == 0)
			continue;
		drops++;
		/*
		 * The caller has to take the entry out of the volume index: as a false hint it
		 * would keep the name from being stored (17.2; 20.1, S7).
		 */
		if (dropped != NULL)
			dropped(dropped_context, &record);
	}
	*ret_dropped = drops;
	return 0;
}
