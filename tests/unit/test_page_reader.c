/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What reading pages costs: reads of a device that takes its time, and memory. And lookups in
 * steps, whose chapter may be written over while they wait.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <uds.h>

#include "base/bytes.h"
#include "base/env.h"
#include "check_main.h"
#include "names.h"
#include "torture_env.h"
#include "volume/layout.h"
#include "volume/lookup.h"
#include "volume/volume.h"
#include "volume/volume_private.h"

#define CHAPTERS 6u

/* A device on top of memory that counts its reads, and takes 100 us for each if it is slow. */
struct device {
	struct uds_io *memory;
	bool slow;
	_Atomic uint64_t reads;
	_Atomic uint64_t bytes_read;
	_Atomic int status; /* what reads return, if not 0 */
};

static int device_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	const struct timespec pause = { .tv_nsec = 100000 };
	struct device *device = context;

	device->reads++;
	device->bytes_read += length;
	if (device->slow)
		nanosleep(&pause, NULL);
	return device->status != 0 ? device->status
				   : uds_io_read(device->memory, buffer, length, offset);
}

static int device_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	return uds_io_write(((struct device *)context)->memory, buffer, length, offset);
}

static int device_flush(void *context)
{
	(void)context;
	return 0;
}

static int device_get_size(void *context, uint64_t *ret_bytes)
{
	return uds_io_size(((struct device *)context)->memory, ret_bytes);
}

static int device_resize(void *context, uint64_t bytes)
{
	return uds_io_resize(((struct device *)context)->memory, bytes);
}

static int device_close(void *context)
{
	return uds_io_close(((struct device *)context)->memory);
}

static struct uds_io *device_open(struct device *device)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_io_ops ops = UDS_IO_OPS_INIT;
	struct uds_io *io;

	memset(device, 0, sizeof(*device));
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &device->memory), 0);
	limits.name = "device";
	ops.read = device_read;
	ops.write = device_write;
	ops.flush = device_flush;
	ops.get_size = device_get_size;
	ops.resize = device_resize;
	ops.close = device_close;
	ck_assert_int_eq(uds_io_open_ops(&ops, device, &limits, NULL, NULL, &io), 0);
	return io;
}

/* An environment that knows how much memory is taken, and was at most. */
struct meter {
	struct uds_env env;
	_Atomic uint64_t bytes;
	uint64_t most; /* read and set by one thread */
};

static void *meter_allocate(void *context, size_t bytes, size_t alignment)
{
	size_t pad = alignment < 16 ? 16 : alignment;
	struct meter *meter = context;
	uint8_t *memory;

	memory = aligned_alloc(pad, (bytes + 2 * pad - 1) / pad * pad);
	if (memory == NULL)
		return NULL;
	memory += pad;
	memcpy(memory - 8, &bytes, sizeof(bytes));
	memcpy(memory - 16, &pad, sizeof(pad));
	meter->bytes += bytes;
	if (meter->bytes > meter->most)
		meter->most = meter->bytes;
	return memory;
}

static void meter_release(void *context, void *memory)
{
	uint8_t *at = memory;
	size_t bytes, pad;

	memcpy(&bytes, at - 8, sizeof(bytes));
	memcpy(&pad, at - 16, sizeof(pad));
	((struct meter *)context)->bytes -= bytes;
	free(at - pad);
}

static void meter_start(struct meter *meter)
{
	struct uds_env env = UDS_ENV_INIT;

	memset(meter, 0, sizeof(*meter));
	env.context = meter;
	env.allocate = meter_allocate;
	env.release = meter_release;
	meter->env = env;
}

static struct uds_configuration small_configuration(void)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;

	configuration.page_bytes = 16384;
	configuration.record_pages_per_chapter = 4;
	configuration.chapters_per_volume = CHAPTERS + 2;
	return configuration;
}

#define CHAPTER_RECORDS 2048u

static struct uds_record_name name_of(uint64_t i)
{
	struct uds_record_name name;

	put_le64(name.bytes, splitmix64(1, 2 * i));
	put_le64(name.bytes + 8, splitmix64(1, 2 * i + 1));
	return name;
}

static void format(struct uds_io *io)
{
	struct uds_configuration configuration = small_configuration();

	ck_assert_int_eq(uds_index_format(io, &configuration, NULL, NULL), 0);
}

