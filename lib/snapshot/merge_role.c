/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The role of the kernel's snapshot-merge: while a snapshot has it, the origin reads as the
 * snapshot, and the snapshot is not written. Taken and left with everything held, so that no
 * request sees it change.
 */
#include "snapshot/merge_role.h"

#include "base/message.h"
#include "base/visibility.h"
#include "exceptions/merge_list.h"
#include "snapshot/merge_check.h"
#include "snapshot/merge_losses.h"

/* With everything held. */
static int take(struct uds_snapshot *s, bool salvage, const struct lost_chunks *lost,
		struct uds_message *message)
{
	struct uds_exception_store *list = device_list(s);
	struct uds_message ignored;
	int r = store_begin_merge(list, salvage, message);

	if (r == 0)
		r = merge_losses_give_up(s, lost, message);
	/* Only if this call began it: a merge that was under way goes on. */
	if (r < 0 && !device_get_state(s).merging)
		(void)store_end_merge(list, &ignored);
	if (r == 0) {
		pthread_mutex_lock(&s->lock);
		s->merging = true;
		pthread_mutex_unlock(&s->lock);
	}
	return r;
}

int merge_role_take(struct uds_snapshot *s, bool salvage, const struct lost_chunks *lost,
		    struct uds_message *message)
{
	struct range_hold all;
	int r;

	origin_hold_all(s->origin, &all);
	r = merge_check_others(s, message);
	if (r == 0)
		r = take(s, salvage, lost, message);
	origin_let_go(s->origin, &all);
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
		r = merge_role_take(s, false, &none, &message);
	return device_end(s, r, &message, "beginning a merge");
}

/* With everything held. */
static int leave_role(struct uds_snapshot *s, struct uds_message *message)
{
	struct uds_exception_store_status status = UDS_EXCEPTION_STORE_STATUS_INIT;
	struct uds_exception_store *list = device_list(s);
	int r = 0;

	/*
	 * Left out of the map, these chunks read as the origin's. As a snapshot that would be
	 * wrong.
	 */
	s->store->ops->get_status(s->store, &status);
	if (s->lost.count > 0 && status.exceptions > 0)
		return failure(
			message, UDS_ERR_BAD_STATE,
			"%s: the merge has left out chunks that cannot be read, and is not at "
			"its end: the snapshot must be merged on, or opened again",
			uds_io_name(s->cow));
	s->lost.count = 0;
	if (list != NULL)
		r = store_end_merge(list, message);
	if (r < 0)
		return r;
	pthread_mutex_lock(&s->lock);
	s->merging = false;
	s->merge_failed = false;
	s->overflow = false;
	pthread_mutex_unlock(&s->lock);
	return 0;
}

static int end_merge(struct uds_snapshot *s, struct uds_message *message)
{
	struct range_hold all;
	int r = UDS_ERR_BAD_STATE;

	/*
	 * Looked at first, because a merge may take its time; and again, because one
	 * may have begun.
	 */
	if (device_merge_runs(s, message))
		return r;
	origin_hold_all(s->origin, &all);
	if (!device_merge_runs(s, message))
		r = leave_role(s, message);
	origin_let_go(s->origin, &all);
	return r;
}

UDS_PUBLIC int uds_snapshot_end_merge(struct uds_snapshot *s)
{
	struct uds_message message = { "" };

	failures_begin(s->failures);
	return device_end(s, end_merge(s, &message), &message, "ending the merge");
}

UDS_PUBLIC void uds_snapshot_stop_merge(struct uds_snapshot *s)
{
	pthread_mutex_lock(&s->lock);
	s->stop_merge = true;
	pthread_mutex_unlock(&s->lock);
}

int merge_role_enter(struct uds_snapshot *s, struct uds_message *message)
{
	int r = 0;

	pthread_mutex_lock(&s->lock);
	if (s->merge_running)
		r = failure(message, UDS_ERR_BAD_STATE, "%s: another thread merges",
			    uds_io_name(s->cow));
	else
		s->merge_running = true;
	/* A request to stop is about a merge that runs, not about the next one. */
	s->stop_merge = false;
	pthread_mutex_unlock(&s->lock);
	return r;
}

void merge_role_leave(struct uds_snapshot *s, bool dry_run, int status)
{
	pthread_mutex_lock(&s->lock);
	s->merge_running = false;
	/* Stopped on request is no failure: it can be taken up at any time. */
	if (!dry_run && s->merging)
		s->merge_failed = status < 0 && status != UDS_ERR_STOPPED;
	pthread_mutex_unlock(&s->lock);
}
