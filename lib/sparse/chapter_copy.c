/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole chapter index of one chapter in memory. */
#include "sparse/chapter_copy.h"

#include <errno.h>
#include <inttypes.h>

#include "base/bits.h"
#include "base/message.h"
#include "geometry/name_bits.h"

/* Bits of the filter for each record: about one search in 16 is a false positive. */
#define FILTER_BITS_A_RECORD 16

static unsigned int filter_bits(const struct geometry *geometry)
{
	/*
	 * A power of two, since the shift picks the bit: between one and two times as many bits as
	 * were asked for.
	 */
	return bits_per((uint64_t)geometry->records_per_chapter * FILTER_BITS_A_RECORD - 1);
}

static uint64_t filter_words(const struct geometry *geometry)
{
	uint64_t bits = UINT64_C(1) << filter_bits(geometry);

	/* The filter of a tiny chapter has fewer bits than a word. */
	return bits / 64 > 0 ? bits / 64 : 1;
}

uint64_t chapter_copy_bytes(const struct geometry *geometry)
{
	return sizeof(struct chapter_copy) + filter_words(geometry) * sizeof(uint64_t) +
	       geometry->index_pages_per_chapter *
		       (uint64_t)(sizeof(struct index_page_head) + geometry->page_bytes);
}

int chapter_copy_make(const struct uds_env *env, const struct uds_io *io,
		      const struct geometry *geometry, uint64_t volume_nonce, uint64_t vcn,
		      struct chapter_copy **ret_copy)
{
	uint32_t pages = geometry->index_pages_per_chapter;
	struct chapter_copy *copy = env_allocate_zeroed(env, 1, sizeof(*copy));

	if (copy == NULL)
		return -ENOMEM;
	copy->env = *env;
	copy->geometry = geometry;
	copy->vcn = vcn;
	index_page_code_make(geometry, volume_nonce, &copy->code);
	copy->filter_shift = 64 - filter_bits(geometry);
	/* Zeroed, so that a copy that is not finished has no name at all. */
	copy->filter = env_allocate_zeroed(env, filter_words(geometry), sizeof(uint64_t));
	copy->heads = env_allocate(env, pages, sizeof(*copy->heads));
	copy->pages = io_allocate_buffer(io, env, (uint64_t)pages * geometry->page_bytes);
	if (copy->filter == NULL || copy->heads == NULL || copy->pages == NULL) {
		chapter_copy_free(copy);
		return -ENOMEM;
	}
	*ret_copy = copy;
	return 0;
}

void chapter_copy_free(struct chapter_copy *copy)
{
	struct uds_env env;

	if (copy == NULL)
		return;
	env = copy->env;
	env_release(&env, copy->filter);
	env_release(&env, copy->heads);
	env_release(&env, copy->pages);
	env_release(&env, copy);
}

/* The bit of the filter for a list and an address in it, taken together as one number. */
static uint64_t filter_bit(const struct chapter_copy *copy, uint64_t place)
{
	/* The upper bits of the product depend on all bits of the place. */
	return (place * UINT64_C(0x9e3779b97f4a7c15)) >> copy->filter_shift;
}

static uint64_t place_of(const struct geometry *geometry, const struct uds_record_name *name)
{
	return (uint64_t)chapter_list(geometry, name) << geometry->chapter_address_bits |
	       chapter_address(geometry, name);
}

static int add_page_to_filter(struct chapter_copy *copy, const struct index_page_head *head,
			      const uint8_t *page)
{
	for (uint32_t i = 0; i < head->list_count; i++) {
		uint64_t list = (uint64_t)(head->first_list + i)
				<< copy->geometry->chapter_address_bits;
		struct delta_reader reader;
		struct delta_entry entry;
		uint32_t start, bits;
		int r;

		r = index_page_find_list(&copy->code, head, page, head->first_list + i, &start,
					 &bits);
		if (r < 0)
			return r;
		delta_reader_start(&reader, &copy->code.delta, page, start, bits);
		while ((r = delta_reader_next(&reader, &entry)) == 1) {
			/*
			 * Collision entries have the place of the ordinary one in front of them,
			 * and set the same bit again.
			 */
			uint64_t bit = filter_bit(copy, list | entry.key);

			copy->filter[bit / 64] |= UINT64_C(1) << (bit % 64);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int chapter_copy_open_pages(struct chapter_copy *copy, struct uds_message *message)
{
	for (uint32_t i = 0; i < copy->geometry->index_pages_per_chapter; i++) {
		/* Before finish(), which decodes lists at the places that these heads give. */
		int r = index_page_open(&copy->code,
					copy->pages + (size_t)i * copy->geometry->page_bytes,
					&copy->heads[i], message);

		if (r < 0)
			return failure_in(message, r, "chapter %" PRIu64 ", index page %" PRIu32,
					  copy->vcn, i);
	}
	return 0;
}

int chapter_copy_finish(struct chapter_copy *copy, struct uds_message *message)
{
	for (uint32_t i = 0; i < copy->geometry->index_pages_per_chapter; i++) {
		int r = add_page_to_filter(copy, &copy->heads[i],
					   copy->pages + (size_t)i * copy->geometry->page_bytes);

		if (r < 0)
			return failure(message, r,
				       "chapter %" PRIu64 ", index page %" PRIu32
				       ": a list does not decode",
				       copy->vcn, i);
	}
	return 0;
}

bool chapter_copy_search(const struct chapter_copy *copy, const struct uds_record_name *name,
			 uint32_t *ret_record_page)
{
	const struct geometry *geometry = copy->geometry;
	uint64_t bit = filter_bit(copy, place_of(geometry, name));
	uint32_t list, i = 0;

	if (copy->damaged || (copy->filter[bit / 64] >> (bit % 64) & 1) == 0)
		return false;
	/*
	 * The filter answers for most absent names with one cache miss; only now a page is
	 * searched.
	 */
	list = chapter_list(geometry, name);
	/*
	 * By the heads of the pages, since the slot may be overwritten, and its row of the page map
	 * with it, while the copy is in use.
	 */
	while (i + 1 < geometry->index_pages_per_chapter && copy->heads[i + 1].first_list <= list)
		i++;
	/* An error counts as absent: every list was decoded when the copy was finished. */
	return index_page_search(geometry, &copy->code, &copy->heads[i],
				 copy->pages + (size_t)i * geometry->page_bytes, name,
				 ret_record_page) == 1;
}
