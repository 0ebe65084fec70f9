/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The entries of a list one by one; with AVX2 eight at a time. The rest fields of eight entries
 * begin and end at a byte.
 */
#include "volume_index/list_planes.h"

#include <stddef.h>

#include "base/lanes.h"

/* The bit of an entry behind those of the entries before it, and a 0 bit for each bucket below. */
static inline uint32_t upper_bit(const struct list_shape *shape, const uint32_t *keys, uint32_t i)
{
	return (keys[i] >> shape->low_bits) + i;
}

/* The unary part, front to back: no word is read again that was just written. */
static void write_upper(const struct list_shape *shape, const struct list_view *view,
			const uint32_t *keys)
{
	uint32_t upper = 0, upper_at = 0;

	/* Words without an entry are passed over. */
	memset(view->upper, 0, view->upper_bytes);
	for (uint32_t i = 0; i < view->entries; i++) {
		const uint32_t bit = upper_bit(shape, keys, i);

		/* Stored for each entry: when a word is over is hard to predict. */
		upper = (bit / 32 == upper_at ? upper : 0) | UINT32_C(1) << (bit % 32);
		upper_at = bit / 32;
		put_le32(view->upper + 4 * (size_t)upper_at, upper);
	}
}

static inline uint64_t rest_of(const struct list_shape *shape, uint32_t key, uint32_t value)
{
	return (key & shape->low_mask) | (uint64_t)list_chapter_rest(shape, value)
						 << shape->low_bits;
}

/* From entry @from on, a multiple of eight. */
static void write_rest(const struct list_shape *shape, const struct list_view *view,
		       const uint32_t *keys, const uint32_t *values, uint32_t from)
{
	/* Whole words go beyond the end, where the chapters come later: a byte for each entry. */
	const bool in_words = view->entries - from >= sizeof(uint64_t);
	uint8_t *rest = view->rest + (size_t)from / 8 * shape->rest_bits;
	unsigned int fill = 0;
	uint64_t word = 0;

	for (uint32_t i = from; i < view->entries; i++) {
		word |= rest_of(shape, keys[i], values[i]) << fill;
		fill += shape->rest_bits;
		if (in_words)
			store64(rest, word);
		for (unsigned int n = 0; !in_words && 8 * n < fill; n++)
			rest[n] = (uint8_t)(word >> 8 * n);
		rest += fill / 8;
		word >>= fill / 8 * 8;
		fill %= 8;
	}
}

/* Chapters run down from the back, so that both ends of a block can grow without a move. */
static void write_chapters(const struct list_shape *shape, const struct list_view *view,
			   const uint32_t *values, uint32_t from)
{
	for (uint32_t i = from; i < view->entries; i++)
		view->chapters[-1 - (ptrdiff_t)i] = list_chapter_byte(shape, values[i]);
}

void list_planes_write_portably(const struct list_shape *shape, const struct list_view *view,
				const uint32_t *keys, const uint32_t *values)
{
	write_upper(shape, view, keys);
	write_rest(shape, view, keys, values, 0);
	write_chapters(shape, view, values, 0);
}

void list_planes_read_portably(const struct list_shape *shape, const struct list_view *view,
			       uint32_t *ret_keys, uint32_t *ret_values)
{
	uint64_t bits = load64(view->upper);
	uint32_t word = 0;

	for (uint32_t i = 0; i < view->entries; i++) {
		uint32_t rest = (uint32_t)list_rest(shape, view->rest, i) & shape->low_mask;
		uint32_t bit;

		/* Words without an entry: buckets that are empty. */
		while (bits == 0)
			bits = load64(view->upper + 8 * (size_t)++word);
		bit = 64 * word + (uint32_t)__builtin_ctzll(bits);
		bits &= bits - 1;
		ret_keys[i] = (bit - i) << shape->low_bits | rest;
		ret_values[i] = (uint32_t)list_value(shape, view, i);
	}
}

#ifdef __x86_64__

/* A unary part on its way into memory, a word at a time. */
struct upper_writer {
	uint8_t *upper;
	uint32_t at;   /* bit at which the last word was stored, a multiple of 8 */
	uint64_t word; /* what was stored there */
};

/* Adds bits from @at on, all behind those that were added before. */
static inline void add_upper(struct upper_writer *writer, uint32_t at, uint64_t bits)
{
	const uint32_t step = at - writer->at;

	/* Words overlap. */
	writer->word = (step < 64 ? writer->word >> (step & 63) : 0) | bits;
	writer->at = at;
	store64(writer->upper + at / 8, writer->word);
}

