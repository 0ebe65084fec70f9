/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libuds-rbd on a Ceph cluster: what is read and written, and that a lost lock is lost for good.
 *
 * The cluster is the one of test_rbd_tool.py, which runs this program: CEPH_CONF names it. Other
 * clients are librbd's own.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rbd/librbd.h>

#include <uds/engine.h>
#include <uds/rbd.h>

#include "check_main.h"
#include "run_requests.h"
#include "torture_env.h"

#define MIB	     ((uint64_t)1 << 20)
#define OBJECT_ORDER 20 /* objects of 1 MiB: several in a small image */
#define OBJECT	     ((uint64_t)1 << OBJECT_ORDER)
#define SIZE	     (8 * MIB)

/* Longer than the I/O trusts that the lock is still its own, in seconds. */
#define TRUSTED_SECONDS 6

static struct uds_message message;
static uint8_t *model, *found;

/* What the library has logged. */
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static char logged[4096];

static void keep_log(void *context, enum uds_log_level level, const char *sentence)
{
	size_t n;

	(void)context, (void)level;
	pthread_mutex_lock(&log_lock);
	n = strlen(logged);
	snprintf(logged + n, sizeof(logged) - n, "%s\n", sentence);
	pthread_mutex_unlock(&log_lock);
}

static bool was_logged(const char *words)
{
	bool was;

	pthread_mutex_lock(&log_lock);
	was = strstr(logged, words) != NULL;
	pthread_mutex_unlock(&log_lock);
	return was;
}

/* ---- another client ---- */

static rados_t cluster;
static rados_ioctx_t pool;

static void connect_other(const char *option, const char *value)
{
	ck_assert_int_eq(rados_create(&cluster, "admin"), 0);
	ck_assert_int_eq(rados_conf_read_file(cluster, NULL), 0);
	if (option != NULL)
		ck_assert_int_eq(rados_conf_set(cluster, option, value), 0);
	ck_assert_int_eq(rados_connect(cluster), 0);
	ck_assert_int_eq(rados_ioctx_create(cluster, "rbd", &pool), 0);
}

static void disconnect_other(void)
{
	rados_ioctx_destroy(pool);
	rados_shutdown(cluster);
}

static void make_image(const char *name, uint64_t features)
{
	int order = OBJECT_ORDER;

	connect_other(NULL, NULL);
	(void)rbd_remove(pool, name);
	ck_assert_int_eq(rbd_create2(pool, name, SIZE, features, &order), 0);
	disconnect_other();
}

static void set_up(void)
{
	model = calloc(1, SIZE);
	found = calloc(1, SIZE);
	ck_assert(model != NULL && found != NULL);
	logged[0] = '\0';
	make_image("unit", RBD_FEATURES_DEFAULT);
}

static void tear_down(void)
{
	free(model);
	free(found);
}

static struct uds_rbd_options defaults(void)
{
	struct uds_rbd_options options = UDS_RBD_OPTIONS_INIT;

	options.write = true;
	return options;
}

static int try_open(const char *image, const struct uds_rbd_options *options, struct uds_io **io)
{
	struct uds_env env = UDS_ENV_INIT;

	env.log = keep_log;
	message.text[0] = '\0';
	return uds_rbd_open(image, options, &env, &message, io);
}

static struct uds_io *open_with(const char *image, const struct uds_rbd_options *options)
{
	struct uds_io *io = NULL;

	ck_assert_msg(try_open(image, options, &io) == 0, "%s", message.text);
	return io;
}

static struct uds_io *open_default(void)
{
	struct uds_rbd_options options = defaults();

	return open_with("rbd/unit", &options);
}

static void refused(const char *image, const struct uds_rbd_options *options, int status,
		    const char *words)
{
	struct uds_io *io = (struct uds_io *)1;
	int r = try_open(image, options, &io);

	ck_assert_msg(r == status, "%d (%s), expected %d", r, message.text, status);
	ck_assert_ptr_eq(io, (struct uds_io *)1);
	ck_assert_msg(strstr(message.text, words) != NULL, "%s", message.text);
}

/* The same bytes for the same seed. */
static void fill(uint8_t *bytes, size_t length, uint64_t seed)
{
	uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;

	for (size_t i = 0; i < length; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		bytes[i] = (uint8_t)(x >> 32);
	}
}

