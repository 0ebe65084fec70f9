/* SPDX-License-Identifier: BSD-2-Clause */
/* The model: see the header. */
#include "volume_index_model.h"

#include <stdlib.h>
#include <string.h>

#include "delta/delta_code.h"
#include "name_list.h"

void model_make(struct model *model, const struct geometry *geometry, unsigned int zones)
{
	memset(model, 0, sizeof(*model));
	model->geometry = *geometry;
	model->zones = zones;
	model->subs = geometry->sparse_chapters_per_volume > 0 ? 2 : 1;
	for (unsigned int sub = 0; sub < model->subs; sub++) {
		volume_index_parameters_make(geometry, (enum sub_index)sub,
					     &model->parameters[sub]);
		model->lists[sub] =
			calloc(model->parameters[sub].list_count, sizeof(struct model_list));
	}
}

void model_free(struct model *model)
{
	for (unsigned int sub = 0; sub < model->subs; sub++) {
		for (uint32_t i = 0; i < model->parameters[sub].list_count; i++)
			free(model->lists[sub][i].entries);
		free(model->lists[sub]);
	}
}

static unsigned int zone_of(const struct model *model, unsigned int sub, uint32_t list)
{
	uint32_t count = model->parameters[sub].list_count;

	return list / ((count + model->zones - 1) / model->zones);
}

static struct model_window *window_of(struct model *model, unsigned int sub, uint32_t list)
{
	return &model->windows[sub][zone_of(model, sub, list)];
}

/* Remove of section 5. */
static void cut(struct model_list *list, uint32_t at)
{
	if (!list->entries[at].collision && at + 1 < list->count && list->entries[at + 1].collision)
		list->entries[at + 1].collision = false;
	memmove(&list->entries[at], &list->entries[at + 1],
		(list->count - at - 1) * sizeof(list->entries[0]));
	list->count--;
	list->bits_known = false;
}

static void drop_stale(struct model *model, unsigned int sub, uint32_t number)
{
	struct model_list *list = &model->lists[sub][number];
	const struct model_window *window = window_of(model, sub, number);
	uint64_t mask = model->parameters[sub].chapter_mask;
	uint64_t start = list->flush_from & mask;
	uint64_t count = window->low - list->flush_from;
	uint64_t best = mask;
	uint64_t f;

	if (list->flush_from >= window->low)
		return;
	if (count > mask + 1)
		count = mask + 1;
	for (uint32_t i = 0; i < list->count;) {
		uint64_t relative = (list->entries[i].value - start) & mask;

		if (relative < count) {
			cut(list, i);
			continue;
		}
		if (relative < best)
			best = relative;
		i++;
	}
	f = (best + start) & mask;
	f = window->low + ((f - window->low) & mask);
	list->flush_from = f < window->high ? f : window->high;
}

void model_get(struct model *model, const struct uds_record_name *name, struct model_record *ret)
{
	unsigned int sub = is_sample(&model->geometry, name) ? SUB_INDEX_HOOK : SUB_INDEX_DENSE;
	const struct volume_index_parameters *p = &model->parameters[sub];
	uint32_t number = name_list(p, name);
	uint32_t key = name_address(p, name);
	struct model_list *list = &model->lists[sub][number];
	const struct model_window *window = window_of(model, sub, number);
	uint32_t at = 0;

	drop_stale(model, sub, number);
	while (at < list->count && list->entries[at].key < key)
		at++;
	memset(ret, 0, sizeof(*ret));
	ret->sub = sub;
	ret->list = number;
	ret->at = at;
	if (at == list->count || list->entries[at].key != key)
		return;
	ret->found = true;
	for (uint32_t i = at + 1; i < list->count && list->entries[i].collision; i++) {
		if (memcmp(&list->entries[i].name, name, sizeof(*name)) == 0) {
			ret->at = i;
			ret->collision = true;
			break;
		}
	}
	ret->vcn = window->low + ((list->entries[ret->at].value - window->low) & p->chapter_mask);
}

