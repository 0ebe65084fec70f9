/* SPDX-License-Identifier: BSD-2-Clause */
/* Deriving nonces from one another, and unique data for the first of them. */
#include "volume/nonces.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/murmur3.h"

#define PRIMARY_START UINT64_C(0xa1b1e0fc)

uint64_t nonce_primary(const uint8_t nonce_data[NONCE_DATA_BYTES])
{
	return nonce_hash(PRIMARY_START, nonce_data, NONCE_DATA_BYTES);
}

uint64_t nonce_volume(uint64_t primary, uint64_t sub_index_start)
{
	uint8_t x[16] = { 0 };
	uint64_t nonce;

	/*
	 * The start block as it was at creation. A conversion does not change the number in the
	 * table, so no page has to be rewritten for it (14.5).
	 */
	put_le64(x, sub_index_start);
	nonce = nonce_hash(primary + 1, x, sizeof(x));
	/* A page of zeros has nonce 0, and must not look like one of this index. */
	if (nonce == 0)
		nonce = nonce_hash(UINT64_C(0) - primary + 1, x, sizeof(x));
	return nonce;
}

uint64_t nonce_save(uint64_t volume_nonce, uint64_t timestamp, uint32_t version,
		    uint64_t save_start)
{
	uint8_t y[32] = { 0 };

	put_le64(y, timestamp);
	put_le32(y + 16, version);
	/*
	 * Bytes 8 to 15 and 20 to 23 stay zero; the reader has to come to the same 32 bytes (14.5).
	 */
	put_le64(y + 24, save_start);
	return nonce_hash(volume_nonce + 1, y, sizeof(y));
}

int nonce_data_make(uint64_t now_ms, uint8_t ret_nonce_data[NONCE_DATA_BYTES])
{
	uint8_t data[NONCE_DATA_BYTES];

	/* The time alone repeats where clocks do; the random bytes alone would do. */
	put_le64(data, now_ms);
	if (getentropy(data + 8, sizeof(data) - 8) != 0)
		return -errno;
	memcpy(ret_nonce_data, data, sizeof(data));
	return 0;
}
