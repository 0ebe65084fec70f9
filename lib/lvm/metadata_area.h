/* SPDX-License-Identifier: BSD-2-Clause */
/* A metadata area of a physical volume: its header, and the text that it says is valid. */
#ifndef LVM_METADATA_AREA_H
#define LVM_METADATA_AREA_H

#include <uds/env.h>
#include <uds/io.h>

#include "lvm/label.h"

/* The longest text that is read; groups with ten thousand volumes have a few MiB. */
#define LVM_TEXT_MAX (UINT64_C(16) << 20)

struct lvm_text {
	char *bytes; /* released by the caller; NULL: the area has no text */
	size_t length;
	uint32_t checksum;
};

/*
 * Reads the committed text of an area, checks its checksum, and puts it together where it goes
 * around the end.
 *
 * @device_bytes: the size of @io.
 * @ret_text: a zero byte is behind the text.
 *
 * Returns 0, UDS_ERR_CORRUPT, UDS_ERR_UNSUPPORTED_VERSION, -ENOMEM, or what the I/O said.
 */
int lvm_area_read(struct uds_io *io, const struct uds_env *env, uint64_t device_bytes,
		  const struct lvm_area *area, struct lvm_text *ret_text,
		  struct uds_message *message);

#endif
