/* SPDX-License-Identifier: BSD-2-Clause */
/* The list of kinds: a new one is added here, before the one that takes what is left. */
#include "exceptions/store_kinds.h"

#include "exceptions/persistent.h"
#include "exceptions/transient.h"

static const struct chunk_store_ops *const kinds[] = {
	&transient_store_ops,
	&persistent_store_ops,
};

int store_kinds_open(struct uds_io *cow, const struct chunk_store_options *options,
		     struct uds_message *message, struct chunk_store **ret_store)
{
	size_t i = 0;

	/* The last kind takes everything. */
	while (i + 1 < sizeof(kinds) / sizeof(kinds[0]) && !kinds[i]->wanted(options))
		i++;
	return kinds[i]->open(cow, options, message, ret_store);
}
