/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why an index cannot be opened a second time, or is another one than the manifest says: it is a
 * file or device that another shard has, by another name. Asked after a failure only, for the
 * sentence and its status; where the system does not tell, both stay as they were.
 */
#include "io/share_lock.h"
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
		for (i = 0; i < count && !io_share_lock(io, ios[i]);)
			i++;
	}
	uds_io_close(io);
	return i;
}
