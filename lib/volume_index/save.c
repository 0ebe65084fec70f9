/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writing a zone of the volume index as a stream of a save (uds-format, 13.6): each list is put into
 * delta code as it goes by.
 *
 * The reference implementation does not check whether the lists that it loads fit into its memory (20.2,
 * R1). So this is checked here; when they do not fit, the oldest chapters are left out, as early expiry
 * would.
 */
#include <errno.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "volume_index/stream_format.h"
#include "volume_index/volume_index.h"

#define BUFFER_BYTES (1u << 20)

/* The way to the sink, in large pieces. */
struct output {
	const struct byte_sink *sink;
	uint8_t *buffer;
	size_t used;
	int status; /* the first error; nothing is written after it */
};

/* What is written of one sub-index. */
struct part {
	const struct list_zone *zone;
	uint64_t low;	     /* the zone's own, or higher when chapters are left out */
	uint64_t dropped;    /* entries left out */
	uint64_t names_lost; /* collision entries left out or made ordinary */
	uint64_t data_bytes; /* of all lists, headers included */
	uint64_t
		area_bytes; /* what the lists take in the reference implementation's memory, at worst */
	uint16_t *sizes; /* of the lists; NULL when nothing is left out */
};

/* Everything that a save of one zone needs. */
struct zone_save {
	const struct volume_index *index;
	struct part parts[2];
	struct output output;
	uint32_t *keys;
	uint32_t *values;
	const uint8_t **names; /* NULL for ordinary entries */
	uint8_t list[STREAM_LIST_BUFFER_BYTES];
};

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

/*
 * Gets a list's entries into the arrays, without those of chapters that are left out; the names only where
 * the list has collision entries or something may be left out. Returns how many there are.
 */
static uint32_t gather_list(struct zone_save *save, struct part *part, const struct list_head *head)
{
	const struct list_zone *zone = part->zone;
	uint64_t mask = zone->shape->chapter_mask;
	uint32_t named = 0;
	uint32_t kept = 0;

	list_decode(zone, head, save->keys, save->values);
	if (part->sizes == NULL && list_head_collisions(head) == 0)
		return head->entries;
	for (uint32_t i = 0; i < head->entries; i++) {
		bool collision = i > 0 && save->keys[i] == save->keys[i - 1];

		save->names[i] = collision ? list_name(zone, head, named++) : NULL;
	}
	/*
	 * The usual case: all entries are written as they are, stale ones included, since the
	 * flush_from table tells them apart.
	 */
	if (part->sizes == NULL)
		return head->entries;
	for (uint32_t i = 0; i < head->entries; i++) {
		uint64_t vcn = zone->low + ((save->values[i] - zone->low) & mask);

		if (list_is_stale(zone, head, save->values[i]) || vcn < part->low)
			continue;
		save->keys[kept] = save->keys[i];
		save->values[kept] = save->values[i];
		save->names[kept] = save->names[i];
		/* As after removals: the first of a key that stays is the ordinary entry. */
		if (kept == 0 || save->keys[kept - 1] != save->keys[i])
			save->names[kept] = NULL;
		/*
		 * Collision entries that are written with their names are not lost; what is left of
		 * @named is.
		 */
		named -= save->names[kept] != NULL;
		kept++;
	}
	part->dropped += head->entries - kept;
	part->names_lost += named;
	return kept;
}

static uint32_t gathered_bits(const struct zone_save *save, const struct list_shape *shape,
			      uint32_t count)
{
	uint32_t bits = 0;
	uint32_t key = 0;

	for (uint32_t i = 0; i < count; i++) {
		/* A collision entry's key is coded as 0, whatever the key. */
		bits += save->names[i] != NULL
				? delta_collision_bits(&shape->code)
				: (uint32_t)delta_ordinary_bits(&shape->code, save->keys[i] - key);
		key = save->keys[i];
	}
	return bits;
}

static void add_size(struct part *part, uint32_t bits)
{
	/*
	 * For the reference's memory every list may start at any bit, so seven more (6.4): also
	 * empty ones.
	 */
	part->area_bytes += (7 + bits + 7) / 8;
	if (bits > 0)
		part->data_bytes += STREAM_LIST_HEADER_BYTES + (bits + 7) / 8;
}

/* Adds up what the part takes; where chapters are left out, first works out the lists' sizes. */
static void measure_part(struct zone_save *save, struct part *part)
{
	const struct list_zone *zone = part->zone;

	/* The guard of seven bytes at the end of the area (6.2). */
	part->area_bytes = 7;
	part->data_bytes = 0;
	part->dropped = 0;
	part->names_lost = 0;
	for (uint32_t i = 0; i < zone->list_count; i++) {
		const struct list_head *head = &zone->heads[i];
		uint32_t bits = head->coded_bits;

		if (part->sizes != NULL) {
			bits = gathered_bits(save, zone->shape, gather_list(save, part, head));
			part->sizes[i] = (uint16_t)bits;
		}
		add_size(part, bits);
	}
}

