/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The delta code: its numbers, whole lists written and read, damaged lists; against recorded lists.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "base/bytes.h"
#include "delta/delta_code.h"
#include "vector_file.h"

/* A list as a sorted array, with the format's rules for changing it (uds-format, 5). */
struct model {
	struct delta_code code;
	struct delta_entry entries[8192];
	size_t count;
};

static uint64_t model_bits(const struct model *m)
{
	uint64_t bits = 0;
	uint32_t key = 0;

	for (size_t i = 0; i < m->count; i++) {
		if (m->entries[i].collision)
			bits += delta_collision_bits(&m->code);
		else
			bits += delta_ordinary_bits(&m->code, m->entries[i].key - key);
		key = m->entries[i].key;
	}
	return bits;
}

static int model_insert(struct model *m, uint32_t key, uint32_t value, const uint8_t *name)
{
	size_t at = 0;

	while (at < m->count && (m->entries[at].key < key))
		at++;
	if (name != NULL)
		at++; /* directly behind the ordinary entry */
	memmove(m->entries + at + 1, m->entries + at, (m->count - at) * sizeof(m->entries[0]));
	m->count++;
	m->entries[at] =
		(struct delta_entry){ .key = key, .value = value, .collision = name != NULL };
	if (name != NULL)
		memcpy(m->entries[at].name, name, 16);
	if (model_bits(m) > DELTA_LIST_MAX_BITS) {
		m->count--;
		memmove(m->entries + at, m->entries + at + 1,
			(m->count - at) * sizeof(m->entries[0]));
		return UDS_ERR_OVERFLOW;
	}
	return 0;
}

static void model_remove(struct model *m, uint32_t key)
{
	size_t at = 0;

	while (at < m->count && m->entries[at].key < key)
		at++;
	if (at == m->count)
		return;
	m->count--;
	memmove(m->entries + at, m->entries + at + 1, (m->count - at) * sizeof(m->entries[0]));
	if (at < m->count && m->entries[at].collision)
		m->entries[at].collision = false;
}

/* Writes the model's list at bit @at; returns its size. */
static uint32_t write_model(const struct model *m, uint8_t *memory, uint64_t at)
{
	struct delta_writer writer;

	delta_writer_start(&writer, &m->code, memory, at, DELTA_LIST_MAX_BITS);
	for (size_t i = 0; i < m->count; i++) {
		const struct delta_entry *e = &m->entries[i];

		ck_assert_int_eq(delta_writer_append(&writer, e->key, e->value,
						     e->collision ? e->name : NULL),
				 0);
	}
	return delta_writer_finish(&writer);
}

/* What the entries [@first, ...) with one key have for a name. */
static uint32_t value_of(const struct model *m, size_t first, const uint8_t *name)
{
	for (size_t i = first + 1; i < m->count && m->entries[i].collision; i++) {
		if (memcmp(m->entries[i].name, name, 16) == 0)
			return m->entries[i].value;
	}
	return m->entries[first].value;
}

/* Some of the names, and keys that are not there. */
static void check_searches(const struct model *m, const uint8_t *memory, uint64_t at, uint64_t bits)
{
	static const uint8_t other[16] = { 0 };
	const size_t step = m->count / 40 + 1;
	uint32_t value;

	for (size_t i = 0, first = 0; i < m->count; i++) {
		const struct delta_entry *e = &m->entries[i];
		const uint8_t *name = e->collision ? e->name : other;
		const uint32_t key = e->key;

		first = e->collision ? first : i;
		/* The last ones, too: they are near the end of the list. */
		if (i % step > 0 && i + 8 < m->count && !e->collision)
			continue;
		ck_assert_int_eq(delta_list_search(&m->code, memory, at, bits, key, name, &value),
				 1);
		ck_assert_uint_eq(value, value_of(m, first, name));
		ck_assert_int_eq(
			delta_list_search_portably(&m->code, memory, at, bits, key, name, &value),
			1);
		ck_assert_uint_eq(value, value_of(m, first, name));
		if (first == 0 || m->entries[first - 1].key == key - 1)
			continue;
		ck_assert_int_eq(
			delta_list_search(&m->code, memory, at, bits, key - 1, name, &value), 0);
		ck_assert_int_eq(delta_list_search_portably(&m->code, memory, at, bits, key - 1,
							    name, &value),
				 0);
	}
}

