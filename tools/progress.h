/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A progress bar on standard error, for long work, only where a person watches, and never wider
 * than the terminal; and stopping by Ctrl-C, which long work answers to wherever it runs.
 */
#ifndef TOOLS_PROGRESS_H
#define TOOLS_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool shown;	      /* there is a terminal, and quiet was not asked for */
	const char *what;     /* "recovering" */
	const char *unit;     /* "chapters"; NULL: bytes */
	double started;	      /* seconds, monotonic */
	double printed;	      /* when the last line was */
	uint64_t first;	      /* where the count was at the start */
	uint64_t done, total; /* at the last report */
	bool begun;
	const char *place; /* what it is at, as a path; NULL: not told. Set before each report */
};

void progress_start(struct progress *progress, bool quiet, const char *what, const char *unit);

/*
 * A uds_progress_fn; @context is the struct progress. Asks to stop after SIGINT, SIGTERM or SIGHUP.
 */
int progress_report(void *context, uint64_t done, uint64_t total);

/* Wipes the bar, so that what follows starts on a clean line. */
void progress_end(struct progress *progress);

/*
 * From here on SIGINT, SIGTERM and SIGHUP (unless it is ignored, as by nohup) stop work in an
 * orderly way instead of ending the process.
 */
void catch_interrupts(void);
bool was_interrupted(void);
int which_interrupt(void); /* the signal; 0: none */

/*
 * From here on SIGUSR1, and SIGINFO where there is one, print how far the work is on standard
 * error, whatever the command is waiting for. @name: of the command. Before other threads are made.
 */
void answer_progress_requests(const char *name);

/* For work that ends with a save: output that is not read any more is an error, not the end. */
void outlive_readers(void);

/* Seconds on a clock that only goes forward. */
double seconds_now(void);

#endif
