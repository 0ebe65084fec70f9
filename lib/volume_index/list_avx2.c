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

LIST_TARGET static inline uint32_t candidates_32(const uint8_t *bytes, uint8_t start, uint8_t limit)
{
	__m256i some = _mm256_loadu_si256((const __m256i *)(const void *)bytes);
	__m256i above = _mm256_sub_epi8(some, _mm256_set1_epi8((char)start));
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

#include "volume_index/list_operations.h"

#endif
