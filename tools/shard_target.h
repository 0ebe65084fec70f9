/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A manifest of shards where a command takes an INDEX: opening, requests, saving and closing as
 * target.h has them. Without libuds-shards nothing is a manifest.
 */
#ifndef TOOLS_SHARD_TARGET_H
#define TOOLS_SHARD_TARGET_H

#include <stdbool.h>

#include "target.h"

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
const char *shards_target_uri(struct target *target, unsigned int number);

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

static inline const char *shards_target_uri(struct target *target, unsigned int number)
{
	(void)number;
	return target->uri;
}

static inline int shards_target_failed(struct target *target, int status)
{
	return failed(target->command, target->uri, status, NULL);
}

#endif
#endif
