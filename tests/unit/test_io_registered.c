/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io_uring's registered files and buffers: that requests use them, that nothing depends on them,
 * and that neither a closed file nor removed memory stays with the kernel.
 */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uds/engine.h>

#include "base/env.h"
#include "check_main.h"
#include "io/copier.h"
#include "small_index.h"
#include "volume/page_reader.h"

#define FILE_BYTES 65536u
#define PAGE	   4096u
#define DEPTH	   32u

static char folder[300];

static void set_up(void)
{
	ck_assert_ptr_nonnull(scratch_dir());
	snprintf(folder, sizeof(folder), "%s", scratch_dir());
	ck_assert_int_eq(chmod(folder, 0777), 0); /* for who is not root any more */
}

static void tear_down(void)
{
	char command[400];

	snprintf(command, sizeof(command), "rm -f %s/f*", folder);
	ck_assert_int_eq(system(command), 0);
}

static int try_open(unsigned int number, struct uds_io **ret_io)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	char path[400];
	int r;

	options.write = true;
	options.create = true;
	options.uring = true;
	snprintf(path, sizeof(path), "%s/f%u", folder, number);
	r = uds_io_open_file(path, &options, NULL, NULL, ret_io);
	return r == 0 ? uds_io_resize(*ret_io, FILE_BYTES) : r;
}

static struct uds_io *open_number(unsigned int number)
{
	struct uds_io *io = NULL;

	ck_assert_int_eq(try_open(number, &io), 0);
	return io;
}

static struct uds_io_engine *open_engine(void)
{
	struct uds_io_engine_options options = UDS_IO_ENGINE_OPTIONS_INIT;
	struct uds_io_engine *engine;

	options.depth = DEPTH;
	ck_assert_int_eq(uds_io_engine_open(&options, NULL, NULL, &engine), 0);
	return engine;
}

static uint8_t *make_buffer(size_t bytes)
{
	uint8_t *buffer = aligned_alloc(PAGE, bytes);

	ck_assert_ptr_nonnull(buffer);
	memset(buffer, 0, bytes);
	return buffer;
}

static struct uds_io_request request_of(struct uds_io *io, enum uds_io_kind kind, void *buffer,
					uint64_t offset)
{
	return (struct uds_io_request){
		.io = io, .kind = kind, .buffer = buffer, .length = PAGE, .offset = offset
	};
}

/* One request, whose status is returned. */
static int carry_out(struct uds_io_engine *engine, struct uds_io *io, enum uds_io_kind kind,
		     void *buffer, uint64_t offset)
{
	struct uds_io_request request = request_of(io, kind, buffer, offset), *one = &request,
			      *done;

	if (uds_io_engine_submit(engine, &one, 1) < 0 ||
	    uds_io_engine_reap(engine, &done, 1, 1, -1) != 1)
		return -EIO;
	return request.status;
}

static struct uds_io_engine_statistics counts_of(struct uds_io_engine *engine)
{
	struct uds_io_engine_statistics counts = UDS_IO_ENGINE_STATISTICS_INIT;

	ck_assert_int_eq(uds_io_engine_get_statistics(engine, &counts), 0);
	return counts;
}

/* Whether there is a ring, with both tables, here. */
static bool is_there(void)
{
	struct uds_io_engine *engine = open_engine();
	struct uds_io *io = open_number(0);
	uint8_t *buffer = make_buffer(PAGE);
	struct uds_io_engine_statistics counts;

	ck_assert_int_eq(uds_io_engine_add_buffer(engine, buffer, PAGE), 0);
	ck_assert_int_eq(carry_out(engine, io, UDS_IO_WRITE, buffer, 0), 0);
	counts = counts_of(engine);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(buffer);
	return counts.file_requests == 1 && counts.buffer_requests == 1;
}

#define NEEDS_BOTH()                                                                        \
	do {                                                                                \
		if (!is_there())                                                            \
			skip_test("%s: no io_uring with registered files and buffers here", \
				  __func__);                                                \
	} while (0)

