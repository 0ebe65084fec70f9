/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Looking up one name in one chapter.
 *
 * Of the index page only the name's list is read, once the page's head is kept in memory. Of the
 * record page, a piece of the bottom row of its search tree is read: names are evenly spread, so it
 * is known about where in the row a name is or would be. If it is not in the row itself, exactly
 * one inner node lies between its two neighbours there.
 */
#include "volume/volume_search.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "chapter/record_page.h"
#include "geometry/name_bits.h"

/* Pages up to this size are read whole: that takes no longer than two parts. */
#define SMALL_PAGE_BYTES 8192u

/* A result besides those of volume_search.h: the name is not about where it should be. */
#define ELSEWHERE 2

void lookup_start(struct lookup *lookup, const struct volume *volume, uint64_t vcn,
		  const struct uds_record_name *name, struct uds_message *ret_message)
{
	lookup->vcn = vcn;
	lookup->name = name;
	lookup->slot = geometry_physical_chapter(&volume->geometry, vcn);
	lookup->list = chapter_list(&volume->geometry, name);
	lookup->bounds = page_map_find(volume->map, lookup->slot, lookup->list);
	lookup->page = lookup->bounds.page;
	lookup->record_page = 0;
	lookup->message = ret_message;
}

static uint64_t page_number(const struct lookup *lookup, const struct volume *volume)
{
	return geometry_physical_page(&volume->geometry, lookup->slot, lookup->page);
}

static int read_part(struct lookup *lookup, struct volume *volume, struct scratch *scratch,
		     uint32_t from, uint32_t to, uint8_t **ret_bytes)
{
	return volume_read_part(volume, scratch, lookup->slot, lookup->page, from, to, ret_bytes,
				lookup->message);
}

/* The page may come later than the head that was kept of it, so it is compared again. */
int lookup_in_index_page(struct lookup *lookup, struct volume *volume, const uint8_t *page)
{
	struct index_page_head head;
	int r;

	r = index_page_open(&volume->code, page, &head, lookup->message);
	if (r < 0)
		return r;
	r = volume_check_head(volume, lookup->slot, lookup->vcn, &lookup->bounds, &head,
			      lookup->message);
	if (r <= 0)
		return r;
	slot_keep_head(volume->slots, lookup->slot, lookup->page, &head, page);
	r = index_page_search(&volume->geometry, &volume->code, &head, page, lookup->name,
			      &lookup->record_page);
	if (r < 0)
		return failure(lookup->message, r, "list %" PRIu32 " does not decode",
			       lookup->list);
	return r;
}

int lookup_find_list(struct lookup *lookup, const struct volume *volume,
		     const struct index_page_head *head, const uint8_t *table, uint32_t *ret_start,
		     uint32_t *ret_bits)
{
	int r;

	r = volume_check_head(volume, lookup->slot, lookup->vcn, &lookup->bounds, head,
			      lookup->message);
	if (r <= 0)
		return r;
	r = index_page_find_list(&volume->code, head, table, lookup->list, ret_start, ret_bits);
	if (r < 0)
		return failure(lookup->message, UDS_ERR_CORRUPT,
			       "offset table: the entries of list %" PRIu32 " are not in order",
			       lookup->list);
	return *ret_bits > 0 ? 1 : 0;
}

int lookup_in_list(struct lookup *lookup, const struct volume *volume, const uint8_t *memory,
		   uint32_t at, uint32_t bits)
{
	int r;

	r = index_page_search_list(&volume->code, memory, at, bits,
				   chapter_address(&volume->geometry, lookup->name), lookup->name,
				   &lookup->record_page);
	if (r < 0)
		return failure(lookup->message, r, "list %" PRIu32 " does not decode",
			       lookup->list);
	return r;
}

/*
 * The head of the name's index page, kept or read now.
 *
 * @ret_table: valid until the scratch is read into again.
 *
 * Returns what volume_check_head() does, or an error.
 */
static int know_head(struct lookup *lookup, struct volume *volume, struct scratch *scratch,
		     struct index_page_head *ret_head, const uint8_t **ret_table)
{
	const struct kept_head *kept = slot_head(volume->slots, lookup->slot, lookup->page);
	struct index_page_head head = { .list_count = lookup->bounds.list_count };
	uint8_t *bytes = NULL;
	int r;

