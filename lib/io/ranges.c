/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An I/O that is made of ranges of others, one behind the other: a part of a device, or a volume
 * whose extents lie on several. A range without an I/O reads as zeroes.
 *
 * The list of ranges does not change after the open, so any thread may read it.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "io/io.h"

struct range_part {
	struct uds_io *io; /* NULL: zeroes */
	uint64_t offset;   /* of it */
	uint64_t start;	   /* in the whole */
	uint64_t length;
};

struct ranges_io {
	struct uds_env env;
	bool close_parts;
	uint64_t bytes;
	size_t count;
	struct uds_io **others; /* each I/O once */
	size_t other_count;
	struct range_part parts[];
};

/* The part that holds @offset, which is inside of the whole. */
static size_t find_part(const struct ranges_io *ranges, uint64_t offset)
{
	size_t low = 0, high = ranges->count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (ranges->parts[middle].start <= offset)
			low = middle;
		else
			high = middle;
	}
	return low;
}

typedef int (*piece_fn)(struct uds_io *io, uint8_t *buffer, uint64_t length, uint64_t offset);

/* Zeroes are read, and are not there to be written. */
static int read_piece(struct uds_io *io, uint8_t *buffer, uint64_t length, uint64_t offset)
{
	if (io != NULL)
		return uds_io_read(io, buffer, (size_t)length, offset);
	memset(buffer, 0, (size_t)length);
	return 0;
}

static int write_piece(struct uds_io *io, uint8_t *buffer, uint64_t length, uint64_t offset)
{
	return io == NULL ? UDS_ERR_READ_ONLY : uds_io_write(io, buffer, (size_t)length, offset);
}

static int discard_piece(struct uds_io *io, uint8_t *buffer, uint64_t length, uint64_t offset)
{
	(void)buffer;
	return io == NULL ? 0 : uds_io_discard(io, offset, length);
}

static int zero_piece(struct uds_io *io, uint8_t *buffer, uint64_t length, uint64_t offset)
{
	(void)buffer;
	return io == NULL ? 0 : uds_io_write_zeroes(io, offset, length);
}

/* Cuts a transfer at the ends of the parts. @buffer may be NULL. */
static int for_each_piece(struct ranges_io *ranges, piece_fn carry_out, uint8_t *buffer,
			  uint64_t length, uint64_t offset)
{
	int r = 0;

	if (offset > ranges->bytes || length > ranges->bytes - offset)
		return UDS_ERR_OUT_OF_RANGE;
	for (size_t i = find_part(ranges, offset); r == 0 && length > 0; i++) {
		const struct range_part *part = &ranges->parts[i];
		uint64_t inside = offset - part->start, piece = part->length - inside;

		if (piece > length)
			piece = length;
		/* Ranges may be empty: then there is nothing to ask their I/O for. */
		if (piece > 0)
			r = carry_out(part->io, buffer, piece, part->offset + inside);
		buffer = buffer == NULL ? NULL : buffer + piece;
		offset += piece;
		length -= piece;
	}
	return r;
}

static int ranges_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	return for_each_piece(context, read_piece, buffer, length, offset);
}

static int ranges_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	return for_each_piece(context, write_piece, (uint8_t *)(uintptr_t)buffer, length, offset);
}

static int ranges_discard(void *context, uint64_t offset, uint64_t length)
{
	return for_each_piece(context, discard_piece, NULL, length, offset);
}

static int ranges_write_zeroes(void *context, uint64_t offset, uint64_t length)
{
	return for_each_piece(context, zero_piece, NULL, length, offset);
}