static struct delta_code code_of(const struct model *model, unsigned int sub)
{
	struct delta_code code;

	must_equal(delta_code_make(model->parameters[sub].mean_delta,
				   model->parameters[sub].chapter_bits, &code),
		   0);
	return code;
}

static uint64_t entry_bits(const struct delta_code *code, const struct model_entry *entry,
			   uint32_t key_before)
{
	return code->payload_bits + delta_code_bits(code, entry->key - key_before) +
	       (entry->collision ? 128 : 0);
}

uint64_t model_coded_bits(const struct model *model, unsigned int sub, uint32_t number)
{
	struct model_list *list = &model->lists[sub][number];
	const struct delta_code code = code_of(model, sub);
	uint64_t bits = 0;
	uint32_t key = 0;

	if (list->bits_known)
		return list->bits;
	for (uint32_t i = 0; i < list->count; i++) {
		bits += entry_bits(&code, &list->entries[i], key);
		key = list->entries[i].key;
	}
	list->bits = bits;
	list->bits_known = true;
	return bits;
}

/* The list's size with an entry more, which changes the distance of the one behind it. */
static uint64_t bits_with(const struct model *model, const struct model_record *record,
			  const struct model_entry *entry, uint32_t at)
{
	const struct model_list *list = &model->lists[record->sub][record->list];
	const struct delta_code code = code_of(model, record->sub);
	uint32_t before = at > 0 ? list->entries[at - 1].key : 0;
	uint64_t bits = model_coded_bits(model, record->sub, record->list);

	bits += entry_bits(&code, entry, before);
	if (at < list->count)
		bits += entry_bits(&code, &list->entries[at], entry->key) -
			entry_bits(&code, &list->entries[at], before);
	return bits;
}

int model_put(struct model *model, struct model_record *record, const struct uds_record_name *name,
	      uint64_t vcn)
{
	const struct volume_index_parameters *p = &model->parameters[record->sub];
	struct model_list *list = &model->lists[record->sub][record->list];
	uint32_t at = record->at + record->found;
	struct model_entry entry = { 0 };

	uint64_t bits;

	must(!record->collision);
	entry.key = name_address(p, name);
	entry.value = (uint32_t)(vcn & p->chapter_mask);
	entry.collision = record->found;
	entry.name = *name;
	bits = bits_with(model, record, &entry, at);
	if (bits > 65535) {
		model->overflows++;
		return UDS_ERR_OVERFLOW;
	}
	if (list->count == list->room) {
		list->room = list->room * 2 + 8;
		list->entries = realloc(list->entries, list->room * sizeof(list->entries[0]));
	}
	memmove(&list->entries[at + 1], &list->entries[at],
		(list->count - at) * sizeof(list->entries[0]));
	list->entries[at] = entry;
	list->count++;
	list->bits = bits;
	return 0;
}

void model_set(struct model *model, struct model_record *record, uint64_t vcn)
{
	model->lists[record->sub][record->list].entries[record->at].value =
		(uint32_t)(vcn & model->parameters[record->sub].chapter_mask);
}

void model_remove(struct model *model, struct model_record *record)
{
	cut(&model->lists[record->sub][record->list], record->at);
}

static void first_and_last(const struct model *model, unsigned int sub, unsigned int zone,
			   uint32_t *ret_first, uint32_t *ret_end)
{
	uint32_t count = model->parameters[sub].list_count;
	uint32_t each = (count + model->zones - 1) / model->zones;

	*ret_first = zone * each;
	*ret_end = *ret_first + each < count ? *ret_first + each : count;
}

