/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Record pages: sorting and laying out, searching, checking.
 *
 * Names are usually random, so the sort first distributes them into buckets by their leading bits,
 * then sorts each bucket by comparing. So biased names still sort correctly, at a bounded cost.
 */
#include "chapter/record_page.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/env.h"

/* The low bits of a sort key number the record; those above are the leading bits of its name. */
#define NUMBER_BITS 11
#define NUMBER_MASK ((UINT64_C(1) << NUMBER_BITS) - 1)

/* Insertion sort is fastest up to this size. */
#define SMALL_RUN 24u

struct record_page_encoder {
	struct uds_env env;
	uint32_t count;
	unsigned int bucket_shift; /* of a key to its bucket number */
	uint32_t bucket_count;
	/* in heap order, of the n-th record in sorted order */
	uint16_t place[RECORD_PAGE_MAXIMUM_RECORDS];
	uint16_t ends[RECORD_PAGE_MAXIMUM_RECORDS]; /* of the buckets */
	uint64_t keys[RECORD_PAGE_MAXIMUM_RECORDS];
	uint64_t sorted[RECORD_PAGE_MAXIMUM_RECORDS];
	struct record_page_layout layout;
};

/* Walks the tree in order; the depth is at most 11. */
static uint32_t number_places(struct record_page_encoder *encoder, uint32_t node, uint32_t next)
{
	if (node >= encoder->count)
		return next;
	/*
	 * In order: left, node, right. The n-th node that is met is where the n-th record belongs
	 * (9).
	 */
	next = number_places(encoder, 2 * node + 1, next);
	encoder->place[next] = (uint16_t)node;
	return number_places(encoder, 2 * node + 2, next + 1);
}

int record_page_encoder_make(const struct uds_env *env, uint32_t records_per_page,
			     struct record_page_encoder **ret_encoder)
{
	struct record_page_encoder *encoder;
	unsigned int bucket_bits;

	if (records_per_page < 1 || records_per_page > RECORD_PAGE_MAXIMUM_RECORDS)
		return -EINVAL;
	encoder = env_allocate(env, 1, sizeof(*encoder));
	if (encoder == NULL)
		return -ENOMEM;
	encoder->env = *env;
	encoder->count = records_per_page;
	/* About one record to a bucket, if names are random. */
	bucket_bits = bits_per(records_per_page - 1);
	encoder->bucket_shift = 64 - bucket_bits;
	encoder->bucket_count = UINT32_C(1) << bucket_bits;
	number_places(encoder, 0, 0);
	*ret_encoder = encoder;
	return 0;
}

void record_page_encoder_free(struct record_page_encoder *encoder)
{
	struct uds_env env;

	if (encoder == NULL)
		return;
	env = encoder->env;
	env_release(&env, encoder);
}

struct record_page_layout *record_page_encoder_layout(struct record_page_encoder *encoder)
{
	return &encoder->layout;
}

static inline bool is_less(const struct uds_record *const *records, uint64_t a, uint64_t b)
{
	/*
	 * Only the leading bits of the name are in the key: where they are equal the whole names
	 * decide.
	 */
	if ((a & ~NUMBER_MASK) != (b & ~NUMBER_MASK))
		return a < b;
	return memcmp(records[a & NUMBER_MASK]->name.bytes, records[b & NUMBER_MASK]->name.bytes,
		      UDS_NAME_BYTES) < 0;
}

static void sort_small(const struct uds_record *const *records, uint64_t *keys, uint32_t count)
{
	for (uint32_t i = 1; i < count; i++) {
		uint64_t key = keys[i];
		uint32_t j = i;

		for (; j > 0 && is_less(records, key, keys[j - 1]); j--)
			keys[j] = keys[j - 1];
		keys[j] = key;
	}
}

static void sift_down(const struct uds_record *const *records, uint64_t *keys, uint32_t at,
		      uint32_t count)
{
	uint64_t key = keys[at];

	for (;;) {
		uint32_t child = 2 * at + 1;

		if (child >= count)
			break;
		if (child + 1 < count && is_less(records, keys[child], keys[child + 1]))
			child++;
		if (!is_less(records, key, keys[child]))
			break;
		keys[at] = keys[child];
		at = child;
	}
	keys[at] = key;
}

/* For biased names: a heap sort, whose worst case is bounded. */
static void sort_large(const struct uds_record *const *records, uint64_t *keys, uint32_t count)
{
	for (uint32_t i = count / 2; i-- > 0;)
		sift_down(records, keys, i, count);
	for (uint32_t n = count - 1; n > 0; n--) {
		uint64_t last = keys[n];

		keys[n] = keys[0];
		keys[0] = last;
		sift_down(records, keys, 0, n);
	}
}