/* The first data of a part at or behind @inside, or its end. */
static int find_in_part(const struct range_part *part, uint64_t inside, uint64_t *ret_begin,
			uint64_t *ret_end)
{
	uint64_t begin = 0, end = 0;
	int r = 0;

	if (part->io != NULL)
		r = uds_io_find_data(part->io, part->offset + inside, &begin, &end);
	/* After an error these wrap, and are not used. */
	begin = part->io == NULL ? part->length : begin - part->offset;
	end = part->io == NULL ? part->length : end - part->offset;
	/* What follows in the I/O may be no part of the whole. */
	*ret_begin = begin < part->length ? begin : part->length;
	*ret_end = end < part->length ? end : part->length;
	return r;
}

static int ranges_find_data(void *context, uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end)
{
	struct ranges_io *ranges = context;
	uint64_t begin = 0, end = 0;
	int r = 0;

	for (size_t i = find_part(ranges, offset); i < ranges->count; i++) {
		const struct range_part *part = &ranges->parts[i];

		if (part->start + part->length <= offset)
			continue;
		r = find_in_part(part, offset > part->start ? offset - part->start : 0, &begin,
				 &end);
		if (r < 0 || begin < end) {
			*ret_begin = part->start + begin;
			*ret_end = part->start + end;
			return r;
		}
	}
	*ret_begin = ranges->bytes;
	*ret_end = ranges->bytes;
	return 0;
}

static int ranges_flush(void *context)
{
	struct ranges_io *ranges = context;
	int first = 0;

	/* All of them, whatever one says: each may hold writes that the caller counts on. */
	for (size_t i = 0; i < ranges->other_count; i++) {
		int r = uds_io_flush(ranges->others[i]);

		first = first < 0 ? first : r;
	}
	return first;
}

static int ranges_get_size(void *context, uint64_t *ret_bytes)
{
	*ret_bytes = ((struct ranges_io *)context)->bytes;
	return 0;
}

static int ranges_map(void *context, uint64_t offset, size_t length, const void **ret_view)
{
	struct ranges_io *ranges = context;
	const struct range_part *part;

	if (offset > ranges->bytes || length > ranges->bytes - offset)
		return UDS_ERR_OUT_OF_RANGE;
	part = &ranges->parts[find_part(ranges, offset)];
	/* Views of two I/Os are not next to each other in memory. */
	if (part->io == NULL || length > part->length - (offset - part->start))
		return -EOPNOTSUPP;
	return uds_io_map(part->io, part->offset + (offset - part->start), length, ret_view);
}

/* Of one part at a time. Most have one place or two; a part that is made of ranges has many. */
#define PART_PLACES 16u

struct part_places {
	const struct uds_env *env;
	struct uds_io_place *list;
	size_t room;
	size_t count;
};

struct found_places {
	struct uds_io_place *places;
	size_t room;
	size_t count; /* those without room, too */
	bool known;   /* the places of one part at least */
	struct part_places part;
};

static int make_room(struct part_places *places, size_t room)
{
	env_release(places->env, places->list);
	places->list = env_allocate(places->env, room, sizeof(places->list[0]));
	places->room = places->list == NULL ? 0 : room;
	return places->list == NULL ? -ENOMEM : 0;
}

/* All of them: one that is left out would be taken for a place of its own. */
static int find_places(struct uds_io *io, struct part_places *places)
{
	int r = uds_io_places(io, places->list, places->room, &places->count);

	while (r == 0 && places->count > places->room) {
		r = make_room(places, places->count);
		if (r == 0)
			r = uds_io_places(io, places->list, places->room, &places->count);
	}
	return r;
}

/* What is left of a place of an I/O of @bytes when only a range of it is meant. */
static void clip_place(struct uds_io_place *place, uint64_t bytes, uint64_t offset, uint64_t length)
{
	/* All of it: whatever the places are. */
	if (offset == 0 && length == bytes)
		return;
	/*
	 * The place of a piece, as of a device that is made of several: which piece is not known,
	 * so the range may be anywhere in it.
	 */
	if (place->length < bytes)
		place->within = 1;
	if (place->within)
		return;
	place->offset += offset;
	if (place->length != UINT64_MAX)
		place->length -= offset < place->length ? offset : place->length;
	if (place->length > length)
		place->length = length;
}

