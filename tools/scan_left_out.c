/* SPDX-License-Identifier: BSD-2-Clause */
/* The places of indexes, and what lies in them. */
#include "scan_left_out.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most I/Os have a handful. */
#define FIRST_ROOM 16

/* Returns what uds_io_places() does; @ret_places is the caller's to free, also then. */
static int read_places(struct uds_io *io, struct uds_io_place **ret_places, size_t *ret_count)
{
	size_t room = FIRST_ROOM, count = 0;
	struct uds_io_place *places = calloc(room, sizeof(*places));
	int r = places == NULL ? -ENOMEM : uds_io_places(io, places, room, &count);

	while (r == 0 && count > room) {
		room = count;
		free(places);
		places = calloc(room, sizeof(*places));
		r = places == NULL ? -ENOMEM : uds_io_places(io, places, room, &count);
	}
	*ret_places = places;
	*ret_count = r == 0 ? count : 0;
	return r;
}

static int keep(struct left_out *left_out, const struct uds_io_place *places, size_t count)
{
	struct uds_io_place *all =
		realloc(left_out->places, (left_out->count + count) * sizeof(*all));

	if (all == NULL)
		return -ENOMEM;
	left_out->places = all;
	for (size_t i = 0; i < count; i++) {
		if (!places[i].within && places[i].length > 0)
			all[left_out->count++] = places[i];
	}
	return 0;
}

int left_out_add(struct left_out *left_out, struct uds_io *io, struct uds_message *ret_message)
{
	struct uds_io_place *places;
	size_t count;
	int r = read_places(io, &places, &count);

	if (r == 0 && count > 0)
		r = keep(left_out, places, count);
	free(places);
	if (r == -EOPNOTSUPP)
		return 0;
	if (r < 0)
		snprintf(ret_message->text, sizeof(ret_message->text),
			 "%.400s: asking where its bytes are: %s", uds_io_name(io),
			 uds_strerror(r));
	return r;
}

void left_out_free(struct left_out *left_out)
{
	free(left_out->places);
}

bool left_out_has_file(const struct left_out *left_out, struct file_key key)
{
	/* No file system gives inode 0 to a file. */
	uint32_t kind = key.inode == 0 ? UDS_IO_PLACE_DEVICE : UDS_IO_PLACE_FILE;

	for (size_t i = 0; i < left_out->count; i++) {
		const struct uds_io_place *place = &left_out->places[i];

		if (place->kind == kind && place->device == key.device &&
		    place->object == key.inode)
			return true;
	}
	return false;
}

/* By the difference: with a length of UINT64_MAX, up to the end, the sum would wrap. */
static bool have_common_bytes(const struct uds_io_place *a, const struct uds_io_place *b)
{
	if (a->kind != b->kind || a->device != b->device || a->object != b->object)
		return false;
	return a->offset < b->offset ? b->offset - a->offset < a->length
				     : a->offset - b->offset < b->length;
}

static bool lies_in(const struct left_out *left_out, const struct uds_io_place *place)
{
	if (place->within || place->length == 0)
		return false;
	for (size_t i = 0; i < left_out->count; i++) {
		if (have_common_bytes(&left_out->places[i], place))
			return true;
	}
	return false;
}

bool left_out_has_volume(const struct left_out *left_out, struct uds_io *io)
{
	struct uds_io_place *places;
	bool has = false;
	size_t count;

	(void)read_places(io, &places, &count);
	for (size_t i = 0; !has && i < count; i++)
		has = lies_in(left_out, &places[i]);
	free(places);
	return has;
}
