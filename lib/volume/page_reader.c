/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading pages: one at a time, or many through an I/O engine; and the caches around it.
 *
 * Buffers and engines are pooled: reads go on all the time, and a new engine may cost system calls.
 * All share the threads of one engine.
 */
#include "volume/page_reader.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"

/* How many reads are under way at a time for one caller. */
#define ENGINE_DEPTH 64u

/*
 * A read of a few kilobytes out of the system's page cache takes a microsecond or so, one of 32 KB
 * four or five; the fastest device takes ten times as long.
 */
#define SLOW_READ_NS 40000

/* Reads that are quick as a rule are timed now and then only. */
#define TIMED_READS 4

/*
 * Where reads are quick, pages of a kind are cached if so much of the volume's has room: looking
 * for a page that is not there costs each lookup something.
 */
static const uint32_t least_room[PAGE_KINDS] = { [PAGE_OF_INDEX] = 4, [PAGE_OF_RECORDS] = 8 };

/* Of a request for what is in memory, so much is brought into the processor's cache ahead. */
#define LINE_BYTES   64u
#define MOST_FETCHED (6 * LINE_BYTES)

struct read_engine {
	struct read_engine *next;
	struct uds_io_engine *engine;
	const struct page_slab *known; /* this slab and older ones were added to the engine */
};

void page_reader_init(struct page_reader *reader, struct uds_io *io, const struct uds_env *env,
		      const struct geometry *geometry, uint64_t volume_nonce, uint64_t start)
{
	memset(reader, 0, sizeof(*reader));
	reader->env = *env;
	reader->io = io;
	reader->geometry = geometry;
	reader->start = start;
	index_page_code_make(geometry, volume_nonce, &reader->code);
}

/* How much of the cache is for which pages where reads are quick: index pages come first. */
static void divide_cache(struct page_reader *reader)
{
	const struct geometry *geometry = reader->geometry;
	const uint32_t pages[PAGE_KINDS] = {
		[PAGE_OF_INDEX] = geometry->chapters_per_volume * geometry->index_pages_per_chapter,
		[PAGE_OF_RECORDS] =
			geometry->chapters_per_volume * geometry->record_pages_per_chapter,
	};
	uint32_t left = page_cache_limit(reader->cache);

	/* What is mapped is in memory without. */
	if (reader->io->map != NULL)
		return;
	for (unsigned int kind = 0; kind < PAGE_KINDS; kind++) {
		const uint32_t room = left < pages[kind] ? left : pages[kind];

		reader->quick_room[kind] = room < pages[kind] / least_room[kind] ? 0 : room;
		left -= room;
	}
}

/*
 * Heads come first, at most half of the memory: they are small, and each of them saves the read of
 * a whole page. All else is for pages.
 */
int page_reader_start(struct page_reader *reader, uint64_t cache_bytes, struct uds_io_engine *share)
{
	const struct geometry *geometry = reader->geometry;
	uint64_t heads = slot_table_full_bytes(geometry), pages;
	int r;

	if (heads > cache_bytes / 2)
		heads = cache_bytes / 2;
	pages = (cache_bytes - heads) / page_cache_page_bytes(geometry->page_bytes);
	if (pages > geometry->pages_per_volume)
		pages = geometry->pages_per_volume;
	pthread_mutex_init(&reader->pool_lock, NULL);
	/* Every buffer has room for a whole page, so that one pool serves all kinds of reads. */
	page_buffers_start(&reader->buffers, &reader->env, reader->io, geometry->page_bytes);
	r = slot_table_make(&reader->env, geometry->chapters_per_volume,
			    geometry->index_pages_per_chapter, heads, &reader->slots);
	if (r == 0)
		r = page_cache_make(&reader->env, geometry->page_bytes, (uint32_t)pages,
				    &reader->cache);
	if (r == 0)
		divide_cache(reader);
	/* Held from now on: the caller may close it at any time. */
	if (r == 0 && share != NULL)
		r = engine_open(share, 1, &reader->env, &reader->threads);
	return r;
}

