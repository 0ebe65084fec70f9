/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The chapter index as a whole: states, and packing lists into pages (uds-format, 7.1,
 * 7.2 and 8.2).
 */
#include "chapter/chapter_index.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/env.h"
#include "base/message.h"
#include "chapter/chapter_lists.h"
#include "chapter/index_page.h"

struct chapter_index {
	struct geometry geometry;
	uint64_t volume_nonce;
	uint64_t vcn;
	bool finished; /* the lists are sorted; no more puts */
	int status;    /* of finishing; a failure is kept until the next reset */
	uint32_t removed;
	struct chapter_lists lists;
};

int chapter_index_make(const struct uds_env *env, const struct geometry *geometry,
		       uint64_t volume_nonce, struct chapter_index **ret_index)
{
	struct chapter_index *index = env_allocate_zeroed(env, 1, sizeof(*index));
	int r;

	if (index == NULL)
		return -ENOMEM;
	index->geometry = *geometry;
	index->volume_nonce = volume_nonce;
	r = chapter_lists_init(&index->lists, env, geometry);
	if (r < 0) {
		chapter_index_free(index);
		return r;
	}
	*ret_index = index;
	return 0;
}

void chapter_index_free(struct chapter_index *index)
{
	struct uds_env env;

	if (index == NULL)
		return;
	env = index->lists.env;
	chapter_lists_destroy(&index->lists);
	env_release(&env, index);
}

void chapter_index_reset(struct chapter_index *index, uint64_t vcn)
{
	index->vcn = vcn;
	index->finished = false;
	index->status = 0;
	index->removed = 0;
	chapter_lists_reset(&index->lists);
}

int chapter_index_put(struct chapter_index *index, const struct uds_record_name *name,
		      uint32_t record_page)
{
	/*
	 * The lists are sorted, and perhaps already packed in part: an entry could not come in at
	 * its place any more.
	 */
	if (index->finished)
		return UDS_ERR_BAD_STATE;
	if (record_page >= index->geometry.record_pages_per_chapter)
		return -EINVAL;
	/* More names than a chapter has records: one of them would be on no page. */
	if (index->lists.count == index->lists.capacity)
		return UDS_ERR_OVERFLOW;
	chapter_lists_put(&index->lists, name, record_page);
	return 0;
}

int chapter_index_finish(struct chapter_index *index, struct uds_message *message)
{
	/* Once: sorting again after lists were emptied would bring their entries back. */
	if (!index->finished) {
		index->status = chapter_lists_sort(&index->lists);
		index->finished = true;
	}
	/*
	 * The format has no way to store a name twice in a chapter (8.1), and collation makes no
	 * such chapter.
	 */
	if (index->status == UDS_ERR_DUPLICATE_NAME)
		return failure(message, index->status,
			       "chapter %" PRIu64 ": a record name is there twice", index->vcn);
	if (index->status < 0)
		return failure(message, index->status,
			       "chapter %" PRIu64 ": no memory to build its index", index->vcn);
	return 0;
}

/* How many lists from @first on fit on a page (7.2). */
static uint32_t count_fitting_lists(const struct chapter_index *index, uint32_t first)
{
	const struct chapter_lists *lists = &index->lists;
	/*
	 * What is left of a page without lists: head, the table's last entry, and the guard (7.2).
	 */
	uint64_t room = 8 * (uint64_t)index->geometry.page_bytes - INDEX_PAGE_TABLE_BIT -
			INDEX_PAGE_OFFSET_BITS - 8 * (uint64_t)INDEX_PAGE_GUARD_BYTES;
	uint32_t list = first;

	while (list < lists->list_count && INDEX_PAGE_OFFSET_BITS + lists->bits[list] <= room) {
		room -= INDEX_PAGE_OFFSET_BITS + lists->bits[list];
		list++;
	}
	return list - first;
}

/*
 * Chooses how many lists go on the page; empties lists, whole, where the format says so (8.2): one
 * that no page can hold, and on the last page those that do not fit any more.
 */