/* Writes two files in one batch from two buffers, flushes, reads them back in one. */
static void use_files(struct uds_io_engine *engine, struct uds_io *const *ios, uint8_t *first,
		      uint8_t *second)
{
	struct uds_io_request requests[DEPTH], *all[DEPTH], *done[DEPTH];

	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < DEPTH; i++) {
			uint8_t *page = (i % 2 == 0 ? first : second) + i / 2 * PAGE;

			if (round == 0)
				memset(page, (int)i + 1, PAGE);
			else
				memset(page, 0, PAGE);
			requests[i] =
				request_of(ios[i % 2], round == 0 ? UDS_IO_WRITE : UDS_IO_READ,
					   page, i / 2 * PAGE);
			requests[i].flags = round == 0 && i == 5 ? UDS_IO_FUA : 0;
			all[i] = &requests[i];
		}
		ck_assert_int_eq(uds_io_engine_submit(engine, all, DEPTH), 0);
		ck_assert_int_eq(uds_io_engine_reap(engine, done, DEPTH, DEPTH, -1), DEPTH);
		for (unsigned int i = 0; i < DEPTH; i++)
			ck_assert_int_eq(requests[i].status, 0);
		ck_assert_int_eq(carry_out(engine, ios[round], UDS_IO_FLUSH, NULL, 0), 0);
	}
	for (unsigned int i = 0; i < DEPTH; i++) {
		const uint8_t *page = (i % 2 == 0 ? first : second) + i / 2 * PAGE;
		uint8_t plain[PAGE];

		ck_assert_int_eq(uds_io_read(ios[i % 2], plain, PAGE, i / 2 * PAGE), 0);
		ck_assert_uint_eq(page[0], i + 1);
		ck_assert_mem_eq(page, plain, PAGE);
	}
}

START_TEST(requests_use_what_is_registered)
{
	struct uds_io_engine_statistics counts;
	struct uds_io_engine *engine = open_engine();
	uint8_t *first = make_buffer(FILE_BYTES), *second = make_buffer(FILE_BYTES);
	struct uds_io *ios[2];

	NEEDS_BOTH();
	ios[0] = open_number(1);
	ios[1] = open_number(2);
	/* One before there is a ring, one afterwards. */
	ck_assert_int_eq(uds_io_engine_add_buffer(engine, first, FILE_BYTES), 0);
	ck_assert_int_eq(carry_out(engine, ios[0], UDS_IO_FLUSH, NULL, 0), 0);
	if (_i == 1)
		ck_assert_int_eq(uds_io_engine_add_buffer(engine, second, FILE_BYTES), 0);
	use_files(engine, ios, first, second);
	counts = counts_of(engine);
	ck_assert_uint_eq(counts.requests, 2 * DEPTH + 3);
	ck_assert_uint_eq(counts.ring_requests, 2 * DEPTH + 3);
	ck_assert_uint_eq(counts.file_requests, 2 * DEPTH + 3);
	ck_assert_uint_eq(counts.buffer_requests, _i == 1 ? 2 * DEPTH : DEPTH);
	/* A batch goes to the kernel in one call, whatever it uses. */
	ck_assert_uint_eq(counts.ring_calls, 2 + 3);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(ios[0]), 0);
	ck_assert_int_eq(uds_io_close(ios[1]), 0);
	free(first);
	free(second);
}
END_TEST

/* A request must lie wholly in a buffer; a part of it is enough for none. */
START_TEST(a_request_that_leaves_its_buffer_goes_without)
{
	struct uds_io_engine *engine = open_engine();
	uint8_t *memory = make_buffer(4 * PAGE);
	struct uds_io *io;

	NEEDS_BOTH();
	io = open_number(1);
	ck_assert_int_eq(uds_io_engine_add_buffer(engine, memory + PAGE + 100, 2 * PAGE), 0);
	for (unsigned int at = 0; at <= 3 * PAGE; at += 50) {
		uint64_t before = counts_of(engine).buffer_requests;

		memset(memory, (int)at, 4 * PAGE);
		ck_assert_int_eq(carry_out(engine, io, UDS_IO_WRITE, memory + at, at), 0);
		memset(memory, 0, 4 * PAGE);
		ck_assert_int_eq(carry_out(engine, io, UDS_IO_READ, memory + at, at), 0);
		ck_assert_uint_eq(memory[at], (uint8_t)at);
		ck_assert_uint_eq(memory[at + PAGE - 1], (uint8_t)at);
		ck_assert_uint_eq(counts_of(engine).buffer_requests - before,
				  at >= PAGE + 100 && at <= 2 * PAGE + 100 ? 2 : 0);
	}
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(memory);
}
END_TEST

static void limit(int what, rlim_t most)
{
	struct rlimit limits = { most, most };

	ck_assert_int_eq(setrlimit(what, &limits), 0);
}

