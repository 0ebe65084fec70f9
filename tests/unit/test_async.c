/* SPDX-License-Identifier: BSD-2-Clause */
/* Asynchronous operations: what uds/async.h promises, one test for each. */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <uds.h>

#include "check_main.h"
#include "names.h"
#include "slow_device.h"

#define MOST 64

struct fixture {
	struct slow_index s;
	struct uds_index_queue *queue;
	struct uds_index_operation operations[MOST];
	struct uds_index_operation *pointers[MOST];
	struct uds_index_operation *done[MOST];
	struct uds_message message;
};

static struct fixture f;

static void open_queue(uint32_t depth, uint32_t threads)
{
	struct uds_index_queue_options options = UDS_INDEX_QUEUE_OPTIONS_INIT;

	options.depth = depth;
	options.threads = threads;
	ck_assert_int_eq(uds_index_queue_open(f.s.index, &options, &f.queue), 0);
}

static void begin(unsigned int zones, uint32_t depth, uint32_t threads)
{
	memset(&f, 0, sizeof(f));
	for (unsigned int i = 0; i < MOST; i++)
		f.pointers[i] = &f.operations[i];
	slow_index_begin(&f.s, zones, NULL);
	open_queue(depth, threads);
}

static void end(void)
{
	uds_index_queue_close(f.queue);
	slow_index_end(&f.s);
}

/* Operation @i: @kind of name @n of the index, or of a new one from SLOW_NAMES on. */
static struct uds_index_operation *prepare(unsigned int i, enum uds_request_kind kind, uint64_t n)
{
	struct uds_index_operation *operation = &f.operations[i];

	memset(operation, 0, sizeof(*operation));
	operation->request.kind = (uint8_t)kind;
	operation->request.status = 1;
	make_name(SLOW_SEED, n, &operation->request.name);
	make_data('n', n, 2, &operation->request.new_data);
	return operation;
}

static void prepare_flush(unsigned int i)
{
	memset(&f.operations[i], 0, sizeof(f.operations[i]));
	f.operations[i].kind = UDS_OPERATION_FLUSH;
	f.operations[i].request.status = 1;
}

/* Submits operations @first to @end - 1 without waiting. */
static int submit(unsigned int first, unsigned int end)
{
	return uds_index_submit(f.queue, f.pointers + first, end - first, 0);
}

static int reap(size_t least)
{
	return uds_index_reap(f.queue, f.done, MOST, least, -1);
}

static bool is_sync_found(uint64_t n)
{
	struct uds_record_name name;
	bool found;

	make_name(SLOW_SEED, n, &name);
	ck_assert_int_eq(uds_index_peek(f.s.index, &name, NULL, &found), 0);
	return found;
}

static void check_data(const struct uds_index_operation *operation, uint64_t n, int version)
{
	struct uds_record_data data;

	ck_assert_int_eq(operation->request.status, 0);
	ck_assert(operation->request.found);
	make_data('n', n, version, &data);
	ck_assert_mem_eq(&operation->request.old_data, &data, sizeof(data));
}

static void check_message(const char *part)
{
	uds_index_error_message(f.s.index, &f.message);
	ck_assert_msg(strstr(f.message.text, part) != NULL, "\"%s\" has no \"%s\"", f.message.text,
		      part);
}

/* ---- without threads ---- */

START_TEST(operations_are_carried_out_when_they_are_reaped)
{
	begin(2, 8, 0);
	for (unsigned int i = 0; i < 4; i++)
		prepare(i, UDS_POST, SLOW_NAMES + i);
	ck_assert_int_eq(submit(0, 4), 4);
	ck_assert_uint_eq(uds_index_queue_in_flight(f.queue), 4);
	ck_assert(!is_sync_found(SLOW_NAMES));
	ck_assert_int_eq(f.operations[0].request.status, 1);
	ck_assert_int_eq(reap(4), 4);
	ck_assert_uint_eq(uds_index_queue_in_flight(f.queue), 0);
	for (unsigned int i = 0; i < 4; i++) {
		ck_assert_int_eq(f.operations[i].request.status, 0);
		ck_assert(!f.operations[i].request.found);
		ck_assert(is_sync_found(SLOW_NAMES + i));
	}
	/* There is nothing more, so nothing is waited for. */
	ck_assert_int_eq(reap(1), 0);
	ck_assert_int_eq(uds_index_reap(f.queue, NULL, 0, SIZE_MAX, -1), 0);
	end();
}
END_TEST

