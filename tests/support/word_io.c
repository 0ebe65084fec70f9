/* SPDX-License-Identifier: BSD-2-Clause */
/* The I/O with a word a sector. */
#include "word_io.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "check_main.h"

#define SECTOR 512u

uint32_t word_io_word(const struct word_io *w, uint64_t sector)
{
	if (w->words[sector] != 0)
		return w->words[sector];
	return ((uint32_t)sector * UINT32_C(2654435761) ^ w->tag) | 1;
}

uint8_t *word_io_metadata(const struct word_io *w, int64_t area)
{
	return w->metadata + (uint64_t)(area + 1) * w->chunk_sectors * SECTOR;
}

void word_io_put(void *buffer, uint64_t sectors, uint32_t first_word)
{
	uint8_t *at = buffer;

	for (uint64_t i = 0; i < sectors; i++, at += SECTOR) {
		put_le32(at, first_word + (uint32_t)i);
		put_le32(at + SECTOR - 4, first_word + (uint32_t)i);
	}
}

/* The bytes of a sector that is metadata; NULL: it is none. */
static uint8_t *metadata_of(const struct word_io *w, uint64_t sector)
{
	uint64_t stride, chunk;

	if (w->chunk_sectors == 0)
		return NULL;
	stride = w->chunk_sectors * SECTOR / 16 + 1;
	chunk = sector / w->chunk_sectors;
	if (chunk != 0 && chunk % stride != 1)
		return NULL;
	return word_io_metadata(w, chunk == 0 ? -1 : (int64_t)(chunk / stride)) +
	       sector % w->chunk_sectors * SECTOR;
}

static int word_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	const struct word_io *w = context;
	uint64_t first = offset / SECTOR, count = length / SECTOR;
	uint8_t *to = buffer;

	if (first + count > w->sectors)
		return UDS_ERR_OUT_OF_RANGE;
	for (uint64_t i = first; i < first + count; i++, to += SECTOR) {
		const uint8_t *metadata = metadata_of(w, i);

		if (metadata != NULL)
			memcpy(to, metadata, SECTOR);
		else
			word_io_put(to, 1, word_io_word(w, i));
	}
	return 0;
}

static int word_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	struct word_io *w = context;
	uint64_t first = offset / SECTOR, count = length / SECTOR;
	const uint8_t *from = buffer;

	if (w->write_delay_us != 0)
		usleep(w->write_delay_us);
	if (first + count > w->sectors)
		return UDS_ERR_OUT_OF_RANGE;
	for (uint64_t i = first; i < first + count; i++, from += SECTOR) {
		uint8_t *metadata = metadata_of(w, i);

		if (metadata != NULL) {
			memcpy(metadata, from, SECTOR);
			continue;
		}
		if (get_le32(from) != get_le32(from + SECTOR - 4) || get_le32(from) == 0)
			abort(); /* a sector that nobody read or made */
		w->words[i] = get_le32(from);
	}
	return 0;
}

static int word_flush(void *context)
{
	(void)context;
	return 0;
}

static int word_size(void *context, uint64_t *ret_bytes)
{
	*ret_bytes = ((struct word_io *)context)->sectors * SECTOR;
	return 0;
}

static int word_close(void *context)
{
	(void)context;
	return 0;
}

static const struct uds_io_ops word_ops = {
	.size = sizeof(struct uds_io_ops),
	.read = word_read,
	.write = word_write,
	.flush = word_flush,
	.get_size = word_size,
	.close = word_close,
};

void word_io_open(struct word_io *w, uint64_t sectors, uint64_t chunk_bytes, uint32_t tag)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;

	memset(w, 0, sizeof(*w));
	w->sectors = sectors;
	w->tag = tag;
	w->words = calloc(sectors, sizeof(w->words[0]));
	ck_assert_ptr_nonnull(w->words);
	if (chunk_bytes != 0) {
		uint64_t chunks = sectors * SECTOR / chunk_bytes;

		w->chunk_sectors = chunk_bytes / SECTOR;
		w->metadata = calloc(chunks / (chunk_bytes / 16 + 1) + 3, chunk_bytes);
		ck_assert_ptr_nonnull(w->metadata);
	}
	limits.block_bytes = SECTOR;
	limits.quick = true;
	limits.name = chunk_bytes == 0 ? "origin" : "cow";
	ck_assert_int_eq(uds_io_open_ops(&word_ops, w, &limits, NULL, NULL, &w->io), 0);
}

void word_io_close(struct word_io *w)
{
	uds_io_close(w->io);
	free(w->words);
	free(w->metadata);
}
