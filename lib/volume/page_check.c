/* SPDX-License-Identifier: BSD-2-Clause */
/* Checking single pages. */
#include "volume/page_check.h"

#include <inttypes.h>

#include "base/message.h"

int page_check_head(const struct geometry *geometry, const struct page_claim *claim,
		    const struct index_page_head *head, struct uds_message *ret_message)
{
	const struct page_bounds *bounds = &claim->bounds;

	if (head->vcn != claim->vcn) {
		/* A later chapter in its own slot is no damage: the volume has moved on. */
		if (head->vcn > claim->vcn && head->vcn < CHAPTER_LIMIT &&
		    geometry_physical_chapter(geometry, head->vcn) == claim->slot)
			return 0;
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "chapter number: expected %" PRIu64 ", found %" PRIu64, claim->vcn,
			       head->vcn);
	}
	/*
	 * The reader came to this page because of these bounds; with other ones the name's list may
	 * be on another page.
	 */
	if (head->first_list != bounds->first_list || head->list_count != bounds->list_count)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "lists: expected %" PRIu32 " from %" PRIu32
			       " on, as the page map says, found %" PRIu32 " from %" PRIu32 " on",
			       bounds->list_count, bounds->first_list, head->list_count,
			       head->first_list);
	return 1;
}

int page_check(const struct geometry *geometry, const struct index_page_code *code,
	       const struct page_claim *claim, const uint8_t *bytes, uint32_t length,
	       struct index_page_head *ret_head, struct uds_message *ret_message)
{
	struct index_page_head head;
	int r;

	/* Record pages have no header and no checksum (9): nothing can be checked in one alone. */
	if (claim->page >= geometry->index_pages_per_chapter)
		return 1;
	/*
	 * The first part of a page has its head and the offset table; that the lists end within the
	 * page can be checked only when all of it is there.
	 */
	if (length == geometry->page_bytes)
		r = index_page_open(code, bytes, &head, ret_message);
	else
		r = index_page_read_head(code, bytes, &head, ret_message);
	/*
	 * The caller wants to know which chapter it is: recovery and verify, which compare it with
	 * the slot themselves.
	 */
	if (r == 0 && claim->vcn == NO_CHAPTER)
		r = 1;
	else if (r == 0)
		r = page_check_head(geometry, claim, &head, ret_message);
	if (r == 1)
		*ret_head = head;
	return r;
}

int page_check_sums(const struct geometry *geometry, struct checksums *checksums, uint32_t slot,
		    size_t from, const uint8_t *bytes, size_t length,
		    struct uds_message *ret_message)
{
	uint32_t page_blocks = geometry->page_bytes / BLOCK_BYTES;
	struct checksum_damage damage;
	uint32_t block;

	if (checksums_check(checksums, slot, (uint32_t)(from / BLOCK_BYTES), bytes,
			    (uint32_t)(length / BLOCK_BYTES), &damage))
		return 0;
	block = damage.block % page_blocks;
	return failure(ret_message, UDS_ERR_CORRUPT,
		       "checksum of bytes %" PRIu32 " to %" PRIu32 ": expected %08" PRIx32
		       ", found %08" PRIx32,
		       block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES - 1, damage.expected,
		       damage.found);
}

bool page_check_rewritten(const struct geometry *geometry, const struct index_page_code *code,
			  const struct checksums *checksums, uint32_t slot, uint64_t vcn,
			  const uint8_t *pages)
{
	uint32_t blocks = geometry_chapter_blocks(geometry), different = 0;
	uint32_t page_blocks = geometry->page_bytes / BLOCK_BYTES;
	struct index_page_head head;

	for (uint32_t page = 0; page < geometry->index_pages_per_chapter; page++) {
		const uint8_t *bytes = pages + (size_t)page * geometry->page_bytes;

		if (index_page_read_head(code, bytes, &head, NULL) < 0 || head.vcn != vcn ||
		    checksums_match(checksums, slot, page * page_blocks, bytes))
			return false;
	}
	for (uint32_t block = 0; block < blocks; block++)
		different += !checksums_match(checksums, slot, block,
					      pages + (size_t)block * BLOCK_BYTES);
	return different > blocks / 2;
}
