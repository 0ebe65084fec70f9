/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a save has of a zone of the volume index (uds-format, 13.6).
 *
 * The reference implementation does not check whether the lists that it loads fit into its memory
 * (20.2, R1). So this is checked here; when they do not fit, the oldest chapters are left out, as
 * early expiry would.
 */
#include <errno.h>

#include "base/env.h"
#include "volume_index/volume_index.h"
#include "volume_index/zone_save.h"

static uint32_t gathered_bits(const struct list_encoder *encoder, const struct list_shape *shape,
			      uint32_t count)
{
	uint32_t bits = 0;
	uint32_t key = 0;

	for (uint32_t i = 0; i < count; i++) {
		/* A collision entry's key is coded as 0, whatever the key. */
		bits += encoder->names[i] != NULL ? delta_collision_bits(&shape->code)
						  : (uint32_t)delta_ordinary_bits(
							    &shape->code, encoder->keys[i] - key);
		key = encoder->keys[i];
	}
	return bits;
}

static void add_size(struct part *part, uint32_t bits)
{
	/*
	 * For the reference's memory every list may start at any bit, so seven more (6.4): also
	 * empty ones.
	 */
	part->area_bytes += (7 + bits + 7) / 8;
	if (bits > 0)
		part->data_bytes += STREAM_LIST_HEADER_BYTES + (bits + 7) / 8;
}

/* Adds up what the part takes; where chapters are left out, first works out the lists' sizes. */
static void measure_part(struct zone_save *save, struct part *part)
{
	const struct list_zone *zone = &part->frozen;

	/* The guard of seven bytes at the end of the area (6.2). */
	part->area_bytes = 7;
	part->data_bytes = 0;
	part->dropped = 0;
	part->names_lost = 0;
	for (uint32_t i = 0; i < zone->list_count; i++) {
		const struct list_head *head = &zone->heads[i];
		uint32_t bits = head->coded_bits, count, dropped, names_lost;

		if (part->sizes != NULL) {
			count = list_encoder_gather(&save->keeping, part, part->zone, i, &dropped,
						    &names_lost);
			bits = gathered_bits(&save->keeping, zone->shape, count);
			part->dropped += dropped;
			part->names_lost += names_lost;
			part->sizes[i] = (uint16_t)bits;
		}
		add_size(part, bits);
	}
}

/* All but the lists. */
static uint64_t fixed_bytes(const struct zone_save *save)
{
	const unsigned int subs = save->index->subs;
	uint64_t bytes = STREAM_GUARD_BYTES + (subs == 2 ? STREAM_SPARSE_HEADER_BYTES : 0);

	for (unsigned int sub = 0; sub < subs; sub++)
		bytes += STREAM_SUB_HEADER_BYTES + STREAM_DELTA_HEADER_BYTES +
			 (uint64_t)save->parts[sub].frozen.list_count * (8 + 2);
	return bytes;
}

/* Leaves @excess_bytes' worth of the oldest chapters out of a part. Returns 0 or a failure. */
static int leave_out(struct zone_save *save, struct part *part, uint64_t excess_bytes)
{
	const struct list_zone *zone = &part->frozen;
	uint64_t chapters = 1;

	/* Only the open chapter is left, and still too large. */
	if (part->low >= zone->high && part->sizes != NULL)
		return UDS_ERR_OVERFLOW;
	if (part->sizes == NULL) {
		part->sizes =
			env_allocate(&save->index->env, zone->list_count, sizeof(*part->sizes));
		if (part->sizes == NULL)
			return -ENOMEM;
		chapters = 0; /* at first only what is stale */
	} else if (zone->chapter_zone_bits > 0) {
		/* An estimate by the average chapter; the caller asks again until it fits. */
		chapters += excess_bytes * 8 / zone->chapter_zone_bits;
	}
	/*
	 * The open chapter's entries always stay: its records are in this save, and without them
	 * they could not be found.
	 */
	part->low = part->low + chapters < zone->high ? part->low + chapters : zone->high;
	measure_part(save, part);
	return 0;
}

/*
 * Whether nothing has to be left out, by the sum of the coded sizes alone. It is so unless the
 * lists are far longer than early expiry lets them become, and costs no look at all lists.
 */
static bool surely_fits(const struct zone_save *save, uint64_t limit)
{
	const struct volume_index *index = save->index;
	uint64_t total = fixed_bytes(save);

	for (unsigned int sub = 0; sub < index->subs; sub++) {
		const struct list_zone *zone = &save->parts[sub].frozen;
		const uint64_t most = zone->coded_bits / 8 + 7;

		/* As add_size() and measure_part(), each list rounded up. */
		if (most + UINT64_C(2) * zone->list_count >
		    volume_index_zone_bytes(&index->shapes[sub].parameters, index->zones))
			return false;
		total += most + (UINT64_C(1) + STREAM_LIST_HEADER_BYTES) * zone->list_count;
	}
	return total <= limit;
}

/* What the reference implementation can load of each sub-index. */
static int fit_areas(struct zone_save *save)
{
	const struct volume_index *index = save->index;

	for (unsigned int sub = 0; sub < index->subs; sub++) {
		struct part *part = &save->parts[sub];
		uint64_t area =
			volume_index_zone_bytes(&index->shapes[sub].parameters, index->zones);

		measure_part(save, part);
		while (part->area_bytes > area) {
			int r = leave_out(save, part, part->area_bytes - area);

			if (r < 0)
				return r;
		}
	}
	return 0;
}

int zone_save_plan(struct zone_save *save, uint64_t limit)
{
	const uint64_t fixed = fixed_bytes(save);
	int r;

	if (surely_fits(save, limit))
		return 0;
	r = fit_areas(save);
	while (r == 0) {
		uint64_t total = fixed + save->parts[0].data_bytes + save->parts[1].data_bytes;
		/* Each time the larger one gives way. */
		unsigned int sub = save->parts[1].data_bytes > save->parts[0].data_bytes;

		if (total <= limit)
			return 0;
		if (save->parts[sub].data_bytes == 0)
			return UDS_ERR_OVERFLOW;
		r = leave_out(save, &save->parts[sub], total - limit);
	}
	return r;
}

uint64_t volume_index_save_bytes(struct zone_save *save)
{
	uint64_t bytes = fixed_bytes(save);

	for (unsigned int sub = 0; sub < save->index->subs; sub++) {
		struct part *part = &save->parts[sub];

		/* With sizes it is known already. */
		if (part->sizes == NULL)
			measure_part(save, part);
		bytes += part->data_bytes;
	}
	return bytes;
}
