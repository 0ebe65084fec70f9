/* SPDX-License-Identifier: BSD-2-Clause */
/* Judging the pages of a chapter, and writing those again that are no good. */
#include "volume/chapter_mend.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "chapter/closed_chapter.h"
#include "extras/checksums.h"
#include "volume/chapter_builder.h"
#include "volume/volume_private.h"
#include "volume/whole_chapter.h"

struct chapter_mend {
	struct volume *volume;
	const struct geometry *geometry; /* of the volume */
	struct chapter_builder *builder; /* whose memory has the chapter */
	struct index_page_head *heads;	 /* of the index pages; no lists where a page is bad */
	struct open_zone *names;	 /* that the new index has so far */
	struct page_entries *entries;	 /* of the index, for each record page */
	bool *bad;			 /* for each page */
	struct chapter_verdict verdict;
};

int chapter_mend_make(struct volume *volume, struct chapter_mend **ret_mend)
{
	const struct geometry *geometry = &volume->geometry;
	struct chapter_mend *mend = env_allocate_zeroed(&volume->env, 1, sizeof(*mend));
	int r;

	if (mend == NULL)
		return -ENOMEM;
	mend->volume = volume;
	mend->geometry = geometry;
	mend->bad = env_allocate_zeroed(&volume->env, geometry->pages_per_chapter,
					sizeof(mend->bad[0]));
	mend->heads = env_allocate_zeroed(&volume->env, geometry->index_pages_per_chapter,
					  sizeof(mend->heads[0]));
	mend->entries = env_allocate(&volume->env, geometry->record_pages_per_chapter,
				     sizeof(mend->entries[0]));
	r = mend->bad == NULL || mend->heads == NULL || mend->entries == NULL ? -ENOMEM : 0;
	if (r == 0)
		r = chapter_builder_make(&volume->env, volume->io, geometry,
					 volume->reader.code.volume_nonce, &mend->builder);
	if (r == 0)
		r = open_zone_make(&volume->env, geometry->records_per_chapter, &mend->names);
	if (r < 0) {
		chapter_mend_free(mend);
		return r;
	}
	*ret_mend = mend;
	return 0;
}

void chapter_mend_free(struct chapter_mend *mend)
{
	const struct uds_env *env;

	if (mend == NULL)
		return;
	env = &mend->volume->env;
	open_zone_free(mend->names);
	chapter_builder_free(mend->builder);
	env_release(env, mend->entries);
	env_release(env, mend->heads);
	env_release(env, mend->bad);
	env_release(env, mend);
}

static uint8_t *page_at(const struct chapter_mend *mend, uint32_t page)
{
	return mend->builder->pages + (size_t)page * mend->geometry->page_bytes;
}

bool chapter_mend_drops(const struct chapter_mend *mend, uint32_t page)
{
	return mend->bad[mend->geometry->index_pages_per_chapter + page];
}

const uint8_t *chapter_mend_records(const struct chapter_mend *mend, uint32_t page)
{
	return page_at(mend, mend->geometry->index_pages_per_chapter + page);
}

/* The first reason is kept. @page: NULL: of the whole chapter. */
static void note(struct chapter_mend *mend, const uint32_t *page, const struct uds_message *why)
{
	struct chapter_verdict *verdict = &mend->verdict;
	struct page_claim claim = { .vcn = verdict->vcn, .slot = verdict->slot };

	if (page != NULL)
		mend->bad[*page] = true;
	if (verdict->why.text[0] != '\0')
		return;
	verdict->why = *why;
	if (page != NULL) {
		claim.page = *page;
		volume_page_failure(mend->volume, &claim, UDS_ERR_CORRUPT, &verdict->why);
	} else {
		failure_in(&verdict->why, UDS_ERR_CORRUPT,
			   "%s: chapter %" PRIu64 " (slot %" PRIu32 ")",
			   uds_io_name(mend->volume->io), verdict->vcn, verdict->slot);
	}
}

/* All at once, or, when that fails, page by page: a page that cannot be read is bad. */
static void read_pages(struct chapter_mend *mend)
{
	struct page_reader *reader = &mend->volume->reader;
	const uint32_t pages = mend->geometry->pages_per_chapter, slot = mend->verdict.slot;
	const uint32_t page_bytes = mend->geometry->page_bytes;
	struct uds_message why;

	if (page_reader_read_row(reader, slot, 0, (size_t)pages * page_bytes, page_at(mend, 0),
				 &why) == 0)
		return;
	for (uint32_t page = 0; page < pages; page++) {
		if (page_reader_read_row(reader, slot, page, page_bytes, page_at(mend, page),
					 &why) == 0)
			continue;
		memset(page_at(mend, page), 0, page_bytes);
		note(mend, &page, &why);
	}
}

