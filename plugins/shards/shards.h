/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The inside of a struct uds_shards.
 *
 * Locks, in the order in which they are taken:
 *   mover      one thread at a time adds, removes or resumes
 *   gate       every call passes it; closed while shards, home or target change
 *   told       while names move: requests for those that do, and the mover, one after the other
 *   those of the indexes
 * What the gate protects may also be read under mover.
 */
#ifndef SHARDS_SHARDS_H
#define SHARDS_SHARDS_H

#include <uds/shards.h>

#include "base/failures.h"
#include "shards/gate.h"
#include "shards/manifest_place.h"
#include "shards/worker.h"

struct shard {
	struct uds_io *io;
	struct uds_index *index;
	bool has_journal; /* else only a save makes the open chapter durable */
	struct worker worker;
};

struct uds_shards {
	struct uds_env env;
	struct failures *failures;
	struct uds_shards_options options; /* index and env point into this struct */
	struct uds_index_options index_options;
	char *name; /* of the manifest */
	struct manifest_place place;

	pthread_mutex_t mover;
	struct gate gate;
	struct manifest manifest;
	struct shard *shards[UDS_SHARDS_MAX]; /* by number, as in the manifest */
	uint8_t home[UDS_SHARDS_SLOTS];	      /* where a name is asked for */
	uint8_t target[UDS_SHARDS_SLOTS];     /* where it moves to; home: it stays */

	pthread_mutex_t told;
	bool telling;	 /* changes at home are told to the target; under told */
	bool copied;	 /* the target has all that its homes have; under told */
	int told_status; /* why the target could not be told, and is not any more; under told */
	/*
	 * A replacement of the manifest failed that may have made the target the home: what cannot
	 * be told is lost then, so a flush must not succeed. Changes while the gate is closed.
	 */
	bool switch_unsure;
};

/* What opening and checking one shard needs. */
struct shard_check {
	const struct uds_shards_options *options; /* open_io is there */
	const struct uds_env *env;
	const struct manifest *manifest;
	const char *name; /* of the manifest */
};

/*
 * The options of a caller over the defaults, and their environment. Returns 0, or what a size
 * member or an environment came to.
 */
int shards_take_options(const struct uds_shards_options *given,
			struct uds_shards_options *ret_options, struct uds_env *ret_env,
			struct uds_message *message);

/* Opens the I/O of a URI. The sentence names the manifest and the shard. */
int shard_open_io(const struct shard_check *check, const char *uri, unsigned int number, bool write,
		  struct uds_message *message, struct uds_io **ret_io);

/* Reads what index is there. */
int shard_read_info(const struct shard_check *check, const char *uri, unsigned int number,
		    struct uds_io *io, struct uds_message *message,
		    struct uds_index_info *ret_info);

/* Whether the index on @io is the one that the manifest has at @number. */
int shard_check_identity(const struct shard_check *check, unsigned int number, struct uds_io *io,
			 struct uds_message *message, struct uds_index_info *ret_info);

/* Whether @io is the file or device of shard @number, by whatever name; false: not known. */
bool shard_is_same_place(const struct shard_check *check, struct uds_io *io, unsigned int number);

/*
 * Finds out which of @count shards, open on @ios, keeps @uri from being locked.
 *
 * @ret_same: they have bytes in common; false: they are parts of one file or device. Undefined
 *     when none is found.
 *
 * Returns its number, or @count: none, as far as is known.
 */
unsigned int shard_find_in_way(const struct shard_check *check, const char *uri,
			       struct uds_io *const *ios, unsigned int count, bool *ret_same);

/* Opens the index of shard @number on an I/O that was checked; it owns the I/O. */
int shard_make(struct uds_shards *shards, const struct manifest *manifest, unsigned int number,
	       struct uds_io *io, bool has_journal, struct uds_message *message,
	       struct shard **ret_shard);

/* Closes index and I/O. @shard may be NULL. Returns the first error. */
int shard_free(struct uds_shards *shards, struct shard *shard, const char *uri);

/* Home and target of all slots, from the manifest. Under the closed gate, or before it is used. */
void shards_place(struct uds_shards *shards);

/* Every public call ends with it. */
int shards_end(const struct uds_shards *shards, int status, const char *what);

/*
 * Does the same in all shards at once, each in its worker. Within the gate.
 *
 * @work: an index call that returns a status.
 * @ret_joining: what it came to in the shard that joins; untouched when none does.
 *
 * Keeps the sentence of the first failure of another one. Returns its status, or 0, or -ENOMEM.
 */
int shards_do(struct uds_shards *shards, int (*work)(struct shard *shard), int *ret_joining);

/* Fill in what the manifest says; the structs were checked. */
void fill_info(const struct manifest *manifest, const uint8_t *home, const uint8_t *target,
	       struct uds_shards_info *ret_info);
void fill_shard_info(const struct manifest *manifest, const uint8_t *home, unsigned int number,
		     struct uds_index *index, struct uds_shard_info *ret_info);

#endif
