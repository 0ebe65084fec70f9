/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The model of the memory of the reference implementation, held against saves that it made: their
 * lists tell the bit offsets at which they lay. The volume indexes of these saves were built by the
 * same rules as a chapter index, in memory that is nearly full, with entries removed as well.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "chapter/zone_memory.h"
#include "check_main.h"
#include "delta/delta_code.h"
#include "geometry/name_zone.h"
#include "name_list.h"
#include "torture_env.h"
#include "vector_file.h"

#define MOST_LISTS   256
#define MOST_ENTRIES 1024

struct entry {
	uint32_t key;
	bool collision;
	struct uds_record_name name;
};

struct list {
	uint32_t count;
	struct entry entries[MOST_ENTRIES];
};

struct model {
	struct geometry geometry;
	struct volume_index_parameters parameters;
	struct delta_code code;
	unsigned int zones;
	uint32_t lists_per_zone;
	struct zone_memory memory[MAXIMUM_ZONES];
	struct list lists[MOST_LISTS];
};

static struct model m;

static uint32_t bits_before(const struct list *list, uint32_t place)
{
	uint64_t bits = 0;
	uint32_t key = 0;

	for (uint32_t i = 0; i < place; i++) {
		if (list->entries[i].collision)
			bits += delta_collision_bits(&m.code);
		else
			bits += delta_ordinary_bits(&m.code, list->entries[i].key - key);
		key = list->entries[i].key;
	}
	return (uint32_t)bits;
}

static void place_lists(void)
{
	struct uds_env env;

	ck_assert_int_eq(env_complete(guarded_env(), &env), 0);
	m.lists_per_zone = volume_index_lists_per_zone(&m.parameters, m.zones);
	for (unsigned int z = 0; z < m.zones; z++) {
		uint32_t first = z * m.lists_per_zone;
		uint32_t count = m.parameters.list_count - first;

		if (count > m.lists_per_zone)
			count = m.lists_per_zone;
		ck_assert_int_eq(zone_memory_make(&m.memory[z], &env,
						  volume_index_zone_bytes(&m.parameters, m.zones),
						  count),
				 0);
	}
}

/* Moves all lists of a zone apart evenly, in whole bytes. */
static void spread(struct zone_memory *memory)
{
	uint64_t used = memory->bits[memory->count] / 8, spacing, at;

	for (uint32_t i = 0; i < memory->count; i++)
		used += (memory->starts[i] % 8 + memory->bits[i] + 7) / 8;
	ck_assert_uint_le(used, memory->bytes);
	spacing = (memory->bytes - used) / memory->count;
	at = spacing - spacing / 2;
	for (uint32_t i = 0; i < memory->count; i++) {
		uint64_t bytes = (memory->starts[i] % 8 + memory->bits[i] + 7) / 8;

		memory->starts[i] = 8 * at + memory->starts[i] % 8;
		at += bytes + spacing;
	}
}

/* What a load does: sizes are set at the first places, then all is spread. */
static void reload(unsigned int zones)
{
	for (unsigned int z = 0; z < m.zones; z++)
		zone_memory_destroy(&m.memory[z]);
	m.zones = zones;
	place_lists();
	for (uint32_t l = 0; l < m.parameters.list_count; l++)
		m.memory[l / m.lists_per_zone].bits[l % m.lists_per_zone] =
			bits_before(&m.lists[l], m.lists[l].count);
	for (unsigned int z = 0; z < m.zones; z++)
		spread(&m.memory[z]);
}

/* Returns the place of the entry that a search stops at, and whether it is a hit. */
static bool search(const struct list *list, uint32_t key, const struct uds_record_name *name,
		   uint32_t *ret_place)
{
	uint32_t place = 0;

	while (place < list->count && list->entries[place].key < key)
		place++;
	*ret_place = place;
	if (place == list->count || list->entries[place].key != key)
		return false;
	for (uint32_t i = place + 1; i < list->count && list->entries[i].collision; i++) {
		if (memcmp(&list->entries[i].name, name, 16) == 0)
			*ret_place = i;
	}
	return true;
}

