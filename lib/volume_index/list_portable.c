/* SPDX-License-Identifier: BSD-2-Clause */
/* The list operations for any processor. */
#include "volume_index/list.h"

#define LIST_TARGET
#define LIST_LANE	8
#define LIST_HAVE_BMI2	0
#define LIST_OPERATIONS list_operations_portable
#define LIST_FORM_NAME	"portable"
#define LIST_CANDIDATES candidates
#define LIST_LEAST	least

/* Which of @count bytes, minus @start, are at most @limit. */
static inline uint64_t candidates(const uint8_t *bytes, unsigned int count, uint8_t start,
				  uint8_t limit)
{
	uint64_t found = 0;

	for (unsigned int i = 0; i < count; i++)
		found |= (uint64_t)((uint8_t)(bytes[i] - start) <= limit) << i;
	return found;
}

/* The least of @count bytes, minus @start. */
static inline uint8_t least(const uint8_t *bytes, unsigned int count, uint8_t start)
{
	uint8_t best = UINT8_MAX;

	for (unsigned int i = 0; i < count; i++) {
		const uint8_t above = (uint8_t)(bytes[i] - start);

		best = above < best ? above : best;
	}
	return best;
}

#include "volume_index/list_operations.h"
