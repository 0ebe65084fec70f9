/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbers of bytes as people write them: 4096, 0x1000, 4K, 4KiB. URIs and the command line take the
 * same, by this one function; the command, which links public names only, includes it as well.
 */
#ifndef BASE_BYTE_COUNT_H
#define BASE_BYTE_COUNT_H

#include <stdbool.h>
#include <stdint.h>

/* The value of a digit, or 16 or more. */
static inline unsigned int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	c = (char)(c | 32);
	return c >= 'a' && c <= 'f' ? (unsigned int)(c - 'a') + 10 : 16;
}

/* Whole numbers from @text on, decimal or hexadecimal after 0x. NULL for none, or one too large. */
static inline const char *read_number(const char *text, uint64_t *ret_number)
{
	unsigned int base = text[0] == '0' && (text[1] | 32) == 'x' ? 16 : 10;
	const char *at = base == 16 ? text + 2 : text;
	uint64_t n = 0;

	if (digit_value(*at) >= base)
		return NULL;
	for (; digit_value(*at) < base; at++) {
		if (__builtin_mul_overflow(n, base, &n) ||
		    __builtin_add_overflow(n, digit_value(*at), &n))
			return NULL;
	}
	*ret_number = n;
	return at;
}

/* How far K, M, G or T shifts; 0 for anything else. */
static inline unsigned int suffix_shift(char c)
{
	switch (c | 32) {
	case 'k':
		return 10;
	case 'm':
		return 20;
	case 'g':
		return 30;
	case 't':
		return 40;
	default:
		return 0;
	}
}

/*
 * A number and nothing else, but for one suffix: K, M, G or T in either case, or KiB, MiB, GiB or
 * TiB; powers of 1024. False for anything else, also for more bytes than 64 bits hold.
 */
static inline bool parse_byte_count(const char *text, uint64_t *ret_bytes)
{
	uint64_t n;
	const char *at = read_number(text, &n);
	unsigned int shift;

	if (at == NULL)
		return false;
	shift = suffix_shift(*at);
	if (shift > 0)
		at++;
	if (shift > 0 && at[0] == 'i' && at[1] == 'B')
		at += 2;
	if (*at != '\0' || n > UINT64_MAX >> shift)
		return false;
	*ret_bytes = n << shift;
	return true;
}

#endif
