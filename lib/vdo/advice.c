/* SPDX-License-Identifier: BSD-2-Clause */
/* What VDO stores as the data of a record: where the block with that name is. */
#include <string.h>

#include <uds/vdo.h>

#include "base/bytes.h"
#include "base/message.h"
#include "base/visibility.h"

#define ADVICE_VERSION	   2
#define STATE_UNCOMPRESSED 1
#define STATE_SLOT_0	   2
#define USED_BYTES	   10 /* version, state, and the number of the block */

/*
 * Everything that VDO would not write: such data is not about a block, or is of a version
 * with other fields.
 */
static int check_advice(const uint8_t *bytes, struct uds_message *ret_message)
{
	if (bytes[0] != ADVICE_VERSION)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "advice: version: expected %d, found %u", ADVICE_VERSION, bytes[0]);
	if (bytes[1] < STATE_UNCOMPRESSED || bytes[1] >= STATE_SLOT_0 + UDS_VDO_SLOTS)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "advice: mapping state: expected %d to %u, found %u",
			       STATE_UNCOMPRESSED, STATE_SLOT_0 + UDS_VDO_SLOTS - 1, bytes[1]);
	for (unsigned int i = USED_BYTES; i < UDS_DATA_BYTES; i++) {
		if (bytes[i] != 0)
			return failure(ret_message, UDS_ERR_CORRUPT,
				       "advice: byte %u: expected 0, found %u", i, bytes[i]);
	}
	return 0;
}

UDS_PUBLIC int uds_vdo_decode_advice(const struct uds_record_data *data,
				     struct uds_message *ret_message,
				     struct uds_vdo_advice *ret_advice)
{
	const uint8_t *bytes = data->bytes;
	struct uds_vdo_advice advice = { .block = get_le64(bytes + 2) };
	int r = check_advice(bytes, ret_message);

	if (r < 0)
		return r;
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
