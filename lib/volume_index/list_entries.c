/* SPDX-License-Identifier: BSD-2-Clause */
/* Two sorted runs become one; its coded size follows from what changes around each new entry. */
#include "volume_index/list_entries.h"

uint32_t list_entries_merge(const struct list_shape *shape, const struct list_entries *entries,
			    uint32_t coded_bits, const struct additions *additions,
			    const uint64_t *records, uint64_t low,
			    const struct list_entries *merged)
{
	const struct delta_code *code = &shape->code;
	const uint32_t added = merged->count - entries->count;
	uint32_t *keys = merged->keys, *values = merged->values;
	uint32_t count = 0, at = 0, bits = coded_bits, last = 0;

	for (uint32_t i = 0; i < added; i++) {
		const struct addition addition = additions_read(additions, records[i]);
		const uint32_t key = addition.address;

		for (; at < entries->count && entries->keys[at] < key; at++, count++) {
			keys[count] = last = entries->keys[at];
			values[count] = entries->values[at];
		}
		if ((at < entries->count && entries->keys[at] == key) ||
		    (count > 0 && last == key) || addition.vcn < low)
			return 0;
		bits += (uint32_t)delta_ordinary_bits(code, key - last);
		if (at < entries->count)
			bits += (uint32_t)(delta_ordinary_bits(code, entries->keys[at] - key) -
					   delta_ordinary_bits(code, entries->keys[at] - last));
		if (bits > DELTA_LIST_MAX_BITS)
			return 0;
		keys[count] = last = key;
		values[count++] = (uint32_t)(addition.vcn & shape->chapter_mask);
	}
	memcpy(keys + count, entries->keys + at, (entries->count - at) * sizeof(*keys));
	memcpy(values + count, entries->values + at, (entries->count - at) * sizeof(*values));
	return bits;
}
