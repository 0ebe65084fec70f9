/* SPDX-License-Identifier: BSD-2-Clause */
/* The files and the process; what is in them is the callers'. */
#include "plot.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

bool plot_name_is_good(const char *program, const char *file)
{
	if (strpbrk(file, "'\n") == NULL)
		return true;
	fprintf(stderr, "%s: a name without ' is needed: %s\n", program, file);
	return false;
}

FILE *plot_create(const char *program, const char *file, const char *ending, char *ret_path,
		  size_t room)
{
	FILE *out = NULL;

	if ((size_t)snprintf(ret_path, room, "%s%s", file, ending) >= room)
		errno = ENAMETOOLONG;
	else
		out = fopen(ret_path, "w");
	if (out == NULL)
		fprintf(stderr, "%s: %s%s: %s\n", program, file, ending, strerror(errno));
	return out;
}

bool plot_end(const char *program, FILE *out, const char *path)
{
	bool failed = ferror(out) != 0;

	failed = fclose(out) != 0 || failed;
	if (failed)
		fprintf(stderr, "%s: %s: it could not be written\n", program, path);
	return !failed;
}

/* Returns its exit status, 127 when there is none. */
static int run_gnuplot(const char *script)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		execlp("gnuplot", "gnuplot", script, (char *)NULL);
		_exit(errno == ENOENT ? 127 : 126);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFEXITED(status))
		return 126;
	return WEXITSTATUS(status);
}

bool plot_run(const char *program, const char *script, const char *image)
{
	int status = run_gnuplot(script);

	if (status == 127)
		fprintf(stderr, "%s: gnuplot is not installed; with it, gnuplot %s makes %s\n",
			program, script, image);
	else if (status != 0)
		fprintf(stderr, "%s: gnuplot %s failed\n", program, script);
	return status == 0;
}
