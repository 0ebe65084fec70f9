/* SPDX-License-Identifier: BSD-2-Clause */
/* Finding the open chapter of a save, also of one whose header is damaged. */
#include "index/saved_records.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/message.h"
#include "chapter/saved_chapter.h"
#include "geometry/name_zone.h"
#include "volume/region_stream.h"
#include "volume/save_header.h"
#include "volume/save_wipe.h"
#include "volume_index/stream_format.h"

/* Where the record count is in the head of a saved open chapter. */
#define COUNT_AT 10

static int judge_head(const struct layout *layout, const uint8_t *block,
		      struct saved_records *records)
{
	const uint64_t most = layout->geometry.records_per_chapter;
	uint64_t bytes = 0;
	int r;

	r = saved_chapter_check_head(&layout->geometry, block, &bytes, &records->why);
	if (r == 0 && bytes > records->save.open_chapter.bytes)
		r = failure(&records->why, UDS_ERR_CORRUPT,
			    "open chapter: more records than its region has room for");
	records->intact = r == 0;
	records->count = get_le32(block + COUNT_AT);
	/* From the device: only for sentences, and never more than a chapter has. */
	if (records->count > most)
		records->count = most;
	/* Nothing is lost with an open chapter that was empty; a damaged one may not have been. */
	records->there = records->count > 0 || !records->intact;
	return 0;
}