/* The bits of eight entries, of which the first one is at @at or up to 7 behind, all within 64. */
AVX2 static inline uint64_t gather_upper(__m256i bits, uint32_t at)
{
	const __m256i one = _mm256_set1_epi64x(1), low = _mm256_set1_epi64x(UINT32_MAX);
	const __m256i places = _mm256_sub_epi32(bits, _mm256_set1_epi32((int)at));
	const __m256i pairs =
		_mm256_or_si256(_mm256_sllv_epi64(one, _mm256_and_si256(places, low)),
				_mm256_sllv_epi64(one, _mm256_srli_epi64(places, 32)));
	const __m128i both =
		_mm_or_si128(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));

	return (uint64_t)_mm_cvtsi128_si64(both) | (uint64_t)_mm_extract_epi64(both, 1);
}

AVX2 static void write_upper_avx2(const struct list_shape *shape, const struct list_view *view,
				  const uint32_t *keys)
{
	const __m128i low_bits = _mm_cvtsi32_si128((int)shape->low_bits);
	const __m256i eight = _mm256_set1_epi32(8);
	__m256i numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
	struct upper_writer writer = { .upper = view->upper };
	uint32_t i = 0;

	memset(view->upper, 0, view->upper_bytes);
	for (; i + 8 <= view->entries; i += 8) {
		const uint32_t at = upper_bit(shape, keys, i) & ~UINT32_C(7);
		const __m256i bits =
			_mm256_add_epi32(_mm256_srl_epi32(load_lanes(keys + i), low_bits), numbers);

		numbers = _mm256_add_epi32(numbers, eight);
		if (__builtin_expect(upper_bit(shape, keys, i + 7) - at < 64, 1)) {
			add_upper(&writer, at, gather_upper(bits, at));
			continue;
		}
		for (uint32_t n = i; n < i + 8; n++) {
			const uint32_t bit = upper_bit(shape, keys, n);

			add_upper(&writer, bit & ~UINT32_C(7), UINT64_C(1) << bit % 8);
		}
	}
	for (; i < view->entries; i++) {
		const uint32_t bit = upper_bit(shape, keys, i);

		view->upper[bit / 8] |= (uint8_t)(1u << bit % 8);
	}
}

/* Four pairs of fields of @bits bits each, put together; 16 bytes are written. */
AVX2 static inline void pack_rest(uint8_t *to, __m256i fields, unsigned int bits)
{
	const __m256i low = _mm256_set1_epi64x(UINT32_MAX);
	const __m128i shift = _mm_cvtsi32_si128((int)bits);
	const __m256i both =
		_mm256_or_si256(_mm256_and_si256(fields, low),
				_mm256_sll_epi64(_mm256_srli_epi64(fields, 32), shift));
	uint64_t pairs[4], first, second;

	_mm256_storeu_si256((__m256i *)(void *)pairs, both);
	first = pairs[0] | pairs[1] << 2 * bits;
	second = pairs[2] | pairs[3] << 2 * bits;
	store64(to, first | second << 4 * bits);
	store64(to + 8, second >> (64 - 4 * bits));
}

/* The low bytes of eight lanes, the first one highest. */
AVX2 static inline uint64_t pack_chapters(__m256i values)
{
	const __m256i low_bytes =
		_mm256_setr_epi8(12, 8, 4, 0, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 12, 8,
				 4, 0, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1);
	const __m256i packed = _mm256_shuffle_epi8(values, low_bytes);
	const uint64_t first = (uint32_t)_mm_cvtsi128_si32(_mm256_castsi256_si128(packed));

	return first << 32 | (uint32_t)_mm_cvtsi128_si32(_mm256_extracti128_si256(packed, 1));
}

