/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The label of an LVM physical volume, and the header of the volume behind it. Pure
 * functions, any thread.
 */
#ifndef LVM_LABEL_H
#define LVM_LABEL_H

#include <stddef.h>
#include <stdint.h>

#include <uds/status.h>

#define LVM_SECTOR	  UINT64_C(512)
#define LVM_LABEL_SECTORS 4u /* the label is in one of so many */
#define LVM_AREAS_MAX	  4u /* LVM makes one or two */
#define LVM_UUID_BYTES	  40 /* 32 characters, six hyphens, a zero */

struct lvm_area {
	uint64_t offset, size; /* bytes */
};

struct lvm_label {
	char uuid[LVM_UUID_BYTES]; /* as LVM shows it, with hyphens */
	uint64_t device_bytes;
	uint64_t data_offset; /* bytes; where extents may begin */
	struct lvm_area areas[LVM_AREAS_MAX];
	size_t area_count;
};

/*
 * Reads the label among the first LVM_LABEL_SECTORS sectors of a device.
 *
 * Returns 0; -EINVAL when there is none; UDS_ERR_CORRUPT for one that is damaged.
 */
int lvm_label_decode(const uint8_t *sectors, struct lvm_label *ret_label,
		     struct uds_message *message);

/* LVM's checksum: CRC-32 that begins elsewhere than zlib's, and is not inverted. */
uint32_t lvm_checksum(const uint8_t *bytes, size_t length);

#endif
