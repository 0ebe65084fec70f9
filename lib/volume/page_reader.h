/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading pages of the volume: everything that is read of it goes through here, in parts, whole,
 * many at once, or a row of pages with one transfer. What is read is counted, checked
 * (page_check.h) and cached.
 *
 * How it reads depends on the device, and is measured as it goes. Where a read is a copy from the
 * system's page cache, a lookup reads the few parts it needs. A whole page costs several of these,
 * and is worth it when it stays in memory: so index pages that are asked for again and again are
 * cached, and record pages now and then, if there is room for a good part of them, for record pages
 * beside all index pages. None of them evicts another one of its kind. Where a read takes the time
 * of a device, whole pages are read and cached, index pages as well as record pages, as long as
 * there is room; then parts are, but for what many names lead to. Those are read whole also where
 * reads are quick.
 *
 * Where the checksums of a chapter are known, what is read of it is compared with them: whole pages
 * always; a part of a page is read in whole blocks for that the first time, and whenever it comes
 * from the device: because the I/O goes past the system's page cache, or because the read, if it
 * was timed, took as long as that of a device. What was right before and is only copied again from
 * the system's memory is not compared again.
 *
 * Where the I/O is mapped (io_mapped()), nothing is transferred: what is wanted is looked at in
 * place, in parts. So it is in a page that is cached.
 *
 * One read takes three steps, so that no caller has to wait in the middle of something:
 *   page_reader_want()    says what is to be read, and gets a buffer for it;
 *   page_reader_read() or page_reader_read_many()  reads;
 *   page_reader_accept()  checks what came, and caches it.
 * The first and the last happen inside the slot (slot_table.h). A caller that leaves the slot in
 * between compares slot_writes(): what was read while the slot was written may be a mixture.
 *
 * A reader without caches (page_reader_init() alone) is enough for what is read before a
 * volume is open.
 *
 * Threads: any, but for init, start and end.
 */
#ifndef VOLUME_PAGE_READER_H
#define VOLUME_PAGE_READER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "chapter/index_page.h"
#include "geometry/geometry.h"
#include "io/io.h"
#include "volume/page_buffers.h"
#include "volume/page_cache.h"
#include "volume/page_check.h"
#include "volume/page_map.h"
#include "volume/slot_table.h"

struct read_engine;

struct page_reader {
	struct uds_env env;
	struct uds_io *io;
	const struct geometry *geometry;
	struct index_page_code code;
	uint64_t start; /* of the volume region, bytes of the I/O */

	/* NULL in a reader without caches. */
	struct slot_table *slots;	 /* with the cached heads of index pages */
	struct page_cache *cache;	 /* whole pages */
	uint32_t quick_room[PAGE_KINDS]; /* pages that quick reads fill the cache with */
	struct checksums *checksums;	 /* of an index with extras, else NULL; borrowed */

	_Atomic int slowness; /* see page_reader_is_slow() */
	_Atomic uint64_t pages_read;

	struct page_buffers buffers;
	pthread_mutex_t pool_lock; /* for what follows */
	struct read_engine *engines;
	struct uds_io_engine *threads; /* the engine whose threads all use; NULL before the first */
};

/*
 * A reader without caches. @geometry: borrowed. @start: where the volume region begins, in bytes of
 * the I/O. Needs no memory and no end.
 */
void page_reader_init(struct page_reader *reader, struct uds_io *io, const struct uds_env *env,
		      const struct geometry *geometry, uint64_t volume_nonce, uint64_t start);

/*
 * Gives it caches of at most @cache_bytes together. Returns 0 or -ENOMEM; to be ended in any case.
 *
 * @share: the engine whose threads all reads use; NULL: there are own ones.
 */
int page_reader_start(struct page_reader *reader, uint64_t cache_bytes,
		      struct uds_io_engine *share);
void page_reader_end(struct page_reader *reader);

/* Memory of the caches now. */
uint64_t page_reader_bytes(struct page_reader *reader);

/* Where page @page of a slot begins, in bytes of the I/O. */
static inline uint64_t page_reader_offset(const struct page_reader *reader, uint32_t slot,
					  uint32_t page)
{
	return reader->start +
	       geometry_physical_page(reader->geometry, slot, page) * reader->geometry->page_bytes;
}

/* How slowness grows with each slow read and how far; it falls by 1 with each quick one. */
#define SLOW_STEP      8
#define SLOW_MAXIMUM   256
#define SLOW_THRESHOLD 64

/* Whether reads take the time of a device at present, rather than that of a copy. */
static inline bool page_reader_is_slow(struct page_reader *reader)
{
	return atomic_load_explicit(&reader->slowness, memory_order_relaxed) > SLOW_THRESHOLD;
}

/*
 * Whether requests are better under way together: where each takes the time of a device; and where
 * pages are in memory, so that the memory of all of them is fetched at once.
 */
static inline bool page_reader_prefers_many(struct page_reader *reader)
{
	return reader->io->map != NULL || page_reader_is_slow(reader) ||
	       reader->quick_room[PAGE_OF_INDEX] > 0;
}

