/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The volume index in memory: for every name of the index, the chapter that its record may be in
 * (uds-format, 13). Dense indexes have one sub-index, sparse ones two; only this module knows.
 *
 * An entry is a hint, unless the name is stored with it (a collision entry): another name may share
 * list and address. So an ordinary entry that was found has to be verified in its chapter.
 *
 * Zones: names are split over 1 to 16 zones, and so is all memory here. A zone may be used by one
 * thread at a time (the caller locks); different zones by different threads at once. Functions
 * without a zone or place say what they need.
 *
 * Memory: about 25 bits a record in total. The format's memory limit (6.3) is not enforced here:
 * early expiry (13.5) bounds memory, and a save is made to fit its region.
 *
 * A request goes in three steps, so that a batch can let their cache misses overlap: locate all
 * names, approach and prefetch all lists, then get (and put, set, remove) one by one.
 */
#ifndef VOLUME_INDEX_VOLUME_INDEX_H
#define VOLUME_INDEX_VOLUME_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/record.h>
#include <uds/status.h>

#include "base/crew.h"
#include "base/stream.h"
#include "geometry/geometry.h"

struct shared_entries;
struct volume_index;

/* Chapter numbers must stay below this. At a million chapters a second: 570 years. */
#define VOLUME_INDEX_CHAPTER_LIMIT (UINT64_C(1) << 54)

/* Where a name belongs. A function of name, geometry and zone count; never goes out of date. */
struct name_place {
	uint8_t sub; /* enum sub_index */
	uint8_t zone;
	uint32_t list;	  /* number within the zone */
	uint32_t address; /* the key in the list */
};

/*
 * What a get found. It stays good for put, set and remove until something else is put into or
 * removed from the same list: another put or remove, or a get, which can drop stale entries. So
 * put, set or remove right after the get, or get again.
 */
struct hint {
	uint64_t vcn; /* the chapter; only when found */
	bool found;
	bool collision; /* only when found: the entry has this very name */
	bool other; /* the entry is certainly that of another name, see volume_index_know_names() */

	/* Private. */
	struct name_place place;
	uint32_t position;
};

/*
 * An empty volume index with chapter 0 open.
 *
 * @parts: 1; or more, to be filled by several threads: each zone is in so many parts, and each part
 *     may be used by one thread at a time. The lists of a part are spread over those of its zone,
 *     so all parts fill evenly. Where a name is located, place->zone is the number of a part then:
 *     those of zone 0 first. Other functions that take a zone must not be called before
 *     volume_index_join(). @zones * @parts: at most 256, the numbers that place->zone has.
 * @volume_nonce: goes into saves, and must be in those that are loaded.
 *
 * Returns 0; -EINVAL when there are more zones than lists for them, with the numbers in
 * the message; -ENOMEM.
 */
int volume_index_make(const struct uds_env *env, const struct geometry *geometry,
		      unsigned int zones, unsigned int parts, uint64_t volume_nonce,
		      struct uds_message *message, struct volume_index **ret_index);

/* In how many parts a zone is, so that all members of a crew have as much to do, or nearly so. */
unsigned int volume_index_parts_for(unsigned int zones, unsigned int members);

/* How many parts there are in all; without any, the number of zones. */
unsigned int volume_index_parts(const struct volume_index *index);

/*
 * Makes zones of the parts again. What is in the lists stays as it is, and is the same for any
 * number of parts.
 *
 * Returns 0 or -ENOMEM; the index can only be freed then.
 */
int volume_index_join(struct volume_index *index);

/* @index may be NULL. */
void volume_index_free(struct volume_index *index);

/*
 * Step 1: where a name belongs; starts to fetch the head of its list. Any thread, no lock needed.
 */
void volume_index_locate(const struct volume_index *index, const struct uds_record_name *name,
			 struct name_place *ret_place);

