/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing bit fields one behind the other, as delta lists need it: the bits are collected in a word
 * and stored 32 at a time.
 *
 * Bits in front of the start and behind the end keep their values; between start and finish the
 * memory behind the last full word is not yet written.
 */
#ifndef DELTA_BIT_WRITER_H
#define DELTA_BIT_WRITER_H

#include <stdint.h>

#include "base/bits.h"
#include "base/bytes.h"

struct bit_writer {
	uint8_t *next;	   /* where the low bits of word will go */
	uint64_t word;	   /* bits that are not stored yet */
	unsigned int fill; /* how many; below 32 between calls */
};

/* Starts at bit @at of @memory. */
static inline void bit_writer_start(struct bit_writer *w, uint8_t *memory, uint64_t at)
{
	w->next = memory + at / 8;
	w->fill = (unsigned int)(at % 8);
	w->word = w->fill == 0 ? 0 : (uint64_t)w->next[0] & ((1u << w->fill) - 1);
}

/* Appends the low @width (0 to 32) bits of @value; the bits above them must be zero. */
static inline void bit_writer_put(struct bit_writer *w, uint32_t value, unsigned int width)
{
	w->word |= (uint64_t)value << w->fill;
	w->fill += width;
	if (w->fill >= 32) {
		put_le32(w->next, (uint32_t)w->word);
		w->next += 4;
		w->word >>= 32;
		w->fill -= 32;
	}
}

/*
 * Stores all whole bytes, so that there is room for 56 bits in the word; the 7 bytes behind them
 * are written, too.
 */
static inline void bit_writer_settle(struct bit_writer *w)
{
	put_le64(w->next, w->word);
	w->next += w->fill / 8;
	w->word >>= w->fill & ~7u;
	w->fill %= 8;
}

/* Stores what is left. */
static inline void bit_writer_finish(struct bit_writer *w)
{
	put_bits(w->next, 0, w->fill, (uint32_t)w->word);
	w->fill = 0;
	w->word = 0;
}

#endif
