/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether the pages of a slot agree with each other. */
#include "volume/whole_chapter.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/sort.h"
#include "chapter/record_page.h"
#include "geometry/name_bits.h"

/* Checks index page @claim->page, whose first list must be @next_list. */
static int check_page(const struct geometry *geometry, const struct index_page_code *code,
		      const struct page_claim *claim, const uint8_t *page, uint32_t next_list,
		      struct index_page_head *ret_head, struct uds_message *ret_message)
{
	int r;

	r = page_check(geometry, code, claim, page, geometry->page_bytes, ret_head, ret_message);
	if (r < 0)
		return r;
	/*
	 * Lists are packed in order and without gaps (8.2), so a page that begins elsewhere belongs
	 * to another attempt at writing this chapter, or was swapped.
	 */
	if (ret_head->first_list != next_list)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "first list: expected %" PRIu32 ", found %" PRIu32, next_list,
			       ret_head->first_list);
	/* The page map has no way to say that the first page is empty; no writer leaves it so. */
	if (next_list == 0 && ret_head->list_count == 0)
		return failure(ret_message, UDS_ERR_CORRUPT, "the first page has no lists");
	return index_page_validate(code, ret_head, page, ret_message);
}

int chapter_check_index(const struct geometry *geometry, const struct index_page_code *code,
			uint32_t slot, const uint8_t *pages, uint64_t *ret_vcn,
			struct index_page_head *ret_heads, struct uds_message *ret_message)
{
	uint64_t vcn = 0;
	uint32_t next = 0;
	int r;

	for (uint32_t page = 0; page < geometry->index_pages_per_chapter; page++) {
		const struct page_claim claim = { .vcn = NO_CHAPTER, .slot = slot, .page = page };
		struct index_page_head *head = &ret_heads[page];

		r = check_page(geometry, code, &claim, pages + (size_t)page * geometry->page_bytes,
			       next, head, ret_message);
		if (r == 0 && page > 0 && head->vcn != vcn)
			r = failure(ret_message, UDS_ERR_CORRUPT,
				    "chapter number: expected %" PRIu64
				    ", as on the first page, found %" PRIu64,
				    vcn, head->vcn);
		if (r < 0)
			return failure_in(ret_message, r, "index page %" PRIu32, page);
		vcn = head->vcn;
		next += head->list_count;
	}
	/*
	 * The reference does not compare this (20.2, R6): a chapter with lists missing would answer
	 * "not found" for them.
	 */
	if (next != geometry->delta_lists_per_chapter)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "lists on all index pages: expected %" PRIu32 ", found %" PRIu32,
			       geometry->delta_lists_per_chapter, next);
	if (vcn >= CHAPTER_LIMIT || geometry_physical_chapter(geometry, vcn) != slot)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "chapter number: found %" PRIu64
			       ", which does not belong into this slot",
			       vcn);
	*ret_vcn = vcn;
	return 0;
}

void chapter_last_lists(const struct geometry *geometry, const struct index_page_head *heads,
			uint16_t *ret_last_lists)
{
	for (uint32_t page = 0; page + 1 < geometry->index_pages_per_chapter; page++)
		ret_last_lists[page] =
			(uint16_t)(heads[page].first_list + heads[page].list_count - 1);
}

/* A record that a search of its page finds, by what the chapter index can say about it. */
struct record_place {
	uint64_t key; /* list, address and record page */
	const uint8_t *name;
};

struct census {
	const struct geometry *geometry;
	const struct index_page_code *code;
	struct record_place *places; /* sorted */
	size_t count;
	uint64_t entries;
	uint64_t astray;
	struct page_entries *pages; /* the same for each record page, or NULL */

	/* Of the ordinary entry that was met last: what may be its record's place. */
	uint64_t ordinary_key;
	size_t ordinary_records; /* records of that place that are not those of collision entries */
	bool has_ordinary;
};

static uint64_t place_key(uint64_t list_and_address, uint32_t page)
{
	return list_and_address << 16 | page;
}

