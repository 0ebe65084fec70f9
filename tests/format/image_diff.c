/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Comparing two images under the masks that the vectors' README allows.
 *
 * The places of all regions come from the super block and the save headers of the expected image.
 */
#include "image_diff.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"

#define BLOCK	   4096
#define GUARD	   7
#define MAX_SHOWN  10
#define TYPE_SAVED 2

enum region_kind {
	REGION_VOLUME = 201,
	REGION_SAVE = 202,
	REGION_VOLUME_INDEX = 302,
};

struct region {
	uint64_t start; /* blocks, as in the table */
	uint64_t blocks;
	uint16_t kind;
	uint16_t instance;
};

struct diff {
	const struct vector_info *info;
	const uint8_t *expected;
	const uint8_t *actual;
	size_t size;
	bool volume_index;
	uint64_t volume_shift; /* blocks to add to a start in the table, for the volume */
	uint64_t save_shift;   /* and to take off for a save */
	int count;
};

static void differ(struct diff *d, const char *what, uint64_t number, size_t at)
{
	if (d->count++ < MAX_SHOWN)
		printf("%s: %s %" PRIu64 " differs, near byte %zu\n", d->info->name, what, number,
		       at);
}

static struct region read_region(const uint8_t *table, unsigned int i)
{
	const uint8_t *p = table + 24 + (size_t)24 * i;

	return (struct region){ get_le64(p), get_le64(p + 8), get_le16(p + 20), get_le16(p + 22) };
}

/* Byte by byte; one difference for each block. */
static void compare_plain(struct diff *d, const char *what, size_t from, size_t to)
{
	for (size_t at = from; at < to; at += BLOCK) {
		size_t n = to - at < BLOCK ? to - at : BLOCK;

		if (memcmp(d->expected + at, d->actual + at, n) == 0)
			continue;
		for (size_t i = 0; i < n; i++) {
			if (d->expected[at + i] != d->actual[at + i]) {
				differ(d, what, at / BLOCK, at + i);
				break;
			}
		}
	}
}

/* Bit ranges that may start anywhere in their bytes. */
static bool bits_equal(const uint8_t *a, uint64_t a_at, const uint8_t *b, uint64_t b_at,
		       uint64_t bits)
{
	for (uint64_t i = 0; i < bits; i += 32) {
		unsigned int width = bits - i < 32 ? (unsigned int)(bits - i) : 32;

		if (get_bits(a, a_at + i, width) != get_bits(b, b_at + i, width))
			return false;
	}
	return true;
}

/* An index page: equal up to the end of its last list, and in the guard. */
static void compare_index_page(struct diff *d, size_t at)
{
	uint32_t bytes = d->info->configuration.page_bytes;
	const uint8_t *e = d->expected + at, *a = d->actual + at;
	uint64_t end = 160 + (uint64_t)19 * get_le16(e + 18);

	if (get_le64(e) != d->info->volume_nonce) {
		compare_plain(d, "never written page in block", at, at + bytes);
		return;
	}
	end = end + 19 <= (uint64_t)8 * bytes ? get_bits(e, end, 19) : end;
	if (end > (uint64_t)8 * (bytes - GUARD) || !bits_equal(e, 0, a, 0, end) ||
	    memcmp(e + bytes - GUARD, a + bytes - GUARD, GUARD) != 0)
		differ(d, "index page in block", at / BLOCK, at);
}

static void compare_volume(struct diff *d, size_t from, size_t to)
{
	const struct uds_configuration *c = &d->info->configuration;
	size_t pages = (to - from) / c->page_bytes;
	size_t each = (pages - 1) / c->chapters_per_volume;
	size_t index_pages = each - c->record_pages_per_chapter;

	compare_plain(d, "header page, block", from, from + c->page_bytes);
	for (size_t i = 1; i < pages; i++) {
		size_t at = from + i * c->page_bytes;

		if ((i - 1) % each < index_pages)
			compare_index_page(d, at);
		else
			compare_plain(d, "record page in block", at, at + c->page_bytes);
	}
}

/* A saved volume index, while it is walked in both images side by side. */
struct stream {
	struct diff *d;
	size_t end;
	size_t e; /* where the walk is in the expected image */
	size_t a; /* and in the actual one */
	uint16_t zone;
};

static bool stream_plain(struct stream *s, const char *what, size_t bytes)
{
	if (s->e + bytes > s->end || s->a + bytes > s->end) {
		differ(s->d, what, s->zone, s->e);
		return false;
	}
	if (memcmp(s->d->expected + s->e, s->d->actual + s->a, bytes) != 0)
		differ(s->d, what, s->zone, s->e);
	s->e += bytes;
	s->a += bytes;
	return true;
}

