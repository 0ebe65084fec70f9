/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing, reading and searching one delta list.
 *
 * Invariant of a list: keys never decrease; a delta of zero that is not at the first bit marks a
 * collision entry, which shares the key of the entry in front of it.
 */
#include "delta/delta_code.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/lanes.h"

void delta_writer_start(struct delta_writer *writer, const struct delta_code *code, uint8_t *memory,
			uint64_t at, uint64_t room_bits)
{
	writer->code = code;
	writer->key = 0;
	writer->bits = 0;
	writer->room = room_bits < DELTA_LIST_MAX_BITS ? (uint32_t)room_bits : DELTA_LIST_MAX_BITS;
	bit_writer_start(&writer->out, memory, at);
}

int delta_writer_append(struct delta_writer *writer, uint32_t key, uint32_t value,
			const uint8_t *name)
{
	const struct delta_code *code = writer->code;
	uint32_t delta = key - writer->key;
	uint64_t bits;

	if (((uint64_t)value >> code->payload_bits) != 0)
		return -EINVAL;
	if (name != NULL) {
		/*
		 * A name goes only behind an entry of the same key; at the first bit a delta of 0
		 * means an ordinary entry of key 0.
		 */
		if (writer->bits == 0 || delta != 0)
			return -EINVAL;
		bits = delta_collision_bits(code);
	} else {
		if (writer->bits > 0 && key <= writer->key)
			return -EINVAL;
		bits = delta_ordinary_bits(code, delta);
	}
	if (bits > writer->room - writer->bits)
		return UDS_ERR_OVERFLOW;
	bit_writer_put(&writer->out, value, code->payload_bits);
	delta_put_key(&writer->out, code, delta);
	if (name != NULL)
		delta_put_name(&writer->out, name);
	writer->bits += (uint32_t)bits;
	writer->key = key;
	return 0;
}

uint32_t delta_writer_finish(struct delta_writer *writer)
{
	bit_writer_finish(&writer->out);
	return writer->bits;
}

void delta_reader_start(struct delta_reader *reader, const struct delta_code *code,
			const uint8_t *memory, uint64_t at, uint64_t bits)
{
	reader->code = code;
	reader->memory = memory;
	reader->start = at;
	reader->at = at;
	reader->end = at + bits;
	reader->key = 0;
}

/* At least 57 bits from bit @at on, as far as the list goes; zeros behind its last byte. */
static inline uint64_t peek_bits(const uint8_t *memory, uint64_t at, uint64_t end)
{
	const uint8_t *p = memory + at / 8;
	uint64_t bytes, word = 0;

	/*
	 * Eight bytes at once while they lie within the list; the byte behind it may be the end of
	 * the memory.
	 */
	if (at / 8 + 8 <= end / 8)
		return get_le64(p) >> (at % 8);
	/* At most eight now. */
	bytes = (end + 7) / 8 - at / 8;
	for (uint64_t i = 0; i < bytes; i++)
		word |= (uint64_t)p[i] << (8 * i);
	return word >> (at % 8);
}

/* How many zero bits stand in front of the next one bit, or -1 when the list ends before it. */
static int64_t count_zeros(const uint8_t *memory, uint64_t at, uint64_t end)
{
	uint64_t from = at;

	while (at < end) {
		uint64_t word = peek_bits(memory, at, end) & ((UINT64_C(1) << 56) - 1);

		if (word != 0) {
			at += (unsigned int)__builtin_ctzll(word);
			return at < end ? (int64_t)(at - from) : -1;
		}
		at += 56;
	}
	return -1;
}