static void insert(uint32_t number, uint32_t key, const struct uds_record_name *name)
{
	struct list *list = &m.lists[number];
	uint32_t place, before, after;
	bool collision = search(list, key, name, &place);
	struct entry entry = { key, collision, *name };

	place += collision;
	ck_assert(place == 0 || list->entries[place - 1].key <= key);
	ck_assert_uint_lt(list->count, MOST_ENTRIES);
	before = bits_before(list, list->count);
	after = bits_before(list, place);
	memmove(list->entries + place + 1, list->entries + place,
		(list->count - place) * sizeof(entry));
	list->entries[place] = entry;
	list->count++;
	ck_assert_int_eq(zone_memory_grow(&m.memory[number / m.lists_per_zone],
					  number % m.lists_per_zone, after,
					  bits_before(list, list->count) - before),
			 0);
}

static void cut_out(uint32_t number, uint32_t key, const struct uds_record_name *name)
{
	struct zone_memory *memory = &m.memory[number / m.lists_per_zone];
	uint32_t place, at, was, shrinkage, l = number % m.lists_per_zone;
	struct list *list = &m.lists[number];
	uint64_t gap_before, gap_after;

	ck_assert(search(list, key, name, &place));
	at = bits_before(list, place);
	was = bits_before(list, list->count);
	list->count--;
	if (!list->entries[place].collision && place < list->count)
		list->entries[place + 1].collision = false;
	memmove(list->entries + place, list->entries + place + 1,
		(list->count - place) * sizeof(struct entry));
	shrinkage = was - bits_before(list, list->count);
	gap_before = memory->starts[l] - (l == 0 ? 0 : memory->starts[l - 1] + memory->bits[l - 1]);
	gap_after = memory->starts[l + 1] - memory->starts[l] - memory->bits[l];
	/* The shorter part moves; in a tie the freed space goes to the smaller gap. */
	if (at < was - at - shrinkage || (at == was - at - shrinkage && gap_before < gap_after))
		memory->starts[l] += shrinkage;
	memory->bits[l] -= shrinkage;
}

static void set_up(const struct recorded_index *recorded)
{
	ck_assert_int_eq(geometry_make(&recorded->configuration, &m.geometry, NULL), 0);
	volume_index_parameters_make(&m.geometry, SUB_INDEX_DENSE, &m.parameters);
	ck_assert_uint_eq(m.parameters.list_count, MOST_LISTS);
	ck_assert_int_eq(
		delta_code_make(m.parameters.mean_delta, m.parameters.chapter_bits, &m.code), 0);
	memset(m.lists, 0, sizeof(m.lists));
}

static void replay(const char *name, uint64_t seed)
{
	char command[600], line[200], token[32], op;
	unsigned int found, zones;
	FILE *p;

	snprintf(command, sizeof(command), "xz -dc '%s/uds/index/%s.trace.xz'", vectors_dir(),
		 name);
	p = popen(command, "r");
	ck_assert_ptr_nonnull(p);
	while (fgets(line, sizeof(line), p) != NULL) {
		struct uds_record_name n;
		uint32_t list, key;

		if (sscanf(line, "C %u", &zones) == 1) {
			m.zones = zones;
			place_lists();
			continue;
		}
		if (sscanf(line, "R %u", &zones) == 1) {
			reload(zones);
			continue;
		}
		if (sscanf(line, "%c %31s %*u %u", &op, token, &found) != 3)
			continue;
		token_name(seed, token, &n);
		list = name_list(&m.parameters, &n);
		key = name_address(&m.parameters, &n);
		if ((op == 'P' || op == 'U') && !found)
			insert(list, key, &n);
		if (op == 'D' && found)
			cut_out(list, key, &n);
	}
	ck_assert_int_eq(pclose(p), 0);
}

