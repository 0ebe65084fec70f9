/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public face of chapter indexes and pages: uds/chapter.h. The work is done in chapter_index.c,
 * index_page.c and record_page.c.
 */
#include <uds/chapter.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/failures.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "chapter/chapter_index.h"
#include "chapter/index_page.h"
#include "chapter/public_pages.h"
#include "chapter/record_page.h"
#include "geometry/name_bits.h"

struct uds_chapter_index {
	struct uds_env env;
	struct geometry geometry;
	struct chapter_index *inner;
	bool empty; /* nothing was put since it was reset */
	struct failures *failures;
};

struct uds_page_format {
	struct uds_env env;
	struct geometry geometry;
	struct index_page_code code;
	struct failures *failures;
};

bool public_index_has_geometry(const struct uds_chapter_index *index, const struct geometry *g)
{
	return index->geometry.page_bytes == g->page_bytes &&
	       index->geometry.record_pages_per_chapter == g->record_pages_per_chapter;
}

bool public_index_is_empty(const struct uds_chapter_index *index)
{
	return index->empty;
}

struct chapter_index *public_index_inner(struct uds_chapter_index *index)
{
	/* The caller puts entries in. */
	index->empty = false;
	return index->inner;
}

UDS_PUBLIC int uds_chapter_index_make(const struct uds_configuration *configuration,
				      uint64_t volume_nonce, const struct uds_env *env,
				      struct uds_message *ret_message,
				      struct uds_chapter_index **ret_index)
{
	struct uds_chapter_index *index;
	struct uds_env full_env;
	struct geometry g;
	int r;

	r = env_take(env, ret_message, &full_env);
	if (r < 0)
		return r;
	r = geometry_make(configuration, &g, ret_message);
	if (r < 0)
		return r;
	index = env_allocate_zeroed(&full_env, 1, sizeof(*index));
	if (index == NULL)
		return failure(ret_message, -ENOMEM, "no memory for a chapter index");
	index->env = full_env;
	index->geometry = g;
	r = failures_make(&full_env, &index->failures);
	if (r == 0)
		r = chapter_index_make(&full_env, &g, volume_nonce, &index->inner);
	if (r < 0) {
		failures_free(index->failures);
		env_release(&full_env, index);
		return failure(ret_message, r, "no memory for a chapter index");
	}
	uds_chapter_index_reset(index, 0);
	*ret_index = index;
	return 0;
}

UDS_PUBLIC void uds_chapter_index_free(struct uds_chapter_index *index)
{
	struct uds_env env;

	if (index == NULL)
		return;
	env = index->env;
	chapter_index_free(index->inner);
	failures_free(index->failures);
	env_release(&env, index);
}

UDS_PUBLIC void uds_chapter_index_error_message(const struct uds_chapter_index *index,
						struct uds_message *ret_message)
{
	failures_get(index->failures, ret_message);
}

UDS_PUBLIC void uds_chapter_index_reset(struct uds_chapter_index *index, uint64_t virtual_chapter)
{
	chapter_index_reset(index->inner, virtual_chapter);
	index->empty = true;
}

UDS_PUBLIC int uds_chapter_index_put(struct uds_chapter_index *index,
				     const struct uds_record_name *name, uint32_t record_page)
{
	int r;

	failures_begin(index->failures);
	r = chapter_index_put(index->inner, name, record_page);
	if (r == 0)
		index->empty = false;
	return failures_end(index->failures, r, "chapter index: putting a name of record page %u",
			    record_page);
}

UDS_PUBLIC int uds_chapter_index_pack_page(struct uds_chapter_index *index, uint32_t first_list,
					   bool last_page, void *ret_page, uint32_t *ret_lists,
					   struct uds_message *ret_message)
{
	struct uds_message message = { "" };
	int r;

	failures_begin(index->failures);
	/* Packing may empty lists (8.2), so a new chapter needs a reset even when this fails. */
	index->empty = false;
	r = chapter_index_pack_page(index->inner, first_list, last_page, ret_page, ret_lists,
				    &message);
	return failures_give(index->failures, r, &message, ret_message);
}

