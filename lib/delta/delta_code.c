/* SPDX-License-Identifier: BSD-2-Clause */
/* The numbers of a delta code, and the estimates of space that are made with it. */
#include "delta/delta_code.h"

#include <errno.h>

#include "base/bits.h"

/* The fixed part of an index page in bytes, and the width of an entry of its offset table. */
#define PAGE_HEADER_BYTES 20
#define OFFSET_BITS	  19

void delta_code_parameters(uint32_t mean, unsigned int payload_bits, struct delta_code *ret_code)
{
	/*
	 * Rounded ln(2) * mean, with the format's own integers: every implementation has to come to
	 * the same number (5).
	 */
	uint64_t incr_keys = (UINT64_C(836158) * mean + 603160) / 1206321;
	unsigned int min_bits = bits_per(incr_keys + 1);

	ret_code->mean = mean;
	ret_code->incr_keys = (uint32_t)incr_keys;
	ret_code->min_bits = min_bits;
	ret_code->min_keys = (uint32_t)((UINT64_C(1) << min_bits) - incr_keys);
	ret_code->payload_bits = payload_bits;
	ret_code->inverse = (UINT64_C(1) << 32) / incr_keys;
}

int delta_code_make(uint32_t mean, unsigned int payload_bits, struct delta_code *ret_code)
{
	struct delta_code code;

	if (mean == 0 || payload_bits > 32)
		return -EINVAL;
	delta_code_parameters(mean, payload_bits, &code);
	/*
	 * The reference's code for the deltas 0 and 1 is broken for these means (20.2, R2): an
	 * index with one could not be shared with it.
	 */
	if (is_power_of_two((uint64_t)code.incr_keys + 1))
		return -EINVAL;
	*ret_code = code;
	return 0;
}

uint64_t delta_bits(uint64_t entries, uint32_t mean, unsigned int payload_bits)
{
	struct delta_code code;

	delta_code_parameters(mean, payload_bits, &code);
	/* An estimate, but one on which the format's sizes depend bit for bit (4.2). */
	return entries * (payload_bits + code.min_bits + 1) + entries / 2;
}

uint64_t page_count(uint32_t entries, uint32_t lists, uint32_t mean, unsigned int payload_bits,
		    uint32_t page_bytes)
{
	uint64_t need = delta_bits(entries, mean, payload_bits);
	uint64_t per_list = need / lists;
	uint64_t usable = (uint64_t)(page_bytes - PAGE_HEADER_BYTES) * 8 - (OFFSET_BITS + per_list);

	return ceil_div(need + (uint64_t)lists * OFFSET_BITS, usable);
}
