/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asynchronous operations beside batches: peeks of absent names and posts by several threads, and
 * random hits by one thread that has so many in flight, beside bare reads at the same depth. The
 * sides take turns; bench/README.md says more.
 */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds.h>

#include "measure.h"
#include "names.h"

#define SEED	  UINT64_C(0x5eed)
#define ABSENT	  UINT64_C(0xab5e27)
#define MAX_RUNS  32
#define MAX_DEPTH 1024
#define BATCH	  256
#define BARE	  4096 /* bytes of a bare read */

enum side {
	MISSES_BATCHES,
	MISSES_ASYNC,
	POSTS_BATCHES,
	POSTS_ASYNC,
	HITS_BATCHES,
	HITS_ASYNC,
	HITS_READS_BATCHES,
	HITS_PAGES_BATCHES,
	HITS_READS_ASYNC,
	HITS_PAGES_ASYNC,
	BARE_READS,
	SIDES
};

static const char *const titles[SIDES] = {
	[MISSES_BATCHES] = "misses, 2 threads, batches (M/s)",
	[MISSES_ASYNC] = "misses, 4 producers (M/s)",
	[POSTS_BATCHES] = "posts, 2 threads, batches (M/s)",
	[POSTS_ASYNC] = "posts, 4 producers (M/s)",
	[HITS_BATCHES] = "random hits, batches (k/s)",
	[HITS_ASYNC] = "random hits, one by one (k/s)",
	[HITS_READS_BATCHES] = "  reads of batches (k/s)",
	[HITS_PAGES_BATCHES] = "  4 KiB of these (k/s)",
	[HITS_READS_ASYNC] = "  reads one by one (k/s)",
	[HITS_PAGES_ASYNC] = "  4 KiB of these (k/s)",
	[BARE_READS] = "bare reads of 4 KiB (k/s)",
};

struct bench {
	const char *path;
	struct uds_configuration configuration;
	struct uds_io *io;
	struct uds_index *index;
	struct uds_index_queue *queue;
	unsigned int zones, depth, runs, run;
	bool direct, no_uring;
	double seconds;	  /* of each measurement of hits */
	uint64_t records; /* that the index holds */
	uint64_t count;	  /* of misses, and of posts, in each run */
	uint64_t posted;
	double values[SIDES][MAX_RUNS];
};

static struct bench bench = { .zones = 2, .depth = 64, .runs = 3, .seconds = 3 };

static void die(const char *what, int status)
{
	struct uds_message message = { "" };

	if (bench.index != NULL)
		uds_index_error_message(bench.index, &message);
	fprintf(stderr, "bench/async: %s: %s: %s\n", what, uds_strerror(status), message.text);
	exit(EXIT_FAILURE);
}

static void note(enum side side, double value)
{
	bench.values[side][bench.run] = value;
	fprintf(stderr, "  %-34s %10.3f\n", titles[side], value);
}

static uint64_t pages_read(void)
{
	struct uds_index_statistics s = UDS_INDEX_STATISTICS_INIT;

	uds_index_get_statistics(bench.index, &s);
	return s.pages_read;
}

/*
 * Bytes that this process has read from devices, by the kernel's count; 0 where that is not known.
 */
static uint64_t device_bytes(void)
{
	FILE *file = fopen("/proc/self/io", "r");
	uint64_t bytes = 0;
	char line[128];

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "read_bytes: %" SCNu64, &bytes) == 1)
			break;
	}
	if (file != NULL)
		fclose(file);
	return bytes;
}

/* ---- the index ---- */

static void open_file(bool create, bool direct)
{
	struct uds_io_file_options file = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message;
	int r;

	file.write = true;
	file.create = create;
	file.direct = direct ? UDS_IO_DIRECT_YES : UDS_IO_DIRECT_NO;
	file.uring = !bench.no_uring;
	r = uds_io_open_file(bench.path, &file, NULL, &message, &bench.io);
	if (r < 0)
		die(message.text, r);
}

static void open_index(void)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message;
	int r;

	options.zones = bench.zones;
	r = uds_index_open(bench.io, &options, &message, &bench.index);
	if (r < 0)
		die(message.text, r);
}

