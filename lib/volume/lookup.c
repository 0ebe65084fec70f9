/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The steps of a lookup.
 *
 * Of the index page only the name's list is read, once the page's head is cached. Of the record
 * page, a piece of the bottom row of its search tree is read: names are uniformly distributed, so
 * it is known about where in the row a name is or would be. If it is not in the row itself, exactly
 * one inner node lies between its two neighbours there. Where reads are slow, both pages are read
 * whole instead, and cached, as long as there is room for them, or many names lead to them.
 */
#include "volume/lookup.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/message.h"
#include "chapter/record_page.h"
#include "geometry/name_bits.h"
#include "volume/page_keeping.h"
#include "volume/volume_private.h"

/* Pages up to this size are read whole: that takes no longer than two parts. */
#define SMALL_PAGE_BYTES 8192u

/* What a step comes to, if it is no error. */
enum outcome {
	ABSENT = 0,
	FOUND = 1,
	WANTS = 2, /* the request is to be read */
	GO_ON = 3, /* with lookup->step */
};

static int want(struct volume *volume, struct volume_lookup *lookup, enum lookup_step step,
		uint32_t from, uint32_t to)
{
	int r;

	r = page_reader_want(&volume->reader, &lookup->request, from, to);
	if (r < 0)
		return failure(lookup->message, r, "%s", uds_strerror(r));
	lookup->step = step;
	return WANTS;
}

static bool reads_whole_pages(struct volume *volume, const struct volume_lookup *lookup)
{
	return lookup->request.keep || page_reader_is_slow(&volume->reader);
}

static int want_whole(struct volume *volume, struct volume_lookup *lookup, enum lookup_step step)
{
	return want(volume, lookup, step, 0, volume->geometry.page_bytes);
}

/* Takes in what was wanted. Returns as page_reader_accept(). */
static int take(struct volume *volume, struct volume_lookup *lookup,
		struct index_page_head *ret_head)
{
	return page_reader_accept(&volume->reader, &lookup->request, ret_head, lookup->message);
}

/* From what the chapter index came to, on to the record page. */
static int leave_index(struct volume *volume, struct volume_lookup *lookup, int r)
{
	/* The page had passed its checks, so this is damage inside one list. */
	if (r < 0)
		return failure(lookup->message, r, "list %" PRIu32 " does not decode",
			       lookup->list);
	if (r == 0)
		return ABSENT;
	/* The same slot and chapter, another page: the claim goes on with the lookup. */
	lookup->request.claim.page = volume->geometry.index_pages_per_chapter + lookup->record_page;
	lookup->step = LOOKUP_RECORDS;
	return GO_ON;
}

/*
 * Finds the name's list in the table of its page. Returns 1, 0 when it is empty: the chapter does
 * not have the name; or an error.
 */
static int find_list(struct volume *volume, struct volume_lookup *lookup,
		     const struct index_page_head *head, const uint8_t *table)
{
	int r;

	r = index_page_find_list(&volume->reader.code, head, table, lookup->list,
				 &lookup->list_start, &lookup->list_bits);
	if (r < 0)
		return failure(lookup->message, UDS_ERR_CORRUPT,
			       "offset table: the entries of list %" PRIu32 " are not in order",
			       lookup->list);
	/*
	 * An empty list is no damage: no name of it was stored, or packing took its entries off
	 * (20.1, S12).
	 */
	return lookup->list_bits > 0;
}

static int want_list(struct volume *volume, struct volume_lookup *lookup)
{
	/*
	 * Lists begin and end anywhere in a byte: the bytes that hold the first and the last bit.
	 */
	return want(volume, lookup, LOOKUP_LIST, lookup->list_start / 8,
		    (lookup->list_start + lookup->list_bits + 7) / 8);
}

/*
 * The head of the page is cached: the whole page may be, too; otherwise its list is read,
 * or all of it.
 */
static int search_below_head(struct volume *volume, struct volume_lookup *lookup,
			     const struct cached_head *cached)
{
	int r;

	r = page_check_head(&volume->geometry, &lookup->request.claim, &cached->head,
			    lookup->message);
	if (r <= 0)
		return r;
	/*
	 * The head says that the slot holds the chapter; the rest is known from the sparse cache.
	 */
	if (lookup->knows_record_page)
		return leave_index(volume, lookup, 1);
	r = find_list(volume, lookup, &cached->head, cached->bytes);
	if (r <= 0)
		return r;
	/* After find_list(), so that an empty list never takes the page cache's lock. */
	if (!page_reader_find(&volume->reader, &lookup->request) &&
	    page_reader_prefers_page(&volume->reader, &lookup->request))
		return want_whole(volume, lookup, LOOKUP_INDEX_PAGE);
	return want_list(volume, lookup);
}

