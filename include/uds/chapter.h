/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chapters, the unit in which an index stores and evicts records: the open chapter in memory, and
 * the pages that it becomes when it is closed. Index pages map a name to a record page; record
 * pages hold names and data.
 *
 * These are the building blocks of uds/index.h, for programs that inspect, repair or build volumes.
 * Nothing here does I/O: the caller reads and writes the memory of pages and saves. The bytes are
 * those of the UDS format (uds-format, 5 and 7 to 10).
 *
 * Every function that takes a page or a save accepts any bytes.
 */
#ifndef UDS_CHAPTER_H
#define UDS_CHAPTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/geometry.h>
#include <uds/record.h>
#include <uds/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The open chapter (uds-format, 10): records in the order of their arrival, in 1 to 16 zones. A
 * name belongs to one zone. Each zone has room for the same share of a chapter's records. When one
 * zone is full, close the whole chapter.
 *
 * Threads: functions that take a const chapter may run at the same time. The others need the
 * chapter to themselves ("Threads: one").
 */
struct uds_open_chapter;

/*
 * Makes an empty open chapter.
 *
 * @configuration: sets the number of records, and which zone a name belongs to.
 * @zones: 1 to 16.
 * @env: memory; may be NULL.
 *
 * Returns 0, or
 *   -EINVAL          a configuration that uds_geometry_compute() refuses; @zones is out of range
 *   -EINVAL, -E2BIG  a size member (libuds(3), Structs)
 *   -ENOMEM
 *
 * Threads: any. Since 0.1.
 */
int uds_open_chapter_make(const struct uds_configuration *configuration, unsigned int zones,
			  const struct uds_env *env, struct uds_message *ret_message,
			  struct uds_open_chapter **ret_chapter);

/*
 * Frees an open chapter.
 *
 * @chapter: may be NULL.
 *
 * Threads: one. Since 0.1.
 */
void uds_open_chapter_free(struct uds_open_chapter *chapter);

/*
 * Copies the sentence about the calling thread's last call on this chapter that returns a status,
 * if that failed; empty when it did not (libuds(3), Errors).
 *
 * Threads: any number at once. Since 0.1.
 */
void uds_open_chapter_error_message(const struct uds_open_chapter *chapter,
				    struct uds_message *ret_message);

/*
 * Removes all records, to begin the next chapter.
 *
 * Threads: one. Since 0.1.
 */
void uds_open_chapter_reset(struct uds_open_chapter *chapter);

/*
 * Returns the number of live records: stored and not removed.
 *
 * Threads: any number at once. Since 0.1.
 */
uint32_t uds_open_chapter_count(const struct uds_open_chapter *chapter);

/*
 * Returns the zone of a name, from 0 (uds-format, 3).
 *
 * Threads: any number at once. Since 0.1.
 */
unsigned int uds_open_chapter_zone_of(const struct uds_open_chapter *chapter,
				      const struct uds_record_name *name);

/*
 * Stores a record. When the chapter has the name already, its data is overwritten, also in a full
 * zone.
 *
 * @ret_room: may be NULL; how many more new records the name's zone can take. 0: the zone is full,
 * so close the chapter.
 *
 * Returns 0, or UDS_ERR_OVERFLOW when the name is new and its zone is full; nothing was stored.
 *
 * Threads: one. Since 0.1.
 */
int uds_open_chapter_put(struct uds_open_chapter *chapter, const struct uds_record_name *name,
			 const struct uds_record_data *data, uint32_t *ret_room);

/*
 * Looks a name up.
 *
 * @ret_data: may be NULL; the data, untouched when the name is not there.
 *
 * Returns whether the name is there.
 *
 * Threads: any number at once. Since 0.1.
 */
bool uds_open_chapter_search(const struct uds_open_chapter *chapter,
			     const struct uds_record_name *name, struct uds_record_data *ret_data);

/*
 * Removes a name. The room of its record comes back only with a reset: the layout of a closed
 * chapter follows from the order of arrival, gaps included.
 *
 * Returns whether the name was there.
 *
 * Threads: one. Since 0.1.
 */
bool uds_open_chapter_remove(struct uds_open_chapter *chapter, const struct uds_record_name *name);

struct uds_chapter_index;

