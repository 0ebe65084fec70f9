/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bringing what the journal has on top of what was loaded or recovered.
 *
 * The journal tells of one open chapter, V, and the base has chapters up to C. If V is on the
 * volume, so are its records, and only the deletions count. If not, all entries are carried out in
 * their order. A deletion, which may be older than chapters that the base has, removes a name only
 * from chapters before the one that was open then, or from the open chapter, where this replay has
 * put it: a record of the chapters between was stored after the deletion.
 *
 * Nothing of this is written. If another number of zones leaves less room in the open chapter, so
 * that it has to be closed on the way, the header of the extras first says that the journal is to
 * be replayed in full once more although V is on the volume then. And what is closed first gets all
 * that the rest of the journal says of its names: once the chapter is sparse, a record in it is
 * found without an entry that leads there.
 */
#include "index/journal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/message.h"
#include "index/close_chapter.h"
#include "index/left_out.h"
#include "index/operation.h"
#include "index/pages.h"
#include "index/triage.h"

/* How many blocks are read at a time. */
#define READ_BLOCKS UINT64_C(64)

/* The next entry of a chain. */
struct chain_position {
	uint64_t block;
	uint32_t entry; /* of the block */
};

struct replayer {
	struct uds_index *index;
	const struct journal_found *found;
	bool skip_unreadable;
	bool whole;	/* V is not on the volume: stores count, too */
	uint64_t begin; /* C + 1 */
	uint64_t entries;
	struct chain_position at; /* behind the entries that became requests */

	/* The entries that are being carried out: for each zone in their order. */
	size_t count;
	struct journal_entry taken[BATCH_MAX];
	struct uds_request requests[BATCH_MAX];
	bool done[BATCH_MAX];
};

typedef int take_entry_fn(struct replayer *replayer, const struct journal_entry *entry,
			  struct uds_message *message);

/* ---- reading the journal ---- */

static int take_blocks(struct replayer *replayer, struct chain_position *at, const uint8_t *blocks,
		       uint64_t count, take_entry_fn *take, struct uds_message *message)
{
	const struct extras_area *area = &replayer->index->layout.extras;
	int r = 0;

	for (uint64_t i = 0; r == 0 && i < count; i++) {
		const uint8_t *block = blocks + i * BLOCK_BYTES;
		struct journal_entry entry;
		struct journal_head head;

		/* journal_read() has checked it. */
		if (!journal_check_block(area, at->block % area->journal_blocks, block, &head))
			return UDS_ERR_CORRUPT;
		while (r == 0 && at->entry < head.count) {
			journal_get_entry(block, at->entry++, &entry);
			r = take(replayer, &entry, message);
		}
		at->block++;
		at->entry = 0;
	}
	return r;
}

/* Takes the entries from @at on, which is behind an entry before it is taken. */
static int take_chain(struct replayer *replayer, struct chain_position *at, take_entry_fn *take,
		      struct uds_message *message)
{
	struct uds_index *index = replayer->index;
	const struct extras_area *area = &index->layout.extras;
	uint64_t end = replayer->found->end, n, left;
	uint64_t step = end - at->block < READ_BLOCKS ? end - at->block : READ_BLOCKS;
	uint8_t *blocks;
	int r = 0;

	if (step == 0)
		return 0;
	blocks = io_allocate_buffer(index->io, &index->env, step * BLOCK_BYTES);
	if (blocks == NULL)
		return -ENOMEM;
	while (r == 0 && at->block < end) {
		/* No read goes around the end of the area. */
		left = area->journal_blocks - at->block % area->journal_blocks;
		n = end - at->block < step ? end - at->block : step;
		n = n < left ? n : left;
		r = journal_read(index->io, area, at->block, n, blocks, message);
		if (r < 0)
			failure_in(message, r, "%s: extras: journal", uds_io_name(index->io));
		else
			r = take_blocks(replayer, at, blocks, n, take, message);
	}
	env_release(&index->env, blocks);
	return r;
}

/* ---- one entry ---- */

static void set_range(struct uds_request *request, uint64_t below, uint64_t from)
{
	put_le64(request->new_data.bytes, below);
	put_le64(request->new_data.bytes + 8, from);
}

static bool is_store(const struct operation *operation)
{
	return operation->kind == &request_replayed_store;
}