/* Reads the first block of an open chapter. Its first sector says whether it was invalidated. */
static int look(struct uds_io *io, const struct layout *layout, const struct uds_env *env,
		bool skip_unreadable, struct saved_records *records, struct uds_message *message)
{
	uint8_t *block = io_allocate_buffer(io, env, BLOCK_BYTES);
	int r;

	if (block == NULL)
		return failure(message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	r = io_read(io, block, BLOCK_BYTES, records->save.open_chapter.offset, message);
	if (r == 0 && !save_is_wiped(block)) {
		r = judge_head(layout, block, records);
	} else if (r < 0 && skip_unreadable) {
		/* Counted as if it were full: how many are lost is not known. */
		failure(&records->why, r, "its open chapter cannot be read: %s", uds_strerror(r));
		records->there = true;
		records->count = layout->geometry.records_per_chapter;
		r = 0;
	} else if (r < 0) {
		failure_in(message, r, "save %u: open chapter", records->save.slot);
	}
	env_release(env, block);
	return r;
}

/* What the first stream of a saved volume index says of the save as a whole. */
struct stream_head {
	uint64_t newest;
	uint32_t zones;
};

/*
 * Reads on to the header of the first delta index. Returns 1, 0 when it is no such stream,
 * or an error.
 */
static int read_stream_head(struct region_reader *reader, const struct layout *layout,
			    struct stream_head *ret_head)
{
	uint8_t bytes[STREAM_SUB_HEADER_BYTES], entry[sizeof(uint64_t)];
	uint32_t lists;
	int r;

	if (geometry_is_sparse(&layout->geometry)) {
		r = region_reader_take(reader, bytes, STREAM_SPARSE_HEADER_BYTES);
		if (r < 0 || memcmp(bytes, STREAM_SPARSE_MAGIC, STREAM_MAGIC_BYTES) != 0)
			return r;
	}
	r = region_reader_take(reader, bytes, STREAM_SUB_HEADER_BYTES);
	/* Another index's stream, or none: then the slot had no save of this index. */
	if (r < 0 || memcmp(bytes, STREAM_SUB_MAGIC, STREAM_MAGIC_BYTES) != 0 ||
	    get_le64(bytes + 8) != layout->super.volume_nonce)
		return r;
	ret_head->newest = get_le64(bytes + 24);
	lists = get_le32(bytes + 36);
	/*
	 * The flush_from table (13.6): only its length matters here. However many lists it claims,
	 * reading ends with the region.
	 */
	for (uint32_t i = 0; i < lists && r == 0; i++)
		r = region_reader_take(reader, entry, sizeof(entry));
	if (r == 0)
		r = region_reader_take(reader, bytes, STREAM_DELTA_HEADER_BYTES);
	if (r < 0)
		return r;
	/* Its magic is not looked at: that the open chapter is where this leads to says more. */
	ret_head->zones = get_le32(bytes + 12);
	return ret_head->zones >= 1 && ret_head->zones <= MAXIMUM_ZONES;
}

/*
 * The first stream begins at the same place for any number of zones, and says how many there are:
 * so where everything else of the save is follows from it.
 */
static int plan_from_stream(struct uds_io *io, const struct layout *layout, unsigned int slot,
			    struct save *save, struct uds_message *message)
{
	struct stream_head head = { 0 };
	struct region_reader reader;
	int r;

	/* Too small for a save of one zone: no save can be there. */
	if (save_header_plan(&layout->super, slot, 1, save, NULL) < 0)
		return 0;
	r = region_reader_open(&reader, io, save->volume_index[0], "volume index");
	if (r < 0)
		return failure(message, r, "%s", uds_strerror(r));
	r = read_stream_head(&reader, layout, &head);
	if (r < 0 && r != UDS_ERR_OUT_OF_RANGE)
		*message = reader.message;
	region_reader_close(&reader);
	if (r <= 0 || head.newest >= CHAPTER_LIMIT ||
	    save_header_plan(&layout->super, slot, head.zones, save, NULL) < 0)
		return r == UDS_ERR_OUT_OF_RANGE || r > 0 ? 0 : r;
	save->newest = head.newest;
	return 1;
}

/* Of one save slot whose header is damaged. When that save was made is not known. */
static int probe(struct uds_io *io, const struct layout *layout, const struct uds_env *env,
		 unsigned int slot, bool skip_unreadable, struct uds_message *message,
		 struct saved_records *ret_records)
{
	struct saved_records records = { .headless = true };
	int r;

	r = plan_from_stream(io, layout, slot, &records.save, message);
	if (r == 1)
		r = look(io, layout, env, skip_unreadable, &records, message);
	else if (r < 0 && r != -ENOMEM && skip_unreadable)
		r = 0;
	if (r < 0)
		return r;
	/* Where the header is lost, only a good open chapter says that there is one. */
	records.there = records.there && records.intact;
	*ret_records = records;
	return 0;
}

int saved_records_find(struct uds_io *io, const struct layout *layout, const struct uds_env *env,
		       bool skip_unreadable, struct uds_message *message,
		       struct saved_records *ret_records)
{
	const struct saves *saves = &layout->saves;
	const struct save_slot *latest = saves_find_latest(saves);
	struct saved_records records = { 0 };
	int r = 0;

	/* Of a save that was wiped or left behind, the volume has the open chapter. */
	if (latest != NULL && !latest->wiped && !latest->outdated &&
	    latest->save.newest < CHAPTER_LIMIT) {
		records.save = latest->save;
		r = look(io, layout, env, skip_unreadable, &records, message);
	}
	/*
	 * Only if the latest has none: a damaged header may be that of a later save, or of an older
	 * one.
	 */
	for (unsigned int i = 0; r == 0 && !records.there && i < SAVE_SLOTS; i++) {
		if (saves->slots[i].state == SLOT_DAMAGED)
			r = probe(io, layout, env, i, skip_unreadable, message, &records);
	}
	if (r < 0)
		return r;
	*ret_records = records;
	return 0;
}

static bool was_loaded(struct uds_index *index, const struct uds_record *record)
{
	for (unsigned int z = 0; z < index->zone_count; z++) {
		const struct uds_record_data *data =
			open_zone_search(index->zones[z].open, &record->name);

		/*
		 * With other data it is another version of the record, and this one would be lost.
		 */
		if (data != NULL)
			return memcmp(data, &record->data, sizeof(*data)) == 0;
	}
	return false;
}

/* How many records of a saved open chapter are not in the open chapter as it is. */
static int count_missing(struct uds_index *index, const struct saved_records *saved,
			 uint64_t *ret_count, struct uds_message *message)
{
	uint8_t head[SAVED_CHAPTER_HEAD_BYTES];
	struct region_reader reader;
	struct uds_record record;
	uint64_t missing = 0;
	int r;

	r = region_reader_open(&reader, index->io, saved->save.open_chapter, "open chapter");
	if (r < 0)
		return r;
	r = region_reader_take(&reader, head, sizeof(head));
	for (uint64_t i = 0; r == 0 && i < saved->count; i++) {
		r = region_reader_take(&reader, &record, sizeof(record));
		missing += r == 0 && !was_loaded(index, &record);
	}
	if (r < 0)
		failure(message, r, "save %u: %s", saved->save.slot, reader.message.text);
	region_reader_close(&reader);
	*ret_count = missing;
	return r;
}

int index_check_headless_saves(struct uds_index *index, bool skip_unreadable,
			       struct uds_message *message)
{
	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		const struct save_slot *slot = &index->layout.saves.slots[i];
		struct saved_records saved = { 0 };
		uint64_t missing = 0;
		int r = 0;

		if (slot->state == SLOT_DAMAGED)
			r = probe(index->io, &index->layout, &index->env, i, skip_unreadable,
				  message, &saved);
		/*
		 * A save of another chapter is older than what was loaded, or newer than the
		 * volume.
		 */
		if (r == 0 && saved.there && saved.save.newest == index->newest)
			r = count_missing(index, &saved, &missing, message);
		if (r < 0 && (r == -ENOMEM || !skip_unreadable))
			return r;
		if (missing > 0)
			return failure(message, UDS_ERR_WOULD_LOSE_RECORDS,
				       "%s: %.300s: it may be the latest save, and %" PRIu64
				       " of its records are not in the other one",
				       uds_io_name(index->io), slot->why.text, missing);
	}
	return 0;
}