static int begin(struct volume *volume, struct volume_lookup *lookup)
{
	struct page_claim *claim = &lookup->request.claim;
	struct index_page_head head = { 0 };
	const struct cached_head *cached;

	lookup->list = chapter_list(&volume->geometry, &lookup->name);
	/*
	 * Without a lock: a writer changes the map only while it keeps everybody out of the slot.
	 */
	claim->bounds = page_map_find(volume->map, claim->slot, lookup->list);
	claim->page = claim->bounds.page;
	cached = slot_head(volume->reader.slots, claim->slot, claim->page);
	if (cached != NULL)
		return search_below_head(volume, lookup, cached);
	/*
	 * Record pages have no header: where the record page is known, the head of an index page
	 * still has to tell whether the slot has the chapter.
	 */
	if (!lookup->knows_record_page && !page_reader_find(&volume->reader, &lookup->request) &&
	    reads_whole_pages(volume, lookup))
		return want_whole(volume, lookup, LOOKUP_INDEX_PAGE);
	/* What the page map says of the page's lists tells how long its table is. */
	head.list_count = claim->bounds.list_count;
	return want(volume, lookup, LOOKUP_HEAD, 0, index_page_table_bytes(&head));
}

static int search_head(struct volume *volume, struct volume_lookup *lookup)
{
	struct index_page_head head;
	int r;

	/*
	 * 0: the slot's chapter is newer than the one asked for. The volume has moved on, no error.
	 */
	r = take(volume, lookup, &head);
	if (r <= 0)
		return r;
	if (lookup->knows_record_page)
		return leave_index(volume, lookup, 1);
	r = find_list(volume, lookup, &head, lookup->request.bytes);
	return r <= 0 ? r : want_list(volume, lookup);
}

static int search_list(struct volume *volume, struct volume_lookup *lookup)
{
	int r;

	r = take(volume, lookup, NULL);
	if (r < 0)
		return r;
	r = index_page_search_list(&volume->reader.code, lookup->request.bytes,
				   lookup->list_start % 8, lookup->list_bits,
				   chapter_address(&volume->geometry, &lookup->name), &lookup->name,
				   &lookup->record_page);
	return leave_index(volume, lookup, r);
}

static int search_index_page(struct volume *volume, struct volume_lookup *lookup)
{
	struct index_page_head head;
	int r;

	r = take(volume, lookup, &head);
	if (r <= 0)
		return r;
	r = index_page_search(&volume->geometry, &volume->reader.code, &head, lookup->request.bytes,
			      &lookup->name, &lookup->record_page);
	return leave_index(volume, lookup, r);
}

static int search_page(struct volume *volume, struct volume_lookup *lookup, const uint8_t *page)
{
	return record_page_search(page, volume->geometry.records_per_page, &lookup->name,
				  &lookup->data)
		       ? FOUND
		       : ABSENT;
}

/*
 * A page of 2^h records is a perfect tree of h levels, and below its leftmost leaf one more node,
 * the last of the page. Its bottom row, of level h - 1, begins behind the nodes above it.
 */
static unsigned int tree_levels(const struct volume *volume)
{
	return bits_per(volume->geometry.records_per_page) - 1;
}

/* Nodes in the bottom row; the first one is node row - 1. */
static uint32_t row_nodes(const struct volume *volume)
{
	return volume->geometry.records_per_page / 2;
}

static int want_row(struct volume *volume, struct volume_lookup *lookup)
{
	const uint32_t row = row_nodes(volume), reach = volume->reach;
	/*
	 * Names are sorted by their bytes, and uniformly distributed: the upper h - 1 bits say
	 * where among the 2^(h-1) nodes of the row the name is or would be.
	 */
	uint32_t guess =
		(uint32_t)(get_be64(lookup->name.bytes) >> 32 >> (33 - tree_levels(volume)));

	lookup->row_first = guess > reach ? guess - reach : 0;
	lookup->row_end = guess + reach < row ? guess + reach : row;
	return want(volume, lookup, LOOKUP_ROW, (row - 1 + lookup->row_first) * UDS_RECORD_BYTES,
		    (row - 1 + lookup->row_end) * UDS_RECORD_BYTES);
}

/*
 * Where reads are slow, a whole page that stays in memory saves the reads of other names. When all
 * that there is room for is taken, it does so only if those names come soon.
 */
static bool wants_whole_record_page(struct volume *volume, const struct volume_lookup *lookup)
{
	if (!page_reader_is_slow(&volume->reader))
		return page_reader_prefers_records(&volume->reader, &lookup->request,
						   &lookup->name);
	return crowd_note(&volume->crowd, lookup->request.claim.slot) || lookup->request.keep ||
	       page_cache_has_room(volume->reader.cache);
}

