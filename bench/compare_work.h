/* SPDX-License-Identifier: BSD-2-Clause */
/* Carries workloads out with a store, by several threads, and checks each answer. */
#ifndef BENCH_COMPARE_WORK_H
#define BENCH_COMPARE_WORK_H

#include "compare.h"
#include "peers/peer.h"

struct compare_worker;

/* A store, and a session for each thread. */
struct compare_work {
	const struct bench_peer *peer;
	void *store;
	struct compare_worker *workers;
	unsigned int threads; /* that have a session */
	struct workload_names names;
};

struct compare_done {
	double seconds, processor_seconds;
	uint64_t operations;
	uint64_t wrong; /* answers */
};

/*
 * Opens store and sessions. Returns 0, or -1 with nothing left open.
 *
 * @modes: in which it will be used.
 */
int compare_work_open(const struct bench_peer *peer, const struct bench_place *place,
		      const struct compare_mode *modes, size_t mode_count,
		      struct compare_work *ret_work, struct bench_why *why);

/* Closes both. Returns 0 or -1. */
int compare_work_close(struct compare_work *work, struct bench_why *why);

/*
 * @operations, @seconds: when to end, whatever comes first; neither cuts a call short.
 *
 * Returns 0; 1 when the store has too few names for the workload; or -1, what the peer said.
 */
int compare_work_run(struct compare_work *work, enum workload_kind kind, struct compare_mode mode,
		     uint64_t operations, double seconds, struct compare_done *ret_done,
		     struct bench_why *why);

/* Seconds that making and checking a request take, which is in all that is measured. */
double compare_work_own(void);

#endif
