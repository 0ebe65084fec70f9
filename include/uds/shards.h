/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One logical index over several indexes, the shards, each on an I/O of its own: a library of its
 * own, libuds-shards. Link it with `pkg-config --libs libuds-shards`.
 *
 * Each name belongs to one shard, by bits of the name that an index uses for nothing else, so every
 * shard holds an even sample of the names. A manifest, a small JSON file, says which indexes belong
 * together. libuds_shards(3) has the rule of placement, what a lost shard costs, and how names move
 * when a shard is added or removed.
 */
#ifndef UDS_SHARDS_H
#define UDS_SHARDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/index.h>
#include <uds/io.h>
#include <uds/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The most shards of one logical index. */
#define UDS_SHARDS_MAX 64u

/* Names are placed by slots: 11 bits of the name. A slot belongs to one shard. */
#define UDS_SHARDS_SLOTS 2048u

struct uds_shards;

/* Where a manifest lies, when it is not a file. The library holds at most one call at a time. */
struct uds_manifest_store {
	uint64_t size; /* of this struct: set by UDS_MANIFEST_STORE_INIT */
	void *context;

	/*
	 * Gives the first @room bytes of the manifest, and its length. Returns 0, -ENOENT when
	 * there is none, or another status.
	 */
	int (*load)(void *context, void *ret_bytes, size_t room, size_t *ret_length);

	/*
	 * Makes these bytes the manifest, durably. Whatever happens, the store has the old ones or
	 * the new ones; when it returns 0, the new ones.
	 */
	int (*replace)(void *context, const void *bytes, size_t length);
};

#define UDS_MANIFEST_STORE_INIT                               \
	{                                                     \
		sizeof(struct uds_manifest_store), NULL, 0, 0 \
	}

/* Opens the I/O of a shard. Returns what uds_io_open_uri() returns. */
typedef int (*uds_shard_open_fn)(void *context, const char *uri, bool write,
				 const struct uds_env *env, struct uds_message *ret_message,
				 struct uds_io **ret_io);

struct uds_shards_options {
	uint64_t size; /* of this struct: set by UDS_SHARDS_OPTIONS_INIT */
	const struct uds_env *env;

	/* May be NULL: the manifest is the file with the name that the call was given. */
	const struct uds_manifest_store *store;

	/* May be NULL: uds_io_open_uri(). */
	uds_shard_open_fn open_io;
	void *open_context;

	/*
	 * May be NULL. How each shard's index is opened, or verified; env, offset, check_nonce and
	 * nonce are ignored.
	 */
	const struct uds_index_options *index;

	/* Everything is done by the calling threads, one shard after the other. */
	bool no_threads;

	/*
	 * Give up a move that is not finished: names stay where they were, and a shard that was
	 * being added, which may be missing, does not belong to the others any more.
	 */
	bool abandon_move;

	/*
	 * uds_shards_verify() checks that each shard is there and the index that the manifest says,
	 * and nothing in it; ignored by all others.
	 */
	bool only_identities;
	uint8_t unused[5]; /* ignored */
};

#define UDS_SHARDS_OPTIONS_INIT                                                                    \
	{                                                                                          \
		sizeof(struct uds_shards_options), NULL, NULL, 0, NULL, NULL, false, false, false, \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}

enum uds_shards_state {
	UDS_SHARDS_STABLE = 0, /* each name is in its place */
	UDS_SHARDS_MOVING = 1, /* a shard is being added or removed: uds_shards_resume() */
};

enum uds_shard_role {
	UDS_SHARD_MEMBER = 0,
	UDS_SHARD_JOINING = 1, /* being added: it answers no request yet */
	UDS_SHARD_LEAVING = 2, /* being removed: it still answers */
};

struct uds_shards_info {
	uint64_t size;				/* of this struct: set by UDS_SHARDS_INFO_INIT */
	uint64_t generation;			/* of the manifest: each change adds one */
	uint32_t state;				/* enum uds_shards_state */
	uint32_t shards;			/* those that join or leave included */
	uint32_t moving_slots;			/* whose names move; 0 when stable */
	uint32_t unused;			/* 0 */
	struct uds_configuration configuration; /* of every shard; its size member is set, too */
};

#define UDS_SHARDS_INFO_INIT                                                          \
	{                                                                             \
		sizeof(struct uds_shards_info), 0, 0, 0, 0, 0, UDS_CONFIGURATION_INIT \
	}

struct uds_shard_info {
	uint64_t size;	       /* of this struct: set by UDS_SHARD_INFO_INIT */
	const char *uri;       /* as the manifest has it */
	uint64_t volume_nonce; /* what tells this index from all others */
	uint32_t role;	       /* enum uds_shard_role */
	uint32_t slots;	       /* that it answers for, of UDS_SHARDS_SLOTS */

	/* The shard itself, for its own statistics or repair; NULL when it is not open. */
	struct uds_index *index;
};

