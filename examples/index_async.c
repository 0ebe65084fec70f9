/* SPDX-License-Identifier: BSD-2-Clause */
/* index_async INDEX FILE: posts the blocks of FILE, 64 at a time, from an event loop. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <uds.h>

#define BLOCK_BYTES 4096
#define IN_FLIGHT   64

struct reader {
	FILE *file;
	struct uds_index_queue *queue;
	uint64_t blocks, known;
	int status; /* the first error */
};

static void post_next(struct reader *reader, struct uds_index_operation *operation);

/* Called when a block was posted, or when the flush is done. */
static void completed(struct uds_index_operation *operation)
{
	struct reader *reader = operation->request.user;

	if (operation->request.status < 0 && reader->status == 0)
		reader->status = operation->request.status;
	if (operation->kind == UDS_OPERATION_FLUSH)
		return;
	reader->known += operation->request.found;
	post_next(reader, operation);
}

/* Submits the next block of the file, if there is one. */
static void post_next(struct reader *reader, struct uds_index_operation *operation)
{
	static uint8_t bytes[BLOCK_BYTES];
	int r;

	if (reader->status < 0 || fread(bytes, 1, BLOCK_BYTES, reader->file) != BLOCK_BYTES)
		return;
	memset(operation, 0, sizeof(*operation));
	operation->completed = completed;
	operation->request.kind = UDS_POST;
	operation->request.user = reader;
	uds_record_name_of_block(bytes, BLOCK_BYTES, &operation->request.name);
	memcpy(operation->request.new_data.bytes, &reader->blocks, sizeof(reader->blocks));
	reader->blocks++;
	/* There is always room: there are no more operations than the queue is deep. */
	r = uds_index_submit(reader->queue, &operation, 1, 0);
	if (r < 0)
		reader->status = r;
}

/* A program would wait for its sockets here, too. */
static int wait_for_all(struct reader *reader)
{
	struct pollfd event = { .events = POLLIN };
	int r = uds_index_queue_event_descriptor(reader->queue, &event.fd);

	while (r == 0 && uds_index_queue_in_flight(reader->queue) > 0) {
		poll(&event, 1, -1);
		/* Calls completed() for what is done. */
		r = uds_index_reap(reader->queue, NULL, 0, 0, 0);
	}
	return r < 0 ? r : reader->status;
}

static int post_file(struct uds_index *index, FILE *file)
{
	struct uds_index_queue_options options = UDS_INDEX_QUEUE_OPTIONS_INIT;
	static struct uds_index_operation operations[IN_FLIGHT];
	struct uds_index_operation flush = { .kind = UDS_OPERATION_FLUSH, .completed = completed };
	struct uds_index_operation *last = &flush;
	struct reader reader = { .file = file };
	int r;

	options.depth = IN_FLIGHT;
	r = uds_index_queue_open(index, &options, &reader.queue);
	if (r < 0)
		return r;
	for (unsigned int i = 0; i < IN_FLIGHT; i++)
		post_next(&reader, &operations[i]);
	r = wait_for_all(&reader);
	/* Durable is what was posted when this is done. */
	flush.request.user = &reader;
	if (r == 0)
		r = uds_index_submit(reader.queue, &last, 1, 0);
	if (r == 1)
		r = wait_for_all(&reader);
	printf("%llu blocks, %llu known\n", (unsigned long long)reader.blocks,
	       (unsigned long long)reader.known);
	uds_index_queue_close(reader.queue);
	return r;
}

int main(int argc, char **argv)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_index *index = NULL;
	struct uds_io *io = NULL;
	FILE *file;
	int r;

	if (argc != 3) {
		fprintf(stderr, "usage: index_async INDEX FILE\n");
		return 2;
	}
	file = fopen(argv[2], "rb");
	if (file == NULL) {
		perror(argv[2]);
		return 1;
	}
	options.write = true;
	r = uds_io_open_uri(argv[1], &options, NULL, &message, &io);
	if (r == 0)
		r = uds_index_open(io, NULL, &message, &index);
	if (r == 0)
		r = post_file(index, file);
	if (r < 0)
		fprintf(stderr, "index_async: %s\n",
			message.text[0] != '\0' ? message.text : uds_strerror(r));
	uds_index_close(index);
	uds_io_close(io);
	fclose(file);
	return r < 0 ? 1 : 0;
}
