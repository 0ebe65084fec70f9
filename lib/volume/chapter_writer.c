/* SPDX-License-Identifier: BSD-2-Clause */
/* The chapter writer's thread, and how chapters are handed to it. */
#include "volume/chapter_writer.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "volume/chapter_builder.h"
#include "volume/volume_private.h"

/*
 * What is done for a chapter, in this order. A step that fails is done again, from its start, by
 * the next attempt, and those before it are not: what they wrote is durable. Pages that are durable
 * must not be written again when the save that had the chapter open may be invalid already: a power
 * cut could damage them.
 */
enum chapter_step {
	STEP_BUILD,
	STEP_INVALIDATE_SAVES,
	STEP_TAKE_SLOT,
	STEP_WRITE_RECORDS,
	STEP_WRITE_INDEX,
	STEP_INVALIDATE_OUTLASTED, /* the chapter is durable */
	STEP_GIVE_SLOT,
	CHAPTER_STEPS
};

struct chapter_writer {
	struct volume *volume;
	struct layout *layout;
	chapter_written_fn written;
	void *context;
	struct chapter_builder *builder; /* the thread's */
	pthread_t thread;

	/*
	 * The chapter that was submitted last. Set while the thread is idle, and the
	 * thread's while @busy.
	 */
	uint64_t vcn;
	unsigned int zone_count;
	struct open_zone *zones[MAXIMUM_ZONES];
	enum chapter_step step; /* that is to be done next; each before it is done for good */
	uint32_t slot;
	bool outlast; /* the saves stay until the chapter is durable */

	pthread_mutex_t lock; /* for all that follows */
	pthread_cond_t changed;
	bool busy;    /* there is a chapter to write */
	bool working; /* the thread is writing it */
	bool held;    /* the thread must not begin */
	/* the builder's pages are those of @vcn, and stay so until the next is handed over */
	bool built;
	bool stop;
	uint64_t attempts; /* that were begun, over all chapters */
	int status;	   /* why the chapter is not written; 0: it is, or was not tried yet */
	struct uds_message message;
	struct chapter_writer_statistics statistics;
};

/* Writes the pages [@first, @first + @count) of the chapter, durably. */
static int write_pages(struct chapter_writer *writer, uint32_t first, uint32_t count,
		       struct uds_message *message)
{
	struct volume *volume = writer->volume;
	const uint32_t page_bytes = volume->geometry.page_bytes;
	int r;

	r = io_write(volume->io, writer->builder->pages + (size_t)first * page_bytes,
		     (size_t)count * page_bytes, volume_page_offset(volume, writer->slot, first),
		     message);
	if (r == 0)
		r = io_flush(volume->io, message);
	if (r < 0) {
		volume_note_failed_flush(volume);
		return failure_in(message, r, "chapter %" PRIu64 " (slot %" PRIu32 ")", writer->vcn,
				  writer->slot);
	}
	volume_note_flush(volume);
	return 0;
}

/* From here on chapter_writer_copy_index() gives the index pages out. */
static void note_built(struct chapter_writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	writer->built = true;
	pthread_cond_broadcast(&writer->changed);
	pthread_mutex_unlock(&writer->lock);
}

static int invalidate_saves(struct chapter_writer *writer, struct uds_message *message)
{
	return saves_invalidate(&writer->layout->saves, writer->volume->io, &writer->layout->super,
				message);
}

static int build(struct chapter_writer *writer, struct uds_message *message)
{
	const struct geometry *geometry = &writer->volume->geometry;
	int r;

	/*
	 * Computed once, before anything is written: what it goes by changes when the saves are
	 * invalidated.
	 */
	writer->slot = geometry_physical_chapter(geometry, writer->vcn);
	writer->outlast = saves_outlast_chapter(&writer->layout->saves, geometry, writer->vcn);
	r = chapter_builder_run(writer->builder, writer->vcn, writer->zones, writer->zone_count,
				message);
	if (r < 0)
		return r;
	/*
	 * Before the first write: a chapter index that is needed by the sparse cache does not have
	 * to wait for the device.
	 */
	note_built(writer);
	return 0;
}

/*
 * A save that has this chapter open is the only place of the records in it, so it stays until the
 * chapter is durable. All others go first: going on would leave a valid save that is older than the
 * volume (15.4; 20.2, R4).
 */
