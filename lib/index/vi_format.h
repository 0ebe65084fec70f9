/* SPDX-License-Identifier: BSD-2-Clause */
/* The pieces of a volume index stream (uds-format, 13.6 and 6.4): what save and load agree on. */
#ifndef INDEX_VI_FORMAT_H
#define INDEX_VI_FORMAT_H

#include <stdint.h>

#include "delta/delta_code.h"
#include "index/vi_index.h"

#define VI_MAGIC_BYTES	8u
#define VI_SPARSE_MAGIC "MI6-0001"
#define VI_SUB_MAGIC	"MI5-0005"
#define VI_DELTA_MAGIC	"DI-00002"

#define VI_SPARSE_HEADER_BYTES 12u
#define VI_SUB_HEADER_BYTES    40u
#define VI_DELTA_HEADER_BYTES  40u
#define VI_LIST_HEADER_BYTES   8u
#define VI_GUARD_BYTES	       8u
#define VI_GUARD_TAG	       'z'

/* The most that a list takes behind its header: 65535 bits from bit 7 on. */
#define VI_LIST_BYTES 8199u

/* Read and written beyond that by bit readers and writers. */
#define VI_LIST_BUFFER_BYTES (VI_LIST_BYTES + 9u)

static inline uint8_t vi_sub_tag(const struct volume_index *index, unsigned int sub)
{
	if (index->subs == 1)
		return 'm';
	return sub == SUB_INDEX_HOOK ? 's' : 'd';
}

/* No list has more entries. */
static inline uint32_t vi_most_entries(const struct vi_shape *shape)
{
	return DELTA_LIST_MAX_BITS / (shape->code.min_bits + shape->code.payload_bits);
}

#endif
