/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the library asks of the system, and what it makes of a failure. This program has its own
 * form of each call that is made to fail here, which is taken instead of the system's where nothing
 * stands in front of it; where something does, the test is skipped.
 */
#undef _FORTIFY_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef HAVE_LIBURING
#include <liburing.h>
#endif

#include <uds/engine.h>
#include <uds/io.h>

#include "base/crew.h"
#include "base/hash_key.h"
#include "check_main.h"

/* What the system's headers make of the name where files may be larger than the machine's words. */
#ifdef __USE_FILE_OFFSET64
#define LARGE(name) name "64"
#else
#define LARGE(name) name
#endif

/* The system's own form of the function that this program has. */
#define NEXT(function, name) ((__typeof__(&(function)))dlsym(RTLD_NEXT, name))

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof((array)[0])))

enum call {
	OPEN,
	FSTAT,
	PREAD,
	PWRITE,
	FDATASYNC,
	FTRUNCATE,
	FALLOCATE,
	LSEEK,
	CLOSE,
	FCNTL,
	STATX,
	GETRANDOM,
	AFFINITY,
	RING_MAKE,
	RING_SUBMIT,
	RING_EVENT,
	RING_BUFFERS,
	EVENTFD,
	CALLS,
};

/* After @before calls @times fail with @error; 0: they transfer nothing. */
static struct {
	unsigned int before;
	unsigned int times;
	int error;
	unsigned int made; /* all of them */
} calls[CALLS];

static char path[400];
static struct uds_message message;
static int fsync_error; /* 0: none */
static unsigned int directories_flushed;
static int flags_error;	       /* of fcntl(F_GETFL) only; 0: none */
static unsigned int said_open; /* so many descriptors are said to be open by fcntl(F_GETFD) */
static uint32_t direct_align;  /* what statx() says; 0: what the system does */

static void fail_next(enum call call, int error, unsigned int times)
{
	calls[call].error = error;
	calls[call].before = 0;
	calls[call].times = times;
}

/* The @nth one from now on, 1 being the next, fails. */
static void fail_nth(enum call call, int error, unsigned int nth)
{
	fail_next(call, error, 1);
	calls[call].before = nth - 1;
}

static bool fails(enum call call)
{
	calls[call].made++;
	if (calls[call].times == 0)
		return false;
	if (calls[call].before > 0) {
		calls[call].before--;
		return false;
	}
	calls[call].times--;
	errno = calls[call].error;
	return true;
}

static int failed(enum call call)
{
	return calls[call].error == 0 ? 0 : -1;
}

int fsync(int fd)
{
	struct stat st;

	if (stat(scratch_dir(), &st) == 0) {
		struct stat of_fd;
		char link[64];

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		directories_flushed += stat(link, &of_fd) == 0 && of_fd.st_ino == st.st_ino &&
				       of_fd.st_dev == st.st_dev;
	}
	errno = fsync_error;
	return fsync_error == 0 ? 0 : -1;
}

int open(const char *name, int flags, ...)
{
	va_list arguments;
	unsigned int mode;

	va_start(arguments, flags);
	mode = (flags & O_CREAT) != 0 ? va_arg(arguments, unsigned int) : 0;
	va_end(arguments);
	return fails(OPEN) ? -1 : NEXT(open, LARGE("open"))(name, flags, mode);
}

int fstat(int fd, struct stat *st)
{
	__typeof__(&fstat) next = NEXT(fstat, LARGE("fstat"));

	if (fails(FSTAT))
		return -1;
	errno = ENOSYS;
	return next == NULL ? -1 : next(fd, st);
}

ssize_t pread(int fd, void *buffer, size_t length, off_t offset)
{
	if (fails(PREAD))
		return failed(PREAD);
	return NEXT(pread, LARGE("pread"))(fd, buffer, length, offset);
}

ssize_t pwrite(int fd, const void *buffer, size_t length, off_t offset)
{
	if (fails(PWRITE))
		return failed(PWRITE);
	return NEXT(pwrite, LARGE("pwrite"))(fd, buffer, length, offset);
}

int fdatasync(int fd)
{
	return fails(FDATASYNC) ? -1 : NEXT(fdatasync, "fdatasync")(fd);
}

int ftruncate(int fd, off_t length)
{
	return fails(FTRUNCATE) ? -1 : NEXT(ftruncate, LARGE("ftruncate"))(fd, length);
}

int fallocate(int fd, int mode, off_t offset, off_t length)
{
	if (fails(FALLOCATE))
		return -1;
	return NEXT(fallocate, LARGE("fallocate"))(fd, mode, offset, length);
}

off_t lseek(int fd, off_t offset, int whence)
{
	return fails(LSEEK) ? -1 : NEXT(lseek, LARGE("lseek"))(fd, offset, whence);
}

/* The descriptor is gone all the same. */
int close(int fd)
{
	int r = NEXT(close, "close")(fd);

	return fails(CLOSE) ? -1 : r;
}