static void post_batches(uint64_t first, uint64_t count)
{
	static _Thread_local struct uds_request requests[BATCH];

	for (uint64_t done = 0; done < count; done += BATCH) {
		for (unsigned int i = 0; i < BATCH; i++) {
			requests[i].kind = UDS_POST;
			make_name(SEED, first + done + i, &requests[i].name);
		}
		uds_index_run(bench.index, requests, BATCH);
	}
}

static void fill(void)
{
	struct uds_message message;
	int r;

	unlink(bench.path);
	open_file(true, false);
	r = uds_index_format(bench.io, &bench.configuration, NULL, &message);
	if (r < 0)
		die(message.text, r);
	open_index();
	post_batches(0, bench.records);
	bench.posted = bench.records;
	r = uds_index_save(bench.index);
	if (r < 0)
		die("save", r);
	uds_index_close(bench.index);
	bench.index = NULL;
	uds_io_close(bench.io);
	open_file(false, bench.direct);
	open_index();
}

/* ---- many threads ---- */

struct worker {
	pthread_t thread;
	bool posts;
	uint64_t first, count;
};

static void *run_batches(void *context)
{
	static _Thread_local struct uds_request requests[BATCH];
	const struct worker *worker = context;

	if (worker->posts) {
		post_batches(worker->first, worker->count);
		return NULL;
	}
	for (uint64_t done = 0; done < worker->count; done += BATCH) {
		for (unsigned int i = 0; i < BATCH; i++) {
			requests[i].kind = UDS_PEEK;
			make_name(ABSENT, worker->first + done + i, &requests[i].name);
		}
		uds_index_run(bench.index, requests, BATCH);
	}
	return NULL;
}

/* Keeps BATCH operations of its own in the queue that all producers have. */
static void *produce(void *context)
{
	const struct worker *worker = context;
	struct uds_index_operation *operations = calloc(BATCH, sizeof(*operations));
	struct uds_index_operation *pointers[BATCH];
	uint64_t done = 0;
	int n = BATCH;

	for (unsigned int i = 0; i < BATCH; i++)
		pointers[i] = &operations[i];
	while (done < worker->count) {
		for (int i = 0; i < n; i++) {
			struct uds_request *request = &pointers[i]->request;

			request->kind = worker->posts ? UDS_POST : UDS_PEEK;
			make_name(worker->posts ? SEED : ABSENT, worker->first + done + (uint64_t)i,
				  &request->name);
		}
		n = uds_index_submit(bench.queue, pointers, (size_t)n, 0);
		if (n < 0)
			die("submit", n);
		done += (uint64_t)n;
		/* Those of another producer do as well. */
		n = uds_index_reap(bench.queue, pointers, BATCH, BATCH / 2, -1);
	}
	return operations;
}

static void run_threads(enum side side, unsigned int threads, void *(*run)(void *), bool posts)
{
	struct worker workers[4];
	void *memory[4];
	double began;

	began = now();
	for (unsigned int i = 0; i < threads; i++) {
		workers[i].posts = posts;
		workers[i].count = bench.count / threads / BATCH * BATCH;
		workers[i].first = posts ? bench.posted : bench.count / threads * i;
		if (posts)
			bench.posted += workers[i].count + BATCH;
		pthread_create(&workers[i].thread, NULL, run, &workers[i]);
	}
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(workers[i].thread, &memory[i]);
	if (run == produce)
		(void)uds_index_reap(bench.queue, NULL, 0, SIZE_MAX, -1);
	note(side, (double)(workers[0].count * threads) / (now() - began) / 1e6);
	if (run != produce)
		return;
	/* What the producers left in the queue goes with their memory. */
	uds_index_queue_close(bench.queue);
	bench.queue = NULL;
	for (unsigned int i = 0; i < threads; i++)
		free(memory[i]);
}

static void open_queue(unsigned int depth)
{
	struct uds_index_queue_options options = UDS_INDEX_QUEUE_OPTIONS_INIT;
	int r;

	options.depth = depth;
	r = uds_index_queue_open(bench.index, &options, &bench.queue);
	if (r < 0)
		die("queue", r);
}

