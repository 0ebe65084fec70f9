/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The entries of a list as a whole: what the fast form writes is what the portable one writes and
 * reads, for every width of the fields, and nothing around it changes.
 */
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "base/bits.h"
#include "vector_file.h"
#include "volume_index/list_planes.h"

#define MOST 700u

/* A block as in a pool: memory in front of it belongs to another list, and some behind it. */
struct block {
	uint8_t *memory;
	size_t bytes;
	struct list_view view;
};

struct entries {
	uint32_t count;
	uint32_t keys[MOST + LIST_SPARE_ENTRIES], values[MOST + LIST_SPARE_ENTRIES];
};

static void make_shape(struct list_shape *shape, unsigned int bucket_bits, unsigned int low_bits,
		       unsigned int chapter_bits)
{
	memset(shape, 0, sizeof(*shape));
	shape->buckets = UINT32_C(1) << bucket_bits;
	shape->low_bits = low_bits;
	shape->low_mask = (UINT32_C(1) << low_bits) - 1;
	shape->chapter_low_bits = chapter_bits > 8 ? chapter_bits - 8 : 0;
	shape->chapter_low_mask = (UINT32_C(1) << shape->chapter_low_bits) - 1;
	shape->rest_bits = low_bits + shape->chapter_low_bits;
	if (shape->rest_bits == 0)
		shape->rest_bits = 1;
	shape->rest_mask = (UINT64_C(1) << shape->rest_bits) - 1;
	shape->chapter_mask = (UINT64_C(1) << chapter_bits) - 1;
}

/* With @unused bytes in the middle, and names in the end. */
static void make_block(struct block *block, const struct list_shape *shape, uint32_t count,
		       uint32_t unused, uint32_t names)
{
	struct list_view *view = &block->view;

	block->bytes = list_bytes(shape, count, names) + unused;
	/* So much may be read behind it, and no more. */
	block->memory = malloc(block->bytes + POOL_PAD);
	ck_assert_ptr_nonnull(block->memory);
	memset(block->memory, 0xa5, block->bytes + POOL_PAD);
	view->entries = count;
	view->collisions = names;
	view->upper = block->memory + POOL_BLOCK_HEAD;
	view->upper_bytes = list_upper_bytes(shape, count);
	view->rest = view->upper + view->upper_bytes;
	view->names = block->memory + block->bytes - LIST_NAME_BYTES * names;
	view->chapters = view->names;
}

static int compare(const void *a, const void *b)
{
	const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Keys spread evenly, or with long gaps and many in one bucket; some of them are there twice. */
static void fill(struct entries *entries, const struct list_shape *shape, uint32_t count,
		 uint64_t seed)
{
	const uint64_t keys = (uint64_t)shape->buckets << shape->low_bits;

	entries->count = count;
	for (uint32_t i = 0; i < count; i++) {
		const uint64_t r = splitmix(seed, i);
		uint64_t key = (r >> 8) % keys;

		if (seed % 3 == 1 && i % 8 < 7)
			key = key % 64 * (keys / 64);
		if (seed % 3 == 2)
			key = i % 2 == 0 ? keys - 1 - key % (keys / 16 + 1) : key % (keys / 16 + 1);
		entries->keys[i] = (uint32_t)key;
		entries->values[i] = (uint32_t)(splitmix(~seed, i) & shape->chapter_mask);
	}
	qsort(entries->keys, count, sizeof(entries->keys[0]), compare);
}

static void check_same(const struct list_shape *shape, const struct block *a, const struct block *b)
{
	const struct list_view *view = &a->view;
	const size_t rest_bits = (size_t)view->entries * shape->rest_bits;
	const size_t chapters = (size_t)(view->chapters - a->memory) - view->entries;

	/* The owner, the unary part, and the rest. */
	ck_assert_mem_eq(a->memory, b->memory, (size_t)(view->rest - a->memory) + rest_bits / 8);
	ck_assert_uint_eq(get_bits(view->rest, rest_bits / 8 * 8, rest_bits % 8),
			  get_bits(b->view.rest, rest_bits / 8 * 8, rest_bits % 8));
	/* The chapters, the names, and what is behind the block. */
	ck_assert_mem_eq(a->memory + chapters, b->memory + chapters,
			 a->bytes + POOL_PAD - chapters);
}

static void check_read(const struct list_shape *shape, const struct block *block,
		       const struct entries *entries)
{
	static struct entries got;
	const size_t bytes = entries->count * sizeof(got.keys[0]);

	memset(&got, 0xee, sizeof(got));
	list_planes_read(shape, &block->view, got.keys, got.values);
	ck_assert_mem_eq(got.keys, entries->keys, bytes);
	ck_assert_mem_eq(got.values, entries->values, bytes);
	if (entries->count + LIST_SPARE_ENTRIES < MOST) {
		ck_assert_uint_eq(got.keys[entries->count + LIST_SPARE_ENTRIES], 0xeeeeeeee);
		ck_assert_uint_eq(got.values[entries->count + LIST_SPARE_ENTRIES], 0xeeeeeeee);
	}
	memset(&got, 0xee, sizeof(got));
	list_planes_read_portably(shape, &block->view, got.keys, got.values);
	ck_assert_mem_eq(got.keys, entries->keys, bytes);
	ck_assert_mem_eq(got.values, entries->values, bytes);
}

static void check_list(const struct list_shape *shape, uint32_t count, uint64_t seed)
{
	static struct entries entries;
	const uint32_t unused = seed % 4 == 0 ? (uint32_t)(seed >> 8) % 40 : 0;
	const uint32_t names = seed % 5 == 0 && count > 1 ? 1 : 0;
	struct block fast, portable;

	fill(&entries, shape, count, seed);
	make_block(&fast, shape, count, unused, names);
	make_block(&portable, shape, count, unused, names);
	list_planes_write(shape, &fast.view, entries.keys, entries.values);
	list_planes_write_portably(shape, &portable.view, entries.keys, entries.values);
	check_same(shape, &fast, &portable);
	check_read(shape, &fast, &entries);
	free(fast.memory);
	free(portable.memory);
}

START_TEST(both_forms_are_the_same_for_all_counts)
{
	struct list_shape shape;

	/* As of the usual sizes. */
	make_shape(&shape, 8, 12, 10);
	for (uint32_t count = 1; count <= MOST; count++)
		check_list(&shape, count, splitmix(1, count));
}
END_TEST

START_TEST(both_forms_are_the_same_for_all_widths)
{
	static const uint32_t counts[] = { 1, 2, 7, 8, 9, 15, 16, 17, 63, 64, 65, 100, 255, 256 };
	struct list_shape shape;
	uint64_t seed = 0;

	for (unsigned int low_bits = 0; low_bits <= 22; low_bits++) {
		for (unsigned int chapter_bits = 1; chapter_bits <= 16; chapter_bits++) {
			for (unsigned int i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
				make_shape(&shape, (low_bits * 7 + chapter_bits + i) % 10, low_bits,
					   chapter_bits);
				check_list(&shape, counts[i], splitmix(2, seed++));
			}
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("list_planes");
	TCase *tc = tcase_create("list_planes");

	tcase_add_test(tc, both_forms_are_the_same_for_all_counts);
	tcase_add_test(tc, both_forms_are_the_same_for_all_widths);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
