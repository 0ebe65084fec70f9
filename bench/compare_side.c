/* SPDX-License-Identifier: BSD-2-Clause */
/* The process, its folder, and what it tells through a pipe. */
#include "compare_side.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compare_work.h"

/* What a store may take by default, so that this library's index of that size does. */
#define RECORD_MEMORY 4u
#define OTHER_MEMORY  (UINT64_C(64) << 20)

struct memory {
	uint64_t own, mapped;
};

/* What the process tells; the pipe keeps each whole. */
struct told {
	enum { TOLD_VALUE, TOLD_TAKEN, TOLD_SKIPPED, TOLD_FAILURE, TOLD_END } what;
	unsigned int mode;
	enum workload_kind workload;
	struct compare_done done;
	struct compare_taken taken;
	char text[320];
};

struct side {
	const struct compare_plan *plan;
	const struct bench_peer *peer;
	struct bench_place place;
	int pipe;
	struct memory before; /* of the driver alone */
	struct compare_work work;
};

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
	stopped = signal;
}

void compare_catch_signals(void)
{
	struct sigaction action = { .sa_handler = stop };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

/* ---- within the process ---- */

static void tell(const struct side *side, const struct told *told)
{
	if (write(side->pipe, told, sizeof(*told)) != (ssize_t)sizeof(*told))
		_exit(EXIT_FAILURE); /* nobody listens */
}

static void fail(const struct side *side, const char *what, const struct bench_why *why)
{
	struct told told = { .what = TOLD_FAILURE };

	snprintf(told.text, sizeof(told.text), "%s: %.250s", what,
		 why->text[0] != '\0' ? why->text : "it failed without a sentence");
	tell(side, &told);
}

static struct memory memory_now(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	struct memory memory = { 0, 0 };
	char line[256];
	uint64_t kib;

	while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
		if (sscanf(line, "RssAnon: %" SCNu64, &kib) == 1)
			memory.own += kib * 1024;
		else if (sscanf(line, "RssFile: %" SCNu64, &kib) == 1 ||
			 sscanf(line, "RssShmem: %" SCNu64, &kib) == 1)
			memory.mapped += kib * 1024;
	}
	if (file != NULL)
		fclose(file);
	return memory;
}

static uint64_t disk_bytes; /* nftw() has no context */

static int add_file(const char *path, const struct stat *s, int type, struct FTW *at)
{
	(void)path;
	(void)type;
	(void)at;
	disk_bytes += (uint64_t)s->st_blocks * 512;
	return 0;
}

static uint64_t beyond(uint64_t value, uint64_t before)
{
	return value > before ? value - before : 0;
}

static void tell_taken(const struct side *side)
{
	struct told told = { .what = TOLD_TAKEN };
	struct memory memory = memory_now();

	disk_bytes = 0;
	(void)nftw(side->place.folder, add_file, 16, FTW_PHYS);
	told.taken.own = beyond(memory.own, side->before.own);
	told.taken.mapped = beyond(memory.mapped, side->before.mapped);
	told.taken.disk = disk_bytes;
	tell(side, &told);
}

/* So many that those which are looked up afterwards are still there. */
static uint64_t most_operations(const struct compare_plan *plan, enum workload_kind kind,
				uint64_t records)
{
	static const uint64_t parts[WORKLOADS] = { [WORKLOAD_FILL] = 1,
						   [WORKLOAD_STEADY] = 2,
						   [WORKLOAD_DUPLICATES] = 4,
						   [WORKLOAD_HITS] = 8,
						   [WORKLOAD_STREAM] = 8 };
	uint64_t most = parts[kind] == 0 ? UINT64_MAX : records / parts[kind];

	if (kind == WORKLOAD_FILL || most < plan->operations)
		return most;
	return plan->operations;
}

/* Returns false when the peer failed. */
static bool measure(struct side *side, unsigned int mode, enum workload_kind kind)
{
	const struct compare_plan *plan = side->plan;
	struct told told = { .what = TOLD_VALUE, .mode = mode, .workload = kind };
	struct bench_why why = { "" };
	int r = compare_work_run(&side->work, kind, plan->modes[mode],
				 most_operations(plan, kind, side->place.records),
				 kind == WORKLOAD_FILL ? 1e9 : plan->seconds, &told.done, &why);

	if (r < 0) {
		fail(side, workload_words[kind], &why);
		return false;
	}
	if (r > 0)
		told.what = TOLD_SKIPPED;
	tell(side, &told);
	return true;
}

static bool measure_all(struct side *side)
{
	const struct compare_plan *plan = side->plan;

	if (!measure(side, 0, WORKLOAD_FILL))
		return false;
	tell_taken(side);
	for (unsigned int mode = 0; mode < plan->mode_count; mode++) {
		if (plan->modes[mode].in_flight && side->peer->run_in_flight == NULL)
			continue;
		for (int kind = 0; kind < WORKLOADS; kind++) {
			if (plan->workloads[kind] && kind != WORKLOAD_FILL &&
			    !measure(side, mode, (enum workload_kind)kind))
				return false;
		}
		tell_taken(side);
	}
	return true;
}

