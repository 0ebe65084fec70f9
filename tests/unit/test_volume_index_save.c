/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Streams of the volume index: those of the reference implementation, our own, and damaged ones;
 * from any number of zones to any other.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/env.h"
#include "check_main.h"
#include "enter_name.h"
#include "geometry/name_bits.h"
#include "volume_index/additions.h"
#include "volume_index/shared_entries.h"
#include "volume_index/private.h"
#include "index_image.h"
#include "save_zone.h"
#include "torture_env.h"
#include "vector_file.h"
#include "volume_index_model.h"

static struct uds_env env;

/* A stream in memory, to write and to read. */
struct memory_stream {
	uint8_t *bytes;
	size_t length;
	size_t room;
	size_t at;
};

static int write_memory(void *context, const void *bytes, size_t length)
{
	struct memory_stream *s = context;

	if (s->length + length > s->room) {
		s->room = (s->length + length) * 2;
		s->bytes = realloc(s->bytes, s->room);
	}
	memcpy(s->bytes + s->length, bytes, length);
	s->length += length;
	return 0;
}

static int read_memory(void *context, void *ret_bytes, size_t length)
{
	struct memory_stream *s = context;

	if (s->length - s->at < length)
		return UDS_ERR_OUT_OF_RANGE;
	memcpy(ret_bytes, s->bytes + s->at, length);
	s->at += length;
	return 0;
}

/* The streams of one save. */
struct save {
	struct memory_stream streams[MAXIMUM_ZONES];
	unsigned int count;
};

static void free_save(struct save *save)
{
	for (unsigned int i = 0; i < save->count; i++)
		free(save->streams[i].bytes);
}

static void save_all(struct volume_index *index, struct save *ret_save)
{
	memset(ret_save, 0, sizeof(*ret_save));
	ret_save->count = index->zones;
	for (unsigned int i = 0; i < ret_save->count; i++) {
		struct byte_sink sink = { write_memory, &ret_save->streams[i] };
		uint64_t dropped = 1;

		ck_assert_int_eq(save_zone(index, i, UINT64_MAX, &sink, NULL, &dropped), 0);
		ck_assert_uint_eq(dropped, 0);
		ck_assert_uint_eq(ret_save->streams[i].length, saved_zone_bytes(index, i));
	}
}

static int load_by(struct crew *crew, const struct volume_index_cut *cut,
		   const struct uds_env *with, struct save *save, const struct geometry *geometry,
		   unsigned int zones, uint64_t nonce, struct uds_message *message,
		   struct volume_index **ret_index)
{
	struct byte_source sources[MAXIMUM_ZONES];

	for (unsigned int i = 0; i < save->count; i++) {
		save->streams[i].at = 0;
		sources[i] = (struct byte_source){ read_memory, &save->streams[i] };
	}
	return volume_index_load(with, geometry, zones, nonce, crew, cut, sources, save->count,
				 message, ret_index);
}

static void check_same_saves(struct volume_index *a, struct volume_index *b)
{
	struct save save_a, save_b;

	save_all(a, &save_a);
	save_all(b, &save_b);
	ck_assert_uint_eq(save_a.count, save_b.count);
	for (unsigned int i = 0; i < save_a.count; i++) {
		ck_assert_uint_eq(save_a.streams[i].length, save_b.streams[i].length);
		ck_assert_mem_eq(save_a.streams[i].bytes, save_b.streams[i].bytes,
				 save_a.streams[i].length);
	}
	free_save(&save_a);
	free_save(&save_b);
}

static void check_same_statistics(const struct volume_index *a, const struct volume_index *b,
				  unsigned int members)
{
	struct volume_index_statistics sa = { 0 }, sb = { 0 };

	for (unsigned int zone = 0; zone < a->zones; zone++) {
		volume_index_add_statistics(a, zone, &sa);
		volume_index_add_statistics(b, zone, &sb);
	}
	ck_assert_uint_eq(sa.entries, sb.entries);
	ck_assert_uint_eq(sa.collisions, sb.collisions);
	ck_assert_uint_eq(sa.coded_bits, sb.coded_bits);
	/* In a small index each part may have a chunk of every class, as one that was alone. */
	ck_assert_uint_le(sb.memory_bytes, members * sa.memory_bytes);
}

/* What a crew makes of a save, or says about it, is what one thread does. */
static void check_crew(unsigned int members, struct save *save, const struct geometry *geometry,
		       unsigned int zones, uint64_t nonce, int status,
		       const struct uds_message *message, struct volume_index *index)
{
	struct volume_index *other = NULL;
	struct uds_message said = { "" };
	struct crew *crew;

	ck_assert_int_eq(crew_make(&env, members, &crew), 0);
	ck_assert_int_eq(load_by(crew, NULL, &env, save, geometry, zones, nonce, &said, &other),
			 status);
	if (status < 0 && message != NULL)
		ck_assert_str_eq(said.text, message->text);
	if (status == 0) {
		ck_assert_int_eq(volume_index_join(other), 0);
		check_same_saves(index, other);
		check_same_statistics(index, other, members);
		volume_index_free(other);
	}
	crew_free(crew);
}

static int load_all(const struct uds_env *with, struct save *save, const struct geometry *geometry,
		    unsigned int zones, uint64_t nonce, struct uds_message *message,
		    struct volume_index **ret_index)
{
	static unsigned int calls;
	int r;

	r = load_by(NULL, NULL, with, save, geometry, zones, nonce, message, ret_index);
	/* Not each time: threads take long to start where everything is watched. */
	calls++;
	if (with == &env && calls % (calls < 300 ? 3 : 40) == 0)
		check_crew(2 + calls / 3 % 3, save, geometry, zones, nonce, r, message,
			   r == 0 ? *ret_index : NULL);
	return r;
}

/* ---- What others wrote ---- */

static const char *const regions[] = {
	"dense-wrap",	"dense-3zone",	 "dense-rezone-offset", "dense-collisions",
	"sparse-1zone", "sparse-rezone", "fresh-saved",		"converted-used",
};

/* One of the reference implementation's saves. */
struct origin {
	struct index_image image;
	struct geometry geometry;
	struct save save;
};

static void read_stream_file(const char *name, unsigned int zone, struct memory_stream *ret_stream)
{
	char command[600];
	uint8_t buffer[4096];
	size_t n;
	FILE *f;

	snprintf(command, sizeof(command), "xz -dc %s/uds/regions/%s.volume-index-%u.xz",
		 vectors_dir(), name, zone);
	f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	while ((n = fread(buffer, 1, sizeof(buffer), f)) > 0)
		write_memory(ret_stream, buffer, n);
	ck_assert_int_eq(pclose(f), 0);
	ck_assert_uint_gt(ret_stream->length, 0);
}

static void read_origin(const char *name, struct origin *ret_origin)
{
	const struct image_save *latest = NULL;

	memset(ret_origin, 0, sizeof(*ret_origin));
	index_image_load(name, &ret_origin->image);
	ck_assert_int_eq(
		geometry_make(&ret_origin->image.configuration, &ret_origin->geometry, NULL), 0);
	for (int i = 0; i < IMAGE_SLOTS; i++) {
		const struct image_save *save = &ret_origin->image.saves[i];

		if (save->present && (latest == NULL || save->timestamp > latest->timestamp))
			latest = save;
	}
	ck_assert_ptr_nonnull(latest);
	ret_origin->save.count = latest->zones;
	for (unsigned int i = 0; i < latest->zones; i++)
		read_stream_file(name, i, &ret_origin->save.streams[i]);
}