/* The kernel refuses to pin memory, or to keep so many files: the same bytes, without a word. */
START_TEST(what_the_kernel_refuses_is_done_without)
{
	struct uds_io_engine_statistics counts;
	struct uds_io_engine *engine;
	uint8_t *first = make_buffer(FILE_BYTES), *second = make_buffer(FILE_BYTES);
	struct uds_io *ios[2];

	NEEDS_BOTH();
	if (_i == 0)
		limit(RLIMIT_MEMLOCK, 49152); /* enough for the ring itself */
	else
		limit(RLIMIT_NOFILE, 32);
	/* Root may lock any memory. */
	if (_i == 0 && getuid() == 0 && setresuid(65534, 65534, 65534) != 0)
		skip_test("what_the_kernel_refuses_is_done_without: cannot change the user");
	engine = open_engine();
	ios[0] = open_number(1);
	ios[1] = open_number(2);
	ck_assert_int_eq(uds_io_engine_add_buffer(engine, first, FILE_BYTES), 0);
	ck_assert_int_eq(carry_out(engine, ios[0], UDS_IO_FLUSH, NULL, 0), 0);
	ck_assert_int_eq(uds_io_engine_add_buffer(engine, second, FILE_BYTES), 0);
	use_files(engine, ios, first, second);
	counts = counts_of(engine);
	ck_assert_uint_eq(counts.ring_requests, 2 * DEPTH + 3);
	ck_assert_uint_eq(counts.file_requests, _i == 0 ? 2 * DEPTH + 3 : 0);
	ck_assert_uint_eq(counts.buffer_requests, _i == 0 ? 0 : 2 * DEPTH);
	ck_assert_int_eq(uds_io_engine_remove_buffer(engine, first), 0);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(ios[0]), 0);
	ck_assert_int_eq(uds_io_close(ios[1]), 0);
	free(first);
	free(second);
}
END_TEST

/* 64 slots; a file that comes later has none until one is closed. */
START_TEST(files_without_a_slot_work_too)
{
	struct uds_io_engine_statistics counts;
	struct uds_io_engine *engine = open_engine();
	uint8_t *buffer = make_buffer(PAGE);
	struct uds_io *ios[70];

	NEEDS_BOTH();
	for (unsigned int i = 0; i < 70; i++) {
		ios[i] = open_number(i);
		memset(buffer, (int)i, PAGE);
		ck_assert_int_eq(carry_out(engine, ios[i], UDS_IO_WRITE, buffer, 0), 0);
	}
	ck_assert_uint_eq(counts_of(engine).file_requests, 64);
	ck_assert_int_eq(uds_io_close(ios[7]), 0);
	for (unsigned int i = 0; i < 70; i++) {
		if (i == 7)
			continue;
		ck_assert_int_eq(carry_out(engine, ios[i], UDS_IO_READ, buffer, 0), 0);
		ck_assert_uint_eq(buffer[100], i);
		ck_assert_int_eq(uds_io_close(ios[i]), 0);
	}
	counts = counts_of(engine);
	ck_assert_uint_eq(counts.ring_requests, 139);
	ck_assert_uint_eq(counts.file_requests, 64 + 63 + 6); /* each gets one that became free */
	uds_io_engine_close(engine);
	free(buffer);
}
END_TEST

/*
 * A closed file leaves its slot to the next one, while requests for another file are in the ring:
 * its lock is gone at once, and no request goes to another one's file.
 */
START_TEST(a_closed_file_leaves_nothing_in_the_ring)
{
	struct uds_io_engine *engine = open_engine();
	uint8_t *buffer = make_buffer(PAGE), *others = make_buffer(FILE_BYTES);
	struct uds_io_request requests[16], *done[16];
	struct uds_io *other;

	NEEDS_BOTH();
	other = open_number(1);
	for (unsigned int i = 0; i < 200; i++) {
		struct uds_io *io = open_number(2 + i % 3);

		memset(buffer, (int)i, PAGE);
		ck_assert_int_eq(carry_out(engine, io, UDS_IO_WRITE, buffer, i % 16 * PAGE), 0);
		memset(others, (int)i + 1, FILE_BYTES);
		for (unsigned int k = 0; k < 16; k++) {
			struct uds_io_request *one = &requests[k];

			requests[k] = request_of(other, UDS_IO_WRITE, others + k * PAGE, k * PAGE);
			ck_assert_int_eq(uds_io_engine_submit(engine, &one, 1), 0);
		}
		memset(buffer, 0, PAGE);
		ck_assert_int_eq(uds_io_read(io, buffer, PAGE, i % 16 * PAGE), 0);
		ck_assert_uint_eq(buffer[1], (uint8_t)i);
		ck_assert_int_eq(uds_io_close(io), 0);
		ck_assert_int_eq(uds_io_close(open_number(2 + i % 3)), 0);
		ck_assert_int_eq(uds_io_engine_reap(engine, done, 16, 16, -1), 16);
		ck_assert_int_eq(uds_io_read(other, others, FILE_BYTES, 0), 0);
		ck_assert_uint_eq(others[i % 16 * PAGE], (uint8_t)(i + 1));
	}
	ck_assert_uint_eq(counts_of(engine).file_requests, 200 * 17);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(other), 0);
	free(buffer);
	free(others);
}
END_TEST

