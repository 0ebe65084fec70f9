/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * incremental_backup make ORIGIN OLDER NEWER INCREMENT: what the snapshot on the COW device NEWER
 * has, and OLDER has not. incremental_backup apply INCREMENT COPY: makes a copy of the older one a
 * copy of the newer one.
 *
 * An increment is a sequence of ranges, each a line "OFFSET LENGTH" and the bytes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds.h>

#define STEP 65536

struct increment {
	struct uds_snapshot *newer;
	FILE *file;
	struct uds_message *message;
};

static int add_range(void *context, uint64_t offset, uint64_t length)
{
	static unsigned char buffer[STEP];
	struct increment *increment = context;

	fprintf(increment->file, "%" PRIu64 " %" PRIu64 "\n", offset, length);
	for (uint64_t done = 0, part; done < length; done += part) {
		part = length - done < STEP ? length - done : STEP;
		if (uds_snapshot_read(increment->newer, buffer, (size_t)part, offset + done) < 0) {
			uds_snapshot_error_message(increment->newer, increment->message);
			return 1;
		}
		fwrite(buffer, 1, (size_t)part, increment->file);
	}
	return ferror(increment->file);
}

static int make(char **paths, struct uds_message *message)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct increment increment = { .message = message };
	struct uds_snapshot *older = NULL;
	struct uds_io *io[3] = { NULL };
	int r = 0;

	options.read_only = true;
	for (int i = 0; i < 3 && r == 0; i++)
		r = uds_io_open_uri(paths[i], NULL, NULL, message, &io[i]);
	if (r == 0)
		r = uds_snapshot_open(io[0], io[1], &options, message, &older);
	if (r == 0)
		r = uds_snapshot_open_beside(older, io[2], &options, message, &increment.newer);
	increment.file = r == 0 ? fopen(paths[3], "wb") : NULL;
	if (r == 0 && increment.file == NULL)
		r = -1;
	if (r == 0) {
		r = uds_snapshot_for_each_difference(older, increment.newer, 0, UINT64_MAX, true,
						     add_range, &increment);
		if (r < 0 && r != UDS_ERR_STOPPED) /* else add_range() has said why */
			uds_snapshot_error_message(older, message);
	}
	if (increment.file != NULL && fclose(increment.file) != 0)
		r = -1;
	uds_snapshot_close(increment.newer);
	uds_snapshot_close(older);
	for (int i = 0; i < 3; i++)
		uds_io_close(io[i]);
	return r;
}

static int copy_range(FILE *from, FILE *to, uint64_t offset, uint64_t length)
{
	static unsigned char buffer[STEP];

	if (fseek(to, (long)offset, SEEK_SET) != 0)
		return -1;
	for (uint64_t done = 0, part; done < length; done += part) {
		part = length - done < STEP ? length - done : STEP;
		if (fread(buffer, 1, (size_t)part, from) != part ||
		    fwrite(buffer, 1, (size_t)part, to) != part)
			return -1; /* cut short, or no room */
	}
	return 0;
}

static int apply(char **paths)
{
	FILE *from = fopen(paths[0], "rb"), *to = fopen(paths[1], "r+b");
	uint64_t offset, length;
	char line[64];
	int r = from == NULL || to == NULL ? -1 : 0;

	while (r == 0 && fgets(line, sizeof(line), from) != NULL)
		r = sscanf(line, "%" SCNu64 " %" SCNu64, &offset, &length) == 2
			    ? copy_range(from, to, offset, length)
			    : -1;
	if (to != NULL && fclose(to) != 0)
		r = -1;
	if (from != NULL)
		fclose(from);
	return r;
}

int main(int argc, char **argv)
{
	struct uds_message message = { "a file cannot be read or written" };
	int r;

	if (argc == 6 && strcmp(argv[1], "make") == 0) {
		r = make(argv + 2, &message);
	} else if (argc == 4 && strcmp(argv[1], "apply") == 0) {
		r = apply(argv + 2);
	} else {
		fprintf(stderr, "usage: incremental_backup make ORIGIN OLDER NEWER INCREMENT\n"
				"       incremental_backup apply INCREMENT COPY\n");
		return 2;
	}
	if (r < 0)
		fprintf(stderr, "incremental_backup: %s\n", message.text);
	return r < 0;
}
