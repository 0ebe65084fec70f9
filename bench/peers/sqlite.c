/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SQLite, as its documentation advises: a WITHOUT ROWID table for keys that are not integers, a
 * write-ahead log with synchronous=NORMAL (consistent after a power failure, durable at
 * checkpoints), prepared statements, a connection for each thread, the posts of a call in one
 * transaction.
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

/* For the lock of another thread, milliseconds. */
#define BUSY_MS 60000

struct store {
	sqlite3 *database;  /* for flushing */
	uint64_t cache_kib; /* of each session */
	char path[4096];
};

struct session {
	sqlite3 *database;
	sqlite3_stmt *begin, *commit, *rollback, *insert, *select;
};

static int failed(const char *what, sqlite3 *database, int status, struct bench_why *why)
{
	snprintf(why->text, sizeof(why->text), "%s: %s", what,
		 database != NULL ? sqlite3_errmsg(database) : sqlite3_errstr(status));
	return status;
}

/* @ret_database is set also when it fails, and to be closed. */
static int open_database(const struct store *store, sqlite3 **ret_database)
{
	char pragmas[128];
	int r = sqlite3_open_v2(store->path, ret_database,
				SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
				NULL);

	if (r != SQLITE_OK)
		return r;
	snprintf(pragmas, sizeof(pragmas),
		 "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-%llu",
		 (unsigned long long)store->cache_kib);
	r = sqlite3_busy_timeout(*ret_database, BUSY_MS);
	return r != SQLITE_OK ? r : sqlite3_exec(*ret_database, pragmas, NULL, NULL, NULL);
}

static int peer_open(const struct bench_place *place, void **ret_store, struct bench_why *why)
{
	struct store *store = calloc(1, sizeof(*store));
	int r;

	if (store == NULL)
		return failed("opening", NULL, SQLITE_NOMEM, why);
	store->cache_kib = place->memory_bytes / 1024 / place->threads;
	snprintf(store->path, sizeof(store->path), "%s/index.sqlite", place->folder);
	r = open_database(store, &store->database);
	if (r == SQLITE_OK)
		r = sqlite3_exec(store->database,
				 "CREATE TABLE records(name BLOB PRIMARY KEY, data BLOB NOT NULL) "
				 "WITHOUT ROWID",
				 NULL, NULL, NULL);
	if (r == SQLITE_OK) {
		*ret_store = store;
		return 0;
	}
	failed("opening", store->database, r, why);
	sqlite3_close(store->database);
	free(store);
	return r;
}

static int peer_close(void *opened, struct bench_why *why)
{
	struct store *store = opened;
	int r = sqlite3_close(store->database);

	free(store);
	return r != SQLITE_OK ? failed("closing", NULL, r, why) : 0;
}

static void peer_detach(void *attached)
{
	struct session *session = attached;

	sqlite3_finalize(session->begin);
	sqlite3_finalize(session->commit);
	sqlite3_finalize(session->rollback);
	sqlite3_finalize(session->insert);
	sqlite3_finalize(session->select);
	sqlite3_close(session->database);
	free(session);
}

static int prepare(struct session *session)
{
	const struct {
		const char *text;
		sqlite3_stmt **statement;
	} all[] = { { "BEGIN IMMEDIATE", &session->begin },
		    { "COMMIT", &session->commit },
		    { "ROLLBACK", &session->rollback },
		    { "INSERT OR IGNORE INTO records VALUES(?1, ?2)", &session->insert },
		    { "SELECT data FROM records WHERE name = ?1", &session->select } };
	int r = SQLITE_OK;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]) && r == SQLITE_OK; i++)
		r = sqlite3_prepare_v3(session->database, all[i].text, -1,
				       SQLITE_PREPARE_PERSISTENT, all[i].statement, NULL);
	return r;
}