static bool knows_sums(const struct chapter_mend *mend)
{
	const struct checksums *checksums = mend->volume->checksums;

	return checksums != NULL &&
	       checksums_know(checksums, mend->verdict.slot, mend->verdict.vcn);
}

/* Returns 0 or -ENOMEM. */
static int check_sums(struct chapter_mend *mend)
{
	struct chapter_verdict *verdict = &mend->verdict;
	struct uds_message why;
	uint32_t damaged;

	for (uint32_t page = 0; page < mend->geometry->pages_per_chapter && knows_sums(mend);
	     page++) {
		int r = chapter_check_sums(&mend->volume->reader, verdict->slot, verdict->vcn, page,
					   mend->geometry->page_bytes, page_at(mend, page),
					   &damaged, &why);

		if (r == -ENOMEM)
			return r;
		if (r < 0)
			note(mend, &page, &why);
	}
	return 0;
}

/*
 * Each index page by itself. Returns whether one of them names the chapter: its head is enough for
 * that, which lies in one sector.
 */
static bool check_index_pages(struct chapter_mend *mend)
{
	const struct index_page_code *code = &mend->volume->reader.code;
	const uint32_t page_bytes = mend->geometry->page_bytes;
	bool named = false;

	for (uint32_t page = 0; page < mend->geometry->index_pages_per_chapter; page++) {
		const struct page_claim claim = { .vcn = NO_CHAPTER,
						  .slot = mend->verdict.slot,
						  .page = page };
		struct index_page_head *head = &mend->heads[page];
		struct uds_message why;
		int r = mend->bad[page] ? UDS_ERR_CORRUPT : 0;

		if (r == 0)
			r = page_check(mend->geometry, code, &claim, page_at(mend, page),
				       page_bytes, head, &why);
		if (r >= 0 && head->vcn != mend->verdict.vcn)
			r = UDS_ERR_CORRUPT;
		named |= r >= 0;
		if (r >= 0)
			r = index_page_validate(code, head, page_at(mend, page), &why);
		/* Left out when entries are counted. */
		if (r < 0)
			head->list_count = 0;
	}
	return named;
}

/* Whether the index pages are good together, and the page map agrees. */
static void check_index(struct chapter_mend *mend)
{
	struct chapter_verdict *verdict = &mend->verdict;
	uint32_t pages = mend->geometry->index_pages_per_chapter;
	struct uds_message why;
	uint64_t found = 0;
	int r;

	for (uint32_t page = 0; page < pages; page++)
		verdict->index_damaged |= mend->bad[page];
	r = chapter_check_index(mend->geometry, &mend->volume->reader.code, verdict->slot,
				page_at(mend, 0), &found, mend->heads, &why);
	if (r == 0 && found != verdict->vcn)
		r = failure(&why, UDS_ERR_CORRUPT, "the slot holds chapter %" PRIu64 " instead",
			    found);
	if (r < 0) {
		note(mend, NULL, &why);
		verdict->index_damaged = true;
	}
	for (uint32_t page = 0; page < pages && !verdict->index_damaged; page++) {
		const struct index_page_head *head = &mend->heads[page];
		struct page_bounds bounds = page_map_page(mend->volume->map, verdict->slot, page);

		if (head->list_count == 0 || (bounds.first_list == head->first_list &&
					      bounds.list_count == head->list_count))
			continue;
		failure(&why, 0, "the page map differs from its index pages");
		verdict->map_differs = true;
		note(mend, NULL, &why);
	}
}

/*
 * What the index pages say of the record pages, where no checksums are known. A record page of an
 * earlier round of the volume has hardly any record that the index leads to; where few entries of
 * many lead nowhere, it is the index that is damaged, or a single record. Returns 0 or -ENOMEM.
 */