#define UDS_SHARD_INFO_INIT                                        \
	{                                                          \
		sizeof(struct uds_shard_info), NULL, 0, 0, 0, NULL \
	}

/*
 * Writes the manifest of a new logical index over indexes that are formatted already. They must
 * have one geometry, and be empty when there are several. Nothing is written to them.
 *
 * @manifest: the path of the manifest, and its name in sentences.
 * @uris, @count: the shards, 1 to UDS_SHARDS_MAX.
 * @options: may be NULL; index, no_threads and abandon_move are ignored.
 *
 * Returns 0, or
 *   -EINVAL            @count, or a URI that is empty, of more than 1023 bytes, or not UTF-8
 *   -EINVAL, -E2BIG    a size member (libuds(3), Structs)
 *   UDS_ERR_EXISTS     there is a manifest already, or two URIs lead to the same index, or to
 *                      parts of one file or device that overlap (uds_io_overlap())
 *   UDS_ERR_MISMATCH   a shard of another geometry than the first one
 *   UDS_ERR_NOT_EMPTY  a shard has records, and there are several
 *   -ENOMEM, ...       no memory; what opening and reading a shard, or writing the manifest, said
 *
 * Threads: any. Since 0.2.
 */
int uds_shards_format(const char *manifest, const char *const *uris, size_t count,
		      const struct uds_shards_options *options, struct uds_message *ret_message);

/*
 * Opens all shards that a manifest names, after checking all of them: nothing is written when one
 * is missing or is another index than the manifest says. The sentence names the shard.
 *
 * @options: may be NULL.
 *
 * Returns 0, or
 *   UDS_ERR_CORRUPT              the manifest is cut short or damaged, or names an index twice,
 *                                also by two names of one file
 *   UDS_ERR_UNSUPPORTED_VERSION  a manifest of another version
 *   UDS_ERR_NONCE_MISMATCH       a shard is another index; the sentence says if it is one of the
 *                                others, so that they were swapped
 *   UDS_ERR_MISMATCH             a shard has another geometry
 *   -EINVAL, -E2BIG              a size member (libuds(3), Structs)
 *   -ENOENT, -ENOMEM, ...        no manifest; no memory; what opening a shard said
 *
 * Threads: any, on different manifests. Since 0.2.
 */
int uds_shards_open(const char *manifest, const struct uds_shards_options *options,
		    struct uds_message *ret_message, struct uds_shards **ret_shards);

/*
 * Closes all shards and their I/Os. Nothing is saved or flushed, as with uds_index_close().
 *
 * @shards: may be NULL.
 *
 * Returns 0, or the first error of closing a shard; all are closed.
 *
 * Threads: one; no other thread may be using the shards. Since 0.2.
 */
int uds_shards_close(struct uds_shards *shards);

/*
 * Carries out requests, each in the shard of its name, in all shards at once; those for one name in
 * the order of the array. A shard that fails costs its names only: each request has its own status.
 *
 * Returns what uds_index_run() returns: 0 when every request was carried out, otherwise the status
 * of the first that was not.
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_shards_run(struct uds_shards *shards, struct uds_request *requests, size_t count);

/*
 * Makes durable what was done before, in all shards at once, as uds_index_flush() does.
 *
 * Returns 0, or the first error; all other shards were flushed.
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_shards_flush(struct uds_shards *shards);

/*
 * Saves all shards at once, as uds_index_save() does.
 *
 * Returns 0, or the first error; all other shards were saved.
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_shards_save(struct uds_shards *shards);

/*
 * Adds up the statistics of all shards. open_chapter and oldest_chapter have no sum: they are 0.
 *
 * Returns 0; -EINVAL or -E2BIG for a size member (libuds(3), Structs).
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_shards_get_statistics(struct uds_shards *shards,
			      struct uds_index_statistics *ret_statistics);

/*
 * Fills in what the manifest says now.
 *
 * Returns 0; -EINVAL or -E2BIG for a size member (libuds(3), Structs).
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_shards_get_info(struct uds_shards *shards, struct uds_shards_info *ret_info);

/*
 * Fills in one shard's part of it. What the pointers lead to is there until that shard is removed,
 * or all are closed.
 *
 * @number: from 0 to uds_shards_info.shards - 1. Removing a shard renumbers those behind it.
 *
 * Returns 0; UDS_ERR_OUT_OF_RANGE when there are fewer shards; -EINVAL or -E2BIG for a size member
 * (libuds(3), Structs).
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_shards_get_shard(struct uds_shards *shards, uint32_t number,
			 struct uds_shard_info *ret_info);

/*
 * Adds a shard: an index that is formatted already, of the same geometry. Names of the other shards
 * that belong to it are copied, while requests of other threads go on. It is opened, and closed
 * with the others.
 *
 * @progress: may be NULL; reports (chapters walked, chapters to walk) after every few names. It may
 *     carry out requests, flush and save, but not add, remove, resume or close.
 *
 * A move that ends with an error has begun when uds_shards_get_info() says so, and goes on with
 * uds_shards_resume(), also after a crash; requests are answered as before.
 *
 * Returns 0, or
 *   UDS_ERR_EXISTS     the index is one of the shards already, or has bytes in common with one
 *   UDS_ERR_MISMATCH   it is of another geometry; or another program changed the manifest
 *   UDS_ERR_BAD_STATE  another shard is being added or removed
 *   UDS_ERR_READ_ONLY  the shards were opened read-only
 *   UDS_ERR_NO_ROOM    there are UDS_SHARDS_MAX
 *   -EINVAL            @uri is empty, of more than 1023 bytes, or not UTF-8
 *   UDS_ERR_STOPPED    the progress callback asked to stop
 *   -ENOMEM, -EIO, ... no memory; what opening the shard, reading or writing one of them, or
 *                      writing the manifest, said
 *
 * Threads: any number at once; one adds or removes, the others wait. Since 0.2.
 */
