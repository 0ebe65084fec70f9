/* SPDX-License-Identifier: BSD-2-Clause */
/* All kinds of store, and which one a snapshot gets. */
#ifndef EXCEPTIONS_STORE_KINDS_H
#define EXCEPTIONS_STORE_KINDS_H

#include "exceptions/chunk_store.h"

/* Opens a store of the kind that the options ask for. */
int store_kinds_open(struct uds_io *cow, const struct chunk_store_options *options,
		     struct uds_message *message, struct chunk_store **ret_store);

#endif