static int search_records(struct volume *volume, struct volume_lookup *lookup)
{
	const uint32_t page_bytes = volume->geometry.page_bytes;
	const bool whole = wants_whole_record_page(volume, lookup);
	const bool found = page_reader_find(&volume->reader, &lookup->request);

	/*
	 * Other page sizes have no perfect tree, so where a name is in the bottom row is not known
	 * in advance (9).
	 */
	if (page_bytes <= SMALL_PAGE_BYTES || !is_power_of_two(page_bytes) || (whole && !found))
		return want_whole(volume, lookup, LOOKUP_RECORD_PAGE);
	return want_row(volume, lookup);
}

static int compare_name(const struct volume_lookup *lookup, const uint8_t *record)
{
	return memcmp(lookup->name.bytes, record, UDS_NAME_BYTES);
}

/* Takes the data of a record whose name is the right one. */
static int take_data(struct volume_lookup *lookup, const uint8_t *record)
{
	memcpy(lookup->data.bytes, record + UDS_NAME_BYTES, UDS_DATA_BYTES);
	return FOUND;
}

/*
 * The node that lies between two neighbours of the bottom row, or in front of it. @gap: how many
 * nodes of the row are in front of the place: 0 to 2^(h-1) - 1.
 */
static uint32_t node_in_gap(unsigned int h, uint32_t gap)
{
	unsigned int up;

	if (gap == 0)
		return (UINT32_C(1) << h) - 1;
	up = 1 + (unsigned int)__builtin_ctz(gap); /* levels above the row */
	return (UINT32_C(1) << (h - 1 - up)) - 1 + (gap >> up);
}

static int search_row(struct volume *volume, struct volume_lookup *lookup)
{
	const uint32_t first = lookup->row_first, end = lookup->row_end, row = row_nodes(volume);
	uint32_t low = first, high = end, node;
	int r;

	r = take(volume, lookup, NULL);
	if (r < 0)
		return r;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const uint8_t *record =
			lookup->request.bytes + (size_t)(middle - first) * UDS_RECORD_BYTES;

		r = compare_name(lookup, record);
		if (r == 0)
			return take_data(lookup, record);
		if (r < 0)
			high = middle;
		else
			low = middle + 1;
	}
	/* The name is not about where it should be: one in a hundred is not. */
	if ((low == first && first > 0) || (low == end && end < row))
		return want_whole(volume, lookup, LOOKUP_RECORD_PAGE);
	/*
	 * Behind the last node of the row no inner node follows; all of them lie between two of the
	 * row.
	 */
	if (low == row)
		return ABSENT;
	node = node_in_gap(tree_levels(volume), low);
	return want(volume, lookup, LOOKUP_NODE, node * UDS_RECORD_BYTES,
		    (node + 1) * UDS_RECORD_BYTES);
}

/* The only place where the name can still be. */
static int search_node(struct volume *volume, struct volume_lookup *lookup)
{
	int r;

	r = take(volume, lookup, NULL);
	if (r < 0)
		return r;
	return compare_name(lookup, lookup->request.bytes) == 0
		       ? take_data(lookup, lookup->request.bytes)
		       : ABSENT;
}

static int search_record_page(struct volume *volume, struct volume_lookup *lookup)
{
	int r;

	r = take(volume, lookup, NULL);
	return r < 0 ? r : search_page(volume, lookup, lookup->request.bytes);
}

/* Inside the slot: as far as it goes without a read. */
static int advance(struct volume *volume, struct volume_lookup *lookup)
{
	static int (*const steps[])(struct volume *, struct volume_lookup *) = {
		[LOOKUP_INDEX] = begin,
		[LOOKUP_HEAD] = search_head,
		[LOOKUP_LIST] = search_list,
		[LOOKUP_INDEX_PAGE] = search_index_page,
		[LOOKUP_RECORDS] = search_records,
		[LOOKUP_ROW] = search_row,
		[LOOKUP_NODE] = search_node,
		[LOOKUP_RECORD_PAGE] = search_record_page,
	};
	int r;

	do {
		r = steps[lookup->step](volume, lookup);
	} while (r == GO_ON);
	return r;
}

void volume_lookup_start(struct volume_lookup *lookup, uint64_t vcn,
			 const struct uds_record_name *name, struct uds_message *ret_message)
{
	lookup->vcn = vcn;
	lookup->name = *name;
	lookup->request.buffer = NULL;
	lookup->request.cached = NULL;
	lookup->request.keep = false;
	lookup->step = LOOKUP_INDEX;
	lookup->knows_record_page = false;
	lookup->message = ret_message;
}

void volume_lookup_start_in_page(struct volume_lookup *lookup, uint64_t vcn, uint32_t record_page,
				 const struct uds_record_name *name,
				 struct uds_message *ret_message)
{
	volume_lookup_start(lookup, vcn, name, ret_message);
	lookup->knows_record_page = true;
	lookup->record_page = record_page;
}

