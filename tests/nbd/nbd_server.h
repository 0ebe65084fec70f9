/* SPDX-License-Identifier: BSD-2-Clause */
/* An nbdkit that a test starts, kills and starts again on the same Unix socket. */
#ifndef TESTS_NBD_SERVER_H
#define TESTS_NBD_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

struct nbd_server {
	pid_t pid; /* 0: it does not run */
	char socket[100];
	char uri[500];
};

/* Whether there is an nbdkit with this plugin or filter, such as "filters/nbdkit-cache-filter". */
bool nbdkit_has(const char *what);

/* Where the socket will be; @number makes it another one. */
void nbd_server_name(struct nbd_server *server, int number);

/* Starts it with these words, up to NULL, and waits until it can be connected to. */
void nbd_server_start(struct nbd_server *server, const char *const *words);

/* Ends it as a power cut would. */
void nbd_server_kill(struct nbd_server *server);

#endif
