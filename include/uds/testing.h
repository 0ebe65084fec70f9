/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Power cuts, for tests of programs that promise to survive them: devices that record every write
 * and flush in one common order, and that can tell what could be on them had the power gone at any
 * point of it.
 *
 * 1. Record. Make a log, add the devices, run the program on their I/Os. Marks put what it has
 *    promised into the same order.
 *
 *	uds_crash_log_make(NULL, &message, &log);
 *	uds_crash_log_add(log, &device, &message, &number);
 *	uds_crash_log_open(log, number, &message, &io);
 *	...; store_flush(store); uds_crash_log_mark(log, 500, &message); ...
 *
 * 2. Sweep. Each step gives a new log whose devices hold what a cut left: open, recover and check
 *    it like any other. It records too, so that what goes on from there can be cut again.
 *
 *	uds_crash_sweep_make(log, &options, &message, &sweep);
 *	while (uds_crash_sweep_next(sweep, &state, &message, &after) > 0) {
 *		uds_crash_log_open(after, number, &message, &io);
 *		... state.mark was promised; state.text says what happened ...
 *		uds_crash_log_free(after);
 *	}
 *
 * What a device promises: what was written before a flush of that device began is there, and a
 * write with UDS_IO_FUA when it is done. Of what came later, each sector of 512 bytes holds either
 * its old bytes or those of any of the later writes, whatever their order; the variants say which.
 * A discarded range holds garbage. A resize counts as a write.
 *
 * The same log, cut, variant and seed give the same bytes, on every machine.
 *
 * This header is not part of uds.h.
 */
#ifndef UDS_TESTING_H
#define UDS_TESTING_H

#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/io.h>
#include <uds/status.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Devices and what happened to them. */
struct uds_crash_log;

/* All cuts of a log, one after the other. */
struct uds_crash_sweep;

/* The most devices of a log. */
#define UDS_CRASH_DEVICES 16

/* The unit that a device writes as a whole, and the one that a page cache does; bytes. */
#define UDS_CRASH_SECTOR 512
#define UDS_CRASH_BLOCK	 4096

/* Which of the writes after the last flush are on the device. */
enum uds_crash_variant {
	UDS_CRASH_KEEP = 0,	   /* all of them */
	UDS_CRASH_DROP = 1,	   /* none */
	UDS_CRASH_TORN = 2,	   /* all; of the last one only some first sectors */
	UDS_CRASH_ONLY_LAST = 3,   /* the last one alone: it overtook the others */
	UDS_CRASH_WRITES = 4,	   /* a coin for each write */
	UDS_CRASH_SECTORS = 5,	   /* a coin for each sector of each write */
	UDS_CRASH_BLOCKS = 6,	   /* a coin for each block of 4 KiB of each write */
	UDS_CRASH_MIXED = 7,	   /* for each device another of the above */
	UDS_CRASH_TORN_BLOCKS = 8, /* as TORN, cut between two blocks of 4 KiB */

	/*
	 * For each sector of each write its old bytes, its new ones, or garbage. A device that
	 * writes sectors as a whole never does that, and few formats survive it: a sweep has it
	 * only when it is asked for.
	 */
	UDS_CRASH_GARBAGE = 9,

	/*
	 * Each write on its own: all of it, nothing, some first sectors or blocks, or a coin for
	 * each sector or block; and the writes in any order, so that of two to the same place
	 * either may be there.
	 */
	UDS_CRASH_ANY = 10,

	/* As ANY, with garbage as one more fate of a write; only when it is asked for. */
	UDS_CRASH_ANY_GARBAGE = 11,
};

/* A device to add. */
struct uds_crash_device {
	uint64_t size; /* of this struct: set by UDS_CRASH_DEVICE_INIT */

	/*
	 * May be NULL: the device is memory alone. An I/O that stays the caller's: reads come from
	 * it, everything else is recorded and passed on. What is on it when it is added is what the
	 * device held at first. Nothing else may write to it.
	 */
	struct uds_io *base;

	/* Without base: what the device holds at first, copied; NULL: zeroes. */
	const void *bytes;

	uint64_t size_bytes; /* without base */
	/* what the device demands; a power of two. With base: at least its own */
	uint32_t block_bytes;
	uint8_t unused[4]; /* ignored */
};

#define UDS_CRASH_DEVICE_INIT                                \
	{                                                    \
		sizeof(struct uds_crash_device), 0, 0, 0, 1, \
		{                                            \
			0                                    \
		}                                            \
	}

/* Which cuts a sweep makes. */
struct uds_crash_sweep_options {
	uint64_t size; /* of this struct: set by UDS_CRASH_SWEEP_OPTIONS_INIT */

	uint64_t seed;	 /* for the coins */
	uint64_t first;	 /* the first cut: after so many events */
	uint64_t end;	 /* the last one; UINT64_MAX: after all events */
	uint64_t step;	 /* distance of cuts. One just before a mark moves behind it */
	uint32_t rounds; /* seeds for each variant that throws coins */

	/* Bits 1 << enum uds_crash_variant; 0: all but those with garbage. */
	uint32_t variants;
};

#define UDS_CRASH_SWEEP_OPTIONS_INIT                                              \
	{                                                                         \
		sizeof(struct uds_crash_sweep_options), 1, 0, UINT64_MAX, 1, 1, 0 \
	}

/* One step of a sweep. uds_crash_log_after() makes the same again from cut, variant and seed. */
struct uds_crash_state {
	uint64_t size; /* of this struct: set by UDS_CRASH_STATE_INIT */

	uint64_t cut;	  /* after so many events */
	uint64_t seed;	  /* of this state */
	uint64_t mark;	  /* the last one before the cut; 0: there is none */
	uint32_t variant; /* enum uds_crash_variant */
	char text[164];	  /* all of it, and the last event, in words */
};

