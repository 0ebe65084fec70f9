/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether two I/Os have bytes in common: compares the places that their backends name. */
#include <errno.h>

#include "base/env.h"
#include "base/visibility.h"
#include "io/io.h"

/* More than the deepest stack that is followed has; more places than this are not compared. */
#define MAX_PLACES 64

static int io_places(struct uds_io *io, struct uds_io_place *ret_places, size_t room,
		     size_t *ret_count)
{
	size_t count = 0;
	int r;

	if (io->ops.identity == NULL)
		return -EOPNOTSUPP;
	r = io_status(io, "identity", io->ops.identity(io->context, ret_places, room, &count));
	if (r == 0)
		*ret_count = count;
	return r;
}

UDS_PUBLIC int uds_io_places(struct uds_io *io, struct uds_io_place *ret_places, size_t room,
			     size_t *ret_count)
{
	failures_begin(io->failures);
	return failures_end(io->failures, io_places(io, ret_places, room, ret_count),
			    "%s: asking where its bytes are", io->name);
}

static bool ranges_meet(const struct uds_io_place *a, const struct uds_io_place *b)
{
	/* By the difference: with a length of UINT64_MAX, up to the end, the sum would wrap. */
	return a->offset < b->offset ? b->offset - a->offset < a->length
				     : a->offset - b->offset < b->length;
}

/* Two things that lie somewhere in the same one, as two files of a file system, are two things. */
static bool places_meet(const struct uds_io_place *a, const struct uds_io_place *b)
{
	return a->kind == b->kind && a->device == b->device && a->object == b->object &&
	       !(a->within && b->within) && a->length > 0 && b->length > 0 && ranges_meet(a, b);
}

/* How many there are to compare; 0 where the backend cannot tell. */
static size_t places_of(struct uds_io *io, struct uds_io_place places[MAX_PLACES])
{
	size_t count = 0;

	/* Not known is no place at all: then nothing is found in common. */
	if (io_places(io, places, MAX_PLACES, &count) < 0)
		return 0;
	return count < MAX_PLACES ? count : MAX_PLACES;
}

static bool have_common_place(struct uds_io *a, struct uds_io_place *of_a, struct uds_io *b,
			      struct uds_io_place *of_b)
{
	const size_t count_a = places_of(a, of_a), count_b = places_of(b, of_b);

	for (size_t i = 0; i < count_a; i++) {
		for (size_t j = 0; j < count_b; j++) {
			if (places_meet(&of_a[i], &of_b[j]))
				return true;
		}
	}
	return false;
}

UDS_PUBLIC bool uds_io_overlap(struct uds_io *a, struct uds_io *b)
{
	struct uds_io_place *places;
	bool common;

	/* The same handle, or the same thing behind two handles of one backend. */
	if (a == b || (a->context == b->context && a->ops.read == b->ops.read))
		return true;
	places = env_allocate(&a->env, (size_t)2 * MAX_PLACES, sizeof(*places));
	/* Not known is answered as "no": the question is a safeguard, and not worth an error. */
	if (places == NULL)
		return false;
	/* All places against all: a stack of devices has a handful of each. */
	common = have_common_place(a, places, b, places + MAX_PLACES);
	env_release(&a->env, places);
	return common;
}