static inline enum page_kind page_reader_kind(const struct page_reader *reader,
					      const struct page_claim *claim)
{
	return claim->page < reader->geometry->index_pages_per_chapter ? PAGE_OF_INDEX
								       : PAGE_OF_RECORDS;
}

/* Whether pages of a kind are still brought in where reads are quick. */
static inline bool page_reader_has_quick_room(const struct page_reader *reader, enum page_kind kind)
{
	return page_cache_count(reader->cache, kind) < reader->quick_room[kind];
}

/* One read of a page or a part of it. */
struct page_request {
	struct page_claim claim;
	uint32_t from, to;	    /* bytes of the page */
	bool keep;		    /* whole pages are worth caching, however quick reads are */
	bool summed;		    /* the checksums of the chapter are known */
	bool whole_blocks;	    /* so many are read that they can be compared */
	struct page_frame *cached;  /* the page, if page_reader_find() has found it */
	const uint8_t *mapped;	    /* the page, where it is in memory; NULL: it is read */
	const uint8_t *content;	    /* all that was read; private */
	const uint8_t *bytes;	    /* once it was read: byte @from and what follows */
	int status;		    /* of the read */
	struct page_buffer *buffer; /* NULL: nothing was read yet, or all is mapped */
	struct uds_io_request transfer;
};

/* A request for bytes [@from, @to) of the page that the claim is about. Returns 0 or -ENOMEM. */
int page_reader_want(struct page_reader *reader, struct page_request *request, uint32_t from,
		     uint32_t to);

/* Reads now, or fetches what is in memory. The status is in the request. */
void page_reader_read(struct page_reader *reader, struct page_request *request);

/*
 * Reads many, all under way together, and returns when all are done. Each has its own status. Of
 * requests for the same bytes one is read for all of them.
 */
void page_reader_read_many(struct page_reader *reader, struct page_request *const *requests,
			   size_t count);

/*
 * Has what is read compared with the checksums that are known, since it comes from a device. For a
 * caller that submits request->transfer to an engine of its own, and counts it.
 */
void page_reader_compare(struct page_reader *reader, struct page_request *request);

/*
 * Takes in what was read, if it begins at byte 0 of its page: checks it, and caches the head of
 * an index page; a whole page, too, where reads are slow or it is to be kept, and where they are
 * quick if there is room for it. A part from the middle of a page is taken as it is.
 *
 * @ret_head: of an index page.
 *
 * Returns 1; 0 when the chapter is no longer there; UDS_ERR_CORRUPT; or what the I/O said.
 */
int page_reader_accept(struct page_reader *reader, const struct page_request *request,
		       struct index_page_head *ret_head, struct uds_message *ret_message);

/* Gives back the buffer and the cached page; the bytes are gone. Does nothing without. */
void page_reader_release(struct page_reader *reader, struct page_request *request);

/*
 * Reads the first @length bytes of a row of pages, which begins with page @page of a slot, with one
 * transfer. Nothing of it is checked or cached: which chapter it is of, the caller finds out
 * (whole_chapter.h).
 *
 * @memory: from io_allocate_buffer(). @length: a multiple of BLOCK_BYTES.
 *
 * Returns 0, or what the I/O said with a sentence.
 */
int page_reader_read_row(struct page_reader *reader, uint32_t slot, uint32_t page, size_t length,
			 uint8_t *memory, struct uds_message *ret_message);

/*
 * All pages of a slot, as page_reader_read_row() does.
 *
 * @ret_pages: for the caller to release, also after an error; NULL without memory.
 *
 * Returns 0, -ENOMEM, or what the I/O said.
 */
int page_reader_read_slot(struct page_reader *reader, uint32_t slot, uint8_t **ret_pages,
			  struct uds_message *ret_message);

/*
 * As page_reader_read_row(), for an engine: fills in a request, which must be all zero or done, and
 * counts its pages as read.
 */
void page_reader_want_row(struct page_reader *reader, uint32_t slot, uint32_t page, size_t length,
			  uint8_t *memory, struct uds_io_request *ret_request);

/*
 * Opens an engine for a caller that keeps up to @depth reads under way. It uses the threads that
 * all reads of this reader share. Returns 0 or -ENOMEM.
 */
int page_reader_open_engine(struct page_reader *reader, unsigned int depth,
			    struct uds_io_engine **ret_engine);

/*
 * Compares bytes [@from, @from + @length) of a chapter, both multiples of BLOCK_BYTES, with the
 * checksums of chapter @vcn, if they are known. The caller is in the slot.
 *
 * Returns 0; UDS_ERR_CORRUPT and what is wrong; or -ENOMEM or what the I/O said, when it had to be
 * found out whether the checksums count.
 */
int page_reader_check_sums(struct page_reader *reader, uint32_t slot, uint64_t vcn, size_t from,
			   const uint8_t *bytes, size_t length, struct uds_message *ret_message);

/* Forgets everything of a slot and keeps all readers out until page_reader_unlock_slot(). */
void page_reader_lock_slot(struct page_reader *reader, uint32_t slot);
void page_reader_unlock_slot(struct page_reader *reader, uint32_t slot);

#endif
