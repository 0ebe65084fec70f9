/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One index over three servers of nbdkit, one of which is killed in the middle of updates, and
 * comes back: in time, or later than the I/O waits for it.
 *
 * Their cache filter keeps writes in memory until a flush, and loses them with the server: so what
 * is there afterwards was flushed, or written again.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds/nbd.h>
#include <uds/shards.h>

#include "check_main.h"
#include "nbd_server.h"

#define SHARDS 3
#define LOST   1    /* the one whose server is killed */
#define NAMES  3000 /* two chapters of each shard */
#define BATCH  100

/* Batches in which each shard closes some chapters. */
#define BEFORE 90

static struct nbd_server servers[SHARDS];
static char words[SHARDS][320], manifest[320]; /* file=PATH of each server */
static struct uds_shards *shards;
static struct uds_message message;

/* Who has a name, and which of its versions were asked for, and flushed. */
static unsigned int home[NAMES];
static uint32_t asked[NAMES], flushed[NAMES];

/* The updates that a thread makes, round after round. */
static struct updates {
	pthread_t thread;
	atomic_bool stop;
	atomic_uint batches; /* that are done */
	atomic_uint failed;  /* names of the lost shard whose update failed */
	atomic_uint after;   /* batches since the first of these */
	bool may_fail;
	bool good;
	char why[300];
} updates;

static const char *image_of(unsigned int i)
{
	return words[i] + strlen("file=");
}

static void start_server(unsigned int i)
{
	nbd_server_start(&servers[i], (const char *const[]){ "--filter=cache", "file", words[i],
							     "cache=writeback", NULL });
}

static void format_server(unsigned int i)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_nbd_options nbd = UDS_NBD_OPTIONS_INIT;
	struct uds_io *io;

	configuration.page_bytes = 4096;
	configuration.record_pages_per_chapter = 4;
	configuration.chapters_per_volume = 16;
	nbd.write = true;
	ck_assert_msg(uds_nbd_open(servers[i].uri, &nbd, NULL, &message, &io) == 0, "%s",
		      message.text);
	ck_assert_msg(uds_index_format(io, &configuration, NULL, &message) == 0, "%s",
		      message.text);
	ck_assert_int_eq(uds_io_close(io), 0);
}

static void set_up(void)
{
	const char *scratch = scratch_dir();

	ck_assert_int_eq(uds_nbd_register_schemes(&message), 0);
	snprintf(manifest, sizeof(manifest), "%s/manifest", scratch);
	for (unsigned int i = 0; i < SHARDS; i++) {
		int fd;

		snprintf(words[i], sizeof(words[i]), "file=%s/%u", scratch, i);
		fd = open(image_of(i), O_RDWR | O_CREAT | O_TRUNC, 0600);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(ftruncate(fd, 16 << 20), 0);
		close(fd);
		nbd_server_name(&servers[i], (int)i);
		start_server(i);
		format_server(i);
	}
}

static void tear_down(void)
{
	for (unsigned int i = 0; i < SHARDS; i++) {
		nbd_server_kill(&servers[i]);
		unlink(image_of(i));
	}
	unlink(manifest);
	rmdir(scratch_dir());
}

static void open_shards(void)
{
	struct uds_shards_options options = UDS_SHARDS_OPTIONS_INIT;
	struct uds_index_options index = UDS_INDEX_OPTIONS_INIT;

	index.mode = UDS_INDEX_LOAD_OR_RECOVER;
	options.index = &index;
	ck_assert_msg(uds_shards_open(manifest, &options, &message, &shards) == 0, "%s",
		      message.text);
}

/* @reconnect: seconds that an I/O waits for its server. */
static void make_shards(unsigned int reconnect)
{
	char uris[SHARDS][600];
	const char *list[SHARDS];

	for (unsigned int i = 0; i < SHARDS; i++) {
		snprintf(uris[i], sizeof(uris[i]), "%s&reconnect=%u", servers[i].uri, reconnect);
		list[i] = uris[i];
	}
	ck_assert_msg(uds_shards_format(manifest, list, SHARDS, NULL, &message) == 0, "%s",
		      message.text);
	open_shards();
}

