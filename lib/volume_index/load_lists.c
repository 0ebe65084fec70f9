/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lists are collected in batches, one at a time for each member of the crew. Each member has two:
 * one is filled while the other is taken apart.
 */
#include "volume_index/load_lists.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "volume_index/additions.h"
#include "volume_index/list_cut.h"
#include "volume_index/list_entries.h"
#include "volume_index/shared_entries.h"
#include "volume_index/stream_format.h"

/*
 * A few times as many lists as follow each other in one part; that they have usual sizes is what
 * the bytes are for.
 */
#define BATCH_LISTS (4 * PART_LISTS)
#define BATCH_BYTES 262144u

#define BATCHES 2u /* of each member */

struct batched_list {
	uint64_t number; /* in the order in which lists came */
	uint32_t list;
	uint32_t at; /* in the memory of the batch */
	uint8_t sub;
	uint8_t bit;
	uint8_t stream;
};

struct list_batch {
	struct crew_job job;
	struct member_load *member;
	int status; /* what the member's lists came to, this batch included */
	uint32_t count;
	uint32_t bytes;
	struct batched_list lists[BATCH_LISTS];
	uint8_t memory[BATCH_BYTES];
};

/* What one member works with. */
struct member_load {
	struct volume_index *index;
	struct list_batch *batches; /* BATCHES of them */
	uint32_t turn;		    /* the one that is being filled */
	uint64_t keep_from[2]; /* by sub-index: entries of older chapters are left out; 0: none */
	uint64_t high;	       /* the newest chapter of any entry */
	uint64_t drop;	       /* the chapter whose entries are dropped, or NO_CHAPTER */
	struct additions *additions; /* may be NULL */
	bool tells_shared;	     /* entries of @high at addresses that others have */
	struct shared_entries shared;
	struct list_counts counts[2];
	int status; /* of the first list that is wrong; others behind it are left */
	uint64_t failed_at;
	struct uds_message message;
	struct delta_reader readers[DELTA_TOGETHER]; /* of lists that are read together */
	uint32_t *keys_of[DELTA_TOGETHER];	     /* what was taken from them */
	uint32_t *values_of[DELTA_TOGETHER];
	uint32_t taken[DELTA_TOGETHER];
	uint32_t room_entries; /* that keys and values have room for */
	uint32_t *keys;	       /* of the list that is being made */
	uint32_t *values;
	uint32_t *next_keys; /* what becomes of them; only with a cut */
	uint32_t *next_values;
	uint8_t names[DELTA_LIST_MAX_BITS / DELTA_NAME_BITS + 1][UDS_NAME_BYTES];
};

struct list_loads {
	struct volume_index *index;
	struct crew *crew;
	struct shared_entries *shared; /* may be NULL */
	uint64_t next_number;
	unsigned int count;
	struct member_load members[];
};

/* The sentence about the first key that is too high; there is one. */
static int high_key(struct member_load *load, const struct batched_list *which, uint32_t last_key)
{
	uint32_t i = 0;

	while (load->keys[i] <= last_key)
		i++;
	return failure(
		&load->message, UDS_ERR_CORRUPT,
		"volume index, stream of zone %u: %s, list %u: entry %u has key %u, above %u",
		which->stream, sub_index_name(load->index, which->sub), which->list, i,
		load->keys[i], last_key);
}

/* Begins to take the delta code of up to DELTA_TOGETHER lists apart. Returns of how many. */
static uint32_t begin_decoding(struct member_load *load, const struct list_batch *batch,
			       uint32_t first)
{
	const uint32_t left = batch->count - first;
	const uint32_t count = left < DELTA_TOGETHER ? left : DELTA_TOGETHER;
	bool together = count == DELTA_TOGETHER;

	for (uint32_t i = 0; i < count; i++) {
		const struct batched_list *which = &batch->lists[first + i];
		const struct list_zone *zone = zone_of_list(load->index, which->sub, which->list);

		delta_reader_start(&load->readers[i], &zone->shape->code, batch->memory + which->at,
				   which->bit,
				   zone->heads[which->list - zone->first_list].coded_bits);
		load->taken[i] = 0;
		/* Their codes are the same then. */
		together = together && which->sub == batch->lists[first].sub;
	}
	if (together)
		delta_lists_take(load->readers, load->keys_of, load->values_of, load->room_entries,
				 load->taken);
	return count;
}