static int choose_lists(struct chapter_index *index, uint32_t first, bool last_page,
			uint32_t *ret_count)
{
	struct chapter_lists *lists = &index->lists;

	for (;;) {
		uint32_t count = count_fitting_lists(index, first);
		uint32_t victim = first + count;

		/*
		 * All that is left fits, or a page is full in the usual way: only the last page has
		 * to take all.
		 */
		if (victim == lists->list_count || (count > 0 && !last_page)) {
			*ret_count = count;
			return 0;
		}
		/*
		 * An empty list still takes a table entry, so a list before it has to be emptied.
		 */
		while (lists->lengths[victim] == 0) {
			if (victim == first)
				return UDS_ERR_OVERFLOW;
			victim--;
		}
		/* Their records stay on their pages, where no lookup finds them (20.1, S12). */
		index->removed += lists->lengths[victim];
		chapter_lists_empty(lists, victim);
	}
}

static void write_page(const struct chapter_index *index, uint32_t first, uint32_t count,
		       uint8_t *page)
{
	const struct chapter_lists *lists = &index->lists;
	const uint32_t page_bytes = index->geometry.page_bytes;
	/*
	 * Offsets count from the start of the page, so the first list begins where the table ends
	 * (7.1).
	 */
	uint32_t at = INDEX_PAGE_TABLE_BIT + INDEX_PAGE_OFFSET_BITS * (count + 1);
	struct bit_writer out;

	/* Clear the rest: no old memory reaches the device, and pages are reproducible. */
	memset(page, 0, page_bytes);
	put_le64(page, index->volume_nonce);
	put_le64(page + 8, index->vcn);
	put_le16(page + 16, (uint16_t)first);
	put_le16(page + 18, (uint16_t)count);
	bit_writer_start(&out, page, INDEX_PAGE_TABLE_BIT);
	/* One entry more than there are lists: the end of the last one. */
	for (uint32_t i = 0; i <= count; i++) {
		bit_writer_put(&out, at, INDEX_PAGE_OFFSET_BITS);
		if (i < count)
			at += lists->bits[first + i];
	}
	/* The writer goes on where the table ends, which is where the first list begins. */
	for (uint32_t i = 0; i < count; i++)
		chapter_lists_write(lists, first + i, &out);
	bit_writer_finish(&out);
	memset(page + page_bytes - INDEX_PAGE_GUARD_BYTES, 0xff, INDEX_PAGE_GUARD_BYTES);
}

int chapter_index_pack_page(struct chapter_index *index, uint32_t first_list, bool last_page,
			    uint8_t *page, uint32_t *ret_lists, struct uds_message *message)
{
	uint32_t count;
	int r;

	if (first_list > index->lists.list_count)
		return failure(message, -EINVAL,
			       "chapter index: first list %" PRIu32
			       " is not in the range 0 to %" PRIu32,
			       first_list, index->lists.list_count);
	/* At the first page of a chapter: only now all names are there, and can be sorted. */
	r = chapter_index_finish(index, message);
	if (r < 0)
		return r;
	r = choose_lists(index, first_list, last_page, &count);
	/* Only when the table of the lists, all of them empty, is larger than the page (7.2). */
	if (r < 0)
		return failure(message, r,
			       "chapter %" PRIu64 ": lists %" PRIu32
			       " and up do not fit on a page of %" PRIu32 " bytes even when empty",
			       index->vcn, first_list, index->geometry.page_bytes);
	write_page(index, first_list, count, page);
	*ret_lists = count;
	return 0;
}

void chapter_index_get_statistics(const struct chapter_index *index,
				  struct chapter_index_statistics *ret_statistics)
{
	const struct chapter_lists *lists = &index->lists;

	ret_statistics->entries = lists->kept;
	ret_statistics->collisions = lists->collisions;
	ret_statistics->overflows = lists->overflows;
	ret_statistics->removed = index->removed;
}
