/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CRC-32 by zlib, and 64 bytes at a time by carry-less multiplication where the processor has it:
 * there it is about six times as fast as zlib, which random queries of stored names would notice.
 */
#include "base/crc32.h"

#include <zlib.h>

static uint32_t add_by_zlib(uint32_t crc, const uint8_t *bytes, size_t length)
{
	return (uint32_t)crc32_z(crc, bytes, length);
}

#ifdef __x86_64__

#include <immintrin.h>

#define CLMUL __attribute__((target("pclmul,sse4.1")))

/*
 * The register is a polynomial over GF(2), lowest bit first. These are x^n modulo the polynomial,
 * one place up, as a carry-less product of two such numbers wants it. To pass over d bits, the
 * halves of 128 bits are multiplied by x^(d + 32) and x^(d - 32).
 */
#define X_544 0x154442bd4
#define X_480 0x1c6e41596
#define X_160 0x1751997d0
#define X_96  0x0ccaa009e

/* What 128 bits come to behind others, so far ahead as @powers says, added to those. */
CLMUL static inline __m128i fold(__m128i bits, __m128i powers, __m128i others)
{
	__m128i low = _mm_clmulepi64_si128(bits, powers, 0x00);
	__m128i high = _mm_clmulepi64_si128(bits, powers, 0x11);

	return _mm_xor_si128(_mm_xor_si128(low, high), others);
}

static inline __m128i load(const uint8_t *bytes)
{
	return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

/*
 * @length: at least 64. zlib does what is left over, and the 16 bytes that all others
 *     were folded into.
 */
CLMUL static uint32_t add_by_products(uint32_t crc, const uint8_t *bytes, size_t length)
{
	const __m128i far = _mm_set_epi64x(X_480, X_544), near = _mm_set_epi64x(X_96, X_160);
	__m128i a = _mm_xor_si128(load(bytes), _mm_cvtsi32_si128((int)~crc)), b = load(bytes + 16);
	__m128i c = load(bytes + 32), d = load(bytes + 48);
	uint8_t folded[16];

	for (bytes += 64, length -= 64; length >= 64; bytes += 64, length -= 64) {
		a = fold(a, far, load(bytes));
		b = fold(b, far, load(bytes + 16));
		c = fold(c, far, load(bytes + 32));
		d = fold(d, far, load(bytes + 48));
	}
	d = fold(fold(fold(a, near, b), near, c), near, d);
	_mm_storeu_si128((__m128i *)(void *)folded, d);
	/* The register begins with 0, which zlib inverts. */
	crc = add_by_zlib(UINT32_MAX, folded, sizeof(folded));
	return add_by_zlib(crc, bytes, length);
}

uint32_t crc32_add(uint32_t crc, const uint8_t *bytes, size_t length)
{
	if (length >= 64 && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"))
		return add_by_products(crc, bytes, length);
	return add_by_zlib(crc, bytes, length);
}

#else

uint32_t crc32_add(uint32_t crc, const uint8_t *bytes, size_t length)
{
	return add_by_zlib(crc, bytes, length);
}

#endif