static int carry_out(struct side *side)
{
	struct told told = { .what = TOLD_END };
	struct bench_why why = { "" };
	bool good;

	side->before = memory_now();
	if (compare_work_open(side->peer, &side->place, side->plan->modes, side->plan->mode_count,
			      &side->work, &why) < 0) {
		fail(side, "open", &why);
		return EXIT_FAILURE;
	}
	good = measure_all(side);
	if (compare_work_close(&side->work, &why) < 0 && good) {
		fail(side, "close", &why);
		good = false;
	}
	if (good)
		tell(side, &told);
	return good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- beside it ---- */

static int remove_entry(const char *path, const struct stat *s, int type, struct FTW *at)
{
	(void)s;
	(void)type;
	(void)at;
	return remove(path);
}

/* Reads what the process tells. Returns whether it came to its end, or said why not. */
static bool listen(int pipe, const struct compare_row *here, struct compare_results *results,
		   struct compare_failure *failure)
{
	struct told told;
	ssize_t got;

	for (;;) {
		struct compare_row row = *here;

		got = read(pipe, &told, sizeof(told));
		if (got < 0 && errno == EINTR && !stopped)
			continue;
		if (got != (ssize_t)sizeof(told))
			return false;
		switch (told.what) {
		case TOLD_VALUE:
			row.mode = told.mode;
			row.workload = told.workload;
			row.rates[0] = (double)told.done.operations / told.done.seconds;
			row.processor[0] = told.done.operations == 0
						   ? 0
						   : told.done.processor_seconds /
							     (double)told.done.operations;
			row.operations = told.done.operations;
			row.wrong = told.done.wrong;
			compare_add_value(results, &row);
			break;
		case TOLD_TAKEN:
			told.taken.point = here->point;
			told.taken.peer = here->peer;
			compare_add_taken(results, &told.taken);
			break;
		case TOLD_SKIPPED:
			fprintf(stderr,
				"    %s: left out, too few old names are sure to be there\n",
				workload_words[told.workload]);
			break;
		case TOLD_FAILURE:
			snprintf(failure->why, sizeof(failure->why), "%s", told.text);
			return true;
		case TOLD_END:
			return true;
		}
	}
}

static void say_how_it_ended(int status, char *ret_why, size_t room)
{
	if (WIFSIGNALED(status))
		snprintf(ret_why, room, "the process was ended by signal %d", WTERMSIG(status));
	else
		snprintf(ret_why, room, "the process ended with status %d", WEXITSTATUS(status));
}

static void run_process(struct side *side, const int pipes[2], const struct compare_row *here,
			struct compare_results *results, struct compare_failure *failure)
{
	int status = 0;
	bool whole;
	pid_t child;

	fflush(NULL); /* so that the process does not write it again */
	child = fork();
	if (child == 0) {
		close(pipes[0]);
		signal(SIGINT, SIG_DFL);
		signal(SIGTERM, SIG_DFL);
		exit(carry_out(side));
	}
	close(pipes[1]);
	if (child < 0) {
		snprintf(failure->why, sizeof(failure->why), "fork: %s", strerror(errno));
		close(pipes[0]);
		return;
	}
	whole = listen(pipes[0], here, results, failure);
	close(pipes[0]);
	if (stopped)
		kill(child, SIGKILL);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (failure->why[0] == '\0' && (!whole || status != 0))
		say_how_it_ended(status, failure->why, sizeof(failure->why));
}

static struct bench_place place_of(const struct compare_plan *plan, struct compare_point point,
				   const char *folder)
{
	const uint64_t records = plan->records[point.records];
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	return (struct bench_place){
		.folder = folder,
		.options = plan->places[point.place].options,
		.direct = plan->places[point.place].direct,
		.records = records,
		.memory_bytes = plan->memory_bytes != 0 ? plan->memory_bytes
							: records * RECORD_MEMORY + OTHER_MEMORY,
		.threads = plan->threads[point.threads],
		.processors = processors > 0 ? (unsigned int)processors : 1,
	};
}

bool compare_side(const struct compare_plan *plan, const struct compare_peers *peers,
		  struct compare_point point, unsigned int peer, unsigned int run,
		  struct compare_results *results)
{
	const struct compare_row here = { .point = point, .peer = peer };
	struct compare_failure failure = { .point = point, .peer = peer, .run = run };
	struct side side = { .plan = plan, .peer = peers->list[peer].peer };
	char folder[2100];
	int pipes[2];

	snprintf(folder, sizeof(folder), "%s/bench-compare.XXXXXX",
		 plan->places[point.place].folder);
	if (mkdtemp(folder) == NULL) {
		snprintf(failure.why, sizeof(failure.why), "%.200s: %s", folder, strerror(errno));
	} else if (pipe(pipes) < 0) {
		snprintf(failure.why, sizeof(failure.why), "pipe: %s", strerror(errno));
		(void)rmdir(folder);
	} else {
		side.place = place_of(plan, point, folder);
		side.pipe = pipes[1];
		run_process(&side, pipes, &here, results, &failure);
		(void)nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
	}
	if (stopped)
		return false;
	if (failure.why[0] != '\0') {
		fprintf(stderr, COMPARE ": %s: %s\n", peers->list[peer].name, failure.why);
		compare_add_failure(results, &failure);
	}
	return true;
}
