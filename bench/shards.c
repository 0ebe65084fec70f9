/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One index of several shards beside one alone: posts of new names, and peeks of stored ones at
 * random, by one and by three threads. The sides take turns; see bench/README.md.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds.h>
#include <uds/shards.h>

#include "measure.h"
#include "names.h"

enum { SHARDS = 3, THREADS = 3, RUNS_MOST = 99 };

struct side {
	const char *name;
	unsigned int shards, threads;
	double posts[RUNS_MOST], peeks[RUNS_MOST]; /* a second */
};

static struct side sides[] = {
	{ .name = "one shard, one thread", .shards = 1, .threads = 1 },
	{ .name = "one shard, three threads", .shards = 1, .threads = THREADS },
	{ .name = "three shards, one thread", .shards = SHARDS, .threads = 1 },
	{ .name = "three shards, three threads", .shards = SHARDS, .threads = THREADS },
};

#define SIDES (sizeof(sides) / sizeof(sides[0]))

static const char *folder;
static uint64_t records = 3000000, batch = 1024, runs = 5;
static uint32_t chapters = 128;

static void fail(const char *what, const char *why)
{
	fprintf(stderr, "bench/shards: %s: %s\n", what, why);
	exit(1);
}

/* ---- work ---- */

struct worker {
	struct uds_shards *shards;
	enum uds_request_kind kind;
	uint64_t first, count;
	bool random;
};

static void fill_batch(const struct worker *worker, uint64_t done, struct uds_request *requests)
{
	for (uint64_t i = 0; i < batch; i++) {
		uint64_t name = worker->first + done + i;

		if (worker->random)
			name = splitmix64(7, name) % records;
		requests[i].kind = (uint8_t)worker->kind;
		make_name(1, name, &requests[i].name);
		make_data('b', name, 1, &requests[i].new_data);
	}
}

static void *work(void *argument)
{
	const struct worker *worker = argument;
	struct uds_request *requests = calloc(batch, sizeof(*requests));

	if (requests == NULL)
		fail("requests", "no memory");
	for (uint64_t done = 0; done < worker->count; done += batch) {
		fill_batch(worker, done, requests);
		if (uds_shards_run(worker->shards, requests, batch) < 0)
			fail("uds_shards_run", "failed");
		for (uint64_t i = 0; i < batch; i++) {
			if (requests[i].found != (worker->kind == UDS_PEEK))
				fail("uds_shards_run", "a wrong answer");
		}
	}
	free(requests);
	return NULL;
}

/* Requests a second of all threads together. */
static double measure(struct uds_shards *shards, unsigned int threads, enum uds_request_kind kind,
		      uint64_t count)
{
	struct worker workers[THREADS];
	pthread_t ids[THREADS];
	uint64_t each = count / threads / batch * batch;
	double begin = now();

	for (unsigned int i = 0; i < threads; i++) {
		workers[i] = (struct worker){ shards, kind, i * each, each, kind == UDS_PEEK };
		if (pthread_create(&ids[i], NULL, work, &workers[i]) != 0)
			fail("pthread_create", "failed");
	}
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	if (kind == UDS_POST && uds_shards_flush(shards) < 0)
		fail("uds_shards_flush", "failed");
	return (double)(each * threads) / (now() - begin);
}

/* ---- sides ---- */

static void path_of(unsigned int number, char *ret_path, size_t room)
{
	snprintf(ret_path, room, "%s/bench-shards-%u", folder, number);
}

/* The chapters of all shards together are as many as those of one alone. */
static void make_index(const char *path, unsigned int shards)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_message message;
	struct uds_io *io;

	unlink(path);
	options.write = options.create = true;
	c.chapters_per_volume = (chapters / shards + 1) & ~UINT32_C(1);
	if (uds_io_open_file(path, &options, NULL, &message, &io) < 0 ||
	    uds_index_format(io, &c, NULL, &message) < 0)
		fail(path, message.text);
	uds_io_close(io);
}

static void run_side(struct side *side, uint64_t run)
{
	char paths[SHARDS][4096], manifest[4096];
	const char *uris[SHARDS];
	struct uds_message message;
	struct uds_shards *shards;

	snprintf(manifest, sizeof(manifest), "%s/bench-shards-manifest", folder);
	unlink(manifest);
	for (unsigned int i = 0; i < side->shards; i++) {
		path_of(i, paths[i], sizeof(paths[i]));
		make_index(paths[i], side->shards);
		uris[i] = paths[i];
	}
	if (uds_shards_format(manifest, uris, side->shards, NULL, &message) < 0 ||
	    uds_shards_open(manifest, NULL, &message, &shards) < 0)
		fail(manifest, message.text);
	side->posts[run] = measure(shards, side->threads, UDS_POST, records);
	side->peeks[run] = measure(shards, side->threads, UDS_PEEK, records / 2);
	uds_shards_close(shards);
	unlink(manifest);
	for (unsigned int i = 0; i < side->shards; i++)
		unlink(paths[i]);
}

static void print_sides(void)
{
	double posts = 0, peeks = 0;

	for (size_t i = 0; i < SIDES; i++) {
		double p = median(sides[i].posts, runs), q = median(sides[i].peeks, runs);

		posts = i == 0 ? p : posts;
		peeks = i == 0 ? q : peeks;
		printf("%-28s posts/s %9.0f (%.2f; %.0f to %.0f)  peeks/s %9.0f (%.2f)\n",
		       sides[i].name, p, p / posts, sides[i].posts[0], sides[i].posts[runs - 1], q,
		       q / peeks);
	}
}

static uint64_t number(const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	if (*end != '\0' || n == 0)
		fail(text, "not a number");
	return n;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc)
			runs = number(argv[++i]);
		else if (strcmp(argv[i], "--records") == 0 && i + 1 < argc)
			records = number(argv[++i]);
		else if (strcmp(argv[i], "--batch") == 0 && i + 1 < argc)
			batch = number(argv[++i]);
		else
			folder = argv[i];
	}
	if (folder == NULL || runs > RUNS_MOST || records < THREADS * batch)
		fail("usage", "bench/shards [--runs N] [--records N] [--batch N] FOLDER");
	/* Chapters of 65536 records; a fifth more than the records, which shares are uneven by. */
	chapters = (uint32_t)(records * 6 / 5 / 65536 + 6);
	/* All threads' parts, in whole batches. */
	records = records / THREADS / batch * batch * THREADS;
	for (uint64_t run = 0; run < runs; run++) {
		for (size_t i = 0; i < SIDES; i++)
			run_side(&sides[i], run);
	}
	print_sides();
	return 0;
}