int uds_shards_add(struct uds_shards *shards, const char *uri, uds_progress_fn progress,
		   void *context);

/*
 * Removes a shard: its names are copied to the others, while requests of other threads go on. Then
 * it is closed, and keeps what it has.
 *
 * @uri: as the manifest has it.
 * @progress: as for uds_shards_add().
 *
 * Returns 0, or
 *   -ENOENT            no shard has this URI
 *   UDS_ERR_BAD_STATE  it is the only one; or another is being added or removed
 *   ...                what uds_shards_add() returns
 *
 * Threads: any number at once; one adds or removes, the others wait. Since 0.2.
 */
int uds_shards_remove(struct uds_shards *shards, const char *uri, uds_progress_fn progress,
		      void *context);

/*
 * Goes on with the adding or removing of a shard that did not come to its end. All chapters are
 * read again, unless only the last step of a move by this handle failed: changes of the meantime
 * were not repeated in the new shard. What was copied and has not changed is not written again.
 *
 * @progress: as for uds_shards_add().
 *
 * Returns 0, also when no shard is being added or removed, or what uds_shards_add() returns.
 *
 * Threads: any number at once; one adds or removes, the others wait. Since 0.2.
 */
int uds_shards_resume(struct uds_shards *shards, uds_progress_fn progress, void *context);

/*
 * Calls @each for every live record, shard after shard: each name once, as uds_index_for_each()
 * does. @each must not call the shards.
 *
 * Returns 0, or
 *   UDS_ERR_STOPPED  @each ended it
 *   -EIO, ...        the first error that a shard met; the records that could be read in it and in
 *                    the others were reported
 *
 * Threads: any number at once; requests to the shard that is walked wait. Since 0.2.
 */
int uds_shards_for_each(struct uds_shards *shards, uds_record_fn each, void *context);

/*
 * Copies the sentence about the calling thread's last call on these shards that returns a status,
 * if that failed; empty when it did not (libuds(3), Errors).
 *
 * Threads: any number at once. Since 0.2.
 */
void uds_shards_error_message(const struct uds_shards *shards, struct uds_message *ret_message);

/* Called for each shard. A value other than 0 ends the calls, with UDS_ERR_STOPPED. */
typedef int (*uds_shard_fn)(void *context, const struct uds_shard_info *shard);

/*
 * Reads a manifest, and opens nothing else.
 *
 * @options: may be NULL; env and store count.
 * @each: may be NULL; called for each shard.
 *
 * Returns 0, UDS_ERR_STOPPED, or what uds_shards_open() returns for a manifest.
 *
 * Threads: any. Since 0.2.
 */
int uds_shards_read_info(const char *manifest, const struct uds_shards_options *options,
			 uds_shard_fn each, void *context, struct uds_message *ret_message,
			 struct uds_shards_info *ret_info);

/*
 * Checks that every shard is there and the one that the manifest says, and everything in it, as
 * uds_index_verify() does. Never writes.
 *
 * @options: may be NULL; with only_identities nothing is read but what a shard begins with.
 * @found: may be NULL; called for each finding. A shard that is not as the manifest says is one.
 * @ret_findings: may be NULL; the number of findings.
 *
 * Returns 0 when the check is complete, whatever it found, or
 *   UDS_ERR_STOPPED       a callback ended it
 *   -EINVAL, -E2BIG       a size member (libuds(3), Structs)
 *   UDS_ERR_CORRUPT, ...  what uds_shards_open() returns for a manifest
 *
 * Threads: any, on shards that no thread changes. Since 0.2.
 */
int uds_shards_verify(const char *manifest, const struct uds_shards_options *options,
		      uds_finding_fn found, void *found_context, struct uds_message *ret_message,
		      uint64_t *ret_findings);

#ifdef __cplusplus
}
#endif

#endif
