/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The volume: chapters on an I/O, each in its slot (uds-format, 11), and looking names up in them.
 *
 * A lookup reads at most the part of one index page and of one record page that it needs. What is
 * read is verified as far as it goes: nonce, chapter number, the lists' bounds against the page
 * map, order and range of the table entries that are used, the guard where whole pages are read.
 *
 * Small parts are read where reading is a copy from the system's page cache. Where a read takes the
 * time of a device, whole pages are read and kept in a cache of our own. Which of the two it is, is
 * measured as it goes.
 *
 * Threads: any number may look up at once. One thread at a time writes chapters (chapter_writer.h);
 * who looks for a name in a chapter whose slot is being written, does not find it.
 */
#ifndef VOLUME_VOLUME_H
#define VOLUME_VOLUME_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <uds/record.h>
#include <uds/status.h>

#include "chapter/index_page.h"
#include "geometry/geometry.h"
#include "io/io.h"
#include "volume/layout.h"
#include "volume/page_cache.h"
#include "volume/page_map.h"
#include "volume/slot_table.h"
#include "volume/whole_chapter.h"

struct volume_batch;

struct volume {
	struct uds_env env;
	struct uds_io *io;
	struct geometry geometry;
	struct index_page_code code;
	uint64_t start; /* of the volume region, bytes of the I/O */
	uint32_t reach; /* nodes of a record page's bottom row, from where a name should be, that
			   are read */
	struct page_map *map;
	struct slot_table *slots;
	struct page_cache *cache;

	/* How many reads in a row were slow; see volume_reads_are_slow(). */
	_Atomic int slowness;
	_Atomic uint64_t pages_read;

	pthread_mutex_t pool_lock; /* for the two lists */
	struct scratch *scratches;
	struct volume_batch *batches;
};

/*
 * @layout: copied as far as needed. @cache_bytes: memory for what lookups have read; 0: as much as
 * cache_chapters chapters take. The page map is empty at first: page_map_decode() or a rebuild fill
 * it.
 *
 * Returns 0 or -ENOMEM.
 */
int volume_open(struct uds_io *io, const struct layout *layout, uint64_t cache_bytes,
		const struct uds_env *env, struct volume **ret_volume);

/* NULL is fine. The I/O stays open. No other thread uses the volume. */
void volume_close(struct volume *volume);

/* Memory taken now, page map and caches included. */
uint64_t volume_memory_bytes(struct volume *volume);

/*
 * Looks a name up in chapter @vcn, which must have been written.
 *
 * @ret_data: untouched when it is not found.
 *
 * Returns 0; UDS_ERR_CORRUPT and the page when something read contradicts the format or the page
 * map; or what the I/O said.
 */
int volume_search_chapter(struct volume *volume, uint64_t vcn, const struct uds_record_name *name,
			  bool *ret_found, struct uds_record_data *ret_data,
			  struct uds_message *ret_message);

/* One of many lookups. */
struct volume_search {
	uint64_t vcn;
	struct uds_record_name name;
	struct uds_record_data data; /* out: when found */
	int status;		     /* out */
	bool found;		     /* out */
};

/*
 * The same for many at once: where reads are slow they are all under way together.
 *
 * Returns 0, or the first error; ret_message belongs to it. Each search has its own status.
 */
int volume_search_many(struct volume *volume, struct volume_search *searches, size_t count,
		       struct uds_message *ret_message);

/*
 * Looks a name up in one record page of a chapter, for those who know it from a chapter index of
 * their own.
 * @ret_found: false also when the chapter is no longer there.
 */
int volume_search_record_page(struct volume *volume, uint64_t vcn, uint32_t record_page,
			      const struct uds_record_name *name, bool *ret_found,
			      struct uds_record_data *ret_data, struct uds_message *ret_message);

/*
 * Reads all index pages of a chapter, and verifies each against chapter and page map.
 *
 * @pages: index_pages_per_chapter * page_bytes, from io_allocate_buffer().
 * @ret_heads: one for each page.
 *
 * Returns 0; UDS_ERR_OUT_OF_RANGE when the chapter is no longer there; UDS_ERR_CORRUPT; or what the
 * I/O said.
 */
int volume_read_chapter_index(struct volume *volume, uint64_t vcn, uint8_t *pages,
			      struct index_page_head *ret_heads, struct uds_message *ret_message);

/*
 * Before anything of a slot is overwritten: waits until nobody looks at it, and keeps everybody
 * out. volume_end_write() lets them in again, if the chapter was written.
 */
void volume_begin_write(struct volume *volume, uint32_t slot);
void volume_end_write(struct volume *volume, uint32_t slot);

/* Where page @page of a slot begins, in bytes of the I/O. */
static inline uint64_t volume_page_offset(const struct volume *volume, uint32_t slot, uint32_t page)
{
	return volume->start +
	       geometry_physical_page(&volume->geometry, slot, page) * volume->geometry.page_bytes;
}

/* For whole_chapter.h. */
static inline struct chapter_reader volume_chapter_reader(const struct volume *volume)
{
	struct chapter_reader reader = { volume->io, &volume->env, &volume->geometry, &volume->code,
					 volume->start };

	return reader;
}

/* The rest is for the files of this folder. */

/* A buffer for one lookup: a page and what alignment may add on both sides. */
struct scratch {
	struct scratch *next;
	uint8_t *buffer;
};

int volume_take_scratch(struct volume *volume, struct scratch **ret_scratch);
void volume_give_scratch(struct volume *volume, struct scratch *scratch);

/* How volume->slowness grows with each slow read and how far; it falls by 1 with each quick one. */
#define SLOW_STEP      8
#define SLOW_MAXIMUM   256
#define SLOW_THRESHOLD 64

/* Whether reads take the time of a device at present, rather than that of a copy. */
static inline bool volume_reads_are_slow(struct volume *volume)
{
	return atomic_load_explicit(&volume->slowness, memory_order_relaxed) > SLOW_THRESHOLD;
}

/*
 * Reads bytes [@from, @to) of a page, and as much around them as the I/O's blocks ask for.
 * @ret_bytes: where byte @from is in the scratch's buffer.
 */
int volume_read_part(struct volume *volume, struct scratch *scratch, uint32_t slot, uint32_t page,
		     uint32_t from, uint32_t to, uint8_t **ret_bytes,
		     struct uds_message *ret_message);

/*
 * Compares the head of an index page with the chapter and the page map.
 *
 * Returns 1; 0 when the chapter is no longer there, because a later one took its slot; or
 * UDS_ERR_CORRUPT.
 */
int volume_check_head(const struct volume *volume, uint32_t slot, uint64_t vcn,
		      const struct page_bounds *bounds, const struct index_page_head *head,
		      struct uds_message *ret_message);

/* Puts the name of the I/O and the page in front of a sentence. Returns @status. */
int volume_page_failure(const struct volume *volume, uint32_t slot, uint64_t vcn, uint32_t page,
			int status, struct uds_message *ret_message);

#endif
