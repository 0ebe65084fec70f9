/* SPDX-License-Identifier: BSD-2-Clause */
/* Making an index on an I/O, opening it, and ending it. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "index/batch.h"
#include "index/checkpoint.h"
#include "index/close_chapter.h"
#include "index/journal.h"
#include "index/left_out.h"
#include "index/load.h"
#include "index/queue.h"
#include "index/rebuild.h"
#include "index/save.h"
#include "index/saved_records.h"
#include "index/unconfirmed.h"

/* Bytes of chapters for which threads that help to open are worth it. */
#define WORTH_THREADS (UINT64_C(4) << 20)

UDS_PUBLIC int uds_index_format(struct uds_io *io, const struct uds_configuration *configuration,
				const struct uds_index_format_options *options,
				struct uds_message *ret_message)
{
	struct uds_index_format_options o = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct layout_options layout;
	struct uds_env env;
	int r = 0;

	if (options != NULL)
		r = STRUCT_IN(&o, options, uds_index_format_options, nonce_data, ret_message);
	if (r == 0)
		r = env_take(o.env, ret_message, &env);
	if (r < 0)
		return r;
	layout = (struct layout_options){
		.offset = o.offset,
		.size_limit = o.size_limit,
		.nonce_data = o.nonce_data,
		.extras = !o.no_extras,
		.progress = o.progress,
		.progress_context = o.progress_context,
	};
	return layout_create(io, &env, configuration, &layout, ret_message);
}

int index_take_options(const struct uds_index_options *given, struct uds_index_options *ret_options,
		       struct uds_env *ret_env, struct uds_message *ret_message)
{
	int r = 0;

	if (given != NULL)
		r = STRUCT_IN(ret_options, given, uds_index_options, skip_unreadable, ret_message);
	return r < 0 ? r : env_take(ret_options->env, ret_message, ret_env);
}

static int make_zones(struct uds_index *index)
{
	uint32_t capacity = index->geometry.records_per_chapter / index->zone_count;
	size_t bytes = index->zone_count * sizeof(*index->zones);
	int r = 0;

	/*
	 * Each zone has cache lines of its own, or threads in different zones would
	 * slow each other.
	 */
	index->zones = env_allocate_aligned(&index->env, bytes, CACHE_LINE);
	if (index->zones == NULL)
		return -ENOMEM;
	memset(index->zones, 0, bytes);
	/* All locks first: free_zones() destroys every one of them, whatever fails below. */
	for (unsigned int i = 0; i < index->zone_count; i++) {
		index->zones[i].number = i;
		pthread_mutex_init(&index->zones[i].lock, NULL);
		pthread_mutex_init(&index->zones[i].batches_lock, NULL);
	}
	for (unsigned int i = 0; r == 0 && i < index->zone_count; i++) {
		r = batch_pool_make(index, &index->zones[i]);
		if (r == 0)
			r = open_zone_make(&index->env, capacity, &index->zones[i].open);
		/* Nothing is closed without writing, so a reader needs one buffer only. */
		if (r == 0 && !index->read_only)
			r = open_zone_make(&index->env, capacity, &index->zones[i].closing);
	}
	return r;
}

static void free_zones(struct uds_index *index)
{
	for (unsigned int i = 0; index->zones != NULL && i < index->zone_count; i++) {
		batch_pool_free(index, &index->zones[i]);
		open_zone_free(index->zones[i].open);
		open_zone_free(index->zones[i].closing);
		pthread_mutex_destroy(&index->zones[i].batches_lock);
		pthread_mutex_destroy(&index->zones[i].lock);
	}
	env_release(&index->env, index->zones);
}

/* A thread takes longer to begin than it takes to go through a few chapters. */
static unsigned int threads_for(const struct geometry *geometry,
				const struct uds_index_options *options)
{
	unsigned int threads = options->threads;

	if (threads == 0 && (uint64_t)geometry->chapters_per_volume * geometry->pages_per_chapter *
					    geometry->page_bytes <
				    WORTH_THREADS)
		return 1;
	if (threads == 0)
		return crew_processors();
	return threads < CREW_MOST ? threads : CREW_MOST;
}

