/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Reading and writing the parts of a save front to back, through a large buffer.
 *
 * Threads: one at a time for each stream; streams of different regions do not meet.
 */
#ifndef VOLUME_REGION_STREAM_H
#define VOLUME_REGION_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include <uds/status.h>

#include "base/stream.h"
#include "io/io.h"
#include "volume/save_header.h"

struct region_writer {
	struct uds_io *io;
	struct save_region region;
	const char *what; /* for messages */
	uint64_t written; /* bytes that are on the I/O */
	uint8_t *buffer;
	size_t fill;
	struct uds_message message; /* why a write failed */
};

/*
 * @what: names the part in messages, for example "save 1: volume index 0"; must outlive the writer.
 *
 * Returns 0 or -ENOMEM.
 */
int region_writer_open(struct region_writer *writer, struct uds_io *io, struct save_region region,
		       const char *what);

/*
 * Appends bytes. Returns 0; UDS_ERR_OUT_OF_RANGE when the region ends before; or what the I/O said.
 * The sentence is in writer->message.
 */
int region_writer_append(struct region_writer *writer, const void *bytes, size_t length);

/*
 * Writes what is left, the rest of the last block as zeros, and flushes the I/O. What lies behind
 * that block stays. Returns as above.
 */
int region_writer_finish(struct region_writer *writer);

/* Frees the buffer; what was not finished is lost. */
void region_writer_close(struct region_writer *writer);

/* region_writer_append() for those that write to a sink. */
struct byte_sink region_writer_sink(struct region_writer *writer);

struct region_reader {
	struct uds_io *io;
	struct save_region region;
	const char *what;
	uint64_t next; /* byte of the region that will be read into the buffer next */
	uint8_t *buffer;
	size_t at, fill; /* in the buffer */
	struct uds_message message;
};

int region_reader_open(struct region_reader *reader, struct uds_io *io, struct save_region region,
		       const char *what);

/*
 * Takes exactly @length bytes. Returns 0; UDS_ERR_OUT_OF_RANGE when fewer are left; or what the
 * I/O said.
 */
int region_reader_take(struct region_reader *reader, void *ret_bytes, size_t length);

void region_reader_close(struct region_reader *reader);

struct byte_source region_reader_source(struct region_reader *reader);

#endif
