/* SPDX-License-Identifier: BSD-2-Clause */
/* The ring of an engine. Each request in it has at most one entry in the kernel. */
#include "io/ring.h"

#include <liburing.h>
#include <sys/uio.h>
#include <time.h>

#include "base/env.h"
#include "io/descriptor.h"
#include "io/file.h"

#ifndef RWF_DSYNC
#define RWF_DSYNC 0x2
#endif

/* The length field of an entry has 32 bits; a multiple of any block. */
#define MAX_TRANSFER (UINT64_C(1) << 30)

/* Milliseconds that a submission may wait for the kernel's memory. */
#define PATIENCE 1000

struct io_ring {
	struct uds_io_engine *engine;
	ring_finish *finish;
	struct uds_env env;
	struct io_uring ring;
	int broken;		     /* 0, or why the ring takes nothing any more */
	struct uds_io_request *list; /* what is in it, the newest first */
	unsigned int count;
	unsigned int prepared; /* of these, that the kernel has not got yet: the newest */

	struct uds_io_engine_statistics *counts; /* the engine's */
	struct ring_files *files;		 /* NULL: the kernel takes none */
	bool buffer_table;		     /* it is there, with UDS_IO_ENGINE_BUFFERS places */
	bool buffers[UDS_IO_ENGINE_BUFFERS]; /* whether the kernel has the one of this place */
};

/* io_uring_queue_init, with a descriptor that is no standard one. */
static int make_ring(unsigned int depth, struct io_uring *ret_ring)
{
	struct standard_hold hold;
	int r;

	for (;;) {
		r = descriptor_hold_standard(&hold);
		if (r < 0)
			return r;
		r = io_uring_queue_init(depth, ret_ring, 0);
		descriptor_release_standard(&hold);
		if (r < 0 || ret_ring->ring_fd >= FIRST_DESCRIPTOR)
			return r;
		io_uring_queue_exit(ret_ring); /* another thread had held it until just now */
	}
}

int ring_open(struct uds_io_engine *engine, ring_finish *finish, const struct uds_env *env,
	      unsigned int depth, struct uds_io_engine_statistics *counts,
	      struct io_ring **ret_ring)
{
	struct io_ring *ring = env_allocate_zeroed(env, 1, sizeof(*ring));
	int r;

	if (ring == NULL)
		return -ENOMEM;
	r = make_ring(depth, &ring->ring);
	/* Whatever the reason: threads can do all that a ring does. */
	if (r < 0) {
		env_log(env, UDS_LOG_NOTICE,
			"the kernel refuses io_uring (%s): threads do its work", uds_strerror(r));
		env_release(env, ring);
		return -EOPNOTSUPP;
	}
	ring->engine = engine;
	ring->finish = finish;
	ring->env = *env;
	ring->counts = counts;
	r = ring_files_make(env, &ring->ring, &ring->files);
	if (r < 0)
		ring_close(ring);
	else
		*ret_ring = ring;
	return r;
}

void ring_close(struct io_ring *ring)
{
	struct uds_env env;

	if (ring == NULL)
		return;
	env = ring->env;
	/* Files first: taking them out needs a ring that is still there. */
	ring_files_free(ring->files);
	io_uring_queue_exit(&ring->ring);
	env_release(&env, ring);
}

int ring_register_event(struct io_ring *ring, int event)
{
	return io_uring_register_eventfd(&ring->ring, event);
}

void ring_add_buffer(struct io_ring *ring, unsigned int place, void *memory, size_t bytes)
{
	struct iovec buffer = { memory, bytes };

	if (!ring->buffer_table)
		ring->buffer_table =
			io_uring_register_buffers_sparse(&ring->ring, UDS_IO_ENGINE_BUFFERS) == 0;
	/* Where the kernel refuses (RLIMIT_MEMLOCK, say), requests in the buffer are plain ones. */
	ring->buffers[place] =
		ring->buffer_table &&
		io_uring_register_buffers_update_tag(&ring->ring, place, &buffer, NULL, 1) == 1;
}

void ring_remove_buffer(struct io_ring *ring, unsigned int place)
{
	struct iovec none = { NULL, 0 };

	/*
	 * If this fails, the pages stay pinned until the place is used again or the ring is closed.
	 */
	if (ring->buffers[place])
		(void)io_uring_register_buffers_update_tag(&ring->ring, place, &none, NULL, 1);
	ring->buffers[place] = false;
}

