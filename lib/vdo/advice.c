/* SPDX-License-Identifier: BSD-2-Clause */
/* What VDO stores as the data of a record: where the block with that name is. */
#include <string.h>

#include <uds/vdo.h>

#include "base/bytes.h"
#include "base/visibility.h"

#define ADVICE_VERSION	   2
#define STATE_UNCOMPRESSED 1
#define STATE_SLOT_0	   2
#define USED_BYTES	   10 /* version, state, and the number of the block */

UDS_PUBLIC int uds_vdo_decode_advice(const struct uds_record_data *data,
				     struct uds_vdo_advice *ret_advice)
{
	static const uint8_t unused[UDS_DATA_BYTES - USED_BYTES];
	const uint8_t *bytes = data->bytes;
	struct uds_vdo_advice advice = { .block = get_le64(bytes + 2) };

	if (bytes[0] != ADVICE_VERSION || bytes[1] < STATE_UNCOMPRESSED ||
	    bytes[1] >= STATE_SLOT_0 + UDS_VDO_SLOTS ||
	    memcmp(bytes + USED_BYTES, unused, sizeof(unused)) != 0)
		return UDS_ERR_CORRUPT;
	advice.compressed = bytes[1] >= STATE_SLOT_0;
	advice.slot = advice.compressed ? bytes[1] - STATE_SLOT_0 : 0;
	*ret_advice = advice;
	return 0;
}

UDS_PUBLIC void uds_vdo_encode_advice(const struct uds_vdo_advice *advice,
				      struct uds_record_data *ret_data)
{
	uint8_t *bytes = ret_data->bytes;

	memset(bytes, 0, UDS_DATA_BYTES);
	bytes[0] = ADVICE_VERSION;
	bytes[1] = (uint8_t)(advice->compressed ? STATE_SLOT_0 + advice->slot : STATE_UNCOMPRESSED);
	put_le64(bytes + 2, advice->block);
}
