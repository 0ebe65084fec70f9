/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flushing an index: what was done before is made durable, with one write to the journal
 * and one flush.
 *
 * Of the threads that ask at once one leads: it writes for all that asked before it began. The
 * others wait, and one of them leads next. Without a journal a flush waits for the chapter that is
 * being written, and no more.
 */
#include "index/journal.h"

#include <errno.h>
#include <inttypes.h>

#include "base/message.h"
#include "base/visibility.h"
#include "index/close_chapter.h"
#include "index/left_out.h"
#include "index/save.h"

/* What the leader writes. */
struct flush {
	struct uds_index *index;
	bool full;
	bool save;		  /* a save has to do, instead */
	uint64_t count;		  /* blocks; 0: nothing to do */
	struct journal_head head; /* of the first block */
	uint64_t entries;	  /* so far */
	struct uds_message message;
};

static uint64_t blocks_for(uint64_t entries)
{
	return (entries + JOURNAL_BLOCK_ENTRIES - 1) / JOURNAL_BLOCK_ENTRIES;
}

/* The most blocks that a full flush takes. */
static uint64_t most_blocks(const struct uds_index *index)
{
	/*
	 * All records of an open chapter, and as many deletions as all zones' lists hold
	 * (journal.c).
	 */
	return blocks_for(index->geometry.records_per_chapter +
			  index->journal->area.journal_blocks * JOURNAL_BLOCK_ENTRIES / 4);
}

/* What has changed since the last flush, and what everything is. */
struct flush_counts {
	uint64_t new_entries, all_entries;
	bool changed, lost_changes, lost_deletions;
};

static struct flush_counts count_entries(const struct uds_index *index)
{
	struct flush_counts counts = { 0 };

	for (unsigned int i = 0; i < index->zone_count; i++) {
		const struct index_zone *zone = &index->zones[i];

		counts.new_entries += journal_count_new(zone);
		counts.all_entries += zone->journal->deletions.count + open_zone_live(zone->open);
		counts.changed |= zone->changed;
		counts.lost_changes |= zone->journal->changes.lost;
		/* Those that a save lacks which is not committed yet, too. */
		counts.lost_deletions |=
			zone->journal->deletions.lost || zone->journal->covers_lost;
	}
	return counts;
}

/* What kind of flush it is to be. All zone locks are held. */
static void choose(struct flush *flush)
{
	const struct uds_index *index = flush->index;
	struct index_journal *journal = index->journal;
	const struct flush_counts counts = count_entries(index);
	uint64_t kept, blocks = journal->area.journal_blocks;

	/* All of it is in the latest save. One that is being made may fail. */
	if (!counts.changed && !index->saving)
		return;
	/* The latest save has all that the journal has: no block of it must stay. */
	if (journal->covered == journal->next)
		journal->tail = journal->next;
	kept = journal->next - journal->tail;
	flush->full = journal->full || counts.lost_changes;
	flush->count = blocks_for(flush->full ? counts.all_entries : counts.new_entries);
	/* Room for a full one must be left: it is written before anything is given up. */
	if (!flush->full && kept + flush->count + most_blocks(index) > blocks) {
		flush->full = true;
		flush->count = blocks_for(counts.all_entries);
	}
	flush->save = counts.lost_deletions || kept + flush->count > blocks ||
		      journal->next + flush->count >= JOURNAL_LIMIT;
}

/* ---- encoding; all zone locks are held ---- */

static void put(struct flush *flush, const struct journal_entry *entry)
{
	uint8_t *blocks = flush->index->journal->blocks;

	journal_put_entry(blocks + flush->entries / JOURNAL_BLOCK_ENTRIES * BLOCK_BYTES,
			  (uint32_t)(flush->entries % JOURNAL_BLOCK_ENTRIES), entry);
	flush->entries++;
}

/* Records with numbers above @after. */
static void put_records(struct flush *flush, const struct open_zone *zone, uint32_t after)
{
	struct journal_entry entry = { .kind = JOURNAL_STORE };

	for (uint32_t n = after + 1; n <= zone->size; n++) {
		if (open_zone_is_removed(zone, n))
			continue;
		entry.name = zone->records[n - 1].name;
		entry.data = zone->records[n - 1].data;
		put(flush, &entry);
	}
}

/*
 * Deletions go first: a record that is there now was stored after those of its name. The save that
 * is being made has the first ones: carried out on it once more, one could find the entry of
 * another name.
 */
static void put_deletions(struct flush *flush, const struct zone_journal *zone)
{
	const struct journal_list *list = &zone->deletions;

	for (uint32_t i = 0; i < list->count; i++) {
		struct journal_entry entry = list->entries[i];

		if (i < zone->covered)
			entry.save = flush->index->journal->save_stamp;
		/* Of the chapter that is still open: records of it go, too. */
		if (entry.chapter >= flush->index->newest)
			entry.kind = JOURNAL_DELETE;
		put(flush, &entry);
	}
}

static void put_zone(struct flush *flush, const struct index_zone *zone)
{
	const struct journal_list *changes = &zone->journal->changes;

	if (flush->full) {
		put_deletions(flush, zone->journal);
		put_records(flush, zone->open, 0);
		return;
	}
	/* Before the new records: one of the same name was stored after these. */
	for (uint32_t i = 0; i < changes->count; i++)
		put(flush, &changes->entries[i]);
	put_records(flush, zone->open, zone->journal->flushed);
}

