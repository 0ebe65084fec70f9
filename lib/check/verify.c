/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checking everything that the format allows to check, without changing anything: the layout and
 * the saves, then chapter by chapter the pages, and whether index and records agree.
 *
 * An index that has to be recovered is not damaged by that alone. It is recovered in memory, and
 * its chapters are checked all the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/message.h"
#include "base/visibility.h"
#include "chapter/record_page.h"
#include "check/verify_private.h"
#include "geometry/name_bits.h"
#include "index/index.h"
#include "index/load.h"
#include "volume/chapter_stream.h"
#include "volume/chapter_view.h"

/* For sentences that name the I/O themselves. */
void verify_found(struct index_verify *verify, const struct uds_message *message)
{
	if (verify->stopped)
		return;
	verify->findings++;
	if (verify->found != NULL)
		verify->stopped = verify->found(verify->found_context, message->text) != 0;
}

static void finding(struct index_verify *verify, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void finding(struct index_verify *verify, const char *format, ...)
{
	struct uds_message sentence;
	va_list args;
	int n;

	/*
	 * The I/O's name in front, as in all sentences of the library; too long a name leaves the
	 * rest out.
	 */
	n = snprintf(sentence.text, sizeof(sentence.text), "%s: ", uds_io_name(verify->io));
	va_start(args, format);
	if (n > 0 && (size_t)n < sizeof(sentence.text))
		vsnprintf(sentence.text + n, sizeof(sentence.text) - (size_t)n, format, args);
	va_end(args);
	verify_found(verify, &sentence);
}

int verify_check_saves(struct index_verify *verify)
{
	struct uds_index *index = verify->index;
	const struct save *save;
	int invalidated;

	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		const struct save_slot *slot = &index->layout.saves.slots[i];

		if (slot->state == SLOT_DAMAGED || slot->state == SLOT_UNKNOWN)
			finding(verify, "save %u: %s", i, slot->why.text);
	}
	/* It says why the extras do not count, too. */
	if (index->lost_changes.text[0] != '\0')
		verify_found(verify, &index->lost_changes);
	else if (index->layout.extras.why.text[0] != '\0')
		finding(verify, "extras: %s", index->layout.extras.why.text);
	/*
	 * Nothing was recovered, or no save counts: then there is nothing that could contradict it.
	 */
	if (index->why_recovered.text[0] == '\0' ||
	    saves_latest(&index->layout.saves, &index->geometry, NULL, &save) < 0)
		return 0;
	invalidated = save_was_invalidated(index, save, NULL);
	if (invalidated == -ENOMEM)
		return invalidated;
	/* A wiped open chapter is how a save ends (15.4): that is no damage. */
	if (invalidated != 1)
		verify_found(verify, &index->why_recovered);
	return 0;
}

/* The lists of each index page, against the page map of the save. */
static void check_page_map(struct index_verify *verify, const struct chapter_view *view)
{
	const struct geometry *geometry = &verify->index->geometry;

	for (uint32_t i = 0; i < geometry->index_pages_per_chapter; i++) {
		const struct index_page_head *head = &view->heads[i];
		struct page_bounds bounds =
			page_map_page(volume_page_map(verify->index->volume), view->slot, i);

		/* Empty pages at the end have no lists that a lookup could miss. */
		if (head->list_count == 0 || (bounds.first_list == head->first_list &&
					      bounds.list_count == head->list_count))
			continue;
		finding(verify,
			"chapter %" PRIu64 " in slot %" PRIu32 ", index page %" PRIu32
			": it holds %" PRIu32 " lists from %" PRIu32
			" on, but the page map says %" PRIu32 " from %" PRIu32 " on",
			view->vcn, view->slot, i, head->list_count, head->first_list,
			bounds.list_count, bounds.first_list);
	}
}

void verify_note_led_to(struct index_verify *verify, uint64_t vcn, const uint8_t *records)
{
	uint32_t count = verify->index->geometry.records_per_page;

	for (uint32_t i = 0; i < count; i++) {
		struct uds_record_name name;

		memcpy(&name, records + (size_t)i * UDS_RECORD_BYTES, sizeof(name));
		/* Copies of the fill record count once (10.4). */
		if (find_in_page(records, count, &name) != i)
			continue;
		led_entries_add(&verify->led, vcn, &name);
	}
}

/*
 * Some volume index entries may lead to a chapter that has no record of their place: the reference
 * implementation leaves those of records that it drops at a load, and makes a second entry for fill
 * records in a recovery. But these are few, and an index of this library has none.
 */
