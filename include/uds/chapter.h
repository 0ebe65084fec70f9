/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chapters, the unit in which an index stores records and lets them go: the open chapter, in memory;
 * and the pages that it becomes when it is closed: index pages, which tell the record page of a name, and
 * record pages, which hold names and data.
 *
 * These are the pieces of uds/index.h, for programs that look into volumes, repair them or build them by
 * themselves. Nothing here does I/O: pages and saves are memory that the caller reads and writes. What is
 * written is bit for bit the UDS format (uds-format, 5 and 7 to 10).
 *
 * All functions that take a page or a save from outside may be given any bytes.
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
 * The open chapter (uds-format, 10): records in the order of their arrival, in 1 to 16 zones. A name
 * belongs to one zone; each zone has room for the same share of a chapter's records. When one zone is full
 * the whole chapter is to be closed.
 *
 * Threads: a chapter is changed by one thread at a time. Functions that take a const chapter may run
 * beside each other.
 */
struct uds_open_chapter;

/*
 * Makes an empty open chapter.
 *
 * @configuration: decides how many records it has, and which zone has a name.
 * @zones: 1 to 16.
 * @env: memory; NULL for the default.
 * @ret_message: NULL, or gets the sentence about a refused configuration.
 *
 * Returns 0, -ENOMEM, or -EINVAL for a configuration that uds_geometry_compute() refuses, or for a number
 * of zones that is out of range.
 *
 * Threads: any. Since 0.1.
 */
int uds_open_chapter_make(const struct uds_configuration *configuration, unsigned int zones,
			  const struct uds_env *env, struct uds_message *ret_message,
			  struct uds_open_chapter **ret_chapter);

/* Gives the memory back. NULL is fine. Since 0.1. */
void uds_open_chapter_free(struct uds_open_chapter *chapter);

/*
 * Copies the sentence about the calling thread's last call on this chapter that returns a status, if that
 * failed; empty when it did not (libuds(3), Errors).
 *
 * Threads: any number at once. Since 0.1.
 */
void uds_open_chapter_error_message(const struct uds_open_chapter *chapter,
				    struct uds_message *ret_message);

/* Forgets all records: the next chapter. Since 0.1. */
void uds_open_chapter_reset(struct uds_open_chapter *chapter);

/* How many live records there are: stored and not removed. Since 0.1. */
uint32_t uds_open_chapter_count(const struct uds_open_chapter *chapter);

/* The zone of a name (uds-format, 3), from 0. Since 0.1. */
unsigned int uds_open_chapter_zone_of(const struct uds_open_chapter *chapter,
				      const struct uds_record_name *name);

/*
 * Stores a record: over the data of one with that name, or as a new one.
 *
 * @ret_room: NULL, or gets how many more new records the name's zone takes. 0: the zone is full; close the
 * chapter.
 *
 * Returns 0, or UDS_ERR_OVERFLOW when the name is new and its zone is full: nothing is stored then. (A name
 * that is there is stored over in a full zone, too.)
 *
 * Since 0.1.
 */
int uds_open_chapter_put(struct uds_open_chapter *chapter, const struct uds_record_name *name,
			 const struct uds_record_data *data, uint32_t *ret_room);

/*
 * Looks a name up.
 *
 * @ret_data: NULL, or gets the data; untouched when the name is not there.
 *
 * Returns whether it is there. Since 0.1.
 */
bool uds_open_chapter_search(const struct uds_open_chapter *chapter,
			     const struct uds_record_name *name, struct uds_record_data *ret_data);

/*
 * Forgets a name. The room that its record took comes back only with the next reset: the layout of a
 * closed chapter follows from the order of arrival, gaps included.
 *
 * Returns whether it was there. Since 0.1.
 */
bool uds_open_chapter_remove(struct uds_open_chapter *chapter, const struct uds_record_name *name);

struct uds_chapter_index;

/*
 * Closes the chapter: makes its record pages and enters every record in a chapter index, which is then
 * ready to be packed. The chapter itself does not change; reset it afterwards.
 *
 * A place that no live record takes gets a copy of the last record of the first full zone or, where no zone
 * is full, of the first live record (uds-format, 10.4).
 *
 * @index: made with the same configuration and just reset.
 * @ret_record_pages: record_pages_per_chapter pages of page_bytes each, in order.
 * @bytes: the size of that memory.
 *
 * Returns 0, or
 *   UDS_ERR_BAD_STATE  no live record: there is nothing to write; or the index was not reset
 *   UDS_ERR_OVERFLOW   @bytes is less than the record pages take
 *   -EINVAL            the index is of another configuration
 *   -ENOMEM
 * After an error the memory may have been written and the index needs a reset.
 *
 * Since 0.1.
 */
