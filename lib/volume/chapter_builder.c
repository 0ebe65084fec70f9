/* SPDX-License-Identifier: BSD-2-Clause */
/* Building the pages of a chapter in one pass over its records and one over its lists. */
#include "volume/chapter_builder.h"

#include <errno.h>
#include <inttypes.h>

#include "base/env.h"
#include "base/message.h"
#include "chapter/collation.h"

int chapter_builder_make(const struct uds_env *env, const struct uds_io *io,
			 const struct geometry *geometry, uint64_t volume_nonce,
			 struct chapter_builder **ret_builder)
{
	const uint32_t records = geometry->records_per_page;
	struct chapter_builder *builder = env_allocate_zeroed(env, 1, sizeof(*builder));
	int r;

	if (builder == NULL)
		return -ENOMEM;
	builder->env = *env;
	builder->geometry = geometry;
	builder->records = env_allocate(env, records, sizeof(builder->records[0]));
	builder->genuine = env_allocate(env, records, sizeof(builder->genuine[0]));
	builder->list_counts = env_allocate(env, geometry->index_pages_per_chapter,
					    sizeof(builder->list_counts[0]));
	builder->pages = io_allocate_buffer(
		io, env, (size_t)geometry->pages_per_chapter * geometry->page_bytes);
	r = -ENOMEM;
	if (builder->records != NULL && builder->genuine != NULL && builder->list_counts != NULL &&
	    builder->pages != NULL)
		r = chapter_index_make(env, geometry, volume_nonce, &builder->index);
	if (r == 0)
		r = record_page_encoder_make(env, records, &builder->encoder);
	if (r < 0) {
		chapter_builder_free(builder);
		return r;
	}
	*ret_builder = builder;
	return 0;
}

void chapter_builder_free(struct chapter_builder *builder)
{
	struct uds_env env;

	if (builder == NULL)
		return;
	env = builder->env;
	if (builder->encoder != NULL)
		record_page_encoder_free(builder->encoder);
	if (builder->index != NULL)
		chapter_index_free(builder->index);
	env_release(&env, builder->pages);
	env_release(&env, builder->list_counts);
	env_release(&env, builder->genuine);
	env_release(&env, builder->records);
	env_release(&env, builder);
}

static uint8_t *page_at(const struct chapter_builder *builder, uint32_t page)
{
	return builder->pages + (size_t)page * builder->geometry->page_bytes;
}

static int build_record_page(struct chapter_builder *builder, const struct collation *collation,
			     uint32_t page)
{
	const uint32_t records = builder->geometry->records_per_page;
	uint32_t genuine;
	int r = 0;

	genuine = collation_page(collation, page, builder->records, builder->genuine);
	record_page_encode(builder->encoder, builder->records,
			   page_at(builder, builder->geometry->index_pages_per_chapter + page));
	if (genuine == 0)
		return 0;
	for (uint32_t i = 0; i < records && r == 0; i++) {
		if (builder->genuine[i])
			r = chapter_index_put(builder->index, &builder->records[i]->name, page);
	}
	return r;
}

static int build_index_pages(struct chapter_builder *builder, struct uds_message *ret_message)
{
	const uint32_t pages = builder->geometry->index_pages_per_chapter;
	uint32_t next = 0;
	int r;

	r = chapter_index_finish(builder->index, ret_message);
	for (uint32_t page = 0; page < pages && r == 0; page++) {
		uint32_t lists = 0;

		r = chapter_index_pack_page(builder->index, next, page == pages - 1,
					    page_at(builder, page), &lists, ret_message);
		builder->list_counts[page] = lists;
		next += lists;
	}
	return r;
}

int chapter_builder_run(struct chapter_builder *builder, uint64_t vcn,
			struct open_zone *const *zones, unsigned int count,
			struct uds_message *ret_message)
{
	struct collation collation;
	int r;

	r = collation_start(&collation, builder->geometry, zones, count);
	if (r < 0)
		return failure(ret_message, r, "chapter %" PRIu64 " has no records", vcn);
	chapter_index_reset(builder->index, vcn);
	for (uint32_t page = 0; page < builder->geometry->record_pages_per_chapter; page++) {
		r = build_record_page(builder, &collation, page);
		if (r < 0)
			return failure(ret_message, r,
				       "chapter %" PRIu64 ": record page %" PRIu32 ": %s", vcn,
				       page, uds_strerror(r));
	}
	r = build_index_pages(builder, ret_message);
	if (r < 0)
		return failure_in(ret_message, r, "chapter %" PRIu64 ": its index", vcn);
	chapter_index_get_statistics(builder->index, &builder->statistics);
	return 0;
}