void volume_lookup_keep_pages(struct volume_lookup *lookup)
{
	lookup->request.keep = true;
}

void volume_lookup_prefetch(const struct volume *volume, uint64_t vcn,
			    const struct uds_record_name *name)
{
	const struct geometry *geometry = &volume->geometry;
	const uint32_t slot = geometry_physical_chapter(geometry, vcn);
	/* About where it is: lists are of about the same size. */
	const uint64_t page = (uint64_t)chapter_list(geometry, name) *
			      geometry->index_pages_per_chapter / geometry->delta_lists_per_chapter;

	page_map_prefetch(volume->map, slot);
	slot_prefetch(volume->reader.slots, slot, (uint32_t)page);
	page_reader_prefetch(&volume->reader, slot, (uint32_t)page);
}

void volume_lookup_prefetch_head(const struct volume *volume, uint64_t vcn,
				 const struct uds_record_name *name)
{
	const struct geometry *geometry = &volume->geometry;
	const uint32_t slot = geometry_physical_chapter(geometry, vcn);
	const uint32_t list = chapter_list(geometry, name);
	const struct page_bounds bounds = page_map_find(volume->map, slot, list);

	slot_prefetch_head(volume->reader.slots, slot, bounds.page, list - bounds.first_list);
	page_reader_prefetch_places(&volume->reader, slot, bounds.page);
}

static int end(struct volume *volume, struct volume_lookup *lookup, int r)
{
	page_reader_release(&volume->reader, &lookup->request);
	if (r < 0)
		volume_read_failure(volume, &lookup->request.claim, r, lookup->message);
	lookup->found = r == FOUND;
	lookup->status = r < 0 ? r : 0;
	return lookup->status;
}

/* Which chapter in which slot, before the first step. */
static int make_claim(struct volume *volume, struct volume_lookup *lookup)
{
	struct page_claim *claim = &lookup->request.claim;

	/*
	 * Not compared with oldest: what the volume index still gives is looked up (11.4), and the
	 * head of the index page tells whether the slot has the chapter.
	 */
	claim->vcn = lookup->vcn;
	claim->slot = geometry_physical_chapter(&volume->geometry, lookup->vcn);
	claim->page = volume->geometry.index_pages_per_chapter + lookup->record_page;
	if (lookup->knows_record_page &&
	    lookup->record_page >= volume->geometry.record_pages_per_chapter)
		return failure(lookup->message, -EINVAL, "there is no such page");
	return 0;
}

int volume_lookup_step(struct volume *volume, struct volume_lookup *lookup)
{
	struct slot_table *slots = volume->reader.slots;
	const bool first = lookup->step == LOOKUP_INDEX;
	uint32_t slot;
	int r = 0;

	if (first)
		r = make_claim(volume, lookup);
	slot = lookup->request.claim.slot;
	/*
	 * Turned away by a writer: the chapter of the slot is being replaced, so the name is not
	 * found there.
	 */
	if (r < 0 || !slot_enter(slots, slot))
		return end(volume, lookup, r);
	/* What was read while the slot was written is of two chapters, and neither is asked for. */
	if (first || lookup->slot_writes == slot_writes(slots, slot))
		r = advance(volume, lookup);
	/*
	 * Noted inside the slot, and the slot left while the read is under way: a writer never
	 * waits for a device that a lookup waits for.
	 */
	lookup->slot_writes = slot_writes(slots, slot);
	slot_leave(slots, slot);
	return r == WANTS ? VOLUME_WANTS_PAGE : end(volume, lookup, r);
}

/*
 * Stays in the slot until the end: a thread that waits for its reads only does not keep a
 * writer for long.
 */
int volume_lookup_run(struct volume *volume, struct volume_lookup *lookup)
{
	struct slot_table *slots = volume->reader.slots;
	uint32_t slot;
	int r;

	r = make_claim(volume, lookup);
	slot = lookup->request.claim.slot;
	if (r < 0 || !slot_enter(slots, slot))
		return end(volume, lookup, r);
	while ((r = advance(volume, lookup)) == WANTS)
		page_reader_read(&volume->reader, &lookup->request);
	slot_leave(slots, slot);
	return end(volume, lookup, r);
}

void volume_read_pages(struct volume *volume, struct page_request *const *requests, size_t count)
{
	/* Where reads come out of memory, an engine costs more than it saves. */
	if (count > 1 && page_reader_is_slow(&volume->reader)) {
		page_reader_read_many(&volume->reader, requests, count);
		return;
	}
	for (size_t i = 0; i < count; i++)
		page_reader_read(&volume->reader, requests[i]);
}
