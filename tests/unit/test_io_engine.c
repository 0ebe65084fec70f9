/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Engines: over memory, plain files and plain backends (threads), io_uring, a kernel that refuses
 * it, a backend that completes requests from a thread of its own, and one that has to be reaped.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <uds/engine.h>
#include <uds/io.h>

#include "check_main.h"
#include "fault_io.h"
#include "torture_env.h"

#define FILE_BYTES (256 * 1024)
#define DEPTH	   32

enum backend {
	MEMORY,
	PLAIN,
	URING,
	URING_DIRECT,
	CUSTOM, /* read, write, flush and size only */
	PUSH,	/* submit, and completes them from a thread */
	PULL,	/* submit and reap */
	BACKENDS
};

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
}

static void count_refusals(void *context, enum uds_log_level level, const char *sentence)
{
	(void)context;
	(void)level;
	refusals += strstr(sentence, "refuses io_uring") != NULL;
}

/* ---- backends of the test's own, over memory ---- */

struct own {
	struct uds_io *below;
	_Atomic unsigned int flushes, durable_writes, zeroes;
	_Atomic unsigned int inside, most_inside; /* reads at the same time */
	unsigned int read_us;
	bool held; /* requests are kept until it is let go */

	/* PUSH */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct uds_io_request *waiting[4096];
	size_t count;
	bool stop;
};

static struct own *last_own;

static int own_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	struct own *own = context;
	unsigned int inside = atomic_fetch_add(&own->inside, 1) + 1;
	unsigned int most = atomic_load(&own->most_inside);

	while (inside > most && !atomic_compare_exchange_weak(&own->most_inside, &most, inside))
		;
	if (own->read_us > 0)
		usleep(own->read_us);
	atomic_fetch_sub(&own->inside, 1);
	return uds_io_read(own->below, buffer, length, offset);
}

static int own_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	return uds_io_write(((struct own *)context)->below, buffer, length, offset);
}

static int own_write_durable(void *context, const void *buffer, size_t length, uint64_t offset)
{
	struct own *own = context;

	atomic_fetch_add(&own->durable_writes, 1);
	return uds_io_write(own->below, buffer, length, offset);
}

static int own_write_zeroes(void *context, uint64_t offset, uint64_t length)
{
	struct own *own = context;

	atomic_fetch_add(&own->zeroes, 1);
	if (length == 4096)
		return -EOPNOTSUPP; /* not these */
	return uds_io_write_zeroes(own->below, offset, length);
}

static int own_flush(void *context)
{
	struct own *own = context;

	atomic_fetch_add(&own->flushes, 1);
	return 0;
}

static int own_size(void *context, uint64_t *ret_bytes)
{
	return uds_io_size(((struct own *)context)->below, ret_bytes);
}

static int own_resize(void *context, uint64_t bytes)
{
	return uds_io_resize(((struct own *)context)->below, bytes);
}

static int own_close(void *context)
{
	struct own *own = context;

	if (own->thread != 0) {
		pthread_mutex_lock(&own->lock);
		own->stop = true;
		pthread_cond_signal(&own->changed);
		pthread_mutex_unlock(&own->lock);
		pthread_join(own->thread, NULL);
	}
	uds_io_close(own->below);
	pthread_mutex_destroy(&own->lock);
	pthread_cond_destroy(&own->changed);
	free(own);
	return 0;
}

static int own_submit(void *context, struct uds_io_request *const *requests, size_t count)
{
	struct own *own = context;

	pthread_mutex_lock(&own->lock);
	for (size_t i = 0; i < count; i++)
		own->waiting[own->count++] = requests[i];
	pthread_cond_signal(&own->changed);
	pthread_mutex_unlock(&own->lock);
	return 0;
}

static void *own_thread(void *context)
{
	struct own *own = context;

	pthread_mutex_lock(&own->lock);
	while (!own->stop || own->count > 0) {
		struct uds_io_request *request;
		int status = 0;

		if (own->count == 0 || own->held) {
			pthread_cond_wait(&own->changed, &own->lock);
			continue;
		}
		request = own->waiting[--own->count]; /* the last one first */
		pthread_mutex_unlock(&own->lock);
		if (request->kind == UDS_IO_READ)
			status = own_read(own, request->buffer, (size_t)request->length,
					  request->offset);
		else if (request->kind == UDS_IO_WRITE)
			status = own_write(own, request->buffer, (size_t)request->length,
					   request->offset);
		uds_io_request_complete(request, status);
		pthread_mutex_lock(&own->lock);
	}
	pthread_mutex_unlock(&own->lock);
	return NULL;
}

static void let_go(struct own *own)
{
	pthread_mutex_lock(&own->lock);
	own->held = false;
	pthread_cond_signal(&own->changed);
	pthread_mutex_unlock(&own->lock);
}

static struct uds_io *open_own(bool push, bool more)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_io_ops ops = UDS_IO_OPS_INIT;
	struct own *own = calloc(1, sizeof(*own));
	struct uds_io *io;

	ck_assert_ptr_nonnull(own);
	ops.read = own_read;
	ops.write = own_write;
	ops.flush = own_flush;
	ops.get_size = own_size;
	ops.resize = own_resize;
	ops.close = own_close;
	ops.submit = push ? own_submit : NULL;
	ops.write_durable = more ? own_write_durable : NULL;
	ops.write_zeroes = more ? own_write_zeroes : NULL;
	limits.name = "own";
	limits.block_bytes = 512;
	ck_assert_int_eq(uds_io_open_memory(FILE_BYTES, 512, NULL, NULL, &own->below), 0);
	pthread_mutex_init(&own->lock, NULL);
	pthread_cond_init(&own->changed, NULL);
	ck_assert_int_eq(uds_io_open_ops(&ops, own, &limits, NULL, NULL, &io), 0);
	if (push)
		ck_assert_int_eq(pthread_create(&own->thread, NULL, own_thread, own), 0);
	last_own = own;
	return io;
}

static struct fault_plan plan; /* of PULL */

static struct uds_io *open_pull(void)
{
	struct uds_io *memory, *io;

	fault_plan_start(&plan);
	plan.queues = true;
	ck_assert_int_eq(uds_io_open_memory(FILE_BYTES, 512, NULL, NULL, &memory), 0);
	ck_assert_int_eq(fault_io_open(&plan, memory, NULL, &io), 0);
	return io;
}

