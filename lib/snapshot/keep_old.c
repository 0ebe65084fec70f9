/* SPDX-License-Identifier: BSD-2-Clause */
/* Copying the origin's old content out, to every snapshot on it. */
#include "snapshot/keep_old.h"

#include <errno.h>
#include <pthread.h>

#include "base/env.h"
#include "base/message.h"
#include "snapshot/copy_out.h"
#include "snapshot/new_exceptions.h"

/* How many chunks are copied and committed together for a merge. */
#define MERGE_CHUNKS 4096u

/* What is to be kept by one snapshot. */
struct keeper {
	struct uds_snapshot *s;
	struct write_window window;	 /* its own, as each store may have room for another part */
	const struct copy_piece *pieces; /* NULL: the window; else these */
	size_t count;
	struct uds_message message;
	pthread_t thread;
	bool started;
	int status;
};

static bool cannot_keep(const struct uds_snapshot *s, struct uds_message *message)
{
	if (!s->read_only)
		return false;
	failure(message, UDS_ERR_READ_ONLY,
		"%s: opened to read only, and must keep what the origin has: the origin is not "
		"written",
		uds_io_name(s->cow));
	return true;
}

bool keep_old_is_refused(const struct origin *origin, const struct uds_snapshot *except,
			 struct uds_message *message)
{
	for (const struct origin_member *m = origin->members; m != NULL; m = m->next) {
		if (m->snapshot != except && !device_get_state(m->snapshot).given_up &&
		    cannot_keep(m->snapshot, message))
			return true;
	}
	return false;
}

/* Copies and commits fresh exceptions, and frees them. */
static int make_durable(struct uds_snapshot *s, struct new_exceptions *fresh,
			struct uds_message *message)
{
	/* Data, then its exceptions durably, and only then the origin changes (uds-cow, 12, I3). */
	int r = copy_out(s, fresh, message);

	return new_exceptions_finish(fresh, s, r, message);
}

static int keep_window(struct uds_snapshot *s, struct write_window *w)
{
	struct new_exceptions fresh;
	int r = new_exceptions_prepare(s, w, &fresh);

	if (r == 0)
		r = make_durable(s, &fresh, w->message);
	return r == 0 && w->length == 0 ? UDS_ERR_NO_ROOM : r;
}

static int keep_pieces(struct keeper *k)
{
	struct new_exceptions fresh;
	struct piece_cursor cursor = { k->pieces, k->count, 0 };
	int r = 0;

	/* A batch at a time: each is one commit, and takes memory. */
	while (r == 0 && cursor.count > 0) {
		r = new_exceptions_prepare_pieces(k->s, &cursor, MERGE_CHUNKS, &fresh,
						  k->window.message);
		if (r == 0)
			r = make_durable(k->s, &fresh, k->window.message);
	}
	return r;
}

/*
 * A snapshot that has no room, or has become invalid, is given up: the origin goes on, but not
 * before that is durable.
 */
static int keep(struct keeper *k)
{
	struct uds_snapshot *s = k->s;
	struct write_window *w = &k->window;
	size_t length = w->length;
	int r;

	if (cannot_keep(s, w->message))
		return UDS_ERR_READ_ONLY;
	r = s->store->ops->settle(s->store, w->message);
	if (r < 0)
		return r;
	r = k->pieces != NULL ? keep_pieces(k) : keep_window(s, w);
	/*
	 * Any other failure stops the write: the old content is not safe. Only a full or invalid
	 * store may not, since the origin must not suffer from it (uds-cow, 6.6).
	 */
	if (r != UDS_ERR_NO_ROOM && (r != UDS_ERR_INVALID_SNAPSHOT || s->salvage))
		return r;
	/* Given up, it has no say any more in how much is written. */
	w->length = length;
	return device_give_up(s, w->message);
}

static void *run(void *keeper)
{
	struct keeper *k = keeper;

	k->status = keep(k);
	return NULL;
}

