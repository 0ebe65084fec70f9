/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Merging a snapshot into its origin: groups of exceptions, newest first, are copied by the
 * caller's thread and committed, after a flush of the origin, by a second one. The format's rules
 * for this are those for several runs with one area write: only the highest areas first, each with
 * a flush, so that the list on the device is a prefix of the old one at every moment.
 */
#include "snapshot/merge.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"

#define LEAST_ROUND_BYTES   (UINT64_C(64) << 20)
#define MOST_ROUND_BYTES    (UINT64_C(1) << 30)
#define MOST_ROUND_ENTRIES  (UINT64_C(1) << 19)
#define ROUND_SECONDS	    10.0
#define HURRIED_ROUND_BYTES (UINT64_C(4) << 20)

struct merge {
	struct uds_snapshot *s;
	struct uds_merge_options options;
	struct merge_cursor cursor;
	struct merge_group groups[2];
	struct copier *copier;
	struct uds_io_queue *queue;	   /* for areas */
	struct merge_committer *committer; /* NULL: groups are committed in this thread */
	uint64_t wanted;		   /* entries to take off */
	uint64_t gathered;		   /* in groups so far */
	uint64_t settled;		   /* taken off before the present committer began */
	uint64_t settled_rounds;
	uint64_t round_bytes; /* what a group may have: grows with the speed, unless it was given */
	bool hurried;	      /* a writer had to wait: small groups from now on */
	bool stopping;	      /* somebody asked for it: the group in work is the last one */
	bool give_up;	      /* the group that is copied is too large: again with less */
	uint64_t shown;	      /* progress */

	/* The copy that is under way; NULL: none. */
	struct copy_job *job;
	uint64_t job_bytes;
	struct timespec job_began;
	struct timespec began;
	struct uds_merge_result result;
	struct lost_chunks lost; /* found in this call */
	struct uds_message message;
};

/* Takes the role of the kernel's snapshot-merge: when nobody is in the middle of a request. */
static int begin(struct uds_snapshot *s, bool salvage, const struct lost_chunks *lost,
		 struct uds_message *message)
{
	struct uds_message ignored;
	struct range_hold all;
	int r;

	range_acquire(&s->ranges, &all, 0, UINT64_MAX, true);
	store_acquire(s->store);
	r = store_begin_merge(s->store, salvage, message);
	if (r == 0)
		r = merge_losses_give_up(s, lost, message);
	if (r < 0 && !device_get_state(s).merging)
		(void)store_end_merge(s->store, &ignored);
	store_release(s->store);
	if (r == 0) {
		pthread_mutex_lock(&s->lock);
		s->merging = true;
		pthread_mutex_unlock(&s->lock);
	}
	range_release(&s->ranges, &all);
	return r;
}

UDS_PUBLIC int uds_snapshot_begin_merge(struct uds_snapshot *s)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	const struct lost_chunks none = { 0 };
	struct uds_message message = { "" };
	int r;

	failures_begin(s->failures);
	r = merge_check(s, &options, &message);
	if (r == 0)
		r = begin(s, false, &none, &message);
	device_failed(s, r, &message);
	return device_end(s, r, "beginning a merge");
}

/* With the baton. */
static int end_merge(struct uds_snapshot *s, struct uds_message *message)
{
	if (s->lost.count > 0 && s->store->exceptions > 0)
		return failure(
			message, UDS_ERR_BAD_STATE,
			"%s: the merge has left out chunks that cannot be had, and is not at "
			"its end: the snapshot must be merged on, or opened anew",
			uds_io_name(s->cow));
	s->lost.count = 0;
	return store_end_merge(s->store, message);
}

