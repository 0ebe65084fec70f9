/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading a volume index from the streams of a save (uds-format, 13.6 and 6.4), any number of zones
 * into any number. Nothing in a stream is believed before it is checked; the first thing that is
 * wrong ends the load with a sentence about it.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/crew.h"
#include "base/env.h"
#include "base/message.h"
#include "volume_index/additions.h"
#include "volume_index/load_lists.h"
#include "volume_index/stream_format.h"
#include "volume_index/volume_index.h"

struct stream_load {
	struct volume_index *index;
	const struct byte_source *source; /* of the stream that is being read */
	struct uds_message *message;
	unsigned int streams;
	unsigned int stream;
	uint32_t next_list[2];	   /* the streams so far cover the lists below */
	uint32_t lists_to_come[2]; /* with a size and without data, in this stream */
	uint64_t records[2];	   /* as the streams say, modulo 2^64 */
	uint64_t collisions[2];
	uint64_t low[2];
	uint64_t high[2];
	uint8_t *seen[2]; /* a bit for each list whose data came */
	struct list_loads *lists;
};

#define corrupt(load, ...) failure_in_stream(load, UDS_ERR_CORRUPT, __VA_ARGS__)

static int failure_in_stream(const struct stream_load *load, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static int failure_in_stream(const struct stream_load *load, int status, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return failure(load->message, status, "volume index, stream of zone %u: %s", load->stream,
		       text);
}

static int read_bytes(struct stream_load *load, void *ret_bytes, size_t length, const char *what)
{
	int r = load->source->read(load->source->context, ret_bytes, length);

	/* The stream is over: damage of the save, and no error of the device. */
	if (r == UDS_ERR_OUT_OF_RANGE)
		return corrupt(load, "it ends inside of the %s", what);
	if (r < 0)
		return failure_in_stream(load, r, "reading the %s: %s", what, uds_strerror(r));
	return 0;
}

/*
 * The status of a first stream that is another kind of index's, or has another sample rate: it, or
 * the config block, is wrong. A recovery would trust the config block, so this is not left to one.
 * Later streams that differ from the first are damage.
 */
static int mismatch(const struct stream_load *load)
{
	return load->stream == 0 ? UDS_ERR_MISMATCH : UDS_ERR_CORRUPT;
}

/* Magic strings that the format knows, for a message that tells what the bytes are instead. */
static int check_magic(struct stream_load *load, const uint8_t *bytes, const char *expected,
		       const char *what)
{
	if (memcmp(bytes, expected, STREAM_MAGIC_BYTES) == 0)
		return 0;
	if (memcmp(bytes, STREAM_SPARSE_MAGIC, STREAM_MAGIC_BYTES) == 0)
		return failure_in_stream(load, mismatch(load),
					 "%s: magic is \"%s\" (a sparse index), expected \"%s\"",
					 what, STREAM_SPARSE_MAGIC, expected);
	if (memcmp(bytes, STREAM_SUB_MAGIC, STREAM_MAGIC_BYTES) == 0)
		return failure_in_stream(load, mismatch(load),
					 "%s: magic is \"%s\" (a dense index), expected \"%s\"",
					 what, STREAM_SUB_MAGIC, expected);
	return corrupt(load, "%s: magic is %02x%02x%02x%02x%02x%02x%02x%02x, expected \"%s\"", what,
		       bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6],
		       bytes[7], expected);
}

static int read_sparse_header(struct stream_load *load)
{
	uint8_t bytes[STREAM_SPARSE_HEADER_BYTES];
	uint32_t rate;
	int r;

	r = read_bytes(load, bytes, sizeof(bytes), "sparse header");
	if (r < 0)
		return r;
	r = check_magic(load, bytes, STREAM_SPARSE_MAGIC, "sparse header");
	if (r < 0)
		return r;
	rate = get_le32(bytes + 8);
	/*
	 * Which names are samples depends on it, so with another rate every entry would be in the
	 * wrong sub-index.
	 */
	if (rate != load->index->sample_rate)
		return failure_in_stream(load, mismatch(load),
					 "sparse header: sample rate is %u, the index has %u", rate,
					 load->index->sample_rate);
	return 0;
}

