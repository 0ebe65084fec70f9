/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The volume: page map, lookups, finding chapters. On the reference's images, and on what is left
 * of them after damage.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/env.h"
#include "chapter/record_page.h"
#include "check_main.h"
#include "fault_io.h"
#include "geometry/name_bits.h"
#include "index_image.h"
#include "volume/empty_volume.h"
#include "volume/find_chapters.h"
#include "volume/layout.h"
#include "volume/page_keeping.h"
#include "volume/volume.h"
#include "volume/volume_private.h"
#include "volume/volume_search.h"

/* An image with its volume open. */
struct opened {
	struct index_image image;
	struct uds_io *io;
	struct layout layout;
	struct volume *volume;
};

static void open_io(struct opened *o, uint64_t offset)
{
	struct uds_message message = { "" };
	struct uds_env env;
	int r;

	ck_assert_int_eq(env_complete(NULL, &env), 0);
	r = layout_read(o->io, offset, &message, &o->layout);
	ck_assert_msg(r == 0, "%s", message.text);
	ck_assert_int_eq(volume_open(o->io, &o->layout, 0, NULL, &env, &o->volume), 0);
}

static void open_image(const char *name, struct opened *o)
{
	index_image_load(name, &o->image);
	o->io = index_image_io(&o->image);
	open_io(o, o->image.offset);
}

/* The image in a file that is mapped. */
static void map_image(struct opened *o)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	char path[400];

	snprintf(path, sizeof(path), "%s/mapped", scratch_dir());
	options.write = options.create = options.map = true;
	volume_close(o->volume);
	uds_io_close(o->io);
	ck_assert_int_eq(uds_io_open_file(path, &options, NULL, NULL, &o->io), 0);
	unlink(path);
	ck_assert_int_eq(uds_io_resize(o->io, o->image.size), 0);
	ck_assert_int_eq(uds_io_write(o->io, o->image.bytes, o->image.size, 0), 0);
	open_io(o, o->image.offset);
}

static void close_image(struct opened *o)
{
	volume_close(o->volume);
	uds_io_close(o->io);
	index_image_free(&o->image);
}

/* Fills the page map from what is on the volume. */
static struct found_chapters find(struct opened *o)
{
	struct uds_message message = { "" };
	struct found_chapters found;
	int r = volume_find_chapters(o->volume, NULL, &message, &found);

	ck_assert_msg(r == 0, "%s", message.text);
	return found;
}

/* What the first line of the final queries says: the state after opening. */
static void expected_state(const char *name, uint64_t *ret_newest, uint64_t *ret_oldest)
{
	char command[1024], line[256] = "";
	unsigned long long newest, oldest;
	FILE *f;

	snprintf(command, sizeof(command), "xz -dc '%s/uds/index/%s.final.xz'", vectors_dir(),
		 name);
	f = popen(command, "r");
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), f));
	while (fgetc(f) != EOF)
		;
	pclose(f);
	ck_assert_msg(
		sscanf(line, "# opened zones %*u newest %llu oldest %llu", &newest, &oldest) == 2,
		"%s", line);
	*ret_newest = newest;
	*ret_oldest = oldest;
}

START_TEST(the_chapters_of_every_image_are_found)
{
	const char *const *names = index_image_names();

	if (names == NULL)
		skip_test("the_chapters_of_every_image_are_found: no vectors");
	for (; *names != NULL; names++) {
		struct found_chapters found;
		uint64_t newest, oldest;
		struct opened o;

		open_image(*names, &o);
		found = find(&o);
		if (strcmp(*names, "does-not-fit") != 0 &&
		    (!o.image.clean || strncmp(*names, "converted", 9) != 0)) {
			expected_state(*names, &newest, &oldest);
			ck_assert_msg(found.newest == newest && found.oldest == oldest,
				      "%s: expected %" PRIu64 " to %" PRIu64 ", found %" PRIu64
				      " to %" PRIu64,
				      *names, oldest, newest, found.oldest, found.newest);
		}
		ck_assert_uint_eq(found.lost, 0);
		ck_assert_uint_eq(found.strays, 0);
		ck_assert_int_eq(volume_is_empty(o.volume, NULL), found.newest == 0);
		found_chapters_free(o.volume, &found);
		close_image(&o);
	}
}
END_TEST

/* Reads the saved page map of the latest save. */
static uint8_t *saved_map(struct opened *o, const struct save **ret_save)
{
	struct uds_message message = { "" };
	uint8_t *bytes;

	if (saves_latest(&o->layout.saves, &o->layout.geometry, &message, ret_save) < 0)
		return NULL;
	bytes = malloc((*ret_save)->page_map.bytes);
	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(uds_io_read(o->io, bytes, (*ret_save)->page_map.bytes,
				     (*ret_save)->page_map.offset),
			 0);
	return bytes;
}