/*
 * Takes the rest of a list apart. Returns 0, or UDS_ERR_CORRUPT when an entry goes past its end.
 *
 * An entry is at least its value and key bits, so the arrays, made for a list of the largest
 * size, cannot overflow.
 */
static int decode(struct member_load *load, struct delta_reader *reader, uint32_t *count,
		  uint32_t *ret_collisions)
{
	struct delta_entry entry;
	uint32_t collisions = 0;
	int r;

	do {
		*count += delta_reader_take(reader, load->keys + *count, load->values + *count,
					    load->room_entries - *count);
		r = delta_reader_next(reader, &entry);
		if (r < 1)
			break;
		load->keys[*count] = entry.key;
		load->values[*count] = entry.value;
		*count += 1;
		/* Ordinary entries were taken before, so this is a collision entry. */
		memcpy(load->names[collisions++], entry.name, UDS_NAME_BYTES);
	} while (true);
	*ret_collisions = collisions;
	return r;
}

/*
 * How far above @from the chapters are that are too old for @low. More than the mask: all of them.
 */
static uint64_t stale_distance(const struct list_zone *zone, uint64_t from, uint64_t low)
{
	const uint64_t mask = zone->shape->chapter_mask;

	if (from >= low)
		return 0;
	return low - from <= mask ? low - from : mask + 1;
}

/* The value of entries that are to be dropped; no entry has UINT64_MAX. */
static uint64_t value_to_drop(const struct member_load *load, const struct list_zone *zone)
{
	return load->drop == NO_CHAPTER ? UINT64_MAX : load->drop & zone->shape->chapter_mask;
}

/* The entries are the next ones from now on. */
static void go_on(struct member_load *load)
{
	uint32_t *keys = load->keys, *values = load->values;

	load->keys = load->next_keys;
	load->values = load->next_values;
	load->next_keys = keys;
	load->next_values = values;
}

/*
 * Leaves the entries out that a sweep would drop, and sets flush_from as it would (13.3); and those
 * of the chapter that is to be dropped. Only for lists without collision entries. Returns how many
 * entries stay.
 */
static uint32_t leave_out(struct member_load *load, const struct list_zone *zone,
			  struct list_head *head, uint32_t count, unsigned int sub)
{
	const uint64_t from = list_head_flush_from(head), low = load->keep_from[sub];
	const struct list_entries entries = { load->keys, load->values, count };
	const struct list_leavers leavers = {
		.from = from,
		.stale = stale_distance(zone, from, low),
		.dropped = value_to_drop(load, zone),
	};
	struct list_entries kept = { load->next_keys, load->next_values, 0 };
	struct list_left left;
	uint64_t oldest;

	list_entries_leave_out(zone->shape, &entries, &leavers, &kept, &left);
	load->counts[sub].dropped += left.dropped;
	load->counts[sub].left_out += left.stale;
	go_on(load);
	if (from >= low)
		return kept.count;
	oldest = low + ((left.nearest + from - low) & zone->shape->chapter_mask);
	list_head_set_flush_from(head, oldest < load->high ? oldest : load->high);
	return kept.count;
}

/*
 * The same for the chapter that is to be dropped, in a list with @count entries of which some are
 * collision entries, which is made by now.
 */
static int drop_entries(struct member_load *load, const struct batched_list *which,
			struct list_zone *zone, struct list_head *head, uint32_t count)
{
	const uint32_t collisions = list_head_collisions(head);
	struct list_cut cut = {
		.operations = load->index->operations,
		.zone = zone,
		.head = head,
		.sub = which->sub,
		.list = which->list,
		.count = count,
		.keys = load->keys,
		.values = load->values,
		.names = load->names,
		.chapter = load->high & zone->shape->chapter_mask,
		.stale = stale_distance(zone, list_head_flush_from(head),
					load->keep_from[which->sub]),
		.removes = load->drop != NO_CHAPTER,
		.shared = &load->shared,
	};
	uint32_t gone;
	int r = list_cut_chapter(&cut, &gone);

