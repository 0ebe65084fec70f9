/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small shards on devices of a crash log, and a manifest in memory. Shard number n has the URI
 * "n", a digit; each stands behind a fault plan of its own.
 */
#ifndef TESTS_SHARDS_FIXTURE_H
#define TESTS_SHARDS_FIXTURE_H

#include <uds/shards.h>

#include "crash.h"
#include "fault_io.h"
#include "small_index.h"

#define FIXTURE_SHARDS 6

struct shards_fixture {
	struct small_shape shape;
	struct uds_crash_log *log;
	struct fault_plan plans[FIXTURE_SHARDS];
	struct uds_shards_options options;
	struct uds_manifest_store store;
	struct uds_message message;
	struct uds_shards *shards;

	/* The manifest; length 0: there is none. */
	char text[16384];
	size_t length;
	uint64_t replaced; /* how often it was */
	/* The next replacement fails with this status, and happens or not. */
	int fail_replace;
	bool fail_happens;
	/* Called when it was replaced; may be NULL. */
	void (*after_replace)(struct shards_fixture *f);
	void *context;
};

/* Shapes and formats all devices; no manifest yet. @extras: each index has a journal. */
void fixture_start(struct shards_fixture *f, uint32_t chapters, bool extras);
void fixture_end(struct shards_fixture *f);

/* A fixture on what a cut left; owns @log. The manifest is @text. */
void fixture_start_after(struct shards_fixture *f, const struct shards_fixture *before,
			 struct uds_crash_log *log, const char *text, size_t length);

/* Formats device @number again, with what the caller changed in f->shape; @seed: of its nonce. */
void fixture_format_shard(struct shards_fixture *f, unsigned int number, uint8_t seed);

/* Returns what uds_shards_format() does, for the URIs 0 to count - 1. */
int fixture_format(struct shards_fixture *f, unsigned int count);

/* Opens f->shards. Returns what uds_shards_open() does. */
int fixture_open(struct shards_fixture *f);
void fixture_close(struct shards_fixture *f);

/* The same; must work. */
void fixture_make(struct shards_fixture *f, unsigned int count);

/* One request. Returns its status. */
int fixture_do(struct shards_fixture *f, enum uds_request_kind kind, uint64_t name,
	       uint32_t version, struct uds_request *ret_request);

/* The version that a peek finds of the name; 0: it is not there. */
uint32_t fixture_version(struct shards_fixture *f, uint64_t name);

#endif
