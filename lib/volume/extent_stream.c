/* SPDX-License-Identifier: BSD-2-Clause */
/* Streams over an extent of the I/O. All transfers are of whole blocks. */
#include "volume/extent_stream.h"

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

int extent_writer_open(struct extent_writer *writer, struct uds_io *io, struct save_extent extent,
		       const char *what)
{
	memset(writer, 0, sizeof(*writer));
	writer->io = io;
	writer->extent = extent;
	writer->what = what;
	writer->buffer = io_allocate_buffer(io, &io->env, smaller(BUFFER_BYTES, extent.bytes));
	return writer->buffer == NULL ? -ENOMEM : 0;
}

static int write_out(struct extent_writer *writer, size_t length)
{
	int r;

	r = io_write(writer->io, writer->buffer, length, writer->extent.offset + writer->written,
		     &writer->message);
	if (r < 0)
		return failure_in(&writer->message, r, "%s", writer->what);
	writer->written += length;
	writer->fill = 0;
	return 0;
}

int extent_writer_append(struct extent_writer *writer, const void *bytes, size_t length)
{
	const size_t size = smaller(BUFFER_BYTES, writer->extent.bytes);
	const uint8_t *from = bytes;
	int r;

	if (length > writer->extent.bytes - writer->written - writer->fill)
		return failure(&writer->message, UDS_ERR_OUT_OF_RANGE,
			       "%s: more than the %" PRIu64 " bytes that the save has for it",
			       writer->what, writer->extent.bytes);
	while (length > 0) {
		size_t n = smaller(length, size - writer->fill);

		memcpy(writer->buffer + writer->fill, from, n);
		writer->fill += n;
		from += n;
		length -= n;
		if (writer->fill < size)
			break;
		r = write_out(writer, writer->fill);
		if (r < 0)
			return r;
	}
	return 0;
}

int extent_writer_finish(struct extent_writer *writer)
{
	size_t length = (size_t)round_up(writer->fill, BLOCK_BYTES);
	int r = 0;

	memset(writer->buffer + writer->fill, 0, length - writer->fill);
	if (length > 0)
		r = write_out(writer, length);
	if (r < 0)
		return r;
	r = io_flush(writer->io, &writer->message);
	return r < 0 ? failure_in(&writer->message, r, "%s", writer->what) : 0;
}

void extent_writer_close(struct extent_writer *writer)
{
	env_release(&writer->io->env, writer->buffer);
	writer->buffer = NULL;
}

static int sink_write(void *context, const void *bytes, size_t length)
{
	return extent_writer_append(context, bytes, length);
}

struct byte_sink extent_writer_sink(struct extent_writer *writer)
{
	struct byte_sink sink = { .write = sink_write, .context = writer };

	return sink;
}

int extent_reader_open(struct extent_reader *reader, struct uds_io *io, struct save_extent extent,
		       const char *what)
{
	memset(reader, 0, sizeof(*reader));
	reader->io = io;
	reader->extent = extent;
	reader->what = what;
	reader->buffer = io_allocate_buffer(io, &io->env, smaller(BUFFER_BYTES, extent.bytes));
	return reader->buffer == NULL ? -ENOMEM : 0;
}

static int refill(struct extent_reader *reader)
{
	size_t length = smaller(BUFFER_BYTES, reader->extent.bytes - reader->next);
	int r;

	if (length == 0)
		return failure(&reader->message, UDS_ERR_OUT_OF_RANGE,
			       "%s: goes on behind the %" PRIu64 " bytes of its region",
			       reader->what, reader->extent.bytes);
	r = io_read(reader->io, reader->buffer, length, reader->extent.offset + reader->next,
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

int extent_reader_take(struct extent_reader *reader, void *ret_bytes, size_t length)
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

void extent_reader_close(struct extent_reader *reader)
{
	env_release(&reader->io->env, reader->buffer);
	reader->buffer = NULL;
}

static int source_read(void *context, void *ret_bytes, size_t length)
{
	return extent_reader_take(context, ret_bytes, length);
}

struct byte_source extent_reader_source(struct extent_reader *reader)
{
	struct byte_source source = { .read = source_read, .context = reader };

	return source;
}
