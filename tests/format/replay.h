/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A device in memory on which a trace of the golden vectors is carried out by the library.
 */
#ifndef TESTS_FORMAT_REPLAY_H
#define TESTS_FORMAT_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/index.h>

#include "trace.h"

struct replay {
	struct vector_info info;
	struct uds_env env; /* its clock says time_ms */
	uint64_t time_ms;
	unsigned int saves_left;
	struct uds_io *io;
	uint64_t offset;
	bool extras;		 /* the index that is made has some; false at first */
	struct uds_index *index; /* NULL while closed */
	struct uds_message message;
};

/* An empty device for the trace of a vector. False when there are no vectors. */
bool replay_start(struct replay *replay, const char *name);

/* The same over a copy of the vector's image. */
bool replay_start_with_image(struct replay *replay, const char *name);

void replay_end(struct replay *replay);

/* C, R, S, X and V lines; the message says why it failed. */
int replay_control(struct replay *replay, const struct trace_line *line);

/* P, U, Q, N and D lines, as a request. */
void replay_request(const struct replay *replay, const struct trace_line *line,
		    struct uds_request *ret_request);

/*
 * Whether a request that was carried out has the answer of its line. The sentence says what is
 * different.
 */
bool replay_answer_matches(const struct trace_line *line, const struct uds_request *request,
			   struct uds_message *ret_message);

/* The whole device, in malloc'ed memory. */
uint8_t *replay_device(const struct replay *replay, size_t *ret_size);

#endif
