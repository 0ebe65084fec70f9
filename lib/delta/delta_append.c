/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing many ordinary entries, two at a time: where an entry begins depends on the lengths of all
 * before it, so writing is a chain, and what two entries take is worked out beside it; with AVX2
 * for four pairs at once.
 */
#include "base/lanes.h"
#include "delta/delta_code.h"

/* So many bits go into the word of a settled writer at once. */
#define QUICK_BITS 56u

/* The code of an ordinary entry. */
struct coded_entry {
	uint64_t bits;	/* when it is no longer than QUICK_BITS */
	uint32_t width; /* how many bits */
};

static inline __attribute__((always_inline)) struct coded_entry
code_entry(const struct delta_code *code, uint32_t value, uint32_t delta)
{
	/* Without a branch on the delta, which would be mispredicted at every third entry. */
	const bool has_unary = delta >= code->min_keys;
	const uint32_t steps = has_unary ? delta_code_steps(code, delta - code->min_keys) : 0;
	const uint64_t fixed = delta - steps * code->incr_keys;
	const uint32_t width = code->payload_bits + code->min_bits;

	return (struct coded_entry){
		.bits = value | fixed << code->payload_bits |
			(uint64_t)has_unary << ((width + steps) & 63),
		.width = width + steps + has_unary,
	};
}

/* The writer is settled, before and after. */
static inline __attribute__((always_inline)) void put_entry(struct bit_writer *out,
							    const struct delta_code *code,
							    uint32_t value, uint32_t delta,
							    const struct coded_entry *entry)
{
	if (entry->width <= QUICK_BITS) {
		out->word |= entry->bits << out->fill;
		out->fill += entry->width;
	} else {
		delta_put_value(out, code, value);
		delta_put_key(out, code, delta);
	}
	bit_writer_settle(out);
}

static inline __attribute__((always_inline)) void
put_entries(struct bit_writer *out, const struct delta_code *code, uint32_t key,
	    const uint32_t *keys, const uint32_t *values, uint32_t count)
{
	uint32_t i = 0;

	for (; i + 1 < count; key = keys[i + 1], i += 2) {
		const uint32_t first_delta = keys[i] - key, second_delta = keys[i + 1] - keys[i];
		const struct coded_entry first = code_entry(code, values[i], first_delta);
		const struct coded_entry second = code_entry(code, values[i + 1], second_delta);

		if (first.width + second.width <= QUICK_BITS) {
			out->word |= (first.bits | second.bits << first.width) << out->fill;
			out->fill += first.width + second.width;
			bit_writer_settle(out);
			continue;
		}
		put_entry(out, code, values[i], first_delta, &first);
		put_entry(out, code, values[i + 1], second_delta, &second);
	}
	if (i < count) {
		const struct coded_entry last = code_entry(code, values[i], keys[i] - key);

		put_entry(out, code, values[i], keys[i] - key, &last);
	}
}

static void put_entries_portably(struct bit_writer *out, const struct delta_code *code,
				 uint32_t key, const uint32_t *keys, const uint32_t *values,
				 uint32_t count)
{
	put_entries(out, code, key, keys, values, count);
}

typedef void put_entries_fn(struct bit_writer *out, const struct delta_code *code, uint32_t key,
			    const uint32_t *keys, const uint32_t *values, uint32_t count);

#ifdef __x86_64__

/* Eight entries as four pairs: the bits of both, and how many they are. */
struct coded_pairs {
	__m256i bits, width;
};

/* The numbers of a code in each lane. */
struct code_lanes {
	__m256i min_keys, incr_keys, inverse, least;
	__m128i payload_bits;
};

AVX2 static inline struct code_lanes spread_code(const struct delta_code *code)
{
	return (struct code_lanes){
		.min_keys = _mm256_set1_epi32((int)code->min_keys),
		.incr_keys = _mm256_set1_epi32((int)code->incr_keys),
		.inverse = _mm256_set1_epi64x((long long)code->inverse),
		.least = _mm256_set1_epi32((int)(code->payload_bits + code->min_bits)),
		.payload_bits = _mm_cvtsi32_si128((int)code->payload_bits),
	};
}

