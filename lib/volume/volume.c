/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening a volume, and reading its pages by chapter. */
#include "volume/volume.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "volume/volume_private.h"
#include "volume/whole_chapter.h"

/*
 * The rank of a name among @records uniformly distributed ones has a standard deviation of at most
 * sqrt(records) / 2, and every second one is in the bottom row. Two and a half of that leave out
 * one name in a hundred, for which the whole page is read.
 */
static uint32_t row_reach(uint32_t records)
{
	uint32_t root = 1;

	while (root * root < records)
		root++;
	return root * 5 / 8 + 1;
}

/* One bit for each page, the header page included. */
static uint64_t logged_words(const struct geometry *geometry)
{
	return (uint64_t)geometry->pages_per_volume / 64 + 1;
}

int volume_open(struct uds_io *io, const struct layout *layout, uint64_t cache_bytes,
		struct uds_io_engine *engine, const struct uds_env *env, struct volume **ret_volume)
{
	const struct geometry *geometry = &layout->geometry;
	struct volume *volume = env_allocate_zeroed(env, 1, sizeof(*volume));
	int r;

	if (volume == NULL)
		return -ENOMEM;
	volume->env = *env;
	volume->io = io;
	volume->geometry = *geometry;
	volume->reach = row_reach(geometry->records_per_page);
	/* The reference implementation's cache: so many whole chapters. */
	if (cache_bytes == 0)
		cache_bytes = (uint64_t)geometry->cache_chapters * geometry->pages_per_chapter *
			      geometry->page_bytes;
	/* The copy in the volume, not the caller's: the reader keeps the pointer. */
	page_reader_init(&volume->reader, io, env, &volume->geometry, layout->super.volume_nonce,
			 layout_volume_offset(layout));
	r = page_reader_start(&volume->reader, cache_bytes, engine);
	volume->logged =
		env_allocate_zeroed(env, logged_words(geometry), sizeof(volume->logged[0]));
	if (r == 0 && volume->logged == NULL)
		r = -ENOMEM;
	if (r == 0)
		r = page_map_make(env, geometry, &volume->map);
	if (r < 0) {
		volume_close(volume);
		return r;
	}
	*ret_volume = volume;
	return 0;
}

void volume_close(struct volume *volume)
{
	struct uds_env env;

	if (volume == NULL)
		return;
	env = volume->env;
	page_reader_end(&volume->reader);
	checksums_free(volume->checksums);
	env_release(&env, volume->logged);
	page_map_free(volume->map);
	env_release(&env, volume);
}

int volume_read_checksums(struct volume *volume, const struct layout *layout)
{
	const struct extras_area *area = &layout->extras;
	const char *name = uds_io_name(volume->io);
	struct uds_message message = { "" };
	uint32_t unreadable = 0;
	int r;

	if (!area->present && area->why.text[0] != '\0')
		env_log(&volume->env, UDS_LOG_WARNING,
			"%s: extras: %.400s; the index is used without them", name, area->why.text);
	/* Those of extras that are made again. */
	checksums_free(volume->checksums);
	volume->checksums = NULL;
	volume->reader.checksums = NULL;
	if (!area->present)
		return 0;
	r = checksums_make(&volume->env, volume->io, &volume->geometry, area, &volume->checksums);
	if (r == 0)
		r = checksums_read(volume->checksums, &unreadable, &message);
	if (r == 0 && unreadable > 0)
		env_log(&volume->env, UDS_LOG_WARNING,
			"%s: extras: the checksums of %" PRIu32 " chapters cannot be read: %.400s",
			name, unreadable, message.text);
	volume->reader.checksums = volume->checksums;
	return r;
}

bool volume_has_checksums(struct volume *volume, uint64_t vcn)
{
	return volume->checksums != NULL &&
	       checksums_are_written(volume->checksums,
				     geometry_physical_chapter(&volume->geometry, vcn), vcn);
}

bool volume_is_of_another(struct volume *volume, uint64_t vcn)
{
	return volume->checksums != NULL &&
	       checksums_are_of_another(volume->checksums,
					geometry_physical_chapter(&volume->geometry, vcn), vcn);
}

bool volume_has_damage(struct volume *volume, uint32_t slot, uint64_t vcn, uint32_t first,
		       uint32_t count, const uint8_t *pages)
{
	const size_t bytes = (size_t)count * volume->geometry.page_bytes;
	uint32_t page;

	return chapter_check_sums(&volume->reader, slot, vcn, first, bytes, pages, &page, NULL) < 0;
}

