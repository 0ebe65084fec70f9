/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The volume: chapters on an I/O, each in its slot (uds-format, 11). Looking names up in them is in
 * volume_search.h, and in lookup.h for callers that do not wait.
 *
 * A lookup reads at most the part of one index page and of one record page that it needs. What is
 * read is verified as far as it goes: nonce, chapter number, the lists' bounds against the page
 * map, order and range of the table entries that are used, the guard where whole pages are read.
 *
 * Threads: any number may look up at once. One thread at a time writes chapters (chapter_writer.h);
 * a lookup in a chapter whose slot is being written does not find anything.
 */
#ifndef VOLUME_VOLUME_H
#define VOLUME_VOLUME_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/status.h>

#include "chapter/index_page.h"
#include "io/io.h"
#include "volume/layout.h"
#include "volume/page_map.h"

struct volume;

/*
 * @layout: copied as far as needed. @cache_bytes: memory for what lookups have read; 0: as much as
 * cache_chapters chapters take. @engine: the one whose threads its reads use; may be NULL. The page
 * map is empty at first: page_map_decode() or a rebuild fill it.
 *
 * Returns 0 or -ENOMEM.
 */
int volume_open(struct uds_io *io, const struct layout *layout, uint64_t cache_bytes,
		struct uds_io_engine *engine, const struct uds_env *env,
		struct volume **ret_volume);

/*
 * Reads the checksums of the chapters, if the index has extras. What is damaged there, or cannot be
 * read, is logged and unknown. Before other threads use the volume.
 *
 * Returns 0 or -ENOMEM.
 */
int volume_read_checksums(struct volume *volume, const struct layout *layout);

/*
 * Whether the checksums of a chapter are on the device. Not while chapters are written. False for
 * an index without extras.
 */
bool volume_has_checksums(struct volume *volume, uint64_t vcn);

/*
 * Whether chapter @vcn was found to be one that another program has written, in place of one of the
 * same number that the extras know. As volume_has_checksums().
 */
bool volume_is_of_another(struct volume *volume, uint64_t vcn);

/*
 * Whether volume_log_damage() would have something to log, or could not tell. Several threads may
 * ask at once.
 */
bool volume_has_damage(struct volume *volume, uint32_t slot, uint64_t vcn, uint32_t first,
		       uint32_t count, const uint8_t *pages);

/*
 * Compares @count pages of a chapter, from page @first on, with its checksums, if they are known,
 * and logs those that are damaged. Before other threads use the volume.
 *
 * Returns 0 or -ENOMEM.
 */
int volume_log_damage(struct volume *volume, uint32_t slot, uint64_t vcn, uint32_t first,
		      uint32_t count, const uint8_t *pages);

/*
 * Writes checksums that are not on the device yet. They are never needed, so that a failure is
 * logged, once, and tried again with the next ones. For the thread that writes chapters, or while
 * none are written.
 */
void volume_write_checksums(struct volume *volume);

/*
 * A flush of the I/O has failed, and what was written before it may be lost: checksums are written
 * once more with the next ones. Threads: any.
 */
void volume_note_failed_flush(struct volume *volume);

/* A flush has succeeded. For the thread that writes chapters. */
void volume_note_flush(struct volume *volume);

/* May be NULL. The I/O stays open. No other thread uses the volume. */
void volume_close(struct volume *volume);

/* Memory taken now, page map and caches included. */
uint64_t volume_memory_bytes(struct volume *volume);

/* Pages that were asked of the device since the volume was opened, parts of pages included. */
uint64_t volume_pages_read(struct volume *volume);

/* How often a page that was read did not verify since the volume was opened: reads, not pages. */
uint64_t volume_damaged_reads(struct volume *volume);

/* For saving and loading it. */
struct page_map *volume_page_map(struct volume *volume);

/* Where page @page of a slot begins, in bytes of the I/O. */
uint64_t volume_page_offset(const struct volume *volume, uint32_t slot, uint32_t page);

/*
 * Reads page @page of a chapter, index pages first, and checks it.
 *
 * @ret_page: page_bytes.
 *
 * Returns 0; UDS_ERR_OUT_OF_RANGE when the chapter is no longer there; UDS_ERR_CORRUPT; -ENOMEM; or
 * what the I/O said.
 */
int volume_read_page(struct volume *volume, uint64_t vcn, uint32_t page, uint8_t *ret_page,
		     struct uds_message *ret_message);

/*
 * Reads all index pages of a chapter, and verifies each against chapter and page map.
 *
 * @pages: index_pages_per_chapter * page_bytes, from io_allocate_buffer().
 * @ret_heads: one for each page.
 *
 * Returns as volume_read_page().
 */
int volume_read_chapter_index(struct volume *volume, uint64_t vcn, uint8_t *pages,
			      struct index_page_head *ret_heads, struct uds_message *ret_message);

/*
 * Reads what the head of a slot says, which need not be true. Returns as chapter_read_head() in
 * whole_chapter.h.
 */
int volume_read_head(struct volume *volume, uint32_t slot, uint64_t *ret_vcn,
		     struct uds_message *ret_message);

/*
 * Before anything of a slot is overwritten with chapter @vcn: waits until no reader is inside, and
 * keeps all of them out. volume_end_write() lets them in again, if the chapter was written: it is
 * durable, and consists of @pages.
 */
void volume_begin_write(struct volume *volume, uint32_t slot, uint64_t vcn);
void volume_end_write(struct volume *volume, uint32_t slot, uint64_t vcn, const uint8_t *pages);

/*
 * The same as volume_begin_write() before pages of the chapter that is in a slot are written again.
 * Its checksums stay what they are, also on the device: until volume_end_write() they tell which
 * pages are still good.
 */
void volume_begin_mend(struct volume *volume, uint32_t slot);

#endif