static void check_decodes_to_model(const struct model *m, const uint8_t *memory, uint64_t at,
				   uint64_t bits)
{
	struct delta_reader reader;
	struct delta_entry e;

	delta_reader_start(&reader, &m->code, memory, at, bits);
	for (size_t i = 0; i < m->count; i++) {
		ck_assert_int_eq(delta_reader_next(&reader, &e), 1);
		ck_assert_uint_eq(e.key, m->entries[i].key);
		ck_assert_uint_eq(e.value, m->entries[i].value);
		ck_assert_uint_eq(e.collision, m->entries[i].collision);
		if (e.collision)
			ck_assert_mem_eq(e.name, m->entries[i].name, 16);
	}
	ck_assert_int_eq(delta_reader_next(&reader, &e), 0);
	check_searches(m, memory, at, bits);
}

static bool has_collisions(const struct model *m)
{
	for (size_t i = 0; i < m->count; i++) {
		if (m->entries[i].collision)
			return true;
	}
	return false;
}

/* Many entries at a time, @most of them: as one by one. */
static void check_taken_by(uint32_t (*take)(struct delta_reader *, uint32_t *, uint32_t *,
					    uint32_t),
			   const struct model *m, const uint8_t *memory, uint64_t at, uint64_t bits,
			   uint32_t most)
{
	static uint32_t keys[8193], values[8193];
	struct delta_reader reader;
	struct delta_entry e;
	uint32_t taken = 0, n;
	size_t i = 0;

	delta_reader_start(&reader, &m->code, memory, at, bits);
	while (i < m->count) {
		keys[most] = values[most] = 0xeeeeeeee;
		n = take(&reader, keys, values, most);
		ck_assert_uint_le(n, most);
		ck_assert_uint_eq(keys[most], 0xeeeeeeee);
		ck_assert_uint_eq(values[most], 0xeeeeeeee);
		for (uint32_t k = 0; k < n; k++, i++) {
			ck_assert(!m->entries[i].collision);
			ck_assert_uint_eq(keys[k], m->entries[i].key);
			ck_assert_uint_eq(values[k], m->entries[i].value);
		}
		taken += n;
		if (n == most)
			continue;
		ck_assert_int_eq(delta_reader_next(&reader, &e), i < m->count);
		if (i < m->count)
			ck_assert_uint_eq(e.key, m->entries[i++].key);
	}
	if (!has_collisions(m))
		ck_assert_uint_eq(taken, m->count);
	ck_assert_uint_eq(take(&reader, keys, values, most), 0);
}

static void check_taken_at_once(const struct model *m, const uint8_t *memory, uint64_t at,
				uint64_t bits, uint32_t most)
{
	check_taken_by(delta_reader_take, m, memory, at, bits, most);
	check_taken_by(delta_reader_take_portably, m, memory, at, bits, most);
}

typedef void append_many_fn(struct delta_writer *writer, const uint32_t *keys,
			    const uint32_t *values, uint32_t count);

/* A list without collision entries, in two pieces: the same bytes as one by one. */
static void check_written_by(append_many_fn *append_many, const struct model *m,
			     const uint8_t *memory, uint64_t at, uint64_t bits)
{
	static uint8_t got[8200 + 16];
	static uint32_t keys[8192], values[8192];
	const uint32_t count = (uint32_t)m->count, half = count / 2;
	struct delta_writer writer;

	for (uint32_t i = 0; i < count; i++) {
		keys[i] = m->entries[i].key;
		values[i] = m->entries[i].value;
	}
	memset(got, 0, sizeof(got));
	memcpy(got, memory, at / 8 + 1);
	delta_writer_start(&writer, &m->code, got, at, DELTA_LIST_MAX_BITS);
	append_many(&writer, keys, values, half);
	append_many(&writer, keys + half, values + half, count - half);
	ck_assert_uint_eq(delta_writer_finish(&writer), bits);
	ck_assert_mem_eq(got, memory, (at + bits) / 8);
	ck_assert_uint_eq(get_bits(got, (at + bits) / 8 * 8, (at + bits) % 8),
			  get_bits(memory, (at + bits) / 8 * 8, (at + bits) % 8));
}

static void check_written_at_once(const struct model *m, const uint8_t *memory, uint64_t at,
				  uint64_t bits)
{
	check_written_by(delta_writer_append_many, m, memory, at, bits);
	check_written_by(delta_writer_append_many_portably, m, memory, at, bits);
}