/*
 * Puts a record into the open chapter. @entered: what its entry in the volume index came to;
 * without one it is no record, as when a request finds no room for it.
 */
static int put_record(struct batch *batch, const struct operation *operation, int entered)
{
	const struct uds_request *request = operation->request;
	uint32_t room;

	if (entered == UDS_ERR_OVERFLOW) {
		batch->zone->counters.overflows++;
		return 0;
	}
	return entered < 0 ? entered
			   : open_zone_put(batch->zone->open, &request->name, &request->new_data,
					   &room);
}

/*
 * Whether the chapter of the name's entry is the one that could not be asked. If it is a sparse
 * chapter, which most names have no entry for, the entry is another name's.
 */
static bool is_meant(const struct operation *operation, const struct hint *hint)
{
	return hint->found && operation->hint.vcn == hint->vcn && operation->hint.status < 0;
}

/*
 * A name whose chapter is damaged, or is to be passed over, cannot be asked for: it is taken for
 * the one that is meant, as in a rebuild (replay.c).
 */
static int force(struct batch *batch, struct operation *operation)
{
	struct uds_index *index = batch->index;
	const struct uds_request *request = operation->request;
	struct hint hint;
	int r;

	volume_index_get(index->volume_index, &operation->place, &request->name, &hint);
	batch->zone->changed = true;
	if (!is_store(operation)) {
		if (is_meant(operation, &hint) && operation_may_remove(operation, hint.vcn)) {
			left_out_note_deletion(index, batch->zone, &request->name, hint.vcn);
			volume_index_remove(index->volume_index, &hint);
		}
		return 0;
	}
	r = is_meant(operation, &hint)
		    ? volume_index_set(index->volume_index, &hint, index->newest)
		    : volume_index_put(index->volume_index, &hint, &request->name, index->newest);
	return put_record(batch, operation, r);
}

static int take_steps(struct replayer *replayer, struct batch *batch, size_t i)
{
	struct operation *operation = &batch->operations[i];
	int r, status;

	for (;;) {
		switch (operation_step(batch, operation)) {
		case STEP_WANTS_PAGES:
			r = batch_read_pages(batch, i);
			if (r < 0)
				return r;
			break;
		case STEP_WANTS_CHAPTER_CLOSED:
			/*
			 * It is full now. The next request that needs room closes it: nothing
			 * is written here.
			 */
			operation_chapter_closed(operation, 0);
			break;
		default:
			status = operation->request->status;
			if (status == UDS_ERR_CORRUPT ||
			    (status < 0 && status != -ENOMEM && replayer->skip_unreadable))
				return force(batch, operation);
			return status;
		}
	}
}

/*
 * A name that has no entry, at an address whose ordinary entry is that of another name: it gets one
 * of its own, and has none to be removed.
 */
static int pass_by_other(struct batch *batch, struct operation *operation, struct hint *hint)
{
	const struct uds_record_name *name = &operation->request->name;
	struct uds_index *index = batch->index;

	if (!is_store(operation))
		return 0;
	batch->zone->changed = true;
	return put_record(batch, operation,
			  volume_index_put(index->volume_index, hint, name, index->newest));
}

/* What is found for the name from now on is the entry of another one. */
static void note_removed(struct uds_index *index, const struct name_place *place,
			 const struct uds_record_name *name)
{
	struct hint hint;

	volume_index_get(index->volume_index, place, name, &hint);
	if (hint.found)
		volume_index_note_removed(index->volume_index, place, name);
}

/* One operation; and what becomes known of the names of its address. */
static int carry_out(struct replayer *replayer, struct batch *batch, size_t i)
{
	struct operation *operation = &batch->operations[i];
	const struct uds_record_name *name = &operation->request->name;
	struct uds_index *index = replayer->index;
	struct hint hint;
	int r;

	volume_index_get(index->volume_index, &operation->place, name, &hint);
	if (hint.other && hint.vcn != index->newest)
		return pass_by_other(batch, operation, &hint);
	r = take_steps(replayer, batch, i);
	if (r == 0 && !is_store(operation) && operation->request->found)
		note_removed(index, &operation->place, name);
	return r < 0 ? r : volume_index_names_status(index->volume_index);
}

/* ---- before a chapter is closed on the way ---- */

