/* SPDX-License-Identifier: BSD-2-Clause */
/* The config block, to and from bytes. */
#include "volume/config_block.h"

#include <string.h>

#include "base/bytes.h"
#include "base/message.h"

#define CONFIG_MAGIC  "ALBIC"
#define MAGIC_BYTES   5u
#define VERSION_BYTES 5u

static int decode_version(const uint8_t *bytes, uint32_t *ret_version,
			  struct uds_message *ret_message)
{
	char text[PRINTABLE_BYTES(VERSION_BYTES)];

	/* Only these two are known; a number in between tells nothing of the layout. */
	if (memcmp(bytes, "06.02", VERSION_BYTES) == 0) {
		*ret_version = CONFIG_VERSION_PLAIN;
		return 0;
	}
	if (memcmp(bytes, "08.02", VERSION_BYTES) == 0) {
		*ret_version = CONFIG_VERSION_CONVERTED;
		return 0;
	}
	return failure(ret_message, UDS_ERR_UNSUPPORTED_VERSION,
		       "version: expected 06.02 or 08.02, found \"%s\"",
		       printable_bytes(bytes, VERSION_BYTES, text));
}

int config_block_decode(const uint8_t block[BLOCK_BYTES], uint32_t *ret_version,
			struct uds_configuration *ret_configuration,
			struct uds_message *ret_message)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	char text[PRINTABLE_BYTES(MAGIC_BYTES)];
	uint32_t version = 0;
	int r;

	if (memcmp(block, CONFIG_MAGIC, MAGIC_BYTES) != 0)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "magic: expected \"" CONFIG_MAGIC "\", found \"%s\"",
			       printable_bytes(block, MAGIC_BYTES, text));
	r = decode_version(block + MAGIC_BYTES, &version, ret_message);
	if (r < 0)
		return r;
	/*
	 * Only taken from the bytes here; geometry_make() checks every value against its limits
	 * (4.2). The field at 26 is unused and ignored, as the format says (14.6).
	 */
	configuration.record_pages_per_chapter = get_le32(block + 10);
	configuration.chapters_per_volume = get_le32(block + 14);
	configuration.sparse_chapters_per_volume = get_le32(block + 18);
	configuration.cache_chapters = get_le32(block + 22);
	configuration.volume_index_mean_delta = get_le32(block + 30);
	configuration.page_bytes = get_le32(block + 34);
	configuration.sparse_sample_rate = get_le32(block + 38);
	configuration.nonce = get_le64(block + 42);
	/* In 06.02 both are 0, whatever lies here (14.6). */
	if (version == CONFIG_VERSION_CONVERTED) {
		configuration.remapped_virtual = get_le64(block + 50);
		configuration.remapped_physical = get_le64(block + 58);
	}
	*ret_version = version;
	*ret_configuration = configuration;
	return 0;
}

void config_block_encode(const struct uds_configuration *configuration, uint32_t version,
			 uint8_t block[BLOCK_BYTES])
{
	memset(block, 0, BLOCK_BYTES);
	memcpy(block, CONFIG_MAGIC, MAGIC_BYTES);
	memcpy(block + MAGIC_BYTES, version == CONFIG_VERSION_CONVERTED ? "08.02" : "06.02",
	       VERSION_BYTES);
	put_le32(block + 10, configuration->record_pages_per_chapter);
	put_le32(block + 14, configuration->chapters_per_volume);
	put_le32(block + 18, configuration->sparse_chapters_per_volume);
	put_le32(block + 22, configuration->cache_chapters);
	put_le32(block + 30, configuration->volume_index_mean_delta);
	put_le32(block + 34, configuration->page_bytes);
	put_le32(block + 38, configuration->sparse_sample_rate);
	put_le64(block + 42, configuration->nonce);
	/* Left zero in 06.02, which has no such fields. */
	if (version == CONFIG_VERSION_CONVERTED) {
		put_le64(block + 50, configuration->remapped_virtual);
		put_le64(block + 58, configuration->remapped_physical);
	}
}