/*
 * The ring goes first: a file that is open keeps nothing of it, and the kernel nothing of the file.
 */
START_TEST(an_engine_closes_before_its_files)
{
	uint8_t *buffer = make_buffer(PAGE);
	struct uds_io *io;

	NEEDS_BOTH();
	for (unsigned int i = 0; i < 100; i++) {
		struct uds_io_engine *first = open_engine(), *second = open_engine();

		io = open_number(1);
		ck_assert_int_eq(carry_out(first, io, UDS_IO_WRITE, buffer, 0), 0);
		ck_assert_int_eq(carry_out(second, io, UDS_IO_READ, buffer, 0), 0);
		uds_io_engine_close(i % 2 == 0 ? first : second);
		ck_assert_int_eq(uds_io_close(io), 0);
		io = open_number(1);
		ck_assert_int_eq(uds_io_close(io), 0);
		uds_io_engine_close(i % 2 == 0 ? second : first);
	}
	free(buffer);
}
END_TEST

static void *close_file(void *context)
{
	return uds_io_close(context) == 0 ? NULL : context;
}

START_TEST(an_engine_and_a_file_close_at_the_same_time)
{
	uint8_t *buffer = make_buffer(PAGE);
	pthread_t thread;
	void *failed;

	NEEDS_BOTH();
	for (unsigned int i = 0; i < 100; i++) {
		struct uds_io_engine *engine = open_engine();
		struct uds_io *io = open_number(1);

		ck_assert_int_eq(carry_out(engine, io, UDS_IO_WRITE, buffer, 0), 0);
		ck_assert_int_eq(pthread_create(&thread, NULL, close_file, io), 0);
		uds_io_engine_close(engine);
		pthread_join(thread, &failed);
		ck_assert_ptr_null(failed);
	}
	free(buffer);
}
END_TEST

