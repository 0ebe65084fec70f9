/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing a zone of the volume index as a stream of a save (uds-format, 13.6).
 */
#include <errno.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "volume_index/volume_index.h"
#include "volume_index/zone_save.h"

#define BUFFER_BYTES (1u << 16)

static void flush_output(struct output *output)
{
	/*
	 * After an error everything goes to nowhere: one place tests the status, at the end of each
	 * list.
	 */
	if (output->status == 0 && output->used > 0)
		output->status =
			output->sink->write(output->sink->context, output->buffer, output->used);
	output->used = 0;
}

static void put_bytes(struct output *output, const void *bytes, size_t length)
{
	const uint8_t *from = bytes;

	while (length > 0) {
		size_t some = BUFFER_BYTES - output->used;

		if (some > length)
			some = length;
		memcpy(output->buffer + output->used, from, some);
		output->used += some;
		from += some;
		length -= some;
		if (output->used == BUFFER_BYTES)
			flush_output(output);
	}
}

static void put_start(struct zone_save *save, const struct part *part)
{
	const struct volume_index *index = save->index;
	const struct list_zone *zone = &part->frozen;
	struct output *output = &save->output;
	uint8_t bytes[STREAM_SUB_HEADER_BYTES]; /* one after the other */

	_Static_assert(STREAM_DELTA_HEADER_BYTES <= sizeof(bytes), "both headers fit");

	memcpy(bytes, STREAM_SUB_MAGIC, STREAM_MAGIC_BYTES);
	put_le64(bytes + 8, index->volume_nonce);
	/* The low that the written lists keep to, which is what a reader has to know. */
	put_le64(bytes + 16, part->low);
	put_le64(bytes + 24, zone->high);
	put_le32(bytes + 32, zone->first_list);
	put_le32(bytes + 36, zone->list_count);
	put_bytes(output, bytes, STREAM_SUB_HEADER_BYTES);
	for (uint32_t i = 0; i < zone->list_count; i++) {
		put_le64(bytes, list_head_flush_from(&zone->heads[i]));
		put_bytes(output, bytes, 8);
	}
	memcpy(bytes, STREAM_DELTA_MAGIC, STREAM_MAGIC_BYTES);
	put_le32(bytes + 8, save->number);
	put_le32(bytes + 12, index->zones);
	put_le32(bytes + 16, zone->first_list);
	put_le32(bytes + 20, zone->list_count);
	put_le64(bytes + 24, zone->records - part->dropped);
	put_le64(bytes + 32, zone->collisions - part->names_lost);
	put_bytes(output, bytes, STREAM_DELTA_HEADER_BYTES);
	for (uint32_t i = 0; i < zone->list_count; i++) {
		put_le16(bytes, part->sizes != NULL ? part->sizes[i] : zone->heads[i].coded_bits);
		put_bytes(output, bytes, 2);
	}
}

/* Returns @status, with the sentence of a failure. */
static int tell(const struct zone_save *save, int status, struct uds_message *message)
{
	if (status == -ENOMEM)
		return failure(message, status, "volume index: no memory to save zone %u",
			       save->number);
	if (status < 0)
		return failure(message, status, "volume index: zone %u was not written: %s",
			       save->number, uds_strerror(status));
	return status;
}

int volume_index_save_start(struct zone_save *save, const struct byte_sink *sink,
			    struct uds_message *message)
{
	const struct volume_index *index = save->index;
	uint8_t bytes[STREAM_SPARSE_HEADER_BYTES];

	save->output.sink = sink;
	if (index->subs == 2) {
		memcpy(bytes, STREAM_SPARSE_MAGIC, STREAM_MAGIC_BYTES);
		put_le32(bytes + 8, index->sample_rate);
		put_bytes(&save->output, bytes, STREAM_SPARSE_HEADER_BYTES);
	}
	/* The format has the starts of both sub-indexes before the lists of either (13.6). */
	for (unsigned int sub = 0; sub < index->subs; sub++)
		put_start(save, &save->parts[sub]);
	return volume_index_save_write(save, message);
}

int volume_index_save_take(struct zone_save *save, struct uds_message *message)
{
	if (save->keep_status < 0)
		return tell(save, save->keep_status, message);
	if (save->sub < save->index->subs)
		slices_take(save);
	return save->sub < save->index->subs ? 1 : 0;
}

