/* SPDX-License-Identifier: BSD-2-Clause */
/* Transfers of any alignment. Those that are aligned go straight through. */
#include "io/bytes_io.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "io/io.h"

#define WINDOW_BYTES (UINT64_C(1) << 20)

static bool aligned(struct uds_io *io, const void *buffer, size_t length, uint64_t offset)
{
	return ((offset | length) & (uds_io_block_bytes(io) - 1)) == 0 &&
	       ((uintptr_t)buffer & (uds_io_memory_alignment(io) - 1)) == 0;
}

static uint64_t round_down(uint64_t n, uint64_t unit)
{
	return n & ~(unit - 1);
}

/* A buffer for what is between @offset and @offset + @length, in windows. */
static uint8_t *make_window(struct uds_io *io, const struct uds_env *env, size_t length,
			    uint64_t offset, struct uds_message *message)
{
	uint64_t block = uds_io_block_bytes(io);
	uint64_t bytes = round_up(offset + length, block) - round_down(offset, block);
	uint8_t *window;

	/* Two blocks at least: a transfer that begins inside of one may reach into the next. */
	if (bytes > WINDOW_BYTES)
		bytes = WINDOW_BYTES > 2 * block ? WINDOW_BYTES : 2 * block;
	window = io_allocate_buffer(io, env, bytes);
	if (window == NULL)
		failure(message, -ENOMEM, "%s: no memory for a transfer", uds_io_name(io));
	return window;
}

/* How many of @length bytes at @offset fit a window that begins with a whole block. */
static size_t window_part(struct uds_io *io, size_t length, uint64_t offset)
{
	uint64_t block = uds_io_block_bytes(io);
	uint64_t room = (WINDOW_BYTES > 2 * block ? WINDOW_BYTES : 2 * block) - offset % block;

	return length < room ? length : (size_t)room;
}

int bytes_read(struct uds_io *io, const struct uds_env *env, void *buffer, size_t length,
	       uint64_t offset, struct uds_message *message)
{
	uint64_t block = uds_io_block_bytes(io);
	uint8_t *window, *to = buffer;
	int r = 0;

	if (aligned(io, buffer, length, offset))
		return io_read(io, buffer, length, offset, message);
	window = make_window(io, env, length, offset, message);
	if (window == NULL)
		return -ENOMEM;
	while (length > 0 && r == 0) {
		size_t part = window_part(io, length, offset);
		uint64_t begin = round_down(offset, block);
		uint64_t end = round_up(offset + part, block);

		r = io_read(io, window, (size_t)(end - begin), begin, message);
		/* Of the blocks around it only what was asked for is given out. */
		if (r == 0)
			memcpy(to, window + (offset - begin), part);
		to += part;
		offset += part;
		length -= part;
	}
	env_release(env, window);
	return r;
}

/* Reads the blocks at the edges of [offset, offset + part) that are not wholly inside. */
static int read_edges(struct uds_io *io, uint8_t *window, size_t part, uint64_t offset,
		      struct uds_message *message)
{
	size_t block = uds_io_block_bytes(io);
	uint64_t begin = round_down(offset, block), last = round_down(offset + part, block);
	int r = 0;

	/*
	 * The last block may be the first one, which is read below; not if the part begins at its
	 * start. It is read to the window's start, which alone has the alignment that the I/O
	 * demands.
	 */
	if (offset + part != last && (last != begin || offset == begin)) {
		r = io_read(io, window, block, last, message);
		memmove(window + (last - begin), window, block);
	}
	if (r == 0 && offset != begin)
		r = io_read(io, window, block, begin, message);
	return r;
}

int bytes_write(struct uds_io *io, const struct uds_env *env, const void *buffer, size_t length,
		uint64_t offset, struct uds_message *message)
{
	uint64_t block = uds_io_block_bytes(io);
	const uint8_t *from = buffer;
	uint8_t *window;
	int r = 0;

	if (aligned(io, buffer, length, offset))
		return io_write(io, buffer, length, offset, message);
	window = make_window(io, env, length, offset, message);
	if (window == NULL)
		return -ENOMEM;
	while (length > 0 && r == 0) {
		size_t part = window_part(io, length, offset);
		uint64_t begin = round_down(offset, block);
		uint64_t end = round_up(offset + part, block);

		/*
		 * What stands in the same blocks beside the data is written back as it is. Nothing
		 * else may be written there meanwhile: callers hold the chunk.
		 */
		r = read_edges(io, window, part, offset, message);
		memcpy(window + (offset - begin), from, part);
		if (r == 0)
			r = io_write(io, window, (size_t)(end - begin), begin, message);
		from += part;
		offset += part;
		length -= part;
	}
	env_release(env, window);
	return r;
}

int bytes_copy(struct uds_io *from, uint64_t from_offset, struct uds_io *to, uint64_t to_offset,
	       uint64_t length, const struct uds_env *env, struct uds_message *message)
{
	uint64_t from_block = uds_io_block_bytes(from), to_block = uds_io_block_bytes(to);
	uint64_t block = from_block > to_block ? from_block : to_block;
	uint64_t room = round_up(length, block) < WINDOW_BYTES ? round_up(length, block)
							       : round_up(WINDOW_BYTES, block);
	uint64_t alignment = uds_io_memory_alignment(from);
	uint8_t *window;
	int r = 0;

	/* One buffer for both sides: the stricter alignment fits either. */
	if (alignment < uds_io_memory_alignment(to))
		alignment = uds_io_memory_alignment(to);
	window = env_allocate_aligned(env, room, alignment < 4096 ? 4096 : (size_t)alignment);
	if (window == NULL)
		return failure(message, -ENOMEM, "%s: no memory for a copy", uds_io_name(to));
	for (uint64_t done = 0; done < length && r == 0; done += room) {
		uint64_t part = length - done < room ? length - done : room;
		uint64_t got = round_up(part, from_block), put = round_up(part, to_block);

		r = io_read(from, window, (size_t)got, from_offset + done, message);
		/*
		 * Zeros and not what the buffer had: they fill the target's last block behind the
		 * copy.
		 */
		if (put > part)
			memset(window + part, 0, (size_t)(put - part));
		if (r == 0)
			r = io_write(to, window, (size_t)put, to_offset + done, message);
	}
	env_release(env, window);
	return r;
}