UDS_PUBLIC int uds_snapshot_end_merge(struct uds_snapshot *s)
{
	struct uds_message message = { "" };
	struct range_hold all;
	bool running;
	int r = 0;

	failures_begin(s->failures);
	if (device_merge_runs(s, &message))
		return device_failed(s, UDS_ERR_BAD_STATE, &message);
	range_acquire(&s->ranges, &all, 0, UINT64_MAX, true);
	running = device_merge_runs(s, &message); /* it may have begun meanwhile */
	if (running) {
		r = UDS_ERR_BAD_STATE;
	} else if (s->store != NULL) {
		store_acquire(s->store);
		r = end_merge(s, &message);
		store_release(s->store);
	}
	if (r == 0) {
		pthread_mutex_lock(&s->lock);
		s->merging = false;
		s->merge_failed = false;
		s->overflow = false;
		pthread_mutex_unlock(&s->lock);
	}
	range_release(&s->ranges, &all);
	device_failed(s, r, &message);
	return device_end(s, r, "ending the merge");
}

UDS_PUBLIC void uds_snapshot_stop_merge(struct uds_snapshot *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop_merge = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

static void update_result(struct merge *m)
{
	uint64_t entries, rounds;

	if (m->committer == NULL)
		return;
	merge_committer_progress(m->committer, &entries, &rounds);
	m->result.exceptions = m->settled + entries;
	m->result.rounds = m->settled_rounds + rounds;
}

static double seconds_since(const struct timespec *then)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - then->tv_sec) + (double)(now.tv_nsec - then->tv_nsec) / 1e9;
}

/*
 * The larger a group, the more of its chunks are neighbours on the origin and written at once; but
 * when it is interrupted, its work is lost. So one that a writer has to wait for, or that takes too
 * long, is given up, and the next ones are as large as can be copied in some seconds.
 */
static bool is_too_large(struct merge *m)
{
	double seconds, speed;

	if (m->options.round_bytes != 0 || m->job == NULL || m->hurried)
		return false;
	m->hurried = range_claims_in_the_way(&m->s->ranges);
	if (m->hurried)
		return true;
	seconds = seconds_since(&m->job_began);
	if (seconds < ROUND_SECONDS || m->job->copied_bytes > m->job_bytes / 2 ||
	    m->job_bytes <= LEAST_ROUND_BYTES)
		return false;
	speed = (double)m->job->copied_bytes / seconds;
	m->round_bytes = LEAST_ROUND_BYTES;
	if (speed * ROUND_SECONDS > (double)LEAST_ROUND_BYTES)
		m->round_bytes = (uint64_t)(speed * ROUND_SECONDS);
	return true;
}

/*
 * Copied exceptions count too, so that it moves while a large group is copied; it never goes back.
 */
static uint64_t show(struct merge *m)
{
	uint64_t shown = m->result.exceptions;

	if (m->job != NULL)
		shown += (m->job->copied_bytes + m->job->equal_units * m->job->skip_equal_unit) /
			 m->s->chunk_bytes;
	if (shown > m->wanted)
		shown = m->wanted;
	if (shown > m->shown)
		m->shown = shown;
	return m->shown;
}

/* Shows the progress; whether somebody wants the merge to stop, now or before. */
static bool asked_to_stop(struct merge *m)
{
	update_result(m);
	pthread_mutex_lock(&m->s->lock);
	m->stopping = m->stopping || m->s->stop_merge;
	pthread_mutex_unlock(&m->s->lock);
	if (!m->stopping && m->options.progress != NULL)
		m->stopping =
			m->options.progress(m->options.progress_context, show(m), m->wanted) != 0;
	return m->stopping;
}

/*
 * Between transfers. A stop does not end a copy: what is copied would be lost, and who stops often
 * would merge nothing.
 */
static int tick(void *context)
{
	struct merge *m = context;

	(void)asked_to_stop(m);
	m->give_up = is_too_large(m);
	return m->give_up;
}

static int stopped(struct merge *m)
{
	return failure(&m->message, UDS_ERR_STOPPED, "%s: the merge was stopped",
		       uds_io_name(m->s->cow));
}

/*
 * Sleeps while the copies are ahead of the rate that was asked for. Between groups a merge can be
 * stopped, but not before it has done one: each call makes progress.
 */