static const char *sub_name(const struct stream_load *load, unsigned int sub)
{
	return sub_index_name(load->index, sub);
}

/* Checks the window that a stream gives and joins it with those of the streams before (13.6). */
static int join_window(struct stream_load *load, unsigned int sub, uint64_t low, uint64_t high)
{
	const char *name = sub_name(load, sub);
	uint64_t mask = load->index->shapes[sub].chapter_mask;

	/* Bounded so that sums with window sizes cannot overflow. */
	if (high >= VOLUME_INDEX_CHAPTER_LIMIT)
		return corrupt(load, "%s: high is chapter %llu, which no index can reach", name,
			       (unsigned long long)high);
	/*
	 * low = high + 1 is an empty window. A wider one than the values have numbers for would
	 * give two chapters one value.
	 */
	if (low > high + 1 || (low <= high && high - low > mask))
		return corrupt(load,
			       "%s: low is %llu and high %llu, more than %llu chapters apart or "
			       "reversed",
			       name, (unsigned long long)low, (unsigned long long)high,
			       (unsigned long long)mask);
	if (load->stream > 0 && high != load->high[sub])
		return corrupt(load, "%s: high is %llu, in the streams before it is %llu", name,
			       (unsigned long long)high, (unsigned long long)load->high[sub]);
	load->high[sub] = high;
	/* The greatest of all streams: what one zone has expired early, all have (13.6). */
	if (low > load->low[sub])
		load->low[sub] = low;
	return 0;
}

/* Checks the lists that a header says the stream has. */
static int check_lists(struct stream_load *load, unsigned int sub, const char *what, uint32_t first,
		       uint32_t count)
{
	uint32_t all = load->index->shapes[sub].parameters.list_count;

	if (first != load->next_list[sub])
		return corrupt(load, "%s, %s: first list is %u, expected %u", sub_name(load, sub),
			       what, first, load->next_list[sub]);
	/*
	 * Not "first + count > all": @first is within the lists, as it is where the last stream
	 * ended, but @count is anything.
	 */
	if (count > all - first)
		return corrupt(load, "%s, %s: %u lists from %u on, there are only %u",
			       sub_name(load, sub), what, count, first, all);
	return 0;
}

static struct list_head *head_of_list(const struct stream_load *load, unsigned int sub,
				      uint32_t list)
{
	struct list_zone *zone = zone_of_list(load->index, sub, list);

	return &zone->heads[list - zone->first_list];
}

static int read_flush_table(struct stream_load *load, unsigned int sub, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		uint32_t list = load->next_list[sub] + i;
		uint8_t bytes[8];
		uint64_t flush_from;
		int r;

		r = read_bytes(load, bytes, sizeof(bytes), "flush_from table");
		if (r < 0)
			return r;
		flush_from = get_le64(bytes);
		if (flush_from >= VOLUME_INDEX_CHAPTER_LIMIT)
			return corrupt(load,
				       "%s, list %u: flush_from is chapter %llu, which no index "
				       "can reach",
				       sub_name(load, sub), list, (unsigned long long)flush_from);
		/*
		 * The list may go to another zone than the one that saved it; its bound goes with
		 * it.
		 */
		list_head_set_flush_from(head_of_list(load, sub, list), flush_from);
	}
	return 0;
}

static int read_sizes(struct stream_load *load, unsigned int sub, uint32_t count)
{
	load->lists_to_come[sub] = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct list_head *head = head_of_list(load, sub, load->next_list[sub] + i);
		uint8_t bytes[2];
		int r;

		r = read_bytes(load, bytes, sizeof(bytes), "table of list sizes");
		if (r < 0)
			return r;
		head->coded_bits = get_le16(bytes);
		/* Lists of size 0 have no data in the stream (6.4). */
		load->lists_to_come[sub] += head->coded_bits > 0;
	}
	return 0;
}

