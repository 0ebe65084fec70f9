/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Where data may be written on the COW device. Every new chunk has been chosen by the store or
 * checked when it was read; this looks once more, at the last moment, because data in the place of
 * the header or of an area destroys the snapshot.
 */
#include <inttypes.h>

#include "base/message.h"
#include "snapshot/device.h"

/* The first chunk of [first, first + count) that is the header or an area; false: there is none. */
static bool find_metadata(const struct cow_geometry *g, uint64_t first, uint64_t count,
			  uint64_t *ret_chunk)
{
	uint64_t stride = g->per_area + 1;
	uint64_t next = first == 0 ? 0 : first + (stride + 1 - first % stride) % stride;

	*ret_chunk = next;
	return next - first < count;
}

static int check_device_end(struct uds_snapshot *s, uint64_t device_chunks, uint64_t new_chunk,
			    uint64_t count, struct uds_message *message)
{
	if (new_chunk < device_chunks && count <= device_chunks - new_chunk)
		return 0;
	return failure(message, UDS_ERR_CORRUPT,
		       "%s: not written: new chunks %" PRIu64 " to %" PRIu64
		       " go past the end of the device, which has %" PRIu64,
		       uds_io_name(s->cow), new_chunk, new_chunk + count - 1, device_chunks);
}

static int check_transient(struct uds_snapshot *s, uint64_t new_chunk, uint64_t count,
			   struct uds_message *message)
{
	uint64_t bytes;
	int r = uds_io_size(s->cow, &bytes);

	if (r < 0)
		return failure(message, r, "%s: its size: %s", uds_io_name(s->cow),
			       uds_strerror(r));
	return check_device_end(s, bytes / s->chunk_bytes, new_chunk, count, message);
}

int device_check_target(struct uds_snapshot *s, uint64_t new_chunk, uint64_t count,
			struct uds_message *message)
{
	struct cow_geometry g;
	uint64_t metadata;
	int r;

	if (s->store == NULL)
		return check_transient(s, new_chunk, count, message);
	g = store_geometry(s->store);
	r = check_device_end(s, g.device_chunks, new_chunk, count, message);
	if (r == 0 && find_metadata(&g, new_chunk, count, &metadata))
		r = failure(message, UDS_ERR_CORRUPT,
			    "%s: not written: new chunk %" PRIu64 " is the place of %s",
			    uds_io_name(s->cow), metadata,
			    metadata == 0 ? "the header" : "an area");
	return r;
}
