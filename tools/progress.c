/* SPDX-License-Identifier: BSD-2-Clause */
/* The progress bar, and orderly stops. */
#include "progress.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "document.h"
#include "output.h"
#include "text.h"

/*
 * A signal handler has nothing but globals to speak through. Atomic: any thread may get the signal.
 */
static atomic_int interrupted;

static void interrupt(int number)
{
	interrupted = number;
}

void catch_interrupts(void)
{
	const int endings[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction action, before;

	memset(&action, 0, sizeof(action));
	action.sa_handler = interrupt;
	/* A second Ctrl-C ends the process at once, as usual. */
	action.sa_flags = (int)SA_RESETHAND;
	/* What was ignored at the start stays so: nohup, and background jobs of a shell. */
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		if (sigaction(endings[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
			sigaction(endings[i], &action, NULL);
	}
}

int which_interrupt(void)
{
	return interrupted;
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

/* What the thread that answers looks at. */
static struct {
	pthread_mutex_t lock;
	const char *command;
	struct progress *current; /* NULL: none is under way */
} watched = { .lock = PTHREAD_MUTEX_INITIALIZER };

void progress_start(struct progress *progress, bool quiet, const char *what, const char *unit)
{
	memset(progress, 0, sizeof(*progress));
	progress->shown = !quiet && isatty(STDERR_FILENO);
	progress->what = what;
	progress->unit = unit;
	progress->started = seconds_now();
	pthread_mutex_lock(&watched.lock);
	watched.current = progress;
	pthread_mutex_unlock(&watched.lock);
}

#define BAR_COLUMNS	  20
#define LEAST_BAR_COLUMNS 4

/* A line that never takes more columns than the terminal has: a longer one could not be wiped. */
struct line {
	char text[2048];
	size_t bytes;
	unsigned int room; /* columns left */
};

static void line_start(struct line *line)
{
	struct winsize window;

	line->bytes = 0;
	line->room = 80;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0)
		line->room = window.ws_col;
	line->room--; /* many terminals go on to the next line once the last column is taken */
}

/* Adds text as it may be shown, as much of it as there is room for. */
static void line_add(struct line *line, const char *text)
{
	struct shown_character shown;

	while (*text != '\0') {
		text = show_character(text, &shown);
		if (shown.columns > line->room || line->bytes + shown.bytes > sizeof(line->text)) {
			line->room = 0;
			return;
		}
		memcpy(line->text + line->bytes, shown.text, shown.bytes);
		line->bytes += shown.bytes;
		line->room -= shown.columns;
	}
}

__attribute__((format(printf, 2, 3))) static void line_format(struct line *line, const char *format,
							      ...)
{
	char text[128];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	line_add(line, text);
}

static void add_amount(struct line *line, const struct progress *progress, uint64_t done,
		       uint64_t total)
{
	if (progress->unit == NULL && total > 0)
		line_format(line, " %s of %s", size_text(done).text, size_text(total).text);
	else if (progress->unit == NULL)
		line_format(line, " %s", size_text(done).text);
	else if (total > 0)
		line_format(line, " %llu of %llu %s", (unsigned long long)done,
			    (unsigned long long)total, progress->unit);
	else
		line_format(line, " %llu %s", (unsigned long long)done, progress->unit);
}

static void add_rate(struct line *line, const struct progress *progress, uint64_t done,
		     uint64_t total, double now)
{
	double seconds = now - progress->started;
	double rate = (double)(done - progress->first) / (seconds > 0 ? seconds : 1);

	if (rate <= 0)
		return;
	if (progress->unit == NULL)
		line_format(line, ", %s/s", size_text((uint64_t)rate).text);
	if (total > done)
		line_format(line, ", %s left", time_text((double)(total - done) / rate).text);
}

/* The bar gives way to the numbers, which tell more. */
static void add_bar(struct line *line, uint64_t done, uint64_t total, unsigned int room)
{
	char bar[BAR_COLUMNS + 1];
	unsigned int length = room < BAR_COLUMNS + 3 ? room - 3 : BAR_COLUMNS;
	unsigned int filled;

	if (room < LEAST_BAR_COLUMNS + 3)
		return;
	filled = (unsigned int)((double)done / (double)total * length);
	for (unsigned int i = 0; i < length; i++)
		bar[i] = i < filled ? '#' : '.';
	bar[length] = '\0';
	line_format(line, " [%s]", bar);
}

static void make_line(const struct progress *progress, uint64_t done, uint64_t total, double now,
		      struct line *ret_line)
{
	struct line numbers;

	line_start(ret_line);
	line_add(ret_line, progress->what);
	numbers = *ret_line;
	add_amount(&numbers, progress, done, total);
	add_rate(&numbers, progress, done, total, now);
	if (total > 0 && done <= total)
		add_bar(ret_line, done, total, numbers.room);
	add_amount(ret_line, progress, done, total);
	add_rate(ret_line, progress, done, total, now);
	if (progress->place != NULL) {
		line_add(ret_line, "  ");
		line_add(ret_line, progress->place);
	}
}

/* Without the place: its text is the working thread's. */
static void print_state(const struct progress *progress)
{
	const struct progress seen = { .what = progress->what,
				       .unit = progress->unit,
				       .started = progress->started,
				       .first = progress->first };
	struct line line;

	make_line(&seen, progress->done, progress->total, seconds_now(), &line);
	fwrite(line.text, 1, line.bytes, stderr);
}

/* A line of its own, on a terminal behind the bar. */
static void answer(void)
{
	if (document_is_beside_data())
		return;
	pthread_mutex_lock(&watched.lock);
	flockfile(stderr);
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	fprintf(stderr, "uds %s: ", watched.command);
	if (watched.current != NULL)
		print_state(watched.current);
	else
		fputs("between two pieces of work", stderr);
	fputc('\n', stderr);
	funlockfile(stderr);
	pthread_mutex_unlock(&watched.lock);
}

static void *wait_for_requests(void *context)
{
	const sigset_t *requests = context;
	int number;

	while (sigwait(requests, &number) == 0)
		answer();
	return NULL;
}

void answer_progress_requests(const char *name)
{
	static sigset_t requests;
	sigset_t all, before;
	pthread_t thread;

	watched.command = name;
	sigemptyset(&requests);
	sigaddset(&requests, SIGUSR1);
#ifdef SIGINFO
	sigaddset(&requests, SIGINFO);
#endif
	/* The thread takes these signals only: others must reach a call that waits. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	if (pthread_create(&thread, NULL, wait_for_requests, &requests) == 0)
		pthread_detach(thread);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_sigmask(SIG_BLOCK, &requests, NULL);
}

int progress_report(void *context, uint64_t done, uint64_t total)
{
	struct progress *progress = context;
	struct line line;
	double now;

	pthread_mutex_lock(&watched.lock);
	if (!progress->begun) {
		progress->first = done;
		progress->begun = true;
	}
	progress->done = done;
	progress->total = total;
	pthread_mutex_unlock(&watched.lock);
	if (progress->shown) {
		now = seconds_now();
		if (now - progress->printed >= 0.2) {
			progress->printed = now;
			make_line(progress, done, total, now, &line);
			fprintf(stderr, "\r%.*s\033[K", (int)line.bytes, line.text);
			fflush(stderr);
		}
	}
	return interrupted != 0;
}

void progress_end(struct progress *progress)
{
	pthread_mutex_lock(&watched.lock);
	watched.current = NULL;
	pthread_mutex_unlock(&watched.lock);
	if (progress->shown && progress->printed > 0)
		fputs("\r\033[K", stderr);
	progress->shown = false;
}
