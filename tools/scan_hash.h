/* SPDX-License-Identifier: BSD-2-Clause */
/* Names of blocks as dm-vdo makes them: MurmurHash3 x64 128 of the block's bytes. */
#ifndef TOOLS_SCAN_HASH_H
#define TOOLS_SCAN_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/record.h>

/* @length: a multiple of 16. */
void hash_block(const uint8_t *block, size_t length, struct uds_record_name *ret_name);

/*
 * Two blocks of one length at once. The hash is one long chain of operations that wait for each
 * other; two chains side by side keep the processor busy.
 */
void hash_two_blocks(const uint8_t *one, const uint8_t *other, size_t length,
		     struct uds_record_name *ret_one, struct uds_record_name *ret_other);

/* Whether all bytes are zero. @length: a multiple of 16. */
bool is_zero_block(const uint8_t *block, size_t length);

#endif
