/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Repairing an index: what is damaged is found, reported together with what is lost by it, and
 * then, if no callback objects, mended: the config block (lost_block.h), chapters page by page
 * (volume/chapter_mend.h), everything else by a new save.
 *
 * Every step can be repeated. Until the new save is durable the one before is loaded, and chapters
 * that were mended by then are good for it as well.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/message.h"
#include "base/visibility.h"
#include "check/lost_block.h"
#include "check/placeholder.h"
#include "check/verify_private.h"
#include "index/rebuild.h"
#include "volume/chapter_mend.h"

struct repair {
	struct index_verify verify; /* reports */
	struct uds_message message; /* of an error */
	const struct uds_index_options *options;
	struct lost_block lost;
	struct chapter_mend *mend;
	bool *damaged;		   /* for each chapter from the oldest on */
	bool loses;		   /* records */
	bool renews_index;	   /* the volume index is made again from the chapters */
	bool has_instead;	   /* @instead is a record of the index */
	struct uds_record instead; /* of a chapter of which nothing is left */
	uint64_t done, total;	   /* progress, in chapters */
};

static int step(struct repair *repair)
{
	const struct uds_index_options *options = repair->options;

	if (options->progress != NULL &&
	    options->progress(options->progress_context, repair->done, repair->total) != 0)
		return UDS_ERR_STOPPED;
	repair->done++;
	return 0;
}

static void report_chapter(struct repair *repair, const struct chapter_verdict *verdict)
{
	const struct geometry *geometry = &repair->verify.index->geometry;
	struct uds_message sentence;

	if (verdict->dropped_pages == 0)
		failure(&sentence, 0,
			"%.400s; its index is made again, and no record page is dropped",
			verdict->why.text);
	else if (verdict->dropped_pages == geometry->record_pages_per_chapter)
		failure(&sentence, 0, "%.400s; all of its up to %" PRIu32 " records are lost",
			verdict->why.text, geometry->records_per_chapter);
	else
		failure(&sentence, 0,
			"%.380s; the up to %" PRIu64 " records of %" PRIu32 " of its %" PRIu32
			" record pages are lost",
			verdict->why.text,
			(uint64_t)verdict->dropped_pages * geometry->records_per_page,
			verdict->dropped_pages, geometry->record_pages_per_chapter);
	repair->loses |= verdict->dropped_pages > 0;
	verify_found(&repair->verify, &sentence);
}

/* A copy of a live record does no harm in another chapter: it has the data that a lookup finds. */
static void look_for_instead(struct repair *repair, uint64_t vcn, const uint8_t *records)
{
	struct uds_index *index = repair->verify.index;

	for (uint32_t i = 0; i < index->geometry.records_per_page && !repair->has_instead; i++) {
		struct uds_record record;
		struct name_place place;
		struct hint hint;

		memcpy(&record, records + (size_t)i * UDS_RECORD_BYTES, UDS_RECORD_BYTES);
		volume_index_locate(index->volume_index, &record.name, &place);
		volume_index_peek(index->volume_index, &place, &record.name, &hint);
		repair->has_instead = hint.found && hint.vcn == vcn;
		if (repair->has_instead)
			repair->instead = record;
	}
}

static int survey_chapter(struct repair *repair, uint64_t vcn)
{
	struct uds_index *index = repair->verify.index;
	struct chapter_verdict verdict;
	int r;

	r = step(repair);
	if (r == 0)
		r = chapter_mend_judge(repair->mend, vcn, &verdict);
	if (r < 0)
		return r;
	for (uint32_t p = 0; p < index->geometry.record_pages_per_chapter; p++) {
		const uint8_t *records = chapter_mend_records(repair->mend, p);

		if (chapter_mend_drops(repair->mend, p))
			continue;
		verify_note_led_to(&repair->verify, vcn, records);
		look_for_instead(repair, vcn, records);
	}
	if (chapter_is_damaged(&verdict)) {
		repair->damaged[vcn - index->oldest] = true;
		(void)led_entries_take(&repair->verify.led);
		report_chapter(repair, &verdict);
		/* As after a recovery that could not read its index, and a save. */
		if (verdict.dropped_pages < index->geometry.record_pages_per_chapter &&
		    repair->verify.hints[vcn - index->oldest] == 0)
			repair->renews_index = true;
	} else if (!verify_check_hints(&repair->verify, vcn)) {
		repair->renews_index = true;
	}
	return repair->verify.stopped ? UDS_ERR_STOPPED : 0;
}

/* A sentence that is no finding of its own: it says what a finding leads to. */
static __attribute__((format(printf, 2, 3))) void say(struct repair *repair, const char *format,
						      ...)
{
	struct index_verify *verify = &repair->verify;
	struct uds_message rest, sentence;
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(rest.text, sizeof(rest.text), format, arguments);
	va_end(arguments);
	failure(&sentence, 0, "%s: %.400s", uds_io_name(verify->io), rest.text);
	if (!verify->stopped && verify->found != NULL)
		verify->stopped = verify->found(verify->found_context, sentence.text) != 0;
}

/*
 * The index goes on without them, and the save that a repair ends with is written over one of them.
 */
