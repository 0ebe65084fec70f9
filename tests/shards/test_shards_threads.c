/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads that request, flush, save and ask for statistics while shards are added and removed. Each
 * thread has names of its own, so it knows every answer.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "check_main.h"
#include "fixture.h"
#include "names.h"

enum { THREADS = 3, NAMES = 150, BATCH = 40 };

struct user {
	struct shards_fixture *f;
	atomic_bool *stop;
	unsigned int number;
	uint32_t versions[NAMES];
	uint32_t last_version;
	uint64_t random, wrong, rounds;
};

static uint32_t draw(struct user *user, uint32_t below)
{
	return (uint32_t)(splitmix64(user->random++, 0) % below);
}

/* A batch with each name at most once, so that zones and shards may take any order. */
static void use(struct user *user)
{
	struct uds_request requests[BATCH];
	uint32_t before[BATCH], first = draw(user, NAMES);

	memset(requests, 0, sizeof(requests));
	for (uint32_t i = 0; i < BATCH; i++) {
		uint32_t name = (first + i) % NAMES, version = ++user->last_version;
		static const uint8_t kinds[] = { UDS_POST, UDS_UPDATE, UDS_QUERY, UDS_PEEK,
						 UDS_DELETE };

		requests[i].kind = kinds[draw(user, 5)];
		make_name(1000 + user->number, name, &requests[i].name);
		make_data('t', name, version, &requests[i].new_data);
		before[i] = user->versions[name];
		if (requests[i].kind == UDS_DELETE)
			user->versions[name] = 0;
		else if (requests[i].kind == UDS_UPDATE ||
			 (requests[i].kind == UDS_POST && before[i] == 0))
			user->versions[name] = version;
	}
	user->wrong += uds_shards_run(user->f->shards, requests, BATCH) != 0;
	for (uint32_t i = 0; i < BATCH; i++) {
		user->wrong += requests[i].found != (before[i] != 0);
		if (requests[i].found && requests[i].kind != UDS_DELETE)
			user->wrong += get_le32(requests[i].old_data.bytes + 8) != before[i];
	}
}

static void *work(void *argument)
{
	struct user *user = argument;
	struct uds_index_statistics s = UDS_INDEX_STATISTICS_INIT;

	while (!atomic_load(user->stop)) {
		use(user);
		user->rounds++;
		if (draw(user, 10) == 0)
			user->wrong += uds_shards_flush(user->f->shards) != 0;
		if (draw(user, 40) == 0)
			user->wrong += uds_shards_save(user->f->shards) != 0;
		if (draw(user, 10) == 0)
			user->wrong += uds_shards_get_statistics(user->f->shards, &s) != 0;
	}
	return NULL;
}

static void check_names(const struct user *user)
{
	for (uint32_t i = 0; i < NAMES; i++) {
		struct uds_request request = { .kind = UDS_PEEK };

		make_name(1000 + user->number, i, &request.name);
		ck_assert_int_eq(uds_shards_run(user->f->shards, &request, 1), 0);
		ck_assert_int_eq(request.found, user->versions[i] != 0);
		if (request.found)
			ck_assert_uint_eq(get_le32(request.old_data.bytes + 8), user->versions[i]);
	}
}

static void move_shards(struct shards_fixture *f)
{
	for (uint64_t i = 0; i < test_scaled(6); i++) {
		const char *uri = i % 2 == 0 ? "2" : "3";

		ck_assert_int_eq(uds_shards_add(f->shards, uri, NULL, NULL), 0);
		ck_assert_int_eq(uds_shards_remove(f->shards, i % 3 == 0 ? "0" : uri, NULL, NULL),
				 0);
		if (i % 3 == 0) {
			ck_assert_int_eq(uds_shards_add(f->shards, "0", NULL, NULL), 0);
			ck_assert_int_eq(uds_shards_remove(f->shards, uri, NULL, NULL), 0);
		}
	}
}

START_TEST(requests_go_on_while_shards_come_and_go)
{
	struct uds_index_options index = UDS_INDEX_OPTIONS_INIT;
	struct user *users = calloc(THREADS, sizeof(*users));
	pthread_t threads[THREADS];
	struct shards_fixture f;
	atomic_bool stop = false;

	/* Large enough that nothing is evicted before the end. */
	fixture_start(&f, 256, true);
	index.zones = (uint32_t)_i;
	f.options.index = &index;
	fixture_make(&f, 2);
	for (unsigned int i = 0; i < THREADS; i++) {
		users[i].f = &f;
		users[i].stop = &stop;
		users[i].number = i;
		users[i].random = i * 1000;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &users[i]), 0);
	}
	move_shards(&f);
	atomic_store(&stop, true);
	for (unsigned int i = 0; i < THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
		ck_assert_uint_eq(users[i].wrong, 0);
		ck_assert_uint_gt(users[i].rounds, 0);
		check_names(&users[i]);
	}
	free(users);
	fixture_end(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("shards_threads");
	TCase *tcase = tcase_create("shards_threads");

	tcase_add_loop_test(tcase, requests_go_on_while_shards_come_and_go, 1, 4);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