static struct uds_io *open_backend(enum backend backend)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message;
	struct uds_io *io = NULL;
	int r;

	options.write = true;
	options.create = true;
	options.uring = backend == URING || backend == URING_DIRECT;
	if (backend == URING_DIRECT)
		options.direct = UDS_IO_DIRECT_AUTO;
	if (backend == CUSTOM || backend == PUSH)
		return open_own(backend == PUSH, false);
	if (backend == PULL)
		return open_pull();
	if (backend == MEMORY)
		r = uds_io_open_memory(0, 512, NULL, NULL, &io);
	else
		r = uds_io_open_file(path, &options, NULL, &message, &io);
	ck_assert_msg(r == 0, "%s", message.text);
	ck_assert_int_eq(uds_io_resize(io, FILE_BYTES), 0);
	return io;
}

static struct uds_io_engine *open_engine(unsigned int depth)
{
	struct uds_io_engine_options options = UDS_IO_ENGINE_OPTIONS_INIT;
	struct uds_io_engine *engine;
	struct uds_env env = UDS_ENV_INIT;

	env.log = count_refusals;
	options.depth = depth;
	options.threads = 4;
	ck_assert_int_eq(uds_io_engine_open(&options, &env, NULL, &engine), 0);
	return engine;
}

static struct uds_io_request make_request(struct uds_io *io, enum uds_io_kind kind, void *buffer,
					  size_t length, uint64_t offset)
{
	return (struct uds_io_request){ .io = io,
					.kind = kind,
					.buffer = buffer,
					.length = length,
					.offset = offset,
					.user = buffer,
					.status = 12345 };
}

/* Submits one request and returns its status. */
static int carry_out(struct uds_io_engine *engine, struct uds_io_request request)
{
	struct uds_io_request *one = &request, *done[2];

	ck_assert_int_eq(uds_io_engine_submit(engine, &one, 1), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 2, 1, -1), 1);
	ck_assert_ptr_eq(done[0], &request);
	ck_assert_ptr_eq(request.user, request.buffer);
	ck_assert_ptr_null(request.engine);
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

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Random whole pages, none of them twice in one round; checked against an array. */
START_TEST(many_requests_do_what_single_ones_would)
{
	struct uds_io *io = open_backend((enum backend)_i);
	struct uds_io_engine *engine = open_engine(DEPTH);
	uint8_t *model = make_buffer(FILE_BYTES), *buffers = make_buffer(DEPTH * 4096);
	struct uds_io_request requests[DEPTH], *all[DEPTH], *done[DEPTH];
	uint64_t random = 42;

	for (int round = 0; round < 200; round++) {
		size_t count = 1 + next_random(&random) % DEPTH, reaped = 0;
		uint64_t first = next_random(&random) % (FILE_BYTES / 4096);

		for (size_t i = 0; i < count; i++) {
			uint64_t page = (first + i * 5) % (FILE_BYTES / 4096);
			bool write = next_random(&random) % 2 == 0;

			requests[i] = make_request(io, write ? UDS_IO_WRITE : UDS_IO_READ,
						   buffers + i * 4096, 4096, page * 4096);
			memset(requests[i].buffer, round ^ (int)i, 4096);
			if (write)
				memcpy(model + page * 4096, requests[i].buffer, 4096);
			all[i] = &requests[i];
		}
		if (count < DEPTH) {
			requests[count] = make_request(io, UDS_IO_FLUSH, NULL, 0, 0);
			all[count] = &requests[count];
			count++;
		}
		ck_assert_int_eq(uds_io_engine_submit(engine, all, count / 2), 0);
		ck_assert_int_eq(uds_io_engine_submit(engine, all + count / 2, count - count / 2),
				 0);
		while (reaped < count) {
			size_t room = 1 + next_random(&random) % DEPTH;
			size_t least = next_random(&random) % (room + 1);
			int n = uds_io_engine_reap(engine, done, room, least, -1);

			ck_assert_int_ge(n, 0);
			ck_assert_int_ge(n, (int)(least < count - reaped ? least : count - reaped));
			for (int i = 0; i < n; i++) {
				ck_assert_int_eq(done[i]->status, 0);
				if (done[i]->kind == UDS_IO_READ)
					ck_assert_mem_eq(done[i]->buffer, model + done[i]->offset,
							 4096);
				done[i]->status = 54321; /* seen: none comes twice */
			}
			reaped += (size_t)n;
			ck_assert_uint_eq(uds_io_engine_in_flight(engine), count - reaped);
		}
		for (size_t i = 0; i < count; i++)
			ck_assert_int_eq(requests[i].status, 54321);
		ck_assert_int_eq(uds_io_engine_reap(engine, done, DEPTH, 1, -1), 0);
	}
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(model);
	free(buffers);
}
END_TEST

START_TEST(each_request_has_its_own_error)
{
	struct uds_io *io = open_backend((enum backend)_i);
	struct uds_io_engine *engine = open_engine(6);
	size_t block = uds_io_block_bytes(io) > 1 ? uds_io_block_bytes(io) : 512;
	uint8_t *buffer = make_buffer(8192);
	struct uds_io_request requests[6], *all[6], *done[6];

	requests[0] = make_request(io, UDS_IO_READ, buffer, block, 0);
	requests[1] = make_request(io, UDS_IO_READ, buffer, block, FILE_BYTES);
	requests[2] = make_request(io, UDS_IO_WRITE, buffer, 2 * block, FILE_BYTES - block);
	requests[3] = make_request(io, UDS_IO_WRITE, buffer, 0, 0);
	requests[4] = make_request(io, UDS_IO_WRITE, buffer + block, block, block);
	requests[5] = make_request(NULL, UDS_IO_WRITE, buffer + block, block, block);
	for (int i = 0; i < 6; i++)
		all[i] = &requests[i];
	ck_assert_int_eq(uds_io_engine_submit(engine, all, 6), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 6, 6, -1), 6);
	ck_assert_int_eq(requests[0].status, 0);
	ck_assert_int_eq(requests[1].status, UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(requests[2].status, UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(requests[3].status, 0);
	ck_assert_int_eq(requests[4].status, 0);
	ck_assert_int_eq(requests[5].status, -EINVAL);
	if (uds_io_block_bytes(io) > 1) {
		ck_assert_int_eq(
			carry_out(engine, make_request(io, UDS_IO_READ, buffer, block, block / 2)),
			UDS_ERR_UNALIGNED);
		ck_assert_int_eq(
			carry_out(engine, make_request(io, UDS_IO_WRITE, buffer, block - 1, 0)),
			UDS_ERR_UNALIGNED);
		ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_WRITE_ZEROES, NULL,
								block - 1, 0)),
				 UDS_ERR_UNALIGNED);
	}
	/* An end that no block is on: a read that reaches over it is out of range, not short. */
	if (uds_io_block_bytes(io) == 1) {
		ck_assert_int_eq(uds_io_resize(io, 1000), 0);
		ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_READ, buffer, 1000, 0)),
				 0);
		ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_READ, buffer, 1001, 0)),
				 UDS_ERR_OUT_OF_RANGE);
	}
	ck_assert_int_eq(carry_out(engine, make_request(io, (enum uds_io_kind)0, buffer, 512, 0)),
			 -EINVAL);
	ck_assert_int_eq(carry_out(engine, make_request(io, (enum uds_io_kind)9, buffer, 512, 0)),
			 -EINVAL);
	requests[0] = make_request(io, UDS_IO_READ, buffer, block, 0);
	requests[0].flags = UDS_IO_FUA; /* of a read */
	ck_assert_int_eq(carry_out(engine, requests[0]), -EINVAL);
	requests[0] = make_request(io, UDS_IO_WRITE, buffer, block, 0);
	requests[0].flags = 2;
	ck_assert_int_eq(carry_out(engine, requests[0]), -EINVAL);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(buffer);
}
END_TEST