void page_reader_end(struct page_reader *reader)
{
	while (reader->engines != NULL) {
		/* The engines first, then the one whose threads they share. */
		struct read_engine *engine = reader->engines;

		reader->engines = engine->next;
		uds_io_engine_close(engine->engine);
		env_release(&reader->env, engine);
	}
	uds_io_engine_close(reader->threads);
	page_buffers_end(&reader->buffers);
	slot_table_free(reader->slots);
	page_cache_free(reader->cache);
	pthread_mutex_destroy(&reader->pool_lock);
}

uint64_t page_reader_bytes(struct page_reader *reader)
{
	return slot_table_bytes(reader->slots) + page_cache_bytes(reader->cache);
}

/* What is transferred for bytes [from, to) of the page, if it must begin and end between units. */
static void set_transfer(struct page_reader *reader, struct page_request *request, uint32_t unit)
{
	const struct page_claim *claim = &request->claim;
	uint32_t start = request->from / unit * unit;

	if (request->mapped != NULL) {
		request->content = request->mapped + start;
	} else {
		request->transfer.buffer = request->buffer->memory;
		request->content = request->buffer->memory;
	}
	request->bytes = request->content + (request->from - start);
	request->transfer.offset = page_reader_offset(reader, claim->slot, claim->page) + start;
	request->transfer.length = (size_t)round_up(request->to, unit) - start;
}

/* The first block of the chapter that has bytes of the request, and the one behind the last. */
static uint32_t first_block(const struct page_reader *reader, const struct page_request *request)
{
	return request->claim.page * (reader->geometry->page_bytes / BLOCK_BYTES) +
	       request->from / BLOCK_BYTES;
}

static uint32_t end_block(const struct page_reader *reader, const struct page_request *request)
{
	return request->claim.page * (reader->geometry->page_bytes / BLOCK_BYTES) +
	       (request->to + BLOCK_BYTES - 1) / BLOCK_BYTES;
}

/* Whether what is to be read must be compared: see page_reader.h. */
static bool is_to_be_compared(struct page_reader *reader, const struct page_request *request)
{
	return uds_io_block_bytes(reader->io) > 1 || page_reader_is_slow(reader) ||
	       request->to - request->from == reader->geometry->page_bytes ||
	       !checksums_were_checked(reader->checksums, request->claim.slot,
				       first_block(reader, request), end_block(reader, request));
}

int page_reader_want(struct page_reader *reader, struct page_request *request, uint32_t from,
		     uint32_t to)
{
	const struct page_claim *claim = &request->claim;

	request->mapped = request->cached != NULL
				  ? request->cached->bytes
				  : io_mapped(reader->io,
					      page_reader_offset(reader, claim->slot, claim->page),
					      reader->geometry->page_bytes);
	if (request->mapped == NULL && request->buffer == NULL)
		request->buffer = page_buffers_take(&reader->buffers);
	if (request->mapped == NULL && request->buffer == NULL)
		return -ENOMEM;
	request->from = from;
	request->to = to;
	/* What is cached was compared before. */
	request->summed = request->cached == NULL &&
			  checksums_know(reader->checksums, claim->slot, claim->vcn);
	request->whole_blocks = request->summed && is_to_be_compared(reader, request);
	request->transfer.io = reader->io;
	request->transfer.kind = UDS_IO_READ;
	request->transfer.flags = 0;
	set_transfer(reader, request,
		     request->whole_blocks ? BLOCK_BYTES : uds_io_block_bytes(reader->io));
	return 0;
}