/* Writes all chapters, record @i of chapter @c being name_of(c * CHAPTER_RECORDS + i). */
static void fill_volume(struct uds_volume *volume)
{
	struct uds_record *records = calloc(CHAPTER_RECORDS, sizeof(*records));

	for (uint64_t c = 0; c < CHAPTERS; c++) {
		for (uint32_t i = 0; i < CHAPTER_RECORDS; i++) {
			records[i].name = name_of(c * CHAPTER_RECORDS + i);
			put_le64(records[i].data.bytes, i);
		}
		ck_assert_int_eq(
			uds_volume_write_records(volume, records, CHAPTER_RECORDS, NULL, NULL), 0);
	}
	free(records);
}

/* Looks up every third name of each chapter. */
static void search_volume(struct uds_volume *volume)
{
	for (uint64_t c = 0; c < CHAPTERS; c++) {
		for (uint32_t i = (uint32_t)c % 3; i < CHAPTER_RECORDS; i += 3) {
			struct uds_record_name name = name_of(c * CHAPTER_RECORDS + i);
			struct uds_record_data data;
			bool found = false;

			ck_assert_int_eq(uds_volume_search(volume, c, &name, &found, &data, NULL),
					 0);
			ck_assert(found);
			ck_assert_uint_eq(get_le64(data.bytes), i);
		}
	}
}

/* Peeks at names that were posted, alone or in batches. */
static void peek_index(struct uds_index *index, size_t batch)
{
	struct uds_request *requests = calloc(batch, sizeof(*requests));
	uint64_t count = (CHAPTERS - 1) * (uint64_t)CHAPTER_RECORDS;

	for (uint64_t i = 0; i + batch <= count; i += batch) {
		for (size_t n = 0; n < batch; n++) {
			requests[n].name = name_of(i + n);
			requests[n].kind = UDS_PEEK;
		}
		ck_assert_int_eq(uds_index_run(index, requests, batch), 0);
		for (size_t n = 0; n < batch; n++)
			ck_assert(requests[n].found);
	}
	free(requests);
}

static struct uds_index *open_full_index(struct uds_io *io, uint64_t cache_bytes)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_record_data data = { { 0 } };
	struct uds_index *index;

	format(io);
	options.cache_bytes = cache_bytes;
	ck_assert_int_eq(uds_index_open(io, &options, NULL, &index), 0);
	for (uint64_t i = 0; i < CHAPTERS * (uint64_t)CHAPTER_RECORDS; i++) {
		struct uds_record_name name = name_of(i);

		ck_assert_int_eq(uds_index_post(index, &name, &data, NULL, NULL), 0);
	}
	ck_assert_int_eq(uds_index_flush(index), 0);
	return index;
}

START_TEST(found_lookups_read_nothing_again_when_all_pages_fit_into_the_cache)
{
	static const size_t batches[] = { 1, 256 };
	struct device device;
	struct uds_io *io = device_open(&device);
	struct uds_index *index = open_full_index(io, 8 << 20);

	device.slow = true;
	/* At first the device is not known to be slow, and only parts of pages are read. */
	for (int pass = 0; pass < 2; pass++)
		peek_index(index, batches[_i]);
	ck_assert_uint_gt(device.reads, 0);
	device.reads = 0;
	peek_index(index, batches[_i]);
	ck_assert_uint_eq(device.reads, 0);

	ck_assert_int_eq(uds_index_close(index), 0);
	uds_io_close(io);
}
END_TEST

#define MANY_CHAPTERS 40u

/* Peeks at one name of each chapter in turn, or at all names of one chapter. */
static void peek_apart(struct uds_index *index, bool together)
{
	for (uint64_t i = 0; i < MANY_CHAPTERS * UINT64_C(10); i++) {
		uint64_t chapter = together ? 3 : i % MANY_CHAPTERS;
		struct uds_record_name name = name_of(chapter * CHAPTER_RECORDS + i);
		bool found;

		ck_assert_int_eq(uds_index_peek(index, &name, NULL, &found), 0);
		ck_assert(found);
	}
}

/* A slow device and a cache that is full: of a record page the blocks that hold the name. */
START_TEST(names_here_and_there_take_few_bytes_of_a_page)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_configuration configuration = small_configuration();
	struct uds_record_data data = { { 0 } };
	struct uds_index *index;
	struct device device;
	struct uds_io *io = device_open(&device);
	const uint64_t peeks = MANY_CHAPTERS * UINT64_C(10);

	configuration.chapters_per_volume = MANY_CHAPTERS + 2;
	ck_assert_int_eq(uds_index_format(io, &configuration, NULL, NULL), 0);
	/* The heads of index pages, and few pages. */
	options.cache_bytes = 300000;
	ck_assert_int_eq(uds_index_open(io, &options, NULL, &index), 0);
	for (uint64_t i = 0; i < (MANY_CHAPTERS + 1) * (uint64_t)CHAPTER_RECORDS; i++) {
		struct uds_record_name name = name_of(i);

		ck_assert_int_eq(uds_index_post(index, &name, &data, NULL, NULL), 0);
	}
	ck_assert_int_eq(uds_index_flush(index), 0);
	device.slow = true;
	peek_apart(index, false);
	device.bytes_read = 0;
	peek_apart(index, false);
	ck_assert_uint_gt(device.bytes_read, peeks * 4096);
	ck_assert_uint_lt(device.bytes_read, peeks * 4 * 4096);
	/* Names of one chapter have its pages in the cache after a while. */
	peek_apart(index, true);
	device.reads = 0;
	peek_apart(index, true);
	ck_assert_uint_eq(device.reads, 0);
	ck_assert_int_eq(uds_index_close(index), 0);
	uds_io_close(io);
}
END_TEST

