/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RocksDB, with what its "Setup Options and Basic Tuning" and "Block-Based Table Format" advise,
 * for lookups of single keys: Bloom filters of 10 bits a key, a hash index in each data block,
 * levels of dynamic size, indexes and filters in the block cache, so that this bounds their
 * memory. Without a write-ahead log: a flush of the memtables makes durable what was done. Nothing
 * is compressed, as names and data are random. Posts of a call are a MultiGet and a write batch.
 */
#include <rocksdb/c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

/* RocksDB's default; less where the memory is little. */
#define MOST_BUFFER_BYTES (UINT64_C(64) << 20)
#define BUFFERS		  2u

struct store {
	rocksdb_options_t *options;
	rocksdb_cache_t *cache;
	rocksdb_t *database;
	rocksdb_column_family_handle_t *family;
	rocksdb_readoptions_t *reading;
	rocksdb_writeoptions_t *writing;
	rocksdb_flushoptions_t *flushing;
};

struct session {
	const struct store *store;
	rocksdb_writebatch_t *batch;
	const char *names[BENCH_BATCH_MAX];
	size_t lengths[BENCH_BATCH_MAX];
	rocksdb_pinnableslice_t *values[BENCH_BATCH_MAX];
	char *errors[BENCH_BATCH_MAX];
};

/* @error: freed. */
static int failed(const char *what, char *error, struct bench_why *why)
{
	snprintf(why->text, sizeof(why->text), "%s: %s", what, error);
	rocksdb_free(error);
	return -1;
}

static int no_memory(const char *what, struct bench_why *why)
{
	snprintf(why->text, sizeof(why->text), "%s: no memory", what);
	return -1;
}

/* As few parts as threads need: a filter must fit into one, or it is read again for each lookup. */
static rocksdb_cache_t *make_cache(const struct bench_place *place, uint64_t bytes)
{
	rocksdb_lru_cache_options_t *options = rocksdb_lru_cache_options_create();
	rocksdb_cache_t *cache;
	int bits = 0;

	while (bits < 4 && 1u << bits < place->threads)
		bits++;
	rocksdb_lru_cache_options_set_capacity(options, (size_t)bytes);
	rocksdb_lru_cache_options_set_num_shard_bits(options, bits);
	cache = rocksdb_cache_create_lru_opts(options);
	rocksdb_lru_cache_options_destroy(options);
	return cache;
}

static rocksdb_block_based_table_options_t *make_table_options(rocksdb_cache_t *cache)
{
	rocksdb_block_based_table_options_t *table = rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_block_cache(table, cache);
	rocksdb_block_based_options_set_filter_policy(table,
						      rocksdb_filterpolicy_create_bloom_full(10));
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(table, 1);
	rocksdb_block_based_options_set_pin_l0_filter_and_index_blocks_in_cache(table, 1);
	rocksdb_block_based_options_set_data_block_index_type(
		table, rocksdb_block_based_table_data_block_index_type_binary_search_and_hash);
	rocksdb_block_based_options_set_data_block_hash_ratio(table, 0.75);
	rocksdb_block_based_options_set_format_version(table, 5);
	return table;
}

static void set_options(const struct bench_place *place, struct store *store)
{
	uint64_t buffer = place->memory_bytes / 8;
	rocksdb_block_based_table_options_t *table;
	rocksdb_options_t *options = rocksdb_options_create();

	buffer = buffer < MOST_BUFFER_BYTES ? buffer : MOST_BUFFER_BYTES;
	store->options = options;
	store->cache = make_cache(place, place->memory_bytes - BUFFERS * buffer);
	table = make_table_options(store->cache);
	rocksdb_options_set_block_based_table_factory(options, table);
	rocksdb_block_based_options_destroy(table);
	rocksdb_options_set_create_if_missing(options, 1);
	rocksdb_options_set_write_buffer_size(options, (size_t)buffer);
	rocksdb_options_set_max_write_buffer_number(options, (int)BUFFERS);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(options, 1);
	rocksdb_options_set_bytes_per_sync(options, 1048576);
	rocksdb_options_set_compression(options, rocksdb_no_compression);
	rocksdb_options_increase_parallelism(options, (int)place->processors);
	if (place->direct) {
		rocksdb_options_set_use_direct_reads(options, 1);
		rocksdb_options_set_use_direct_io_for_flush_and_compaction(options, 1);
	}
}

static void free_store(struct store *store)
{
	if (store->family != NULL)
		rocksdb_column_family_handle_destroy(store->family);
	if (store->database != NULL)
		rocksdb_close(store->database);
	rocksdb_flushoptions_destroy(store->flushing);
	rocksdb_writeoptions_destroy(store->writing);
	rocksdb_readoptions_destroy(store->reading);
	rocksdb_options_destroy(store->options);
	rocksdb_cache_destroy(store->cache);
	free(store);
}

