/* SPDX-License-Identifier: BSD-2-Clause */
/* From the tree of a text to a model of the group. A sentence names the section by its path. */
#include "lvm/model.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/sort.h"
#include "lvm/text.h"

#define CHUNK_SECTORS_MAX  (UINT64_C(1) << 21) /* 1 GiB */
#define EXTENT_SECTORS_MAX (UINT64_C(1) << 32)
#define SECTORS_MAX	   (INT64_MAX / LVM_SECTOR)
#define SEGMENT_MISNAMED   UINT64_MAX

struct builder {
	struct lvm_tree tree;
	struct lvm_model *model;
	const struct lvm_node *volumes; /* the section */
	const struct lvm_node **order;	/* scratch, with room for every section */
	struct uds_message *message;
};

static int read_number(struct builder *b, const struct lvm_node *section, const char *key,
		       uint64_t least, uint64_t most, uint64_t *ret_number)
{
	const struct lvm_node *node = lvm_tree_find(&b->tree, section, key);
	char found[LVM_FOUND_BYTES];

	if (node == NULL)
		return failure(b->message, UDS_ERR_CORRUPT, "%s: expected a number, found none",
			       key);
	if (node->kind != LVM_NUMBER)
		return failure(b->message, UDS_ERR_CORRUPT,
			       "%s (line %u): expected a whole number, found %s", key, node->line,
			       lvm_node_describe(node, found));
	if (node->number < least || node->number > most)
		return failure(b->message, UDS_ERR_CORRUPT,
			       "%s (line %u): expected %" PRIu64 " to %" PRIu64 ", found %" PRIu64,
			       key, node->line, least, most, node->number);
	*ret_number = node->number;
	return 0;
}

static int read_string(struct builder *b, const struct lvm_node *section, const char *key,
		       const char **ret_string)
{
	const struct lvm_node *node = lvm_tree_find(&b->tree, section, key);
	char found[LVM_FOUND_BYTES];

	if (node == NULL)
		return failure(b->message, UDS_ERR_CORRUPT, "%s: expected a string, found none",
			       key);
	if (node->kind != LVM_STRING)
		return failure(b->message, UDS_ERR_CORRUPT,
			       "%s (line %u): expected a string, found %s", key, node->line,
			       lvm_node_describe(node, found));
	*ret_string = node->string;
	return 0;
}

/* NULL where the section is not there: a group without logical volumes has none. */
static int find_section(struct builder *b, const struct lvm_node *section, const char *key,
			const struct lvm_node **ret_node)
{
	const struct lvm_node *node = lvm_tree_find(&b->tree, section, key);
	char found[LVM_FOUND_BYTES];

	if (node != NULL && node->kind != LVM_SECTION)
		return failure(b->message, UDS_ERR_CORRUPT,
			       "%s (line %u): expected a section, found %s", key, node->line,
			       lvm_node_describe(node, found));
	*ret_node = node;
	return 0;
}

static bool has_word(struct builder *b, const struct lvm_node *section, const char *key,
		     const char *word)
{
	const struct lvm_node *node = lvm_tree_find(&b->tree, section, key);

	if (node == NULL || node->kind != LVM_LIST)
		return false;
	for (node = lvm_tree_first(&b->tree, node); node != NULL;
	     node = lvm_tree_next(&b->tree, node)) {
		if (node->kind == LVM_STRING && strcmp(node->string, word) == 0)
			return true;
	}
	return false;
}

static int read_pv(struct builder *b, const struct lvm_node *section)
{
	struct lvm_pv pv = { .name = section->name, .device = "" };
	const struct lvm_node *device = lvm_tree_find(&b->tree, section, "device");
	uint64_t sectors = b->model->extent_sectors;
	int r = read_string(b, section, "id", &pv.uuid);

	/* A hint for sentences only: names of devices change. */
	if (device != NULL && device->kind == LVM_STRING)
		pv.device = device->string;
	/* LVM asks the device where it is not there. */
	if (r == 0 && lvm_tree_find(&b->tree, section, "dev_size") != NULL)
		r = read_number(b, section, "dev_size", 0, SECTORS_MAX, &pv.device_sectors);
	pv.is_marked = has_word(b, section, "flags", "MISSING");
	if (r == 0)
		r = read_number(b, section, "pe_start", 0, SECTORS_MAX, &pv.first_sector);
	if (r == 0)
		/*
		 * The limits keep every product of extents and sectors, and of sectors and 512,
		 * below 2^63.
		 */
		r = read_number(b, section, "pe_count", 0,
				(SECTORS_MAX - pv.first_sector) / sectors, &pv.extents);
	if (r == 0 && pv.device_sectors > 0 &&
	    pv.first_sector + pv.extents * sectors > pv.device_sectors)
		r = failure(b->message, UDS_ERR_CORRUPT,
			    "extents: expected to end by sector %" PRIu64
			    ", the end of the device, found %" PRIu64 " from sector %" PRIu64 " on",
			    pv.device_sectors, pv.extents, pv.first_sector);
	if (r < 0)
		return failure_in(b->message, r, "physical volume '%.100s'", section->name);
	b->model->pvs[b->model->pv_count++] = pv;
	return 0;
}