unsigned int ring_in_flight(const struct io_ring *ring)
{
	return ring->count;
}

bool ring_takes(const struct uds_io_request *request)
{
	struct file_io *file = request->io->ring_file;

	/*
	 * Reads, writes and flushes only: the rest has no entry, or none that every kernel knows.
	 */
	if (file == NULL || request->kind > UDS_IO_FLUSH)
		return false;
	/* A read by way of a buffer takes several steps, which file.c has. */
	return request->kind != UDS_IO_READ ||
	       !file_must_bounce(file, request->buffer, (size_t)request->length, request->offset);
}

static void finish(struct io_ring *ring, struct uds_io_request *request, int status)
{
	if (request->previous != NULL)
		request->previous->next = request->next;
	else
		ring->list = request->next;
	if (request->next != NULL)
		request->next->previous = request->previous;
	ring->count--;
	ring->finish(ring->engine, request, status);
}

/* The entry for [at, at + bytes) of the request's memory. */
static void prepare_transfer(struct io_ring *ring, const struct uds_io_request *request,
			     struct io_uring_sqe *entry, int fd)
{
	uint8_t *at = (uint8_t *)request->buffer + request->moved;
	uint64_t offset = request->offset + request->moved;
	uint64_t left = request->length - request->moved;
	unsigned int part = (unsigned int)(left < MAX_TRANSFER ? left : MAX_TRANSFER);
	int place = request->place - 1;
	bool fixed = place >= 0 && ring->buffers[place];

	/* Counted with the first part only: a request, however often it goes in again. */
	ring->counts->buffer_requests += fixed && request->moved == 0;
	if (request->kind == UDS_IO_READ && fixed)
		io_uring_prep_read_fixed(entry, fd, at, part, offset, place);
	else if (request->kind == UDS_IO_READ)
		io_uring_prep_read(entry, fd, at, part, offset);
	else if (fixed)
		io_uring_prep_write_fixed(entry, fd, at, part, offset, place);
	else
		io_uring_prep_write(entry, fd, at, part, offset);
}

/*
 * Puts what is left of a transfer into the ring. There is an entry for each request, unless the
 * kernel did not even take the interrupts of an earlier wait.
 */
static void prepare(struct io_ring *ring, struct uds_io_request *request)
{
	struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);
	struct file_io *file = request->io->ring_file;
	int slot = ring_files_slot(ring->files, &file->slots, file->fd);
	int fd = slot >= 0 ? slot : file->fd;

	/* Also when there is no entry for it: fail_prepared() ends it like the others. */
	ring->prepared++;
	/*
	 * No place in the ring. The caller submits nothing more, and the request comes back
	 * as failed.
	 */
	if (entry == NULL) {
		ring->broken = -EAGAIN;
		return;
	}
	if (request->kind == UDS_IO_FLUSH)
		io_uring_prep_fsync(entry, fd, IORING_FSYNC_DATASYNC);
	else
		prepare_transfer(ring, request, entry, fd);
	if (slot >= 0)
		entry->flags |= IOSQE_FIXED_FILE;
	ring->counts->file_requests += slot >= 0 && request->moved == 0;
	/* Durable with the write itself, which is cheaper than a flush of everything. */
	if ((request->flags & UDS_IO_FUA) != 0)
		entry->rw_flags = RWF_DSYNC;
	io_uring_sqe_set_data(entry, request);
}

/* EAGAIN says that the kernel is short of memory: worth waiting for, but not for ever. */
static void hand_over(struct io_ring *ring)
{
	const struct timespec pause = { .tv_nsec = 1000000L };
	unsigned int tries = 0;

	while (ring->prepared > 0 && ring->broken == 0) {
		int n = io_uring_submit(&ring->ring);
		unsigned int left = io_uring_sq_ready(&ring->ring);

		ring->counts->ring_calls++;
		/* The kernel took some; the rest is offered again. */
		if (n > 0) {
			/* An earlier interrupt may have been taken before them, and counts in n. */
			ring->prepared = left < ring->prepared ? left : ring->prepared;
		} else if (n == -EAGAIN && tries++ < PATIENCE) {
			nanosleep(&pause, NULL);
		} else if (n != -EINTR) {
			/*
			 * 0: nothing was taken, and no error says why. Trying again could go
			 * on for ever.
			 */
			ring->broken = n == 0 ? -EIO : n;
			return;
		}
	}
}