/* Everything below the volume index, ready to be filled. */
static int make_layers(struct uds_index *index, const struct uds_index_options *options)
{
	int r;

	index->threads = threads_for(&index->geometry, options);
	r = volume_open(index->io, &index->layout, options->cache_bytes, options->engine,
			&index->env, &index->volume);
	if (r == 0)
		r = volume_read_checksums(index->volume, &index->layout);
	if (r == 0 && index->layout.extras.why.text[0] != '\0')
		env_log(&index->env, UDS_LOG_WARNING, "extras: %.400s",
			index->layout.extras.why.text);
	if (r == 0)
		r = make_zones(index);
	if (r == 0 && index->sparse)
		r = sparse_cache_make(&index->env, index->geometry.cache_chapters,
				      index->zone_count, &index->cache);
	/* The writer last: its thread uses everything else from the start. */
	if (r == 0 && !index->read_only)
		r = chapter_writer_make(index->volume, &index->layout, NULL, NULL, &index->writer);
	return r;
}

/* Records of a saved open chapter that are gone, or would be. */
static int lose_saved_records(struct uds_index *index, const struct saved_records *saved,
			      const struct uds_index_options *options, struct uds_message *message)
{
	struct uds_message sentence;

	failure(&sentence, 0,
		"%s: save %u is damaged (%.300s), and a recovery loses the %s%" PRIu64
		" records of its open chapter",
		uds_io_name(index->io), saved->save.slot, saved->why.text,
		saved->intact ? "" : "up to ", saved->count);
	if (!options->lose_records) {
		*message = sentence;
		return UDS_ERR_WOULD_LOSE_RECORDS;
	}
	env_log(&index->env, UDS_LOG_WARNING, "%s", sentence.text);
	return 0;
}

/* After a rebuild: puts the records back that only the save has. */
static int keep_saved_records(struct uds_index *index, struct saved_records *saved,
			      const struct rebuild_options *rebuild,
			      const struct uds_index_options *options, struct uds_message *message)
{
	int r;

	/* Chapters were written after the save: they have these records, or newer ones. */
	if (!saved->there || index->newest > saved->save.newest)
		return 0;
	/* Damaged: what can be read of it is not what was saved. */
	if (!saved->intact)
		return lose_saved_records(index, saved, options, message);
	r = index_load_saved_records(index, &saved->save, &saved->why);
	/*
	 * The head was good and the records are not; or they cannot be read, and the caller accepts
	 * that.
	 */
	if (r == UDS_ERR_CORRUPT || (r < 0 && r != -ENOMEM && options->skip_unreadable))
		return lose_saved_records(index, saved, options, message);
	if (r < 0) {
		*message = saved->why;
		return r;
	}
	/*
	 * After the rebuild, so that of two records of one name the one in the open chapter wins:
	 * it is the newer.
	 */
	r = index_enter_open_chapter(index, rebuild, message);
	if (r < 0)
		return r;
	index->left_out_from = index->newest;
	/* The journal up to the save has older ones. */
	if (saves_find_latest(&index->layout.saves) == &index->layout.saves.slots[saved->save.slot])
		index->base_journal = layout_save_journal(&index->layout);
	/*
	 * Until a save is committed these records are nowhere else: it must go to the other slot.
	 */
	index->layout.saves.slots[saved->save.slot].precious = true;
	/* Its volume index, if it has one, is not loaded: it uses no slot. */
	index->layout.saves.slots[saved->save.slot].save.lowest = index->newest;
	env_log(&index->env, UDS_LOG_NOTICE,
		"%s: the %" PRIu64 " records of the open chapter of save %u are kept",
		uds_io_name(index->io), saved->count, saved->save.slot);
	return 0;
}

/*
 * The index goes on without the latest save. The chapter that this has open will be another one
 * than the save knows of, so no later recovery may begin with it.
 */
static void abandon_save(struct uds_index *index)
{
	struct save_slot *latest = saves_latest_slot(&index->layout.saves);

	if (latest != NULL && index->layout.extras.present && !index->began_with_save &&
	    !latest->precious)
		latest->abandoned = true;
}

static int recover(struct uds_index *index, const struct uds_index_options *options,
		   struct uds_message *message)
{
	struct rebuild_options rebuild = {
		.use_save = options->mode != UDS_INDEX_RECOVER,
		.skip_unreadable = options->skip_unreadable,
		.progress = options->progress,
		.progress_context = options->progress_context,
	};
	struct saved_records saved = { 0 };
	int r = 0;