static void report_unreadable_saves(struct repair *repair)
{
	const struct uds_index *index = repair->verify.index;

	for (unsigned int i = 0; i < SAVE_SLOTS; i++) {
		if (index->layout.saves.slots[i].state != SLOT_UNKNOWN)
			continue;
		repair->loses = true;
		say(repair, "what only save %u has, at most %" PRIu32 " records, is lost", i,
		    index->geometry.records_per_chapter);
	}
}

/*
 * Records of the open chapter without an entry, and entries that lead to none of its records: it is
 * records that were overwritten, or entries.
 */
static void report_open_chapter(struct repair *repair)
{
	const struct index_verify *verify = &repair->verify;
	const struct uds_index *index = verify->index;
	const uint64_t entries = verify->hints[index->newest - index->oldest];

	if (entries <= verify->open_led_to)
		return;
	repair->loses = true;
	say(repair,
	    "%" PRIu64 " volume index entries lead to no record of the open chapter; up to so many "
	    "records are lost",
	    entries - verify->open_led_to);
}

/* Reports everything that is damaged, and writes nothing. */
static int survey(struct repair *repair)
{
	struct index_verify *verify = &repair->verify;
	struct uds_index *index = verify->index;
	bool recovered = index->why_recovered.text[0] != '\0';
	uint64_t before;
	int r;

	repair->loses |= index->lost_changes.text[0] != '\0';
	r = verify_check_saves(verify);
	report_unreadable_saves(repair);
	before = verify->findings;
	verify_check_open_chapter(verify);
	repair->renews_index = verify->findings > before;
	if (r == 0)
		r = verify_count_hints(verify);
	if (r == 0 && repair->renews_index)
		report_open_chapter(repair);
	for (uint64_t vcn = index->oldest; r == 0 && vcn < index->newest; vcn++)
		r = survey_chapter(repair, vcn);
	if (r == 0 && verify->findings > 0 && (repair->renews_index || recovered))
		say(repair,
		    "the volume index is made again from the chapters; names that were deleted "
		    "may be found again");
	/* Chapters that were lost to the recovery are there after it. */
	repair->renews_index |= recovered;
	if (r == 0 && verify->stopped)
		r = UDS_ERR_STOPPED;
	return r;
}

/* The entries of the volume index that lead to what is gone. */
static void drop_hints(struct repair *repair, uint64_t vcn)
{
	const struct uds_index *index = repair->verify.index;

	for (uint32_t p = 0; p < index->geometry.record_pages_per_chapter; p++)
		verify_note_led_to(&repair->verify, vcn, chapter_mend_records(repair->mend, p));
	led_entries_keep_only(&repair->verify.led, vcn);
}

static int mend_chapter(struct repair *repair, uint64_t vcn, struct uds_message *message)
{
	struct chapter_verdict verdict;
	int r;

	r = step(repair);
	if (r == 0)
		r = chapter_mend_judge(repair->mend, vcn, &verdict);
	if (r == 0 && chapter_is_damaged(&verdict)) {
		r = chapter_mend_write(repair->mend, &repair->instead, message);
		if (r == 0 && !repair->renews_index)
			drop_hints(repair, vcn);
	} else if (r == 0) {
		chapter_mend_sum(repair->mend);
	}
	return r;
}

/* The open chapter's records stay in memory meanwhile. */
static int renew_volume_index(struct repair *repair, struct uds_message *message)
{
	struct uds_index *index = repair->verify.index;
	const uint64_t newest = index->newest, oldest = index->oldest;
	const struct rebuild_options rebuild = { .durable = newest, .skip_unreadable = true };
	int r;

	volume_index_free(index->volume_index);
	index->volume_index = NULL;
	r = index_rebuild(index, &rebuild, message);
	/* All chapters are good by now. */
	if (r == 0 && (index->newest != newest || index->oldest != oldest))
		r = failure(message, UDS_ERR_CORRUPT,
			    "chapters %" PRIu64 " to %" PRIu64 " are found, and not %" PRIu64
			    " to %" PRIu64,
			    index->oldest, index->newest, oldest, newest);
	return r < 0 ? r : index_enter_open_chapter(index, &rebuild, message);
}

static int mend(struct repair *repair, struct uds_message *message)
{
	struct uds_index *index = repair->verify.index;
	bool renew_extras = index->layout.extras.why.text[0] != '\0';
	int r = lost_block_write(&repair->lost, message);

	if (r == 0 && renew_extras)
		r = layout_renew_extras(&index->layout, index->io, &index->env, message);
	if (r == 0 && renew_extras)
		r = volume_read_checksums(index->volume, &index->layout);
	for (uint64_t vcn = index->oldest; r == 0 && vcn < index->newest; vcn++) {
		if (renew_extras || repair->damaged[vcn - index->oldest])
			r = mend_chapter(repair, vcn, message);
	}
	if (r == 0 && repair->renews_index)
		r = renew_volume_index(repair, message);
	/*
	 * The map has the chapter that was set last; what it should have is the one that was
	 * closed last (12.1).
	 */
	if (r == 0 && index->newest > 0)
		page_map_set_last_update(volume_page_map(index->volume), index->newest - 1);
	if (r < 0)
		return r;
	index->must_save = true;
	r = uds_index_save(index);
	if (r < 0)
		uds_index_error_message(index, message);
	return r;
}