int uds_open_chapter_close(const struct uds_open_chapter *chapter, struct uds_chapter_index *index,
			   void *ret_record_pages, size_t bytes);

/* How many bytes uds_open_chapter_save() will write: 14, and 32 for each live record. Since 0.1. */
size_t uds_open_chapter_saved_bytes(const struct uds_open_chapter *chapter);

/*
 * Writes the live records in the form of a save's open chapter region (uds-format, 10.5).
 *
 * @room: size of @memory in bytes.
 *
 * Returns 0, or UDS_ERR_OVERFLOW when @room is less than uds_open_chapter_saved_bytes(): nothing is
 * written then.
 *
 * Since 0.1.
 */
int uds_open_chapter_save(const struct uds_open_chapter *chapter, void *memory, size_t room);

/* Told of a record that found no room at load. It must not use the chapter. */
typedef void (*uds_dropped_record_fn)(void *context, const struct uds_record *record);

/*
 * Replaces the content by that of a save, which may be of another number of zones (uds-format, 10.6). A
 * zone that holds more than one record is left with room for one more; what a zone has no room for is
 * dropped. An index must forget the dropped names.
 *
 * @bytes: size of @memory; bytes behind the last record are not looked at.
 * @dropped: NULL, or called for each dropped record, in the order of the save.
 * @ret_dropped: NULL, or gets their number.
 *
 * Returns 0, or UDS_ERR_CORRUPT for memory that is no such save, is shorter than its count says, has more
 * records than a chapter, or a name twice: the chapter is empty then, though @dropped may have been
 * called.
 *
 * Since 0.1.
 */
int uds_open_chapter_load(struct uds_open_chapter *chapter, const void *memory, size_t bytes,
			  uds_dropped_record_fn dropped, void *dropped_context,
			  uint64_t *ret_dropped, struct uds_message *ret_message);

/*
 * The chapter index under construction (uds-format, 8): collects names with their record pages, then packs
 * them into index pages.
 *
 * Threads: used by one thread at a time.
 */

/*
 * Makes an empty chapter index for chapter 0.
 *
 * @volume_nonce: the volume's, not the user's (uds-format, 14.5); it is stored in each page.
 *
 * Returns 0, -ENOMEM, or -EINVAL for a configuration that uds_geometry_compute() refuses.
 *
 * Threads: any. Since 0.1.
 */
int uds_chapter_index_make(const struct uds_configuration *configuration, uint64_t volume_nonce,
			   const struct uds_env *env, struct uds_message *ret_message,
			   struct uds_chapter_index **ret_index);

/* NULL is fine. Since 0.1. */
void uds_chapter_index_free(struct uds_chapter_index *index);

/* As uds_open_chapter_error_message(). Since 0.1. */
void uds_chapter_index_error_message(const struct uds_chapter_index *index,
				     struct uds_message *ret_message);

/* Forgets everything and starts on another chapter, by its virtual number. Since 0.1. */
void uds_chapter_index_reset(struct uds_chapter_index *index, uint64_t virtual_chapter);

/*
 * Enters a name. Names are to be put in layout order (uds-format, 10.4), on which the order of names with
 * the same address depends.
 *
 * @record_page: 0 to record_pages_per_chapter - 1.
 *
 * Returns 0, or
 *   UDS_ERR_OVERFLOW   there are as many names as a chapter has records
 *   UDS_ERR_BAD_STATE  packing has begun
 *   -EINVAL            no such record page
 * That a list is full is found in packing.
 *
 * Since 0.1.
 */
int uds_chapter_index_put(struct uds_chapter_index *index, const struct uds_record_name *name,
			  uint32_t record_page);

/*
 * Packs as many lists as fit into an index page.
 *
 * The first call sorts what was put. Then the lists are final but for those that have to be dropped: a list
 * that does not fit on a page by itself is emptied; on the last page as many lists are as are left over.
 * Records in dropped lists cannot be found any more (uds-format, 8.2).
 *
 * @first_list: 0 for the first page, then the sum of what the pages before took.
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
 * Since 0.1.
 */
int uds_chapter_index_pack_page(struct uds_chapter_index *index, uint32_t first_list,
				bool last_page, void *ret_page, uint32_t *ret_lists,
				struct uds_message *ret_message);

struct uds_chapter_index_statistics {
	uint64_t size;	     /* of this struct: set by UDS_CHAPTER_INDEX_STATISTICS_INIT */
	uint32_t entries;    /* names that can be found */
	uint32_t collisions; /* of these, stored with the full name */
	uint32_t
		overflows; /* names left out because a list, or the format's memory for it, was full */
	uint32_t removed; /* names lost with lists that were emptied in packing */
};