static int read_delta_header(struct stream_load *load, unsigned int sub, uint32_t expected_count)
{
	const char *name = sub_name(load, sub);
	uint8_t bytes[STREAM_DELTA_HEADER_BYTES];
	uint32_t count;
	int r;

	r = read_bytes(load, bytes, sizeof(bytes), "delta index header");
	if (r < 0)
		return r;
	r = check_magic(load, bytes, STREAM_DELTA_MAGIC, "delta index header");
	if (r < 0)
		return r;
	if (get_le32(bytes + 8) != load->stream)
		return corrupt(load, "%s: zone number is %u, expected %u", name,
			       get_le32(bytes + 8), load->stream);
	if (get_le32(bytes + 12) != load->streams)
		return corrupt(load, "%s: zone count is %u, but there are %u streams", name,
			       get_le32(bytes + 12), load->streams);
	count = get_le32(bytes + 20);
	r = check_lists(load, sub, "delta index header", get_le32(bytes + 16), count);
	if (r < 0)
		return r;
	/*
	 * The sub-index header has said it before; a stream where they differ was put together from
	 * two.
	 */
	if (count != expected_count)
		return corrupt(load, "%s: delta index header has %u lists, sub-index header %u",
			       name, count, expected_count);
	/*
	 * Only the sums are compared: after a load the reference implementation counts all in zone
	 * 0 (6.4).
	 */
	load->records[sub] += get_le64(bytes + 24);
	load->collisions[sub] += get_le64(bytes + 32);
	return 0;
}

static int read_sub_index_start(struct stream_load *load, unsigned int sub)
{
	uint8_t bytes[STREAM_SUB_HEADER_BYTES];
	uint32_t count;
	int r;

	r = read_bytes(load, bytes, sizeof(bytes), "sub-index header");
	if (r < 0)
		return r;
	r = check_magic(load, bytes, STREAM_SUB_MAGIC, "sub-index header");
	if (r < 0)
		return r;
	/*
	 * Another index's save, or a new index over an old one: the same layout, and none of its
	 * chapters.
	 */
	if (get_le64(bytes + 8) != load->index->volume_nonce)
		return corrupt(load, "%s: volume nonce is %016llx, the index has %016llx",
			       sub_name(load, sub), (unsigned long long)get_le64(bytes + 8),
			       (unsigned long long)load->index->volume_nonce);
	r = join_window(load, sub, get_le64(bytes + 16), get_le64(bytes + 24));
	if (r < 0)
		return r;
	count = get_le32(bytes + 36);
	r = check_lists(load, sub, "sub-index header", get_le32(bytes + 32), count);
	if (r < 0)
		return r;
	r = read_flush_table(load, sub, count);
	if (r < 0)
		return r;
	r = read_delta_header(load, sub, count);
	if (r < 0)
		return r;
	r = read_sizes(load, sub, count);
	if (r < 0)
		return r;
	/* Last: the tables above number their lists from the old value. */
	load->next_list[sub] += count;
	return 0;
}

