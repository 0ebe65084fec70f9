/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From files to pieces: ranges of data and holes, on block boundaries but for the end of the file.
 * A piece never crosses a batch; a batch may have the pieces of many small files.
 */
#include "scan_cut.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"
#include "scan_data.h"
#include "scan_file.h"
#include "step.h"

/* A walk may go on for long without finding a file. */
static int look(void *context, const char *path)
{
	(void)context;
	(void)path;
	return was_interrupted();
}

int cutter_start(struct cutter *cutter, const struct scan_options *options)
{
	struct walker_options walk = { .command = options->command,
				       .one_file_system = options->one_file_system,
				       .left_out = &options->left_out,
				       .look = look };

	memset(cutter, 0, sizeof(*cutter));
	cutter->options = options;
	return walker_open(options->paths, &walk, &cutter->walker);
}

void cutter_end(struct cutter *cutter)
{
	if (cutter->file != NULL)
		scan_file_release(cutter->file);
	walker_close(cutter->walker);
}

/* @ret_number: in the order they were met; LAST_DEVICE when there are too many. */
static struct scan_device look_up_device(struct cutter *cutter, unsigned int *ret_number)
{
	const struct walked_file *walked = &cutter->walked;
	struct scan_device device = { .device = walked->device };
	unsigned int i;

	for (i = 0; i < cutter->device_count; i++) {
		if (cutter->devices[i].device == walked->device)
			break;
	}
	*ret_number = i;
	if (i < cutter->device_count)
		return cutter->devices[i];
	if (!walked->is_device && walked->io == NULL) {
		device.file_system = sharing_file_system(walked->descriptor, walked->device);
		device.in_memory = is_in_memory(walked->descriptor);
	}
	if (i < LAST_DEVICE)
		cutter->devices[cutter->device_count++] = device;
	return device;
}

/* Whether records can say where each block of a file lies; gives a message when they cannot. */
static bool places_fit(struct cutter *cutter)
{
	uint64_t most = most_file_bytes(cutter->options->block_shift);
	char what[128];

	if (!cutter->options->keep_places || cutter->walked.size <= most)
		return true;
	snprintf(what, sizeof(what),
		 "longer than %llu bytes, the most with blocks of %llu bytes; not scanned",
		 (unsigned long long)most, (unsigned long long)cutter->options->block_bytes);
	walker_refuse(cutter->walker, what);
	walked_file_close(&cutter->walked);
	return false;
}

/* Returns 1, 0 after a message when the file cannot be read, or -ENOMEM. */
static int make_file(struct cutter *cutter)
{
	struct scan_device device;
	unsigned int number;
	int r;

	device = look_up_device(cutter, &number);
	r = scan_file_make(&cutter->walked, &device, number, &cutter->file);
	if (r == 0 || r == -ENOMEM)
		return r == 0 ? 1 : r;
	walker_refuse(cutter->walker, uds_strerror(r));
	return 0;
}

/* Returns 1, 0 when there is no more file, or a negated errno. */
static int next_file(struct cutter *cutter)
{
	int r;

	do {
		r = walker_next(cutter->walker, &cutter->walked);
		if (r <= 0)
			return r == -ECANCELED ? 0 : r;
		r = places_fit(cutter) ? make_file(cutter) : 0;
	} while (r == 0);
	if (r < 0)
		return r;
	cutter->files++;
	cutter->unit = cutter->options->block_bytes;
	if (cutter->walked.io != NULL && cutter->unit < uds_io_block_bytes(cutter->walked.io))
		cutter->unit = uds_io_block_bytes(cutter->walked.io);
	cutter->offset = 0;
	cutter->data_begin = 0;
	cutter->data_end = 0;
	return 1;
}

