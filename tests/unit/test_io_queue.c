/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queues: over memory and plain files (the loop of queue.c), over io_uring, over a kernel that
 * refuses io_uring, and over a backend that misbehaves.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <uds/io.h>

#include "check_main.h"

#define FILE_BYTES (256 * 1024)
#define DEPTH	   32

enum backend { MEMORY, PLAIN, URING, URING_DIRECT, BACKENDS };

static char path[300];
static int refusals; /* log lines about io_uring being refused */

static void make_path(void)
{
	ck_assert_ptr_nonnull(scratch_dir());
	snprintf(path, sizeof(path), "%s/file", scratch_dir());
}

static void remove_path(void)
{
	unlink(path);
	rmdir(scratch_dir());
}

static void count_refusals(void *context, enum uds_log_level level, const char *sentence)
{
	(void)context;
	(void)level;
	refusals += strstr(sentence, "refuses io_uring") != NULL;
}

static struct uds_io *open_backend(enum backend backend)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_env env = UDS_ENV_INIT;
	struct uds_message message;
	struct uds_io *io = NULL;
	int r;

	env.log = count_refusals;
	options.write = true;
	options.create = true;
	options.uring = backend != PLAIN;
	if (backend == URING_DIRECT)
		options.direct = UDS_IO_DIRECT_AUTO;
	if (backend == MEMORY)
		r = uds_io_open_memory(0, 512, &env, &io);
	else
		r = uds_io_open_file(path, &options, &env, &message, &io);
	ck_assert_msg(r == 0, "%s", message.text);
	ck_assert_int_eq(uds_io_resize(io, FILE_BYTES), 0);
	return io;
}

static struct uds_io_request make_request(enum uds_io_kind kind, void *buffer, size_t length,
					  uint64_t offset)
{
	struct uds_io_request request = { kind, 12345, buffer, offset, length, NULL };

	request.user = buffer;
	return request;
}

/* Submits one request and returns its status. */
static int carry_out(struct uds_io_queue *queue, struct uds_io_request request)
{
	struct uds_io_request *one = &request, *done[2];

	ck_assert_int_eq(uds_io_queue_submit(queue, &one, 1), 0);
	ck_assert_int_eq(uds_io_queue_reap(queue, done, 2), 1);
	ck_assert_ptr_eq(done[0], &request);
	ck_assert_ptr_eq(request.user, request.buffer);
	return request.status;
}

static uint8_t *make_buffer(size_t bytes)
{
	uint8_t *buffer = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);

	ck_assert_ptr_nonnull(buffer);
	memset(buffer, 0, bytes);
	return buffer;
}

static uint64_t next_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

/* Random whole pages, none of them twice in one round; checked against an array. */
START_TEST(many_requests_do_what_single_ones_would)
{
	struct uds_io *io = open_backend((enum backend)_i);
	uint8_t *model = make_buffer(FILE_BYTES), *buffers = make_buffer(DEPTH * 4096);
	struct uds_io_request requests[DEPTH], *all[DEPTH], *done[DEPTH];
	struct uds_io_queue *queue;
	uint64_t random = 42;

	ck_assert_int_eq(uds_io_queue_open(io, DEPTH, &queue), 0);
	for (int round = 0; round < 200; round++) {
		size_t count = 1 + next_random(&random) % DEPTH, reaped = 0;
		uint64_t first = next_random(&random) % (FILE_BYTES / 4096);

		for (size_t i = 0; i < count; i++) {
			uint64_t page = (first + i * 5) % (FILE_BYTES / 4096);
			bool write = next_random(&random) % 2 == 0;

			requests[i] = make_request(write ? UDS_IO_WRITE : UDS_IO_READ,
						   buffers + i * 4096, 4096, page * 4096);
			memset(requests[i].buffer, round ^ (int)i, 4096);
			if (write)
				memcpy(model + page * 4096, requests[i].buffer, 4096);
			all[i] = &requests[i];
		}
		if (count < DEPTH) { /* the rest of the depth at once is one too many */
			requests[count] = make_request(UDS_IO_FLUSH, NULL, 0, 0);
			all[count] = &requests[count];
			count++;
		}
		ck_assert_int_eq(uds_io_queue_submit(queue, all, count / 2), 0);
		ck_assert_int_eq(uds_io_queue_submit(queue, all + count / 2, count - count / 2), 0);
		while (reaped < count) {
			int n = uds_io_queue_reap(queue, done, 1 + next_random(&random) % DEPTH);

			ck_assert_int_gt(n, 0);
			for (int i = 0; i < n; i++) {
				ck_assert_int_eq(done[i]->status, 0);
				if (done[i]->kind == UDS_IO_READ)
					ck_assert_mem_eq(done[i]->buffer, model + done[i]->offset,
							 4096);
				done[i]->status = 12345; /* seen: none comes twice */
			}
			reaped += (size_t)n;
		}
		ck_assert_uint_eq(reaped, count);
		for (size_t i = 0; i < count; i++)
			ck_assert_int_eq(requests[i].status, 12345);
		ck_assert_int_eq(uds_io_queue_reap(queue, done, DEPTH), 0);
	}
	uds_io_queue_close(queue);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(model);
	free(buffers);
}
END_TEST