void ring_add(struct io_ring *ring, struct uds_io_request *request)
{
	int r = ring->broken;

	request->previous = NULL;
	request->next = ring->list;
	if (request->next != NULL)
		request->next->previous = request;
	ring->list = request;
	ring->count++;
	ring->counts->ring_requests++;
	/* The kernel would make the file longer. */
	if (r == 0 && request->kind == UDS_IO_WRITE)
		r = file_check_range(request->io->ring_file, request->offset, request->length);
	if (r < 0)
		finish(ring, request, r);
	else
		prepare(ring, request);
}

/* What the kernel did not take it never will: those are the newest. */
static void fail_prepared(struct io_ring *ring)
{
	for (; ring->prepared > 0; ring->prepared--)
		finish(ring, ring->list, ring->broken);
}

void ring_submit(struct io_ring *ring)
{
	hand_over(ring);
	fail_prepared(ring);
}

/* The rest of a transfer goes in again. */
static void go_on(struct io_ring *ring, struct uds_io_request *request)
{
	if (ring->broken < 0) {
		finish(ring, request, ring->broken);
		return;
	}
	prepare(ring, request);
	hand_over(ring);
	if (ring->prepared == 0)
		return;
	/* This one may stand anywhere in the list; others that were not taken are the newest. */
	finish(ring, request, ring->broken);
	ring->prepared--;
	fail_prepared(ring);
}

/* What the kernel said about a request. */
static void look_at(struct io_ring *ring, struct uds_io_request *request, int said)
{
	struct file_io *file = request->io->ring_file;
	uint64_t left = request->length - request->moved, progress = 0;

	/* Interrupted or short of memory: as if nothing had been transferred, and tried again. */
	if (said < 0 && said != -EINTR && said != -EAGAIN) {
		finish(ring, request, said);
		return;
	}
	if (said >= 0 && request->kind == UDS_IO_FLUSH) {
		finish(ring, request, 0);
		return;
	}
	if (said >= 0) {
		/* As in file.c: with O_DIRECT the next transfer must begin on a block again. */
		progress = (uint64_t)said == left
				   ? (uint64_t)said
				   : (uint64_t)said & ~((uint64_t)file->block_bytes - 1);
		request->moved += progress;
		if (request->moved == request->length) {
			finish(ring, request, 0);
			return;
		}
		/* No byte more: the end of the file, or a device that gives up without a word. */
		if (progress == 0) {
			int r = -EIO;

			/* It may have grown again since: read once more, without the ring. */
			if (request->kind == UDS_IO_READ)
				r = file_ops.read(file, (uint8_t *)request->buffer + request->moved,
						  (size_t)left, request->offset + request->moved);
			finish(ring, request, r);
			return;
		}
	}
	go_on(ring, request);
}

void ring_collect(struct io_ring *ring)
{
	struct io_uring_cqe *entry;

	/* Entries without a request are those of ring_interrupt(). */
	while (io_uring_peek_cqe(&ring->ring, &entry) == 0) {
		struct uds_io_request *request = io_uring_cqe_get_data(entry);
		int said = entry->res;

		/* Before the request is looked at, which may put a new entry into the ring. */
		io_uring_cqe_seen(&ring->ring, entry);
		if (request != NULL)
			look_at(ring, request, said);
	}
}

int ring_wait(struct io_ring *ring, unsigned int count)
{
	struct io_uring_cqe *entry;
	int r = io_uring_wait_cqe_nr(&ring->ring, &entry, count);

	return r == -EINTR || r == -EAGAIN || r > 0 ? 0 : r;
}

void ring_interrupt(struct io_ring *ring, unsigned int count)
{
	int n = -EINTR;

	if (ring->broken < 0)
		return;
	for (; count > 0; count--) {
		struct io_uring_sqe *entry = io_uring_get_sqe(&ring->ring);

		if (entry == NULL)
			break;
		io_uring_prep_nop(entry);
		io_uring_sqe_set_data(entry, NULL);
	}
	for (unsigned int tries = 0; (n == -EINTR || n == -EAGAIN) && tries < PATIENCE; tries++)
		n = io_uring_submit(&ring->ring);
}

int ring_status(const struct io_ring *ring)
{
	return ring->broken;
}

void ring_break(struct io_ring *ring, int status)
{
	if (ring->broken == 0)
		ring->broken = status;
}
