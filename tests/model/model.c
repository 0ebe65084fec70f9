/* SPDX-License-Identifier: BSD-2-Clause */
/* A simple model of an index. */
#include "model.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "names.h"

struct place {
	uint64_t bits;
	uint32_t name;
};

static int compare_places(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	return x->bits < y->bits ? -1 : x->bits > y->bits;
}

/*
 * Of the first names the upper four of each eight get the place of the lower four, and are as much
 * samples as these.
 */
static void name_of(const struct model *model, uint32_t i, struct uds_record_name *ret_name)
{
	struct uds_record_name twin;

	make_name(model->seed, i, ret_name);
	if (i >= model->made_twins || (i & 4) == 0)
		return;
	make_name(model->seed, i - 4, &twin);
	memcpy(ret_name->bytes, twin.bytes, 8);
	memcpy(ret_name->bytes + 14, twin.bytes + 14, 2);
}

/*
 * Names that share list and address in the volume index of a small index: the last 28 bits that are
 * used of the name. One of them can be found through the entry of the other, also after it was
 * deleted.
 */
static void mark_twins(struct model *model)
{
	struct place *places = calloc(model->names, sizeof(*places));
	struct uds_record_name name;

	if (places == NULL)
		abort();
	for (uint32_t i = 0; i < model->names; i++) {
		name_of(model, i, &name);
		places[i].bits = get_be64(name.bytes) & ((UINT64_C(1) << 28) - 1);
		places[i].name = i;
	}
	qsort(places, model->names, sizeof(*places), compare_places);
	for (uint32_t i = 1; i < model->names; i++) {
		if (places[i].bits != places[i - 1].bits)
			continue;
		/* Of three the model knows nothing: take another seed. */
		if (model->name[places[i - 1].name].twin != 0)
			abort();
		model->name[places[i].name].twin = places[i - 1].name + 1;
		model->name[places[i - 1].name].twin = places[i].name + 1;
	}
	free(places);
}

struct model *model_make(uint32_t names, uint32_t twins, uint64_t seed)
{
	struct model *model = calloc(1, sizeof(*model));

	if (model == NULL)
		abort();
	model->seed = seed;
	model->names = names;
	model->made_twins = twins;
	model->name = calloc(names, sizeof(*model->name));
	if (model->name == NULL)
		abort();
	mark_twins(model);
	return model;
}

static struct model *make_copy_room(const struct model *model)
{
	struct model *copy = calloc(1, sizeof(*copy));

	if (copy == NULL)
		abort();
	copy->name = calloc(model->names, sizeof(*copy->name));
	if (copy->name == NULL)
		abort();
	return copy;
}

void model_assign(struct model **to, const struct model *from)
{
	struct model *copy = *to == NULL ? make_copy_room(from) : *to;
	struct model_name *name = copy->name;

	*copy = *from;
	copy->name = name;
	/* The few copies that a name has, not the room for more. */
	for (uint32_t i = 0; i < from->names; i++)
		memcpy(&name[i], &from->name[i],
		       offsetof(struct model_name, copies) +
			       from->name[i].count * sizeof(struct model_copy));
	*to = copy;
}

void model_free(struct model *model)
{
	if (model == NULL)
		return;
	free(model->name);
	free(model);
}

void model_request(const struct model *model, uint32_t i, uint8_t kind, uint32_t version,
		   struct uds_request *ret_request)
{
	memset(ret_request, 0, sizeof(*ret_request));
	ret_request->kind = kind;
	name_of(model, i, &ret_request->name);
	make_data('n', i, version, &ret_request->new_data);
}

static void append_copy(struct model_name *name, struct model_copy copy)
{
	if (name->count == MODEL_COPIES) {
		memmove(name->copies, name->copies + 1, sizeof(*name->copies) * (MODEL_COPIES - 1));
		name->count--;
	}
	name->copies[name->count++] = copy;
}

static void add_copy(struct model_name *name, uint32_t version, const struct model_time *time)
{
	append_copy(name,
		    (struct model_copy){ time->newest_before, time->newest_after, version, false });
}

/* Forgets copies that must have left. */
static void prune(struct model_name *name, uint64_t oldest)
{
	uint32_t kept = 0;

	/* A chapter may be found for a while after it stopped to count: leave a margin. */
	for (uint32_t i = 0; i < name->count; i++) {
		if (name->copies[i].high + 3 >= oldest)
			name->copies[kept++] = name->copies[i];
	}
	name->count = kept;
}

static bool is_hook(const struct model *model, const struct uds_record_name *name)
{
	return model->sample_rate > 0 && get_be16(name->bytes + 14) % model->sample_rate == 0;
}

