/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The journal of an open index: what of the open chapter, and which deletions, are to be written by
 * the next flush so that they survive a power cut (uds-extras(5)). An index without a journal has
 * none of this.
 *
 * Records of the open chapter need no list: those with numbers above what was flushed are
 * new. Lists are kept of the rest: of changes since the last flush that have no such number
 * (a record that was overwritten, a name that was deleted), and of the deletions that no save
 * has yet. For each name, the list in its order, and then the new records, is the order in
 * which things happened.
 *
 * A flush is full, with all deletions and all records of the open chapter, when the one before does
 * not tell what it continues: the first one, after a chapter was closed, after a save was begun,
 * and after a failure. Others have what is new. What the lists have no room or no memory for makes
 * the next flush a full one, or a save.
 *
 * Threads: a zone's part is guarded by its lock; what is said to be the leader's, by being the one
 * thread that flushes (flush.c); all else changes under all zone locks.
 */
#ifndef INDEX_JOURNAL_H
#define INDEX_JOURNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "extras/journal.h"
#include "index/flush_group.h"
#include "index/index.h"

struct journal_list {
	struct journal_entry *entries;
	uint32_t count, room;
	bool lost; /* entries are missing: there was no memory, or too many */
};

/* What a zone has for the next flush. */
struct zone_journal {
	const struct index_journal *journal;
	uint32_t flushed; /* the highest record number of the open chapter that is in the journal */
	struct journal_list changes;
	struct journal_list deletions; /* with the chapters that were open */
	uint32_t covered;	       /* of the deletions, by the save that is being made */
	bool covers_lost;	       /* and those that the list lacked when it began */
};

struct index_journal {
	struct extras_area area; /* where the journal is; the rest of it is that of the open */
	bool full;		 /* the next flush is to be a full one */
	bool must_tell;		 /* no block and no header say that there was a flush */
	uint64_t next;		 /* the first number that was never used */
	uint64_t covered;	 /* what the latest save does not cover begins here */
	uint64_t save_next;	 /* the same of the save that is being made */
	uint64_t save_stamp;	 /* and its time stamp */

	/* The leader's. */
	uint64_t tail;	  /* blocks from here on must not be overwritten yet */
	uint64_t durable; /* the end of the last flush that is certainly durable */
	uint8_t *blocks;
	uint64_t room; /* how many */

	pthread_mutex_t area_lock; /* for headers of the extras; may be taken under zone locks */

	struct flush_group group;

	struct zone_journal zones[MAXIMUM_ZONES];
};

/*
 * Makes the journal of an index that is not read-only and has room for one in its extras; else
 * index->journal stays NULL. The zones do not use it yet. Returns 0 or -ENOMEM.
 */
int journal_make(struct uds_index *index);

/* May be called for an index without one. */
void journal_free(struct uds_index *index);

/* From now on what the zones do is taken note of. */
void journal_attach(struct uds_index *index);

/* Memory that it takes. All zone locks are held. */
uint64_t journal_memory_bytes(const struct uds_index *index);

/*
 * A name was deleted in a zone while chapter @chapter was open, and no save has that. Its
 * lock is held.
 */
void journal_add_deletion(const struct uds_index *index, struct zone_journal *zone,
			  const struct uds_record_name *name, uint64_t chapter);

/* The out of line parts of the two that follow. */
void journal_add_overwritten(const struct uds_index *index, struct index_zone *zone,
			     const struct uds_record_name *name);
void journal_add_deleted(const struct uds_index *index, struct index_zone *zone,
			 const struct uds_record_name *name);

/* A record was put into a zone, which had @size numbers in use before. */
static inline void journal_note_put(const struct uds_index *index, struct index_zone *zone,
				    const struct uds_record_name *name, uint32_t size)
{
	if (zone->journal != NULL && zone->journal->flushed > 0 && zone->open->size == size)
		journal_add_overwritten(index, zone, name);
}

static inline void journal_note_deletion(const struct uds_index *index, struct index_zone *zone,
					 const struct uds_record_name *name)
{
	if (zone->journal != NULL)
		journal_add_deleted(index, zone, name);
}

/* The open chapter is another one now, or has begun again. All zone locks are held. */
void journal_begin_chapter(struct uds_index *index);

/* Whether anything of a zone is to be written by a flush that is not full. Its lock is held. */
uint64_t journal_count_new(const struct index_zone *zone);

/*
 * A save begins, with the zones as they are: all zone locks are held.
 *
 * @stamp: its time stamp.
 */
void journal_begin_save(struct uds_index *index, uint64_t stamp);

/*
 * Then, before the slot is touched, the extras are made to know it, durably: a save that they do
 * not know would be taken for another program's, which makes the journal void. When that fails it
 * is logged, and tried again before the next flush. No zone lock is held, but the chapter writer.
 *
 * @save: as it will be committed.
 */
void journal_announce_save(struct uds_index *index, const struct save *save);

/* It is committed: brings the copies in the extras up to date. The same locks. */
void journal_know_save(struct uds_index *index, const struct save *save);

/* A save that began ends; it is committed when @status is 0. All zone locks are held. */
void journal_end_save(struct uds_index *index, int status);

/*
 * Writes the header of the extras, if what they know was not written yet, or could not be. Returns
 * 0 or what the I/O said.
 */
int journal_write_header(struct uds_index *index, struct uds_message *message);

/*
 * Flushes an index whose journal was replayed as if a later chapter had been open. Once that
 * chapter is on the volume, too, it would not be known any more which of its deletions are older
 * than the records of the chapters before. Returns as uds_index_flush().
 */
int journal_settle(struct uds_index *index, struct uds_message *message);

/* uds_index_flush(), within a call on the index. Keeps the sentence. */
int index_flush(struct uds_index *index);

/* The first flush of the index: the header is to say so. All zone locks are held. */
void journal_begin_flushes(struct uds_index *index);

/*
 * Writes the header before a chapter closes, or the index, if it must say that there were flushes.
 */
int journal_tell(struct uds_index *index, struct uds_message *message);

/*
 * Brings the chain of @found, which counts, on top of the base. Returns as journal_recover().
 */
int journal_replay(struct uds_index *index, const struct journal_found *found, bool skip_unreadable,
		   struct uds_message *message);

/*
 * After the base of the index was loaded or recovered: brings what the journal has on top of it, or
 * finds that it is void. Nothing is written, unless chapters have to be closed on the way.
 *
 * @options: whether a recovery is allowed, and whether damage of the journal is no error.
 *
 * Returns 0; UDS_ERR_NEEDS_RECOVERY when there is something and @options do not allow a recovery;
 * UDS_ERR_WOULD_LOSE_RECORDS; -ENOMEM; what the I/O said.
 */
int journal_recover(struct uds_index *index, const struct uds_index_options *options,
		    struct uds_message *message);

/*
 * Whether an index that opens by its latest save has a journal with more than that. Reads only.
 *
 * @ret_records: an upper bound; 0: there is nothing, or it is void.
 *
 * Returns 0, -ENOMEM, or what the I/O said.
 */
int journal_look(struct uds_io *io, const struct layout *layout, const struct uds_env *env,
		 uint64_t *ret_records, struct uds_message *message);

#endif