static int reserve_blocks(struct flush *flush)
{
	struct uds_index *index = flush->index;
	struct index_journal *journal = index->journal;
	uint8_t *blocks;

	if (flush->count <= journal->room)
		return 0;
	blocks = io_allocate_buffer(index->io, &index->env, flush->count * BLOCK_BYTES);
	if (blocks == NULL)
		return failure(&flush->message, -ENOMEM, "flush: %s", uds_strerror(-ENOMEM));
	env_release(&index->env, journal->blocks);
	journal->blocks = blocks;
	journal->room = flush->count;
	return 0;
}

/* Takes what is to be written out of the zones, which go on then. */
static int encode(struct flush *flush)
{
	struct uds_index *index = flush->index;
	struct index_journal *journal = index->journal;
	int r;

	r = reserve_blocks(flush);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < index->zone_count; i++) {
		struct zone_journal *zone = &journal->zones[i];

		put_zone(flush, &index->zones[i]);
		/*
		 * Not needed again if the write fails: the next flush is a full one then
		 * (start_over()).
		 */
		zone->changes.count = 0;
		zone->changes.lost = false;
		zone->flushed = index->zones[i].open->size;
	}
	flush->head.number = journal->next;
	flush->head.tail = flush->full ? journal->next : journal->tail;
	flush->head.end = journal->next + flush->count;
	flush->head.durable = journal->durable;
	flush->head.chapter = index->newest;
	/*
	 * Numbers are used up even if the write fails: what of it reached the device
	 * must never count.
	 */
	journal->next += flush->count;
	journal->full = false;
	journal->must_tell = false;
	return 0;
}

static int prepare(struct flush *flush)
{
	struct uds_index *index = flush->index;
	uint32_t over = 0;
	int r;

	r = index_lock_settled(index);
	if (r < 0) {
		failures_get(index->failures, &flush->message);
		return r;
	}
	left_out_begin(index);
	r = left_out_settle(index, &over);
	/*
	 * The flush is theirs, too: they say that the chapter before is the one that
	 * the journal continues.
	 */
	volume_write_checksums(index->volume);
	choose(flush);
	/* For those a chapter has to be closed, which a save does. */
	flush->save |= over > 0;
	if (r == 0 && flush->count > 0 && !flush->save)
		r = encode(flush);
	index_unlock_all(index);
	return r;
}

/* ---- writing ---- */

static int write_blocks(struct flush *flush)
{
	struct uds_index *index = flush->index;
	struct index_journal *journal = index->journal;
	struct journal_head head = flush->head;
	uint64_t left = flush->entries;
	int r;

	for (uint64_t i = 0; i < flush->count; i++, head.number++) {
		head.count = left < JOURNAL_BLOCK_ENTRIES ? (uint32_t)left : JOURNAL_BLOCK_ENTRIES;
		left -= head.count;
		journal_end_block(&journal->area, &head, journal->blocks + i * BLOCK_BYTES);
	}
	r = journal_write(index->io, &journal->area, flush->head.number, journal->blocks,
			  flush->count, &flush->message);
	if (r == 0)
		r = io_flush(index->io, &flush->message);
	return r < 0 ? failure_in(&flush->message, r, "journal") : 0;
}

/* What of the flush reached the device is not known, so the next one does not build on it. */
static void start_over(struct uds_index *index)
{
	index_lock_all(index);
	index->journal->full = true;
	index->journal->must_tell = true;
	index_unlock_all(index);
}

static int save_instead(struct flush *flush)
{
	struct uds_index *index = flush->index;
	int r = index_save(index, index->threads, NULL, NULL);

	if (r < 0)
		failures_get(index->failures, &flush->message);
	return r;
}

/* One thread at a time. */
static int lead(void *context, struct uds_message *message)
{
	struct uds_index *index = context;
	struct index_journal *journal = index->journal;
	struct flush flush = { .index = index };
	int r;

	r = prepare(&flush);
	if (r == 0 && flush.save) {
		r = save_instead(&flush);
	} else if (r == 0 && flush.count > 0) {
		/* Without a header that knows the saves the journal would be void. */
		r = journal_write_header(index, &flush.message);
		if (r == 0)
			r = write_blocks(&flush);
		if (r < 0) {
			volume_note_failed_flush(index->volume);
			start_over(index);
		}
	}
	if (r == 0 && flush.count > 0 && !flush.save) {
		/*
		 * Only now: as long as this one is not durable, the chain before it
		 * must stay whole.
		 */
		journal->tail = flush.head.tail;
		journal->durable = flush.head.end;
	}
	*message = flush.message;
	return r;
}

static int flush_journal(struct uds_index *index)
{
	struct uds_message message;
	int r = flush_group_run(&index->journal->group, lead, index, &message);

	return r < 0 ? index_failure(index, r, &message) : 0;
}

int journal_settle(struct uds_index *index, struct uds_message *message)
{
	struct index_journal *journal = index->journal;
	int r;

	/* No flush since, and the chain counts. */
	if (journal == NULL || journal->tail >= journal->next ||
	    index->layout.extras.again_end < journal->next)
		return 0;
	r = flush_journal(index);
	if (r < 0)
		failures_get(index->failures, message);
	return r;
}

int index_flush(struct uds_index *index)
{
	/*
	 * There is a journal, and its header could not be read, or is damaged: a save
	 * keeps the promise.
	 */
	if (index->journal == NULL && !index->read_only && !index->layout.extras.present &&
	    index->layout.extras.why.text[0] != '\0')
		return index_save(index, index->threads, NULL, NULL);
	return index->journal == NULL ? index_write_chapter(index) : flush_journal(index);
}

UDS_PUBLIC int uds_index_flush(struct uds_index *index)
{
	failures_begin(index->failures);
	return index_end(index, index_flush(index), "flushing");
}