static struct uds_request request_of(enum uds_request_kind kind, uint32_t name, uint32_t version)
{
	struct uds_request request = { .kind = (uint32_t)kind };

	/* The bits that place a name must be mixed as a hash has them. */
	for (uint32_t i = 0; i < 4; i++) {
		uint32_t mixed = (name + 1) * 2654435761u + i * 40503u * (name + 7);

		mixed ^= mixed >> 15;
		mixed *= 2246822519u;
		mixed ^= mixed >> 13;
		memcpy(request.name.bytes + i * 4, &mixed, sizeof(mixed));
	}
	memcpy(request.new_data.bytes, &version, sizeof(version));
	return request;
}

static uint32_t version_of(const struct uds_request *request)
{
	uint32_t version;

	memcpy(&version, request->old_data.bytes, sizeof(version));
	return request->found ? version : 0;
}

static void find_homes(void)
{
	for (unsigned int i = 0; i < SHARDS; i++) {
		struct uds_shard_info info = UDS_SHARD_INFO_INIT;

		ck_assert_int_eq(uds_shards_get_shard(shards, i, &info), 0);
		for (uint32_t name = 0; name < NAMES; name++) {
			struct uds_request request = request_of(UDS_PEEK, name, 0);

			ck_assert_int_eq(uds_index_run(info.index, &request, 1), 0);
			if (request.found)
				home[name] = i;
		}
	}
}

/* Updates a batch, each name to its next version. False: something is not as it must be. */
static bool update_batch(uint32_t first)
{
	struct uds_request batch[BATCH];
	unsigned int failed = 0;

	for (uint32_t i = 0; i < BATCH; i++)
		batch[i] = request_of(UDS_UPDATE, first + i, ++asked[first + i]);
	(void)uds_shards_run(shards, batch, BATCH);
	for (uint32_t i = 0; i < BATCH; i++) {
		if (batch[i].status == 0)
			continue;
		failed++;
		if (updates.may_fail && home[first + i] == LOST)
			continue;
		snprintf(updates.why, sizeof(updates.why), "name %u of shard %u: %s", first + i,
			 home[first + i], uds_strerror(batch[i].status));
		return false;
	}
	if (atomic_fetch_add(&updates.failed, failed) + failed > 0)
		atomic_fetch_add(&updates.after, 1);
	atomic_fetch_add(&updates.batches, 1);
	return true;
}

static void *update(void *unused)
{
	(void)unused;
	updates.good = true;
	for (uint32_t first = 0; updates.good && !atomic_load(&updates.stop);
	     first = (first + BATCH) % NAMES)
		updates.good = update_batch(first);
	return NULL;
}

static void start_updates(bool may_fail)
{
	memset(&updates, 0, sizeof(updates));
	updates.may_fail = may_fail;
	ck_assert_int_eq(pthread_create(&updates.thread, NULL, update, NULL), 0);
}

/* Until a counter of the thread is so high; the thread may end before, with something wrong. */
static void wait_until(const atomic_uint *counter, unsigned int value)
{
	for (int i = 0; i < 6000 && atomic_load(counter) < value; i++)
		usleep(10000);
	ck_assert_msg(atomic_load(counter) >= value, "%u, expected %u; %u batches; %s",
		      atomic_load(counter), value, atomic_load(&updates.batches), updates.why);
}

static void end_updates(void)
{
	atomic_store(&updates.stop, true);
	pthread_join(updates.thread, NULL);
	ck_assert_msg(updates.good, "%s", updates.why);
}

/* Each name has a version that was asked for, not older than the one that was flushed. */
static void check_names(void)
{
	for (uint32_t name = 0; name < NAMES; name++) {
		struct uds_request request = request_of(UDS_PEEK, name, 0);
		uint32_t version;

		ck_assert_int_eq(uds_shards_run(shards, &request, 1), 0);
		version = version_of(&request);
		ck_assert_msg(version >= flushed[name] && version <= asked[name],
			      "name %u of shard %u: version %u, flushed %u, asked for %u", name,
			      home[name], version, flushed[name], asked[name]);
	}
}

