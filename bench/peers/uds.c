/* SPDX-License-Identifier: BSD-2-Clause */
/* This library. Another build of it is another peer: --peer OTHER/bench/peers/.libs/uds.so. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds.h>
#include <uds/async.h>

#include "peer.h"

#define PAGE_RECORDS 1024u /* of 32 bytes, in a page of 32 KiB */
#define MOST_PAGES   64u   /* of a chapter */
#define CHAPTERS     64u   /* at least, where pages can be fewer */
#define MOST_ZONES   16u
#define RECORD_BYTES 4u /* of memory, without the cache */

struct store {
	struct uds_io *io;
	struct uds_index *index;
};

struct session {
	struct uds_index *index;
	struct uds_index_queue *queue; /* of run_in_flight(), when it was called */
	unsigned int depth;
	struct uds_index_operation *operations; /* depth */
	struct uds_request requests[BENCH_BATCH_MAX];
};

static const uint8_t kinds[] = { 0, UDS_POST, UDS_QUERY, UDS_PEEK };

static int failed(const char *what, int status, const struct uds_message *message,
		  struct bench_why *why)
{
	snprintf(why->text, sizeof(why->text), "%s: %.200s", what,
		 message != NULL && message->text[0] != '\0' ? message->text
							     : uds_strerror(status));
	return status;
}

static int failed_request(struct uds_index *index, int status, struct bench_why *why)
{
	struct uds_message message = { "" };

	uds_index_error_message(index, &message);
	return failed("requests", status, &message, why);
}

/* Chapters as large as those of an index for 67 million records; smaller ones where it has few. */
static struct uds_configuration shape(uint64_t records)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	uint64_t pages = records / PAGE_RECORDS / CHAPTERS;

	pages = pages < 1 ? 1 : pages > MOST_PAGES ? MOST_PAGES : pages;
	c.page_bytes = PAGE_RECORDS * 32;
	c.record_pages_per_chapter = (uint32_t)pages;
	c.chapters_per_volume =
		(uint32_t)((records + pages * PAGE_RECORDS - 1) / (pages * PAGE_RECORDS)) + 1;
	return c;
}

static int open_io(const struct bench_place *place, struct uds_io **ret_io, struct bench_why *why)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	char uri[4096];
	int r = -ENAMETOOLONG;

	options.write = true;
	options.create = true;
	if (snprintf(uri, sizeof(uri), "file:%s/index%s%s", place->folder,
		     place->options[0] != '\0' ? "?" : "", place->options) < (int)sizeof(uri))
		r = uds_io_open_uri(uri, &options, NULL, &message, ret_io);
	return r < 0 ? failed("the file", r, &message, why) : 0;
}

static int open_index(const struct bench_place *place, struct store *store, struct bench_why *why)
{
	const struct uds_configuration c = shape(place->records);
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r = uds_index_format(store->io, &c, NULL, &message);

	if (r < 0)
		return failed("formatting", r, &message, why);
	if (place->memory_bytes > place->records * RECORD_BYTES)
		options.cache_bytes = place->memory_bytes - place->records * RECORD_BYTES;
	options.zones = place->threads < MOST_ZONES ? place->threads : MOST_ZONES;
	r = uds_index_open(store->io, &options, &message, &store->index);
	return r < 0 ? failed("opening", r, &message, why) : 0;
}

static int peer_open(const struct bench_place *place, void **ret_store, struct bench_why *why)
{
	struct store *store = calloc(1, sizeof(*store));
	int r;

	if (store == NULL)
		return failed("opening", -ENOMEM, NULL, why);
	r = open_io(place, &store->io, why);
	if (r < 0)
		goto out_store;
	r = open_index(place, store, why);
	if (r < 0)
		goto out_io;
	*ret_store = store;
	return 0;

out_io:
	uds_io_close(store->io);
out_store:
	free(store);
	return r;
}

static int peer_close(void *opened, struct bench_why *why)
{
	struct store *store = opened;
	int r = uds_index_close(store->index), closed = uds_io_close(store->io);

	free(store);
	r = r < 0 ? r : closed;
	return r < 0 ? failed("closing", r, NULL, why) : 0;
}

static int peer_attach(void *opened, void **ret_session, struct bench_why *why)
{
	struct session *session = calloc(1, sizeof(*session));
	const struct store *store = opened;

	if (session == NULL)
		return failed("a session", -ENOMEM, NULL, why);
	session->index = store->index;
	*ret_session = session;
	return 0;
}

static void peer_detach(void *attached)
{
	struct session *session = attached;

	uds_index_queue_close(session->queue);
	free(session->operations);
	free(session);
}