int fcntl(int fd, int command, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (command == F_GETFL && flags_error != 0) {
		errno = flags_error;
		return -1;
	}
	if (command == F_GETFD && said_open > 0) {
		said_open--;
		return 0;
	}
	if (fails(FCNTL))
		return -1;
	return NEXT(fcntl, LARGE("fcntl"))(fd, command, argument);
}

int statx(int folder, const char *restrict name, int flags, unsigned int mask,
	  struct statx *restrict stx)
{
	int r = fails(STATX) ? -1 : NEXT(statx, "statx")(folder, name, flags, mask, stx);

#ifdef STATX_DIOALIGN
	if (r == 0 && direct_align != 0) {
		stx->stx_mask |= STATX_DIOALIGN;
		stx->stx_dio_offset_align = direct_align == UINT32_MAX ? 0 : direct_align;
		stx->stx_dio_mem_align = 512;
	}
#endif
	return r;
}

ssize_t getrandom(void *buffer, size_t length, unsigned int flags)
{
	return fails(GETRANDOM) ? -1 : NEXT(getrandom, "getrandom")(buffer, length, flags);
}

int sched_getaffinity(pid_t process, size_t bytes, cpu_set_t *set)
{
	if (fails(AFFINITY))
		return -1;
	return NEXT(sched_getaffinity, "sched_getaffinity")(process, bytes, set);
}

int eventfd(unsigned int value, int flags)
{
	return fails(EVENTFD) ? -1 : NEXT(eventfd, "eventfd")(value, flags);
}

#ifdef HAVE_LIBURING
/* The results of requests that the kernel takes now are replaced by @result, @times times. */
static struct {
	unsigned int times;
	int result;
} said;

static void replace_results(struct io_uring *ring, unsigned int count)
{
	struct io_uring_cqe *entry;
	unsigned int head;

	if (said.times == 0)
		return;
	said.times--;
	if (io_uring_wait_cqe_nr(ring, &entry, count) < 0)
		return;
	io_uring_for_each_cqe(ring, head, entry) entry->res = said.result;
}

int io_uring_queue_init(unsigned int entries, struct io_uring *ring, unsigned int flags)
{
	if (fails(RING_MAKE))
		return -calls[RING_MAKE].error;
	return NEXT(io_uring_queue_init, "io_uring_queue_init")(entries, ring, flags);
}

int io_uring_submit(struct io_uring *ring)
{
	int r;

	if (fails(RING_SUBMIT))
		return -calls[RING_SUBMIT].error;
	r = NEXT(io_uring_submit, "io_uring_submit")(ring);
	if (r > 0)
		replace_results(ring, (unsigned int)r);
	return r;
}

int io_uring_register_eventfd(struct io_uring *ring, int fd)
{
	if (fails(RING_EVENT))
		return -calls[RING_EVENT].error;
	return NEXT(io_uring_register_eventfd, "io_uring_register_eventfd")(ring, fd);
}

int io_uring_register_buffers_sparse(struct io_uring *ring, unsigned int count)
{
	if (fails(RING_BUFFERS))
		return -calls[RING_BUFFERS].error;
	return NEXT(io_uring_register_buffers_sparse, "io_uring_register_buffers_sparse")(ring,
											  count);
}
#endif

static void make_path(void)
{
	ck_assert_ptr_nonnull(scratch_dir());
	snprintf(path, sizeof(path), "%s/file", scratch_dir());
	fsync_error = flags_error = 0;
	said_open = 0;
	directories_flushed = 0;
	direct_align = 0;
	memset(calls, 0, sizeof(calls));
#ifdef HAVE_LIBURING
	memset(&said, 0, sizeof(said));
#endif
}

static void remove_path(void)
{
	unlink(path);
	rmdir(scratch_dir());
}

static int open_path(bool create, struct uds_io **ret_io)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;

	options.write = options.uring = true;
	options.create = create;
	return uds_io_open_file(path, &options, NULL, &message, ret_io);
}

