/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading batches through the library's engine: many transfers of many files are in flight, and
 * batches come out when all of their data is there.
 *
 * Threads: a reader is one thread's; several have one each.
 */
#ifndef TOOLS_SCAN_READ_H
#define TOOLS_SCAN_READ_H

#include "scan.h"

struct batch_reader;

/*
 * For at most so many batches at once, of at most so many pieces each.
 * Returns 0 or a negated errno.
 */
int batch_reader_open(unsigned int batches, unsigned int pieces, struct batch_reader **ret_reader);

/* Waits for what is in flight. */
void batch_reader_close(struct batch_reader *reader);

/* How many batches were submitted and not taken yet. */
unsigned int batch_reader_count(const struct batch_reader *reader);

/* Begins to read all pieces of a batch, which is the reader's until it is taken. */
void batch_reader_submit(struct batch_reader *reader, const struct scan_options *options,
			 struct scan_batch *batch);

/* A batch that is read: the oldest such. NULL: none is; with @wait, none was submitted. */
struct scan_batch *batch_reader_take(struct batch_reader *reader, bool wait);

/*
 * Looks at how reading a piece ended, and fills in piece->read_bytes. A file that cannot be read
 * gets a message. Returns 1 when a message was given, else 0.
 */
uint64_t piece_settle(const struct scan_options *options, struct scan_piece *piece);

#endif
