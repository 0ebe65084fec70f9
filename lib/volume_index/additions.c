/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each member of the crew collects the records of its pages in the order in which they come, and
 * counts how many each list gets. From these numbers follows where in one array each list's records
 * go, and those of each member among them, so that all can be put there at once.
 */
#include "volume_index/additions.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/sort.h"
#include "geometry/name_bits.h"

/* So many records of a list are sorted by insertion. */
#define FEW_RECORDS 64u

/* So many records are worked on at once, while the memory that they need is fetched. */
#define FETCHED_RECORDS 64u

/* What one member has collected. */
struct collection {
	struct crew_job job;
	struct additions *additions;
	uint32_t count;
	uint32_t room;
	uint32_t *places;  /* for each list how many it gets, then where the next one goes */
	uint32_t *lists;   /* for each record */
	uint64_t *records; /* see pack() */
};

struct additions {
	struct uds_env env;
	struct geometry geometry;
	struct volume_index_parameters parameters[2];
	unsigned int members;
	uint64_t first; /* chapter */
	unsigned int chapter_bits, number_bits;
	uint32_t lists; /* of both sub-indexes */
	/* for each list, and one more: where its records are among the sorted ones */
	uint32_t *starts;
	uint64_t *sorted;
	uint64_t *left; /* a bit for each record number of each chapter */
	struct collection collections[CREW_MOST];
};

/* Sorted by address, chapter, and place in the chapter. */
static uint64_t pack(const struct additions *additions, uint32_t address, uint64_t vcn,
		     uint32_t number)
{
	return ((uint64_t)address << additions->chapter_bits | (vcn - additions->first))
		       << additions->number_bits |
	       number;
}

static uint32_t number_of(const struct additions *additions, uint64_t record)
{
	return (uint32_t)(record & ((UINT64_C(1) << additions->number_bits) - 1));
}

struct addition additions_read(const struct additions *additions, uint64_t record)
{
	const uint64_t in_chapter = record >> additions->number_bits;
	struct addition addition;

	addition.vcn =
		additions->first + (in_chapter & ((UINT64_C(1) << additions->chapter_bits) - 1));
	addition.address = (uint32_t)(in_chapter >> additions->chapter_bits);
	return addition;
}

static int make_collection(struct additions *additions, struct collection *collection,
			   uint64_t records)
{
	const struct uds_env *env = &additions->env;

	collection->additions = additions;
	collection->room = (uint32_t)records;
	collection->places = env_allocate_zeroed(env, additions->lists, sizeof(uint32_t));
	collection->lists = env_allocate_large(env, records * sizeof(uint32_t));
	collection->records = env_allocate_large(env, records * sizeof(uint64_t));
	return collection->places == NULL || collection->lists == NULL ||
			       collection->records == NULL
		       ? -ENOMEM
		       : 0;
}

static void free_collection(const struct uds_env *env, struct collection *collection)
{
	env_release(env, collection->places);
	env_release_large(env, collection->lists, collection->room * sizeof(uint32_t));
	env_release_large(env, collection->records, collection->room * sizeof(uint64_t));
	memset(collection, 0, sizeof(*collection));
}

static size_t left_words(const struct additions *additions)
{
	return ((size_t)1 << (additions->chapter_bits + additions->number_bits)) / 64 + 1;
}

/* Whether a record's address, chapter and number fit into a word, for both sub-indexes. */
static bool set_sizes(struct additions *additions, uint32_t chapters)
{
	const struct geometry *geometry = &additions->geometry;
	bool fits = true;

	additions->chapter_bits = bits_per(chapters);
	additions->number_bits = bits_per(geometry->records_per_chapter);
	for (unsigned int sub = 0; sub < (geometry_is_sparse(geometry) ? 2u : 1u); sub++) {
		struct volume_index_parameters *p = &additions->parameters[sub];

		volume_index_parameters_make(geometry, (enum sub_index)sub, p);
		additions->lists += p->list_count;
		fits = fits &&
		       p->address_bits + additions->chapter_bits + additions->number_bits <= 64;
	}
	return fits;
}