int volume_log_damage(struct volume *volume, uint32_t slot, uint64_t vcn, uint32_t first,
		      uint32_t count, const uint8_t *pages)
{
	const uint32_t page_bytes = volume->geometry.page_bytes;
	struct page_claim claim = { .vcn = vcn, .slot = slot };
	struct uds_message message;
	int r;

	for (uint32_t i = 0; i < count; i++) {
		r = chapter_check_sums(&volume->reader, slot, vcn, first + i, page_bytes,
				       pages + (size_t)i * page_bytes, &claim.page, &message);
		if (r == -ENOMEM)
			return r;
		if (r == 0)
			continue;
		claim.page = first + i;
		volume_page_failure(volume, &claim, r, &message);
		env_log(&volume->env, UDS_LOG_WARNING, "%s", message.text);
	}
	return 0;
}

static void note_area_failure(struct volume *volume, const struct uds_message *message)
{
	if (!volume->area_failed)
		env_log(&volume->env, UDS_LOG_WARNING, "%s: extras: checksums: %.400s",
			uds_io_name(volume->io), message->text);
	volume->area_failed = true;
}

void volume_write_checksums(struct volume *volume)
{
	struct uds_message message = { "" };

	if (volume->checksums != NULL && checksums_write(volume->checksums, &message) < 0)
		note_area_failure(volume, &message);
}

void volume_note_flush(struct volume *volume)
{
	if (volume->checksums != NULL)
		checksums_note_flush(volume->checksums);
}

void volume_note_failed_flush(struct volume *volume)
{
	if (volume->checksums != NULL)
		checksums_note_failed_flush(volume->checksums);
}

uint64_t volume_memory_bytes(struct volume *volume)
{
	return sizeof(*volume) + page_map_bytes(volume->map) + page_reader_bytes(&volume->reader) +
	       logged_words(&volume->geometry) * sizeof(volume->logged[0]) +
	       (volume->checksums != NULL ? checksums_bytes(&volume->geometry) : 0);
}

uint64_t volume_pages_read(struct volume *volume)
{
	return atomic_load_explicit(&volume->reader.pages_read, memory_order_relaxed);
}

struct page_map *volume_page_map(struct volume *volume)
{
	return volume->map;
}

uint64_t volume_page_offset(const struct volume *volume, uint32_t slot, uint32_t page)
{
	return page_reader_offset(&volume->reader, slot, page);
}

int volume_page_failure(const struct volume *volume, const struct page_claim *claim, int status,
			struct uds_message *ret_message)
{
	uint32_t index_pages = volume->geometry.index_pages_per_chapter, page = claim->page;

	return failure_in(ret_message, status,
			  "%s: chapter %" PRIu64 " (slot %" PRIu32 "), %s %" PRIu32,
			  uds_io_name(volume->io), claim->vcn, claim->slot,
			  page < index_pages ? "index page" : "record page",
			  page < index_pages ? page : page - index_pages);
}

static _Atomic uint64_t *logged_word(const struct volume *volume, uint32_t slot, uint32_t page,
				     uint64_t *ret_bit)
{
	uint64_t number = geometry_physical_page(&volume->geometry, slot, page);

	*ret_bit = UINT64_C(1) << number % 64;
	return &volume->logged[number / 64];
}

/* Counts a read of a damaged page. Returns whether it was the first of this page. */
static bool note_damage(struct volume *volume, const struct page_claim *claim)
{
	uint64_t bit;
	_Atomic uint64_t *word = logged_word(volume, claim->slot, claim->page, &bit);

	atomic_fetch_add_explicit(&volume->damaged_reads, 1, memory_order_relaxed);
	return (atomic_fetch_or_explicit(word, bit, memory_order_relaxed) & bit) == 0;
}

int volume_read_failure(struct volume *volume, const struct page_claim *claim, int status,
			struct uds_message *ret_message)
{
	volume_page_failure(volume, claim, status, ret_message);
	if (status == UDS_ERR_CORRUPT && note_damage(volume, claim))
		env_log(&volume->env, UDS_LOG_ERROR, "%s",
			ret_message != NULL ? ret_message->text : "a page is damaged");
	return status;
}

/* What is written again is not damaged. */
static void forget_logged(struct volume *volume, uint32_t slot)
{
	uint64_t bit;

	for (uint32_t page = 0; page < volume->geometry.pages_per_chapter; page++) {
		_Atomic uint64_t *word = logged_word(volume, slot, page, &bit);

		atomic_fetch_and_explicit(word, ~bit, memory_order_relaxed);
	}
}

uint64_t volume_damaged_reads(struct volume *volume)
{
	return atomic_load_explicit(&volume->damaged_reads, memory_order_relaxed);
}

void volume_begin_write(struct volume *volume, uint32_t slot, uint64_t vcn)
{
	struct uds_message message = { "" };

	/*
	 * Those that a recovery has made up. A chapter that is not the newest and has none may be
	 * another program's, and a recovery cannot begin with the save that has it open: before
	 * this one is durable, they are.
	 */
	volume_write_checksums(volume);
	page_reader_lock_slot(&volume->reader, slot);
	forget_logged(volume, slot);
	if (volume->checksums != NULL &&
	    checksums_begin_chapter(volume->checksums, slot, vcn, &message) < 0)
		note_area_failure(volume, &message);
}

