/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * shards_writer FOLDER put < DATA > RECIPE: stores each block of DATA once, for all that was ever
 * put into FOLDER.
 * shards_writer FOLDER get < RECIPE > DATA: puts it together again.
 *
 * FOLDER has the blocks, and an index of them on three shards, which is made where there is none. A
 * shard could as well be rbd:pool/image, or an export of another machine.
 */
#define _POSIX_C_SOURCE 200809L /* pread() and its like, also with -std=c11 */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <uds.h>
#include <uds/shards.h>

#define BLOCK_BYTES 4096
#define BATCH	    256
#define SHARDS	    3

struct writer {
	char manifest[600], uris[SHARDS][600];
	struct uds_shards *shards;
	struct uds_message message;
	int store;     /* the blocks, by number; those that were known already are holes */
	uint64_t next; /* the number of the next block */
};

static int make_shard(struct writer *writer, const char *uri)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io;
	int r;

	/* Small ones. uds_configuration_for_memory("256M", false, ...): 67 million records. */
	configuration.record_pages_per_chapter = 1;
	configuration.chapters_per_volume = 64;
	options.write = options.create = true;
	r = uds_io_open_uri(uri, &options, NULL, &writer->message, &io);
	if (r < 0)
		return r;
	r = uds_index_format(io, &configuration, NULL, &writer->message);
	uds_io_close(io);
	return r;
}

static int make_shards(struct writer *writer)
{
	const char *uris[SHARDS];
	int r = 0;

	for (int i = 0; r == 0 && i < SHARDS; i++) {
		uris[i] = writer->uris[i];
		r = make_shard(writer, uris[i]);
	}
	return r < 0 ? r
		     : uds_shards_format(writer->manifest, uris, SHARDS, NULL, &writer->message);
}

static int open_writer(struct writer *writer, const char *folder)
{
	char blocks[600];
	off_t end;
	int r = 0;

	snprintf(blocks, sizeof(blocks), "%s/blocks", folder);
	snprintf(writer->manifest, sizeof(writer->manifest), "%s/manifest", folder);
	for (int i = 0; i < SHARDS; i++)
		snprintf(writer->uris[i], sizeof(writer->uris[i]), "%s/shard%d", folder, i + 1);
	writer->store = open(blocks, O_RDWR | O_CREAT, 0600);
	end = writer->store < 0 ? -1 : lseek(writer->store, 0, SEEK_END);
	if (end < 0) {
		perror(blocks);
		return -1;
	}
	writer->next = ((uint64_t)end + BLOCK_BYTES - 1) / BLOCK_BYTES;
	if (access(writer->manifest, F_OK) != 0)
		r = make_shards(writer);
	return r < 0 ? r
		     : uds_shards_open(writer->manifest, NULL, &writer->message, &writer->shards);
}

static bool read_block(const struct writer *writer, uint64_t number, uint8_t *block)
{
	return pread(writer->store, block, BLOCK_BYTES, (off_t)(number * BLOCK_BYTES)) ==
	       BLOCK_BYTES;
}

static bool write_block(const struct writer *writer, uint64_t number, const uint8_t *block)
{
	return pwrite(writer->store, block, BLOCK_BYTES, (off_t)(number * BLOCK_BYTES)) ==
	       BLOCK_BYTES;
}

/* Names are hashes that can be made to collide: what the index says is compared. */
static bool is_stored(const struct writer *writer, const struct uds_request *request,
		      const uint8_t *block)
{
	uint8_t stored[BLOCK_BYTES];
	uint64_t number;

	memcpy(&number, request->old_data.bytes, sizeof(number));
	return request->found && read_block(writer, number, stored) &&
	       memcmp(stored, block, BLOCK_BYTES) == 0;
}

/* Stores what is not there yet, in the order of the data, and writes the numbers of all. */
static int put_batch(struct writer *writer, struct uds_request *requests,
		     uint8_t (*blocks)[BLOCK_BYTES], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct uds_request *request = &requests[i];
		const struct uds_record_data *where = &request->new_data;
		uint64_t number;

		/* A shard that failed costs duplicates, no data: its blocks count as new. */
		if (request->status == 0 && is_stored(writer, request, blocks[i])) {
			where = &request->old_data;
		} else {
			memcpy(&number, where->bytes, sizeof(number));
			if (!write_block(writer, number, blocks[i]))
				return -1;
			request->kind = UDS_UPDATE;
			if (request->found && uds_shards_run(writer->shards, request, 1) < 0)
				return -1;
		}
		if (fwrite(where->bytes, sizeof(number), 1, stdout) != 1)
			return -1;
	}
	return 0;
}

static int put(struct writer *writer)
{
	static struct uds_request requests[BATCH];
	static uint8_t blocks[BATCH][BLOCK_BYTES];
	size_t count;

	do {
		count = fread(blocks, BLOCK_BYTES, BATCH, stdin);
		for (size_t i = 0; i < count; i++) {
			memset(&requests[i], 0, sizeof(requests[i]));
			requests[i].kind = UDS_POST;
			uds_record_name_of_block(blocks[i], BLOCK_BYTES, &requests[i].name);
			memcpy(requests[i].new_data.bytes, &writer->next, sizeof(writer->next));
			writer->next++;
		}
		/* In all shards at once. Each request has its own status. */
		(void)uds_shards_run(writer->shards, requests, count);
		if (put_batch(writer, requests, blocks, count) < 0)
			return -1;
	} while (count == BATCH);
	/* The blocks first: what the index knows after a power cut must be there. */
	if (fdatasync(writer->store) < 0 || fflush(stdout) != 0)
		return -1;
	return uds_shards_flush(writer->shards);
}

static int get(struct writer *writer)
{
	uint8_t block[BLOCK_BYTES];
	uint64_t number;

	while (fread(&number, sizeof(number), 1, stdin) == 1) {
		if (!read_block(writer, number, block) ||
		    fwrite(block, BLOCK_BYTES, 1, stdout) != 1)
			return -1;
	}
	return fflush(stdout);
}

int main(int argc, char **argv)
{
	static struct writer writer;
	int r;

	if (argc != 3 || (strcmp(argv[2], "put") != 0 && strcmp(argv[2], "get") != 0)) {
		fprintf(stderr, "usage: shards_writer FOLDER put|get\n");
		return 2;
	}
	r = open_writer(&writer, argv[1]);
	if (r == 0)
		r = strcmp(argv[2], "put") == 0 ? put(&writer) : get(&writer);
	if (r < 0 && writer.shards != NULL && writer.message.text[0] == '\0')
		uds_shards_error_message(writer.shards, &writer.message);
	if (r < 0)
		fprintf(stderr, "shards_writer: %s\n",
			writer.message.text[0] != '\0' ? writer.message.text : "it failed");
	uds_shards_close(writer.shards);
	return r < 0 ? 1 : 0;
}
