/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The config block: the configuration as the index keeps it (uds-format, 14.6).
 *
 * Pure functions over one block of memory. Any thread.
 */
#ifndef VOLUME_CONFIG_BLOCK_H
#define VOLUME_CONFIG_BLOCK_H

#include <stdint.h>

#include <uds/geometry.h>
#include <uds/status.h>

#include "volume/region_table.h"

/* Versions as numbers: 602 is "06.02". */
#define CONFIG_VERSION_PLAIN	 602u
#define CONFIG_VERSION_CONVERTED 802u

/*
 * Reads the block. The values are not compared with the limits of the format: geometry_make() does
 * that.
 *
 * @ret_message: says what is wrong, without the name of the place.
 *
 * Returns 0, or
 *   UDS_ERR_CORRUPT              no config block: another magic
 *   UDS_ERR_UNSUPPORTED_VERSION  another version; the message has it
 */
int config_block_decode(const uint8_t block[BLOCK_BYTES], uint32_t *ret_version,
			struct uds_configuration *ret_configuration,
			struct uds_message *ret_message);

/* Fills the whole block. */
void config_block_encode(const struct uds_configuration *configuration, uint32_t version,
			 uint8_t block[BLOCK_BYTES]);

#endif
