/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The volume index: which list a name belongs to, the windows of chapters, and the requests. The
 * lists themselves are list.c's.
 */
#include "volume_index/volume_index.h"

#include <errno.h>
#include <stdlib.h>

#include "base/env.h"
#include "base/message.h"
#include "geometry/name_bits.h"
#include "volume_index/private.h"

#define CACHE_LINE 64u

static int make_sub_index(struct volume_index *index, const struct geometry *geometry,
			  enum sub_index sub, struct uds_message *message)
{
	struct list_shape *shape = &index->shapes[sub];
	const struct volume_index_parameters *p = &shape->parameters;
	int r;

	r = list_shape_make(geometry, sub, shape);
	if (r < 0)
		return failure(message, r, "volume index: mean delta %u gives no usable delta code",
			       p->mean_delta);
	index->lists_per_zone[sub] = volume_index_lists_per_zone(p, index->zones);
	/*
	 * Every zone but the last takes the same number, so the last one could be left with none
	 * (6.1).
	 */
	if ((uint64_t)index->lists_per_zone[sub] * (index->zones - 1) >= p->list_count)
		return failure(message, -EINVAL,
			       "volume index: %u lists cannot be split over %u zones",
			       p->list_count, index->zones);
	/*
	 * Where the number of lists is a power of two, a mask takes the place of a division for
	 * each name.
	 */
	if ((p->list_count & (p->list_count - 1)) == 0)
		index->list_mask[sub] = p->list_count - 1;
	/*
	 * Zones of different threads must not share cache lines; 128, as processors fetch pairs of
	 * them.
	 */
	index->zones_of[sub] = env_allocate_aligned(
		&index->env, all_parts(index) * sizeof(*index->zones_of[sub]), 128);
	if (index->zones_of[sub] == NULL)
		return failure(message, -ENOMEM, "volume index: no memory");
	/* So that volume_index_free() can release zones that were never made. */
	memset(index->zones_of[sub], 0, all_parts(index) * sizeof(*index->zones_of[sub]));
	for (unsigned int i = 0; i < all_parts(index); i++) {
		struct list_zone *zone = list_zone_of(index, sub, i);

		if (i % index->parts > 0) {
			list_zone_make_part(list_zone_of(index, sub, i - i % index->parts), zone);
			list_pool_set_share(&zone->pool, index->parts);
			continue;
		}
		r = list_zone_make(zone, &index->env, shape, i / index->parts, index->zones);
		if (r < 0)
			return failure(message, r, "volume index: no memory for %u lists",
				       p->list_count);
		zone->high = 0;
		if (index->parts > 1)
			list_pool_set_share(&zone->pool, index->parts);
	}
	return 0;
}

int volume_index_make(const struct uds_env *env, const struct geometry *geometry,
		      unsigned int zones, unsigned int parts, uint64_t volume_nonce,
		      struct uds_message *message, struct volume_index **ret_index)
{
	struct volume_index *index;
	int r;

	if (zones < 1 || zones > MAXIMUM_ZONES)
		return failure(message, -EINVAL, "%u zones: 1 to %u are allowed", zones,
			       MAXIMUM_ZONES);
	index = env_allocate_zeroed(env, 1, sizeof(*index));
	if (index == NULL)
		return failure(message, -ENOMEM, "volume index: no memory");
	index->env = *env;
	index->operations = list_operations_choose();
	index->zones = zones;
	index->parts = parts;
	index->subs = geometry_is_sparse(geometry) ? 2 : 1;
	index->sample_rate = geometry->sparse_sample_rate;
	index->volume_nonce = volume_nonce;
	for (unsigned int sub = 0; sub < index->subs; sub++) {
		r = make_sub_index(index, geometry, (enum sub_index)sub, message);
		if (r < 0) {
			volume_index_free(index);
			return r;
		}
	}
	*ret_index = index;
	return 0;
}

void volume_index_free(struct volume_index *index)
{
	struct uds_env env;

	if (index == NULL)
		return;
	env = index->env;
	known_names_free(index->names);
	for (unsigned int sub = 0; sub < index->subs; sub++) {
		if (index->zones_of[sub] == NULL)
			continue;
		/* From the last one on: parts before their zones. */
		for (unsigned int i = all_parts(index); i-- > 0;) {
			if (i % index->parts > 0)
				list_zone_release_part(list_zone_of(index, sub, i));
			else
				list_zone_release(list_zone_of(index, sub, i));
		}
		env_release(&env, index->zones_of[sub]);
	}
	env_release(&env, index);
}

