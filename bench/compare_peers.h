/* SPDX-License-Identifier: BSD-2-Clause */
/* The shared objects that are measured, and those that are not there. */
#ifndef BENCH_COMPARE_PEERS_H
#define BENCH_COMPARE_PEERS_H

#include <stdbool.h>
#include <stddef.h>

#include "peers/peer.h"

#define COMPARE_MOST_PEERS 16u

struct compare_peer {
	const struct bench_peer *peer; /* NULL: it was left out */
	void *library;
	char name[32]; /* of no other one */
	char path[4096];
	char why[512]; /* it was left out */
};

struct compare_peers {
	struct compare_peer list[COMPARE_MOST_PEERS];
	size_t count;
};

/* The words of --peers for all that this project has. */
extern const char compare_peers_known[];

/* Takes the ones named, with commas between, of those that stand beside this program. */
bool compare_peers_take_known(struct compare_peers *peers, const char *names);

/* Takes a file; says on standard error why that cannot be. */
bool compare_peers_take_file(struct compare_peers *peers, const char *path);

/* Says which are left out. Returns how many are not. */
size_t compare_peers_ready(const struct compare_peers *peers);

void compare_peers_free(struct compare_peers *peers);

#endif