START_TEST(the_page_map_of_every_save_is_read_and_written_again)
{
	const char *const *names = index_image_names();

	if (names == NULL)
		skip_test("the_page_map_of_every_save_is_read_and_written_again: no vectors");
	for (; *names != NULL; names++) {
		struct uds_message message = { "" };
		const struct save *save = NULL;
		struct opened o;
		uint8_t *saved, *again;
		uint64_t bytes;
		int r;

		open_image(*names, &o);
		saved = saved_map(&o, &save);
		bytes = page_map_bytes(o.volume->map);
		if (saved != NULL) {
			ck_assert_uint_le(bytes, save->page_map.bytes);
			r = page_map_decode(o.volume->map, saved, &message);
			ck_assert_msg(r == 0, "%s: %s", *names, message.text);
			again = calloc(1, save->page_map.bytes);
			page_map_encode(o.volume->map, again);
			ck_assert_mem_eq(saved, again, save->page_map.bytes);
			free(again);
		}
		free(saved);
		close_image(&o);
	}
}
END_TEST

START_TEST(the_page_map_found_on_the_volume_is_that_of_the_save)
{
	const char *const *names = index_image_names();

	if (names == NULL)
		skip_test("the_page_map_found_on_the_volume_is_that_of_the_save: no vectors");
	for (; *names != NULL; names++) {
		const struct save *save = NULL;
		struct found_chapters found;
		struct opened o;
		uint8_t *saved;

		open_image(*names, &o);
		saved = o.image.clean ? saved_map(&o, &save) : NULL;
		if (saved != NULL) {
			const struct geometry *g = &o.volume->geometry;

			found = find(&o);
			for (uint64_t vcn = found.oldest; vcn < found.newest; vcn++) {
				uint32_t slot = geometry_physical_chapter(g, vcn);

				for (uint32_t page = 0; page + 1 < g->index_pages_per_chapter;
				     page++) {
					struct page_bounds b =
						page_map_page(o.volume->map, slot, page);
					uint32_t at =
						slot * (g->index_pages_per_chapter - 1) + page;

					ck_assert_uint_eq(get_le16(saved + 16 + 2 * at),
							  b.first_list + b.list_count - 1);
				}
			}
			ck_assert_uint_eq(atomic_load(&o.volume->map->last_update),
					  get_le64(saved + 8));
			found_chapters_free(o.volume, &found);
		}
		free(saved);
		close_image(&o);
	}
}
END_TEST

START_TEST(a_list_is_looked_up_on_the_page_that_has_it)
{
	struct geometry geometry = { .chapters_per_volume = 3,
				     .index_pages_per_chapter = 6,
				     .delta_lists_per_chapter = 100 };
	static const uint32_t counts[][6] = {
		{ 20, 20, 20, 20, 20, 0 }, /* the last page is empty */
		{ 1, 1, 1, 1, 1, 95 },
		{ 99, 0, 1, 0, 0, 0 },
	};
	struct page_map *map;
	struct uds_env env;

	ck_assert_int_eq(env_complete(NULL, &env), 0);
	ck_assert_int_eq(page_map_make(&env, &geometry, &map), 0);
	for (uint32_t c = 0; c < 3; c++) {
		uint16_t last_lists[5];

		for (uint32_t page = 0, next = 0; page < 5; page++) {
			next += counts[c][page];
			last_lists[page] = (uint16_t)(next - 1);
		}
		page_map_set(map, c, c + 6, last_lists);
	}
	for (uint32_t c = 0; c < 3; c++) {
		for (uint32_t list = 0, page = 0, left = counts[c][0]; list < 100; list++, left--) {
			struct page_bounds b = page_map_find(map, c, list);

			while (left == 0)
				left = counts[c][++page];
			ck_assert_uint_eq(b.page, page);
			ck_assert_uint_eq(b.list_count, counts[c][page]);
			ck_assert_uint_le(b.first_list, list);
			ck_assert_uint_lt(list, b.first_list + b.list_count);
		}
	}
	ck_assert_uint_eq(page_map_page(map, 0, 5).first_list, 100);
	ck_assert_uint_eq(page_map_page(map, 0, 5).list_count, 0);
	ck_assert_uint_eq(atomic_load(&map->last_update), 8);
	page_map_free(map);
}
END_TEST

START_TEST(a_damaged_page_map_is_refused_and_leaves_the_old_one)
{
	struct geometry geometry = { .chapters_per_volume = 3,
				     .index_pages_per_chapter = 3,
				     .delta_lists_per_chapter = 100 };
	static const uint16_t last_lists[] = { 29, 59 };
	static const struct {
		size_t at;
		uint16_t value;
		const char *says;
	} damages[] = {
		{ 0, 0, "page map: magic: expected \"ALBIPM02\"" },
		{ 6, 0x3130, "page map: magic" },
		{ 16 + 4, 100,
		  "chapter slot 1, index page 0: highest list: expected 0 to 99, found 100" },
		{ 16 + 4, 65535, "chapter slot 1, index page 0" },
		{ 16 + 10, 28, "chapter slot 2, index page 1: highest list: expected 29 to 99" },
	};
	struct uds_message message;
	struct page_map *map;
	uint8_t good[28], bytes[28];
	struct uds_env env;

	ck_assert_int_eq(env_complete(NULL, &env), 0);
	ck_assert_int_eq(page_map_make(&env, &geometry, &map), 0);
	for (uint32_t c = 0; c < 3; c++)
		page_map_set(map, c, c, last_lists);
	ck_assert_uint_eq(page_map_bytes(map), sizeof(good));
	page_map_encode(map, good);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		memcpy(bytes, good, sizeof(good));
		put_le16(bytes + damages[i].at, damages[i].value);
		ck_assert_int_eq(page_map_decode(map, bytes, &message), UDS_ERR_CORRUPT);
		ck_assert_msg(strstr(message.text, damages[i].says) != NULL, "%s", message.text);
		page_map_encode(map, bytes);
		ck_assert_mem_eq(bytes, good, sizeof(good));
	}
	page_map_free(map);
}
END_TEST

