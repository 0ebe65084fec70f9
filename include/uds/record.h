/* SPDX-License-Identifier: BSD-2-Clause */
/* What an index stores: 16 bytes of name, 16 bytes of data, both opaque. */
#ifndef UDS_RECORD_H
#define UDS_RECORD_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define UDS_NAME_BYTES	 16
#define UDS_DATA_BYTES	 16
#define UDS_RECORD_BYTES 32

/* A hash of a block. Names must be uniformly distributed over all 128 bits. */
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

/*
 * Computes the name that dm-vdo gives a block: its MurmurHash3 x64 128 (uds-format, 3.1). A program
 * may use any other good 128-bit hash. It must be cryptographic if an attacker can choose the
 * blocks and the program takes equal names for equal blocks.
 *
 * @block, @length: bytes, 0 or more; dm-vdo's blocks have 4096.
 *
 * Threads: any. Since 0.1.
 */
void uds_record_name_of_block(const void *block, size_t length, struct uds_record_name *ret_name);

#ifdef __cplusplus
}
#endif

#endif