/*
 * Closes a chapter: writes its record pages, and puts every record into a chapter index, which is
 * then ready to be packed. The chapter does not change; reset it afterwards.
 *
 * A place without a live record gets a copy of the last record of the first full zone or, when no
 * zone is full, of the first live record (uds-format, 10.4).
 *
 * @index: made with the same configuration, and just reset.
 * @ret_record_pages: record_pages_per_chapter pages of page_bytes each, in order.
 * @bytes: the size of that memory.
 *
 * Returns 0, or
 *   UDS_ERR_BAD_STATE  no live record, so there is nothing to write; or the index was not reset
 *   UDS_ERR_OVERFLOW   @bytes is less than the record pages take
 *   -EINVAL            the index is of another configuration
 *   -ENOMEM
 * After an error the memory may have been written, and the index needs a reset.
 *
 * Threads: any number at once, each with its own @index. Since 0.1.
 */
int uds_open_chapter_close(const struct uds_open_chapter *chapter, struct uds_chapter_index *index,
			   void *ret_record_pages, size_t bytes);

/*
 * Returns the number of bytes that uds_open_chapter_save() writes: 14, and 32 for each live record.
 *
 * Threads: any number at once. Since 0.1.
 */
size_t uds_open_chapter_saved_bytes(const struct uds_open_chapter *chapter);

/*
 * Writes the live records in the form of a save's open chapter region (uds-format, 10.5).
 *
 * @room: size of @memory in bytes.
 *
 * Returns 0, or UDS_ERR_OVERFLOW when @room is less than uds_open_chapter_saved_bytes();
 * nothing was written.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_open_chapter_save(const struct uds_open_chapter *chapter, void *memory, size_t room);

/* Reports a record that found no room at load. It must not use the chapter. */
typedef void (*uds_dropped_record_fn)(void *context, const struct uds_record *record);

/*
 * Replaces the content by that of a save, which may have another number of zones (uds-format,
 * 10.6). A zone that holds more than one record keeps room for one more. Records without room in
 * their zone are dropped. An index must forget the names of dropped records.
 *
 * @bytes: size of @memory; bytes behind the last record are ignored.
 * @dropped: may be NULL; called for each dropped record, in the order of the save.
 * @ret_dropped: may be NULL; the number of dropped records.
 *
 * Returns 0, or UDS_ERR_CORRUPT for memory that is no such save, is shorter than its count says,
 * has more records than a chapter, or a name twice. Then the chapter is empty, though @dropped may
 * have been called.
 *
 * Threads: one. Since 0.1.
 */
int uds_open_chapter_load(struct uds_open_chapter *chapter, const void *memory, size_t bytes,
			  uds_dropped_record_fn dropped, void *dropped_context,
			  uint64_t *ret_dropped, struct uds_message *ret_message);

/*
 * The chapter index under construction (uds-format, 8): collects names with their record pages,
 * then packs them into index pages.
 *
 * Threads: one thread at a time uses a chapter index ("Threads: one").
 */

/*
 * Makes an empty chapter index for chapter 0.
 *
 * @volume_nonce: the volume's, not the user's (uds-format, 14.5); it is stored in each page.
 * @env: memory; may be NULL.
 *
 * Returns 0, or
 *   -EINVAL          a configuration that uds_geometry_compute() refuses
 *   -EINVAL, -E2BIG  a size member (libuds(3), Structs)
 *   -ENOMEM
 *
 * Threads: any. Since 0.1.
 */
int uds_chapter_index_make(const struct uds_configuration *configuration, uint64_t volume_nonce,
			   const struct uds_env *env, struct uds_message *ret_message,
			   struct uds_chapter_index **ret_index);

/*
 * Frees a chapter index.
 *
 * @index: may be NULL.
 *
 * Threads: one. Since 0.1.
 */
void uds_chapter_index_free(struct uds_chapter_index *index);

/*
 * Copies the sentence about the calling thread's last call on this index that returns a status, if
 * that failed; empty when it did not (libuds(3), Errors).
 *
 * Threads: any number at once. Since 0.1.
 */
void uds_chapter_index_error_message(const struct uds_chapter_index *index,
				     struct uds_message *ret_message);

/*
 * Removes everything and begins another chapter, given by its virtual number.
 *
 * Threads: one. Since 0.1.
 */