	if (kept != NULL) {
		*ret_head = kept->head;
		*ret_table = kept->bytes;
		return volume_check_head(volume, lookup->slot, lookup->vcn, &lookup->bounds,
					 &kept->head, lookup->message);
	}
	/* What the page map says of the page's lists tells how long its table is. */
	r = read_part(lookup, volume, scratch, 0, index_page_table_bytes(&head), &bytes);
	if (r == 0)
		r = index_page_read_head(&volume->code, bytes, &head, lookup->message);
	if (r < 0)
		return r;
	r = volume_check_head(volume, lookup->slot, lookup->vcn, &lookup->bounds, &head,
			      lookup->message);
	if (r <= 0)
		return r;
	slot_keep_head(volume->slots, lookup->slot, lookup->page, &head, bytes);
	*ret_head = head;
	*ret_table = bytes;
	return 1;
}

static int search_index(struct lookup *lookup, struct volume *volume, struct scratch *scratch)
{
	struct index_page_head head;
	const uint8_t *table = NULL;
	uint32_t start = 0, bits = 0;
	uint8_t *bytes = NULL;
	int r;

	if (slot_head(volume->slots, lookup->slot, lookup->page) == NULL &&
	    volume_reads_are_slow(volume)) {
		r = read_part(lookup, volume, scratch, 0, volume->geometry.page_bytes, &bytes);
		return r < 0 ? r : lookup_in_index_page(lookup, volume, bytes);
	}
	r = know_head(lookup, volume, scratch, &head, &table);
	if (r > 0)
		r = lookup_find_list(lookup, volume, &head, table, &start, &bits);
	if (r <= 0)
		return r;
	r = read_part(lookup, volume, scratch, start / 8, (start + bits + 7) / 8, &bytes);
	return r < 0 ? r : lookup_in_list(lookup, volume, bytes, start % 8, bits);
}

int lookup_in_record_page(struct lookup *lookup, struct volume *volume, const uint8_t *page)
{
	return record_page_search(page, volume->geometry.records_per_page, lookup->name,
				  &lookup->data)
		       ? 1
		       : 0;
}

static int read_cached_record_page(void *context, const uint8_t *page)
{
	struct lookup **lookup_and_volume = context;

	return lookup_in_record_page(lookup_and_volume[0], (void *)lookup_and_volume[1], page);
}

bool lookup_cached_record_page(struct lookup *lookup, struct volume *volume, int *ret_result)
{
	void *context[2] = { lookup, volume };

	return page_cache_read(volume->cache, page_number(lookup, volume), read_cached_record_page,
			       context, ret_result);
}

static int search_whole_record_page(struct lookup *lookup, struct volume *volume,
				    struct scratch *scratch)
{
	uint8_t *page = NULL;
	int r;

	if (volume_reads_are_slow(volume) && lookup_cached_record_page(lookup, volume, &r))
		return r;
	r = read_part(lookup, volume, scratch, 0, volume->geometry.page_bytes, &page);
	if (r < 0)
		return r;
	if (volume_reads_are_slow(volume))
		page_cache_add(volume->cache, page_number(lookup, volume), page);
	return lookup_in_record_page(lookup, volume, page);
}

static int compare_name(const struct lookup *lookup, const uint8_t *record)
{
	return memcmp(lookup->name->bytes, record, UDS_NAME_BYTES);
}

/* Takes the data of a record whose name is the right one. */
static int take_data(struct lookup *lookup, const uint8_t *record)
{
	memcpy(lookup->data.bytes, record + UDS_NAME_BYTES, UDS_DATA_BYTES);
	return 1;
}

/* Reads one node of the tree: the only place where the name can still be. */
static int search_node(struct lookup *lookup, struct volume *volume, struct scratch *scratch,
		       uint32_t node)
{
	uint8_t *record = NULL;
	int r;

	r = read_part(lookup, volume, scratch, node * UDS_RECORD_BYTES,
		      (node + 1) * UDS_RECORD_BYTES, &record);
	if (r < 0)
		return r;
	return compare_name(lookup, record) == 0 ? take_data(lookup, record) : 0;
}

/*
 * The node that lies between two neighbours of the bottom row, or in front of it.
 *
 * A page of 2^h records is a perfect tree of h levels, and below its leftmost leaf one more node,
 * the last of the page. @gap: how many nodes of the row, which is of level h - 1, are in front of
 * the place: 0 to 2^(h-1) - 1.
 */
static uint32_t node_in_gap(unsigned int h, uint32_t gap)
{
	unsigned int up;

	if (gap == 0)
		return (UINT32_C(1) << h) - 1;
	up = 1 + (unsigned int)__builtin_ctz(gap); /* levels above the row */
	return (UINT32_C(1) << (h - 1 - up)) - 1 + (gap >> up);
}