AVX2 static void write_avx2(const struct list_shape *shape, const struct list_view *view,
			    const uint32_t *keys, const uint32_t *values)
{
	const __m128i low_bits = _mm_cvtsi32_si128((int)shape->low_bits);
	const __m128i chapter_bits = _mm_cvtsi32_si128((int)shape->chapter_low_bits);
	const __m256i low_mask = _mm256_set1_epi32((int)shape->low_mask);
	const __m256i chapter_mask = _mm256_set1_epi32((int)shape->chapter_low_mask);
	uint8_t *rest = view->rest;
	uint32_t i = 0;

	/* First, as its last word goes beyond it. */
	write_upper_avx2(shape, view, keys);
	for (; i + 8 <= view->entries; i += 8, rest += shape->rest_bits) {
		const __m256i value = load_lanes(values + i);
		const __m256i lower = _mm256_and_si256(load_lanes(keys + i), low_mask);
		const __m256i upper =
			_mm256_sll_epi32(_mm256_and_si256(value, chapter_mask), low_bits);

		pack_rest(rest, _mm256_or_si256(lower, upper), shape->rest_bits);
		/* Then these: it goes beyond its end by no more than they take. */
		store64(view->chapters - 8 - i,
			pack_chapters(_mm256_srl_epi32(value, chapter_bits)));
	}
	write_rest(shape, view, keys, values, i);
	write_chapters(shape, view, values, i);
}

#define BITS_BELOW(byte, bit) ((unsigned int)__builtin_popcount((byte) & ((1u << (bit)) - 1)))
#define ZEROS_BELOW(byte, bit)                                                                    \
	((byte) >> (bit)&1 ? (uint64_t)((bit)-BITS_BELOW(byte, bit)) << 8 * BITS_BELOW(byte, bit) \
			   : 0)
#define ZEROS_1(byte)                                                         \
	(ZEROS_BELOW(byte, 0) | ZEROS_BELOW(byte, 1) | ZEROS_BELOW(byte, 2) | \
	 ZEROS_BELOW(byte, 3) | ZEROS_BELOW(byte, 4) | ZEROS_BELOW(byte, 5) | \
	 ZEROS_BELOW(byte, 6) | ZEROS_BELOW(byte, 7))
#define ZEROS_4(byte)  ZEROS_1(byte), ZEROS_1((byte) + 1), ZEROS_1((byte) + 2), ZEROS_1((byte) + 3)
#define ZEROS_16(byte) ZEROS_4(byte), ZEROS_4((byte) + 4), ZEROS_4((byte) + 8), ZEROS_4((byte) + 12)
#define ZEROS_64(byte) \
	ZEROS_16(byte), ZEROS_16((byte) + 16), ZEROS_16((byte) + 32), ZEROS_16((byte) + 48)

const uint64_t list_zeros_of_byte[256] = { ZEROS_64(0u), ZEROS_64(64u), ZEROS_64(128u),
					   ZEROS_64(192u) };

/* The buckets of all entries: how many 0 bits are in front of their 1 bits. */
AVX2 static void read_buckets(const struct list_view *view, uint32_t *ret_buckets)
{
	uint32_t count = 0;

	for (uint32_t i = 0; count < view->entries; i++) {
		const uint8_t byte = view->upper[i];
		const __m128i zeros = _mm_cvtsi64_si128((long long)list_zeros_of_byte[byte]);

		store_lanes(ret_buckets + count,
			    _mm256_add_epi32(_mm256_cvtepu8_epi32(zeros),
					     _mm256_set1_epi32((int)(8 * i - count))));
		count += (uint32_t)__builtin_popcount(byte);
	}
}

/* How to get the rest fields of eight entries out of two times 16 bytes. */
struct rest_lanes {
	__m256i bytes, shifts, mask;
	unsigned int second; /* byte of the second four */
};

AVX2 static inline struct rest_lanes make_rest_lanes(const struct list_shape *shape)
{
	const int bits = (int)shape->rest_bits, begin = 4 * bits % 8;
	const __m256i at = _mm256_setr_epi32(0, bits, 2 * bits, 3 * bits, begin, begin + bits,
					     begin + 2 * bits, begin + 3 * bits);
	const __m256i first_bytes =
		_mm256_mullo_epi32(_mm256_srli_epi32(at, 3), _mm256_set1_epi32(0x01010101));

	return (struct rest_lanes){
		.bytes = _mm256_add_epi32(first_bytes, _mm256_set1_epi32(0x03020100)),
		.shifts = _mm256_and_si256(at, _mm256_set1_epi32(7)),
		.mask = _mm256_set1_epi32((int)shape->rest_mask),
		.second = 4 * shape->rest_bits / 8,
	};
}