/* Header, flush table and start piece of a sub-index; remembers where its list sizes are. */
static bool stream_heads(struct stream *s, const uint8_t **ret_sizes, uint32_t *ret_first,
			 uint32_t *ret_lists)
{
	uint32_t lists = s->e + 40 <= s->end ? get_le32(s->d->expected + s->e + 36) : 0;

	if (!stream_plain(s, "volume index header of zone", 40) ||
	    !stream_plain(s, "flush table of zone", (size_t)8 * lists) ||
	    !stream_plain(s, "delta index header of zone", 40))
		return false;
	*ret_sizes = s->d->expected + s->e;
	*ret_first = get_le32(s->d->expected + s->e - 24);
	*ret_lists = lists;
	return stream_plain(s, "list sizes of zone", (size_t)2 * lists);
}

static bool stream_lists(struct stream *s, const uint8_t *sizes, uint32_t first, uint32_t lists)
{
	for (uint32_t i = 0; i < lists; i++) {
		uint16_t bits = get_le16(sizes + (size_t)2 * i);
		const uint8_t *e = s->d->expected + s->e, *a = s->d->actual + s->a;

		if (bits == 0)
			continue;
		if (s->e + 8 > s->end || s->a + 8 > s->end || s->e + 8 + get_le16(e + 2) > s->end ||
		    s->a + 8 + get_le16(a + 2) > s->end || e[0] != a[0] ||
		    get_le32(e + 4) != get_le32(a + 4) ||
		    get_le16(a + 2) != (a[1] + bits + 7) / 8 ||
		    !bits_equal(e + 8, e[1], a + 8, a[1], bits)) {
			differ(s->d, "volume index list", first + i, s->e);
			return false;
		}
		s->e += 8 + (size_t)get_le16(e + 2);
		s->a += 8 + (size_t)get_le16(a + 2);
	}
	return true;
}

static void compare_volume_index(struct diff *d, size_t from, size_t to, uint16_t zone)
{
	bool sparse = memcmp(d->expected + from, "MI6", 3) == 0;
	struct stream s = { d, to, from, from, zone };
	uint32_t first[2], lists[2];
	const uint8_t *sizes[2];

	if (sparse && !stream_plain(&s, "sparse header of zone", 12))
		return;
	for (unsigned int i = 0; i < 1u + sparse; i++) {
		if (!stream_heads(&s, &sizes[i], &first[i], &lists[i]))
			return;
	}
	for (unsigned int i = 0; i < 1u + sparse; i++) {
		if (!stream_lists(&s, sizes[i], first[i], lists[i]))
			return;
	}
	stream_plain(&s, "guard of zone", 8);
}

static void compare_save(struct diff *d, const struct region *save)
{
	size_t at = (size_t)(save->start - d->save_shift) * BLOCK;
	const uint8_t *header = d->expected + at;
	unsigned int n = get_le16(header + 20);

	compare_plain(d, "save header, block", at, at + BLOCK);
	if (get_le16(header + 16) != TYPE_SAVED) {
		compare_plain(d, "unsaved slot, block", at, at + (size_t)save->blocks * BLOCK);
		return;
	}
	for (unsigned int i = 1; i < n; i++) {
		struct region r = read_region(header, i);
		size_t from = (size_t)(r.start - d->save_shift) * BLOCK;
		size_t to = from + (size_t)r.blocks * BLOCK;

		if (to > d->size)
			differ(d, "save region", i, from);
		else if (r.kind != REGION_VOLUME_INDEX)
			compare_plain(d, "saved region, block", from, to);
		else if (d->volume_index)
			compare_volume_index(d, from, to, r.instance);
	}
}

/* What is left of chapter 0 in front of a converted index. */
static void compare_front(struct diff *d, size_t to)
{
	uint32_t bytes = d->info->configuration.page_bytes;

	for (size_t at = 0; at < to; at += bytes) {
		if (to - at >= bytes && get_le64(d->expected + at) == d->info->volume_nonce)
			compare_index_page(d, at);
		else
			compare_plain(d, "block", at, at + bytes < to ? at + bytes : to);
	}
}

int image_diff(const struct vector_info *info, const uint8_t *expected, const uint8_t *actual,
	       size_t size, bool volume_index)
{
	struct diff d = { info, expected, actual, size, volume_index, 0, 0, 0 };
	size_t at = (size_t)info->offset_bytes;
	const uint8_t *super = expected + at;
	unsigned int n;

	if (at + (size_t)2 * BLOCK > size || get_le64(super) != UINT64_C(0x416c6252676e3031))
		return -1;
	n = get_le16(super + 20);
	if (get_le16(super + 22) == 120) {
		const uint8_t *payload = super + 24 + (size_t)24 * n;

		d.volume_shift = get_le64(payload + 104) - get_le64(payload + 112);
		d.save_shift = get_le64(payload + 112);
	}
	compare_front(&d, at);
	compare_plain(&d, "super or config block", at, at + (size_t)2 * BLOCK);
	for (unsigned int i = 0; i < n; i++) {
		struct region r = read_region(super, i);

		if (r.kind == REGION_VOLUME) {
			size_t from = (size_t)(r.start + d.volume_shift) * BLOCK;

			compare_volume(&d, from, from + (size_t)r.blocks * BLOCK);
		} else if (r.kind == REGION_SAVE) {
			compare_save(&d, &r);
		}
	}
	return d.count;
}