/* As take_value_and_key(), with all the care that the end of a list and long codes need. */
static bool take_slowly(struct delta_reader *reader, uint32_t *ret_value, uint64_t *ret_delta)
{
	const struct delta_code *code = reader->code;
	const uint64_t end = reader->end;
	uint64_t at = reader->at;
	uint64_t value, delta;

	if (end - at < code->payload_bits + code->min_bits)
		return false;
	value = peek_bits(reader->memory, at, end) & ((UINT64_C(1) << code->payload_bits) - 1);
	at += code->payload_bits;
	delta = peek_bits(reader->memory, at, end) & ((UINT64_C(1) << code->min_bits) - 1);
	at += code->min_bits;
	if (delta >= code->min_keys) {
		int64_t zeros = count_zeros(reader->memory, at, end);

		if (zeros < 0)
			return false;
		at += (uint64_t)zeros + 1;
		delta += (uint64_t)zeros * code->incr_keys;
	}
	/* A damaged list can have very many zeros: the key must not wrap. */
	if (delta > UINT32_MAX - reader->key)
		return false;
	reader->key += (uint32_t)delta;
	reader->at = at;
	*ret_value = (uint32_t)value;
	*ret_delta = delta;
	return true;
}

/*
 * Takes one value and delta at reader->at and steps behind them. False: past the end, or
 * no 32-bit key.
 *
 * Nearly all entries lie within the 57 bits that one load is sure to give. They are taken without a
 * branch on the delta, which would be mispredicted at every third entry.
 */
static inline bool take_value_and_key(struct delta_reader *reader, uint32_t *ret_value,
				      uint64_t *ret_delta)
{
	const struct delta_code *code = reader->code;
	const unsigned int width = code->payload_bits + code->min_bits;
	const uint64_t at = reader->at;
	uint64_t word, delta, unary, zeros;

	/*
	 * Near the end of a list the load would reach beyond it, and very wide codes do not fit
	 * into one word.
	 */
	if (at / 8 + 8 > reader->end / 8 || width > 48)
		return take_slowly(reader, ret_value, ret_delta);
	word = (get_le64(reader->memory + at / 8) >> (at % 8)) & ((UINT64_C(1) << 57) - 1);
	delta = (word >> code->payload_bits) & ((UINT64_C(1) << code->min_bits) - 1);
	unary = word >> width;
	/* The marker at bit 57 keeps the count defined when no one bit was in the word. */
	zeros = (unsigned int)__builtin_ctzll(unary | UINT64_C(1) << 57);
	if (delta >= code->min_keys && zeros == 57)
		return take_slowly(reader, ret_value, ret_delta);
	reader->at = at + width + (delta >= code->min_keys ? zeros + 1 : 0);
	delta += delta >= code->min_keys ? zeros * code->incr_keys : 0;
	if (delta > UINT32_MAX - reader->key) {
		reader->at = at;
		return false;
	}
	reader->key += (uint32_t)delta;
	*ret_value = (uint32_t)(word & ((UINT64_C(1) << code->payload_bits) - 1));
	*ret_delta = delta;
	return true;
}

static void get_name(const uint8_t *memory, uint64_t at, uint8_t *ret_name)
{
	for (size_t i = 0; i < UDS_NAME_BYTES; i += 4)
		put_le32(ret_name + i, get_bits(memory, at + 8 * i, 32));
}

/* Most names differ in their first bits: the others are not fetched for those. */
static bool name_is(const uint8_t *memory, uint64_t at, const uint8_t *name)
{
	for (size_t i = 0; i < UDS_NAME_BYTES; i += 4)
		if (get_bits(memory, at + 8 * i, 32) != get_le32(name + i))
			return false;
	return true;
}

int delta_reader_next(struct delta_reader *reader, struct delta_entry *ret_entry)
{
	const bool first = reader->at == reader->start;
	struct delta_reader next = *reader;
	uint32_t value;
	uint64_t delta;

	if (reader->at >= reader->end)
		return 0;
	if (!take_value_and_key(&next, &value, &delta))
		return UDS_ERR_CORRUPT;
	if (!first && delta == 0) {
		if (next.end - next.at < DELTA_NAME_BITS)
			return UDS_ERR_CORRUPT;
		get_name(next.memory, next.at, ret_entry->name);
		next.at += DELTA_NAME_BITS;
	}
	ret_entry->collision = !first && delta == 0;
	ret_entry->key = next.key;
	ret_entry->value = value;
	*reader = next;
	return 1;
}