/*
 * Starts to fetch a cache line. The empty statement keeps GCC from taking functions that only do
 * this for functions without effect, whose calls it then drops.
 */
static inline __attribute__((always_inline)) void fetch(const void *place)
{
	__builtin_prefetch(place);
	__asm__ volatile("");
}

static inline void locate(const struct volume_index *index, const struct uds_record_name *name,
			  struct name_place *ret_place)
{
	uint64_t bits = name_volume_index_bits(name);
	unsigned int sub = SUB_INDEX_DENSE;
	const struct volume_index_parameters *p;
	uint32_t list;

	/* A name belongs to exactly one sub-index (13.1): samples to that of the hooks. */
	if (index->subs == 2 && name_sampling_bits(name) % index->sample_rate == 0)
		sub = SUB_INDEX_HOOK;
	p = &index->shapes[sub].parameters;
	ret_place->sub = (uint8_t)sub;
	ret_place->address = (uint32_t)(bits & ((UINT64_C(1) << p->address_bits) - 1));
	bits >>= p->address_bits;
	list = (uint32_t)(index->list_mask[sub] != 0 ? bits & index->list_mask[sub]
						     : bits % p->list_count);
	ret_place->zone = 0;
	ret_place->list = list;
	if (index->zones > 1) {
		ret_place->zone = (uint8_t)(list / index->lists_per_zone[sub]);
		ret_place->list = list % index->lists_per_zone[sub];
	}
	if (index->parts > 1)
		ret_place->zone = (uint8_t)part_of_list(index, ret_place->zone, ret_place->list);
}

static inline struct list_head *head_of(const struct volume_index *index,
					const struct name_place *place)
{
	return &list_zone_of(index, place->sub, place->zone)->heads[place->list];
}

void volume_index_locate(const struct volume_index *index, const struct uds_record_name *name,
			 struct name_place *ret_place)
{
	locate(index, name, ret_place);
	fetch(head_of(index, ret_place));
}

void volume_index_approach(const struct volume_index *index, const struct name_place *place)
{
	const struct list_zone *zone = list_zone_of(index, place->sub, place->zone);
	const struct list_head *head = &zone->heads[place->list];

	if (head->entries > 0)
		fetch(list_pool_chunk_of(&zone->pool, head->block));
}

/* Fetches what find touches: the unary part, and where the entry is if keys are spread evenly. */
static inline void prefetch_for_find(const struct list_shape *shape, const struct list_view *view,
				     uint32_t address)
{
	uint32_t position =
		(uint32_t)((uint64_t)view->entries * address >> shape->parameters.address_bits);
	const uint8_t *near = view->rest + position * shape->rest_bits / 8;

	for (uint32_t i = 0; i < view->upper_bytes && i < 4 * CACHE_LINE; i += CACHE_LINE)
		fetch(view->upper + i);
	fetch(view->rest - 1);
	fetch(near - 20);
	fetch(near + 20);
	fetch(view->chapters - 1 - position);
}

void volume_index_prefetch(const struct volume_index *index, const struct name_place *place,
			   enum hint_purpose purpose)
{
	const struct list_zone *zone = list_zone_of(index, place->sub, place->zone);
	const struct list_head *head = &zone->heads[place->list];
	struct list_view view;

	/* An empty list has no block. */
	if (head->entries == 0)
		return;
	view = list_view_of(zone, head);
	/*
	 * A list that has to be swept first is read as a whole, and so is one that an insertion
	 * will shift.
	 */
	if (purpose == HINT_PEEK ||
	    (purpose == HINT_LOOK && list_head_flush_from(head) >= zone->low)) {
		prefetch_for_find(zone->shape, &view, place->address);
	} else {
		const uint8_t *block = view.upper - POOL_BLOCK_HEAD;
		uint32_t bytes = list_pool_block_bytes(&zone->pool, head->block);

		for (uint32_t i = 0; i < bytes && i < 32 * CACHE_LINE; i += CACHE_LINE)
			fetch(block + i);
		fetch(block + bytes - 1);
	}
}

