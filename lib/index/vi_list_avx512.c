/* SPDX-License-Identifier: BSD-2-Clause */
/* The list operations for x86-64 processors with AVX-512 (BW, VL) and BMI2. */
#include "index/vi_list.h"

#ifdef __x86_64__

#include <immintrin.h>

#define VI_TARGET     __attribute__((target("avx512f,avx512bw,avx512vl,avx2,bmi,bmi2,lzcnt,popcnt")))
#define VI_LANE	      64
#define VI_HAVE_BMI2  1
#define VI_OPERATIONS vi_operations_avx512
#define VI_NAME	      "avx512"
#define VI_CANDIDATES candidates

/* Which of @count bytes, minus @start, are at most @limit. */
VI_TARGET static inline uint64_t candidates(const uint8_t *bytes, unsigned int count, uint8_t start,
					    uint8_t limit)
{
	__mmask64 there = _bzhi_u64(UINT64_MAX, count);
	__m512i some = _mm512_maskz_loadu_epi8(there, bytes);
	__m512i above = _mm512_sub_epi8(some, _mm512_set1_epi8((char)start));

	return _mm512_mask_cmple_epu8_mask(there, above, _mm512_set1_epi8((char)limit));
}

#include "index/vi_list_operations.h"

#endif
