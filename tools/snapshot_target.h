/* SPDX-License-Identifier: BSD-2-Clause */
/* The COW device and the origin that a `uds snapshot` command works on. */
#ifndef TOOLS_SNAPSHOT_TARGET_H
#define TOOLS_SNAPSHOT_TARGET_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/snapshot.h>

#include "options.h"
#include "progress.h"

/* Another snapshot of the origin, which keeps what changes there. */
struct other_snapshot {
	struct uds_io *cow;
	struct uds_snapshot *snapshot;
};

struct snapshot_target {
	const struct command *command;
	const char *cow_uri;
	const char *origin_uri; /* NULL: without */
	struct uds_io *cow, *origin;
	struct uds_exception_store *store; /* only where there is no snapshot */
	struct uds_snapshot *snapshot;
	struct text_list other_uris; /* --cow */
	struct other_snapshot others[MAX_TEXTS];
	char *made_uris[MAX_TEXTS + 1]; /* of the origin and the others, from snapshot_group.h */
	size_t made_count;
	struct uds_env env;
	bool quiet, salvage, needs_origin;
};

#define SNAPSHOT_ORIGIN_HELP                                                         \
	"  --origin O            the device that the snapshot was taken of; a COW\n" \
	"                        that is lvm:GROUP/SNAPSHOT?pv=URI knows it\n"
#define SNAPSHOT_SALVAGE_HELP "  --salvage             take what an invalid snapshot still says\n"

#define SNAPSHOT_COW_HELP                                                                \
	"  --cow COW             another snapshot of the same origin; may be repeated\n" \
	"                        (lvm: knows them)\n"

/* Adds --cow, to commands that change the origin. */
void snapshot_other_options(struct snapshot_target *target, struct options *options);

/* Adds --origin, and with @salvage --salvage. */
void snapshot_options(struct snapshot_target *target, struct options *options, bool salvage);

/*
 * After parsing. @needs_origin: it is a wrong use not to name one, unless the COW device is a
 * volume of a group that knows it (snapshot_group.h). Returns an exit status.
 */
int snapshot_set(struct snapshot_target *target, const struct options *options, const char *cow,
		 bool needs_origin);

/* Opens an I/O. Returns EXIT_GOOD, or an exit status after a message. */
int snapshot_open_io(struct snapshot_target *target, const char *uri, bool write,
		     struct uds_io **ret_io);

/*
 * Opens the origin, when the COW device is open. Returns EXIT_GOOD, or an exit status
 * after a message.
 */
int snapshot_open_origin(struct snapshot_target *target, bool write);

/* Opens the COW device and the store on it, to look at: nothing is written. */
int snapshot_open_store(struct snapshot_target *target);

/*
 * Opens both devices, the snapshot, and the others, which are written when the origin is. What is
 * not written is opened to read.
 * Returns EXIT_GOOD, or an exit status after a message.
 */
int snapshot_open(struct snapshot_target *target, bool write_cow, bool write_origin);

/* Closes whatever is open. Returns @status, or what went wrong here when it was good. */
int snapshot_close(struct snapshot_target *target, int status);

/* A message about what the snapshot, or the store, said last. Returns the exit status for it. */
int snapshot_failed(struct snapshot_target *target, int status);

/*
 * After the origin was written: EXIT_FAILED, with a message, when snapshots had to be
 * given up for it.
 */
int snapshot_check_valid(struct snapshot_target *target, int status);

/* Their bodies are in snapshot_*.c, named after the commands. */
int snapshot_create_run(const struct command *command, int argc, char **argv);
int snapshot_info_run(const struct command *command, int argc, char **argv);
int snapshot_list_run(const struct command *command, int argc, char **argv);
int snapshot_read_run(const struct command *command, int argc, char **argv);
int snapshot_diff_run(const struct command *command, int argc, char **argv);
int snapshot_serve_run(const struct command *command, int argc, char **argv);
int snapshot_merge_run(const struct command *command, int argc, char **argv);
int snapshot_verify_run(const struct command *command, int argc, char **argv);

/* write and write-origin. */
int snapshot_write_run(const struct command *command, int argc, char **argv);

#endif