START_TEST(what_waits_in_the_queue_counts_until_it_is_handed_out)
{
	begin(1, 3, 0);
	for (unsigned int i = 0; i < 4; i++)
		prepare(i, UDS_POST, SLOW_NAMES + i);
	ck_assert_int_eq(submit(0, 4), 3);
	ck_assert_int_eq(submit(3, 4), -EAGAIN);
	check_message("its depth is 3");
	/* Carried out, but for one not handed out. */
	ck_assert_int_eq(uds_index_reap(f.queue, f.done, 2, 2, -1), 2);
	ck_assert_uint_eq(uds_index_queue_in_flight(f.queue), 1);
	ck_assert_int_eq(submit(3, 4), 1);
	ck_assert_int_eq(reap(2), 2);
	/* Without a caller who reaps, waiting ends with the time. */
	ck_assert_int_eq(submit(0, 3), 3);
	ck_assert_int_eq(uds_index_submit(f.queue, f.pointers + 3, 1, 10), -EAGAIN);
	ck_assert_int_eq(uds_index_submit(f.queue, f.pointers + 3, 0, -1), 0);
	end();
}
END_TEST

/* ---- callbacks ---- */

static _Atomic unsigned int calls;
static pthread_t called_in;

static void count_call(struct uds_index_operation *operation)
{
	ck_assert_int_eq(operation->request.status, 0);
	called_in = pthread_self();
	calls++;
}

START_TEST(callbacks_are_called_by_the_thread_that_reaps)
{
	begin(2, 8, 0);
	calls = 0;
	for (unsigned int i = 0; i < 8; i++)
		prepare(i, UDS_QUERY, i)->completed = i % 2 == 0 ? count_call : NULL;
	ck_assert_int_eq(submit(0, 8), 8);
	ck_assert_uint_eq(calls, 0);
	/* Both kinds count; only those without a callback are handed out. */
	ck_assert_int_eq(reap(8), 4);
	ck_assert_uint_eq(calls, 4);
	ck_assert(pthread_equal(called_in, pthread_self()));
	for (unsigned int i = 0; i < 8; i++)
		check_data(&f.operations[i], i, 1);
	end();
}
END_TEST

/* Each of them makes the next one, from the same memory. */
static void submit_again(struct uds_index_operation *operation)
{
	uint64_t n = operation->request.user_number;

	ck_assert_int_eq(operation->request.status, 0);
	/* No lock is held: any call may be made. */
	ck_assert(is_sync_found(n));
	ck_assert_int_eq(uds_index_flush(f.s.index), 0);
	ck_assert_uint_lt(uds_index_queue_in_flight(f.queue), 2);
	calls++;
	if (n == SLOW_NAMES + 99)
		return;
	memset(operation, 0, sizeof(*operation));
	operation->completed = submit_again;
	operation->request.kind = UDS_POST;
	operation->request.user_number = n + 1;
	make_name(SLOW_SEED, n + 1, &operation->request.name);
	ck_assert_int_eq(uds_index_submit(f.queue, &operation, 1, -1), 1);
}

START_TEST(a_callback_may_submit_its_operation_again)
{
	struct uds_index_operation *operation;

	/* There is room for one only. */
	begin(1, 1, 0);
	calls = 0;
	operation = prepare(0, UDS_POST, SLOW_NAMES);
	operation->completed = submit_again;
	operation->request.user_number = SLOW_NAMES;
	ck_assert_int_eq(submit(0, 1), 1);
	ck_assert_int_eq(uds_index_reap(f.queue, NULL, 0, SIZE_MAX, -1), 0);
	ck_assert_uint_eq(calls, 100);
	end();
}
END_TEST

static int waited, full;

