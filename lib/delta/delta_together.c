/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading some lists together. Where an entry begins is known only when the one before it is read,
 * so a list is a chain of steps that wait for each other; the steps of several lists do not.
 *
 * With AVX2 the lists are only cut into entries together. What the entries are is worked out
 * afterwards, list by list, eight at a time.
 */
#include "base/lanes.h"
#include "delta/delta_code.h"

void delta_lists_take_portably(struct delta_reader *readers, uint32_t *const *keys,
			       uint32_t *const *values, uint32_t most, uint32_t *ret_counts)
{
	for (unsigned int i = 0; i < DELTA_TOGETHER; i++)
		ret_counts[i] = delta_reader_take_portably(&readers[i], keys[i], values[i], most);
}

#ifdef __x86_64__

/* Longer entries are read one by one. */
#define CUT_BITS 31u

/* A list that is cut into entries. */
struct cut_list {
	uint64_t at;	  /* bit of the address space */
	uint64_t last;	  /* bit up to which 64 bits of the list can be read */
	uint32_t *next;	  /* where the bits of the next entry go: among the values */
	uint32_t decoded; /* so many of them are keys and values by now */
};

/* The numbers of a code that cutting needs. */
struct cut_code {
	unsigned int fixed_bits; /* value and fixed part */
	unsigned int up;	 /* brings them to the top of a word */
	uint64_t least;		 /* from here on they have a unary part */
};

/* The length of the entry at the lowest bit of @word; more than CUT_BITS: longer than that. */
static inline __attribute__((always_inline)) uint64_t cut_length(const struct cut_code *code,
								 uint64_t word)
{
	/* Without a branch, which would be mispredicted at every third entry. */
	const uint64_t has_unary = -(uint64_t)(word << code->up >= code->least);
	const uint64_t marker = UINT64_C(1) << 32;
	const uint64_t zeros = (uint64_t)__builtin_ctzll(word >> code->fixed_bits | marker);

	return code->fixed_bits + (has_unary & (zeros + 1));
}

/* Cuts two entries off, or one. False: the next one is a long one. */
static inline __attribute__((always_inline)) bool cut(const struct cut_code *code, uint64_t *at,
						      uint32_t **next)
{
	const uint8_t *from = (const uint8_t *)(uintptr_t)(*at / 8);
	const uint64_t word = get_le64(from) >> (*at % 8);
	const uint64_t first = cut_length(code, word);
	const uint64_t behind = word >> (first & 63);
	const uint64_t second = cut_length(code, behind);
	uint32_t *to = *next;

	to[0] = (uint32_t)word;
	to[1] = (uint32_t)behind;
	if (__builtin_expect(first > CUT_BITS, 0))
		return false;
	/* Only 57 bits of the word are sure to be the list's. */
	if (__builtin_expect(second > CUT_BITS || first + second > 57, 0)) {
		*at += first;
		*next += 1;
		return true;
	}
	*at += first + second;
	*next += 2;
	return true;
}

/*
 * Cuts all lists until one comes to its end. Returns -1 then, or the number of a list with a long
 * entry. Everything is in registers.
 */
AVX2 static int cut_together(const struct delta_code *delta, struct cut_list *lists)
{
	const unsigned int fixed_bits = delta->payload_bits + delta->min_bits;
	const struct cut_code code = {
		.fixed_bits = fixed_bits,
		.up = 64 - fixed_bits,
		.least = (uint64_t)delta->min_keys << (64 - delta->min_bits),
	};
	struct cut_list a = lists[0], b = lists[1], c = lists[2], d = lists[3];
	int stopped = -1;

	_Static_assert(DELTA_TOGETHER == 4, "as many as are named here");
	while (a.at <= a.last && b.at <= b.last && c.at <= c.last && d.at <= d.last) {
		stopped = 0;
		if (!cut(&code, &a.at, &a.next))
			break;
		stopped = 1;
		if (!cut(&code, &b.at, &b.next))
			break;
		stopped = 2;
		if (!cut(&code, &c.at, &c.next))
			break;
		stopped = 3;
		if (!cut(&code, &d.at, &d.next))
			break;
		stopped = -1;
	}
	lists[0] = a;
	lists[1] = b;
	lists[2] = c;
	lists[3] = d;
	return stopped;
}

