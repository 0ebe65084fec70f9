/* SPDX-License-Identifier: BSD-2-Clause */
/* Copy on write: the old content of the origin's chunks, to the new chunks of one snapshot. */
#ifndef SNAPSHOT_COPY_OUT_H
#define SNAPSHOT_COPY_OUT_H

#include "snapshot/new_exceptions.h"

/*
 * All of these, whole, wherever the window begins and ends. Not durable before they are committed.
 */
int copy_out(struct uds_snapshot *s, const struct new_exceptions *fresh,
	     struct uds_message *message);

/* Those parts of a new chunk that the window does not cover, in whole blocks. */
int copy_out_edges(struct uds_snapshot *s, const struct write_window *w,
		   const struct uds_exception *e);

#endif