/* As delta_code_steps(). */
AVX2 static inline __m256i steps_of(const struct code_lanes *code, __m256i t)
{
	const __m256i even = _mm256_srli_epi64(_mm256_mul_epu32(t, code->inverse), 32);
	const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(t, 32), code->inverse);
	const __m256i steps = _mm256_blend_epi32(even, odd, 0xaa);
	const __m256i rest = _mm256_sub_epi32(t, _mm256_mullo_epi32(steps, code->incr_keys));
	const __m256i less = _mm256_cmpgt_epi32(code->incr_keys, rest);

	/* One more, unless the rest is less than a step: all ones are -1. */
	return _mm256_add_epi32(_mm256_add_epi32(steps, _mm256_set1_epi32(1)), less);
}

/* As code_entry(), and each pair put together. The deltas are below 2^31. */
AVX2 static inline struct coded_pairs code_pairs(const struct code_lanes *code, __m256i values,
						 __m256i deltas)
{
	const __m256i low = _mm256_set1_epi64x(UINT32_MAX), one = _mm256_set1_epi64x(1);
	const __m256i has_none = _mm256_cmpgt_epi32(code->min_keys, deltas);
	const __m256i t = _mm256_andnot_si256(has_none, _mm256_sub_epi32(deltas, code->min_keys));
	const __m256i steps = steps_of(code, t);
	const __m256i fixed = _mm256_sub_epi32(deltas, _mm256_mullo_epi32(steps, code->incr_keys));
	const __m256i bits = _mm256_or_si256(values, _mm256_sll_epi32(fixed, code->payload_bits));
	const __m256i has = _mm256_add_epi32(_mm256_set1_epi32(1), has_none);
	const __m256i width = _mm256_add_epi32(_mm256_add_epi32(code->least, steps), has);
	const __m256i first_width = _mm256_and_si256(width, low);
	const __m256i second_width = _mm256_srli_epi64(width, 32);
	/* The last bit of an entry is the 1 bit that ends its unary part, if it has one. */
	const __m256i first = _mm256_or_si256(
		_mm256_and_si256(bits, low),
		_mm256_sllv_epi64(_mm256_and_si256(has, low), _mm256_sub_epi64(first_width, one)));
	const __m256i second = _mm256_or_si256(
		_mm256_srli_epi64(bits, 32),
		_mm256_sllv_epi64(_mm256_srli_epi64(has, 32), _mm256_sub_epi64(second_width, one)));

	return (struct coded_pairs){
		.bits = _mm256_or_si256(first, _mm256_sllv_epi64(second, first_width)),
		.width = _mm256_add_epi64(first_width, second_width),
	};
}

/* Appends four pairs. False, and nothing is done: one is longer than QUICK_BITS. */
AVX2 static inline bool put_pairs(struct bit_writer *out, const struct coded_pairs *pairs)
{
	const __m256i longer =
		_mm256_cmpgt_epi32(pairs->width, _mm256_set1_epi64x((long long)QUICK_BITS));
	uint64_t bits[4], width[4];

	if (__builtin_expect(_mm256_testz_si256(longer, longer) == 0, 0))
		return false;
	_mm256_storeu_si256((__m256i *)(void *)bits, pairs->bits);
	_mm256_storeu_si256((__m256i *)(void *)width, pairs->width);
	for (unsigned int i = 0; i < 4; i++) {
		out->word |= bits[i] << out->fill;
		out->fill += (unsigned int)width[i];
		bit_writer_settle(out);
	}
	return true;
}

/*
 * Eight entries at a time, whose codes are worked out side by side. Returns how many were written:
 * the others are fewer than eight, or too long for it.
 */
AVX2 static uint32_t put_eights(struct bit_writer *to, const struct delta_code *of, uint32_t key,
				const uint32_t *keys, const uint32_t *values, uint32_t count)
{
	const __m256i one_up = _mm256_setr_epi32(7, 0, 1, 2, 3, 4, 5, 6);
	const struct code_lanes code = spread_code(of);
	__m256i last = _mm256_set1_epi32((int)key);
	struct bit_writer out = *to;
	uint32_t i = 0;

	for (; i + 8 <= count; i += 8) {
		const __m256i now = load_lanes(keys + i);
		/* The last of them is the one before the next ones. */
		const __m256i moved = _mm256_permutevar8x32_epi32(now, one_up);
		const __m256i deltas = _mm256_sub_epi32(now, _mm256_blend_epi32(moved, last, 1));
		const struct coded_pairs pairs = code_pairs(&code, load_lanes(values + i), deltas);

		if (!put_pairs(&out, &pairs))
			break;
		last = moved;
	}
	*to = out;
	return i;
}

/*
 * What is before the unary part fits into 32 bits, and so does the inverse; no delta has the sign
 * of a lane.
 */