/* How a volume reads. */
enum way {
	PARTS,	  /* small parts, as from the system's page cache */
	PAGES,	  /* whole pages, as from a device */
	FILLED,	  /* as PARTS, with a cache that has room for pages */
	TOGETHER, /* whole pages, many lookups at once */
	CROWDED,  /* as PARTS, with so many lookups of one chapter that its pages are kept */
	MAPPED,	  /* parts in place, many lookups at once */
	FETCHED,  /* as FILLED, many lookups at once */
	WAYS
};

/* So many lookups of one chapter are enough for CROWDED. */
#define CROWD_OF 32u

static void set_way(struct opened *o, enum way way)
{
	atomic_store(&o->volume->reader.slowness,
		     way == PAGES || way == TOGETHER ? 1 << 30 : -(1 << 30));
	if (way == PARTS || way == CROWDED)
		memset(o->volume->reader.quick_room, 0, sizeof(o->volume->reader.quick_room));
}

/* Looks for a name in one record page. */
static int search_record_page(struct volume *volume, uint64_t vcn, uint32_t record_page,
			      const struct uds_record_name *name, bool *ret_found,
			      struct uds_record_data *ret_data, struct uds_message *ret_message)
{
	struct volume_search search = {
		.vcn = vcn, .name = *name, .knows_page = true, .record_page = record_page
	};
	int r = volume_search_many(volume, &search, 1, ret_message);

	*ret_found = search.found;
	*ret_data = search.data;
	return r;
}

/*
 * Whether the list of a name was emptied, because it did not fit on the chapter's index pages
 * (8.2).
 */
static bool list_was_emptied(struct opened *o, uint64_t vcn, const struct uds_record_name *name)
{
	const struct geometry *g = &o->volume->geometry;
	struct page_bounds b = page_map_find(o->volume->map, geometry_physical_chapter(g, vcn),
					     chapter_list(g, name));
	uint8_t *pages = malloc((size_t)g->index_pages_per_chapter * g->page_bytes);
	struct index_page_head heads[64];
	uint32_t start, bits = 1;

	ck_assert_uint_le(g->index_pages_per_chapter, 64);
	ck_assert_int_eq(volume_read_chapter_index(o->volume, vcn, pages, heads, NULL), 0);
	ck_assert_int_eq(index_page_find_list(&o->volume->reader.code, &heads[b.page],
					      pages + (size_t)b.page * g->page_bytes,
					      chapter_list(g, name), &start, &bits),
			 0);
	free(pages);
	return bits == 0;
}

/* Looks up the names of all records of a chapter; each must be found with its data. */
static void search_all(struct opened *o, uint64_t vcn, enum way way)
{
	const struct geometry *g = &o->volume->geometry;
	uint32_t slot = geometry_physical_chapter(g, vcn);
	uint32_t count = g->records_per_chapter;
	struct volume_search *searches = calloc(count, sizeof(*searches));
	uint8_t *pages = malloc((size_t)count * 32);
	struct uds_message message = { "" };
	uint64_t read;
	int r = 0;

	ck_assert_int_eq(
		uds_io_read(o->io, pages, (size_t)count * 32,
			    volume_page_offset(o->volume, slot, g->index_pages_per_chapter)),
		0);
	for (uint32_t i = 0; i < count; i++) {
		searches[i].vcn = vcn;
		memcpy(searches[i].name.bytes, pages + (size_t)i * 32, 16);
		if (way >= TOGETHER)
			continue;
		r = volume_search_chapter(o->volume, vcn, &searches[i].name, &searches[i].found,
					  &searches[i].data, &message);
		ck_assert_msg(r == 0, "%s", message.text);
	}
	read = volume_pages_read(o->volume);
	if (way >= TOGETHER)
		r = volume_search_many(o->volume, searches, count, &message);
	ck_assert_msg(r == 0, "%s", message.text);
	if (way == MAPPED)
		ck_assert_uint_eq(volume_pages_read(o->volume), read);
	/* Each page once, however many names are on it. */
	if (way == CROWDED && page_cache_has_room(o->volume->reader.cache))
		ck_assert_uint_le(volume_pages_read(o->volume) - read, g->pages_per_chapter);
	for (uint32_t i = 0; i < count; i++) {
		ck_assert_int_eq(searches[i].status, 0);
		if (!searches[i].found && list_was_emptied(o, vcn, &searches[i].name))
			continue;
		ck_assert_msg(searches[i].found, "%s: chapter %" PRIu64 ", record %" PRIu32,
			      o->image.name, vcn, i);
		ck_assert_mem_eq(searches[i].data.bytes, pages + (size_t)i * 32 + 16, 16);

		/* And one that differs in the last bit is not there. */
		searches[i].name.bytes[15] ^= 1;
		searches[i].found = true;
		r = volume_search_chapter(o->volume, vcn, &searches[i].name, &searches[i].found,
					  &searches[i].data, &message);
		ck_assert_msg(r == 0 && !searches[i].found, "%s", message.text);
	}
	free(pages);
	free(searches);
}