static void check_size_at_once(const struct model *m, uint64_t bits)
{
	static uint32_t keys[8192];

	for (size_t i = 0; i < m->count; i++)
		keys[i] = m->entries[i].key;
	ck_assert_uint_eq(delta_entries_bits(&m->code, keys, (uint32_t)m->count), bits);
	ck_assert_uint_eq(delta_entries_bits_portably(&m->code, keys, (uint32_t)m->count), bits);
}

static void check_at_once(const struct model *m, const uint8_t *memory, uint64_t at, uint64_t bits)
{
	static const uint32_t most[] = { 1, 2, 7, 64, 8192 };

	for (unsigned int i = 0; i < sizeof(most) / sizeof(most[0]); i++)
		check_taken_at_once(m, memory, at, bits, most[i]);
	check_searches(m, memory, at, bits);
	if (!has_collisions(m)) {
		check_written_at_once(m, memory, at, bits);
		check_size_at_once(m, bits);
	}
}

START_TEST(many_entries_at_once_are_the_same_bits)
{
	/* Codes with short and long entries, beyond what fits into a word, too. */
	static const uint32_t means[] = { 1, 2, 5, 100, 4096, 1 << 20, 3000000000u, UINT32_MAX };
	static const unsigned int payloads[] = { 0, 1, 10, 17, 32 };
	static uint8_t memory[8200 + 16];
	static struct model m;
	uint64_t state = 7;

	for (unsigned int run = 0; run < 8 * 5 * 8 * 4; run++) {
		const uint32_t mean = means[run % 8];
		const unsigned int payload = payloads[run / 8 % 5], at = run / 40 % 8;
		const uint32_t span = mean < (1u << 30) ? mean * 4 : UINT32_MAX;
		uint64_t key = 0;

		if (delta_code_make(mean, payload, &m.code) < 0)
			continue;
		for (m.count = 0; m.count < 300; m.count++) {
			struct delta_entry *e = &m.entries[m.count];

			state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
			/* Now and then a delta of many words, or at least of more than one. */
			key += m.count == 0 ? state >> 33 & 1
					    : 1 + (state >> 33) % ((state >> 20) % 50 != 0 ? span
								   : mean < 50	    ? 400 * mean
								   : mean < 1 << 24 ? 50 * mean
										    : span);
			if (key > UINT32_MAX)
				break;
			*e = (struct delta_entry){
				.key = (uint32_t)key,
				.value = (uint32_t)((state >> 13) & ((UINT64_C(1) << payload) - 1))
			};
			if (model_bits(&m) + 2000 > DELTA_LIST_MAX_BITS)
				break;
		}
		memset(memory, 0, sizeof(memory));
		memory[0] = (uint8_t)((1u << at) - 1);
		check_at_once(&m, memory, at, write_model(&m, memory, at));
	}
}
END_TEST

/* Up to @count entries, with deltas that are now and then up to @longest times the mean. */
static void fill_with_long_ones(struct model *m, uint32_t count, uint32_t longest, uint64_t seed)
{
	uint64_t key = splitmix(seed, 0) % 2, bits = 0;

	for (m->count = 0; m->count < count; m->count++) {
		const uint64_t r = splitmix(seed, m->count + 1);
		struct delta_entry *e = &m->entries[m->count];
		uint64_t delta =
			1 + (r >> 8) % ((r & 31) == 0 ? longest * m->code.mean : 4 * m->code.mean);

		/* Rarely, another name at the same place. */
		e->collision = m->count > 0 && longest < 100 && (r >> 16 & 255) == 0;
		memset(e->name, (int)(r >> 32 & 0xff), sizeof(e->name));
		if (e->collision)
			delta = 0;
		else if (m->count == 0)
			delta = key;
		bits += e->collision ? delta_collision_bits(&m->code)
				     : delta_ordinary_bits(&m->code, (uint32_t)delta);
		key = m->count == 0 ? key : key + delta;
		if (key > UINT32_MAX || bits > DELTA_LIST_MAX_BITS)
			break;
		e->key = (uint32_t)key;
		e->value = (uint32_t)((r >> 40) & ((UINT64_C(1) << m->code.payload_bits) - 1));
	}
}

/* One of the lists that are read together. */
struct together {
	uint8_t *memory; /* no byte more than the list has */
	uint64_t at, bits;
	uint32_t keys[8194], values[8194];
};

