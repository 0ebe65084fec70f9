/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is to be in the journal, as the zones change; and how saves and the journal know
 * of each other.
 */
#include "index/journal.h"

#include <errno.h>
#include <string.h>

#include "base/message.h"

#define FIRST_ROOM 64u

/* Deletions may take so much of the journal; then the next flush saves. */
#define DELETIONS_PART 4u

/* The most deletions that a zone carries. */
static uint32_t most_deletions(const struct uds_index *index)
{
	uint64_t all = index->journal->area.journal_blocks * JOURNAL_BLOCK_ENTRIES / DELETIONS_PART;

	/* Each zone has its share: it does not have the locks to look at the others'. */
	return (uint32_t)(all / index->zone_count);
}

int journal_make(struct uds_index *index)
{
	struct index_journal *journal;

	if (index->read_only || !index->layout.extras.present ||
	    index->layout.extras.journal_blocks == 0)
		return 0;
	journal = env_allocate_zeroed(&index->env, 1, sizeof(*journal));
	if (journal == NULL)
		return -ENOMEM;
	pthread_mutex_init(&journal->area_lock, NULL);
	flush_group_make(&journal->group);
	for (unsigned int i = 0; i < index->zone_count; i++)
		journal->zones[i].journal = journal;
	journal->area = index->layout.extras;
	journal->full = true;
	index->journal = journal;
	return 0;
}

void journal_free(struct uds_index *index)
{
	struct index_journal *journal = index->journal;

	if (journal == NULL)
		return;
	for (unsigned int i = 0; i < index->zone_count; i++) {
		env_release(&index->env, journal->zones[i].changes.entries);
		env_release(&index->env, journal->zones[i].deletions.entries);
	}
	env_release(&index->env, journal->blocks);
	flush_group_free(&journal->group);
	pthread_mutex_destroy(&journal->area_lock);
	env_release(&index->env, journal);
	index->journal = NULL;
}

void journal_attach(struct uds_index *index)
{
	for (unsigned int i = 0; index->journal != NULL && i < index->zone_count; i++)
		index->zones[i].journal = &index->journal->zones[i];
}

uint64_t journal_memory_bytes(const struct uds_index *index)
{
	const struct index_journal *journal = index->journal;
	uint64_t bytes;

	if (journal == NULL)
		return 0;
	bytes = sizeof(*journal) + journal->room * BLOCK_BYTES;
	for (unsigned int i = 0; i < index->zone_count; i++)
		bytes += sizeof(struct journal_entry) * ((uint64_t)journal->zones[i].changes.room +
							 journal->zones[i].deletions.room);
	return bytes;
}

/* ---- the lists ---- */

static void empty_list(const struct uds_index *index, struct journal_list *list)
{
	env_release(&index->env, list->entries);
	list->entries = NULL;
	list->count = 0;
	list->room = 0;
}

static bool grow_list(const struct uds_index *index, struct journal_list *list, uint32_t most)
{
	uint32_t room = list->room > 0 ? 2 * list->room : FIRST_ROOM;
	struct journal_entry *entries;

	if (list->count >= most)
		return false;
	entries = env_allocate(&index->env, room, sizeof(entries[0]));
	if (entries == NULL)
		return false;
	if (list->count > 0)
		memcpy(entries, list->entries, list->count * sizeof(entries[0]));
	env_release(&index->env, list->entries);
	list->entries = entries;
	list->room = room;
	return true;
}

/* The request is carried out in any case: what the list lacks costs the next flush more. */
static void add(const struct uds_index *index, struct journal_list *list, uint32_t most,
		const struct journal_entry *entry)
{
	if (list->lost)
		return;
	if (list->count == most || (list->count == list->room && !grow_list(index, list, most))) {
		/* The next flush does without a list that has a gap: no need to keep the rest. */
		list->lost = true;
		empty_list(index, list);
		return;
	}
	list->entries[list->count++] = *entry;
}

/* More changes than the open chapter has records cost more than a full flush. */
static void add_change(const struct uds_index *index, struct index_zone *zone,
		       const struct journal_entry *entry)
{
	if (!zone->journal->journal->full)
		add(index, &zone->journal->changes, zone->open->capacity, entry);
}

