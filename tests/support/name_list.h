/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a name belongs in a volume index, by the formulas of uds-format, 13.1. */
#ifndef TESTS_NAME_LIST_H
#define TESTS_NAME_LIST_H

#include "geometry/name_bits.h"

/* Key and list of a name in a sub-index of the volume index. */
static inline uint32_t name_address(const struct volume_index_parameters *parameters,
				    const struct uds_record_name *name)
{
	return (uint32_t)(name_volume_index_bits(name) &
			  ((UINT64_C(1) << parameters->address_bits) - 1));
}

static inline uint32_t name_list(const struct volume_index_parameters *parameters,
				 const struct uds_record_name *name)
{
	return (uint32_t)((name_volume_index_bits(name) >> parameters->address_bits) %
			  parameters->list_count);
}

#endif