	load->counts[which->sub].dropped += gone;
	load->counts[which->sub].dropped_collisions += collisions - list_head_collisions(head);
	return r < 0 ? failure(&load->message, r, "volume index: no memory to load it") : 0;
}

/*
 * Merges @count entries with the records that are to be added to the list. It has no collision
 * entries. Returns how many there are then, or 0 when the records are to be left.
 */
static uint32_t merge(struct member_load *load, const struct list_zone *zone,
		      struct list_head *head, uint32_t count, const uint64_t *records,
		      uint32_t added, uint64_t low)
{
	const struct list_entries entries = { load->keys, load->values, count };
	const struct list_entries merged = { load->next_keys, load->next_values, count + added };
	const uint32_t bits =
		list_entries_merge(zone->shape, &entries, load->additions, records, low, &merged);

	if (bits == 0)
		return 0;
	head->coded_bits = (uint16_t)bits;
	go_on(load);
	return merged.count;
}

/*
 * Makes the list of entries that were decoded, with what is to be added to them. @has_left: some of
 * them are gone.
 */
static int build_list(struct member_load *load, const struct batched_list *which,
		      struct list_zone *zone, struct list_head *head, uint32_t count,
		      uint32_t collisions, bool has_left)
{
	const uint64_t *records;
	uint32_t added = 0, all = 0;
	int r;

	if (load->additions != NULL)
		records = additions_of_list(load->additions, which->sub, which->list, &added);
	if (added > 0 && collisions == 0)
		all = merge(load, zone, head, count, records, added, load->keep_from[which->sub]);
	if (all > 0) {
		count = all;
		load->counts[which->sub].added += added;
	} else if (added > 0) {
		additions_leave(load->additions, which->sub, which->list);
	}
	if (all == 0 && has_left)
		head->coded_bits =
			(uint16_t)delta_entries_bits(&zone->shape->code, load->keys, count);
	r = list_build(zone, head, load->keys, load->values, count, &load->names[0][0], collisions);
	/* No damage: the save is good, and a recovery would not have the memory either. */
	if (r < 0)
		return failure(&load->message, r,
			       "volume index, stream of zone %u: no memory for list %u",
			       which->stream, which->list);
	zone->coded_bits += head->coded_bits;
	return 0;
}

/* Makes the list that @reader began to take apart, of which @count entries are known. */
static int load_list(struct member_load *load, const struct batched_list *which,
		     struct delta_reader *reader, uint32_t count)
{
	struct list_zone *zone = zone_of_list(load->index, which->sub, which->list);
	struct list_head *head = &zone->heads[which->list - zone->first_list];
	/*
	 * The code can carry any 32-bit key; one above the addresses would be found by no name, and
	 * its bucket does not exist.
	 */
	uint32_t last_key = (uint32_t)((UINT64_C(1) << zone->shape->parameters.address_bits) - 1);
	uint32_t collisions, decoded;
	int r;

	r = decode(load, reader, &count, &collisions);
	/* Keys never decrease: the last one tells. */
	if (count > 0 && load->keys[count - 1] > last_key)
		return high_key(load, which, last_key);
	if (r < 0)
		return failure(
			&load->message, UDS_ERR_CORRUPT,
			"volume index, stream of zone %u: %s, list %u: entry %u goes past the "
			"end of the list",
			which->stream, sub_index_name(load->index, which->sub), which->list, count);
	load->counts[which->sub].entries += count;
	load->counts[which->sub].collisions += collisions;
	decoded = count;
	if (collisions == 0 &&
	    (list_head_flush_from(head) < load->keep_from[which->sub] || load->drop != NO_CHAPTER))
		count = leave_out(load, zone, head, count, which->sub);
	r = build_list(load, which, zone, head, count, collisions, count < decoded);
	if (r == 0 && collisions > 0 && load->tells_shared)
		r = drop_entries(load, which, zone, head, count);
	return r;
}