void journal_add_overwritten(const struct uds_index *index, struct index_zone *zone,
			     const struct uds_record_name *name)
{
	struct journal_entry entry = { .kind = JOURNAL_STORE, .name = *name };
	uint32_t number = open_zone_number(zone->open, name);

	/* A record that was not flushed yet is new, whatever was done to it. */
	if (number == 0 || number > zone->journal->flushed)
		return;
	entry.data = zone->open->records[number - 1].data;
	add_change(index, zone, &entry);
}

void journal_add_deletion(const struct uds_index *index, struct zone_journal *zone,
			  const struct uds_record_name *name, uint64_t chapter)
{
	struct journal_entry entry = { .kind = JOURNAL_CARRIED, .name = *name, .chapter = chapter };

	add(index, &zone->deletions, most_deletions(index), &entry);
}

void journal_add_deleted(const struct uds_index *index, struct index_zone *zone,
			 const struct uds_record_name *name)
{
	struct journal_entry entry = { .kind = JOURNAL_DELETE, .name = *name };

	journal_add_deletion(index, zone->journal, name, index->newest);
	add_change(index, zone, &entry);
}

void journal_begin_chapter(struct uds_index *index)
{
	struct index_journal *journal = index->journal;

	if (journal == NULL)
		return;
	/* Records are numbered from 1 again: what was flushed is of the old numbers. */
	journal->full = true;
	for (unsigned int i = 0; i < index->zone_count; i++) {
		journal->zones[i].flushed = 0;
		journal->zones[i].changes.count = 0;
		journal->zones[i].changes.lost = false;
	}
}

uint64_t journal_count_new(const struct index_zone *zone)
{
	uint64_t count = zone->journal->changes.count;

	for (uint32_t n = zone->journal->flushed + 1; n <= zone->open->size; n++)
		count += !open_zone_is_removed(zone->open, n);
	return count;
}

/* ---- saves ---- */

static void log_failure(const struct uds_index *index, const struct uds_message *message)
{
	env_log(&index->env, UDS_LOG_WARNING, "%s: the save is good, but not its copy: %.400s",
		uds_io_name(index->io), message->text);
}

static int write_header(struct uds_index *index, const struct extras_area *next,
			struct uds_message *message)
{
	struct extras_area *area = &index->layout.extras;
	struct extras_area header = *next;
	uint8_t *block = io_allocate_buffer(index->io, &index->env, BLOCK_BYTES);
	int r = -ENOMEM;

	if (block != NULL) {
		r = extras_write_header(index->io, area, &header, block, message);
	} else {
		failure(message, r, "extras: %s", uds_strerror(r));
	}
	env_release(&index->env, block);
	/* What is in memory still has to get there. */
	if (r < 0) {
		area->due = true;
		volume_note_failed_flush(index->volume);
	}
	return r;
}

int journal_write_header(struct uds_index *index, struct uds_message *message)
{
	struct index_journal *journal = index->journal;
	int r = 0;

	pthread_mutex_lock(&journal->area_lock);
	if (index->layout.extras.due)
		r = write_header(index, &index->layout.extras, message);
	pthread_mutex_unlock(&journal->area_lock);
	return r;
}

/* The checksum that the header of a save will have, or an error. */
static int expect_header(const struct uds_index *index, const struct save *save,
			 uint32_t *ret_checksum, struct uds_message *message)
{
	uint8_t *block = env_allocate(&index->env, BLOCK_BYTES, 1);

	if (block == NULL)
		return failure(message, -ENOMEM, "extras: %s", uds_strerror(-ENOMEM));
	*ret_checksum = save_header_checksum(&index->layout.super, save, block);
	env_release(&index->env, block);
	return 0;
}

static void lock_area(struct uds_index *index)
{
	if (index->journal != NULL)
		pthread_mutex_lock(&index->journal->area_lock);
}

static void unlock_area(struct uds_index *index)
{
	if (index->journal != NULL)
		pthread_mutex_unlock(&index->journal->area_lock);
}