void page_reader_release(struct page_reader *reader, struct page_request *request)
{
	if (request->buffer != NULL)
		page_buffers_give(&reader->buffers, request->buffer);
	request->buffer = NULL;
	if (request->cached != NULL)
		page_frame_unpin(request->cached);
	request->cached = NULL;
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/*
 * One slow read can be chance (this thread was not running), so it takes some; and many quick
 * ones to get back.
 */
static void note_time(struct page_reader *reader, uint64_t ns)
{
	int slowness = atomic_load_explicit(&reader->slowness, memory_order_relaxed);

	if (ns > SLOW_READ_NS)
		slowness = slowness < SLOW_MAXIMUM ? slowness + SLOW_STEP : slowness;
	else
		slowness = slowness > 0 ? slowness - 1 : slowness;
	atomic_store_explicit(&reader->slowness, slowness, memory_order_relaxed);
}

static void transfer_now(struct page_reader *reader, struct page_request *request)
{
	struct uds_io_request *transfer = &request->transfer;

	request->status = uds_io_read(reader->io, transfer->buffer, (size_t)transfer->length,
				      transfer->offset);
}

/*
 * What is in memory is looked at later, when other requests have been through here: its first
 * lines, and of many those in the middle, where searches begin.
 */
static void prefetch(const struct page_request *request)
{
	const uint32_t length = request->to - request->from;
	uint32_t at = length > MOST_FETCHED ? (length - MOST_FETCHED) / 2 : 0;

	for (uint32_t i = 0; i < length && i < MOST_FETCHED; i += LINE_BYTES, at += LINE_BYTES)
		__builtin_prefetch(request->bytes + at);
}

void page_reader_read(struct page_reader *reader, struct page_request *request)
{
	const bool to_be_compared = request->summed && !request->whole_blocks;
	uint64_t began = 0, took, count;
	bool timed;

	/* No transfer, and so no time that says anything. */
	if (request->mapped != NULL) {
		request->status = 0;
		prefetch(request);
		return;
	}
	count = atomic_fetch_add_explicit(&reader->pages_read, 1, memory_order_relaxed);
	/* After a slow read all are timed, so that a slow device is soon known for one. */
	timed = count % TIMED_READS == 0 ||
		atomic_load_explicit(&reader->slowness, memory_order_relaxed) > 0;
	if (timed)
		began = now_ns();
	transfer_now(reader, request);
	/* A failed read says nothing about the device's speed. */
	if (!timed || request->status != 0)
		return;
	took = now_ns() - began;
	note_time(reader, took);
	if (took <= SLOW_READ_NS || !to_be_compared)
		return;
	/* It may have come from the device again: by now the whole blocks are in memory. */
	request->whole_blocks = true;
	set_transfer(reader, request, BLOCK_BYTES);
	transfer_now(reader, request);
}

int page_reader_open_engine(struct page_reader *reader, unsigned int depth,
			    struct uds_io_engine **ret_engine)
{
	int r = 0;

	pthread_mutex_lock(&reader->pool_lock);
	/* Made by the first that needs it, under the lock so that there is only one. */
	if (reader->threads == NULL)
		r = engine_open(NULL, 1, &reader->env, &reader->threads);
	pthread_mutex_unlock(&reader->pool_lock);
	return r < 0 ? r : engine_open(reader->threads, depth, &reader->env, ret_engine);
}

static int make_engine(struct page_reader *reader, struct read_engine **ret_engine)
{
	struct read_engine *engine = env_allocate_zeroed(&reader->env, 1, sizeof(*engine));
	int r;

	if (engine == NULL)
		return -ENOMEM;
	r = page_reader_open_engine(reader, ENGINE_DEPTH, &engine->engine);
	if (r < 0)
		env_release(&reader->env, engine);
	else
		*ret_engine = engine;
	return r;
}

static int take_engine(struct page_reader *reader, struct read_engine **ret_engine)
{
	struct read_engine *engine;
	int r = 0;

	pthread_mutex_lock(&reader->pool_lock);
	engine = reader->engines;
	if (engine != NULL)
		reader->engines = engine->next;
	pthread_mutex_unlock(&reader->pool_lock);
	if (engine == NULL)
		r = make_engine(reader, &engine);
	if (r < 0)
		return r;
	engine->known = page_buffers_announce(&reader->buffers, engine->engine, engine->known);
	*ret_engine = engine;
	return 0;
}

static void give_engine(struct page_reader *reader, struct read_engine *engine)
{
	pthread_mutex_lock(&reader->pool_lock);
	engine->next = reader->engines;
	reader->engines = engine;
	pthread_mutex_unlock(&reader->pool_lock);
}

/* A request before number @i that reads the same bytes, or NULL. */
static const struct page_request *find_same(struct page_request *const *requests, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (requests[k]->transfer.offset == requests[i]->transfer.offset &&
		    requests[k]->transfer.length == requests[i]->transfer.length)
			return requests[k];
	}
	return NULL;
}

