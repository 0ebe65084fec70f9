/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading the label and the header of a physical volume. */
#include "lvm/label.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc32.h"
#include "base/message.h"

#define MAGIC	       "LABELONE"
#define TYPE	       "LVM2 001"
#define MAGIC_BYTES    8
#define SUM_AT	       16u
#define SUM_FROM       20u /* the checksum covers what follows it */
#define HEADER_AT      20u
#define TYPE_AT	       24u
#define LABEL_BYTES    32u
#define UUID_CHARS     32u
#define HEADER_BYTES   40u /* without the lists of areas */
#define PAIR_BYTES     16u
#define CHECKSUM_START UINT32_C(0xf597a6cf)

uint32_t lvm_checksum(const uint8_t *bytes, size_t length)
{
	/* zlib inverts at both ends, LVM at none. */
	return ~crc32_add(~CHECKSUM_START, bytes, length);
}

/* The first sector with the magic, or LVM_LABEL_SECTORS. */
static unsigned int find_label(const uint8_t *sectors)
{
	unsigned int i = 0;

	/*
	 * Any of the four may have it, and the first one counts, also if it is damaged: a later
	 * one would be what is left of an earlier use.
	 */
	while (i < LVM_LABEL_SECTORS && memcmp(sectors + i * LVM_SECTOR, MAGIC, MAGIC_BYTES) != 0)
		i++;
	return i;
}

static bool is_uuid_character(uint8_t c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       c == '!' || c == '#';
}

/* 6-4-4-4-4-4-6, as the text of the group has it. */
static int decode_uuid(const uint8_t *from, char *to, struct uds_message *message)
{
	char found[PRINTABLE_BYTES(UUID_CHARS)];

	for (unsigned int i = 0; i < UUID_CHARS; i++) {
		if (!is_uuid_character(from[i]))
			return failure(message, UDS_ERR_CORRUPT,
				       "header: uuid: expected letters, digits, ! and #, found "
				       "'%s'",
				       printable_bytes(from, UUID_CHARS, found));
		/* A hyphen before each group but the first. */
		if (i >= 6 && i <= 26 && (i - 6) % 4 == 0)
			*to++ = '-';
		*to++ = (char)from[i];
	}
	*to = '\0';
	return 0;
}

/* A list of (offset, size) pairs, which a pair of zeroes ends. */
static int decode_list(const uint8_t **at, const uint8_t *end, const char *what,
		       struct lvm_area *areas, size_t *ret_count, struct uds_message *message)
{
	size_t count = 0;

	for (;; *at += PAIR_BYTES, count++) {
		struct lvm_area area;

		/*
		 * The pairs that end the lists are in the same sector as the header, which the
		 * checksum covers.
		 */
		if (end - *at < (ptrdiff_t)PAIR_BYTES)
			return failure(message, UDS_ERR_CORRUPT,
				       "header: list of %s areas: expected its end in the sector, "
				       "found none behind its %zu areas",
				       what, count);
		area.offset = get_le64(*at);
		area.size = get_le64(*at + 8);
		if (area.offset == 0 && area.size == 0)
			break;
		if (count < LVM_AREAS_MAX)
			areas[count] = area;
	}
	if (count > LVM_AREAS_MAX)
		return failure(message, UDS_ERR_CORRUPT,
			       "header: expected at most %u %s areas, found %zu", LVM_AREAS_MAX,
			       what, count);
	*at += PAIR_BYTES;
	*ret_count = count;
	return 0;
}

static int decode_header(const uint8_t *header, const uint8_t *end, struct lvm_label *label,
			 struct uds_message *message)
{
	struct lvm_area data[LVM_AREAS_MAX];
	const uint8_t *at = header + HEADER_BYTES;
	size_t data_count = 0;
	int r = decode_uuid(header, label->uuid, message);

	if (r < 0)
		return r;
	label->device_bytes = get_le64(header + UUID_CHARS);
	r = decode_list(&at, end, "data", data, &data_count, message);
	if (r == 0)
		r = decode_list(&at, end, "metadata", label->areas, &label->area_count, message);
	/* Only a hint: where the extents begin is said by the text of the group (pe_start). */
	if (r == 0 && data_count > 0)
		label->data_offset = data[0].offset;
	return r;
}

static int decode_label(const uint8_t *sector, unsigned int number, struct lvm_label *label,
			struct uds_message *message)
{
	uint32_t found = get_le32(sector + SUM_AT), at = get_le32(sector + HEADER_AT);
	uint32_t sum = lvm_checksum(sector + SUM_FROM, LVM_SECTOR - SUM_FROM);
	char type[PRINTABLE_BYTES(MAGIC_BYTES)];

	/* The type first: another one need not have its checksum in this place. */
	if (memcmp(sector + TYPE_AT, TYPE, MAGIC_BYTES) != 0)
		return failure(message, UDS_ERR_UNSUPPORTED_VERSION,
			       "type: expected '" TYPE "', found '%s'",
			       printable_bytes(sector + TYPE_AT, MAGIC_BYTES, type));
	if (found != sum)
		return failure(message, UDS_ERR_CORRUPT,
			       "checksum: expected 0x%08" PRIx32 ", found 0x%08" PRIx32, sum,
			       found);
	/* A label that was copied with its sector to another place is none. */
	if (get_le64(sector + MAGIC_BYTES) != number)
		return failure(message, UDS_ERR_CORRUPT,
			       "sector number: expected %u, found %" PRIu64, number,
			       get_le64(sector + MAGIC_BYTES));
	/* So that the header lies in this sector, behind the label. */
	if (at < LABEL_BYTES || at > LVM_SECTOR - HEADER_BYTES)
		return failure(message, UDS_ERR_CORRUPT,
			       "place of the header: expected byte %u to %u of the sector, found "
			       "%" PRIu32,
			       LABEL_BYTES, (unsigned int)(LVM_SECTOR - HEADER_BYTES), at);
	return decode_header(sector + at, sector + LVM_SECTOR, label, message);
}

int lvm_label_decode(const uint8_t *sectors, struct lvm_label *ret_label,
		     struct uds_message *message)
{
	unsigned int number = find_label(sectors);
	struct lvm_label label = { .area_count = 0 };
	int r;

	if (number == LVM_LABEL_SECTORS)
		return failure(
			message, -EINVAL,
			"not an LVM physical volume: sectors 0 to %u: expected the magic " MAGIC
			", found none",
			LVM_LABEL_SECTORS - 1);
	r = decode_label(sectors + number * LVM_SECTOR, number, &label, message);
	if (r < 0)
		return failure_in(message, r, "label (sector %u)", number);
	*ret_label = label;
	return 0;
}