/* The places of a range of an I/O, behind those that are there already. */
static int add_places(struct uds_io *io, uint64_t offset, uint64_t length, struct found_places *all)
{
	uint64_t bytes = 0;
	int r = find_places(io, &all->part);

	if (r == 0)
		r = uds_io_size(io, &bytes);
	for (size_t i = 0; r == 0 && i < all->part.count; i++) {
		clip_place(&all->part.list[i], bytes, offset, length);
		if (all->count < all->room)
			all->places[all->count] = all->part.list[i];
		all->count++;
	}
	all->known = all->known || r == 0;
	/* Those of the others are still worth knowing. */
	return r == -EOPNOTSUPP ? 0 : r;
}

static int ranges_identity(void *context, struct uds_io_place *ret_places, size_t room,
			   size_t *ret_count);

/* Those of bytes [@offset, @offset + @length) of the whole; of ranges of ranges, too. */
static int add_range(const struct ranges_io *ranges, uint64_t offset, uint64_t length,
		     struct found_places *all)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ranges->count; i++) {
		const struct range_part *part = &ranges->parts[i];
		uint64_t begin = offset > part->start ? offset - part->start : 0, end;

		if (part->io == NULL || begin >= part->length || part->start >= offset + length)
			continue;
		end = offset + length - part->start;
		end = end < part->length ? end : part->length;
		if (part->io->ops.identity == ranges_identity)
			r = add_range(part->io->context, part->offset + begin, end - begin, all);
		else
			r = add_places(part->io, part->offset + begin, end - begin, all);
	}
	return r;
}

static int ranges_identity(void *context, struct uds_io_place *ret_places, size_t room,
			   size_t *ret_count)
{
	const struct ranges_io *ranges = context;
	struct found_places all = { .places = ret_places, .room = room };
	int r;

	all.part.env = &ranges->env;
	r = make_room(&all.part, PART_PLACES);
	if (r == 0)
		r = add_range(ranges, 0, ranges->bytes, &all);
	env_release(&ranges->env, all.part.list);
	if (r == 0 && !all.known)
		return -EOPNOTSUPP;
	if (r == 0)
		*ret_count = all.count;
	return r;
}

static void release(struct ranges_io *ranges)
{
	env_release(&ranges->env, ranges->others);
	env_release(&ranges->env, ranges);
}

static int ranges_close(void *context)
{
	struct ranges_io *ranges = context;
	struct uds_env env = ranges->env;
	int first = 0;

	for (size_t i = 0; ranges->close_parts && i < ranges->other_count; i++) {
		int r = uds_io_close(ranges->others[i]);

		first = first < 0 ? first : r;
	}
	env_release(&env, ranges->others);
	env_release(&env, ranges);
	return first;
}

static const struct uds_io_ops ranges_ops = {
	.size = sizeof(struct uds_io_ops),
	.read = ranges_read,
	.write = ranges_write,
	.flush = ranges_flush,
	.get_size = ranges_get_size,
	.close = ranges_close,
	.discard = ranges_discard,
	.map = ranges_map,
	.identity = ranges_identity,
	.write_zeroes = ranges_write_zeroes,
	.find_data = ranges_find_data,
};

/* ---- requests of engines ---- */

bool io_is_ranges(const struct uds_io *io)
{
	return io->ops.identity == ranges_identity;
}

/* A read or a write that lies in one part is one of that part. */
static bool find_transfer_below(const struct ranges_io *ranges, struct uds_io_request *request)
{
	const struct range_part *part;
	uint64_t inside;

	if (request->offset > ranges->bytes || request->length > ranges->bytes - request->offset)
		return false;
	part = &ranges->parts[find_part(ranges, request->offset)];
	inside = request->offset - part->start;
	if (part->io == NULL || request->length > part->length - inside)
		return false;
	request->io = part->io;
	request->offset = part->offset + inside;
	return true;
}