static bool fits_lanes(const struct delta_code *code, uint32_t last_key)
{
	return code->payload_bits + code->min_bits <= 32 && code->min_bits < 32 &&
	       code->incr_keys > 1 && last_key <= INT32_MAX;
}

AVX2 static void put_entries_avx2(struct bit_writer *out, const struct delta_code *code,
				  uint32_t key, const uint32_t *keys, const uint32_t *values,
				  uint32_t count)
{
	uint32_t some;

	while (count >= 8 && fits_lanes(code, keys[count - 1])) {
		some = put_eights(out, code, key, keys, values, count);
		/* The eight with a long one, or what is left. */
		key = some > 0 ? keys[some - 1] : key;
		keys += some;
		values += some;
		count -= some;
		some = count < 8 ? count : 8;
		put_entries(out, code, key, keys, values, some);
		key = some > 0 ? keys[some - 1] : key;
		keys += some;
		values += some;
		count -= some;
	}
	put_entries(out, code, key, keys, values, count);
}

/* How many bits the unary parts of eight entries take, in each lane. */
AVX2 static inline __m256i unary_bits(const struct code_lanes *code, __m256i deltas)
{
	const __m256i has_none = _mm256_cmpgt_epi32(code->min_keys, deltas);
	const __m256i t = _mm256_andnot_si256(has_none, _mm256_sub_epi32(deltas, code->min_keys));

	/* One more for its end: all ones are -1. */
	return _mm256_add_epi32(_mm256_add_epi32(steps_of(code, t), _mm256_set1_epi32(1)),
				has_none);
}

AVX2 static uint64_t entries_bits_avx2(const struct delta_code *of, const uint32_t *keys,
				       uint32_t count)
{
	const struct code_lanes code = spread_code(of);
	__m256i sums = _mm256_setzero_si256();
	/* Of the first one, there is no key before it. */
	uint64_t bits = delta_ordinary_bits(of, keys[0]);
	uint32_t lanes[8], i = 1;

	for (; i + 8 <= count; i += 8) {
		const __m256i now = load_lanes(keys + i);
		const __m256i before = load_lanes(keys + i - 1);

		sums = _mm256_add_epi32(sums, unary_bits(&code, _mm256_sub_epi32(now, before)));
	}
	store_lanes(lanes, sums);
	for (unsigned int n = 0; n < 8; n++)
		bits += lanes[n];
	bits += (uint64_t)(i - 1) * (of->payload_bits + of->min_bits);
	for (; i < count; i++)
		bits += delta_ordinary_bits(of, keys[i] - keys[i - 1]);
	return bits;
}
#endif

uint64_t delta_entries_bits_portably(const struct delta_code *code, const uint32_t *keys,
				     uint32_t count)
{
	uint64_t bits = 0;
	uint32_t key = 0;

	for (uint32_t i = 0; i < count; key = keys[i++])
		bits += delta_ordinary_bits(code, keys[i] - key);
	return bits;
}

static void append_by(put_entries_fn *put, struct delta_writer *writer, const uint32_t *keys,
		      const uint32_t *values, uint32_t count)
{
	struct bit_writer out = writer->out;
	const uint8_t *start = out.next;
	const uint32_t before = out.fill;

	bit_writer_settle(&out);
	put(&out, writer->code, writer->key, keys, values, count);
	writer->bits += (uint32_t)(8 * (out.next - start)) + out.fill - before;
	writer->key = count > 0 ? keys[count - 1] : writer->key;
	writer->out = out;
}

void delta_writer_append_many_portably(struct delta_writer *writer, const uint32_t *keys,
				       const uint32_t *values, uint32_t count)
{
	append_by(put_entries_portably, writer, keys, values, count);
}

void delta_writer_append_many(struct delta_writer *writer, const uint32_t *keys,
			      const uint32_t *values, uint32_t count)
{
	put_entries_fn *put = put_entries_portably;

#ifdef __x86_64__
	if (lanes_usable())
		put = put_entries_avx2;
#endif
	append_by(put, writer, keys, values, count);
}

uint64_t delta_entries_bits(const struct delta_code *code, const uint32_t *keys, uint32_t count)
{
#ifdef __x86_64__
	if (count >= 8 && fits_lanes(code, keys[count - 1]) && lanes_usable())
		return entries_bits_avx2(code, keys, count);
#endif
	return delta_entries_bits_portably(code, keys, count);
}
