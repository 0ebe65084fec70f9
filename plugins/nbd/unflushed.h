/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The writes that a server has acknowledged and that no flush has made durable yet, in their order,
 * with their bytes: what has to be sent again when the connection is lost, because the server may
 * have lost it with its memory.
 *
 * Room is reserved before a write is sent, so that there always is some when it was acknowledged.
 * The bytes lie in a ring. Also here: samples of what was flushed last, by which a server that has
 * lost that, or another export under the same name, is found out.
 *
 * Threads: one at a time.
 */
#ifndef NBD_UNFLUSHED_H
#define NBD_UNFLUSHED_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>

struct unflushed_write {
	uint64_t offset; /* in the export */
	uint32_t length;
	bool zeroes;	     /* no bytes: zeroes were written */
	const uint8_t *data; /* in the ring */
};

#define SAMPLES	     16u
#define SAMPLE_BYTES 4096u

struct flushed_sample {
	uint64_t offset;
	uint32_t length; /* 0: there is none */
	uint8_t data[SAMPLE_BYTES];
};

struct unflushed {
	uint8_t *ring;
	uint64_t ring_bytes; /* a multiple of the export's block */
	uint64_t used, reserved, end;
	struct unflushed_write *writes; /* a ring, too */
	uint32_t first, count, reserved_writes;
	uint64_t dropped; /* how many were here before the first */
	struct flushed_sample *samples;
	uint32_t next_sample, sample_bytes;
};

/* @block_bytes: of the export. Returns 0 or -ENOMEM. */
int unflushed_make(struct unflushed *u, const struct uds_env *env, uint64_t bytes,
		   uint32_t block_bytes);
void unflushed_free(struct unflushed *u, const struct uds_env *env);

/* Room for one write with so many bytes of data; false: a flush has to come first. */
bool unflushed_reserve(struct unflushed *u, uint32_t data_bytes);

/* Gives room back that was reserved. */
void unflushed_unreserve(struct unflushed *u, uint32_t data_bytes);

/* Keeps a write in the room that was reserved for it. @data: NULL for zeroes. */
void unflushed_keep(struct unflushed *u, const uint8_t *data, uint64_t offset, uint32_t length);

/* Where a flush that begins now ends: it makes durable what is kept up to here. */
uint64_t unflushed_mark(const struct unflushed *u);

/* A flush has made all up to the mark durable. */
void unflushed_drop(struct unflushed *u, uint64_t mark);

/* The write of that number, from the oldest on. */
const struct unflushed_write *unflushed_get(const struct unflushed *u, uint32_t number);

/* Whether it is time to flush. */
bool unflushed_is_half_full(const struct unflushed *u);

/* The range is being changed: what was flushed there is no sample any more. */
void unflushed_forget_samples(struct unflushed *u, uint64_t offset, uint64_t length);

static inline bool ranges_meet(uint64_t a, uint64_t a_length, uint64_t b, uint64_t b_length)
{
	return a < b ? b - a < a_length : a - b < b_length;
}

#endif
