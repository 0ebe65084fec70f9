/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why an index cannot be opened a second time, or is another one than the manifest says: it is a
 * file or device that another shard has, by another name. Asked after a failure only, for the
 * sentence and its status; where the system does not tell, both stay as they were.
 */
#include "shards/shards.h"

/*
 * Opens what a URI leads to, only to ask where it is. Without a lock: what is asked about is
 * locked. Not with the caller's open_io, which cannot be told to; where its names are no URIs,
 * nothing is opened.
 */
static struct uds_io *open_to_compare(const struct shard_check *check, const char *uri)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io = NULL;

	options.no_lock = true;
	if (uds_io_open_uri(uri, &options, check->env, NULL, &io) < 0)
		return NULL;
	return io;
}

/*
 * The file or device itself, which is what is locked, as a whole. What it lies on has locks of its
 * own: two partitions of a disk are not in each other's way.
 */
static bool place_of(struct uds_io *io, struct uds_io_place *ret_place)
{
	size_t count = 0;

	return uds_io_places(io, ret_place, 1, &count) == 0 && count > 0;
}

/* Whether two I/Os are in the same file or device, though their ranges need not meet. */
static bool share_a_lock(struct uds_io *a, struct uds_io *b)
{
	struct uds_io_place of_a, of_b;

	return place_of(a, &of_a) && place_of(b, &of_b) && of_a.kind == of_b.kind &&
	       of_a.device == of_b.device && of_a.object == of_b.object;
}

bool shard_is_same_place(const struct shard_check *check, struct uds_io *io, unsigned int number)
{
	struct uds_io *other = open_to_compare(check, check->manifest->uris[number]);
	bool same;

	if (other == NULL)
		return false;
	same = uds_io_overlap(io, other);
	uds_io_close(other);
	return same;
}

unsigned int shard_find_in_way(const struct shard_check *check, const char *uri,
			       struct uds_io *const *ios, unsigned int count, bool *ret_same)
{
	struct uds_io *io = open_to_compare(check, uri);
	unsigned int i = 0;

	if (io == NULL)
		return count;
	while (i < count && !uds_io_overlap(io, ios[i]))
		i++;
	*ret_same = i < count;
	if (!*ret_same) {
		for (i = 0; i < count && !share_a_lock(io, ios[i]);)
			i++;
	}
	uds_io_close(io);
	return i;
}
