/* SPDX-License-Identifier: BSD-2-Clause */
/* Checking a group as a whole. */
#include "lvm/model_check.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/sort.h"

static int find_linked(const struct lvm_model *model, const struct lvm_link *link, const char *role,
		       const char *name, uint32_t *ret_volume, struct uds_message *message)
{
	*ret_volume = lvm_model_find_volume(model, name);
	if (*ret_volume != LVM_NONE)
		return 0;
	return failure(message, UDS_ERR_CORRUPT,
		       "logical volume '%.100s': %s: expected the name of a logical volume, found "
		       "'%.100s'",
		       link->section, role, name);
}

static int tie(struct lvm_model *model, const struct lvm_link *link, struct uds_message *message)
{
	uint32_t origin = LVM_NONE, cow = LVM_NONE;
	int r = find_linked(model, link, "origin", link->origin, &origin, message);

	if (r == 0)
		r = find_linked(model, link, "COW store", link->cow, &cow, message);
	if (r < 0)
		return r;
	/* Two snapshots in one store would each overwrite the other. */
	if (model->volumes[cow].origin != LVM_NONE)
		return failure(message, UDS_ERR_CORRUPT,
			       "logical volume '%.100s': COW store: expected one of its own, found "
			       "'%.100s', which another snapshot has",
			       link->section, link->cow);
	model->volumes[cow].origin = origin;
	model->volumes[cow].chunk_sectors = link->chunk_sectors;
	model->volumes[cow].merging = link->merging;
	/* Users see the snapshot by the name of its store. */
	model->volumes[cow].visible = !link->merging;
	return 0;
}

static int tie_snapshots(struct lvm_model *model, struct uds_message *message)
{
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < model->link_count; i++)
		r = tie(model, &model->links[i], message);
	/* An origin that is no store ends every chain, so there are no circles. */
	for (uint32_t i = 0; r == 0 && i < model->volume_count; i++) {
		const struct lvm_volume *volume = &model->volumes[i];

		if (volume->origin != LVM_NONE && model->volumes[volume->origin].origin != LVM_NONE)
			r = failure(message, UDS_ERR_CORRUPT,
				    "logical volume '%.100s': origin: expected a volume that is "
				    "no snapshot, found '%.100s', which is one",
				    volume->name, model->volumes[volume->origin].name);
	}
	return r;
}

static int compare_uuids(const void *a, const void *b)
{
	const struct lvm_pv *const *x = a, *const *y = b;
	int order = strcmp((*x)->uuid, (*y)->uuid);

	return order != 0 ? order : strcmp((*x)->name, (*y)->name);
}

/* They tell devices apart: of two with one uuid, data would be looked for on the wrong one. */
static int check_uuids(const struct lvm_model *model, const struct uds_env *env,
		       struct uds_message *message)
{
	const struct lvm_pv **pvs = env_allocate(env, model->pv_count + UINT64_C(1), sizeof(*pvs));
	int r = 0;

	if (pvs == NULL)
		return failure(message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	for (uint32_t i = 0; i < model->pv_count; i++)
		pvs[i] = &model->pvs[i];
	sort_elements(pvs, model->pv_count, sizeof(*pvs), compare_uuids);
	for (uint32_t i = 1; r == 0 && i < model->pv_count; i++) {
		if (strcmp(pvs[i - 1]->uuid, pvs[i]->uuid) == 0)
			r = failure(message, UDS_ERR_CORRUPT,
				    "physical volumes '%.60s' and '%.60s': id: expected one of its "
				    "own for each, found '%.60s' twice",
				    pvs[i - 1]->name, pvs[i]->name, pvs[i]->uuid);
	}
	env_release(env, pvs);
	return r;
}

/* Extents of a physical volume that are in use. */
struct use {
	uint32_t pv, volume;
	uint64_t first, extents;
};

static int compare_uses(const void *a, const void *b)
{
	const struct use *x = a, *y = b;

	if (x->pv != y->pv)
		return x->pv < y->pv ? -1 : 1;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return 0;
}

static uint32_t collect_uses(const struct lvm_model *model, struct use *uses)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < model->volume_count; i++) {
		const struct lvm_volume *volume = &model->volumes[i];

		for (uint32_t s = 0; s < volume->segment_count; s++) {
			const struct lvm_segment *segment =
				&model->segments[volume->first_segment + s];

			for (uint32_t k = 0; k < segment->stripe_count; k++) {
				const struct lvm_stripe *stripe =
					&model->stripes[segment->first_stripe + k];

				uses[count++] =
					(struct use){ stripe->pv, i, stripe->first,
						      segment->extents / segment->stripe_count };
			}
		}
	}
	return count;
}

static int check_uses(const struct lvm_model *model, const struct uds_env *env,
		      struct uds_message *message)
{
	struct use *uses = env_allocate(env, model->stripe_count + UINT64_C(1), sizeof(*uses));
	uint32_t count;
	int r = 0;

	if (uses == NULL)
		return failure(message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	count = collect_uses(model, uses);
	/* Sorted, only neighbours can overlap: n log n, however many extents a text claims. */
	sort_elements(uses, count, sizeof(*uses), compare_uses);
	for (uint32_t i = 1; r == 0 && i < count; i++) {
		const struct use *before = &uses[i - 1], *use = &uses[i];

		if (before->pv == use->pv && before->first + before->extents > use->first)
			r = failure(message, UDS_ERR_CORRUPT,
				    "physical volume '%.60s': extent %" PRIu64
				    ": expected in one segment, found in one of logical volume "
				    "'%.100s' and in one of '%.100s'",
				    model->pvs[use->pv].name, use->first,
				    model->volumes[before->volume].name,
				    model->volumes[use->volume].name);
	}
	env_release(env, uses);
	return r;
}

int lvm_model_check(struct lvm_model *model, const struct uds_env *env, struct uds_message *message)
{
	int r = tie_snapshots(model, message);

	if (r == 0)
		r = check_uuids(model, env, message);
	if (r == 0)
		r = check_uses(model, env, message);
	return r < 0 ? failure_in(message, r, "group '%.100s'", model->name) : 0;
}
