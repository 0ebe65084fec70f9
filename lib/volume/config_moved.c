/* SPDX-License-Identifier: BSD-2-Clause */
/* Trying all chapters that a conversion may have moved, and all slots. */
#include "volume/config_moved.h"

#include <errno.h>
#include <string.h>

#include "base/bytes.h"
#include "base/env.h"
#include "base/message.h"
#include "chapter/index_page.h"

/* All pairs of a chapter and a slot are tried, so there is an end to it. */
#define CHAPTERS_MAX 65536u

struct moved_search {
	struct geometry geometry;
	uint64_t *vcns;	 /* for each slot what its first page says; NO_CHAPTER: nothing */
	uint64_t newest; /* the open chapter, as far as anything tells */
	unsigned int found;
	bool found_gone; /* one that makes no difference any more */
	uint64_t moved, slot;
};

static void read_heads(struct uds_io *io, const struct super_block *super, uint8_t *block,
		       struct moved_search *search)
{
	const struct geometry *geometry = &search->geometry;
	struct index_page_code code;
	struct index_page_head head;

	index_page_code_make(geometry, super->volume_nonce, &code);
	for (uint32_t slot = 0; slot < geometry->chapters_per_volume; slot++) {
		uint64_t page = geometry_physical_page(geometry, slot, 0);
		uint64_t at = super_block_volume_at(super) * BLOCK_BYTES;

		search->vcns[slot] = NO_CHAPTER;
		/* A slot that cannot be read tells nothing; the others may be enough. */
		if (uds_io_read(io, block, BLOCK_BYTES, at + page * geometry->page_bytes) < 0 ||
		    index_page_read_head(&code, block, &head, NULL) < 0 ||
		    head.vcn >= CHAPTER_LIMIT)
			continue;
		search->vcns[slot] = head.vcn;
		if (head.vcn >= search->newest)
			search->newest = head.vcn + 1;
	}
}

/* Whether each chapter lies where this pair puts it. What has expired may lie anywhere. */
static bool is_possible(struct moved_search *search, uint64_t moved, uint64_t slot)
{
	struct geometry *geometry = &search->geometry;

	geometry->remapped_virtual = moved;
	geometry->remapped_physical = slot;
	for (uint32_t s = 0; s < geometry->chapters_per_volume; s++) {
		uint64_t vcn = search->vcns[s];

		if (vcn != NO_CHAPTER && vcn + geometry->chapters_per_volume > search->newest &&
		    geometry_physical_chapter(geometry, vcn) != s)
			return false;
	}
	return true;
}

static void try_pair(struct moved_search *search, uint64_t moved, uint64_t slot)
{
	/*
	 * The slots up to this one were taken before the conversion, whose open chapter was
	 * this far (19.6).
	 */
	bool gone = moved + slot + search->geometry.chapters_per_volume < search->newest;

	if (moved + slot > search->newest && (slot > 0 || moved > search->newest + 1))
		return;
	if ((gone && search->found_gone) || !is_possible(search, moved, slot))
		return;
	search->found_gone |= gone;
	search->found++;
	search->moved = moved;
	search->slot = slot;
}

/* The chapter that was in the first slot, so a multiple of the number of chapters as it was. */
static void try_all(struct moved_search *search)
{
	const uint64_t chapters = search->geometry.chapters_per_volume;
	uint64_t last = (search->newest + 1) / (chapters + 1);

	/* One that left long ago puts all others where an older one does. */
	for (uint64_t lap = last > chapters + 2 ? last - chapters - 2 : 0; lap <= last; lap++) {
		for (uint64_t slot = 0; slot < chapters && search->found < 2; slot++)
			try_pair(search, lap * (chapters + 1), slot);
	}
}

int config_find_moved(struct uds_io *io, const struct uds_env *env, const struct super_block *super,
		      uint64_t open_chapter, struct uds_configuration *configuration,
		      struct uds_message *ret_message)
{
	struct moved_search search = { .newest = open_chapter };
	uint8_t *block;
	int r;

	r = geometry_make(configuration, &search.geometry, ret_message);
	if (r < 0)
		return UDS_ERR_CORRUPT;
	if (configuration->chapters_per_volume > CHAPTERS_MAX)
		return failure(ret_message, UDS_ERR_CORRUPT,
			       "too many chapters to find out which one a conversion has moved");
	block = io_allocate_buffer(io, env, BLOCK_BYTES);
	search.vcns = env_allocate(env, configuration->chapters_per_volume, sizeof(uint64_t));
	if (block == NULL || search.vcns == NULL) {
		r = failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	} else {
		read_heads(io, super, block, &search);
		try_all(&search);
		configuration->remapped_virtual = search.moved;
		configuration->remapped_physical = search.slot;
		if (search.found != 1)
			r = failure(ret_message, UDS_ERR_CORRUPT,
				    "%s puts the chapters where they are",
				    search.found == 0 ? "no chapter that a conversion moves"
						      : "more than one that it may have moved");
	}
	env_release(env, search.vcns);
	env_release(env, block);
	return r;
}