START_TEST(no_more_than_the_depth_is_taken)
{
	struct uds_io_engine_options options = UDS_IO_ENGINE_OPTIONS_INIT;
	struct uds_io *io = open_backend((enum backend)_i);
	uint8_t *buffer = make_buffer(3 * 4096);
	struct uds_io_request requests[3], *all[3], *done[3];
	struct uds_io_engine *engine = (struct uds_io_engine *)1;
	struct uds_message message;

	options.depth = 0;
	ck_assert_int_eq(uds_io_engine_open(&options, NULL, &message, &engine), -EINVAL);
	options.depth = 4097;
	ck_assert_int_eq(uds_io_engine_open(&options, NULL, &message, &engine), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message.text, "depth 4097"));
	options.depth = 4096;
	options.threads = 257;
	ck_assert_int_eq(uds_io_engine_open(&options, NULL, &message, &engine), -EINVAL);
	ck_assert_ptr_nonnull(strstr(message.text, "257 threads"));
	ck_assert_ptr_eq(engine, (struct uds_io_engine *)1);
	options.threads = 256;
	ck_assert_int_eq(uds_io_engine_open(&options, NULL, &message, &engine), 0);
	uds_io_engine_close(engine);
	engine = open_engine(2);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 3, 3, -1), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 2, 3, -1), -EINVAL);
	for (int i = 0; i < 3; i++) {
		requests[i] = make_request(io, UDS_IO_READ, buffer + i * 4096, 4096, 0);
		all[i] = &requests[i];
	}
	ck_assert_int_eq(uds_io_engine_submit(engine, all, 3), -EBUSY);
	ck_assert_int_eq(requests[0].status, 12345);
	ck_assert_int_eq(uds_io_engine_submit(engine, all, 2), 0);
	ck_assert_int_eq(uds_io_engine_submit(engine, all + 2, 1), -EBUSY);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 0, 0, -1), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 1, 1, -1), 1);
	ck_assert_int_eq(uds_io_engine_submit(engine, all + 2, 1), 0);
	/* Closing waits for the two that are still out. */
	uds_io_engine_close(engine);
	ck_assert_int_eq(requests[2].status, 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	uds_io_engine_close(NULL);
	free(buffer);
}
END_TEST

START_TEST(short_transfers_go_on_until_the_error)
{
	struct rlimit limit = { 8192, RLIM_INFINITY };
	struct uds_io *io = open_backend((enum backend)_i);
	uint8_t *buffer = make_buffer(65536);
	struct uds_io_engine *engine = open_engine(4);

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_WRITE, buffer, 65536, 0)),
			 -EFBIG);
	ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_WRITE, buffer, 4096, 4096)), 0);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(buffer);
}
END_TEST

/* All kinds, and FUA, against what is there afterwards. */
START_TEST(every_kind_is_done)
{
	struct uds_io *io = open_backend((enum backend)_i);
	struct uds_io_engine *engine = open_engine(4);
	uint8_t *buffer = make_buffer(65536), *zeroes = make_buffer(65536);
	struct uds_io_request request;

	memset(buffer, 7, 65536);
	request = make_request(io, UDS_IO_WRITE, buffer, 65536, 4096);
	request.flags = UDS_IO_FUA;
	ck_assert_int_eq(carry_out(engine, request), 0);
	ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_FLUSH, NULL, 0, 0)), 0);
	request = make_request(io, UDS_IO_WRITE_ZEROES, NULL, 8192, 8192);
	request.flags = UDS_IO_FUA;
	ck_assert_int_eq(carry_out(engine, request), 0);
	ck_assert_int_eq(
		carry_out(engine, make_request(io, UDS_IO_WRITE_ZEROES, NULL, 8192, FILE_BYTES)),
		UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_write_zeroes(io, 32768, 4096), 0);
	ck_assert_int_eq(uds_io_write_zeroes(io, 100, 0),
			 uds_io_block_bytes(io) == 1 ? 0 : UDS_ERR_UNALIGNED);
	memset(buffer, 9, 65536);
	ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_READ, buffer, 65536, 4096)), 0);
	ck_assert_int_eq(buffer[4095], 7);
	ck_assert_mem_eq(buffer + 4096, zeroes, 8192);
	ck_assert_int_eq(buffer[4096 + 8192], 7);
	ck_assert_mem_eq(buffer + 32768 - 4096, zeroes, 4096);
	ck_assert_int_eq(buffer[32768], 7);
	ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_DISCARD, NULL, 4096, 4096)),
			 uds_io_discard(io, 4096, 4096));
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(buffer);
	free(zeroes);
}
END_TEST