bool ranges_find_below(struct uds_io_request *request)
{
	struct uds_io_request below = *request;

	/* Ranges of ranges, too. */
	while (io_is_ranges(below.io)) {
		const struct ranges_io *ranges = below.io->context;

		if (below.kind == UDS_IO_READ || below.kind == UDS_IO_WRITE) {
			if (!find_transfer_below(ranges, &below))
				return false;
		} else if (below.kind == UDS_IO_FLUSH && ranges->other_count == 1) {
			below.io = ranges->others[0];
		} else {
			return false;
		}
	}
	*request = below;
	return true;
}

/* ---- opening ---- */

static void remember(struct ranges_io *ranges, struct uds_io *io)
{
	for (size_t i = 0; i < ranges->other_count; i++) {
		if (ranges->others[i] == io)
			return;
	}
	ranges->others[ranges->other_count++] = io;
}

/* What all parts need together. */
static void add_limits(struct uds_io_limits *limits, const struct uds_io *io)
{
	if (io == NULL)
		return;
	if (io->block_bytes > limits->block_bytes)
		limits->block_bytes = io->block_bytes;
	if (io->memory_alignment > limits->memory_alignment)
		limits->memory_alignment = io->memory_alignment;
	limits->read_only = limits->read_only || io->read_only;
	limits->quick = limits->quick && io->quick;
}

/* The preferred length of all parts, if a multiple of it in the whole is one in each of them. */
static uint64_t find_preferred(const struct ranges_io *ranges)
{
	uint64_t common = 0;

	for (size_t i = 0; i < ranges->count; i++) {
		const struct range_part *part = &ranges->parts[i];
		uint64_t own;

		if (part->io == NULL)
			continue;
		own = part->io->preferred_bytes;
		if (own == 0 || (common != 0 && own != common) ||
		    part->offset % own != part->start % own)
			return 0;
		common = own;
	}
	return common;
}

/* A range that lies inside of its I/O; its length is known afterwards. */
static int check_range(const struct uds_io_range *range, size_t number, struct range_part *ret_part,
		       struct uds_message *message)
{
	struct range_part part = { range->io, range->offset, 0, range->length };
	uint64_t bytes = UINT64_MAX;
	int r = 0;

	if (range->io == NULL && range->length == UINT64_MAX)
		return failure(message, -EINVAL,
			       "range %zu: zeroes: expected a length, found "
			       "UINT64_MAX, the rest of an I/O",
			       number);
	if (range->io != NULL)
		r = uds_io_size(range->io, &bytes);
	if (r < 0)
		return failure(message, r, "%s: asking for its size: %s", uds_io_name(range->io),
			       uds_strerror(r));
	if (range->io != NULL && range->length == UINT64_MAX && range->offset <= bytes)
		part.length = bytes - range->offset;
	if (range->io != NULL && (range->offset > bytes || part.length > bytes - range->offset))
		return failure(message, UDS_ERR_OUT_OF_RANGE,
			       "%s: range %zu: expected to end by byte %" PRIu64 ", found %" PRIu64
			       " bytes from %" PRIu64 " on",
			       uds_io_name(range->io), number, bytes,
			       range->length == UINT64_MAX ? 0 : range->length, range->offset);
	*ret_part = part;
	return 0;
}

static int take_ranges(struct ranges_io *ranges, const struct uds_io_range *given, size_t count,
		       struct uds_io_limits *limits, struct uds_message *message)
{
	for (size_t i = 0; i < count; i++) {
		struct range_part *part = &ranges->parts[i];
		int r = check_range(&given[i], i, part, message);

		if (r < 0)
			return r;
		part->start = ranges->bytes;
		if (part->length > INT64_MAX - ranges->bytes)
			return failure(message, -EFBIG,
				       "range %zu: expected to end by byte %lld, found %" PRIu64
				       " bytes from %" PRIu64 " on",
				       i, (long long)INT64_MAX, part->length, ranges->bytes);
		ranges->bytes += part->length;
		add_limits(limits, part->io);
		if (part->io != NULL)
			remember(ranges, part->io);
	}
	ranges->count = count;
	return 0;
}

