/* SPDX-License-Identifier: BSD-2-Clause */
/* A VDO volume on standard output and in JSON. */
#include "vdo_show.h"

#include <stdio.h>

#include "output.h"

/* As dmsetup and vdoformat show it. */
static void format_uuid(const uint8_t *uuid, char ret_text[37])
{
	char *to = ret_text;

	for (unsigned int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*to++ = '-';
		format_hex(uuid + i, 1, to);
		to += 2;
	}
}

static const char *state_sentence(const struct uds_vdo_info *info)
{
	if (info->in_use)
		return "the volume is in use, so what is read of it may be of several moments";
	switch (info->state) {
	case UDS_VDO_DIRTY:
		return "it runs, or was not stopped; what is read of it may be of several moments";
	case UDS_VDO_NEW:
		return "it was formatted, and never started";
	case UDS_VDO_CLEAN:
		return "it was stopped";
	case UDS_VDO_READ_ONLY_MODE:
		return "it met an error, and can only be read until it is rebuilt";
	default:
		return "it is not in order until it has been started and stopped";
	}
}

void print_vdo(const struct uds_vdo_info *info)
{
	char uuid[37];

	format_uuid(info->uuid, uuid);
	printf("  volume         %s: %s\n", uds_vdo_state_name(info->state), state_sentence(info));
	printf("  format         geometry version %u, at byte 0; super block at byte %llu\n",
	       info->geometry_version,
	       (unsigned long long)(info->index_offset + info->index_region_bytes));
	printf("  uuid           %s\n", uuid);
	printf("  nonce          %llu\n", (unsigned long long)info->nonce);
	printf("  physical size  %s (%llu blocks of 4096 bytes)\n",
	       size_text(info->physical_blocks * UDS_VDO_BLOCK_BYTES).text,
	       (unsigned long long)info->physical_blocks);
	printf("  logical size   %s, %llu blocks in use\n",
	       size_text(info->logical_blocks * UDS_VDO_BLOCK_BYTES).text,
	       (unsigned long long)info->logical_blocks_used);
	printf("  slabs          %llu, with %llu data blocks each, from block %llu on\n",
	       (unsigned long long)info->slab_count, (unsigned long long)info->slab_data_blocks,
	       (unsigned long long)info->first_slab_block);
	printf("  index made for %s of memory, %s, %s from byte %llu on\n",
	       size_text(info->index_memory_bytes).text, info->index_is_sparse ? "sparse" : "dense",
	       size_text(info->index_region_bytes).text, (unsigned long long)info->index_offset);
}

json_t *vdo_object(const struct uds_vdo_info *info)
{
	json_t *o = json_object();
	char uuid[37];

	format_uuid(info->uuid, uuid);
	json_object_set_new(o, "state", json_string(uds_vdo_state_name(info->state)));
	json_object_set_new(o, "in_use", json_boolean(info->in_use));
	json_object_set_new(o, "geometry_version", json_integer(info->geometry_version));
	json_object_set_new(o, "uuid", json_string(uuid));
	json_object_set_new(o, "nonce", json_unsigned(info->nonce));
	json_object_set_new(o, "physical_blocks", json_unsigned(info->physical_blocks));
	json_object_set_new(o, "logical_blocks", json_unsigned(info->logical_blocks));
	json_object_set_new(o, "logical_blocks_used", json_unsigned(info->logical_blocks_used));
	json_object_set_new(o, "slab_count", json_unsigned(info->slab_count));
	json_object_set_new(o, "slab_blocks", json_unsigned(info->slab_blocks));
	json_object_set_new(o, "slab_data_blocks", json_unsigned(info->slab_data_blocks));
	json_object_set_new(o, "first_slab_block", json_unsigned(info->first_slab_block));
	json_object_set_new(o, "index_offset", json_unsigned(info->index_offset));
	json_object_set_new(o, "index_region_bytes", json_unsigned(info->index_region_bytes));
	json_object_set_new(o, "index_memory_bytes", json_unsigned(info->index_memory_bytes));
	json_object_set_new(o, "index_sparse", json_boolean(info->index_is_sparse));
	return o;
}
