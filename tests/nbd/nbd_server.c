/* SPDX-License-Identifier: BSD-2-Clause */
#include "nbd_server.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <check.h>

#include "check_main.h"

#define MOST_WORDS 40

bool nbdkit_has(const char *what)
{
	char command[300];

	snprintf(command, sizeof(command), "nbdkit %s --version >/dev/null 2>&1", what);
	return system(command) == 0;
}

void nbd_server_name(struct nbd_server *server, int number)
{
	server->pid = 0;
	/* Short: a folder of tests may have a longer name than a socket can. */
	snprintf(server->socket, sizeof(server->socket), "/tmp/uds-nbd-%d-%d", (int)getpid(),
		 number);
	snprintf(server->uri, sizeof(server->uri), "nbd+unix:///?socket=%s", server->socket);
}

static bool can_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good;

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	good = connect(s, (struct sockaddr *)&address, sizeof(address)) == 0;
	close(s);
	return good;
}

static void become_nbdkit(const struct nbd_server *server, const char *const *words)
{
	const char *all[MOST_WORDS] = { "nbdkit", "-f", "-U", server->socket };
	size_t n = 4;

	/* Check runs each test in a process of its own, which a time-out kills. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (*words != NULL && n + 1 < MOST_WORDS)
		all[n++] = *words++;
	execvp("nbdkit", (char *const *)(uintptr_t)all);
	_exit(127);
}

void nbd_server_start(struct nbd_server *server, const char *const *words)
{
	unlink(server->socket);
	server->pid = fork();
	ck_assert_int_ge(server->pid, 0);
	if (server->pid == 0)
		become_nbdkit(server, words);
	for (int i = 0; i < 1000 && !can_connect(server->socket); i++) {
		ck_assert_msg(waitpid(server->pid, NULL, WNOHANG) == 0, "nbdkit has ended");
		usleep(10000);
	}
}

void nbd_server_kill(struct nbd_server *server)
{
	if (server->pid == 0)
		return;
	kill(server->pid, SIGKILL);
	waitpid(server->pid, NULL, 0);
	unlink(server->socket);
	server->pid = 0;
}