static inline void fill_record(const struct list_zone *zone, const struct name_place *place,
			       const struct list_found *found, struct hint *ret_record)
{
	ret_record->found = found->found;
	ret_record->collision = found->collision;
	ret_record->other = false;
	/* Wrong only for stale entries, which callers of this never get (13.2). */
	ret_record->vcn = found->found ? value_to_vcn(zone, found->value) : NO_CHAPTER;
	ret_record->place = *place;
	ret_record->position = found->position;
}

static struct known_place place_of(const struct volume_index *index, const struct name_place *place)
{
	return (struct known_place){
		.list = volume_index_list_number(index, place),
		.address = place->address,
		.sub = place->sub,
	};
}

static bool is_other(const struct volume_index *index, const struct name_place *place,
		     const struct uds_record_name *name)
{
	const struct known_place known = place_of(index, place);

	return known_names_is_other(index->names, &known, name);
}

void volume_index_get(struct volume_index *index, const struct name_place *place,
		      const struct uds_record_name *name, struct hint *ret_record)
{
	struct list_zone *zone = list_zone_of(index, place->sub, place->zone);
	struct list_head *head = &zone->heads[place->list];
	struct list_found found;

	/*
	 * Values are chapter numbers modulo a power of two, so a stale one may read as a chapter
	 * of the window (13.3).
	 */
	if (list_head_flush_from(head) < zone->low) {
		before_change(zone, place->list);
		if (__builtin_expect(index->names != NULL, 0))
			known_names_before(index->names, place->sub, zone, head, KNOWN_NAMES_SWEEP);
		index->operations->sweep(zone, head);
	}
	index->operations->find(zone, head, place->address, name->bytes, &found);
	fill_record(zone, place, &found, ret_record);
	if (__builtin_expect(index->names != NULL, 0) && found.found && !found.collision)
		ret_record->other = is_other(index, place, name);
}

void volume_index_peek(const struct volume_index *index, const struct name_place *place,
		       const struct uds_record_name *name, struct hint *ret_record)
{
	const struct list_zone *zone = list_zone_of(index, place->sub, place->zone);
	const struct list_head *head = &zone->heads[place->list];
	struct list_found found;

	/*
	 * Sweeps nothing: for callers that may not change the list. The answer is that of
	 * volume_index_get().
	 */
	index->operations->find(zone, head, place->address, name->bytes, &found);
	if (list_head_flush_from(head) < zone->low)
		list_look_past_stale(zone, head, name->bytes, &found);
	fill_record(zone, place, &found, ret_record);
}

bool volume_index_triage(const struct volume_index *index, const struct name_place *place,
			 const struct uds_record_name *name, uint64_t *ret_vcn)
{
	const struct list_zone *zone = list_zone_of(index, place->sub, place->zone);
	struct list_found found;
	uint64_t vcn;

	/*
	 * Only hooks tell about sparse chapters; of the other names nothing in the volume index
	 * does.
	 */
	if (place->sub != SUB_INDEX_HOOK)
		return false;
	index->operations->find(zone, &zone->heads[place->list], place->address, name->bytes,
				&found);
	if (!found.found)
		return false;
	vcn = value_to_vcn(zone, found.value);
	/* This lookup sweeps nothing: a number above the window is that of a stale entry (13.3). */
	if (vcn > zone->high)
		return false;
	*ret_vcn = vcn;
	return true;
}