/* An entry that is still to come: does what it does to a record of the open chapter. */
static int take_ahead(struct replayer *replayer, const struct journal_entry *entry,
		      struct uds_message *message)
{
	struct uds_index *index = replayer->index;
	struct uds_record_data *data;
	struct name_place place;
	struct index_zone *zone;
	struct hint hint;

	(void)message;
	volume_index_locate(index->volume_index, &entry->name, &place);
	zone = &index->zones[place.zone];
	data = open_zone_search(zone->open, &entry->name);
	/* A deletion that is carried on is older than all records of the open chapter. */
	if (data == NULL || entry->kind == JOURNAL_CARRIED)
		return 0;
	if (entry->kind == JOURNAL_STORE) {
		*data = entry->data;
		return 0;
	}
	volume_index_get(index->volume_index, &place, &entry->name, &hint);
	left_out_note_deletion(index, zone, &entry->name, index->newest);
	if (hint.found && hint.vcn == index->newest) {
		volume_index_remove(index->volume_index, &hint);
		note_removed(index, &place, &entry->name);
	}
	open_zone_remove(zone->open, &entry->name);
	zone->changed = true;
	return volume_index_names_status(index->volume_index);
}

/* All entries that are still to come, those of the requests first. */
static int look_ahead(struct replayer *replayer, struct uds_message *message)
{
	struct chain_position at = replayer->at;
	int r = 0;

	for (size_t i = 0; r == 0 && i < replayer->count; i++)
		if (!replayer->done[i])
			r = take_ahead(replayer, &replayer->taken[i], message);
	return r < 0 ? r : take_chain(replayer, &at, take_ahead, message);
}

/* Closes the open chapter, of which a part of the journal is in there, and another one is not. */
static int close_chapter(struct replayer *replayer, struct index_zone *zone,
			 struct uds_message *message)
{
	struct uds_index *index = replayer->index;
	struct extras_area *area = &index->layout.extras;
	int r;

	r = look_ahead(replayer, message);
	if (r < 0)
		return r;
	/*
	 * Durable before the chapter can be: with V on the volume and without this, the next
	 * opening would leave out the stores that are still to come.
	 */
	area->again_end = replayer->found->end;
	area->again_chapter = index->newest + 1;
	area->due = true;
	r = journal_write_header(index, message);
	return r < 0 ? r : index_close_chapter(index, zone);
}

/* Before a record is put into a zone that is full. */
static int make_room(struct replayer *replayer, struct batch *batch, struct operation *operation,
		     struct uds_message *message)
{
	struct uds_index *index = replayer->index;

	if (!is_store(operation) || !open_zone_is_full(batch->zone->open) ||
	    open_zone_search(batch->zone->open, &operation->request->name) != NULL)
		return 0;
	if (!index->read_only)
		return close_chapter(replayer, batch->zone, message);
	/* Nothing can be closed here. Not to be found is better than to be found with old data. */
	index->dropped_at_load++;
	operation->kind = &request_replayed_deletion;
	set_range(operation->request, UINT64_MAX, UINT64_MAX);
	return 0;
}

/* Deletions that no save has are carried on, by the journal that is written from now on. */
static void carry(struct replayer *replayer, const struct batch *batch,
		  const struct operation *operation)
{
	struct uds_index *index = replayer->index;
	uint64_t below = get_le64(operation->request->new_data.bytes);

	if (index->journal == NULL || is_store(operation))
		return;
	/* No chapter that was closed on the way has the name: see look_ahead(). */
	if (below > index->newest)
		below = index->newest;
	journal_add_deletion(index, &index->journal->zones[batch->zone->number],
			     &operation->request->name, below);
}

static int replay_batch(struct replayer *replayer, struct batch *batch, struct uds_message *message)
{
	int r = 0;

	for (size_t i = 0; i < batch->count && r == 0; i++) {
		struct operation *operation = &batch->operations[i];

		r = make_room(replayer, batch, operation, message);
		if (r < 0)
			break;
		carry(replayer, batch, operation);
		r = carry_out(replayer, batch, i);
		replayer->done[operation->request - replayer->requests] = true;
	}
	if (r < 0 && message->text[0] == '\0')
		failures_get(replayer->index->failures, message);
	triage_drop_chapters(batch);
	return r;
}

/* ---- many of them ---- */