START_TEST(what_a_backend_can_do_is_left_to_it)
{
	struct uds_io *io = open_own(false, _i == 1);
	struct uds_io_engine *engine = open_engine(4);
	struct own *own = last_own;
	uint8_t *buffer = make_buffer(8192);
	struct uds_io_request request = make_request(io, UDS_IO_WRITE, buffer, 512, 0);
	unsigned int flushes;

	memset(buffer, 3, 8192);
	ck_assert_int_eq(carry_out(engine, request), 0);
	ck_assert_uint_eq(own->flushes, 0);
	request.flags = UDS_IO_FUA;
	request.status = 12345;
	ck_assert_int_eq(carry_out(engine, request), 0);
	ck_assert_uint_eq(own->durable_writes, _i == 1);
	ck_assert_uint_eq(own->flushes, _i != 1);
	ck_assert_int_eq(uds_io_write(io, buffer, 8192, 0), 0);
	ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_WRITE_ZEROES, NULL, 512, 0)), 0);
	ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_WRITE_ZEROES, NULL, 4096, 4096)),
			 0);
	ck_assert_uint_eq(own->zeroes, _i == 1 ? 2 : 0);
	ck_assert_int_eq(uds_io_read(io, buffer, 8192, 0), 0);
	ck_assert_int_eq(buffer[511] | buffer[4096] | buffer[8191], 0);
	ck_assert_int_eq(buffer[512], 3);
	flushes = own->flushes;
	request = make_request(io, UDS_IO_WRITE_ZEROES, NULL, 512, 1024);
	ck_assert_int_eq(carry_out(engine, request), 0);
	ck_assert_uint_eq(own->flushes, flushes);
	request.flags = UDS_IO_FUA;
	ck_assert_int_eq(carry_out(engine, request), 0);
	ck_assert_uint_eq(own->flushes, flushes + 1);
	ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_FLUSH, NULL, 0, 0)), 0);
	ck_assert_uint_eq(own->flushes, flushes + 2);
	uds_io_engine_close(engine);
	uds_io_close(io);
	free(buffer);
}
END_TEST

START_TEST(plain_backends_have_many_transfers_in_flight)
{
	struct uds_io *io = open_own(false, false);
	struct uds_io_engine_options options = UDS_IO_ENGINE_OPTIONS_INIT;
	struct uds_io_engine *engine;
	struct uds_io_request requests[24], *all[24], *done[24];
	static uint8_t bytes[24][512];

	last_own->read_us = 2000;
	options.threads = 6;
	ck_assert_int_eq(uds_io_engine_open(&options, NULL, NULL, &engine), 0);
	for (int i = 0; i < 24; i++) {
		requests[i] = make_request(io, UDS_IO_READ, bytes[i], 512, 0);
		all[i] = &requests[i];
	}
	ck_assert_int_eq(uds_io_engine_submit(engine, all, 24), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 24, 24, -1), 24);
	ck_assert_uint_gt(last_own->most_inside, 1);
	ck_assert_uint_le(last_own->most_inside, 6);
	uds_io_engine_close(engine);
	/* Without threads the caller's does the work. */
	options.threads = 0;
	last_own->most_inside = 0;
	ck_assert_int_eq(uds_io_engine_open(&options, NULL, NULL, &engine), 0);
	ck_assert_int_eq(uds_io_engine_submit(engine, all, 24), 0);
	ck_assert_uint_eq(last_own->most_inside, 1);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 24, 0, 0), 24);
	uds_io_engine_close(engine);
	uds_io_close(io);
}
END_TEST

/* Two engines with the threads of one, which is closed first. */
START_TEST(engines_share_threads)
{
	struct uds_io *io = open_own(false, false);
	struct uds_io_engine_options options = UDS_IO_ENGINE_OPTIONS_INIT;
	struct uds_io_engine *first, *engines[2];
	struct uds_io_request requests[2][16], *all[16], *done[16];
	static uint8_t bytes[2][16][512];

	last_own->read_us = 500;
	options.threads = 3;
	ck_assert_int_eq(uds_io_engine_open(&options, NULL, NULL, &first), 0);
	options.share = first;
	options.threads = 100;
	for (int e = 0; e < 2; e++)
		ck_assert_int_eq(uds_io_engine_open(&options, NULL, NULL, &engines[e]), 0);
	uds_io_engine_close(first);
	for (int e = 0; e < 2; e++) {
		for (int i = 0; i < 16; i++) {
			requests[e][i] = make_request(io, UDS_IO_READ, bytes[e][i], 512, 0);
			all[i] = &requests[e][i];
		}
		ck_assert_int_eq(uds_io_engine_submit(engines[e], all, 16), 0);
	}
	for (int e = 0; e < 2; e++) {
		ck_assert_int_eq(uds_io_engine_reap(engines[e], done, 16, 16, -1), 16);
		for (int i = 0; i < 16; i++)
			ck_assert(done[i] >= requests[e] && done[i] < requests[e] + 16);
	}
	ck_assert_uint_le(last_own->most_inside, 3);
	for (int e = 0; e < 2; e++)
		uds_io_engine_close(engines[e]);
	uds_io_close(io);
}
END_TEST

/* Requests of every backend in one engine, waited for in one place. */
START_TEST(all_backends_are_waited_for_in_one_place)
{
	struct uds_io *ios[BACKENDS];
	struct uds_io_engine *engine = open_engine(8 * BACKENDS);
	struct uds_io_request requests[8 * BACKENDS], *all[8 * BACKENDS], *done[8 * BACKENDS];
	uint8_t *buffers = make_buffer(8 * BACKENDS * 4096);
	bool write = true;

	for (int b = 0; b < BACKENDS; b++) {
		snprintf(path, sizeof(path), "%s/file%d", scratch_dir(), b);
		ios[b] = open_backend((enum backend)b);
	}
	for (int round = 0; round < 50; round++, write = !write) {
		size_t reaped = 0;

		for (int i = 0; i < 8 * BACKENDS; i++) {
			requests[i] = make_request(
				ios[i % BACKENDS], write ? UDS_IO_WRITE : UDS_IO_READ,
				buffers + i * 4096, 4096, (uint64_t)(i / BACKENDS) * 4096);
			memset(buffers + i * 4096, write ? round + i : 0, 4096);
			all[i] = &requests[i];
		}
		ck_assert_int_eq(uds_io_engine_submit(engine, all, 8 * BACKENDS), 0);
		while (reaped < 8 * BACKENDS) {
			int n = uds_io_engine_reap(engine, done, 8 * BACKENDS - reaped, 1,
						   round % 3 == 0 ? -1 : 1000);

			ck_assert_int_gt(n, 0);
			reaped += (size_t)n;
		}
		for (int i = 0; i < 8 * BACKENDS; i++) {
			ck_assert_int_eq(requests[i].status, 0);
			if (!write)
				ck_assert_int_eq(buffers[i * 4096 + 4095],
						 (uint8_t)(round - 1 + i));
		}
	}
	uds_io_engine_close(engine);
	for (int b = 0; b < BACKENDS; b++) {
		ck_assert_int_eq(uds_io_close(ios[b]), 0);
		snprintf(path, sizeof(path), "%s/file%d", scratch_dir(), b);
		unlink(path);
	}
	free(buffers);
}
END_TEST