static int compare_with_index(struct chapter_mend *mend)
{
	const struct geometry *geometry = mend->geometry;
	uint64_t entries = 0, astray = 0;
	struct uds_message why;
	int r;

	memset(mend->entries, 0, geometry->record_pages_per_chapter * sizeof(mend->entries[0]));
	r = chapter_count_astray(&mend->volume->env, geometry, &mend->volume->reader.code,
				 mend->heads, page_at(mend, 0), &entries, &astray, mend->entries);
	if (r < 0 || astray == 0)
		return r;
	failure(&why, 0, "%" PRIu64 " of %" PRIu64 " chapter index entries lead to no record",
		astray, entries);
	for (uint32_t p = 0; p < geometry->record_pages_per_chapter; p++) {
		uint32_t page = geometry->index_pages_per_chapter + p;

		if (mend->entries[p].astray > mend->entries[p].all / 2)
			note(mend, &page, &why);
	}
	note(mend, NULL, &why);
	mend->verdict.index_damaged = true;
	return 0;
}

static void check_order(struct chapter_mend *mend)
{
	const struct geometry *geometry = mend->geometry;
	const uint32_t first = geometry->index_pages_per_chapter;
	struct uds_message why;

	for (uint32_t page = first; page < geometry->pages_per_chapter; page++) {
		uint32_t bad;

		if (record_page_check(page_at(mend, page), geometry->records_per_page, &bad))
			continue;
		failure(&why, 0, "record %" PRIu32 " is out of order", bad);
		note(mend, &page, &why);
	}
}

int chapter_mend_judge(struct chapter_mend *mend, uint64_t vcn, struct chapter_verdict *ret_verdict)
{
	const struct geometry *geometry = mend->geometry;
	struct chapter_verdict *verdict = &mend->verdict;
	bool named;
	int r;

	memset(verdict, 0, sizeof(*verdict));
	memset(mend->bad, 0, geometry->pages_per_chapter * sizeof(mend->bad[0]));
	verdict->vcn = vcn;
	verdict->slot = geometry_physical_chapter(geometry, vcn);
	read_pages(mend);
	r = check_sums(mend);
	if (r < 0)
		return r;
	check_index(mend);
	named = check_index_pages(mend);
	/*
	 * Nothing says that the record pages are this chapter's: those of another one would bring
	 * old data back.
	 */
	if (!named && !knows_sums(mend))
		memset(mend->bad + geometry->index_pages_per_chapter, true,
		       geometry->record_pages_per_chapter * sizeof(mend->bad[0]));
	check_order(mend);
	if (named && !knows_sums(mend))
		r = compare_with_index(mend);
	for (uint32_t p = 0; p < geometry->record_pages_per_chapter; p++)
		verdict->dropped_pages += chapter_mend_drops(mend, p);
	if (r == 0)
		*ret_verdict = *verdict;
	return r;
}

/*
 * The record whose copies take the places of those that are dropped: from as far behind as
 * possible, where chapters have it that were closed before they were full (10.4).
 */
static struct uds_record find_fill(const struct chapter_mend *mend,
				   const struct uds_record *instead)
{
	struct uds_record fill = *instead;

	for (uint32_t p = mend->geometry->record_pages_per_chapter; p-- > 0;) {
		if (chapter_mend_drops(mend, p))
			continue;
		memcpy(&fill.name, chapter_mend_records(mend, p), sizeof(fill.name));
		memcpy(&fill.data, chapter_mend_records(mend, p) + sizeof(fill.name),
		       sizeof(fill.data));
		break;
	}
	return fill;
}

static void fill_page(struct chapter_mend *mend, const struct uds_record *fill, uint32_t page)
{
	struct record_page_layout *layout = record_page_encoder_layout(mend->builder->encoder);

	for (uint32_t i = 0; i < mend->geometry->records_per_page; i++)
		layout->records[i] = fill;
	record_page_encode(mend->builder->encoder, layout->records, page_at(mend, page));
}

/* Enters the records of a page that no page before it has: copies have no entry of their own. */
static int enter_page(struct chapter_mend *mend, uint32_t p)
{
	const uint8_t *page = chapter_mend_records(mend, p);
	const uint32_t count = mend->geometry->records_per_page;
	uint32_t room;
	int r = 0;

	for (uint32_t i = 0; i < count && r == 0; i++) {
		struct uds_record record;

		memcpy(&record.name, page + (size_t)i * UDS_RECORD_BYTES, sizeof(record.name));
		memset(&record.data, 0, sizeof(record.data));
		if (find_in_page(page, count, &record.name) != i ||
		    open_zone_search(mend->names, &record.name) != NULL)
			continue;
		r = open_zone_put(mend->names, &record.name, &record.data, &room);
		if (r == 0)
			r = chapter_index_put(mend->builder->index, &record.name, p);
	}
	return r;
}

