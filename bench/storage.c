/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One load on an index or a snapshot at any URI: bench/rbd runs it beside others.
 *
 * usage: storage fill URI CHAPTERS          makes an index, and posts until it is full
 *        storage hits URI SECONDS DEPTH     so many callers look up stored names at random
 *        storage reads URI SECONDS DEPTH    reads pages at random through an engine
 *        storage prepare ORIGIN COW         makes a store, with an exception for each chunk
 *        storage merge ORIGIN COW           merges it
 *
 * Prints names a second (in thousands), or MiB a second.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds.h>
#include <uds/engine.h>

#include "measure.h"
#include "names.h"
#include "schemes.h"

#define SEED	     UINT64_C(0x5eed)
#define BATCH	     256
#define MOST_CALLERS 256
#define PAGE_BYTES   32768u
#define CHUNK_BYTES  (64u << 10)

/* The pages that lead to records, and few of those that hold them. */
#define CACHE_BYTES (16u << 20)

static void check(int status, const char *what, const struct uds_message *message)
{
	if (status >= 0)
		return;
	fprintf(stderr, "storage: %s: %s\n", what,
		message->text[0] != '\0' ? message->text : uds_strerror(status));
	exit(1);
}

static struct uds_io *open_io(const char *uri)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_io *io = NULL;

	options.write = true;
	options.create = true;
	check(open_uri(uri, &options, NULL, &message, &io), uri, &message);
	return io;
}

/* ---- an index ---- */

static struct uds_index *open_index(struct uds_io *io)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_index *index = NULL;

	options.cache_bytes = CACHE_BYTES;
	check(uds_index_open(io, &options, &message, &index), "open", &message);
	return index;
}

static void run(struct uds_index *index, struct uds_request *requests, unsigned int count)
{
	struct uds_message message = { "" };
	int r = uds_index_run(index, requests, count);

	uds_index_error_message(index, &message);
	check(r, "requests", &message);
}

static uint64_t record_count(struct uds_io *io)
{
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	struct uds_message message = { "" };

	check(uds_index_read_info(io, NULL, &message, &info), "info", &message);
	return (uint64_t)info.configuration.chapters_per_volume *
	       info.configuration.record_pages_per_chapter * (info.configuration.page_bytes / 32);
}

static void post_all(struct uds_index *index, uint64_t count)
{
	struct uds_request requests[BATCH];

	memset(requests, 0, sizeof(requests));
	for (uint64_t i = 0; i < count;) {
		unsigned int n = 0;

		for (; n < BATCH && i < count; n++, i++) {
			requests[n].kind = UDS_POST;
			make_name(SEED, i, &requests[n].name);
			make_data('n', i, 1, &requests[n].new_data);
		}
		run(index, requests, n);
	}
}

static void fill(const char *uri, const char *chapters)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_message message = { "" };
	struct uds_io *io = open_io(uri);
	struct uds_index *index;
	uint64_t count;
	double begin;

	configuration.chapters_per_volume = (uint32_t)strtoul(chapters, NULL, 10);
	check(uds_index_format(io, &configuration, NULL, &message), uri, &message);
	index = open_index(io);
	count = record_count(io) / configuration.chapters_per_volume *
		(configuration.chapters_per_volume - 1);
	begin = now();
	post_all(index, count);
	check(uds_index_flush(index), "flush", &message);
	printf("%.1f\n", (double)count / (now() - begin) / 1e3);
	check(uds_index_save(index), "save", &message);
	check(uds_index_close(index), "close", &message);
	check(uds_io_close(io), "close", &message);
}

/* One of many callers, each of which looks names up one after the other. */
struct caller {
	pthread_t thread;
	struct uds_index *index;
	uint64_t seed, held;
	double until;
	uint64_t done, found;
};

static void *look_up(void *context)
{
	struct caller *caller = context;
	struct uds_request request;

	while (now() < caller->until) {
		memset(&request, 0, sizeof(request));
		request.kind = UDS_PEEK;
		make_name(SEED, splitmix64(caller->seed, caller->done) % caller->held,
			  &request.name);
		run(caller->index, &request, 1);
		caller->done++;
		caller->found += request.found;
	}
	return NULL;
}

static void hits(const char *uri, double seconds, unsigned int depth)
{
	struct caller callers[MOST_CALLERS];
	struct uds_io *io = open_io(uri);
	struct uds_index *index = open_index(io);
	uint64_t held = record_count(io), done = 0, found = 0;
	double begin = now();

	if (depth < 1 || depth > MOST_CALLERS)
		exit(2);
	/* The chapter that is being filled, and the oldest one, are not there. */
	held -= held / 8;
	for (unsigned int i = 0; i < depth; i++) {
		callers[i] = (struct caller){
			.index = index, .seed = 0x417 + i, .held = held, .until = begin + seconds
		};
		if (pthread_create(&callers[i].thread, NULL, look_up, &callers[i]) != 0)
			exit(1);
	}
	for (unsigned int i = 0; i < depth; i++) {
		pthread_join(callers[i].thread, NULL);
		done += callers[i].done;
		found += callers[i].found;
	}
	if (found < done - done / 100)
		fprintf(stderr, "storage: only %llu of %llu were found\n",
			(unsigned long long)found, (unsigned long long)done);
	printf("%.2f\n", (double)done / (now() - begin) / 1e3);
	uds_index_close(index);
	uds_io_close(io);
}

/* ---- the bare I/O ---- */

