/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Flushes a second of an index, with 1, 8 and 32 callers, each of which posts a new name and
 * flushes; beside as many callers that write a block of 4096 bytes, as a flush does, over a part of
 * a file and call fdatasync(). Then, how long requests take while saves run, and while none does
 * (latency.h). bench/README.md says more.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <uds.h>

#include "latency.h"
#include "measure.h"
#include "names.h"

#define SEED	   UINT64_C(0xf1a5)
#define MOST	   32u
#define BLOCK	   4096u
#define RING	   2048u /* blocks that are written in turn, as in a journal */
#define MOST_TURNS 15u

struct caller {
	pthread_t thread;
	struct uds_index *index; /* NULL: writes to the file */
	int fd;
	uint64_t next; /* name, or block */
	uint64_t count;
	atomic_bool *stop;
};

static void fail(const char *what, int status, const struct uds_message *message)
{
	fprintf(stderr, "flush: %s: %s\n", what,
		message != NULL && message->text[0] != '\0' ? message->text : uds_strerror(status));
	exit(1);
}

static void post_and_flush(struct caller *caller)
{
	struct uds_record_name name;
	struct uds_record_data data;
	int r;

	make_name(SEED, caller->next, &name);
	make_data('f', caller->next, 0, &data);
	r = uds_index_post(caller->index, &name, &data, NULL, NULL);
	if (r == 0)
		r = uds_index_flush(caller->index);
	if (r < 0)
		fail("a flush", r, NULL);
}

static void write_and_sync(const struct caller *caller)
{
	static const char block[BLOCK] = "as many bytes as a flush writes";

	if (pwrite(caller->fd, block, BLOCK, (off_t)(caller->next % RING * BLOCK)) != BLOCK ||
	    fdatasync(caller->fd) < 0)
		fail("a plain write", -errno, NULL);
}

static void *work(void *context)
{
	struct caller *caller = context;

	for (; !atomic_load_explicit(caller->stop, memory_order_relaxed); caller->count++) {
		if (caller->index != NULL)
			post_and_flush(caller);
		else
			write_and_sync(caller);
		caller->next++;
	}
	return NULL;
}

/* How many calls a second all of them together make. */
static double measure(struct caller *callers, unsigned int count, double seconds)
{
	atomic_bool stop = false;
	struct timespec began, ended;
	uint64_t calls = 0;

	clock_gettime(CLOCK_MONOTONIC, &began);
	for (unsigned int i = 0; i < count; i++) {
		callers[i].count = 0;
		callers[i].stop = &stop;
		if (pthread_create(&callers[i].thread, NULL, work, &callers[i]) != 0)
			fail("a thread cannot be started", -EAGAIN, NULL);
	}
	usleep((useconds_t)(seconds * 1e6));
	stop = true;
	for (unsigned int i = 0; i < count; i++) {
		pthread_join(callers[i].thread, NULL);
		calls += callers[i].count;
	}
	clock_gettime(CLOCK_MONOTONIC, &ended);
	return (double)calls / ((double)(ended.tv_sec - began.tv_sec) +
				(double)(ended.tv_nsec - began.tv_nsec) / 1e9);
}

static struct uds_index *make_index(const char *path, struct uds_io **ret_io)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_io_file_options file = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_index *index = NULL;
	int r;

	c.page_bytes = 32768;
	c.record_pages_per_chapter = 64;
	c.chapters_per_volume = 64;
	file.write = true;
	file.create = true;
	r = uds_io_open_uri(path, &file, NULL, &message, ret_io);
	if (r == 0)
		r = uds_index_format(*ret_io, &c, NULL, &message);
	if (r == 0)
		r = uds_index_open(*ret_io, NULL, &message, &index);
	if (r < 0)
		fail(path, r, &message);
	return index;
}

/* A file beside the index, of which every block is there: no call makes it longer. */
static int make_plain(const char *path)
{
	static const char block[BLOCK];
	char name[4096];
	int fd;

	snprintf(name, sizeof(name), "%s.plain", path);
	fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	for (unsigned int i = 0; fd >= 0 && i < RING; i++) {
		if (pwrite(fd, block, BLOCK, (off_t)i * BLOCK) != BLOCK)
			fail(name, -errno, NULL);
	}
	if (fd < 0 || fdatasync(fd) < 0)
		fail(name, -errno, NULL);
	unlink(name);
	return fd;
}

static void compare(struct caller *ours, struct caller *plain, unsigned int count,
		    unsigned int turns, double seconds)
{
	double a[MOST_TURNS], b[MOST_TURNS];

	for (unsigned int i = 0; i < turns; i++) {
		a[i] = measure(ours, count, seconds);
		b[i] = measure(plain, count, seconds);
	}
	printf("%7u %14.0f %14.0f %8.2f\n", count, median(a, turns), median(b, turns),
	       median(a, turns) / median(b, turns));
}

static void measure_flushes(const char *path, unsigned int turns, double seconds)
{
	static struct caller ours[MOST], plain[MOST];
	struct uds_index *index;
	struct uds_io *io;
	int fd, r;

	index = make_index(path, &io);
	fd = make_plain(path);
	for (unsigned int i = 0; i < MOST; i++) {
		ours[i].index = index;
		ours[i].next = (uint64_t)(i + 1) << 40;
		plain[i].fd = fd;
		plain[i].next = i * (RING / MOST);
	}
	printf("%7s %14s %14s %8s\n", "callers", "flushes/s", "plain writes/s", "ratio");
	compare(ours, plain, 1, turns, seconds);
	compare(ours, plain, 8, turns, seconds);
	compare(ours, plain, MOST, turns, seconds);
	close(fd);
	r = uds_index_close(index);
	if (r == 0)
		r = uds_io_close(io);
	if (r < 0)
		fail("closing", r, NULL);
}

static int usage(FILE *to)
{
	fprintf(to,
		"usage: flush [--turns N] [--seconds S] [--chapters N] [--threads N] [--zones N]\n"
		"             [--latency-seconds S] FILE\n"
		"FILE is made, and left for you to remove\n");
	return to == stdout ? 0 : 2;
}

int main(int argc, char **argv)
{
	static const struct option long_options[] = {
		{ "turns", required_argument, NULL, 't' },
		{ "seconds", required_argument, NULL, 's' },
		{ "chapters", required_argument, NULL, 'c' },
		{ "threads", required_argument, NULL, 'n' },
		{ "zones", required_argument, NULL, 'z' },
		{ "latency-seconds", required_argument, NULL, 'l' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	unsigned int turns = 5, threads = 1, zones = 1, chapters = 1024;
	double seconds = 2, latency_seconds = 20;
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (option) {
		case 't':
			turns = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 's':
			seconds = strtod(optarg, NULL);
			break;
		case 'c':
			chapters = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'n':
			threads = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'z':
			zones = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'l':
			latency_seconds = strtod(optarg, NULL);
			break;
		default:
			return usage(option == 'h' ? stdout : stderr);
		}
	}
	if (optind + 1 != argc || turns < 1 || turns > MOST_TURNS || threads < 1 ||
	    threads > LATENCY_MOST_THREADS || chapters < 2)
		return usage(stderr);
	measure_flushes(argv[optind], turns, seconds);
	if (latency_seconds > 0)
		measure_latency(argv[optind], chapters, threads, zones, latency_seconds);
	return 0;
}