START_TEST(every_record_of_every_image_is_found_through_its_chapter_index)
{
	const char *const *names = index_image_names();

	if (names == NULL)
		skip_test("every_record_of_every_image_is_found_through_its_chapter_index: "
			  "no vectors");
	for (; *names != NULL; names++) {
		struct found_chapters found;
		struct opened o;

		open_image(*names, &o);
		if (_i == MAPPED)
			map_image(&o);
		found = find(&o);
		set_way(&o, _i);
		/* Each way takes other chapters, if not all. */
		for (uint64_t vcn = found.oldest + (uint64_t)_i % test_step(); vcn < found.newest;
		     vcn += test_step())
			search_all(&o, vcn, _i);
		found_chapters_free(o.volume, &found);
		close_image(&o);
	}
}
END_TEST

/* Kept pages go with their chapter, and damage is seen in each page that comes in. */
START_TEST(pages_that_are_kept_are_of_the_chapter_that_is_there)
{
	struct volume_search searches[CROWD_OF];
	struct uds_message message = { "" };
	struct found_chapters found;
	struct opened o;
	uint64_t page, read;
	uint8_t byte;

	if (vectors_dir() == NULL)
		skip_test("pages_that_are_kept_are_of_the_chapter_that_is_there: no vectors");
	open_image("dense-2page-crash", &o);
	found = find(&o);
	set_way(&o, CROWDED);
	page = volume_page_offset(o.volume, 1, o.volume->geometry.index_pages_per_chapter);
	for (unsigned int i = 0; i < CROWD_OF; i++) {
		searches[i] = (struct volume_search){ .vcn = found.oldest };
		uds_io_read(o.io, searches[i].name.bytes, 16, page + i * UDS_RECORD_BYTES);
	}
	/* One fewer is no crowd: nothing is kept. */
	ck_assert_int_eq(volume_search_many(o.volume, searches, CROWD_OF - 1, &message), 0);
	ck_assert(page_cache_bytes(o.volume->reader.cache) < o.volume->geometry.page_bytes);
	ck_assert_int_eq(volume_search_many(o.volume, searches, CROWD_OF, &message), 0);
	ck_assert(page_cache_bytes(o.volume->reader.cache) > o.volume->geometry.page_bytes);
	read = volume_pages_read(o.volume);
	ck_assert_int_eq(volume_search_many(o.volume, searches, CROWD_OF, &message), 0);
	ck_assert_uint_eq(volume_pages_read(o.volume), read);

	volume_begin_write(o.volume, 1, 0);
	ck_assert_int_eq(volume_search_many(o.volume, searches, CROWD_OF, &message), 0);
	for (unsigned int i = 0; i < CROWD_OF; i++)
		ck_assert(!searches[i].found);
	/* Both index pages, in their unused ends: seen where a page is read whole. */
	for (uint32_t i = 0; i < 2; i++) {
		page = volume_page_offset(o.volume, 1, i) + 4089;
		uds_io_read(o.io, &byte, 1, page);
		byte ^= 0x80;
		uds_io_write(o.io, &byte, 1, page);
	}
	volume_end_write(o.volume, 1, 0, NULL);
	ck_assert_int_eq(volume_search_many(o.volume, searches, CROWD_OF, &message),
			 UDS_ERR_CORRUPT);
	for (unsigned int i = 0; i < CROWD_OF; i++)
		ck_assert_int_eq(searches[i].status, UDS_ERR_CORRUPT);
	found_chapters_free(o.volume, &found);
	close_image(&o);
}
END_TEST

/* A cache for a few pages only would read whole pages again and again. */
START_TEST(a_small_cache_keeps_no_pages_of_crowds)
{
	struct volume_search searches[2 * CROWD_OF];
	struct uds_message message = { "" };
	struct found_chapters found;
	struct uds_env env;
	struct opened o;
	uint64_t page;

	if (vectors_dir() == NULL)
		skip_test("a_small_cache_keeps_no_pages_of_crowds: no vectors");
	open_image("dense-2page-crash", &o);
	volume_close(o.volume);
	ck_assert_int_eq(env_complete(NULL, &env), 0);
	ck_assert_int_eq(volume_open(o.io, &o.layout, 65536, NULL, &env, &o.volume), 0);
	found = find(&o);
	set_way(&o, CROWDED);
	page = volume_page_offset(o.volume, 1, o.volume->geometry.index_pages_per_chapter);
	for (unsigned int i = 0; i < 2 * CROWD_OF; i++) {
		searches[i] = (struct volume_search){ .vcn = found.oldest };
		uds_io_read(o.io, searches[i].name.bytes, 16, page + i * UDS_RECORD_BYTES);
	}
	ck_assert_int_eq(volume_search_many(o.volume, searches, 2 * CROWD_OF, &message), 0);
	for (unsigned int i = 0; i < 2 * CROWD_OF; i++)
		ck_assert(searches[i].found);
	ck_assert(page_cache_bytes(o.volume->reader.cache) < o.volume->geometry.page_bytes);
	found_chapters_free(o.volume, &found);
	close_image(&o);
}
END_TEST