/* ---- hits ---- */

static uint64_t dice;

/* The oldest eighth may be leaving. */
static void choose_name(struct uds_record_name *name)
{
	uint64_t held = bench.records, first = bench.posted - held + held / 8;

	make_name(SEED, first + splitmix64(0x417, dice++) % (bench.posted - first), name);
}

static void hit_batches(double seconds, bool noted)
{
	static struct uds_request requests[MAX_DEPTH];
	uint64_t pages = pages_read(), bytes = device_bytes(), count = 0;
	double began = now();

	while (now() - began < seconds) {
		for (unsigned int i = 0; i < bench.depth; i++) {
			requests[i].kind = UDS_PEEK;
			choose_name(&requests[i].name);
		}
		uds_index_run(bench.index, requests, bench.depth);
		count += bench.depth;
	}
	if (!noted)
		return;
	note(HITS_BATCHES, (double)count / (now() - began) / 1e3);
	note(HITS_READS_BATCHES, (double)(pages_read() - pages) / (now() - began) / 1e3);
	note(HITS_PAGES_BATCHES, (double)(device_bytes() - bytes) / BARE / (now() - began) / 1e3);
}

static bool stopped;
static uint64_t hits;

/* Each operation makes the next one. */
static void next_hit(struct uds_index_operation *operation)
{
	hits++;
	if (stopped)
		return;
	memset(operation, 0, sizeof(*operation));
	operation->completed = next_hit;
	operation->request.kind = UDS_PEEK;
	choose_name(&operation->request.name);
	if (uds_index_submit(bench.queue, &operation, 1, 0) != 1)
		die("submit", -1);
}

static void hit_one_by_one(void)
{
	static struct uds_index_operation operations[MAX_DEPTH];
	uint64_t pages = pages_read(), bytes = device_bytes();
	double began = now(), took;

	open_queue(bench.depth);
	stopped = false;
	for (unsigned int i = 0; i < bench.depth; i++)
		next_hit(&operations[i]);
	hits = 0;
	while (now() - began < bench.seconds)
		(void)uds_index_reap(bench.queue, NULL, 0, 1, -1);
	stopped = true;
	took = now() - began;
	note(HITS_ASYNC, (double)hits / took / 1e3);
	note(HITS_READS_ASYNC, (double)(pages_read() - pages) / took / 1e3);
	note(HITS_PAGES_ASYNC, (double)(device_bytes() - bytes) / BARE / took / 1e3);
	(void)uds_index_reap(bench.queue, NULL, 0, SIZE_MAX, -1);
	uds_index_queue_close(bench.queue);
	bench.queue = NULL;
}

/* As fio does it, at the same depth. */
static void read_bare(void)
{
	struct uds_io_request *requests = calloc(bench.depth, sizeof(*requests));
	struct uds_io_request *done[MAX_DEPTH];
	struct uds_io_engine_options options = UDS_IO_ENGINE_OPTIONS_INIT;
	uint8_t *memory = aligned_alloc(BARE, (size_t)bench.depth * BARE);
	struct uds_io_engine *engine;
	uint64_t bytes, count = 0;
	double began;
	int n = (int)bench.depth, r;

	options.depth = bench.depth;
	r = uds_io_engine_open(&options, NULL, NULL, &engine);
	if (r < 0 || requests == NULL || memory == NULL)
		die("engine", r);
	(void)uds_io_engine_add_buffer(engine, memory, (size_t)bench.depth * BARE);
	uds_io_size(bench.io, &bytes);
	for (int i = 0; i < n; i++) {
		done[i] = &requests[i];
		requests[i].io = bench.io;
		requests[i].kind = UDS_IO_READ;
		requests[i].buffer = memory + (size_t)i * BARE;
		requests[i].length = BARE;
	}
	began = now();
	while (now() - began < bench.seconds) {
		for (int i = 0; i < n; i++)
			done[i]->offset = splitmix64(0xba2e, count++) % (bytes / BARE) * BARE;
		uds_io_engine_submit(engine, done, (size_t)n);
		n = uds_io_engine_reap(engine, done, bench.depth, 1, -1);
	}
	note(BARE_READS, (double)count / (now() - began) / 1e3);
	uds_io_engine_close(engine);
	free(memory);
	free(requests);
}