START_TEST(waiting_ends_when_the_time_is_over)
{
	struct uds_io *held = open_own(true, false), *ring;
	struct own *own = last_own;
	struct uds_io_engine *engine = open_engine(8);
	uint8_t *buffer = make_buffer(8192);
	struct uds_io_request first, second, *all[2] = { &first, &second }, *done[2] = { NULL };
	double began;

	ring = open_backend(URING);
	own->held = true;
	first = make_request(held, UDS_IO_READ, buffer, 4096, 0);
	second = make_request(ring, UDS_IO_READ, buffer + 4096, 4096, 0);
	ck_assert_int_eq(uds_io_engine_submit(engine, all, _i == 0 ? 1 : 2), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 2, 2, 0),
			 _i == 0 ? 0 : done[0] == &second);
	began = seconds_now();
	(void)uds_io_engine_reap(engine, done, 2, 2, 60);
	ck_assert_double_ge(seconds_now() - began, 0.059);
	ck_assert_int_eq(first.status, 12345);
	ck_assert_uint_eq(uds_io_engine_in_flight(engine), 1);
	let_go(own);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 2, 2, 20000), 1);
	ck_assert_ptr_eq(done[0], &first);
	ck_assert_int_eq(first.status, 0);
	uds_io_engine_close(engine);
	uds_io_close(held);
	uds_io_close(ring);
	free(buffer);
}
END_TEST

static bool readable(int descriptor, int timeout_ms)
{
	struct pollfd event = { .fd = descriptor, .events = POLLIN };

	return poll(&event, 1, timeout_ms) == 1;
}

START_TEST(the_event_descriptor_tells_when_to_reap)
{
	struct uds_io *io = open_backend((enum backend)_i);
	struct uds_io_engine *engine = open_engine(16);
	uint8_t *buffer = make_buffer(8 * 4096);
	struct uds_io_request requests[8], *all[8], *done[8];
	int descriptor, again;

	ck_assert_int_eq(uds_io_engine_event_descriptor(engine, &descriptor), 0);
	ck_assert_int_eq(uds_io_engine_event_descriptor(engine, &again), 0);
	ck_assert_int_eq(descriptor, again);
	ck_assert(!readable(descriptor, 0));
	for (int round = 0; round < 50; round++) {
		size_t reaped = 0;

		for (int i = 0; i < 8; i++) {
			requests[i] = make_request(io, i % 2 == 0 ? UDS_IO_WRITE : UDS_IO_READ,
						   buffer + i * 4096, 4096, (uint64_t)i * 4096);
			all[i] = &requests[i];
		}
		ck_assert_int_eq(uds_io_engine_submit(engine, all, 8), 0);
		while (reaped < 8) {
			int n;

			ck_assert(readable(descriptor, 20000));
			/* Room for less than may be done: the rest is told, too. */
			n = uds_io_engine_reap(engine, done, 3, 0, 0);
			ck_assert_int_ge(n, 0);
			for (int i = 0; i < n; i++)
				ck_assert_int_eq(done[i]->status, 0);
			reaped += (size_t)n;
		}
		ck_assert_int_eq(uds_io_engine_reap(engine, done, 3, 0, 0), 0);
		ck_assert(!readable(descriptor, 0));
	}
	uds_io_engine_close(engine);
	uds_io_close(io);
	free(buffer);
}
END_TEST

/* The descriptor comes when the request is under way, or done, already. */
START_TEST(an_event_descriptor_that_comes_late_misses_nothing)
{
	struct uds_io *io = open_backend((enum backend)_i);
	struct uds_io_engine *engine = open_engine(4);
	uint8_t *buffer = make_buffer(4096);
	struct uds_io_request request = make_request(io, UDS_IO_READ, buffer, 4096, 0);
	struct uds_io_request *one = &request, *done[1];
	int descriptor;

	ck_assert_int_eq(uds_io_engine_submit(engine, &one, 1), 0);
	usleep(20000);
	ck_assert_int_eq(uds_io_engine_event_descriptor(engine, &descriptor), 0);
	while (uds_io_engine_in_flight(engine) > 0) {
		ck_assert(readable(descriptor, 20000));
		(void)uds_io_engine_reap(engine, done, 1, 0, 0);
	}
	ck_assert_int_eq(request.status, 0);
	uds_io_engine_close(engine);
	uds_io_close(io);
	free(buffer);
}
END_TEST

START_TEST(closing_waits_for_what_is_in_flight)
{
	struct uds_io *io = open_backend((enum backend)_i);
	struct uds_io_engine *engine = open_engine(16);
	uint8_t *buffer = make_buffer(16 * 4096);
	struct uds_io_request requests[16], *all[16];

	if (_i == CUSTOM || _i == PUSH)
		last_own->read_us = 1000;
	for (int i = 0; i < 16; i++) {
		requests[i] = make_request(io, UDS_IO_READ, buffer + i * 4096, 4096, 0);
		all[i] = &requests[i];
	}
	ck_assert_int_eq(uds_io_engine_submit(engine, all, 16), 0);
	uds_io_engine_close(engine);
	for (int i = 0; i < 16; i++)
		ck_assert_int_eq(requests[i].status, 0);
	uds_io_close(io);
	free(buffer);
}
END_TEST

/* From here on a system call fails in this process, as under a strict container. */
static bool forbid(unsigned int call, unsigned int error)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
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
	struct uds_io_engine *engine = open_engine(4);

	if (!forbid(__NR_io_uring_setup, EPERM)) {
		note_skip("a_kernel_that_refuses_io_uring_is_done_without: no seccomp: %s",
			  strerror(errno));
	} else {
		refusals = 0;
		memset(buffer, 5, 4096);
		ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_WRITE, buffer, 4096, 0)),
				 0);
		ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_FLUSH, NULL, 0, 0)), 0);
		memset(buffer, 6, 4096);
		ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_READ, buffer, 4096, 0)),
				 0);
		ck_assert_int_eq(buffer[4095], 5);
#ifdef HAVE_LIBURING
		ck_assert_int_eq(refusals, 1);
#endif
	}
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(buffer);
}
END_TEST

