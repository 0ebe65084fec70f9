/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The volume of an index: its closed chapters, as they lie on an I/O. For programs that look into
 * an index, check it, copy from it, or fill it by themselves. Who wants names looked up in the
 * whole of it opens it as an index (uds/index.h).
 *
 * A volume is a ring of slots, one for each chapter (uds-format, 11). A chapter is known by its
 * virtual number, which counts from 0 and never comes again; it lies in one slot until a later
 * chapter takes the slot over. It has index pages, which tell the record page of a name, and record
 * pages.
 *
 * Opening reads the index pages of all slots, so it knows what is there without a save, and also
 * after a crash.
 *
 * Threads: a volume may be used by any number of threads at once, but for uds_volume_close().
 * Chapters are written one at a time; other threads may look up meanwhile.
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
	uint64_t cache_bytes; /* how much of what lookups read is kept in memory; 0: a default */

	/* Opening tells slots read and slots to read. */
	uds_progress_fn progress;
	void *progress_context;

	/* A slot that cannot be read is passed over: its chapter is lost. Otherwise that is an error. */
	bool skip_unreadable;
};

#define UDS_VOLUME_OPTIONS_INIT                                         \
	{                                                               \
		sizeof(struct uds_volume_options), 0, 0, 0, 0, 0, false \
	}

/*
 * Opens the volume of an index. The I/O is borrowed: the caller closes it after the volume. Nothing
 * is written.
 *
 * @options: NULL for the defaults.
 *
 * Returns 0, or
 *   UDS_ERR_NOT_AN_INDEX         no super block at the offset
 *   UDS_ERR_UNSUPPORTED_VERSION  a super block or config block of another version
 *   UDS_ERR_CORRUPT              super block or config block are damaged; the message names region,
 * field, expected and found. Damaged chapters are no error: they are not there UDS_ERR_STOPPED the
 * progress callback asked to stop UDS_ERR_UNALIGNED            the I/O's blocks are larger than
 * 4096 bytes -EINVAL                      an offset that is not a multiple of 4096; half an
 * allocator -ENOMEM, -EIO, ...
 *
 * Since 0.1.
 */
int uds_volume_open(struct uds_io *io, const struct uds_volume_options *options,
		    struct uds_message *ret_message, struct uds_volume **ret_volume);

/*
 * Copies the sentence about the calling thread's last call on this volume that returns a status, if that
 * failed; empty when it did not (libuds(3), Errors).
 *
 * Threads: any number at once. Since 0.1.
 */
void uds_volume_error_message(struct uds_volume *volume, struct uds_message *ret_message);

/* Gives the memory back. NULL is fine. No other thread may be using the volume. Since 0.1. */
void uds_volume_close(struct uds_volume *volume);

/*
 * The configuration the index has.
 * Returns 0, or -EINVAL for a size member that is too small. Since 0.1.
 */
int uds_volume_get_configuration(const struct uds_volume *volume,
				 struct uds_configuration *ret_configuration);

struct uds_volume_info {
	uint64_t size;		 /* of this struct: set by UDS_VOLUME_INFO_INIT */
	uint64_t oldest_chapter; /* virtual; equal to open_chapter: the volume is empty */
	uint64_t
		open_chapter; /* virtual; the one that is written next, so itself not on the volume */
	uint64_t
		lost_chapters; /* from oldest_chapter to open_chapter - 1, damaged or unreadable at open */
	uint64_t volume_nonce; /* in every index page of this index */
	uint64_t start;	       /* of the volume region, bytes of the I/O */
};

#define UDS_VOLUME_INFO_INIT                                  \
	{                                                     \
		sizeof(struct uds_volume_info), 0, 0, 0, 0, 0 \
	}

/*
 * Tells what the volume holds now.
 *
 * Returns 0, or -EINVAL for a size member that is too small.
 *
 * Since 0.1.
 */
int uds_volume_get_info(const struct uds_volume *volume, struct uds_volume_info *ret_info);

/*
 * Reads one index page of a chapter, and checks that it is that chapter's: nonce, chapter number,
 * table of lists, guard, and that it holds the lists that it held at open.
 * uds_chapter_index_initialize_page() goes on from there.
 *
 * @page: 0 to index_pages_per_chapter - 1 (uds_geometry_compute).
 * @ret_page: page_bytes, at any address.
 *
 * Returns 0, or
 *   UDS_ERR_OUT_OF_RANGE  the chapter is not on the volume (any more), or has no such page
 *   UDS_ERR_CORRUPT       the page contradicts the format, or is not that chapter's
 *   -EIO, ...             what the I/O said
 * After an error the memory may have been written.
 *
 * Since 0.1.
 */
int uds_volume_read_index_page(struct uds_volume *volume, uint64_t virtual_chapter, uint32_t page,
			       void *ret_page, struct uds_message *ret_message);

/*
 * Reads one record page of a chapter. Record pages have nothing that could be checked but the order
 * of their names: uds_record_page_check().
 *
 * @page: 0 to record_pages_per_chapter - 1. All else as above.
 *
 * Since 0.1.
 */
int uds_volume_read_record_page(struct uds_volume *volume, uint64_t virtual_chapter, uint32_t page,
				void *ret_page, struct uds_message *ret_message);

/*
 * Looks a name up in a chapter: index page, then record page, of each only as much as is needed.
 *
 * @ret_found: whether the chapter has the name.
 * @ret_data: NULL, or gets the data; untouched when the name is not there.
 *
 * Returns what uds_volume_read_index_page() does. A chapter whose slot is being overwritten at this
 * moment has no names.
 *
 * Since 0.1.
 */
int uds_volume_search(struct uds_volume *volume, uint64_t virtual_chapter,
		      const struct uds_record_name *name, bool *ret_found,
		      struct uds_record_data *ret_data, struct uds_message *ret_message);

/*
 * Writes an open chapter as the chapter that comes next, open_chapter of uds_volume_info. It takes the
 * slot of the oldest one when the volume is full. Returns when it is durable.
 *
 * The index that the volume belongs to must not be open elsewhere. It will have to be recovered:
 * its save, which knows nothing of the new chapter, is made invalid before anything is written.
 *
 * @chapter: of the same geometry, with at least one live record; it does not change.
 * @ret_virtual_chapter: NULL, or gets the number of the chapter.
 *
 * Returns 0, or
 *   UDS_ERR_BAD_STATE      no live record: nothing is written
 *   -EINVAL                an open chapter of another geometry: nothing is written
 *   UDS_ERR_READ_ONLY      the I/O cannot be written
 *   -EIO, -ENOSPC, ...     what the I/O said, now or to an earlier call: after a failure nothing is
 *                          written any more; the other chapters stay readable
 *
 * Since 0.1.
 */
int uds_volume_write_chapter(struct uds_volume *volume, const struct uds_open_chapter *chapter,
			     uint64_t *ret_virtual_chapter, struct uds_message *ret_message);

/*
 * The same from an array.
 *
 * @records, @count: 1 to records_per_chapter, with different names.
 *
 * Returns what uds_volume_write_chapter() does; -EINVAL for a count out of range;
 * UDS_ERR_DUPLICATE_NAME when a name is there twice: nothing is written.
 *
 * Since 0.1.
 */
int uds_volume_write_records(struct uds_volume *volume, const struct uds_record *records,
			     uint32_t count, uint64_t *ret_virtual_chapter,
			     struct uds_message *ret_message);

#ifdef __cplusplus
}
#endif

#endif