/* Opens the volume again, with a cache for so many pages. */
static void open_with_cache(struct opened *o, uint32_t pages)
{
	const uint32_t page_bytes = o->volume->geometry.page_bytes;
	uint64_t heads = slot_table_full_bytes(&o->volume->geometry);
	uint64_t bytes = pages * page_cache_page_bytes(page_bytes);
	struct uds_env env;

	/* Heads get half at most. */
	bytes += heads < bytes ? heads : bytes;
	volume_close(o->volume);
	ck_assert_int_eq(env_complete(NULL, &env), 0);
	ck_assert_int_eq(volume_open(o->io, &o->layout, bytes, NULL, &env, &o->volume), 0);
	ck_assert_uint_eq(page_cache_limit(o->volume->reader.cache), pages);
}

/* Where reads are quick, pages are cached if so much room is there that most are found. */
START_TEST(quick_reads_cache_index_pages_first_and_record_pages_if_there_is_room)
{
	static const struct {
		uint32_t index_part, record_part; /* of all, eighths */
		bool index, records;		  /* are cached */
		uint32_t most_reads;		  /* of a lookup, once they are */
	} rooms[] = {
		{ 1, 0, false, false, 2 },
		{ 2, 0, true, false, 1 },
		{ 8, 0, true, false, 1 },
		{ 8, 8, true, true, 0 },
	};

	if (vectors_dir() == NULL)
		skip_test("quick_reads_cache_index_pages_first_and_record_pages_if_there_is_room: "
			  "no vectors");
	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		struct found_chapters found;
		const struct geometry *g;
		struct page_cache *cache;
		uint64_t second;
		struct opened o;

		open_image("early-expiry", &o); /* 40 chapters */
		g = &o.volume->geometry;
		open_with_cache(&o, (rooms[i].index_part * g->index_pages_per_chapter +
				     rooms[i].record_part * g->record_pages_per_chapter) *
					    g->chapters_per_volume / 8);
		g = &o.volume->geometry;
		cache = o.volume->reader.cache;
		found = find(&o);
		set_way(&o, FILLED);
		search_all(&o, found.oldest, FILLED);
		second = volume_pages_read(o.volume);
		ck_assert_uint_eq(page_cache_count(cache, PAGE_OF_INDEX),
				  rooms[i].index ? g->index_pages_per_chapter : 0);
		ck_assert_uint_eq(page_cache_count(cache, PAGE_OF_RECORDS),
				  rooms[i].records ? g->record_pages_per_chapter : 0);
		search_all(&o, found.oldest, FILLED);
		/* Two names for each record; one read for each page that is not cached. */
		ck_assert_uint_le(volume_pages_read(o.volume) - second,
				  2 * g->records_per_chapter * rooms[i].most_reads);
		ck_assert_uint_ge(volume_pages_read(o.volume) - second,
				  2 * g->records_per_chapter * rooms[i].most_reads * 9 / 10);
		found_chapters_free(o.volume, &found);
		close_image(&o);
	}
}
END_TEST

/* More chapters than there is room for: nothing that is cached makes way. */
START_TEST(quick_reads_do_not_evict_index_pages)
{
	struct found_chapters found;
	uint32_t limit;
	struct opened o;

	if (vectors_dir() == NULL)
		skip_test("quick_reads_do_not_evict_index_pages: no vectors");
	open_image("early-expiry", &o);
	limit = o.volume->geometry.index_pages_per_chapter * 10;
	open_with_cache(&o, limit);
	found = find(&o);
	set_way(&o, FILLED);
	for (uint64_t vcn = found.oldest; vcn < found.oldest + 30; vcn++) {
		struct page_cache *cache = o.volume->reader.cache;

		search_all(&o, vcn, FILLED);
		ck_assert_uint_le(page_cache_count(cache, PAGE_OF_INDEX), limit);
	}
	ck_assert_uint_eq(page_cache_count(o.volume->reader.cache, PAGE_OF_INDEX), limit);
	/* The first chapter is still there, the last one is not. */
	for (uint64_t vcn = found.oldest; vcn < found.oldest + 30; vcn += 29) {
		struct page_request request = { .keep = true };

		for (uint32_t page = 0; page < o.volume->geometry.index_pages_per_chapter; page++) {
			request.claim = volume_claim(
				o.volume, geometry_physical_chapter(&o.volume->geometry, vcn), vcn,
				page);
			ck_assert(page_reader_find(&o.volume->reader, &request) ==
				  (vcn == found.oldest));
			page_reader_release(&o.volume->reader, &request);
		}
	}
	found_chapters_free(o.volume, &found);
	close_image(&o);
}
END_TEST

