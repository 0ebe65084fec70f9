/* SPDX-License-Identifier: BSD-2-Clause */
/* Counting what had to leave an index. */
#include "scan_room.h"

#include <stdbool.h>

#include <uds/geometry.h>

/* In a volume up to this size records are counted; in a larger one that would take too long. */
#define COUNTED_BYTES (UINT64_C(256) << 20)

static int count_record(void *context, const struct uds_record_name *name,
			const struct uds_record_data *data)
{
	uint64_t *count = context;

	(void)name;
	(void)data;
	(*count)++;
	return 0;
}

/*
 * How many chapters are needed for none to leave; an odd number would be that of a converted
 * volume.
 */
static uint64_t needed_chapters(const struct uds_index_statistics *before,
				const struct uds_index_statistics *after)
{
	uint64_t chapters = after->open_chapter - before->oldest_chapter + 1;

	if (chapters < 2)
		chapters = 2;
	return chapters + chapters % 2;
}

static uint64_t needed_bytes(const struct uds_configuration *configuration, uint64_t chapters)
{
	struct uds_configuration larger = *configuration;
	struct uds_geometry geometry = { .size = sizeof(geometry) };
	uint64_t sparse = configuration->sparse_chapters_per_volume;

	if (chapters > UINT32_MAX)
		return 0;
	larger.chapters_per_volume = (uint32_t)chapters;
	larger.sparse_chapters_per_volume =
		(uint32_t)(sparse * chapters / configuration->chapters_per_volume);
	larger.remapped_virtual = 0;
	larger.remapped_physical = 0;
	/* As `uds create` makes it, with extras. */
	return uds_geometry_compute(&larger, NULL, &geometry) < 0
		       ? 0
		       : geometry.index_bytes + geometry.extras_bytes;
}

static bool is_counted(const struct uds_configuration *configuration,
		       const struct uds_geometry *geometry)
{
	return configuration->sparse_chapters_per_volume == 0 &&
	       geometry->volume_bytes <= COUNTED_BYTES;
}

/* How many names lead to a record. The volume index also counts some whose record has left. */
static int count_names(struct uds_index *index, const struct uds_configuration *configuration,
		       const struct uds_geometry *geometry,
		       const struct uds_index_statistics *statistics, uint64_t *ret_count)
{
	*ret_count = 0;
	if (is_counted(configuration, geometry))
		return uds_index_for_each(index, count_record, ret_count);
	*ret_count = statistics->entries;
	return 0;
}

/* What was there, and came, and is not there any more. */
static int count_left(struct uds_index *index, const struct uds_configuration *configuration,
		      const struct uds_geometry *geometry,
		      const struct uds_index_statistics *before,
		      const struct uds_index_statistics *after, uint64_t *ret_left)
{
	uint64_t gone = after->oldest_chapter - before->oldest_chapter;
	uint64_t stored = before->entries + after->posts_not_found - before->posts_not_found -
			  (after->overflows - before->overflows);
	uint64_t kept;
	int r;

	*ret_left = 0;
	if (gone == 0 && after->early_expiries == before->early_expiries)
		return 0;
	/* Of a sparse index the volume index does not know most names. */
	if (configuration->sparse_chapters_per_volume > 0) {
		*ret_left = gone * geometry->records_per_chapter;
		return 0;
	}
	r = count_names(index, configuration, geometry, after, &kept);
	if (r == 0 && stored > kept)
		*ret_left = stored - kept;
	return r;
}

static int get_shape(struct uds_index *index, struct uds_configuration *ret_configuration,
		     struct uds_geometry *ret_geometry)
{
	int r = uds_index_get_configuration(index, ret_configuration);

	return r < 0 ? r : uds_geometry_compute(ret_configuration, NULL, ret_geometry);
}

int scan_room_start(struct uds_index *index, struct uds_index_statistics *ret_before)
{
	struct uds_index_statistics before = { .size = sizeof(before) };
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_geometry geometry = { .size = sizeof(geometry) };
	int r;

	r = uds_index_get_statistics(index, &before);
	if (r == 0)
		r = get_shape(index, &configuration, &geometry);
	/* Before the first chapter has left there is nothing to be told apart. */
	if (r == 0 && before.oldest_chapter > 0)
		r = count_names(index, &configuration, &geometry, &before, &before.entries);
	if (r == 0)
		*ret_before = before;
	return r;
}

int scan_room_look(struct uds_index *index, const struct uds_index_statistics *before,
		   struct scan_room *ret_room)
{
	struct uds_index_statistics after = { .size = sizeof(after) };
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_geometry geometry = { .size = sizeof(geometry) };
	struct scan_room room = { 0 };
	int r;

	r = uds_index_get_statistics(index, &after);
	if (r == 0)
		r = get_shape(index, &configuration, &geometry);
	if (r == 0)
		r = count_left(index, &configuration, &geometry, before, &after, &room.names_left);
	if (r < 0)
		return r;
	room.names_dropped = after.overflows + after.unreachable_records;
	room.needed_chapters = needed_chapters(before, &after);
	room.needed_bytes = needed_bytes(&configuration, room.needed_chapters);
	*ret_room = room;
	return 0;
}