	/* In that mode saves are not to be used, in no part. */
	if (options->mode != UDS_INDEX_RECOVER)
		r = saved_records_find(index->io, &index->layout, &index->env,
				       options->skip_unreadable, message, &saved);
	if (r < 0)
		return r;
	/*
	 * Chapters before the open one of a save were durable by then, so they need no check for
	 * being whole.
	 */
	rebuild.durable = saved.save.newest;
	/* A recovery after a crash is normal; one after damage deserves a warning. */
	env_log(&index->env, index->save_damaged ? UDS_LOG_WARNING : UDS_LOG_NOTICE,
		"%.400s; the index is recovered from its chapters", index->why_recovered.text);
	r = index_rebuild(index, &rebuild, message);
	if (r < 0)
		return r;
	r = keep_saved_records(index, &saved, &rebuild, options, message);
	if (r == 0)
		abandon_save(index);
	return r;
}

/*
 * An error ends the load; with skip_unreadable a save that cannot be read counts as a damaged one.
 */
static int load(struct uds_index *index, const struct uds_index_options *options,
		struct uds_message *message)
{
	int r;

	if (options->mode == UDS_INDEX_RECOVER)
		return failure(message, UDS_ERR_NEEDS_RECOVERY, "%s: its saves are not to be used",
			       uds_io_name(index->io));
	r = index_load(index, message);
	if (r == 0) {
		index->base_journal = layout_save_journal(&index->layout);
		index->base_stamp = saves_latest_slot(&index->layout.saves)->save.timestamp;
		index->left_out_from = index->newest;
		index->saved_chapter = index->newest;
	}
	if (r == 0 && !options->lose_records)
		return index_check_headless_saves(index, options->skip_unreadable, message);
	/*
	 * Passed on as they are: each would come back in a recovery, or is for the user to decide.
	 */
	if (r >= 0 || r == -ENOMEM || r == -EINVAL || r == UDS_ERR_MISMATCH)
		return r;
	return options->skip_unreadable ? UDS_ERR_NEEDS_RECOVERY : r;
}

static int load_or_recover(struct uds_index *index, const struct uds_index_options *options,
			   struct uds_message *message)
{
	int r, empty;

	r = load(index, options, message);
	if (r != UDS_ERR_NEEDS_RECOVERY)
		return r;
	/* What comes of this is in no save: the next save must write, also without a change. */
	index->must_save = true;
	index->why_recovered = *message;
	/* It is not why anything fails from here on. */
	message->text[0] = '\0';
	/* A new index has nothing to recover, so it also opens where only loading is allowed. */
	if (options->mode == UDS_INDEX_LOAD) {
		empty = index_is_empty(index, message);
		if (empty < 0)
			return empty;
		if (empty == 0) {
			*message = index->why_recovered;
			return r;
		}
	}
	return recover(index, options, message);
}

static int read_layout(struct uds_index *index, const struct uds_index_options *options,
		       struct uds_message *message)
{
	int r;

	r = layout_read(index->io, options->offset, message, &index->layout);
	if (r < 0)
		return r;
	index->geometry = index->layout.geometry;
	index->sparse = geometry_is_sparse(&index->geometry);
	/* Before anything is built: the check is about which index this is. */
	if (options->check_nonce)
		return layout_check_nonce(index->io, &index->layout, options->nonce, message);
	return 0;
}

static int check_options(struct uds_io *io, const struct uds_index_options *options,
			 struct uds_message *message)
{
	if (options->zones > MAXIMUM_ZONES)
		return failure(message, -EINVAL, "%u zones: 1 to %u are possible", options->zones,
			       MAXIMUM_ZONES);
	if (options->mode > UDS_INDEX_RECOVER)
		return failure(message, -EINVAL, "open mode %d does not exist", options->mode);
	if (options->mode != UDS_INDEX_READ_ONLY && uds_io_is_read_only(io))
		return failure(message, UDS_ERR_READ_ONLY,
			       "%s: it was opened read-only, and the index is to be changed",
			       uds_io_name(io));
	return 0;
}

static int open_index(struct uds_index *index, const struct uds_index_options *options,
		      struct uds_message *message)
{
	int r;

	r = check_options(index->io, options, message);
	if (r == 0)
		r = read_layout(index, options, message);
	/*
	 * By default an unreadable save ends the open: it may be the latest, and be readable
	 * another time.
	 */
	if (r == 0 && !options->skip_unreadable)
		r = saves_check_readable(&index->layout.saves, message);
	if (r == 0)
		r = make_layers(index, options);
	if (r == 0)
		r = journal_make(index);
	if (r == 0 && !index->read_only)
		r = saver_make(index);
	if (r == 0)
		r = crew_make(&index->env, index->threads, &index->crew);
	if (r == 0)
		r = load_or_recover(index, options, message);
	/* No threads outlast the opening but the chapter writer's and the checkpointer's. */
	crew_free(index->crew);
	index->crew = NULL;
	if (r == 0)
		r = journal_recover(index, options, message);
	/* After the deletions of the journal, which need them. */
	if (r == 0)
		unconfirmed_forget(index);
	/* Last: what the journal has of a name is newer, and its deletions are older. */
	if (r == 0)
		r = left_out_recover(index, options->skip_unreadable, message);
	if (r == 0)
		r = volume_index_names_status(index->volume_index);
	if (r == 0) {
		volume_index_forget_names(index->volume_index);
		journal_attach(index);
		r = journal_settle(index, message);
	}
	/* Its thread uses all of the index from the start. */
	if (r == 0)
		r = checkpointer_make(index, options->checkpoint_interval);
	return r;
}

