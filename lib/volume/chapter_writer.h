/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chapter writer: a thread that brings closed chapters to the volume, one at a time.
 *
 * A chapter is submitted as the zones of the closed open chapter, which stay as they are until it
 * is written. Submitting another chapter blocks until this one is written: that keeps callers from
 * running ahead of the device.
 *
 * A save that a crash would bring back is made invalid (saves.h) when the chapter that it has open
 * is durable, and before the next one is begun. When the writer says that a chapter is written,
 * both are done.
 *
 * A chapter that cannot be written stays submitted: its zones stay as they are, the volume stays
 * readable but for its slot, and no other chapter is taken. chapter_writer_finish() tries again,
 * and goes on where the last attempt failed: what was durable by then is not written again.
 *
 * Threads: submit is for one thread at a time, and so is hold; all else for any.
 */
#ifndef VOLUME_CHAPTER_WRITER_H
#define VOLUME_CHAPTER_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/status.h>

#include "chapter/open_zone.h"
#include "volume/layout.h"
#include "volume/volume.h"

struct chapter_writer;

/*
 * Called from the writer's thread at the end of each attempt: the chapter is written (@status 0),
 * or is not (the error). Must not call the writer.
 */
typedef void (*chapter_written_fn)(void *context, uint64_t vcn, int status);

struct chapter_writer_statistics {
	uint64_t chapters;	      /* written */
	uint64_t unreachable_records; /* on record pages, but left out of their chapter index */
	uint64_t unwritten_records; /* of a chapter that could not be written, and is not durable */
	uint64_t memory_bytes;	    /* that the writer takes */
};

/*
 * @layout: whose saves are invalidated; outlives the writer, like @volume. Other threads may use
 * the saves only while no chapter is being written: see chapter_writer_hold().
 * @written: may be NULL.
 *
 * Returns 0, -ENOMEM, or what the system said when it has no more threads.
 */
int chapter_writer_make(struct volume *volume, struct layout *layout, chapter_written_fn written,
			void *context, struct chapter_writer **ret_writer);

/* Waits for the chapter that is being written, then ends the thread. May be NULL. */
void chapter_writer_free(struct chapter_writer *writer);

/*
 * Waits for the attempt to write the chapter before, then submits chapter @vcn and returns.
 *
 * @zones: 1 to MAXIMUM_ZONES, with at least one live record; the pointers are copied.
 *
 * Returns 0, or why the chapter before is not written: the zones stay the caller's then.
 */
int chapter_writer_submit(struct chapter_writer *writer, uint64_t vcn,
			  struct open_zone *const *zones, unsigned int count,
			  struct uds_message *ret_message);

/* Waits until nothing is being written. Returns 0, or why the last chapter is not written. */
int chapter_writer_wait(struct chapter_writer *writer, struct uds_message *ret_message);

/*
 * The same, but a chapter that is not written is tried once more, unless an attempt that began
 * during the call has failed.
 */
int chapter_writer_finish(struct chapter_writer *writer, struct uds_message *ret_message);

/* Without waiting, and without trying: what is known now. */
int chapter_writer_status(struct chapter_writer *writer, struct uds_message *ret_message);

/*
 * Waits for an attempt that has begun, and lets none begin until chapter_writer_release(), so that
 * the caller may use the saves. A chapter can be submitted meanwhile, and waits. One caller at a
 * time; it must not wait for a chapter before it releases.
 *
 * @ret_chapters: how many were written so far.
 *
 * Returns 0, or why the last chapter is not written: nothing is held then.
 */
int chapter_writer_hold(struct chapter_writer *writer, struct uds_message *ret_message,
			uint64_t *ret_chapters);
void chapter_writer_release(struct chapter_writer *writer);

/*
 * Copies the index pages of chapter @vcn from memory, if it was submitted last. Waits until they
 * are made, but not for any of the writing.
 *
 * @pages: room for all index pages of a chapter.
 *
 * Returns false when the writer does not have them: another chapter was submitted since, or they
 * could not be made.
 */
bool chapter_writer_copy_index(struct chapter_writer *writer, uint64_t vcn, uint8_t *pages);

/*
 * All pages of chapter @vcn, in memory, if it was submitted last and is written: until the next one
 * is submitted, which is the caller's to keep from happening. Else NULL.
 *
 * @ret_left_out: how many of its records are not in its index.
 */
const uint8_t *chapter_writer_pages(struct chapter_writer *writer, uint64_t vcn,
				    uint32_t *ret_left_out);

void chapter_writer_get_statistics(struct chapter_writer *writer,
				   struct chapter_writer_statistics *ret_statistics);

#endif