static uint64_t tolerated_hints(uint64_t hints)
{
	return hints / 64 + 16;
}

bool verify_check_hints(struct index_verify *verify, uint64_t vcn)
{
	uint64_t hinted = led_entries_take(&verify->led);
	uint64_t hints = verify->hints[vcn - verify->index->oldest];

	if (hinted + tolerated_hints(hints) >= hints)
		return true;
	finding(verify,
		"chapter %" PRIu64 " in slot %" PRIu32 ": %" PRIu64 " of %" PRIu64
		" volume index entries for it lead to no record",
		vcn, geometry_physical_chapter(&verify->index->geometry, vcn), hints - hinted,
		hints);
	return false;
}

/*
 * What makes a chapter whole (whole_chapter.h), place by place; and whether the
 * volume index agrees.
 */
static int check_records(struct index_verify *verify, const struct chapter_view *view)
{
	struct uds_index *index = verify->index;
	uint64_t entries = 0, astray = 0;
	int r;

	/* Every page, even after a finding: the user wants to know how much is damaged. */
	for (uint32_t p = 0; p < index->geometry.record_pages_per_chapter; p++) {
		uint32_t bad;

		if (!record_page_check(chapter_view_record_page(view, p),
				       index->geometry.records_per_page, &bad))
			finding(verify,
				"chapter %" PRIu64 " in slot %" PRIu32 ", record page %" PRIu32
				": record %" PRIu32 " is out of order",
				view->vcn, view->slot, p, bad);
		verify_note_led_to(verify, view->vcn, chapter_view_record_page(view, p));
	}
	r = chapter_view_count_astray(view, &entries, &astray);
	if (r < 0)
		return r;
	if (astray > 0)
		finding(verify,
			"chapter %" PRIu64 " in slot %" PRIu32 ": %" PRIu64 " of %" PRIu64
			" chapter index entries lead to no record",
			view->vcn, view->slot, astray, entries);
	(void)verify_check_hints(verify, view->vcn);
	return 0;
}

/* Every page against its checksums, where they are known. */
static int check_sums(struct index_verify *verify, const struct chapter_view *view,
		      struct uds_message *message)
{
	for (uint32_t page = 0; page < view->geometry->pages_per_chapter; page++) {
		int r = chapter_view_check_page(view, page, message);

		if (r == -ENOMEM)
			return r;
		if (r < 0)
			verify_found(verify, message);
	}
	return 0;
}

static int check_chapter(struct index_verify *verify, struct chapter_view *view, uint64_t vcn,
			 const struct streamed_chapter *streamed)
{
	struct uds_message message;
	int r, checked;

	/* Findings, not failures: the next chapter is checked all the same. */
	if (streamed->status < 0) {
		finding(verify, "chapter %" PRIu64 " in slot %" PRIu32 ": %s", vcn, streamed->slot,
			uds_strerror(streamed->status));
		return 0;
	}
	r = chapter_view_set(view, vcn, streamed->pages, &message);
	if (r < 0)
		verify_found(verify, &message);
	checked = check_sums(verify, view, &message);
	if (checked < 0 || r < 0)
		return checked;
	check_page_map(verify, view);
	return check_records(verify, view);
}

static int check_chapters(struct index_verify *verify, const struct uds_index_options *options)
{
	struct uds_index *index = verify->index;
	uint32_t count = (uint32_t)(index->newest - index->oldest);
	struct chapter_stream *stream = NULL;
	struct streamed_chapter streamed;
	struct chapter_view view = { 0 };
	uint32_t *slots;
	int r;

	slots = env_allocate(&index->env, (uint64_t)count + 1, sizeof(*slots));
	if (slots == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++)
		slots[i] = geometry_physical_chapter(&index->geometry, index->oldest + i);
	r = chapter_view_make(index->volume, &view);
	if (r == 0)
		r = chapter_stream_open(index->volume, CHAPTER_ALL_PAGES, slots, count, 1, &stream);
	for (uint64_t i = 0; r == 0 && chapter_stream_next(stream, &streamed); i++) {
		/* Before the chapter and not after it, so that a stop takes effect at once. */
		if (options->progress != NULL &&
		    options->progress(options->progress_context, i, count) != 0)
			r = UDS_ERR_STOPPED;
		else
			r = check_chapter(verify, &view, index->oldest + i, &streamed);
		if (r == 0 && verify->stopped)
			r = UDS_ERR_STOPPED;
	}
	chapter_stream_close(stream);
	chapter_view_free(&view);
	env_release(&index->env, slots);
	return r;
}