static void free_origin(struct origin *origin)
{
	free_save(&origin->save);
	index_image_free(&origin->image);
}

struct line_check {
	FILE *file;
	uint64_t entries;
	uint64_t collisions;
};

static int check_entry_line(void *context, const struct list_entry *entry)
{
	struct line_check *check = context;
	char word[40] = "";
	char line[200];
	unsigned int key, value;

	ck_assert_ptr_nonnull(fgets(line, sizeof(line), check->file));
	ck_assert_int_ge(sscanf(line, "%u %u %39s", &key, &value, word), 2);
	must_equal(entry->address, key);
	must_equal(entry->value, value);
	must_equal(entry->collision_name != NULL, word[0] != '\0');
	if (word[0] != '\0') {
		uint8_t name[16];

		must_equal(parse_hex(word, name, sizeof(name)), 16);
		must(memcmp(entry->collision_name, name, 16) == 0);
		check->collisions++;
	}
	check->entries++;
	return 0;
}

/* Compares all lists with NAME.volume-index.decoded. */
static void compare_with_decoded(const struct volume_index *index, const char *name)
{
	struct volume_index_statistics statistics = { 0 };
	struct line_check check = { 0 };
	char command[600];
	char line[200];

	snprintf(command, sizeof(command), "xz -dc %s/uds/regions/%s.volume-index.decoded.xz",
		 vectors_dir(), name);
	check.file = popen(command, "r");
	ck_assert_ptr_nonnull(check.file);
	for (unsigned int turn = 0; turn < 2; turn++) {
		/* The non-hook sub-index comes first. */
		enum sub_index sub = turn == 0 ? SUB_INDEX_DENSE : SUB_INDEX_HOOK;

		for (uint32_t i = 0; i < volume_index_list_count(index, sub); i++) {
			struct list_info info;
			unsigned long long flush_from;
			unsigned int number, bits;
			char tag;

			ck_assert_ptr_nonnull(fgets(line, sizeof(line), check.file));
			must_equal(sscanf(line, "list %c %u flush_from %llu bits %u", &tag, &number,
					  &flush_from, &bits),
				   4);
			must_equal(number, i);
			info = list_info_of(index, sub, i);
			must_equal(info.flush_from, flush_from);
			must_equal(info.coded_bits, bits);
			must_equal(volume_index_walk(index, sub, i, check_entry_line, &check), 0);
		}
	}
	ck_assert_ptr_null(fgets(line, sizeof(line), check.file));
	ck_assert_int_eq(pclose(check.file), 0);
	for (unsigned int i = 0; i < index->zones; i++)
		volume_index_add_statistics(index, i, &statistics);
	ck_assert_uint_eq(statistics.entries, check.entries);
	ck_assert_uint_eq(statistics.collisions, check.collisions);
	ck_assert_uint_gt(check.entries, 0);
}

START_TEST(streams_of_the_origin_load_list_by_list)
{
	if (vectors_dir() == NULL)
		skip_test("streams_of_the_origin_load_list_by_list: no vectors");
	for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
		struct volume_index *index;
		struct uds_message message = { "" };
		struct origin origin;

		read_origin(regions[i], &origin);
		ck_assert_msg(load_all(&env, &origin.save, &origin.geometry, origin.save.count,
				       origin.image.volume_nonce, &message, &index) == 0,
			      "%s: %s", regions[i], message.text);
		compare_with_decoded(index, regions[i]);
		volume_index_free(index);
		free_origin(&origin);
	}
}
END_TEST

START_TEST(streams_of_the_origin_load_into_any_zones_and_back)
{
	if (vectors_dir() == NULL)
		skip_test("streams_of_the_origin_load_into_any_zones_and_back: no vectors");
	for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
		struct origin origin;

		read_origin(regions[i], &origin);
		for (unsigned int zones = 1; zones <= 16; zones++) {
			struct volume_index *index;
			struct volume_index *again;
			struct save save;

			ck_assert_int_eq(load_all(&env, &origin.save, &origin.geometry, zones,
						  origin.image.volume_nonce, NULL, &index),
					 0);
			save_all(index, &save);
			volume_index_free(index);
			ck_assert_int_eq(load_all(&env, &save, &origin.geometry, 17 - zones,
						  origin.image.volume_nonce, NULL, &again),
					 0);
			compare_with_decoded(again, regions[i]);
			volume_index_free(again);
			free_save(&save);
		}
		free_origin(&origin);
	}
}
END_TEST

/* How long the part in front of the list data is: it has no freedom. */
static size_t start_bytes(const struct origin *origin)
{
	size_t bytes = 0;

	for (unsigned int sub = 0; sub < (geometry_is_sparse(&origin->geometry) ? 2u : 1u); sub++) {
		struct volume_index_parameters p;

		volume_index_parameters_make(&origin->geometry, (enum sub_index)sub, &p);
		bytes += 80 + 10 * (size_t)p.list_count;
	}
	return bytes + (geometry_is_sparse(&origin->geometry) ? 12 : 0);
}

START_TEST(one_zone_is_saved_as_the_origin_does)
{
	if (vectors_dir() == NULL)
		skip_test("one_zone_is_saved_as_the_origin_does: no vectors");
	for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++) {
		struct volume_index *index;
		struct origin origin;
		struct save save;

		read_origin(regions[i], &origin);
		if (origin.save.count == 1) {
			ck_assert_int_eq(load_all(&env, &origin.save, &origin.geometry, 1,
						  origin.image.volume_nonce, NULL, &index),
					 0);
			save_all(index, &save);
			ck_assert_mem_eq(save.streams[0].bytes, origin.save.streams[0].bytes,
					 start_bytes(&origin));
			volume_index_free(index);
			free_save(&save);
		}
		free_origin(&origin);
	}
}
END_TEST

/* ---- What we write ---- */

static uint64_t random_state;

static uint64_t next_random(void)
{
	return splitmix(99, random_state++);
}

static struct uds_configuration small_configuration(bool sparse)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;

	c.page_bytes = 4096;
	c.record_pages_per_chapter = 1;
	c.chapters_per_volume = 16;
	if (sparse) {
		c.sparse_chapters_per_volume = 9;
		c.sparse_sample_rate = 3;
	}
	return c;
}

static void random_name(struct uds_record_name *ret_name)
{
	uint64_t v = next_random();
	uint64_t tail = next_random() % 3;

	/* Keys from a small set, so that there are collisions. */
	v = (v & ~UINT64_C(0xfffff)) | (v & 0xff) << 10;
	for (int i = 0; i < 8; i++)
		ret_name->bytes[i] = (uint8_t)(v >> (56 - 8 * i));
	put_le64(ret_name->bytes + 8, tail);
	ret_name->bytes[15] = (uint8_t)(next_random() % 3);
}

/* Posts chapters of random names into both. */
static void post_chapters(struct model *model, struct volume_index *index, uint64_t from,
			  uint64_t to, unsigned int per_chapter)
{
	for (uint64_t vcn = from; vcn < to; vcn++) {
		for (unsigned int zone = 0; zone < index->zones; zone++) {
			model_open_chapter(model, zone, vcn);
			volume_index_set_open_chapter(index, zone, vcn);
		}
		for (unsigned int i = 0; i < per_chapter; i++) {
			struct uds_record_name name;
			struct model_record expected;
			struct hint record;
			struct name_place place;

			random_name(&name);
			model_get(model, &name, &expected);
			volume_index_locate(index, &name, &place);
			volume_index_get(index, &place, &name, &record);
			must_equal(record.found, expected.found);
			if (record.found && next_random() % 4 == 0) {
				model_remove(model, &expected);
				volume_index_remove(index, &record);
			} else if (record.found && (record.collision || next_random() % 2)) {
				model_set(model, &expected, vcn);
				volume_index_set(index, &record, vcn);
			} else {
				must_equal(model_put(model, &expected, &name, vcn),
					   volume_index_put(index, &record, &name, vcn));
			}
		}
	}
}

