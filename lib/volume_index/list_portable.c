/* SPDX-License-Identifier: BSD-2-Clause */
/* The list operations for any processor. */
#include "volume_index/list.h"

#define LIST_TARGET
#define LIST_LANE	8
#define LIST_HAVE_BMI2	0
#define LIST_OPERATIONS list_operations_portable
#define LIST_FORM_NAME	"portable"
#define LIST_CANDIDATES candidates

/* Which of @count bytes, minus @start, are at most @limit. */
static inline uint64_t candidates(const uint8_t *bytes, unsigned int count, uint8_t start,
				  uint8_t limit)
{
	uint64_t found = 0;

	for (unsigned int i = 0; i < count; i++)
		found |= (uint64_t)((uint8_t)(bytes[i] - start) <= limit) << i;
	return found;
}

#include "volume_index/list_operations.h"
