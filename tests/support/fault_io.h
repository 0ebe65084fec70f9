/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An I/O that fails when the test says so, over any other I/O.
 *
 *	struct fault_plan plan;
 *
 *	fault_plan_start(&plan);
 *	fault_io_open(&plan, memory, NULL, &io);         io now stands before memory, and owns it
 *	fault_plan_fail(&plan, FAULT_WRITE, 5, -EIO, false);
 *	...                                              the fifth write from now on fails
 *	ck_assert_uint_gt(plan.failed, 0);
 *
 * Several I/Os may share one plan (the origin and the COW device of a merge): operations are then
 * counted over all of them in the order in which they come.
 *
 * To fail each operation of a workload in turn, run it once without a failure, read the count with
 * fault_plan_count(), and run it again for each number from 1 to that.
 *
 * The I/O does not take requests of engines by itself unless plan.queues says so, so they come as
 * plain reads and writes, in their order, and are counted too. Threads: any.
 *
 * The status may be any number but 0: also one that no backend should return.
 */
#ifndef TESTS_FAULT_IO_H
#define TESTS_FAULT_IO_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <uds/io.h>

/* Kinds of operations, to be combined. */
enum {
	FAULT_READ = 1,
	FAULT_WRITE = 2,
	FAULT_FLUSH = 4,
	FAULT_RESIZE = 8,
	FAULT_DISCARD = 16,
	FAULT_SIZE = 32,
	FAULT_CLOSE = 64,
	FAULT_SUBMIT = 128,
	FAULT_REAP = 256,
	FAULT_KINDS = 9, /* how many */

	FAULT_ANY = 127, /* without queues */
	FAULT_QUEUES = FAULT_SUBMIT | FAULT_REAP,
	FAULT_CHANGE = FAULT_WRITE | FAULT_FLUSH | FAULT_RESIZE | FAULT_DISCARD,
};

struct fault_plan {
	pthread_mutex_t lock;
	uint64_t counts[FAULT_KINDS]; /* operations since the plan was set, by bit number */
	uint64_t failed;	      /* operations that were made to fail since then */
	unsigned int failed_kinds;    /* and what they were */

	unsigned int kinds; /* what counts and fails */
	uint64_t nth;	    /* 1: the next of these; 0: none */
	int status;	    /* what it returns */
	bool and_after;	    /* all later ones too */
	uint64_t times;	    /* without and_after: so many in a row; fault_plan_fail() sets 1 */

	/*
	 * The I/O takes requests of engines by itself, and carries them out, one by one, when
	 * it is reaped.
	 */
	bool queues;

	/* A write that is made to fail still puts this many of its first bytes on the device. */
	size_t partial_bytes;

	/* Bytes that can still be written before the device is full; UINT64_MAX: never. */
	uint64_t room_bytes;

	/* Bytes that can never be read, or written: see fault_plan_spoil(). */
	struct {
		unsigned int kinds;
		uint64_t offset;
		uint64_t length;
	} spoiled[16];
	unsigned int spoiled_count;
};

/* Nothing fails. */
void fault_plan_start(struct fault_plan *plan);
void fault_plan_end(struct fault_plan *plan);

/*
 * The @nth operation of these @kinds from now on returns @status (nth 0: none does), with
 * @and_after all later ones too. Counts begin again at 0.
 */
void fault_plan_fail(struct fault_plan *plan, unsigned int kinds, uint64_t nth, int status,
		     bool and_after);

/*
 * After this many more bytes writes fail with -ENOSPC, having put down what still fits (whole
 * blocks of the I/O). UINT64_MAX ends it. Rewriting counts like writing: this is a device
 * that gives out.
 */
void fault_plan_fill_after(struct fault_plan *plan, uint64_t bytes);

/*
 * From now on reads, or writes, that touch these bytes return -EIO; a write puts down what comes
 * before them. Up to 16 ranges; length 0 takes all of them back.
 */
void fault_plan_spoil(struct fault_plan *plan, unsigned int kinds, uint64_t offset,
		      uint64_t length);

/* Operations of these kinds since fault_plan_fail or the start. */
uint64_t fault_plan_count(struct fault_plan *plan, unsigned int kinds);

/* How many of them were made to fail. Other threads may still use the I/O. */
uint64_t fault_plan_failed(struct fault_plan *plan);

/*
 * Makes an I/O in front of @below, with the same limits and name. Closing it closes @below, unless
 * this function failed. A close that is made to fail closes @below all the same. The plan must stay
 * until then, and may stay longer.
 */
int fault_io_open(struct fault_plan *plan, struct uds_io *below, const struct uds_env *env,
		  struct uds_io **ret_io);

#endif
