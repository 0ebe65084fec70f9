/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chapters read ahead into a ring of buffers by an engine, while the caller works on what was read.
 *
 * Chapters [taken, asked) are in the ring, in flight or done; the buffers of those that were handed
 * out last stay the caller's until it asks for the next.
 */
#include "volume/chapter_stream.h"

#include <errno.h>

#include "base/env.h"
#include "volume/volume_private.h"

/* The one that is handed out next, and those that are full or being filled behind it. */
#define AHEAD 3u

/* One chapter's part on its way. */
struct ahead {
	struct uds_io_request request;
	uint8_t *buffer;
	uint32_t writes; /* of the slot, when the read was submitted */
	int status;
	bool done;
};

struct chapter_stream {
	struct volume *volume;
	struct uds_io_engine *engine;
	uint32_t first_page; /* of each chapter */
	size_t bytes;
	const uint32_t *slots;
	uint32_t count;
	uint32_t asked; /* chapters whose reads were submitted so far */
	uint32_t taken; /* that were handed out */
	uint32_t buffers;
	struct ahead ring[];
};

static void submit(struct chapter_stream *stream, uint32_t slot, struct ahead *ahead)
{
	struct page_reader *reader = &stream->volume->reader;
	struct uds_io_request *request = &ahead->request;

	ahead->status = 0;
	/*
	 * A slot that is being written is not read now: its chapter is on its way out, and the
	 * caller treats it as gone.
	 */
	ahead->done = !slot_enter(reader->slots, slot);
	if (ahead->done) {
		ahead->status = UDS_ERR_OUT_OF_RANGE;
		return;
	}
	/* Compared when the read is done: a write in between leaves a mixture in the buffer. */
	ahead->writes = slot_writes(reader->slots, slot);
	slot_leave(reader->slots, slot);
	page_reader_want_row(reader, slot, stream->first_page, stream->bytes, ahead->buffer,
			     request);
	request->user = ahead;
	engine_submit(stream->engine, &request, 1);
}

/* Lets all buffers be filled that the caller does not have. */
static void read_ahead(struct chapter_stream *stream)
{
	while (stream->asked < stream->count && stream->asked - stream->taken < AHEAD) {
		uint32_t n = stream->asked++;

		submit(stream, stream->slots[n], &stream->ring[n % stream->buffers]);
	}
}

/*
 * No reader stays in a slot while its read is in flight: the caller may be the one that a writer
 * waits for. What was read while the slot was written is of two chapters, and does not count.
 */
static int read_status(struct chapter_stream *stream, uint32_t slot, const struct ahead *ahead)
{
	struct slot_table *slots = stream->volume->reader.slots;
	bool same;

	if (ahead->status < 0 || !slot_enter(slots, slot))
		return ahead->status < 0 ? ahead->status : UDS_ERR_OUT_OF_RANGE;
	same = ahead->writes == slot_writes(slots, slot);
	slot_leave(slots, slot);
	return same ? ahead->request.status : UDS_ERR_OUT_OF_RANGE;
}

static void wait_for(struct chapter_stream *stream, const struct ahead *ahead)
{
	struct uds_io_request *done[AHEAD];

	while (!ahead->done) {
		int n = uds_io_engine_reap(stream->engine, done, AHEAD, 1, -1);

		/*
		 * Reads finish in any order; that of a later chapter is noted for when its turn
		 * comes.
		 */
		for (int i = 0; i < n; i++)
			((struct ahead *)done[i]->user)->done = true;
	}
}

static void set_part(struct chapter_stream *stream, enum chapter_part part)
{
	const struct geometry *geometry = &stream->volume->geometry;
	uint32_t pages = geometry->pages_per_chapter;

	if (part == CHAPTER_INDEX_PAGES)
		pages = geometry->index_pages_per_chapter;
	if (part == CHAPTER_RECORD_PAGES) {
		pages = geometry->record_pages_per_chapter;
		stream->first_page = geometry->index_pages_per_chapter;
	}
	stream->bytes = part == CHAPTER_HEAD ? BLOCK_BYTES : (size_t)pages * geometry->page_bytes;
}

int chapter_stream_open(struct volume *volume, enum chapter_part part, const uint32_t *slots,
			uint32_t count, uint32_t held, struct chapter_stream **ret_stream)
{
	const uint32_t buffers = AHEAD + held - 1;
	struct chapter_stream *stream = env_allocate_zeroed(
		&volume->env, 1, sizeof(*stream) + buffers * sizeof(stream->ring[0]));
	int r;

	if (stream == NULL)
		return -ENOMEM;
	stream->volume = volume;
	stream->slots = slots;
	stream->count = count;
	stream->buffers = buffers;
	set_part(stream, part);
	r = page_reader_open_engine(&volume->reader, AHEAD, &stream->engine);
	for (unsigned int i = 0; i < buffers && r == 0; i++) {
		uint8_t *buffer = io_allocate_buffer(volume->io, &volume->env, stream->bytes);

		stream->ring[i].buffer = buffer;
		r = buffer == NULL ? -ENOMEM : 0;
		if (r == 0)
			(void)uds_io_engine_add_buffer(stream->engine, buffer, stream->bytes);
	}
	if (r < 0) {
		chapter_stream_close(stream);
		return r;
	}
	read_ahead(stream);
	*ret_stream = stream;
	return 0;
}

bool chapter_stream_next(struct chapter_stream *stream, struct streamed_chapter *ret_chapter)
{
	uint32_t n = stream->taken;
	struct ahead *ahead = &stream->ring[n % stream->buffers];

	/* Nothing is in flight any more; the caller gives the last buffer back with close(). */
	if (n == stream->count)
		return false;
	read_ahead(stream); /* also into the buffer that the caller had longest */
	wait_for(stream, ahead);
	stream->taken = n + 1;
	/* A failure is this chapter's only. The caller decides whether to go on with the next. */
	ret_chapter->slot = stream->slots[n];
	ret_chapter->status = read_status(stream, stream->slots[n], ahead);
	ret_chapter->pages = ahead->buffer;
	return true;
}

void chapter_stream_close(struct chapter_stream *stream)
{
	const struct uds_env *env;

	if (stream == NULL)
		return;
	env = &stream->volume->env;
	uds_io_engine_close(stream->engine); /* first: reads in flight write to the buffers */
	for (unsigned int i = 0; i < stream->buffers; i++)
		env_release(env, stream->ring[i].buffer);
	env_release(env, stream);
}
