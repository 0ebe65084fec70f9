/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Why an index cannot be opened a second time, or is another one than the manifest says: it is a
 * file or device that another shard has, by another name. Asked after a failure only, for the
 * sentence and its status; where the system does not tell, both stay as they were.
 */
#include "shards/shards.h"

/* More than the deepest stack of devices has. */
#define MAX_PLACES 32

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

static size_t places_of(struct uds_io *io, struct uds_io_place places[MAX_PLACES])
{
	size_t count = 0;

	if (uds_io_places(io, places, MAX_PLACES, &count) < 0)
		return 0;
	return count < MAX_PLACES ? count : MAX_PLACES;
}

/* Whether two I/Os are in the same file or device, though their ranges need not meet. */
static bool share_a_lock(struct uds_io *a, struct uds_io *b)
{
	struct uds_io_place of_a[MAX_PLACES], of_b[MAX_PLACES];
	size_t count_a = places_of(a, of_a), count_b = places_of(b, of_b);

	for (size_t i = 0; i < count_a; i++) {
		for (size_t j = 0; j < count_b; j++) {
			if (of_a[i].kind == of_b[j].kind && of_a[i].device == of_b[j].device &&
			    of_a[i].object == of_b[j].object && !of_a[i].within && !of_b[j].within)
				return true;
		}
	}
	return false;
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
