/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a group has, and the I/O of a logical volume: the ranges of the devices that
 * its segments name.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "io/io.h"
#include "lvm/group.h"

#define NAME_BYTES 260

/* Ranges one behind the other; what goes on where the last one ends becomes a part of it. */
struct range_list {
	struct uds_io_range *items;
	size_t count, room;
};

static uint64_t extent_bytes(const struct uds_lvm_group *group)
{
	return group->model.extent_sectors * LVM_SECTOR;
}

static const struct lvm_segment *segment_of(const struct uds_lvm_group *group,
					    const struct lvm_volume *volume, uint32_t number)
{
	return &group->model.segments[volume->first_segment + number];
}

/* The device of a stripe must be there, as far as the stripe goes. */
static int check_stripe(const struct uds_lvm_group *group, const struct lvm_stripe *stripe,
			uint64_t extents, struct uds_message *message)
{
	const struct lvm_pv *pv = &group->model.pvs[stripe->pv];
	uint64_t at = pv->first_sector * LVM_SECTOR + stripe->first * extent_bytes(group);
	uint64_t bytes = extents * extent_bytes(group);

	if (pv->io == NULL)
		return failure(message, -ENODEV,
			       "expected physical volume '%.60s' (%.40s, %.100s), found it missing",
			       pv->name, pv->uuid, pv->device);
	/*
	 * The text was checked against the size that it has of the device itself: this one may be
	 * a shorter copy.
	 */
	if (at > pv->io_bytes || bytes > pv->io_bytes - at)
		return failure(message, UDS_ERR_OUT_OF_RANGE,
			       "%s: expected to end by byte %" PRIu64
			       ", the end of the device, found %" PRIu64 " bytes from %" PRIu64
			       " on",
			       uds_io_name(pv->io), pv->io_bytes, bytes, at);
	return 0;
}

static int check_segment(const struct uds_lvm_group *group, const struct lvm_segment *segment,
			 struct uds_message *message)
{
	int r = 0;

	if (segment->stripe_count == 0)
		return failure(message, -EOPNOTSUPP,
			       "type: expected linear or striped, found %.100s, which is not read",
			       segment->type);
	for (uint32_t i = 0; r == 0 && i < segment->stripe_count; i++)
		r = check_stripe(group, &group->model.stripes[segment->first_stripe + i],
				 segment->extents / segment->stripe_count, message);
	return r;
}

static uint64_t count_ranges(const struct uds_lvm_group *group, const struct lvm_segment *segment)
{
	if (segment->stripe_count == 1)
		return 1;
	return segment->extents * group->model.extent_sectors / segment->stripe_sectors;
}

static int check_volume(const struct uds_lvm_group *group, const struct lvm_volume *volume,
			uint64_t *ret_ranges, struct uds_message *message)
{
	uint64_t ranges = 0;
	int r = 0;

	for (uint32_t i = 0; i < volume->segment_count; i++) {
		const struct lvm_segment *segment = segment_of(group, volume, i);

		r = check_segment(group, segment, message);
		if (r < 0)
			return failure_in(message, r, "segment%u", i + 1);
		ranges += count_ranges(group, segment);
		/* In the loop: the sum of so few that are below 2^63 cannot wrap then. */
		if (ranges > UDS_IO_RANGES_MAX)
			return failure(message, -EFBIG,
				       "segment%u: expected at most %u pieces of stripes in all, "
				       "found %" PRIu64,
				       i + 1, UDS_IO_RANGES_MAX, ranges);
	}
	*ret_ranges = ranges;
	return 0;
}

static void add_range(struct range_list *list, struct uds_io *io, uint64_t offset, uint64_t length)
{
	struct uds_io_range *last = list->count == 0 ? NULL : &list->items[list->count - 1];

	if (last != NULL && last->io == io && last->offset + last->length == offset)
		last->length += length;
	else
		list->items[list->count++] = (struct uds_io_range){ io, offset, length };
}

/*
 * A row of stripes is one piece of each device, in turn. With one stripe the whole
 * segment is one row.
 */