START_TEST(chapter_indexes_are_read_whole_and_record_pages_searched_alone)
{
	struct index_page_head *heads;
	struct uds_record_data data;
	struct uds_message message = { "" };
	struct uds_record_name name;
	const struct geometry *g;
	struct found_chapters found;
	struct opened o;
	uint32_t page;
	uint8_t *pages;
	bool there;

	if (vectors_dir() == NULL)
		skip_test("chapter_indexes_are_read_whole_and_record_pages_searched_alone: "
			  "no vectors");
	open_image("dense-2page-crash", &o);
	found = find(&o);
	g = &o.volume->geometry;
	pages = io_allocate_buffer(o.io, &o.volume->env,
				   (size_t)g->index_pages_per_chapter * g->page_bytes);
	heads = calloc(g->index_pages_per_chapter, sizeof(*heads));
	ck_assert_int_eq(volume_read_chapter_index(o.volume, found.oldest, pages, heads, &message),
			 0);
	ck_assert_uint_eq(heads[1].first_list, heads[0].list_count);
	ck_assert_int_eq(
		uds_io_read(o.io, name.bytes, 16,
			    volume_page_offset(o.volume, geometry_physical_chapter(g, found.oldest),
					       g->index_pages_per_chapter + 3)),
		0);
	page = chapter_list(g, &name) >= heads[1].first_list;
	ck_assert_int_eq(index_page_search(g, &o.volume->reader.code, &heads[page],
					   pages + (size_t)page * g->page_bytes, &name, &page),
			 1);
	ck_assert_uint_eq(page, 3);
	ck_assert_int_eq(
		search_record_page(o.volume, found.oldest, 3, &name, &there, &data, &message), 0);
	ck_assert(there);
	ck_assert_int_eq(
		search_record_page(o.volume, found.oldest, 2, &name, &there, &data, &message), 0);
	ck_assert(!there);
	ck_assert_int_eq(search_record_page(o.volume, found.oldest, g->record_pages_per_chapter,
					    &name, &there, &data, &message),
			 -EINVAL);

	/* A slot that is being written has no chapter. */
	volume_begin_write(o.volume, geometry_physical_chapter(g, found.oldest), 0);
	ck_assert_int_eq(
		search_record_page(o.volume, found.oldest, 3, &name, &there, &data, &message), 0);
	ck_assert(!there);
	ck_assert_int_eq(volume_read_page(o.volume, found.oldest, 0, pages, &message),
			 UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(volume_read_chapter_index(o.volume, found.oldest, pages, heads, &message),
			 UDS_ERR_OUT_OF_RANGE);
	volume_end_write(o.volume, geometry_physical_chapter(g, found.oldest), 0, NULL);
	ck_assert_int_eq(volume_read_chapter_index(o.volume, found.oldest, pages, heads, &message),
			 0);
	free(pages);
	free(heads);
	found_chapters_free(o.volume, &found);
	close_image(&o);
}
END_TEST

/* Damages of an index page: each must be named when the page is used. */
static const struct {
	uint32_t at; /* byte of index page 0; from the end when above 4096 */
	uint8_t xor ;
	bool in_parts; /* seen even where only parts are read */
	const char *says;
} page_damages[] = {
	{ 0, 0xff, true, "nonce" }, { 8, 1, true, "chapter number" },
	{ 16, 1, true, "list" },    { 18, 1, true, "" },
	{ 20, 1, true, "" },	    { 4095, 1, false, "" },
	{ 4089, 0x80, false, "" },
};

START_TEST(damaged_index_pages_are_named_by_lookups)
{
	if (vectors_dir() == NULL)
		skip_test("damaged_index_pages_are_named_by_lookups: no vectors");
	for (size_t i = 0; i < sizeof(page_damages) / sizeof(page_damages[0]); i++) {
		struct uds_message message = { "" };
		struct uds_record_name name = { { 0 } }; /* list 0, which page 0 has */
		struct found_chapters found;
		struct uds_record_data data;
		bool there = false;
		struct opened o;
		uint64_t offset;
		uint8_t byte;
		int r;

		open_image("dense-2page-crash", &o);
		found = find(&o);
		set_way(&o, _i);
		offset = volume_page_offset(
			o.volume, geometry_physical_chapter(&o.volume->geometry, found.oldest), 0);
		uds_io_read(o.io, &byte, 1, offset + page_damages[i].at);
		byte ^= page_damages[i].xor ;
		uds_io_write(o.io, &byte, 1, offset + page_damages[i].at);
		r = volume_search_chapter(o.volume, found.oldest, &name, &there, &data, &message);
		if ((_i == PARTS || _i == FILLED) && !page_damages[i].in_parts)
			ck_assert_int_eq(r, 0);
		else
			ck_assert_msg(r == UDS_ERR_CORRUPT &&
					      strstr(message.text, page_damages[i].says) != NULL &&
					      strstr(message.text,
						     "mem:: chapter 1 (slot 1), "
						     "index page 0: ") == message.text,
				      "damage %zu: %d, %s", i, r, message.text);
		found_chapters_free(o.volume, &found);
		close_image(&o);
	}
}
END_TEST

START_TEST(a_chapter_that_was_overwritten_is_not_there_and_one_that_was_lost_is_named)
{
	struct uds_message message = { "" };
	struct uds_record_name name = { { 0 } };
	struct found_chapters found;
	struct uds_record_data data;
	uint32_t chapters;
	bool there = true;
	struct opened o;

	if (vectors_dir() == NULL)
		skip_test("a_chapter_that_was_overwritten_is_not_there_and_one_that_was_lost_is_"
			  "named: no vectors");
	open_image("dense-wrap", &o);
	found = find(&o);
	chapters = o.volume->geometry.chapters_per_volume;
	ck_assert_int_eq(volume_search_chapter(o.volume, found.newest - 1 - chapters, &name, &there,
					       &data, &message),
			 0);
	ck_assert(!there);
	ck_assert_int_eq(volume_search_chapter(o.volume, found.newest - 1 + chapters, &name, &there,
					       &data, &message),
			 UDS_ERR_CORRUPT);
	ck_assert_ptr_nonnull(strstr(message.text, "chapter number: expected"));
	found_chapters_free(o.volume, &found);
	close_image(&o);
}
END_TEST

START_TEST(reads_that_fail_are_told_with_the_page)
{
	struct uds_record_name name = { { 0 } };
	struct fault_plan plan;
	struct found_chapters found;
	struct opened o;

	if (vectors_dir() == NULL)
		skip_test("reads_that_fail_are_told_with_the_page: no vectors");
	index_image_load("dense-2page-crash", &o.image);
	o.io = index_image_io(&o.image);
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, o.io, NULL, &o.io), 0);
	open_io(&o, o.image.offset);
	found = find(&o);
	set_way(&o, _i);
	uds_io_read(o.io, name.bytes, 16,
		    volume_page_offset(o.volume, 1, o.volume->geometry.index_pages_per_chapter));
	for (unsigned int nth = 1;; nth++) {
		struct volume_search searches[CROWD_OF];
		struct uds_message message = { "" };
		unsigned int failed = 0;
		int r;

		for (unsigned int i = 0; i < CROWD_OF; i++)
			searches[i] = (struct volume_search){ .vcn = found.oldest, .name = name };
		/* What the reads before left in the caches is forgotten. */
		volume_begin_write(o.volume, 1, 0);
		volume_end_write(o.volume, 1, 0, NULL);
		fault_plan_fail(&plan, FAULT_READ, nth, -EIO, false);
		if (_i >= TOGETHER)
			r = volume_search_many(o.volume, searches, CROWD_OF, &message);
		else
			r = volume_search_chapter(o.volume, found.oldest, &name, &searches[0].found,
						  &searches[0].data, &message);
		if (plan.failed == 0) {
			ck_assert_msg(r == 0 && searches[0].found, "%s", message.text);
			ck_assert_uint_ge(nth, 3);
			break;
		}
		ck_assert_int_eq(r, -EIO);
		ck_assert_msg(strstr(message.text, "chapter 1 (slot 1), ") != NULL &&
				      strstr(message.text, "reading") != NULL,
			      "%s", message.text);
		if (_i < TOGETHER)
			continue;
		/* What was not read is not kept: the other lookups read it. */
		for (unsigned int i = 0; i < CROWD_OF; i++) {
			ck_assert(searches[i].status == -EIO || searches[i].found);
			failed += searches[i].status == -EIO;
		}
		ck_assert(_i == CROWDED ? failed == 1 : failed >= 1);
	}
	found_chapters_free(o.volume, &found);
	close_image(&o);
	fault_plan_end(&plan);
}
END_TEST

