/* SPDX-License-Identifier: BSD-2-Clause */
/* Entries that go are left out, and two sorted runs become one; with AVX2 eight at a time. */
#include "volume_index/list_entries.h"

#include "base/lanes.h"
#include "volume_index/list_planes.h"

void list_entries_leave_out_portably(const struct list_shape *shape,
				     const struct list_entries *entries,
				     const struct list_leavers *leavers, struct list_entries *kept,
				     struct list_left *ret_left)
{
	const uint64_t mask = shape->chapter_mask;
	struct list_left left = { .nearest = mask };

	kept->count = 0;
	/* Without a branch: which entries go cannot be predicted. */
	for (uint32_t i = 0; i < entries->count; i++) {
		const uint32_t value = entries->values[i];
		const uint64_t distance = (value - leavers->from) & mask;
		const bool stale = distance < leavers->stale;
		const bool dropped = (value == leavers->dropped) & !stale;
		const bool stays = !(stale | dropped);

		kept->keys[kept->count] = entries->keys[i];
		kept->values[kept->count] = value;
		kept->count += stays;
		left.stale += stale;
		left.dropped += dropped;
		left.nearest = stays && distance < left.nearest ? distance : left.nearest;
	}
	*ret_left = left;
}

/* Copies the entries whose keys are below @key. Returns how many. */
typedef uint32_t copy_below_fn(const struct list_entries *from, uint32_t at, uint32_t key,
			       uint32_t *ret_keys, uint32_t *ret_values);

static inline __attribute__((always_inline)) uint32_t copy_below(const struct list_entries *from,
								 uint32_t at, uint32_t key,
								 uint32_t *ret_keys,
								 uint32_t *ret_values)
{
	uint32_t count = 0;

	for (; at + count < from->count && from->keys[at + count] < key; count++) {
		ret_keys[count] = from->keys[at + count];
		ret_values[count] = from->values[at + count];
	}
	return count;
}

/* All of it but the size. False: the records are to be left. */
static inline __attribute__((always_inline)) bool
merge_by(copy_below_fn *copy, const struct list_shape *shape, const struct list_entries *entries,
	 const struct additions *additions, const uint64_t *records, uint64_t low,
	 const struct list_entries *merged)
{
	const uint32_t added = merged->count - entries->count;
	uint32_t *keys = merged->keys, *values = merged->values;
	uint32_t count = 0, at = 0, some;

	for (uint32_t i = 0; i < added; i++) {
		const struct addition addition = additions_read(additions, records[i]);
		const uint32_t key = addition.address;

		some = copy(entries, at, key, keys + count, values + count);
		at += some;
		count += some;
		if ((at < entries->count && entries->keys[at] == key) ||
		    (count > 0 && keys[count - 1] == key) || addition.vcn < low)
			return false;
		keys[count] = key;
		values[count++] = (uint32_t)(addition.vcn & shape->chapter_mask);
	}
	memcpy(keys + count, entries->keys + at, (entries->count - at) * sizeof(*keys));
	memcpy(values + count, entries->values + at, (entries->count - at) * sizeof(*values));
	return true;
}

static bool merge_portably(const struct list_shape *shape, const struct list_entries *entries,
			   const struct additions *additions, const uint64_t *records, uint64_t low,
			   const struct list_entries *merged)
{
	return merge_by(copy_below, shape, entries, additions, records, low, merged);
}

#ifdef __x86_64__

/* Lanes as bits. */
AVX2 static inline unsigned int lane_bits(__m256i lanes)
{
	return (unsigned int)_mm256_movemask_ps(_mm256_castsi256_ps(lanes));
}

/* The places that move lanes whose bit is set to the front, in order. */
AVX2 static inline __m256i places_of(unsigned int bits)
{
	const __m256i numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
	const __m128i zeros = _mm_cvtsi64_si128((long long)list_zeros_of_byte[bits]);

	/* In front of a 1 bit there are all 0 bits below it, and the 1 bits before. */
	return _mm256_add_epi32(_mm256_cvtepu8_epi32(zeros), numbers);
}

AVX2 static inline uint32_t least_lane(__m256i lanes)
{
	__m128i four =
		_mm_min_epu32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));

	four = _mm_min_epu32(four, _mm_shuffle_epi32(four, 0x4e));
	four = _mm_min_epu32(four, _mm_shuffle_epi32(four, 0xb1));
	return (uint32_t)_mm_cvtsi128_si32(four);
}

/* Values and distances are below 2^31. */
AVX2 static void leave_out_avx2(const struct list_shape *shape, const struct list_entries *entries,
				const struct list_leavers *leavers, struct list_entries *kept,
				struct list_left *ret_left)
{
	const __m256i numbers = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
	const __m256i mask = _mm256_set1_epi32((int)shape->chapter_mask);
	const __m256i from = _mm256_set1_epi32((int)(uint32_t)leavers->from);
	const __m256i stale = _mm256_set1_epi32((int)leavers->stale);
	/* No value is all ones. */
	const __m256i dropped = _mm256_set1_epi32((int)(uint32_t)leavers->dropped);
	__m256i nearest = mask;
	struct list_left left = { 0 };
	uint32_t count = 0;