/* Both begin with their name. */
static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The place of a name among sorted elements that begin with theirs; @count: it is not there. */
static uint32_t find_name(const void *elements, uint32_t count, size_t bytes_each, const char *name)
{
	uint32_t low = 0, high = count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const void *element = (const char *)elements + middle * bytes_each;
		int order = strcmp(*(const char *const *)element, name);

		if (order == 0)
			return middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return count;
}

uint32_t lvm_model_find_volume(const struct lvm_model *model, const char *name)
{
	uint32_t i =
		find_name(model->volumes, model->volume_count, sizeof(model->volumes[0]), name);

	return i == model->volume_count ? LVM_NONE : i;
}

static int read_pvs(struct builder *b, const struct lvm_node *group)
{
	const struct lvm_node *section = NULL, *node;
	struct lvm_model *m = b->model;
	int r = find_section(b, group, "physical_volumes", &section);

	if (r == 0 && section == NULL)
		r = failure(b->message, UDS_ERR_CORRUPT,
			    "physical_volumes: expected a section, found none");
	if (r < 0)
		return r;
	for (node = lvm_tree_first(&b->tree, section); r == 0 && node != NULL;
	     node = lvm_tree_next(&b->tree, node)) {
		if (node->kind == LVM_SECTION)
			r = read_pv(b, node);
	}
	/* Before the volumes are read: each of their stripes looks one up. */
	sort_elements(m->pvs, m->pv_count, sizeof(m->pvs[0]), compare_names);
	return r;
}

/*
 * The name of a stripe is that of no physical volume. -EOPNOTSUPP, without a sentence: of
 * a logical one.
 */
static int bad_stripe_name(struct builder *b, const char *name)
{
	if (lvm_tree_find(&b->tree, b->volumes, name) != NULL)
		return -EOPNOTSUPP;
	return failure(b->message, UDS_ERR_CORRUPT,
		       "stripes: expected the name of a physical volume, found '%.100s'", name);
}

/* One pair of the list. */
static int read_stripe(struct builder *b, const struct lvm_node *name, const struct lvm_node *first,
		       uint64_t extents)
{
	struct lvm_model *m = b->model;
	char name_found[LVM_FOUND_BYTES], first_found[LVM_FOUND_BYTES];
	struct lvm_stripe stripe;

	if (name->kind != LVM_STRING || first->kind != LVM_NUMBER)
		return failure(b->message, UDS_ERR_CORRUPT,
			       "stripes (line %u): expected pairs of a name and an extent, found "
			       "%s and %s",
			       name->line, lvm_node_describe(name, name_found),
			       lvm_node_describe(first, first_found));
	stripe.pv = find_name(m->pvs, m->pv_count, sizeof(m->pvs[0]), name->string);
	stripe.first = first->number;
	if (stripe.pv == m->pv_count)
		return bad_stripe_name(b, name->string);
	/* By subtraction, so that no sum of two numbers of the text can wrap. */
	if (stripe.first > m->pvs[stripe.pv].extents ||
	    extents > m->pvs[stripe.pv].extents - stripe.first)
		return failure(b->message, UDS_ERR_CORRUPT,
			       "stripes: expected to end by extent %" PRIu64 " of '%.100s', found "
			       "%" PRIu64 " extents from %" PRIu64 " on",
			       m->pvs[stripe.pv].extents, name->string, extents, stripe.first);
	m->stripes[m->stripe_count++] = stripe;
	return 0;
}