static int read_list(struct stream_load *load)
{
	uint8_t header[STREAM_LIST_HEADER_BYTES];
	unsigned int sub = 0;
	uint8_t *memory;
	const char *name;
	unsigned int bit;
	uint32_t bytes;
	uint32_t list;
	uint32_t size;
	int r;

	r = read_bytes(load, header, sizeof(header), "header of a list");
	if (r < 0)
		return r;
	bit = header[1];
	bytes = get_le16(header + 2);
	list = get_le32(header + 4);
	while (sub < load->index->subs && header[0] != sub_index_tag(load->index, sub))
		sub++;
	if (sub == load->index->subs)
		return corrupt(load, "a list (number %u) with tag 0x%02x, expected one more %s",
			       list, header[0], load->index->subs == 1 ? "'m'" : "'d' or 's'");
	name = sub_name(load, sub);
	if (bit > 7)
		return corrupt(load, "%s, list %u: bit offset is %u, at most 7 is allowed", name,
			       list, bit);
	if (bytes > STREAM_LIST_BYTES)
		return corrupt(load, "%s, list %u: byte count is %u, at most %u is allowed", name,
			       list, bytes, STREAM_LIST_BYTES);
	/*
	 * Those of the streams before, and of this one. A list of a later stream has no size yet.
	 */
	if (list >= load->next_list[sub])
		return corrupt(load, "%s: list number is %u, the lists so far end at %u", name,
			       list, load->next_list[sub]);
	/* Lists may come in any order, so this alone tells that one is repeated. */
	if ((load->seen[sub][list / 8] >> (list % 8) & 1) != 0)
		return corrupt(load, "%s, list %u: it is there twice", name, list);
	size = head_of_list(load, sub, list)->coded_bits;
	if (size == 0)
		return corrupt(load, "%s, list %u: it has data, and size 0", name, list);
	/* Also keeps the read within the buffer: size has 16 bits. */
	if (bytes != (bit + size + 7) / 8)
		return corrupt(load,
			       "%s, list %u: byte count is %u, expected %u for %u bits from bit %u",
			       name, list, bytes, (bit + size + 7) / 8, size, bit);
	/* It is one of those that are to come: the streams before have all of theirs. */
	load->lists_to_come[sub]--;
	r = list_loads_room(load->lists, sub, list, bytes, &memory);
	if (r == 0)
		r = read_bytes(load, memory, bytes, "data of a list");
	if (r < 0)
		return r;
	load->seen[sub][list / 8] |= (uint8_t)(1u << (list % 8));
	list_loads_add(load->lists, load->stream, sub, list, bit, bytes);
	return 0;
}

static int read_stream(struct stream_load *load)
{
	uint8_t guard[STREAM_GUARD_BYTES];
	int r = 0;

	if (load->index->subs == 2)
		r = read_sparse_header(load);
	for (unsigned int sub = 0; sub < load->index->subs && r == 0; sub++)
		r = read_sub_index_start(load, sub);
	/* By count: a guard that came too early would leave lists without their entries. */
	while (r == 0 && load->lists_to_come[0] + load->lists_to_come[1] > 0)
		r = read_list(load);
	if (r < 0)
		return r;
	/* What tells that a stream was written to its end (6.4). */
	r = read_bytes(load, guard, sizeof(guard), "guard entry");
	if (r < 0)
		return r;
	if (guard[0] != STREAM_GUARD_TAG)
		return corrupt(load, "guard entry: tag is 0x%02x, expected '%c'", guard[0],
			       STREAM_GUARD_TAG);
	return 0;
}

/* What can be said only after all streams; then the windows and counters of the new zones. */
static int finish_sub_index(struct stream_load *load, unsigned int sub)
{
	struct volume_index *index = load->index;
	uint32_t all = index->shapes[sub].parameters.list_count;
	const char *name = sub_name(load, sub);
	struct list_counts read;

	if (load->next_list[sub] != all)
		return corrupt(load, "%s: the streams have %u lists, expected %u", name,
			       load->next_list[sub], all);
	/* Of the sums: in a single stream the numbers may have gone below zero (6.4). */
	if (load->collisions[sub] > load->records[sub])
		return corrupt(load, "%s: %llu collision entries among %llu records", name,
			       (unsigned long long)load->collisions[sub],
			       (unsigned long long)load->records[sub]);
	list_loads_count(load->lists, sub, &read);
	if (load->records[sub] != read.entries)
		return corrupt(load, "%s: the headers say %llu records, the lists have %llu", name,
			       (unsigned long long)load->records[sub],
			       (unsigned long long)read.entries);
	if (load->collisions[sub] != read.collisions)
		return corrupt(load,
			       "%s: the headers say %llu collision entries, the lists have %llu",
			       name, (unsigned long long)load->collisions[sub],
			       (unsigned long long)read.collisions);
	for (unsigned int i = 0; i < all_parts(index); i++) {
		struct list_zone *zone = list_zone_of(index, sub, i);

		/*
		 * As they are: neither the window's formula nor early expiry is run at a load
		 * (13.6).
		 */
		zone->low = load->low[sub];
		zone->high = load->high[sub];
		/* All in zone 0, as the reference implementation does (6.4). */
		zone->records =
			i == 0 ? load->records[sub] + read.added - read.left_out - read.dropped : 0;
		zone->discards = i == 0 ? read.left_out : 0;
		zone->collisions = i == 0 ? load->collisions[sub] - read.dropped_collisions : 0;
	}
	return 0;
}

