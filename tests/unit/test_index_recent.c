/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sparse indexes with so few dense chapters that a chapter is sparse while it is
 * still being written.
 *
 * What a request answers must not depend on how far the writer is: the same requests are given to
 * an index whose chapters are written before the next request comes, to one whose writes are slow,
 * and to one whose writes stand still as long as a chapter can be in flight.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds/index.h>

#include "base/bytes.h"
#include "check_main.h"
#include "names.h"

#define SEED	    UINT64_C(0x1de)
#define PER_CHAPTER 512
#define CHAPTERS    8
#define RATE	    4
#define DEVICE	    (4 << 20)

enum pace { AT_ONCE, SLOW, HELD };

/* An I/O over memory whose writes can be slowed down, and held until they are let go. */
struct device {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool held;
	unsigned int delay_us;
	uint8_t *bytes;
};

static int device_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	struct device *d = context;

	pthread_mutex_lock(&d->lock);
	memcpy(buffer, d->bytes + offset, length);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static int device_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	struct device *d = context;

	if (d->delay_us > 0)
		usleep(d->delay_us);
	pthread_mutex_lock(&d->lock);
	while (d->held)
		pthread_cond_wait(&d->changed, &d->lock);
	memcpy(d->bytes + offset, buffer, length);
	pthread_mutex_unlock(&d->lock);
	return 0;
}

static int device_flush(void *context)
{
	(void)context;
	return 0;
}

static int device_size(void *context, uint64_t *ret_size)
{
	(void)context;
	*ret_size = DEVICE;
	return 0;
}

static int device_close(void *context)
{
	(void)context;
	return 0;
}

struct fixture {
	struct device device;
	enum pace pace;
	struct uds_io *io;
	struct uds_index *index;
};

static void hold(struct fixture *f, bool held)
{
	pthread_mutex_lock(&f->device.lock);
	f->device.held = held;
	pthread_cond_broadcast(&f->device.changed);
	pthread_mutex_unlock(&f->device.lock);
}

static void open_with(struct fixture *f, unsigned int zones, enum uds_index_mode mode)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r;

	options.zones = zones;
	options.mode = mode;
	r = uds_index_open(f->io, &options, &message, &f->index);
	ck_assert_msg(r == 0, "%s", message.text);
}

static void start(struct fixture *f, uint32_t dense, unsigned int zones, enum pace pace)
{
	struct uds_io_ops ops = { .size = sizeof(ops),
				  .read = device_read,
				  .write = device_write,
				  .flush = device_flush,
				  .get_size = device_size,
				  .close = device_close };
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_message message;

	memset(f, 0, sizeof(*f));
	f->pace = pace;
	pthread_mutex_init(&f->device.lock, NULL);
	pthread_cond_init(&f->device.changed, NULL);
	f->device.bytes = calloc(1, DEVICE);
	ck_assert(f->device.bytes != NULL);
	c.page_bytes = 4096;
	c.record_pages_per_chapter = 4;
	c.chapters_per_volume = CHAPTERS;
	c.sparse_chapters_per_volume = CHAPTERS - dense;
	c.sparse_sample_rate = RATE;
	c.cache_chapters = 3;
	ck_assert_int_eq(uds_io_open_ops(&ops, &f->device, &limits, NULL, NULL, &f->io), 0);
	ck_assert_int_eq(uds_index_format(f->io, &c, NULL, &message), 0);
	f->device.delay_us = pace == SLOW ? 500 : 0;
	open_with(f, zones, UDS_INDEX_LOAD);
}

static void end(struct fixture *f)
{
	hold(f, false);
	ck_assert_int_eq(uds_index_close(f->index), 0);
	ck_assert_int_eq(uds_io_close(f->io), 0);
	pthread_cond_destroy(&f->device.changed);
	pthread_mutex_destroy(&f->device.lock);
	free(f->device.bytes);
}

static struct uds_index_statistics statistics(struct fixture *f)
{
	struct uds_index_statistics s = { .size = sizeof(s) };

	ck_assert_int_eq(uds_index_get_statistics(f->index, &s), 0);
	return s;
}

/*
 * To be called before each request. Only one that may close the next chapter needs the
 * last one written.
 */
