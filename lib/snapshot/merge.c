/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Merging a snapshot into its origin: groups of exceptions, newest first, are copied by the
 * caller's thread and committed, after a flush of the origin, by a second one. The format's rules
 * for this are those for several runs with one area write: only the highest areas first, each with
 * a flush, so that the list on the device is a prefix of the old one at every moment.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "io/io.h"
#include "snapshot/keep_old.h"
#include "snapshot/merge_check.h"
#include "snapshot/merge_losses.h"
#include "snapshot/merge_role.h"
#include "snapshot/merge_run.h"

#define MOST_ROUND_BYTES (UINT64_C(1) << 30)

/*
 * Consecutive chunks gain nothing from a large group, and small ones are committed while the next
 * is copied; of scattered ones the more become neighbours, the larger it is.
 */
static bool is_scattered(const struct merge_run *m, const struct merge_group *group)
{
	uint64_t bytes = merge_group_chunks(group) * m->s->chunk_bytes;

	return group->run_count > 0 && bytes / group->run_count < SNAPSHOT_SLOT_BYTES;
}

static int fill(struct merge_run *m, struct merge_group *group)
{
	uint64_t limit = m->wanted - m->gathered, first, bytes;
	int r;

	merge_group_size(m, &first, &bytes);
	/* What was in it is committed: the group after it was handed over only then. */
	merge_group_clear(group, &m->s->env);
	r = merge_group_fill(group, &m->cursor, limit, first, &m->message);
	/* More only where it pays: a large group is lost when a writer interrupts it. */
	if (r == 0 && first < bytes && is_scattered(m, group))
		r = merge_group_fill(group, &m->cursor, limit, bytes, &m->message);
	if (r == 0)
		m->gathered += group->entries;
	return r;
}

static int copy(struct merge_run *m, struct merge_group *group)
{
	struct copy_job job = { .pieces = group->pieces, .count = group->run_count };
	uint64_t unit = m->s->chunk_bytes, chunks = 0, equal;
	int r;

	/* The copier compares in units of its buffers. */
	if (unit > SNAPSHOT_SLOT_BYTES)
		unit = SNAPSHOT_SLOT_BYTES;
	job.skip_equal_unit = m->options.skip_equal ? unit : 0;
	job.tick = merge_tick;
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
static int commit(struct merge_run *m, struct merge_group *group)
{
	uint64_t entries, rounds;
	int r;

	/*
	 * Not for a merge of one group: there is nothing to copy beside its commit. Where no thread
	 * can be had, the groups are committed here, one after the other.
	 */
	if (m->committer == NULL && m->gathered < m->wanted)
		(void)merge_committer_start(m->s, m->areas, &m->committer);
	if (m->committer != NULL) {
		r = merge_committer_hand_over(m->committer, group, &m->message);
		/* It was not taken: its claim would keep writers out for good. */
		if (r < 0)
			origin_unclaim(m->s->origin, &group->claim);
		return r;
	}
	r = merge_group_commit(group, m->s, m->areas, &entries, &rounds, &m->message);
	origin_unclaim(m->s->origin, &group->claim);
	m->settled += entries;
	m->settled_rounds += rounds;
	m->result.exceptions = m->settled;
	m->result.rounds = m->settled_rounds;
	return r;
}

/* Ends the second thread when its last group is done; its error is the earlier one. */
static int finish(struct merge_run *m, int status)
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
	/* The commit that failed comes before the copy that did: its sentence has the cause. */
	if (r < 0) {
		m->message = message;
		return r;
	}
	return status;
}

/* A large group was given up for a writer: again from what is committed, in small groups. */
static int begin_again(struct merge_run *m)
{
	/* The groups before are committed first: the cursor starts at what is left of the list. */
	int r = finish(m, 0);

	if (r < 0)
		return r;
	merge_cursor_close(&m->cursor);
	m->gathered = m->settled;
	return merge_cursor_open(m->s, &m->lost, &m->cursor, &m->message);
}

/* The next group, from filling to handing over. */
static int merge_group(struct merge_run *m, struct merge_group *group)
{
	int r = merge_keep_to_rate(m);

	if (r == 0)
		r = fill(m, group);
	if (r < 0 || group->entries == 0)
		return r;
	/*
	 * From here on writes to these chunks wait until the group is committed: what they wrote
	 * would be lost, or be copied over (uds-cow, 11.8).
	 */
	origin_claim(m->s->origin, &group->claim);
	r = keep_old_for_merge(m->s, &group->claim, group->pieces, group->run_count, &m->message);
	if (r == 0)
		r = copy(m, group);
	if (r == 0)
		return commit(m, group);
	origin_unclaim(m->s->origin, &group->claim);
	return m->give_up && r == UDS_ERR_STOPPED ? begin_again(m) : r;
}