/* Not inline: its sentences are not on the stack while the index is opened. */
static __attribute__((noinline)) int repair_index(struct repair *repair,
						  struct uds_message *message)
{
	struct uds_index *index = repair->verify.index;
	uint64_t chapters = index->newest - index->oldest;
	int r;

	repair->total = 2 * chapters;
	repair->damaged = env_allocate_zeroed(&index->env, chapters + 1, sizeof(bool));
	r = repair->damaged == NULL ? -ENOMEM : led_entries_make(index, &repair->verify.led);
	if (r == 0)
		r = chapter_mend_make(index->volume, &repair->mend);
	placeholder_make(index, &repair->instead);
	if (r == 0)
		r = survey(repair);
	if (r == 0 && repair->loses && !repair->options->lose_records)
		r = failure(message, UDS_ERR_WOULD_LOSE_RECORDS,
			    "%s: a repair loses records of what is damaged",
			    uds_io_name(repair->verify.io));
	repair->done = chapters;
	if (r == 0 && repair->verify.findings > 0)
		r = mend(repair, message);
	chapter_mend_free(repair->mend);
	led_entries_free(&repair->verify.led);
	env_release(&index->env, repair->verify.hints);
	env_release(&index->env, repair->damaged);
	return r;
}

/* Opens the index, if need be without the records that only a damaged save has. */
static int open_on(struct repair *repair, struct uds_io *io, struct uds_index_options *options,
		   struct uds_message *message)
{
	struct index_verify *verify = &repair->verify;
	struct uds_message lost = { "" };
	bool allowed = options->lose_records;
	int r;

	options->lose_records = false;
	r = uds_index_open(io, options, message, &verify->index);
	repair->loses = r == UDS_ERR_WOULD_LOSE_RECORDS;
	if (repair->loses) {
		verify_found(verify, message);
		options->lose_records = true;
		lost = *message;
		r = verify->stopped ? UDS_ERR_STOPPED
				    : uds_index_open(io, options, message, &verify->index);
	}
	/* Reported once. */
	if (r == 0 && strcmp(verify->index->lost_changes.text, lost.text) == 0)
		verify->index->lost_changes.text[0] = '\0';
	options->lose_records = allowed;
	return r;
}

/* Opens the index, if need be with a block in its place that is damaged on the device. */
static int open_index(struct repair *repair, struct uds_io *io, struct uds_index_options *options,
		      const struct uds_env *env, struct uds_message *message)
{
	int r = open_on(repair, io, options, message);

	if (!lost_block_may_be(r))
		return r;
	r = lost_block_find(io, options, env, r, message, &repair->lost);
	if (r < 0)
		return r;
	verify_found(&repair->verify, message);
	if (repair->verify.stopped)
		return failure(message, UDS_ERR_STOPPED, "%s: %s", uds_io_name(io),
			       uds_strerror(UDS_ERR_STOPPED));
	repair->verify.io = repair->lost.whole;
	return open_on(repair, repair->lost.whole, options, message);
}

static int repair_and_close(struct repair *repair, struct uds_io *io,
			    struct uds_index_options *options, const struct uds_env *env,
			    struct uds_message *message)
{
	int r = open_index(repair, io, options, env, message);

	if (r == 0) {
		r = repair_index(repair, message);
		/* Closing has nothing to report: no chapter was closed. */
		uds_index_close(repair->verify.index);
	}
	lost_block_free(&repair->lost);
	if (r < 0 && message->text[0] == '\0')
		failure(message, r, "%s: %s", uds_io_name(io), uds_strerror(r));
	return r;
}

UDS_PUBLIC int uds_index_repair(struct uds_io *io, const struct uds_index_options *options,
				uds_finding_fn found, void *found_context,
				struct uds_message *ret_message, uint64_t *ret_findings)
{
	struct uds_index_options o = UDS_INDEX_OPTIONS_INIT;
	struct repair *repair;
	struct uds_env env;
	int r;

	r = index_take_options(options, &o, &env, ret_message);
	if (r < 0)
		return r;
	/* Not on the stack, of which opening an index takes most of what a call may use. */
	repair = env_allocate_zeroed(&env, 1, sizeof(*repair));
	if (repair == NULL)
		return failure(ret_message, -ENOMEM, "%s: %s", uds_io_name(io),
			       uds_strerror(-ENOMEM));
	repair->verify.io = io;
	repair->verify.found = found;
	repair->verify.found_context = found_context;
	repair->options = &o;
	env.log = verify_say_nothing;
	o.env = &env;
	o.mode = UDS_INDEX_LOAD_OR_RECOVER;
	o.skip_unreadable = true;
	r = repair_and_close(repair, io, &o, &env, &repair->message);
	if (r < 0 && ret_message != NULL)
		*ret_message = repair->message;
	if (r == 0 && ret_findings != NULL)
		*ret_findings = repair->verify.findings;
	env_release(&env, repair);
	return r;
}