/* Posts into one chapter until the lists take @bytes in coded form. */
static void post_until(struct model *model, struct volume_index *index, uint64_t vcn,
		       uint64_t bytes)
{
	for (;;) {
		struct volume_index_statistics statistics = { 0 };
		struct uds_record_name name;
		struct model_record expected;
		struct hint record;
		struct name_place place;

		random_name(&name);
		model_get(model, &name, &expected);
		volume_index_locate(index, &name, &place);
		volume_index_get(index, &place, &name, &record);
		if (record.found && record.collision)
			continue;
		must_equal(model_put(model, &expected, &name, vcn), 0);
		must_equal(volume_index_put(index, &record, &name, vcn), 0);
		volume_index_add_statistics(index, 0, &statistics);
		if (statistics.coded_bits / 8 > bytes)
			return;
	}
}

static void check_rezoning(bool sparse)
{
	struct uds_configuration c = small_configuration(sparse);
	static const unsigned int zones[] = { 1, 3, 16, 2, 5, 1, 7 };
	struct geometry geometry;
	struct volume_index *index;
	struct model model;
	uint64_t vcn = 0;

	random_state = 0;
	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	model_make(&model, &geometry, zones[0]);
	ck_assert_int_eq(volume_index_make(&env, &geometry, zones[0], 1, 5, NULL, &index), 0);
	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
		struct save save;

		post_chapters(&model, index, vcn, vcn + 9, 150);
		vcn += 9;
		model_compare(&model, index);
		save_all(index, &save);
		volume_index_free(index);
		ck_assert_int_eq(load_all(&env, &save, &geometry, zones[i], 5, NULL, &index), 0);
		free_save(&save);
		model_rezone(&model, zones[i]);
		model_compare(&model, index);
	}
	volume_index_free(index);
	model_free(&model);
}

START_TEST(dense_indexes_go_on_after_saves_with_other_zones)
{
	check_rezoning(false);
}
END_TEST

START_TEST(sparse_indexes_go_on_after_saves_with_other_zones)
{
	check_rezoning(true);
}
END_TEST

/*
 * What the reference implementation's memory must hold to load a stream (6.4), from the sizes
 * in the stream.
 */
static uint64_t area_needed(const uint8_t *stream, uint32_t lists)
{
	const uint8_t *sizes = stream + 40 + 8 * (size_t)lists + 40;
	uint64_t bytes = 7;

	for (uint32_t i = 0; i < lists; i++)
		bytes += (7u + get_le16(sizes + 2 * i) + 7) / 8;
	return bytes;
}

START_TEST(what_the_origin_could_not_load_is_left_out_of_the_save)
{
	struct uds_configuration c = small_configuration(false);
	struct byte_sink sink = { write_memory, NULL };
	struct memory_stream stream = { 0 };
	struct volume_index_parameters p;
	struct geometry geometry;
	struct volume_index *index;
	struct volume_index *again;
	struct volume_index_statistics before = { 0 };
	struct volume_index_statistics after = { 0 };
	struct model model;
	struct save save = { .count = 1 };
	uint64_t dropped = 0;
	uint64_t low, high, area;

	/* The last chapter is much too large: early expiry has no occasion. */
	random_state = 7;
	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	volume_index_parameters_make(&geometry, SUB_INDEX_DENSE, &p);
	model_make(&model, &geometry, 1);
	ck_assert_int_eq(volume_index_make(&env, &geometry, 1, 1, 5, NULL, &index), 0);
	area = volume_index_zone_bytes(&p, 1);
	post_chapters(&model, index, 0, 12, 300);
	post_chapters(&model, index, 12, 13, 0);
	post_until(&model, index, 12, area + 2000);
	sink.context = &stream;
	ck_assert_int_eq(save_zone(index, 0, UINT64_MAX, &sink, NULL, &dropped), 0);
	ck_assert_uint_gt(dropped, 0);
	ck_assert_uint_le(area_needed(stream.bytes, p.list_count), area);
	model_compare(&model, index); /* nothing is left out in memory */
	save.streams[0] = stream;
	ck_assert_int_eq(load_all(&env, &save, &geometry, 2, 5, NULL, &again), 0);
	volume_index_add_statistics(index, 0, &before);
	volume_index_add_statistics(again, 0, &after);
	volume_index_add_statistics(again, 1, &after);
	ck_assert_uint_eq(after.entries + dropped, before.entries);
	volume_index_window(again, SUB_INDEX_DENSE, 0, &low, &high);
	ck_assert_uint_gt(low, 0);
	ck_assert_uint_eq(high, 12);
	volume_index_free(again);
	free(stream.bytes);
	volume_index_free(index);
	model_free(&model);
}
END_TEST

struct kept {
	const struct model_list *list;
	uint32_t next;
	uint64_t low;
};

/* Every entry of the reloaded list is the model's next one of a chapter that was not left out. */
static int check_kept(void *context, const struct list_entry *entry)
{
	struct kept *kept = context;

	while (kept->next < kept->list->count && kept->list->entries[kept->next].value < kept->low)
		kept->next++;
	ck_assert_uint_lt(kept->next, kept->list->count);
	ck_assert_uint_eq(entry->address, kept->list->entries[kept->next].key);
	ck_assert_uint_eq(entry->value, kept->list->entries[kept->next].value);
	kept->next++;
	return 0;
}

START_TEST(a_small_region_gets_the_newest_chapters)
{
	struct uds_configuration c = small_configuration(false);
	struct geometry geometry;
	struct volume_index *index;
	struct model model;
	uint64_t full;
	unsigned int fits = 0;
	unsigned int too_small = 0;

	random_state = 8;
	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	model_make(&model, &geometry, 1);
	ck_assert_int_eq(volume_index_make(&env, &geometry, 1, 1, 5, NULL, &index), 0);
	/* Fewer chapters than a window: values are chapter numbers. */
	post_chapters(&model, index, 0, 13, 300);
	full = saved_zone_bytes(index, 0);
	for (uint64_t limit = full; limit > 600; limit = limit * 4 / 5) {
		struct save save = { .count = 1 };
		struct byte_sink sink = { write_memory, &save.streams[0] };
		struct volume_index *again;
		struct uds_message message;
		uint64_t dropped = 77;
		uint64_t low, high;
		int r;

		r = save_zone(index, 0, limit, &sink, &message, &dropped);
		if (r != 0) {
			ck_assert_int_eq(r, UDS_ERR_OVERFLOW);
			ck_assert_ptr_nonnull(strstr(message.text, "does not fit into a region"));
			ck_assert_uint_eq(save.streams[0].length, 0);
			ck_assert_uint_eq(dropped, 77);
			too_small++;
			continue;
		}
		fits++;
		ck_assert_int_eq(dropped > 0, limit < full);
		ck_assert_uint_le(save.streams[0].length, limit);
		ck_assert_int_eq(load_all(&env, &save, &geometry, 1, 5, NULL, &again), 0);
		volume_index_window(again, SUB_INDEX_DENSE, 0, &low, &high);
		for (uint32_t i = 0; i < 256; i++) {
			struct kept kept = { &model.lists[0][i], 0, low };

			ck_assert_int_eq(
				volume_index_walk(again, SUB_INDEX_DENSE, i, check_kept, &kept), 0);
			while (kept.next < kept.list->count)
				ck_assert_uint_lt(kept.list->entries[kept.next++].value, low);
		}
		volume_index_free(again);
		free_save(&save);
	}
	ck_assert_uint_gt(fits, 3);
	ck_assert_uint_gt(too_small, 0);
	volume_index_free(index);
	model_free(&model);
}
END_TEST