void uds_chapter_index_reset(struct uds_chapter_index *index, uint64_t virtual_chapter);

/*
 * Adds a name. Add names in layout order (uds-format, 10.4): the order of names with the same
 * address depends on it.
 *
 * @record_page: 0 to record_pages_per_chapter - 1.
 *
 * Returns 0, or
 *   UDS_ERR_OVERFLOW   the index has as many names as a chapter has records
 *   UDS_ERR_BAD_STATE  packing has begun
 *   -EINVAL            no such record page
 * A list that is too full shows only in packing.
 *
 * Threads: one. Since 0.1.
 */
int uds_chapter_index_put(struct uds_chapter_index *index, const struct uds_record_name *name,
			  uint32_t record_page);

/*
 * Packs as many lists as fit into one index page.
 *
 * The first call sorts the names. After that the lists change only when they must be emptied: a
 * list that does not fit on a page by itself, and lists on the last page until the rest fits.
 * Records in emptied lists cannot be found any more (uds-format, 8.2).
 *
 * @first_list: 0 for the first page, then the sum of the lists on the pages before.
 * @last_page: whether this is the last of index_pages_per_chapter.
 * @ret_page: page_bytes, all of which are written.
 * @ret_lists: how many lists the page has; 0 is possible on any page.
 *
 * Returns 0, or
 *   UDS_ERR_DUPLICATE_NAME  a name was put twice; only a reset helps
 *   UDS_ERR_OVERFLOW        the lists do not fit even when empty
 *   -EINVAL                 @first_list is larger than the number of lists
 *   -ENOMEM                 while sorting; only a reset helps
 *
 * Threads: one. Since 0.1.
 */
int uds_chapter_index_pack_page(struct uds_chapter_index *index, uint32_t first_list,
				bool last_page, void *ret_page, uint32_t *ret_lists,
				struct uds_message *ret_message);

struct uds_chapter_index_statistics {
	uint64_t size;	     /* of this struct: set by UDS_CHAPTER_INDEX_STATISTICS_INIT */
	uint32_t entries;    /* names that can be found */
	uint32_t collisions; /* of these, stored with the full name */
	/* names left out because a list, or the format's memory for it, was full */
	uint32_t overflows;
	uint32_t removed; /* names lost with lists that were emptied in packing */
};

#define UDS_CHAPTER_INDEX_STATISTICS_INIT                               \
	{                                                               \
		sizeof(struct uds_chapter_index_statistics), 0, 0, 0, 0 \
	}

/*
 * Fills in how many names can be found. Complete when the last page is packed.
 *
 * Returns 0; -EINVAL or -E2BIG for a size member that is too small or too large (libuds(3),
 * Structs).
 *
 * Threads: one. Since 0.1.
 */
int uds_chapter_index_get_statistics(const struct uds_chapter_index *index,
				     struct uds_chapter_index_statistics *ret_statistics);

/*
 * What the index pages of one volume have in common, for reading them.
 *
 * Threads: it never changes, so any number of threads may use it at once.
 */
struct uds_page_format;

/*
 * Makes the page format of a volume.
 *
 * @volume_nonce: the volume's, not the user's (uds-format, 14.5).
 * @env: memory; may be NULL.
 *
 * Returns 0, or
 *   -EINVAL          a configuration that uds_geometry_compute() refuses
 *   -EINVAL, -E2BIG  a size member (libuds(3), Structs)
 *   -ENOMEM
 *
 * Threads: any. Since 0.1.
 */
int uds_page_format_make(const struct uds_configuration *configuration, uint64_t volume_nonce,
			 const struct uds_env *env, struct uds_message *ret_message,
			 struct uds_page_format **ret_format);

/*
 * Frees a page format.
 *
 * @format: may be NULL.
 *
 * Threads: one; no other thread may be using it. Since 0.1.
 */
void uds_page_format_free(struct uds_page_format *format);

/*
 * Copies the sentence about the calling thread's last call that takes this format and returns a
 * status, if that failed; empty when it did not (libuds(3), Errors).
 *
 * Threads: any number at once. Since 0.1.
 */
void uds_page_format_error_message(const struct uds_page_format *format,
				   struct uds_message *ret_message);