static int merge_groups(struct merge_run *m)
{
	int r = 0;

	for (unsigned int turn = 0; m->gathered < m->wanted && r == 0; turn++) {
		/* Two in turn: one is copied while the other is committed. */
		struct merge_group *group = &m->groups[turn % 2];

		r = merge_group(m, group);
		if (group->entries == 0)
			break;
	}
	return r;
}

static int merge_for_real(struct merge_run *m)
{
	struct uds_snapshot *s = m->s;
	int r;

	r = origin_open_copier(s->origin, s->cow, s->depth, s->engine, &m->copier);
	if (r == 0)
		r = engine_open(s->engine, (unsigned int)store_areas_at_once(s->chunk_bytes),
				&s->env, &m->areas);
	if (r < 0) {
		copier_close(m->copier);
		return failure(&m->message, r, "%s: making an engine: %s", uds_io_name(s->cow),
			       uds_strerror(r));
	}
	clock_gettime(CLOCK_MONOTONIC, &m->began);
	/*
	 * Waits for the last commit also after a failure: its thread uses everything that is closed
	 * below.
	 */
	r = finish(m, merge_groups(m));
	uds_io_engine_close(m->areas);
	copier_close(m->copier);
	if (r == 0 && m->options.progress != NULL)
		m->options.progress(m->options.progress_context, m->result.exceptions, m->wanted);
	return r;
}

/* Only counts. */
static int merge_dry(struct merge_run *m)
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
		if (merge_asked_to_stop(m))
			r = merge_stopped(m);
	}
	return r;
}

/* Gathers, copies and takes off, or counts. */
static int merge(struct merge_run *m)
{
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;
	int r = merge_cursor_open(m->s, &m->lost, &m->cursor, &m->message);

	if (r < 0)
		return r;
	/* Asked now, and not at the end: a merge that fails still has to say what remains. */
	m->s->store->ops->get_status(m->s->store, &status);
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
	struct merge_run *m = context;

	return merge_asked_to_stop(m) ? merge_stopped(m) : 0;
}

/* Reports what is lost: before the merge, or instead of one that is refused for it. */
static int find_losses(struct merge_run *m, int refused)
{
	struct uds_message ignored = { "" };
	bool search = refused == 0 ? m->options.salvage
				   : refused == UDS_ERR_CORRUPT && m->options.each_loss != NULL;

	if (!search)
		return refused;
	if (refused == 0)
		return merge_losses_find(m->s, m->options.each_loss, m->options.loss_context,
					 tick_of_search, m, &m->lost, &m->message);
	/*
	 * The merge is refused anyway: this only reports, and what it fails with is not the cause.
	 */
	(void)merge_losses_find(m->s, m->options.each_loss, m->options.loss_context, NULL, NULL,
				&m->lost, &ignored);
	return refused;
}

static int check_and_merge(struct merge_run *m)
{
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;
	struct uds_snapshot *s = m->s;
	int r;

	if (device_list(s) != NULL) {
		s->store->ops->get_status(s->store, &status);
		/*
		 * An origin that is smaller still is refused, forced or not: then nothing is cut.
		 */
		if (status.old_behind_origin == 0)
			m->result.bytes_cut = merge_bytes_cut(s);
		m->wanted = status.exceptions;
		m->result.remaining = status.exceptions;
	}
	if (m->options.limit != 0 && m->options.limit < m->wanted)
		m->wanted = m->options.limit;
	r = find_losses(m, merge_check(s, &m->options, &m->message));
	if (r == 0 && !m->options.dry_run) {
		r = merge_role_take(s, m->options.salvage, &m->lost, &m->message);
		m->lost.count = 0; /* the snapshot has those that are lost still */
	}
	if (r == 0)
		r = merge(m);
	env_release(&s->env, m->lost.runs);
	return r;
}

UDS_PUBLIC int uds_snapshot_merge(struct uds_snapshot *s, const struct uds_merge_options *given,
				  struct uds_merge_result *ret_result)
{
	struct merge_run m = { .s = s, .options = UDS_MERGE_OPTIONS_INIT };
	int r = 0;

	failures_begin(s->failures);
	if (given != NULL)
		r = STRUCT_IN(&m.options, given, uds_merge_options, salvage, &m.message);
	if (r == 0 && ret_result != NULL)
		r = STRUCT_OUT_CHECK(ret_result, uds_merge_result, chunks_lost, &m.message);
	if (r < 0)
		return device_end(s, r, &m.message, "merging");
	m.round_bytes = m.options.round_bytes != 0 ? m.options.round_bytes : MOST_ROUND_BYTES;
	r = merge_role_enter(s, &m.message);
	if (r == 0) {
		r = check_and_merge(&m);
		merge_role_leave(s, m.options.dry_run, r);
	}
	if (ret_result != NULL)
		struct_out(ret_result, &m.result, sizeof(m.result));
	return device_end(s, r, &m.message, "merging");
}
