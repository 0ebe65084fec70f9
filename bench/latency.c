/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long single requests take while saves run, and while none does: the median, the 99th and the
 * 99.9th percentile and the longest one.
 */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <uds.h>

#include "latency.h"
#include "names.h"

#define SEED UINT64_C(0x5a7e)

/* Steps of an eighth of a power of two, in nanoseconds: each is known to an eighth. */
#define STEPS (64 * 8)

struct worker {
	pthread_t thread;
	struct uds_index *index;
	uint64_t first; /* number of its first name */
	uint64_t count;
	atomic_bool *stop;
	uint64_t steps[STEPS];
	uint64_t longest;
};

static void fail(const char *what, int status, const struct uds_message *message)
{
	fprintf(stderr, "flush: %s: %s\n", what,
		message != NULL && message->text[0] != '\0' ? message->text : uds_strerror(status));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static unsigned int step_of(uint64_t ns)
{
	unsigned int power;

	if (ns < 8)
		return (unsigned int)ns;
	power = 63 - (unsigned int)__builtin_clzll(ns);
	return power * 8 + (unsigned int)(ns >> (power - 3) & 7);
}

static uint64_t ns_of(unsigned int step)
{
	return step < 24 ? step : (UINT64_C(8) + step % 8) << (step / 8 - 3);
}

/*
 * Half of the requests store a new name, half look an old one up, as a program does that
 * deduplicates.
 */
static void *work(void *context)
{
	struct worker *worker = context;

	for (; !atomic_load_explicit(worker->stop, memory_order_relaxed); worker->count++) {
		const uint64_t old = splitmix64(SEED, worker->count) % (worker->count + 1);
		struct uds_record_name name;
		struct uds_record_data data;
		uint64_t began, took;
		bool found;
		int r;

		make_name(SEED,
			  worker->first +
				  (worker->count % 2 == 0 ? worker->count : old & ~UINT64_C(1)),
			  &name);
		make_data('s', worker->count, 0, &data);
		began = now_ns();
		if (worker->count % 2 == 0)
			r = uds_index_post(worker->index, &name, &data, NULL, &found);
		else
			r = uds_index_query(worker->index, &name, &data, &found);
		took = now_ns() - began;
		if (r < 0)
			fail("a request", r, NULL);
		worker->steps[step_of(took)]++;
		worker->longest = took > worker->longest ? took : worker->longest;
	}
	return NULL;
}

static double percentile_ms(const uint64_t *steps, uint64_t all, double percent)
{
	const uint64_t wanted = (uint64_t)((double)all * percent / 100);
	uint64_t seen = 0;
	unsigned int step = 0;

	while (step + 1 < STEPS && (seen += steps[step]) <= wanted)
		step++;
	return (double)ns_of(step) / 1e6;
}

static void print(const char *what, const struct worker *workers, unsigned int threads,
		  unsigned int saves)
{
	uint64_t steps[STEPS] = { 0 }, all = 0, longest = 0;

	for (unsigned int i = 0; i < threads; i++) {
		for (unsigned int k = 0; k < STEPS; k++) {
			steps[k] += workers[i].steps[k];
			all += workers[i].steps[k];
		}
		longest = workers[i].longest > longest ? workers[i].longest : longest;
	}
	printf("%-16s %12" PRIu64 " %6u %10.4f %10.4f %10.4f %10.3f\n", what, all, saves,
	       percentile_ms(steps, all, 50), percentile_ms(steps, all, 99),
	       percentile_ms(steps, all, 99.9), (double)longest / 1e6);
}

/*
 * Requests of all threads for so many seconds; with @saving one save after the other
 * runs beside them.
 */
static void measure(struct worker *workers, unsigned int threads, double seconds, bool saving)
{
	const uint64_t end = now_ns() + (uint64_t)(seconds * 1e9);
	const struct timespec pause = { 0, 1000000 };
	atomic_bool stop = false;
	unsigned int saves = 0;
	int r;

	for (unsigned int i = 0; i < threads; i++) {
		memset(workers[i].steps, 0, sizeof(workers[i].steps));
		workers[i].longest = 0;
		workers[i].stop = &stop;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0)
			fail("a thread cannot be started", -EAGAIN, NULL);
	}
	while (now_ns() < end) {
		nanosleep(&pause, NULL);
		if (!saving)
			continue;
		r = uds_index_save(workers[0].index);
		if (r < 0)
			fail("a save", r, NULL);
		saves++;
	}
	stop = true;
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(workers[i].thread, NULL);
	print(saving ? "saves running" : "no save", workers, threads, saves);
}

static struct uds_index *make_index(const char *path, const struct uds_configuration *c,
				    unsigned int zones, struct uds_io **ret_io)
{
	struct uds_io_file_options file = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_index *index = NULL;
	int r;

	file.write = true;
	file.create = true;
	options.zones = zones;
	/* As a save in the background: the other processors are the requests'. */
	options.threads = 1;
	r = uds_io_open_uri(path, &file, NULL, &message, ret_io);
	if (r == 0)
		r = uds_index_format(*ret_io, c, NULL, &message);
	if (r == 0)
		r = uds_index_open(*ret_io, &options, &message, &index);
	if (r < 0)
		fail(path, r, &message);
	return index;
}

static void fill(struct uds_index *index, uint64_t records)
{
	static struct uds_request requests[256];
	const size_t batch = sizeof(requests) / sizeof(requests[0]);
	int r;

	for (uint64_t i = 0; i < records; i += batch) {
		memset(requests, 0, sizeof(requests));
		for (size_t k = 0; k < batch; k++) {
			requests[k].kind = UDS_POST;
			make_name(SEED, i + k, &requests[k].name);
			make_data('s', i + k, 0, &requests[k].new_data);
		}
		r = uds_index_run(index, requests, batch);
		if (r < 0)
			fail("filling the index", r, NULL);
	}
}

void measure_latency(const char *path, uint32_t chapters, unsigned int threads, unsigned int zones,
		     double seconds)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	static struct worker workers[LATENCY_MOST_THREADS];
	struct uds_index *index;
	struct uds_io *io;
	int r;

	c.page_bytes = 32768;
	c.record_pages_per_chapter = 64;
	c.chapters_per_volume = chapters;
	index = make_index(path, &c, zones, &io);
	fill(index, (uint64_t)(chapters - 1) * 65536);
	for (unsigned int i = 0; i < threads; i++) {
		workers[i].index = index;
		workers[i].first = (uint64_t)(i + 1) << 40;
	}
	printf("latency of single requests in ms, %u threads, %u zones\n", threads, zones);
	printf("%-16s %12s %6s %10s %10s %10s %10s\n", "", "requests", "saves", "median", "99 %",
	       "99.9 %", "longest");
	for (int turn = 0; turn < 4; turn++)
		measure(workers, threads, seconds / 4, turn % 2 != 0);
	r = uds_index_close(index);
	if (r == 0)
		r = uds_io_close(io);
	if (r < 0)
		fail("closing", r, NULL);
}
