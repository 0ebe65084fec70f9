/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams over a region of the I/O. All transfers are of whole blocks. */
#include "volume/region_stream.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"

/* A multiple of BLOCK_BYTES. */
#define BUFFER_BYTES ((size_t)1 << 20)

static size_t smaller(uint64_t a, uint64_t b)
{
	return (size_t)(a < b ? a : b);
}

/* How long the transfer at @done bytes of a region is. */
static size_t transfer_bytes(struct uds_io *io, const struct save_region *region, uint64_t done)
{
	return (size_t)io_run_part(io, region->offset + done, region->bytes - done, BUFFER_BYTES);
}

int region_writer_open(struct region_writer *writer, struct uds_io *io, struct save_region region,
		       const char *what)
{
	memset(writer, 0, sizeof(*writer));
	writer->io = io;
	writer->region = region;
	writer->what = what;
	writer->buffer = io_allocate_buffer(io, &io->env, smaller(BUFFER_BYTES, region.bytes));
	return writer->buffer == NULL ? -ENOMEM : 0;
}

static int write_out(struct region_writer *writer, size_t length)
{
	int r;

	r = io_write(writer->io, writer->buffer, length, writer->region.offset + writer->written,
		     &writer->message);
	if (r < 0)
		return failure_in(&writer->message, r, "%s", writer->what);
	writer->written += length;
	writer->fill = 0;
	return 0;
}

int region_writer_append(struct region_writer *writer, const void *bytes, size_t length)
{
	const uint8_t *from = bytes;
	int r;

	/*
	 * Checked before any byte is taken, so that a stream that does not fit leaves its region
	 * unfinished, never overrun: the next region follows directly.
	 */
	if (length > writer->region.bytes - writer->written - writer->fill)
		return failure(&writer->message, UDS_ERR_OUT_OF_RANGE,
			       "%s: more than the %" PRIu64 " bytes that the save has for it",
			       writer->what, writer->region.bytes);
	while (length > 0) {
		size_t size = transfer_bytes(writer->io, &writer->region, writer->written);
		size_t n = smaller(length, size - writer->fill);

		memcpy(writer->buffer + writer->fill, from, n);
		writer->fill += n;
		from += n;
		length -= n;
		/*
		 * Written out only when full: all transfers but the last, and the first where the
		 * device prefers multiples of a length, are of the same, aligned size.
		 */
		if (writer->fill < size)
			break;
		r = write_out(writer, writer->fill);
		if (r < 0)
			return r;
	}
	return 0;
}

int region_writer_finish(struct region_writer *writer)
{
	size_t length = (size_t)round_up(writer->fill, BLOCK_BYTES);
	int r = 0;

	/* Whole blocks only; the zeros keep old memory off the device. */
	memset(writer->buffer + writer->fill, 0, length - writer->fill);
	if (length > 0)
		r = write_out(writer, length);
	if (r < 0)
		return r;
	/*
	 * Durable before the next part of the save, and all parts before the header that makes
	 * them count.
	 */
	r = io_flush(writer->io, &writer->message);
	return r < 0 ? failure_in(&writer->message, r, "%s", writer->what) : 0;
}

void region_writer_close(struct region_writer *writer)
{
	env_release(&writer->io->env, writer->buffer);
	writer->buffer = NULL;
}

static int sink_write(void *context, const void *bytes, size_t length)
{
	return region_writer_append(context, bytes, length);
}

struct byte_sink region_writer_sink(struct region_writer *writer)
{
	struct byte_sink sink = { .write = sink_write, .context = writer };

	return sink;
}

int region_reader_open(struct region_reader *reader, struct uds_io *io, struct save_region region,
		       const char *what)
{
	memset(reader, 0, sizeof(*reader));
	reader->io = io;
	reader->region = region;
	reader->what = what;
	reader->buffer = io_allocate_buffer(io, &io->env, smaller(BUFFER_BYTES, region.bytes));
	return reader->buffer == NULL ? -ENOMEM : 0;
}

static int refill(struct region_reader *reader)
{
	size_t length = transfer_bytes(reader->io, &reader->region, reader->next);
	int r;

	/*
	 * A damaged count can ask for more than the region has: found here, before the next region
	 * is taken for this one's content.
	 */
	if (length == 0)
		return failure(&reader->message, UDS_ERR_OUT_OF_RANGE,
			       "%s: goes on behind the %" PRIu64 " bytes of its region",
			       reader->what, reader->region.bytes);
	r = io_read(reader->io, reader->buffer, length, reader->region.offset + reader->next,
		    &reader->message);
	if (r == UDS_ERR_OUT_OF_RANGE)
		r = -EIO; /* the device's end, which is none of the content's business */
	if (r < 0)
		return failure_in(&reader->message, r, "%s", reader->what);
	reader->next += length;
	reader->at = 0;
	reader->fill = length;
	return 0;
}

int region_reader_take(struct region_reader *reader, void *ret_bytes, size_t length)
{
	uint8_t *to = ret_bytes;
	int r;

	while (length > 0) {
		size_t n = smaller(length, reader->fill - reader->at);

		memcpy(to, reader->buffer + reader->at, n);
		reader->at += n;
		to += n;
		length -= n;
		if (length == 0)
			break;
		r = refill(reader);
		if (r < 0)
			return r;
	}
	return 0;
}

void region_reader_close(struct region_reader *reader)
{
	env_release(&reader->io->env, reader->buffer);
	reader->buffer = NULL;
}

static int source_read(void *context, void *ret_bytes, size_t length)
{
	return region_reader_take(context, ret_bytes, length);
}

struct byte_source region_reader_source(struct region_reader *reader)
{
	struct byte_source source = { .read = source_read, .context = reader };

	return source;
}