static void make_together(struct together *list, struct model *m, uint64_t round, uint64_t r)
{
	static uint8_t memory[8200 + 16];
	/* All about as long, but for some that are very short, or nearly as long as can be. */
	const uint32_t count = r % 11 == 0   ? (uint32_t)(r >> 8) % 9
			       : r % 13 == 0 ? 6000
					     : 200 + (uint32_t)(r >> 8) % 60;
	size_t length;

	memset(memory, 0, sizeof(memory));
	fill_with_long_ones(m, count, round % 5 == 0 ? 10000 : 40, r);
	list->at = r >> 20 & 7;
	list->bits = write_model(m, memory, list->at);
	length = (size_t)(list->at + list->bits + 7) / 8;
	/* Damaged ones, too. */
	if (r >> 30 & 1 && round % 3 == 0 && length > 0)
		memory[(r >> 32) % length] ^= (uint8_t)(1u << (r >> 24 & 7));
	list->memory = malloc(length + (length == 0));
	ck_assert_ptr_nonnull(list->memory);
	memcpy(list->memory, memory, length);
}

typedef void lists_take_fn(struct delta_reader *readers, uint32_t *const *keys,
			   uint32_t *const *values, uint32_t most, uint32_t *ret_counts);

/* As one by one, with the portable form. */
static void check_taken_together(lists_take_fn *take, const struct delta_code *code,
				 struct together *lists, uint32_t most)
{
	static uint32_t keys[8192], values[8192];
	uint32_t *keys_of[DELTA_TOGETHER], *values_of[DELTA_TOGETHER], counts[DELTA_TOGETHER];
	struct delta_reader readers[DELTA_TOGETHER];

	for (unsigned int i = 0; i < DELTA_TOGETHER; i++) {
		delta_reader_start(&readers[i], code, lists[i].memory, lists[i].at, lists[i].bits);
		keys_of[i] = lists[i].keys;
		values_of[i] = lists[i].values;
		keys_of[i][most] = values_of[i][most] = 0xeeeeeeee;
	}
	take(readers, keys_of, values_of, most, counts);
	for (unsigned int i = 0; i < DELTA_TOGETHER; i++) {
		struct delta_reader alone;
		uint32_t count;

		delta_reader_start(&alone, code, lists[i].memory, lists[i].at, lists[i].bits);
		count = delta_reader_take_portably(&alone, keys, values, most);
		ck_assert_uint_eq(counts[i], count);
		ck_assert_mem_eq(keys_of[i], keys, count * sizeof(keys[0]));
		ck_assert_mem_eq(values_of[i], values, count * sizeof(values[0]));
		ck_assert_uint_eq(keys_of[i][most], 0xeeeeeeee);
		ck_assert_uint_eq(values_of[i][most], 0xeeeeeeee);
		ck_assert_uint_eq(readers[i].at, alone.at);
		ck_assert_uint_eq(readers[i].end, alone.end);
		ck_assert_uint_eq(readers[i].key, alone.key);
	}
}

START_TEST(lists_taken_together_are_as_those_taken_alone)
{
	static const uint32_t means[] = { 2, 5, 100, 4096, 8192, 20000, 1 << 20 };
	static const unsigned int payloads[] = { 0, 1, 10, 12, 17 };
	static struct together lists[DELTA_TOGETHER];
	static struct model m;

	for (uint64_t round = 0; round < 7 * 5 * 40; round++) {
		if (delta_code_make(means[round % 7], payloads[round / 7 % 5], &m.code) < 0)
			continue;
		for (unsigned int i = 0; i < DELTA_TOGETHER; i++)
			make_together(&lists[i], &m, round, splitmix(0x70e7, 4 * round + i));
		/* Fewer than they have; and room for all of them. */
		check_taken_together(delta_lists_take, &m.code, lists, round % 7 + 1);
		check_taken_together(delta_lists_take, &m.code, lists, 8192);
		check_taken_together(delta_lists_take_portably, &m.code, lists, 8192);
		for (unsigned int i = 0; i < DELTA_TOGETHER; i++)
			free(lists[i].memory);
	}
}
END_TEST