static void load_batch(struct crew_job *job)
{
	struct list_batch *batch = (struct list_batch *)job;
	struct member_load *load = batch->member;

	for (uint32_t i = 0; load->status == 0 && i < batch->count;) {
		const uint32_t count = begin_decoding(load, batch, i);

		for (uint32_t n = 0; load->status == 0 && n < count; n++, i++) {
			load->keys = load->keys_of[n];
			load->values = load->values_of[n];
			load->failed_at = batch->lists[i].number;
			load->status = load_list(load, &batch->lists[i], &load->readers[n],
						 load->taken[n]);
			/* They may have changed places with the next ones. */
			load->keys_of[n] = load->keys;
			load->values_of[n] = load->values;
		}
	}
	batch->status = load->status;
}

/* Room for the entries of a list. */
static int make_entries(const struct member_load *load, uint32_t **ret_keys, uint32_t **ret_values)
{
	const struct uds_env *env = &load->index->env;

	*ret_keys = env_allocate(env, load->room_entries, sizeof(**ret_keys));
	*ret_values = env_allocate(env, load->room_entries, sizeof(**ret_values));
	return *ret_keys == NULL || *ret_values == NULL ? -ENOMEM : 0;
}

static int make_arrays(struct member_load *load, bool has_cut)
{
	const struct uds_env *env = &load->index->env;
	int r = 0;

	load->room_entries = list_room_entries(load->index);
	for (uint32_t i = 0; r == 0 && i < DELTA_TOGETHER; i++)
		r = make_entries(load, &load->keys_of[i], &load->values_of[i]);
	if (r == 0 && has_cut)
		r = make_entries(load, &load->next_keys, &load->next_values);
	load->batches = env_allocate(env, BATCHES, sizeof(*load->batches));
	return load->batches == NULL ? -ENOMEM : r;
}

static int make_member(struct list_loads *loads, struct member_load *load,
		       const struct volume_index_cut *cut)
{
	const struct volume_index *index = loads->index;
	int r;

	load->index = loads->index;
	for (unsigned int sub = 0; cut != NULL && sub < index->subs; sub++)
		load->keep_from[sub] = lowest_chapter(&index->shapes[sub], cut->low_of);
	load->high = cut != NULL ? cut->high : 0;
	load->drop = cut != NULL && cut->without_high ? cut->high : NO_CHAPTER;
	load->additions = cut != NULL ? cut->additions : NULL;
	load->tells_shared = cut != NULL && cut->shared != NULL;
	load->shared.env = &index->env;
	r = make_arrays(load, cut != NULL);
	for (uint32_t i = 0; r == 0 && i < BATCHES; i++) {
		memset(&load->batches[i].job, 0, sizeof(load->batches[i].job));
		load->batches[i].job.run = load_batch;
		load->batches[i].member = load;
		load->batches[i].status = 0;
		load->batches[i].count = 0;
		load->batches[i].bytes = 0;
	}
	return r;
}

int list_loads_make(struct volume_index *index, struct crew *crew,
		    const struct volume_index_cut *cut, struct list_loads **ret_loads)
{
	const unsigned int count = crew_members(crew);
	struct list_loads *loads;
	int r = 0;

	loads = env_allocate_zeroed(&index->env, 1,
				    sizeof(*loads) + count * sizeof(loads->members[0]));
	if (loads == NULL)
		return -ENOMEM;
	loads->index = index;
	loads->crew = crew;
	loads->count = count;
	loads->shared = cut != NULL ? cut->shared : NULL;
	for (unsigned int i = 0; r == 0 && i < count; i++)
		r = make_member(loads, &loads->members[i], cut);
	if (r < 0) {
		list_loads_free(loads);
		return r;
	}
	*ret_loads = loads;
	return 0;
}

void list_loads_free(struct list_loads *loads)
{
	const struct uds_env *env;

	if (loads == NULL)
		return;
	env = &loads->index->env;
	for (unsigned int i = 0; i < loads->count; i++) {
		shared_entries_clear(&loads->members[i].shared);
		for (unsigned int n = 0; n < DELTA_TOGETHER; n++) {
			env_release(env, loads->members[i].keys_of[n]);
			env_release(env, loads->members[i].values_of[n]);
		}
		env_release(env, loads->members[i].next_keys);
		env_release(env, loads->members[i].next_values);
		env_release(env, loads->members[i].batches);
	}
	env_release(env, loads);
}

