/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * CRC-32: eight bytes at a time by tables, or 64 by carry-less multiplication where the processor has it.
 *
 * The register is a polynomial over GF(2), lowest bit first. What a byte does to it is linear, so each table
 * is made of eight numbers: what single bits of the byte come to.
 */
#include "base/crc32.h"

#include "base/bytes.h"

#define BIT(n, i, value) ((n) >> (i)&1 ? UINT32_C(value) : 0)
#define ENTRY(n, a, b, c, d, e, f, g, h)                                                           \
	(BIT(n, 0, a) ^ BIT(n, 1, b) ^ BIT(n, 2, c) ^ BIT(n, 3, d) ^ BIT(n, 4, e) ^ BIT(n, 5, f) ^ \
	 BIT(n, 6, g) ^ BIT(n, 7, h))
#define ENTRIES_4(n, ...)                                                                \
	ENTRY(n, __VA_ARGS__), ENTRY((n) + 1, __VA_ARGS__), ENTRY((n) + 2, __VA_ARGS__), \
		ENTRY((n) + 3, __VA_ARGS__)
#define ENTRIES_16(n, ...)                                          \
	ENTRIES_4(n, __VA_ARGS__), ENTRIES_4((n) + 4, __VA_ARGS__), \
		ENTRIES_4((n) + 8, __VA_ARGS__), ENTRIES_4((n) + 12, __VA_ARGS__)
#define ENTRIES_64(n, ...)                                             \
	ENTRIES_16(n, __VA_ARGS__), ENTRIES_16((n) + 16, __VA_ARGS__), \
		ENTRIES_16((n) + 32, __VA_ARGS__), ENTRIES_16((n) + 48, __VA_ARGS__)
#define TABLE(...)                                                                 \
	{                                                                          \
		ENTRIES_64(0, __VA_ARGS__), ENTRIES_64(64, __VA_ARGS__),           \
			ENTRIES_64(128, __VA_ARGS__), ENTRIES_64(192, __VA_ARGS__) \
	}

/* tables[k][n]: what byte n comes to when k bytes follow it. */
static const uint32_t tables[8][256] = {
	TABLE(0x77073096, 0xee0e612c, 0x076dc419, 0x0edb8832, 0x1db71064, 0x3b6e20c8, 0x76dc4190,
	      0xedb88320),
	TABLE(0x191b3141, 0x32366282, 0x646cc504, 0xc8d98a08, 0x4ac21251, 0x958424a2, 0xf0794f05,
	      0x3b83984b),
	TABLE(0x01c26a37, 0x0384d46e, 0x0709a8dc, 0x0e1351b8, 0x1c26a370, 0x384d46e0, 0x709a8dc0,
	      0xe1351b80),
	TABLE(0xb8bc6765, 0xaa09c88b, 0x8f629757, 0xc5b428ef, 0x5019579f, 0xa032af3e, 0x9b14583d,
	      0xed59b63b),
	TABLE(0x3d6029b0, 0x7ac05360, 0xf580a6c0, 0x30704bc1, 0x60e09782, 0xc1c12f04, 0x58f35849,
	      0xb1e6b092),
	TABLE(0xcb5cd3a5, 0x4dc8a10b, 0x9b914216, 0xec53826d, 0x03d6029b, 0x07ac0536, 0x0f580a6c,
	      0x1eb014d8),
	TABLE(0xa6770bb4, 0x979f1129, 0xf44f2413, 0x33ef4e67, 0x67de9cce, 0xcfbd399c, 0x440b7579,
	      0x8816eaf2),
	TABLE(0xccaa009e, 0x4225077d, 0x844a0efa, 0xd3e51bb5, 0x7cbb312b, 0xf9766256, 0x299dc2ed,
	      0x533b85da),
};

static uint32_t add_by_tables(uint32_t reg, const uint8_t *bytes, size_t length)
{
	for (; length >= 8; bytes += 8, length -= 8) {
		uint32_t low = get_le32(bytes) ^ reg, high = get_le32(bytes + 4);

		reg = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^
		      tables[5][low >> 16 & 0xff] ^ tables[4][low >> 24] ^ tables[3][high & 0xff] ^
		      tables[2][high >> 8 & 0xff] ^ tables[1][high >> 16 & 0xff] ^
		      tables[0][high >> 24];
	}
	for (; length > 0; bytes++, length--)
		reg = reg >> 8 ^ tables[0][(reg ^ *bytes) & 0xff];
	return reg;
}

uint32_t crc32_add_portable(uint32_t crc, const uint8_t *bytes, size_t length)
{
	return ~add_by_tables(~crc, bytes, length);
}

#ifdef __x86_64__

#include <immintrin.h>

#define CLMUL __attribute__((target("pclmul,sse4.1")))

/*
 * x^n modulo the polynomial, lowest bit first and one place up, as a carry-less product of two such numbers
 * wants it. To pass over d bits, the halves of 128 bits are multiplied by x^(d + 32) and x^(d - 32).
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

/* @length: at least 64. What is left over, and the last 16 bytes that all others were folded into, tables do. */
CLMUL static uint32_t add_by_products(uint32_t reg, const uint8_t *bytes, size_t length)
{
	const __m128i far = _mm_set_epi64x(X_480, X_544), near = _mm_set_epi64x(X_96, X_160);
	__m128i a = _mm_xor_si128(load(bytes), _mm_cvtsi32_si128((int)reg)), b = load(bytes + 16);
	__m128i c = load(bytes + 32), d = load(bytes + 48);
	uint8_t folded[16];

	for (bytes += 64, length -= 64; length >= 64; bytes += 64, length -= 64) {
		a = fold(a, far, load(bytes));
		b = fold(b, far, load(bytes + 16));
		c = fold(c, far, load(bytes + 32));
		d = fold(d, far, load(bytes + 48));
	}
	d = fold(fold(fold(a, near, b), near, c), near, d);
	for (; length >= 16; bytes += 16, length -= 16)
		d = fold(d, near, load(bytes));
	_mm_storeu_si128((__m128i *)(void *)folded, d);
	return add_by_tables(add_by_tables(0, folded, sizeof(folded)), bytes, length);
}

uint32_t crc32_add(uint32_t crc, const uint8_t *bytes, size_t length)
{
	if (length >= 64 && __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1"))
		return ~add_by_products(~crc, bytes, length);
	return crc32_add_portable(crc, bytes, length);
}

#else

uint32_t crc32_add(uint32_t crc, const uint8_t *bytes, size_t length)
{
	return crc32_add_portable(crc, bytes, length);
}

#endif
