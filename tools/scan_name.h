/* SPDX-License-Identifier: BSD-2-Clause */
/* Naming the blocks of a batch. */
#ifndef TOOLS_SCAN_NAME_H
#define TOOLS_SCAN_NAME_H

#include "scan.h"

/*
 * Counts zero blocks of a batch that is read, makes a post of each other block, and lets go of the
 * files' descriptors. Returns how many files could not be read.
 *
 * Threads: any, on different batches.
 */
uint64_t name_batch(const struct scan_options *options, struct scan_batch *batch);

#endif
