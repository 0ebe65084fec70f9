/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices that lie on one disk, as partitions and LVM volumes do, without rights: the scheme
 * partition:a to partition:d, in memory. Each has a lock of its own.
 *
 * Threads: one.
 */
#ifndef TESTS_PARTITIONS_H
#define TESTS_PARTITIONS_H

#include <stdbool.h>

#define PARTITIONS	4u
#define PARTITION_BYTES (8u << 20)

/* Registers the scheme, once for each process, and makes all of them read as zero. */
void partitions_start(void);

/* Says whether another program has one ('a' to 'd') locked: opening it is UDS_ERR_IN_USE then. */
void partition_lock(char name, bool locked);

#endif
