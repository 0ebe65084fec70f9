/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An I/O that writes down what is done to it, over any other I/O, and can be told to call a test
 * before it does it. Several may share one trace, so that the order between devices is seen.
 *
 * As text: "cW1024+512 cF oW0+4096 oF", a letter for the device, W, F or R, offset and length.
 */
#ifndef TESTS_TRACE_IO_H
#define TESTS_TRACE_IO_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include <uds/io.h>

struct trace {
	pthread_mutex_t lock;
	bool reads;			    /* write down reads too */
	_Atomic unsigned int read_delay_us; /* each read takes so long */
	char text[1 << 16];
	size_t used;
	unsigned int in_flight;	     /* requests of engines, now */
	unsigned int most_in_flight; /* ever */
};

void trace_start(struct trace *trace);

/* Forgets what is written down. */
void trace_clear(struct trace *trace);

/*
 * @letter: names the device. Owns @below. It takes requests of engines, and does the
 *     work when reaped.
 */
struct uds_io *trace_io(struct trace *trace, char letter, struct uds_io *below);

#endif
