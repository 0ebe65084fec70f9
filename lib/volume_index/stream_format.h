/* SPDX-License-Identifier: BSD-2-Clause */
/* The pieces of a volume index stream (uds-format, 13.6 and 6.4): what save and load agree on. */
#ifndef VOLUME_INDEX_STREAM_FORMAT_H
#define VOLUME_INDEX_STREAM_FORMAT_H

#include <stdint.h>

#include "delta/delta_code.h"
#include "volume_index/private.h"

#define STREAM_MAGIC_BYTES  8u
#define STREAM_SPARSE_MAGIC "MI6-0001"
#define STREAM_SUB_MAGIC    "MI5-0005"
#define STREAM_DELTA_MAGIC  "DI-00002"

#define STREAM_SPARSE_HEADER_BYTES 12u
#define STREAM_SUB_HEADER_BYTES	   40u
#define STREAM_DELTA_HEADER_BYTES  40u
#define STREAM_LIST_HEADER_BYTES   8u
#define STREAM_GUARD_BYTES	   8u
#define STREAM_GUARD_TAG	   'z'

/* The most that a list takes behind its header: 65535 bits from bit 7 on. */
#define STREAM_LIST_BYTES 8199u

/* Read and written beyond that by bit readers and writers. */
#define STREAM_LIST_BUFFER_BYTES (STREAM_LIST_BYTES + 9u)

static inline uint8_t sub_index_tag(const struct volume_index *index, unsigned int sub)
{
	if (index->subs == 1)
		return 'm';
	return sub == SUB_INDEX_HOOK ? 's' : 'd';
}

static inline const char *sub_index_name(const struct volume_index *index, unsigned int sub)
{
	if (index->subs == 1)
		return "dense sub-index";
	return sub == SUB_INDEX_HOOK ? "hook sub-index" : "non-hook sub-index";
}

#endif