/* Whether a copy must be found: its chapter is surely still there, and in the volume index. */
static bool must_be_found(const struct model *model, const struct model_copy *copy,
			  const struct uds_record_name *name, const struct model_time *time)
{
	if (copy->low < time->oldest_after)
		return false;
	return !model->sparse || is_hook(model, name) ||
	       copy->low + model->dense_chapters > time->newest_after;
}

static bool has_version(const struct model_name *name, uint32_t version)
{
	for (uint32_t i = 0; i < name->count; i++) {
		if (name->copies[i].version == version)
			return true;
	}
	return false;
}

/*
 * An uncertain name turned out to have this version: from which of the copies that have it is open.
 */
static void adopt(struct model_name *name, uint32_t version)
{
	uint32_t i = 0;

	while (name->count > 0 && name->copies[name->count - 1].version != version)
		name->count--;
	while (i < name->count && name->copies[i].version != version)
		i++;
	if (i < name->count) {
		name->copies[name->count - 1].low = name->copies[i].low;
		name->copies[name->count - 1].doubtful = false;
	}
}

static bool may_share_chapter(const struct model_copy *a, const struct model_copy *b)
{
	return a->low <= b->high && b->low <= a->high;
}

/* Whether a copy may be in the chapter that the entry of the twin leads to. */
static bool has_entry_of_twin(const struct model *model, const struct model_name *name,
			      const struct model_copy *copy)
{
	const struct model_name *twin;

	if (name->twin == 0)
		return false;
	twin = &model->name[name->twin - 1];
	if (twin->uncertain)
		return true;
	return twin->there && twin->count > 0 &&
	       may_share_chapter(&twin->copies[twin->count - 1], copy);
}

/*
 * A name that was deleted, or whose entry its twin took: which version can be found by the entry of
 * the twin.
 */
static bool is_found_by_twin(const struct model *model, const struct model_name *name,
			     bool any_version, uint32_t version)
{
	for (uint32_t i = 0; i < name->count; i++) {
		if ((any_version || name->copies[i].version == version) &&
		    has_entry_of_twin(model, name, &name->copies[i]))
			return true;
	}
	return false;
}

static const char *judge_found(const struct model *model, struct model_name *name, uint32_t i,
			       const struct uds_request *request)
{
	uint32_t version = get_le32(request->old_data.bytes + 8);
	struct uds_record_data data;

	if (request->kind == UDS_DELETE) {
		if (!name->there && !name->uncertain && !model->sparse &&
		    !is_found_by_twin(model, name, true, 0))
			return "deleted, but was not there";
		return NULL;
	}
	make_data('n', i, version, &data);
	if (memcmp(&data, &request->old_data, sizeof(data)) != 0)
		return "data that was never stored";
	if (name->uncertain || model->sparse) {
		if (!has_version(name, version))
			return "found a version that cannot be on the volume";
	} else if (!name->there) {
		if (!is_found_by_twin(model, name, false, version))
			return "found, but was not there";
	} else if (version != name->version) {
		return "found another version than the last";
	}
	/*
	 * That may have been by the entry of the twin; or in a sparse index any old copy: it says
	 * nothing about the others.
	 */
	if (name->uncertain && !model->sparse && !is_found_by_twin(model, name, false, version)) {
		adopt(name, version);
		name->version = version;
		name->there = true;
		name->uncertain = false;
	}
	return NULL;
}

static const char *judge_missed(const struct model *model, const struct model_name *name,
				const struct uds_request *request, const struct model_time *time)
{
	if (!name->there || name->uncertain || name->count == 0)
		return NULL;
	if (name->taken)
		return NULL;
	return must_be_found(model, &name->copies[name->count - 1], &request->name, time)
		       ? "not found, but must be there"
		       : NULL;
}

/*
 * A name that is not there is found if the entry of its twin leads to the same chapter; deleted,
 * updated or promoted then, it takes that entry along, and the twin is not found any more
 * (libuds_index(3), CAVEATS).
 */
static void take_entry(struct model *model, const struct model_name *name,
		       const struct uds_request *request)
{
	if (name->twin == 0 || !request->found || request->kind == UDS_PEEK ||
	    request->location == UDS_LOCATION_OPEN_CHAPTER || (name->there && !name->uncertain))
		return;
	model->name[name->twin - 1].taken = true;
}

