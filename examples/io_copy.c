/* SPDX-License-Identifier: BSD-2-Clause */
/* io_copy SOURCE TARGET: copies a file, device or memory URI, eight parts at once. */
#include <stdio.h>
#include <stdlib.h>

#include <uds/engine.h>
#include <uds/io.h>

#define PARTS	   8
#define PART_BYTES 65536

static int complain(const char *what, int status)
{
	fprintf(stderr, "io_copy: %s: %s\n", what, uds_strerror(status));
	return status;
}

/*
 * Copies up to PARTS parts at @offset, all at once: each is written as soon as it was read. Waits
 * for all of them.
 */
static int copy_parts(struct uds_io_engine *engine, struct uds_io *source, struct uds_io *target,
		      char *memory, uint64_t offset, uint64_t size)
{
	struct uds_io_request parts[PARTS] = { { 0 } }, *submitted[PARTS], *done[PARTS];
	size_t count = 0;
	int n, status;

	for (uint64_t at = offset; count < PARTS && at < size; at += PART_BYTES) {
		parts[count].io = source;
		parts[count].kind = UDS_IO_READ;
		parts[count].buffer = memory + count * PART_BYTES;
		parts[count].offset = at;
		parts[count].length = size - at < PART_BYTES ? size - at : PART_BYTES;
		submitted[count] = &parts[count];
		count++;
	}
	status = uds_io_engine_submit(engine, submitted, count);
	while ((n = uds_io_engine_reap(engine, done, PARTS, 1, -1)) > 0) {
		for (int i = 0; i < n; i++) {
			int r = done[i]->status;

			if (r == 0 && done[i]->kind == UDS_IO_READ) {
				done[i]->io = target;
				done[i]->kind = UDS_IO_WRITE;
				r = uds_io_engine_submit(engine, &done[i], 1);
			}
			if (r < 0)
				status = r;
		}
	}
	return status < 0 ? complain("copying", status) : 0;
}

static int copy(struct uds_io *source, struct uds_io *target)
{
	struct uds_io_engine *engine;
	struct uds_message message;
	uint64_t size, there;
	char *memory;
	int r;

	r = uds_io_size(source, &size);
	if (r == 0)
		r = uds_io_size(target, &there);
	if (r == 0 && there != size)
		r = uds_io_resize(target, size); /* a block device has the size that it has */
	if (r < 0)
		return complain("size", r);
	r = uds_io_engine_open(NULL, NULL, &message, &engine);
	if (r < 0)
		return complain(message.text, r);
	memory = aligned_alloc(4096, PARTS * PART_BYTES); /* good for O_DIRECT too */
	if (memory == NULL)
		r = -1;
	for (uint64_t at = 0; r == 0 && at < size; at += PARTS * PART_BYTES)
		r = copy_parts(engine, source, target, memory, at, size);
	if (r == 0) {
		r = uds_io_flush(target); /* before this, a power cut may lose any of it */
		if (r < 0)
			complain("flushing", r);
	}
	uds_io_engine_close(engine);
	free(memory);
	return r;
}

int main(int argc, char **argv)
{
	struct uds_io_file_options writing = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *source = NULL, *target = NULL;
	struct uds_message message;
	int r;

	if (argc != 3) {
		fprintf(stderr, "usage: io_copy SOURCE TARGET\n");
		return 2;
	}
	writing.write = true;
	writing.create = true;
	r = uds_io_open_uri(argv[1], NULL, NULL, &message, &source);
	if (r == 0)
		r = uds_io_open_uri(argv[2], &writing, NULL, &message, &target);
	if (r < 0)
		fprintf(stderr, "io_copy: %s\n", message.text);
	else
		r = copy(source, target);
	if (uds_io_close(target) < 0)
		r = -1;
	uds_io_close(source);
	return r < 0 ? 1 : 0;
}
