/* SPDX-License-Identifier: BSD-2-Clause */
/* What cannot be read of a snapshot: said on standard error, and listed for the document. */
#ifndef TOOLS_SNAPSHOT_MISSING_H
#define TOOLS_SNAPSHOT_MISSING_H

#include <jansson.h>

#include "snapshot_target.h"

/* Ranges that touch are one. */
struct missing {
	struct snapshot_target *target;
	json_t *list;
	uint64_t offset, length; /* of the last one, which is not told yet; length 0: none */
	uint64_t total;
	struct uds_message sentence;
};

/* A uds_snapshot_loss_fn for them. Not 0: interrupted. */
int take_missing(void *missing, const struct uds_snapshot_loss *loss);

/* Tells the last range. */
void tell_missing(struct missing *missing);

/*
 * Says when the list of exceptions is known only in part, and sets "list_unknown_from" of @o (which
 * may be NULL): the entry, or null. Returns EXIT_GOOD when all is known, else EXIT_DAMAGE.
 */
int tell_unknown_list(const struct snapshot_target *target, json_t *o);

#endif