static int keep_to_rate(struct merge *m)
{
	const double longest = 0.1;

	for (;;) {
		double due = 0, ahead;
		struct timespec until;

		if (asked_to_stop(m) && m->gathered > 0)
			return stopped(m);
		if (m->options.bytes_per_second != 0)
			due = (double)m->gathered * (double)m->s->chunk_bytes /
			      (double)m->options.bytes_per_second;
		ahead = due - seconds_since(&m->began);
		if (ahead <= 0)
			return 0;
		if (ahead > longest)
			ahead = longest;
		until.tv_sec = 0;
		until.tv_nsec = (long)(ahead * 1e9);
		nanosleep(&until, NULL);
	}
}

static uint64_t group_bytes(struct merge *m)
{
	uint64_t bytes = m->round_bytes;

	/* A writer waits: let it in soon. */
	if (m->hurried || (bytes > HURRIED_ROUND_BYTES && range_claims_in_the_way(&m->s->ranges)))
		bytes = bytes < HURRIED_ROUND_BYTES ? bytes : HURRIED_ROUND_BYTES;
	if (m->stopping && bytes > LEAST_ROUND_BYTES)
		bytes = LEAST_ROUND_BYTES;
	/* A slow merge goes in small steps. */
	if (m->options.bytes_per_second != 0 && bytes > m->options.bytes_per_second / 4)
		bytes = m->options.bytes_per_second / 4;
	if (bytes / m->s->chunk_bytes > MOST_ROUND_ENTRIES)
		bytes = MOST_ROUND_ENTRIES * m->s->chunk_bytes;
	return bytes;
}

/*
 * Consecutive chunks gain nothing from a large group, and small ones are committed while the next
 * is copied; of scattered ones the more become neighbours, the larger it is.
 */
static bool is_scattered(const struct merge *m, const struct merge_group *group)
{
	uint64_t bytes = merge_group_chunks(group) * m->s->chunk_bytes;

	return group->run_count > 0 && bytes / group->run_count < SNAPSHOT_SLOT_BYTES;
}

static int fill(struct merge *m, struct merge_group *group)
{
	uint64_t bytes = group_bytes(m), limit = m->wanted - m->gathered;
	uint64_t first = bytes < LEAST_ROUND_BYTES || m->options.round_bytes != 0
				 ? bytes
				 : LEAST_ROUND_BYTES;
	int r;

	merge_group_clear(group, &m->s->env);
	r = merge_group_fill(group, &m->cursor, limit, first, &m->message);
	if (r == 0 && first < bytes && is_scattered(m, group))
		r = merge_group_fill(group, &m->cursor, limit, bytes, &m->message);
	if (r == 0)
		m->gathered += group->entries;
	return r;
}

static int copy(struct merge *m, struct merge_group *group)
{
	struct copy_job job = { .pieces = group->pieces, .count = group->run_count };
	uint64_t unit = m->s->chunk_bytes, chunks = 0, equal;
	int r;

	if (unit > SNAPSHOT_SLOT_BYTES)
		unit = SNAPSHOT_SLOT_BYTES;
	job.skip_equal_unit = m->options.skip_equal ? unit : 0;
	job.tick = tick;
	job.tick_context = m;
	clock_gettime(CLOCK_MONOTONIC, &m->job_began);
	m->give_up = false;
	m->job = &job;
	m->job_bytes = merge_group_chunks(group) * m->s->chunk_bytes;
	r = copier_run(m->copier, &job, &m->message);
	m->job = NULL;
	if (m->give_up)
		return r; /* what it copied is copied again */
	for (size_t i = 0; i < group->run_count; i++)
		chunks += group->runs[i].count;
	equal = job.equal_units * job.skip_equal_unit / m->s->chunk_bytes;
	m->result.bytes_copied += job.copied_bytes;
	m->result.chunks_equal += equal;
	m->result.chunks_copied += chunks - equal;
	m->result.chunks_hidden += group->hidden;
	m->result.chunks_lost += group->lost;
	return r;
}