/* What was handed to it comes back with what the kernel said; threads do the rest. */
START_TEST(a_ring_that_breaks_is_done_without)
{
	struct uds_io *io = open_backend(URING);
	uint8_t *buffer = make_buffer(4096);
	struct uds_io_engine *engine = open_engine(4);
	struct uds_io_request read = make_request(io, UDS_IO_READ, buffer, 4096, 0);
	int expected = 0;

	refusals = 0;
	ck_assert_int_eq(carry_out(engine, read), 0);
#ifdef HAVE_LIBURING
	expected = refusals == 0 ? -EIO : 0;
#endif
	if (!forbid(__NR_io_uring_enter, EIO)) {
		note_skip("a_ring_that_breaks_is_done_without: no seccomp: %s", strerror(errno));
	} else {
		ck_assert_int_eq(carry_out(engine, read), expected);
		for (int i = 0; i < 5; i++)
			ck_assert_int_eq(carry_out(engine, read), 0);
	}
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(buffer);
}
END_TEST

static unsigned int count_rings(void)
{
	unsigned int rings = 0;
	char link[300], name[40];

	for (int fd = 0; fd < 64; fd++) {
		ssize_t n;

		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		n = readlink(name, link, sizeof(link) - 1);
		link[n < 0 ? 0 : n] = '\0';
		rings += strstr(link, "io_uring") != NULL;
	}
	return rings;
}

/* Whether an engine reads through io_uring here. */
static bool rings_are_used(struct uds_io *io, uint8_t *buffer)
{
	struct uds_io_engine *engine = open_engine(4);
	unsigned int rings;

	ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_READ, buffer, 4096, 0)), 0);
	rings = count_rings();
	uds_io_engine_close(engine);
	return rings > 0;
}

/* A pipe in the place of a file's descriptor: a read of it waits. Returns the end for writing. */
static int put_pipe_under(const char *file)
{
	char link[300], name[40];
	int ends[2], under = -1;

	ck_assert_int_eq(pipe(ends), 0);
	for (int fd = 3; under < 0 && fd < 64; fd++) {
		ssize_t n;

		snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
		n = readlink(name, link, sizeof(link) - 1);
		link[n < 0 ? 0 : n] = '\0';
		if (strstr(link, file) != NULL)
			under = fd;
	}
	ck_assert_int_ge(under, 0);
	ck_assert_int_eq(dup2(ends[0], under), under);
	close(ends[0]);
	return ends[1];
}

static void *write_later(void *context)
{
	const struct timespec pause = { .tv_nsec = 100000000L };
	uint8_t bytes[4096];

	memset(bytes, 7, sizeof(bytes));
	nanosleep(&pause, NULL);
	ck_assert_int_eq(write(*(int *)context, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
	return NULL;
}

/*
 * What the kernel has taken it carries out, whether it can be waited for in the ring or not: no
 * buffer is given back before. @_i: bit 0, an event descriptor is there; bit 1, none can be made.
 */
START_TEST(a_ring_that_cannot_be_waited_for_keeps_its_buffers)
{
	struct uds_io *io = open_backend(URING);
	struct uds_io_engine *engine;
	uint8_t *buffer = make_buffer(4096);
	struct uds_io_request read = make_request(io, UDS_IO_READ, buffer, 4096, 0);
	struct uds_io_request *one = &read, *done[1];
	pthread_t writer;
	int end, fd;

	if (!rings_are_used(io, buffer)) {
		ck_assert_int_eq(uds_io_close(io), 0);
		free(buffer);
		skip_test("a_ring_that_cannot_be_waited_for_keeps_its_buffers: no io_uring");
	}
	engine = open_engine(4);
	memset(buffer, 1, 4096);
	end = put_pipe_under(path);
	if (_i % 2 != 0)
		ck_assert_int_eq(uds_io_engine_event_descriptor(engine, &fd), 0);
	ck_assert_int_eq(pthread_create(&writer, NULL, write_later, &end), 0);
	ck_assert_int_eq(uds_io_engine_submit(engine, &one, 1), 0);
	if ((_i & 2) != 0)
		ck_assert(forbid(__NR_io_uring_register, EPERM));
	if (!forbid(__NR_io_uring_enter, EIO))
		note_skip("a_ring_that_cannot_be_waited_for_keeps_its_buffers: no seccomp: %s",
			  strerror(errno));
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 1, 1, -1), 1);
	ck_assert_int_eq(read.status, 0);
	ck_assert_int_eq(buffer[0], 7);
	ck_assert_int_eq(buffer[4095], 7);
	pthread_join(writer, NULL);
	uds_io_engine_close(engine);
	close(end);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(buffer);
}
END_TEST

/* One ring for two files; none where it is not wanted. */
START_TEST(io_uring_is_really_used_where_it_is_there)
{
	struct uds_io_engine_options options = UDS_IO_ENGINE_OPTIONS_INIT;
	struct uds_io_file_options file = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io = open_backend(URING), *other;
	struct uds_io_engine *engine = open_engine(4), *without;
	uint8_t *buffer = make_buffer(4096);

	file.uring = true;
	refusals = 0;
	ck_assert_int_eq(uds_io_open_file("/proc/self/exe", &file, NULL, NULL, &other), 0);
	ck_assert_uint_eq(count_rings(), 0);
	options.no_uring = true;
	ck_assert_int_eq(uds_io_engine_open(&options, NULL, NULL, &without), 0);
	ck_assert_int_eq(carry_out(without, make_request(io, UDS_IO_READ, buffer, 4096, 0)), 0);
	ck_assert_uint_eq(count_rings(), 0);
	ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_READ, buffer, 4096, 0)), 0);
	ck_assert_int_eq(carry_out(engine, make_request(other, UDS_IO_READ, buffer, 4096, 0)), 0);
	ck_assert_mem_eq(buffer, "\177ELF", 4);
#ifdef HAVE_LIBURING
	ck_assert_uint_eq(count_rings(), refusals == 0);
#else
	ck_assert_uint_eq(count_rings(), 0);
#endif
	uds_io_engine_close(engine);
	uds_io_engine_close(without);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(uds_io_close(other), 0);
	free(buffer);
#ifdef HAVE_LIBURING
	if (refusals > 0)
		skip_test("io_uring_is_really_used_where_it_is_there: the kernel refuses it");
#else
	skip_test("io_uring_is_really_used_where_it_is_there: built without liburing");
#endif
}
END_TEST

struct worker {
	struct uds_io *io;
	struct uds_io_engine *engine; /* NULL: one of its own */
	int number;
	int failures;
	pthread_barrier_t *together;
};