/* Whether a chunk of the window has no exception yet. */
static bool lacks(const struct keeper *k)
{
	const struct write_window *w = &k->window;
	uint64_t at = w->offset / k->s->chunk_bytes;
	struct map_run run;

	if (k->pieces != NULL)
		return true;
	for (; at * k->s->chunk_bytes < w->offset + w->length; at += run.count) {
		if (!device_lookup(k->s, at, &run))
			return true;
	}
	return false;
}

/*
 * One thread for each that copies, but the last, which is the caller's: what takes time are the
 * flushes of the COW devices. Where no thread can be started the caller's does all.
 */
static void run_all(struct keeper *keepers, size_t count)
{
	for (size_t i = 0; i + 1 < count; i++)
		keepers[i].started = lacks(&keepers[i]) && pthread_create(&keepers[i].thread, NULL,
									  run, &keepers[i]) == 0;
	for (size_t i = 0; i < count; i++) {
		if (!keepers[i].started)
			run(&keepers[i]);
	}
	for (size_t i = 0; i < count; i++) {
		if (keepers[i].started)
			pthread_join(keepers[i].thread, NULL);
	}
}

/* Snapshots that have something to lose. */
static bool concerns(const struct origin_member *m, const struct uds_snapshot *except)
{
	return m->snapshot != except && !device_get_state(m->snapshot).given_up;
}

static size_t count_concerned(const struct origin *origin, const struct uds_snapshot *except)
{
	size_t count = 0;

	for (const struct origin_member *m = origin->members; m != NULL; m = m->next)
		count += concerns(m, except);
	return count;
}

/* The first failure is the caller's; what any store has no room for, none may write. */
static int gather(const struct keeper *keepers, size_t count, struct write_window *w)
{
	for (size_t i = 0; i < count; i++) {
		if (keepers[i].status < 0) {
			*w->message = keepers[i].message;
			return keepers[i].status;
		}
		if (keepers[i].window.length < w->length)
			w->length = keepers[i].window.length;
	}
	return 0;
}

static int keep_all(struct origin *origin, const struct uds_snapshot *except,
		    struct write_window *w, const struct copy_piece *pieces, size_t piece_count)
{
	size_t count = count_concerned(origin, except), i = 0;
	struct keeper *keepers;
	int r;

	if (count == 0)
		return 0;
	keepers = env_allocate_zeroed(&origin->env, count, sizeof(*keepers));
	if (keepers == NULL)
		return failure(w->message, -ENOMEM, "%s: no memory to copy its content out",
			       uds_io_name(origin->io));
	for (struct origin_member *m = origin->members; m != NULL && i < count; m = m->next) {
		if (!concerns(m, except))
			continue;
		keepers[i].s = m->snapshot;
		keepers[i].window = *w;
		keepers[i].window.message = &keepers[i].message;
		keepers[i].pieces = pieces;
		keepers[i].count = piece_count;
		i++;
	}
	run_all(keepers, i);
	r = gather(keepers, i, w);
	env_release(&origin->env, keepers);
	return r;
}

int keep_old(struct origin *origin, const struct uds_snapshot *except, struct write_window *w)
{
	return keep_all(origin, except, w, NULL, 0);
}

int keep_old_for_merge(const struct uds_snapshot *merging, const struct range_claim *claim,
		       const struct copy_piece *pieces, size_t count, struct uds_message *message)
{
	struct origin *origin = merging->origin;
	struct write_window none = { .message = message };
	int r;

	/* The claim keeps the members as they are: a change of them holds everything. */
	if (count == 0 || !origin_has_others(origin, merging))
		return 0;
	r = keep_all(origin, merging, &none, pieces, count);
	/*
	 * A reader that looked for an exception before there was one reads the origin: not when
	 * it is overwritten.
	 */
	if (r == 0)
		origin_wait_for_readers(origin, claim);
	return r;
}
