/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The volume of an index: its closed chapters on an I/O. For programs that inspect an index,
 * check it, copy from it, or fill it. To look names up across the whole volume, open it as
 * an index (uds/index.h).
 *
 * A volume is a ring of slots, one for each chapter (uds-format, 11). A chapter has a virtual
 * number, which counts from 0 and is never used again. It stays in one slot until a later chapter
 * overwrites the slot. It has index pages, which map a name to a record page, and record pages.
 *
 * Opening reads the index pages of all slots. So the volume knows its chapters without a save, and
 * also after a crash.
 *
 * Threads: any number of threads may use a volume at once, except for uds_volume_close(). Chapters
 * are written one at a time; other threads can look names up meanwhile.
 */
#ifndef UDS_VOLUME_H
#define UDS_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/chapter.h>
#include <uds/env.h>
#include <uds/geometry.h>
#include <uds/io.h>
#include <uds/record.h>
#include <uds/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uds_volume;

struct uds_volume_options {
	uint64_t size; /* of this struct: set by UDS_VOLUME_OPTIONS_INIT */
	const struct uds_env *env;
	uint64_t offset;      /* where the index begins on the I/O, bytes, a multiple of 4096 */
	uint64_t cache_bytes; /* as in struct uds_index_options */

	/*
	 * Opening reports (slots read, total slots). A value other than 0 ends it with
	 * UDS_ERR_STOPPED.
	 */
	uds_progress_fn progress;
	void *progress_context;

	/* Skip a slot that cannot be read: its chapter is lost. Otherwise opening fails. */
	bool skip_unreadable;
	uint8_t unused[7]; /* ignored */

	struct uds_io_engine *engine; /* as in struct uds_index_options; since 0.2 */
};

#define UDS_VOLUME_OPTIONS_INIT                                                   \
	{                                                                         \
		sizeof(struct uds_volume_options), 0, 0, 0, 0, 0, false, { 0 }, 0 \
	}

/*
 * Opens the volume of an index. The I/O is borrowed: close it after the volume. Nothing is written.
 *
 * @options: may be NULL.
 *
 * Returns 0, or
 *   UDS_ERR_NOT_AN_INDEX         no super block at the offset
 *   UDS_ERR_UNSUPPORTED_VERSION  a super block or config block of another version
 *   UDS_ERR_CORRUPT              the super block or the config block is damaged; the message names
 *                                region, field, expected and found. A damaged chapter is not an
 *                                error: it counts as lost
 *   UDS_ERR_STOPPED              the progress callback asked to stop
 *   UDS_ERR_UNALIGNED            the I/O's blocks are larger than 4096 bytes
 *   -EINVAL                      an offset that is not a multiple of 4096; only one of the two
 *                                functions of an allocator
 *   -EINVAL, -E2BIG              a size member (libuds(3), Structs)
 *   -ENOMEM, -EIO, ...           no memory; what the I/O said
 *
 * Threads: any. Since 0.1.
 */
int uds_volume_open(struct uds_io *io, const struct uds_volume_options *options,
		    struct uds_message *ret_message, struct uds_volume **ret_volume);

/*
 * Copies the sentence about the calling thread's last call on this volume that returns a status, if
 * that failed; empty when it did not (libuds(3), Errors).
 *
 * Threads: any number at once. Since 0.1.
 */
void uds_volume_error_message(const struct uds_volume *volume, struct uds_message *ret_message);

/*
 * Closes a volume and frees its memory. What was written is durable already.
 *
 * @volume: may be NULL.
 *
 * Threads: one; no other thread may be using the volume. Since 0.1.
 */
void uds_volume_close(struct uds_volume *volume);

/*
 * Fills in the configuration that the index was formatted with.
 *
 * Returns 0; -EINVAL or -E2BIG for a size member that is too small or too large (libuds(3),
 * Structs).
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_volume_get_configuration(const struct uds_volume *volume,
				 struct uds_configuration *ret_configuration);

struct uds_volume_info {
	uint64_t size;		 /* of this struct: set by UDS_VOLUME_INFO_INIT */
	uint64_t oldest_chapter; /* virtual; equal to open_chapter: the volume is empty */
	/* virtual; the one that is written next, so itself not on the volume */
	uint64_t open_chapter;
	/* from oldest_chapter to open_chapter - 1, damaged or unreadable at open */
	uint64_t lost_chapters;
	uint64_t volume_nonce; /* in every index page of this index */
	uint64_t start;	       /* of the volume region, bytes of the I/O */
};

#define UDS_VOLUME_INFO_INIT                                  \
	{                                                     \
		sizeof(struct uds_volume_info), 0, 0, 0, 0, 0 \
	}