struct additions *additions_make(const struct uds_env *env, const struct geometry *geometry,
				 unsigned int members, uint64_t first, uint32_t chapters)
{
	const uint32_t pages = (geometry->record_pages_per_chapter + members - 1) / members;
	const uint64_t most = (uint64_t)chapters * pages * geometry->records_per_page;
	struct additions *additions = env_allocate_zeroed(env, 1, sizeof(*additions));
	int r;

	if (additions == NULL)
		return NULL;
	additions->env = *env;
	additions->geometry = *geometry;
	additions->members = members;
	additions->first = first;
	/* Places among all records have 32 bits. */
	r = set_sizes(additions, chapters) && most <= UINT32_MAX / members ? 0 : -EINVAL;
	for (unsigned int i = 0; r == 0 && i < members; i++)
		r = make_collection(additions, &additions->collections[i], most);
	if (r == 0)
		additions->left = env_allocate_zeroed(env, left_words(additions), sizeof(uint64_t));
	if (additions->left == NULL) {
		additions_free(additions);
		return NULL;
	}
	return additions;
}

static uint32_t all_records(const struct additions *additions)
{
	return additions->starts[additions->lists];
}

void additions_free(struct additions *additions)
{
	struct uds_env env;

	if (additions == NULL)
		return;
	env = additions->env;
	for (unsigned int i = 0; i < additions->members; i++)
		free_collection(&env, &additions->collections[i]);
	if (additions->sorted != NULL)
		env_release_large(&env, additions->sorted,
				  all_records(additions) * sizeof(uint64_t));
	env_release(&env, additions->starts);
	env_release(&env, additions->left);
	env_release(&env, additions);
}

/*
 * As a volume index finds the list of a name; numbers of the second sub-index follow those
 * of the first.
 */
static uint32_t list_of(const struct additions *additions, const struct uds_record_name *name,
			uint32_t *ret_address)
{
	const bool hook = is_sample(&additions->geometry, name);
	const struct volume_index_parameters *p = &additions->parameters[hook];
	const uint64_t bits = name_volume_index_bits(name);
	const uint64_t list = bits >> p->address_bits;

	*ret_address = (uint32_t)(bits & ((UINT64_C(1) << p->address_bits) - 1));
	/* Most often a power of two. */
	return (hook ? additions->parameters[0].list_count : 0) +
	       (uint32_t)((p->list_count & (p->list_count - 1)) == 0 ? list & (p->list_count - 1)
								     : list % p->list_count);
}

/*
 * Counts records that were collected, from number @from on. Their lists are all over the counts,
 * which are too many for the processor's nearest caches: fetched before by the caller.
 */
static void count_records(struct collection *collection, uint32_t from, uint32_t to)
{
	const uint32_t *lists = collection->lists;
	uint32_t *places = collection->places;

	for (uint32_t i = from; i < to; i++)
		places[lists[i]]++;
}

void additions_add_page(struct additions *additions, unsigned int member, uint64_t vcn,
			uint32_t page, const uint8_t *records, bool samples_only)
{
	struct collection *collection = &additions->collections[member];
	const uint32_t all = additions->geometry.records_per_page;
	uint32_t counted = collection->count, count = counted;

	for (uint32_t i = 0; i < all; i++) {
		struct uds_record_name name;
		uint32_t list, address;

		memcpy(&name, records + (size_t)i * UDS_RECORD_BYTES, sizeof(name));
		if (samples_only && !is_sample(&additions->geometry, &name))
			continue;
		list = list_of(additions, &name, &address);
		__builtin_prefetch(&collection->places[list], 1);
		collection->lists[count] = list;
		collection->records[count++] = pack(additions, address, vcn, page * all + i);
		if (count - counted == FETCHED_RECORDS) {
			count_records(collection, counted, count);
			counted = count;
		}
	}
	count_records(collection, counted, count);
	collection->count = count;
}

/* From how many to where. */
static void set_places(struct additions *additions)
{
	uint32_t place = 0;

	for (uint32_t list = 0; list < additions->lists; list++) {
		additions->starts[list] = place;
		for (unsigned int i = 0; i < additions->members; i++) {
			uint32_t *at = &additions->collections[i].places[list];
			const uint32_t count = *at;

			*at = place;
			place += count;
		}
	}
	additions->starts[additions->lists] = place;
}