struct reader {
	struct uds_io *io;
	struct uds_io_engine *engine;
	uint64_t pages, submitted;
};

static void read_next(struct reader *reader, struct uds_io_request *request)
{
	struct uds_message none = { "" };

	request->offset = splitmix64(0x10ad, reader->submitted++) % reader->pages * PAGE_BYTES;
	check(uds_io_engine_submit(reader->engine, &request, 1), "submit", &none);
}

static void read_until(struct reader *reader, double until)
{
	struct uds_io_request *done[MOST_CALLERS];
	struct uds_message none = { "" };

	while (uds_io_engine_in_flight(reader->engine) > 0) {
		int count = uds_io_engine_reap(reader->engine, done, MOST_CALLERS, 1, -1);

		for (int i = 0; i < count; i++) {
			check(done[i]->status, "read", &none);
			if (now() < until)
				read_next(reader, done[i]);
		}
	}
}

static void reads(const char *uri, double seconds, unsigned int depth)
{
	struct uds_io_engine_options options = UDS_IO_ENGINE_OPTIONS_INIT;
	struct uds_io_request requests[MOST_CALLERS];
	struct reader reader = { .io = open_io(uri) };
	struct uds_message message = { "" };
	uint8_t *memory = malloc((size_t)MOST_CALLERS * PAGE_BYTES);
	double begin = now();

	if (depth < 1 || depth > MOST_CALLERS || memory == NULL)
		exit(2);
	options.depth = depth;
	check(uds_io_engine_open(&options, NULL, &message, &reader.engine), "engine", &message);
	check(uds_io_size(reader.io, &reader.pages), "size", &message);
	reader.pages /= PAGE_BYTES;
	memset(requests, 0, sizeof(requests));
	for (unsigned int i = 0; i < depth; i++) {
		requests[i].io = reader.io;
		requests[i].kind = UDS_IO_READ;
		requests[i].buffer = memory + (size_t)i * PAGE_BYTES;
		requests[i].length = PAGE_BYTES;
		read_next(&reader, &requests[i]);
	}
	read_until(&reader, begin + seconds);
	printf("%.2f\n", (double)reader.submitted / (now() - begin) / 1e3);
	uds_io_engine_close(reader.engine);
	uds_io_close(reader.io);
	free(memory);
}

/* ---- a snapshot ---- */

static struct uds_snapshot *open_snapshot(struct uds_io *origin, struct uds_io *cow)
{
	struct uds_snapshot *snapshot = NULL;
	struct uds_message message = { "" };

	check(uds_snapshot_open(origin, cow, NULL, &message, &snapshot), "snapshot", &message);
	return snapshot;
}

static void prepare(struct uds_io *origin, struct uds_io *cow)
{
	struct uds_exception_store_format_options options = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_message message = { "" };
	const size_t piece = 16 * CHUNK_BYTES;
	uint8_t *bytes = malloc(piece);
	struct uds_snapshot *snapshot;
	uint64_t size = 0;

	if (bytes == NULL)
		exit(1);
	options.chunk_bytes = CHUNK_BYTES;
	options.force = true;
	check(uds_exception_store_format(cow, &options, &message), "format", &message);
	check(uds_io_size(origin, &size), "size", &message);
	snapshot = open_snapshot(origin, cow);
	for (uint64_t at = 0; at + piece <= size; at += piece) {
		memset(bytes, (int)(at / piece % 255 + 1), piece);
		check(uds_snapshot_write(snapshot, bytes, piece, at), "write", &message);
	}
	check(uds_snapshot_flush(snapshot), "flush", &message);
	check(uds_snapshot_close(snapshot), "close", &message);
	free(bytes);
}

static void merge(struct uds_io *origin, struct uds_io *cow)
{
	struct uds_message message = { "" };
	struct uds_snapshot *snapshot = open_snapshot(origin, cow);
	uint64_t size = 0;
	double begin = now();

	check(uds_io_size(origin, &size), "size", &message);
	check(uds_snapshot_merge(snapshot, NULL, NULL), "merge", &message);
	printf("%.1f\n", (double)size / (now() - begin) / (1 << 20));
	check(uds_snapshot_close(snapshot), "close", &message);
}

static void on_both(const char *origin_uri, const char *cow_uri,
		    void (*work)(struct uds_io *origin, struct uds_io *cow))
{
	struct uds_io *origin = open_io(origin_uri), *cow = open_io(cow_uri);

	work(origin, cow);
	uds_io_close(origin);
	uds_io_close(cow);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (strcmp(what, "fill") == 0 && argc == 4) {
		fill(argv[2], argv[3]);
	} else if (strcmp(what, "hits") == 0 && argc == 5) {
		hits(argv[2], strtod(argv[3], NULL), (unsigned int)strtoul(argv[4], NULL, 10));
	} else if (strcmp(what, "reads") == 0 && argc == 5) {
		reads(argv[2], strtod(argv[3], NULL), (unsigned int)strtoul(argv[4], NULL, 10));
	} else if (strcmp(what, "prepare") == 0 && argc == 4) {
		on_both(argv[2], argv[3], prepare);
	} else if (strcmp(what, "merge") == 0 && argc == 4) {
		on_both(argv[2], argv[3], merge);
	} else {
		fprintf(stderr,
			"usage: storage fill URI CHAPTERS | hits URI SECONDS DEPTH |\n"
			"       reads URI SECONDS DEPTH | prepare ORIGIN COW | merge ORIGIN COW\n");
		return 2;
	}
	return 0;
}
