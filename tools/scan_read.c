/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One engine for each thread that hashes, with all files that are read for it: what lies in the
 * page cache is then copied by the processor that hashes it next, and no lock is shared.
 *
 * Large files have an I/O each and go through io_uring. All others go through one I/O of the
 * reader, which reads them by their descriptors when they are submitted: making an I/O takes
 * longer than reading a small file from the page cache. The system fetches them ahead even so, as
 * it was told of each piece when that was cut. In the same way large files are read where the
 * kernel has no io_uring.
 */
#include "scan_read.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "scan_file.h"

/* So many requests are handed to the engine, or taken from it, at once. */
#define AT_ONCE 64

struct batch_reader {
	struct uds_io_engine *engine;
	struct uds_io *by_descriptor;	 /* for files without an I/O */
	unsigned int batches;		 /* between submit and take */
	struct scan_batch *first, *last; /* those of them that are read, oldest first */
};

/* ---- reading by a descriptor ---- */

/* Fills in piece->read_bytes. Returns 0, or why they are not all. */
static int read_piece(struct scan_piece *piece)
{
	const struct uds_io_request *transfer = &piece->transfer;
	uint8_t *buffer = transfer->buffer;

	piece->read_bytes = 0;
	while (piece->read_bytes < transfer->length) {
		ssize_t n = pread(piece->file->descriptor, buffer + piece->read_bytes,
				  (size_t)(transfer->length - piece->read_bytes),
				  (off_t)(transfer->offset + piece->read_bytes));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : UDS_ERR_OUT_OF_RANGE;
		piece->read_bytes += (uint64_t)n;
	}
	return 0;
}

/* As much of a volume's piece as can be read, block by block; see read_piece(). */
static int read_blocks(const struct scan_options *options, struct scan_piece *piece)
{
	const struct uds_io_request *transfer = &piece->transfer;
	uint64_t unit = options->block_bytes, left;
	int r = 0;

	if (unit < uds_io_block_bytes(piece->file->io))
		unit = uds_io_block_bytes(piece->file->io);
	piece->read_bytes = 0;
	while (r == 0 && piece->read_bytes < transfer->length) {
		left = transfer->length - piece->read_bytes;
		r = uds_io_read(piece->file->io, (uint8_t *)transfer->buffer + piece->read_bytes,
				(size_t)(left < unit ? left : unit),
				transfer->offset + piece->read_bytes);
		if (r == 0)
			piece->read_bytes += left < unit ? left : unit;
	}
	return r;
}

/* Which file is meant only a request says. */
static int submit_reads(void *context, struct uds_io_request *const *requests, size_t count)
{
	(void)context;
	for (size_t i = 0; i < count; i++)
		uds_io_request_complete(requests[i], read_piece(requests[i]->user));
	return 0;
}

static int no_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	(void)context;
	(void)buffer;
	(void)length;
	(void)offset;
	return -EOPNOTSUPP;
}

static int no_size(void *context, uint64_t *ret_bytes)
{
	(void)context;
	(void)ret_bytes;
	return -EOPNOTSUPP;
}

static int nothing(void *context)
{
	(void)context;
	return 0;
}

static int open_by_descriptor(struct uds_io **ret_io)
{
	struct uds_io_ops ops = UDS_IO_OPS_INIT;

	ops.read = no_read;
	ops.flush = nothing;
	ops.get_size = no_size;
	ops.close = nothing;
	ops.submit = submit_reads;
	return uds_io_open_ops(&ops, NULL, NULL, NULL, NULL, ret_io);
}

/* ---- batches ---- */

int batch_reader_open(unsigned int batches, unsigned int pieces, struct batch_reader **ret_reader)
{
	struct uds_io_engine_options options = UDS_IO_ENGINE_OPTIONS_INIT;
	struct batch_reader *reader = calloc(1, sizeof(*reader));
	int r;

	if (reader == NULL)
		return -ENOMEM;
	options.depth = batches * pieces;
	options.threads = 0;
	r = uds_io_engine_open(&options, NULL, NULL, &reader->engine);
	if (r == 0)
		r = open_by_descriptor(&reader->by_descriptor);
	if (r < 0) {
		batch_reader_close(reader);
		return r;
	}
	*ret_reader = reader;
	return 0;
}