static void keep_pace(struct fixture *f, bool may_close)
{
	if (f->pace == AT_ONCE)
		ck_assert_int_eq(uds_index_flush(f->index), 0);
	if (f->pace != HELD)
		return;
	if (may_close) {
		hold(f, false);
		ck_assert_int_eq(uds_index_flush(f->index), 0);
	}
	hold(f, true);
}

static struct uds_request run(struct fixture *f, uint8_t kind, uint64_t i, uint32_t version)
{
	/* With some zones a chapter may close long before it has all its records. */
	bool may_close = statistics(f).open_chapter_records > PER_CHAPTER / 2;
	struct uds_request r;

	memset(&r, 0, sizeof(r));
	r.kind = kind;
	make_name(SEED, i, &r.name);
	make_data('n', i, version, &r.new_data);
	keep_pace(f, may_close);
	ck_assert_int_eq(uds_index_run(f->index, &r, 1), 0);
	return r;
}

static uint64_t count_found(struct fixture *f, uint64_t from, uint64_t to)
{
	uint64_t found = 0;

	for (uint64_t i = from; i < to; i++) {
		struct uds_request r = run(f, UDS_PEEK, i, 0);
		struct uds_record_data data;

		make_data('n', i, 1, &data);
		if (r.found)
			ck_assert_int_eq(memcmp(&data, &r.old_data, sizeof(data)), 0);
		found += r.found;
	}
	return found;
}

static void post_range(struct fixture *f, uint64_t from, uint64_t to)
{
	for (uint64_t i = from; i < to; i++)
		run(f, UDS_POST, i, 1);
}

/* _i: dense chapters 1 and 2, and each pace. */
START_TEST(newest_chapters_are_found_whole)
{
	uint32_t dense = 1 + (uint32_t)_i / 3;
	struct fixture f;

	/* A run in part: each pace with one or two dense chapters. */
	if (test_in_part() && (_i % 3 == HELD) != (_i / 3 == 1))
		return;
	start(&f, dense, 1, (enum pace)(_i % 3));
	for (uint64_t chapter = 0; chapter < CHAPTERS + 3; chapter++) {
		uint64_t end_of = (chapter + 1) * PER_CHAPTER;

		post_range(&f, chapter * PER_CHAPTER, end_of);
		if (f.pace == HELD)
			ck_assert_uint_eq(statistics(&f).chapters_written, chapter);
		ck_assert_uint_eq(count_found(&f, end_of - PER_CHAPTER, end_of), PER_CHAPTER);
		if (chapter > 0)
			ck_assert_uint_eq(
				count_found(&f, end_of - 2 * PER_CHAPTER, end_of - PER_CHAPTER),
				PER_CHAPTER);
	}
	end(&f);
}
END_TEST

/* The copies that lookups make of chapters on the volume do the same where nothing is in memory. */
START_TEST(newest_chapters_are_found_whole_after_opening)
{
	static const enum uds_index_mode modes[] = { UDS_INDEX_LOAD, UDS_INDEX_READ_ONLY,
						     UDS_INDEX_RECOVER };
	uint32_t dense = 1 + (uint32_t)_i / 3;
	struct fixture f;

	/* A run in part: each mode once. */
	if (test_in_part() && _i % 2 != _i / 3)
		return;
	start(&f, dense, 1, AT_ONCE);
	post_range(&f, 0, 4 * PER_CHAPTER);
	ck_assert_int_eq(uds_index_save(f.index), 0);
	ck_assert_int_eq(uds_index_close(f.index), 0);
	open_with(&f, 1 + (unsigned int)_i % 2 * 3, modes[_i % 3]);
	ck_assert_uint_eq(count_found(&f, 2 * PER_CHAPTER, 4 * PER_CHAPTER), 2 * PER_CHAPTER);
	end(&f);
}
END_TEST

