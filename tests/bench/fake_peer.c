/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A peer for the test of bench/compare: a table in memory that fails, or lies, as UDS_FAKE_PEER
 * says.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "peers/peer.h"

struct entry {
	uint8_t name[16];
	uint8_t data[16];
	bool used;
};

struct store {
	pthread_mutex_t lock;
	unsigned int sessions;
	size_t count; /* a power of two */
	struct entry entries[];
};

static bool is(const char *word)
{
	const char *fault = getenv("UDS_FAKE_PEER");

	return fault != NULL && strcmp(fault, word) == 0;
}

static int failed(const char *what, struct bench_why *why)
{
	snprintf(why->text, sizeof(why->text), "the fake's %s", what);
	return -5;
}

static int fake_open(const struct bench_place *place, void **ret_store, struct bench_why *why)
{
	struct store *store;
	size_t count = 1;

	if (is("open"))
		return failed("open", why);
	if (is("place")) {
		snprintf(why->text, sizeof(why->text), "[%s] %d %u threads, %llu bytes",
			 place->options, place->direct, place->threads,
			 (unsigned long long)place->memory_bytes);
		return -1;
	}
	while (count < place->records * 8)
		count *= 2;
	store = calloc(1, sizeof(*store) + count * sizeof(store->entries[0]));
	if (store == NULL)
		return failed("memory", why);
	pthread_mutex_init(&store->lock, NULL);
	store->count = count;
	*ret_store = store;
	return 0;
}

static int fake_close(void *opened, struct bench_why *why)
{
	struct store *store = opened;

	pthread_mutex_destroy(&store->lock);
	free(store);
	return is("close") ? failed("close", why) : 0;
}

static int fake_attach(void *opened, void **ret_session, struct bench_why *why)
{
	struct store *store = opened;

	if (is("attach") || (is("second") && store->sessions == 1))
		return failed("attach", why);
	store->sessions++;
	*ret_session = malloc(sizeof(store));
	if (*ret_session == NULL)
		return failed("memory", why);
	memcpy(*ret_session, &store, sizeof(store));
	return 0;
}

static void fake_detach(void *session)
{
	free(session);
}

static struct entry *find(struct store *store, const uint8_t name[16])
{
	size_t at;

	for (memcpy(&at, name, sizeof(at));; at++) {
		struct entry *entry = &store->entries[at & (store->count - 1)];

		if (!entry->used || memcmp(entry->name, name, sizeof(entry->name)) == 0)
			return entry;
	}
}

static void run_one(struct store *store, struct bench_request *request)
{
	struct entry *entry = find(store, request->name);

	request->found = entry->used;
	if (entry->used) {
		memcpy(request->data, entry->data, sizeof(request->data));
		request->data[3] ^= is("data");
		request->found = !is("forget");
	} else if (request->kind == BENCH_POST) {
		memcpy(entry->name, request->name, sizeof(entry->name));
		memcpy(entry->data, request->data, sizeof(entry->data));
		entry->used = true;
	} else {
		request->found = is("stray");
	}
}

static int fake_run(void *session, struct bench_request *requests, size_t count,
		    struct bench_why *why)
{
	struct store *store;

	if (is("mute"))
		return 1;
	if (is("run"))
		return failed("run", why);
	if (is("exit"))
		_exit(3);
	if (is("abort"))
		abort();
	memcpy(&store, session, sizeof(store));
	pthread_mutex_lock(&store->lock);
	for (size_t i = 0; i < count; i++)
		run_one(store, &requests[i]);
	pthread_mutex_unlock(&store->lock);
	return 0;
}

static int fake_flush(void *store, struct bench_why *why)
{
	(void)store;
	return is("flush") ? failed("flush", why) : 0;
}

const struct bench_peer *bench_peer(void)
{
	static struct bench_peer peer = {
		.version = BENCH_PEER_VERSION,
		.name = "fake",
		.setup = "a table \"in memory\" <&>",
		.bounds = "none",
		.open = fake_open,
		.close = fake_close,
		.attach = fake_attach,
		.detach = fake_detach,
		.run = fake_run,
		.flush = fake_flush,
	};

	if (is("null"))
		return NULL;
	if (is("version"))
		peer.version++;
	if (is("hollow"))
		peer.run = NULL;
	if (is("nameless"))
		peer.name = "";
	return &peer;
}
