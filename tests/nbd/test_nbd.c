/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libuds-nbd on servers of nbdkit: what is read and written, what is sent again after a server was
 * killed, and each way in which a server can be wrong.
 *
 * nbdkit's cache filter keeps writes in memory until a flush, and loses them when it is killed: so
 * what is on the file behind it was flushed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <uds/engine.h>
#include <uds/nbd.h>

#include "check_main.h"
#include "nbd_server.h"
#include "run_requests.h"
#include "torture_env.h"

#define MIB  ((uint64_t)1 << 20)
#define SIZE (8 * MIB)

static struct nbd_server server;
static struct uds_message message;
static char image[300], other[300], flag_file[300];
static char file_word[320], error_word[340];

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
	bool found;

	pthread_mutex_lock(&log_lock);
	found = strstr(logged, words) != NULL;
	pthread_mutex_unlock(&log_lock);
	return found;
}

static void make_file(const char *path, uint64_t bytes)
{
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)bytes), 0);
	close(fd);
}

static void read_file(const char *path, uint8_t *bytes, uint64_t length)
{
	int fd = open(path, O_RDONLY);

	ck_assert_int_eq(pread(fd, bytes, length, 0), (ssize_t)length);
	close(fd);
}

static void set_up(void)
{
	const char *scratch = scratch_dir();

	snprintf(image, sizeof(image), "%s/image", scratch);
	snprintf(other, sizeof(other), "%s/other", scratch);
	snprintf(flag_file, sizeof(flag_file), "%s/flag", scratch);
	snprintf(file_word, sizeof(file_word), "file=%s", image);
	snprintf(error_word, sizeof(error_word), "error-file=%s", flag_file);
	make_file(image, SIZE);
	nbd_server_name(&server, 0);
	logged[0] = '\0';
}

static void tear_down(void)
{
	nbd_server_kill(&server);
	unlink(image);
	unlink(other);
	unlink(flag_file);
	rmdir(scratch_dir());
}

/* The words of a server on the image file; more may stand in front. */
#define ON_FILE	       "file", file_word
#define START(...)     nbd_server_start(&server, (const char *const[]){ __VA_ARGS__, NULL })
#define START_CACHED() START("--filter=cache", ON_FILE, "cache=writeback")

static struct uds_nbd_options defaults(void)
{
	struct uds_nbd_options options = UDS_NBD_OPTIONS_INIT;

	options.write = true;
	options.reconnect_ms = 20000;
	return options;
}

static int try_open(const struct uds_nbd_options *options, struct uds_io **ret_io)
{
	struct uds_env env = UDS_ENV_INIT;

	env.log = keep_log;
	message.text[0] = '\0';
	return uds_nbd_open(server.uri, options, &env, &message, ret_io);
}

static struct uds_io *open_with(const struct uds_nbd_options *options)
{
	struct uds_io *io = NULL;

	ck_assert_msg(try_open(options, &io) == 0, "%s", message.text);
	return io;
}

static struct uds_io *open_default(void)
{
	struct uds_nbd_options options = defaults();

	return open_with(&options);
}

