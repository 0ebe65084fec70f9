/* SPDX-License-Identifier: BSD-2-Clause */
/* The choice among the forms of the list operations: by what the processor can run. */
#include "base/lanes.h"
#include "volume_index/list.h"

const struct list_operations *list_operations_get(unsigned int number, bool *ret_usable)
{
	*ret_usable = true;
	switch (number) {
	case 0:
		return &list_operations_portable;
#ifdef __x86_64__
	case 1:
		*ret_usable = lanes_usable();
		return &list_operations_avx2;
#endif
	default:
		return NULL;
	}
}

const struct list_operations *list_operations_choose(void)
{
	const struct list_operations *best = &list_operations_portable;
	const struct list_operations *next;
	bool usable;

	/* Sorted from slow to fast: the last one that the processor can run. */
	for (unsigned int i = 1; (next = list_operations_get(i, &usable)) != NULL; i++) {
		if (usable)
			best = next;
	}
	return best;
}