static void wait_in_callback(struct uds_index_operation *operation)
{
	struct uds_index_operation *others[2] = { &f.operations[1], &f.operations[2] };

	(void)operation;
	waited = uds_index_reap(f.queue, NULL, 0, 1, -1);
	check_message("a callback must not wait");
	/* There is room for one. */
	ck_assert_int_eq(uds_index_submit(f.queue, others, 2, -1), 1);
	full = uds_index_submit(f.queue, others + 1, 1, -1);
	check_message("the queue is full");
}

START_TEST(callbacks_do_not_wait_for_their_queue)
{
	begin(1, 1, 0);
	prepare(0, UDS_POST, SLOW_NAMES)->completed = wait_in_callback;
	prepare(1, UDS_POST, SLOW_NAMES + 1);
	prepare(2, UDS_POST, SLOW_NAMES + 2);
	ck_assert_int_eq(submit(0, 1), 1);
	ck_assert_int_eq(reap(2), 1);
	ck_assert_int_eq(waited, -EDEADLK);
	ck_assert_int_eq(full, -EAGAIN);
	end();
}
END_TEST

/* Those with a callback make room by being carried out, which the waiting call does. */
START_TEST(submitting_waits_for_room)
{
	begin(2, 2, 0);
	calls = 0;
	for (unsigned int i = 0; i < MOST; i++)
		prepare(i, UDS_QUERY, i)->completed = count_call;
	ck_assert_int_eq(uds_index_submit(f.queue, f.pointers, MOST, -1), MOST);
	ck_assert_uint_ge(calls, MOST - 2);
	ck_assert_int_eq(reap(SIZE_MAX), 0);
	ck_assert_uint_eq(calls, MOST);
	end();
}
END_TEST

/* ---- operations that wait for reads ---- */

START_TEST(reads_of_several_submissions_are_under_way_together)
{
	begin(1, 8, 0);
	slow_device_hold(&f.s.device);
	for (unsigned int i = 0; i < 4; i++) {
		prepare(i, UDS_PEEK, 20 + 100 * i);
		ck_assert_int_eq(submit(i, i + 1), 1);
		ck_assert_int_eq(reap(0), 0);
	}
	slow_device_wait(&f.s.device, 4);
	/* What needs no read passes them. */
	prepare(4, UDS_PEEK, SLOW_NAMES);
	ck_assert_int_eq(submit(4, 5), 1);
	ck_assert_int_eq(reap(1), 1);
	ck_assert_ptr_eq(f.done[0], &f.operations[4]);
	ck_assert_int_eq(uds_index_reap(f.queue, f.done, MOST, 1, 5), 0);
	slow_device_release(&f.s.device);
	ck_assert_int_eq(reap(4), 4);
	for (unsigned int i = 0; i < 4; i++)
		check_data(&f.operations[i], 20 + 100 * i, 1);
	end();
}
END_TEST

/* The first one waits for a read; each of the others sees what came before it. */
START_TEST(requests_with_one_name_keep_their_order)
{
	const enum uds_request_kind kinds[6] = { UDS_PEEK,   UDS_UPDATE, UDS_PEEK,
						 UDS_DELETE, UDS_PEEK,	 UDS_POST };

	begin(2, 16, 0);
	slow_device_hold(&f.s.device);
	for (unsigned int i = 0; i < 6; i++) {
		prepare(i, kinds[i], 100);
		ck_assert_int_eq(submit(i, i + 1), 1);
		ck_assert_int_eq(reap(0), 0);
	}
	slow_device_wait(&f.s.device, 1);
	ck_assert_uint_eq(f.s.device.waiting, 1);
	/* Of another name nothing has to wait. */
	prepare(6, UDS_POST, SLOW_NAMES);
	ck_assert_int_eq(submit(6, 7), 1);
	ck_assert_int_eq(reap(1), 1);
	slow_device_release(&f.s.device);
	ck_assert_int_eq(reap(6), 6);
	for (unsigned int i = 0; i < 6; i++)
		ck_assert_ptr_eq(f.done[i], &f.operations[i]);
	check_data(&f.operations[0], 100, 1);
	check_data(&f.operations[1], 100, 1);
	check_data(&f.operations[2], 100, 2);
	ck_assert(f.operations[3].request.found);
	ck_assert(!f.operations[4].request.found);
	ck_assert(!f.operations[5].request.found);
	ck_assert(is_sync_found(100));
	end();
}
END_TEST