/* A child that closes its copy of a file takes nothing away from the parent's ring. */
START_TEST(a_child_closes_its_copy_of_a_file)
{
	struct uds_io_engine *engine = open_engine();
	uint8_t *buffer = make_buffer(PAGE);
	struct uds_io *io;
	int status;
	pid_t child;

	NEEDS_BOTH();
	io = open_number(1);
	ck_assert_int_eq(carry_out(engine, io, UDS_IO_WRITE, buffer, 0), 0);
	child = fork();
	if (child == 0)
		_exit(uds_io_close(io) == 0 ? 0 : 1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(carry_out(engine, io, UDS_IO_READ, buffer, 0), 0);
	ck_assert_uint_eq(counts_of(engine).file_requests, 2);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(buffer);
}
END_TEST

/* ---- buffers ---- */

/* Whether there is a ring or not: memory that requests use is not taken back. */
START_TEST(a_buffer_in_use_is_not_removed)
{
	struct uds_io_engine *engine = open_engine();
	uint8_t *buffer = make_buffer(2 * PAGE);
	struct uds_io_request requests[2], *all[2] = { &requests[0], &requests[1] }, *done;
	struct uds_message message;
	struct uds_io *io;

	if (_i == 0)
		io = open_number(1);
	else
		ck_assert_int_eq(uds_io_open_memory(FILE_BYTES, 1, NULL, NULL, &io), 0);
	ck_assert_int_eq(uds_io_engine_add_buffer(engine, buffer, 2 * PAGE), 0);
	requests[0] = request_of(io, UDS_IO_WRITE, buffer, 0);
	requests[1] = request_of(io, UDS_IO_WRITE, buffer + PAGE, PAGE);
	ck_assert_int_eq(uds_io_engine_submit(engine, all, 2), 0);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_int_eq(uds_io_engine_remove_buffer(engine, buffer), -EBUSY);
		uds_io_engine_error_message(engine, &message);
		ck_assert_ptr_nonnull(strstr(message.text, "removing a buffer"));
		ck_assert_int_eq(uds_io_engine_reap(engine, &done, 1, 1, -1), 1);
		ck_assert_int_eq(done->status, 0);
	}
	ck_assert_int_eq(uds_io_engine_remove_buffer(engine, buffer), 0);
	ck_assert_int_eq(uds_io_engine_remove_buffer(engine, buffer), -EINVAL);
	/* It is memory like any other again. */
	ck_assert_int_eq(carry_out(engine, io, UDS_IO_READ, buffer, 0), 0);
	ck_assert_uint_eq(counts_of(engine).buffer_requests,
			  counts_of(engine).file_requests == 3 ? 2 : 0);
	free(buffer);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

/* What was registered at an address is not used for what is there afterwards. */
START_TEST(an_address_is_used_again)
{
	struct uds_io_engine *engine = open_engine();
	uint8_t *memory = make_buffer(FILE_BYTES);
	struct uds_io *io;

	NEEDS_BOTH();
	io = open_number(1);
	for (unsigned int i = 0; i < 100; i++) {
		uint8_t *buffer = memory + i % 4 * PAGE;
		size_t bytes = (1 + i % 7) * PAGE;

		ck_assert_int_eq(uds_io_engine_add_buffer(engine, buffer, bytes), 0);
		memset(buffer, (int)i, PAGE);
		ck_assert_int_eq(carry_out(engine, io, UDS_IO_WRITE, buffer, 0), 0);
		memset(buffer, 0, PAGE);
		ck_assert_int_eq(carry_out(engine, io, UDS_IO_READ, buffer, 0), 0);
		ck_assert_uint_eq(buffer[PAGE - 1], i);
		ck_assert_int_eq(uds_io_engine_remove_buffer(engine, buffer), 0);
	}
	ck_assert_uint_eq(counts_of(engine).buffer_requests, 200);
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(memory);
}
END_TEST

START_TEST(buffers_that_cannot_be_added_are_refused)
{
	struct uds_io_engine *engine = open_engine();
	uint8_t *memory = make_buffer(2 * PAGE);

	ck_assert_int_eq(uds_io_engine_add_buffer(engine, NULL, PAGE), -EINVAL);
	ck_assert_int_eq(uds_io_engine_add_buffer(engine, memory, 0), -EINVAL);
	ck_assert_int_eq(uds_io_engine_remove_buffer(engine, NULL), -EINVAL);
	ck_assert_int_eq(uds_io_engine_remove_buffer(engine, memory), -EINVAL);
	for (unsigned int i = 0; i < UDS_IO_ENGINE_BUFFERS; i++)
		ck_assert_int_eq(uds_io_engine_add_buffer(engine, memory + i * 64, 64), 0);
	ck_assert_int_eq(uds_io_engine_add_buffer(engine, memory + 64, 100), -EEXIST);
	ck_assert_int_eq(uds_io_engine_add_buffer(engine, memory + UDS_IO_ENGINE_BUFFERS * 64, 64),
			 -ENOSPC);
	ck_assert_int_eq(uds_io_engine_remove_buffer(engine, memory + 640), 0);
	ck_assert_int_eq(uds_io_engine_add_buffer(engine, memory + UDS_IO_ENGINE_BUFFERS * 64, 64),
			 0);
	uds_io_engine_close(engine); /* with all of them */
	free(memory);
}
END_TEST

/* ---- the library's own ---- */

/*
 * The bytes of all buffers, and the number of files, that this process has registered in its rings.
 */
static void count_registered(uint64_t *ret_bytes, unsigned int *ret_files)
{
	DIR *dir = opendir("/proc/self/fdinfo");
	struct dirent *entry;

	*ret_bytes = 0;
	*ret_files = 0;
	ck_assert_ptr_nonnull(dir);
	while ((entry = readdir(dir)) != NULL) {
		char path[300], line[300];
		bool in_buffers = false;
		unsigned long long bytes;
		unsigned int place;
		FILE *file;

		snprintf(path, sizeof(path), "/proc/self/fdinfo/%s", entry->d_name);
		file = fopen(path, "r");
		while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
			if (strncmp(line, "User", 4) == 0)
				in_buffers = strncmp(line, "UserBufs", 8) == 0;
			else if (in_buffers && sscanf(line, " %u: 0x%*x/%llu", &place, &bytes) == 2)
				*ret_bytes += bytes;
			else if (!in_buffers && strstr(line, folder) != NULL)
				(*ret_files)++;
		}
		if (file != NULL)
			fclose(file);
	}
	closedir(dir);
}