void batch_reader_close(struct batch_reader *reader)
{
	uds_io_engine_close(reader->engine);
	uds_io_close(reader->by_descriptor);
	free(reader);
}

unsigned int batch_reader_count(const struct batch_reader *reader)
{
	return reader->batches;
}

static void add_read(struct batch_reader *reader, struct scan_batch *batch)
{
	batch->next = NULL;
	if (reader->first == NULL)
		reader->first = batch;
	else
		reader->last->next = batch;
	reader->last = batch;
}

/* A batch never fails as a whole: each piece has a status. */
void batch_reader_submit(struct batch_reader *reader, const struct scan_options *options,
			 struct scan_batch *batch)
{
	struct uds_io_request *requests[BATCH_PIECES];
	unsigned int count = 0;
	int r;

	for (unsigned int i = 0; i < batch->piece_count; i++) {
		struct scan_piece *piece = &batch->pieces[i];

		if (piece->hole)
			continue;
		piece->batch = batch;
		piece->transfer = (struct uds_io_request){
			.io = piece->file->io != NULL ? piece->file->io : reader->by_descriptor,
			.kind = UDS_IO_READ,
			.buffer = batch->buffer + piece->buffer_offset,
			.offset = piece->first_block << options->block_shift,
			.length = piece->bytes,
			.user = piece,
		};
		requests[count++] = &piece->transfer;
	}
	reader->batches++;
	batch->transfers = count;
	if (count == 0) {
		add_read(reader, batch);
		return;
	}
	r = uds_io_engine_submit(reader->engine, requests, count);
	for (unsigned int i = 0; r < 0 && i < count; i++)
		requests[i]->status = r;
	if (r < 0)
		add_read(reader, batch);
}

/* Takes what is read from the engine; waits for something if @wait. */
static void reap(struct batch_reader *reader, bool wait)
{
	struct uds_io_request *done[AT_ONCE];
	int count;

	do {
		count = uds_io_engine_reap(reader->engine, done, AT_ONCE, wait ? 1 : 0, -1);
		for (int i = 0; i < count; i++) {
			const struct scan_piece *piece = done[i]->user;

			if (--piece->batch->transfers == 0)
				add_read(reader, piece->batch);
		}
		wait = false;
	} while (count == AT_ONCE);
}

struct scan_batch *batch_reader_take(struct batch_reader *reader, bool wait)
{
	struct scan_batch *batch;

	if (reader->first == NULL && reader->batches > 0)
		reap(reader, false);
	while (wait && reader->first == NULL && reader->batches > 0)
		reap(reader, true);
	batch = reader->first;
	if (batch != NULL) {
		reader->first = batch->next;
		reader->batches--;
	}
	return batch;
}

/* ---- pieces that could not be read ---- */

/* One message a file. Returns 1 for the first, else 0. */
static uint64_t tell(const struct scan_options *options, struct scan_file *file, uint64_t offset,
		     const char *what)
{
	if (atomic_exchange(&file->told, true))
		return 0;
	complain_path(options->command, file->path, "at byte %llu: %s", (unsigned long long)offset,
		      what);
	return 1;
}

uint64_t piece_settle(const struct scan_options *options, struct scan_piece *piece)
{
	int said = piece->transfer.status, status = said;
	uint64_t at;

	if (said == 0) {
		piece->read_bytes = piece->bytes;
		return 0;
	}
	/* Of an I/O of its own it is known that the transfer failed, but not where. */
	if (piece->file->is_volume)
		status = read_blocks(options, piece);
	else if (piece->file->io != NULL)
		status = read_piece(piece);
	if (status == 0 && said == UDS_ERR_OUT_OF_RANGE)
		return 0; /* it has grown again */
	/* An error that does not come again is one all the same. */
	if (status == 0)
		piece->read_bytes = 0;
	at = piece->transfer.offset + piece->read_bytes;
	if (status == UDS_ERR_OUT_OF_RANGE)
		return tell(options, piece->file, at, "the file became shorter while scanning");
	/* Whole blocks before the bad place still count. */
	piece->read_bytes &= ~(options->block_bytes - 1);
	return tell(options, piece->file, at,
		    uds_strerror(said == UDS_ERR_OUT_OF_RANGE ? status : said));
}
