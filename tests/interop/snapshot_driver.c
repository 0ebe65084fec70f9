/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The snapshot functions of the library as a command, so that scripts can use them on images
 * without the `uds` command in between.
 *
 *   snapshot_driver create COW CHUNK_BYTES
 *   snapshot_driver play ORIGIN COW       writes from standard input, one a line:
 *                                         "snapshot|origin SECTOR COUNT TAG"; those that fail are
 *                                         printed, and the next one is done
 *   snapshot_driver read ORIGIN COW       the snapshot, on standard output
 *   snapshot_driver status ORIGIN COW     the status line
 *   snapshot_driver merge ORIGIN COW [LIMIT]
 *
 * Sectors are written with the pattern of the golden vectors. Exit status 0, or 1 with a message.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/exception_store.h>
#include <uds/io.h>
#include <uds/snapshot.h>
#include <uds/status.h>

#define SECTOR	    512u
#define MAX_SECTORS 4096u

static struct uds_message message;

static int complain(const char *what, int r)
{
	fprintf(stderr, "%s: %s: %s\n", what, uds_strerror(r), message.text);
	return 1;
}

/* Sector @sector as written with @tag: one 32-bit number, over and over. */
static void fill_sector(uint8_t *data, uint64_t sector, uint64_t tag)
{
	uint64_t z = (sector << 20 ^ tag) + UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	z ^= z >> 31;
	for (size_t i = 0; i < SECTOR; i++)
		data[i] = (uint8_t)(z >> 8 * (i % 4));
}

static int open_image(const char *path, struct uds_io **ret_io)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;

	options.write = true;
	return uds_io_open_uri(path, &options, NULL, &message, ret_io);
}

static int create(const char *cow_path, const char *chunk_bytes)
{
	struct uds_exception_store_format_options options = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_io *cow;
	int r;

	r = open_image(cow_path, &cow);
	if (r < 0)
		return complain(cow_path, r);
	options.chunk_bytes = strtoull(chunk_bytes, NULL, 10);
	r = uds_exception_store_format(cow, &options, &message);
	uds_io_close(cow);
	return r < 0 ? complain("create", r) : 0;
}

static int play(struct uds_snapshot *snapshot)
{
	static uint8_t data[MAX_SECTORS * SECTOR];
	uint64_t sector, count, tag;
	char target[16];
	size_t bytes;
	int r;

	while (scanf("%15s %" SCNu64 " %" SCNu64 " %" SCNu64, target, &sector, &count, &tag) == 4) {
		if (count > MAX_SECTORS)
			return complain("play", -22);
		bytes = (size_t)count * SECTOR;
		for (uint64_t i = 0; i < count; i++)
			fill_sector(data + i * SECTOR, sector + i, tag);
		if (strcmp(target, "snapshot") == 0)
			r = uds_snapshot_write(snapshot, data, bytes, sector * SECTOR);
		else
			r = uds_snapshot_origin_write(snapshot, data, bytes, sector * SECTOR);
		if (r < 0)
			printf("%s %" PRIu64 ": %s\n", target, sector, uds_strerror(r));
	}
	r = uds_snapshot_flush(snapshot);
	return r < 0 ? complain("flush", r) : 0;
}

static int read_all(struct uds_snapshot *snapshot)
{
	static uint8_t data[1 << 20];
	uint64_t size = uds_snapshot_size(snapshot), offset = 0;

	while (offset < size) {
		size_t length =
			size - offset < sizeof(data) ? (size_t)(size - offset) : sizeof(data);
		int r = uds_snapshot_read(snapshot, data, length, offset);

		if (r < 0) {
			uds_snapshot_error_message(snapshot, &message);
			return complain("read", r);
		}
		if (fwrite(data, 1, length, stdout) != length)
			return complain("standard output", -5);
		offset += length;
	}
	return 0;
}

static int status(struct uds_snapshot *snapshot)
{
	char line[80];
	int r = uds_snapshot_status_line(snapshot, line, sizeof(line));

	if (r < 0)
		return complain("status", r);
	puts(line);
	return 0;
}

static int merge(struct uds_snapshot *snapshot, const char *limit)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	int r;

	options.limit = limit ? strtoull(limit, NULL, 10) : 0;
	r = uds_snapshot_merge(snapshot, &options, NULL);
	if (r < 0) {
		uds_snapshot_error_message(snapshot, &message);
		return complain("merge", r);
	}
	return 0;
}

static int run(const char *verb, struct uds_snapshot *snapshot, const char *limit)
{
	if (strcmp(verb, "play") == 0)
		return play(snapshot);
	if (strcmp(verb, "read") == 0)
		return read_all(snapshot);
	if (strcmp(verb, "status") == 0)
		return status(snapshot);
	if (strcmp(verb, "merge") == 0)
		return merge(snapshot, limit);
	return complain(verb, -22);
}

int main(int argc, char **argv)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_io *origin, *cow;
	struct uds_snapshot *snapshot;
	int r, result;

	if (argc == 4 && strcmp(argv[1], "create") == 0)
		return create(argv[2], argv[3]);
	if (argc < 4) {
		fprintf(stderr, "usage: see the head of snapshot_driver.c\n");
		return 2;
	}
	r = open_image(argv[2], &origin);
	if (r < 0)
		return complain(argv[2], r);
	r = open_image(argv[3], &cow);
	if (r < 0)
		return complain(argv[3], r);
	r = uds_snapshot_open(origin, cow, &options, &message, &snapshot);
	if (r < 0)
		return complain("open", r);
	result = run(argv[1], snapshot, argc > 4 ? argv[4] : NULL);
	r = uds_snapshot_close(snapshot);
	uds_io_close(cow);
	uds_io_close(origin);
	return r < 0 ? complain("close", r) : result;
}