/* The sums of the lanes up to each one. */
AVX2 static inline __m256i add_up(__m256i lanes)
{
	const __m256i last_of_half = _mm256_set1_epi32(3);
	__m256i lower;

	lanes = _mm256_add_epi32(lanes, _mm256_slli_si256(lanes, 4));
	lanes = _mm256_add_epi32(lanes, _mm256_slli_si256(lanes, 8));
	lower = _mm256_permutevar8x32_epi32(lanes, last_of_half);
	return _mm256_add_epi32(lanes, _mm256_blend_epi32(_mm256_setzero_si256(), lower, 0xf0));
}

/* How many zero bits are below the lowest 1 bit of each lane, which are less than 2^31. */
AVX2 static inline __m256i zeros_below(__m256i lanes)
{
	const __m256i lowest =
		_mm256_and_si256(lanes, _mm256_sub_epi32(_mm256_setzero_si256(), lanes));
	const __m256i as_float = _mm256_castps_si256(_mm256_cvtepi32_ps(lowest));

	/* A power of two is its exponent. */
	return _mm256_sub_epi32(_mm256_srli_epi32(as_float, 23), _mm256_set1_epi32(127));
}

/*
 * Makes keys and values of entries [@from, @to) that were cut. Writes up to 7 more. Returns whether
 * each key but that of entry 0 is greater than the one before.
 */
AVX2 static bool decode_cut(const struct delta_code *code, uint32_t *keys, uint32_t *values,
			    uint32_t from, uint32_t to)
{
	const __m128i payload_bits = _mm_cvtsi32_si128((int)code->payload_bits);
	const __m128i fixed_bits = _mm_cvtsi32_si128((int)(code->payload_bits + code->min_bits));
	const __m256i value_mask = _mm256_set1_epi32((int)((1u << code->payload_bits) - 1));
	const __m256i key_mask = _mm256_set1_epi32((int)((1u << code->min_bits) - 1));
	const __m256i min_keys = _mm256_set1_epi32((int)code->min_keys);
	const __m256i incr_keys = _mm256_set1_epi32((int)code->incr_keys);
	const __m256i numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
	const __m256i first = _mm256_cmpeq_epi32(numbers, _mm256_setzero_si256());
	__m256i last = _mm256_set1_epi32(from > 0 ? (int)keys[from - 1] : 0);
	__m256i same = _mm256_setzero_si256();

	for (uint32_t i = from; i < to; i += 8) {
		const __m256i bits = load_lanes(values + i);
		const __m256i fixed =
			_mm256_and_si256(_mm256_srl_epi32(bits, payload_bits), key_mask);
		const __m256i has_none = _mm256_cmpgt_epi32(min_keys, fixed);
		const __m256i zeros = zeros_below(_mm256_srl_epi32(bits, fixed_bits));
		const __m256i unary =
			_mm256_mullo_epi32(_mm256_andnot_si256(has_none, zeros), incr_keys);
		const __m256i deltas = _mm256_add_epi32(fixed, unary);
		const __m256i within =
			_mm256_cmpgt_epi32(_mm256_set1_epi32((int)(to - i)), numbers);
		__m256i none = _mm256_cmpeq_epi32(deltas, _mm256_setzero_si256());

		if (i == 0)
			none = _mm256_andnot_si256(first, none);
		same = _mm256_or_si256(same, _mm256_and_si256(none, within));
		last = _mm256_add_epi32(add_up(deltas), last);
		store_lanes(keys + i, last);
		store_lanes(values + i, _mm256_and_si256(bits, value_mask));
		last = _mm256_permutevar8x32_epi32(last, _mm256_set1_epi32(7));
	}
	return _mm256_testz_si256(same, same) != 0;
}

static struct cut_list begin_cut(const struct delta_reader *reader, uint32_t *values)
{
	const uint64_t memory = (uint64_t)(uintptr_t)reader->memory * 8;
	const uint64_t words_end = reader->end / 8 * 8;

	return (struct cut_list){
		.at = memory + reader->at,
		/* A list of less than a word has no such bit. */
		.last = words_end < 64 ? 0 : memory + words_end - 64 + 7,
		.next = values,
	};
}