static int read_stripes(struct builder *b, const struct lvm_node *section,
			struct lvm_segment *segment)
{
	const struct lvm_node *list = lvm_tree_find(&b->tree, section, "stripes"), *node;
	uint64_t count = 0, bytes = segment->extents * b->model->extent_sectors;
	char found[LVM_FOUND_BYTES];
	int r = read_number(b, section, "stripe_count", 1, UINT32_MAX, &count);

	if (r == 0 && (list == NULL || list->kind != LVM_LIST || list->count != 2 * count))
		r = failure(b->message, UDS_ERR_CORRUPT,
			    "stripes: expected a list of %" PRIu64 ", a name and an extent of each "
			    "stripe, found %s",
			    2 * count, lvm_node_describe(list, found));
	if (r == 0 && count > 1)
		r = read_number(b, section, "stripe_size", 1, EXTENT_SECTORS_MAX,
				&segment->stripe_sectors);
	/* Otherwise the last row would be cut, and no rule says where its pieces are. */
	if (r == 0 && (segment->extents % count != 0 ||
		       (count > 1 && bytes / count % segment->stripe_sectors != 0)))
		r = failure(b->message, UDS_ERR_CORRUPT,
			    "extent_count: expected whole stripes in %" PRIu64
			    " parts, found %" PRIu64 " extents of %" PRIu64 " sectors",
			    count, segment->extents, b->model->extent_sectors);
	if (r < 0)
		return r;
	/*
	 * Stripes of all segments lie in one array, which was allocated for all elements of lists.
	 */
	segment->first_stripe = b->model->stripe_count;
	node = lvm_tree_first(&b->tree, list);
	while (r == 0 && node != NULL) {
		/* There is one: their number is even. */
		const struct lvm_node *first = lvm_tree_next(&b->tree, node);

		r = read_stripe(b, node, first, segment->extents / count);
		node = lvm_tree_next(&b->tree, first);
	}
	if (r == 0)
		segment->stripe_count = (uint32_t)count;
	/* It lies on other logical volumes: like a type that is not known, this is no damage. */
	if (r == -EOPNOTSUPP) {
		segment->type = "stacked";
		b->model->stripe_count = segment->first_stripe;
		r = 0;
	}
	return r;
}

/* A snapshot's only segment. */
static int read_link(struct builder *b, const char *name, const struct lvm_node *section)
{
	struct lvm_link link = { .section = name };
	uint64_t chunk = 0;
	int r = read_number(b, section, "chunk_size", 1, CHUNK_SECTORS_MAX, &chunk);

	link.chunk_sectors = (uint32_t)chunk;
	/* While it merges, the store has another key, and the snapshot is no device of its own. */
	link.merging = lvm_tree_find(&b->tree, section, "merging_store") != NULL;
	if (r == 0)
		r = read_string(b, section, "origin", &link.origin);
	if (r == 0)
		r = read_string(b, section, link.merging ? "merging_store" : "cow_store",
				&link.cow);
	if (r == 0)
		b->model->links[b->model->link_count++] = link;
	return r;
}

/* LVM writes linear ones as one stripe, and takes their own name, too. */
static bool has_stripes(const char *type)
{
	return strcmp(type, "striped") == 0 || strcmp(type, "linear") == 0;
}

/* @volume: counts what was read of it. */
static int read_segment(struct builder *b, const struct lvm_node *section,
			struct lvm_volume *volume, bool *is_snapshot)
{
	struct lvm_segment segment = { .type = "" };
	uint64_t most = SECTORS_MAX / b->model->extent_sectors - volume->extents;
	char expected[24];
	int r;

	/* All numbers from 1 on: a text that has lost one is no whole one. */
	snprintf(expected, sizeof(expected), "segment%u", volume->segment_count + 1);
	if (strcmp(section->name, expected) != 0)
		return failure(b->message, UDS_ERR_CORRUPT, "expected %s, found %.100s", expected,
			       section->name);
	/* Those before it are there without a gap, so this one begins where they end. */
	r = read_number(b, section, "start_extent", volume->extents, volume->extents,
			&segment.start);
	if (r == 0)
		r = read_number(b, section, "extent_count", 1, most, &segment.extents);
	if (r == 0)
		r = read_string(b, section, "type", &segment.type);
	*is_snapshot = strcmp(segment.type, "snapshot") == 0;
	if (r == 0 && *is_snapshot)
		r = read_link(b, volume->name, section);
	else if (r == 0 && has_stripes(segment.type))
		r = read_stripes(b, section, &segment);
	if (r < 0)
		return failure_in(b->message, r, "%s", expected);
	volume->extents += segment.extents;
	volume->segment_count++;
	b->model->segments[b->model->segment_count++] = segment;
	return 0;
}