/* Where reads are quick, they are not waited for in flight; the answers are the same. */
START_TEST(quick_reads_are_made_at_once)
{
	memset(&f, 0, sizeof(f));
	for (unsigned int i = 0; i < MOST; i++)
		f.pointers[i] = &f.operations[i];
	slow_index_begin_quick(&f.s, 2, NULL);
	open_queue(MOST, 0);
	for (unsigned int i = 0; i < MOST; i++)
		prepare(i, UDS_QUERY, 5 * i);
	ck_assert_int_eq(submit(0, MOST), MOST);
	ck_assert_int_eq(reap(0), MOST);
	for (unsigned int i = 0; i < MOST; i++)
		check_data(&f.operations[i], 5 * i, 1);
	end();
}
END_TEST

/* ---- flushes ---- */

START_TEST(a_flush_makes_all_before_it_durable)
{
	struct uds_index *again;

	begin(2, 16, 0);
	slow_device_hold(&f.s.device);
	prepare(0, UDS_QUERY, 100);
	prepare(1, UDS_POST, SLOW_NAMES);
	prepare_flush(2);
	prepare(3, UDS_POST, SLOW_NAMES + 1);
	ck_assert_int_eq(submit(0, 4), 4);
	/* It waits for the query, and the post behind it does not wait for it. */
	ck_assert_int_eq(reap(2), 2);
	ck_assert_int_eq(reap(0), 0);
	ck_assert_int_eq(f.operations[3].request.status, 0);
	ck_assert_int_eq(f.operations[2].request.status, 1);
	slow_device_release(&f.s.device);
	ck_assert_int_eq(reap(2), 2);
	ck_assert_ptr_eq(f.done[1], &f.operations[2]);
	ck_assert_int_eq(f.operations[2].request.status, 0);
	uds_index_queue_close(f.queue);
	f.queue = NULL;
	/* As after a crash: nothing else was made durable. */
	again = f.s.index;
	ck_assert_int_eq(uds_index_open(f.s.io, NULL, NULL, &f.s.index), 0);
	ck_assert(is_sync_found(SLOW_NAMES));
	ck_assert_int_eq(uds_index_close(again), 0);
	end();
}
END_TEST

/* Several whose turn it is at once take one flush of the device. */
START_TEST(flushes_are_joined)
{
	unsigned int flushes;

	begin(1, 16, 0);
	prepare(0, UDS_POST, SLOW_NAMES);
	for (unsigned int i = 1; i < 9; i++)
		prepare_flush(i);
	prepare(9, UDS_POST, SLOW_NAMES + 1);
	prepare_flush(10);
	/* One has to write the header of the journal, too. */
	ck_assert_int_eq(submit(0, 9), 9);
	ck_assert_int_eq(reap(9), 9);
	flushes = f.s.device.flushes;
	ck_assert_int_eq(submit(9, 11), 2);
	ck_assert_int_eq(submit(1, 9), 8);
	ck_assert_int_eq(reap(10), 10);
	ck_assert_uint_eq(f.s.device.flushes, flushes + 1);
	end();
}
END_TEST

START_TEST(a_flush_that_fails_says_why)
{
	begin(1, 16, 0);
	prepare(0, UDS_POST, SLOW_NAMES);
	prepare_flush(1);
	prepare_flush(2);
	f.s.device.flush_status = -EIO;
	ck_assert_int_eq(submit(0, 3), 3);
	ck_assert_int_eq(reap(3), 3);
	check_message("device: ");
	ck_assert_int_eq(f.operations[0].request.status, 0);
	ck_assert_int_eq(f.operations[1].request.status, -EIO);
	ck_assert_int_eq(f.operations[2].request.status, -EIO);
	f.s.device.flush_status = 0;
	ck_assert_int_eq(submit(1, 2), 1);
	ck_assert_int_eq(reap(1), 1);
	ck_assert_int_eq(f.operations[1].request.status, 0);
	end();
}
END_TEST

/* ---- cancelling ---- */

