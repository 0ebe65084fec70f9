/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Bit fields in byte strings (uds-format, "Conventions"): bit b is bit b % 8 of byte b / 8, and a
 * field is read least significant bit first. And small arithmetic that everything needs.
 */
#ifndef BASE_BITS_H
#define BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many binary digits n has; 1 for 0. */
static inline unsigned int bits_per(uint64_t n)
{
	return n < 2 ? 1 : 64 - (unsigned int)__builtin_clzll(n);
}

static inline uint64_t ceil_div(uint64_t a, uint64_t b)
{
	return a / b + (a % b != 0);
}

/* Up to a multiple of @unit, a power of two. */
static inline uint64_t round_up(uint64_t n, uint64_t unit)
{
	return (n + unit - 1) & ~(unit - 1);
}

static inline bool is_power_of_two(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* A field of @width (0 to 32) bits at bit @at. Touches only the bytes that hold the field. */
static inline uint32_t get_bits(const uint8_t *memory, uint64_t at, unsigned int width)
{
	const uint8_t *p = memory + at / 8;
	unsigned int shift = (unsigned int)(at % 8);
	unsigned int bytes = (shift + width + 7) / 8;
	uint64_t word = 0;

	for (unsigned int i = 0; i < bytes; i++)
		word |= (uint64_t)p[i] << (8 * i);
	return (uint32_t)((word >> shift) & ((UINT64_C(1) << width) - 1));
}

/* Stores the low @width (0 to 32) bits of @value at bit @at and leaves all other bits alone. */
static inline void put_bits(uint8_t *memory, uint64_t at, unsigned int width, uint32_t value)
{
	uint8_t *p = memory + at / 8;
	unsigned int shift = (unsigned int)(at % 8);
	unsigned int bytes = (shift + width + 7) / 8;
	uint64_t mask = ((UINT64_C(1) << width) - 1) << shift;
	uint64_t word = (uint64_t)value << shift;

	for (unsigned int i = 0; i < bytes; i++) {
		uint8_t m = (uint8_t)(mask >> (8 * i));

		p[i] = (uint8_t)((p[i] & ~m) | ((uint8_t)(word >> (8 * i)) & m));
	}
}

#endif
