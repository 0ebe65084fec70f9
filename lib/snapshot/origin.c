/* SPDX-License-Identifier: BSD-2-Clause */
/* The origin's life, holds and flushes. Writing to it is in origin_write.c. */
#include "snapshot/origin.h"

#include <errno.h>
#include <inttypes.h>

#include "base/env.h"
#include "base/message.h"
#include "io/io.h"

int origin_open(struct uds_io *io, const struct uds_env *env, struct origin **ret_origin,
		struct uds_message *message)
{
	struct origin *origin;
	uint64_t size_bytes;
	int r = uds_io_size(io, &size_bytes);

	if (r < 0)
		return failure(message, r, "%s: its size: %s", uds_io_name(io), uds_strerror(r));
	origin = env_allocate_zeroed(env, 1, sizeof(*origin));
	if (origin == NULL)
		return -ENOMEM;
	origin->env = *env;
	origin->io = io;
	origin->size_bytes = size_bytes;
	/* Of bytes until there is a snapshot: nothing needs more. */
	origin->unit_bytes = 1;
	origin->users = 1;
	range_lock_init(&origin->ranges);
	pthread_mutex_init(&origin->lock, NULL);
	*ret_origin = origin;
	return 0;
}

struct origin *origin_share(struct origin *origin)
{
	pthread_mutex_lock(&origin->lock);
	origin->users++;
	pthread_mutex_unlock(&origin->lock);
	return origin;
}

static bool is_used(struct origin *origin)
{
	bool used;

	pthread_mutex_lock(&origin->lock);
	used = --origin->users > 0;
	pthread_mutex_unlock(&origin->lock);
	return used;
}

void origin_close(struct origin *origin)
{
	struct uds_env env;

	if (origin == NULL || is_used(origin))
		return;
	env = origin->env;
	range_lock_destroy(&origin->ranges);
	pthread_mutex_destroy(&origin->lock);
	env_release(&env, origin);
}

static int check_blocks(const struct origin *origin, uint64_t chunk_bytes,
			struct uds_message *message)
{
	uint32_t block = uds_io_block_bytes(origin->io);

	/* A copy of a chunk has to be a transfer of whole blocks. */
	if (chunk_bytes % block != 0)
		return failure(message, UDS_ERR_UNALIGNED,
			       "%s: the origin's blocks of %" PRIu32
			       " bytes are larger than the chunks of %" PRIu64,
			       uds_io_name(origin->io), block, chunk_bytes);
	if (origin->size_bytes % block != 0)
		return failure(message, UDS_ERR_UNALIGNED,
			       "%s: %" PRIu64 " bytes are no multiple of its blocks of %" PRIu32
			       ": open it without O_DIRECT",
			       uds_io_name(origin->io), origin->size_bytes, block);
	return 0;
}

/* With everything held. */
static void update_unit(struct origin *origin)
{
	uint64_t unit = 1;

	/*
	 * The largest will do: sizes are powers of two, so it consists of whole chunks
	 * of all others.
	 */
	for (const struct origin_member *m = origin->members; m != NULL; m = m->next)
		unit = m->chunk_bytes > unit ? m->chunk_bytes : unit;
	origin->unit_bytes = unit;
}

int origin_attach(struct origin *origin, struct origin_member *member, struct uds_message *message)
{
	struct range_hold all;
	int r = check_blocks(origin, member->chunk_bytes, message);

	if (r < 0)
		return r;
	/*
	 * With everything held: a write under way has decided already which snapshots it copies out
	 * to.
	 */
	origin_hold_all(origin, &all);
	member->next = origin->members;
	origin->members = member;
	update_unit(origin);
	origin_let_go(origin, &all);
	return 0;
}

void origin_detach(struct origin *origin, struct origin_member *member)
{
	struct origin_member **at = &origin->members;
	struct range_hold all;

	origin_hold_all(origin, &all);
	while (*at != NULL && *at != member)
		at = &(*at)->next;
	if (*at != NULL)
		*at = member->next;
	update_unit(origin);
	origin_let_go(origin, &all);
}

bool origin_has_others(const struct origin *origin, const struct uds_snapshot *s)
{
	const struct origin_member *first = origin->members;

	return first != NULL && (first->snapshot != s || first->next != NULL);
}

void origin_hold(struct origin *origin, struct range_hold *hold, uint64_t offset, uint64_t length,
		 bool exclusive)
{
	uint64_t unit;

	for (;;) {
		/*
		 * Whole chunks of the largest size: two requests in one chunk would both copy it
		 * out.
		 */
		unit = origin->unit_bytes;
		range_acquire(&origin->ranges, hold, offset & ~(unit - 1),
			      (offset + length - 1) | (unit - 1), exclusive);
		if (unit == origin->unit_bytes)
			return; /* and cannot change while this is held */
		range_release(&origin->ranges, hold);
	}
}

bool origin_overlaps(struct origin *origin, struct uds_io *io, const char **ret_name)
{
	struct range_hold hold;
	struct uds_io *found = uds_io_overlap(origin->io, io) ? origin->io : NULL;

	/* Any hold keeps the members as they are. */
	origin_hold(origin, &hold, 0, 1, false);
	for (const struct origin_member *m = origin->members; m != NULL && found == NULL;
	     m = m->next)
		found = uds_io_overlap(m->cow, io) ? m->cow : NULL;
	origin_let_go(origin, &hold);
	if (found != NULL)
		*ret_name = uds_io_name(found);
	return found != NULL;
}

void origin_hold_all(struct origin *origin, struct range_hold *hold)
{
	range_acquire(&origin->ranges, hold, 0, UINT64_MAX, true);
}

void origin_let_go(struct origin *origin, struct range_hold *hold)
{
	range_release(&origin->ranges, hold);
}

int origin_open_copier(struct origin *origin, struct uds_io *cow, unsigned int depth,
		       struct uds_io_engine *share, struct copier **ret_copier)
{
	return copier_open(cow, origin->io, &origin->env, depth, SNAPSHOT_SLOT_BYTES, share,
			   ret_copier);
}

int origin_flush(struct origin *origin, struct uds_message *message)
{
	/* Nothing was written to it through this handle. */
	return uds_io_is_read_only(origin->io) ? 0 : io_flush(origin->io, message);
}

int origin_flush_copies(struct origin *origin, struct uds_message *message)
{
	int r = io_flush(origin->io, message);

	if (r < 0) {
		/*
		 * Kept for the user's next flush: the system may report it once only, and this one
		 * was the merge's.
		 */
		pthread_mutex_lock(&origin->lock);
		origin->flush_error = r;
		pthread_mutex_unlock(&origin->lock);
	}
	return r;
}

int origin_take_flush_error(struct origin *origin, struct uds_message *message)
{
	int earlier;

	pthread_mutex_lock(&origin->lock);
	earlier = origin->flush_error;
	origin->flush_error = 0;
	pthread_mutex_unlock(&origin->lock);
	return earlier < 0 ? failure(message, earlier, "%s: an earlier flush failed: %s",
				     uds_io_name(origin->io), uds_strerror(earlier))
			   : 0;
}