void model_open_chapter(struct model *model, unsigned int zone, uint64_t vcn)
{
	for (unsigned int sub = 0; sub < model->subs; sub++) {
		const struct volume_index_parameters *p = &model->parameters[sub];
		struct model_window *window = &model->windows[sub][zone];
		uint64_t area = (p->memory_bytes / model->zones + 65535) / 65536 * 65536;
		uint64_t most = (model->zones * area - p->target_free_bytes) * 8 / model->zones;
		uint64_t used = 0;
		uint64_t old;
		uint32_t first, end;
		uint64_t n;

		window->high = vcn;
		window->low = vcn >= p->chapter_count ? vcn - p->chapter_count + 1 : 0;
		first_and_last(model, sub, zone, &first, &end);
		for (uint32_t i = first; i < end; i++)
			used += model_coded_bits(model, sub, i);
		if (used <= most)
			continue;
		n = 1 + (used - most) / (p->chapter_bits_size / model->zones);
		old = window->low;
		if (n == 1)
			window->low++;
		else if (window->low + n < window->high)
			window->low += n;
		else
			window->low = window->high;
		model->early_expiries += window->low - old;
	}
}

void model_rezone(struct model *model, unsigned int zones)
{
	for (unsigned int sub = 0; sub < model->subs; sub++) {
		uint64_t low = 0;

		for (unsigned int i = 0; i < model->zones; i++) {
			if (model->windows[sub][i].low > low)
				low = model->windows[sub][i].low;
		}
		for (unsigned int i = 0; i < zones; i++) {
			model->windows[sub][i].low = low;
			model->windows[sub][i].high = model->windows[sub][0].high;
		}
	}
	model->zones = zones;
}

struct comparison {
	const struct model_list *list;
	uint32_t next;
};

static int compare_entry(void *context, const struct list_entry *entry)
{
	struct comparison *c = context;
	const struct model_entry *expected = &c->list->entries[c->next];

	must(c->next < c->list->count);
	must_equal(entry->address, expected->key);
	must_equal(entry->value, expected->value);
	must_equal(entry->collision_name != NULL, expected->collision);
	if (expected->collision)
		must(memcmp(entry->collision_name, expected->name.bytes, 16) == 0);
	c->next++;
	return 0;
}

struct list_info list_info_of(const struct volume_index *index, enum sub_index sub, uint32_t list)
{
	const struct list_zone *zone = zone_of_list(index, sub, list);
	const struct list_head *head = &zone->heads[list - zone->first_list];

	return (struct list_info){ list_head_flush_from(head), head->coded_bits, head->entries,
				   list_head_collisions(head) };
}

void model_compare(const struct model *model, const struct volume_index *index)
{
	struct volume_index_statistics statistics = { 0 };
	uint64_t entries = 0;
	uint64_t collisions = 0;
	uint64_t bits = 0;

	for (unsigned int sub = 0; sub < model->subs; sub++) {
		for (unsigned int zone = 0; zone < model->zones; zone++) {
			uint64_t low, high;

			volume_index_window(index, (enum sub_index)sub, zone, &low, &high);
			must_equal(low, model->windows[sub][zone].low);
			must_equal(high, model->windows[sub][zone].high);
		}
		for (uint32_t i = 0; i < model->parameters[sub].list_count; i++) {
			struct comparison c = { &model->lists[sub][i], 0 };
			uint64_t coded = model_coded_bits(model, sub, i);
			struct list_info info;
			uint32_t named = 0;

			must_equal(
				volume_index_walk(index, (enum sub_index)sub, i, compare_entry, &c),
				0);
			must_equal(c.next, c.list->count);
			info = list_info_of(index, (enum sub_index)sub, i);
			for (uint32_t k = 0; k < c.list->count; k++)
				named += c.list->entries[k].collision;
			must_equal(info.entries, c.list->count);
			must_equal(info.collisions, named);
			must_equal(info.coded_bits, coded);
			must_equal(info.flush_from, c.list->flush_from);
			entries += c.list->count;
			collisions += named;
			bits += coded;
		}
	}
	for (unsigned int zone = 0; zone < model->zones; zone++)
		volume_index_add_statistics(index, zone, &statistics);
	ck_assert_uint_eq(statistics.entries, entries);
	ck_assert_uint_eq(statistics.collisions, collisions);
	ck_assert_uint_eq(statistics.coded_bits, bits);
	ck_assert_uint_eq(statistics.early_expiries, model->early_expiries);
	ck_assert_uint_eq(statistics.overflows, model->overflows);
}
