/* SPDX-License-Identifier: BSD-2-Clause */
/* The list operations for any processor. */
#include "index/vi_list.h"

#define VI_TARGET
#define VI_LANE	      8
#define VI_HAVE_BMI2  0
#define VI_OPERATIONS vi_operations_portable
#define VI_NAME	      "portable"
#define VI_CANDIDATES candidates

/* Which of @count bytes, minus @start, are at most @limit. */
static inline uint64_t candidates(const uint8_t *bytes, unsigned int count, uint8_t start,
				  uint8_t limit)
{
	uint64_t found = 0;

	for (unsigned int i = 0; i < count; i++)
		found |= (uint64_t)((uint8_t)(bytes[i] - start) <= limit) << i;
	return found;
}

#include "index/vi_list_operations.h"