START_TEST(code_parameters_are_the_recorded_ones)
{
	struct delta_code code, untouched;
	struct csv csv;
	int rows = 0, refused = 0;

	if (!csv_open(&csv, "delta_code.csv"))
		skip_test("code_parameters_are_the_recorded_ones: no vectors");
	while (csv_next(&csv)) {
		uint32_t mean = (uint32_t)csv_number(&csv, "mean_delta");

		delta_code_parameters(mean, 10, &code);
		ck_assert_uint_eq(code.min_bits, csv_number(&csv, "min_bits"));
		ck_assert_uint_eq(code.min_keys, csv_number(&csv, "min_keys"));
		ck_assert_uint_eq(code.incr_keys, csv_number(&csv, "incr_keys"));
		memset(&untouched, 0xee, sizeof(untouched));
		if (((code.incr_keys + 1) & code.incr_keys) != 0) {
			ck_assert_int_eq(delta_code_make(mean, 10, &untouched), 0);
			ck_assert_uint_eq(untouched.incr_keys, code.incr_keys);
		} else {
			ck_assert_int_eq(delta_code_make(mean, 10, &untouched), -EINVAL);
			ck_assert_uint_eq(untouched.incr_keys, 0xeeeeeeee);
			refused++;
		}
		rows++;
	}
	ck_assert_int_gt(rows, 100);
	ck_assert_int_gt(refused, 2);
}
END_TEST

START_TEST(code_without_a_mean_or_with_too_large_values_is_refused)
{
	struct delta_code code = { .mean = 7 };

	ck_assert_int_eq(delta_code_make(0, 10, &code), -EINVAL);
	ck_assert_int_eq(delta_code_make(100, 33, &code), -EINVAL);
	ck_assert_uint_eq(code.mean, 7);
	ck_assert_int_eq(delta_code_make(100, 32, &code), 0);
}
END_TEST

START_TEST(worked_example_comes_out_bit_by_bit)
{
	static const char expected[] = "0388820000020406080a0c0e10121416181a1c1ece2f";
	uint8_t bytes[32] = { 0 }, name[16], want[32];
	struct delta_writer writer;
	struct delta_code code;

	for (unsigned int i = 0; i < 16; i++)
		name[i] = (uint8_t)i;
	ck_assert_int_eq(delta_code_make(100, 4, &code), 0);
	delta_writer_start(&writer, &code, bytes, 0, 8 * sizeof(bytes));
	ck_assert_int_eq(delta_writer_append(&writer, 0, 3, NULL), 0);
	ck_assert_int_eq(delta_writer_append(&writer, 5, 1, NULL), 0);
	ck_assert_int_eq(delta_writer_append(&writer, 5, 2, name), 0);
	ck_assert_int_eq(delta_writer_append(&writer, 200, 7, NULL), 0);
	ck_assert_uint_eq(delta_writer_finish(&writer), 174);
	ck_assert_int_eq(parse_hex(expected, want, sizeof(want)), 22);
	ck_assert_mem_eq(bytes, want, 22);
}
END_TEST

START_TEST(recorded_lists_are_written_and_read_bit_by_bit)
{
	static uint8_t want[8200], got[8200 + 8];
	static char line[40000], hex[33000];
	static struct model m;
	FILE *f = open_unit_vector("delta_lists.txt");
	uint64_t seed = 0;
	int lists = 0;

	if (f == NULL)
		skip_test("recorded_lists_are_written_and_read_bit_by_bit: no vectors");
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned int key, value, payload, mean;
		struct uds_record_name name;
		char token[32];
		uint64_t bits;
		int status;

		if (sscanf(line, "seed %" SCNx64, &seed) == 1) {
			continue;
		} else if (sscanf(line, "L %u %u", &mean, &payload) == 2) {
			delta_code_parameters(mean, payload, &m.code);
			m.count = 0;
		} else if (sscanf(line, "I %u %u %31s %d", &key, &value, token, &status) == 4) {
			ck_assert_int_eq(model_insert(&m, key, value, NULL) == 0, status == 0);
		} else if (sscanf(line, "C %u %u %31s %d", &key, &value, token, &status) == 4) {
			token_name(seed, token, &name);
			ck_assert_int_eq(model_insert(&m, key, value, name.bytes) == 0,
					 status == 0);
		} else if (sscanf(line, "D %u", &key) == 1) {
			model_remove(&m, key);
		} else if (sscanf(line, "B %" SCNu64 " %32999s", &bits, hex) >= 1) {
			ck_assert_uint_eq(model_bits(&m), bits);
			ck_assert_int_eq(parse_hex(hex, want, sizeof(want)), (bits + 7) / 8);
			memset(got, 0, sizeof(got));
			ck_assert_uint_eq(write_model(&m, got, 0), bits);
			ck_assert_mem_eq(got, want, (bits + 7) / 8);
			check_decodes_to_model(&m, want, 0, bits);
			check_at_once(&m, want, 0, bits);
			lists++;
		} else {
			ck_abort_msg("what is this: %s", line);
		}
	}
	fclose(f);
	ck_assert_int_ge(lists, 20);
}
END_TEST