void journal_begin_flushes(struct uds_index *index)
{
	lock_area(index);
	index->layout.extras.flushed_from = index->newest + 1;
	unlock_area(index);
	/*
	 * Not now: nothing is lost before the next chapter closes, and a block of the journal
	 * tells it, too.
	 */
	index->journal->must_tell = true;
}

int journal_tell(struct uds_index *index, struct uds_message *message)
{
	int r;

	if (index->journal == NULL || !index->journal->must_tell)
		return 0;
	lock_area(index);
	index->layout.extras.due = true;
	unlock_area(index);
	r = journal_write_header(index, message);
	if (r == 0)
		index->journal->must_tell = false;
	return r;
}

/* The save that begins has all deletions up to now, also those that the list lacks. */
static void begin_cover(struct zone_journal *zone)
{
	zone->covered = zone->deletions.count;
	zone->covers_lost = zone->deletions.lost;
	zone->deletions.lost = false;
}

static void end_cover(const struct uds_index *index, struct zone_journal *zone, bool committed)
{
	struct journal_list *list = &zone->deletions;

	if (!committed && zone->covers_lost) {
		/* What the list lacked when the save began is in no save then. */
		list->lost = true;
		empty_list(index, list);
	}
	/* What came since may have been too much for the list: it is empty then. */
	if (committed && !list->lost) {
		list->count -= zone->covered;
		if (list->count > 0)
			memmove(list->entries, list->entries + zone->covered,
				list->count * sizeof(list->entries[0]));
	}
	zone->covered = 0;
	zone->covers_lost = false;
}

void journal_begin_save(struct uds_index *index, uint64_t stamp)
{
	struct index_journal *journal = index->journal;

	if (journal == NULL)
		return;
	journal->save_next = journal->next;
	journal->save_stamp = stamp;
	/*
	 * What is written from here on has to tell what the save lacks, without the blocks
	 * that it covers.
	 */
	journal->full = true;
	for (unsigned int i = 0; i < index->zone_count; i++)
		begin_cover(&journal->zones[i]);
}

static uint64_t covered_by_save(const struct uds_index *index)
{
	return index->journal != NULL ? index->journal->save_next
				      : index->layout.extras.journal_from;
}

void journal_announce_save(struct uds_index *index, const struct save *save)
{
	struct extras_area *area = &index->layout.extras;
	struct uds_message message = { "" };
	struct extras_area next;
	uint32_t checksum = 0;

	lock_area(index);
	if (!area->present) {
		unlock_area(index);
		return;
	}
	if (expect_header(index, save, &checksum, &message) == 0) {
		next = *area;
		next.intent.slot = save->slot;
		next.intent.checksum = checksum;
		next.intent.journal = covered_by_save(index);
		if (write_header(index, &next, &message) < 0) {
			/* As it was meant: what is written next time is right. */
			next.due = true;
			*area = next;
		}
	} else {
		area->due = true;
	}
	unlock_area(index);
	if (message.text[0] != '\0')
		env_log(&index->env, UDS_LOG_WARNING, "%s: a save is not announced: %.400s",
			uds_io_name(index->io), message.text);
}

void journal_know_save(struct uds_index *index, const struct save *save)
{
	struct extras_area *area = &index->layout.extras;
	struct uds_message message = { "" };

	lock_area(index);
	if (!area->present) {
		unlock_area(index);
		return;
	}
	/* Announced or not. */
	area->save_checksums[save->slot] = index->layout.saves.slots[save->slot].checksum;
	area->save_journal[save->slot] = covered_by_save(index);
	area->intent.slot = EXTRAS_NO_SLOT;
	/* Chapters that were closed since may not be durable. */
	if (layout_update_extras(&index->layout, index->io, save->newest, &message) < 0) {
		area->due = true;
		log_failure(index, &message);
	}
	unlock_area(index);
}

void journal_end_save(struct uds_index *index, int status)
{
	struct index_journal *journal = index->journal;

	if (journal == NULL)
		return;
	for (unsigned int i = 0; i < index->zone_count; i++)
		end_cover(index, &journal->zones[i], status == 0);
	if (status == 0)
		journal->covered = journal->save_next;
}