static int make_pages(struct chapter_mend *mend, const struct uds_record *instead,
		      struct uds_message *ret_message)
{
	const struct geometry *geometry = mend->geometry;
	struct chapter_builder *builder = mend->builder;
	struct uds_record fill = find_fill(mend, instead);
	int r = 0;

	for (uint32_t p = 0; p < geometry->record_pages_per_chapter; p++) {
		if (chapter_mend_drops(mend, p))
			fill_page(mend, &fill, geometry->index_pages_per_chapter + p);
	}
	chapter_index_reset(builder->index, mend->verdict.vcn);
	open_zone_reset(mend->names);
	/* In this order the kept pages of a chapter that is good get the index that it had. */
	for (uint32_t p = 0; p < geometry->record_pages_per_chapter && r == 0; p++) {
		if (!chapter_mend_drops(mend, p))
			r = enter_page(mend, p);
	}
	/* Only copies: the last one stands for all. */
	if (r == 0 && mend->verdict.dropped_pages == geometry->record_pages_per_chapter)
		r = enter_page(mend, geometry->record_pages_per_chapter - 1);
	if (r < 0)
		return failure(ret_message, r, "%s", uds_strerror(r));
	return closed_chapter_pack_index(geometry, builder->index, builder->pages,
					 builder->last_lists, ret_message);
}

static int write_page(struct chapter_mend *mend, uint32_t page, uint32_t count,
		      struct uds_message *ret_message)
{
	struct volume *volume = mend->volume;

	return io_write(volume->io, page_at(mend, page), (size_t)count * mend->geometry->page_bytes,
			volume_page_offset(volume, mend->verdict.slot, page), ret_message);
}

/*
 * The record pages are durable before the index pages, as when a chapter is written: what is left
 * of an index page that was torn names the chapter, and its records are all there.
 */
static int write_pages(struct chapter_mend *mend, struct uds_message *ret_message)
{
	const struct geometry *geometry = mend->geometry;
	struct volume *volume = mend->volume;
	int r = 0;

	for (uint32_t page = geometry->index_pages_per_chapter;
	     page < geometry->pages_per_chapter && r == 0; page++) {
		/* Good pages are not written again: a power cut could damage them. */
		if (mend->bad[page])
			r = write_page(mend, page, 1, ret_message);
	}
	if (r == 0)
		r = io_flush(volume->io, ret_message);
	if (r == 0)
		r = write_page(mend, 0, geometry->index_pages_per_chapter, ret_message);
	if (r == 0)
		r = io_flush(volume->io, ret_message);
	return r;
}

int chapter_mend_write(struct chapter_mend *mend, const struct uds_record *instead,
		       struct uds_message *ret_message)
{
	struct chapter_verdict *verdict = &mend->verdict;
	struct volume *volume = mend->volume;
	int r;

	/* The pages are good; where the page map differs from them, they are right. */
	if (!verdict->index_damaged && verdict->dropped_pages == 0) {
		chapter_last_lists(mend->geometry, mend->heads, mend->builder->last_lists);
		page_map_set(volume->map, verdict->slot, verdict->vcn, mend->builder->last_lists);
		return 0;
	}
	r = make_pages(mend, instead, ret_message);
	if (r == 0) {
		volume_begin_mend(volume, verdict->slot);
		r = write_pages(mend, ret_message);
	}
	/* After a failed write readers stay out of the slot: what it holds is not known. */
	if (r < 0)
		return failure_in(ret_message, r, "chapter %" PRIu64 " (slot %" PRIu32 ")",
				  verdict->vcn, verdict->slot);
	page_map_set(volume->map, verdict->slot, verdict->vcn, mend->builder->last_lists);
	volume_end_write(volume, verdict->slot, verdict->vcn, mend->builder->pages);
	return 0;
}

void chapter_mend_sum(struct chapter_mend *mend)
{
	struct volume *volume = mend->volume;

	if (volume->checksums != NULL && !knows_sums(mend))
		checksums_set(volume->checksums, mend->verdict.slot, mend->verdict.vcn,
			      mend->builder->pages);
}
