/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which blocks of the journal count when an index is opened, and what is said of those that do not.
 */
#include "index/journal.h"

#include <inttypes.h>

#include "base/message.h"

/*
 * Another program has written: a save that the extras do not know, or a chapter in the place of the
 * one that the journal goes on from. The journal is older than that.
 */
static bool is_void(struct uds_index *index, const struct journal_found *found)
{
	if (!layout_extras_know_saves(&index->layout))
		return true;
	return found->end > found->tail && found->chapter == index->newest && index->newest > 0 &&
	       volume_is_of_another(index->volume, index->newest - 1);
}

/* Whether another program has written chapters since, which takes nothing from the journal. */
static bool is_left_behind(struct uds_index *index)
{
	struct volume *volume = index->volume;
	uint64_t newest = index->newest;

	if (newest == 0)
		return false;
	if (volume_is_of_another(volume, newest - 1))
		return true;
	return newest > index->oldest + 1 && !volume_has_checksums(volume, newest - 1) &&
	       !volume_has_checksums(volume, newest - 2);
}

static void log_another(const struct uds_index *index, const char *what)
{
	env_log(&index->env, UDS_LOG_NOTICE,
		"%s: extras: another program has written to the index%s", uds_io_name(index->io),
		what);
}

/* From the next header on, the saves are known, and no block that is there counts. */
static void make_void(struct layout *layout, uint64_t next)
{
	struct extras_area *area = &layout->extras;

	area->journal_from = next;
	area->intent.slot = EXTRAS_NO_SLOT;
	for (unsigned int i = 0; i < EXTRAS_SAVES; i++) {
		area->save_checksums[i] = layout->saves.slots[i].checksum;
		area->save_journal[i] = next;
	}
	area->due = true;
}

/* Whether there was a flush, and in which chapter the first one was, as far as the header knows. */
static void begin_flushed(struct uds_index *index, bool has_blocks)
{
	uint64_t from = index->layout.extras.flushed_from;

	index->flushed = has_blocks || from > 0;
	/* It is the chapter plus one: 0 says that there was no flush. */
	if (from > index->left_out_from + 1)
		index->left_out_from = from - 1;
}

/* Changes are lost; @sentence says so. Returns 0 if that is allowed. */
static int lose_changes(struct uds_index *index, const struct uds_message *sentence,
			const struct uds_index_options *options, struct uds_message *message)
{
	if (!options->lose_records && options->mode != UDS_INDEX_RECOVER) {
		*message = *sentence;
		return UDS_ERR_WOULD_LOSE_RECORDS;
	}
	index->lost_changes = *sentence;
	env_log(&index->env, UDS_LOG_WARNING, "%s", sentence->text);
	return 0;
}

/*
 * No header is left that says which blocks count. A save has all of them if it was made when the
 * last chapter that they know of was closed; else nothing tells whether it has. The extras are not
 * needed to open an index, so this is logged, and for verify and repair to report.
 */
static int judge_headless(struct uds_index *index)
{
	const struct layout *layout = &index->layout;
	const struct save_slot *latest = saves_find_latest(&layout->saves);
	struct extras_area area;
	uint64_t blocks, chapter;
	int r;

	if (layout->extras.why.text[0] == '\0' || geometry_journal_blocks(&layout->geometry) == 0)
		return 0;
	extras_make(&layout->geometry, layout->extras.start, layout->super.volume_nonce, 0, &area);
	r = journal_find_headless(index->io, &index->env, &area, &blocks, &chapter);
	if (r < 0 || blocks == 0 || (latest != NULL && latest->save.newest > chapter))
		return r;
	failure(&index->lost_changes, 0,
		"%s: extras: %.300s; so the %" PRIu64
		" blocks of the journal do not count, and up to %" PRIu64
		" changes that no save may have are lost",
		uds_io_name(index->io), layout->extras.why.text, blocks,
		blocks * JOURNAL_BLOCK_ENTRIES);
	env_log(&index->env, UDS_LOG_WARNING, "%s", index->lost_changes.text);
	return 0;
}

/* Blocks that were durable once are missing. Returns 0 if that does not matter. */
static int judge_damage(struct uds_index *index, const struct journal_found *found,
			const struct uds_index_options *options, struct uds_message *message)
{
	uint64_t lost = journal_lost_blocks(found);
	struct uds_message sentence;

	if (lost == 0 || found->durable <= index->base_journal)
		return 0;
	failure(&sentence, 0,
		"%s: extras: journal: %" PRIu64
		" blocks that were written are damaged: up to %" PRIu64 " changes since are lost",
		uds_io_name(index->io), lost, lost * JOURNAL_BLOCK_ENTRIES);
	return lose_changes(index, &sentence, options, message);
}

static void start_journal(struct uds_index *index, const struct journal_found *found, bool kept)
{
	struct index_journal *journal = index->journal;

	if (journal == NULL)
		return;
	journal->next = found->next;
	journal->tail = kept ? found->tail : found->next;
	journal->durable = found->durable;
	journal->covered = index->base_journal;
}

int journal_recover(struct uds_index *index, const struct uds_index_options *options,
		    struct uds_message *message)
{
	struct journal_found found;
	bool counts;
	int r;

	/* What was flushed may be in there, and may be readable another time. */
	if (index->layout.extras.unreadable < 0 && !options->skip_unreadable)
		return failure(message, index->layout.extras.unreadable, "%s: extras: %.400s",
			       uds_io_name(index->io), index->layout.extras.why.text);
	if (!index->layout.extras.present)
		return judge_headless(index);
	if (index->layout.extras.journal_blocks == 0)
		return 0;
	layout_settle_intent(&index->layout);
	r = journal_find(index->io, &index->env, &index->layout.extras, options->skip_unreadable,
			 message, &found);
	if (r < 0)
		return message->text[0] != '\0'
			       ? failure_in(message, r, "%s", uds_io_name(index->io))
			       : r;
	if (is_void(index, &found)) {
		log_another(index, "; the journal from before is void");
		make_void(&index->layout, found.next);
		found.durable = found.tail = found.end = found.next;
	} else if (is_left_behind(index)) {
		log_another(index, "");
	}
	r = judge_damage(index, &found, options, message);
	if (r < 0)
		return r;
	counts = found.end > found.tail && found.end > index->base_journal;
	start_journal(index, &found, counts);
	begin_flushed(index, found.next > 1);
	/* When it was flushed, the chapters before had put theirs into it. */
	if (counts && found.chapter > index->left_out_from)
		index->left_out_from = found.chapter;
	if (counts && options->mode == UDS_INDEX_LOAD)
		return failure(message, UDS_ERR_NEEDS_RECOVERY,
			       "%s: the journal has changes that are in no save",
			       uds_io_name(index->io));
	return counts ? journal_replay(index, &found, options->skip_unreadable, message) : 0;
}

int journal_look(struct uds_io *io, const struct layout *layout, const struct uds_env *env,
		 uint64_t *ret_records, struct uds_message *message)
{
	const struct extras_area *area = &layout->extras;
	struct journal_found found;
	int r;

	*ret_records = 0;
	/* Of saves that the extras do not know, the journal is older: void. */
	if (!area->present || area->journal_blocks == 0 || !layout_extras_know_saves(layout))
		return 0;
	r = journal_find(io, env, area, false, message, &found);
	if (r == 0 && found.end > found.tail && found.end > layout_save_journal(layout))
		*ret_records = (found.end - found.tail) * JOURNAL_BLOCK_ENTRIES;
	return r;
}
