/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The store of throw-away snapshots: exceptions in memory, nothing but data on the COW device, from
 * chunk 0 on.
 */
#ifndef EXCEPTIONS_TRANSIENT_H
#define EXCEPTIONS_TRANSIENT_H

#include "exceptions/chunk_store.h"

extern const struct chunk_store_ops transient_store_ops;

#endif
