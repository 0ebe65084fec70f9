/* SPDX-License-Identifier: BSD-2-Clause */
/* How fast a merge goes, and in which steps: progress, stopping, the rate, the size of groups. */
#include "snapshot/merge_run.h"

#include "base/message.h"

#define LEAST_ROUND_BYTES   (UINT64_C(64) << 20)
#define MOST_ROUND_ENTRIES  (UINT64_C(1) << 19)
#define ROUND_SECONDS	    10.0
#define HURRIED_ROUND_BYTES (UINT64_C(4) << 20)

static void update_result(struct merge_run *m)
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
static bool is_too_large(struct merge_run *m)
{
	double seconds, speed;

	/* The caller chose the size, or groups are small already. */
	if (m->options.round_bytes != 0 || m->job == NULL || m->hurried)
		return false;
	m->hurried = origin_writer_waits(m->s->origin);
	if (m->hurried)
		return true;
	seconds = seconds_since(&m->job_began);
	/* Given up only while that costs less than to go on: less than half is copied. */
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
static uint64_t show(struct merge_run *m)
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

bool merge_asked_to_stop(struct merge_run *m)
{
	update_result(m);
	pthread_mutex_lock(&m->s->lock);
	m->stopping = m->stopping || m->s->stop_merge;
	pthread_mutex_unlock(&m->s->lock);
	/* Asked to stop once is enough: the callback is not called again. */
	if (!m->stopping && m->options.progress != NULL)
		m->stopping =
			m->options.progress(m->options.progress_context, show(m), m->wanted) != 0;
	return m->stopping;
}

int merge_tick(void *context)
{
	struct merge_run *m = context;

	(void)merge_asked_to_stop(m);
	m->give_up = is_too_large(m);
	return m->give_up;
}

int merge_stopped(struct merge_run *m)
{
	return failure(&m->message, UDS_ERR_STOPPED, "%s: the merge was stopped",
		       uds_io_name(m->s->cow));
}

int merge_keep_to_rate(struct merge_run *m)
{
	const double longest = 0.1;

	for (;;) {
		double due = 0, ahead;
		struct timespec until;

		/* At least one group is merged, so that calls with a short limit of time get on. */
		if (merge_asked_to_stop(m) && m->gathered > 0)
			return merge_stopped(m);
		if (m->options.bytes_per_second != 0)
			due = (double)m->gathered * (double)m->s->chunk_bytes /
			      (double)m->options.bytes_per_second;
		ahead = due - seconds_since(&m->began);
		if (ahead <= 0)
			return 0;
		/* Short naps, so that a request to stop is soon heard. */
		if (ahead > longest)
			ahead = longest;
		until.tv_sec = 0;
		until.tv_nsec = (long)(ahead * 1e9);
		nanosleep(&until, NULL);
	}
}

static uint64_t group_bytes(struct merge_run *m)
{
	uint64_t bytes = m->round_bytes;

	/* A writer waits: let it in soon. */
	if (m->hurried || (bytes > HURRIED_ROUND_BYTES && origin_writer_waits(m->s->origin)))
		bytes = bytes < HURRIED_ROUND_BYTES ? bytes : HURRIED_ROUND_BYTES;
	/* Stopping takes effect between groups: the next one should not be long. */
	if (m->stopping && bytes > LEAST_ROUND_BYTES)
		bytes = LEAST_ROUND_BYTES;
	/* A slow merge goes in small steps. */
	if (m->options.bytes_per_second != 0 && bytes > m->options.bytes_per_second / 4)
		bytes = m->options.bytes_per_second / 4;
	if (bytes / m->s->chunk_bytes > MOST_ROUND_ENTRIES)
		bytes = MOST_ROUND_ENTRIES * m->s->chunk_bytes;
	return bytes;
}

void merge_group_size(struct merge_run *m, uint64_t *ret_first, uint64_t *ret_most)
{
	*ret_most = group_bytes(m);
	*ret_first = *ret_most;
	if (m->options.round_bytes == 0 && *ret_first > LEAST_ROUND_BYTES)
		*ret_first = LEAST_ROUND_BYTES;
}