/* A disk that fails once, and counts. */
struct failing_sink {
	unsigned int fail_at; /* 1: the first write */
	unsigned int writes;
};

static int fail_once(void *context, const void *bytes, size_t length)
{
	struct failing_sink *s = context;

	(void)bytes;
	ck_assert_uint_gt(length, 0);
	return ++s->writes == s->fail_at ? -ENOSPC : 0;
}

/* An index whose save takes several buffers, and an empty one. */
START_TEST(a_write_that_fails_ends_the_save)
{
	struct uds_configuration c = small_configuration(true);
	struct failing_sink whole = { 0, 0 };
	struct byte_sink sink = { fail_once, &whole };
	struct geometry geometry;
	struct volume_index *index;
	uint64_t dropped;

	if (_i == 1)
		c = (struct uds_configuration)UDS_CONFIGURATION_INIT;
	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	ck_assert_int_eq(volume_index_make(&env, &geometry, 1, 1, 5, NULL, &index), 0);
	ck_assert_int_eq(save_zone(index, 0, UINT64_MAX, &sink, NULL, &dropped), 0);
	ck_assert_uint_gt(whole.writes, _i == 1 ? 2 : 0);
	for (unsigned int n = 1; n <= whole.writes; n++) {
		struct failing_sink failing = { n, 0 };
		struct uds_message message;

		sink.context = &failing;
		dropped = 77;
		ck_assert_int_eq(save_zone(index, 0, UINT64_MAX, &sink, &message, &dropped),
				 -ENOSPC);
		ck_assert_ptr_nonnull(strstr(message.text, "zone 0 was not written"));
		ck_assert_uint_eq(dropped, 77);
		ck_assert_uint_eq(failing.writes, n);
	}
	volume_index_free(index);
}
END_TEST

/* ---- Damage ---- */

/* A save of two zones, dense or sparse, with a bit of everything in it. */
struct sample {
	struct geometry geometry;
	struct save save;
	uint32_t lists;		  /* of the first sub-index in stream 0 */
	size_t first_list_header; /* in stream 0 */
};

static void make_sample(bool sparse, struct sample *ret_sample)
{
	struct uds_configuration c = small_configuration(sparse);
	struct volume_index_parameters p;
	struct volume_index *index;
	struct model model;

	random_state = 11;
	ck_assert_int_eq(geometry_make(&c, &ret_sample->geometry, NULL), 0);
	model_make(&model, &ret_sample->geometry, 2);
	ck_assert_int_eq(volume_index_make(&env, &ret_sample->geometry, 2, 1, 5, NULL, &index), 0);
	post_chapters(&model, index, 0, 20, 150);
	save_all(index, &ret_sample->save);
	volume_index_free(index);
	model_free(&model);
	volume_index_parameters_make(&ret_sample->geometry, SUB_INDEX_DENSE, &p);
	ret_sample->lists = (p.list_count + 1) / 2;
	ret_sample->first_list_header = 80 + 10 * (size_t)ret_sample->lists;
	if (sparse)
		ret_sample->first_list_header =
			12 + 2 * ret_sample->first_list_header; /* both have 256 lists */
}

/* Stream @stream with @length bytes at @at replaced must give @status and a message with @text. */
static void check_status(struct sample *sample, unsigned int stream, size_t at, const void *bytes,
			 size_t length, int status, const char *text)
{
	struct volume_index *index = NULL;
	struct uds_message message = { "" };
	uint8_t old[16];
	uint8_t *place = sample->save.streams[stream].bytes + at;
	int r;

	ck_assert_uint_le(length, sizeof(old));
	memcpy(old, place, length);
	memcpy(place, bytes, length);
	r = load_all(&env, &sample->save, &sample->geometry, 2, 5, &message, &index);
	ck_assert_msg(r == status, "expected \"%s\", got status %d", text, r);
	ck_assert_ptr_null(index);
	ck_assert_msg(strstr(message.text, text) != NULL, "expected \"%s\" in \"%s\"", text,
		      message.text);
	memcpy(place, old, length);
}

static void check_refused(struct sample *sample, unsigned int stream, size_t at, const void *bytes,
			  size_t length, const char *text)
{
	check_status(sample, stream, at, bytes, length, UDS_ERR_CORRUPT, text);
}

static void check_refused_u32(struct sample *sample, unsigned int stream, size_t at, uint32_t value,
			      const char *text)
{
	uint8_t bytes[4];

	put_le32(bytes, value);
	check_refused(sample, stream, at, bytes, 4, text);
}

static void check_refused_u64(struct sample *sample, unsigned int stream, size_t at, uint64_t value,
			      const char *text)
{
	uint8_t bytes[8];

	put_le64(bytes, value);
	check_refused(sample, stream, at, bytes, 8, text);
}

START_TEST(each_damaged_field_is_named)
{
	struct sample s;
	size_t delta, sizes, list;

	make_sample(false, &s);
	delta = 40 + 8 * (size_t)s.lists;
	sizes = delta + 40;
	list = s.first_list_header;
	check_refused(&s, 0, 0, "MI5-0006", 8,
		      "zone 0: sub-index header: magic is 4d49352d30303036, "
		      "expected \"MI5-0005\"");
	check_refused(&s, 1, 0, "MI6-0001", 8, "(a sparse index)");
	check_refused_u64(&s, 1, 8, 6, "zone 1: dense sub-index: volume nonce is 0000000000000006");
	check_refused_u64(&s, 0, 16, UINT64_MAX, "low is 18446744073709551615 and high 19");
	check_refused_u64(&s, 0, 16, 21, "low is 21 and high 19");
	check_refused_u64(&s, 0, 16, 99, "low is 99 and high 19");
	check_refused_u64(&s, 0, 16, 0, "low is 0 and high 19");
	check_refused_u64(&s, 1, 24, 18, "high is 18, in the streams before it is 19");
	check_refused_u64(&s, 0, 24, UINT64_MAX, "which no index can reach");
	check_refused_u32(&s, 1, 32, 127, "sub-index header: first list is 127, expected 128");
	check_refused_u32(&s, 1, 36, 129, "129 lists from 128 on, there are only 256");
	check_refused_u32(&s, 1, delta + 20, 127,
			  "delta index header has 127 lists, sub-index header 128");
	check_refused_u64(&s, 0, 40 + 8 * 3, UINT64_MAX, "list 3: flush_from is chapter");
	check_refused(&s, 0, delta, "DI-00001", 8, "expected \"DI-00002\"");
	check_refused_u32(&s, 1, delta + 8, 0, "zone number is 0, expected 1");
	check_refused_u32(&s, 1, delta + 12, 3, "zone count is 3, but there are 2 streams");
	check_refused_u32(&s, 0, delta + 16, 1, "delta index header: first list is 1, expected 0");
	check_refused_u64(&s, 0, delta + 32, UINT64_C(1) << 40, "collision entries among");
	check_refused_u64(&s, 0, delta + 24, 100000, "the headers say 10");
	check_refused_u64(&s, 0, delta + 32, 1, "collision entries, the lists have");
	check_refused(&s, 0, list, "d", 1, "with tag 0x64, expected one more 'm'");
	check_refused(&s, 0, list, "z", 1, "with tag 0x7a");
	check_refused(&s, 0, list + 1, "\x08", 1, "bit offset is 8");
	check_refused(&s, 0, list + 1, "\x07", 1, "byte count is");
	check_refused(&s, 0, list + 2, "\xff\xff", 2, "byte count is 65535, at most 8199");
	check_refused_u32(&s, 0, list + 4, 200, "list number is 200, the lists so far end at 128");
	check_refused_u32(&s, 0, list + 4, UINT32_MAX, "list number is 4294967295");
	check_refused(&s, 0, sizes, "\0\0", 2, "it has data, and size 0");
	check_refused(&s, 0, s.save.streams[0].length - 8, "m", 1,
		      "guard entry: tag is 0x6d, expected 'z'");
	free_save(&s.save);
}
END_TEST