START_TEST(requests_of_a_batch_for_the_same_page_read_it_once)
{
	struct uds_request requests[64];
	struct device device;
	struct uds_io *io = device_open(&device);
	struct uds_index *index = open_full_index(io, 1);

	device.slow = true;
	peek_index(index, 1); /* makes the device known for a slow one */
	for (int failing = 0; failing < 2; failing++) {
		memset(requests, 0, sizeof(requests));
		for (unsigned int i = 0; i < 64; i++) {
			/* Two names of different chapters, in turns. */
			requests[i].name = name_of(i % 2 * CHAPTER_RECORDS + 5);
			requests[i].kind = UDS_PEEK;
		}
		device.reads = 0;
		device.status = failing ? -EIO : 0;
		ck_assert_int_eq(uds_index_run(index, requests, 64), device.status);
		/* Without a cache: an index page and a record page for each name. */
		ck_assert_uint_gt(device.reads, 0);
		ck_assert_uint_le(device.reads, 4);
		for (unsigned int i = 0; i < 64; i++) {
			ck_assert_int_eq(requests[i].status, device.status);
			ck_assert_int_eq(requests[i].found, !failing);
		}
	}
	device.status = 0;
	ck_assert_int_eq(uds_index_close(index), 0);
	uds_io_close(io);
}
END_TEST

/* Whatever lookups have cached. */
START_TEST(pages_that_are_read_as_pages_come_from_the_volume)
{
	struct uds_volume_options options = UDS_VOLUME_OPTIONS_INIT;
	uint8_t *page = malloc(16384);
	struct uds_volume *volume;
	struct device device;
	struct uds_io *io = device_open(&device);

	format(io);
	options.cache_bytes = 8 << 20;
	ck_assert_int_eq(uds_volume_open(io, &options, NULL, &volume), 0);
	fill_volume(volume);
	device.slow = true;
	search_volume(volume);
	for (unsigned int time = 1; time <= 2; time++) {
		device.reads = 0;
		ck_assert_int_eq(uds_volume_read_record_page(volume, 1, 3, page, NULL), 0);
		ck_assert_uint_eq(device.reads, 1);
		ck_assert_int_eq(uds_volume_read_index_page(volume, 1, 0, page, NULL), 0);
		ck_assert_uint_eq(device.reads, 2);
	}
	uds_volume_close(volume);
	uds_io_close(io);
	free(page);
}
END_TEST

START_TEST(the_caches_never_take_more_than_they_may)
{
	static const uint64_t limits[] = { 1, 700, 20000, 70000, 300000 };
	struct uds_volume_options options = UDS_VOLUME_OPTIONS_INIT;
	struct uds_volume *volume;
	struct device device;
	struct meter meter;
	struct uds_io *io = device_open(&device);
	uint64_t before;

	meter_start(&meter);
	format(io);
	ck_assert_int_eq(uds_volume_open(io, NULL, NULL, &volume), 0);
	fill_volume(volume);
	uds_volume_close(volume);

	options.env = &meter.env;
	options.cache_bytes = limits[_i];
	ck_assert_int_eq(uds_volume_open(io, &options, NULL, &volume), 0);
	before = meter.bytes;
	meter.most = before;
	for (int pass = 0; pass < 2; pass++) {
		device.slow = pass > 0;
		search_volume(volume);
	}
	/* And the memory for one read, which is not cached. */
	ck_assert_uint_le(meter.most, before + limits[_i] + 16384 + 4096);
	/* What may be used is used, as far as whole pages go. */
	if (limits[_i] > 40000)
		ck_assert_uint_ge(meter.most, before + limits[_i] / 2);
	uds_volume_close(volume);
	ck_assert_uint_eq(meter.bytes, 0);
	uds_io_close(io);
}
END_TEST

