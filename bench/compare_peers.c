/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loading and checking. Each object's own symbols stay its own, so two builds of one can be
 * loaded.
 */
#include "compare_peers.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "compare.h"

/* What brings the file, for a message. */
static const struct {
	const char *name, *package; /* of Debian */
} known[] = { { "uds", NULL },
	      { "lmdb", "liblmdb-dev" },
	      { "rocksdb", "librocksdb-dev" },
	      { "sqlite", "libsqlite3-dev" } };

#define KNOWN (sizeof(known) / sizeof(known[0]))

const char compare_peers_known[] = "uds,lmdb,rocksdb,sqlite";

/* What is missing in it; NULL: nothing. */
static const char *fault(const struct bench_peer *peer)
{
	if (peer == NULL)
		return "bench_peer() returned NULL";
	if (peer->version != BENCH_PEER_VERSION)
		return "made for another version of bench/peers/peer.h";
	if (peer->name == NULL || peer->name[0] == '\0' || peer->setup == NULL ||
	    peer->bounds == NULL)
		return "it has no name, no setup or no bounds";
	if (peer->open == NULL || peer->close == NULL || peer->attach == NULL ||
	    peer->detach == NULL || peer->run == NULL || peer->flush == NULL)
		return "a function is missing";
	return NULL;
}

static const struct bench_peer *load(struct compare_peer *peer)
{
	const struct bench_peer *(*get)(void) = NULL, *loaded = NULL;
	const char *why = NULL;
	void *symbol;

	peer->library = dlopen(peer->path, RTLD_NOW | RTLD_LOCAL);
	if (peer->library == NULL) {
		snprintf(peer->why, sizeof(peer->why), "%s", dlerror());
		return NULL;
	}
	symbol = dlsym(peer->library, "bench_peer");
	/* By its bytes, since C has no conversion. */
	memcpy(&get, &symbol, sizeof(get));
	if (get == NULL) {
		why = "it has no function bench_peer()";
	} else {
		loaded = get();
		why = fault(loaded);
	}
	if (why == NULL)
		return loaded;
	snprintf(peer->why, sizeof(peer->why), "%s", why);
	dlclose(peer->library);
	peer->library = NULL;
	return NULL;
}

/* Two builds of one store have one name. */
static void name_it(struct compare_peers *peers, struct compare_peer *peer, const char *name)
{
	unsigned int number = 1;

	snprintf(peer->name, sizeof(peer->name), "%.24s", name);
	for (size_t i = 0; i < peers->count;) {
		if (&peers->list[i] == peer || strcmp(peers->list[i].name, peer->name) != 0) {
			i++;
			continue;
		}
		snprintf(peer->name, sizeof(peer->name), "%.24s-%u", name, ++number);
		i = 0;
	}
}

static struct compare_peer *add(struct compare_peers *peers)
{
	if (peers->count < COMPARE_MOST_PEERS)
		return &peers->list[peers->count];
	fprintf(stderr, COMPARE ": too many peers\n");
	return NULL;
}

bool compare_peers_take_file(struct compare_peers *peers, const char *path)
{
	struct compare_peer *peer = add(peers);

	if (peer == NULL)
		return false;
	/* With a slash, so that no folder is searched. */
	snprintf(peer->path, sizeof(peer->path), "%s%s", strchr(path, '/') != NULL ? "" : "./",
		 path);
	peer->peer = load(peer);
	if (peer->peer == NULL) {
		fprintf(stderr, COMPARE ": --peer %s: %s\n", path, peer->why);
		return false;
	}
	name_it(peers, peer, peer->peer->name);
	peers->count++;
	return true;
}

/* The folder of this program, where make puts peers/.libs/. */
static void find_beside(const char *name, char *ret_path, size_t room)
{
	char program[2048];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *slash;

	program[length < 0 ? 0 : length] = '\0';
	slash = strrchr(program, '/');
	if (slash != NULL)
		*slash = '\0';
	snprintf(ret_path, room, "%s/peers/.libs/%s.so", program, name);
}

static bool take_known(struct compare_peers *peers, const char *name, const char *package)
{
	struct compare_peer *peer = add(peers);
	char path[4096];

	if (peer == NULL)
		return false;
	find_beside(name, path, sizeof(path));
	memcpy(peer->path, path, sizeof(path));
	name_it(peers, peer, name);
	if (access(path, F_OK) == 0)
		peer->peer = load(peer);
	else
		snprintf(peer->why, sizeof(peer->why),
			 "%.300s is not there: make bench-programs builds it%s%s", path,
			 package != NULL ? ", if configure has found " : "",
			 package != NULL ? package : "");
	peers->count++;
	return true;
}

bool compare_peers_take_known(struct compare_peers *peers, const char *names)
{
	for (const char *at = names; *at != '\0';) {
		const size_t length = strcspn(at, ",");
		size_t i = 0;

		while (i < KNOWN &&
		       (strlen(known[i].name) != length || strncmp(known[i].name, at, length) != 0))
			i++;
		if (i == KNOWN) {
			fprintf(stderr, COMPARE ": --peers: not one of %s: %.*s\n",
				compare_peers_known, (int)length, at);
			return false;
		}
		if (!take_known(peers, known[i].name, known[i].package))
			return false;
		at += length + (at[length] == ',');
	}
	return true;
}

size_t compare_peers_ready(const struct compare_peers *peers)
{
	size_t ready = 0;

	for (size_t i = 0; i < peers->count; i++) {
		if (peers->list[i].peer != NULL)
			ready++;
		else
			fprintf(stderr, COMPARE ": left out: %s: %s\n", peers->list[i].name,
				peers->list[i].why);
	}
	return ready;
}

void compare_peers_free(struct compare_peers *peers)
{
	for (size_t i = 0; i < peers->count; i++) {
		if (peers->list[i].library != NULL)
			dlclose(peers->list[i].library);
	}
	peers->count = 0;
}
