/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies many pieces between two I/Os, many in flight: reads and writes go through one engine.
 *
 * A copier is used by one thread at a time. It has no order between its transfers, so no two pieces
 * of one call may overlap on the target, unless they have the same bytes.
 */
#ifndef IO_COPIER_H
#define IO_COPIER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/engine.h>
#include <uds/io.h>

struct copier;

struct copy_piece {
	uint64_t from; /* bytes, aligned for the source */
	uint64_t to;   /* bytes, aligned for the target */
	uint64_t length;
};

/* Called now and then; not 0: stop, and return UDS_ERR_STOPPED when what is in flight is done. */
typedef int (*copier_tick_fn)(void *context);

struct copy_job {
	const struct copy_piece *pieces;
	size_t count;

	/*
	 * Not 0: compare in units of so many bytes, and leave out what is equal on the target. What
	 * cannot be read there is written.
	 */
	uint64_t skip_equal_unit;

	copier_tick_fn tick; /* may be NULL */
	void *tick_context;

	uint64_t copied_bytes; /* out */
	uint64_t equal_units;  /* out */
};

/*
 * @depth: how many transfers of each I/O are in flight; @slot_bytes: the longest of them.
 * @share: the engine whose threads are used; NULL: its own.
 */
int copier_open(struct uds_io *from, struct uds_io *to, const struct uds_env *env,
		unsigned int depth, uint64_t slot_bytes, struct uds_io_engine *share,
		struct copier **ret_copier);

void copier_close(struct copier *copier);

/* 0, UDS_ERR_STOPPED, or the first error, with nothing in flight any more in any case. */
int copier_run(struct copier *copier, struct copy_job *job, struct uds_message *message);

#endif