/* A transfer is cut where a part ends, and each piece must be one that its I/O takes. */
static int check_alignment(const struct ranges_io *ranges, uint32_t block_bytes,
			   struct uds_message *message)
{
	for (size_t i = 0; i < ranges->count; i++) {
		const struct range_part *part = &ranges->parts[i];
		uint64_t bits = part->length | (part->io != NULL ? part->offset : 0);

		if ((bits & (block_bytes - 1)) != 0)
			return failure(message, UDS_ERR_UNALIGNED,
				       "%s: range %zu: expected multiples of %" PRIu32
				       " bytes, found %" PRIu64 " from %" PRIu64 " on",
				       part->io != NULL ? uds_io_name(part->io) : "zeroes", i,
				       block_bytes, part->length, part->offset);
	}
	return 0;
}

static int open_ranges(const struct uds_io_range *given, size_t count,
		       const struct uds_io_ranges_options *options, const struct uds_env *env,
		       struct uds_message *message, struct uds_io **ret_io)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct ranges_io *ranges =
		env_allocate_zeroed(env, 1, sizeof(*ranges) + count * sizeof(ranges->parts[0]));
	int r = 0;

	if (ranges == NULL)
		return failure(message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	ranges->env = *env;
	ranges->close_parts = options->close_parts;
	/* Until a part says otherwise; zeroes alone wait for nothing. */
	limits.quick = true;
	ranges->others = env_allocate(env, count, sizeof(ranges->others[0]));
	if (ranges->others == NULL)
		r = failure(message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	if (r == 0)
		r = take_ranges(ranges, given, count, &limits, message);
	if (r == 0)
		r = check_alignment(ranges, limits.block_bytes, message);
	if (r == 0)
		limits.preferred_bytes = find_preferred(ranges);
	limits.name = options->name;
	if (limits.name == NULL)
		limits.name = given[0].io != NULL ? uds_io_name(given[0].io) : "ranges";
	limits.device_offset = options->device_offset;
	/* One range of a device is a piece of it, and knows where. */
	if (count == 1 && given[0].io != NULL && options->device_offset == 0)
		limits.device_offset = given[0].io->device_offset + given[0].offset;
	if (r == 0)
		r = uds_io_open_ops(&ranges_ops, ranges, &limits, env, message, ret_io);
	if (r < 0)
		release(ranges);
	for (size_t i = 0; r == 0 && i < count; i++)
		(*ret_io)->in_use =
			(*ret_io)->in_use || (given[i].io != NULL && given[i].io->in_use);
	return r;
}

UDS_PUBLIC int uds_io_open_ranges(const struct uds_io_range *ranges, size_t count,
				  const struct uds_io_ranges_options *given,
				  const struct uds_env *given_env, struct uds_message *ret_message,
				  struct uds_io **ret_io)
{
	struct uds_io_ranges_options options = UDS_IO_RANGES_OPTIONS_INIT;
	struct uds_env env;
	int r = env_take(given_env, ret_message, &env);

	if (r == 0 && given != NULL)
		r = STRUCT_IN(&options, given, uds_io_ranges_options, close_parts, ret_message);
	if (r < 0)
		return r;
	if (count == 0 || count > UDS_IO_RANGES_MAX)
		return failure(ret_message, -EINVAL, "expected 1 to %u ranges, found %zu",
			       UDS_IO_RANGES_MAX, count);
	return open_ranges(ranges, count, &options, &env, ret_message, ret_io);
}

UDS_PUBLIC uint64_t uds_io_device_offset(const struct uds_io *io)
{
	return io->device_offset;
}

UDS_PUBLIC bool uds_io_is_in_use(const struct uds_io *io)
{
	return io->in_use;
}