static void give(const struct bench_request *from, struct uds_request *request)
{
	request->kind = kinds[from->kind];
	memcpy(request->name.bytes, from->name, sizeof(from->name));
	memcpy(request->new_data.bytes, from->data, sizeof(from->data));
}

static void take(const struct uds_request *request, struct bench_request *to)
{
	to->found = request->found;
	if (request->found)
		memcpy(to->data, request->old_data.bytes, sizeof(to->data));
}

static int peer_run(void *attached, struct bench_request *requests, size_t count,
		    struct bench_why *why)
{
	struct session *session = attached;
	int r;

	for (size_t i = 0; i < count; i++)
		give(&requests[i], &session->requests[i]);
	r = uds_index_run(session->index, session->requests, count);
	if (r < 0)
		return failed_request(session->index, r, why);
	for (size_t i = 0; i < count; i++)
		take(&session->requests[i], &requests[i]);
	return 0;
}

static int peer_flush(void *opened, struct bench_why *why)
{
	const struct store *store = opened;
	int r = uds_index_flush(store->index);

	return r < 0 ? failed_request(store->index, r, why) : 0;
}

static int open_queue(struct session *session, unsigned int depth, struct bench_why *why)
{
	struct uds_index_queue_options options = UDS_INDEX_QUEUE_OPTIONS_INIT;
	int r;

	if (session->queue != NULL && session->depth == depth)
		return 0;
	uds_index_queue_close(session->queue);
	free(session->operations);
	session->queue = NULL;
	session->operations = calloc(depth, sizeof(session->operations[0]));
	if (session->operations == NULL)
		return failed("a queue", -ENOMEM, NULL, why);
	options.depth = depth;
	session->depth = depth;
	r = uds_index_queue_open(session->index, &options, &session->queue);
	return r < 0 ? failed("a queue", r, NULL, why) : 0;
}

/* Begins @count requests, for which there is room. */
static int submit(struct session *session, struct uds_index_operation **idle, size_t count,
		  struct bench_request *requests)
{
	int taken;

	for (size_t i = 0; i < count; i++) {
		give(&requests[i], &idle[i]->request);
		idle[i]->request.user = &requests[i];
	}
	taken = uds_index_submit(session->queue, idle, count, 0);
	if (taken < 0)
		return taken;
	return (size_t)taken == count ? 0 : -EAGAIN;
}

/* Takes back what is done. Returns how many, or what a request said. */
static int reap(struct session *session, struct uds_index_operation **ret_idle)
{
	int n = uds_index_reap(session->queue, ret_idle, session->depth, 1, -1);

	for (int i = 0; i < n; i++) {
		if (ret_idle[i]->request.status < 0)
			return ret_idle[i]->request.status;
		take(&ret_idle[i]->request, ret_idle[i]->request.user);
	}
	return n;
}

static int peer_run_in_flight(void *attached, struct bench_request *requests, size_t count,
			      unsigned int depth, struct bench_why *why)
{
	struct uds_index_operation **idle;
	struct session *session = attached;
	size_t begun = 0, ended = 0, free_ones = depth;
	int r = open_queue(session, depth, why);

	if (r < 0)
		return r;
	idle = calloc(depth, sizeof(idle[0]));
	if (idle == NULL)
		return failed("a queue", -ENOMEM, NULL, why);
	for (unsigned int i = 0; i < depth; i++)
		idle[i] = &session->operations[i];
	while (ended < count) {
		size_t n = count - begun < free_ones ? count - begun : free_ones;

		r = n > 0 ? submit(session, idle, n, requests + begun) : 0;
		if (r == 0)
			r = reap(session, idle);
		if (r < 0)
			break;
		begun += n;
		free_ones = (size_t)r;
		ended += (size_t)r;
	}
	free(idle);
	return r < 0 ? failed_request(session->index, r, why) : 0;
}

const struct bench_peer *bench_peer(void)
{
	static char setup[128];
	static const struct bench_peer peer = {
		.version = BENCH_PEER_VERSION,
		.name = "uds",
		.setup = setup,
		.bounds = "memory: the volume index, about 3.2 bytes a record, and the rest "
			  "allowed for cached pages; size: fixed, the oldest records are evicted",
		.evicts = true,
		.open = peer_open,
		.close = peer_close,
		.attach = peer_attach,
		.detach = peer_detach,
		.run = peer_run,
		.flush = peer_flush,
		.run_in_flight = peer_run_in_flight,
	};

	snprintf(setup, sizeof(setup),
		 "libuds %s, with checksums and a journal, as many zones as threads",
		 uds_version());
	return &peer;
}