	for (uint32_t i = 0; i < entries->count; i += 8) {
		const uint32_t there = entries->count - i < 8 ? entries->count - i : 8;
		const __m256i keys = load_lanes(entries->keys + i);
		const __m256i values = load_lanes(entries->values + i);
		const __m256i distance = _mm256_and_si256(_mm256_sub_epi32(values, from), mask);
		const __m256i is_stale = _mm256_cmpgt_epi32(stale, distance);
		const __m256i is_dropped = _mm256_cmpeq_epi32(values, dropped);
		const __m256i goes = _mm256_or_si256(is_stale, is_dropped);
		const __m256i outside =
			_mm256_cmpgt_epi32(numbers, _mm256_set1_epi32((int)there - 1));
		const unsigned int within = (1u << there) - 1;
		const unsigned int stays = ~lane_bits(goes) & within;
		const __m256i places = places_of(stays);

		store_lanes(kept->keys + count, _mm256_permutevar8x32_epi32(keys, places));
		store_lanes(kept->values + count, _mm256_permutevar8x32_epi32(values, places));
		count += (uint32_t)__builtin_popcount(stays);
		left.stale += (uint32_t)__builtin_popcount(lane_bits(is_stale) & within);
		left.dropped += (uint32_t)__builtin_popcount(
			lane_bits(_mm256_andnot_si256(is_stale, is_dropped)) & within);
		nearest = _mm256_min_epu32(
			nearest, _mm256_or_si256(distance, _mm256_or_si256(goes, outside)));
	}
	kept->count = count;
	left.nearest = least_lane(nearest);
	*ret_left = left;
}

/* Keys are below 2^31. */
AVX2 static inline uint32_t copy_below_avx2(const struct list_entries *from, uint32_t at,
					    uint32_t key, uint32_t *ret_keys, uint32_t *ret_values)
{
	const __m256i limit = _mm256_set1_epi32((int)key);
	uint32_t count = 0, some = 8;

	while (some == 8 && at + count < from->count) {
		const uint32_t left = from->count - at - count;
		const __m256i keys = load_lanes(from->keys + at + count);

		store_lanes(ret_keys + count, keys);
		store_lanes(ret_values + count, load_lanes(from->values + at + count));
		/* They ascend: those below come first. */
		some = (uint32_t)__builtin_popcount(lane_bits(_mm256_cmpgt_epi32(limit, keys)) &
						    ((1u << (left < 8 ? left : 8)) - 1));
		count += some;
	}
	return count;
}

AVX2 static bool merge_avx2(const struct list_shape *shape, const struct list_entries *entries,
			    const struct additions *additions, const uint64_t *records,
			    uint64_t low, const struct list_entries *merged)
{
	return merge_by(copy_below_avx2, shape, entries, additions, records, low, merged);
}

void list_entries_leave_out(const struct list_shape *shape, const struct list_entries *entries,
			    const struct list_leavers *leavers, struct list_entries *kept,
			    struct list_left *ret_left)
{
	if (shape->chapter_mask < UINT32_C(1) << 30 && lanes_usable())
		leave_out_avx2(shape, entries, leavers, kept, ret_left);
	else
		list_entries_leave_out_portably(shape, entries, leavers, kept, ret_left);
}

static bool merge(const struct list_shape *shape, const struct list_entries *entries,
		  const struct additions *additions, const uint64_t *records, uint64_t low,
		  const struct list_entries *merged)
{
	if (shape->parameters.address_bits <= 31 && lanes_usable())
		return merge_avx2(shape, entries, additions, records, low, merged);
	return merge_portably(shape, entries, additions, records, low, merged);
}

#else

void list_entries_leave_out(const struct list_shape *shape, const struct list_entries *entries,
			    const struct list_leavers *leavers, struct list_entries *kept,
			    struct list_left *ret_left)
{
	list_entries_leave_out_portably(shape, entries, leavers, kept, ret_left);
}

static bool merge(const struct list_shape *shape, const struct list_entries *entries,
		  const struct additions *additions, const uint64_t *records, uint64_t low,
		  const struct list_entries *merged)
{
	return merge_portably(shape, entries, additions, records, low, merged);
}

#endif

/* Before they are merged: there may be no room for so many. */
static bool are_too_many(const struct list_shape *shape, uint32_t count)
{
	const struct delta_code *code = &shape->code;

	return (uint64_t)count * (code->payload_bits + code->min_bits) > DELTA_LIST_MAX_BITS;
}

static uint32_t size_unless_too_long(uint64_t bits)
{
	return bits > DELTA_LIST_MAX_BITS ? 0 : (uint32_t)bits;
}

uint32_t list_entries_merge(const struct list_shape *shape, const struct list_entries *entries,
			    const struct additions *additions, const uint64_t *records,
			    uint64_t low, const struct list_entries *merged)
{
	if (are_too_many(shape, merged->count) ||
	    !merge(shape, entries, additions, records, low, merged))
		return 0;
	return size_unless_too_long(delta_entries_bits(&shape->code, merged->keys, merged->count));
}

uint32_t list_entries_merge_portably(const struct list_shape *shape,
				     const struct list_entries *entries,
				     const struct additions *additions, const uint64_t *records,
				     uint64_t low, const struct list_entries *merged)
{
	if (are_too_many(shape, merged->count) ||
	    !merge_portably(shape, entries, additions, records, low, merged))
		return 0;
	return size_unless_too_long(
		delta_entries_bits_portably(&shape->code, merged->keys, merged->count));
}
