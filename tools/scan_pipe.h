/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The pipe from the walk through the readers to the index: a ring of batches, each of which is
 * filled, read, and taken in turn.
 *
 * Threads: the pipe has its own; take, give back and close are one thread's.
 */
#ifndef TOOLS_SCAN_PIPE_H
#define TOOLS_SCAN_PIPE_H

#include "scan.h"

struct scan_pipe;

/* Starts walking and reading. Returns 0 or a negated errno. */
int scan_pipe_open(const struct scan_options *options, struct scan_pipe **ret_pipe);

/* The next batch, in order. Returns 1, 0 when there are no more, or what ended the walk. */
int scan_pipe_take(struct scan_pipe *pipe, struct scan_batch **ret_batch);

/* After each take, before the next one. */
void scan_pipe_give_back(struct scan_pipe *pipe, struct scan_batch *batch);

/* Stops the threads, wherever they are. @ret_totals: files, errors and left_out are filled in. */
void scan_pipe_close(struct scan_pipe *pipe, struct scan_totals *ret_totals);

#endif