UDS_PUBLIC int uds_chapter_index_get_statistics(const struct uds_chapter_index *index,
						struct uds_chapter_index_statistics *ret_statistics)
{
	struct uds_chapter_index_statistics out = { 0 };
	struct chapter_index_statistics inner;
	struct uds_message message;
	int r = STRUCT_OUT_CHECK(ret_statistics, uds_chapter_index_statistics, removed, &message);

	failures_begin(index->failures);
	if (r < 0)
		return failures_keep(index->failures, r, &message);
	chapter_index_get_statistics(index->inner, &inner);
	out.entries = inner.entries;
	out.collisions = inner.collisions;
	out.overflows = inner.overflows;
	out.removed = inner.removed;
	struct_out(ret_statistics, &out, sizeof(out));
	return 0;
}

UDS_PUBLIC int uds_page_format_make(const struct uds_configuration *configuration,
				    uint64_t volume_nonce, const struct uds_env *env,
				    struct uds_message *ret_message,
				    struct uds_page_format **ret_format)
{
	struct uds_page_format *format;
	struct uds_env full_env;
	struct geometry g;
	int r;

	r = env_take(env, ret_message, &full_env);
	if (r < 0)
		return r;
	r = geometry_make(configuration, &g, ret_message);
	if (r < 0)
		return r;
	format = env_allocate_zeroed(&full_env, 1, sizeof(*format));
	if (format == NULL)
		return failure(ret_message, -ENOMEM, "no memory for a page format");
	r = failures_make(&full_env, &format->failures);
	if (r < 0) {
		env_release(&full_env, format);
		return failure(ret_message, r, "no memory for a page format");
	}
	format->env = full_env;
	format->geometry = g;
	index_page_code_make(&g, volume_nonce, &format->code);
	*ret_format = format;
	return 0;
}

UDS_PUBLIC void uds_page_format_free(struct uds_page_format *format)
{
	struct uds_env env;

	if (format == NULL)
		return;
	env = format->env;
	failures_free(format->failures);
	env_release(&env, format);
}

UDS_PUBLIC void uds_page_format_error_message(const struct uds_page_format *format,
					      struct uds_message *ret_message)
{
	failures_get(format->failures, ret_message);
}

UDS_PUBLIC int uds_chapter_index_initialize_page(const struct uds_page_format *format,
						 const void *page, struct uds_message *ret_message,
						 struct uds_index_page *ret_page)
{
	struct uds_index_page out = UDS_INDEX_PAGE_INIT;
	struct uds_message message = { "" };
	struct index_page_head head = { 0 };
	int r;

	failures_begin(format->failures);
	r = STRUCT_OUT_CHECK(ret_page, uds_index_page, list_count, &message);
	if (r == 0)
		r = index_page_open(&format->code, page, &head, &message);
	if (r < 0)
		return failures_give(format->failures, r, &message, ret_message);
	out.bytes = page;
	out.virtual_chapter = head.vcn;
	out.first_list = head.first_list;
	out.list_count = head.list_count;
	struct_out(ret_page, &out, sizeof(out));
	return 0;
}

/* What a caller hands in again of a page that was checked. */
static int take_page(const struct uds_index_page *given, struct uds_message *message,
		     struct index_page_head *ret_head, const void **ret_bytes)
{
	struct uds_index_page page = UDS_INDEX_PAGE_INIT;
	int r = STRUCT_IN(&page, given, uds_index_page, list_count, message);

	if (r < 0)
		return r;
	/*
	 * The numbers are the caller's now, and were perhaps changed: each list's place is checked
	 * again where it is used.
	 */
	ret_head->vcn = page.virtual_chapter;
	ret_head->first_list = page.first_list;
	ret_head->list_count = page.list_count;
	*ret_bytes = page.bytes;
	return 0;
}

UDS_PUBLIC int uds_chapter_index_validate_page(const struct uds_page_format *format,
					       const struct uds_index_page *page,
					       struct uds_message *ret_message)
{
	struct uds_message message = { "" };
	struct index_page_head head;
	const void *bytes;
	int r;

