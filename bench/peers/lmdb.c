/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LMDB, as its header advises: MDB_NOSYNC without MDB_WRITEMAP keeps the database consistent on a
 * file system that keeps the order of writes, and mdb_env_sync() makes it durable; posts of a call
 * are one transaction; a reader's transaction is reset and renewed rather than begun again
 * (MDB_NOTLS); MDB_NORDAHEAD for reads at random.
 */
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

/* Of the map: it must have room for all that is ever written; twenty times the records. */
#define RECORD_BYTES 2048u
#define LEAST_BYTES  (UINT64_C(1) << 30)

#define FLAGS (MDB_NOSYNC | MDB_NOTLS | MDB_NORDAHEAD)

struct store {
	MDB_env *env;
	MDB_dbi dbi;
};

struct session {
	const struct store *store;
	MDB_txn *reader; /* reset between calls */
};

static int failed(const char *what, int status, struct bench_why *why)
{
	snprintf(why->text, sizeof(why->text), "%s: %s", what, mdb_strerror(status));
	return status;
}

static int open_table(struct store *store)
{
	MDB_txn *txn;
	int r = mdb_txn_begin(store->env, NULL, 0, &txn);

	if (r != 0)
		return r;
	r = mdb_dbi_open(txn, NULL, 0, &store->dbi);
	if (r == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return r;
}

static int open_env(const struct bench_place *place, MDB_env *env)
{
	uint64_t bytes = place->records * RECORD_BYTES + LEAST_BYTES;
	int r;

	if (bytes > SIZE_MAX)
		return ENOMEM;
	r = mdb_env_set_mapsize(env, (size_t)bytes);
	if (r == 0)
		r = mdb_env_set_maxreaders(env, place->threads + 1);
	return r != 0 ? r : mdb_env_open(env, place->folder, FLAGS, 0666);
}

static int peer_open(const struct bench_place *place, void **ret_store, struct bench_why *why)
{
	struct store *store = calloc(1, sizeof(*store));
	int r;

	if (store == NULL)
		return failed("opening", ENOMEM, why);
	r = mdb_env_create(&store->env);
	if (r != 0)
		goto out_store;
	r = open_env(place, store->env);
	if (r == 0)
		r = open_table(store);
	if (r != 0)
		goto out_env;
	*ret_store = store;
	return 0;

out_env:
	mdb_env_close(store->env);
out_store:
	free(store);
	return failed("opening", r, why);
}

static int peer_close(void *opened, struct bench_why *why)
{
	struct store *store = opened;

	(void)why;
	mdb_env_close(store->env);
	free(store);
	return 0;
}

static int peer_attach(void *opened, void **ret_session, struct bench_why *why)
{
	struct session *session = calloc(1, sizeof(*session));
	const struct store *store = opened;
	int r;

	if (session == NULL)
		return failed("a session", ENOMEM, why);
	session->store = store;
	r = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &session->reader);
	if (r != 0) {
		free(session);
		return failed("a session", r, why);
	}
	mdb_txn_reset(session->reader);
	*ret_session = session;
	return 0;
}

static void peer_detach(void *attached)
{
	struct session *session = attached;

	mdb_txn_abort(session->reader);
	free(session);
}

static void take(const MDB_val *found, struct bench_request *request)
{
	request->found = found->mv_size == sizeof(request->data);
	if (request->found)
		memcpy(request->data, found->mv_data, sizeof(request->data));
}

static int look_up(MDB_txn *txn, MDB_dbi dbi, struct bench_request *request)
{
	MDB_val name = { sizeof(request->name), request->name }, found;
	int r = mdb_get(txn, dbi, &name, &found);

	request->found = false;
	if (r == 0)
		take(&found, request);
	return r == MDB_NOTFOUND ? 0 : r;
}

/* MDB_NOOVERWRITE gives what is there. */
static int post(MDB_txn *txn, MDB_dbi dbi, struct bench_request *request)
{
	MDB_val name = { sizeof(request->name), request->name };
	MDB_val data = { sizeof(request->data), request->data };
	int r = mdb_put(txn, dbi, &name, &data, MDB_NOOVERWRITE);

	request->found = false;
	if (r == MDB_KEYEXIST)
		take(&data, request);
	return r == MDB_KEYEXIST ? 0 : r;
}

static bool has_post(const struct bench_request *requests, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (requests[i].kind == BENCH_POST)
			return true;
	}
	return false;
}

static int write_all(const struct store *store, struct bench_request *requests, size_t count)
{
	MDB_txn *txn;
	int r = mdb_txn_begin(store->env, NULL, 0, &txn);

	if (r != 0)
		return r;
	for (size_t i = 0; i < count && r == 0; i++)
		r = requests[i].kind == BENCH_POST ? post(txn, store->dbi, &requests[i])
						   : look_up(txn, store->dbi, &requests[i]);
	if (r == 0)
		return mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return r;
}

static int read_all(struct session *session, struct bench_request *requests, size_t count)
{
	int r = mdb_txn_renew(session->reader);

	if (r != 0)
		return r;
	for (size_t i = 0; i < count && r == 0; i++)
		r = look_up(session->reader, session->store->dbi, &requests[i]);
	mdb_txn_reset(session->reader);
	return r;
}

static int peer_run(void *attached, struct bench_request *requests, size_t count,
		    struct bench_why *why)
{
	struct session *session = attached;
	int r = has_post(requests, count) ? write_all(session->store, requests, count)
					  : read_all(session, requests, count);

	return r != 0 ? failed("requests", r, why) : 0;
}

static int peer_flush(void *opened, struct bench_why *why)
{
	const struct store *store = opened;
	int r = mdb_env_sync(store->env, 1);

	return r != 0 ? failed("flushing", r, why) : 0;
}

const struct bench_peer *bench_peer(void)
{
	static char setup[128];
	static const struct bench_peer peer = {
		.version = BENCH_PEER_VERSION,
		.name = "lmdb",
		.setup = setup,
		.bounds = "memory: no bound, the whole file is mapped; size: grows, nothing is "
			  "evicted; "
			  "no O_DIRECT",
		.evicts = false,
		.open = peer_open,
		.close = peer_close,
		.attach = peer_attach,
		.detach = peer_detach,
		.run = peer_run,
		.flush = peer_flush,
	};

	snprintf(setup, sizeof(setup),
		 "%.60s: NOSYNC, mdb_env_sync() at flush, a transaction for each call",
		 mdb_version(NULL, NULL, NULL));
	return &peer;
}