static int look_at_rings(void *context)
{
	uint64_t *most = context, bytes;
	unsigned int files;

	count_registered(&bytes, &files);
	if (bytes > *most)
		*most = bytes;
	return 0;
}

START_TEST(a_copier_registers_its_windows)
{
	const struct copy_piece piece = { 0, 0, FILE_BYTES };
	struct copy_job job = { .pieces = &piece, .count = 1 };
	struct uds_env env;
	struct copier *copier;
	struct uds_io *from, *to;
	struct uds_message message;
	uint64_t most = 0;

	NEEDS_BOTH();
	ck_assert_int_eq(env_complete(NULL, &env), 0);
	from = open_number(1);
	to = open_number(2);
	ck_assert_int_eq(copier_open(from, to, &env, 2, 4 * PAGE, NULL, &copier), 0);
	job.skip_equal_unit = _i == 1 ? PAGE : 0;
	job.tick = look_at_rings;
	job.tick_context = &most;
	ck_assert_int_eq(copier_run(copier, &job, &message), 0);
	ck_assert_uint_eq(most, (_i == 1 ? 2 : 1) * 2 * 4 * PAGE);
	copier_close(copier);
	ck_assert_int_eq(uds_io_close(from), 0);
	ck_assert_int_eq(uds_io_close(to), 0);
}
END_TEST

/* A device that takes its time: reads of an index go through an engine then. */
START_TEST(a_page_reader_registers_its_buffers)
{
	struct page_request requests[20], *all[20];
	struct small_shape shape;
	struct page_reader reader;
	struct geometry geometry;
	struct uds_message message;
	unsigned int files;
	uint64_t bytes;
	struct uds_env env;
	struct uds_io *io;

	NEEDS_BOTH();
	ck_assert_int_eq(env_complete(NULL, &env), 0);
	small_index_shape(2, 8, &shape);
	ck_assert_int_eq(geometry_make(&shape.configuration, &geometry, &message), 0);
	io = open_number(1);
	ck_assert_int_eq(uds_io_resize(io, shape.bytes), 0);
	page_reader_init(&reader, io, &env, &geometry, 1, 0);
	ck_assert_int_eq(page_reader_start(&reader, 0, NULL), 0);
	memset(requests, 0, sizeof(requests));
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int i = 0; i < 20; i++) {
			all[i] = &requests[i];
			requests[i].claim.slot = i / geometry.pages_per_chapter;
			requests[i].claim.page = i % geometry.pages_per_chapter;
			ck_assert_int_eq(page_reader_want(&reader, all[i], 0, PAGE), 0);
		}
		page_reader_read_many(&reader, all, 20);
		for (unsigned int i = 0; i < 20; i++) {
			ck_assert_int_eq(requests[i].status, 0);
			page_reader_release(&reader, all[i]);
		}
		/* 1, 2, 4, 8 and 16 buffers. */
		count_registered(&bytes, &files);
		ck_assert_uint_eq(bytes, 31 * PAGE);
	}
	page_reader_end(&reader);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("registered files and buffers");
	TCase *tc = tcase_create("registered");

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_loop_test(tc, requests_use_what_is_registered, 0, 2);
	tcase_add_test(tc, a_request_that_leaves_its_buffer_goes_without);
	tcase_add_loop_test(tc, what_the_kernel_refuses_is_done_without, 0, 2);
	tcase_add_test(tc, files_without_a_slot_work_too);
	tcase_add_test(tc, a_closed_file_leaves_nothing_in_the_ring);
	tcase_add_test(tc, an_engine_closes_before_its_files);
	tcase_add_test(tc, an_engine_and_a_file_close_at_the_same_time);
	tcase_add_test(tc, a_child_closes_its_copy_of_a_file);
	tcase_add_loop_test(tc, a_buffer_in_use_is_not_removed, 0, 2);
	tcase_add_test(tc, an_address_is_used_again);
	tcase_add_test(tc, buffers_that_cannot_be_added_are_refused);
	tcase_add_loop_test(tc, a_copier_registers_its_windows, 0, 2);
	tcase_add_test(tc, a_page_reader_registers_its_buffers);
	suite_add_tcase(suite, tc);
	return run_suite_apart(suite);
}