static void measure(void)
{
	run_threads(MISSES_BATCHES, 2, run_batches, false);
	open_queue(MAX_DEPTH);
	run_threads(MISSES_ASYNC, 4, produce, false);
	run_threads(POSTS_BATCHES, 2, run_batches, true);
	open_queue(MAX_DEPTH);
	run_threads(POSTS_ASYNC, 4, produce, true);
	uds_index_flush(bench.index);
	/* Fills the caches first. */
	if (bench.run == 0)
		hit_batches(bench.seconds, false);
	hit_batches(bench.seconds, true);
	hit_one_by_one();
	read_bare();
}

static void print_medians(void)
{
	printf("medians of %u runs, %" PRIu64 " records, %u zones, depth %u%s\n", bench.runs,
	       bench.records, bench.zones, bench.depth, bench.direct ? ", O_DIRECT" : "");
	for (int side = 0; side < SIDES; side++) {
		double *values = bench.values[side];

		qsort(values, bench.runs, sizeof(double), compare_doubles);
		printf("%-34s %10.3f  (%.3f to %.3f)\n", titles[side], values[bench.runs / 2],
		       values[0], values[bench.runs - 1]);
	}
}

static void usage(void)
{
	fputs("usage: bench/async [--memory 256M] [--chapters N] [--zones Z] [--depth N] "
	      "[--direct]\n"
	      "                   [--no-uring] [--count N] [--seconds S] [--runs N] [--keep] PATH\n"
	      "PATH is overwritten, and removed at the end unless --keep is given.\n",
	      stderr);
	exit(2);
}

static uint64_t number(const char *text)
{
	return strtoull(text, NULL, 0);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "memory", required_argument, NULL, 'm' },
		{ "chapters", required_argument, NULL, 'c' },
		{ "zones", required_argument, NULL, 'z' },
		{ "depth", required_argument, NULL, 'd' },
		{ "direct", no_argument, NULL, 'D' },
		{ "no-uring", no_argument, NULL, 'U' },
		{ "count", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 's' },
		{ "runs", required_argument, NULL, 'r' },
		{ "keep", no_argument, NULL, 'k' },
		{ NULL, 0, NULL, 0 },
	};
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_geometry geometry = UDS_GEOMETRY_INIT;
	struct uds_message message;
	bool keep = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		switch (option) {
		case 'm':
			if (uds_configuration_for_memory(optarg, false, &message, &configuration) <
			    0)
				die(message.text, -22);
			break;
		case 'c':
			configuration.chapters_per_volume = (uint32_t)number(optarg);
			break;
		case 'z':
			bench.zones = (unsigned int)number(optarg);
			break;
		case 'd':
			bench.depth = (unsigned int)number(optarg);
			break;
		case 'D':
			bench.direct = true;
			break;
		case 'U':
			bench.no_uring = true;
			break;
		case 'n':
			bench.count = number(optarg);
			break;
		case 's':
			bench.seconds = strtod(optarg, NULL);
			break;
		case 'r':
			bench.runs = (unsigned int)number(optarg);
			break;
		case 'k':
			keep = true;
			break;
		default:
			usage();
		}
	}
	if (optind + 1 != argc || bench.depth == 0 || bench.depth > MAX_DEPTH || bench.runs == 0 ||
	    bench.runs > MAX_RUNS)
		usage();
	bench.path = argv[optind];
	bench.configuration = configuration;
	if (uds_geometry_compute(&configuration, &message, &geometry) < 0)
		die(message.text, -22);
	bench.records = geometry.records_per_volume;
	if (bench.count == 0)
		bench.count = 4000000;
	fill();
	for (bench.run = 0; bench.run < bench.runs; bench.run++)
		measure();
	print_medians();
	uds_index_close(bench.index);
	uds_io_close(bench.io);
	if (!keep)
		unlink(bench.path);
	return 0;
}