/*
 * Makes entries of what was cut. False: some are not ordinary, so that the list has to be read from
 * its start; the reader is as it was.
 */
AVX2 static bool end_cut(struct delta_reader *reader, struct cut_list *list, uint32_t *keys,
			 uint32_t *values, uint32_t *ret_count)
{
	const uint32_t count = (uint32_t)(list->next - values);

	if (!decode_cut(reader->code, keys, values, list->decoded, count))
		return false;
	list->decoded = count;
	*ret_count = count;
	reader->at = list->at - (uint64_t)(uintptr_t)reader->memory * 8;
	reader->key = count > 0 ? keys[count - 1] : 0;
	return true;
}

/* Reads the long entry at which a list stopped. As end_cut(). */
AVX2 static bool pass_long_entry(struct delta_reader *reader, struct cut_list *list, uint32_t *keys,
				 uint32_t *values)
{
	struct delta_reader next = *reader;
	uint32_t count;

	if (!end_cut(&next, list, keys, values, &count) ||
	    delta_reader_take(&next, keys + count, values + count, 1) == 0)
		return false;
	list->at = (uint64_t)(uintptr_t)next.memory * 8 + next.at;
	list->next++;
	list->decoded++;
	/* All the others together have keys below 2^31. */
	return next.key <= INT32_MAX;
}

/* What could not be cut, or all of it. */
static void take_rest(struct delta_reader *reader, uint32_t *keys, uint32_t *values, uint32_t most,
		      uint32_t *count)
{
	*count += delta_reader_take(reader, keys + *count, values + *count, most - *count);
}

AVX2 static void take_avx2(struct delta_reader *readers, uint32_t *const *keys,
			   uint32_t *const *values, uint32_t most, uint32_t *ret_counts)
{
	struct cut_list lists[DELTA_TOGETHER];
	bool is_ordinary[DELTA_TOGETHER];
	int stopped;

	for (unsigned int i = 0; i < DELTA_TOGETHER; i++) {
		lists[i] = begin_cut(&readers[i], values[i]);
		is_ordinary[i] = true;
		ret_counts[i] = 0;
	}
	while ((stopped = cut_together(readers[0].code, lists)) >= 0) {
		if (!pass_long_entry(&readers[stopped], &lists[stopped], keys[stopped],
				     values[stopped])) {
			is_ordinary[stopped] = false;
			break;
		}
	}
	for (unsigned int i = 0; i < DELTA_TOGETHER; i++) {
		if (is_ordinary[i])
			(void)end_cut(&readers[i], &lists[i], keys[i], values[i], &ret_counts[i]);
		take_rest(&readers[i], keys[i], values[i], most, &ret_counts[i]);
	}
}

/*
 * Two entries without a unary part fit into a word. And a list of such entries, each of at most
 * CUT_BITS, has keys below 2^31, so that their sum can be left unchecked.
 */
static bool can_cut(const struct delta_reader *readers, uint32_t most)
{
	const struct delta_code *code = readers[0].code;
	const unsigned int fixed_bits = code->payload_bits + code->min_bits;
	bool has_room = true;

	for (unsigned int i = 0; i < DELTA_TOGETHER; i++) {
		const uint64_t bits = readers[i].end - readers[i].at;

		has_room &= bits <= DELTA_LIST_MAX_BITS && bits / fixed_bits + 8 <= most;
	}
	return has_room && fixed_bits <= 24 && code->min_bits <= 14;
}

void delta_lists_take(struct delta_reader *readers, uint32_t *const *keys, uint32_t *const *values,
		      uint32_t most, uint32_t *ret_counts)
{
	if (lanes_usable() && can_cut(readers, most)) {
		take_avx2(readers, keys, values, most, ret_counts);
		return;
	}
	for (unsigned int i = 0; i < DELTA_TOGETHER; i++) {
		ret_counts[i] = 0;
		take_rest(&readers[i], keys[i], values[i], most, &ret_counts[i]);
	}
}

#else

void delta_lists_take(struct delta_reader *readers, uint32_t *const *keys, uint32_t *const *values,
		      uint32_t most, uint32_t *ret_counts)
{
	delta_lists_take_portably(readers, keys, values, most, ret_counts);
}

#endif
