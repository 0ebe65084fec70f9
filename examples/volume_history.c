/* SPDX-License-Identifier: BSD-2-Clause */
/* volume_history INDEX NAME: every copy of a record that an index still holds, newest first. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <uds/io.h>
#include <uds/volume.h>

static int parse_name(const char *hex, struct uds_record_name *ret_name)
{
	if (strlen(hex) != 2 * UDS_NAME_BYTES)
		return -1;
	for (int i = 0; i < UDS_NAME_BYTES; i++) {
		if (sscanf(hex + 2 * i, "%2hhx", &ret_name->bytes[i]) != 1)
			return -1;
	}
	return 0;
}

/*
 * A record that is used again is copied to a new chapter; the old copies stay until
 * their turn comes.
 */
static int print_copies(struct uds_volume *volume, const struct uds_record_name *name,
			struct uds_message *message)
{
	struct uds_volume_info info = UDS_VOLUME_INFO_INIT;
	int r;

	r = uds_volume_get_info(volume, &info);
	for (uint64_t chapter = info.open_chapter; chapter-- > info.oldest_chapter && r == 0;) {
		struct uds_record_data data;
		bool found = false;

		r = uds_volume_search(volume, chapter, name, &found, &data, message);
		if (r == UDS_ERR_OUT_OF_RANGE)
			r = 0; /* a chapter that was lost to damage */
		if (!found)
			continue;
		printf("%" PRIu64 " ", chapter);
		for (int i = 0; i < UDS_DATA_BYTES; i++)
			printf("%02x", data.bytes[i]);
		printf("\n");
	}
	return r;
}

int main(int argc, char **argv)
{
	struct uds_message message = { "" };
	struct uds_volume *volume = NULL;
	struct uds_record_name name;
	struct uds_io *io = NULL;
	int r;

	if (argc != 3 || parse_name(argv[2], &name) < 0) {
		fprintf(stderr, "usage: volume_history INDEX NAME\n");
		return 2;
	}
	r = uds_io_open_uri(argv[1], NULL, NULL, &message, &io);
	if (r == 0)
		r = uds_volume_open(io, NULL, &message, &volume);
	if (r == 0)
		r = print_copies(volume, &name, &message);
	if (r < 0)
		fprintf(stderr, "volume_history: %s\n", message.text);
	uds_volume_close(volume);
	uds_io_close(io);
	return r < 0;
}