/* The batch that the member of a list fills now. */
static struct list_batch *batch_of(struct list_loads *loads, unsigned int sub, uint32_t list,
				   unsigned int *ret_member)
{
	const struct volume_index *index = loads->index;
	const uint32_t each = index->lists_per_zone[sub];
	struct member_load *load;

	*ret_member = part_of_list(index, list / each, list % each) % loads->count;
	load = &loads->members[*ret_member];
	return &load->batches[load->turn];
}

/* Returns what the member's lists came to, as far as is known. */
static int give_batch(struct list_loads *loads, unsigned int member)
{
	struct member_load *load = &loads->members[member];
	struct list_batch *next;

	crew_give(loads->crew, member, &load->batches[load->turn].job);
	load->turn = (load->turn + 1) % BATCHES;
	next = &load->batches[load->turn];
	crew_wait(loads->crew, &next->job);
	next->count = 0;
	next->bytes = 0;
	return next->status;
}

int list_loads_room(struct list_loads *loads, unsigned int sub, uint32_t list, uint32_t bytes,
		    uint8_t **ret_memory)
{
	unsigned int member;
	struct list_batch *batch = batch_of(loads, sub, list, &member);
	int r;

	if (batch->count == BATCH_LISTS || bytes > BATCH_BYTES - batch->bytes) {
		r = give_batch(loads, member);
		if (r < 0)
			return r;
		batch = batch_of(loads, sub, list, &member);
	}
	*ret_memory = batch->memory + batch->bytes;
	return 0;
}

void list_loads_add(struct list_loads *loads, unsigned int stream, unsigned int sub, uint32_t list,
		    unsigned int bit, uint32_t bytes)
{
	unsigned int member;
	struct list_batch *batch = batch_of(loads, sub, list, &member);

	batch->lists[batch->count++] = (struct batched_list){
		.number = loads->next_number++,
		.list = list,
		.at = batch->bytes,
		.sub = (uint8_t)sub,
		.bit = (uint8_t)bit,
		.stream = (uint8_t)stream,
	};
	batch->bytes += bytes;
}

/* What all members have told. */
static int collect_shared(struct list_loads *loads, struct uds_message *message)
{
	int r = 0;

	if (loads->shared == NULL)
		return 0;
	for (unsigned int i = 0; r == 0 && i < loads->count; i++)
		r = shared_entries_add_all(loads->shared, &loads->members[i].shared);
	shared_entries_sort(loads->shared);
	return r < 0 ? failure(message, r, "volume index: no memory to load it") : 0;
}

int list_loads_finish(struct list_loads *loads, int status, struct uds_message *message)
{
	const struct member_load *first = NULL;

	for (unsigned int i = 0; i < loads->count; i++) {
		struct member_load *load = &loads->members[i];

		(void)give_batch(loads, i);
		/* The one that was just given; give_batch() has waited for the other. */
		load->turn = (load->turn + 1) % BATCHES;
		crew_wait(loads->crew, &load->batches[load->turn].job);
	}
	for (unsigned int i = 0; i < loads->count; i++) {
		const struct member_load *load = &loads->members[i];

		if (load->status < 0 && (first == NULL || load->failed_at < first->failed_at))
			first = load;
	}
	if (first == NULL)
		return status < 0 ? status : collect_shared(loads, message);
	if (message != NULL)
		*message = first->message;
	return first->status;
}

void list_loads_count(const struct list_loads *loads, unsigned int sub,
		      struct list_counts *ret_counts)
{
	*ret_counts = (struct list_counts){ 0 };
	for (unsigned int i = 0; i < loads->count; i++) {
		const struct list_counts *counts = &loads->members[i].counts[sub];

		ret_counts->entries += counts->entries;
		ret_counts->collisions += counts->collisions;
		ret_counts->left_out += counts->left_out;
		ret_counts->dropped += counts->dropped;
		ret_counts->dropped_collisions += counts->dropped_collisions;
		ret_counts->added += counts->added;
	}
}