static uint64_t fixed_bytes(const struct volume_index *index, unsigned int zone_number)
{
	uint64_t bytes = STREAM_GUARD_BYTES + (index->subs == 2 ? STREAM_SPARSE_HEADER_BYTES : 0);

	for (unsigned int sub = 0; sub < index->subs; sub++) {
		const struct list_zone *zone = list_zone_of(index, sub, zone_number);

		bytes += STREAM_SUB_HEADER_BYTES + STREAM_DELTA_HEADER_BYTES +
			 (uint64_t)zone->list_count * (8 + 2);
	}
	return bytes;
}

/* Leaves @excess_bytes' worth of the oldest chapters out of a part. Returns 0 or a failure. */
static int leave_out(struct zone_save *save, struct part *part, uint64_t excess_bytes)
{
	const struct list_zone *zone = part->zone;
	uint64_t chapters = 1;

	/* Only the open chapter is left, and still too large. */
	if (part->low >= zone->high && part->sizes != NULL)
		return UDS_ERR_OVERFLOW;
	if (part->sizes == NULL) {
		part->sizes =
			env_allocate(&save->index->env, zone->list_count, sizeof(*part->sizes));
		if (part->sizes == NULL)
			return -ENOMEM;
		chapters = 0; /* at first only what is stale */
	} else if (zone->chapter_zone_bits > 0) {
		/* An estimate by the average chapter; the caller asks again until it fits. */
		chapters += excess_bytes * 8 / zone->chapter_zone_bits;
	}
	/*
	 * The open chapter's entries always stay: its records are in this save, and without them
	 * they could not be found.
	 */
	part->low = part->low + chapters < zone->high ? part->low + chapters : zone->high;
	measure_part(save, part);
	return 0;
}

/* Decides what is written: what the reference implementation can load, and in @limit bytes. */
static int plan(struct zone_save *save, unsigned int zone_number, uint64_t limit)
{
	const struct volume_index *index = save->index;
	uint64_t fixed = fixed_bytes(index, zone_number);
	int r;

	for (unsigned int sub = 0; sub < index->subs; sub++) {
		struct part *part = &save->parts[sub];
		uint64_t area =
			volume_index_zone_bytes(&index->shapes[sub].parameters, index->zones);

		part->zone = list_zone_of(index, sub, zone_number);
		part->low = part->zone->low;
		measure_part(save, part);
		while (part->area_bytes > area) {
			r = leave_out(save, part, part->area_bytes - area);
			if (r < 0)
				return r;
		}
	}
	for (;;) {
		uint64_t total = fixed + save->parts[0].data_bytes + save->parts[1].data_bytes;
		/* The larger one gives way, each time anew. */
		unsigned int sub = save->parts[1].data_bytes > save->parts[0].data_bytes;

		if (total <= limit)
			return 0;
		if (save->parts[sub].data_bytes == 0)
			return UDS_ERR_OVERFLOW;
		r = leave_out(save, &save->parts[sub], total - limit);
		if (r < 0)
			return r;
	}
}

