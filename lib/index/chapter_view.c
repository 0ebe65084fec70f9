/* SPDX-License-Identifier: BSD-2-Clause */
/* One whole chapter of the volume in memory. */
#include "index/chapter_view.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "chapter/record_page.h"
#include "geometry/name_bits.h"

int chapter_view_make(struct volume *volume, struct chapter_view *ret_view)
{
	const struct geometry *geometry = &volume->geometry;
	struct chapter_view view = { .volume = volume, .vcn = NO_CHAPTER };

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

static int check_page(struct chapter_view *view, uint32_t page, uint32_t first_list,
		      struct uds_message *message)
{
	const struct index_page_code *code = &view->volume->code;
	struct index_page_head *head = &view->heads[page];
	const uint8_t *bytes = chapter_view_page(view, page);
	int r;

	r = index_page_open(code, bytes, head, message);
	if (r < 0)
		return r;
	if (head->vcn != view->vcn)
		return failure(message, UDS_ERR_CORRUPT, "it is of chapter %" PRIu64 " instead",
			       head->vcn);
	if (head->first_list != first_list)
		return failure(message, UDS_ERR_CORRUPT,
			       "it begins with list %" PRIu32 " instead of %" PRIu32,
			       head->first_list, first_list);
	return index_page_validate(code, head, bytes, message);
}

int chapter_view_set(struct chapter_view *view, uint64_t vcn, const uint8_t *pages,
		     struct uds_message *message)
{
	const struct geometry *geometry = &view->volume->geometry;
	uint32_t next_list = 0;

	view->vcn = vcn;
	view->slot = geometry_physical_chapter(geometry, vcn);
	view->pages = pages;
	for (uint32_t i = 0; i < geometry->index_pages_per_chapter; i++) {
		int r = check_page(view, i, next_list, message);

		if (r < 0)
			return failure_in(message, r,
					  "%s: chapter %" PRIu64 " in slot %" PRIu32
					  ", index page %" PRIu32,
					  uds_io_name(view->volume->io), vcn, view->slot, i);
		next_list += view->heads[i].list_count;
	}
	if (next_list != geometry->delta_lists_per_chapter)
		return failure(message, UDS_ERR_CORRUPT,
			       "%s: chapter %" PRIu64 " in slot %" PRIu32 ": %" PRIu32
			       " delta lists, not %" PRIu32,
			       uds_io_name(view->volume->io), vcn, view->slot, next_list,
			       geometry->delta_lists_per_chapter);
	return 0;
}

int chapter_view_search(const struct chapter_view *view, const struct uds_record_name *name,
			uint32_t *ret_record_page)
{
	const struct geometry *geometry = &view->volume->geometry;
	uint32_t list = chapter_list(geometry, name), page = 0;

	while (page + 1 < geometry->index_pages_per_chapter &&
	       view->heads[page + 1].first_list <= list)
		page++;
	return index_page_search(geometry, &view->volume->code, &view->heads[page],
				 chapter_view_page(view, page), name, ret_record_page) == 1;
}

/* Where a search of the chapter for the name of record @i of a page ends. False: nowhere. */
static bool search_for(const struct chapter_view *view, uint32_t record_page, uint32_t i,
		       uint32_t *ret_page, uint32_t *ret_i)
{
	const uint8_t *page = chapter_view_record_page(view, record_page);
	uint32_t count = view->volume->geometry.records_per_page;
	struct uds_record_name name;

	memcpy(&name, page + (size_t)i * UDS_RECORD_BYTES, sizeof(name));
	if (chapter_view_search(view, &name, ret_page) != 1)
		return false;
	*ret_i = find_in_page(chapter_view_record_page(view, *ret_page), count, &name);
	return *ret_i < count;
}

bool chapter_view_leads_to(const struct chapter_view *view, uint32_t record_page, uint32_t i)
{
	uint32_t page, at;

	return search_for(view, record_page, i, &page, &at) && page == record_page && at == i;
}

bool chapter_view_finds(const struct chapter_view *view, uint32_t record_page, uint32_t i)
{
	const uint8_t *here = chapter_view_record_page(view, record_page);
	const uint8_t *there;
	uint32_t page, at;

	if (!search_for(view, record_page, i, &page, &at))
		return false;
	there = chapter_view_record_page(view, page);
	return memcmp(there + (size_t)at * UDS_RECORD_BYTES, here + (size_t)i * UDS_RECORD_BYTES,
		      UDS_RECORD_BYTES) == 0;
}

bool chapter_view_owns_page(const struct chapter_view *view, uint32_t record_page)
{
	uint32_t count = view->volume->geometry.records_per_page, found = 0, bad;

	if (!record_page_check(chapter_view_record_page(view, record_page), count, &bad))
		return false;
	for (uint32_t i = 0; i < count; i++)
		found += chapter_view_finds(view, record_page, i);
	return found > count / 2;
}