/*
 * Writes and reads pages of its own through an engine of its own, and flushes now and then. No ring
 * is unmapped before all are there: a thread sanitizer does not see that another one at its address
 * is new memory.
 */
static void *work(void *context)
{
	struct worker *worker = context;
	uint8_t *buffer = make_buffer(4096);
	struct uds_io_engine *engine = open_engine(4);

	for (int round = 0; round < 100; round++) {
		uint64_t offset = (uint64_t)(worker->number + round % 16 * 4) * 4096;

		memset(buffer, worker->number * 16 + round, 4096);
		if (round % 2 == 0)
			carry_out(engine,
				  make_request(worker->io, UDS_IO_WRITE, buffer, 4096, offset));
		else
			worker->failures += uds_io_write(worker->io, buffer, 4096, offset) < 0;
		if (round % 32 == 0)
			worker->failures += uds_io_flush(worker->io) < 0;
		memset(buffer, 0, 4096);
		carry_out(engine, make_request(worker->io, UDS_IO_READ, buffer, 4096, offset));
		worker->failures += buffer[4095] != (uint8_t)(worker->number * 16 + round);
	}
	pthread_barrier_wait(worker->together);
	uds_io_engine_close(engine);
	free(buffer);
	return NULL;
}

START_TEST(threads_share_an_io_with_an_engine_each)
{
	struct uds_io *io = open_backend((enum backend)_i);
	pthread_barrier_t together;
	struct worker workers[4];
	pthread_t threads[4];

	pthread_barrier_init(&together, NULL, 4);
	for (int i = 0; i < 4; i++) {
		workers[i] = (struct worker){ io, NULL, i, 0, &together };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(workers[i].failures, 0);
	}
	pthread_barrier_destroy(&together);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

/*
 * Each thread submits, and reaps whatever is done; the requests are numbered by their user, and
 * each must come to exactly one thread.
 */
#define SHARED_ROUNDS 200
static _Atomic int given_out;

static void *work_together(void *context)
{
	struct worker *worker = context;
	struct uds_io_request *requests = calloc(SHARED_ROUNDS, sizeof(*requests));
	uint8_t *buffer = make_buffer(4096);
	struct uds_io_request *done[4];

	for (int i = 0; i < SHARED_ROUNDS; i++) {
		struct uds_io_request *one = &requests[i];

		requests[i] = make_request(worker->io, UDS_IO_WRITE, buffer, 4096,
					   (uint64_t)worker->number * 4096);
		while (uds_io_engine_submit(worker->engine, &one, 1) == -EBUSY)
			given_out += uds_io_engine_reap(worker->engine, done, 4, 1, -1);
		if (i % 3 == 0)
			given_out += uds_io_engine_reap(worker->engine, done, 4, i % 2,
							i % 4 == 0 ? 5 : -1);
	}
	while (given_out < 4 * SHARED_ROUNDS)
		given_out += uds_io_engine_reap(worker->engine, done, 4, 2, 50);
	for (int i = 0; i < SHARED_ROUNDS; i++)
		worker->failures += requests[i].status != 0;
	free(requests);
	free(buffer);
	return NULL;
}

START_TEST(threads_share_an_engine)
{
	struct uds_io *io = open_backend((enum backend)(_i % BACKENDS)), *other = io;
	struct uds_io_engine *engine = open_engine(6);
	struct worker workers[4];
	pthread_t threads[4];
	struct uds_io_request *done[1];

	/* From BACKENDS on two threads work on another I/O. */
	if (_i >= BACKENDS)
		other = open_own(false, false);
	given_out = 0;
	for (int i = 0; i < 4; i++) {
		workers[i] = (struct worker){ i % 2 == 0 ? io : other, engine, i, 0, NULL };
		ck_assert_int_eq(pthread_create(&threads[i], NULL, work_together, &workers[i]), 0);
	}
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		ck_assert_int_eq(workers[i].failures, 0);
	}
	ck_assert_int_eq(given_out, 4 * SHARED_ROUNDS);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 1, 1, -1), 0);
	uds_io_engine_close(engine);
	if (other != io)
		uds_io_close(other);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

/* ---- faults ---- */

/*
 * A submit that fails is the status of what was submitted; a reap that fails that of what
 * was in flight.
 */
START_TEST(errors_of_a_backend_are_the_statuses_of_its_requests)
{
	struct uds_io *io = open_pull(), *good = open_backend(MEMORY);
	struct uds_io_engine *engine = open_engine(8);
	struct uds_io_request requests[4], *all[4], *done[4];
	char bytes[4][512];

	for (int fail = 0; fail < 2; fail++) {
		for (int i = 0; i < 4; i++) {
			requests[i] =
				make_request(i == 1 ? good : io, UDS_IO_READ, bytes[i], 512, 0);
			all[i] = &requests[i];
		}
		if (fail == 0)
			fault_plan_fail(&plan, FAULT_SUBMIT, 1, -EMFILE, true);
		else
			fault_plan_fail(&plan, FAULT_REAP, 1, -ENXIO, true);
		ck_assert_int_eq(uds_io_engine_submit(engine, all, 4), 0);
		ck_assert_int_eq(uds_io_engine_reap(engine, done, 4, 4, -1), 4);
		for (int i = 0; i < 4; i++)
			ck_assert_int_eq(requests[i].status, i == 1	 ? 0
							     : fail == 0 ? -EMFILE
									 : -ENXIO);
		fault_plan_fail(&plan, 0, 0, 0, false);
		/* And nothing is left of it. */
		requests[0].status = 12345;
		ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_READ, bytes[0], 512, 0)),
				 0);
	}
	/* A backend that cannot take them now leaves them to the plain calls. */
	fault_plan_fail(&plan, FAULT_SUBMIT, 1, -EOPNOTSUPP, true);
	ck_assert_int_eq(carry_out(engine, make_request(io, UDS_IO_READ, bytes[0], 512, 0)), 0);
	ck_assert_uint_eq(fault_plan_count(&plan, FAULT_READ), 1);
	ck_assert_uint_eq(fault_plan_count(&plan, FAULT_REAP), 0);
	uds_io_engine_close(engine);
	uds_io_close(io);
	uds_io_close(good);
	fault_plan_end(&plan);
}
END_TEST

/* A backend that ends a request twice, and one that says what it may not. */
static int odd_submit(void *context, struct uds_io_request *const *requests, size_t count)
{
	(void)context;
	for (size_t i = 0; i < count; i++) {
		uds_io_request_complete(requests[i], 17);
		uds_io_request_complete(requests[i], 0);
	}
	return 0;
}

