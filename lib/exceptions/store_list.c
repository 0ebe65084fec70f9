/* SPDX-License-Identifier: BSD-2-Clause */
/* Going through the list: forwards for callers that look at it, backwards for a merge. */
#include "exceptions/store_private.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/visibility.h"
#include "exceptions/area.h"
#include "exceptions/area_reader.h"
#include "io/io.h"

static int for_each_in_area(uint64_t area, const uint8_t *bytes, uint64_t count,
			    uds_exception_entry_fn each, void *context)
{
	for (uint64_t i = 0; i < count; i++) {
		struct uds_exception e = area_entry(bytes, i);

		if (each(context, area, i, &e) != 0)
			return UDS_ERR_STOPPED;
	}
	return 0;
}

/* Full areas come from the device, the current one from memory. */
int store_for_each_entry(struct uds_exception_store *store, uds_exception_entry_fn each,
			 void *context, struct uds_message *message)
{
	struct cow_geometry g = store_geometry(store);
	struct area_reader *reader = NULL;
	uint8_t *buffer;
	int r;

	/* An invalid store that was not salvaged has read nothing. */
	if (store->area == NULL)
		return 0;
	buffer = io_allocate_buffer(store->io, &store->env, g.chunk_bytes);
	r = buffer == NULL
		    ? -ENOMEM
		    : area_reader_open(store->io, &store->env, &g, 0, 1, store->engine, 0, &reader);
	for (uint64_t k = 0; k < store->current_area && r == 0; k++) {
		r = area_reader_next(reader, buffer, message);
		if (r == 0)
			r = area_check_full(store->io, &g, k, buffer, message);
		if (r == 0)
			r = for_each_in_area(k, buffer, g.per_area, each, context);
	}
	if (r == 0)
		r = for_each_in_area(store->current_area, store->area, store->committed, each,
				     context);
	area_reader_close(reader);
	env_release(&store->env, buffer);
	if (r < 0 && message->text[0] == '\0')
		failure(message, r, "%s: reading the list: %s", uds_io_name(store->io),
			uds_strerror(r));
	return r;
}

UDS_PUBLIC int uds_exception_store_for_each_entry(struct uds_exception_store *store,
						  uds_exception_entry_fn each, void *context)
{
	struct uds_message message = { "" };
	int r = 0;

	store_begin_exclusive(store);
	if (store_is_readable(store))
		r = store_for_each_entry(store, each, context, &message);
	return store_end_exclusive(store, r, &message, "going through its exceptions");
}

int list_cursor_open(struct uds_exception_store *store, struct list_cursor *ret_cursor,
		     struct uds_message *message)
{
	struct list_cursor cursor = { .store = store, .geometry = store_geometry(store) };
	int r = 0;

	cursor.content = io_allocate_buffer(store->io, &store->env, cursor.geometry.chunk_bytes);
	if (cursor.content == NULL)
		return failure(message, -ENOMEM, "%s: no memory for an area",
			       uds_io_name(store->io));
	/* The current area is copied with the baton: commits go on while the cursor walks. */
	store_acquire(store);
	cursor.area = store->current_area;
	cursor.left = store->committed;
	memcpy(cursor.content, store->area, (size_t)cursor.geometry.chunk_bytes);
	store_release(store);
	*ret_cursor = cursor;
	/* The reader keeps a pointer to the geometry: that in the caller's cursor, which stays. */
	if (cursor.area > 0)
		r = area_reader_open(store->io, &store->env, &ret_cursor->geometry, cursor.area - 1,
				     -1, store->engine, 0, &ret_cursor->reader);
	if (r < 0) {
		list_cursor_close(ret_cursor);
		return failure(message, r, "%s: making an engine: %s", uds_io_name(store->io),
			       uds_strerror(r));
	}
	return 0;
}

void list_cursor_close(struct list_cursor *cursor)
{
	area_reader_close(cursor->reader);
	env_release(&cursor->store->env, cursor->content);
	cursor->reader = NULL;
	cursor->content = NULL;
}

int list_cursor_step(struct list_cursor *cursor, bool *ret_more, struct uds_message *message)
{
	int r;

	*ret_more = cursor->area > 0;
	if (cursor->area == 0)
		return 0;
	r = area_reader_next(cursor->reader, cursor->content, message);
	if (r < 0)
		return r;
	/* Only after the read: a failed one leaves the cursor where it was. */
	cursor->area--;
	cursor->left = cursor->geometry.per_area;
	return area_check_full(cursor->store->io, &cursor->geometry, cursor->area, cursor->content,
			       message);
}
