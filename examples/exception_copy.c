/* SPDX-License-Identifier: BSD-2-Clause */
/* exception_copy ORIGIN COW CHUNK: makes a store, and keeps the old content of one chunk in it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <uds.h>

#define CHUNK_BYTES 4096

/* Copies a chunk of the origin to where the store says, and makes it an exception. */
static int keep(struct uds_exception_store *store, struct uds_io *origin, struct uds_io *cow,
		uint64_t chunk)
{
	struct uds_exception exception;
	char *bytes = malloc(CHUNK_BYTES);
	int r;

	if (bytes == NULL)
		return -1;
	r = uds_exception_store_prepare(store, chunk, &exception);
	if (r == 0) {
		r = uds_io_read(origin, bytes, CHUNK_BYTES, chunk * CHUNK_BYTES);
		if (r == 0)
			r = uds_io_write(cow, bytes, CHUNK_BYTES,
					 exception.new_chunk * CHUNK_BYTES);
		if (r == 0)
			r = uds_exception_store_commit(store, &exception, 1);
		else
			uds_exception_store_abandon(store, &exception, 1);
	}
	free(bytes);
	return r; /* 0: now the chunk may be overwritten on the origin */
}

static int show(void *context, uint64_t area, uint64_t index, const struct uds_exception *e)
{
	(void)context;
	printf("area %" PRIu64 ", entry %" PRIu64 ": old chunk %" PRIu64 " -> new chunk %" PRIu64
	       "\n",
	       area, index, e->old_chunk, e->new_chunk);
	return 0;
}

static int run(struct uds_io *origin, struct uds_io *cow, uint64_t chunk)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_exception_store *store;
	char line[80];
	int r;

	create.chunk_bytes = CHUNK_BYTES;
	r = uds_exception_store_format(cow, &create, &message);
	if (r == 0)
		r = uds_exception_store_open(cow, NULL, &message, &store);
	if (r < 0) {
		fprintf(stderr, "exception_copy: %s\n", message.text);
		return r;
	}
	r = keep(store, origin, cow, chunk);
	if (r == 0)
		r = uds_exception_store_for_each_entry(store, show, NULL);
	if (r == 0 && uds_exception_store_status_line(store, line, sizeof(line)) == 0)
		printf("status: %s\n", line);
	if (r < 0)
		fprintf(stderr, "exception_copy: %s\n", uds_strerror(r));
	uds_exception_store_close(store);
	return r;
}

int main(int argc, char **argv)
{
	struct uds_io_file_options file = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *origin = NULL, *cow = NULL;
	struct uds_message message = { "wants ORIGIN COW CHUNK" };
	int r = -1;

	if (argc == 4)
		r = uds_io_open_file(argv[1], &file, NULL, &message, &origin);
	file.write = true;
	if (r == 0)
		r = uds_io_open_file(argv[2], &file, NULL, &message, &cow);
	if (r < 0)
		fprintf(stderr, "exception_copy: %s\n", message.text);
	else
		r = run(origin, cow, strtoull(argv[3], NULL, 0));
	uds_io_close(cow);
	uds_io_close(origin);
	return r < 0;
}