/* What a list is fetched for. */
enum hint_purpose {
	HINT_PEEK = 0, /* a peek */
	HINT_LOOK,     /* a get that will mostly find nothing */
	HINT_CHANGE,   /* a get that a put, set or remove will follow */
};

/*
 * Between steps 1 and 2: starts to fetch what says where the list lies. The caller holds the zone's
 * lock.
 */
void volume_index_approach(const struct volume_index *index, const struct name_place *place);

/* Step 2: starts to fetch the list itself. The caller holds the zone's lock, as for a get. */
void volume_index_prefetch(const struct volume_index *index, const struct name_place *place,
			   enum hint_purpose purpose);

/*
 * Step 3: looks a name up and, as every lookup of the format does, drops what is stale in its list
 * (13.3). Cannot fail.
 */
void volume_index_get(struct volume_index *index, const struct name_place *place,
		      const struct uds_record_name *name, struct hint *ret_record);

/*
 * The answer that volume_index_get would give, without changing anything. The record is good for
 * put, set and remove only as long as nothing in the list is stale; so use get before those.
 */
void volume_index_peek(const struct volume_index *index, const struct name_place *place,
		       const struct uds_record_name *name, struct hint *ret_record);

/*
 * The lookup that decides whether a chapter is brought into the sparse cache (18, Triage): as the
 * reference implementation does it, with entries that are stale and not yet dropped, and hits above
 * the window absent. False for names that are no hooks.
 */
bool volume_index_triage(const struct volume_index *index, const struct name_place *place,
			 const struct uds_record_name *name, uint64_t *ret_vcn);

/*
 * Adds an entry for a name: an ordinary one if the record was not found, else a collision entry in
 * front of the others of that address. Afterwards @record is the new entry, found.
 *
 * @name: the one that was looked up. @vcn: within the zone's window (13.2).
 *
 * Returns 0, or, with nothing changed,
 *   UDS_ERR_OVERFLOW        the list would grow beyond 65535 bits in its coded form
 *   UDS_ERR_DUPLICATE_NAME  a collision entry of this name was found
 *   UDS_ERR_OUT_OF_RANGE    vcn is outside of the window
 *   -ENOMEM
 */
int volume_index_put(struct volume_index *index, struct hint *record,
		     const struct uds_record_name *name, uint64_t vcn);

/*
 * Takes the memory that entries for the names of all these records need at most. Until anything
 * else changes the lists of their zones, gets and puts of each of them, in any chapter, do not fail
 * for want of it. The caller has all zones to itself. Returns 0 or -ENOMEM.
 */
int volume_index_reserve(struct volume_index *index, const struct uds_record *records,
			 uint32_t count);

/* Changes the chapter of a found entry. Returns 0 or UDS_ERR_OUT_OF_RANGE. */
int volume_index_set(struct volume_index *index, struct hint *record, uint64_t vcn);

/*
 * Removes a found entry. If it is an ordinary one with collision entries behind it, the first of
 * these becomes the ordinary one and loses its name (5, Remove). Afterwards @record is invalid.
 */
void volume_index_remove(struct volume_index *index, struct hint *record);

/* The same for an entry that is to be made again: it does not count as a discard. */
void volume_index_undo(struct volume_index *index, struct hint *record);

/* How many entries of a chapter a zone, or part, has. Looks at all lists. */
uint64_t volume_index_count_chapter(const struct volume_index *index, unsigned int part,
				    uint64_t vcn);

/*
 * From now on names that entries lose are known: that of a collision entry which becomes the
 * ordinary one. A get says of an ordinary entry that is known to be another name's that it is
 * (hint.other). For opening an index: see known_names.h. Nothing, if they are known already. Lists
 * are filled by gets and puts only then, not by an enterer.
 *
 * Returns 0 or -ENOMEM.
 */
int volume_index_know_names(struct volume_index *index);

/*
 * A name was removed; or it has no entry for another reason, and what a get finds at its place is
 * another name's, if it is no collision entry. Until something is put for it. Names are known.
 */