/* Commits a copied group, in the second thread unless it is the only one. */
static int commit(struct merge *m, struct merge_group *group)
{
	uint64_t entries, rounds;
	int r;

	if (m->committer == NULL && m->gathered < m->wanted)
		(void)merge_committer_start(m->s, m->queue, &m->committer);
	if (m->committer != NULL) {
		r = merge_committer_hand_over(m->committer, group, &m->message);
		if (r < 0)
			range_unclaim(&m->s->ranges, &group->claim);
		return r;
	}
	r = merge_group_commit(group, m->s, m->queue, &entries, &rounds, &m->message);
	range_unclaim(&m->s->ranges, &group->claim);
	m->settled += entries;
	m->settled_rounds += rounds;
	m->result.exceptions = m->settled;
	m->result.rounds = m->settled_rounds;
	return r;
}

/* Ends the second thread when its last group is done; its error is the earlier one. */
static int finish(struct merge *m, int status)
{
	struct uds_message message = { "" };
	uint64_t entries, rounds;
	int r;

	if (m->committer == NULL)
		return status;
	r = merge_committer_finish(m->committer, &entries, &rounds, &message);
	m->committer = NULL;
	m->settled += entries;
	m->settled_rounds += rounds;
	m->result.exceptions = m->settled;
	m->result.rounds = m->settled_rounds;
	if (r < 0) {
		m->message = message;
		return r;
	}
	return status;
}

/* A large group was given up for a writer: again from what is committed, in small groups. */
static int begin_again(struct merge *m)
{
	int r = finish(m, 0);

	if (r < 0)
		return r;
	merge_cursor_close(&m->cursor);
	m->gathered = m->settled;
	return merge_cursor_open(m->s, &m->lost, &m->cursor, &m->message);
}

/* The next group, from filling to handing over. */
static int merge_group(struct merge *m, struct merge_group *group)
{
	int r = keep_to_rate(m);

	if (r == 0)
		r = fill(m, group);
	if (r < 0 || group->entries == 0)
		return r;
	range_claim(&m->s->ranges, &group->claim);
	r = copy(m, group);
	if (r == 0)
		return commit(m, group);
	range_unclaim(&m->s->ranges, &group->claim);
	return m->give_up && r == UDS_ERR_STOPPED ? begin_again(m) : r;
}

static int merge_groups(struct merge *m)
{
	int r = 0;

	for (unsigned int turn = 0; m->gathered < m->wanted && r == 0; turn++) {
		struct merge_group *group = &m->groups[turn % 2];

		r = merge_group(m, group);
		if (group->entries == 0)
			break;
	}
	return r;
}

static int merge_for_real(struct merge *m)
{
	struct uds_snapshot *s = m->s;
	int r;

	r = copier_open(s->cow, s->origin, &s->env, s->depth, SNAPSHOT_SLOT_BYTES, &m->copier);
	if (r == 0)
		r = uds_io_queue_open(s->cow, (unsigned int)store_areas_at_once(s->chunk_bytes),
				      &m->queue);
	if (r < 0) {
		copier_close(m->copier);
		return failure(&m->message, r, "%s: making a queue: %s", uds_io_name(s->cow),
			       uds_strerror(r));
	}
	clock_gettime(CLOCK_MONOTONIC, &m->began);
	r = finish(m, merge_groups(m));
	uds_io_queue_close(m->queue);
	copier_close(m->copier);
	if (r == 0 && m->options.progress != NULL)
		m->options.progress(m->options.progress_context, m->result.exceptions, m->wanted);
	return r;
}

/* Only counts. */
static int merge_dry(struct merge *m)
{
	struct merge_group *group = &m->groups[0];
	int r = 0;

	while (m->gathered < m->wanted && r == 0) {
		r = fill(m, group);
		if (r < 0 || group->entries == 0)
			break;
		for (size_t i = 0; i < group->run_count; i++) {
			m->result.chunks_copied += group->runs[i].count;
			m->result.bytes_copied += group->pieces[i].length;
		}
		m->result.chunks_hidden += group->hidden;
		m->result.chunks_lost += group->lost;
		m->result.exceptions += group->entries;
		m->result.rounds += group->part_count;
		if (asked_to_stop(m))
			r = stopped(m);
	}
	return r;
}