int volume_index_save_write(struct zone_save *save, struct uds_message *message)
{
	static const uint8_t guard[STREAM_GUARD_BYTES] = { STREAM_GUARD_TAG };
	const bool all_taken = save->sub == save->index->subs;
	int r = 0;

	flush_output(&save->output);
	if (save->output.status == 0 && slices_are_due(save))
		r = slices_give(save);
	if (save->output.status == 0 && r == 0 && all_taken) {
		r = slices_finish(save);
		put_bytes(&save->output, guard, sizeof(guard));
	}
	if (r == 0)
		flush_output(&save->output);
	return tell(save, r < 0 ? r : save->output.status, message);
}

uint64_t volume_index_save_dropped(const struct zone_save *save)
{
	return save->parts[0].dropped + save->parts[1].dropped;
}

static int make_part(struct volume_index *index, struct part *part, struct list_zone *zone)
{
	const size_t bytes = zone->list_count * sizeof(zone->heads[0]);

	part->zone = zone;
	part->frozen.heads = env_allocate_large(&index->env, bytes);
	part->kept = env_allocate_zeroed(&index->env, zone->list_count, sizeof(part->kept[0]));
	if (part->frozen.heads == NULL || part->kept == NULL)
		return -ENOMEM;
	/* Now, since the zone stands still while it is copied. */
	memset(part->frozen.heads, 0, bytes);
	return 0;
}

static int make_save(struct zone_save *save)
{
	struct volume_index *index = save->index;
	int r;

	save->output.buffer = env_allocate(&index->env, 1, BUFFER_BYTES);
	save->kept_list =
		env_allocate(&index->env, 1, STREAM_LIST_HEADER_BYTES + STREAM_LIST_BUFFER_BYTES);
	if (save->output.buffer == NULL || save->kept_list == NULL)
		return -ENOMEM;
	r = list_encoder_make(index, &save->keeping);
	if (r == 0)
		r = slices_make(save);
	for (unsigned int sub = 0; r == 0 && sub < index->subs; sub++)
		r = make_part(index, &save->parts[sub], list_zone_of(index, sub, save->number));
	return r;
}

int volume_index_save_make(struct volume_index *index, unsigned int zone, struct crew *crew,
			   struct uds_message *message, struct zone_save **ret_save)
{
	struct zone_save *save = env_allocate_zeroed(&index->env, 1, sizeof(*save));
	int r = -ENOMEM;

	if (save != NULL) {
		save->index = index;
		save->number = zone;
		save->crew = crew;
		r = make_save(save);
	}
	if (r < 0) {
		volume_index_save_free(save);
		return failure(message, r, "volume index: no memory to save zone %u", zone);
	}
	*ret_save = save;
	return 0;
}

int volume_index_save_freeze(struct zone_save *save, uint64_t limit_bytes,
			     struct uds_message *message)
{
	int r;

	for (unsigned int sub = 0; sub < save->index->subs; sub++) {
		struct part *part = &save->parts[sub];
		struct list_head *heads = part->frozen.heads;

		part->frozen = *part->zone;
		part->frozen.heads = heads;
		memcpy(heads, part->zone->heads, part->zone->list_count * sizeof(heads[0]));
		part->low = part->zone->low;
	}
	r = zone_save_plan(save, limit_bytes);
	if (r == -ENOMEM)
		return tell(save, r, message);
	if (r < 0)
		return failure(message, r,
			       "volume index: zone %u does not fit into a region of %llu bytes",
			       save->number, (unsigned long long)limit_bytes);
	for (unsigned int sub = 0; sub < save->index->subs; sub++)
		save->parts[sub].zone->saving = save;
	return 0;
}

void volume_index_save_thaw(struct zone_save *save)
{
	for (unsigned int sub = 0; sub < save->index->subs; sub++)
		save->parts[sub].zone->saving = NULL;
}

static void free_part(struct volume_index *index, struct part *part)
{
	for (uint32_t i = 0; part->kept != NULL && i < part->zone->list_count; i++)
		env_release(&index->env, part->kept[i]);
	env_release(&index->env, part->kept);
	env_release_large(&index->env, part->frozen.heads,
			  part->zone->list_count * sizeof(part->frozen.heads[0]));
	env_release(&index->env, part->sizes);
}

void volume_index_save_free(struct zone_save *save)
{
	struct volume_index *index;

	if (save == NULL)
		return;
	index = save->index;
	slices_free(save);
	for (unsigned int sub = 0; sub < index->subs; sub++) {
		if (save->parts[sub].zone != NULL)
			free_part(index, &save->parts[sub]);
	}
	list_encoder_free(index, &save->keeping);
	env_release(&index->env, save->kept_list);
	env_release(&index->env, save->output.buffer);
	env_release(&index->env, save);
}
