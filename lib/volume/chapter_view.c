/* SPDX-License-Identifier: BSD-2-Clause */
/* One whole chapter of the volume in memory. */
#include "volume/chapter_view.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "chapter/record_page.h"
#include "geometry/name_bits.h"
#include "volume/volume_private.h"
#include "volume/whole_chapter.h"

int chapter_view_make(struct volume *volume, struct chapter_view *ret_view)
{
	const struct geometry *geometry = &volume->geometry;
	struct chapter_view view = { .volume = volume, .geometry = geometry, .vcn = NO_CHAPTER };

	view.heads = env_allocate_zeroed(&volume->env, geometry->index_pages_per_chapter,
					 sizeof(*view.heads));
	if (view.heads == NULL)
		return -ENOMEM;
	*ret_view = view;
	return 0;
}

void chapter_view_free(struct chapter_view *view)
{
	if (view->volume != NULL)
		env_release(&view->volume->env, view->heads);
}

int chapter_view_set(struct chapter_view *view, uint64_t vcn, const uint8_t *pages,
		     struct uds_message *message)
{
	const struct geometry *geometry = view->geometry;
	uint64_t found = 0;
	int r;

	view->vcn = vcn;
	view->slot = geometry_physical_chapter(geometry, vcn);
	view->pages = pages;
	r = chapter_check_index(geometry, &view->volume->reader.code, view->slot, pages, &found,
				view->heads, message);
	/*
	 * The index pages agree with each other and with the slot, but they may be those of the
	 * chapter that was here one round of the volume ago, or of the one after this.
	 */
	if (r == 0 && found != vcn)
		r = failure(message, UDS_ERR_CORRUPT, "the slot holds chapter %" PRIu64 " instead",
			    found);
	if (r < 0)
		return failure_in(message, r, "%s: chapter %" PRIu64 " in slot %" PRIu32,
				  uds_io_name(view->volume->io), vcn, view->slot);
	return 0;
}

int chapter_view_check_page(const struct chapter_view *view, uint32_t page,
			    struct uds_message *message)
{
	const struct page_claim claim = { .vcn = view->vcn, .slot = view->slot, .page = page };
	uint32_t damaged;
	int r;

	r = chapter_check_sums(&view->volume->reader, view->slot, view->vcn, page,
			       view->geometry->page_bytes, chapter_view_page(view, page), &damaged,
			       message);
	return r < 0 ? volume_page_failure(view->volume, &claim, r, message) : 0;
}

/* Whether the index of the chapter has a record page for the name. */
static bool find_record_page(const struct chapter_view *view, const struct uds_record_name *name,
			     uint32_t *ret_record_page)
{
	const struct geometry *geometry = view->geometry;
	uint32_t list = chapter_list(geometry, name), page = 0;

	/* The heads on the pages, not the page map: verify compares the two. */
	while (page + 1 < geometry->index_pages_per_chapter &&
	       view->heads[page + 1].first_list <= list)
		page++;
	return index_page_search(geometry, &view->volume->reader.code, &view->heads[page],
				 chapter_view_page(view, page), name, ret_record_page) == 1;
}

bool chapter_view_leads_to(const struct chapter_view *view, uint32_t record_page, uint32_t i)
{
	const uint8_t *page = chapter_view_record_page(view, record_page);
	uint32_t count = view->geometry->records_per_page, led_to;
	struct uds_record_name name;

	memcpy(&name, page + (size_t)i * UDS_RECORD_BYTES, sizeof(name));
	/*
	 * The fill record lies on several pages and more than once on its own (10.4): only the copy
	 * that a lookup ends at counts as led to.
	 */
	return find_record_page(view, &name, &led_to) && led_to == record_page &&
	       find_in_page(page, count, &name) == i;
}

bool chapter_view_has(const struct chapter_view *view, const struct uds_record_name *name)
{
	uint32_t count = view->geometry->records_per_page, page;

	return find_record_page(view, name, &page) &&
	       find_in_page(chapter_view_record_page(view, page), count, name) < count;
}

int chapter_view_count_astray(const struct chapter_view *view, uint64_t *ret_entries,
			      uint64_t *ret_astray)
{
	return chapter_count_astray(&view->volume->env, view->geometry, &view->volume->reader.code,
				    view->heads, view->pages, ret_entries, ret_astray, NULL);
}
