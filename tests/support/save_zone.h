/* SPDX-License-Identifier: BSD-2-Clause */
/* Saving a zone of a volume index that nobody else uses. */
#ifndef TESTS_SAVE_ZONE_H
#define TESTS_SAVE_ZONE_H

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "volume_index/volume_index.h"

/* A sink that keeps everything. */
struct saved_bytes {
	uint8_t *bytes; /* to be freed */
	size_t length;
};

static inline int saved_bytes_add(void *context, const void *bytes, size_t length)
{
	struct saved_bytes *saved = context;

	saved->bytes = realloc(saved->bytes, saved->length + length);
	ck_assert_ptr_nonnull(saved->bytes);
	memcpy(saved->bytes + saved->length, bytes, length);
	saved->length += length;
	return 0;
}

static inline int save_frozen_zone(struct zone_save *save, const struct byte_sink *sink,
				   struct uds_message *message)
{
	int r = volume_index_save_start(save, sink, message), more = 1;

	while (r == 0 && more == 1) {
		more = volume_index_save_take(save, message);
		r = more < 0 ? more : volume_index_save_write(save, message);
	}
	return r;
}

/* @ret_dropped: how many entries were left out. */
static inline int save_zone(struct volume_index *index, unsigned int zone, uint64_t limit_bytes,
			    const struct byte_sink *sink, struct uds_message *message,
			    uint64_t *ret_dropped)
{
	struct zone_save *save;
	int r = volume_index_save_make(index, zone, NULL, message, &save);

	if (r < 0)
		return r;
	r = volume_index_save_freeze(save, limit_bytes, message);
	if (r == 0)
		r = save_frozen_zone(save, sink, message);
	if (r == 0)
		*ret_dropped = volume_index_save_dropped(save);
	volume_index_save_thaw(save);
	volume_index_save_free(save);
	return r;
}

static inline uint64_t saved_zone_bytes(struct volume_index *index, unsigned int zone)
{
	struct zone_save *save;
	uint64_t bytes = 0;

	if (volume_index_save_make(index, zone, NULL, NULL, &save) < 0)
		return 0;
	if (volume_index_save_freeze(save, UINT64_MAX, NULL) == 0)
		bytes = volume_index_save_bytes(save);
	volume_index_save_thaw(save);
	volume_index_save_free(save);
	return bytes;
}

#endif