#define UDS_CRASH_STATE_INIT                                \
	{                                                   \
		sizeof(struct uds_crash_state), 0, 0, 0, 0, \
		{                                           \
			0                                   \
		}                                           \
	}

/*
 * Makes an empty log.
 *
 * @env: memory, for all of the log; may be NULL.
 *
 * Returns 0, or
 *   -EINVAL, -E2BIG  the size member, or half an allocator (libuds(3), Structs)
 *   -ENOMEM
 *
 * Threads: any. Since 0.2.
 */
int uds_crash_log_make(const struct uds_env *env, struct uds_message *ret_message,
		       struct uds_crash_log **ret_log);

/*
 * Frees a log, with its devices. No I/O of it is open, and no sweep goes through it.
 *
 * @log: may be NULL.
 *
 * Threads: one. Since 0.2.
 */
void uds_crash_log_free(struct uds_crash_log *log);

/*
 * Adds a device before anything is recorded. The log keeps what it holds at first, in memory.
 *
 * @ret_number: 0 for the first one, then 1.
 *
 * Returns 0, or
 *   -EINVAL          block_bytes is no power of two, or smaller than the base's
 *   -EINVAL, -E2BIG  the size member (libuds(3), Structs)
 *   -EBUSY           something was recorded
 *   -ENOSPC          there are UDS_CRASH_DEVICES
 *   -ENOMEM
 *   -EIO, ...        what reading the base said
 *
 * Threads: one. Since 0.2.
 */
int uds_crash_log_add(struct uds_crash_log *log, const struct uds_crash_device *device,
		      struct uds_message *ret_message, uint32_t *ret_number);

/*
 * Opens a device of the log. Closing the I/O leaves the device as it is, so that it can be opened
 * again, which is no crash: everything that was written is seen. Writes fail with -ENOMEM, and
 * change nothing, when they cannot be recorded.
 *
 * Returns 0, or
 *   -EINVAL  there is no such device
 *   -ENOMEM
 *
 * Threads: any number at once, as its I/O; all I/Os of a log wait for one another. Since 0.2.
 */
int uds_crash_log_open(struct uds_crash_log *log, uint32_t number, struct uds_message *ret_message,
		       struct uds_io **ret_io);

/*
 * Gives the bytes of a device as a program sees them now.
 *
 * @ret_bytes: valid until the device is written, resized or freed.
 * @ret_size_bytes: may be NULL; how many there are.
 *
 * Returns 0, or
 *   -EINVAL  there is no such device
 *   -ENOMEM  no memory for them in one piece
 *
 * Threads: one, while no I/O of the log is used. Since 0.2.
 */
int uds_crash_log_bytes(struct uds_crash_log *log, uint32_t number, struct uds_message *ret_message,
			const uint8_t **ret_bytes, uint64_t *ret_size_bytes);

/*
 * Puts a mark into the order of events, such as a number of records that are promised from now on.
 * Values should never decrease.
 *
 * Returns 0 or -ENOMEM.
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_crash_log_mark(struct uds_crash_log *log, uint64_t value, struct uds_message *ret_message);

/*
 * Finds the last mark among the first @cut events.
 *
 * Returns its value; 0 when there is none.
 *
 * Threads: any number at once. Since 0.2.
 */
uint64_t uds_crash_log_mark_at(const struct uds_crash_log *log, uint64_t cut);

/*
 * Counts the events so far: writes, flushes, discards, resizes and marks. A write with UDS_IO_FUA
 * is two, so that a cut may come between.
 *
 * Returns the number.
 *
 * Threads: any number at once. Since 0.2.
 */
uint64_t uds_crash_log_events(const struct uds_crash_log *log);

/*
 * Makes what a cut leaves: a new log of as many devices, all in memory, with nothing recorded.
 * Going through cuts in ascending order is quick.
 *
 * @cut: after so many events.
 * @variant: enum uds_crash_variant.
 *
 * Returns 0, or
 *   -EINVAL  there are fewer events, or no such variant
 *   -ENOMEM
 *
 * Threads: one, while no I/O of the log is used. Since 0.2.
 */
int uds_crash_log_after(struct uds_crash_log *log, uint64_t cut, uint32_t variant, uint64_t seed,
			struct uds_message *ret_message, struct uds_crash_log **ret_after);

/*
 * Makes a sweep through all cuts of a log, each in all variants that make a difference there.
 *
 * @options: may be NULL.
 *
 * Returns 0, or
 *   -EINVAL          a step or rounds of 0, or unknown variants
 *   -EINVAL, -E2BIG  the size member (libuds(3), Structs)
 *   -ENOMEM
 *
 * Threads: any. Since 0.2.
 */
int uds_crash_sweep_make(struct uds_crash_log *log, const struct uds_crash_sweep_options *options,
			 struct uds_message *ret_message, struct uds_crash_sweep **ret_sweep);

/*
 * Makes the next state.
 *
 * @ret_after: what the cut left, to be freed by the caller.
 *
 * Returns 1; 0 at the end; or
 *   -EINVAL, -E2BIG  the size member of @ret_state
 *   -ENOMEM          the sweep stays where it is
 *
 * Threads: one, while no I/O of the log that is swept is used. Since 0.2.
 */
int uds_crash_sweep_next(struct uds_crash_sweep *sweep, struct uds_crash_state *ret_state,
			 struct uds_message *ret_message, struct uds_crash_log **ret_after);

/*
 * Frees a sweep; the states that it made stay.
 *
 * @sweep: may be NULL.
 *
 * Threads: one. Since 0.2.
 */
void uds_crash_sweep_free(struct uds_crash_sweep *sweep);

#ifdef __cplusplus
}
#endif

#endif