static void put_start(struct zone_save *save, const struct part *part, unsigned int zone_number)
{
	const struct volume_index *index = save->index;
	const struct list_zone *zone = part->zone;
	struct output *output = &save->output;
	uint8_t bytes[STREAM_SUB_HEADER_BYTES > STREAM_DELTA_HEADER_BYTES
			      ? STREAM_SUB_HEADER_BYTES
			      : STREAM_DELTA_HEADER_BYTES];

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
	put_le32(bytes + 8, zone_number);
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

/* Writes the entries that were gathered of a list. */
static int append_list(const struct zone_save *save, const struct part *part,
		       const struct list_head *head, uint32_t count, struct delta_writer *writer)
{
	int r = 0;

	if (part->sizes == NULL && list_head_collisions(head) == 0) {
		delta_writer_append_many(writer, save->keys, save->values, count);
		return 0;
	}
	for (uint32_t i = 0; i < count && r == 0; i++)
		r = delta_writer_append(writer, save->keys[i], save->values[i], save->names[i]);
	return r;
}

static int put_list(struct zone_save *save, struct part *part, uint8_t tag, uint32_t i)
{
	const struct list_zone *zone = part->zone;
	const struct list_head *head = &zone->heads[i];
	uint32_t bits = part->sizes != NULL ? part->sizes[i] : head->coded_bits;
	uint32_t bytes = (bits + 7) / 8;
	uint8_t *header = save->list;
	uint8_t *data = header + STREAM_LIST_HEADER_BYTES;
	struct delta_writer writer;
	uint32_t count;
	int r;

	if (bits == 0)
		return 0;
	count = gather_list(save, part, head);
	header[0] = tag;
	header[1] = 0; /* bit offset */
	put_le16(header + 2, (uint16_t)bytes);
	put_le32(header + 4, zone->first_list + i);
	data[bytes - 1] = 0; /* bits behind the end */
	delta_writer_start(&writer, &zone->shape->code, data, 0, bits);
	r = append_list(save, part, head, count, &writer);
	if (r < 0)
		return r;
	/* The size is in the stream already: another one would make the save unreadable. */
	if (delta_writer_finish(&writer) != bits)
		return UDS_ERR_BAD_STATE;
	put_bytes(&save->output, save->list, STREAM_LIST_HEADER_BYTES + bytes);
	return save->output.status;
}

static int put_stream(struct zone_save *save, unsigned int zone_number)
{
	const struct volume_index *index = save->index;
	uint8_t bytes[STREAM_SPARSE_HEADER_BYTES];

	if (index->subs == 2) {
		memcpy(bytes, STREAM_SPARSE_MAGIC, STREAM_MAGIC_BYTES);
		put_le32(bytes + 8, index->sample_rate);
		put_bytes(&save->output, bytes, STREAM_SPARSE_HEADER_BYTES);
	}
	/* The format has the starts of both sub-indexes before the lists of either (13.6). */
	for (unsigned int sub = 0; sub < index->subs; sub++)
		put_start(save, &save->parts[sub], zone_number);
	for (unsigned int sub = 0; sub < index->subs; sub++) {
		struct part *part = &save->parts[sub];
		uint64_t dropped = part->dropped;

		for (uint32_t i = 0; i < part->zone->list_count; i++) {
			int r = put_list(save, part, sub_index_tag(index, sub), i);

			if (r < 0)
				return r;
		}
		part->dropped = dropped; /* gathering counted them a second time */
	}
	memset(bytes, 0, STREAM_GUARD_BYTES);
	bytes[0] = STREAM_GUARD_TAG;
	put_bytes(&save->output, bytes, STREAM_GUARD_BYTES);
	flush_output(&save->output);
	return save->output.status;
}

static int allocate_save(struct zone_save *save)
{
	const struct volume_index *index = save->index;
	uint32_t most = list_most_entries(&index->shapes[0]);

	if (index->subs == 2 && list_most_entries(&index->shapes[1]) > most)
		most = list_most_entries(&index->shapes[1]);
	save->keys = env_allocate(&index->env, most, sizeof(*save->keys));
	save->values = env_allocate(&index->env, most, sizeof(*save->values));
	save->names = env_allocate(&index->env, most, sizeof(*save->names));
	save->output.buffer = env_allocate(&index->env, 1, BUFFER_BYTES);
	if (save->keys == NULL || save->values == NULL || save->names == NULL ||
	    save->output.buffer == NULL)
		return -ENOMEM;
	return 0;
}

int volume_index_save_zone(struct volume_index *index, unsigned int zone, uint64_t limit_bytes,
			   const struct byte_sink *sink, struct uds_message *message,
			   uint64_t *ret_dropped)
{
	struct zone_save *save = env_allocate_zeroed(&index->env, 1, sizeof(*save));
	int r;

	if (save == NULL)
		return failure(message, -ENOMEM, "volume index: no memory to save zone %u", zone);
	save->index = index;
	save->output.sink = sink;
	r = allocate_save(save);
	if (r == 0)
		r = plan(save, zone, limit_bytes);
	if (r == -ENOMEM)
		(void)failure(message, r, "volume index: no memory to save zone %u", zone);
	else if (r < 0)
		(void)failure(message, r,
			      "volume index: zone %u does not fit into a region of %llu bytes",
			      zone, (unsigned long long)limit_bytes);
	if (r == 0) {
		r = put_stream(save, zone);
		if (r == 0)
			*ret_dropped = save->parts[0].dropped + save->parts[1].dropped;
		else
			(void)failure(message, r, "volume index: zone %u was not written: %s", zone,
				      uds_strerror(r));
	}
	env_release(&index->env, save->parts[0].sizes);
	env_release(&index->env, save->parts[1].sizes);
	env_release(&index->env, save->output.buffer);
	env_release(&index->env, save->names);
	env_release(&index->env, save->values);
	env_release(&index->env, save->keys);
	env_release(&index->env, save);
	return r;
}

uint64_t volume_index_saved_zone_bytes(const struct volume_index *index, unsigned int zone_number)
{
	uint64_t bytes = fixed_bytes(index, zone_number);

	for (unsigned int sub = 0; sub < index->subs; sub++) {
		const struct list_zone *zone = list_zone_of(index, sub, zone_number);
		struct part part = { 0 };

		for (uint32_t i = 0; i < zone->list_count; i++)
			add_size(&part, zone->heads[i].coded_bits);
		bytes += part.data_bytes;
	}
	return bytes;
}