static void sort_records(struct record_page_encoder *encoder,
			 const struct uds_record *const *records)
{
	const uint32_t count = encoder->count;
	const unsigned int shift = encoder->bucket_shift;
	uint16_t *ends = encoder->ends;
	uint32_t start = 0;

	memset(ends, 0, encoder->bucket_count * sizeof(ends[0]));
	for (uint32_t i = 0; i < count; i++) {
		/*
		 * The record's number takes the place of the lowest bits, which rarely matter for
		 * the order.
		 */
		uint64_t key = (get_be64(records[i]->name.bytes) & ~NUMBER_MASK) | i;

		encoder->keys[i] = key;
		ends[key >> shift]++;
	}
	for (uint32_t b = 0; b < encoder->bucket_count; b++) {
		uint32_t size = ends[b];

		ends[b] = (uint16_t)start;
		start += size;
	}
	for (uint32_t i = 0; i < count; i++) {
		uint64_t key = encoder->keys[i];

		encoder->sorted[ends[key >> shift]++] = key;
	}
	start = 0;
	for (uint32_t b = 0; b < encoder->bucket_count; b++) {
		uint32_t size = ends[b] - start;

		/*
		 * Random names hardly get here; made-up ones must not cost the square of their
		 * number.
		 */
		if (size > SMALL_RUN)
			sort_large(records, encoder->sorted + start, size);
		else if (size > 1)
			sort_small(records, encoder->sorted + start, size);
		start = ends[b];
	}
}

void record_page_encode(struct record_page_encoder *encoder,
			const struct uds_record *const *records, uint8_t *page)
{
	sort_records(encoder, records);
	for (uint32_t i = 0; i < encoder->count; i++)
		memcpy(page + (size_t)encoder->place[i] * UDS_RECORD_BYTES,
		       records[encoder->sorted[i] & NUMBER_MASK], UDS_RECORD_BYTES);
}

bool record_page_search(const uint8_t *page, uint32_t records_per_page,
			const struct uds_record_name *name, struct uds_record_data *ret_data)
{
	const uint64_t prefix = get_be64(name->bytes);
	uint32_t node = 0;

	while (node < records_per_page) {
		const uint8_t *record = page + (size_t)node * UDS_RECORD_BYTES;
		uint64_t own = get_be64(record);
		/* Big-endian words compare as the bytes do: one comparison for most nodes. */
		int order = prefix < own ? -1 : prefix > own;

		if (order == 0)
			order = memcmp(name->bytes + 8, record + 8, UDS_NAME_BYTES - 8);
		if (order == 0) {
			memcpy(ret_data->bytes, record + UDS_NAME_BYTES, UDS_DATA_BYTES);
			return true;
		}
		node = 2 * node + (order < 0 ? 1 : 2);
	}
	return false;
}

static uint32_t leftmost(uint32_t node, uint32_t count)
{
	while (2 * node + 1 < count)
		node = 2 * node + 1;
	return node;
}

/* The node after @node in order; @count or more behind the last. */
static uint32_t next_in_order(uint32_t node, uint32_t count)
{
	if (2 * node + 2 < count)
		return leftmost(2 * node + 2, count);
	while (node > 0 && node % 2 == 0)
		node = (node - 2) / 2; /* up from a right child */
	return node == 0 ? count : (node - 1) / 2;
}

uint32_t record_page_previous(uint32_t node, uint32_t records_per_page)
{
	if (2 * node + 1 < records_per_page) {
		node = 2 * node + 1;
		while (2 * node + 2 < records_per_page)
			node = 2 * node + 2;
		return node;
	}
	while (node % 2 == 1)
		node = (node - 1) / 2; /* up from a left child */
	return (node - 2) / 2;
}

bool record_page_check(const uint8_t *page, uint32_t records_per_page, uint32_t *ret_bad_record)
{
	/*
	 * In order through the tree: each record is compared with its neighbour only, and all
	 * together are then sorted.
	 */
	uint32_t node = leftmost(0, records_per_page);

	for (;;) {
		uint32_t next = next_in_order(node, records_per_page);
		const uint8_t *a, *b;
		int order;

		if (next >= records_per_page)
			return true;
		a = page + (size_t)node * UDS_RECORD_BYTES;
		b = page + (size_t)next * UDS_RECORD_BYTES;
		order = memcmp(a, b, UDS_NAME_BYTES);
		/*
		 * Equal names are right only for copies of the fill record, which are equal in all
		 * bytes (10.4).
		 */
		if (order > 0 || (order == 0 && memcmp(a, b, UDS_RECORD_BYTES) != 0)) {
			*ret_bad_record = next;
			return false;
		}
		node = next;
	}
}