/*
 * Fills in which chapters are on the volume now.
 *
 * Returns 0; -EINVAL or -E2BIG for a size member that is too small or too large (libuds(3),
 * Structs).
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_volume_get_info(const struct uds_volume *volume, struct uds_volume_info *ret_info);

/*
 * Reads one index page of a chapter and checks that it belongs to that chapter: nonce, chapter
 * number, table of lists, guard, and that it holds the lists that it held at open. To search the
 * page, hand it to uds_chapter_index_initialize_page().
 *
 * @page: 0 to index_pages_per_chapter - 1 (uds_geometry_compute).
 * @ret_page: page_bytes, at any address.
 *
 * Returns 0, or
 *   UDS_ERR_OUT_OF_RANGE  the chapter is not on the volume, or no longer, or has no such page
 *   UDS_ERR_CORRUPT       the page contradicts the format, or belongs to another chapter
 *   -ENOMEM, -EIO, ...    no memory; what the I/O said
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_volume_read_index_page(struct uds_volume *volume, uint64_t virtual_chapter, uint32_t page,
			       void *ret_page, struct uds_message *ret_message);

/*
 * Reads one record page of a chapter. A record page has no checksum; uds_record_page_check() checks
 * the order of its names.
 *
 * @page: 0 to record_pages_per_chapter - 1.
 * @ret_page: page_bytes, at any address.
 *
 * Returns 0, or
 *   UDS_ERR_OUT_OF_RANGE  the chapter is not on the volume, or no longer, or has no such page
 *   -ENOMEM, -EIO, ...    no memory; what the I/O said
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_volume_read_record_page(struct uds_volume *volume, uint64_t virtual_chapter, uint32_t page,
				void *ret_page, struct uds_message *ret_message);

/*
 * Looks a name up in one chapter. Reads only as much of an index page and a record page as is
 * needed.
 *
 * @ret_found: whether the chapter has the name. False also while its slot is being overwritten.
 * @ret_data: may be NULL; the data, untouched when the name is not there.
 *
 * Returns 0, or
 *   UDS_ERR_OUT_OF_RANGE  the chapter is not on the volume, or no longer
 *   UDS_ERR_CORRUPT       a page contradicts the format, or belongs to another chapter
 *   -ENOMEM, -EIO, ...    no memory; what the I/O said
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_volume_search(struct uds_volume *volume, uint64_t virtual_chapter,
		      const struct uds_record_name *name, bool *ret_found,
		      struct uds_record_data *ret_data, struct uds_message *ret_message);

/*
 * Writes an open chapter as the next chapter, number open_chapter of uds_volume_info. On a full
 * volume it overwrites the oldest chapter. The chapter is durable when this returns 0.
 *
 * The index must not be open elsewhere. Its saves do not know the new chapter, so they are
 * invalidated before anything else is written: the next open of the index recovers it.
 *
 * @chapter: of the same geometry, with at least one live record; it does not change.
 * @ret_virtual_chapter: may be NULL; the number of the chapter.
 *
 * Returns 0, or
 *   UDS_ERR_BAD_STATE   no live record; nothing was written
 *   -EINVAL             an open chapter of another geometry; nothing was written
 *   UDS_ERR_READ_ONLY   the I/O cannot be written; nothing was written
 *   -ENOMEM             no memory
 *   -EIO, -ENOSPC, ...  what the I/O said, now or to an earlier write: after a failed write every
 *                       later one fails, too. The other chapters stay readable
 *
 * Threads: any number at once; one writes, the others wait. No thread may change @chapter. Since
 * 0.1.
 */
int uds_volume_write_chapter(struct uds_volume *volume, const struct uds_open_chapter *chapter,
			     uint64_t *ret_virtual_chapter, struct uds_message *ret_message);

/*
 * Writes records as the next chapter, as uds_volume_write_chapter() does.
 *
 * @records, @count: 1 to records_per_chapter, with different names.
 * @ret_virtual_chapter: may be NULL; the number of the chapter.
 *
 * Returns 0, or
 *   -EINVAL                 @count is out of range; nothing was written
 *   UDS_ERR_DUPLICATE_NAME  two records have the same name; nothing was written
 *   ...                     what uds_volume_write_chapter() returns
 *
 * Threads: any number at once; one writes, the others wait. Since 0.1.
 */
int uds_volume_write_records(struct uds_volume *volume, const struct uds_record *records,
			     uint32_t count, uint64_t *ret_virtual_chapter,
			     struct uds_message *ret_message);

#ifdef __cplusplus
}
#endif

#endif
