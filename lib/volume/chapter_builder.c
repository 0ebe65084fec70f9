/* SPDX-License-Identifier: BSD-2-Clause */
/* The memory for the pages of a chapter, and the steps that fill it. */
#include "volume/chapter_builder.h"

#include <errno.h>
#include <inttypes.h>

#include "base/env.h"
#include "base/message.h"
#include "chapter/closed_chapter.h"

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
	builder->last_lists = env_allocate(env, geometry->index_pages_per_chapter,
					   sizeof(builder->last_lists[0]));
	/*
	 * The whole chapter in one buffer, index pages first, as on the volume: the writer needs
	 * two writes for it, and other threads copy the index pages out while the chapter is
	 * written.
	 */
	builder->pages = io_allocate_buffer(
		io, env, (uint64_t)geometry->pages_per_chapter * geometry->page_bytes);
	r = -ENOMEM;
	if (builder->last_lists != NULL && builder->pages != NULL)
		r = chapter_index_make(env, geometry, volume_nonce, &builder->index);
	if (r == 0)
		r = record_page_encoder_make(env, records, &builder->encoder);
	/* free() takes what was made so far: the parts that are still missing are NULL. */
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
	env_release(&env, builder->last_lists);
	env_release(&env, builder);
}

static uint8_t *page_at(const struct chapter_builder *builder, uint32_t page)
{
	return builder->pages + (size_t)page * builder->geometry->page_bytes;
}

int chapter_builder_run(struct chapter_builder *builder, uint64_t vcn,
			struct open_zone *const *zones, unsigned int count,
			struct uds_message *ret_message)
{
	struct collation collation;
	int r;

	/*
	 * With no live record there is nothing to fill unused positions with, and such a chapter is
	 * not written (10.4).
	 */
	r = collation_start(&collation, builder->geometry, zones, count);
	if (r < 0)
		return failure(ret_message, r, "chapter %" PRIu64 " has no records", vcn);
	/*
	 * The builder is used for one chapter after the other: entries and statistics of the last
	 * one go.
	 */
	chapter_index_reset(builder->index, vcn);
	for (uint32_t page = 0; page < builder->geometry->record_pages_per_chapter; page++) {
		r = closed_chapter_encode_page(
			&collation, page, builder->index, builder->encoder,
			page_at(builder, builder->geometry->index_pages_per_chapter + page));
		if (r < 0)
			return failure(ret_message, r,
				       "chapter %" PRIu64 ": record page %" PRIu32 ": %s", vcn,
				       page, uds_strerror(r));
	}
	/* After the record pages: encoding them has put every name into the index. */
	r = closed_chapter_pack_index(builder->geometry, builder->index, builder->pages,
				      builder->last_lists, ret_message);
	if (r < 0)
		return failure_in(ret_message, r, "chapter %" PRIu64 ": its index", vcn);
	chapter_index_get_statistics(builder->index, &builder->statistics);
	return 0;
}