static void refused(const struct uds_nbd_options *options, int status, const char *words)
{
	struct uds_io *io = (struct uds_io *)1;
	int r = try_open(options, &io);

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

static uint8_t *model, *found;

static void make_model(void)
{
	model = calloc(1, SIZE);
	found = calloc(1, SIZE);
	ck_assert(model != NULL && found != NULL);
}

static void free_model(void)
{
	free(model);
	free(found);
}

static int put(struct uds_io *io, uint64_t offset, size_t length, uint64_t seed)
{
	fill(model + offset, length, seed);
	return uds_io_write(io, model + offset, length, offset);
}

static void shows_model(struct uds_io *io)
{
	memset(found, 0xee, SIZE);
	ck_assert_int_eq(uds_io_read(io, found, SIZE, 0), 0);
	ck_assert_msg(memcmp(model, found, SIZE) == 0, "what is read");
}

static void file_is_model(const char *path)
{
	read_file(path, found, SIZE);
	ck_assert_msg(memcmp(model, found, SIZE) == 0, "what is in %s", path);
}

static void kill_and_start_cached(void)
{
	nbd_server_kill(&server);
	START_CACHED();
}

/* ---- reading and writing ---- */

static const uint64_t places[][2] = { { 0, 1 },
				      { 4095, 4097 },
				      { MIB - 7, 3 * MIB + 11 },
				      { SIZE - 513, 513 },
				      { 5 * MIB, 64 * 1024 },
				      { 2 * MIB, 1 } };

START_TEST(reads_show_what_was_written)
{
	struct uds_io *io;

	START(ON_FILE);
	make_model();
	io = open_default();
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		ck_assert_int_eq(put(io, places[i][0], places[i][1], i + 1), 0);
	shows_model(io);
	ck_assert_int_eq(uds_io_write_zeroes(io, 2 * MIB + 5, MIB), 0);
	memset(model + 2 * MIB + 5, 0, MIB);
	ck_assert_int_eq(uds_io_flush(io), 0);
	shows_model(io);
	file_is_model(image);
	ck_assert_int_eq(uds_io_discard(io, 6 * MIB, MIB), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	free_model();
}
END_TEST

START_TEST(requests_beyond_the_end_are_refused)
{
	uint64_t bytes = 0;
	uint8_t byte = 1;
	struct uds_io *io;

	START(ON_FILE);
	io = open_default();
	ck_assert_int_eq(uds_io_size(io, &bytes), 0);
	ck_assert_uint_eq(bytes, SIZE);
	ck_assert_int_eq(uds_io_read(io, &byte, 1, SIZE), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_write(io, &byte, 1, SIZE), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_discard(io, SIZE - 1, 2), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_write_zeroes(io, SIZE - 1, 2), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_resize(io, SIZE * 2), -EOPNOTSUPP);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

#define REQUESTS 500
#define PIECE	 16384

START_TEST(requests_of_an_engine_are_carried_out)
{
	struct uds_io_request flush = { .kind = UDS_IO_FLUSH }, durable = { .kind = UDS_IO_WRITE };
	struct uds_io_request *requests;
	struct uds_io_engine *engine;
	struct uds_io *io;

	START(ON_FILE);
	make_model();
	io = open_default();
	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, NULL, &engine), 0);
	fill(model, REQUESTS * PIECE, 1);
	requests = make_requests(io, UDS_IO_WRITE, model, REQUESTS, PIECE);
	run_requests(engine, requests, REQUESTS, 0);
	free(requests);
	flush.io = durable.io = io;
	run_requests(engine, &flush, 1, 0);
	file_is_model(image);
	requests = make_requests(io, UDS_IO_READ, found, REQUESTS, PIECE);
	run_requests(engine, requests, REQUESTS, 0);
	free(requests);
	ck_assert(memcmp(model, found, REQUESTS * PIECE) == 0);
	fill(model, 100, 77);
	durable.flags = UDS_IO_FUA;
	durable.buffer = model;
	durable.length = 100;
	run_requests(engine, &durable, 1, 0);
	file_is_model(image);
	durable.flags = 0;
	durable.offset = SIZE;
	run_requests(engine, &durable, 1, UDS_ERR_OUT_OF_RANGE);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	free_model();
}
END_TEST

/* More than a socket holds, in both directions at once. */
START_TEST(large_requests_go_both_ways_at_once)
{
	enum { LARGE = 256 * 1024, PIECES = SIZE / LARGE, ROUNDS = 20 };
	struct uds_nbd_options options = defaults();
	struct uds_io_request requests[PIECES];
	struct uds_io_engine *engine;
	struct uds_io *io;

	START("memory", "8M");
	make_model();
	options.answer_ms = 10000;
	io = open_with(&options);
	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, NULL, &engine), 0);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		memset(requests, 0, sizeof(requests));
		for (size_t i = 0; i < PIECES; i++) {
			bool reads = (i + round) % 4 == 0;

			requests[i].io = io;
			requests[i].kind = reads ? UDS_IO_READ : UDS_IO_WRITE;
			requests[i].buffer = (reads ? found : model) + i * LARGE;
			requests[i].offset = i * LARGE;
			requests[i].length = LARGE;
			if (!reads)
				fill(model + i * LARGE, LARGE, round * PIECES + i + 1);
		}
		run_requests(engine, requests, PIECES, 0);
	}
	shows_model(io);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	free_model();
}
END_TEST