AVX2 static inline __m256i unpack_rest(const struct rest_lanes *lanes, const uint8_t *from)
{
	const __m128i first = _mm_loadu_si128((const __m128i *)(const void *)from);
	const __m128i second =
		_mm_loadu_si128((const __m128i *)(const void *)(from + lanes->second));
	const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(first), second, 1);

	return _mm256_and_si256(
		_mm256_srlv_epi32(_mm256_shuffle_epi8(both, lanes->bytes), lanes->shifts),
		lanes->mask);
}

AVX2 static void read_avx2(const struct list_shape *shape, const struct list_view *view,
			   uint32_t *ret_keys, uint32_t *ret_values)
{
	const __m128i low_bits = _mm_cvtsi32_si128((int)shape->low_bits);
	const __m128i chapter_bits = _mm_cvtsi32_si128((int)shape->chapter_low_bits);
	const __m256i low_mask = _mm256_set1_epi32((int)shape->low_mask);
	const struct rest_lanes lanes = make_rest_lanes(shape);
	const uint8_t *from = view->rest;

	read_buckets(view, ret_keys);
	for (uint32_t i = 0; i < view->entries; i += 8, from += shape->rest_bits) {
		const __m256i rest = unpack_rest(&lanes, from);
		const __m256i buckets = load_lanes(ret_keys + i);
		const uint64_t chapters = __builtin_bswap64(load64(view->chapters - 8 - i));
		const __m256i high = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)chapters));

		store_lanes(ret_keys + i, _mm256_or_si256(_mm256_sll_epi32(buckets, low_bits),
							  _mm256_and_si256(rest, low_mask)));
		store_lanes(ret_values + i, _mm256_or_si256(_mm256_sll_epi32(high, chapter_bits),
							    _mm256_srl_epi32(rest, low_bits)));
	}
}

void list_planes_write(const struct list_shape *shape, const struct list_view *view,
		       const uint32_t *keys, const uint32_t *values)
{
	/* Four fields in a word, and eight in no less than a word. */
	if (view->entries >= 8 && shape->rest_bits >= 8 && shape->rest_bits <= 15 && lanes_usable())
		write_avx2(shape, view, keys, values);
	else
		list_planes_write_portably(shape, view, keys, values);
}

void list_planes_read(const struct list_shape *shape, const struct list_view *view,
		      uint32_t *ret_keys, uint32_t *ret_values)
{
	/* Each field within four bytes, wherever it begins, and four within 16. */
	if (shape->rest_bits <= 25 && lanes_usable())
		read_avx2(shape, view, ret_keys, ret_values);
	else
		list_planes_read_portably(shape, view, ret_keys, ret_values);
}

#else

void list_planes_write(const struct list_shape *shape, const struct list_view *view,
		       const uint32_t *keys, const uint32_t *values)
{
	list_planes_write_portably(shape, view, keys, values);
}

void list_planes_read(const struct list_shape *shape, const struct list_view *view,
		      uint32_t *ret_keys, uint32_t *ret_values)
{
	list_planes_read_portably(shape, view, ret_keys, ret_values);
}

#endif

int list_build(struct list_zone *zone, struct list_head *head, const uint32_t *keys,
	       const uint32_t *values, uint32_t count, const uint8_t *names, uint32_t collisions)
{
	const struct list_shape *shape = zone->shape;
	uint32_t named = 0;
	struct list_view view;
	int r;

	if (count == 0)
		return 0;
	r = list_resize(zone, head, list_bytes(shape, count, collisions));
	if (r < 0)
		return r;
	head->entries = (uint16_t)count;
	/*
	 * The low bits of @flush count the collision entries, which are none in a list that is
	 * still empty.
	 */
	head->flush |= collisions;
	view = list_view_of(zone, head);
	list_planes_write(shape, &view, keys, values);
	for (uint32_t i = 1; named < collisions && i < count; i++) {
		/*
		 * The same key again: a collision entry, which directly follows those of its key
		 * (5).
		 */
		if (keys[i] == keys[i - 1]) {
			uint8_t *name = view.names + LIST_NAME_BYTES * (size_t)named;

			put_le16(name, (uint16_t)i);
			memcpy(name + 2, names + UDS_NAME_BYTES * (size_t)named, UDS_NAME_BYTES);
			named++;
		}
	}
	return 0;
}

void list_decode(const struct list_zone *zone, const struct list_head *head, uint32_t *ret_keys,
		 uint32_t *ret_values)
{
	struct list_view view;

	if (head->entries == 0)
		return;
	view = list_view_of(zone, head);
	list_planes_read(zone->shape, &view, ret_keys, ret_values);
}