/* Looks up the next range of data when the last one is cut, and puts it on block boundaries. */
static void look_ahead(struct cutter *cutter)
{
	uint64_t mask = cutter->unit - 1;
	uint64_t size = cutter->file->size;

	if (cutter->offset < cutter->data_end || cutter->offset >= size)
		return;
	find_data(&cutter->walked, cutter->offset, &cutter->data_begin, &cutter->data_end);
	cutter->data_begin &= ~mask;
	if (cutter->data_begin < cutter->offset)
		cutter->data_begin = cutter->offset;
	if (cutter->data_end < size)
		cutter->data_end = (cutter->data_end + mask) & ~mask;
	if (cutter->data_end > size)
		cutter->data_end = size;
	/* A hole up to the end; only a last block that is a part of one makes begin round down. */
	if (cutter->data_begin >= cutter->data_end)
		cutter->data_begin = cutter->data_end = size;
}

static void add_piece(struct cutter *cutter, struct scan_batch *batch, uint64_t bytes, bool hole)
{
	struct scan_piece *piece = &batch->pieces[batch->piece_count++];
	uint64_t mask = cutter->options->block_bytes - 1;

	memset(piece, 0, sizeof(*piece));
	piece->file = cutter->file;
	scan_file_use(cutter->file);
	piece->first_block = cutter->offset >> cutter->options->block_shift;
	piece->bytes = bytes;
	piece->hole = hole;
	piece->buffer_offset = batch->buffer_used;
	if (!hole) {
		scan_file_use_descriptor(cutter->file);
		batch->buffer_used += (size_t)((bytes + mask) & ~mask);
		/* By the time it is submitted, the system has begun to fetch it. */
		if (!cutter->file->is_volume)
			posix_fadvise(cutter->file->descriptor, (off_t)cutter->offset, (off_t)bytes,
				      POSIX_FADV_WILLNEED);
	}
	cutter->offset += bytes;
}

/*
 * The room for data of a volume: a multiple of its blocks, at a place that its memory must have.
 * A run of pieces ends where transfers cost least.
 */
static uint64_t volume_room(const struct cutter *cutter, struct scan_batch *batch)
{
	const struct uds_io *io = cutter->walked.io;
	uint64_t align = uds_io_memory_alignment(io), room;

	if (align > cutter->options->block_bytes)
		batch->buffer_used = (size_t)((batch->buffer_used + align - 1) & ~(align - 1));
	if (batch->buffer_used >= BATCH_BYTES)
		return 0;
	room = (BATCH_BYTES - batch->buffer_used) & ~(cutter->unit - 1);
	return step_bytes(io, cutter->offset, UINT64_MAX, room, cutter->unit);
}

/* Adds what fits of the current file. Returns false when the batch is full. */
static bool cut_file(struct cutter *cutter, struct scan_batch *batch)
{
	while (cutter->offset < cutter->file->size) {
		uint64_t room = BATCH_BYTES - batch->buffer_used;
		uint64_t bytes;

		if (batch->piece_count == cutter->options->batch_pieces)
			return false;
		look_ahead(cutter);
		if (cutter->offset < cutter->data_begin) {
			add_piece(cutter, batch, cutter->data_begin - cutter->offset, true);
			continue;
		}
		bytes = cutter->data_end - cutter->offset;
		if (cutter->file->is_volume)
			room = volume_room(cutter, batch);
		if (room == 0)
			return false;
		add_piece(cutter, batch, bytes < room ? bytes : room, false);
	}
	return true;
}

int cutter_fill(struct cutter *cutter, struct scan_batch *batch)
{
	int r;

	for (;;) {
		if (cutter->file == NULL) {
			r = next_file(cutter);
			if (r <= 0)
				return r;
		}
		if (!cut_file(cutter, batch))
			return 1;
		scan_file_release_descriptor(cutter->file);
		scan_file_release(cutter->file);
		cutter->file = NULL;
	}
}

void batch_empty(struct scan_batch *batch)
{
	for (unsigned int i = 0; i < batch->piece_count; i++)
		scan_file_release(batch->pieces[i].file);
	batch->piece_count = 0;
	batch->request_count = 0;
	batch->buffer_used = 0;
}