/* The inner volume of a filled one, with all that belongs to it. */
struct inner {
	struct device device;
	struct uds_io *io;
	struct layout layout;
	struct volume *volume;
};

static void open_inner(struct inner *inner)
{
	struct uds_volume *volume;
	struct uds_env env;

	inner->io = device_open(&inner->device);
	format(inner->io);
	ck_assert_int_eq(uds_volume_open(inner->io, NULL, NULL, &volume), 0);
	fill_volume(volume);
	ck_assert_int_eq(env_complete(guarded_env(), &env), 0);
	ck_assert_int_eq(layout_read(inner->io, 0, NULL, &inner->layout), 0);
	ck_assert_int_eq(volume_open(inner->io, &inner->layout, 0, NULL, &env, &inner->volume), 0);
	uds_volume_close(volume);
}

static void close_inner(struct inner *inner)
{
	volume_close(inner->volume);
	uds_io_close(inner->io);
}

/* Fills the page map with what the index pages of all chapters say. */
static void map_pages(struct inner *inner)
{
	const struct geometry *g = &inner->layout.geometry;
	uint16_t last_lists[16];
	uint8_t head[64];

	ck_assert_uint_le(g->index_pages_per_chapter, 16);
	for (uint32_t c = 0; c < CHAPTERS; c++) {
		for (uint32_t page = 0; page + 1 < g->index_pages_per_chapter; page++) {
			ck_assert_int_eq(uds_io_read(inner->io, head, sizeof(head),
						     volume_page_offset(inner->volume, c, page)),
					 0);
			last_lists[page] =
				(uint16_t)(get_le16(head + 16) + get_le16(head + 18) - 1);
		}
		page_map_set(volume_page_map(inner->volume), c, c, last_lists);
	}
}

static void set_slow(struct inner *inner, bool slow)
{
	atomic_store(&inner->volume->reader.slowness, slow ? 1 << 30 : -(1 << 30));
}

/* How many pages a lookup wants before it ends. */
static unsigned int run_steps(struct inner *inner, struct volume_lookup *lookup)
{
	unsigned int wanted = 0;

	while (volume_lookup_step(inner->volume, lookup) == VOLUME_WANTS_PAGE) {
		struct page_request *request = &lookup->request;

		volume_read_pages(inner->volume, &request, 1);
		wanted++;
	}
	return wanted;
}

START_TEST(a_lookup_in_steps_finds_what_a_waiting_one_does)
{
	struct volume_lookup lookup;
	struct inner inner;

	open_inner(&inner);
	map_pages(&inner);
	set_slow(&inner, _i == 1);
	for (uint32_t i = 0; i < CHAPTER_RECORDS; i += 7) {
		struct uds_record_name name = name_of(3 * CHAPTER_RECORDS + i);

		volume_lookup_start(&lookup, 3, &name, NULL);
		ck_assert_uint_le(run_steps(&inner, &lookup), 5);
		ck_assert_int_eq(lookup.status, 0);
		ck_assert(lookup.found);
		ck_assert_uint_eq(get_le64(lookup.data.bytes), i);
		volume_lookup_start(&lookup, 4, &name, NULL);
		run_steps(&inner, &lookup);
		ck_assert(lookup.status == 0 && !lookup.found);
	}
	close_inner(&inner);
}
END_TEST

START_TEST(a_lookup_whose_chapter_is_written_over_while_it_waits_finds_nothing)
{
	struct uds_record_name name = name_of(3 * CHAPTER_RECORDS + 5);
	unsigned int steps = 1;
	struct inner inner;

	open_inner(&inner);
	map_pages(&inner);
	for (unsigned int at = 0; at < steps; at++) {
		struct volume_lookup lookup;
		struct page_request *request = &lookup.request;

		set_slow(&inner, _i == 1);
		/* Nothing is cached, so that each lookup wants the same pages. */
		volume_begin_write(inner.volume, 3, 0);
		volume_end_write(inner.volume, 3, 0, NULL);
		volume_lookup_start(&lookup, 3, &name, NULL);
		steps = run_steps(&inner, &lookup);
		ck_assert(lookup.found);
		ck_assert_uint_ge(steps, 2);

		volume_begin_write(inner.volume, 3, 0);
		volume_end_write(inner.volume, 3, 0, NULL);
		volume_lookup_start(&lookup, 3, &name, NULL);
		for (unsigned int n = 0; n <= at; n++) {
			ck_assert_int_eq(volume_lookup_step(inner.volume, &lookup),
					 VOLUME_WANTS_PAGE);
			volume_read_pages(inner.volume, &request, 1);
		}
		volume_begin_write(inner.volume, 3, 0);
		/* While it is being written, and after that. */
		if (at % 2 == 0)
			volume_end_write(inner.volume, 3, 0, NULL);
		ck_assert_int_eq(volume_lookup_step(inner.volume, &lookup), 0);
		ck_assert(!lookup.found);
		if (at % 2 != 0)
			volume_end_write(inner.volume, 3, 0, NULL);
	}
	close_inner(&inner);
}
END_TEST