struct worker {
	pthread_t thread;
	struct uds_io *io;
	unsigned number;
	bool good;
};

static void *work_in_thread(void *context)
{
	struct worker *worker = context;
	uint8_t bytes[512], back[512];

	for (unsigned i = 0; i < 200; i++) {
		uint64_t offset = ((uint64_t)i * 4 + worker->number) * 512;

		fill(bytes, sizeof(bytes), offset);
		if (uds_io_write(worker->io, bytes, sizeof(bytes), offset) != 0 ||
		    uds_io_read(worker->io, back, sizeof(back), offset) != 0 ||
		    memcmp(bytes, back, sizeof(back)) != 0 ||
		    (i % 50 == 0 && uds_io_flush(worker->io) != 0))
			return NULL;
	}
	worker->good = true;
	return NULL;
}

START_TEST(threads_share_an_export)
{
	struct worker workers[4] = { { .number = 0 } };
	struct uds_io *io;

	START(ON_FILE);
	io = open_default();
	for (unsigned i = 0; i < 4; i++) {
		workers[i].io = io;
		workers[i].number = i;
		ck_assert_int_eq(
			pthread_create(&workers[i].thread, NULL, work_in_thread, &workers[i]), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(workers[i].thread, NULL);
		ck_assert(workers[i].good);
	}
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(holes_are_found)
{
	uint64_t begin = 0, end = 0;
	struct uds_io *io;

	START(ON_FILE);
	make_model();
	io = open_default();
	ck_assert_int_eq(uds_io_find_data(io, 0, &begin, &end), 0);
	ck_assert(begin == SIZE && end == SIZE);
	ck_assert_int_eq(put(io, 2 * MIB, MIB, 1), 0);
	ck_assert_int_eq(put(io, 5 * MIB, MIB, 2), 0);
	ck_assert_int_eq(uds_io_find_data(io, 100, &begin, &end), 0);
	ck_assert(begin == 2 * MIB && end == 3 * MIB);
	ck_assert_int_eq(uds_io_find_data(io, 2 * MIB + 4096, &begin, &end), 0);
	ck_assert(begin == 2 * MIB + 4096 && end == 3 * MIB);
	ck_assert_int_eq(uds_io_find_data(io, end, &begin, &end), 0);
	ck_assert(begin == 5 * MIB && end == 6 * MIB);
	ck_assert_int_eq(uds_io_find_data(io, end, &begin, &end), 0);
	ck_assert(begin == SIZE && end == SIZE);
	ck_assert_int_eq(uds_io_close(io), 0);
	/* A server that cannot tell. */
	nbd_server_kill(&server);
	START("--filter=noextents", ON_FILE);
	io = open_default();
	ck_assert_int_eq(uds_io_find_data(io, 100, &begin, &end), 0);
	ck_assert(begin == 100 && end == SIZE);
	ck_assert_int_eq(uds_io_close(io), 0);
	free_model();
}
END_TEST

START_TEST(blocks_of_the_server_are_kept)
{
	uint8_t block[1024] = { 1 };
	struct uds_io *io;

	START("--filter=blocksize-policy", ON_FILE, "blocksize-minimum=512",
	      "blocksize-preferred=16K", "blocksize-maximum=64K", "blocksize-error-policy=error");
	make_model();
	io = open_default();
	ck_assert_uint_eq(uds_io_block_bytes(io), 512);
	ck_assert_uint_eq(uds_io_preferred_bytes(io), 16384);
	ck_assert_int_eq(uds_io_write(io, block, 511, 0), UDS_ERR_UNALIGNED);
	ck_assert_int_eq(put(io, 512, 3 * MIB, 1), 0);
	ck_assert_int_eq(uds_io_write_zeroes(io, MIB, MIB), 0);
	memset(model + MIB, 0, MIB);
	shows_model(io);
	ck_assert_int_eq(uds_io_close(io), 0);
	free_model();
}
END_TEST

/* ---- servers that are killed ---- */

START_TEST(what_was_not_flushed_is_sent_again)
{
	struct uds_io *io;

	START_CACHED();
	make_model();
	io = open_default();
	ck_assert_int_eq(put(io, 0, MIB, 1), 0);
	ck_assert_int_eq(uds_io_flush(io), 0);
	file_is_model(image);
	/* Over each other, so that their order counts. */
	ck_assert_int_eq(put(io, 4096, 3 * MIB, 2), 0);
	ck_assert_int_eq(put(io, 2 * MIB, 4096, 3), 0);
	ck_assert_int_eq(uds_io_write_zeroes(io, 2 * MIB + 512, 512), 0);
	memset(model + 2 * MIB + 512, 0, 512);
	ck_assert_int_eq(put(io, 2 * MIB + 700, 100, 4), 0);
	read_file(image, found, SIZE);
	ck_assert_msg(memcmp(model, found, SIZE) != 0, "the server keeps what it got in memory");
	kill_and_start_cached();
	shows_model(io);
	ck_assert(was_logged("the connection is lost") && was_logged("connected again"));
	kill_and_start_cached();
	ck_assert_int_eq(uds_io_flush(io), 0);
	file_is_model(image);
	/* Durable: nothing is left to be sent. */
	nbd_server_kill(&server);
	START("-r", ON_FILE);
	ck_assert_int_eq(uds_io_close(io), 0);
	file_is_model(image);
	free_model();
}
END_TEST

/* Kills the server, and starts another one a little later. */
static void *start_later(void *context)
{
	atomic_bool *over = context;

	usleep(300000);
	nbd_server_kill(&server);
	usleep(300000);
	START_CACHED();
	/* The server ends with the thread that started it. */
	while (!atomic_load(over))
		usleep(10000);
	return NULL;
}

START_TEST(requests_on_the_way_wait_for_the_next_server)
{
	struct uds_io_request *requests;
	struct uds_io_engine *engine;
	atomic_bool over = false;
	pthread_t thread;
	struct uds_io *io;

	START("--filter=cache", "--filter=delay", ON_FILE, "cache=writeback", "delay-read=10ms",
	      "delay-write=10ms");
	make_model();
	io = open_default();
	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, NULL, &engine), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, start_later, &over), 0);
	for (int round = 0; round < 3; round++) {
		fill(model, REQUESTS * PIECE, 1);
		requests = make_requests(io, UDS_IO_WRITE, model, REQUESTS, PIECE);
		run_requests(engine, requests, REQUESTS, 0);
		free(requests);
		ck_assert_int_eq(uds_io_flush(io), 0);
		usleep(200000);
	}
	shows_model(io);
	file_is_model(image);
	ck_assert(was_logged("connected again"));
	atomic_store(&over, true);
	pthread_join(thread, NULL);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	free_model();
}
END_TEST

