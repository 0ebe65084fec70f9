/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public face of the open chapter: uds/chapter.h. Holds the zones together; the work is done in
 * open_zone.c, saved_chapter.c and closed_chapter.c.
 */
#include <uds/chapter.h>

#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/failures.h"
#include "base/message.h"
#include "base/visibility.h"
#include "chapter/closed_chapter.h"
#include "chapter/public.h"
#include "chapter/public_pages.h"
#include "chapter/saved_chapter.h"

struct uds_open_chapter {
	struct uds_env env;
	struct geometry geometry;
	struct zone_chooser chooser;
	struct open_zone *zones[MAXIMUM_ZONES];
	struct failures *failures;
};

static unsigned int zone_count(const struct uds_open_chapter *chapter)
{
	return chapter->chooser.zones;
}

static struct open_zone *zone_of(const struct uds_open_chapter *chapter,
				 const struct uds_record_name *name)
{
	return chapter->zones[name_zone(&chapter->chooser, name)];
}

const struct geometry *public_chapter_geometry(const struct uds_open_chapter *chapter)
{
	return &chapter->geometry;
}

struct open_zone *const *public_chapter_zones(const struct uds_open_chapter *chapter,
					      unsigned int *ret_count)
{
	*ret_count = zone_count(chapter);
	return chapter->zones;
}

UDS_PUBLIC int uds_open_chapter_make(const struct uds_configuration *configuration,
				     unsigned int zones, const struct uds_env *env,
				     struct uds_message *ret_message,
				     struct uds_open_chapter **ret_chapter)
{
	struct uds_open_chapter *chapter;
	struct uds_env full_env;
	struct geometry g;
	int r;

	r = env_take(env, ret_message, &full_env);
	if (r < 0)
		return r;
	r = geometry_make(configuration, &g, ret_message);
	if (r < 0)
		return r;
	if (zones < 1 || zones > MAXIMUM_ZONES)
		return failure(ret_message, -EINVAL, "%u zones are not in the range 1 to %u", zones,
			       MAXIMUM_ZONES);
	chapter = env_allocate_zeroed(&full_env, 1, sizeof(*chapter));
	if (chapter == NULL)
		return failure(ret_message, -ENOMEM, "no memory for an open chapter");
	chapter->env = full_env;
	chapter->geometry = g;
	r = failures_make(&full_env, &chapter->failures);
	if (r < 0) {
		env_release(&full_env, chapter);
		return failure(ret_message, r, "no memory for an open chapter");
	}
	/*
	 * Computed in the sub-index that owns the name, as in a volume index of the same
	 * configuration (3).
	 */
	zone_chooser_make(&g, zones, &chapter->chooser);
	for (unsigned int z = 0; z < zones; z++) {
		/* What the division leaves over belongs to no zone (10.1). */
		r = open_zone_make(&full_env, g.records_per_chapter / zones, &chapter->zones[z]);
		if (r < 0) {
			uds_open_chapter_free(chapter);
			return failure(ret_message, r, "no memory for zone %u of an open chapter",
				       z);
		}
	}
	*ret_chapter = chapter;
	return 0;
}

UDS_PUBLIC void uds_open_chapter_free(struct uds_open_chapter *chapter)
{
	struct uds_env env;

	if (chapter == NULL)
		return;
	env = chapter->env;
	for (unsigned int z = 0; z < zone_count(chapter); z++)
		open_zone_free(chapter->zones[z]);
	failures_free(chapter->failures);
	env_release(&env, chapter);
}

UDS_PUBLIC void uds_open_chapter_error_message(const struct uds_open_chapter *chapter,
					       struct uds_message *ret_message)
{
	failures_get(chapter->failures, ret_message);
}

UDS_PUBLIC void uds_open_chapter_reset(struct uds_open_chapter *chapter)
{
	for (unsigned int z = 0; z < zone_count(chapter); z++)
		open_zone_reset(chapter->zones[z]);
}

UDS_PUBLIC uint32_t uds_open_chapter_count(const struct uds_open_chapter *chapter)
{
	uint32_t live = 0;

	for (unsigned int z = 0; z < zone_count(chapter); z++)
		live += open_zone_live(chapter->zones[z]);
	return live;
}

UDS_PUBLIC unsigned int uds_open_chapter_zone_of(const struct uds_open_chapter *chapter,
						 const struct uds_record_name *name)
{
	return name_zone(&chapter->chooser, name);
}

