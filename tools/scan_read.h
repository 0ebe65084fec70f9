/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading a batch and naming its blocks. */
#ifndef TOOLS_SCAN_READ_H
#define TOOLS_SCAN_READ_H

#include "scan.h"

/*
 * Reads all pieces, counts zero blocks, and makes a post of each other block. A file that cannot be
 * read gets a message. Returns how many could not.
 *
 * Threads: any, on different batches.
 */
uint64_t read_batch(const struct scan_options *options, struct scan_batch *batch);

#endif