/* What the request changed. */
static void learn(struct model_name *name, const struct uds_request *request, uint32_t version,
		  const struct model_time *time)
{
	bool in_open = request->location == UDS_LOCATION_OPEN_CHAPTER;
	bool stores_new =
		request->kind == UDS_UPDATE || (request->kind == UDS_POST && !request->found);
	bool promotes = request->found && !in_open &&
			(request->kind == UDS_POST || request->kind == UDS_QUERY);

	if (request->kind == UDS_DELETE) {
		name->there = false;
		name->uncertain = false;
		if (request->found && in_open && name->count > 0)
			name->count--;
		return;
	}
	/* In place: there is no older copy of this chapter any more. */
	if (stores_new && request->found && in_open && name->count > 0)
		name->count--;
	if (!stores_new && !promotes)
		return;
	name->there = true;
	name->uncertain = false;
	name->taken = false;
	name->version = stores_new ? version : get_le32(request->old_data.bytes + 8);
	add_copy(name, name->version, time);
}

const char *model_judge(struct model *model, uint32_t i, const struct uds_request *request,
			uint32_t version, const struct model_time *time)
{
	struct model_name *name = &model->name[i];
	const char *wrong;

	if (request->status != 0)
		return "an error";
	if (request->found != (request->location != UDS_LOCATION_NONE))
		return "found and location contradict";
	wrong = request->found ? judge_found(model, name, i, request)
			       : judge_missed(model, name, request, time);
	take_entry(model, name, request);
	learn(name, request, version, time);
	prune(name, time->oldest_before);
	return wrong;
}

static bool has_copy(const struct model_name *name, const struct model_copy *copy)
{
	for (uint32_t i = 0; i < name->count; i++) {
		const struct model_copy *own = &name->copies[i];

		if (own->low == copy->low && own->high == copy->high &&
		    own->version == copy->version)
			return true;
	}
	return false;
}

void model_recover(struct model *model, uint64_t newest, const struct model *saved)
{
	for (uint32_t i = 0; i < model->names; i++) {
		struct model_name *name = &model->name[i];

		while (name->count > 0 && name->copies[name->count - 1].low >= newest)
			name->count--;
		/* Which of the copies it has is still not known. */
		if (name->uncertain)
			continue;
		/*
		 * Deleted names come back, with what their latest closed chapter has; those deleted
		 * before the save only if they were stored after it.
		 */
		name->there = name->count > 0 &&
			      (saved == NULL || saved->name[i].there ||
			       !has_copy(&saved->name[i], &name->copies[name->count - 1]));
		if (!name->there)
			continue;
		name->version = name->copies[name->count - 1].version;
		if (name->copies[name->count - 1].high >= newest)
			name->copies[name->count - 1].doubtful = true;
		name->uncertain = name->copies[name->count - 1].doubtful;
	}
}

static bool is_same(const struct model_name *a, const struct model_name *b)
{
	if (a->there != b->there || a->uncertain != b->uncertain || a->version != b->version)
		return false;
	/* Old copies drop out as time goes by. */
	return a->count == 0 || has_copy(b, &a->copies[a->count - 1]);
}

static void doubt_new_copies(struct model_name *name, const struct model_name *old)
{
	for (uint32_t i = 0; i < name->count; i++) {
		if (!has_copy(old, &name->copies[i]))
			name->copies[i].doubtful = true;
	}
}

/* Copies that were there at the flush, and whose place another version has since. */
static void add_old_copies(struct model_name *name, const struct model_name *old)
{
	for (uint32_t i = 0; i < old->count; i++) {
		if (has_version(name, old->copies[i].version))
			continue;
		append_copy(name, old->copies[i]);
		name->copies[name->count - 1].doubtful = true;
	}
}

void model_replay(struct model *model, uint64_t newest, uint64_t open, const struct model *flushed)
{
	for (uint32_t i = 0; i < model->names; i++) {
		struct model_name *name = &model->name[i];

		if (!is_same(name, &flushed->name[i])) {
			doubt_new_copies(name, &flushed->name[i]);
			add_old_copies(name, &flushed->name[i]);
			name->uncertain = true;
		}
		/*
		 * What the twin did to the entry is not told by the journal: it may be there again.
		 */
		name->uncertain |= name->taken;
		for (uint32_t c = 0; c < name->count; c++) {
			if (name->copies[c].high >= newest)
				name->copies[c].high = open;
		}
		/*
		 * The chapter that was closed on the way may have it from the save, and the open
		 * one from the journal.
		 */
		if (open > newest && name->count > 0 && name->copies[name->count - 1].high == open)
			append_copy(name, name->copies[name->count - 1]);
	}
}

void model_drop(struct model *model, uint64_t newest)
{
	for (uint32_t i = 0; i < model->names; i++) {
		struct model_name *name = &model->name[i];

		if (name->count == 0 || name->copies[name->count - 1].high < newest)
			continue;
		name->copies[name->count - 1].doubtful = true;
		name->uncertain = true;
	}
}