/* N of a section segmentN, SEGMENT_MISNAMED of segment and anything else, or 0: it is none. */
static uint64_t segment_number(const struct lvm_node *node)
{
	static const char prefix[] = "segment";
	const char *digits = node->name + sizeof(prefix) - 1;
	uint64_t number = 0;

	if (node->kind != LVM_SECTION || strncmp(node->name, prefix, sizeof(prefix) - 1) != 0)
		return 0;
	if (*digits == '0' || strlen(digits) > 9 || strspn(digits, "0123456789") != strlen(digits))
		return SEGMENT_MISNAMED;
	for (; *digits != '\0'; digits++)
		number = 10 * number + (uint64_t)(*digits - '0');
	return number == 0 ? SEGMENT_MISNAMED : number;
}

/*
 * The segments of a volume, in the order of their numbers, to b->order. A text may have them in
 * any order.
 * Where numbers are missing, in the order of the text, so that the first wrong one is named.
 */
static uint64_t order_segments(struct builder *b, const struct lvm_node *section)
{
	const struct lvm_node *first = lvm_tree_first(&b->tree, section), *node;
	uint64_t count = 0, placed = 0;

	for (node = first; node != NULL; node = lvm_tree_next(&b->tree, node)) {
		if (segment_number(node) != 0)
			b->order[count++] = NULL;
	}
	for (node = first; node != NULL; node = lvm_tree_next(&b->tree, node)) {
		uint64_t number = segment_number(node);

		/* Each name is there once, and so is each number. */
		if (number != 0 && number <= count) {
			b->order[number - 1] = node;
			placed++;
		}
	}
	if (placed == count)
		return count;
	count = 0;
	for (node = first; node != NULL; node = lvm_tree_next(&b->tree, node)) {
		if (segment_number(node) != 0)
			b->order[count++] = node;
	}
	return count;
}

static int read_volume(struct builder *b, const struct lvm_node *section)
{
	struct lvm_model *m = b->model;
	struct lvm_volume volume = { .name = section->name, .origin = LVM_NONE };
	bool is_snapshot = false;
	uint64_t count = 0, found = order_segments(b, section);
	int r = read_string(b, section, "id", &volume.uuid);

	volume.first_segment = m->segment_count;
	volume.visible = has_word(b, section, "status", "VISIBLE");
	if (r == 0)
		r = read_number(b, section, "segment_count", 1, UINT32_MAX, &count);
	for (uint64_t i = 0; r == 0 && i < found; i++)
		r = read_segment(b, b->order[i], &volume, &is_snapshot);
	if (r == 0 && volume.segment_count != count)
		r = failure(b->message, UDS_ERR_CORRUPT,
			    "segment_count: expected %u, as many as there are, found %" PRIu64,
			    volume.segment_count, count);
	if (r < 0)
		return failure_in(b->message, r, "logical volume '%.100s'", section->name);
	/* The section that ties a snapshot together is no volume of its own. */
	if (!is_snapshot)
		m->volumes[m->volume_count++] = volume;
	return 0;
}

static int read_volumes(struct builder *b)
{
	struct lvm_model *m = b->model;
	const struct lvm_node *node = NULL;
	int r = 0;

	if (b->volumes != NULL)
		node = lvm_tree_first(&b->tree, b->volumes);
	for (; r == 0 && node != NULL; node = lvm_tree_next(&b->tree, node)) {
		if (node->kind == LVM_SECTION)
			r = read_volume(b, node);
	}
	/* They are looked up by name: by callers, and by the links of snapshots. */
	sort_elements(m->volumes, m->volume_count, sizeof(m->volumes[0]), compare_names);
	return r;
}