	failures_begin(format->failures);
	r = take_page(page, &message, &head, &bytes);
	if (r == 0)
		r = index_page_validate(&format->code, &head, bytes, &message);
	return failures_give(format->failures, r, &message, ret_message);
}

UDS_PUBLIC int uds_chapter_index_search_page(const struct uds_page_format *format,
					     const struct uds_index_page *page,
					     const struct uds_record_name *name, bool *ret_found,
					     uint32_t *ret_record_page)
{
	struct uds_message message = { "" };
	struct index_page_head head;
	const void *bytes;
	int r;

	failures_begin(format->failures);
	r = take_page(page, &message, &head, &bytes);
	if (r < 0)
		return failures_keep(format->failures, r, &message);
	r = index_page_search(&format->geometry, &format->code, &head, bytes, name,
			      ret_record_page);
	if (r < 0)
		return failures_end(format->failures, r,
				    "index page of chapter %" PRIu64 ", searching list %u",
				    head.vcn, chapter_list(&format->geometry, name));
	*ret_found = r == 1;
	return 0;
}

UDS_PUBLIC uint32_t uds_chapter_index_list_of(const struct uds_page_format *format,
					      const struct uds_record_name *name)
{
	return chapter_list(&format->geometry, name);
}

UDS_PUBLIC int uds_record_page_encode(const struct uds_record *records, uint32_t count,
				      const struct uds_env *env, struct uds_message *ret_message,
				      void *ret_page)
{
	struct record_page_encoder *encoder = NULL;
	const struct uds_record **pointers;
	struct uds_env full_env;
	int r = env_take(env, ret_message, &full_env);

	if (r < 0)
		return r;
	r = record_page_encoder_make(&full_env, count, &encoder);
	if (r == -EINVAL)
		return failure(ret_message, r,
			       "record page: expected 1 to %u records, found %" PRIu32,
			       RECORD_PAGE_MAXIMUM_RECORDS, count);
	if (r < 0)
		return failure(ret_message, r, "record page of %" PRIu32 " records: %s", count,
			       uds_strerror(r));
	/* Pointers, since sorting moves them and not the records. */
	pointers = record_page_encoder_layout(encoder)->records;
	for (uint32_t i = 0; i < count; i++)
		pointers[i] = &records[i];
	record_page_encode(encoder, pointers, ret_page);
	record_page_encoder_free(encoder);
	return 0;
}

UDS_PUBLIC bool uds_record_page_search(const void *page, uint32_t count,
				       const struct uds_record_name *name,
				       struct uds_record_data *ret_data)
{
	struct uds_record_data data;

	if (!record_page_search(page, count, name, &data))
		return false;
	if (ret_data != NULL)
		*ret_data = data;
	return true;
}

static int out_of_order(const uint8_t *page, uint32_t count, uint32_t bad,
			struct uds_message *message)
{
	uint32_t previous = record_page_previous(bad, count);

	if (memcmp(page + (size_t)bad * UDS_RECORD_BYTES,
		   page + (size_t)previous * UDS_RECORD_BYTES, UDS_NAME_BYTES) == 0)
		return failure(message, UDS_ERR_CORRUPT,
			       "record page: record %" PRIu32 " of %" PRIu32
			       " has the name of record %" PRIu32 ", and other data",
			       bad, count, previous);
	return failure(message, UDS_ERR_CORRUPT,
		       "record page: record %" PRIu32 " of %" PRIu32
		       " is out of order: expected a name behind that of record %" PRIu32
		       ", found one before it",
		       bad, count, previous);
}

UDS_PUBLIC int uds_record_page_check(const void *page, uint32_t count,
				     struct uds_message *ret_message, uint32_t *ret_bad_record)
{
	uint32_t bad;

	/* A page of no records is in order. */
	if (count == 0 || record_page_check(page, count, &bad))
		return 0;
	if (ret_bad_record != NULL)
		*ret_bad_record = bad;
	return out_of_order(page, count, bad, ret_message);
}
