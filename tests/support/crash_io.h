/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Power cuts. Devices in memory that record every write and flush in one common order, and that can
 * tell what could be on them had the power gone at any point in it.
 *
 * 1. Record. Make a log, add the devices, run the workload on their I/Os. Marks put the test's own
 *    promises into the same order ("everything up to record 500 is durable now").
 *
 *	log = crash_log_new();
 *	crash_log_add(log, first_bytes, size, 4096);
 *	crash_log_open(log, 0, NULL, &io);
 *	...; uds_index_flush(index); crash_log_mark(log, 500); ...
 *
 * 2. Sweep. Each step gives a new log whose devices hold what a cut left: open, recover and check it
 *    like any other (it records too: cut the recovery, if you like).
 *
 *	crash_sweep_start(&sweep, log, seed);
 *	while ((after = crash_sweep_next(&sweep)) != NULL) {
 *		crash_log_open(after, 0, NULL, &io);
 *		promised = sweep.mark;
 *		... ck_assert_msg(..., "%s", sweep.text) ...
 *		crash_log_free(after);
 *	}
 *
 * What a device promises: what was written before a flush of that device began is there; of what came
 * later, each 512-byte sector holds either its old bytes or those of any of the later writes. The
 * variants say which. A discarded range holds garbage at once. A resize counts as a write.
 *
 * Everything is deterministic: the same log, cut, variant and seed give the same bytes.
 * Threads: the I/Os may be used by any number; the rest by one, when no I/O is in use.
 */
#ifndef TESTS_CRASH_IO_H
#define TESTS_CRASH_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/io.h>

#define CRASH_DEVICES 4
#define CRASH_SECTOR  512
#define CRASH_BLOCK   4096

/* Which of the writes after the last flush are on the device. */
enum crash_variant {
	CRASH_KEEP,	 /* all of them */
	CRASH_DROP,	 /* none */
	CRASH_TORN,	 /* all; of the last one only some first sectors */
	CRASH_ONLY_LAST, /* the last one alone: it overtook the others */
	CRASH_WRITES,	 /* any: a coin for each write */
	CRASH_SECTORS,	 /* any: a coin for each sector of each write */
	CRASH_BLOCKS, /* any: a coin for each block of 4 KiB of each write, as page caches write */
	CRASH_MIXED,  /* for each device another of the above */
	CRASH_VARIANTS, /* how many */
};

struct crash_log;

/* These end the test when there is no memory. */
struct crash_log *crash_log_new(void);
void crash_log_free(struct crash_log *log);

/* Adds a device. @bytes: its content at first (NULL: zeroes); copied. Returns its number. */
int crash_log_add(struct crash_log *log, const void *bytes, uint64_t size, uint32_t block_bytes);

/*
 * An I/O on a device of the log; closing it leaves the device as it is, so that it can be opened
 * again (which is not a crash: everything written is seen).
 */
int crash_log_open(struct crash_log *log, int device, const struct uds_env *env,
		   struct uds_io **ret_io);

/* The bytes of a device now, and their number. Valid until it is resized or the log is freed. */
const uint8_t *crash_log_bytes(const struct crash_log *log, int device, uint64_t *ret_size);

/* Puts a mark into the order of events. Values should never decrease. */
void crash_log_mark(struct crash_log *log, uint64_t value);

/* Events so far: a cut at n comes after the first n of them. Marks are events too. */
size_t crash_log_events(const struct crash_log *log);

/* The last mark among the first @cut events; 0 when there is none. */
uint64_t crash_log_mark_at(const struct crash_log *log, size_t cut);

/* What a cut leaves. Going through cuts in ascending order is quick. */
struct crash_log *crash_log_after(struct crash_log *log, size_t cut, enum crash_variant variant,
				  uint64_t seed);

/*
 * All cuts, each in all variants that make a difference there. Members may be changed between start
 * and the first next.
 */
struct crash_sweep {
	struct crash_log *log;
	uint64_t seed;
	size_t first; /* cut to begin with; start sets 0 */
	size_t end;   /* last cut; start sets the number of events */
	size_t step;  /* distance of cuts; start sets 1. Cuts just before a mark move behind it */
	unsigned int rounds; /* seeds for each variant that throws coins; start sets 1 */

	/* The step that next() made. */
	size_t cut;
	enum crash_variant variant;
	unsigned int round;
	uint64_t mark;	/* crash_log_mark_at(log, cut) */
	char text[160]; /* for messages: the cut, the last event before it, the variant, the seed */

	bool begun; /* private */
};

void crash_sweep_start(struct crash_sweep *sweep, struct crash_log *log, uint64_t seed);

/* The next one, to be freed by the caller; NULL at the end. */
struct crash_log *crash_sweep_next(struct crash_sweep *sweep);

#endif