START_TEST(the_name_of_a_new_file_is_durable)
{
	struct uds_io *io;

	ck_assert_int_eq(open_path(true, &io), 0);
	ck_assert_uint_eq(directories_flushed, 1);
	ck_assert_int_eq(uds_io_close(io), 0);
	/* One that was there before is not made durable again. */
	ck_assert_int_eq(open_path(true, &io), 0);
	ck_assert_uint_eq(directories_flushed, 1);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(a_name_that_cannot_be_durable_is_taken_back)
{
	struct uds_io *io = NULL;

	fsync_error = EIO;
	ck_assert_int_eq(open_path(true, &io), -EIO);
	ck_assert_ptr_null(io);
	ck_assert_msg(strstr(message.text, "flushing its directory") != NULL, "%s", message.text);
	ck_assert_int_eq(access(path, F_OK), -1);
	/* Some file systems have no such thing: then there is nothing to be done. */
	fsync_error = EINVAL;
	ck_assert_int_eq(open_path(true, &io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(the_size_is_known_from_the_open_on)
{
	struct uds_io *io;

	ck_assert_int_eq(open_path(true, &io), 0);
	if (calls[FSTAT].made == 0)
		skip_test("the system's fstat() cannot be replaced");
	ck_assert_int_eq(uds_io_resize(io, 8192), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(open_path(false, &io), 0);
	fail_next(FSTAT, EIO, 2);
	ck_assert_int_eq(uds_io_write(io, "x", 1, 8191), 0);
	ck_assert_int_eq(uds_io_write(io, "x", 1, 8192), -EIO);
	fail_next(FSTAT, 0, 0);
	ck_assert_int_eq(uds_io_write(io, "x", 1, 8192), UDS_ERR_OUT_OF_RANGE);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(a_file_that_cannot_be_looked_at_is_not_opened)
{
	struct uds_io *io = NULL;

	fail_next(FSTAT, EIO, 1);
	ck_assert_int_eq(open_path(true, &io), calls[FSTAT].made == 0 ? 0 : -EIO);
	if (calls[FSTAT].made == 0)
		skip_test("the system's fstat() cannot be replaced");
	ck_assert_msg(strstr(message.text, "cannot be opened") != NULL, "%s", message.text);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

/* ---- transfers and the rest of what is done with an open file ---- */

#define BYTES 16384u

enum operation { READ, WRITE, FLUSH, RESIZE, DISCARD, ZEROES, FIND_DATA };

static const struct {
	enum operation operation;
	enum call call;
	int error; /* 0: it transfers nothing */
	unsigned int times;
	int status;
} transfers[] = {
	{ READ, PREAD, EINTR, 2, 0 },
	{ READ, PREAD, EIO, 1, -EIO },
	{ READ, PREAD, 0, 2, 0 }, /* nothing comes, and then it does */
	{ READ, PREAD, 0, 3, -EIO },
	{ WRITE, PWRITE, EINTR, 2, 0 },
	{ WRITE, PWRITE, ENOSPC, 1, -ENOSPC },
	{ WRITE, PWRITE, 0, 1, -EIO },
	{ FLUSH, FDATASYNC, EINTR, 2, 0 },
	{ FLUSH, FDATASYNC, EIO, 1, -EIO },
	{ RESIZE, FTRUNCATE, EINTR, 2, 0 },
	{ RESIZE, FTRUNCATE, EPERM, 1, -EPERM },
	{ DISCARD, FALLOCATE, EINTR, 2, 0 },
	{ DISCARD, FALLOCATE, EOPNOTSUPP, 1, -EOPNOTSUPP },
	{ DISCARD, FALLOCATE, EIO, 1, -EIO },
	{ ZEROES, FALLOCATE, EINTR, 2, 0 },
	{ ZEROES, FALLOCATE, EOPNOTSUPP, 1, 0 }, /* written then */
	{ ZEROES, FALLOCATE, EIO, 1, -EIO },
	{ FIND_DATA, LSEEK, EINVAL, 1, 0 }, /* a file system that cannot tell: all may be data */
	{ FIND_DATA, LSEEK, EIO, 1, -EIO },
	{ FIND_DATA, LSEEK, ENXIO, 1, 0 }, /* no data from there on */
};

static int carry_out(struct uds_io *io, enum operation operation, uint8_t *buffer)
{
	uint64_t begin = 77, end = 77;
	int r;

	switch (operation) {
	case READ:
		return uds_io_read(io, buffer, BYTES, 0);
	case WRITE:
		return uds_io_write(io, buffer, BYTES, 0);
	case FLUSH:
		return uds_io_flush(io);
	case RESIZE:
		return uds_io_resize(io, BYTES);
	case DISCARD:
		return uds_io_discard(io, 0, BYTES);
	case ZEROES:
		return uds_io_write_zeroes(io, 0, BYTES);
	case FIND_DATA:
		r = uds_io_find_data(io, 0, &begin, &end);
		ck_assert(r < 0 ? begin == 77 && end == 77 : end == BYTES);
		ck_assert(r < 0 || begin == (calls[LSEEK].error == ENXIO ? BYTES : 0));
		return r;
	}
	return 1;
}

static void ck_all(const uint8_t *buffer, uint8_t value)
{
	for (size_t i = 0; i < BYTES; i++)
		ck_assert_uint_eq(buffer[i], value);
}

START_TEST(what_the_system_refuses_is_told_and_an_interrupt_is_not)
{
	static uint8_t buffer[BYTES], after[BYTES];
	const enum operation operation = transfers[_i].operation;
	struct uds_io *io;
	bool good = transfers[_i].status == 0;

	memset(buffer, 1, sizeof(buffer));
	ck_assert_int_eq(open_path(true, &io), 0);
	ck_assert_int_eq(uds_io_resize(io, BYTES), 0);
	ck_assert_int_eq(uds_io_write(io, buffer, BYTES, 0), 0);
	memset(buffer, operation == WRITE ? 2 : 0, sizeof(buffer));
	fail_next(transfers[_i].call, transfers[_i].error, transfers[_i].times);
	ck_assert_int_eq(carry_out(io, operation, buffer), transfers[_i].status);
	if (calls[transfers[_i].call].made == 0)
		skip_test("the system's call cannot be replaced");
	ck_assert_uint_eq(calls[transfers[_i].call].times, 0);
	if (operation == READ && good)
		ck_all(buffer, 1);
	ck_assert_int_eq(uds_io_read(io, after, BYTES, 0), 0);
	ck_all(after, !good					    ? 1
		      : operation == WRITE			    ? 2
		      : operation == DISCARD || operation == ZEROES ? 0
								    : 1);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

/* A read that ends early: where the file ends now is asked, and that may fail. */
START_TEST(a_read_that_ends_early_tells_what_asking_for_the_size_said)
{
	static uint8_t buffer[BYTES];
	struct uds_io *io;

	ck_assert_int_eq(open_path(true, &io), 0);
	ck_assert_int_eq(uds_io_resize(io, BYTES), 0);
	fail_next(PREAD, 0, 1);
	fail_next(FSTAT, EOVERFLOW, 1);
	if (calls[FSTAT].made == 0)
		skip_test("the system's fstat() cannot be replaced");
	ck_assert_int_eq(uds_io_read(io, buffer, BYTES, 0), -EOVERFLOW);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(a_close_that_fails_is_told_and_an_interrupt_is_not)
{
	struct uds_io *io;

	ck_assert_int_eq(open_path(true, &io), 0);
	fail_next(CLOSE, EIO, 1);
	ck_assert_int_eq(uds_io_close(io), -EIO);
	ck_assert_int_eq(open_path(true, &io), 0);
	fail_next(CLOSE, EINTR, 1);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

/* ---- O_DIRECT ---- */

static int open_direct(struct uds_io **ret_io)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;

	options.write = true;
	options.direct = UDS_IO_DIRECT_YES;
	message.text[0] = '\0';
	return uds_io_open_file(path, &options, NULL, &message, ret_io);
}

static const struct {
	uint32_t told; /* what the kernel says; UINT32_MAX: that there is none, 0: nothing */
	int error;     /* of reads that try an alignment */
	unsigned int times;
	int status;
	uint32_t block_bytes; /* 0: whatever a read has shown */
	const char *says;
} alignments[] = {
	{ 4096, 0, 0, 0, 4096, "" },
	{ 1024, EIO, 1, 0, 1024, "" }, /* nothing is tried */
	{ UINT32_MAX, 0, 0, UDS_ERR_NO_DIRECT_IO, 0, ": " },
	{ 1000, 0, 0, 0, 0, "" }, /* no size that can be: tried */
	{ 0, 0, 0, 0, 0, "" },
	{ 0, EINTR, 2, 0, 0, "" },
	{ 0, EINVAL, 1, 0, 4096, "" }, /* not in 512 bytes, so in 4096 */
	{ 0, EINVAL, 2, UDS_ERR_NO_DIRECT_IO, 0, ": " },
	{ 0, EIO, 1, -EIO, 0, ": finding the alignment that O_DIRECT needs: " },
};

START_TEST(the_alignment_of_direct_io_is_asked_for_or_tried)
{
	struct uds_io *io = NULL;
	uint32_t block;
	int r;

	ck_assert_int_eq(open_path(true, &io), 0);
	ck_assert_int_eq(uds_io_resize(io, BYTES), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	r = open_direct(&io);
	if (r == UDS_ERR_NO_DIRECT_IO)
		skip_test("%s", message.text);
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	io = NULL;
	direct_align = alignments[_i].told;
	if (alignments[_i].told == 0)
		fail_next(STATX, ENOSYS, 1000);
	fail_next(PREAD, alignments[_i].error, alignments[_i].times);
	r = open_direct(&io);
	if (calls[STATX].made == 0)
		skip_test("the system's statx() cannot be replaced");
	ck_assert_msg(r == alignments[_i].status, "%d: %s", r, message.text);
	ck_assert_msg(strstr(message.text, alignments[_i].says) != NULL, "%s", message.text);
	if (r < 0) {
		ck_assert_ptr_null(io);
		return;
	}
	block = uds_io_block_bytes(io);
	ck_assert(alignments[_i].block_bytes == 0 ? block == 512 || block == 4096
						  : block == alignments[_i].block_bytes);
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(flags_that_cannot_be_read_are_told)
{
	struct uds_io *io = NULL;

	ck_assert_int_eq(open_path(true, &io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	io = NULL;
	flags_error = EACCES;
	ck_assert_int_eq(open_path(false, &io), calls[FCNTL].made == 0 ? 0 : -EACCES);
	if (calls[FCNTL].made == 0)
		skip_test("the system's fcntl() cannot be replaced");
	ck_assert_ptr_null(io);
	ck_assert_msg(strncmp(message.text, path, strlen(path)) == 0, "%s", message.text);
	ck_assert_msg(strstr(message.text, "cannot be opened") != NULL, "%s", message.text);
}
END_TEST

/* A standard number that seems free, and is taken by the time that it is held. */
START_TEST(a_standard_descriptor_that_another_thread_took_is_left_alone)
{
	struct uds_io *io;

	fail_next(FCNTL, EBADF, 3);
	ck_assert_int_eq(open_path(true, &io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_ge(fcntl(STDOUT_FILENO, F_GETFD), 0);
	ck_assert_int_ge(fcntl(STDERR_FILENO, F_GETFD), 0);
}
END_TEST

/* ---- each call of an open ---- */

static const struct way_to_open {
	bool exists;
	struct uds_io_file_options options;
} ways_to_open[] = {
	{ true, { .write = true } },
	{ true, { .write = true, .create = true } },
	{ true, { .write = true, .direct = UDS_IO_DIRECT_YES } },
	{ true, { .map = true } },
	{ true, { .no_lock = true } },
	{ false, { .write = true, .create = true } },
};

static const enum call calls_of_open[] = { OPEN, FSTAT, FCNTL, STATX };

/* The number that the next descriptor gets: the same when none was left open. */
static int next_descriptor(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(close(fd), 0);
	return fd;
}

/* Nothing is open then, and there is no sentence without a failure. */
static void check_refusal(int status, const struct uds_io *io, const char *name)
{
	ck_assert_msg(status == -EIO || status == UDS_ERR_NO_DIRECT_IO, "%d: %s", status,
		      message.text);
	ck_assert_ptr_null(io);
	ck_assert_msg(strncmp(message.text, name, strlen(name)) == 0, "%s", message.text);
}

/* Call @nth fails. Returns whether there are so many. */
static bool open_with_failure(const struct way_to_open *way, enum call call, unsigned int nth)
{
	struct uds_io_file_options options = way->options;
	const int next = next_descriptor();
	struct uds_io *io = NULL;
	bool met;
	int r;

	options.size = sizeof(options);
	fail_nth(call, EIO, nth);
	r = uds_io_open_file(path, &options, NULL, &message, &io);
	met = calls[call].times == 0;
	fail_next(call, 0, 0);
	if (r == 0)
		ck_assert_int_eq(uds_io_close(io), 0);
	else
		check_refusal(r, io, path);
	ck_assert_int_eq(next_descriptor(), next);
	/* What was there stays, unlocked; what was not is taken away again. */
	ck_assert_int_eq(access(path, F_OK) == 0, way->exists || r == 0);
	if (way->exists) {
		ck_assert_int_eq(open_path(false, &io), 0);
		ck_assert_int_eq(uds_io_close(io), 0);
	} else {
		unlink(path);
	}
	return met;
}

START_TEST(each_call_of_an_open_may_fail)
{
	const struct way_to_open *way = &ways_to_open[_i];
	struct uds_io *io;

	if (way->exists) {
		ck_assert_int_eq(open_path(true, &io), 0);
		ck_assert_int_eq(uds_io_resize(io, BYTES), 0);
		ck_assert_int_eq(uds_io_close(io), 0);
	}
	for (int i = 0; i < COUNT_OF(calls_of_open); i++) {
		unsigned int nth = 1;

		while (open_with_failure(way, calls_of_open[i], nth))
			nth++;
	}
}
END_TEST

/* With flags that the open takes off. */
START_TEST(a_descriptor_stays_the_callers_whatever_call_fails)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_io *io;
	int fd;

	options.write = true;
	for (int i = 0; i < COUNT_OF(calls_of_open); i++) {
		bool met = true;

		for (unsigned int nth = 1; met; nth++) {
			int r;

			io = NULL;
			fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
			ck_assert_int_ge(fd, 0);
			fail_nth(calls_of_open[i], EIO, nth);
			r = uds_io_open_descriptor(fd, "its name", &options, NULL, &message, &io);
			met = calls[calls_of_open[i]].times == 0;
			fail_next(calls_of_open[i], 0, 0);
			if (r < 0) {
				check_refusal(r, io, "its name");
				ck_assert_int_eq(uds_io_open_descriptor(fd, "its name", &options,
									NULL, &message, &io),
						 0);
			}
			ck_assert_int_eq(fcntl(fd, F_GETFL) & O_APPEND, 0);
			ck_assert_int_eq(uds_io_close(io), 0);
			ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
		}
	}
}
END_TEST

/* A standard number is free, and cannot be held. */
START_TEST(without_a_hold_of_the_standard_descriptors_nothing_is_opened)
{
	struct uds_io_engine *engine;
	struct uds_io *io = NULL;
	int descriptor = -1;

	fail_next(FCNTL, EBADF, 1);
	fail_next(OPEN, EMFILE, 1);
	ck_assert_int_eq(open_path(true, &io), calls[OPEN].made == 0 ? 0 : -EMFILE);
	if (calls[OPEN].made == 0)
		skip_test("the system's open() cannot be replaced");
	ck_assert_ptr_null(io);
	ck_assert_int_eq(access(path, F_OK), -1);
	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, &message, &engine), 0);
	fail_next(FCNTL, EBADF, 1);
	fail_next(OPEN, EMFILE, 1);
	ck_assert_int_eq(uds_io_engine_event_descriptor(engine, &descriptor), -EMFILE);
	ck_assert_int_eq(descriptor, -1);
	uds_io_engine_close(engine);
}
END_TEST

/* ---- what is below the I/O ---- */

START_TEST(a_key_is_made_without_random_bytes_too)
{
	static const int errors[] = { EINTR, EAGAIN, ENOSYS };
	struct hash_key keys[2 * sizeof(errors) / sizeof(errors[0])];
	const size_t count = sizeof(keys) / sizeof(keys[0]);

	memset(keys, 0, sizeof(keys));
	for (size_t i = 0; i < count; i++) {
		fail_next(GETRANDOM, errors[i / 2], 1);
		hash_key_make(&keys[i]);
		ck_assert_uint_eq(calls[GETRANDOM].times, 0);
		for (size_t j = 0; j < i; j++)
			ck_assert_mem_ne(&keys[i], &keys[j], sizeof(keys[0]));
	}
}
END_TEST

START_TEST(the_processors_are_counted_without_an_affinity_too)
{
	const long there = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned int count;

	fail_next(AFFINITY, EPERM, 1);
	count = crew_processors();
	ck_assert_uint_eq(calls[AFFINITY].times, 0);
	ck_assert_uint_eq(count, there < (long)CREW_MOST ? (unsigned int)there : CREW_MOST);
}
END_TEST

/* ---- io_uring ---- */

static uint8_t *ring_buffer;

/* An engine, and a file of ones; the buffer has zeroes. */
static struct uds_io_engine *open_engine(struct uds_io **ret_io)
{
	struct uds_io_engine *engine;

	ring_buffer = aligned_alloc(4096, BYTES);
	ck_assert_ptr_nonnull(ring_buffer);
	memset(ring_buffer, 1, BYTES);
	ck_assert_int_eq(open_path(true, ret_io), 0);
	ck_assert_int_eq(uds_io_resize(*ret_io, BYTES), 0);
	ck_assert_int_eq(uds_io_write(*ret_io, ring_buffer, BYTES, 0), 0);
	ck_assert_int_eq(uds_io_engine_open(NULL, NULL, &message, &engine), 0);
	return engine;
}

/* A read by the engine: its status, and with 0 the bytes are there. */
static int read_by(struct uds_io_engine *engine, struct uds_io *io)
{
	struct uds_io_request request = { .io = io, .kind = UDS_IO_READ };
	struct uds_io_request *submitted = &request, *done = NULL;

	memset(ring_buffer, 0, BYTES);
	request.buffer = ring_buffer;
	request.length = BYTES;
	ck_assert_int_eq(uds_io_engine_submit(engine, &submitted, 1), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, &done, 1, 1, -1), 1);
	ck_assert_ptr_eq(done, &request);
	if (request.status == 0)
		ck_all(ring_buffer, 1);
	return request.status;
}

static uint64_t ring_requests(struct uds_io_engine *engine)
{
	struct uds_io_engine_statistics statistics = UDS_IO_ENGINE_STATISTICS_INIT;

	ck_assert_int_eq(uds_io_engine_get_statistics(engine, &statistics), 0);
	return statistics.ring_requests;
}

static void close_engine(struct uds_io_engine *engine, struct uds_io *io)
{
	uds_io_engine_close(engine);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(ring_buffer);
}

/*
 * A standard number that was taken when it was to be held, and became free then. What gets it is
 * moved.
 */
START_TEST(a_standard_descriptor_that_becomes_free_is_not_used)
{
	int input = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10), event = -1;
	struct uds_io_engine *engine;
	struct uds_io *io = NULL;

	ck_assert_int_ge(input, 0);
	ck_assert_int_eq(close(STDIN_FILENO), 0);
	said_open = 3;
	ck_assert_int_eq(open_path(true, &io), 0);
	if (said_open > 0)
		skip_test("the system's fcntl() cannot be replaced");
	ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFD), -1);
	ck_assert_int_eq(uds_io_close(io), 0);
	/* It cannot be moved. */
	said_open = 3;
	fail_next(FCNTL, EMFILE, 1);
	io = NULL;
	ck_assert_int_eq(open_path(false, &io), -EMFILE);
	ck_assert_ptr_null(io);
	ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFD), -1);
	/* The ring, and the event. */
	engine = open_engine(&io);
	said_open = 3;
	ck_assert_int_eq(read_by(engine, io), 0);
	said_open = 0; /* not asked where there is no ring */
	ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFD), -1);
	said_open = 3;
	ck_assert_int_eq(uds_io_engine_event_descriptor(engine, &event), 0);
	ck_assert_int_gt(event, STDERR_FILENO);
	said_open = 0;
	ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFD), -1);
	close_engine(engine, io);
	ck_assert_int_eq(dup2(input, STDIN_FILENO), STDIN_FILENO);
	ck_assert_int_eq(close(input), 0);
}
END_TEST

static const struct {
	enum call call;
	int error; /* 0: nothing is taken, and no error says why */
	unsigned int times;
	int status;	 /* of the request */
	bool ring_after; /* whether a later one still goes through the ring */
} ring_failures[] = {
	{ RING_SUBMIT, EINTR, 3, 0, true },	    { RING_SUBMIT, EAGAIN, 3, 0, true },
	{ RING_SUBMIT, ENOMEM, 1, -ENOMEM, false }, { RING_SUBMIT, 0, 1, -EIO, false },
	{ RING_MAKE, EPERM, 1, 0, false },
};

START_TEST(requests_that_a_ring_does_not_take_end_and_threads_do_the_rest)
{
	struct uds_io *io;
	struct uds_io_engine *engine = open_engine(&io);
	uint64_t before;

	fail_next(ring_failures[_i].call, ring_failures[_i].error, ring_failures[_i].times);
	ck_assert_int_eq(read_by(engine, io),
			 calls[RING_MAKE].made == 0 ? 0 : ring_failures[_i].status);
	if (calls[RING_MAKE].made == 0)
		skip_test("there is no io_uring to be replaced");
	ck_assert_uint_eq(calls[ring_failures[_i].call].times, 0);
	before = ring_requests(engine);
	ck_assert_int_eq(read_by(engine, io), 0);
	ck_assert_int_eq(ring_requests(engine) > before, ring_failures[_i].ring_after);
	close_engine(engine, io);
}
END_TEST

#ifdef HAVE_LIBURING
/* A file of ones, and as many requests, each for its part of the buffer. */
#define RING_MOST 2

static int run_by(struct uds_io_engine *engine, struct uds_io *io, uint8_t kind, size_t count)
{
	struct uds_io_request requests[RING_MOST], *submitted[RING_MOST], *done[RING_MOST];
	int status;

	memset(requests, 0, sizeof(requests));
	memset(ring_buffer, kind == UDS_IO_WRITE ? 1 : 0, BYTES);
	for (size_t i = 0; i < count; i++) {
		submitted[i] = &requests[i];
		requests[i].io = io;
		requests[i].kind = kind;
		requests[i].length = kind == UDS_IO_FLUSH ? 0 : BYTES / count;
		requests[i].offset = i * requests[i].length;
		requests[i].buffer = ring_buffer + requests[i].offset;
	}
	ck_assert_int_eq(uds_io_engine_submit(engine, submitted, count), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, done, count, count, -1), (int)count);
	status = requests[0].status;
	for (size_t i = 1; i < count; i++)
		ck_assert_int_eq(requests[i].status, status);
	if (status == 0 && kind != UDS_IO_FLUSH)
		ck_all(ring_buffer, 1);
	return status;
}

static const struct {
	uint8_t kind;
	int result;
	unsigned int times;
	int status;
} results[] = {
	{ UDS_IO_READ, -EINTR, 2, 0 },
	{ UDS_IO_READ, -EAGAIN, 2, 0 },
	{ UDS_IO_READ, 4096, 2, 0 }, /* the rest goes in again */
	{ UDS_IO_READ, 0, 1, 0 },    /* and comes without the ring */
	{ UDS_IO_READ, -EIO, 1, -EIO },
	{ UDS_IO_WRITE, -EINTR, 1, 0 },
	{ UDS_IO_WRITE, 100, 3, 0 },
	{ UDS_IO_WRITE, 0, 1, -EIO },
	{ UDS_IO_WRITE, -ENOSPC, 1, -ENOSPC },
	{ UDS_IO_FLUSH, -EINTR, 2, 0 },
	{ UDS_IO_FLUSH, -EIO, 1, -EIO },
};

START_TEST(what_the_kernel_says_in_a_ring_is_told_or_gone_on_from)
{
	struct uds_io *io;
	struct uds_io_engine *engine = open_engine(&io);

	said.result = results[_i].result;
	said.times = results[_i].times;
	ck_assert_int_eq(run_by(engine, io, results[_i].kind, 1),
			 calls[RING_SUBMIT].made == 0 ? 0 : results[_i].status);
	if (calls[RING_SUBMIT].made == 0)
		skip_test("there is no io_uring to be replaced");
	ck_assert_uint_eq(said.times, 0);
	/* The ring is as good as before. */
	ck_assert_int_eq(run_by(engine, io, UDS_IO_READ, RING_MOST), 0);
	ck_assert_uint_eq(ring_requests(engine), 1 + RING_MOST);
	close_engine(engine, io);
}
END_TEST

/* The first of two is to go in again, and is not taken: nor is the second one then. */
START_TEST(a_ring_that_takes_no_rest_of_a_transfer_ends_all_of_them)
{
	struct uds_io *io;
	struct uds_io_engine *engine = open_engine(&io);

	said.result = -EINTR;
	said.times = 1;
	fail_nth(RING_SUBMIT, ENOMEM, 2);
	ck_assert_int_eq(run_by(engine, io, UDS_IO_READ, RING_MOST),
			 calls[RING_SUBMIT].made == 0 ? 0 : -ENOMEM);
	if (calls[RING_SUBMIT].made == 0)
		skip_test("there is no io_uring to be replaced");
	ck_assert_uint_eq(calls[RING_SUBMIT].times, 0);
	/* Threads do the rest. */
	ck_assert_int_eq(run_by(engine, io, UDS_IO_READ, RING_MOST), 0);
	ck_assert_uint_eq(ring_requests(engine), RING_MOST);
	close_engine(engine, io);
}
END_TEST
#endif

START_TEST(an_event_that_cannot_be_had_is_told_and_asked_for_again)
{
	static const enum call events[] = { EVENTFD, RING_EVENT };
	struct uds_io *io;
	struct uds_io_engine *engine = open_engine(&io);
	int descriptor = -1;

	ck_assert_int_eq(read_by(engine, io), 0); /* from now on there is a ring */
	for (int i = 0; i < COUNT_OF(events); i++) {
		if (events[i] == RING_EVENT && ring_requests(engine) == 0)
			continue;
		fail_next(events[i], EMFILE, 1);
		ck_assert_int_eq(uds_io_engine_event_descriptor(engine, &descriptor), -EMFILE);
		ck_assert_int_eq(descriptor, -1);
		ck_assert_int_eq(read_by(engine, io), 0);
	}
	ck_assert_int_eq(uds_io_engine_event_descriptor(engine, &descriptor), 0);
	ck_assert_int_ge(descriptor, 0);
	ck_assert_int_eq(read_by(engine, io), 0);
	close_engine(engine, io);
}
END_TEST

/* A wait with an end needs an event; without one the engine looks again and again. */
START_TEST(a_wait_without_an_event_ends_too)
{
	struct uds_io *io;
	struct uds_io_engine *engine = open_engine(&io);
	struct uds_io_request request = { .io = io, .kind = UDS_IO_READ };
	struct uds_io_request *submitted = &request, *done = NULL;

	request.buffer = ring_buffer;
	request.length = BYTES;
	memset(ring_buffer, 0, BYTES);
	fail_next(EVENTFD, EMFILE, 1000);
	ck_assert_int_eq(uds_io_engine_submit(engine, &submitted, 1), 0);
	ck_assert_int_eq(uds_io_engine_reap(engine, &done, 1, 1, 60000), 1);
	ck_assert_int_eq(request.status, 0);
	ck_all(ring_buffer, 1);
	close_engine(engine, io);
}
END_TEST

START_TEST(buffers_that_the_kernel_does_not_take_are_used_all_the_same)
{
	struct uds_io_engine_statistics statistics = UDS_IO_ENGINE_STATISTICS_INIT;
	struct uds_io *io;
	struct uds_io_engine *engine = open_engine(&io);

	fail_next(RING_BUFFERS, ENOMEM, 1);
	ck_assert_int_eq(uds_io_engine_add_buffer(engine, ring_buffer, BYTES), 0);
	ck_assert_int_eq(read_by(engine, io), 0);
	ck_assert_int_eq(uds_io_engine_get_statistics(engine, &statistics), 0);
	ck_assert(calls[RING_BUFFERS].made == 0 || statistics.buffer_requests == 0);
	ck_assert_int_eq(uds_io_engine_remove_buffer(engine, ring_buffer), 0);
	close_engine(engine, io);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io system");
	TCase *tc = tcase_create("io system");

	tcase_add_checked_fixture(tc, make_path, remove_path);
	tcase_add_test(tc, the_name_of_a_new_file_is_durable);
	tcase_add_test(tc, a_name_that_cannot_be_durable_is_taken_back);
	tcase_add_test(tc, the_size_is_known_from_the_open_on);
	tcase_add_test(tc, a_file_that_cannot_be_looked_at_is_not_opened);
	tcase_add_loop_test(tc, what_the_system_refuses_is_told_and_an_interrupt_is_not, 0,
			    COUNT_OF(transfers));
	tcase_add_test(tc, a_read_that_ends_early_tells_what_asking_for_the_size_said);
	tcase_add_test(tc, a_close_that_fails_is_told_and_an_interrupt_is_not);
	tcase_add_loop_test(tc, the_alignment_of_direct_io_is_asked_for_or_tried, 0,
			    COUNT_OF(alignments));
	tcase_add_test(tc, flags_that_cannot_be_read_are_told);
	tcase_add_test(tc, a_standard_descriptor_that_another_thread_took_is_left_alone);
	tcase_add_loop_test(tc, each_call_of_an_open_may_fail, 0, COUNT_OF(ways_to_open));
	tcase_add_test(tc, a_descriptor_stays_the_callers_whatever_call_fails);
	tcase_add_test(tc, a_standard_descriptor_that_becomes_free_is_not_used);
	tcase_add_test(tc, without_a_hold_of_the_standard_descriptors_nothing_is_opened);
	tcase_add_test(tc, a_key_is_made_without_random_bytes_too);
	tcase_add_test(tc, the_processors_are_counted_without_an_affinity_too);
	tcase_add_loop_test(tc, requests_that_a_ring_does_not_take_end_and_threads_do_the_rest, 0,
			    COUNT_OF(ring_failures));
#ifdef HAVE_LIBURING
	tcase_add_loop_test(tc, what_the_kernel_says_in_a_ring_is_told_or_gone_on_from, 0,
			    COUNT_OF(results));
	tcase_add_test(tc, a_ring_that_takes_no_rest_of_a_transfer_ends_all_of_them);
#endif
	tcase_add_test(tc, an_event_that_cannot_be_had_is_told_and_asked_for_again);
	tcase_add_test(tc, a_wait_without_an_event_ends_too);
	tcase_add_test(tc, buffers_that_the_kernel_does_not_take_are_used_all_the_same);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
