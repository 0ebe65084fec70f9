/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of data blocks as dm-vdo computes them. */
#include <uds/record.h>

#include "base/murmur3.h"
#include "base/visibility.h"

UDS_PUBLIC void uds_record_name_of_block(const void *block, size_t length,
					 struct uds_record_name *ret_name)
{
	murmur3_128(block, length, MURMUR3_BLOCK_SEED, ret_name->bytes);
}
