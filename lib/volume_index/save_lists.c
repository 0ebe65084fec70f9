/* SPDX-License-Identifier: BSD-2-Clause */
/* The lists of a save on their way into delta code. */
#include <errno.h>

#include "base/env.h"
#include "volume_index/zone_save.h"

uint32_t list_encoder_gather(struct list_encoder *encoder, const struct part *part,
			     const struct list_zone *zone, uint32_t list, uint32_t *ret_dropped,
			     uint32_t *ret_names_lost)
{
	/* The same list as then, but its block may have moved. */
	const struct list_head *head = &zone->heads[list];
	uint32_t named = 0;
	uint32_t kept = 0;

	*ret_dropped = *ret_names_lost = 0;
	list_decode(zone, head, encoder->keys, encoder->values);
	if (part->sizes == NULL && list_head_collisions(head) == 0)
		return head->entries;
	for (uint32_t i = 0; i < head->entries; i++) {
		bool collision = i > 0 && encoder->keys[i] == encoder->keys[i - 1];

		encoder->names[i] = collision ? list_name(zone, head, named++) : NULL;
	}
	/*
	 * The usual case: all entries are written as they are, stale ones included, since the
	 * flush_from table tells them apart.
	 */
	if (part->sizes == NULL)
		return head->entries;
	for (uint32_t i = 0; i < head->entries; i++) {
		uint64_t vcn = value_to_vcn(&part->frozen, encoder->values[i]);

		if (list_is_stale(&part->frozen, head, encoder->values[i]) || vcn < part->low)
			continue;
		encoder->keys[kept] = encoder->keys[i];
		encoder->values[kept] = encoder->values[i];
		encoder->names[kept] = encoder->names[i];
		/* As after removals: the first of a key that stays is the ordinary entry. */
		if (kept == 0 || encoder->keys[kept - 1] != encoder->keys[i])
			encoder->names[kept] = NULL;
		/*
		 * Collision entries that are written with their names are not lost; what is left of
		 * @named is.
		 */
		named -= encoder->names[kept] != NULL;
		kept++;
	}
	*ret_dropped = head->entries - kept;
	*ret_names_lost = named;
	return kept;
}

/* How many of the entries from number @from on are ordinary ones in a row. */
static uint32_t ordinary_run(const struct list_encoder *encoder, uint32_t from, uint32_t count)
{
	uint32_t to = from;

	while (to < count && encoder->names[to] == NULL)
		to++;
	return to - from;
}

/* Writes the entries that were gathered of a list. */
static int append_list(const struct list_encoder *encoder, const struct part *part,
		       const struct list_head *head, uint32_t count, struct delta_writer *writer)
{
	const bool all_ordinary = part->sizes == NULL && list_head_collisions(head) == 0;
	int r = 0;

	for (uint32_t i = 0; i < count && r == 0; i++) {
		const uint32_t run = all_ordinary ? count : ordinary_run(encoder, i, count);

		delta_writer_append_many(writer, encoder->keys + i, encoder->values + i, run);
		i += run;
		if (i < count)
			r = delta_writer_append(writer, encoder->keys[i], encoder->values[i],
						encoder->names[i]);
	}
	return r;
}

int zone_save_encode(const struct zone_save *save, struct list_encoder *encoder,
		     const struct part *part, const struct list_zone *where, uint32_t i,
		     uint8_t *to)
{
	const struct list_zone *zone = &part->frozen;
	const struct list_head *head = &zone->heads[i];
	uint32_t bits = part->sizes != NULL ? part->sizes[i] : head->coded_bits;
	uint32_t bytes = (bits + 7) / 8;
	uint8_t *data = to + STREAM_LIST_HEADER_BYTES;
	struct delta_writer writer;
	uint32_t count, dropped, names_lost;
	int r;

	if (bits == 0)
		return 0;
	/* What is left out was counted when the save was planned. */
	count = list_encoder_gather(encoder, part, where, i, &dropped, &names_lost);
	to[0] = sub_index_tag(save->index, (unsigned int)(part - save->parts));
	to[1] = 0; /* bit offset */
	put_le16(to + 2, (uint16_t)bytes);
	put_le32(to + 4, zone->first_list + i);
	data[bytes - 1] = 0; /* bits behind the end */
	delta_writer_start(&writer, &zone->shape->code, data, 0, bits);
	r = append_list(encoder, part, head, count, &writer);
	if (r < 0)
		return r;
	/* The size is in the stream already: another one would make the save unreadable. */
	if (delta_writer_finish(&writer) != bits)
		return UDS_ERR_BAD_STATE;
	return (int)(STREAM_LIST_HEADER_BYTES + bytes);
}

int list_encoder_make(const struct volume_index *index, struct list_encoder *encoder)
{
	const uint32_t most = list_room_entries(index);

	encoder->keys = env_allocate(&index->env, most, sizeof(*encoder->keys));
	encoder->values = env_allocate(&index->env, most, sizeof(*encoder->values));
	encoder->names = env_allocate(&index->env, most, sizeof(*encoder->names));
	if (encoder->keys == NULL || encoder->values == NULL || encoder->names == NULL)
		return -ENOMEM;
	return 0;
}

void list_encoder_free(const struct volume_index *index, struct list_encoder *encoder)
{
	env_release(&index->env, encoder->names);
	env_release(&index->env, encoder->values);
	env_release(&index->env, encoder->keys);
}

static int copy_list(struct zone_save *save, struct part *part, uint32_t list)
{
	int bytes = zone_save_encode(save, &save->keeping, part, part->zone, list, save->kept_list);
	uint8_t *copy;

	if (bytes <= 0)
		return bytes;
	copy = env_allocate(&save->index->env, (size_t)bytes, 1);
	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, save->kept_list, (size_t)bytes);
	part->kept[list] = copy;
	return 0;
}

void zone_save_keep(struct zone_save *save, const struct list_zone *zone, uint32_t list)
{
	const unsigned int sub = zone == save->parts[0].zone ? 0 : 1;
	struct part *part = &save->parts[sub];

	if (sub < save->sub || (sub == save->sub && list < save->next) ||
	    part->kept[list] != NULL || save->keep_status < 0)
		return;
	/* The change is made in any case: without a copy it is the save that fails. */
	save->keep_status = copy_list(save, part, list);
}