static int compare_places(const void *a, const void *b)
{
	const struct record_place *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return memcmp(x->name, y->name, UDS_NAME_BYTES);
}

static void sort_places(struct census *census, const uint8_t *record_pages)
{
	const struct geometry *geometry = census->geometry;

	for (uint32_t p = 0; p < geometry->record_pages_per_chapter; p++) {
		const uint8_t *page = record_pages + (size_t)p * geometry->page_bytes;

		for (uint32_t i = 0; i < geometry->records_per_page; i++) {
			struct record_place *place = &census->places[census->count];
			struct uds_record_name name;

			place->name = page + (size_t)i * UDS_RECORD_BYTES;
			memcpy(&name, place->name, sizeof(name));
			/*
			 * A copy of the fill record is no place of its own: a search finds the
			 * first (10.4).
			 */
			if (find_in_page(page, geometry->records_per_page, &name) != i)
				continue;
			place->key = place_key((uint64_t)chapter_list(geometry, &name)
							       << geometry->chapter_address_bits |
						       chapter_address(geometry, &name),
					       p);
			census->count++;
		}
	}
	sort_elements(census->places, census->count, sizeof(census->places[0]), compare_places);
}

/* The first place whose key is not below @key. */
static size_t first_place(const struct census *census, uint64_t key)
{
	size_t low = 0, high = census->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (census->places[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * What the counts of the page are in that the key of an entry names; NULL: they are not asked for.
 */
static struct page_entries *entries_of(const struct census *census, uint64_t key)
{
	uint32_t page = key & UINT16_MAX; /* as place_key() has it */

	if (census->pages == NULL || page >= census->geometry->record_pages_per_chapter)
		return NULL;
	return &census->pages[page];
}

static void note_astray(struct census *census, uint64_t key)
{
	struct page_entries *entries = entries_of(census, key);

	census->astray++;
	if (entries != NULL)
		entries->astray++;
}

/*
 * An ordinary entry has no name: its record may be any at this place that is not that of a
 * collision entry. These follow it, so it is settled when the next ordinary entry, or the end of
 * the list, comes.
 */
static void settle_ordinary(struct census *census)
{
	if (census->has_ordinary && census->ordinary_records == 0)
		note_astray(census, census->ordinary_key);
	census->has_ordinary = false;
}

static void count_entry(struct census *census, uint32_t list, const struct delta_entry *entry)
{
	uint64_t list_and_address =
		(uint64_t)list << census->geometry->chapter_address_bits | entry->key;
	struct record_place place = { .key = place_key(list_and_address, entry->value),
				      .name = entry->name };
	struct page_entries *entries = entries_of(census, place.key);

	census->entries++;
	if (entries != NULL)
		entries->all++;
	if (!entry->collision) {
		settle_ordinary(census);
		census->has_ordinary = true;
		census->ordinary_key = place.key;
		/* Half-open: all places with this list, address and page, whatever their names. */
		census->ordinary_records =
			first_place(census, place.key + 1) - first_place(census, place.key);
		return;
	}
	/* A collision entry has the whole name: its record is there or not, nothing to settle. */
	if (bsearch(&place, census->places, census->count, sizeof(place), compare_places) == NULL)
		note_astray(census, place.key);
	else if (census->ordinary_key == place.key && census->ordinary_records > 0)
		census->ordinary_records--;
}

static void count_page(struct census *census, const struct index_page_head *head,
		       const uint8_t *page)
{
	for (uint32_t i = 0; i < head->list_count; i++) {
		struct delta_reader reader;
		struct delta_entry entry;
		uint32_t start, bits;

		/*
		 * Damage of the offset table: chapter_check_index() has reported it
		 * before anybody counts.
		 */
		if (index_page_find_list(census->code, head, page, head->first_list + i, &start,
					 &bits) < 0)
			continue;
		delta_reader_start(&reader, &census->code->delta, page, start, bits);
		while (delta_reader_next(&reader, &entry) == 1)
			count_entry(census, head->first_list + i, &entry);
		settle_ordinary(census);
	}
}

int chapter_count_astray(const struct uds_env *env, const struct geometry *geometry,
			 const struct index_page_code *code, const struct index_page_head *heads,
			 const uint8_t *pages, uint64_t *ret_entries, uint64_t *ret_astray,
			 struct page_entries *ret_pages)
{
	struct census census = { .geometry = geometry, .code = code, .pages = ret_pages };

	/*
	 * Sorted once and searched for each entry, instead of a walk over its record page for each.
	 */
	census.places = env_allocate(env, geometry->records_per_chapter, sizeof(census.places[0]));
	if (census.places == NULL)
		return -ENOMEM;
	sort_places(&census,
		    pages + (size_t)geometry->index_pages_per_chapter * geometry->page_bytes);
	for (uint32_t p = 0; p < geometry->index_pages_per_chapter; p++)
		count_page(&census, &heads[p], pages + (size_t)p * geometry->page_bytes);
	env_release(env, census.places);
	*ret_entries = census.entries;
	*ret_astray = census.astray;
	return 0;
}

static int check_records(const struct uds_env *env, const struct geometry *geometry,
			 const struct index_page_code *code, const struct index_page_head *heads,
			 const uint8_t *pages, struct uds_message *ret_message)
{
	uint64_t entries = 0, astray = 0;
	uint32_t bad;
	int r;

	for (uint32_t p = 0; p < geometry->record_pages_per_chapter; p++) {
		const uint8_t *page = pages + ((size_t)geometry->index_pages_per_chapter + p) *
						      geometry->page_bytes;

		if (!record_page_check(page, geometry->records_per_page, &bad))
			return failure(ret_message, UDS_ERR_CORRUPT,
				       "record page %" PRIu32 ": record %" PRIu32
				       " is out of order",
				       p, bad);
	}
	r = chapter_count_astray(env, geometry, code, heads, pages, &entries, &astray, NULL);
	/*
	 * A chapter written by anybody has none: entries are made from the records that are
	 * written. So one that leads nowhere tells that record pages are of an earlier round: the
	 * power failed in between (11.1).
	 */
	if (r == 0 && astray > 0)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "%" PRIu64 " of %" PRIu64 " chapter index entries lead to no record",
			       astray, entries);
	return r < 0 ? failure(ret_message, r, "%s", uds_strerror(r)) : 0;
}

int chapter_check_whole(const struct uds_env *env, const struct geometry *geometry,
			const struct index_page_code *code, uint32_t slot, const uint8_t *pages,
			uint64_t *ret_vcn, struct uds_message *ret_message)
{
	struct index_page_head *heads;
	uint64_t vcn = 0;
	int r;

	heads = env_allocate(env, geometry->index_pages_per_chapter, sizeof(heads[0]));
	if (heads == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	r = chapter_check_index(geometry, code, slot, pages, &vcn, heads, ret_message);
	if (r == 0)
		r = check_records(env, geometry, code, heads, pages, ret_message);
	env_release(env, heads);
	if (r == 0)
		*ret_vcn = vcn;
	return r;
}

int chapter_check_sums(struct page_reader *reader, uint32_t slot, uint64_t vcn, uint32_t page,
		       size_t length, const uint8_t *memory, uint32_t *ret_page,
		       struct uds_message *ret_message)
{
	const uint32_t page_bytes = reader->geometry->page_bytes;
	int r = 0;

	for (size_t at = 0; at < length && r == 0; at += page_bytes, page++) {
		size_t part = length - at < page_bytes ? length - at : page_bytes;

		r = page_reader_check_sums(reader, slot, vcn, (size_t)page * page_bytes,
					   memory + at, part, ret_message);
		if (r < 0)
			*ret_page = page;
	}
	return r;
}

/*
 * Asks the checksums of the chapter that the first page is of. Where they are known they decide,
 * since they were written when the chapter was durable. Returns 1 when the chapter is whole,
 * UDS_ERR_CORRUPT, or 0 when nothing is known.
 */
static int check_whole_by_sums(struct page_reader *reader, uint32_t slot, const uint8_t *pages,
			       size_t bytes, uint64_t *ret_vcn, struct uds_message *ret_message)
{
	struct index_page_head head;
	uint32_t page;
	int r;

	if (index_page_read_head(&reader->code, pages, &head, NULL) < 0 ||
	    !checksums_know(reader->checksums, slot, head.vcn))
		return 0;
	r = chapter_check_sums(reader, slot, head.vcn, 0, bytes, pages, &page, ret_message);
	if (r == UDS_ERR_CORRUPT)
		return failure_in(ret_message, r, "page %" PRIu32, page);
	/* Those of another chapter are not known any more. */
	if (r < 0 || !checksums_know(reader->checksums, slot, head.vcn))
		return r;
	*ret_vcn = head.vcn;
	return 1;
}

int chapter_read_whole(struct page_reader *reader, uint32_t slot, uint64_t *ret_vcn,
		       struct uds_message *ret_message)
{
	const struct geometry *geometry = reader->geometry;
	const size_t bytes = (size_t)geometry->pages_per_chapter * geometry->page_bytes;
	uint8_t *pages;
	int r;

	r = page_reader_read_slot(reader, slot, &pages, ret_message);
	if (r == 0)
		r = check_whole_by_sums(reader, slot, pages, bytes, ret_vcn, ret_message);
	if (r == 0) {
		r = chapter_check_whole(&reader->env, geometry, &reader->code, slot, pages, ret_vcn,
					ret_message);
		/* Its checksums were lost with the power, or none were made. */
		if (r == 0 && reader->checksums != NULL)
			checksums_set(reader->checksums, slot, *ret_vcn, pages);
	}
	env_release(&reader->env, pages);
	return r < 0 ? r : 0;
}

int chapter_head_decode(const struct geometry *geometry, const struct index_page_code *code,
			uint32_t slot, const uint8_t *block, struct index_page_head *ret_head,
			struct uds_message *ret_message)
{
	int r = index_page_read_head(code, block, ret_head, ret_message);

	if (r == 0 && (ret_head->vcn >= CHAPTER_LIMIT ||
		       geometry_physical_chapter(geometry, ret_head->vcn) != slot))
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "chapter number: found %" PRIu64
			       ", which does not belong into this slot",
			       ret_head->vcn);
	return r;
}

int chapter_read_head(struct page_reader *reader, uint32_t slot, uint64_t *ret_vcn,
		      struct uds_message *ret_message)
{
	uint8_t *block = io_allocate_buffer(reader->io, &reader->env, BLOCK_BYTES);
	struct index_page_head head;
	int r;

	if (block == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	/* One block has the head, whatever the page size. */
	r = page_reader_read_row(reader, slot, 0, BLOCK_BYTES, block, ret_message);
	if (r == 0)
		r = chapter_head_decode(reader->geometry, &reader->code, slot, block, &head,
					ret_message);
	env_release(&reader->env, block);
	if (r == 0)
		*ret_vcn = head.vcn;
	return r;
}

int chapter_find_damaged(struct page_reader *reader, uint32_t slot, uint64_t *ret_vcn,
			 struct uds_message *ret_message)
{
	const uint32_t blocks = geometry_chapter_blocks(reader->geometry);
	const uint64_t vcn = checksums_chapter(reader->checksums, slot);
	uint32_t right = 0;
	uint8_t *pages;
	int r;

	*ret_vcn = NO_CHAPTER;
	if (vcn == NO_CHAPTER || geometry_physical_chapter(reader->geometry, vcn) != slot)
		return 0;
	r = page_reader_read_slot(reader, slot, &pages, ret_message);
	for (uint32_t block = 0; r == 0 && block < blocks; block++)
		right += checksums_match(reader->checksums, slot, block,
					 pages + (size_t)block * BLOCK_BYTES);
	if (right > blocks / 2)
		*ret_vcn = vcn;
	env_release(&reader->env, pages);
	return r;
}
