/* SPDX-License-Identifier: BSD-2-Clause */
/* Where each structure of an index lies, and changing its bytes. */
#include "index_damage.h"

#include "check_main.h"
#include "extras/area.h"

/* @number: counted through index pages and record pages. */
static uint64_t page_place(const struct layout *layout, uint64_t vcn, uint32_t number)
{
	const struct geometry *geometry = &layout->geometry;
	uint32_t slot = geometry_physical_chapter(geometry, vcn);

	return layout_volume_offset(layout) +
	       (uint64_t)geometry_physical_page(geometry, slot, number) * geometry->page_bytes;
}

static const struct save *latest_save(const struct layout *layout)
{
	const struct save_slot *slot = saves_find_latest(&layout->saves);

	ck_assert_ptr_nonnull(slot);
	return &slot->save;
}

static void save_place(const struct layout *layout, const struct index_damage *damage,
		       uint64_t *ret_offset, uint64_t *ret_length)
{
	const struct save *save = latest_save(layout);

	switch (damage->structure) {
	case OPEN_CHAPTER_HEAD:
		*ret_offset = save->open_chapter.offset;
		*ret_length = 8;
		break;
	case VOLUME_INDEX_HEAD:
		*ret_offset = save->volume_index[damage->number].offset;
		*ret_length = 8;
		break;
	case VOLUME_INDEX_HEADS: /* behind the headers of the stream and of its sub-index */
		*ret_offset = save->volume_index[damage->number].offset + 300;
		*ret_length = 40;
		break;
	case VOLUME_INDEX_LISTS: /* far behind the heads of the lists */
		*ret_offset = save->volume_index[damage->number].offset + 24000;
		*ret_length = 8000;
		break;
	case PAGE_MAP_HEAD:
		*ret_offset = save->page_map.offset;
		*ret_length = 8;
		break;
	default:
		*ret_offset = save->page_map.offset + 24;
		*ret_length = 2;
		break;
	}
}

static void chapter_place(const struct layout *layout, const struct index_damage *damage,
			  uint64_t *ret_offset, uint64_t *ret_length)
{
	const struct geometry *geometry = &layout->geometry;
	uint32_t first = geometry->index_pages_per_chapter;

	switch (damage->structure) {
	case INDEX_PAGE_HEAD:
		*ret_offset = page_place(layout, damage->vcn, damage->number);
		*ret_length = 16;
		break;
	case INDEX_PAGE_LISTS: /* near the middle of the page */
		*ret_offset =
			page_place(layout, damage->vcn, damage->number) + geometry->page_bytes / 2;
		*ret_length = 200;
		break;
	case RECORD_PAGE_NAME: /* of the root of the tree */
		*ret_offset = page_place(layout, damage->vcn, first + damage->number);
		*ret_length = 2;
		break;
	case RECORD_PAGE_DATA:
		*ret_offset =
			page_place(layout, damage->vcn, first + damage->number) + 33 * 32 + 16;
		*ret_length = 1;
		break;
	case RECORD_PAGE:
		*ret_offset = page_place(layout, damage->vcn, first + damage->number);
		*ret_length = geometry->page_bytes;
		break;
	default:
		*ret_offset = page_place(layout, damage->vcn, 0);
		*ret_length = (uint64_t)geometry->pages_per_chapter * geometry->page_bytes;
		break;
	}
}

static void extras_place(const struct layout *layout, const struct index_damage *damage,
			 uint64_t *ret_offset, uint64_t *ret_length)
{
	const struct extras_area *area = &layout->extras;

	ck_assert(area->present);
	switch (damage->structure) {
	case EXTRAS_HEADER:
		*ret_offset = area->start + damage->number * BLOCK_BYTES + 100;
		*ret_length = 8;
		break;
	case EXTRAS_SAVE_COPIES:
		*ret_offset = area->start + 2 * BLOCK_BYTES;
		*ret_length = 2 * BLOCK_BYTES;
		break;
	case EXTRAS_JOURNAL:
		*ret_offset = area->start +
			      (area->journal + damage->number % area->journal_blocks) * BLOCK_BYTES;
		*ret_length = BLOCK_BYTES;
		break;
	default:
		*ret_offset = extras_checksum_offset(
			area, geometry_physical_chapter(&layout->geometry, damage->vcn), 0);
		*ret_length = BLOCK_BYTES;
		break;
	}
}

void index_damage_place(const struct layout *layout, const struct index_damage *damage,
			uint64_t *ret_offset, uint64_t *ret_length)
{
	const struct super_block *super = &layout->super;

	*ret_length = 8;
	switch (damage->structure) {
	case SUPER_BLOCK_REGIONS:
		*ret_offset = (super_block_config_at(super) - 1) * BLOCK_BYTES + 160;
		break;
	case CONFIG_BLOCK:
		*ret_offset = super_block_config_at(super) * BLOCK_BYTES;
		break;
	case SAVE_HEADER:
		*ret_offset = super_block_save_at(super, damage->number) * BLOCK_BYTES + 8;
		break;
	default:
		if (damage->structure < INDEX_PAGE_HEAD)
			save_place(layout, damage, ret_offset, ret_length);
		else if (damage->structure < EXTRAS_HEADER)
			chapter_place(layout, damage, ret_offset, ret_length);
		else
			extras_place(layout, damage, ret_offset, ret_length);
		break;
	}
}

void index_damage_apply(const struct layout *layout, const struct index_damage *damage,
			uint8_t *bytes, size_t size)
{
	uint64_t offset, length;

	if (damage->structure == EXTRAS_HEADERS) {
		for (uint32_t i = 0; i < 2; i++) {
			struct index_damage one = { EXTRAS_HEADER, 0, i };

			index_damage_apply(layout, &one, bytes, size);
		}
		return;
	}
	index_damage_place(layout, damage, &offset, &length);
	ck_assert_uint_le(offset + length, size);
	/* Never the same bytes, and no zeroes, which some structures may be. */
	for (uint64_t i = 0; i < length; i++)
		bytes[offset + i] ^= (uint8_t)(0x55 + i % 127);
}
