/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs a suite and reports in the form that tests/summary counts. */
#include "check_main.h"
#include "sanitizer.h"

#include <limits.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#if ADDRESS_SANITIZER
#include <sanitizer/lsan_interface.h>
#endif

/* Tests run in processes of their own, so skips travel through a file that all of them share. */
static FILE *skips;

void note_skip(const char *format, ...)
{
	char line[512];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line) - 1, format, args);
	va_end(args);
	if (n < 0)
		n = 0;
	if ((size_t)n > sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n] = '\n';
	line[n + 1] = '\0';
	fputs(line, skips);
	fflush(skips);
}

void mark_place_once(const char *file, int line)
{
	/* By line; two files with one line number may take turns, which costs time only. */
	static _Atomic(const char *) marked[2048];
	_Atomic(const char *) *last = &marked[(unsigned int)line % 2048];

	if (atomic_load_explicit(last, memory_order_relaxed) == file)
		return;
	atomic_store_explicit(last, file, memory_order_relaxed);
	_mark_point(file, line);
}

/*
 * Tests make and free images of some megabytes thousands of times. Giving that memory back to
 * the system each time, as the allocator does with large pieces, costs more than all that is
 * done with it.
 */
static void keep_freed_memory(void)
{
#ifdef __GLIBC__
	mallopt(M_MMAP_THRESHOLD, 32 << 20);
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
#endif
}

/* A leak is a failure of all tests together where they had no processes of their own. */
static int count_leaks(void)
{
#if ADDRESS_SANITIZER
	return __lsan_do_recoverable_leak_check() != 0;
#else
	return 0;
#endif
}

static int run_as(Suite *suite, enum fork_status fork_status)
{
	char line[512];
	int run, failed, skipped = 0;
	SRunner *runner;

	keep_freed_memory();
	setvbuf(stdout, NULL, _IOLBF, 0);
	skips = tmpfile();
	if (skips == NULL) {
		perror("tmpfile");
		return 99;
	}
	runner = srunner_create(suite);
	if (fork_status != CK_FORK_GETENV)
		srunner_set_fork_status(runner, fork_status);
	/* Check ends what hangs only where it is a process of its own. */
	if (srunner_fork_status(runner) == CK_NOFORK)
		alarm(1800);
	srunner_run_all(runner, CK_NORMAL);
	run = srunner_ntests_run(runner);
	failed = srunner_ntests_failed(runner);
	if (srunner_fork_status(runner) == CK_NOFORK)
		failed += count_leaks();
	rewind(skips);
	while (fgets(line, sizeof(line), skips) != NULL) {
		printf("skipped: %s", line);
		skipped++;
	}
	printf("result: %d passed, %d failed, %d skipped\n", run - failed - skipped, failed,
	       skipped);
	srunner_free(runner);
	fclose(skips);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int run_suite(Suite *suite)
{
	return run_as(suite, CK_FORK_GETENV);
}

int run_suite_apart(Suite *suite)
{
	return run_as(suite, CK_FORK);
}

const char *vectors_dir(void)
{
	const char *dir = getenv("UDS_VECTORS");
	struct stat st;

	if (dir == NULL || *dir == '\0' || stat(dir, &st) != 0)
		return NULL;
	return dir;
}

const char *scratch_dir(void)
{
	static char dir[256];
	const char *base = getenv("TMPDIR");

	/*
	 * A test may remove it when it is done, and without processes of their own
	 * another one follows.
	 */
	if (dir[0] == '\0' || access(dir, F_OK) != 0) {
		snprintf(dir, sizeof(dir), "%s/uds-test-XXXXXX", base != NULL ? base : "/tmp");
		if (mkdtemp(dir) == NULL)
			return NULL;
	}
	return dir;
}