/* Overwrites the first index page of a slot. */
static void spoil(struct opened *o, uint32_t slot)
{
	uint8_t garbage[4096];

	memset(garbage, 0x5a, sizeof(garbage));
	ck_assert_int_eq(uds_io_write(o->io, garbage, sizeof(garbage),
				      volume_page_offset(o->volume, slot, 0)),
			 0);
}

/*
 * Chapters damaged here and there (uds-format, 20.2, R6: the reference implementation's search is
 * led astray by them).
 */
START_TEST(defect_R6_several_runs_of_bad_chapters_cost_nothing_but_themselves)
{
	struct found_chapters before, after;
	struct opened o;

	if (vectors_dir() == NULL)
		skip_test("defect_R6_several_runs_of_bad_chapters_cost_nothing_but_themselves: "
			  "no vectors");
	open_image("early-expiry", &o); /* 40 chapters, all there */
	before = find(&o);
	ck_assert_uint_eq(before.newest - before.oldest, 39);
	for (uint64_t vcn = before.oldest + 1; vcn + 2 < before.newest; vcn += 2 + vcn % 3)
		spoil(&o, geometry_physical_chapter(&o.volume->geometry, vcn));
	after = find(&o);
	ck_assert_uint_eq(after.newest, before.newest);
	ck_assert_uint_eq(after.oldest, before.oldest);
	ck_assert_uint_gt(after.lost, 10);
	for (uint64_t vcn = after.oldest; vcn < after.newest; vcn++) {
		if (after.vcns[geometry_physical_chapter(&o.volume->geometry, vcn)] == vcn)
			search_all(&o, vcn, PARTS);
	}
	found_chapters_free(o.volume, &before);
	found_chapters_free(o.volume, &after);
	close_image(&o);
}
END_TEST

START_TEST(the_newest_chapter_half_written_is_left_out)
{
	struct found_chapters before, after;
	struct opened o;
	uint32_t slot;

	if (vectors_dir() == NULL)
		skip_test("the_newest_chapter_half_written_is_left_out: no vectors");
	open_image("dense-wrap", &o);
	before = find(&o);
	slot = geometry_physical_chapter(&o.volume->geometry, before.newest - 1);
	spoil(&o, slot);
	after = find(&o);
	/* The chapter that it was to replace is still there, and valid again. */
	ck_assert_uint_eq(after.newest, before.newest - 1);
	ck_assert_uint_eq(after.oldest, before.oldest - 1);
	ck_assert_uint_eq(after.lost, 0);
	found_chapters_free(o.volume, &before);
	found_chapters_free(o.volume, &after);
	close_image(&o);
}
END_TEST