void volume_begin_mend(struct volume *volume, uint32_t slot)
{
	page_reader_lock_slot(&volume->reader, slot);
	forget_logged(volume, slot);
}

/*
 * Checksums on the device say that their chapter is durable, so they are written when it is. The
 * next flush will do for them: until then, a recovery computes them again.
 */
void volume_end_write(struct volume *volume, uint32_t slot, uint64_t vcn, const uint8_t *pages)
{
	if (volume->checksums != NULL)
		checksums_set(volume->checksums, slot, vcn, pages);
	page_reader_unlock_slot(&volume->reader, slot);
	volume_write_checksums(volume);
}

/* Inside the slot. Returns 1, 0 when the chapter is gone, or an error. */
static int read_page(struct volume *volume, const struct page_claim *claim, uint8_t *ret_page,
		     struct uds_message *ret_message)
{
	const uint32_t page_bytes = volume->geometry.page_bytes;
	struct page_request request = { .claim = *claim };
	struct index_page_head head;
	int r;

	r = page_reader_want(&volume->reader, &request, 0, page_bytes);
	if (r < 0)
		return failure(ret_message, r, "%s", uds_strerror(r));
	page_reader_read(&volume->reader, &request);
	r = page_reader_accept(&volume->reader, &request, &head, ret_message);
	if (r == 1)
		memcpy(ret_page, request.bytes, page_bytes);
	page_reader_release(&volume->reader, &request);
	return r;
}

int volume_read_page(struct volume *volume, uint64_t vcn, uint32_t page, uint8_t *ret_page,
		     struct uds_message *ret_message)
{
	uint32_t slot = geometry_physical_chapter(&volume->geometry, vcn);
	struct page_claim claim;
	int r;

	if (!slot_enter(volume->reader.slots, slot))
		return failure(ret_message, UDS_ERR_OUT_OF_RANGE,
			       "%s: chapter %" PRIu64 " is being overwritten",
			       uds_io_name(volume->io), vcn);
	/* Not from the cache: the caller wants to know what is on the volume. */
	claim = volume_claim(volume, slot, vcn, page);
	r = read_page(volume, &claim, ret_page, ret_message);
	slot_leave(volume->reader.slots, slot);
	if (r == 0)
		r = failure(ret_message, UDS_ERR_OUT_OF_RANGE, "the chapter is gone");
	return r < 0 ? volume_read_failure(volume, &claim, r, ret_message) : 0;
}

int volume_read_chapter_index(struct volume *volume, uint64_t vcn, uint8_t *pages,
			      struct index_page_head *ret_heads, struct uds_message *ret_message)
{
	const struct geometry *geometry = &volume->geometry;
	uint32_t slot = geometry_physical_chapter(geometry, vcn);
	const uint32_t page_bytes = geometry->page_bytes;
	struct page_claim claim;
	int r;

	if (!slot_enter(volume->reader.slots, slot))
		return failure(ret_message, UDS_ERR_OUT_OF_RANGE, "chapter %" PRIu64 " is gone",
			       vcn);
	/* One large read for all of them, checked one by one as if read one by one. */
	r = page_reader_read_row(&volume->reader, slot, 0,
				 (size_t)geometry->index_pages_per_chapter * page_bytes, pages,
				 NULL);
	if (r < 0)
		failure(ret_message, r, "reading all index pages: %s", uds_strerror(r));
	claim = volume_claim(volume, slot, vcn, 0);
	/* r >= 0 and not r == 0: page_check() returns 1 for a page that is as expected. */
	for (uint32_t page = 0; page < geometry->index_pages_per_chapter && r >= 0; page++) {
		claim = volume_claim(volume, slot, vcn, page);
		r = chapter_check_sums(&volume->reader, slot, vcn, page, page_bytes,
				       pages + (size_t)page * page_bytes, &claim.page, ret_message);
		if (r < 0)
			break;
		r = page_check(geometry, &volume->reader.code, &claim,
			       pages + (size_t)page * page_bytes, page_bytes, &ret_heads[page],
			       ret_message);
		if (r == 0)
			r = failure(ret_message, UDS_ERR_OUT_OF_RANGE, "the chapter is gone");
	}
	slot_leave(volume->reader.slots, slot);
	return r < 0 ? volume_read_failure(volume, &claim, r, ret_message) : 0;
}

int volume_read_head(struct volume *volume, uint32_t slot, uint64_t *ret_vcn,
		     struct uds_message *ret_message)
{
	return chapter_read_head(&volume->reader, slot, ret_vcn, ret_message);
}
