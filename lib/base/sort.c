/* SPDX-License-Identifier: BSD-2-Clause */
/* A heap sort: in place, and as fast for crafted input as for any other. */
#include "base/sort.h"

#include <stdint.h>
#include <string.h>

struct heap {
	uint8_t *elements;
	size_t count;
	size_t bytes_each;
	int (*compare)(const void *a, const void *b);
};

static uint8_t *element(const struct heap *heap, size_t i)
{
	return heap->elements + i * heap->bytes_each;
}

static void swap(const struct heap *heap, size_t i, size_t j)
{
	uint8_t *a = element(heap, i), *b = element(heap, j);
	/* In pieces of a fixed size: elements may have any, and the sort takes no memory. */
	uint8_t part[64];

	for (size_t left = heap->bytes_each; left > 0;) {
		size_t n = left < sizeof(part) ? left : sizeof(part);

		memcpy(part, a, n);
		memcpy(a, b, n);
		memcpy(b, part, n);
		a += n;
		b += n;
		left -= n;
	}
}

/* The larger of the two elements below @i, of which there is at least one. */
static size_t larger_child(const struct heap *heap, size_t i)
{
	size_t child = 2 * i + 1;

	if (child + 1 < heap->count &&
	    heap->compare(element(heap, child), element(heap, child + 1)) < 0)
		child++;
	return child;
}

/* Moves element @i down until none below it is larger. */
static void sift_down(const struct heap *heap, size_t i)
{
	/* Only these have a child. */
	while (i < heap->count / 2) {
		size_t child = larger_child(heap, i);

		if (heap->compare(element(heap, i), element(heap, child)) >= 0)
			return;
		swap(heap, i, child);
		i = child;
	}
}

void sort_elements(void *elements, size_t count, size_t bytes_each,
		   int (*compare)(const void *a, const void *b))
{
	struct heap heap = { elements, count, bytes_each, compare };

	for (size_t i = count / 2; i-- > 0;)
		sift_down(&heap, i);
	/* The largest goes behind the heap, which shrinks by one. */
	while (heap.count > 1) {
		swap(&heap, 0, --heap.count);
		sift_down(&heap, 0);
	}
}
