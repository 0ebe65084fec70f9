/* SPDX-License-Identifier: BSD-2-Clause */
/* The exception store as one kind of chunk store. */
#ifndef EXCEPTIONS_PERSISTENT_H
#define EXCEPTIONS_PERSISTENT_H

#include "exceptions/chunk_store.h"

extern const struct chunk_store_ops persistent_store_ops;

#endif