START_TEST(memory_for_what_is_not_flushed_is_bounded)
{
	struct uds_nbd_options options = defaults();
	struct torture_env torture;
	struct uds_io *io = NULL;

	START_CACHED();
	make_model();
	options.unflushed_bytes = UDS_NBD_UNFLUSHED_MIN;
	torture_env_start(&torture);
	ck_assert_int_eq(uds_nbd_open(server.uri, &options, &torture.env, &message, &io), 0);
	for (uint64_t i = 0; i < SIZE / 4096; i++)
		ck_assert_int_eq(put(io, i * 4096, 4096, i + 1), 0);
	ck_assert_msg(torture.peak < 5 * MIB, "%llu bytes", (unsigned long long)torture.peak);
	/* What is not in this memory has been flushed. */
	read_file(image, found, SIZE);
	ck_assert(memcmp(model, found, SIZE - UDS_NBD_UNFLUSHED_MIN) == 0);
	kill_and_start_cached();
	ck_assert_int_eq(uds_io_flush(io), 0);
	file_is_model(image);
	ck_assert_int_eq(uds_io_close(io), 0);
	torture_env_end(&torture);
	free_model();
}
END_TEST

/* From now on everything fails with that, and the file stays as it is. */
static void failed_for_good(struct uds_io *io, int status, const char *words)
{
	uint8_t byte = 0;
	int r = uds_io_write(io, model, 4096, 0);

	ck_assert_msg(r == status, "%d, expected %d: %s", r, status, logged);
	ck_assert_msg(was_logged("given up") && was_logged(words), "%s", logged);
	ck_assert_int_eq(uds_io_read(io, &byte, 1, 0), status);
	ck_assert_int_eq(uds_io_flush(io), status);
	ck_assert_int_eq(uds_io_close(io), 0);
}