static int peer_attach(void *opened, void **ret_session, struct bench_why *why)
{
	struct session *session = calloc(1, sizeof(*session));
	int r;

	if (session == NULL)
		return failed("a session", NULL, SQLITE_NOMEM, why);
	r = open_database(opened, &session->database);
	if (r == SQLITE_OK)
		r = prepare(session);
	if (r == SQLITE_OK) {
		*ret_session = session;
		return 0;
	}
	failed("a session", session->database, r, why);
	peer_detach(session);
	return r;
}

/* Carries out a statement that gives no row. */
static int step(sqlite3_stmt *statement)
{
	int r = sqlite3_step(statement), reset = sqlite3_reset(statement);

	return r == SQLITE_DONE ? reset : r;
}

static int look_up(struct session *session, struct bench_request *request)
{
	int r = sqlite3_bind_blob(session->select, 1, request->name, sizeof(request->name),
				  SQLITE_STATIC),
	    reset;

	request->found = false;
	if (r == SQLITE_OK)
		r = sqlite3_step(session->select);
	if (r == SQLITE_ROW &&
	    sqlite3_column_bytes(session->select, 0) == (int)sizeof(request->data)) {
		memcpy(request->data, sqlite3_column_blob(session->select, 0),
		       sizeof(request->data));
		request->found = true;
	}
	reset = sqlite3_reset(session->select);
	return r == SQLITE_ROW || r == SQLITE_DONE ? reset : r;
}

static int post(struct session *session, struct bench_request *request)
{
	int r = sqlite3_bind_blob(session->insert, 1, request->name, sizeof(request->name),
				  SQLITE_STATIC);

	if (r == SQLITE_OK)
		r = sqlite3_bind_blob(session->insert, 2, request->data, sizeof(request->data),
				      SQLITE_STATIC);
	if (r == SQLITE_OK)
		r = step(session->insert);
	request->found = false;
	if (r != SQLITE_OK || sqlite3_changes(session->database) > 0)
		return r;
	return look_up(session, request);
}

/* A call of one request is a transaction of its own, as SQLite does it by itself. */
static int run_all(struct session *session, struct bench_request *requests, size_t count)
{
	int r = count > 1 ? step(session->begin) : SQLITE_OK;

	if (r != SQLITE_OK)
		return r;
	for (size_t i = 0; i < count && r == SQLITE_OK; i++)
		r = requests[i].kind == BENCH_POST ? post(session, &requests[i])
						   : look_up(session, &requests[i]);
	if (count > 1 && r == SQLITE_OK)
		r = step(session->commit);
	return r;
}

static int peer_run(void *attached, struct bench_request *requests, size_t count,
		    struct bench_why *why)
{
	struct session *session = attached;
	int r = run_all(session, requests, count);

	if (r == SQLITE_OK)
		return 0;
	failed("requests", session->database, r, why);
	if (!sqlite3_get_autocommit(session->database))
		(void)step(session->rollback);
	return r;
}

static int peer_flush(void *opened, struct bench_why *why)
{
	const struct store *store = opened;
	int r = sqlite3_wal_checkpoint_v2(store->database, NULL, SQLITE_CHECKPOINT_FULL, NULL,
					  NULL);

	return r != SQLITE_OK ? failed("flushing", store->database, r, why) : 0;
}

const struct bench_peer *bench_peer(void)
{
	static char setup[160];
	static const struct bench_peer peer = {
		.version = BENCH_PEER_VERSION,
		.name = "sqlite",
		.setup = setup,
		.bounds = "memory: a page cache of the size allowed, divided between the threads; "
			  "size: "
			  "grows, nothing is evicted; no O_DIRECT",
		.evicts = false,
		.open = peer_open,
		.close = peer_close,
		.attach = peer_attach,
		.detach = peer_detach,
		.run = peer_run,
		.flush = peer_flush,
	};

	snprintf(setup, sizeof(setup),
		 "SQLite %.30s: WITHOUT ROWID, write-ahead log, synchronous=NORMAL, a checkpoint "
		 "at flush",
		 sqlite3_libversion());
	return &peer;
}
