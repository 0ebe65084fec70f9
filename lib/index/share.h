/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One zone's share of a batch of requests, while it is carried out.
 *
 * A share lives on its caller's stack. The zone's lock is held whenever a function here is called, and
 * is let go only in share_resolve() and where a chapter is closed: after these, nothing that was read
 * before is still known, except for verdicts, which say themselves what they are about.
 */
#ifndef INDEX_SHARE_H
#define INDEX_SHARE_H

#include "index/index.h"

#define SHARE_MAX 256

/* How many chapters a share reads ahead for the sparse cache; more than it holds would be in vain. */
#define SHARE_MAX_COPIES 7

/*
 * How many requests ahead the lists are fetched: far enough for memory, near enough for the cache.
 */
#define SHARE_AHEAD 8

/*
 * What a request answers when it needs something from the volume that is not there yet: let
 * share_resolve() get it, then carry the request out again.
 */
#define NEEDS_VOLUME 1

/*
 * What the search of a chapter on the volume came to. It is used only while the index still says that
 * this is the chapter to look in: a chapter that the index can name is not overwritten meanwhile.
 */
struct verdict {
	uint64_t vcn; /* NO_CHAPTER: there is none */
	int status;
	bool found;
	struct uds_record_data data;
};

struct work {
	struct uds_request *request;
	struct name_place place;
	bool triaged; /* its chapter is in the sparse cache already, or need not be */

	/*
	 * About the chapter that the volume index names, the recent ones by their distance, and one in the
	 * sparse cache.
	 */
	struct verdict hint;
	struct verdict recent[RECENT_CHAPTERS];
	struct verdict cached;
};

struct share {
	struct uds_index *index;
	struct index_zone *zone;
	size_t count;
	struct work work[SHARE_MAX];

	/* Chapter indexes for the sparse cache, not put there yet; the first @copies_read are read. */
	unsigned int copy_count;
	unsigned int copies_read;
	struct chapter_copy *copies[SHARE_MAX_COPIES];
};

/* Puts a request into an empty or started share. */
static inline void share_add(struct share *share, struct uds_request *request,
			     const struct name_place *place)
{
	struct work *work = &share->work[share->count++];

	work->request = request;
	work->place = *place;
	work->triaged = false;
	work->hint.vcn = NO_CHAPTER;
	for (unsigned int i = 0; i < RECENT_CHAPTERS; i++)
		work->recent[i].vcn = NO_CHAPTER;
	work->cached.vcn = NO_CHAPTER;
}

/*
 * Whether a chapter's records of the zone are in memory: those of the open chapter, and of the one that
 * was closed last, however far its writing is.
 */
static inline bool share_has_in_memory(const struct share *share, uint64_t vcn)
{
	const struct uds_index *index = share->index;

	return vcn == index->newest || (share->zone->has_closing && vcn + 1 == index->newest);
}

/* Starts to fetch what request @i will touch. */
void share_prefetch(const struct share *share, size_t i);

/* Whether the request may be carried out at all: 0, -EINVAL for an unknown kind, or UDS_ERR_READ_ONLY. */
int check_request(const struct uds_index *index, const struct uds_request *request);

/* Carries out request @i. Returns 0, NEEDS_VOLUME, or the error that becomes the request's status. */
int share_carry_out(struct share *share, size_t i);

/* Where a record was found. */
struct lookup {
	struct hint record; /* what the volume index says; good for put, set and remove */
	bool found;
	bool only_cached; /* found, but through the sparse cache alone */
	enum uds_location location;
	struct uds_record_data data;
};

/*
 * Looks a name up (17.1). For a delete the data may be missing and the sparse cache is not asked.
 * Returns as share_carry_out().
 */
int share_look_up(struct share *share, size_t i, struct lookup *ret_lookup);

/*
 * Brings the chapter of a hook into the sparse cache, if that is in order (18, Triage); in an index
 * without one does nothing. Returns as share_carry_out().
 */
int share_triage(struct share *share, size_t i);

/*
 * Gets from the volume what the requests from @i on will need, all at once, without the lock. Errors
 * become verdicts.
 *
 * Returns 0, or -ENOMEM.
 */
int share_resolve(struct share *share, size_t i);

/*
 * The two halves of getting chapters for the sparse cache: what the requests from @i on need, under the
 * lock; and reading it, without. A chapter that cannot be read becomes a damaged one, where nothing is
 * found; that is logged when it enters the cache, and is not an error of any request.
 */
int share_want_chapters(struct share *share, size_t i);
void share_read_chapters(struct share *share);

/* Gives back what was read and not used. */
void share_finish(struct share *share);

#endif
