/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A set of pairs of numbers, for many pairs whose second numbers lie close together: inode numbers
 * of a file system, blocks of a device. 64 neighbours share a place, so that a pair takes less than
 * a byte where they are dense, and 48 bytes where each one is alone.
 *
 * Threads: one at a time.
 */
#ifndef TOOLS_SCAN_SET_H
#define TOOLS_SCAN_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hash_key.h"

struct pair_group;

/* All zeros: an empty set. */
struct pair_set {
	struct hash_key key; /* once there are places */
	struct pair_group *groups;
	size_t places; /* a power of two, or 0 */
	size_t count;  /* of groups in use */
};

bool pair_set_has(const struct pair_set *set, uint64_t first, uint64_t second);

/* Returns 0, also when it was there already, or -ENOMEM: then it is not in the set. */
int pair_set_add(struct pair_set *set, uint64_t first, uint64_t second);
void pair_set_free(struct pair_set *set);

#endif
