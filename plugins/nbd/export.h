/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection to an NBD server, and what it says about its export. Nothing here knows of
 * requests; a handle of libnbd is used by one thread at a time.
 */
#ifndef NBD_EXPORT_H
#define NBD_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

#include <libnbd.h>

#include <uds/status.h>

#include "common/monotonic.h"

/* What a server says about an export when a connection is made. */
struct export_facts {
	uint64_t bytes;
	uint32_t block_bytes; /* a power of two; requests are multiples of it */
	uint32_t most_bytes;  /* of one request; a multiple of block_bytes */
	/* requests that begin and end at multiples of it cost least; 0: not said; only advice */
	uint32_t preferred_bytes;
	bool read_only;
	bool can_flush;
	bool can_fua;
	bool can_trim;
	bool can_zero;
	bool can_multi_conn; /* a flush of one connection covers all */
	bool has_extents;    /* base:allocation was agreed on */
};

/* When to stop waiting for a server. */
struct patience {
	uint64_t until_ms; /* of monotonic_ms() */
	bool (*stopped)(void *context);
	void *context;
};

/*
 * Connects, and asks for the facts.
 *
 * Returns 0; -ETIMEDOUT; -ECANCELED when it was stopped; -EPROTO where nobody gave an errno; or
 * what the system said. The sentence is libnbd's, without the URI.
 */
int export_connect(const char *uri, const struct patience *patience,
		   struct uds_message *ret_message, struct nbd_handle **ret_handle,
		   struct export_facts *ret_facts);

/*
 * Waits until a command is done, with no other thread or loop on the handle.
 *
 * Returns 0, what the server said about the command, or -ENOTCONN when the connection is lost,
 * -ETIMEDOUT, -ECANCELED.
 */
int export_wait(struct nbd_handle *handle, int64_t cookie, const struct patience *patience);

/* Says goodbye to the server, and waits a little for it to hang up; frees the handle. */
void export_disconnect(struct nbd_handle *handle);

/* Whether the connection can carry no request any more. */
bool export_is_lost(struct nbd_handle *handle);

/* What libnbd said last in this thread, as a status. */
int export_status(void);

#endif