UDS_PUBLIC int uds_open_chapter_put(struct uds_open_chapter *chapter,
				    const struct uds_record_name *name,
				    const struct uds_record_data *data, uint32_t *ret_room)
{
	uint32_t room;
	int r;

	failures_begin(chapter->failures);
	r = open_zone_put(zone_of(chapter, name), name, data, &room);
	if (r == 0 && ret_room != NULL)
		*ret_room = room;
	return failures_end(chapter->failures, r,
			    "open chapter: a new record in zone %u, which is full",
			    name_zone(&chapter->chooser, name));
}

UDS_PUBLIC bool uds_open_chapter_search(const struct uds_open_chapter *chapter,
					const struct uds_record_name *name,
					struct uds_record_data *ret_data)
{
	const struct uds_record_data *data = open_zone_search(zone_of(chapter, name), name);

	if (data == NULL)
		return false;
	if (ret_data != NULL)
		*ret_data = *data;
	return true;
}

UDS_PUBLIC bool uds_open_chapter_remove(struct uds_open_chapter *chapter,
					const struct uds_record_name *name)
{
	return open_zone_remove(zone_of(chapter, name), name);
}

UDS_PUBLIC int uds_open_chapter_close(const struct uds_open_chapter *chapter,
				      struct uds_chapter_index *index, void *ret_record_pages,
				      size_t bytes)
{
	const struct geometry *g = &chapter->geometry;
	struct record_page_encoder *encoder;
	struct collation collation;
	int r;

	/* All refusals come before anything is written to the index or the pages. */
	failures_begin(chapter->failures);
	if (!public_index_has_geometry(index, g))
		return failures_say(chapter->failures, -EINVAL,
				    "open chapter: the chapter index is of another configuration");
	/* Entries that are there already would lead to pages of another chapter. */
	if (!public_index_is_empty(index))
		return failures_say(chapter->failures, UDS_ERR_BAD_STATE,
				    "open chapter: the chapter index was not reset");
	/* By division: the product could overflow. */
	if (bytes / g->page_bytes < g->record_pages_per_chapter)
		return failures_say(chapter->failures, UDS_ERR_OVERFLOW,
				    "open chapter: %zu bytes are less than %u record pages of %u",
				    bytes, g->record_pages_per_chapter, g->page_bytes);
	r = collation_start(&collation, g, chapter->zones, zone_count(chapter));
	if (r < 0)
		return failures_say(chapter->failures, r,
				    "open chapter: without a live record it is not closed");
	r = record_page_encoder_make(&chapter->env, g->records_per_page, &encoder);
	if (r < 0)
		return failures_end(chapter->failures, r, "open chapter: closing it");
	for (uint32_t page = 0; page < g->record_pages_per_chapter && r == 0; page++)
		r = closed_chapter_encode_page(&collation, page, public_index_inner(index), encoder,
					       (uint8_t *)ret_record_pages +
						       (size_t)page * g->page_bytes);
	record_page_encoder_free(encoder);
	return failures_end(chapter->failures, r, "open chapter: closing it");
}

UDS_PUBLIC size_t uds_open_chapter_saved_bytes(const struct uds_open_chapter *chapter)
{
	return (size_t)saved_chapter_bytes(chapter->zones, zone_count(chapter));
}

UDS_PUBLIC int uds_open_chapter_save(const struct uds_open_chapter *chapter, void *memory,
				     size_t room)
{
	int r;

	failures_begin(chapter->failures);
	r = saved_chapter_write(chapter->zones, zone_count(chapter), memory, room);
	return failures_end(chapter->failures, r, "open chapter: saving it into %zu bytes", room);
}

UDS_PUBLIC int uds_open_chapter_load(struct uds_open_chapter *chapter, const void *memory,
				     size_t bytes, uds_dropped_record_fn dropped,
				     void *dropped_context, uint64_t *ret_dropped,
				     struct uds_message *ret_message)
{
	struct uds_message message = { "" };
	uint64_t drops;
	int r;

	failures_begin(chapter->failures);
	r = saved_chapter_load(&chapter->geometry, &chapter->chooser, chapter->zones,
			       zone_count(chapter), memory, bytes, dropped, dropped_context, &drops,
			       &message);
	if (r == 0 && ret_dropped != NULL)
		*ret_dropped = drops;
	return failures_give(chapter->failures, r, &message, ret_message);
}
