/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Chapters read ahead into a ring of buffers. Reads are large, so one at a time keeps a device
 * busy, while another thread works on what was read.
 */
#include "volume/chapter_stream.h"

#include <errno.h>

#include "base/env.h"
#include "volume/volume_private.h"

/* One is being worked on, the others are full or being filled. */
#define BUFFERS 3u

struct chapter_stream {
	struct volume *volume;
	uint32_t first_page; /* of each chapter */
	size_t bytes;
	const uint32_t *slots;
	uint32_t count;
	uint8_t *buffers[BUFFERS];
	int statuses[BUFFERS];
	pthread_t thread;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint32_t read;	/* chapters that were read so far */
	uint32_t taken; /* that were handed out */
	uint32_t freed; /* whose buffer may be filled again */
	bool stop;
};

static int read_chapter(struct chapter_stream *stream, uint32_t slot, uint8_t *buffer)
{
	struct volume *volume = stream->volume;
	int r;

	if (!slot_enter(volume->reader.slots, slot))
		return UDS_ERR_OUT_OF_RANGE;
	r = page_reader_read_row(&volume->reader, slot, stream->first_page, stream->bytes, buffer,
				 NULL);
	slot_leave(volume->reader.slots, slot);
	return r;
}

static void *run(void *argument)
{
	struct chapter_stream *stream = argument;

	pthread_mutex_lock(&stream->lock);
	while (!stream->stop && stream->read < stream->count) {
		uint32_t n = stream->read;
		int r;

		/* All buffers are full, or still in the hands of the caller. */
		if (n - stream->freed == BUFFERS) {
			pthread_cond_wait(&stream->changed, &stream->lock);
			continue;
		}
		pthread_mutex_unlock(&stream->lock);
		r = read_chapter(stream, stream->slots[n], stream->buffers[n % BUFFERS]);
		pthread_mutex_lock(&stream->lock);
		stream->statuses[n % BUFFERS] = r;
		stream->read++;
		pthread_cond_broadcast(&stream->changed);
	}
	pthread_mutex_unlock(&stream->lock);
	return NULL;
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
	stream->bytes = (size_t)pages * geometry->page_bytes;
}

static void free_stream(struct chapter_stream *stream)
{
	const struct uds_env *env = &stream->volume->env;

	for (unsigned int i = 0; i < BUFFERS; i++)
		env_release(env, stream->buffers[i]);
	env_release(env, stream);
}

int chapter_stream_open(struct volume *volume, enum chapter_part part, const uint32_t *slots,
			uint32_t count, struct chapter_stream **ret_stream)
{
	struct chapter_stream *stream = env_allocate_zeroed(&volume->env, 1, sizeof(*stream));
	int r;

	if (stream == NULL)
		return -ENOMEM;
	stream->volume = volume;
	stream->slots = slots;
	stream->count = count;
	set_part(stream, part);
	for (unsigned int i = 0; i < BUFFERS; i++) {
		stream->buffers[i] = io_allocate_buffer(volume->io, &volume->env, stream->bytes);
		if (stream->buffers[i] == NULL) {
			free_stream(stream);
			return -ENOMEM;
		}
	}
	pthread_mutex_init(&stream->lock, NULL);
	pthread_cond_init(&stream->changed, NULL);
	r = -pthread_create(&stream->thread, NULL, run, stream);
	if (r < 0) {
		pthread_cond_destroy(&stream->changed);
		pthread_mutex_destroy(&stream->lock);
		free_stream(stream);
		return r;
	}
	*ret_stream = stream;
	return 0;
}

bool chapter_stream_next(struct chapter_stream *stream, struct streamed_chapter *ret_chapter)
{
	uint32_t n = stream->taken;

	if (n == stream->count)
		return false;
	pthread_mutex_lock(&stream->lock);
	stream->freed = n; /* the one that was handed out before */
	pthread_cond_broadcast(&stream->changed);
	while (stream->read == n)
		pthread_cond_wait(&stream->changed, &stream->lock);
	stream->taken = n + 1;
	pthread_mutex_unlock(&stream->lock);
	ret_chapter->slot = stream->slots[n];
	ret_chapter->status = stream->statuses[n % BUFFERS];
	ret_chapter->pages = stream->buffers[n % BUFFERS];
	return true;
}

void chapter_stream_close(struct chapter_stream *stream)
{
	if (stream == NULL)
		return;
	pthread_mutex_lock(&stream->lock);
	/* The thread ends after the read that it is in, whose buffer is freed below. */
	stream->stop = true;
	pthread_cond_broadcast(&stream->changed);
	pthread_mutex_unlock(&stream->lock);
	pthread_join(stream->thread, NULL);
	pthread_cond_destroy(&stream->changed);
	pthread_mutex_destroy(&stream->lock);
	free_stream(stream);
}