void volume_index_note_removed(struct volume_index *index, const struct name_place *place,
			       const struct uds_record_name *name);

/*
 * Returns 0, or -ENOMEM when a name was lost for want of memory: whose an entry is may not be told
 * rightly then.
 */
int volume_index_names_status(const struct volume_index *index);

/* Nothing is known of names any more. */
void volume_index_forget_names(struct volume_index *index);

/* The number of the list of a place in the whole sub-index. */
uint32_t volume_index_list_number(const struct volume_index *index, const struct name_place *place);

/*
 * Opens a chapter in a zone: the window moves (13.2), and if the zone's lists have grown too long,
 * chapters are forgotten early (13.5).
 *
 * Returns 0, or UDS_ERR_OUT_OF_RANGE for a number not below VOLUME_INDEX_CHAPTER_LIMIT.
 */
int volume_index_set_open_chapter(struct volume_index *index, unsigned int zone, uint64_t vcn);

/*
 * Sets the window of a zone, or part, while it is filled: up to @high, and down to where it is when
 * chapter @low_of is open. Nothing is forgotten early. volume_index_set_open_chapter() ends that.
 */
void volume_index_set_part_window(struct volume_index *index, unsigned int part, uint64_t low_of,
				  uint64_t high);

/* The window of a zone in a sub-index: the chapters that entries can mean (13.2). */
void volume_index_window(const struct volume_index *index, enum sub_index sub, unsigned int zone,
			 uint64_t *ret_low, uint64_t *ret_high);

struct volume_index_statistics {
	uint64_t entries;	 /* stale ones included */
	uint64_t collisions;	 /* of these, with full names */
	uint64_t discards;	 /* entries removed so far, stale ones and others */
	uint64_t overflows;	 /* puts refused */
	uint64_t early_expiries; /* chapters forgotten early, summed over zones and sub-indexes */
	uint64_t coded_bits;	 /* what the lists take in the format */
	uint64_t memory_bytes;	 /* everything allocated */
};

/*
 * Adds a zone's numbers to @statistics. Single zones may have entries and collisions "below zero"
 * after a load with another zone count (6.4); the sums over all zones, modulo 2^64, are right. What
 * zones share is counted with zone 0.
 */
void volume_index_add_statistics(const struct volume_index *index, unsigned int zone,
				 struct volume_index_statistics *statistics);

/* What a volume index of this geometry takes when it is full, computed, in bytes. */
uint64_t volume_index_full_bytes(const struct geometry *geometry, unsigned int zones);

/*
 * A save of one zone (13.6), of one moment, while requests go on. It is made; frozen; started;
 * then, in turn, some lists are taken, and written; thawed; and freed. From freezing to thawing
 * each list is copied before a request changes it, if it was not taken yet.
 *
 * Memory: 24 bytes a list, some hundreds of kilobytes, or a megabyte for each member of the crew,
 * and a copy of each list that changed before its turn: never more than the stream has.
 */
struct zone_save;

/*
 * No lock is needed. @crew: encodes the lists, and has to last as long as the save; NULL: done by
 * the caller's thread. Returns 0 or -ENOMEM.
 */
int volume_index_save_make(struct volume_index *index, unsigned int zone, struct crew *crew,
			   struct uds_message *message, struct zone_save **ret_save);

/*
 * Notes what the zone is. Its lock is held, for as long as 16 bytes a list take to be copied;
 * longer, when something is left out (see below).
 *
 * @limit_bytes: the size of its region; UINT64_MAX for none.
 *
 * Returns 0; UDS_ERR_OVERFLOW when the region is too small for even empty lists; -ENOMEM. Not
 * frozen after an error.
 */
int volume_index_save_freeze(struct zone_save *save, uint64_t limit_bytes,
			     struct uds_message *message);

/* Writes what is in front of the lists. No lock is needed. Returns 0 or what the sink returned. */
int volume_index_save_start(struct zone_save *save, const struct byte_sink *sink,
			    struct uds_message *message);