/* An index page that was checked. It borrows the page's memory. */
struct uds_index_page {
	uint64_t size;		  /* of this struct: set by UDS_INDEX_PAGE_INIT */
	const void *bytes;	  /* page_bytes of them */
	uint64_t virtual_chapter; /* that the page says it belongs to */
	uint32_t first_list;	  /* lowest list number on it */
	uint32_t list_count;
};

#define UDS_INDEX_PAGE_INIT                               \
	{                                                 \
		sizeof(struct uds_index_page), 0, 0, 0, 0 \
	}

/*
 * Checks nonce, table of lists and guard of a page (uds-format, 7.3), so that it can be searched.
 * Pages with a big-endian head, from old writers, are accepted.
 *
 * @page: page_bytes; must stay as long as @ret_page is used.
 *
 * Returns 0, or
 *   UDS_ERR_CORRUPT  the sentence says which check failed
 *   -EINVAL, -E2BIG  a size member (libuds(3), Structs)
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_chapter_index_initialize_page(const struct uds_page_format *format, const void *page,
				      struct uds_message *ret_message,
				      struct uds_index_page *ret_page);

/*
 * Checks a page completely: decodes every list to its end (uds-format, 8.3).
 *
 * Returns 0, or
 *   UDS_ERR_CORRUPT  the sentence names the list
 *   -EINVAL, -E2BIG  a size member (libuds(3), Structs)
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_chapter_index_validate_page(const struct uds_page_format *format,
				    const struct uds_index_page *page,
				    struct uds_message *ret_message);

/*
 * Looks a name up in an index page.
 *
 * @ret_found: whether the name may be in the chapter. False is certain.
 * @ret_record_page: the record page that may have the name; it may have another name instead.
 *
 * Returns 0, or
 *   UDS_ERR_OUT_OF_RANGE  the name's list is not on this page: search the page with
 *                         first_list <= list < first_list + list_count
 *   UDS_ERR_CORRUPT       a list that does not decode
 *   -EINVAL, -E2BIG       a size member (libuds(3), Structs)
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_chapter_index_search_page(const struct uds_page_format *format,
				  const struct uds_index_page *page,
				  const struct uds_record_name *name, bool *ret_found,
				  uint32_t *ret_record_page);

/*
 * Returns the list of a name in a chapter index, from 0 (uds-format, 3).
 *
 * Threads: any number at once. Since 0.1.
 */
uint32_t uds_chapter_index_list_of(const struct uds_page_format *format,
				   const struct uds_record_name *name);

/*
 * Makes a record page (uds-format, 9).
 *
 * @records, @count: page_bytes / 32 of them, 1 to 2048, in any order. Equal names only in equal
 *     records.
 * @env: memory; may be NULL.
 * @ret_page: 32 bytes for each record.
 *
 * Returns 0, or
 *   -EINVAL          another count, which the sentence names
 *   -EINVAL, -E2BIG  a size member (libuds(3), Structs)
 *   -ENOMEM
 *
 * Threads: any. Since 0.1.
 */
int uds_record_page_encode(const struct uds_record *records, uint32_t count,
			   const struct uds_env *env, struct uds_message *ret_message,
			   void *ret_page);

/*
 * Looks a name up in a record page.
 *
 * @count: page_bytes / 32.
 * @ret_data: may be NULL; the data, untouched when the name is not there.
 *
 * Returns whether the name is there. In a damaged page any name may be missing.
 *
 * Threads: any. Since 0.1.
 */
bool uds_record_page_search(const void *page, uint32_t count, const struct uds_record_name *name,
			    struct uds_record_data *ret_data);

/*
 * Checks that a search finds each record of a page: names are in order, and equal names have equal
 * data.
 *
 * @count: page_bytes / 32.
 * @ret_bad_record: may be NULL; the place, from 0, of a record that is out of order.
 *
 * Returns 0, or UDS_ERR_CORRUPT; the sentence names the record. Record pages have no checksum:
 * damage that keeps the order is not seen.
 *
 * Threads: any. Since 0.1.
 */
int uds_record_page_check(const void *page, uint32_t count, struct uds_message *ret_message,
			  uint32_t *ret_bad_record);

#ifdef __cplusplus
}
#endif

#endif
