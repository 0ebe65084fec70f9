/* SPDX-License-Identifier: BSD-2-Clause */
/* What an index stores: 16 bytes of name, 16 bytes of data, both opaque. */
#ifndef UDS_RECORD_H
#define UDS_RECORD_H

#include <stdint.h>

#define UDS_NAME_BYTES	 16
#define UDS_DATA_BYTES	 16
#define UDS_RECORD_BYTES 32

/* A hash of a block: the index relies on names being evenly spread over all 128 bits. */
struct uds_record_name {
	uint8_t bytes[UDS_NAME_BYTES];
};

struct uds_record_data {
	uint8_t bytes[UDS_DATA_BYTES];
};

/* A record as record pages and saved chapters store it. */
struct uds_record {
	struct uds_record_name name;
	struct uds_record_data data;
};

#endif
