/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One load on an NBD export through libuds-nbd and an engine: bench/nbd runs it beside others.
 *
 * usage: nbd_load URI read|write|randread|randwrite BLOCK_BYTES DEPTH SECONDS
 *
 * SECONDS 0: the whole export once. Writes end with a flush, which counts. Prints MiB a second.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/engine.h>
#include <uds/nbd.h>

#include "measure.h"

#define MOST_DEPTH 1024

struct load {
	struct uds_io *io;
	struct uds_io_engine *engine;
	uint64_t bytes; /* of the export, in whole blocks */
	uint64_t block;
	uint64_t next, moved;
	uint64_t random;
	double until; /* 0: once through */
	bool writes, at_random;
	unsigned int depth;
};

static void fail(const char *what, const char *sentence)
{
	fprintf(stderr, "nbd_load: %s: %s\n", what, sentence);
	exit(1);
}

static uint64_t next_offset(struct load *load)
{
	uint64_t offset = load->next;

	if (load->at_random) {
		load->random ^= load->random << 13;
		load->random ^= load->random >> 7;
		load->random ^= load->random << 17;
		return load->random % (load->bytes / load->block) * load->block;
	}
	load->next += load->block;
	if (load->next >= load->bytes && load->until > 0)
		load->next = 0;
	return offset;
}

static bool is_over(const struct load *load)
{
	return load->until > 0 ? now() >= load->until : load->next >= load->bytes;
}

static void submit(struct load *load, struct uds_io_request *request)
{
	request->offset = next_offset(load);
	if (uds_io_engine_submit(load->engine, &request, 1) < 0)
		fail("submit", "refused");
}

static void run(struct load *load, struct uds_io_request *requests)
{
	struct uds_io_request *done[MOST_DEPTH];

	for (unsigned int i = 0; i < load->depth && !is_over(load); i++)
		submit(load, &requests[i]);
	while (uds_io_engine_in_flight(load->engine) > 0) {
		int count = uds_io_engine_reap(load->engine, done, MOST_DEPTH, 1, -1);

		for (int i = 0; i < count; i++) {
			if (done[i]->status < 0)
				fail("request", uds_strerror(done[i]->status));
			load->moved += load->block;
			if (!is_over(load))
				submit(load, done[i]);
		}
	}
	if (load->writes && uds_io_flush(load->io) < 0)
		fail("flush", "failed");
}

static void open_load(struct load *load, const char *uri)
{
	struct uds_io_engine_options engine = UDS_IO_ENGINE_OPTIONS_INIT;
	struct uds_nbd_options options = UDS_NBD_OPTIONS_INIT;
	struct uds_message message = { "" };

	options.write = load->writes;
	engine.depth = load->depth;
	if (uds_nbd_open(uri, &options, NULL, &message, &load->io) < 0 ||
	    uds_io_engine_open(&engine, NULL, &message, &load->engine) < 0)
		fail(uri, message.text);
	if (uds_io_size(load->io, &load->bytes) < 0)
		fail(uri, "no size");
	load->bytes -= load->bytes % load->block;
}

static struct uds_io_request *make_requests(struct load *load)
{
	struct uds_io_request *requests = calloc(load->depth, sizeof(*requests));
	uint8_t *memory = malloc(load->depth * load->block);

	if (requests == NULL || memory == NULL)
		fail("requests", "no memory");
	memset(memory, 0x5a, load->depth * load->block);
	for (unsigned int i = 0; i < load->depth; i++) {
		requests[i].io = load->io;
		requests[i].kind = load->writes ? UDS_IO_WRITE : UDS_IO_READ;
		requests[i].buffer = memory + i * load->block;
		requests[i].length = load->block;
	}
	return requests;
}

int main(int argc, char **argv)
{
	struct load load = { .random = 88172645463325252u };
	struct uds_io_request *requests;
	double begin, seconds;

	if (argc != 6)
		fail("usage", "URI read|write|randread|randwrite BLOCK_BYTES DEPTH SECONDS");
	load.at_random = strncmp(argv[2], "rand", 4) == 0;
	load.writes = strstr(argv[2], "write") != NULL;
	load.block = strtoull(argv[3], NULL, 10);
	load.depth = (unsigned int)strtoul(argv[4], NULL, 10);
	if (load.block == 0 || load.depth == 0 || load.depth > MOST_DEPTH)
		fail("usage", "a block of at least 1 byte, and a depth of 1 to 1024");
	open_load(&load, argv[1]);
	requests = make_requests(&load);
	seconds = strtod(argv[5], NULL);
	begin = now();
	load.until = seconds > 0 ? begin + seconds : 0;
	run(&load, requests);
	seconds = now() - begin;
	printf("%.1f\n", (double)load.moved / seconds / (1 << 20));
	uds_io_engine_close(load.engine);
	uds_io_close(load.io);
	free(requests[0].buffer);
	free(requests);
	return 0;
}