#define UDS_CHAPTER_INDEX_STATISTICS_INIT                               \
	{                                                               \
		sizeof(struct uds_chapter_index_statistics), 0, 0, 0, 0 \
	}

/*
 * What came of the names; complete when the last page is packed.
 *
 * Returns 0, or -EINVAL for a size member that is too small. Since 0.1.
 */
int uds_chapter_index_get_statistics(const struct uds_chapter_index *index,
				     struct uds_chapter_index_statistics *ret_statistics);

/*
 * How the pages of one volume look: for reading index pages.
 *
 * Threads: never changes; any number at once.
 */
struct uds_page_format;

/* Returns 0, -ENOMEM, or -EINVAL for a configuration that uds_geometry_compute() refuses. Since 0.1. */
int uds_page_format_make(const struct uds_configuration *configuration, uint64_t volume_nonce,
			 const struct uds_env *env, struct uds_message *ret_message,
			 struct uds_page_format **ret_format);

/* NULL is fine. Since 0.1. */
void uds_page_format_free(struct uds_page_format *format);

/* As uds_open_chapter_error_message(); the calls are those below that take the format. Since 0.1. */
void uds_page_format_error_message(const struct uds_page_format *format,
				   struct uds_message *ret_message);

/* An index page that was looked over. It borrows the page's memory. */
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
 * Checks nonce, table of lists and guard of a page (uds-format, 7.3), so that it can be searched. Pages
 * with a big-endian head, from old writers, are accepted.
 *
 * @page: page_bytes; must stay as long as @ret_page is used.
 *
 * Returns 0; UDS_ERR_CORRUPT, and the sentence says which check failed; -EINVAL for a size member that is
 * too small.
 *
 * Since 0.1.
 */
int uds_chapter_index_initialize_page(const struct uds_page_format *format, const void *page,
				      struct uds_message *ret_message,
				      struct uds_index_page *ret_page);

/*
 * Decodes every list to its end (uds-format, 8.3).
 *
 * Returns 0; UDS_ERR_CORRUPT, and the sentence names the list; -EINVAL for a size member that is too
 * small.
 *
 * Since 0.1.
 */
int uds_chapter_index_validate_page(const struct uds_page_format *format,
				    const struct uds_index_page *page,
				    struct uds_message *ret_message);

/*
 * Looks a name up.
 *
 * @ret_found: whether the name may be in the chapter. False is certain, when the name's list is on the page.
 * @ret_record_page: where to look for it; another name may be the one that is there.
 *
 * Returns 0; UDS_ERR_OUT_OF_RANGE when the name's list is not on this page (it is on the one with
 * first_list <= list < first_list + list_count); UDS_ERR_CORRUPT for a list that does not decode; or
 * -EINVAL for a size member that is too small.
 *
 * Since 0.1.
 */
int uds_chapter_index_search_page(const struct uds_page_format *format,
				  const struct uds_index_page *page,
				  const struct uds_record_name *name, bool *ret_found,
				  uint32_t *ret_record_page);

/* The list of a name in a chapter index, from 0 (uds-format, 3). Since 0.1. */
uint32_t uds_chapter_index_list_of(const struct uds_page_format *format,
				   const struct uds_record_name *name);

/*
 * Makes a record page (uds-format, 9).
 *
 * @records, @count: page_bytes / 32 of them, 1 to 2048, in any order. Equal names only in equal records.
 * @ret_page: 32 bytes for each record.
 *
 * Returns 0, -EINVAL for another count, or -ENOMEM.
 *
 * Threads: any. Since 0.1.
 */
int uds_record_page_encode(const struct uds_record *records, uint32_t count,
			   const struct uds_env *env, void *ret_page);

/*
 * Looks a name up in a record page.
 *
 * @ret_data: NULL, or gets the data; untouched when the name is not there.
 *
 * Returns whether it is there. In a damaged page any name may be missing.
 *
 * Threads: any. Since 0.1.
 */
bool uds_record_page_search(const void *page, uint32_t count, const struct uds_record_name *name,
			    struct uds_record_data *ret_data);

/*
 * Checks that a search finds each record of a page: names are in order, and equal names have equal data.
 *
 * @ret_bad_record: NULL, or gets the place, from 0, of a record that is out of order.
 *
 * Returns 0 or UDS_ERR_CORRUPT. Record pages have no checksum: damage that keeps the order is not seen.
 *
 * Threads: any. Since 0.1.
 */
int uds_record_page_check(const void *page, uint32_t count, uint32_t *ret_bad_record);

#ifdef __cplusplus
}
#endif

#endif
