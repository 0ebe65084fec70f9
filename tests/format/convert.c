/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The conversion of an index to one chapter less (uds-format, 19.6), done on its bytes. The library
 * uses converted indexes but never makes one; this is here to replay traces that contain it.
 *
 * It relies on what the traces have: one zone, and a slot that is free for the new save.
 */
#include "convert.h"

#include <stddef.h>
#include <string.h>

#include "base/bytes.h"
#include "base/murmur3.h"

#define BLOCK 4096u

struct index_view {
	uint8_t *device;
	uint8_t *super;
	uint8_t *config;
	uint8_t *volume;   /* page 0 */
	uint8_t *saves[2]; /* headers */
	uint64_t save_blocks;
	uint64_t save_start[2];
	uint32_t page_bytes;
	uint32_t chapters;
	uint32_t chapter_pages;
	uint32_t index_pages;
	uint64_t volume_nonce;
};

static uint8_t *table_entry(uint8_t *table, unsigned int i)
{
	return table + 24 + (size_t)24 * i;
}

static uint8_t *payload(uint8_t *table)
{
	return table_entry(table, get_le16(table + 20));
}

static void view_index(uint8_t *device, uint64_t offset, struct index_view *view)
{
	uint8_t *super = device + offset, nonce_input[16] = { 0 };
	uint64_t pages;

	view->device = device;
	view->super = super;
	view->config = super + BLOCK;
	view->volume = device + get_le64(table_entry(super, 3)) * BLOCK;
	for (unsigned int i = 0; i < 2; i++) {
		view->save_start[i] = get_le64(table_entry(super, 4 + i));
		view->saves[i] = device + view->save_start[i] * BLOCK;
	}
	view->save_blocks = get_le64(table_entry(super, 4) + 8);
	view->page_bytes = get_le32(view->config + 34);
	view->chapters = get_le32(view->config + 14);
	pages = get_le64(table_entry(super, 3) + 8) * BLOCK / view->page_bytes - 1;
	view->chapter_pages = (uint32_t)(pages / view->chapters);
	view->index_pages = view->chapter_pages - get_le32(view->config + 10);
	put_le64(nonce_input, get_le64(table_entry(super, 2)));
	view->volume_nonce = nonce_hash(get_le64(payload(super) + 64) + 1, nonce_input, 16);
}

/* The latest save; the other slot becomes the place of the new one. */
static unsigned int latest_save(const struct index_view *view)
{
	uint64_t times[2] = { 0, 0 };

	for (unsigned int i = 0; i < 2; i++) {
		if (get_le16(view->saves[i] + 16) == 2)
			times[i] = get_le64(payload(view->saves[i]));
	}
	return times[1] > times[0];
}

static uint64_t save_nonce(const struct index_view *view, unsigned int slot, uint64_t time_ms)
{
	uint8_t input[32] = { 0 };

	put_le64(input, time_ms);
	put_le32(input + 16, 1);
	put_le64(input + 24, view->save_start[slot]);
	return nonce_hash(view->volume_nonce + 1, input, sizeof(input));
}

static void convert_page_map(const struct index_view *view, uint8_t *map, uint32_t target)
{
	size_t row = (size_t)2 * (view->index_pages - 1);
	uint8_t *rows = map + 16;

	if (target > 0)
		memcpy(rows + target * row, rows, row);
	memmove(rows, rows + row, (view->chapters - 1) * row);
	memset(rows + (view->chapters - 1) * row, 0, row);
}

/* Copies the save into the other slot, with what the conversion changes in it. */
static void convert_save(const struct index_view *view, unsigned int from, uint64_t oldest,
			 uint32_t target, uint64_t time_ms)
{
	unsigned int to = 1 - from;
	uint8_t *header = view->saves[to], *p;
	unsigned int regions;
	uint64_t shift = view->save_start[to] - view->save_start[from];

	memcpy(header, view->saves[from], (size_t)view->save_blocks * BLOCK);
	regions = get_le16(header + 20);
	for (unsigned int i = 0; i < regions; i++)
		put_le64(table_entry(header, i), get_le64(table_entry(header, i)) + shift);
	p = payload(header);
	put_le64(p, time_ms);
	put_le64(p + 8, save_nonce(view, to, time_ms));
	put_le64(p + 40, oldest);
	convert_page_map(view, header + BLOCK, target);
}

static void convert_super_block(const struct index_view *view, uint64_t chapter_blocks,
				uint64_t cut_blocks, uint64_t v, uint32_t p)
{
	uint8_t *super = view->super + chapter_blocks * BLOCK;
	uint8_t *config = super + BLOCK;
	uint8_t old[2 * BLOCK];

	memcpy(old, view->super, sizeof(old));
	memcpy(super, old, sizeof(old));
	put_le64(super + 8, get_le64(super + 8) - chapter_blocks);
	put_le16(super + 22, 120);
	for (unsigned int i = 2; i < 4; i++) { /* the sub-index and the volume */
		uint8_t *blocks = table_entry(super, i) + 8;

		put_le64(blocks, get_le64(blocks) - chapter_blocks);
	}
	put_le32(payload(super) + 72, 7);
	put_le64(payload(super) + 104, chapter_blocks);
	put_le64(payload(super) + 112, cut_blocks);
	memcpy(config + 5, "08.02", 5);
	put_le32(config + 14, view->chapters - 1);
	put_le64(config + 50, v);
	put_le64(config + 58, p);
}

uint64_t convert_image(uint8_t *image, uint64_t offset, uint64_t cut, uint64_t time_ms)
{
	struct index_view view;
	uint64_t newest, oldest, v, chapter_bytes;
	unsigned int slot;
	uint32_t p;

	view_index(image, offset, &view);
	slot = latest_save(&view);
	newest = get_le64(payload(view.saves[slot]) + 32);
	oldest = get_le64(payload(view.saves[slot]) + 40);
	if (newest - oldest > view.chapters - 2)
		oldest++;
	v = newest - newest % view.chapters;
	p = (uint32_t)((newest + 1) % view.chapters);
	chapter_bytes = (uint64_t)view.chapter_pages * view.page_bytes;
	convert_save(&view, slot, oldest, p, time_ms);
	if (p == 0) {
		v += view.chapters;
		p = 1;
	} else if (v != newest) {
		memcpy(view.volume + view.page_bytes + p * chapter_bytes,
		       view.volume + view.page_bytes, chapter_bytes);
	}
	convert_super_block(&view, chapter_bytes / BLOCK, cut / BLOCK, v, p - 1);
	return offset + chapter_bytes - cut;
}