/* By what is there at most; none is 0, since memory for nothing may be NULL. */
static int allocate(struct builder *b, const struct lvm_node *group, const struct uds_env *env)
{
	const struct lvm_node *pvs = lvm_tree_find(&b->tree, group, "physical_volumes");
	struct lvm_model *m = b->model;
	uint64_t volumes = b->volumes == NULL ? 0 : b->volumes->count;
	uint64_t pv_count = pvs == NULL || pvs->kind != LVM_SECTION ? 0 : pvs->count;

	m->pvs = env_allocate_zeroed(env, pv_count + 1, sizeof(m->pvs[0]));
	m->volumes = env_allocate_zeroed(env, volumes + 1, sizeof(m->volumes[0]));
	m->links = env_allocate_zeroed(env, volumes + 1, sizeof(m->links[0]));
	m->segments =
		env_allocate_zeroed(env, b->tree.sections + UINT64_C(1), sizeof(m->segments[0]));
	m->stripes =
		env_allocate_zeroed(env, b->tree.elements / 2 + UINT64_C(1), sizeof(m->stripes[0]));
	b->order = env_allocate(env, b->tree.sections + UINT64_C(1), sizeof(b->order[0]));
	if (m->pvs == NULL || m->volumes == NULL || m->links == NULL || m->segments == NULL ||
	    m->stripes == NULL || b->order == NULL)
		return failure(b->message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	return 0;
}

static int read_group(struct builder *b, const struct lvm_node *group, const struct uds_env *env)
{
	struct lvm_model *m = b->model;
	int r = find_section(b, group, "logical_volumes", &b->volumes);

	m->name = group->name;
	if (r == 0)
		r = allocate(b, group, env);
	if (r == 0)
		r = read_string(b, group, "id", &m->uuid);
	if (r == 0)
		r = read_number(b, group, "seqno", 0, UINT64_MAX, &m->seqno);
	if (r == 0)
		r = read_number(b, group, "extent_size", 1, EXTENT_SECTORS_MAX, &m->extent_sectors);
	if (r == 0)
		r = read_pvs(b, group);
	if (r == 0)
		r = read_volumes(b);
	return r < 0 ? failure_in(b->message, r, "group '%.100s'", group->name) : 0;
}

/* The one section of the text is the group. */
static int find_group(struct builder *b, const struct lvm_node **ret_group)
{
	const struct lvm_node *node, *group = NULL;
	const struct lvm_node *version = lvm_tree_find(&b->tree, &b->tree.nodes[0], "version");
	char found[LVM_FOUND_BYTES];

	/* It stands before or behind the group. */
	if (version != NULL && version->kind != LVM_NUMBER)
		return failure(b->message, UDS_ERR_UNSUPPORTED_VERSION,
			       "text: version (line %u): expected 1, found %s", version->line,
			       lvm_node_describe(version, found));
	if (version != NULL && version->number != 1)
		return failure(b->message, UDS_ERR_UNSUPPORTED_VERSION,
			       "text: version: expected 1, found %" PRIu64, version->number);
	for (node = lvm_tree_first(&b->tree, &b->tree.nodes[0]); node != NULL;
	     node = lvm_tree_next(&b->tree, node)) {
		if (node->kind != LVM_SECTION)
			continue;
		if (group != NULL)
			return failure(b->message, UDS_ERR_CORRUPT,
				       "text: expected one group, found '%.100s' and '%.100s'",
				       group->name, node->name);
		group = node;
	}
	if (group == NULL)
		return failure(b->message, UDS_ERR_CORRUPT, "text: expected a group, found none");
	*ret_group = group;
	return 0;
}

int lvm_model_parse(struct lvm_text *text, const struct uds_env *env, struct lvm_model *ret_model,
		    struct uds_message *message)
{
	struct lvm_model model = { .name = NULL };
	struct builder builder = { .model = &model, .message = message };
	const struct lvm_node *group = NULL;
	int r = lvm_tree_parse(text->bytes, text->length, env, &builder.tree, message);

	if (r < 0)
		return r;
	r = find_group(&builder, &group);
	if (r == 0)
		r = read_group(&builder, group, env);
	env_release(env, builder.order);
	lvm_tree_free(&builder.tree, env);
	if (r < 0) {
		lvm_model_free(&model, env);
		return r;
	}
	/* All names point into it, so it lives as long as the model. */
	model.text = text->bytes;
	text->bytes = NULL;
	*ret_model = model;
	return 0;
}

void lvm_model_free(struct lvm_model *model, const struct uds_env *env)
{
	env_release(env, model->pvs);
	env_release(env, model->volumes);
	env_release(env, model->links);
	env_release(env, model->segments);
	env_release(env, model->stripes);
	env_release(env, model->text);
	model->text = NULL;
}