/* Operations 0 to 4 in all places where they can be: one reads, one waits for it, two are new. */
static void fill_queue(uds_completed_fn completed)
{
	slow_device_hold(&f.s.device);
	prepare(0, UDS_DELETE, 100)->completed = completed;
	prepare(1, UDS_UPDATE, 100)->completed = completed;
	ck_assert_int_eq(submit(0, 2), 2);
	(void)uds_index_reap(f.queue, NULL, 0, 0, 0);
	slow_device_wait(&f.s.device, 1);
	prepare(2, UDS_POST, SLOW_NAMES)->completed = completed;
	prepare_flush(3);
	f.operations[3].completed = completed;
	prepare(4, UDS_POST, SLOW_NAMES + 1)->completed = completed;
}

static void check_cancelled(unsigned int count)
{
	slow_device_release(&f.s.device);
	for (unsigned int i = 0; i < count; i++) {
		ck_assert_int_eq(f.operations[i].request.status, -ECANCELED);
		ck_assert(!f.operations[i].request.found);
	}
	ck_assert(is_sync_found(100));
	ck_assert(!is_sync_found(SLOW_NAMES));
	ck_assert(!is_sync_found(SLOW_NAMES + 1));
}

static void *release_soon(void *context)
{
	struct timespec soon = { .tv_nsec = 20000000 };

	(void)context;
	nanosleep(&soon, NULL);
	slow_device_release(&f.s.device);
	return NULL;
}

START_TEST(what_is_cancelled_changes_nothing)
{
	begin(2, 16, 0);
	fill_queue(NULL);
	ck_assert_int_eq(submit(2, 5), 3);
	uds_index_queue_cancel(f.queue);
	ck_assert_int_eq(submit(5, 6), -ECANCELED);
	check_message("the queue was cancelled");
	/* All but those that wait for the device. */
	ck_assert_int_eq(reap(2), 2);
	slow_device_release(&f.s.device);
	ck_assert_int_eq(reap(3), 3);
	check_message("ancel");
	check_cancelled(5);
	end();
}
END_TEST

static void count_cancelled(struct uds_index_operation *operation)
{
	ck_assert_int_eq(operation->request.status, -ECANCELED);
	/* Nothing gets in any more. */
	ck_assert_int_eq(uds_index_submit(f.queue, &operation, 1, 0), -ECANCELED);
	calls++;
}

START_TEST(closing_cancels_what_is_in_the_queue)
{
	pthread_t thread;

	for (int with_callback = 0; with_callback < 2; with_callback++) {
		begin(2, 16, 0);
		calls = 0;
		fill_queue(with_callback ? count_cancelled : NULL);
		ck_assert_int_eq(submit(2, 5), 3);
		ck_assert_int_eq(pthread_create(&thread, NULL, release_soon, NULL), 0);
		uds_index_queue_close(f.queue);
		f.queue = NULL;
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		ck_assert_uint_eq(calls, with_callback ? 5 : 0);
		check_cancelled(5);
		end();
	}
}
END_TEST

START_TEST(closing_an_index_closes_its_queues)
{
	struct uds_index_queue *other;

	begin(2, 16, 0);
	calls = 0;
	ck_assert_int_eq(uds_index_queue_open(f.s.index, NULL, &other), 0);
	prepare(0, UDS_POST, SLOW_NAMES)->completed = count_cancelled;
	prepare(1, UDS_POST, SLOW_NAMES + 1);
	ck_assert_int_eq(submit(0, 1), 1);
	ck_assert_int_eq(uds_index_submit(other, f.pointers + 1, 1, 0), 1);
	ck_assert_int_eq(uds_index_close(f.s.index), 0);
	ck_assert_uint_eq(calls, 1);
	ck_assert_int_eq(f.operations[1].request.status, -ECANCELED);
	f.s.index = NULL;
	f.queue = NULL;
	end();
}
END_TEST

static void *cancel_soon(void *context)
{
	struct timespec soon = { .tv_nsec = 20000000 };

	nanosleep(&soon, NULL);
	uds_index_queue_cancel(context);
	return NULL;
}

