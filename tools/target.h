/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The INDEX that a command works on: the options that all such commands have, and opening, saving
 * and closing with the messages that go with them.
 */
#ifndef TOOLS_TARGET_H
#define TOOLS_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/index.h>

#include "options.h"
#include "progress.h"

struct uds_shards;

/* The most indexes that a target consists of. */
#define TARGET_INDEXES 64

struct target {
	const struct command *command;
	const char *uri;
	struct uds_io *io;
	struct uds_index *index; /* NULL while only the I/O is open */
	/* Instead of both, where the command takes shards and the URI is a manifest. */
	struct uds_shards *shards;
	bool takes_shards;
	struct uds_env env;
	bool quiet;

	/* From the command line. */
	uint64_t offset;
	uint64_t zones;
	uint64_t checkpoint_interval; /* chapters; 0: none */
	uint64_t save_time;	      /* what the clock says when it was given */
	bool fixed_time;
	bool check_nonce;
	bool lose_records, skip_unreadable; /* as in struct uds_index_options */
	uint64_t nonce;

	/*
	 * Called for the I/O of each index, once it is open and before anything is read. Returns 0,
	 * or a negative status with a sentence, and nothing is opened. May be NULL.
	 */
	int (*on_io)(void *context, struct uds_io *io, struct uds_message *ret_message);
	void *on_io_context;
};

#define TARGET_HELP                                                          \
	"  --offset BYTES        where the index starts on the device (0)\n" \
	"  --zones Z             parts that threads work on side by side, 1 to 16 (1)\n"
#define TARGET_NONCE_HELP "  --nonce N             refuse an index that was made with another one\n"
#define TARGET_SAVE_HELP \
	"  --save-time MS        the time stamp of the save, milliseconds since 1970\n"
#define TARGET_CHECKPOINT_HELP \
	"  --checkpoint-interval N  save in the background, too, every N chapters\n"
#define TARGET_COMMON_HELP                                               \
	"  --json                results as JSON, where there are any\n" \
	"  --quiet, -q           no progress bar and no notes\n"

/* Adds --offset and --zones, and with @saves --save-time. */
void target_options(struct target *target, struct options *options, bool saves);

/* Adds --nonce: an index of another one is refused. */
void target_nonce_option(struct target *target, struct options *options);

/* Adds --checkpoint-interval, for commands that may go on for long. */
void target_checkpoint_option(struct target *target, struct options *options);

/* After parsing; @uri is borrowed. */
void target_set(struct target *target, const struct options *options, const char *uri);

/*
 * Opens the I/O of an index: the target's, or a shard's. Returns 0, or a negative status with a
 * sentence.
 */
int target_open_uri(struct target *target, const char *uri, bool write, const struct uds_env *env,
		    struct uds_message *ret_message, struct uds_io **ret_io);

/* Opens the I/O only. Returns EXIT_GOOD, or an exit status after a message. */
int target_open_io(struct target *target, bool write);

/*
 * Opens I/O and index. A recovery shows its progress and leaves a note.
 * Returns EXIT_GOOD, or an exit status after a message; nothing is open then.
 */
int target_open(struct target *target, enum uds_index_mode mode);

/*
 * Saves if @save and if @status is not too bad for it, and closes everything.
 * Returns @status, or what went wrong here when it was good.
 */
int target_close(struct target *target, bool save, int status);

/* Carries out requests, in the index or in the shards. Returns what uds_index_run() does. */
int target_run(struct target *target, struct uds_request *requests, size_t count);

/* What uds_index_for_each() does, and the statistics; of shards their sums. */
int target_for_each(struct target *target, uds_record_fn each, void *context);
int target_statistics(struct target *target, struct uds_index_statistics *ret_statistics);

/* The indexes that it consists of: one, or the shards. @number: from 0. */
unsigned int target_index_count(struct target *target);
struct uds_index *target_index(struct target *target, unsigned int number);

/* The word for a state of an index, as in JSON. */
const char *state_key(enum uds_index_state state);

/* A message about what the index said last. Returns the exit status for it. */
int target_failed(struct target *target, int status);

#endif
