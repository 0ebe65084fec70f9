/* SPDX-License-Identifier: BSD-2-Clause */
/* The second part of bench/flush: how long requests take beside saves. */
#ifndef BENCH_LATENCY_H
#define BENCH_LATENCY_H

#include <stdint.h>

#define LATENCY_MOST_THREADS 64u

/*
 * Makes an index, which is left there, and prints. @seconds: in all. Ends the program
 * when something fails.
 */
void measure_latency(const char *path, uint32_t chapters, unsigned int threads, unsigned int zones,
		     double seconds);

#endif