/* Gathers, copies and takes off, or counts. */
static int merge(struct merge *m)
{
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;
	int r = merge_cursor_open(m->s, &m->lost, &m->cursor, &m->message);

	if (r < 0)
		return r;
	uds_exception_store_get_status(m->s->store, &status);
	if (m->wanted > 0)
		r = m->options.dry_run ? merge_dry(m) : merge_for_real(m);
	merge_cursor_close(&m->cursor);
	merge_group_release(&m->groups[0], &m->s->env);
	merge_group_release(&m->groups[1], &m->s->env);
	m->result.remaining = status.exceptions - m->result.exceptions;
	return r;
}

static int tick_of_search(void *context)
{
	struct merge *m = context;

	return asked_to_stop(m) ? stopped(m) : 0;
}

/* Tells what cannot be had: before the merge, or instead of one that is refused for it. */
static int find_losses(struct merge *m, int refused)
{
	struct uds_message ignored = { "" };
	bool search = refused == 0 ? m->options.salvage
				   : refused == UDS_ERR_CORRUPT && m->options.each_loss != NULL;

	if (!search)
		return refused;
	if (refused == 0)
		return merge_losses_find(m->s, m->options.each_loss, m->options.loss_context,
					 tick_of_search, m, &m->lost, &m->message);
	(void)merge_losses_find(m->s, m->options.each_loss, m->options.loss_context, NULL, NULL,
				&m->lost, &ignored);
	return refused;
}

static int check_and_merge(struct merge *m)
{
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;
	struct uds_snapshot *s = m->s;
	int r;

	if (s->store != NULL) {
		m->result.bytes_cut = merge_bytes_cut(s);
		uds_exception_store_get_status(s->store, &status);
		m->wanted = status.exceptions;
		m->result.remaining = status.exceptions;
	}
	if (m->options.limit != 0 && m->options.limit < m->wanted)
		m->wanted = m->options.limit;
	r = find_losses(m, merge_check(s, &m->options, &m->message));
	if (r == 0 && !m->options.dry_run) {
		r = begin(s, m->options.salvage, &m->lost, &m->message);
		m->lost.count = 0; /* the snapshot has those that are lost still */
	}
	if (r == 0)
		r = merge(m);
	env_release(&s->env, m->lost.runs);
	return r;
}

/* One merge at a time. */
static int enter(struct uds_snapshot *s, struct uds_message *message)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	if (s->merge_running)
		r = failure(message, UDS_ERR_BAD_STATE, "%s: another thread merges",
			    uds_io_name(s->cow));
	else
		s->merge_running = true;
	s->stop_merge = false;
	pthread_mutex_unlock(&s->lock);
	return r;
}

static void leave(struct uds_snapshot *s, bool dry_run, int status)
{
	pthread_mutex_lock(&s->lock);
	s->merge_running = false;
	if (!dry_run && s->merging)
		s->merge_failed = status < 0 && status != UDS_ERR_STOPPED;
	pthread_mutex_unlock(&s->lock);
}

UDS_PUBLIC int uds_snapshot_merge(struct uds_snapshot *s, const struct uds_merge_options *given,
				  struct uds_merge_result *ret_result)
{
	struct merge m = { .s = s, .options = UDS_MERGE_OPTIONS_INIT };
	int r = 0;

	failures_begin(s->failures);
	if (given != NULL)
		r = STRUCT_IN(&m.options, given, uds_merge_options, progress_context, &m.message);
	if (r == 0 && ret_result != NULL)
		r = STRUCT_OUT_CHECK(ret_result, uds_merge_result, rounds, &m.message);
	if (r < 0)
		return device_failed(s, r, &m.message);
	m.round_bytes = m.options.round_bytes != 0 ? m.options.round_bytes : MOST_ROUND_BYTES;
	r = enter(s, &m.message);
	if (r == 0) {
		r = check_and_merge(&m);
		leave(s, m.options.dry_run, r);
	}
	if (ret_result != NULL)
		struct_out(ret_result, &m.result, sizeof(m.result));
	device_failed(s, r, &m.message);
	return device_end(s, r, "merging");
}