static int invalidate_before(struct chapter_writer *writer, struct uds_message *message)
{
	int r = writer->outlast ? 0 : invalidate_saves(writer, message);

	return r < 0 ? failure_in(message, r, "chapter %" PRIu64 ": not written", writer->vcn) : 0;
}

/*
 * Evicts what is cached of the slot (20.2, R13) and keeps readers out: map and pages change
 * together.
 */
static int take_slot(struct chapter_writer *writer, struct uds_message *message)
{
	(void)message;
	volume_begin_write(writer->volume, writer->slot, writer->vcn);
	page_map_set(writer->volume->map, writer->slot, writer->vcn, writer->builder->last_lists);
	return 0;
}

/*
 * The record pages go first, and are durable before the index pages: a chapter whose index pages
 * are good is one that a rebuild counts, and it must not count one whose records are not there.
 */
static int write_records(struct chapter_writer *writer, struct uds_message *message)
{
	const struct geometry *geometry = &writer->volume->geometry;

	return write_pages(writer, geometry->index_pages_per_chapter,
			   geometry->record_pages_per_chapter, message);
}

static int write_index(struct chapter_writer *writer, struct uds_message *message)
{
	return write_pages(writer, 0, writer->volume->geometry.index_pages_per_chapter, message);
}

/*
 * When this fails the chapter is durable, but so may be the save that has it open. The next open
 * sees that and does not trust the save (find_outdated_save()).
 */
static int invalidate_after(struct chapter_writer *writer, struct uds_message *message)
{
	int r = writer->outlast ? invalidate_saves(writer, message) : 0;

	return r < 0 ? failure_in(message, r, "chapter %" PRIu64 ": written", writer->vcn) : 0;
}

/*
 * Not before everything is done: until then the slot's content is not known, or the saves are not.
 */
static int give_slot(struct chapter_writer *writer, struct uds_message *message)
{
	(void)message;
	volume_end_write(writer->volume, writer->slot, writer->vcn, writer->builder->pages);
	return 0;
}

static int (*const step_functions[CHAPTER_STEPS])(struct chapter_writer *writer,
						  struct uds_message *message) = {
	[STEP_BUILD] = build,
	[STEP_INVALIDATE_SAVES] = invalidate_before,
	[STEP_TAKE_SLOT] = take_slot,
	[STEP_WRITE_RECORDS] = write_records,
	[STEP_WRITE_INDEX] = write_index,
	[STEP_INVALIDATE_OUTLASTED] = invalidate_after,
	[STEP_GIVE_SLOT] = give_slot,
};

static int write_chapter(struct chapter_writer *writer, struct uds_message *message)
{
	for (; writer->step < CHAPTER_STEPS; writer->step++) {
		int r = step_functions[writer->step](writer, message);

		if (r < 0)
			return r;
	}
	return 0;
}

/* Records of the chapter that nothing but memory has. */
static uint64_t unwritten_records(const struct chapter_writer *writer)
{
	uint64_t records = 0;

	/* Steps after the index is written come when the chapter is durable. */
	for (unsigned int i = 0; writer->step <= STEP_WRITE_INDEX && i < writer->zone_count; i++)
		records += open_zone_live(writer->zones[i]);
	return records;
}

/*
 * The lock is held. The log has the first failure of a chapter, and that it is written after all.
 */
static void note_failure(struct chapter_writer *writer, int status,
			 const struct uds_message *message)
{
	bool again = writer->status < 0;
	uint64_t records = unwritten_records(writer);

	writer->statistics.unwritten_records = records;
	writer->status = status;
	writer->message = *message;
	if (records > 0)
		failure(&writer->message, status, "%.440s; %" PRIu64 " records are not durable",
			message->text, records);
	if (!again)
		env_log(&writer->volume->env, UDS_LOG_ERROR, "%.500s", writer->message.text);
}

static void note_success(struct chapter_writer *writer)
{
	const struct chapter_index_statistics *index = &writer->builder->statistics;

	if (writer->status < 0)
		env_log(&writer->volume->env, UDS_LOG_NOTICE,
			"%s: chapter %" PRIu64 " (slot %" PRIu32 "): written now",
			uds_io_name(writer->volume->io), writer->vcn, writer->slot);
	writer->status = 0;
	writer->statistics.unwritten_records = 0;
	writer->statistics.chapters++;
	/*
	 * Records whose entries overflowed or were taken off to make a page fit: they lie on a
	 * record page and no lookup finds them (20.1, S12).
	 */
	writer->statistics.unreachable_records += index->overflows + index->removed;
}