/*
 * Passes over up to @most ordinary entries, and over none with a key of @below or greater; their
 * keys and values are stored unless @ret_keys is NULL. Two entries from one load, with everything
 * in registers: the bits of an entry say where the next one begins, so reading is a chain of which
 * every step counts. It ends early before entries of other kinds, and before the last bytes.
 * Returns how many they were; 0, and the reader is as it was, when keys go beyond 32 bits.
 */
static inline __attribute__((always_inline)) uint32_t walk_pairs(struct delta_reader *reader,
								 uint32_t *ret_keys,
								 uint32_t *ret_values,
								 uint32_t most, uint64_t below)
{
	const struct delta_code *code = reader->code;
	const unsigned int payload_bits = code->payload_bits, min_bits = code->min_bits;
	const unsigned int width = payload_bits + min_bits;
	const uint64_t value_mask = (UINT64_C(1) << payload_bits) - 1;
	const uint64_t key_mask = (UINT64_C(1) << min_bits) - 1;
	const uint64_t min_keys = code->min_keys, incr_keys = code->incr_keys;
	uint64_t at = reader->at, key = reader->key;
	uint32_t count = 0;

	/* Deltas are small then, of 24 bits at most but for their unary part. */
	if (2 * width > 48)
		return 0;
	while (count + 2 <= most && at / 8 + 8 <= reader->end / 8) {
		/* A marker behind the bits that are sure to be there stops every count of zeros. */
		uint64_t word = get_le64(reader->memory + at / 8) >> (at % 8);
		uint64_t low = word & ((UINT64_C(1) << 57) - 1), used, second, delta, unary;

		delta = (low >> payload_bits) & key_mask;
		unary = (unsigned int)__builtin_ctzll((low >> width) | UINT64_C(1) << (57 - width));
		used = width + (delta >= min_keys ? unary + 1 : 0);
		delta += delta >= min_keys ? unary * incr_keys : 0;
		if (used + width >= 57 || (delta == 0 && at != reader->start) ||
		    key + delta >= below)
			break;
		second = low >> used;
		key += delta;
		if (ret_keys != NULL) {
			ret_values[count] = (uint32_t)(low & value_mask);
			ret_keys[count] = (uint32_t)key;
		}
		at += used;
		count++;

		delta = (second >> payload_bits) & key_mask;
		unary = (unsigned int)__builtin_ctzll((second >> width) |
						      UINT64_C(1) << (57 - used - width));
		/* The next load has it as a whole. */
		if (used + width + unary >= 57)
			continue;
		used = width + (delta >= min_keys ? unary + 1 : 0);
		delta += delta >= min_keys ? unary * incr_keys : 0;
		if (delta == 0 || key + delta >= below)
			break;
		key += delta;
		if (ret_keys != NULL) {
			ret_values[count] = (uint32_t)(second & value_mask);
			ret_keys[count] = (uint32_t)key;
		}
		at += used;
		count++;
	}
	/* No list is long enough for keys beyond 64 bits; those beyond 32 are taken back. */
	if (key > UINT32_MAX)
		return 0;
	reader->at = at;
	reader->key = (uint32_t)key;
	return count;
}

static uint32_t take_pairs_portably(struct delta_reader *reader, uint32_t *ret_keys,
				    uint32_t *ret_values, uint32_t most)
{
	return walk_pairs(reader, ret_keys, ret_values, most, UINT64_MAX);
}

#ifdef __x86_64__
BMI2 static uint32_t take_pairs_bmi2(struct delta_reader *reader, uint32_t *ret_keys,
				     uint32_t *ret_values, uint32_t most)
{
	return walk_pairs(reader, ret_keys, ret_values, most, UINT64_MAX);
}
#endif