START_TEST(a_chapter_whose_number_jumps_is_a_stray)
{
	struct found_chapters before, after;
	uint8_t number[8];
	struct opened o;
	uint64_t vcn;
	uint32_t slot;

	if (vectors_dir() == NULL)
		skip_test("a_chapter_whose_number_jumps_is_a_stray: no vectors");
	open_image("dense-wrap", &o);
	before = find(&o);
	vcn = before.oldest + 2;
	slot = geometry_physical_chapter(&o.volume->geometry, vcn);
	put_le64(number, vcn + UINT64_C(1000) * o.volume->geometry.chapters_per_volume);
	ck_assert_int_eq(uds_io_write(o.io, number, 8, volume_page_offset(o.volume, slot, 0) + 8),
			 0);
	after = find(&o);
	ck_assert_uint_eq(after.newest, before.newest);
	ck_assert_uint_eq(after.oldest, before.oldest);
	ck_assert_uint_eq(after.lost, 1);
	ck_assert_uint_eq(after.strays, 1);
	found_chapters_free(o.volume, &before);
	found_chapters_free(o.volume, &after);
	close_image(&o);
}
END_TEST

static int stop_at_third(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	ck_assert_uint_eq(total, 8);
	return done == 3;
}

START_TEST(looking_for_chapters_can_be_stopped_and_survives_bad_sectors)
{
	struct find_options options = { .progress = stop_at_third };
	struct found_chapters found = { .newest = 77 };
	struct uds_message message = { "" };
	struct fault_plan plan;
	struct opened o;

	if (vectors_dir() == NULL)
		skip_test("looking_for_chapters_can_be_stopped_and_survives_bad_sectors: "
			  "no vectors");
	index_image_load("dense-wrap", &o.image);
	o.io = index_image_io(&o.image);
	fault_plan_start(&plan);
	ck_assert_int_eq(fault_io_open(&plan, o.io, NULL, &o.io), 0);
	open_io(&o, o.image.offset);
	ck_assert_int_eq(volume_find_chapters(o.volume, &options, &message, &found),
			 UDS_ERR_STOPPED);
	ck_assert_uint_eq(found.newest, 77);
	options.progress = NULL;
	fault_plan_fail(&plan, FAULT_READ, 4, -EIO, false); /* slot 3 */
	ck_assert_int_eq(volume_find_chapters(o.volume, &options, &message, &found), -EIO);
	ck_assert_ptr_nonnull(strstr(message.text, "slot 3: reading its index pages"));
	ck_assert_uint_eq(found.newest, 77);
	/* Who asks for it gets the others. */
	options.skip_unreadable = true;
	fault_plan_fail(&plan, FAULT_READ, 4, -EIO, false);
	ck_assert_int_eq(volume_find_chapters(o.volume, &options, &message, &found), 0);
	ck_assert_uint_eq(found.vcns[3], NO_CHAPTER);
	ck_assert_uint_eq(found.lost, 1);
	ck_assert_uint_eq(found.newest, 9);
	found_chapters_free(o.volume, &found);
	close_image(&o);
	fault_plan_end(&plan);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("volume");
	TCase *tc = tcase_create("volume");

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, the_chapters_of_every_image_are_found);
	tcase_add_test(tc, the_page_map_of_every_save_is_read_and_written_again);
	tcase_add_test(tc, the_page_map_found_on_the_volume_is_that_of_the_save);
	tcase_add_test(tc, a_list_is_looked_up_on_the_page_that_has_it);
	tcase_add_test(tc, a_damaged_page_map_is_refused_and_leaves_the_old_one);
	tcase_add_loop_test(tc, every_record_of_every_image_is_found_through_its_chapter_index, 0,
			    WAYS);
	tcase_add_test(tc, pages_that_are_kept_are_of_the_chapter_that_is_there);
	tcase_add_test(tc, a_small_cache_keeps_no_pages_of_crowds);
	tcase_add_test(tc, quick_reads_cache_index_pages_first_and_record_pages_if_there_is_room);
	tcase_add_test(tc, quick_reads_do_not_evict_index_pages);
	tcase_add_test(tc, chapter_indexes_are_read_whole_and_record_pages_searched_alone);
	tcase_add_loop_test(tc, damaged_index_pages_are_named_by_lookups, 0, TOGETHER);
	tcase_add_test(tc,
		       a_chapter_that_was_overwritten_is_not_there_and_one_that_was_lost_is_named);
	tcase_add_loop_test(tc, reads_that_fail_are_told_with_the_page, 0, MAPPED);
	tcase_add_test(tc, defect_R6_several_runs_of_bad_chapters_cost_nothing_but_themselves);
	tcase_add_test(tc, the_newest_chapter_half_written_is_left_out);
	tcase_add_test(tc, a_chapter_whose_number_jumps_is_a_stray);
	tcase_add_test(tc, looking_for_chapters_can_be_stopped_and_survives_bad_sectors);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