/* Takes note of how an attempt went; the lock is held. */
static void note_result(struct chapter_writer *writer, int status,
			const struct uds_message *message)
{
	if (status < 0)
		note_failure(writer, status, message);
	else
		note_success(writer);
	writer->busy = false;
	writer->working = false;
	pthread_cond_broadcast(&writer->changed);
}

static void *run(void *argument)
{
	struct chapter_writer *writer = argument;
	struct uds_message message = { "" };
	int r;

	pthread_mutex_lock(&writer->lock);
	for (;;) {
		while ((!writer->busy || writer->held) && !writer->stop)
			pthread_cond_wait(&writer->changed, &writer->lock);
		/*
		 * Stopping waits for a chapter that was handed over: @stop counts only when there
		 * is nothing to write.
		 */
		if (!writer->busy)
			break;
		writer->working = true;
		/*
		 * Written without the lock: @busy keeps submit() away from what the thread uses,
		 * and others may ask for status, statistics and index pages meanwhile.
		 */
		pthread_mutex_unlock(&writer->lock);
		r = write_chapter(writer, &message);
		/*
		 * Before @busy is cleared: a thread that waits for the writer finds the index's
		 * range already moved on.
		 */
		if (writer->written != NULL)
			writer->written(writer->context, writer->vcn, r);
		pthread_mutex_lock(&writer->lock);
		note_result(writer, r, &message);
	}
	pthread_mutex_unlock(&writer->lock);
	return NULL;
}

int chapter_writer_make(struct volume *volume, struct layout *layout, chapter_written_fn written,
			void *context, struct chapter_writer **ret_writer)
{
	struct chapter_writer *writer = env_allocate_zeroed(&volume->env, 1, sizeof(*writer));
	const struct geometry *geometry = &volume->geometry;
	int r;

	if (writer == NULL)
		return -ENOMEM;
	writer->volume = volume;
	writer->layout = layout;
	writer->written = written;
	writer->context = context;
	writer->statistics.memory_bytes =
		sizeof(*writer) + (uint64_t)geometry->pages_per_chapter * geometry->page_bytes;
	r = chapter_builder_make(&volume->env, volume->io, geometry,
				 volume->reader.code.volume_nonce, &writer->builder);
	if (r < 0) {
		env_release(&volume->env, writer);
		return r;
	}
	pthread_mutex_init(&writer->lock, NULL);
	pthread_cond_init(&writer->changed, NULL);
	r = -pthread_create(&writer->thread, NULL, run, writer);
	if (r < 0) {
		pthread_cond_destroy(&writer->changed);
		pthread_mutex_destroy(&writer->lock);
		chapter_builder_free(writer->builder);
		env_release(&volume->env, writer);
		return r;
	}
	*ret_writer = writer;
	return 0;
}

void chapter_writer_free(struct chapter_writer *writer)
{
	struct uds_env env;

	if (writer == NULL)
		return;
	pthread_mutex_lock(&writer->lock);
	writer->stop = true;
	pthread_cond_broadcast(&writer->changed);
	pthread_mutex_unlock(&writer->lock);
	pthread_join(writer->thread, NULL);
	pthread_cond_destroy(&writer->changed);
	pthread_mutex_destroy(&writer->lock);
	chapter_builder_free(writer->builder);
	env = writer->volume->env;
	env_release(&env, writer);
}

/* The lock is held. */
static int tell_status(const struct chapter_writer *writer, struct uds_message *ret_message)
{
	if (writer->status < 0 && ret_message != NULL)
		*ret_message = writer->message;
	return writer->status;
}

static int wait_idle(struct chapter_writer *writer, struct uds_message *ret_message)
{
	while (writer->busy)
		pthread_cond_wait(&writer->changed, &writer->lock);
	return tell_status(writer, ret_message);
}

/* The thread is idle; the lock is held. */
static void begin_attempt(struct chapter_writer *writer)
{
	writer->attempts++;
	writer->busy = true;
	pthread_cond_broadcast(&writer->changed);
}

int chapter_writer_submit(struct chapter_writer *writer, uint64_t vcn,
			  struct open_zone *const *zones, unsigned int count,
			  struct uds_message *ret_message)
{
	int r;