/* What was asked for until now was flushed, but for the names of shard @but. */
static void note_flushed(unsigned int but)
{
	for (uint32_t name = 0; name < NAMES; name++) {
		if (home[name] != but)
			flushed[name] = asked[name];
	}
}

static void begin(unsigned int reconnect)
{
	memset(asked, 0, sizeof(asked));
	memset(flushed, 0, sizeof(flushed));
	make_shards(reconnect);
	for (uint32_t first = 0; first < NAMES; first += BATCH)
		ck_assert_msg(update_batch(first), "%s", updates.why);
	find_homes();
	ck_assert_int_eq(uds_shards_flush(shards), 0);
	note_flushed(SHARDS);
}

/* As a process that ends without closing: what was not flushed is gone with the servers. */
static void lose_servers_and_open_again(void)
{
	for (unsigned int i = 0; i < SHARDS; i++)
		nbd_server_kill(&servers[i]);
	for (unsigned int i = 0; i < SHARDS; i++)
		start_server(i);
	open_shards();
}

START_TEST(a_server_that_comes_back_in_time_is_waited_for)
{
	begin(30);
	start_updates(false);
	wait_until(&updates.batches, BEFORE);
	nbd_server_kill(&servers[LOST]);
	usleep(300000);
	start_server(LOST);
	wait_until(&updates.batches, atomic_load(&updates.batches) + BEFORE);
	end_updates();
	check_names();
	ck_assert_int_eq(uds_shards_flush(shards), 0);
	note_flushed(SHARDS);
	(void)uds_shards_close(shards);
	lose_servers_and_open_again();
	check_names();
	ck_assert_int_eq(uds_shards_close(shards), 0);
}
END_TEST

START_TEST(a_server_that_is_lost_costs_its_names_only)
{
	begin(1);
	start_updates(true);
	wait_until(&updates.batches, BEFORE);
	nbd_server_kill(&servers[LOST]);
	wait_until(&updates.failed, BATCH / 6);
	/* The others go on, for some chapters. */
	wait_until(&updates.after, BEFORE);
	end_updates();
	/* A flush is told to have failed, and is done in the others all the same. */
	ck_assert_int_lt(uds_shards_flush(shards), 0);
	uds_shards_error_message(shards, &message);
	ck_assert_msg(strstr(message.text, servers[LOST].socket) != NULL, "%s", message.text);
	note_flushed(LOST);
	(void)uds_shards_close(shards);
	lose_servers_and_open_again();
	check_names();
	/* All of them go on, where they were. */
	start_updates(false);
	wait_until(&updates.batches, BEFORE);
	end_updates();
	ck_assert_int_eq(uds_shards_flush(shards), 0);
	note_flushed(SHARDS);
	check_names();
	ck_assert_int_eq(uds_shards_close(shards), 0);
}
END_TEST

START_TEST(a_server_that_is_not_there_is_named)
{
	struct uds_shards *none = NULL;

	begin(1);
	ck_assert_int_eq(uds_shards_close(shards), 0);
	nbd_server_kill(&servers[LOST]);
	ck_assert_int_lt(uds_shards_open(manifest, NULL, &message, &none), 0);
	ck_assert_ptr_null(none);
	ck_assert_msg(strstr(message.text, servers[LOST].socket) != NULL, "%s", message.text);
	start_server(LOST);
	open_shards();
	check_names();
	ck_assert_int_eq(uds_shards_close(shards), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("nbd shards");
	TCase *tcase = tcase_create("nbd shards");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_set_timeout(tcase, 100);
	if (!nbdkit_has("file") || !nbdkit_has("--filter=cache file")) {
		printf("skipped: no nbdkit with its file plugin and cache filter\n"
		       "result: 0 passed, 0 failed, 1 skipped\n");
		return 0;
	}
	tcase_add_test(tcase, a_server_that_comes_back_in_time_is_waited_for);
	tcase_add_test(tcase, a_server_that_is_lost_costs_its_names_only);
	tcase_add_test(tcase, a_server_that_is_not_there_is_named);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
