/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Eight lanes of 32 bits: what functions for x86-64 processors with AVX2 (2013 and later) share.
 * There is a portable form of each of them, whose result is the same.
 */
#ifndef BASE_LANES_H
#define BASE_LANES_H

#ifdef __x86_64__

#include <immintrin.h>
#include <stdbool.h>
#include <stdint.h>

/* In front of a function that is called only where lanes_usable(). */
#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))

/* In front of one that needs only the short forms of shifts and counts of zeros. */
#define BMI2 __attribute__((target("bmi,bmi2")))

static inline bool shifts_usable(void)
{
	return __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
}

/* Asked one by one: a hypervisor may hide any of them. */
static inline bool lanes_usable(void)
{
	return __builtin_cpu_supports("avx2") && shifts_usable() &&
	       __builtin_cpu_supports("popcnt");
}

AVX2 static inline __m256i load_lanes(const uint32_t *lanes)
{
	return _mm256_loadu_si256((const __m256i *)(const void *)lanes);
}

AVX2 static inline void store_lanes(uint32_t *lanes, __m256i what)
{
	_mm256_storeu_si256((__m256i *)(void *)lanes, what);
}

#endif

#endif
