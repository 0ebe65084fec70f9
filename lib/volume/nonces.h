/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chain of nonces (uds-format, 14.5): seed data -> primary nonce -> volume nonce -> save nonce.
 *
 * The start blocks are the numbers of the super block's region table, also where a converted
 * volume's data lie elsewhere: that is why a conversion leaves every nonce valid.
 */
#ifndef VOLUME_NONCES_H
#define VOLUME_NONCES_H

#include <stdint.h>

#define NONCE_DATA_BYTES 32u

uint64_t nonce_primary(const uint8_t nonce_data[NONCE_DATA_BYTES]);

/* The nonce in every index page and volume index save. @sub_index_start: block. */
uint64_t nonce_volume(uint64_t primary, uint64_t sub_index_start);

/* The nonce of one save. @timestamp: ms since 1970; @save_start: block of the save's region. */
uint64_t nonce_save(uint64_t volume_nonce, uint64_t timestamp, uint32_t version,
		    uint64_t save_start);

/*
 * Fills in seed data that no other index has: @now_ms and random bytes.
 * Returns 0, or what the system's source of random bytes said.
 */
int nonce_data_make(uint64_t now_ms, uint8_t ret_nonce_data[NONCE_DATA_BYTES]);

#endif