static void shows_model(struct uds_io *io)
{
	memset(found, 0xee, SIZE);
	ck_assert_int_eq(uds_io_read(io, found, SIZE, 0), 0);
	ck_assert_msg(memcmp(model, found, SIZE) == 0, "what is read");
}

/* ---- reading and writing ---- */

static const uint64_t places[][2] = { { 0, 1 },
				      { 4095, 4097 },
				      { MIB - 7, 3 * MIB + 11 },
				      { SIZE - 513, 513 },
				      { 5 * MIB, 64 * 1024 } };

START_TEST(reads_show_what_was_written)
{
	struct uds_rbd_options options = defaults();
	struct uds_io *io = open_default();

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		fill(model + places[i][0], places[i][1], i + 1);
		ck_assert_int_eq(uds_io_write(io, model + places[i][0], places[i][1], places[i][0]),
				 0);
	}
	shows_model(io);
	ck_assert_int_eq(uds_io_write_zeroes(io, 2 * MIB + 5, MIB), 0);
	memset(model + 2 * MIB + 5, 0, MIB);
	ck_assert_int_eq(uds_io_flush(io), 0);
	shows_model(io);
	ck_assert_int_eq(uds_io_close(io), 0);
	options.write = false;
	io = open_with("rbd/unit", &options);
	shows_model(io);
	ck_assert_int_eq(uds_io_write(io, model, 1, 0), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_io_flush(io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	io = open_default();
	ck_assert_int_eq(uds_io_discard(io, 4 * MIB, 2 * MIB), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(sizes_are_kept_unless_a_change_is_allowed)
{
	struct uds_rbd_options options = defaults();
	struct uds_io *io = open_default();
	uint8_t byte = 1;
	uint64_t bytes;

	ck_assert_int_eq(uds_io_size(io, &bytes), 0);
	ck_assert_uint_eq(bytes, SIZE);
	ck_assert_int_eq(uds_io_read(io, &byte, 1, SIZE), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_write(io, &byte, 1, SIZE), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_discard(io, SIZE - 1, 2), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_write_zeroes(io, SIZE - 1, 2), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_resize(io, SIZE * 2), -EOPNOTSUPP);
	ck_assert_int_eq(uds_io_close(io), 0);
	options.resize = true;
	io = open_with("rbd/unit", &options);
	ck_assert_int_eq(uds_io_resize(io, SIZE * 2), 0);
	ck_assert_int_eq(uds_io_write(io, &byte, 1, SIZE * 2 - 1), 0);
	ck_assert_int_eq(uds_io_resize(io, SIZE / 2), 0);
	ck_assert_int_eq(uds_io_resize(io, SIZE * 2), 0);
	ck_assert_int_eq(uds_io_read(io, &byte, 1, SIZE * 2 - 1), 0);
	ck_assert_int_eq(byte, 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

#define REQUESTS 512
#define PIECE	 (SIZE / REQUESTS)

START_TEST(requests_of_an_engine_are_carried_out)
{
	struct uds_io_request single = { .kind = UDS_IO_FLUSH };
	struct uds_io *io = open_default();
	struct uds_io_request *requests;
	struct uds_io_engine *engine;

	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, NULL, &engine), 0);
	fill(model, REQUESTS * PIECE, 1);
	requests = make_requests(io, UDS_IO_WRITE, model, REQUESTS, PIECE);
	run_requests(engine, requests, REQUESTS, 0);
	free(requests);
	single.io = io;
	run_requests(engine, &single, 1, 0);
	requests = make_requests(io, UDS_IO_READ, found, REQUESTS, PIECE);
	run_requests(engine, requests, REQUESTS, 0);
	free(requests);
	ck_assert(memcmp(model, found, SIZE) == 0);
	single.kind = UDS_IO_WRITE_ZEROES;
	single.flags = UDS_IO_FUA;
	single.length = 3 * MIB;
	run_requests(engine, &single, 1, 0);
	memset(model, 0, 3 * MIB);
	shows_model(io);
	single.kind = UDS_IO_WRITE;
	single.flags = 0;
	single.buffer = model;
	single.offset = SIZE;
	run_requests(engine, &single, 1, UDS_ERR_OUT_OF_RANGE);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(transfers_within_an_object_cost_least)
{
	uint64_t features = RBD_FEATURES_DEFAULT | RBD_FEATURE_STRIPINGV2;
	struct uds_rbd_options options = defaults();
	struct uds_io *io = open_default();
	int order = OBJECT_ORDER;

	ck_assert_uint_eq(uds_io_preferred_bytes(io), OBJECT);
	ck_assert_int_eq(uds_io_close(io), 0);
	/* The bytes of an object lie apart. */
	connect_other(NULL, NULL);
	(void)rbd_remove(pool, "striped");
	ck_assert_int_eq(rbd_create3(pool, "striped", SIZE, features, &order, 65536, 4), 0);
	disconnect_other();
	io = open_with("rbd/striped", &options);
	ck_assert_uint_eq(uds_io_preferred_bytes(io), 65536);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

/* ---- holes ---- */

static void ck_data(struct uds_io *io, uint64_t from, uint64_t begin, uint64_t end)
{
	uint64_t b = 77, e = 77;

	ck_assert_int_eq(uds_io_find_data(io, from, &b, &e), 0);
	ck_assert_uint_eq(b, begin);
	ck_assert_uint_eq(e, end);
}

START_TEST(holes_are_found)
{
	struct uds_rbd_options options = defaults();
	struct uds_io *io = open_default();

	ck_data(io, 0, SIZE, SIZE);
	ck_assert_int_eq(uds_io_write(io, "x", 1, 2 * OBJECT + 5), 0);
	/* With an object map, by whole objects. */
	ck_data(io, 0, 2 * OBJECT, 3 * OBJECT);
	ck_data(io, 2 * OBJECT + 1, 2 * OBJECT + 1, 3 * OBJECT);
	ck_data(io, 3 * OBJECT, SIZE, SIZE);
	/* What was written meanwhile is not overlooked. */
	ck_assert_int_eq(uds_io_write(io, "x", 1, 5 * OBJECT), 0);
	ck_data(io, 3 * OBJECT, 5 * OBJECT, 6 * OBJECT);
	ck_assert_int_eq(uds_io_close(io), 0);
	/* Who is not sure to be alone takes all for data. */
	options.write = false;
	options.no_lock = true;
	io = open_with("rbd/unit", &options);
	ck_data(io, 0, 0, SIZE);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(holes_are_found_without_an_object_map)
{
	struct uds_io *io;

	make_image("unit", RBD_FEATURE_LAYERING | RBD_FEATURE_EXCLUSIVE_LOCK);
	io = open_default();
	ck_assert_int_eq(uds_io_write(io, "xyz", 3, 2 * OBJECT), 0);
	ck_data(io, 0, 2 * OBJECT, 2 * OBJECT + 3);
	ck_data(io, 2 * OBJECT + 3, SIZE, SIZE);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

/* ---- which image it is ---- */

START_TEST(the_same_image_is_known)
{
	struct uds_rbd_options options = { .size = 0 };
	struct uds_io *one, *same, *other;

	make_image("unit2", RBD_FEATURES_DEFAULT);
	options = defaults();
	options.write = false;
	one = open_with("rbd/unit", &options);
	same = open_with("rbd/unit", &options);
	other = open_with("rbd/unit2", &options);
	ck_assert(uds_io_overlap(one, same));
	ck_assert(!uds_io_overlap(one, other));
	ck_assert_int_eq(uds_io_close(one), 0);
	ck_assert_int_eq(uds_io_close(same), 0);
	ck_assert_int_eq(uds_io_close(other), 0);
}
END_TEST

START_TEST(an_image_is_made_once)
{
	struct uds_rbd_options options = defaults();
	struct uds_io *io;
	uint64_t bytes;

	connect_other(NULL, NULL);
	(void)rbd_remove(pool, "fresh");
	disconnect_other();
	options.create = true;
	io = open_with("rbd/fresh", &options);
	ck_assert_int_eq(uds_io_size(io, &bytes), 0);
	ck_assert_uint_eq(bytes, 0);
	ck_assert_int_eq(uds_io_resize(io, 5000), 0);
	ck_assert_int_eq(uds_io_write(io, "x", 1, 4999), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	refused("rbd/fresh", &options, -EEXIST, "rbd/fresh: the image is there already");
}
END_TEST

START_TEST(options_are_checked)
{
	struct uds_rbd_options options = defaults();
	struct {
		struct uds_rbd_options known;
		uint64_t unknown;
	} larger = { .known = UDS_RBD_OPTIONS_INIT };

	options.connect_ms = 0;
	refused("rbd/unit", &options, -EINVAL, "no time to connect");
	options = defaults();
	options.create = true;
	options.write = false;
	refused("rbd/unit", &options, -EINVAL, "an image is made by");
	options = defaults();
	/* As version 0.2 has fixed it, on machines of 64 bits. */
	ck_assert_uint_eq(sizeof(options), sizeof(void *) == 8 ? 48 : sizeof(options));
	options.size = sizeof(options) - 1;
	refused("rbd/unit", &options, -EINVAL, "uds_rbd_options");
	larger.known.size = sizeof(larger);
	ck_assert_int_eq(uds_io_close(open_with("rbd/unit", &larger.known)), 0);
	larger.unknown = 1;
	refused("rbd/unit", &larger.known, -E2BIG, "uds_rbd_options");
	options = defaults();
	options.id = "a client with a strange name";
	ck_assert_int_eq(uds_io_close(open_with("rbd/unit", &options)), 0);
}
END_TEST

/* ---- the lock ---- */

/* Breaks the lock as an administrator would: with Ceph's fencing, or without. */
static void break_lock(bool with_blocklist)
{
	char *owners[4];
	rbd_lock_mode_t mode;
	rbd_image_t image;
	size_t count = 4;

	connect_other("rbd_blocklist_on_break_lock", with_blocklist ? "true" : "false");
	ck_assert_int_eq(rbd_open(pool, "unit", &image, NULL), 0);
	ck_assert_int_eq(rbd_lock_get_owners(image, &mode, owners, &count), 0);
	ck_assert_uint_eq(count, 1);
	ck_assert_int_eq(rbd_lock_break(image, RBD_LOCK_MODE_EXCLUSIVE, owners[0]), 0);
	rbd_lock_get_owners_cleanup(owners, count);
	ck_assert_int_eq(rbd_close(image), 0);
	disconnect_other();
}

/* All that changes bytes, and what says that they are safe. */
static void nothing_is_written(struct uds_io *io)
{
	struct uds_io_request write = {
		.io = io, .kind = UDS_IO_WRITE, .buffer = model, .length = 9
	};
	struct uds_io_engine *engine;

	ck_assert_int_eq(uds_io_write(io, model, 9, 0), -ESTALE);
	ck_assert_int_eq(uds_io_write_zeroes(io, 0, 9), -ESTALE);
	ck_assert_int_eq(uds_io_discard(io, 0, OBJECT), -ESTALE);
	ck_assert_int_eq(uds_io_flush(io), -ESTALE);
	ck_assert_int_eq(uds_io_resize(io, 2 * SIZE), -ESTALE);
	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, NULL, &engine), 0);
	run_requests(engine, &write, 1, -ESTALE);
	uds_io_engine_close(engine);
}

static struct uds_io *open_and_write(void)
{
	struct uds_rbd_options options = defaults();
	struct uds_io *io;

	options.resize = true;
	io = open_with("rbd/unit", &options);
	fill(model, 5000, 1);
	ck_assert_int_eq(uds_io_write(io, model, 5000, 0), 0);
	return io;
}

static void holds_what_was_written(void)
{
	struct uds_io *io = open_default();

	shows_model(io);
	ck_assert_int_eq(uds_io_close(io), 0);
}

START_TEST(a_lock_that_was_broken_stops_all_writing)
{
	struct uds_io *io = open_and_write();
	uint8_t other[9] = "no no no";

	break_lock(true);
	ck_assert_int_eq(uds_io_write(io, other, 9, 0), -ESTALE);
	nothing_is_written(io);
	ck_assert(was_logged("rbd/unit: the exclusive lock is lost"));
	(void)uds_io_close(io);
	holds_what_was_written();
}
END_TEST

START_TEST(a_lock_that_was_lost_is_lost_for_good)
{
	struct uds_io *io = open_and_write();

	break_lock(false);
	sleep(TRUSTED_SECONDS);
	ck_assert_int_eq(uds_io_write(io, "no no no", 9, 0), -ESTALE);
	ck_assert(was_logged(
		"rbd/unit: the exclusive lock is lost (it is not this client's any more)"));
	/* Another writer comes and goes: the lock is free again, and it makes no difference. */
	holds_what_was_written();
	nothing_is_written(io);
	/* It is read as before. */
	shows_model(io);
	(void)uds_io_close(io);
	holds_what_was_written();
}
END_TEST

START_TEST(one_of_two_writers_is_refused)
{
	struct uds_rbd_options options = defaults();
	struct uds_io *io = open_and_write();

	refused("rbd/unit", &options, UDS_ERR_IN_USE,
		"has the exclusive lock: it is being written");
	options.write = false;
	refused("rbd/unit", &options, UDS_ERR_IN_USE, "a snapshot of it");
	options.no_lock = true;
	ck_assert_int_eq(uds_io_close(open_with("rbd/unit", &options)), 0);
	/* The first one has noticed nothing. */
	ck_assert_int_eq(uds_io_write(io, model, 5000, 0), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	holds_what_was_written();
}
END_TEST

/* ---- the rest ---- */

START_TEST(schemes_are_registered)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io;

	ck_assert_int_eq(uds_rbd_register_schemes(&message), 0);
	ck_assert_int_eq(uds_rbd_register_schemes(&message), 0);
	options.write = true;
	ck_assert_int_eq(uds_io_open_uri("rbd:rbd/unit?answer=30&offset=1M&length=2M", &options,
					 NULL, &message, &io),
			 0);
	fill(model + MIB, 2 * MIB, 3);
	ck_assert_int_eq(uds_io_write(io, model + MIB, 2 * MIB, 0), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	holds_what_was_written();
}
END_TEST

static int open_under_torture(const struct uds_env *env, void *context)
{
	struct uds_rbd_options options = defaults();
	struct uds_io_request write = { .kind = UDS_IO_WRITE, .length = 9 };
	struct uds_io_request *one = &write, *done;
	struct uds_io_engine *engine;
	uint64_t begin, end;
	struct uds_io *io;
	int r;

	(void)context;
	r = uds_rbd_open("rbd/unit", &options, env, &message, &io);
	if (r < 0)
		return r;
	write.io = io;
	write.buffer = model;
	r = uds_io_find_data(io, 0, &begin, &end);
	if (r == 0)
		r = uds_io_engine_open(NULL, NULL, NULL, &engine);
	if (r == 0) {
		ck_assert_int_eq(uds_io_engine_submit(engine, &one, 1), 0);
		ck_assert_int_eq(uds_io_engine_reap(engine, &done, 1, 1, -1), 1);
		r = write.status;
		uds_io_engine_close(engine);
	}
	uds_io_close(io);
	return r;
}

START_TEST(each_allocation_may_fail)
{
	torture_each_allocation(open_under_torture, NULL, false);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rbd");
	TCase *tcase = tcase_create("rbd");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 100);
	if (getenv("CEPH_CONF") == NULL) {
		printf("skipped: no cluster: CEPH_CONF is not set\n"
		       "result: 0 passed, 0 failed, 1 skipped\n");
		return 0;
	}
	tcase_add_test(tcase, reads_show_what_was_written);
	tcase_add_test(tcase, sizes_are_kept_unless_a_change_is_allowed);
	tcase_add_test(tcase, requests_of_an_engine_are_carried_out);
	tcase_add_test(tcase, transfers_within_an_object_cost_least);
	tcase_add_test(tcase, holes_are_found);
	tcase_add_test(tcase, holes_are_found_without_an_object_map);
	tcase_add_test(tcase, the_same_image_is_known);
	tcase_add_test(tcase, an_image_is_made_once);
	tcase_add_test(tcase, options_are_checked);
	tcase_add_test(tcase, a_lock_that_was_broken_stops_all_writing);
	tcase_add_test(tcase, a_lock_that_was_lost_is_lost_for_good);
	tcase_add_test(tcase, one_of_two_writers_is_refused);
	tcase_add_test(tcase, schemes_are_registered);
	tcase_add_test(tcase, each_allocation_may_fail);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
