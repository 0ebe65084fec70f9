/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A manifest of shards where a command takes an INDEX: opening, requests, saving and closing as
 * target.h has them. Without libuds-shards nothing is a manifest.
 */
#ifndef TOOLS_SHARD_TARGET_H
#define TOOLS_SHARD_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "target.h"

/* @volume_nonce: that the shard must have. */
typedef int (*shard_fn)(void *context, const char *uri, uint64_t volume_nonce);

/* Refuses options that are for one index. Returns EXIT_GOOD, or an exit status after a message. */
int check_manifest_options(const struct target *target);

#ifdef WITH_SHARDS

#include <uds/shards.h>

/* Whether a file begins as a manifest does; any other file, and what is none, does not. */
bool is_manifest(const char *path);

/* Options with which the command's schemes and messages are used. @index: may be NULL. */
void shard_options(struct target *target, const struct uds_index_options *index,
		   struct uds_shards_options *ret_options);

/* Opens target->shards. Returns EXIT_GOOD, or an exit status after a message. */
int shards_target_open(struct target *target, const struct uds_index_options *index,
		       bool abandon_move);

/* Saves if @save, and closes. Returns @status, or what went wrong here when it was good. */
int shards_target_close(struct target *target, bool save, int status);

int shards_target_run(struct target *target, struct uds_request *requests, size_t count);

/* A message about what the shards said last. Returns the exit status for it. */
int shards_target_failed(struct target *target, int status);

unsigned int shards_target_count(struct target *target);
struct uds_index *shards_target_index(struct target *target, unsigned int number);

/* uds_shards_for_each(), and statistics of all shards. */
int shards_target_for_each(struct target *target, uds_record_fn each, void *context);
int shards_target_statistics(struct target *target, struct uds_index_statistics *ret_statistics);

/*
 * Calls @each for what the manifest names, with nothing open; a value other than 0 ends it.
 * Returns EXIT_GOOD, or an exit status after a message about the manifest.
 */
int shards_target_list(struct target *target, shard_fn each, void *context);

/* `uds shards info` and verify. Return exit statuses, after messages. @list: NULL for text. */
int show_manifest(struct target *target, bool json);
int verify_manifest(struct target *target, json_t *list);

#else

static inline bool is_manifest(const char *path)
{
	(void)path;
	return false;
}

static inline int shards_target_open(struct target *target, const struct uds_index_options *index,
				     bool abandon_move)
{
	(void)target;
	(void)index;
	(void)abandon_move;
	return EXIT_FAILED;
}

static inline int shards_target_close(struct target *target, bool save, int status)
{
	(void)target;
	(void)save;
	return status;
}

static inline int shards_target_run(struct target *target, struct uds_request *requests,
				    size_t count)
{
	(void)target;
	(void)requests;
	(void)count;
	return UDS_ERR_BAD_STATE;
}

static inline unsigned int shards_target_count(struct target *target)
{
	(void)target;
	return 0;
}

static inline struct uds_index *shards_target_index(struct target *target, unsigned int number)
{
	(void)number;
	return target->index;
}

static inline int shards_target_failed(struct target *target, int status)
{
	return failed(target->command, target->uri, status, NULL);
}

static inline int shards_target_for_each(struct target *target, uds_record_fn each, void *context)
{
	(void)target;
	(void)each;
	(void)context;
	return UDS_ERR_BAD_STATE;
}

static inline int shards_target_statistics(struct target *target,
					   struct uds_index_statistics *ret_statistics)
{
	(void)target;
	(void)ret_statistics;
	return UDS_ERR_BAD_STATE;
}

static inline int shards_target_list(struct target *target, shard_fn each, void *context)
{
	(void)target;
	(void)each;
	(void)context;
	return EXIT_FAILED;
}

static inline int show_manifest(struct target *target, bool json)
{
	(void)target;
	(void)json;
	return EXIT_FAILED;
}

static inline int verify_manifest(struct target *target, json_t *list)
{
	(void)target;
	(void)list;
	return EXIT_FAILED;
}

#endif
#endif