static int submit(struct replayer *replayer, struct batch **batches, struct uds_request *request)
{
	struct uds_index *index = replayer->index;
	struct name_place place;
	struct batch *batch;

	volume_index_locate(index->volume_index, &request->name, &place);
	if (batches[place.zone] == NULL)
		batches[place.zone] = batch_take(index, &index->zones[place.zone]);
	batch = batches[place.zone];
	if (batch == NULL)
		return -ENOMEM;
	batch_add(batch, request, &place);
	batch->operations[batch->count - 1].kind =
		request->kind == UDS_DELETE ? &request_replayed_deletion : &request_replayed_store;
	return 0;
}

static int run_requests(struct replayer *replayer, struct uds_message *message)
{
	struct uds_index *index = replayer->index;
	struct batch *batches[MAXIMUM_ZONES] = { NULL };
	int r = 0;

	for (size_t i = 0; r == 0 && i < replayer->count; i++)
		r = submit(replayer, batches, &replayer->requests[i]);
	/* The locks are taken because the layers below let go of them. */
	for (unsigned int i = 0; i < index->zone_count; i++) {
		if (batches[i] == NULL)
			continue;
		pthread_mutex_lock(&index->zones[i].lock);
		if (r == 0)
			r = replay_batch(replayer, batches[i], message);
		batch_give(batches[i]);
		pthread_mutex_unlock(&index->zones[i].lock);
	}
	replayer->count = 0;
	memset(replayer->done, 0, sizeof(replayer->done));
	return r;
}

/*
 * Whether a deletion was written beside the save that was loaded, or beside one before it, and is
 * in there: the name has no entry then, and the one that is found may be that of another name.
 */
static bool is_in_save(const struct uds_index *index, const struct journal_entry *entry)
{
	return entry->kind != JOURNAL_STORE && entry->save != 0 && entry->save <= index->base_stamp;
}

static int take_entry(struct replayer *replayer, const struct journal_entry *entry,
		      struct uds_message *message)
{
	struct uds_request *request = &replayer->requests[replayer->count];

	/* V is on the volume, with its records as they were at the end. */
	if (entry->kind == JOURNAL_STORE && !replayer->whole)
		return 0;
	if (is_in_save(replayer->index, entry))
		return 0;
	memset(request, 0, sizeof(*request));
	request->name = entry->name;
	request->kind = UDS_DELETE;
	if (entry->kind == JOURNAL_STORE) {
		request->kind = UDS_UPDATE;
		request->new_data = entry->data;
	} else if (entry->kind == JOURNAL_DELETE) {
		/*
		 * When V is on the volume nothing was put into the open chapter here: what is in
		 * there is of a save, and newer.
		 */
		set_range(request, replayer->found->chapter,
			  replayer->whole ? replayer->begin : UINT64_MAX);
	} else {
		set_range(request, entry->chapter, UINT64_MAX);
	}
	replayer->taken[replayer->count++] = *entry;
	replayer->entries++;
	return replayer->count < BATCH_MAX ? 0 : run_requests(replayer, message);
}

/* These are no requests of callers. */
static void forget_counts(struct uds_index *index)
{
	for (unsigned int i = 0; i < index->zone_count; i++)
		memset(index->zones[i].counters.requests, 0,
		       sizeof(index->zones[i].counters.requests));
}

int journal_replay(struct uds_index *index, const struct journal_found *found, bool skip_unreadable,
		   struct uds_message *message)
{
	struct replayer *replayer = env_allocate_zeroed(&index->env, 1, sizeof(*replayer));
	int r;

	if (replayer == NULL)
		return -ENOMEM;
	replayer->index = index;
	replayer->found = found;
	replayer->skip_unreadable = skip_unreadable;
	replayer->begin = index->newest;
	replayer->whole = found->chapter >= index->newest;
	failures_begin(index->failures);
	replayer->at.block = found->tail;
	r = take_chain(replayer, &replayer->at, take_entry, message);
	if (r == 0)
		r = run_requests(replayer, message);
	forget_counts(index);
	if (r == 0 && replayer->entries > 0) {
		/* A save, if one is asked for, makes the next open quick. */
		index->must_save = true;
		env_log(&index->env, UDS_LOG_NOTICE,
			"%s: %" PRIu64 " entries of the journal, of chapter %" PRIu64
			", are brought in",
			uds_io_name(index->io), replayer->entries, found->chapter);
	}
	env_release(&index->env, replayer);
	return r;
}