int index_try_load(struct uds_io *io, const struct layout *layout, const struct uds_env *env,
		   struct uds_message *message)
{
	const struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_index *index;
	int r;

	index = env_allocate_zeroed(env, 1, sizeof(*index));
	if (index == NULL)
		return -ENOMEM;
	index->env = *env;
	index->shared.env = &index->env;
	index->io = io;
	index->zone_count = 1;
	/* Nothing is written, and no writer thread is started. */
	index->read_only = true;
	index->layout = *layout;
	index->geometry = layout->geometry;
	index->sparse = geometry_is_sparse(&index->geometry);
	r = failures_make(env, &index->failures);
	if (r == 0)
		r = make_layers(index, &options);
	if (r == 0)
		r = index_load(index, message);
	if (r == 0)
		r = index_check_headless_saves(index, false, message);
	uds_index_close(index);
	return r;
}

UDS_PUBLIC int uds_index_open(struct uds_io *io, const struct uds_index_options *options,
			      struct uds_message *ret_message, struct uds_index **ret_index)
{
	struct uds_index_options o = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_index *index;
	struct uds_env env;
	int r;

	r = index_take_options(options, &o, &env, ret_message);
	if (r < 0)
		return r;
	index = env_allocate_zeroed(&env, 1, sizeof(*index));
	if (index == NULL)
		return failure(ret_message, -ENOMEM, "no memory for an index");
	index->env = env;
	index->shared.env = &index->env;
	index->io = io;
	index->zone_count = o.zones > 0 ? o.zones : 1;
	index->read_only = o.mode == UDS_INDEX_READ_ONLY;
	r = failures_make(&env, &index->failures);
	if (r == 0)
		r = open_index(index, &o, &message);
	if (r < 0) {
		if (message.text[0] == '\0')
			failure(&message, r, "%s: %s", uds_io_name(io), no_thread_text(r));
		/* Takes an index of which any part is missing. */
		uds_index_close(index);
		if (ret_message != NULL)
			*ret_message = message;
		return r;
	}
	*ret_index = index;
	return 0;
}

/* Records of a closed chapter that go with the index. */
static void tell_lost_records(const struct uds_index *index)
{
	struct chapter_writer_statistics statistics;

	chapter_writer_get_statistics(index->writer, &statistics);
	if (statistics.unwritten_records > 0)
		env_log(&index->env, UDS_LOG_ERROR,
			"%s: chapter %" PRIu64 " could not be written, and its %" PRIu64
			" records are lost",
			uds_io_name(index->io), index->newest - 1, statistics.unwritten_records);
}

UDS_PUBLIC int uds_index_close(struct uds_index *index)
{
	struct uds_message message = { "" };
	struct uds_env env;
	int r, told;

	if (index == NULL)
		return 0;
	env = index->env;
	/* Before everything else: their operations use all of the index, and so does a save. */
	index_close_queues(index);
	checkpointer_free(index);
	/*
	 * The writer goes first: its thread uses the volume and the closed chapter of each
	 * zone. Its status is the worse one: a chapter that still cannot be written is lost
	 * with the index.
	 */
	r = index_write_chapter(index);
	told = journal_tell(index, &message);
	if (r < 0) {
		tell_lost_records(index);
	} else if (told < 0) {
		r = told;
		env_log(&index->env, UDS_LOG_ERROR,
			"%s: that it was flushed is not on the device: %.400s",
			uds_io_name(index->io), message.text);
	}
	chapter_writer_free(index->writer);
	sparse_cache_free(index->cache);
	volume_index_free(index->volume_index);
	shared_entries_clear(&index->shared);
	journal_free(index);
	saver_free(index);
	free_zones(index);
	volume_close(index->volume);
	failures_free(index->failures);
	env_release(&env, index);
	return r;
}
