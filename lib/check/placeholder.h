/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The record of a chapter of which nothing is left, in an index without any other record: a repair
 * writes it, as no chapter can be empty. It was never stored, but a rebuild of the volume index
 * enters it as any other.
 */
#ifndef CHECK_PLACEHOLDER_H
#define CHECK_PLACEHOLDER_H

#include <stdbool.h>
#include <string.h>

#include "index/index.h"

/* Its name is one that no hash gives, and it has no data. */
static inline void placeholder_make(const struct uds_index *index, struct uds_record *ret_record)
{
	memset(ret_record, 0, sizeof(*ret_record));
	memcpy(&ret_record->name, index->layout.super.nonce_data, sizeof(ret_record->name));
}

static inline bool is_placeholder(const struct uds_index *index, const uint8_t *record)
{
	struct uds_record placeholder;

	if (memcmp(record, index->layout.super.nonce_data, sizeof(placeholder.name)) != 0)
		return false;
	placeholder_make(index, &placeholder);
	return memcmp(record, &placeholder, UDS_RECORD_BYTES) == 0;
}

#endif