int volume_index_put(struct volume_index *index, struct hint *record,
		     const struct uds_record_name *name, uint64_t vcn)
{
	const struct name_place *place = &record->place;
	struct list_zone *zone = list_zone_of(index, place->sub, place->zone);
	/* A collision entry goes right behind the ordinary one: newest first. */
	uint32_t position = record->position + record->found;
	int r;

	/* The name itself is there: volume_index_set() is for that. */
	if (record->found && record->collision)
		return UDS_ERR_DUPLICATE_NAME;
	/* Outside of the window the value would read as another chapter's (13.2). */
	if (vcn < zone->low || vcn > zone->high)
		return UDS_ERR_OUT_OF_RANGE;
	before_change(zone, place->list);
	r = index->operations->insert(zone, &zone->heads[place->list], place->address, position,
				      vcn & zone->shape->chapter_mask,
				      record->found ? name->bytes : NULL);
	/*
	 * Too long for the format: the record is not stored at all (13.4), and the hint is as it
	 * was.
	 */
	if (r < 0) {
		zone->overflows += r == UDS_ERR_OVERFLOW;
		return r;
	}
	record->position = position;
	record->collision = record->found;
	record->found = true;
	record->other = false;
	record->vcn = vcn;
	if (__builtin_expect(index->names != NULL, 0)) {
		const struct known_place known = place_of(index, place);

		known_names_enter(index->names, &known, name, !record->collision);
	}
	return 0;
}

int volume_index_set(struct volume_index *index, struct hint *record, uint64_t vcn)
{
	const struct name_place *place = &record->place;
	struct list_zone *zone = list_zone_of(index, place->sub, place->zone);

	if (vcn < zone->low || vcn > zone->high)
		return UDS_ERR_OUT_OF_RANGE;
	before_change(zone, place->list);
	list_set_value(zone, &zone->heads[place->list], record->position,
		       vcn & zone->shape->chapter_mask);
	record->vcn = vcn;
	return 0;
}

void volume_index_remove(struct volume_index *index, struct hint *record)
{
	const struct name_place *place = &record->place;
	struct list_zone *zone = list_zone_of(index, place->sub, place->zone);

	before_change(zone, place->list);
	if (__builtin_expect(index->names != NULL, 0) && !record->collision)
		known_names_before(index->names, place->sub, zone, &zone->heads[place->list],
				   record->position);
	/*
	 * May turn a collision entry of the same key into the ordinary one, so that hints of other
	 * names in this list are void.
	 */
	index->operations->remove(zone, &zone->heads[place->list], record->position);
	record->found = false;
	record->other = false;
	record->vcn = NO_CHAPTER;
}

void volume_index_undo(struct volume_index *index, struct hint *record)
{
	struct list_zone *zone = list_zone_of(index, record->place.sub, record->place.zone);

	volume_index_remove(index, record);
	zone->discards--;
}

int volume_index_know_names(struct volume_index *index)
{
	if (index->names == NULL)
		index->names = known_names_make(&index->env);
	return index->names == NULL ? -ENOMEM : 0;
}

void volume_index_note_removed(struct volume_index *index, const struct name_place *place,
			       const struct uds_record_name *name)
{
	const struct known_place known = place_of(index, place);

	known_names_lack(index->names, &known, name);
}

int volume_index_names_status(const struct volume_index *index)
{
	return index->names == NULL ? 0 : known_names_status(index->names);
}

void volume_index_forget_names(struct volume_index *index)
{
	known_names_free(index->names);
	index->names = NULL;
}

static uint64_t count_value(const struct list_zone *zone, const struct list_head *head,
			    uint64_t value)
{
	struct list_view view = list_view_of(zone, head);
	uint64_t count = 0;

	/* Many lists have none. The highest bits of all chapters lie together. */
	if (memchr(view.chapters - view.entries, list_chapter_byte(zone->shape, value),
		   view.entries) == NULL ||
	    list_is_stale(zone, head, value))
		return 0;
	for (uint32_t i = 0; i < view.entries; i++)
		count += list_value(zone->shape, &view, i) == value;
	return count;
}

uint64_t volume_index_count_chapter(const struct volume_index *index, unsigned int part,
				    uint64_t vcn)
{
	uint64_t count = 0;

	for (unsigned int sub = 0; sub < index->subs; sub++) {
		const struct list_zone *zone = list_zone_of(index, sub, part);

		for (uint32_t list = 0; list < zone->list_count; list++) {
			/* From the first list of another part to the next of this one. */
			if (part_of_list(index, 0, list) != part % index->parts)
				list += PART_LISTS - 1;
			else if (zone->heads[list].entries > 0)
				count += count_value(zone, &zone->heads[list],
						     vcn & zone->shape->chapter_mask);
		}
	}
	return count;
}