/* A list of many kinds of deltas, collisions among them. */
static void fill_model(struct model *m, uint32_t mean, unsigned int payload, uint64_t seed,
		       size_t count)
{
	uint64_t key = 0;

	m->count = 0;
	ck_assert_int_eq(delta_code_make(mean, payload, &m->code), 0);
	for (size_t i = 0; i < count; i++) {
		struct delta_entry *e = &m->entries[m->count];
		uint64_t r = splitmix(seed, i);

		e->collision = m->count > 0 && r % 8 == 0;
		if (!e->collision)
			key += (m->count > 0) +
			       (r % 97 == 1 ? mean * 40ull : (r >> 8) % (2 * mean));
		e->key = (uint32_t)key;
		e->value = (uint32_t)((r >> 32) & ((UINT64_C(1) << payload) - 1));
		for (unsigned int j = 0; j < 16; j++)
			e->name[j] = (uint8_t)splitmix(seed + 1, 16 * i + j);
		m->count++;
		if (model_bits(m) > DELTA_LIST_MAX_BITS) {
			m->count--;
			return;
		}
	}
}

START_TEST(lists_at_any_bit_offset_leave_their_neighbours_alone)
{
	static struct model m;
	static uint8_t memory[9000];

	for (uint64_t at = 0; at < 40; at++) {
		uint32_t bits;

		fill_model(&m, 4080, (unsigned int)at % 33, at, 60);
		memset(memory, 0xff, sizeof(memory));
		bits = write_model(&m, memory, at);
		ck_assert_uint_eq(bits, model_bits(&m));
		check_decodes_to_model(&m, memory, at, bits);
		for (uint64_t bit = 0; bit < at; bit++)
			ck_assert_uint_eq(get_bits(memory, bit, 1), 1);
		for (uint64_t bit = at + bits; bit < at + bits + 100; bit++)
			ck_assert_uint_eq(get_bits(memory, bit, 1), 1);
		memset(memory, 0, sizeof(memory));
		write_model(&m, memory, at);
		check_decodes_to_model(&m, memory, at, bits);
		ck_assert_uint_eq(get_bits(memory, at + bits, 32), 0);
	}
}
END_TEST

START_TEST(lists_end_at_65535_bits)
{
	static uint8_t memory[8200];
	struct delta_writer writer;
	struct delta_code code;
	uint32_t key = 0, bits;

	ck_assert_int_eq(delta_code_make(65536, 15, &code), 0);
	delta_writer_start(&writer, &code, memory, 0, UINT64_MAX);
	while (delta_writer_append(&writer, key, 7, NULL) == 0)
		key += 3;
	ck_assert_uint_eq(writer.bits, 65535 / 31 * 31);
	bits = delta_writer_finish(&writer);
	ck_assert_uint_eq(bits, 65534);

	/* A smaller room is kept, too, and what is refused leaves the list as it was. */
	delta_writer_start(&writer, &code, memory, 0, 61);
	ck_assert_int_eq(delta_writer_append(&writer, 1, 7, NULL), 0);
	ck_assert_int_eq(delta_writer_append(&writer, 2, 7, NULL), UDS_ERR_OVERFLOW);
	ck_assert_uint_eq(delta_writer_finish(&writer), 31);
}
END_TEST

START_TEST(entries_out_of_order_are_refused)
{
	struct delta_writer writer;
	struct delta_code code;
	uint8_t memory[64] = { 0 }, name[16] = { 0 };

	ck_assert_int_eq(delta_code_make(100, 4, &code), 0);
	delta_writer_start(&writer, &code, memory, 0, 512);
	ck_assert_int_eq(delta_writer_append(&writer, 0, 1, name), -EINVAL);
	ck_assert_int_eq(delta_writer_append(&writer, 9, 16, NULL), -EINVAL);
	ck_assert_int_eq(delta_writer_append(&writer, 9, 15, NULL), 0);
	ck_assert_int_eq(delta_writer_append(&writer, 9, 1, NULL), -EINVAL);
	ck_assert_int_eq(delta_writer_append(&writer, 8, 1, NULL), -EINVAL);
	ck_assert_int_eq(delta_writer_append(&writer, 10, 1, name), -EINVAL);
	ck_assert_int_eq(delta_writer_append(&writer, 9, 1, name), 0);
	ck_assert_uint_eq(delta_writer_finish(&writer), 11 + 11 + 128);
}
END_TEST