static void add_segment(const struct uds_lvm_group *group, const struct lvm_segment *segment,
			struct range_list *list)
{
	uint64_t each = segment->extents / segment->stripe_count * extent_bytes(group);
	uint64_t piece = segment->stripe_count == 1 ? each : segment->stripe_sectors * LVM_SECTOR;

	for (uint64_t row = 0; row < each; row += piece) {
		for (uint32_t i = 0; i < segment->stripe_count; i++) {
			const struct lvm_stripe *stripe =
				&group->model.stripes[segment->first_stripe + i];
			const struct lvm_pv *pv = &group->model.pvs[stripe->pv];

			add_range(list, pv->io,
				  pv->first_sector * LVM_SECTOR +
					  stripe->first * extent_bytes(group) + row,
				  piece);
		}
	}
}

static int find_volume(const struct uds_lvm_group *group, const char *name,
		       const struct lvm_volume **ret_volume, struct uds_message *message)
{
	uint32_t i = lvm_model_find_volume(&group->model, name);

	if (i == LVM_NONE)
		return failure(message, -ENOENT,
			       "group '%.100s' (seqno %" PRIu64
			       "): expected a logical volume '%.100s', found none of that name",
			       group->model.name, group->model.seqno, name);
	*ret_volume = &group->model.volumes[i];
	return 0;
}

static int open_ranges(struct uds_lvm_group *group, const struct lvm_volume *volume,
		       const char *io_name, uint64_t count, struct uds_message *message,
		       struct uds_io **ret_io)
{
	struct uds_io_ranges_options options = UDS_IO_RANGES_OPTIONS_INIT;
	struct range_list list = { .room = (size_t)count };
	int r;

	list.items = env_allocate(&group->env, count, sizeof(*list.items));
	if (list.items == NULL)
		return failure(message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	for (uint32_t i = 0; i < volume->segment_count; i++)
		add_segment(group, segment_of(group, volume, i), &list);
	options.name = io_name;
	r = uds_io_open_ranges(list.items, list.count, &options, &group->env, message, ret_io);
	env_release(&group->env, list.items);
	return r;
}

static int close_own_group(void *group)
{
	return uds_lvm_close_group(group);
}

int lvm_volume_open(struct uds_lvm_group *group, const char *name, const char *io_name, bool own,
		    struct uds_message *message, struct uds_io **ret_io)
{
	const struct lvm_volume *volume = NULL;
	char own_name[NAME_BYTES];
	uint64_t count = 0;
	int r = find_volume(group, name, &volume, message);

	if (r < 0)
		return r;
	snprintf(own_name, sizeof(own_name), "%s/%s", group->model.name, volume->name);
	/* All of it, before any memory is taken for its ranges. */
	r = check_volume(group, volume, &count, message);
	if (r == 0)
		r = open_ranges(group, volume, io_name != NULL ? io_name : own_name, count, message,
				ret_io);
	if (r < 0)
		return failure_in(message, r, "logical volume '%.128s'", own_name);
	(*ret_io)->owned = group;
	(*ret_io)->close_owned = own ? close_own_group : NULL;
	return 0;
}

UDS_PUBLIC int uds_lvm_open_volume(struct uds_lvm_group *group, const char *name,
				   struct uds_message *ret_message, struct uds_io **ret_io)
{
	return lvm_volume_open(group, name, NULL, false, ret_message, ret_io);
}

UDS_PUBLIC struct uds_lvm_group *uds_lvm_group_of(const struct uds_io *io)
{
	return io->close_owned == close_own_group ? io->owned : NULL;
}

UDS_PUBLIC int uds_lvm_get_info(const struct uds_lvm_group *group, struct uds_message *ret_message,
				struct uds_lvm_info *ret_info)
{
	const struct lvm_model *model = &group->model;
	struct uds_lvm_info info = UDS_LVM_INFO_INIT;
	int r = STRUCT_OUT_CHECK(ret_info, uds_lvm_info, wrong_copies, ret_message);

