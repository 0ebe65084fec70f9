/* SPDX-License-Identifier: BSD-2-Clause */
/* Random keys for hash tables. */
#include "base/hash_key.h"

#include <errno.h>
#include <stddef.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

/* Fallback without random bytes: address of the stack, process id and time. */
static void fill_from_clocks(struct hash_key *key)
{
	struct timespec now = { 0, 0 };
	/*
	 * Users choose names, and may choose them to meet in one place of a table: the key only
	 * has to be unknown to them.
	 */
	uint64_t state = (uint64_t)(uintptr_t)&now ^ (uint64_t)getpid() << 40;

	for (size_t i = 0; i < sizeof(key->words) / sizeof(key->words[0]); i++) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		state += (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 32;
		state = (state ^ state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		state = (state ^ state >> 27) * UINT64_C(0x94d049bb133111eb);
		key->words[i] = state ^ state >> 31;
	}
}

void hash_key_make(struct hash_key *ret_key)
{
	ssize_t n;

	/*
	 * Without waiting: early at boot there may be no randomness for a while, and a table is not
	 * worth a hang.
	 */
	do {
		n = getrandom(ret_key, sizeof(*ret_key), GRND_NONBLOCK);
	} while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof(*ret_key))
		fill_from_clocks(ret_key);
}