/* A caller that waits for room, and one that waits for operations, both without end. */
START_TEST(cancelling_wakes_those_that_wait)
{
	pthread_t thread;

	for (uint32_t threads = 0; threads < 2; threads++) {
		begin(1, 1, threads);
		prepare(0, UDS_POST, SLOW_NAMES);
		prepare(1, UDS_POST, SLOW_NAMES + 1);
		ck_assert_int_eq(submit(0, 1), 1);
		ck_assert_int_eq(pthread_create(&thread, NULL, cancel_soon, f.queue), 0);
		ck_assert_int_eq(uds_index_submit(f.queue, f.pointers + 1, 1, -1), -ECANCELED);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		ck_assert_int_eq(reap(1), 1);
		end();
	}
}
END_TEST

/* ---- event loops ---- */

static bool is_readable(int descriptor, int timeout_ms)
{
	struct pollfd event = { .fd = descriptor, .events = POLLIN };

	return poll(&event, 1, timeout_ms) == 1;
}

START_TEST(the_descriptor_says_when_there_is_something_to_do)
{
	int descriptor, same;

	begin(2, 16, 0);
	ck_assert_int_eq(uds_index_queue_event_descriptor(f.queue, &descriptor), 0);
	ck_assert_int_eq(uds_index_queue_event_descriptor(f.queue, &same), 0);
	ck_assert_int_eq(descriptor, same);
	ck_assert(!is_readable(descriptor, 0));
	/* Something to carry out; then reads are under way. */
	slow_device_hold(&f.s.device);
	prepare(0, UDS_PEEK, 100);
	ck_assert_int_eq(submit(0, 1), 1);
	ck_assert(is_readable(descriptor, 0));
	ck_assert_int_eq(reap(0), 0);
	slow_device_wait(&f.s.device, 1);
	ck_assert(!is_readable(descriptor, 0));
	slow_device_release(&f.s.device);
	while (f.operations[0].request.status == 1) {
		ck_assert(is_readable(descriptor, 10000));
		(void)reap(0);
	}
	ck_assert(!is_readable(descriptor, 0));
	/* Done, and not handed out yet. */
	prepare(1, UDS_POST, SLOW_NAMES);
	prepare(2, UDS_POST, SLOW_NAMES + 1);
	ck_assert_int_eq(submit(1, 3), 2);
	ck_assert_int_eq(uds_index_reap(f.queue, f.done, 1, 0, 0), 1);
	ck_assert(is_readable(descriptor, 0));
	ck_assert_int_eq(reap(0), 1);
	ck_assert(!is_readable(descriptor, 0));
	end();
}
END_TEST

START_TEST(with_threads_the_descriptor_says_when_something_is_done)
{
	int descriptor;

	begin(2, 16, 1);
	ck_assert_int_eq(uds_index_queue_event_descriptor(f.queue, &descriptor), 0);
	slow_device_hold(&f.s.device);
	prepare(0, UDS_PEEK, 100);
	ck_assert_int_eq(submit(0, 1), 1);
	slow_device_wait(&f.s.device, 1);
	ck_assert(!is_readable(descriptor, 0));
	slow_device_release(&f.s.device);
	ck_assert(is_readable(descriptor, 10000));
	ck_assert_int_eq(reap(0), 1);
	ck_assert(!is_readable(descriptor, 0));
	end();
}
END_TEST

/* ---- with threads ---- */

START_TEST(threads_carry_out_what_nobody_reaps)
{
	begin(2, MOST, 2);
	calls = 0;
	for (unsigned int i = 0; i < MOST; i++)
		prepare(i, UDS_QUERY, 5 * i)->completed = count_call;
	ck_assert_int_eq(submit(0, MOST), MOST);
	/* Waits for all, and finds nothing to hand out. */
	ck_assert_int_eq(uds_index_reap(f.queue, NULL, 0, SIZE_MAX, -1), 0);
	ck_assert_uint_eq(calls, MOST);
	ck_assert(!pthread_equal(called_in, pthread_self()));
	/* Those without a callback are done, too. */
	for (unsigned int i = 0; i < MOST; i++)
		prepare(i, UDS_QUERY, 5 * i);
	ck_assert_int_eq(submit(0, MOST), MOST);
	for (int got = 0; got < MOST;)
		got += reap(1);
	for (unsigned int i = 0; i < MOST; i++)
		check_data(&f.operations[i], 5 * i, 1);
	end();
}
END_TEST