	if (r < 0)
		return r;
	info.name = model->name;
	info.uuid = model->uuid;
	info.seqno = model->seqno;
	info.extent_bytes = extent_bytes(group);
	info.pv_count = model->pv_count;
	info.volume_count = model->volume_count;
	info.missing_count = group->missing_count;
	info.wrong_copies = group->wrong_copies;
	struct_out(ret_info, &info, sizeof(info));
	return 0;
}

UDS_PUBLIC int uds_lvm_for_each_pv(const struct uds_lvm_group *group, uds_lvm_pv_fn each,
				   void *context)
{
	for (uint32_t i = 0; i < group->model.pv_count; i++) {
		const struct lvm_pv *from = &group->model.pvs[i];
		struct uds_lvm_pv pv = UDS_LVM_PV_INIT;

		pv.io = from->io;
		pv.name = from->name;
		pv.device = from->device;
		snprintf(pv.uuid, sizeof(pv.uuid), "%s", from->uuid);
		pv.device_bytes = from->device_sectors * LVM_SECTOR;
		pv.data_offset = from->first_sector * LVM_SECTOR;
		pv.extents = from->extents;
		if (each(context, &pv) != 0)
			return UDS_ERR_STOPPED;
	}
	return 0;
}

/* The word for what a volume is made of: that of the first segment which is not linear. */
static const char *type_of(const struct uds_lvm_group *group, const struct lvm_volume *volume)
{
	const char *type = "linear";

	for (uint32_t i = 0; i < volume->segment_count; i++) {
		const struct lvm_segment *segment = segment_of(group, volume, i);

		if (segment->stripe_count == 0)
			return segment->type;
		if (segment->stripe_count > 1)
			type = "striped";
	}
	return type;
}

static bool is_missing(const struct uds_lvm_group *group, const struct lvm_volume *volume)
{
	for (uint32_t i = 0; i < volume->segment_count; i++) {
		const struct lvm_segment *segment = segment_of(group, volume, i);

		for (uint32_t k = 0; k < segment->stripe_count; k++) {
			uint32_t pv = group->model.stripes[segment->first_stripe + k].pv;

			if (group->model.pvs[pv].io == NULL)
				return true;
		}
	}
	return false;
}

static void fill_volume(const struct uds_lvm_group *group, const struct lvm_volume *from,
			struct uds_lvm_volume *volume)
{
	volume->name = from->name;
	volume->uuid = from->uuid;
	volume->type = type_of(group, from);
	volume->bytes = from->extents * extent_bytes(group);
	if (from->origin != LVM_NONE)
		volume->origin = group->model.volumes[from->origin].name;
	volume->chunk_bytes = from->chunk_sectors * LVM_SECTOR;
	volume->segment_count = from->segment_count;
	volume->visible = from->visible;
	volume->merging = from->merging;
	volume->missing = is_missing(group, from);
}

UDS_PUBLIC int uds_lvm_for_each_volume(const struct uds_lvm_group *group, uds_lvm_volume_fn each,
				       void *context)
{
	for (uint32_t i = 0; i < group->model.volume_count; i++) {
		struct uds_lvm_volume volume = UDS_LVM_VOLUME_INIT;

		fill_volume(group, &group->model.volumes[i], &volume);
		if (each(context, &volume) != 0)
			return UDS_ERR_STOPPED;
	}
	return 0;
}

UDS_PUBLIC int uds_lvm_lookup_volume(const struct uds_lvm_group *group, const char *name,
				     struct uds_message *ret_message,
				     struct uds_lvm_volume *ret_volume)
{
	struct uds_lvm_volume volume = UDS_LVM_VOLUME_INIT;
	const struct lvm_volume *found = NULL;
	int r = STRUCT_OUT_CHECK(ret_volume, uds_lvm_volume, missing, ret_message);

	if (r == 0)
		r = find_volume(group, name, &found, ret_message);
	if (r != 0)
		return r;
	fill_volume(group, found, &volume);
	struct_out(ret_volume, &volume, sizeof(volume));
	return 0;
}
