/* SPDX-License-Identifier: BSD-2-Clause */
/* index_dedup INDEX FILE: which blocks of FILE does INDEX know already? Remembers all of them. */
#include <stdio.h>
#include <string.h>

#include <uds.h>

#define BLOCK_BYTES 4096
#define BATCH	    256

static int create(struct uds_io *io, struct uds_message *message)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;

	/* A small one. uds_configuration_for_memory("256M", false, ...): 67 million records. */
	configuration.record_pages_per_chapter = 1;
	configuration.chapters_per_volume = 64;
	return uds_index_format(io, &configuration, NULL, message);
}

/* Opens the index, and makes it first where there is none. */
static int open_index(struct uds_io *io, struct uds_message *message, struct uds_index **ret_index)
{
	uint64_t bytes;
	int r;

	r = uds_io_size(io, &bytes);
	if (r == 0 && bytes == 0)
		r = create(io, message);
	return r < 0 ? r : uds_index_open(io, NULL, message, ret_index);
}

/* Reads up to BATCH blocks and makes requests of them; returns how many. */
static size_t read_batch(FILE *file, uint64_t *block, struct uds_request *requests)
{
	static uint8_t bytes[BLOCK_BYTES];
	size_t count = 0;

	while (count < BATCH && fread(bytes, 1, BLOCK_BYTES, file) == BLOCK_BYTES) {
		struct uds_request *request = &requests[count++];

		memset(request, 0, sizeof(*request));
		request->kind = UDS_POST;
		uds_record_name_of_block(bytes, BLOCK_BYTES, &request->name);
		memcpy(request->new_data.bytes, block, sizeof(*block)); /* where it lies */
		(*block)++;
	}
	return count;
}

static int look_at(FILE *file, struct uds_index *index)
{
	static struct uds_request requests[BATCH];
	uint64_t blocks = 0, known = 0;
	size_t count;

	while ((count = read_batch(file, &blocks, requests)) > 0) {
		int r = uds_index_run(index, requests, count);

		if (r < 0)
			return r;
		for (size_t i = 0; i < count; i++)
			known += requests[i].found;
	}
	printf("%llu blocks, %llu known\n", (unsigned long long)blocks, (unsigned long long)known);
	return uds_index_save(index);
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
		fprintf(stderr, "usage: index_dedup INDEX FILE\n");
		return 2;
	}
	file = fopen(argv[2], "rb");
	if (file == NULL) {
		perror(argv[2]);
		return 1;
	}
	options.write = true;
	options.create = true;
	r = uds_io_open_uri(argv[1], &options, NULL, &message, &io);
	if (r == 0)
		r = open_index(io, &message, &index);
	if (r == 0) {
		r = look_at(file, index);
		if (r < 0)
			uds_index_error_message(index, &message);
	}
	if (r < 0)
		fprintf(stderr, "index_dedup: %s\n",
			message.text[0] != '\0' ? message.text : uds_strerror(r));
	uds_index_close(index);
	uds_io_close(io);
	fclose(file);
	return r < 0 ? 1 : 0;
}