/* Returns what a search does, or ELSEWHERE. */
static int search_row(struct lookup *lookup, struct volume *volume, struct scratch *scratch)
{
	const unsigned int h = bits_per(volume->geometry.records_per_page) - 1;
	const uint32_t row = UINT32_C(1)
			     << (h - 1); /* nodes in it; the first one is node row - 1 */
	const uint32_t reach = volume->reach;
	uint32_t guess = (uint32_t)(get_be64(lookup->name->bytes) >> 32 >> (33 - h));
	uint32_t first = guess > reach ? guess - reach : 0;
	uint32_t end = guess + reach < row ? guess + reach : row;
	uint32_t low = first, high = end;
	uint8_t *records = NULL;
	int r;

	r = read_part(lookup, volume, scratch, (row - 1 + first) * UDS_RECORD_BYTES,
		      (row - 1 + end) * UDS_RECORD_BYTES, &records);
	if (r < 0)
		return r;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const uint8_t *record = records + (size_t)(middle - first) * UDS_RECORD_BYTES;

		r = compare_name(lookup, record);
		if (r == 0)
			return take_data(lookup, record);
		if (r < 0)
			high = middle;
		else
			low = middle + 1;
	}
	if ((low == first && first > 0) || (low == end && end < row))
		return ELSEWHERE;
	return low == row ? 0 : search_node(lookup, volume, scratch, node_in_gap(h, low));
}

static int search_record_page(struct lookup *lookup, struct volume *volume, struct scratch *scratch)
{
	const struct geometry *geometry = &volume->geometry;
	int r;

	lookup->page = geometry->index_pages_per_chapter + lookup->record_page;
	if (geometry->page_bytes > SMALL_PAGE_BYTES && is_power_of_two(geometry->page_bytes) &&
	    !volume_reads_are_slow(volume)) {
		r = search_row(lookup, volume, scratch);
		if (r != ELSEWHERE)
			return r;
	}
	return search_whole_record_page(lookup, volume, scratch);
}

static int finish(struct lookup *lookup, const struct volume *volume, int result, bool *ret_found,
		  struct uds_record_data *ret_data)
{
	if (result < 0)
		return volume_page_failure(volume, lookup->slot, lookup->vcn, lookup->page, result,
					   lookup->message);
	*ret_found = result > 0;
	if (result > 0)
		*ret_data = lookup->data;
	return 0;
}

int volume_search_chapter(struct volume *volume, uint64_t vcn, const struct uds_record_name *name,
			  bool *ret_found, struct uds_record_data *ret_data,
			  struct uds_message *ret_message)
{
	uint32_t slot = geometry_physical_chapter(&volume->geometry, vcn);
	struct scratch *scratch;
	struct lookup lookup;
	int r;

	if (!slot_enter(volume->slots, slot)) {
		*ret_found = false;
		return 0;
	}
	r = volume_take_scratch(volume, &scratch);
	if (r < 0) {
		slot_leave(volume->slots, slot);
		return failure(ret_message, r, "%s", uds_strerror(r));
	}
	lookup_start(&lookup, volume, vcn, name, ret_message);
	r = search_index(&lookup, volume, scratch);
	if (r > 0)
		r = search_record_page(&lookup, volume, scratch);
	r = finish(&lookup, volume, r, ret_found, ret_data);
	volume_give_scratch(volume, scratch);
	slot_leave(volume->slots, slot);
	return r;
}

int volume_search_record_page(struct volume *volume, uint64_t vcn, uint32_t record_page,
			      const struct uds_record_name *name, bool *ret_found,
			      struct uds_record_data *ret_data, struct uds_message *ret_message)
{
	uint32_t slot = geometry_physical_chapter(&volume->geometry, vcn);
	struct index_page_head head;
	const uint8_t *table;
	struct scratch *scratch;
	struct lookup lookup;
	int r;

	if (record_page >= volume->geometry.record_pages_per_chapter)
		return failure(ret_message, -EINVAL, "record page %" PRIu32 " does not exist",
			       record_page);
	if (!slot_enter(volume->slots, slot)) {
		*ret_found = false;
		return 0;
	}
	r = volume_take_scratch(volume, &scratch);
	if (r < 0) {
		slot_leave(volume->slots, slot);
		return failure(ret_message, r, "%s", uds_strerror(r));
	}
	lookup_start(&lookup, volume, vcn, name, ret_message);
	/*
	 * Record pages have no header: an index page tells whether the slot still has the
	 * chapter.
	 */
	r = know_head(&lookup, volume, scratch, &head, &table);
	lookup.record_page = record_page;
	if (r > 0)
		r = search_record_page(&lookup, volume, scratch);
	r = finish(&lookup, volume, r, ret_found, ret_data);
	volume_give_scratch(volume, scratch);
	slot_leave(volume->slots, slot);
	return r;
}
