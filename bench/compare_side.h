/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One peer at one point: a store is made and filled, and all workloads are carried out in all
 * modes. In a process of its own, so that memory and processor time are the peer's, and what it
 * leaves behind, or breaks, is nobody else's.
 */
#ifndef BENCH_COMPARE_SIDE_H
#define BENCH_COMPARE_SIDE_H

#include "compare_peers.h"
#include "compare_results.h"

/* @run: for messages. A failure becomes one of the results. Returns false when it was stopped. */
bool compare_side(const struct compare_plan *plan, const struct compare_peers *peers,
		  struct compare_point point, unsigned int peer, unsigned int run,
		  struct compare_results *results);

/* Has signals that end the program end the measurement first, so that its files are removed. */
void compare_catch_signals(void);

#endif
