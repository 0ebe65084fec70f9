/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading a metadata area: a sector of header, and a ring of text behind it. */
#include "lvm/metadata_area.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "base/env.h"
#include "base/message.h"
#include "io/bytes_io.h"

#define MAGIC	      " LVM2 x[5A%r0N*>"
#define MAGIC_BYTES   16
#define MAGIC_AT      4u
#define VERSION_AT    20u
#define START_AT      24u
#define SIZE_AT	      32u
#define LOCATION_AT   40u /* the first: of the text that is valid */
#define IGNORED_FLAG  1u
#define KNOWN_VERSION 1u

/* Where the text is. */
struct location {
	uint64_t offset, size;
	uint32_t checksum, flags;
};

static int check_header(const uint8_t *header, const struct lvm_area *area,
			struct uds_message *message)
{
	uint32_t found = get_le32(header);
	uint32_t sum = lvm_checksum(header + MAGIC_AT, LVM_SECTOR - MAGIC_AT);
	char magic[PRINTABLE_BYTES(MAGIC_BYTES)];

	/*
	 * The magic first, so that an area that was never written is not called one with a wrong
	 * checksum.
	 */
	if (memcmp(header + MAGIC_AT, MAGIC, MAGIC_BYTES) != 0)
		return failure(message, UDS_ERR_CORRUPT, "header: magic: expected '%s', found '%s'",
			       MAGIC, printable_bytes(header + MAGIC_AT, MAGIC_BYTES, magic));
	if (found != sum)
		return failure(message, UDS_ERR_CORRUPT,
			       "header: checksum: expected 0x%08" PRIx32 ", found 0x%08" PRIx32,
			       sum, found);
	if (get_le32(header + VERSION_AT) != KNOWN_VERSION)
		return failure(message, UDS_ERR_UNSUPPORTED_VERSION,
			       "header: version: expected %u, found %" PRIu32, KNOWN_VERSION,
			       get_le32(header + VERSION_AT));
	/*
	 * What the label says is known to be right, and a header of another place or size is one
	 * of an earlier use.
	 */
	if (get_le64(header + START_AT) != area->offset)
		return failure(message, UDS_ERR_CORRUPT,
			       "header: start: expected byte %" PRIu64 ", found %" PRIu64,
			       area->offset, get_le64(header + START_AT));
	if (get_le64(header + SIZE_AT) != area->size)
		return failure(message, UDS_ERR_CORRUPT,
			       "header: size: expected %" PRIu64
			       ", which the label has, found %" PRIu64,
			       area->size, get_le64(header + SIZE_AT));
	return 0;
}

static int check_location(const struct location *at, const struct lvm_area *area,
			  struct uds_message *message)
{
	/* Behind the header; the text may begin anywhere in the ring, and go on at its start. */
	if (at->offset < LVM_SECTOR || at->offset >= area->size)
		return failure(message, UDS_ERR_CORRUPT,
			       "place of the text: expected byte 512 to %" PRIu64
			       " of the area, found %" PRIu64,
			       area->size - 1, at->offset);
	/* The second limit is ours: it bounds the memory that a device can ask for. */
	if (at->size > area->size - LVM_SECTOR || at->size > LVM_TEXT_MAX)
		return failure(message, UDS_ERR_CORRUPT,
			       "size of the text: expected at most %" PRIu64 ", found %" PRIu64,
			       area->size - LVM_SECTOR < LVM_TEXT_MAX ? area->size - LVM_SECTOR
								      : LVM_TEXT_MAX,
			       at->size);
	return 0;
}

static int read_text(struct uds_io *io, const struct uds_env *env, const struct lvm_area *area,
		     const struct location *at, char *bytes, struct uds_message *message)
{
	uint64_t first = area->size - at->offset;
	uint32_t sum;
	int r;

	if (first > at->size)
		first = at->size;
	r = bytes_read(io, env, bytes, (size_t)first, area->offset + at->offset, message);
	/* The ring goes on behind the header. */
	if (r == 0 && first < at->size)
		r = bytes_read(io, env, bytes + first, (size_t)(at->size - first),
			       area->offset + LVM_SECTOR, message);
	if (r < 0)
		return r;
	/* What does not match was torn, or overwritten since the header was read. */
	sum = lvm_checksum((const uint8_t *)bytes, (size_t)at->size);
	if (sum != at->checksum)
		return failure(message, UDS_ERR_CORRUPT,
			       "text at byte %" PRIu64 " of the area: checksum: expected "
			       "0x%08" PRIx32 ", found 0x%08" PRIx32,
			       at->offset, at->checksum, sum);
	return 0;
}

/* The location of the text; its size is 0 when there is none. */
static int read_header(struct uds_io *io, const struct uds_env *env, uint64_t device_bytes,
		       const struct lvm_area *area, struct location *ret_at,
		       struct uds_message *message)
{
	uint8_t header[512];
	int r;

	if (area->size < 2 * LVM_SECTOR)
		return failure(message, UDS_ERR_CORRUPT,
			       "size: expected at least %" PRIu64 " bytes, found %" PRIu64,
			       2 * LVM_SECTOR, area->size);
	/* By subtraction: the numbers come from the device, and their sum may wrap. */
	if (area->offset > device_bytes || area->size > device_bytes - area->offset)
		return failure(message, UDS_ERR_CORRUPT,
			       "expected to end by byte %" PRIu64 ", the end of the device, found "
			       "%" PRIu64 " bytes from %" PRIu64 " on",
			       device_bytes, area->size, area->offset);
	r = bytes_read(io, env, header, sizeof(header), area->offset, message);
	if (r == 0)
		r = check_header(header, area, message);
	if (r < 0)
		return r;
	ret_at->offset = get_le64(header + LOCATION_AT);
	ret_at->size = get_le64(header + LOCATION_AT + 8);
	ret_at->checksum = get_le32(header + LOCATION_AT + 16);
	ret_at->flags = get_le32(header + LOCATION_AT + 20);
	/* LVM keeps no metadata in such an area: what is there is old. */
	if ((ret_at->flags & IGNORED_FLAG) != 0)
		ret_at->size = 0;
	return ret_at->size == 0 ? 0 : check_location(ret_at, area, message);
}

int lvm_area_read(struct uds_io *io, const struct uds_env *env, uint64_t device_bytes,
		  const struct lvm_area *area, struct lvm_text *ret_text,
		  struct uds_message *message)
{
	struct lvm_text text = { .length = 0 };
	struct location at = { .size = 0 };
	int r = read_header(io, env, device_bytes, area, &at, message);

	if (r == 0 && at.size > 0) {
		text.length = (size_t)at.size;
		text.checksum = at.checksum;
		text.bytes = env_allocate(env, at.size + 1, 1);
		if (text.bytes == NULL)
			r = failure(message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
		else
			r = read_text(io, env, area, &at, text.bytes, message);
	}
	if (r < 0) {
		env_release(env, text.bytes);
		return failure_in(message, r, "metadata area (byte %" PRIu64 ")", area->offset);
	}
	if (text.bytes != NULL)
		text.bytes[text.length] = '\0';
	*ret_text = text;
	return 0;
}
