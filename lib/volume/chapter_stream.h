/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading chapters one after the other, for rebuild, iterate and verify: an engine reads ahead,
 * each chapter's part with one large read.
 *
 * Threads: a stream is used by one thread at a time.
 */
#ifndef VOLUME_CHAPTER_STREAM_H
#define VOLUME_CHAPTER_STREAM_H

#include <stdint.h>

#include <uds/status.h>

#include "volume/volume.h"

enum chapter_part {
	CHAPTER_HEAD, /* the first block, which says what chapter it is */
	CHAPTER_INDEX_PAGES,
	CHAPTER_RECORD_PAGES,
	CHAPTER_ALL_PAGES,
};

struct chapter_stream;

/* One chapter's part. */
struct streamed_chapter {
	uint32_t slot;
	int status; /* 0, UDS_ERR_OUT_OF_RANGE when the slot is being written, or what the I/O said
		     */
	const uint8_t *pages; /* when the status is 0; until @held more were asked for */
};

/*
 * @slots: in the order in which they are read; borrowed until the stream is closed.
 * @held: so many chapters stay in memory, at least 1: the one that was handed out last, and
 *     those before it.
 *
 * Returns 0 or -ENOMEM.
 */
int chapter_stream_open(struct volume *volume, enum chapter_part part, const uint32_t *slots,
			uint32_t count, uint32_t held, struct chapter_stream **ret_stream);

/* Waits for the next chapter. Returns false when there is none left. */
bool chapter_stream_next(struct chapter_stream *stream, struct streamed_chapter *ret_chapter);

/* At any time; waits for the reads in flight. May be NULL. */
void chapter_stream_close(struct chapter_stream *stream);

#endif
