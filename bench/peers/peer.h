/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What bench/compare asks of an index, so that any store can be measured beside this library's: a
 * shared object with the one function bench_peer(). It includes this header and nothing else of
 * this project.
 *
 * The job: names of 16 bytes, evenly spread as hashes are, map to data of 16 bytes. When flush
 * returns, what was done before is durable; until then it may be lost, but the store must open
 * again. A store for so many records, in so much memory, is made in an empty folder.
 *
 * All functions that return an int return 0, or anything else when they failed; then @why has a
 * sentence. No function prints or ends the process.
 */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BENCH_PEER_VERSION 1u

/* The most requests in a call. */
#define BENCH_BATCH_MAX 4096u

enum bench_kind {
	BENCH_POST = 1, /* look up; store the data if the name is not there */
	BENCH_QUERY =
		2, /* look up; a store that evicts the oldest names keeps it as if it were new */
	BENCH_PEEK = 3, /* look up, and change nothing */
};

struct bench_request {
	uint8_t name[16];
	uint8_t data[16]; /* of a post: what to store. Out, if found: what was stored */
	uint8_t kind;	  /* enum bench_kind */
	bool found;	  /* out: the name was there before */
};

struct bench_why {
	char text[256];
};

struct bench_place {
	const char *folder;	 /* empty, and the store's own */
	const char *options;	 /* of the place's URI, for example "direct=1&uring=1"; may be "" */
	bool direct;		 /* these ask for O_DIRECT */
	uint64_t records;	 /* it has room for so many; see evicts */
	uint64_t memory_bytes;	 /* it may take so much memory, all caches included */
	unsigned int threads;	 /* so many sessions run at once */
	unsigned int processors; /* of this machine */
};

struct bench_peer {
	uint32_t version;  /* BENCH_PEER_VERSION */
	const char *name;  /* a short word */
	const char *setup; /* one line: its version, and how it is set up */
	const char
		*bounds; /* one line: what bounds its memory and its size, or that nothing does */
	bool evicts;	 /* when it is full, the oldest names leave. Otherwise it grows */

	int (*open)(const struct bench_place *place, void **ret_store, struct bench_why *why);

	/* Frees it, whatever it returns. What is not durable may be lost. */
	int (*close)(void *store, struct bench_why *why);

	/* A session is used by one thread at a time; it is detached before the store is closed. */
	int (*attach)(void *store, void **ret_session, struct bench_why *why);
	void (*detach)(void *session);

	/*
	 * Carries out 1 to BENCH_BATCH_MAX requests. A call of one request is a call of one name,
	 * as a program makes it. No new name is posted twice in one call, nor by two threads at
	 * once.
	 */
	int (*run)(void *session, struct bench_request *requests, size_t count,
		   struct bench_why *why);

	/* Makes durable what was done. No session runs meanwhile. */
	int (*flush)(void *store, struct bench_why *why);

	/*
	 * May be NULL. Carries out as many requests as @count says, any number, with at most @depth
	 * of them in flight: each is begun alone and completes alone.
	 */
	int (*run_in_flight)(void *session, struct bench_request *requests, size_t count,
			     unsigned int depth, struct bench_why *why);
};

/* The one name that the shared object exports. Never NULL. */
__attribute__((visibility("default"))) const struct bench_peer *bench_peer(void);

#ifdef __cplusplus
}
#endif

#endif