static void all_zero(const char *path, uint64_t bytes)
{
	read_file(path, found, bytes);
	for (uint64_t i = 0; i < bytes; i++)
		ck_assert_uint_eq(found[i], 0);
}

START_TEST(an_export_of_another_size_is_not_written)
{
	struct uds_io *io;

	START_CACHED();
	make_model();
	io = open_default();
	ck_assert_int_eq(put(io, 0, MIB, 1), 0);
	nbd_server_kill(&server);
	make_file(image, SIZE / 2);
	START_CACHED();
	failed_for_good(io, -ESTALE, "another size now: it had 8388608 bytes, and has 4194304");
	nbd_server_kill(&server);
	all_zero(image, SIZE / 2);
	free_model();
}
END_TEST

START_TEST(an_export_that_became_read_only_is_named)
{
	struct uds_io *io;

	START_CACHED();
	make_model();
	io = open_default();
	ck_assert_int_eq(put(io, 0, MIB, 1), 0);
	nbd_server_kill(&server);
	START("-r", ON_FILE);
	failed_for_good(io, -EROFS, "read-only now");
	all_zero(image, SIZE);
	free_model();
}
END_TEST

START_TEST(another_export_of_the_same_size_is_not_written)
{
	char word[320];
	struct uds_io *io;

	START_CACHED();
	make_model();
	io = open_default();
	ck_assert_int_eq(put(io, 0, MIB, 1), 0);
	ck_assert_int_eq(uds_io_flush(io), 0);
	ck_assert_int_eq(put(io, 3 * MIB, MIB, 2), 0);
	nbd_server_kill(&server);
	make_file(other, SIZE);
	snprintf(word, sizeof(word), "file=%s", other);
	START("file", word);
	failed_for_good(io, -ESTALE, "does not have what was flushed to it");
	all_zero(other, SIZE);
	free_model();
}
END_TEST

START_TEST(a_server_that_stays_away_is_given_up)
{
	struct uds_nbd_options options = defaults();
	time_t begin = time(NULL);
	struct uds_io *io;

	START(ON_FILE);
	make_model();
	options.reconnect_ms = 1000;
	io = open_with(&options);
	ck_assert_int_eq(put(io, 0, 4096, 1), 0);
	nbd_server_kill(&server);
	failed_for_good(io, -ENOTCONN, "the last 1 writes that were not flushed may be lost");
	ck_assert_int_le(time(NULL) - begin, 20);
	/* And at once where that is wanted. */
	START(ON_FILE);
	logged[0] = '\0';
	options.reconnect_ms = 0;
	io = open_with(&options);
	nbd_server_kill(&server);
	START(ON_FILE);
	failed_for_good(io, -ENOTCONN, "given up");
	free_model();
}
END_TEST

START_TEST(a_lost_server_does_not_hold_up_a_close)
{
	struct uds_io *io;

	START(ON_FILE);
	make_model();
	io = open_default();
	ck_assert_int_eq(put(io, 0, 4096, 1), 0);
	nbd_server_kill(&server);
	ck_assert_int_eq(uds_io_close(io), 0);
	free_model();
}
END_TEST

/* ---- servers that answer errors, or late ---- */

START_TEST(errors_of_the_server_are_reported)
{
	uint64_t begin, end;
	struct uds_io *io;

	START("--filter=error", ON_FILE, "error=ENOSPC", "error-rate=100%", error_word);
	make_model();
	io = open_default();
	ck_assert_int_eq(put(io, 0, 3 * MIB, 1), 0);
	make_file(flag_file, 0);
	ck_assert_int_eq(uds_io_write(io, model, 3 * MIB, 0), -ENOSPC);
	ck_assert_int_eq(uds_io_read(io, found, 3 * MIB, 0), -ENOSPC);
	ck_assert_int_eq(uds_io_write_zeroes(io, 0, MIB), -ENOSPC);
	ck_assert_int_eq(uds_io_discard(io, 0, MIB), -ENOSPC);
	ck_assert_int_eq(uds_io_find_data(io, 0, &begin, &end), -ENOSPC);
	unlink(flag_file);
	ck_assert_int_eq(uds_io_write(io, model, 3 * MIB, 0), 0);
	ck_assert_int_eq(uds_io_flush(io), 0);
	shows_model(io);
	ck_assert_int_eq(uds_io_close(io), 0);
	free_model();
}
END_TEST