static int add_lasting(void *context, const struct list_entry *entry)
{
	uint64_t *sum = context;

	if (!entry->stale)
		*sum += (entry->address + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ entry->vcn * 31 ^
			(entry->collision_name != NULL);
	return 0;
}

/* Entries that are still there, as a sum that depends on each. */
static uint64_t sum_now(struct volume_index *index)
{
	uint64_t sum = 0;

	for (unsigned int sub = 0; sub < index->subs; sub++) {
		for (uint32_t list = 0; list < volume_index_list_count(index, sub); list++)
			volume_index_walk(index, sub, list, add_lasting, &sum);
	}
	return sum;
}

/* The same when a chapter is open. */
static uint64_t sum_of_lasting(struct volume_index *index, uint64_t open)
{
	for (unsigned int part = 0; part < volume_index_parts(index); part++)
		volume_index_set_part_window(index, part, open, open);
	return sum_now(index);
}

struct chapter_count {
	uint64_t vcn;
	uint64_t entries;
};

static int count_of_chapter(void *context, const struct list_entry *entry)
{
	struct chapter_count *count = context;

	count->entries += !entry->stale && entry->vcn == count->vcn;
	return 0;
}

/* @_i: sparse. */
START_TEST(an_index_has_the_chapters_that_its_entries_lead_to)
{
	struct volume_index *index;
	unsigned int with = 0;
	struct sample s;

	make_sample(_i == 1, &s);
	ck_assert_int_eq(load_all(&env, &s.save, &s.geometry, 2, 5, NULL, &index), 0);
	for (uint64_t vcn = 0; vcn < 24; vcn++) {
		struct chapter_count count = { .vcn = vcn };
		uint64_t found = 0;

		for (unsigned int sub = 0; sub < index->subs; sub++) {
			for (uint32_t list = 0; list < volume_index_list_count(index, sub); list++)
				volume_index_walk(index, sub, list, count_of_chapter, &count);
		}
		for (unsigned int part = 0; part < volume_index_parts(index); part++)
			found += volume_index_count_chapter(index, part, vcn);
		/* Numbers have as many bits as the window needs: others mean a chapter in it. */
		if (vcn >= 19 - index->shapes[0].chapter_mask && vcn <= 19)
			ck_assert_msg(found == count.entries, "chapter %d", (int)vcn);
		with += found > 0;
	}
	ck_assert_uint_gt(with, 5);
	volume_index_free(index);
	free_save(&s.save);
}
END_TEST

/* A window may be empty: then every entry is of a chapter that is no longer there. */
START_TEST(a_save_of_an_empty_window_has_no_lasting_entries)
{
	struct volume_index *index;
	struct sample s;

	make_sample(false, &s);
	put_le64(s.save.streams[0].bytes + 16, 20);
	ck_assert_int_eq(load_all(&env, &s.save, &s.geometry, 1, 5, NULL, &index), 0);
	ck_assert_uint_eq(sum_now(index), 0);
	volume_index_free(index);
	put_le64(s.save.streams[0].bytes + 16, 19);
	ck_assert_int_eq(load_all(&env, &s.save, &s.geometry, 1, 5, NULL, &index), 0);
	ck_assert_uint_ne(sum_now(index), 0);
	volume_index_free(index);
	free_save(&s.save);
}
END_TEST

START_TEST(damaged_sparse_fields_are_named)
{
	struct sample s;

	make_sample(true, &s);
	check_status(&s, 0, 0, "MI5-0005", 8, UDS_ERR_MISMATCH,
		     "(a dense index), expected \"MI6-0001\"");
	check_status(&s, 0, 8, "\4\0\0\0", 4, UDS_ERR_MISMATCH,
		     "sparse header: sample rate is 4, the index has 3");
	check_refused(&s, 1, 0, "MI5-0005", 8, "(a dense index), expected \"MI6-0001\"");
	check_refused_u32(&s, 1, 8, 4, "zone 1: sparse header: sample rate is 4, the index has 3");
	check_refused_u32(&s, 1, 8, 0, "sample rate is 0, the index has 3");
	check_refused_u64(&s, 0, 12 + 8, 6, "non-hook sub-index: volume nonce");
	check_refused_u64(&s, 0, 12 + 80 + 10 * s.lists + 8, 6, "hook sub-index: volume nonce");
	check_refused(&s, 0, s.first_list_header, "m", 1, "tag 0x6d, expected one more 'd' or 's'");
	check_refused(&s, 0, s.first_list_header, "s", 1, "hook sub-index, list");
	free_save(&s.save);
}
END_TEST

START_TEST(a_list_that_is_there_twice_is_refused)
{
	struct sample s;
	uint8_t *bytes;
	size_t first, second, size;

	make_sample(false, &s);
	bytes = s.save.streams[0].bytes;
	first = s.first_list_header;
	size = 8 + get_le16(bytes + first + 2);
	second = first + size;
	/* The second list becomes a copy of the first as far as it reaches; its number decides. */
	check_refused_u32(&s, 0, second + 4, get_le32(bytes + first + 4), "it is there twice");
	free_save(&s.save);
}
END_TEST

START_TEST(every_cut_stream_is_refused)
{
	struct sample s;

	make_sample(true, &s);
	for (size_t length = 0; length < s.save.streams[1].length; length += 1 + length / 50) {
		struct volume_index *index = NULL;
		struct uds_message message = { "" };
		size_t whole = s.save.streams[1].length;
		int r;

		s.save.streams[1].length = length;
		r = load_all(&env, &s.save, &s.geometry, 3, 5, &message, &index);
		s.save.streams[1].length = whole;
		ck_assert_int_eq(r, UDS_ERR_CORRUPT);
		ck_assert_ptr_nonnull(strstr(message.text, "zone 1: it ends inside of the"));
		ck_assert_ptr_null(index);
	}
	free_save(&s.save);
}
END_TEST

START_TEST(a_stream_without_its_guard_is_refused)
{
	struct volume_index *index = NULL;
	struct uds_message message = { "" };
	struct sample s;

	make_sample(false, &s);
	s.save.streams[1].length -= 1;
	ck_assert_int_eq(load_all(&env, &s.save, &s.geometry, 3, 5, &message, &index),
			 UDS_ERR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(message.text, "zone 1: it ends inside of the guard entry"));
	free_save(&s.save);
}
END_TEST

static void cut_out(struct memory_stream *stream, size_t at, size_t length)
{
	memmove(stream->bytes + at, stream->bytes + at + length, stream->length - at - length);
	stream->length -= length;
}

START_TEST(streams_that_lack_lists_are_refused)
{
	struct uds_configuration c = small_configuration(false);
	struct uds_message message = { "" };
	struct volume_index *index;
	struct geometry geometry;
	struct save save;
	uint32_t lists;
	uint8_t *bytes;

	/* Nothing is in it, so a list less is consistent in itself. */
	ck_assert_int_eq(geometry_make(&c, &geometry, NULL), 0);
	ck_assert_int_eq(volume_index_make(&env, &geometry, 1, 1, 5, NULL, &index), 0);
	save_all(index, &save);
	volume_index_free(index);
	bytes = save.streams[0].bytes;
	lists = get_le32(bytes + 36);
	put_le32(bytes + 36, lists - 1);
	cut_out(&save.streams[0], 40, 8);
	put_le32(bytes + 40 + 8 * (lists - 1) + 20, lists - 1);
	cut_out(&save.streams[0], 80 + 8 * (lists - 1), 2);
	ck_assert_int_eq(load_all(&env, &save, &geometry, 1, 5, &message, &index), UDS_ERR_CORRUPT);
	ck_assert_msg(strstr(message.text, "the streams have 255 lists, expected 256") != NULL,
		      "%s", message.text);
	free_save(&save);
}
END_TEST

/* The highest key of each list. */
static void put_key(struct uds_record_name *name, const struct volume_index_parameters *p,
		    uint32_t list)
{
	uint64_t v = (((uint64_t)list + 1) << p->address_bits) - 1;

	for (int i = 0; i < 8; i++)
		name->bytes[i] = (uint8_t)(v >> (56 - 8 * i));
}

/* A save of one zone that has more lists than are handed over at a time, with an entry in each. */
static struct volume_index *make_many_lists(struct geometry *ret_geometry)
{
	struct uds_configuration c = small_configuration(false);
	struct volume_index_parameters p;
	struct volume_index *index;

	c.record_pages_per_chapter = 32;
	c.chapters_per_volume = 64;
	ck_assert_int_eq(geometry_make(&c, ret_geometry, NULL), 0);
	volume_index_parameters_make(ret_geometry, SUB_INDEX_DENSE, &p);
	ck_assert_uint_ge(p.list_count, 600);
	ck_assert_int_eq(volume_index_make(&env, ret_geometry, 1, 1, 5, NULL, &index), 0);
	for (uint32_t list = 0; list < p.list_count; list++) {
		struct uds_record_name name = { { 0 } };
		struct name_place place;
		struct hint hint;

		put_key(&name, &p, list);
		volume_index_locate(index, &name, &place);
		ck_assert_uint_eq(place.list, list);
		volume_index_get(index, &place, &name, &hint);
		ck_assert_int_eq(volume_index_put(index, &hint, &name, 0), 0);
	}
	return index;
}

/* The last bit of a list's code ends the run of zeroes of its last key. */
static void spoil_list(struct save *save, uint32_t list)
{
	uint8_t *bytes = save->streams[0].bytes;
	size_t at = 80 + 10 * (size_t)get_le32(bytes + 36);

	while (get_le32(bytes + at + 4) != list)
		at += 8 + get_le16(bytes + at + 2);
	bytes[at + 8 + get_le16(bytes + at + 2) - 1] = 0;
}

START_TEST(reading_ends_soon_after_a_list_that_is_wrong)
{
	struct volume_index *index, *loaded = NULL;
	struct uds_message message = { "" };
	struct geometry geometry;
	struct save save;

	index = make_many_lists(&geometry);
	save_all(index, &save);
	volume_index_free(index);
	spoil_list(&save, 3);
	ck_assert_int_eq(load_by(NULL, NULL, &env, &save, &geometry, 1, 5, &message, &loaded),
			 UDS_ERR_CORRUPT);
	ck_assert_msg(strstr(message.text, "list 3: entry 0 goes past the end of the list") != NULL,
		      "%s", message.text);
	ck_assert_uint_lt(save.streams[0].at, save.streams[0].length);
	free_save(&save);
}
END_TEST

/* By two threads, each with 64 lists in turn. @_i: which thread has the one that comes first. */
START_TEST(the_first_list_that_is_wrong_is_named)
{
	static const uint32_t wrong[][2] = { { 10, 70 }, { 130, 70 } };
	struct volume_index *index, *loaded = NULL;
	struct uds_message message = { "" };
	struct geometry geometry;
	struct crew *crew;
	struct save save;

	index = make_many_lists(&geometry);
	save_all(index, &save);
	volume_index_free(index);
	for (unsigned int i = 0; i < 2; i++)
		spoil_list(&save, wrong[_i][i]);
	ck_assert_int_eq(crew_make(&env, 2, &crew), 0);
	ck_assert_int_eq(load_by(crew, NULL, &env, &save, &geometry, 1, 5, &message, &loaded),
			 UDS_ERR_CORRUPT);
	ck_assert_msg(strstr(message.text, _i == 0 ? "list 10: " : "list 70: ") != NULL, "%s",
		      message.text);
	/* The sentence is for those who ask. */
	ck_assert_int_eq(load_by(crew, NULL, &env, &save, &geometry, 1, 5, NULL, &loaded),
			 UDS_ERR_CORRUPT);
	crew_free(crew);
	free_save(&save);
}
END_TEST

/* Forty lists of the largest size are more bytes than are handed over at a time. */
START_TEST(lists_of_any_size_load)
{
	struct uds_message message = { "" };
	struct volume_index *index, *loaded;
	struct volume_index_parameters p;
	struct geometry geometry;
	struct save save;

	index = make_many_lists(&geometry);
	volume_index_parameters_make(&geometry, SUB_INDEX_DENSE, &p);
	for (uint32_t i = 0; i < 40 * (DELTA_LIST_MAX_BITS / DELTA_NAME_BITS); i++) {
		struct uds_record_name name = { { 0 } };
		struct name_place place;
		struct hint hint;
		int r;

		put_key(&name, &p, i % 40);
		put_le32(name.bytes + 8, i);
		volume_index_locate(index, &name, &place);
		volume_index_get(index, &place, &name, &hint);
		r = volume_index_put(index, &hint, &name, 0);
		ck_assert(r == 0 || r == UDS_ERR_OVERFLOW);
	}
	save_all(index, &save);
	ck_assert_uint_gt(save.streams[0].length, 300000);
	ck_assert_int_eq(load_by(NULL, NULL, &env, &save, &geometry, 1, 5, &message, &loaded), 0);
	check_same_saves(index, loaded);
	volume_index_free(loaded);
	volume_index_free(index);
	free_save(&save);
}
END_TEST

START_TEST(wrong_numbers_of_streams_are_refused)
{
	struct volume_index *index = NULL;
	struct uds_message message = { "" };
	struct sample s;

	make_sample(false, &s);
	s.save.count = 1;
	ck_assert_int_eq(load_all(&env, &s.save, &s.geometry, 2, 5, &message, &index),
			 UDS_ERR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(message.text, "zone count is 2, but there are 1 streams"));
	ck_assert_int_eq(
		volume_index_load(&env, &s.geometry, 1, 5, NULL, NULL, NULL, 0, &message, &index),
		UDS_ERR_CORRUPT);
	ck_assert_int_eq(
		volume_index_load(&env, &s.geometry, 1, 5, NULL, NULL, NULL, 17, &message, &index),
		UDS_ERR_CORRUPT);
	s.save.count = 2;
	free_save(&s.save);
}
END_TEST

/* Whatever loads must be usable. */
static void use_index(struct volume_index *index)
{
	for (unsigned int i = 0; i < 300; i++) {
		struct uds_record_name name;
		struct hint record;
		struct name_place place;
		uint64_t low, high;

		random_name(&name);
		volume_index_locate(index, &name, &place);
		volume_index_peek(index, &place, &name, &record);
		volume_index_get(index, &place, &name, &record);
		volume_index_window(index, (enum sub_index)place.sub, place.zone, &low, &high);
		if (record.found && i % 3 == 0)
			volume_index_remove(index, &record);
		else
			(void)volume_index_put(index, &record, &name, high);
		if (i % 100 == 99) {
			for (unsigned int zone = 0; zone < index->zones; zone++)
				(void)volume_index_set_open_chapter(index, zone, high + 1);
		}
	}
}

START_TEST(random_damage_is_refused_or_harmless)
{
	uint64_t rounds = test_scaled(3000);
	unsigned int loaded = 0;
	struct sample s[2];

	make_sample(false, &s[0]);
	make_sample(true, &s[1]);
	for (unsigned int i = 0; i < rounds; i++) {
		struct sample *sample = &s[i % 2];
		struct memory_stream *stream = &sample->save.streams[next_random() % 2];
		unsigned int bytes = 1 + next_random() % 3;
		struct volume_index *index = NULL;
		size_t at[3];
		uint8_t old[3];
		int r;

		for (unsigned int k = 0; k < bytes; k++) {
			at[k] = next_random() % stream->length;
			old[k] = stream->bytes[at[k]];
			stream->bytes[at[k]] ^= (uint8_t)(1u << next_random() % 8);
		}
		r = load_all(&env, &sample->save, &sample->geometry, 1 + i % 3, 5, NULL, &index);
		ck_assert(r == 0 || r == UDS_ERR_CORRUPT || r == UDS_ERR_MISMATCH);
		if (r == 0) {
			loaded++;
			use_index(index);
			volume_index_free(index);
		}
		for (unsigned int k = bytes; k-- > 0;)
			stream->bytes[at[k]] = old[k];
	}
	ck_assert_uint_gt(loaded, 0);
	ck_assert_uint_lt(loaded, rounds);
	free_save(&s[0].save);
	free_save(&s[1].save);
}
END_TEST

static int load_and_save(const struct uds_env *with, void *context)
{
	struct sample *s = context;
	struct volume_index *index;
	struct memory_stream stream = { 0 };
	struct byte_sink sink = { write_memory, &stream };
	uint64_t dropped;
	int r;

	r = load_all(with, &s->save, &s->geometry, 3, 5, NULL, &index);
	if (r < 0)
		return r;
	r = save_zone(index, 1, stream.length + 30000, &sink, NULL, &dropped);
	volume_index_free(index);
	free(stream.bytes);
	return r;
}

static void check_saved_again(struct volume_index *index, const struct geometry *geometry)
{
	struct volume_index *again;
	struct save save;

	save_all(index, &save);
	ck_assert_int_eq(load_all(&env, &save, geometry, 1, 5, NULL, &again), 0);
	volume_index_free(again);
	free_save(&save);
}

START_TEST(entries_that_are_too_old_are_left_out_of_a_load)
{
	/* From none to all: the sample has chapters 0 to 19, and volumes have fewer. */
	static const uint64_t low_ofs[] = { 19, 20, 21, 24, 30, 60, 5000 };
	struct volume_index *all, *some;
	struct sample s;

	make_sample(_i % 2 != 0, &s);
	for (unsigned int i = 0; i < sizeof(low_ofs) / sizeof(low_ofs[0]); i++) {
		const struct volume_index_cut cut = { .low_of = low_ofs[i], .high = 19 };
		struct volume_index_statistics before = { 0 }, after = { 0 };
		struct crew *crew;

		ck_assert_int_eq(crew_make(&env, 1 + i % 3, &crew), 0);
		ck_assert_int_eq(load_by(NULL, NULL, &env, &s.save, &s.geometry, 1, 5, NULL, &all),
				 0);
		ck_assert_int_eq(load_by(crew, &cut, &env, &s.save, &s.geometry, 1, 5, NULL, &some),
				 0);
		ck_assert_int_eq(volume_index_join(some), 0);
		volume_index_add_statistics(all, 0, &before);
		volume_index_add_statistics(some, 0, &after);
		ck_assert_uint_eq(after.entries + after.discards, before.entries);
		ck_assert(low_ofs[i] < 30 || after.entries < before.entries);
		/* Sizes are right: a save of them can be read. */
		check_saved_again(some, &s.geometry);
		ck_assert_uint_eq(sum_of_lasting(some, low_ofs[i]),
				  sum_of_lasting(all, low_ofs[i]));
		volume_index_free(all);
		volume_index_free(some);
		crew_free(crew);
	}
	free_save(&s.save);
}
END_TEST

/* Names of chapters 19 to 24: new ones, and some with the address of one that came before. */
static uint8_t *make_pages(const struct geometry *geometry)
{
	const uint32_t count = 6 * geometry->records_per_chapter;
	uint8_t *records = calloc(count, UDS_RECORD_BYTES);

	for (uint32_t i = 0; i < count; i++) {
		uint8_t *name = records + (size_t)i * UDS_RECORD_BYTES;
		size_t length;

		put_le64(name, next_random());
		put_le64(name + 8, next_random());
		if (i > 0 && next_random() % 50 == 0) {
			/* One draw after the other: of arguments each compiler has its order. */
			length = next_random() % 2 == 0 ? 8 : UDS_NAME_BYTES;
			memcpy(name, records + next_random() % i * UDS_RECORD_BYTES, length);
		}
	}
	return records;
}

/* All names, or those that @additions have left. Returns how many. */
static uint32_t enter_names(struct volume_index *index, const struct geometry *geometry,
			    const uint8_t *records, const struct additions *additions)
{
	const uint32_t count = geometry->records_per_chapter;
	uint32_t entered = 0;

	for (uint64_t vcn = 19; vcn < 25; vcn++, records += (size_t)count * UDS_RECORD_BYTES) {
		for (unsigned int part = 0; part < volume_index_parts(index); part++)
			volume_index_set_part_window(index, part, 25, vcn);
		for (uint32_t i = 0; i < count; i++) {
			struct uds_record_name name;

			if (additions != NULL && additions_next_left(additions, vcn, i) != i)
				continue;
			memcpy(&name, records + (size_t)i * UDS_RECORD_BYTES, sizeof(name));
			enter_name(index, &name, vcn);
			entered++;
		}
	}
	return entered;
}

static struct additions *make_additions(struct crew *crew, const struct geometry *geometry,
					const uint8_t *records)
{
	const unsigned int members = crew_members(crew);
	struct additions *additions = additions_make(&env, geometry, members, 19, 6);

	ck_assert_ptr_nonnull(additions);
	for (uint64_t vcn = 19; vcn < 25; vcn++) {
		for (uint32_t page = 0; page < geometry->record_pages_per_chapter; page++) {
			additions_add_page(additions, page % members, vcn, page, records, false);
			records += geometry->page_bytes;
		}
	}
	ck_assert_int_eq(additions_sort(additions, crew), 0);
	return additions;
}

/* The members of a crew find all entries of the chapter that share their address. */
static void check_same_shared(const struct shared_entries *slow, const struct shared_entries *fast)
{
	ck_assert_uint_eq(slow->count, fast->count);
	for (size_t i = 0; i < slow->count; i++) {
		const struct shared_entry *entry = &slow->entries[i];

		ck_assert_ptr_eq(shared_entries_find(fast, entry->sub, entry->list, entry->address,
						     entry->has_name ? &entry->name : NULL),
				 &fast->entries[i]);
	}
}

/* @_i: bit 0 sparse; above, members of the crew less 1. */
START_TEST(a_load_with_additions_makes_what_entering_them_makes)
{
	struct volume_index_cut cut = { .low_of = 25, .high = 19, .without_high = true };
	struct shared_entries shared[2] = { { .env = &env }, { .env = &env } };
	struct volume_index *slow, *fast;
	struct crew *crew;
	struct sample s;
	uint8_t *records;
	uint32_t left, all;

	make_sample(_i % 2 != 0, &s);
	records = make_pages(&s.geometry);
	ck_assert_int_eq(crew_make(&env, 1 + (unsigned int)_i / 2, &crew), 0);
	cut.shared = &shared[0];
	ck_assert_int_eq(load_by(NULL, &cut, &env, &s.save, &s.geometry, 1, 5, NULL, &slow), 0);
	all = enter_names(slow, &s.geometry, records, NULL);
	cut.additions = make_additions(crew, &s.geometry, records);
	cut.shared = &shared[1];
	ck_assert_int_eq(load_by(crew, &cut, &env, &s.save, &s.geometry, 1, 5, NULL, &fast), 0);
	check_same_shared(&shared[0], &shared[1]);
	ck_assert(_i % 2 != 0 || shared[0].count > 0);
	left = enter_names(fast, &s.geometry, records, cut.additions);
	ck_assert_uint_gt(left, all / 100);
	ck_assert_uint_lt(left, all - all / 10);
	ck_assert_int_eq(volume_index_join(fast), 0);
	check_same_saves(slow, fast);
	check_same_statistics(slow, fast, crew_members(crew));
	shared_entries_clear(&shared[0]);
	shared_entries_clear(&shared[1]);
	additions_free(cut.additions);
	volume_index_free(slow);
	volume_index_free(fast);
	crew_free(crew);
	free(records);
	free_save(&s.save);
}
END_TEST

/* Of chapters that are too old for the window that the load cuts: all are left. */
START_TEST(additions_of_chapters_that_are_gone_are_left)
{
	struct volume_index_cut cut = { .low_of = 60, .high = 19 };
	struct volume_index *index;
	struct crew *crew;
	struct sample s;
	uint8_t *records;
	uint32_t most;

	make_sample(false, &s);
	records = make_pages(&s.geometry);
	most = s.geometry.records_per_chapter;
	ck_assert_int_eq(crew_make(&env, 1, &crew), 0);
	cut.additions = make_additions(crew, &s.geometry, records);
	ck_assert_int_eq(load_by(crew, &cut, &env, &s.save, &s.geometry, 1, 5, NULL, &index), 0);
	for (uint64_t vcn = 19; vcn < 25; vcn++) {
		for (uint32_t i = 0; i < most; i++)
			ck_assert_uint_eq(additions_next_left(cut.additions, vcn, i), i);
	}
	additions_free(cut.additions);
	volume_index_free(index);
	crew_free(crew);
	free(records);
	free_save(&s.save);
}
END_TEST

struct failing_load {
	struct sample sample;
	uint8_t *records;
	struct crew *crew;
};

/* A load that leaves out what is old and adds what came later. */
static int load_with_additions(const struct uds_env *with, void *context)
{
	struct volume_index_cut cut = { .low_of = 25, .high = 19, .without_high = true };
	struct shared_entries shared = { .env = with };
	struct failing_load *load = context;
	const struct geometry *geometry = &load->sample.geometry;
	const unsigned int members = crew_members(load->crew);
	struct volume_index *index;
	int r;

	cut.additions = additions_make(with, geometry, members, 19, 6);
	if (cut.additions == NULL)
		return -ENOMEM;
	for (uint32_t page = 0; page < geometry->record_pages_per_chapter; page++)
		additions_add_page(cut.additions, page % members, 20, page,
				   load->records + (size_t)page * geometry->page_bytes, false);
	r = additions_sort(cut.additions, load->crew);
	cut.shared = &shared;
	if (r == 0)
		r = load_by(load->crew, &cut, with, &load->sample.save, geometry, 1, 5, NULL,
			    &index);
	if (r == 0)
		volume_index_free(index);
	shared_entries_clear(&shared);
	additions_free(cut.additions);
	return r;
}

START_TEST(every_failing_allocation_of_a_load_with_additions_is_survived)
{
	struct failing_load load;

	make_sample(false, &load.sample);
	load.records = make_pages(&load.sample.geometry);
	ck_assert_int_eq(crew_make(&env, 2, &load.crew), 0);
	torture_each_allocation(load_with_additions, &load, false);
	crew_free(load.crew);
	free(load.records);
	free_save(&load.sample.save);
}
END_TEST

START_TEST(every_failing_allocation_is_survived)
{
	struct sample s;

	make_sample(true, &s);
	torture_each_allocation(load_and_save, &s, false);
	free_save(&s.save);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("volume index streams");
	TCase *origin = tcase_create("origin");
	TCase *own = tcase_create("own");
	TCase *damage = tcase_create("damage");

	tcase_set_timeout(damage, 60);

	env_complete(guarded_env(), &env);
	tcase_add_test(origin, streams_of_the_origin_load_list_by_list);
	tcase_add_test(origin, streams_of_the_origin_load_into_any_zones_and_back);
	tcase_add_test(origin, one_zone_is_saved_as_the_origin_does);
	suite_add_tcase(suite, origin);
	tcase_add_test(own, dense_indexes_go_on_after_saves_with_other_zones);
	tcase_add_test(own, sparse_indexes_go_on_after_saves_with_other_zones);
	tcase_add_test(own, what_the_origin_could_not_load_is_left_out_of_the_save);
	tcase_add_test(own, a_small_region_gets_the_newest_chapters);
	tcase_add_loop_test(own, entries_that_are_too_old_are_left_out_of_a_load, 0, 2);
	tcase_add_loop_test(own, a_load_with_additions_makes_what_entering_them_makes, 0, 6);
	tcase_add_loop_test(own, a_write_that_fails_ends_the_save, 0, 2);
	suite_add_tcase(suite, own);
	tcase_add_test(damage, each_damaged_field_is_named);
	tcase_add_test(damage, a_save_of_an_empty_window_has_no_lasting_entries);
	tcase_add_test(damage, damaged_sparse_fields_are_named);
	tcase_add_test(damage, a_list_that_is_there_twice_is_refused);
	tcase_add_test(damage, every_cut_stream_is_refused);
	tcase_add_test(damage, a_stream_without_its_guard_is_refused);
	tcase_add_test(damage, streams_that_lack_lists_are_refused);
	tcase_add_test(damage, reading_ends_soon_after_a_list_that_is_wrong);
	tcase_add_loop_test(damage, the_first_list_that_is_wrong_is_named, 0, 2);
	tcase_add_test(damage, lists_of_any_size_load);
	tcase_add_test(damage, wrong_numbers_of_streams_are_refused);
	tcase_add_test(damage, random_damage_is_refused_or_harmless);
	tcase_add_test(damage, every_failing_allocation_is_survived);
	tcase_add_test(damage, every_failing_allocation_of_a_load_with_additions_is_survived);
	tcase_add_test(own, additions_of_chapters_that_are_gone_are_left);
	tcase_add_loop_test(own, an_index_has_the_chapters_that_its_entries_lead_to, 0, 2);
	suite_add_tcase(suite, damage);
	return run_suite(suite);
}