/* Lists of size 0 do not come: their records are entered later. */
static void leave_additions(struct stream_load *load, struct additions *additions)
{
	for (unsigned int sub = 0; sub < load->index->subs; sub++) {
		for (uint32_t list = 0; list < load->next_list[sub]; list++) {
			if ((load->seen[sub][list / 8] >> (list % 8) & 1) == 0)
				additions_leave(additions, sub, list);
		}
	}
}

static int read_streams(struct stream_load *load, const struct byte_source *streams)
{
	int r = 0;

	for (load->stream = 0; r == 0 && load->stream < load->streams; load->stream++) {
		load->source = &streams[load->stream];
		r = read_stream(load);
	}
	/* What is wrong with a list comes before what was found wrong after it. */
	r = list_loads_finish(load->lists, r, load->message);
	/* For sentences about the sums: they are wrong, at the latest, in the last stream. */
	load->stream = load->streams - 1;
	for (unsigned int sub = 0; r == 0 && sub < load->index->subs; sub++)
		r = finish_sub_index(load, sub);
	return r;
}

static int allocate_load(struct stream_load *load, struct crew *crew,
			 const struct volume_index_cut *cut)
{
	const struct volume_index *index = load->index;
	int r;

	r = list_loads_make(load->index, crew, cut, &load->lists);
	for (unsigned int sub = 0; r == 0 && sub < index->subs; sub++) {
		uint32_t lists = index->shapes[sub].parameters.list_count;

		load->seen[sub] = env_allocate_zeroed(&index->env, lists / 8 + 1, 1);
		r = load->seen[sub] == NULL ? -ENOMEM : 0;
	}
	return r < 0 ? failure(load->message, r, "volume index: no memory to load it") : 0;
}

int volume_index_load(const struct uds_env *env, const struct geometry *geometry,
		      unsigned int zones, uint64_t volume_nonce, struct crew *crew,
		      const struct volume_index_cut *cut, const struct byte_source *streams,
		      unsigned int stream_count, struct uds_message *message,
		      struct volume_index **ret_index)
{
	struct stream_load load = { .streams = stream_count, .message = message };
	int r;

	if (stream_count < 1 || stream_count > MAXIMUM_ZONES)
		return failure(message, UDS_ERR_CORRUPT,
			       "volume index: %u streams in the save, 1 to %u are possible",
			       stream_count, MAXIMUM_ZONES);
	r = volume_index_make(env, geometry, zones,
			      volume_index_parts_for(zones, crew_members(crew)), volume_nonce,
			      message, &load.index);
	if (r < 0)
		return r;
	r = allocate_load(&load, crew, cut);
	if (r == 0)
		r = read_streams(&load, streams);
	if (r == 0 && cut != NULL && cut->additions != NULL)
		leave_additions(&load, cut->additions);
	list_loads_free(load.lists);
	env_release(env, load.seen[0]);
	env_release(env, load.seen[1]);
	/*
	 * A half-filled index is of no use to anybody: found entries would be right, but missing
	 * ones would look new.
	 */
	if (r < 0)
		volume_index_free(load.index);
	else
		*ret_index = load.index;
	return r;
}