static char flush_word[400];

/* A server whose flush fails while the flag is there. */
static void start_failing_flush(void)
{
	snprintf(flush_word, sizeof(flush_word),
		 "flush=if [ -e %s ]; then echo EIO no >&2; exit 1; fi", flag_file);
	START("eval", "get_size=echo 8M", "pread=head -c $3 /dev/zero", "pwrite=cat >/dev/null",
	      "can_write=exit 0", "can_flush=exit 0", flush_word);
}

START_TEST(a_failed_flush_is_reported)
{
	struct uds_nbd_options options = defaults();
	struct uds_io *io;
	int r = 0, failed = 0;

	start_failing_flush();
	make_model();
	options.unflushed_bytes = UDS_NBD_UNFLUSHED_MIN;
	io = open_with(&options);
	make_file(flag_file, 0);
	ck_assert_int_eq(put(io, 0, 4096, 1), 0);
	ck_assert_int_eq(uds_io_flush(io), -EIO);
	unlink(flag_file);
	ck_assert_int_eq(uds_io_flush(io), 0);
	/* One of the backend's own, for room. */
	make_file(flag_file, 0);
	for (int i = 0; i < 8 && r == 0; i++)
		r = put(io, 0, 512 * 1024, 2);
	ck_assert_int_eq(r, -EIO);
	unlink(flag_file);
	ck_assert_int_eq(uds_io_flush(io), -EIO);
	/* One more for room had perhaps begun before the flag was gone: one of the next says so. */
	for (int i = 0; i < 3; i++)
		failed += uds_io_flush(io) < 0;
	ck_assert_int_le(failed, 1);
	ck_assert_int_eq(uds_io_flush(io), 0);
	ck_assert_int_eq(put(io, 0, 512 * 1024, 3), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	free_model();
}
END_TEST

START_TEST(a_late_answer_ends_it)
{
	struct uds_nbd_options options = defaults();
	struct uds_io *io;

	START("--filter=delay", ON_FILE, "delay-write=3");
	make_model();
	/* In time: it is waited for. */
	io = open_with(&options);
	ck_assert_int_eq(put(io, 0, 4096, 1), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	options.answer_ms = 1000;
	io = open_with(&options);
	failed_for_good(io, -ETIMEDOUT, "has not answered for 1 seconds");
	free_model();
}
END_TEST

/* ---- what is refused ---- */

START_TEST(exports_that_cannot_be_written_are_refused)
{
	struct uds_nbd_options options = defaults();
	struct uds_io *io;
	uint8_t byte;

	START("-r", ON_FILE);
	refused(&options, -EROFS, "read-only");
	options.write = false;
	io = open_with(&options);
	ck_assert(uds_io_is_read_only(io));
	ck_assert_int_eq(uds_io_read(io, &byte, 1, 0), 0);
	ck_assert_int_eq(uds_io_write(io, &byte, 1, 0), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_io_flush(io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	nbd_server_kill(&server);
	START("eval", "get_size=echo 1M", "pread=head -c $3 /dev/zero", "pwrite=cat >/dev/null",
	      "can_write=exit 0", "can_flush=exit 3", "can_fua=echo none");
	options.write = true;
	refused(&options, -EOPNOTSUPP, "neither flush nor write durably");
}
END_TEST

START_TEST(servers_without_flush_write_durably)
{
	struct uds_io *io;

	/* It fails each write without FUA. */
	START("eval", "get_size=echo 8M", "pread=head -c $3 /dev/zero",
	      "pwrite=cat >/dev/null; case $5 in *fua*) ;; *) echo EIO no >&2; exit 1;; esac",
	      "can_write=exit 0", "can_flush=exit 3", "can_fua=echo native");
	make_model();
	io = open_default();
	ck_assert_int_eq(put(io, 0, 4096, 1), 0);
	ck_assert_int_eq(uds_io_flush(io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	free_model();
}
END_TEST

START_TEST(servers_that_are_not_there_are_named)
{
	struct uds_nbd_options options = defaults();

	refused(&options, -ENOENT, server.socket);
	START(ON_FILE);
	snprintf(server.uri, sizeof(server.uri), "nbd://127.0.0.1:1/");
	refused(&options, -ECONNREFUSED, "nbd://127.0.0.1:1/");
	snprintf(server.uri, sizeof(server.uri), "nbd+unix:///");
	refused(&options, -EINVAL, "socket");
	snprintf(server.uri, sizeof(server.uri), "nbds+unix:///?socket=%s", server.socket);
	refused(&options, -ENOTSUP, "TLS");
}
END_TEST

START_TEST(a_server_that_says_nothing_is_not_waited_for)
{
	struct uds_nbd_options options = defaults();

	options.connect_ms = 500;
	/* The pause comes before the greeting's end. */
	START("eval", "get_size=sleep 2; echo 1M", "pread=exit 1");
	refused(&options, -ETIMEDOUT, "does not answer");
}
END_TEST

START_TEST(options_out_of_range_are_refused)
{
	struct uds_nbd_options options = defaults();

	options.connections = 0;
	refused(&options, -EINVAL, "0 connections: 1 to 16");
	options.connections = 17;
	refused(&options, -EINVAL, "17 connections");
	options = defaults();
	options.connect_ms = 0;
	refused(&options, -EINVAL, "no time to connect");
	options = defaults();
	options.answer_ms = 0;
	refused(&options, -EINVAL, "no time to connect, or");
	options = defaults();
	options.unflushed_bytes = UDS_NBD_UNFLUSHED_MIN - 1;
	refused(&options, -EINVAL, "1048575 bytes for writes");
	options.unflushed_bytes = UDS_NBD_UNFLUSHED_MAX + 1;
	refused(&options, -EINVAL, "4294967297 bytes for writes");
	options = defaults();
	options.size = 8;
	refused(&options, -EINVAL, "struct uds_nbd_options");
}
END_TEST

/* ---- keys ---- */

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

START_TEST(a_wrong_key_is_refused)
{
	struct uds_nbd_options options = defaults();
	char word[340];
	struct uds_io *io;

	make_model();
	write_text(flag_file, "user:0123456789abcdef0123456789abcdef\n");
	write_text(other, "user:fedcba9876543210fedcba9876543210\n");
	snprintf(word, sizeof(word), "--tls-psk=%s", flag_file);
	START("--tls=require", word, ON_FILE);
	refused(&options, -ENOTSUP, "TLS");
	snprintf(server.uri, sizeof(server.uri), "nbds+unix://user@/?socket=%s&tls-psk-file=%s",
		 server.socket, flag_file);
	io = open_with(&options);
	ck_assert_int_eq(uds_io_close(io), 0);
	snprintf(server.uri, sizeof(server.uri), "nbds+unix://user@/?socket=%s&tls-psk-file=%s",
		 server.socket, other);
	refused(&options, -EPROTO, "nbds+unix://user@/");
	all_zero(image, SIZE);
	free_model();
}
END_TEST

/* ---- schemes ---- */

static void open_uri_refused(const char *uri, int status, const char *words)
{
	struct uds_io *io = NULL;
	int r = uds_io_open_uri(uri, NULL, NULL, &message, &io);

	ck_assert_msg(r == status && strstr(message.text, words) != NULL, "%d: %s", r,
		      message.text);
}

START_TEST(schemes_are_registered)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	char uri[600];
	struct uds_io *io, *second;
	uint64_t bytes;

	START(ON_FILE);
	open_uri_refused(server.uri, -EINVAL, "unknown scheme 'nbd+unix'");
	ck_assert_int_eq(uds_nbd_register_schemes(&message), 0);
	ck_assert_int_eq(uds_nbd_register_schemes(&message), 0);
	options.write = true;
	snprintf(uri, sizeof(uri),
		 "nbd+unix:///?connections=2&socket=%s&reconnect=5&answer=7&connect=9&unflushed=2M"
		 "&offset=4096&length=8192",
		 server.socket);
	ck_assert_msg(uds_io_open_uri(uri, &options, NULL, &message, &io) == 0, "%s", message.text);
	ck_assert_int_eq(uds_io_size(io, &bytes), 0);
	ck_assert_uint_eq(bytes, 8192);
	ck_assert_int_eq(uds_io_write(io, "here", 4, 0), 0);
	ck_assert_int_eq(uds_io_flush(io), 0);
	snprintf(uri, sizeof(uri), "concat:?part=mem:?size=1M&part=%s", server.uri);
	ck_assert_msg(uds_io_open_uri(uri, NULL, NULL, &message, &second) == 0, "%s", message.text);
	ck_assert(uds_io_overlap(io, second));
	ck_assert_int_eq(uds_io_close(second), 0);
	snprintf(uri, sizeof(uri), "%s&length=4096", server.uri);
	ck_assert_int_eq(uds_io_open_uri(uri, NULL, NULL, &message, &second), 0);
	ck_assert(!uds_io_overlap(io, second));
	ck_assert_int_eq(uds_io_close(second), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	open_uri_refused("nbd://h/?connections=many", -EINVAL, "connections: 'many'");
	open_uri_refused("nbd://h/?connections=99", -EINVAL, "99 connections");
	open_uri_refused("nbd://h/?speed=1", -EINVAL, "unknown parameter 'speed'");
	open_uri_refused("nbd://h/?answer=0", -EINVAL, "no time");
}
END_TEST

static int open_under_torture(const struct uds_env *env, void *context)
{
	struct uds_nbd_options options = defaults();
	uint8_t bytes[4096] = { 1 };
	uint64_t begin, end;
	struct uds_io *io;
	int r;

	(void)context;
	options.connections = 1;
	options.unflushed_bytes = UDS_NBD_UNFLUSHED_MIN;
	r = uds_nbd_open(server.uri, &options, env, &message, &io);
	if (r < 0)
		return r;
	r = uds_io_write(io, bytes, sizeof(bytes), 0);
	if (r == 0)
		r = uds_io_find_data(io, 0, &begin, &end);
	uds_io_close(io);
	return r;
}

START_TEST(each_allocation_may_fail)
{
	START(ON_FILE);
	torture_each_allocation(open_under_torture, NULL, false);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("nbd");
	TCase *tcase = tcase_create("nbd");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 100);
	if (!nbdkit_has("file") || !nbdkit_has("--filter=cache file")) {
		printf("skipped: no nbdkit with its file plugin and cache filter\n"
		       "result: 0 passed, 0 failed, 1 skipped\n");
		return 0;
	}
	tcase_add_test(tcase, reads_show_what_was_written);
	tcase_add_test(tcase, requests_beyond_the_end_are_refused);
	tcase_add_test(tcase, requests_of_an_engine_are_carried_out);
	tcase_add_test(tcase, large_requests_go_both_ways_at_once);
	tcase_add_test(tcase, threads_share_an_export);
	tcase_add_test(tcase, holes_are_found);
	tcase_add_test(tcase, blocks_of_the_server_are_kept);
	tcase_add_test(tcase, what_was_not_flushed_is_sent_again);
	tcase_add_test(tcase, requests_on_the_way_wait_for_the_next_server);
	tcase_add_test(tcase, memory_for_what_is_not_flushed_is_bounded);
	tcase_add_test(tcase, an_export_of_another_size_is_not_written);
	tcase_add_test(tcase, an_export_that_became_read_only_is_named);
	tcase_add_test(tcase, another_export_of_the_same_size_is_not_written);
	tcase_add_test(tcase, a_server_that_stays_away_is_given_up);
	tcase_add_test(tcase, a_lost_server_does_not_hold_up_a_close);
	tcase_add_test(tcase, errors_of_the_server_are_reported);
	tcase_add_test(tcase, a_failed_flush_is_reported);
	tcase_add_test(tcase, a_late_answer_ends_it);
	tcase_add_test(tcase, exports_that_cannot_be_written_are_refused);
	tcase_add_test(tcase, servers_without_flush_write_durably);
	tcase_add_test(tcase, servers_that_are_not_there_are_named);
	tcase_add_test(tcase, a_server_that_says_nothing_is_not_waited_for);
	tcase_add_test(tcase, options_out_of_range_are_refused);
	tcase_add_test(tcase, a_wrong_key_is_refused);
	tcase_add_test(tcase, schemes_are_registered);
	tcase_add_test(tcase, each_allocation_may_fail);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