/* Gives those that were not read what the first one of the same bytes got. */
static void copy_same(struct page_request *const *requests, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		const struct page_request *same = find_same(requests, i);

		if (same == NULL)
			continue;
		requests[i]->status = same->status;
		if (same->status == 0)
			memcpy(requests[i]->transfer.buffer, same->transfer.buffer,
			       (size_t)same->transfer.length);
	}
}

/*
 * Up to ENGINE_DEPTH requests: submits them, and waits for all. The only place that knows how
 * many reads get under way together. What several of them want is read once: copying it takes
 * much less time.
 */
static void read_together(struct page_reader *reader, struct page_request *const *requests,
			  size_t count)
{
	struct uds_io_request *transfers[ENGINE_DEPTH], *done[ENGINE_DEPTH];
	struct read_engine *engine;
	size_t reads = 0;
	int r;

	for (size_t i = 0; i < count; i++) {
		if (find_same(requests, i) == NULL)
			transfers[reads++] = &requests[i]->transfer;
	}
	atomic_fetch_add_explicit(&reader->pages_read, reads, memory_order_relaxed);
	r = take_engine(reader, &engine);
	if (r == 0) {
		engine_submit(engine->engine, transfers, reads);
		/* All come back before the engine goes to others, which would get ours. */
		(void)uds_io_engine_reap(engine->engine, done, reads, reads, -1);
		give_engine(reader, engine);
	}
	for (size_t i = 0; i < count; i++)
		requests[i]->status = r < 0 ? r : requests[i]->transfer.status;
	copy_same(requests, count);
}

void page_reader_compare(struct page_reader *reader, struct page_request *request)
{
	if (!request->summed || request->whole_blocks)
		return;
	request->whole_blocks = true;
	set_transfer(reader, request, BLOCK_BYTES);
}

void page_reader_read_many(struct page_reader *reader, struct page_request *const *requests,
			   size_t count)
{
	struct page_request *together[ENGINE_DEPTH];
	size_t n = 0;

	for (size_t i = 0; i < count; i++) {
		if (requests[i]->mapped != NULL) {
			requests[i]->status = 0;
			prefetch(requests[i]);
			continue;
		}
		/* Many are read together where reads come from a device. */
		page_reader_compare(reader, requests[i]);
		together[n++] = requests[i];
		if (n == ENGINE_DEPTH) {
			read_together(reader, together, n);
			n = 0;
		}
	}
	if (n > 0)
		read_together(reader, together, n);
}

/*
 * Whether the checksums that something of a chapter did not match are those of another chapter:
 * forgets them then. Reads the whole chapter. Returns 1, 0, or an error of finding out.
 */
static int find_rewritten(struct page_reader *reader, uint32_t slot, uint64_t vcn,
			  struct uds_message *ret_message)
{
	uint8_t *pages;
	int r;

	r = page_reader_read_slot(reader, slot, &pages, ret_message);
	if (r == 0)
		r = page_check_rewritten(reader->geometry, &reader->code, reader->checksums, slot,
					 vcn, pages);
	env_release(&reader->env, pages);
	if (r != 1)
		return r;
	checksums_forget(reader->checksums, slot);
	env_log(&reader->env, UDS_LOG_NOTICE,
		"%s: chapter %" PRIu64 " (slot %" PRIu32
		") was written by a program that does not know checksums",
		uds_io_name(reader->io), vcn, slot);
	return 1;
}

int page_reader_check_sums(struct page_reader *reader, uint32_t slot, uint64_t vcn, size_t from,
			   const uint8_t *bytes, size_t length, struct uds_message *ret_message)
{
	int r, rewritten;

	/* The slot may have been written since the read was wanted. */
	if (!checksums_know(reader->checksums, slot, vcn))
		return 0;
	r = page_check_sums(reader->geometry, reader->checksums, slot, from, bytes, length,
			    ret_message);
	if (r == 0)
		return 0;
	/* Without an error it leaves the sentence alone. */
	rewritten = find_rewritten(reader, slot, vcn, ret_message);
	if (rewritten != 0)
		return rewritten == 1 ? 0 : rewritten;
	return r;
}

