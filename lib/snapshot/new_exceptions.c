/* SPDX-License-Identifier: BSD-2-Clause */
/* Giving out new chunks for a window, and committing them. */
#include "snapshot/new_exceptions.h"

#include <errno.h>

#include "base/env.h"
#include "base/message.h"

static void take_back(struct new_exceptions *fresh, struct uds_snapshot *s)
{
	if (fresh->count > 0)
		s->store->ops->abandon(s->store, fresh->all, fresh->count);
}

/* One for each chunk from *at to @last that has none; *at: where it ended. */
static int prepare_each(struct uds_snapshot *s, uint64_t *at, uint64_t last,
			struct new_exceptions *fresh, struct uds_message *message)
{
	struct map_run run;
	int r;

	for (; *at <= last; (*at)++) {
		if (device_lookup(s, *at, &run)) {
			/*
			 * To the end of a run that has exceptions: large windows are not asked
			 * chunk by chunk.
			 */
			*at += run.count - 1;
			continue;
		}
		r = s->store->ops->prepare(s->store, *at, &fresh->all[fresh->count], message);
		if (r < 0)
			return r;
		fresh->count++;
	}
	return 0;
}

int new_exceptions_prepare(struct uds_snapshot *s, struct write_window *w,
			   struct new_exceptions *ret_fresh)
{
	uint64_t at = w->offset / s->chunk_bytes;
	uint64_t last = (w->offset + w->length - 1) / s->chunk_bytes, end;
	struct new_exceptions fresh = { NULL, 0, false };
	int r;

	fresh.all = env_allocate(&s->env, last - at + 1, sizeof(fresh.all[0]));
	if (fresh.all == NULL)
		return failure(w->message, -ENOMEM, "no memory for exceptions");
	r = prepare_each(s, &at, last, &fresh, w->message);
	if (r == UDS_ERR_NO_ROOM) {
		/* What found room before it goes on; the window ends where there is none. */
		end = at * s->chunk_bytes;
		w->length = end > w->offset ? (size_t)(end - w->offset) : 0;
		fresh.full = true;
		r = 0;
	}
	if (r < 0) {
		take_back(&fresh, s);
		env_release(&s->env, fresh.all);
		return r;
	}
	*ret_fresh = fresh;
	return 0;
}

static void piece_step(struct piece_cursor *cursor, uint64_t bytes)
{
	cursor->done += bytes;
	if (cursor->done < cursor->pieces->length)
		return;
	cursor->pieces++;
	cursor->count--;
	cursor->done = 0;
}

/* The chunks of the next piece, as far as there is room in @fresh for their exceptions. */
static int prepare_piece(struct uds_snapshot *s, struct piece_cursor *cursor, size_t most,
			 struct new_exceptions *fresh, struct uds_message *message)
{
	uint64_t from = cursor->pieces->to + cursor->done;
	uint64_t left = cursor->pieces->length - cursor->done;
	uint64_t at = from / s->chunk_bytes, last = (from + left - 1) / s->chunk_bytes;

	if (last - at >= most - fresh->count)
		last = at + (most - fresh->count) - 1;
	/* Two pieces may lie in one chunk of this snapshot; it has one exception. */
	if (fresh->count > 0 && fresh->all[fresh->count - 1].old_chunk == at)
		at++;
	if ((last + 1) * s->chunk_bytes - from < left)
		left = (last + 1) * s->chunk_bytes - from;
	piece_step(cursor, left);
	return prepare_each(s, &at, last, fresh, message);
}

int new_exceptions_prepare_pieces(struct uds_snapshot *s, struct piece_cursor *cursor, size_t most,
				  struct new_exceptions *ret_fresh, struct uds_message *message)
{
	struct new_exceptions fresh = { NULL, 0, false };
	int r = 0;

	fresh.all = env_allocate(&s->env, most, sizeof(fresh.all[0]));
	if (fresh.all == NULL)
		return failure(message, -ENOMEM, "no memory for exceptions");
	while (r == 0 && cursor->count > 0 && fresh.count < most)
		r = prepare_piece(s, cursor, most, &fresh, message);
	if (r < 0) {
		take_back(&fresh, s);
		env_release(&s->env, fresh.all);
		return r;
	}
	*ret_fresh = fresh;
	return 0;
}

int new_exceptions_finish(struct new_exceptions *fresh, struct uds_snapshot *s, int status,
			  struct uds_message *message)
{
	int r = status;

	/*
	 * Their data was not written whole: committed, they would show something else than the
	 * origin's content.
	 */
	if (r < 0)
		take_back(fresh, s);
	else if (fresh->count > 0)
		r = s->store->ops->commit(s->store, fresh->all, fresh->count, message);
	env_release(&s->env, fresh->all);
	fresh->all = NULL;
	return r;
}