START_TEST(search_prefers_the_full_name)
{
	static struct model m;
	uint8_t memory[512] = { 0 }, a[16], b[16], other[16];
	uint32_t bits, value = 99;

	memset(a, 1, 16);
	memset(b, 2, 16);
	memset(other, 3, 16);
	m.count = 0;
	ck_assert_int_eq(delta_code_make(4096, 10, &m.code), 0);
	ck_assert_int_eq(model_insert(&m, 0, 1, NULL), 0);
	ck_assert_int_eq(model_insert(&m, 500, 2, NULL), 0);
	ck_assert_int_eq(model_insert(&m, 500, 3, a), 0);
	ck_assert_int_eq(model_insert(&m, 500, 4, b), 0);
	ck_assert_int_eq(model_insert(&m, 501, 5, NULL), 0);
	ck_assert_int_eq(model_insert(&m, 501, 6, a), 0);
	bits = write_model(&m, memory, 5);
	ck_assert_int_eq(delta_list_search(&m.code, memory, 5, bits, 0, a, &value), 1);
	ck_assert_uint_eq(value, 1);
	ck_assert_int_eq(delta_list_search(&m.code, memory, 5, bits, 500, other, &value), 1);
	ck_assert_uint_eq(value, 2);
	ck_assert_int_eq(delta_list_search(&m.code, memory, 5, bits, 500, a, &value), 1);
	ck_assert_uint_eq(value, 3);
	ck_assert_int_eq(delta_list_search(&m.code, memory, 5, bits, 500, b, &value), 1);
	ck_assert_uint_eq(value, 4);
	ck_assert_int_eq(delta_list_search(&m.code, memory, 5, bits, 501, a, &value), 1);
	ck_assert_uint_eq(value, 6);
	value = 99;
	ck_assert_int_eq(delta_list_search(&m.code, memory, 5, bits, 499, a, &value), 0);
	ck_assert_int_eq(delta_list_search(&m.code, memory, 5, bits, 502, a, &value), 0);
	ck_assert_int_eq(delta_list_search(&m.code, memory, 5, 0, 0, a, &value), 0);
	ck_assert_uint_eq(value, 99);
}
END_TEST

/* The reader must stay inside the bytes of the list: the memory ends where the list does. */
static void walk_any_bytes(const uint8_t *bytes, size_t length, const struct delta_code *code,
			   uint64_t at)
{
	static uint32_t keys[4096], values[4096];
	uint8_t *memory = malloc(length);
	struct delta_reader reader, taken, again;
	struct delta_entry e;
	uint8_t name[16] = { 0 };
	uint32_t value, key = 0, n;
	size_t steps = 0;
	int r;

	ck_assert_ptr_nonnull(memory);
	memcpy(memory, bytes, length);
	delta_reader_start(&reader, code, memory, at, 8 * length - at);
	taken = reader;
	while ((r = delta_reader_next(&reader, &e)) == 1) {
		ck_assert_uint_ge(e.key, key);
		key = e.key;
		ck_assert_uint_le(++steps, 8 * length);
	}
	/* Many at a time: the same, up to the first that is no ordinary entry. */
	again = taken;
	n = delta_reader_take(&taken, keys, values, 4096);
	ck_assert_uint_eq(delta_reader_take_portably(&again, keys, values, 4096), n);
	ck_assert_uint_eq(again.at, taken.at);
	ck_assert_uint_le(n, steps);
	ck_assert(n == 0 || keys[n - 1] == taken.key);
	ck_assert(r == 0 || r == UDS_ERR_CORRUPT);
	if (r == 0)
		ck_assert_uint_eq(reader.at, reader.end);
	r = delta_list_search(code, memory, at, 8 * length - at, key, name, &value);
	ck_assert(r == 0 || r == 1 || r == UDS_ERR_CORRUPT);
	free(memory);
}

