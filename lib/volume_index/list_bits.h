/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bit strings with room made and closed in their middle, and bits counted: the inner
 * loops of a list.
 *
 * Included by the forms of the list operations (list_operations.h), each of which sets
 *	LIST_TARGET	the attribute that lets a function use the processor's features
 *	LIST_LANE		bytes moved at once: 8 (any machine), or 16, 32 or 64
 *	LIST_HAVE_BMI2	1 if LIST_TARGET has it
 *
 * All of these may read up to 64 bytes in front of and behind the string, and write back what they
 * read up to 8 bytes behind it; all of that is memory of the same zone.
 */

#define LIST_INLINE LIST_TARGET static inline __attribute__((always_inline))

#if LIST_LANE == 8
typedef uint64_t lane_word;

LIST_INLINE lane_word lane_load(const uint8_t *p)
{
	return load64(p);
}

LIST_INLINE void lane_store(uint8_t *p, lane_word lane)
{
	store64(p, lane);
}
#else
typedef uint64_t lane_word __attribute__((vector_size(LIST_LANE)));
typedef uint64_t lane_word_anywhere __attribute__((vector_size(LIST_LANE), aligned(1), may_alias));

LIST_INLINE lane_word lane_load(const uint8_t *p)
{
	return *(const lane_word_anywhere *)(const void *)p;
}

LIST_INLINE void lane_store(uint8_t *p, lane_word lane)
{
	*(lane_word_anywhere *)(void *)p = lane;
}
#endif

/* The bits that belong at @p after the string moved up by 8 * @skip + @shift bits. */
LIST_INLINE lane_word lane_moved_up(const uint8_t *p, unsigned int skip, unsigned int shift)
{
	return lane_load(p - skip) << shift | lane_load(p - skip - 1) >> (8 - shift);
}

LIST_INLINE uint64_t word_moved_up(const uint8_t *p, unsigned int skip, unsigned int shift)
{
	return load64(p - skip) << shift | load64(p - skip - 1) >> (8 - shift);
}

LIST_INLINE lane_word lane_moved_down(const uint8_t *p, unsigned int skip, unsigned int shift)
{
	return lane_load(p + skip) >> shift | lane_load(p + skip + 1) << (8 - shift);
}

LIST_INLINE uint64_t word_moved_down(const uint8_t *p, unsigned int skip, unsigned int shift)
{
	return load64(p + skip) >> shift | load64(p + skip + 1) << (8 - shift);
}

/* The lowest @count (0 to 64) bits. */
LIST_INLINE uint64_t low_bits(unsigned int count)
{
	return count >= 64 ? UINT64_MAX : (UINT64_C(1) << count) - 1;
}

/* Moves bits [@at, @length) up by @width (1 to 55) and puts @value in front of them. */
LIST_INLINE void bits_insert(uint8_t *base, uint32_t at, uint32_t length, unsigned int width,
			     uint64_t value)
{
	uint8_t *first = base + at / 8;
	uint8_t *end = base + (length + width + 7) / 8;
	unsigned int kept = at % 8;
	unsigned int skip = width / 8;
	unsigned int shift = width % 8;
	uint64_t head = load64(first);
	uint64_t field = (head & low_bits(kept)) | value << kept;
	size_t bytes = (size_t)(end - first);

	if (bytes < 8) {
		uint64_t moved = head >> kept << kept << width;
		uint64_t used = low_bits((unsigned int)(8 * bytes));

		store64(first, (head & ~used) | ((moved | field) & used));
		return;
	}
	if (bytes >= LIST_LANE) {
		lane_word lowest = lane_moved_up(first, skip, shift);

		for (uint8_t *p = end - LIST_LANE; p > first; p -= LIST_LANE)
			lane_store(p, lane_moved_up(p, skip, shift));
		lane_store(first, lowest);
	} else {
		uint64_t lowest = word_moved_up(first, skip, shift);

		for (uint8_t *p = end - 8; p > first; p -= 8)
			store64(p, word_moved_up(p, skip, shift));
		store64(first, lowest);
	}
	store64(first, (load64(first) & ~low_bits(kept + width)) | field);
}