/* A name that is stored again in the newest chapter is not found with what an older one has. */
START_TEST(newest_data_is_found_before_that_of_cached_chapters)
{
	uint64_t i = 0, hook;
	struct fixture f;

	start(&f, 1, 1, (enum pace)_i);
	post_range(&f, 0, 3 * PER_CHAPTER);
	/* Chapter 0 enters the cache, and is found by it. */
	for (hook = 0; hook < PER_CHAPTER; hook++)
		run(&f, UDS_PEEK, hook, 0);
	for (; i < PER_CHAPTER; i++) {
		struct uds_request r = run(&f, UDS_UPDATE, i, 2);

		ck_assert_uint_eq(r.found, 1);
	}
	for (i = 0; i < PER_CHAPTER; i++) {
		struct uds_request r = run(&f, UDS_PEEK, i, 0);

		ck_assert_uint_eq(r.found, 1);
		ck_assert_uint_eq(get_le32(r.old_data.bytes + 8), 2);
	}
	end(&f);
}
END_TEST

#define REQUESTS 12000

/* The same random requests, one after the other. */
static void random_requests(struct fixture *f, struct uds_request *ret_results)
{
	static const uint8_t kinds[] = { UDS_POST,   UDS_POST, UDS_POST, UDS_QUERY,
					 UDS_UPDATE, UDS_PEEK, UDS_PEEK, UDS_DELETE };
	uint64_t next = 0, dice = 0;

	for (uint32_t n = 0; n < REQUESTS; n++) {
		uint64_t back = splitmix64(SEED ^ 1, dice++) % (n % 2 == 0 ? 700 : 4000);
		uint8_t kind = kinds[splitmix64(SEED ^ 1, dice++) % sizeof(kinds)];

		if (n % 3 == 0 || back >= next)
			ret_results[n] = run(f, UDS_POST, next++, n);
		else
			ret_results[n] = run(f, kind, next - 1 - back, n);
	}
}

static void assert_same(const struct uds_request *a, const struct uds_request *b)
{
	for (uint32_t n = 0; n < REQUESTS; n++)
		ck_assert_msg(
			a[n].found == b[n].found && a[n].location == b[n].location &&
				memcmp(&a[n].old_data, &b[n].old_data, sizeof(a[n].old_data)) == 0,
			"request %u, kind %u: found %d at %u or %d at %u", n, a[n].kind, a[n].found,
			a[n].location, b[n].found, b[n].location);
}

/* _i: dense chapters 1 to 3, and 1 or 3 zones. */
START_TEST(answers_do_not_depend_on_the_writer)
{
	struct uds_request *expected = calloc(2 * REQUESTS, sizeof(*expected));
	struct uds_request *results = expected + REQUESTS;
	uint32_t dense = 1 + (uint32_t)_i / 2;
	unsigned int zones = _i % 2 == 0 ? 1 : 3;

	/* A short run takes one dense chapter with three zones, and three with one. */
	if (test_step() > 1 && _i % 3 != 1) {
		free(expected);
		return;
	}
	ck_assert(expected != NULL);
	for (enum pace p = AT_ONCE; p <= HELD; p++) {
		struct fixture f;

		start(&f, dense, zones, p);
		random_requests(&f, p == AT_ONCE ? expected : results);
		ck_assert_uint_gt(statistics(&f).open_chapter, CHAPTERS);
		ck_assert_uint_eq(statistics(&f).overflows, 0);
		end(&f);
		if (p != AT_ONCE)
			assert_same(expected, results);
	}
	free(expected);
}
END_TEST

static int count_record(void *context, const struct uds_record_name *name,
			const struct uds_record_data *data)
{
	uint64_t *count = context;

	(void)name;
	(void)data;
	(*count)++;
	return 0;
}

START_TEST(iterate_gives_the_records_of_the_chapter_in_flight)
{
	uint64_t count = 0;
	struct fixture f;

	start(&f, 1, 1, SLOW);
	post_range(&f, 0, PER_CHAPTER);
	ck_assert_int_eq(uds_index_for_each(f.index, count_record, &count), 0);
	ck_assert_uint_eq(count, PER_CHAPTER);
	end(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("recent chapters");
	TCase *tcase = tcase_create("recent");

	tcase_add_loop_test(tcase, newest_chapters_are_found_whole, 0, 6);
	tcase_add_loop_test(tcase, newest_chapters_are_found_whole_after_opening, 0, 6);
	tcase_add_loop_test(tcase, newest_data_is_found_before_that_of_cached_chapters, 0, 3);
	tcase_add_loop_test(tcase, answers_do_not_depend_on_the_writer, 0, 6);
	tcase_add_test(tcase, iterate_gives_the_records_of_the_chapter_in_flight);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