/* The rest of what take_pairs_portably() or take_pairs_bmi2() took @count of. */
static uint32_t take_more(struct delta_reader *reader, uint32_t *ret_keys, uint32_t *ret_values,
			  uint32_t count, uint32_t most)
{
	struct delta_reader taken = *reader, next = taken;
	uint64_t delta;

	/* What is no ordinary entry, or does not decode, is left to delta_reader_next(). */
	while (count < most && taken.at < taken.end &&
	       take_value_and_key(&next, &ret_values[count], &delta) &&
	       (delta > 0 || taken.at == taken.start)) {
		ret_keys[count++] = next.key;
		taken = next;
	}
	*reader = taken;
	return count;
}

uint32_t delta_reader_take_portably(struct delta_reader *reader, uint32_t *ret_keys,
				    uint32_t *ret_values, uint32_t most)
{
	const uint32_t count = take_pairs_portably(reader, ret_keys, ret_values, most);

	return take_more(reader, ret_keys, ret_values, count, most);
}

uint32_t delta_reader_take(struct delta_reader *reader, uint32_t *ret_keys, uint32_t *ret_values,
			   uint32_t most)
{
	uint32_t (*take)(struct delta_reader *, uint32_t *, uint32_t *, uint32_t) =
		take_pairs_portably;

#ifdef __x86_64__
	if (shifts_usable())
		take = take_pairs_bmi2;
#endif
	return take_more(reader, ret_keys, ret_values, take(reader, ret_keys, ret_values, most),
			 most);
}

/* Passes over entries with keys below @key: at most to the first one that is not ordinary. */
static void skip_pairs_portably(struct delta_reader *reader, uint32_t key)
{
	(void)walk_pairs(reader, NULL, NULL, UINT32_MAX, key);
}

#ifdef __x86_64__
BMI2 static void skip_pairs_bmi2(struct delta_reader *reader, uint32_t key)
{
	(void)walk_pairs(reader, NULL, NULL, UINT32_MAX, key);
}
#endif

typedef void skip_fn(struct delta_reader *reader, uint32_t key);

static int search(const struct delta_code *code, const uint8_t *memory, uint64_t at, uint64_t bits,
		  uint32_t key, const uint8_t *name, skip_fn *skip, uint32_t *ret_value)
{
	struct delta_reader reader;
	uint32_t value, found = 0;
	uint64_t delta;
	bool hit = false;

	/*
	 * A loop of its own, not delta_reader_next(): names need not be copied. Most entries are
	 * passed over before.
	 */
	delta_reader_start(&reader, code, memory, at, bits);
	skip(&reader, key);
	while (reader.at < reader.end) {
		const bool first = reader.at == reader.start;

		if (!take_value_and_key(&reader, &value, &delta))
			return UDS_ERR_CORRUPT;
		if (delta == 0 && !first) {
			if (reader.end - reader.at < DELTA_NAME_BITS)
				return UDS_ERR_CORRUPT;
			if (hit && name_is(memory, reader.at, name)) {
				*ret_value = value;
				return 1;
			}
			reader.at += DELTA_NAME_BITS;
			if (!hit)
				skip(&reader, key);
			continue;
		}
		/*
		 * Keys never decrease: behind a larger one, or the next ordinary entry after a hit,
		 * nothing more can match.
		 */
		if (hit || reader.key > key)
			break;
		if (reader.key == key) {
			hit = true;
			found = value;
		}
	}
	if (!hit)
		return 0;
	*ret_value = found;
	return 1;
}

int delta_list_search_portably(const struct delta_code *code, const uint8_t *memory, uint64_t at,
			       uint64_t bits, uint32_t key, const uint8_t *name,
			       uint32_t *ret_value)
{
	return search(code, memory, at, bits, key, name, skip_pairs_portably, ret_value);
}

int delta_list_search(const struct delta_code *code, const uint8_t *memory, uint64_t at,
		      uint64_t bits, uint32_t key, const uint8_t *name, uint32_t *ret_value)
{
	skip_fn *skip = skip_pairs_portably;

#ifdef __x86_64__
	if (shifts_usable())
		skip = skip_pairs_bmi2;
#endif
	return search(code, memory, at, bits, key, name, skip, ret_value);
}