static int peer_open(const struct bench_place *place, void **ret_store, struct bench_why *why)
{
	const char *const families[] = { "default" };
	const rocksdb_options_t *family_options[1];
	struct store *store = calloc(1, sizeof(*store));
	char *error = NULL;

	if (store == NULL)
		return no_memory("opening", why);
	set_options(place, store);
	store->reading = rocksdb_readoptions_create();
	store->writing = rocksdb_writeoptions_create();
	rocksdb_writeoptions_disable_WAL(store->writing, 1);
	store->flushing = rocksdb_flushoptions_create();
	rocksdb_flushoptions_set_wait(store->flushing, 1);
	family_options[0] = store->options;
	store->database = rocksdb_open_column_families(store->options, place->folder, 1, families,
						       family_options, &store->family, &error);
	if (error != NULL) {
		free_store(store);
		return failed("opening", error, why);
	}
	*ret_store = store;
	return 0;
}

static int peer_close(void *opened, struct bench_why *why)
{
	(void)why;
	free_store(opened);
	return 0;
}

static int peer_attach(void *opened, void **ret_session, struct bench_why *why)
{
	struct session *session = calloc(1, sizeof(*session));

	if (session == NULL)
		return no_memory("a session", why);
	session->store = opened;
	session->batch = rocksdb_writebatch_create();
	*ret_session = session;
	return 0;
}

static void peer_detach(void *attached)
{
	struct session *session = attached;

	rocksdb_writebatch_destroy(session->batch);
	free(session);
}

/* Takes the value, which may be NULL, and frees it. */
static void take(rocksdb_pinnableslice_t *value, struct bench_request *request)
{
	size_t length = 0;
	const char *found = value != NULL ? rocksdb_pinnableslice_value(value, &length) : NULL;

	request->found = found != NULL && length == sizeof(request->data);
	if (request->found)
		memcpy(request->data, found, sizeof(request->data));
	if (value != NULL)
		rocksdb_pinnableslice_destroy(value);
}

static char *look_up_one(const struct store *store, struct bench_request *request)
{
	char *error = NULL;
	rocksdb_pinnableslice_t *value =
		rocksdb_get_pinned(store->database, store->reading, (const char *)request->name,
				   sizeof(request->name), &error);

	take(value, request);
	return error;
}

static char *look_up_all(struct session *session, struct bench_request *requests, size_t count)
{
	char *error = NULL;

	for (size_t i = 0; i < count; i++) {
		session->names[i] = (const char *)requests[i].name;
		session->lengths[i] = sizeof(requests[i].name);
		session->values[i] = NULL;
		session->errors[i] = NULL;
	}
	rocksdb_batched_multi_get_cf(session->store->database, session->store->reading,
				     session->store->family, count, session->names,
				     session->lengths, session->values, session->errors, 0);
	for (size_t i = 0; i < count; i++) {
		take(session->values[i], &requests[i]);
		if (error == NULL)
			error = session->errors[i];
		else
			rocksdb_free(session->errors[i]);
	}
	return error;
}

/* What was not found. */
static char *write_new(struct session *session, const struct bench_request *requests, size_t count)
{
	const struct store *store = session->store;
	char *error = NULL;

	rocksdb_writebatch_clear(session->batch);
	for (size_t i = 0; i < count; i++) {
		if (requests[i].kind == BENCH_POST && !requests[i].found)
			rocksdb_writebatch_put(session->batch, (const char *)requests[i].name,
					       sizeof(requests[i].name),
					       (const char *)requests[i].data,
					       sizeof(requests[i].data));
	}
	if (rocksdb_writebatch_count(session->batch) > 0)
		rocksdb_write(store->database, store->writing, session->batch, &error);
	return error;
}

static int peer_run(void *attached, struct bench_request *requests, size_t count,
		    struct bench_why *why)
{
	struct session *session = attached;
	char *error = count == 1 ? look_up_one(session->store, requests)
				 : look_up_all(session, requests, count);

	if (error == NULL)
		error = write_new(session, requests, count);
	return error != NULL ? failed("requests", error, why) : 0;
}

static int peer_flush(void *opened, struct bench_why *why)
{
	const struct store *store = opened;
	char *error = NULL;

	rocksdb_flush(store->database, store->flushing, &error);
	return error != NULL ? failed("flushing", error, why) : 0;
}

const struct bench_peer *bench_peer(void)
{
	static const struct bench_peer peer = {
		.version = BENCH_PEER_VERSION,
		.name = "rocksdb",
		.setup =
			"RocksDB " ROCKSDB_VERSION
			": Bloom filters, hash index in blocks, no write-ahead log, a flush of the "
			"memtables at flush",
		.bounds = "memory: two memtables and a block cache with indexes and filters, of "
			  "the size "
			  "allowed; size: grows, nothing is evicted",
		.evicts = false,
		.open = peer_open,
		.close = peer_close,
		.attach = peer_attach,
		.detach = peer_detach,
		.run = peer_run,
		.flush = peer_flush,
	};

	return &peer;
}
