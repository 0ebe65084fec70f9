/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A large I/O that remembers one word for each sector: gigabytes of content cost megabytes.
 * Every sector that was never written has a word of its own, so that sectors in the wrong
 * place are found.
 *
 * A transfer of a sector reads and writes its first and last four bytes, which must be equal when
 * it is written; what is between is left alone. Chunks that hold metadata are kept byte by byte.
 *
 * Transfers are whole sectors. It has no queues of its own.
 */
#ifndef TESTS_WORD_IO_H
#define TESTS_WORD_IO_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/io.h>

struct word_io {
	struct uds_io *io;
	uint64_t sectors;
	uint32_t *words;	     /* 0: never written */
	uint32_t tag;		     /* makes the words of two I/Os differ */
	uint64_t chunk_sectors;	     /* of a COW device; 0: no metadata */
	uint8_t *metadata;	     /* chunk 0 and the areas, one after the other */
	unsigned int write_delay_us; /* each write takes so long */
};

/* @chunk_bytes: 0 for an origin. */
void word_io_open(struct word_io *w, uint64_t sectors, uint64_t chunk_bytes, uint32_t tag);
void word_io_close(struct word_io *w);

/* The word of a sector. */
uint32_t word_io_word(const struct word_io *w, uint64_t sector);

/* Where chunk 0 (@area -1) or an area is kept. */
uint8_t *word_io_metadata(const struct word_io *w, int64_t area);

/* Puts words into a buffer as a read does: for what is to be written. */
void word_io_put(void *buffer, uint64_t sectors, uint32_t first_word);

#endif
