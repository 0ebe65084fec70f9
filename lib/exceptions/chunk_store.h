/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A store as a snapshot sees it: which old chunks have a new one, and the making of more. Each kind
 * of store is a file with one table of operations, and a line in the list of store_kinds.c.
 *
 *	persistent.c  the exception store, in the format of uds-cow(5)
 *	transient.c   exceptions in memory, for throw-away snapshots
 *
 * A store is open when a snapshot has it, and is used by any number of threads; only close has it
 * alone. An operation that can fail leaves its sentence in @message, and changes nothing when it
 * fails unless it says so.
 */
#ifndef EXCEPTIONS_CHUNK_STORE_H
#define EXCEPTIONS_CHUNK_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/exception_store.h>

#include "exceptions/exception_map.h"

/* The first member of each kind's struct. */
struct chunk_store {
	const struct chunk_store_ops *ops;
	uint64_t chunk_bytes;
};

/* What a snapshot was opened with, as far as it concerns the store. */
struct chunk_store_options {
	struct uds_exception_store_options persistent;
	uint64_t transient_chunk_bytes; /* not 0: a transient store, with chunks of this size */
};

struct chunk_store_ops {
	/* Whether the options ask for this kind; the first in the list that says so is taken. */
	bool (*wanted)(const struct chunk_store_options *options);

	int (*open)(struct uds_io *cow, const struct chunk_store_options *options,
		    struct uds_message *message, struct chunk_store **ret_store);
	int (*close)(struct chunk_store *store);

	/* As map_find() and map_next() of the exceptions that are committed. */
	bool (*find)(struct chunk_store *store, uint64_t old_chunk, struct map_run *ret_run);
	bool (*next)(struct chunk_store *store, uint64_t old_chunk, struct map_run *ret_run);

	/*
	 * As uds_exception_store_prepare() and _commit(). UDS_ERR_NO_ROOM and
	 * UDS_ERR_INVALID_SNAPSHOT are never what an I/O said.
	 */
	int (*prepare)(struct chunk_store *store, uint64_t old_chunk,
		       struct uds_exception *ret_exception, struct uds_message *message);
	int (*commit)(struct chunk_store *store, const struct uds_exception *exceptions,
		      size_t count, struct uds_message *message);
	void (*abandon)(struct chunk_store *store, const struct uds_exception *exceptions,
			size_t count);

	/*
	 * The last guard before data goes to the COW device: whether the chunks [new_chunk,
	 * new_chunk + count) lie on it and hold no metadata. Every new chunk has been chosen by the
	 * store or checked when it was read; this looks once more, because data in the place of
	 * metadata destroys the snapshot. Returns 0, UDS_ERR_CORRUPT, or what asking for the
	 * device's size said.
	 */
	int (*check_target)(struct chunk_store *store, uint64_t new_chunk, uint64_t count,
			    struct uds_message *message);

	/*
	 * What of the COW device can be read as data: @ret_chunks, how many chunks from
	 * @new_chunk on come before the next place of metadata (0: it is one), and @ret_end,
	 * where the device ends.
	 */
	void (*get_data)(struct chunk_store *store, uint64_t new_chunk, uint64_t *ret_chunks,
			 uint64_t *ret_end);

	/*
	 * UDS_ERR_CORRUPT when entries contradict the format, so that no data is written
	 * for the snapshot.
	 */
	int (*check_damage)(struct chunk_store *store, struct uds_message *message);

	/* Repairs what a failed write left: before data is written in place, or past the list. */
	int (*settle)(struct chunk_store *store, struct uds_message *message);

	/* Flushes the COW device; reports an earlier flush of its own that failed, once. */
	int (*flush)(struct chunk_store *store, struct uds_message *message);

	/* Marks it invalid, durably. */
	int (*invalidate)(struct chunk_store *store, struct uds_message *message);

	/* What the kind does not know stays as it is. */
	void (*get_status)(struct chunk_store *store,
			   struct uds_exception_store_status *ret_status);

	/*
	 * The list that can be walked and merged; NULL: this kind has none, and is
	 * gone when closed.
	 */
	struct uds_exception_store *(*get_list)(struct chunk_store *store);
};

#endif