/*
 * Copies the next few lists. The zone's lock is held. Each call is followed by
 * volume_index_save_write().
 *
 * Returns 1 when there are more, 0, or -ENOMEM when a request had no memory for a copy.
 */
int volume_index_save_take(struct zone_save *save, struct uds_message *message);

/*
 * Has what was copied encoded, and writes what is. No lock is needed. Returns 0 or what the sink
 * returned.
 */
int volume_index_save_write(struct zone_save *save, struct uds_message *message);

/* The zone's lock is held. Also for one that is not frozen. */
void volume_index_save_thaw(struct zone_save *save);

/* @save: not frozen any more; may be NULL. */
void volume_index_save_free(struct zone_save *save);

/* How many bytes the stream of a frozen zone has. */
uint64_t volume_index_save_bytes(struct zone_save *save);

/*
 * How many entries are left out. 0, unless the reference implementation could not load the stream
 * (6.4) or it does not fit the region: then as many of the zone's oldest chapters as needed are not
 * written. The lists in memory stay as they are.
 */
uint64_t volume_index_save_dropped(const struct zone_save *save);

/*
 * For a load by a recovery. All that is too old by now is left out, as the lookups to come would
 * do; and what chapters since the save have is put in.
 */
struct volume_index_cut {
	uint64_t low_of;   /* what is too old when this chapter is open */
	uint64_t high;	   /* the chapter that the save has open */
	bool without_high; /* leaves its entries out, too, which does not count as a discard */
	struct additions *additions; /* sorted; may be NULL. Only with @without_high */
	/*
	 * Gets the entries of @high whose address other entries have, too: these are not left out.
	 * NULL only without @without_high.
	 */
	struct shared_entries *shared;
};

/*
 * Makes a volume index from the streams of a save. The number of streams and the number of zones
 * may differ. Each source is read once, front to back, up to its guard entry and no further.
 *
 * @crew: takes the lists apart; with more than one member the index is in parts then, see
 * volume_index_make(). NULL: done here. @cut: may be NULL.
 *
 * Returns 0; UDS_ERR_CORRUPT with a message that names stream, list and field, expected and found;
 * UDS_ERR_MISMATCH when the first stream is that of another kind of index or has another sample
 * rate; -EINVAL as volume_index_make; -ENOMEM; what a source returned.
 */
int volume_index_load(const struct uds_env *env, const struct geometry *geometry,
		      unsigned int zones, uint64_t volume_nonce, struct crew *crew,
		      const struct volume_index_cut *cut, const struct byte_source *streams,
		      unsigned int stream_count, struct uds_message *message,
		      struct volume_index **ret_index);

struct list_entry {
	uint32_t address;
	uint32_t value;		       /* chapter, modulo 2^chapter_bits */
	uint64_t vcn;		       /* the chapter it means, if it is not stale */
	bool stale;		       /* a get in this list would drop it */
	const uint8_t *collision_name; /* 16 bytes; NULL for an ordinary entry */
};

/* Returns 0 to go on; anything else ends the walk and is what it returns. */
typedef int (*list_entry_fn)(void *context, const struct list_entry *entry);

/*
 * Removes the entries of a list for which @is_unwanted returns other than 0. It is asked at least
 * once for each entry, and must always answer the same. No other thread uses the index.
 */
void volume_index_remove_unwanted(struct volume_index *index, enum sub_index sub, uint32_t list,
				  list_entry_fn is_unwanted, void *context);

/* How many lists a sub-index has: 0 for the hook sub-index of a dense index. */
uint32_t volume_index_list_count(const struct volume_index *index, enum sub_index sub);

/*
 * Calls @each for the entries of a list in their order. @each must not call functions
 * that change it.
 *
 * @list: its number in the whole sub-index. The caller holds the lock of the zone that owns it.
 */
int volume_index_walk(const struct volume_index *index, enum sub_index sub, uint32_t list,
		      list_entry_fn each, void *context);

#endif