START_TEST(any_bytes_decode_or_are_called_corrupt)
{
	static const uint32_t means[] = { 4, 37, 100, 4096, 65536, 1000000, 1 << 22, UINT32_MAX };
	static uint8_t bytes[9000];
	static struct model m;
	struct delta_code code;

	for (uint64_t round = 0; round < 4000; round++) {
		uint64_t r = splitmix(0xf022, round);
		size_t length = 1 + r % (round % 16 == 0 ? 8191 : 100);

		if (round % 2 == 0) {
			for (size_t i = 0; i < length; i++)
				bytes[i] = (uint8_t)splitmix(r, i);
			if (round % 6 == 0)
				memset(bytes, 0, length);
			if (round % 10 == 0)
				memset(bytes, 0xff, length);
			if (delta_code_make(means[(r >> 20) % 8], (r >> 30) % 33, &code) < 0)
				continue;
			walk_any_bytes(bytes, length, &code, r >> 50 & 7);
		} else {
			fill_model(&m, 4096, 10, r, 20);
			length = (write_model(&m, bytes, 0) + 7) / 8;
			for (unsigned int i = 0; i < 1 + r % 4; i++)
				bytes[splitmix(r, i) % length] ^= (uint8_t)(1u << (r >> 8 & 7));
			walk_any_bytes(bytes, length, &m.code, 0);
		}
	}
}
END_TEST

/*
 * Keys beyond 32 bits: those that come at once say so before the first, those one by one
 * at the last.
 */
START_TEST(keys_that_leave_32_bits_are_corrupt)
{
	static uint8_t bytes[8191];
	struct delta_code code;

	ck_assert_int_eq(delta_code_make(3000000, 0, &code), 0);
	for (uint64_t seed = 0; seed < 4; seed++) {
		struct delta_reader reader;
		struct delta_entry e;
		int r;

		for (size_t i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)splitmix(0x32, seed * sizeof(bytes) + i);
		walk_any_bytes(bytes, sizeof(bytes), &code, 0);
		delta_reader_start(&reader, &code, bytes, 0, 8 * sizeof(bytes));
		while ((r = delta_reader_next(&reader, &e)) == 1)
			;
		ck_assert_int_eq(r, UDS_ERR_CORRUPT);
		ck_assert_uint_gt(e.key, UINT32_MAX - 100000000);
	}
}
END_TEST

START_TEST(lists_cut_short_are_corrupt)
{
	static struct model m;
	static uint8_t memory[8200];
	struct delta_reader reader;
	struct delta_entry e;
	uint32_t bits;

	fill_model(&m, 4096, 10, 5, 40);
	bits = write_model(&m, memory, 0);
	/* Ends of entries are good ends; every other one is not. */
	for (uint64_t cut = 1; cut < bits; cut++) {
		uint64_t end = 0;
		bool good = false;
		int r;

		delta_reader_start(&reader, &m.code, memory, 0, bits);
		while (end < cut && delta_reader_next(&reader, &e) == 1)
			end = reader.at;
		good = end == cut;
		delta_reader_start(&reader, &m.code, memory, 0, cut);
		while ((r = delta_reader_next(&reader, &e)) == 1)
			;
		ck_assert_int_eq(r, good ? 0 : UDS_ERR_CORRUPT);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("delta");
	TCase *tc = tcase_create("delta");

	tcase_add_test(tc, code_parameters_are_the_recorded_ones);
	tcase_add_test(tc, many_entries_at_once_are_the_same_bits);
	tcase_add_test(tc, lists_taken_together_are_as_those_taken_alone);
	tcase_add_test(tc, code_without_a_mean_or_with_too_large_values_is_refused);
	tcase_add_test(tc, worked_example_comes_out_bit_by_bit);
	tcase_add_test(tc, recorded_lists_are_written_and_read_bit_by_bit);
	tcase_add_test(tc, lists_at_any_bit_offset_leave_their_neighbours_alone);
	tcase_add_test(tc, lists_end_at_65535_bits);
	tcase_add_test(tc, entries_out_of_order_are_refused);
	tcase_add_test(tc, search_prefers_the_full_name);
	tcase_add_test(tc, any_bytes_decode_or_are_called_corrupt);
	tcase_add_test(tc, keys_that_leave_32_bits_are_corrupt);
	tcase_add_test(tc, lists_cut_short_are_corrupt);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
