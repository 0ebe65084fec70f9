/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The store of throw-away snapshots: exceptions in memory, nothing but data on the COW device, from
 * chunk 0 on. Thread-safe.
 */
#ifndef EXCEPTIONS_TRANSIENT_H
#define EXCEPTIONS_TRANSIENT_H

#include <uds/exception_store.h>

#include "exceptions/exception_map.h"

struct transient_store;

int transient_make(struct uds_io *cow, const struct uds_env *env, uint64_t chunk_bytes,
		   struct transient_store **ret_store);
void transient_free(struct transient_store *store);

bool transient_find(struct transient_store *store, uint64_t old_chunk, struct map_run *ret_run);
bool transient_next(struct transient_store *store, uint64_t old_chunk, struct map_run *ret_run);

/* 0 or -ENOSPC. */
int transient_prepare(struct transient_store *store, uint64_t old_chunk,
		      struct uds_exception *ret_exception);

/* 0 or -ENOMEM: then none of them is there. */
int transient_commit(struct transient_store *store, const struct uds_exception *exceptions,
		     size_t count);

struct transient_figures {
	uint64_t exceptions;
	uint64_t next_free;
	uint64_t device_bytes;
	uint64_t device_chunks;
};

void transient_get_figures(struct transient_store *store, struct transient_figures *ret_figures);

#endif
