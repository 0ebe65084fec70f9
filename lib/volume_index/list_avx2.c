/* SPDX-License-Identifier: BSD-2-Clause */
/* The list operations for x86-64 processors with AVX2 and BMI2 (2013 and later). */
#include "base/lanes.h"
#include "volume_index/list.h"

#ifdef __x86_64__

#define LIST_TARGET	AVX2
#define LIST_LANE	32
#define LIST_HAVE_BMI2	1
#define LIST_OPERATIONS list_operations_avx2
#define LIST_FORM_NAME	"avx2"
#define LIST_CANDIDATES candidates
#define LIST_LEAST	least

LIST_TARGET static inline __m256i above_32(const uint8_t *bytes, uint8_t start)
{
	return _mm256_sub_epi8(_mm256_loadu_si256((const __m256i *)(const void *)bytes),
			       _mm256_set1_epi8((char)start));
}

LIST_TARGET static inline uint32_t candidates_32(const uint8_t *bytes, uint8_t start, uint8_t limit)
{
	__m256i above = above_32(bytes, start);
	/* There is no unsigned comparison; "minimum with the limit is itself" is one. */
	__m256i within = _mm256_min_epu8(above, _mm256_set1_epi8((char)limit));

	return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(above, within));
}

/* Which of @count bytes, minus @start, are at most @limit. Reads 64 bytes. */
LIST_TARGET static inline uint64_t candidates(const uint8_t *bytes, unsigned int count,
					      uint8_t start, uint8_t limit)
{
	/* Bytes behind @count may be anything: their bits are cleared at the end. */
	uint64_t found = candidates_32(bytes, start, limit);

	if (count > 32)
		found |= (uint64_t)candidates_32(bytes + 32, start, limit) << 32;
	return _bzhi_u64(found, count);
}

/* The least of @count bytes, minus @start. Reads up to 32 bytes more. */
LIST_TARGET static inline uint8_t least(const uint8_t *bytes, unsigned int count, uint8_t start)
{
	const __m256i numbers =
		_mm256_setr_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
				 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31);
	__m256i best = _mm256_set1_epi8(-1);
	__m256i behind;
	__m128i half;
	unsigned int i = 0;

	for (; i + 32 <= count; i += 32)
		best = _mm256_min_epu8(best, above_32(bytes + i, start));
	/* Of the last lanes, those behind the end count as the largest byte. */
	behind = _mm256_cmpgt_epi8(numbers, _mm256_set1_epi8((char)(count - i - 1)));
	best = _mm256_min_epu8(best, _mm256_or_si256(above_32(bytes + i, start), behind));
	half = _mm_min_epu8(_mm256_castsi256_si128(best), _mm256_extracti128_si256(best, 1));
	/* The lower byte of each pair becomes the least of both, the upper one zero. */
	half = _mm_min_epu8(half, _mm_srli_epi16(half, 8));
	return (uint8_t)_mm_cvtsi128_si32(_mm_minpos_epu16(half));
}

#include "volume_index/list_operations.h"

#endif