/* Whether a whole page that was read is to be cached. */
static bool is_worth_caching(struct page_reader *reader, const struct page_request *request)
{
	return request->keep || page_reader_is_slow(reader) ||
	       page_reader_has_quick_room(reader, page_reader_kind(reader, &request->claim));
}

/* Caches a whole page that was read and checked, if it is worth it. */
static void keep_page(struct page_reader *reader, const struct page_request *request)
{
	const struct page_claim *claim = &request->claim;

	if (is_worth_caching(reader, request))
		page_cache_add(reader->cache,
			       geometry_physical_page(reader->geometry, claim->slot, claim->page),
			       page_reader_kind(reader, claim), request->bytes);
}

int page_reader_accept(struct page_reader *reader, const struct page_request *request,
		       struct index_page_head *ret_head, struct uds_message *ret_message)
{
	const struct page_claim *claim = &request->claim;
	uint32_t length = request->to - request->from;
	int r;

	if (request->status < 0)
		return failure(ret_message, request->status,
			       "reading %" PRIu64 " bytes at %" PRIu64 ": %s",
			       request->transfer.length, request->transfer.offset,
			       uds_strerror(request->status));
	if (request->whole_blocks) {
		r = page_reader_check_sums(reader, claim->slot, claim->vcn,
					   (size_t)first_block(reader, request) * BLOCK_BYTES,
					   request->content, (size_t)request->transfer.length,
					   ret_message);
		if (r < 0)
			return r;
	}
	/* A part behind the head: lists have checks of their own, and records have none. */
	if (request->from > 0)
		return 1;
	r = page_check(reader->geometry, &reader->code, claim, request->bytes, length, ret_head,
		       ret_message);
	if (r <= 0 || reader->slots == NULL)
		return r;
	/* A part that ends before the table does gives no head that could be searched. */
	if (claim->page < reader->geometry->index_pages_per_chapter &&
	    length >= index_page_table_bytes(ret_head))
		slot_cache_head(reader->slots, claim->slot, claim->page, ret_head, request->bytes);
	if (length == reader->geometry->page_bytes && request->cached == NULL)
		keep_page(reader, request);
	return 1;
}

static void count_row(struct page_reader *reader, size_t length)
{
	const uint32_t page_bytes = reader->geometry->page_bytes;

	atomic_fetch_add_explicit(&reader->pages_read, (length + page_bytes - 1) / page_bytes,
				  memory_order_relaxed);
}

int page_reader_read_row(struct page_reader *reader, uint32_t slot, uint32_t page, size_t length,
			 uint8_t *memory, struct uds_message *ret_message)
{
	count_row(reader, length);
	return io_read(reader->io, memory, length, page_reader_offset(reader, slot, page),
		       ret_message);
}

int page_reader_read_slot(struct page_reader *reader, uint32_t slot, uint8_t **ret_pages,
			  struct uds_message *ret_message)
{
	const struct geometry *geometry = reader->geometry;
	const size_t bytes = (size_t)geometry->pages_per_chapter * geometry->page_bytes;

	*ret_pages = io_allocate_buffer(reader->io, &reader->env, bytes);
	if (*ret_pages == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	return page_reader_read_row(reader, slot, 0, bytes, *ret_pages, ret_message);
}

void page_reader_want_row(struct page_reader *reader, uint32_t slot, uint32_t page, size_t length,
			  uint8_t *memory, struct uds_io_request *ret_request)
{
	count_row(reader, length);
	ret_request->io = reader->io;
	ret_request->kind = UDS_IO_READ;
	ret_request->buffer = memory;
	ret_request->offset = page_reader_offset(reader, slot, page);
	ret_request->length = length;
}

void page_reader_lock_slot(struct page_reader *reader, uint32_t slot)
{
	/*
	 * In this order: with the slot locked no thread reads pages of it, so none comes back
	 * into the cache.
	 */
	slot_lock(reader->slots, slot);
	page_cache_drop(reader->cache, geometry_physical_page(reader->geometry, slot, 0),
			reader->geometry->pages_per_chapter);
}

void page_reader_unlock_slot(struct page_reader *reader, uint32_t slot)
{
	slot_unlock(reader->slots, slot);
}