START_TEST(a_read_that_fails_ends_the_lookup_with_its_status_and_the_page)
{
	struct uds_record_name name = name_of(2 * CHAPTER_RECORDS);
	struct volume_lookup lookup;
	struct uds_message message = { "" };
	struct inner inner;

	open_inner(&inner);
	map_pages(&inner);
	set_slow(&inner, _i == 1);
	inner.device.status = -EIO;
	volume_lookup_start(&lookup, 2, &name, &message);
	ck_assert_uint_eq(run_steps(&inner, &lookup), 1);
	ck_assert_int_eq(lookup.status, -EIO);
	ck_assert_ptr_nonnull(strstr(message.text, "chapter 2 (slot 2), index page"));
	inner.device.status = 0;
	volume_lookup_start(&lookup, 2, &name, &message);
	run_steps(&inner, &lookup);
	ck_assert(lookup.found);

	/* In a record page that is known already. */
	volume_lookup_start_in_page(&lookup, 2, 4, &name, &message);
	ck_assert_uint_eq(run_steps(&inner, &lookup), 0);
	ck_assert_int_eq(lookup.status, -EINVAL);
	close_inner(&inner);
}
END_TEST

/*
 * Where reads are quick, a hit reads of a large page only what is near the place where its
 * name should be.
 */
START_TEST(a_hit_reads_a_small_part_of_a_large_page)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_geometry geometry = UDS_GEOMETRY_INIT;
	struct uds_message message;
	struct uds_volume *volume;
	struct uds_record *records;
	struct device device;
	struct uds_io *io = device_open(&device);
	uint64_t chapter;

	configuration.record_pages_per_chapter = 2;
	configuration.chapters_per_volume = 4;
	ck_assert_int_eq(uds_geometry_compute(&configuration, &message, &geometry), 0);
	ck_assert_int_eq(uds_index_format(io, &configuration, NULL, &message), 0);
	ck_assert_int_eq(uds_volume_open(io, NULL, &message, &volume), 0);
	records = calloc(geometry.records_per_chapter, sizeof(*records));
	for (uint32_t i = 0; i < geometry.records_per_chapter; i++) {
		make_name(5, i, &records[i].name);
		make_data('v', i, 1, &records[i].data);
	}
	ck_assert_int_eq(uds_volume_write_records(volume, records, geometry.records_per_chapter,
						  &chapter, &message),
			 0);
	for (int pass = 0; pass < 2;
	     pass++) { /* the first one finds the heads of the index pages */
		device.bytes_read = 0;
		for (uint32_t i = 0; i < geometry.records_per_chapter; i++) {
			struct uds_record_data data;
			bool found;

			ck_assert_int_eq(uds_volume_search(volume, chapter, &records[i].name,
							   &found, &data, &message),
					 0);
			ck_assert(found);
			ck_assert_mem_eq(&data, &records[i].data, sizeof(data));
		}
	}
	ck_assert_uint_lt(device.bytes_read / geometry.records_per_chapter,
			  configuration.page_bytes / 16);
	free(records);
	uds_volume_close(volume);
	uds_io_close(io);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("page_reader");
	TCase *tc = tcase_create("page_reader");

	tcase_set_timeout(tc, 120);
	tcase_add_loop_test(tc, found_lookups_read_nothing_again_when_all_pages_fit_into_the_cache,
			    0, 2);
	tcase_add_test(tc, a_hit_reads_a_small_part_of_a_large_page);
	tcase_add_test(tc, names_here_and_there_take_few_bytes_of_a_page);
	tcase_add_test(tc, requests_of_a_batch_for_the_same_page_read_it_once);
	tcase_add_test(tc, pages_that_are_read_as_pages_come_from_the_volume);
	tcase_add_loop_test(tc, the_caches_never_take_more_than_they_may, 0, 5);
	tcase_add_loop_test(tc, a_lookup_in_steps_finds_what_a_waiting_one_does, 0, 2);
	tcase_add_loop_test(tc, a_lookup_whose_chapter_is_written_over_while_it_waits_finds_nothing,
			    0, 2);
	tcase_add_loop_test(tc, a_read_that_fails_ends_the_lookup_with_its_status_and_the_page, 0,
			    2);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