/* The stream of one zone: list sizes, and the bit offset of each list that has entries. */
static void check_zone(const char *name, unsigned int z)
{
	const struct zone_memory *memory = &m.memory[z];
	const uint8_t *start, *at;
	uint8_t *stream;
	char path[100];
	size_t bytes;

	snprintf(path, sizeof(path), "regions/%s.volume-index-%u.xz", name, z);
	stream = read_packed_vector(path, &bytes);
	ck_assert_ptr_nonnull(stream);
	start = stream + 40 + 8 * (size_t)memory->count;
	ck_assert_mem_eq(start, "DI-00002", 8);
	ck_assert_uint_eq(get_le32(start + 20), memory->count);
	at = start + 40 + 2 * (size_t)memory->count;
	for (uint32_t l = 0; l < memory->count; l++) {
		ck_assert_uint_eq(get_le16(start + 40 + 2 * (size_t)l), memory->bits[l]);
		if (memory->bits[l] == 0)
			continue;
		ck_assert(at + 8 < stream + bytes);
		ck_assert_int_eq(at[0], 'm');
		ck_assert_uint_eq(get_le32(at + 4), z * m.lists_per_zone + l);
		ck_assert_uint_eq(at[1], memory->starts[l] % 8);
		at += 8 + get_le16(at + 2);
	}
	free(stream);
}

static void check_saved_places(const char *name, const char *test)
{
	struct recorded_index recorded;

	if (!recorded_index_read(name, &recorded)) {
		note_skip("%s: no vectors", test);
		return;
	}
	set_up(&recorded);
	replay(name, recorded.name_stream_seed);
	for (unsigned int z = 0; z < m.zones; z++) {
		check_zone(name, z);
		zone_memory_destroy(&m.memory[z]);
	}
}

START_TEST(lists_of_an_empty_volume_lie_where_the_origin_had_them)
{
	check_saved_places("fresh-saved", "lists_of_an_empty_volume_lie_where_the_origin_had_them");
}
END_TEST

START_TEST(lists_of_three_zones_lie_where_the_origin_had_them)
{
	check_saved_places("dense-3zone", "lists_of_three_zones_lie_where_the_origin_had_them");
}
END_TEST

START_TEST(lists_in_nearly_full_memory_lie_where_the_origin_had_them)
{
	check_saved_places("dense-collisions",
			   "lists_in_nearly_full_memory_lie_where_the_origin_had_them");
}
END_TEST

START_TEST(lists_never_overlap)
{
	struct zone_memory memory;
	struct uds_env env;
	uint64_t grown = 0;

	ck_assert_int_eq(env_complete(guarded_env(), &env), 0);
	ck_assert_int_eq(zone_memory_make(&memory, &env, 65536, 100), 0);
	for (uint64_t i = 0;; i++) {
		uint64_t r = splitmix(4, i);
		uint32_t list = (uint32_t)((r % 100) * (r >> 20 & 0xfff) / 4096);
		uint32_t at =
			memory.bits[list] == 0 ? 0 : (uint32_t)((r >> 40) % memory.bits[list]);
		uint32_t growth = 20 + (uint32_t)(r >> 32 & 127);

		if (zone_memory_grow(&memory, list, at, growth) < 0)
			break;
		grown += growth;
		for (uint32_t l = 0; l < 100; l++)
			ck_assert_uint_le(memory.starts[l] + memory.bits[l], memory.starts[l + 1]);
	}
	ck_assert_uint_eq(memory.starts[100], 8 * (65536 - 7));
	ck_assert_uint_ge(grown + 100 * 15 + 200, 8 * (65536 - 7));
	zone_memory_destroy(&memory);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("zone_memory");
	TCase *tc = tcase_create("zone_memory");

	tcase_add_test(tc, lists_of_an_empty_volume_lie_where_the_origin_had_them);
	tcase_add_test(tc, lists_of_three_zones_lie_where_the_origin_had_them);
	tcase_add_test(tc, lists_in_nearly_full_memory_lie_where_the_origin_had_them);
	tcase_add_test(tc, lists_never_overlap);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
