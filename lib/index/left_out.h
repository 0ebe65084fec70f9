/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Records that the index of their chapter had no room for (uds-format, 8.2). The format leaves them
 * on a record page that no lookup reaches. An index with a journal puts them into the open chapter
 * again, from the chapter on that was open at its first flush: a record that was flushed, or was
 * durable and then promoted, must not get lost by that. Chapters before have the bytes of the
 * reference implementation, and its losses.
 *
 * The chapter that was closed last keeps its records in memory until the next one is closed. By
 * then, before each flush and before each save, its left-out records go into the open chapter. So a
 * flush, or a save, has those of all chapters before it. After a power cut, and without a flush
 * since, those of the two newest chapters may be nowhere but on their record pages: there the
 * recovery finds them.
 *
 * They take at most half of a new chapter: names that were made for one list would not let anything
 * else in. What is beyond that is lost, as in the reference implementation.
 *
 * Where the chapter is sparse, they need new entries of the volume index, whose list may be full.
 * Then they have no room, either: a flush or a save closes the open chapter, whose own entries go
 * by that.
 */
#ifndef INDEX_LEFT_OUT_H
#define INDEX_LEFT_OUT_H

#include "index/index.h"

/* Left-out records of one chapter that are current. */
struct left_out {
	uint64_t vcn;
	struct uds_record *records; /* NULL: none */
	uint32_t count;
};

/*
 * Before each flush: from now on nothing is lost. All zone locks are held, and nothing
 * is being written.
 */
void left_out_begin(struct uds_index *index);

/*
 * Finds those of the chapter that was closed last. All zone locks are held, and the
 * chapter is written.
 *
 * Returns 0 or -ENOMEM.
 */
int left_out_find(const struct uds_index *index, struct left_out *ret_left_out);

/*
 * A name was deleted whose entry led to chapter @vcn: a record of it that was left out is no longer
 * current. The zone's lock is held.
 *
 * It is marked in the closed chapter, because an ordinary entry that is found later may be another
 * name's. The marks take no memory that could be missing.
 */
void left_out_note_deletion(const struct uds_index *index, struct index_zone *zone,
			    const struct uds_record_name *name, uint64_t vcn);

/* @left_out may have none. */
void left_out_free(const struct uds_index *index, struct left_out *left_out);

/*
 * Before the next chapter is opened: takes what memory left_out_put() needs there. All zone locks
 * are held until then. Returns 0 or -ENOMEM.
 */
int left_out_reserve(struct uds_index *index, const struct left_out *left_out);

/*
 * Puts records into the open chapter, but no more into a zone than up to @most numbers. All zone
 * locks are held.
 *
 * @ret_over: how many found no room there or in the volume index, or no memory. Returns 0, or
 * -ENOMEM when one found no memory.
 */
int left_out_put(struct uds_index *index, const struct left_out *left_out, uint32_t most,
		 uint32_t *ret_over);

/*
 * Does both for the chapter that was closed last, into an open chapter that has records already.
 * Returns 0, and how many found no room, or -ENOMEM.
 */
int left_out_settle(struct uds_index *index, uint32_t *ret_over);

/* Nothing is done any more for chapter @vcn, and @over records of it had no room: they are lost. */
void left_out_lose(struct uds_index *index, uint64_t vcn, uint32_t over);

/*
 * At the end of a recovery: the same for the chapters where it was not done. Reads only.
 *
 * Returns 0, -ENOMEM, or what the I/O said, unless @skip_unreadable.
 */
int left_out_recover(struct uds_index *index, bool skip_unreadable, struct uds_message *message);

#endif