/* Takes bits [@at, @at + @width) out and moves those up to @length down. @width: 1 to 55. */
LIST_INLINE void bits_remove(uint8_t *base, uint32_t at, uint32_t length, unsigned int width)
{
	uint8_t *first = base + at / 8;
	uint8_t *end = base + (length - width + 7) / 8;
	unsigned int kept = at % 8;
	unsigned int skip = width / 8;
	unsigned int shift = width % 8;
	uint8_t head = *first;
	size_t bytes = (size_t)(end - first);

	if (bytes < 8) {
		uint64_t old = load64(first);
		uint32_t from = at + width;
		uint64_t moved = load64(base + from / 8) >> (from % 8) << kept;
		uint64_t used = low_bits((unsigned int)(8 * bytes)) & ~low_bits(kept);

		store64(first, (old & ~used) | (moved & used));
		return;
	}
	if (bytes >= LIST_LANE) {
		lane_word highest = lane_moved_down(end - LIST_LANE, skip, shift);
		uint8_t *p = first;

		for (; p < end - LIST_LANE; p += LIST_LANE)
			lane_store(p, lane_moved_down(p, skip, shift));
		lane_store(end - LIST_LANE, highest);
	} else {
		uint64_t highest = word_moved_down(end - 8, skip, shift);
		uint8_t *p = first;

		for (; p < end - 8; p += 8)
			store64(p, word_moved_down(p, skip, shift));
		store64(end - 8, highest);
	}
	*first = (uint8_t)((*first & ~low_bits(kept)) | (head & low_bits(kept)));
}

/* The place of the 1 bit in @word in front of which there are @before others. */
LIST_INLINE unsigned int select_in_word(uint64_t word, unsigned int before)
{
#if LIST_HAVE_BMI2
	return (unsigned int)__builtin_ctzll(__builtin_ia32_pdep_di(UINT64_C(1) << before, word));
#else
	unsigned int place = 0;

	for (unsigned int width = 32; width >= 8; width /= 2) {
		unsigned int ones = (unsigned int)__builtin_popcountll(word & low_bits(width));

		if (before >= ones) {
			before -= ones;
			word >>= width;
			place += width;
		}
	}
	while (before-- > 0)
		word &= word - 1;
	return place + (unsigned int)__builtin_ctzll(word);
#endif
}

/*
 * The bit where bucket @bucket begins: behind so many 0 bits. What is read behind the @bytes of the
 * unary part does not matter, here and below: the bit that is looked for comes before.
 */
LIST_INLINE uint32_t bucket_start(const uint8_t *upper, uint32_t bytes, uint32_t bucket)
{
	uint32_t zeros = 0;
	uint32_t before = 0;
	uint32_t skip = 0;

	/* No early end: the branch would be mispredicted once a lookup, which costs more. */
	for (uint32_t i = 0; i < bytes; i += 8) {
		bool passed;

		zeros += 64 - (uint32_t)__builtin_popcountll(load64(upper + i));
		passed = zeros < bucket;
		before = passed ? zeros : before;
		skip += passed;
	}
	if (bucket == 0)
		return 0;
	return 64 * skip + 1 + select_in_word(~load64(upper + 8 * skip), bucket - before - 1);
}

/* The bit of entry @position: the 1 bit in front of which there are so many others. */
LIST_INLINE uint32_t entry_bit(const uint8_t *upper, uint32_t bytes, uint32_t position)
{
	uint32_t ones = 0;
	uint32_t before = 0;
	uint32_t skip = 0;

	for (uint32_t i = 0; i < bytes; i += 8) {
		bool passed;

		ones += (uint32_t)__builtin_popcountll(load64(upper + i));
		passed = ones <= position;
		before = passed ? ones : before;
		skip += passed;
	}
	return 64 * skip + select_in_word(load64(upper + 8 * skip), position - before);
}

/* How many 1 bits there are from @bit on in front of the next 0 bit. There is one. */
LIST_INLINE uint32_t run_length(const uint8_t *upper, uint32_t bit)
{
	uint32_t length = 0;

	for (;;) {
		uint32_t at = bit + length;
		uint64_t zeros = ~load64(upper + at / 8) >> (at % 8);

		if (zeros != 0)
			return length + (uint32_t)__builtin_ctzll(zeros);
		length += 64 - at % 8;
	}
}

/* The last 1 bit in front of @bit. There is one. */
LIST_INLINE uint32_t bit_before(const uint8_t *upper, uint32_t bit)
{
	uint32_t i = (bit - 1) / 64;
	uint64_t word = load64(upper + 8 * i) & low_bits((bit - 1) % 64 + 1);

	while (word == 0)
		word = load64(upper + 8 * --i);
	return 64 * i + 63 - (uint32_t)__builtin_clzll(word);
}

/* The first 1 bit from @bit on. There is one. */
LIST_INLINE uint32_t bit_from(const uint8_t *upper, uint32_t bit)
{
	uint32_t i = bit / 64;
	uint64_t word = load64(upper + 8 * i) & ~low_bits(bit % 64);

	while (word == 0)
		word = load64(upper + 8 * ++i);
	return 64 * i + (uint32_t)__builtin_ctzll(word);
}