START_TEST(a_request_is_completed_once)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_io_ops ops = UDS_IO_OPS_INIT;
	struct uds_io_engine *engine = open_engine(8);
	struct own *own = calloc(1, sizeof(*own));
	struct uds_io_request request, *one = &request, *done[2];
	struct uds_io *io;
	char byte;

	ops.read = own_read;
	ops.flush = own_flush;
	ops.get_size = own_size;
	ops.close = own_close;
	ops.submit = odd_submit;
	pthread_mutex_init(&own->lock, NULL);
	pthread_cond_init(&own->changed, NULL);
	ck_assert_int_eq(uds_io_open_ops(&ops, own, &limits, NULL, NULL, &io), 0);
	request = make_request(io, UDS_IO_READ, &byte, 1, 0);
	ck_assert_int_eq(uds_io_engine_submit(engine, &one, 1), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 2, 2, -1), 1);
	ck_assert_int_eq(request.status, -EIO);
	uds_io_request_complete(&request, 0); /* long gone */
	ck_assert_int_eq(request.status, -EIO);
	uds_io_engine_close(engine);
	uds_io_close(io);
}
END_TEST

static int use_engine(const struct uds_env *env, void *context)
{
	struct uds_io *io = context;
	struct uds_io_engine_options options = UDS_IO_ENGINE_OPTIONS_INIT;
	struct uds_io_engine *engine, *second;
	uint8_t *buffer = make_buffer(4096);
	struct uds_io_request request = make_request(io, UDS_IO_READ, buffer, 4096, 0);
	struct uds_io_request *one = &request, *done[1];
	int r;

	r = uds_io_engine_open(&options, env, NULL, &engine);
	if (r == 0) {
		options.share = engine;
		r = uds_io_engine_open(&options, env, NULL, &second);
		if (r == 0)
			uds_io_engine_close(second);
		if (r == 0) {
			ck_assert_int_eq(uds_io_engine_submit(engine, &one, 1), 0);
			ck_assert_int_eq(uds_io_engine_reap(engine, done, 1, 1, -1), 1);
			r = request.status;
		}
		uds_io_engine_close(engine);
	}
	free(buffer);
	return r;
}

START_TEST(each_allocation_may_fail)
{
	struct uds_io *io = open_backend((enum backend)_i);

	ck_assert_uint_ge(torture_each_allocation(use_engine, io, false), 3);
	uds_io_close(io);
}
END_TEST

/*
 * Where no thread can be had the caller does the work; where no descriptor can, one looks
 * now and then.
 */
START_TEST(an_engine_lives_without_threads_and_descriptors)
{
	struct uds_io *io = open_own(false, false), *ring = open_backend(URING);
	struct uds_io_engine *engine = open_engine(8);
	struct rlimit limit, none;
	uint8_t *buffer = make_buffer(8192);
	struct uds_io_request requests[2], *all[2], *done[2];
	int descriptor = -7;

	last_own->read_us = 5000;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	/* The ring is there before; the eventfd is not to be had. */
	ck_assert_int_eq(carry_out(engine, make_request(ring, UDS_IO_READ, buffer, 4096, 0)), 0);
	none = limit;
	none.rlim_cur = 0;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(uds_io_engine_event_descriptor(engine, &descriptor), -EMFILE);
	ck_assert_int_eq(descriptor, -7);
	requests[0] = make_request(io, UDS_IO_READ, buffer, 4096, 0);
	requests[1] = make_request(ring, UDS_IO_READ, buffer + 4096, 4096, 0);
	all[0] = &requests[0];
	all[1] = &requests[1];
	ck_assert_int_eq(uds_io_engine_submit(engine, all, 2), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, 2, 2, -1), 2);
	ck_assert_int_eq(requests[0].status | requests[1].status, 0);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	uds_io_engine_close(engine);
	uds_io_close(io);
	uds_io_close(ring);
	free(buffer);
}
END_TEST

static void add_more(TCase *tc)
{
	tcase_add_test(tc, plain_backends_have_many_transfers_in_flight);
	tcase_add_test(tc, engines_share_threads);
	tcase_add_test(tc, all_backends_are_waited_for_in_one_place);
	tcase_add_test(tc, a_kernel_that_refuses_io_uring_is_done_without);
	tcase_add_test(tc, a_ring_that_breaks_is_done_without);
	tcase_add_loop_test(tc, a_ring_that_cannot_be_waited_for_keeps_its_buffers, 0, 4);
	tcase_add_test(tc, io_uring_is_really_used_where_it_is_there);
	tcase_add_test(tc, errors_of_a_backend_are_the_statuses_of_its_requests);
	tcase_add_test(tc, a_request_is_completed_once);
	tcase_add_loop_test(tc, each_allocation_may_fail, MEMORY, URING_DIRECT + 1);
	tcase_add_test(tc, an_engine_lives_without_threads_and_descriptors);
}

int main(void)
{
	Suite *suite = suite_create("io_engine");
	TCase *tc = tcase_create("engine");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, make_path, remove_path);
	tcase_add_loop_test(tc, many_requests_do_what_single_ones_would, 0, BACKENDS);
	tcase_add_loop_test(tc, each_request_has_its_own_error, 0, BACKENDS);
	tcase_add_loop_test(tc, no_more_than_the_depth_is_taken, 0, BACKENDS);
	tcase_add_loop_test(tc, short_transfers_go_on_until_the_error, PLAIN, URING_DIRECT + 1);
	tcase_add_loop_test(tc, every_kind_is_done, 0, BACKENDS);
	tcase_add_loop_test(tc, what_a_backend_can_do_is_left_to_it, 0, 2);
	tcase_add_loop_test(tc, waiting_ends_when_the_time_is_over, 0, 2);
	tcase_add_loop_test(tc, the_event_descriptor_tells_when_to_reap, 0, BACKENDS);
	tcase_add_loop_test(tc, an_event_descriptor_that_comes_late_misses_nothing, 0, BACKENDS);
	tcase_add_loop_test(tc, closing_waits_for_what_is_in_flight, 0, BACKENDS);
	tcase_add_loop_test(tc, threads_share_an_io_with_an_engine_each, 0, BACKENDS);
	tcase_add_loop_test(tc, threads_share_an_engine, 0, 2 * BACKENDS);
	add_more(tc);
	suite_add_tcase(suite, tc);
	return run_suite_apart(suite);
}
