/* SPDX-License-Identifier: BSD-2-Clause */
/* The lists of a save: copied when their turn comes, or encoded before a request changes them. */
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

/* Writes the entries that were gathered of a list. */
static int append_list(const struct list_encoder *encoder, const struct part *part,
		       const struct list_head *head, uint32_t count, struct delta_writer *writer)
{
	int r = 0;

	if (part->sizes == NULL && list_head_collisions(head) == 0) {
		delta_writer_append_many(writer, encoder->keys, encoder->values, count);
		return 0;
	}
	for (uint32_t i = 0; i < count && r == 0; i++)
		r = delta_writer_append(writer, encoder->keys[i], encoder->values[i],
					encoder->names[i]);
	return r;
}

/* @where: as list_encoder_gather(). Returns as zone_save_encode(). */
static int encode(const struct zone_save *save, struct list_encoder *encoder,
		  const struct part *part, const struct list_zone *where, uint32_t i)
{
	const struct list_zone *zone = &part->frozen;
	const struct list_head *head = &zone->heads[i];
	uint32_t bits = part->sizes != NULL ? part->sizes[i] : head->coded_bits;
	uint32_t bytes = (bits + 7) / 8;
	uint8_t *header = encoder->list;
	uint8_t *data = header + STREAM_LIST_HEADER_BYTES;
	struct delta_writer writer;
	uint32_t count, dropped, names_lost;
	int r;

	if (bits == 0)
		return 0;
	/* What is left out was counted when the save was planned. */
	count = list_encoder_gather(encoder, part, where, i, &dropped, &names_lost);
	header[0] = sub_index_tag(save->index, (unsigned int)(part - save->parts));
	header[1] = 0; /* bit offset */
	put_le16(header + 2, (uint16_t)bytes);
	put_le32(header + 4, zone->first_list + i);
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

int zone_save_encode(struct zone_save *save, struct part *part, uint32_t list)
{
	return encode(save, &save->writing, part, &part->frozen, list);
}

/* False: there is no room for it. */
static bool copy_block(struct slice *slice, struct part *part, uint32_t list)
{
	const struct list_pool *pool = &part->zone->pool;
	const uint32_t block = part->zone->heads[list].block;
	struct list_pool_chunk *chunk = &slice->chunks[slice->count];
	uint32_t bytes;

	/* One that was kept has what is written of it already. */
	if (block == NO_BLOCK || part->kept[list] != NULL)
		return true;
	bytes = list_pool_block_bytes(pool, block);
	if (slice->used + bytes + POOL_PAD > SLICE_BYTES)
		return false;
	chunk->memory = slice->memory + slice->used;
	chunk->block_bytes = bytes;
	memcpy(chunk->memory, list_pool_block(pool, block), bytes);
	slice->used += bytes;
	part->frozen.heads[list].block = slice->count << POOL_INDEX_BITS;
	return true;
}

void zone_save_take(struct zone_save *save)
{
	struct slice *slice = &save->slice;
	struct part *part = &save->parts[save->sub];

	slice->part = part;
	slice->first = save->next;
	slice->count = 0;
	slice->used = 0;
	part->frozen.pool.chunks = slice->chunks;
	while (save->next < part->frozen.list_count && slice->count < SLICE_LISTS &&
	       copy_block(slice, part, save->next)) {
		slice->count++;
		save->next++;
	}
	if (save->next == part->frozen.list_count) {
		save->sub++;
		save->next = 0;
	}
}

static int copy_list(struct zone_save *save, struct part *part, uint32_t list)
{
	struct list_encoder *encoder = &save->keeping;
	int bytes = encode(save, encoder, part, part->zone, list);
	uint8_t *copy;

	if (bytes <= 0)
		return bytes;
	copy = env_allocate(&save->index->env, (size_t)bytes, 1);
	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, encoder->list, (size_t)bytes);
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