/* Finds the places of records from number @from on, and fetches them. */
static void find_places(struct collection *collection, uint32_t from, uint32_t count,
			uint32_t *ret_places)
{
	const uint32_t *lists = collection->lists + from;
	uint32_t *places = collection->places;

	for (uint32_t i = 0; i < count; i++)
		__builtin_prefetch(&places[lists[i]], 1);
	for (uint32_t i = 0; i < count; i++) {
		ret_places[i] = places[lists[i]]++;
		__builtin_prefetch(&collection->additions->sorted[ret_places[i]], 1);
	}
}

static void put_in_place(struct crew_job *job)
{
	struct collection *collection = (struct collection *)job;
	uint64_t *sorted = collection->additions->sorted;
	uint32_t places[FETCHED_RECORDS];

	for (uint32_t at = 0; at < collection->count; at += FETCHED_RECORDS) {
		const uint32_t left = collection->count - at;
		const uint32_t count = left < FETCHED_RECORDS ? left : FETCHED_RECORDS;

		find_places(collection, at, count, places);
		for (uint32_t i = 0; i < count; i++)
			sorted[places[i]] = collection->records[at + i];
	}
}

int additions_sort(struct additions *additions, struct crew *crew)
{
	const struct uds_env *env = &additions->env;

	additions->starts =
		env_allocate(env, (uint64_t)additions->lists + 1, sizeof(*additions->starts));
	if (additions->starts == NULL)
		return -ENOMEM;
	set_places(additions);
	additions->sorted =
		env_allocate_large(env, all_records(additions) * sizeof(*additions->sorted));
	if (additions->sorted == NULL)
		return -ENOMEM;
	for (unsigned int i = 0; i < additions->members; i++) {
		additions->collections[i].job.run = put_in_place;
		crew_give(crew, i, &additions->collections[i].job);
	}
	for (unsigned int i = 0; i < additions->members; i++) {
		crew_wait(crew, &additions->collections[i].job);
		free_collection(env, &additions->collections[i]);
	}
	return 0;
}

static int compare_records(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void sort_records(uint64_t *records, uint32_t count)
{
	if (count > FEW_RECORDS) {
		sort_elements(records, count, sizeof(*records), compare_records);
		return;
	}
	for (uint32_t i = 1; i < count; i++) {
		const uint64_t record = records[i];
		uint32_t to = i;

		for (; to > 0 && records[to - 1] > record; to--)
			records[to] = records[to - 1];
		records[to] = record;
	}
}

static uint64_t *records_of(struct additions *additions, unsigned int sub, uint32_t list,
			    uint32_t *ret_count)
{
	const uint32_t *start =
		&additions->starts[list + (sub > 0 ? additions->parameters[0].list_count : 0)];

	*ret_count = start[1] - start[0];
	return additions->sorted + start[0];
}

const uint64_t *additions_of_list(struct additions *additions, unsigned int sub, uint32_t list,
				  uint32_t *ret_count)
{
	uint64_t *records = records_of(additions, sub, list, ret_count);

	sort_records(records, *ret_count);
	return records;
}

/* Which bit of the left ones. */
static size_t left_bit(const struct additions *additions, uint64_t vcn, uint32_t number)
{
	return (size_t)(vcn - additions->first) << additions->number_bits | number;
}

void additions_leave(struct additions *additions, unsigned int sub, uint32_t list)
{
	uint32_t count;
	const uint64_t *records = records_of(additions, sub, list, &count);

	for (uint32_t i = 0; i < count; i++) {
		const size_t bit = left_bit(additions, additions_read(additions, records[i]).vcn,
					    number_of(additions, records[i]));

		/* Lists of other threads have records in the same word. */
		__atomic_fetch_or(&additions->left[bit / 64], UINT64_C(1) << bit % 64,
				  __ATOMIC_RELAXED);
	}
}

uint32_t additions_next_left(const struct additions *additions, uint64_t vcn, uint32_t from)
{
	const uint32_t count = additions->geometry.records_per_chapter;

	while (from < count) {
		const size_t bit = left_bit(additions, vcn, from);
		const uint64_t word = additions->left[bit / 64] >> bit % 64;

		if (word != 0) {
			from += (uint32_t)__builtin_ctzll(word);
			break;
		}
		from += 64 - (uint32_t)(bit % 64);
	}
	return from < count ? from : count;
}

bool additions_has_left(const struct additions *additions, uint64_t vcn)
{
	return additions_next_left(additions, vcn, 0) < additions->geometry.records_per_chapter;
}
