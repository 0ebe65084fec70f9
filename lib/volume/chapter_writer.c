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

struct chapter_writer {
	struct volume *volume;
	struct layout *layout;
	chapter_written_fn written;
	void *context;
	struct chapter_builder *builder; /* the thread's */
	pthread_t thread;

	pthread_mutex_t lock; /* for all that follows */
	pthread_cond_t changed;
	bool busy; /* there is a chapter to write */
	bool built; /* the builder's pages are those of @vcn, and stay so until the next is handed over */
	bool stop;
	uint64_t vcn;
	unsigned int zone_count;
	struct open_zone *zones[MAXIMUM_ZONES];
	int status; /* the first error */
	struct uds_message message;
	struct chapter_writer_statistics statistics;
};

/*
 * The record pages go first, and are durable before the index pages: a chapter whose index pages are good
 * is one that a rebuild counts, and it must not count one whose records are not there.
 */
static int write_pages(struct chapter_writer *writer, uint64_t vcn, uint32_t slot,
		       struct uds_message *message)
{
	struct volume *volume = writer->volume;
	const struct geometry *geometry = &volume->geometry;
	size_t index_bytes = (size_t)geometry->index_pages_per_chapter * geometry->page_bytes;
	size_t record_bytes = (size_t)geometry->record_pages_per_chapter * geometry->page_bytes;
	int r;

	r = io_write(volume->io, writer->builder->pages + index_bytes, record_bytes,
		     volume_page_offset(volume, slot, geometry->index_pages_per_chapter), message);
	if (r == 0)
		r = io_flush(volume->io, message);
	if (r == 0)
		r = io_write(volume->io, writer->builder->pages, index_bytes,
			     volume_page_offset(volume, slot, 0), message);
	if (r == 0)
		r = io_flush(volume->io, message);
	if (r < 0)
		return failure_in(message, r, "chapter %" PRIu64 " (slot %" PRIu32 ")", vcn, slot);
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

/*
 * A save that has this chapter open is the only place of the records in it, so it stays until the chapter
 * is durable.
 */
static int write_chapter(struct chapter_writer *writer, struct uds_message *message)
{
	struct volume *volume = writer->volume;
	uint64_t vcn = writer->vcn;
	/*
	 * Computed once, before anything is written: what it goes by changes when the saves are
	 * invalidated.
	 */
	uint32_t slot = geometry_physical_chapter(&volume->geometry, vcn);
	bool outlast = saves_outlast_chapter(&writer->layout->saves, &volume->geometry, vcn);
	int r;

	r = chapter_builder_run(writer->builder, vcn, writer->zones, writer->zone_count, message);
	if (r < 0)
		return r;
	/*
	 * Before the first write: a chapter index that is needed by the sparse cache does not have
	 * to wait for the device.
	 */
	note_built(writer);
	if (!outlast)
		r = invalidate_saves(writer, message);
	/*
	 * Nothing of the chapter was written, and the save may still be good: going on would leave
	 * a valid save that is older than the volume (15.4; 20.2, R4).
	 */
	if (r < 0)
		return failure_in(message, r, "chapter %" PRIu64 ": not written", vcn);
	/*
	 * Evicts what is cached of the slot (20.2, R13) and keeps readers out: map and pages
	 * change together.
	 */
	volume_begin_write(volume, slot, vcn);
	page_map_set(volume->map, slot, vcn, writer->builder->last_lists);
	r = write_pages(writer, vcn, slot, message);
	if (r < 0)
		return r; /* the slot stays closed: its content is not known */
	if (outlast)
		r = invalidate_saves(writer, message);
	/*
	 * The chapter is durable, but so may be the save that has it open. The next open sees that
	 * and does not trust the save (find_outdated_save()).
	 */
	if (r < 0)
		return failure_in(message, r, "chapter %" PRIu64 ": written", vcn);
	volume_end_write(volume, slot, vcn, writer->builder->pages);
	return 0;
}

/* Takes note of how it went; the lock is held. */
static void note_result(struct chapter_writer *writer, int status,
			const struct uds_message *message)
{
	const struct chapter_index_statistics *index = &writer->builder->statistics;

	if (status < 0) {
		/* Kept for good: no chapter is written behind one that is missing. */
		writer->status = status;
		writer->message = *message;
		env_log(&writer->volume->env, UDS_LOG_ERROR, "%.500s", message->text);
	} else {
		writer->statistics.chapters++;
		/*
		 * Records whose entries overflowed or were taken off to make a page fit: they lie
		 * on a record page and no lookup finds them (20.1, S12).
		 */
		writer->statistics.unreachable_records += index->overflows + index->removed;
	}
	writer->busy = false;
	pthread_cond_broadcast(&writer->changed);
}

static void *run(void *argument)
{
	struct chapter_writer *writer = argument;
	struct uds_message message = { "" };
	int r;

	pthread_mutex_lock(&writer->lock);
	for (;;) {
		while (!writer->busy && !writer->stop)
			pthread_cond_wait(&writer->changed, &writer->lock);
		/*
		 * Stopping waits for a chapter that was handed over: @stop counts only when there
		 * is nothing to write.
		 */
		if (!writer->busy)
			break;
		/*
		 * Written without the lock: @busy keeps submit() away from what the thread uses,
		 * and others may ask for status, statistics and index pages meanwhile.
		 */
		pthread_mutex_unlock(&writer->lock);
		r = write_chapter(writer, &message);
		/*
		 * Before @busy is cleared: whoever waits for the writer finds the index's range
		 * already moved on.
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
static int first_error(const struct chapter_writer *writer, struct uds_message *ret_message)
{
	if (writer->status < 0 && ret_message != NULL)
		*ret_message = writer->message;
	return writer->status;
}

static int wait_idle(struct chapter_writer *writer, struct uds_message *ret_message)
{
	while (writer->busy)
		pthread_cond_wait(&writer->changed, &writer->lock);
	return first_error(writer, ret_message);
}

int chapter_writer_submit(struct chapter_writer *writer, uint64_t vcn,
			  struct open_zone *const *zones, unsigned int count,
			  struct uds_message *ret_message)
{
	int r;

	pthread_mutex_lock(&writer->lock);
	/* At most one chapter is in flight (19.1), and none follows one that failed. */
	r = wait_idle(writer, ret_message);
	if (r == 0) {
		writer->vcn = vcn;
		writer->zone_count = count;
		/*
		 * Only the pointers: the zones stay as they are until the chapter is written, as
		 * they also answer lookups of the closing chapter (17.1).
		 */
		memcpy(writer->zones, zones, count * sizeof(writer->zones[0]));
		writer->built = false;
		writer->busy = true;
		pthread_cond_broadcast(&writer->changed);
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

int chapter_writer_status(struct chapter_writer *writer, struct uds_message *ret_message)
{
	int r;

	pthread_mutex_lock(&writer->lock);
	r = first_error(writer, ret_message);
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
