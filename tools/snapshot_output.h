/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where `uds snapshot read` and `diff` put content: standard output, or a file or
 * device of its own.
 */
#ifndef TOOLS_SNAPSHOT_OUTPUT_H
#define TOOLS_SNAPSHOT_OUTPUT_H

#include "snapshot_target.h"

struct sink {
	const struct command *command;
	const char *path; /* NULL: standard output */
	bool sparse;
	int descriptor;
	struct uds_io
		*claim; /* keeps others from the output; NULL: others cannot be kept from it */
	uint64_t start; /* where the content begins, when it is sparse */
	uint64_t taken; /* how many bytes of the content are there, with holes */
};

/*
 * Opens the output that command, path and sparse say. It is not the COW device, the origin, or what
 * they stand on, and nothing that somebody uses; a file is emptied only when all that is known.
 * Returns an exit status, after a message.
 */
int sink_open(struct sink *sink, const struct snapshot_target *target);

/*
 * Returns an exit status, after a message; EXIT_NO_READER without one. `taken` says how much went.
 */
int sink_write(struct sink *sink, const uint8_t *buffer, size_t length);

/*
 * The same at a place of the content at or behind what is taken; what lies between becomes a hole.
 */
int sink_write_at(struct sink *sink, const uint8_t *buffer, size_t length, uint64_t offset);

/*
 * Ends the output where the content ends, also behind a hole. Returns @status, or what failed now.
 */
int sink_close(struct sink *sink, int status);

#endif