	pthread_mutex_lock(&writer->lock);
	/* At most one chapter is in flight (19.1), and none follows one that is not written. */
	r = wait_idle(writer, ret_message);
	if (r == 0) {
		writer->vcn = vcn;
		writer->zone_count = count;
		/*
		 * Only the pointers: the zones stay as they are until the chapter is written, as
		 * they also answer lookups of the closing chapter (17.1).
		 */
		memcpy(writer->zones, zones, count * sizeof(writer->zones[0]));
		writer->step = STEP_BUILD;
		writer->built = false;
		begin_attempt(writer);
	}
	pthread_mutex_unlock(&writer->lock);
	return r;
}

int chapter_writer_wait(struct chapter_writer *writer, struct uds_message *ret_message)
{
	int r;

	pthread_mutex_lock(&writer->lock);
	r = wait_idle(writer, ret_message);
	pthread_mutex_unlock(&writer->lock);
	return r;
}

int chapter_writer_finish(struct chapter_writer *writer, struct uds_message *ret_message)
{
	uint64_t before;
	int r;

	pthread_mutex_lock(&writer->lock);
	before = writer->attempts;
	while (writer->busy && writer->attempts == before)
		pthread_cond_wait(&writer->changed, &writer->lock);
	/* Of many that wait one tries; its attempt began during all of their calls. */
	if (writer->status < 0 && writer->attempts == before)
		begin_attempt(writer);
	/* For this attempt only: waiting for all that others begin could take for ever. */
	while (writer->status < 0 && writer->busy && writer->attempts == before + 1)
		pthread_cond_wait(&writer->changed, &writer->lock);
	r = tell_status(writer, ret_message);
	pthread_mutex_unlock(&writer->lock);
	return r;
}

int chapter_writer_hold(struct chapter_writer *writer, struct uds_message *ret_message,
			uint64_t *ret_chapters)
{
	int r;

	pthread_mutex_lock(&writer->lock);
	/* At once, so that chapters that follow each other do not make this wait for ever. */
	writer->held = true;
	while (writer->working)
		pthread_cond_wait(&writer->changed, &writer->lock);
	r = tell_status(writer, ret_message);
	if (r == 0) {
		*ret_chapters = writer->statistics.chapters;
	} else {
		writer->held = false;
		pthread_cond_broadcast(&writer->changed);
	}
	pthread_mutex_unlock(&writer->lock);
	return r;
}

void chapter_writer_release(struct chapter_writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	writer->held = false;
	pthread_cond_broadcast(&writer->changed);
	pthread_mutex_unlock(&writer->lock);
}

bool chapter_writer_copy_index(struct chapter_writer *writer, uint64_t vcn, uint8_t *pages)
{
	const struct geometry *geometry = &writer->volume->geometry;
	bool there;

	pthread_mutex_lock(&writer->lock);
	/* The pages are built before they are written, so this does not wait for the device. */
	while (writer->busy && writer->vcn == vcn && !writer->built)
		pthread_cond_wait(&writer->changed, &writer->lock);
	there = writer->built && writer->vcn == vcn;
	if (there)
		memcpy(pages, writer->builder->pages,
		       (size_t)geometry->index_pages_per_chapter * geometry->page_bytes);
	pthread_mutex_unlock(&writer->lock);
	return there;
}

const uint8_t *chapter_writer_pages(struct chapter_writer *writer, uint64_t vcn,
				    uint32_t *ret_left_out)
{
	const struct chapter_index_statistics *index = &writer->builder->statistics;
	bool there;

	pthread_mutex_lock(&writer->lock);
	there = writer->built && !writer->busy && writer->status == 0 && writer->vcn == vcn;
	pthread_mutex_unlock(&writer->lock);
	if (!there)
		return NULL;
	*ret_left_out = index->overflows + index->removed;
	return writer->builder->pages;
}

int chapter_writer_status(struct chapter_writer *writer, struct uds_message *ret_message)
{
	int r;

	pthread_mutex_lock(&writer->lock);
	r = tell_status(writer, ret_message);
	pthread_mutex_unlock(&writer->lock);
	return r;
}

void chapter_writer_get_statistics(struct chapter_writer *writer,
				   struct chapter_writer_statistics *ret_statistics)
{
	pthread_mutex_lock(&writer->lock);
	*ret_statistics = writer->statistics;
	pthread_mutex_unlock(&writer->lock);
}