START_TEST(each_request_has_its_own_error)
{
	struct uds_io *io = open_backend((enum backend)_i);
	size_t block = uds_io_block_bytes(io) > 1 ? uds_io_block_bytes(io) : 512;
	uint8_t *buffer = make_buffer(8192);
	struct uds_io_request requests[5], *all[5], *done[5];
	struct uds_io_queue *queue;
	int count = 0;

	ck_assert_int_eq(uds_io_queue_open(io, 5, &queue), 0);
	requests[0] = make_request(UDS_IO_READ, buffer, block, 0);
	requests[1] = make_request(UDS_IO_READ, buffer, block, FILE_BYTES);
	requests[2] = make_request(UDS_IO_WRITE, buffer, 2 * block, FILE_BYTES - block);
	requests[3] = make_request(UDS_IO_WRITE, buffer, 0, 0);
	requests[4] = make_request(UDS_IO_WRITE, buffer + block, block, block);
	for (int i = 0; i < 5; i++)
		all[i] = &requests[i];
	ck_assert_int_eq(uds_io_queue_submit(queue, all, 5), 0);
	while (count < 5) {
		int n = uds_io_queue_reap(queue, done, 5);

		ck_assert_int_gt(n, 0);
		count += n;
	}
	ck_assert_int_eq(requests[0].status, 0);
	ck_assert_int_eq(requests[1].status, UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(requests[2].status, UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(requests[3].status, 0);
	ck_assert_int_eq(requests[4].status, 0);
	if (uds_io_block_bytes(io) > 1) {
		ck_assert_int_eq(
			carry_out(queue, make_request(UDS_IO_READ, buffer, block, block / 2)),
			UDS_ERR_UNALIGNED);
		ck_assert_int_eq(carry_out(queue, make_request(UDS_IO_WRITE, buffer, block - 1, 0)),
				 UDS_ERR_UNALIGNED);
	}
	/* An end that no block is on: a read that reaches over it is out of range, not short. */
	if (uds_io_block_bytes(io) == 1) {
		ck_assert_int_eq(uds_io_resize(io, 1000), 0);
		ck_assert_int_eq(carry_out(queue, make_request(UDS_IO_READ, buffer, 1000, 0)), 0);
		ck_assert_int_eq(carry_out(queue, make_request(UDS_IO_READ, buffer, 1001, 0)),
				 UDS_ERR_OUT_OF_RANGE);
	}
	ck_assert_int_eq(carry_out(queue, make_request((enum uds_io_kind)9, buffer, 512, 0)),
			 -EINVAL);
	uds_io_queue_close(queue);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(buffer);
}
END_TEST

START_TEST(no_more_than_the_depth_is_taken)
{
	struct uds_io *io = open_backend((enum backend)_i);
	uint8_t *buffer = make_buffer(4096);
	struct uds_io_request requests[3], *all[3], *done[3];
	struct uds_io_queue *queue;
	int n;

	ck_assert_int_eq(uds_io_queue_open(io, 0, &queue), -EINVAL);
	ck_assert_int_eq(uds_io_queue_open(io, 4097, &queue), -EINVAL);
	ck_assert_int_eq(uds_io_queue_open(io, 4096, &queue), 0);
	uds_io_queue_close(queue);
	ck_assert_int_eq(uds_io_queue_open(io, 2, &queue), 0);
	ck_assert_int_eq(uds_io_queue_reap(queue, done, 3), 0);
	for (int i = 0; i < 3; i++) {
		requests[i] = make_request(UDS_IO_READ, buffer, 4096, 0);
		all[i] = &requests[i];
	}
	ck_assert_int_eq(uds_io_queue_submit(queue, all, 3), -EBUSY);
	ck_assert_int_eq(requests[0].status, 12345);
	ck_assert_int_eq(uds_io_queue_submit(queue, all, 2), 0);
	ck_assert_int_eq(uds_io_queue_submit(queue, all + 2, 1), -EBUSY);
	ck_assert_int_eq(uds_io_queue_reap(queue, done, 0), 0);
	n = uds_io_queue_reap(queue, done, 1);
	ck_assert_int_eq(n, 1);
	ck_assert_int_eq(uds_io_queue_submit(queue, all + 2, 1), 0);
	/* Closing waits for the two that are still out. */
	uds_io_queue_close(queue);
	ck_assert_int_eq(requests[2].status, 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	uds_io_queue_close(NULL);
	free(buffer);
}
END_TEST

START_TEST(short_transfers_go_on_until_the_error)
{
	struct rlimit limit = { 8192, RLIM_INFINITY };
	struct uds_io *io = open_backend((enum backend)_i);
	uint8_t *buffer = make_buffer(65536);
	struct uds_io_queue *queue;

	if (_i == MEMORY) {
		ck_assert_int_eq(uds_io_close(io), 0);
		free(buffer);
		return;
	}
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(uds_io_queue_open(io, 4, &queue), 0);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(carry_out(queue, make_request(UDS_IO_WRITE, buffer, 65536, 0)), -EFBIG);
	ck_assert_int_eq(carry_out(queue, make_request(UDS_IO_WRITE, buffer, 4096, 4096)), 0);
	uds_io_queue_close(queue);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(buffer);
}
END_TEST

/* From here on io_uring_setup fails in this process, as under a strict container. */
static bool forbid_io_uring(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

START_TEST(a_kernel_that_refuses_io_uring_is_done_without)
{
	struct uds_io *io = open_backend(URING);
	uint8_t *buffer = make_buffer(4096);
	struct uds_io_queue *queue;

	if (!forbid_io_uring()) {
		note_skip("a_kernel_that_refuses_io_uring_is_done_without: no seccomp: %s",
			  strerror(errno));
	} else {
		refusals = 0;
		memset(buffer, 5, 4096);
		ck_assert_int_eq(uds_io_queue_open(io, 4, &queue), 0);
#ifdef HAVE_LIBURING
		ck_assert_int_eq(refusals, 1);
#endif
		ck_assert_int_eq(carry_out(queue, make_request(UDS_IO_WRITE, buffer, 4096, 0)), 0);
		ck_assert_int_eq(carry_out(queue, make_request(UDS_IO_FLUSH, NULL, 0, 0)), 0);
		memset(buffer, 6, 4096);
		ck_assert_int_eq(carry_out(queue, make_request(UDS_IO_READ, buffer, 4096, 0)), 0);
		ck_assert_int_eq(buffer[4095], 5);
		uds_io_queue_close(queue);
	}
	ck_assert_int_eq(uds_io_close(io), 0);
	free(buffer);
}
END_TEST

START_TEST(io_uring_is_really_used_where_it_is_there)
{
	struct uds_io *io = open_backend(URING);
	struct uds_io_queue *queue;
	char link[300], name[40];
	bool ring = false;

	refusals = 0;
	ck_assert_int_eq(uds_io_queue_open(io, 4, &queue), 0);
	for (int fd = 0; fd < 64; fd++) {
		ssize_t n;

		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		n = readlink(name, link, sizeof(link) - 1);
		link[n < 0 ? 0 : n] = '\0';
		ring |= strstr(link, "io_uring") != NULL;
	}
	uds_io_queue_close(queue);
	ck_assert_int_eq(uds_io_close(io), 0);
#ifdef HAVE_LIBURING
	if (refusals > 0)
		skip_test("io_uring_is_really_used_where_it_is_there: the kernel refuses it");
	ck_assert(ring);
#else
	ck_assert(!ring);
	skip_test("io_uring_is_really_used_where_it_is_there: built without liburing");
#endif
}
END_TEST

struct worker {
	struct uds_io *io;
	int number;
	int failures;
};

/* Writes and reads pages of its own through a queue of its own, and flushes now and then. */
static void *work(void *context)
{
	struct worker *worker = context;
	uint8_t *buffer = make_buffer(4096);
	struct uds_io_queue *queue;

	ck_assert_int_eq(uds_io_queue_open(worker->io, 4, &queue), 0);
	for (int round = 0; round < 100; round++) {
		uint64_t offset = (uint64_t)(worker->number + round % 16 * 4) * 4096;

		memset(buffer, worker->number * 16 + round, 4096);
		if (round % 2 == 0)
			carry_out(queue, make_request(UDS_IO_WRITE, buffer, 4096, offset));
		else
			worker->failures += uds_io_write(worker->io, buffer, 4096, offset) < 0;
		if (round % 32 == 0)
			worker->failures += uds_io_flush(worker->io) < 0;
		memset(buffer, 0, 4096);
		carry_out(queue, make_request(UDS_IO_READ, buffer, 4096, offset));
		worker->failures += buffer[4095] != (uint8_t)(worker->number * 16 + round);
	}
	uds_io_queue_close(queue);
	free(buffer);
	return NULL;
}

START_TEST(threads_share_an_io_with_a_queue_each)
{
	struct uds_io *io = open_backend((enum backend)_i);
	struct worker workers[4];
	pthread_t threads[4];

	for (int i = 0; i < 4; i++) {
		workers[i] = (struct worker){ io, i, 0 };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(workers[i].failures, 0);
	}
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

/* A backend with queues whose submit or reap fail. */
static int bad_submit_status, bad_reap_status;
static struct uds_io_request *bad_held[8];
static size_t bad_count;

static int bad_transfer(void *context, void *buffer, size_t length, uint64_t offset)
{
	(void)context, (void)buffer, (void)length, (void)offset;
	return 0;
}

static int bad_flush(void *context)
{
	(void)context;
	return 0;
}

static int bad_size(void *context, uint64_t *ret_bytes)
{
	(void)context;
	*ret_bytes = 4096;
	return 0;
}

static int bad_open_queue(void *context, unsigned int depth, void **ret_queue)
{
	(void)context;
	if (depth == 7)
		return -EMFILE;
	*ret_queue = &bad_held;
	return 0;
}

static int bad_submit(void *queue, struct uds_io_request *const *requests, size_t count)
{
	(void)queue;
	if (bad_submit_status < 0)
		return bad_submit_status;
	for (size_t i = 0; i < count; i++)
		bad_held[bad_count++] = requests[i];
	return 0;
}

static int bad_reap(void *queue, struct uds_io_request **ret_done, size_t room)
{
	(void)queue, (void)room;
	if (bad_reap_status < 0)
		return bad_reap_status;
	ret_done[0] = bad_held[--bad_count];
	ret_done[0]->status = 0;
	return 1;
}

static void bad_close_queue(void *queue)
{
	(void)queue;
}

START_TEST(errors_of_a_backends_queue_reach_the_caller)
{
	struct uds_io_ops ops = { .size = sizeof(ops),
				  .read = bad_transfer,
				  .flush = bad_flush,
				  .get_size = bad_size,
				  .close = bad_flush,
				  .open_queue = bad_open_queue,
				  .submit = bad_submit,
				  .reap = bad_reap,
				  .close_queue = bad_close_queue };
	struct uds_io_request request[2], *all[2] = { &request[0], &request[1] }, *done[2];
	struct uds_io_queue *queue;
	struct uds_io *io;
	char byte;

	ck_assert_int_eq(uds_io_open_ops(&ops, NULL, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_queue_open(io, 7, &queue), -EMFILE);
	ck_assert_int_eq(uds_io_queue_open(io, 2, &queue), 0);
	request[0] = make_request(UDS_IO_READ, &byte, 1, 0);
	request[1] = make_request(UDS_IO_WRITE, &byte, 1, 0);
	/* The read is refused by the backend, the write before it is asked. */
	bad_submit_status = -EIO;
	ck_assert_int_eq(uds_io_queue_submit(queue, all, 2), 0);
	ck_assert_int_eq(uds_io_queue_reap(queue, done, 2), 2);
	ck_assert_int_eq(request[0].status, -EIO);
	ck_assert_int_eq(request[1].status, UDS_ERR_READ_ONLY);
	bad_submit_status = 0;
	bad_reap_status = -ENXIO;
	ck_assert_int_eq(uds_io_queue_submit(queue, all, 1), 0);
	ck_assert_int_eq(uds_io_queue_reap(queue, done, 2), -ENXIO);
	bad_reap_status = 0;
	ck_assert_int_eq(uds_io_queue_reap(queue, done, 2), 1);
	ck_assert_int_eq(request[0].status, 0);
	uds_io_queue_close(queue);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io_queue");
	TCase *tc = tcase_create("queue");

	tcase_add_checked_fixture(tc, make_path, remove_path);
	tcase_add_loop_test(tc, many_requests_do_what_single_ones_would, 0, BACKENDS);
	tcase_add_loop_test(tc, each_request_has_its_own_error, 0, BACKENDS);
	tcase_add_loop_test(tc, no_more_than_the_depth_is_taken, 0, BACKENDS);
	tcase_add_loop_test(tc, short_transfers_go_on_until_the_error, 0, BACKENDS);
	tcase_add_loop_test(tc, threads_share_an_io_with_a_queue_each, 0, BACKENDS);
	tcase_add_test(tc, a_kernel_that_refuses_io_uring_is_done_without);
	tcase_add_test(tc, io_uring_is_really_used_where_it_is_there);
	tcase_add_test(tc, errors_of_a_backends_queue_reach_the_caller);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