void verify_check_open_chapter(struct index_verify *verify)
{
	struct uds_index *index = verify->index;
	uint64_t without = 0, records = 0;

	for (unsigned int z = 0; z < index->zone_count; z++) {
		const struct open_zone *zone = index->zones[z].open;

		for (uint32_t n = 1; n <= zone->size; n++) {
			const struct uds_record_name *name = &zone->records[n - 1].name;
			struct hint record;
			struct name_place place;

			if (open_zone_is_removed(zone, n))
				continue;
			volume_index_locate(index->volume_index, name, &place);
			volume_index_peek(index->volume_index, &place, name, &record);
			without += !record.found || record.vcn != index->newest;
			records++;
		}
	}
	verify->open_led_to = records - without;
	if (without > 0)
		finding(verify,
			"open chapter of the save: %" PRIu64 " of %" PRIu64
			" records have no volume index entry",
			without, records);
}

static int count_hint(void *context, const struct list_entry *entry)
{
	struct index_verify *verify = context;
	struct uds_index *index = verify->index;

	/*
	 * Entries of chapters that are gone are no damage: they are swept when their list is next
	 * looked at (13.3).
	 */
	if (!entry->stale && entry->vcn >= index->oldest && entry->vcn <= index->newest)
		verify->hints[entry->vcn - index->oldest]++;
	return 0;
}

int verify_count_hints(struct index_verify *verify)
{
	struct uds_index *index = verify->index;

	verify->hints = env_allocate_zeroed(&index->env, index->newest - index->oldest + 1,
					    sizeof(*verify->hints));
	if (verify->hints == NULL)
		return -ENOMEM;
	for (int sub = SUB_INDEX_DENSE; sub <= SUB_INDEX_HOOK; sub++) {
		uint32_t lists = volume_index_list_count(index->volume_index, (enum sub_index)sub);

		for (uint32_t i = 0; i < lists; i++)
			volume_index_walk(index->volume_index, (enum sub_index)sub, i, count_hint,
					  verify);
	}
	return 0;
}

/* Not a part of its caller: opening an index and looking at it need no stack at the same time. */
static __attribute__((noinline)) int check_all(struct index_verify *verify,
					       const struct uds_index_options *options)
{
	int r;

	r = verify_check_saves(verify);
	verify_check_open_chapter(verify);
	if (r == 0 && verify->stopped)
		r = UDS_ERR_STOPPED;
	/*
	 * Counted once for all chapters: a walk for each would go over the whole volume index every
	 * time.
	 */
	if (r == 0)
		r = verify_count_hints(verify);
	if (r == 0)
		r = led_entries_make(verify->index, &verify->led);
	if (r == 0)
		r = check_chapters(verify, options);
	led_entries_free(&verify->led);
	env_release(&verify->index->env, verify->hints);
	return r;
}

void verify_say_nothing(void *context, enum uds_log_level level, const char *sentence)
{
	(void)context;
	(void)level;
	(void)sentence;
}

UDS_PUBLIC int uds_index_verify(struct uds_io *io, const struct uds_index_options *options,
				uds_finding_fn found, void *found_context,
				struct uds_message *ret_message, uint64_t *ret_findings)
{
	struct index_verify verify = { .io = io, .found = found, .found_context = found_context };
	struct uds_index_options o = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_env env;
	int r;

	r = index_take_options(options, &o, &env, ret_message);
	if (r < 0)
		return r;
	/* The caller's allocator and clock, but not the caller's log. */
	env.log = verify_say_nothing;
	o.env = &env;
	o.mode = UDS_INDEX_READ_ONLY;
	/* What is damaged, and what cannot be read, is what is looked for. */
	o.lose_records = true;
	o.skip_unreadable = true;
	r = uds_index_open(io, &o, &message, &verify.index);
	/*
	 * What keeps the index from being opened is a finding as well, and there is nothing left to
	 * look at.
	 */
	if (r == UDS_ERR_CORRUPT) {
		verify_found(&verify, &message);
		r = verify.stopped ? failure(&message, UDS_ERR_STOPPED, "%s: %s", uds_io_name(io),
					     uds_strerror(UDS_ERR_STOPPED))
				   : 0;
	} else if (r == 0) {
		r = check_all(&verify, &o);
		if (r < 0)
			failure(&message, r, "%s: %s", uds_io_name(io), uds_strerror(r));
		uds_index_close(verify.index);
	}
	if (r < 0) {
		if (ret_message != NULL)
			*ret_message = message;
		return r;
	}
	if (ret_findings != NULL)
		*ret_findings = verify.findings;
	return 0;
}
