/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The delta code: how the format writes a sorted list of (key, value) pairs as a bit string
 * (uds-format, 5), and how many bits that takes.
 *
 * Delta lists are a form of storage here: a whole sorted list is written by a delta_writer, and
 * read entry by entry by a delta_reader. Nothing inserts into a written list or removes from it.
 *
 * An ordinary entry is a key and a value. Names with the same key follow it as collision entries,
 * the newest first, each with the full name.
 *
 * Everything here is a pure function over the caller's memory. Any thread.
 */
#ifndef DELTA_DELTA_CODE_H
#define DELTA_DELTA_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/record.h>
#include <uds/status.h>

#include "delta/bit_writer.h"

/* The largest list, in bits: its size is kept in 16 bits. */
#define DELTA_LIST_MAX_BITS 65535u

/* The name in a collision entry, on top of its value and its delta of zero. */
enum { DELTA_NAME_BITS = 8 * UDS_NAME_BYTES };

struct delta_code {
	uint32_t mean;		   /* the mean difference between keys that the code is best for */
	uint32_t incr_keys;	   /* each step of the unary part counts for so many keys */
	uint32_t min_keys;	   /* deltas below this have no unary part */
	unsigned int min_bits;	   /* width of the fixed part, 2 to 32 */
	unsigned int payload_bits; /* width of the value, 0 to 32 */
	uint64_t inverse; /* 2^32 / incr_keys, rounded down: for dividing without dividing */
};

/*
 * The code that follows from the mean; not checked for whether the reference implementation
 * keeps to it.
 */
void delta_code_parameters(uint32_t mean, unsigned int payload_bits, struct delta_code *ret_code);

/*
 * Returns 0, or -EINVAL for a mean of 0, a payload wider than 32 bits, or a mean for which
 * the reference implementation computes wrong sizes (those whose incr_keys is 2^k - 1;
 * uds-format, 20.2, R2).
 */
int delta_code_make(uint32_t mean, unsigned int payload_bits, struct delta_code *ret_code);

/* t / incr_keys: the product with the inverse is too low by one at most. */
static inline uint32_t delta_code_steps(const struct delta_code *code, uint32_t t)
{
	uint32_t steps = (uint32_t)(t * code->inverse >> 32);

	return steps + (t - steps * code->incr_keys >= code->incr_keys);
}

/* How many bits the code of a delta takes. */
static inline uint64_t delta_code_bits(const struct delta_code *code, uint32_t delta)
{
	/*
	 * Computed in any case: a branch on the delta would be mispredicted at every third entry.
	 */
	uint32_t steps = delta_code_steps(code, delta - code->min_keys);

	return code->min_bits + (delta < code->min_keys ? 0 : UINT64_C(1) + steps);
}

/* How many bits an ordinary entry takes whose key is @delta above the one before it. */
static inline uint64_t delta_ordinary_bits(const struct delta_code *code, uint32_t delta)
{
	return code->payload_bits + delta_code_bits(code, delta);
}

/* How many bits ordinary entries take, @count of them, with ascending keys. */
uint64_t delta_entries_bits(const struct delta_code *code, const uint32_t *keys, uint32_t count);

/* The same without what only some processors have: for tests. */
uint64_t delta_entries_bits_portably(const struct delta_code *code, const uint32_t *keys,
				     uint32_t count);

/* How many bits a collision entry takes. */
static inline unsigned int delta_collision_bits(const struct delta_code *code)
{
	return code->payload_bits + code->min_bits + DELTA_NAME_BITS;
}

/*
 * The format's estimate for @entries entries, and how many pages of @page_bytes the lists of a
 * chapter need (uds-format, 4.2). The caller has bounded the arguments (geometry_make).
 */
uint64_t delta_bits(uint64_t entries, uint32_t mean, unsigned int payload_bits);
uint64_t page_count(uint32_t entries, uint32_t lists, uint32_t mean, unsigned int payload_bits,
		    uint32_t page_bytes);

/* The pieces of an entry in the order in which they are written: the value, the delta, the name. */
static inline void delta_put_value(struct bit_writer *out, const struct delta_code *code,
				   uint32_t value)
{
	bit_writer_put(out, value, code->payload_bits);
}

static inline void delta_put_key(struct bit_writer *out, const struct delta_code *code,
				 uint32_t delta)
{
	uint32_t t, zeros;

	if (delta < code->min_keys) {
		bit_writer_put(out, delta, code->min_bits);
		return;
	}
	t = delta - code->min_keys;
	zeros = delta_code_steps(code, t);
	bit_writer_put(out, t - zeros * code->incr_keys + code->min_keys, code->min_bits);
	for (; zeros >= 31; zeros -= 31)
		bit_writer_put(out, 0, 31);
	bit_writer_put(out, UINT32_C(1) << zeros, zeros + 1);
}

