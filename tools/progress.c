/* SPDX-License-Identifier: BSD-2-Clause */
/* The progress bar, and orderly stops. */
#include "progress.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "output.h"

/* A signal handler has nothing but globals to speak through. */
static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

void catch_interrupts(void)
{
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_handler = interrupt;
	/* A second Ctrl-C ends the process at once, as usual. */
	action.sa_flags = (int)SA_RESETHAND;
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

void outlive_readers(void)
{
	signal(SIGPIPE, SIG_IGN);
}

bool was_interrupted(void)
{
	return interrupted != 0;
}

double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void progress_start(struct progress *progress, bool quiet, const char *what, const char *unit)
{
	memset(progress, 0, sizeof(*progress));
	progress->shown = !quiet && isatty(STDERR_FILENO);
	progress->what = what;
	progress->unit = unit;
	progress->started = seconds_now();
}

static void print_amount(const struct progress *progress, uint64_t done, uint64_t total)
{
	if (progress->unit == NULL && total > 0)
		fprintf(stderr, " %s of %s", size_text(done).text, size_text(total).text);
	else if (progress->unit == NULL)
		fprintf(stderr, " %s", size_text(done).text);
	else if (total > 0)
		fprintf(stderr, " %llu of %llu %s", (unsigned long long)done,
			(unsigned long long)total, progress->unit);
	else
		fprintf(stderr, " %llu %s", (unsigned long long)done, progress->unit);
}

static void print_rate(const struct progress *progress, uint64_t done, uint64_t total, double now)
{
	double seconds = now - progress->started;
	double rate = (double)(done - progress->first) / (seconds > 0 ? seconds : 1);

	if (rate <= 0)
		return;
	if (progress->unit == NULL)
		fprintf(stderr, ", %s/s", size_text((uint64_t)rate).text);
	if (total > done)
		fprintf(stderr, ", %s left", time_text((double)(total - done) / rate).text);
}

static void print_bar(uint64_t done, uint64_t total)
{
	char bar[21];
	unsigned int filled = (unsigned int)((double)done / (double)total * (sizeof(bar) - 1));

	for (unsigned int i = 0; i < sizeof(bar) - 1; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[sizeof(bar) - 1] = '\0';
	fprintf(stderr, " [%s]", bar);
}

int progress_report(void *context, uint64_t done, uint64_t total)
{
	struct progress *progress = context;
	double now;

	if (!progress->begun) {
		progress->first = done;
		progress->begun = true;
	}
	if (progress->shown) {
		now = seconds_now();
		if (now - progress->printed >= 0.2) {
			progress->printed = now;
			fprintf(stderr, "\r%s", progress->what);
			if (total > 0 && done <= total)
				print_bar(done, total);
			print_amount(progress, done, total);
			print_rate(progress, done, total, now);
			fputs("\033[K", stderr);
			fflush(stderr);
		}
	}
	return interrupted != 0;
}

void progress_end(struct progress *progress)
{
	if (progress->shown && progress->printed > 0)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