uint32_t volume_index_list_number(const struct volume_index *index, const struct name_place *place)
{
	return place->zone / index->parts * index->lists_per_zone[place->sub] + place->list;
}

unsigned int volume_index_parts_for(unsigned int zones, unsigned int members)
{
	/* Whole zones for each: parts cost memory, each the rest of an arena. */
	if (zones >= members || zones == 0)
		return 1;
	return members % zones == 0 ? members / zones : members;
}

unsigned int volume_index_parts(const struct volume_index *index)
{
	return all_parts(index);
}

/* Gives back what the parts' places took. Without memory for a smaller array they stay unused. */
static void shrink_zones(struct volume_index *index, unsigned int sub)
{
	const size_t bytes = index->zones * sizeof(union padded_zone);
	union padded_zone *zones = env_allocate_aligned(&index->env, bytes, 128);

	if (zones == NULL)
		return;
	memcpy(zones, index->zones_of[sub], bytes);
	env_release(&index->env, index->zones_of[sub]);
	index->zones_of[sub] = zones;
}

int volume_index_join(struct volume_index *index)
{
	if (index->parts == 1)
		return 0;
	for (unsigned int i = 0; i < index->subs * all_parts(index); i++) {
		const unsigned int sub = i / all_parts(index), part = i % all_parts(index);
		struct list_zone *zone = list_zone_of(index, sub, part - part % index->parts);
		int r;

		/* A join that failed before may have come so far. */
		if (part % index->parts == 0 || list_zone_of(index, sub, part)->heads == NULL)
			continue;
		r = list_zone_join(zone, list_zone_of(index, sub, part));
		if (r < 0)
			return r;
	}
	for (unsigned int sub = 0; sub < index->subs; sub++) {
		for (unsigned int i = 1; i < index->zones; i++)
			*list_zone_of(index, sub, i) = *list_zone_of(index, sub, i * index->parts);
		shrink_zones(index, sub);
	}
	index->parts = 1;
	return 0;
}

/*
 * Early expiry: drops chapters while a zone's lists take more bits than the format allows (13.5).
 */
static void expire_early(struct list_zone *zone)
{
	uint64_t chapters;
	uint64_t low = zone->low;

	if (zone->coded_bits <= zone->max_zone_bits)
		return;
	chapters = 1;
	if (zone->chapter_zone_bits > 0)
		chapters += (zone->coded_bits - zone->max_zone_bits) / zone->chapter_zone_bits;
	/*
	 * One chapter is always dropped, even if that makes the window empty; more than one never
	 * drops the open chapter (13.5).
	 */
	if (chapters == 1)
		zone->low++;
	else if (chapters < zone->high - zone->low)
		zone->low += chapters;
	else
		zone->low = zone->high;
	zone->early_expiries += zone->low - low;
}

void volume_index_set_part_window(struct volume_index *index, unsigned int part, uint64_t low_of,
				  uint64_t high)
{
	for (unsigned int sub = 0; sub < index->subs; sub++) {
		struct list_zone *zone = list_zone_of(index, sub, part);

		zone->low = lowest_chapter(zone->shape, low_of);
		zone->high = high;
	}
}

int volume_index_set_open_chapter(struct volume_index *index, unsigned int zone_number,
				  uint64_t vcn)
{
	if (vcn >= VOLUME_INDEX_CHAPTER_LIMIT)
		return UDS_ERR_OUT_OF_RANGE;
	for (unsigned int sub = 0; sub < index->subs; sub++) {
		struct list_zone *zone = list_zone_of(index, sub, zone_number);

		zone->high = vcn;
		/*
		 * Without regard to the old value: an early expiry may be taken back by this
		 * (13.2).
		 */
		zone->low = lowest_chapter(zone->shape, vcn);
		expire_early(zone);
	}
	return 0;
}

void volume_index_window(const struct volume_index *index, enum sub_index sub, unsigned int zone,
			 uint64_t *ret_low, uint64_t *ret_high)
{
	*ret_low = list_zone_of(index, sub, zone)->low;
	*ret_high = list_zone_of(index, sub, zone)->high;
}

uint32_t volume_index_list_count(const struct volume_index *index, enum sub_index sub)
{
	return (unsigned int)sub < index->subs ? index->shapes[sub].parameters.list_count : 0;
}
