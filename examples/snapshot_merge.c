/* SPDX-License-Identifier: BSD-2-Clause */
/* snapshot_merge ORIGIN COW: says what a snapshot has changed, and merges it into its origin. */
#include <inttypes.h>
#include <stdio.h>

#include <uds.h>

static int show_range(void *context, uint64_t offset, uint64_t length)
{
	(void)context;
	printf("changed: %" PRIu64 " bytes at %" PRIu64 "\n", length, offset);
	return 0;
}

static int merge(struct uds_snapshot *snapshot)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = UDS_MERGE_RESULT_INIT;
	int r;

	options.dry_run = true;
	r = uds_snapshot_merge(snapshot, &options, &result);
	if (r < 0)
		return r; /* nothing was written: it cannot be merged */
	printf("%" PRIu64 " exceptions, %" PRIu64 " bytes to copy\n", result.exceptions,
	       result.bytes_copied);
	options.dry_run = false;
	r = uds_snapshot_merge(snapshot, &options, &result);
	printf("%" PRIu64 " merged, %" PRIu64 " left\n", result.exceptions, result.remaining);
	return r;
}

int main(int argc, char **argv)
{
	struct uds_io_file_options file = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *origin = NULL, *cow = NULL;
	struct uds_snapshot *snapshot = NULL;
	struct uds_message message = { "wants two paths: ORIGIN COW" };
	int r = -1;

	file.write = true;
	if (argc == 3)
		r = uds_io_open_file(argv[1], &file, NULL, &message, &origin);
	if (r == 0)
		r = uds_io_open_file(argv[2], &file, NULL, &message, &cow);
	if (r == 0)
		r = uds_snapshot_open(origin, cow, NULL, &message, &snapshot);
	if (r == 0) {
		r = uds_snapshot_for_each_changed_range(snapshot, 0, UINT64_MAX, show_range, NULL);
		if (r == 0)
			r = merge(snapshot);
		if (r < 0)
			uds_snapshot_error_message(snapshot, &message);
	}
	uds_snapshot_close(snapshot);
	uds_io_close(cow);
	uds_io_close(origin);
	if (r < 0)
		fprintf(stderr, "snapshot_merge: %s\n", message.text);
	return r < 0;
}