static inline void delta_put_name(struct bit_writer *out, const uint8_t *name)
{
	for (unsigned int i = 0; i < UDS_NAME_BYTES; i += 4)
		bit_writer_put(out, get_le32(name + i), 32);
}

struct delta_entry {
	uint32_t key;
	uint32_t value;
	bool collision;
	uint8_t name[UDS_NAME_BYTES]; /* of a collision entry */
};

/*
 * Writes one sorted list. Sizes are checked before anything is written, so a failed append leaves
 * the list as it was and ready to be finished.
 */
struct delta_writer {
	const struct delta_code *code;
	struct bit_writer out;
	uint32_t key;  /* of the last entry */
	uint32_t bits; /* so far */
	uint32_t room; /* in bits */
};

/*
 * Starts a list at bit @at of @memory, with room for @room_bits (never more than
 * DELTA_LIST_MAX_BITS are used). Bits outside of the list keep their values.
 */
void delta_writer_start(struct delta_writer *writer, const struct delta_code *code, uint8_t *memory,
			uint64_t at, uint64_t room_bits);

/*
 * Appends an entry. @name: NULL for an ordinary entry, whose key must be greater than the one
 * before (the first one may be 0); the 16 bytes of the name for a collision entry, whose key must
 * be that of the entry before.
 *
 * Returns 0; UDS_ERR_OVERFLOW when it does not fit; -EINVAL for a key out of order or a value that
 * is wider than the payload.
 */
int delta_writer_append(struct delta_writer *writer, uint32_t key, uint32_t value,
			const uint8_t *name);

/*
 * Appends @count ordinary entries with ascending keys, whose sizes together were found to fit into
 * the room. At least 8 bytes behind the end of the list belong to the caller, and may be written.
 */
void delta_writer_append_many(struct delta_writer *writer, const uint32_t *keys,
			      const uint32_t *values, uint32_t count);

/* The same as processors do it that have nothing for it: for tests. */
void delta_writer_append_many_portably(struct delta_writer *writer, const uint32_t *keys,
				       const uint32_t *values, uint32_t count);

/* Stores the last bits. Returns the size of the list in bits. */
uint32_t delta_writer_finish(struct delta_writer *writer);

/*
 * Reads one list: bits [at, end) of a memory of which no byte outside of those bits is touched.
 * The bits may be anything.
 */
struct delta_reader {
	const struct delta_code *code;
	const uint8_t *memory;
	uint64_t start;
	uint64_t at; /* the next entry */
	uint64_t end;
	uint32_t key; /* of the last entry */
};

void delta_reader_start(struct delta_reader *reader, const struct delta_code *code,
			const uint8_t *memory, uint64_t at, uint64_t bits);

/*
 * Returns 1 and the next entry, 0 at the end of the list, or UDS_ERR_CORRUPT when an entry goes
 * past the end of the list or its key past 32 bits.
 */
int delta_reader_next(struct delta_reader *reader, struct delta_entry *ret_entry);

/*
 * The keys and values of the next entries, as long as they are ordinary ones that are quick to
 * read, and @most of them. Returns how many; delta_reader_next() goes on from there.
 */
uint32_t delta_reader_take(struct delta_reader *reader, uint32_t *ret_keys, uint32_t *ret_values,
			   uint32_t most);

/* The same without what only some processors have: for tests. */
uint32_t delta_reader_take_portably(struct delta_reader *reader, uint32_t *ret_keys,
				    uint32_t *ret_values, uint32_t most);

/* So many lists are read together. */
#define DELTA_TOGETHER 4u

/*
 * As delta_reader_take() for DELTA_TOGETHER readers of one code that were just started. It is
 * faster when all lists are about as long.
 *
 * @keys, @values: an array for each reader, with room for @most elements. Lists of which every
 *     entry has room with 8 to spare are quick to read; those elements may be written, too.
 */
void delta_lists_take(struct delta_reader *readers, uint32_t *const *keys, uint32_t *const *values,
		      uint32_t most, uint32_t *ret_counts);

/* The same without what only some processors have: for tests. */
void delta_lists_take_portably(struct delta_reader *readers, uint32_t *const *keys,
			       uint32_t *const *values, uint32_t most, uint32_t *ret_counts);

/*
 * Searches a list (uds-format, 5, Search): the collision entry with that name if there is one, else
 * the ordinary entry with that key, which is a hint only.
 *
 * Returns 1 and the value, 0 when there is no entry with that key, or UDS_ERR_CORRUPT when the list
 * does not decode up to the place that decides.
 */
int delta_list_search(const struct delta_code *code, const uint8_t *memory, uint64_t at,
		      uint64_t bits, uint32_t key, const uint8_t *name, uint32_t *ret_value);

/* The same without what only some processors have: for tests. */
int delta_list_search_portably(const struct delta_code *code, const uint8_t *memory, uint64_t at,
			       uint64_t bits, uint32_t key, const uint8_t *name,
			       uint32_t *ret_value);

#endif