static atomic_bool may_return, has_returned;

static void return_late(struct uds_index_operation *operation)
{
	(void)operation;
	while (!atomic_load(&may_return))
		sched_yield();
	atomic_store(&has_returned, true);
}

/* Not until then may a program free what the callback uses. */
START_TEST(waiting_for_all_waits_for_callbacks)
{
	begin(1, 1, 1);
	prepare(0, UDS_QUERY, 1)->completed = return_late;
	ck_assert_int_eq(submit(0, 1), 1);
	/* In the callback there is room again. */
	while (uds_index_queue_in_flight(f.queue) > 0)
		sched_yield();
	ck_assert_int_eq(uds_index_reap(f.queue, NULL, 0, SIZE_MAX, 10), 0);
	ck_assert(!atomic_load(&has_returned));
	atomic_store(&may_return, true);
	ck_assert_int_eq(uds_index_reap(f.queue, NULL, 0, SIZE_MAX, -1), 0);
	ck_assert(atomic_load(&has_returned));
	end();
}
END_TEST

START_TEST(threads_make_room)
{
	begin(2, 2, 1);
	calls = 0;
	for (unsigned int i = 0; i < MOST; i++)
		prepare(i, UDS_QUERY, i)->completed = count_call;
	ck_assert_int_eq(uds_index_submit(f.queue, f.pointers, MOST, -1), MOST);
	ck_assert_int_eq(uds_index_reap(f.queue, NULL, 0, SIZE_MAX, -1), 0);
	ck_assert_uint_eq(calls, MOST);
	end();
}
END_TEST

START_TEST(closing_ends_the_threads)
{
	pthread_t thread;

	begin(2, 16, 2);
	calls = 0;
	slow_device_hold(&f.s.device);
	prepare(0, UDS_DELETE, 100)->completed = count_cancelled;
	prepare(1, UDS_DELETE, 100)->completed = count_cancelled;
	ck_assert_int_eq(submit(0, 2), 2);
	slow_device_wait(&f.s.device, 1);
	ck_assert_int_eq(pthread_create(&thread, NULL, release_soon, NULL), 0);
	uds_index_queue_close(f.queue);
	f.queue = NULL;
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(calls, 2);
	ck_assert(is_sync_found(100));
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("asynchronous operations");
	TCase *t = tcase_create("async");

	tcase_add_test(t, operations_are_carried_out_when_they_are_reaped);
	tcase_add_test(t, what_waits_in_the_queue_counts_until_it_is_handed_out);
	tcase_add_test(t, callbacks_are_called_by_the_thread_that_reaps);
	tcase_add_test(t, a_callback_may_submit_its_operation_again);
	tcase_add_test(t, callbacks_do_not_wait_for_their_queue);
	tcase_add_test(t, submitting_waits_for_room);
	tcase_add_test(t, reads_of_several_submissions_are_under_way_together);
	tcase_add_test(t, requests_with_one_name_keep_their_order);
	tcase_add_test(t, quick_reads_are_made_at_once);
	tcase_add_test(t, a_flush_makes_all_before_it_durable);
	tcase_add_test(t, flushes_are_joined);
	tcase_add_test(t, a_flush_that_fails_says_why);
	tcase_add_test(t, what_is_cancelled_changes_nothing);
	tcase_add_test(t, closing_cancels_what_is_in_the_queue);
	tcase_add_test(t, closing_an_index_closes_its_queues);
	tcase_add_test(t, cancelling_wakes_those_that_wait);
	tcase_add_test(t, the_descriptor_says_when_there_is_something_to_do);
	tcase_add_test(t, with_threads_the_descriptor_says_when_something_is_done);
	tcase_add_test(t, threads_carry_out_what_nobody_reaps);
	tcase_add_test(t, waiting_for_all_waits_for_callbacks);
	tcase_add_test(t, threads_make_room);
	tcase_add_test(t, closing_ends_the_threads);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
