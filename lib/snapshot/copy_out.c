/* SPDX-License-Identifier: BSD-2-Clause */
/* The copies of copy on write: through an engine, or plainly where that is all there is to do. */
#include "snapshot/copy_out.h"

#include <errno.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "io/bytes_io.h"

#define PLAIN_COPY_MAX (UINT64_C(256) << 10)

static bool follows(const struct uds_exception *a, const struct uds_exception *b)
{
	return b->old_chunk == a->old_chunk + 1 && b->new_chunk == a->new_chunk + 1;
}

/* The copies that fresh exceptions need, consecutive ones as one piece. Returns how many. */
static size_t make_pieces(const struct uds_snapshot *s, const struct new_exceptions *fresh,
			  struct copy_piece *pieces)
{
	size_t count = 0;

	for (size_t i = 0; i < fresh->count; i++) {
		const struct uds_exception *e = &fresh->all[i];
		/* The origin's last chunk is copied as far as it goes (uds-cow, 6.1). */
		uint64_t length = device_chunk_length(s, e->old_chunk);

		if (i > 0 && follows(&fresh->all[i - 1], e)) {
			pieces[count - 1].length += length;
			continue;
		}
		pieces[count].from = e->old_chunk * s->chunk_bytes;
		pieces[count].to = e->new_chunk * s->chunk_bytes;
		pieces[count].length = length;
		count++;
	}
	return count;
}

/* One idle copier is kept: making one costs an engine and its buffers. */
static int take_copier(struct uds_snapshot *s, struct copier **ret_copier)
{
	struct copier *copier;

	pthread_mutex_lock(&s->lock);
	/* Taken out, so that another thread that copies meanwhile makes one of its own. */
	copier = s->to_cow;
	s->to_cow = NULL;
	pthread_mutex_unlock(&s->lock);
	if (copier == NULL)
		return copier_open(s->origin->io, s->cow, &s->env, s->depth, SNAPSHOT_SLOT_BYTES,
				   s->engine, ret_copier);
	*ret_copier = copier;
	return 0;
}

static void give_back_copier(struct uds_snapshot *s, struct copier *copier, bool reusable)
{
	struct copier *surplus = copier;

	pthread_mutex_lock(&s->lock);
	/* One that failed may have transfers in it that are still in flight: it is closed. */
	if (reusable && s->to_cow == NULL) {
		s->to_cow = copier;
		surplus = NULL;
	}
	pthread_mutex_unlock(&s->lock);
	copier_close(surplus);
}

static int copy_pieces(struct uds_snapshot *s, const struct copy_piece *pieces, size_t count,
		       struct uds_message *message)
{
	struct copy_job job = { .pieces = pieces, .count = count };
	struct copier *copier;
	int r = 0;

	/*
	 * All targets are checked before the first byte is written: a damaged store must not lead a
	 * copy into its own areas.
	 */
	for (size_t i = 0; i < count && r == 0; i++)
		r = device_check_target(s, pieces[i].to / s->chunk_bytes,
					ceil_div(pieces[i].length, s->chunk_bytes), message);
	if (r < 0)
		return r;
	/* One short piece: an engine has nothing to do at the same time. */
	if (count == 1 && pieces[0].length <= PLAIN_COPY_MAX)
		return bytes_copy(s->origin->io, pieces[0].from, s->cow, pieces[0].to,
				  pieces[0].length, &s->env, message);
	r = take_copier(s, &copier);
	if (r < 0)
		return failure(message, r, "%s: making an engine: %s", uds_io_name(s->cow),
			       uds_strerror(r));
	r = copier_run(copier, &job, message);
	give_back_copier(s, copier, r == 0);
	return r;
}

int copy_out(struct uds_snapshot *s, const struct new_exceptions *fresh,
	     struct uds_message *message)
{
	struct copy_piece *pieces;
	int r;

	if (fresh->count == 0)
		return 0;
	pieces = env_allocate(&s->env, fresh->count, sizeof(pieces[0]));
	if (pieces == NULL)
		return failure(message, -ENOMEM, "no memory for a copy");
	r = copy_pieces(s, pieces, make_pieces(s, fresh, pieces), message);
	env_release(&s->env, pieces);
	return r;
}

int copy_out_edges(struct uds_snapshot *s, const struct write_window *w,
		   const struct uds_exception *e)
{
	uint64_t a = uds_io_block_bytes(s->origin->io), b = uds_io_block_bytes(s->cow);
	/* Both devices take whole blocks only, so what is copied must end at a block of either. */
	uint64_t block = a > b ? a : b;
	uint64_t start = e->old_chunk * s->chunk_bytes, to = e->new_chunk * s->chunk_bytes;
	uint64_t length = device_chunk_length(s, e->old_chunk);
	uint64_t head = w->offset > start ? w->offset - start : 0;
	uint64_t end = w->offset + w->length - start;
	int r = device_check_target(s, e->new_chunk, 1, w->message);

	if (r == 0 && head > 0) {
		/* To the block's end and over what will be written: the data comes afterwards. */
		head = round_up(head, block) < length ? round_up(head, block) : length;
		r = bytes_copy(s->origin->io, start, s->cow, to, head, &s->env, w->message);
	}
	if (r == 0 && end < length) {
		/* From the block's beginning, for the same reason. */
		end &= ~(block - 1);
		r = bytes_copy(s->origin->io, start + end, s->cow, to + end, length - end, &s->env,
			       w->message);
	}
	return r;
}
