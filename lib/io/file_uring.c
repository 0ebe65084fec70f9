/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Queues of the file backend by io_uring: as many transfers in flight as the queue is deep, from one
 * thread, without one of its own.
 *
 * Each request has a slot from submit to reap. A transfer that came back short or interrupted goes
 * in again with what is left. When the kernel refuses to take entries at all the ring is given
 * up: what it took before is still waited for, everything else fails with that error.
 *
 * Where the kernel or its administrator does not allow io_uring, file_uring_open() returns
 * -EOPNOTSUPP and the queue carries requests out one by one.
 */
#include <errno.h>
#include <liburing.h>
#include <time.h>

#include "base/env.h"
#include "io/descriptor.h"
#include "io/file.h"

/* The length field of an entry has 32 bits; a multiple of any block. */
#define MAX_TRANSFER ((size_t)1 << 30)

/* Milliseconds that a submission may wait for the kernel's memory. */
#define PATIENCE 1000

struct slot {
	struct uds_io_request *request;
	size_t done; /* bytes */
	struct slot *next;
};

struct uring_queue {
	struct file_io *file;
	struct io_uring ring;
	int broken;	      /* 0, or why the ring takes nothing any more */
	unsigned int waiting; /* entries in the kernel */
	struct slot *unused;
	struct slot *finished; /* with their status, until they are reaped */
	struct slot slots[];
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

int file_uring_open(void *context, unsigned int depth, void **ret_queue)
{
	struct file_io *file = context;
	struct uring_queue *queue;
	int r;

	queue = env_allocate_zeroed(&file->env, 1,
				    sizeof(*queue) + depth * sizeof(queue->slots[0]));
	if (queue == NULL)
		return -ENOMEM;
	r = make_ring(depth, &queue->ring);
	if (r < 0) {
		env_log(&file->env, UDS_LOG_NOTICE,
			"the kernel refuses io_uring (%s): requests are carried out one by one",
			uds_strerror(r));
		env_release(&file->env, queue);
		return -EOPNOTSUPP;
	}
	queue->file = file;
	for (unsigned int i = 0; i < depth; i++) {
		queue->slots[i].next = queue->unused;
		queue->unused = &queue->slots[i];
	}
	*ret_queue = queue;
	return 0;
}

void file_uring_close(void *context)
{
	struct uring_queue *queue = context;

	io_uring_queue_exit(&queue->ring);
	env_release(&queue->file->env, queue);
}

static void finish(struct uring_queue *queue, struct slot *slot, int status)
{
	slot->request->status = status;
	slot->next = queue->finished;
	queue->finished = slot;
}

/* Puts what is left of a slot's transfer into the ring. There is an entry for each slot. */
static void prepare(struct uring_queue *queue, struct slot *slot)
{
	struct uds_io_request *request = slot->request;
	struct io_uring_sqe *entry = io_uring_get_sqe(&queue->ring);
	uint8_t *at = (uint8_t *)request->buffer + slot->done;
	uint64_t offset = request->offset + slot->done;
	size_t left = request->length - slot->done;
	unsigned int part = (unsigned int)(left < MAX_TRANSFER ? left : MAX_TRANSFER);

	switch (request->kind) {
	case UDS_IO_READ:
		io_uring_prep_read(entry, queue->file->fd, at, part, offset);
		break;
	case UDS_IO_WRITE:
		io_uring_prep_write(entry, queue->file->fd, at, part, offset);
		break;
	case UDS_IO_FLUSH:
		io_uring_prep_fsync(entry, queue->file->fd, IORING_FSYNC_DATASYNC);
		break;
	}
	io_uring_sqe_set_data(entry, slot);
}

/*
 * Gives the kernel the @count entries that were prepared. Returns how many of the last ones it did
 * not take: those never will be.
 *
 * EAGAIN says that the kernel is short of memory: worth waiting for, but not for ever.
 */
static unsigned int hand_over(struct uring_queue *queue, unsigned int count)
{
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };
	unsigned int left = count, tries = 0;

	while (left > 0) {
		int n = io_uring_submit(&queue->ring);

		if (n > 0) {
			left -= (unsigned int)n < left ? (unsigned int)n : left;
		} else if (n == -EAGAIN && tries++ < PATIENCE) {
			nanosleep(&pause, NULL);
		} else if (n != -EINTR) {
			queue->broken = n == 0 ? -EIO : n;
			break;
		}
	}
	queue->waiting += count - left;
	return left;
}

int file_uring_submit(void *context, struct uds_io_request *const *requests, size_t count)
{
	struct uring_queue *queue = context;
	struct slot *taken = NULL, *slot;
	unsigned int prepared = 0, refused;

	for (size_t i = 0; i < count; i++) {
		struct uds_io_request *request = requests[i];
		int r = queue->broken;

		slot = queue->unused;
		queue->unused = slot->next;
		slot->request = request;
		slot->done = 0;
		if (r == 0 && request->kind == UDS_IO_WRITE)
			r = file_check_range(queue->file, request->offset, request->length);
		if (r == 0 && request->kind == UDS_IO_READ &&
		    file_must_bounce(queue->file, request->buffer, request->length,
				     request->offset)) {
			finish(queue, slot,
			       file_read(queue->file, request->buffer, request->length,
					 request->offset));
			continue;
		}
		if (r < 0) {
			finish(queue, slot, r);
			continue;
		}
		prepare(queue, slot);
		prepared++;
		slot->next = taken; /* the last one first */
		taken = slot;
	}
	for (refused = hand_over(queue, prepared); refused > 0; refused--) {
		slot = taken;
		taken = slot->next;
		finish(queue, slot, queue->broken);
	}
	return 0;
}

/* What the kernel said about a slot: finishes it, or puts the rest of its transfer in again. */
static void look_at(struct uring_queue *queue, struct slot *slot, int said)
{
	struct uds_io_request *request = slot->request;
	size_t block = queue->file->block_bytes;
	size_t progress = 0;

	queue->waiting--;
	if (said < 0 && said != -EINTR && said != -EAGAIN) {
		finish(queue, slot, said);
		return;
	}
	if (request->kind == UDS_IO_FLUSH && said >= 0) {
		finish(queue, slot, 0);
		return;
	}
	if (said >= 0) {
		/* As in file.c: with O_DIRECT the next transfer must begin on a block again. */
		progress = (size_t)said == request->length - slot->done
				   ? (size_t)said
				   : (size_t)said & ~(block - 1);
		slot->done += progress;
		if (slot->done == request->length) {
			finish(queue, slot, 0);
			return;
		}
		if (progress == 0) {
			bool behind =
				request->kind == UDS_IO_READ &&
				file_check_range(queue->file, request->offset, request->length) < 0;

			finish(queue, slot, behind ? UDS_ERR_OUT_OF_RANGE : -EIO);
			return;
		}
	}
	if (queue->broken < 0) {
		finish(queue, slot, queue->broken);
		return;
	}
	prepare(queue, slot);
	if (hand_over(queue, 1) > 0)
		finish(queue, slot, queue->broken);
}

/* Looks at everything the kernel has ready now. */
static void look_at_ready(struct uring_queue *queue)
{
	struct io_uring_cqe *entry;

	while (queue->waiting > 0 && io_uring_peek_cqe(&queue->ring, &entry) == 0) {
		struct slot *slot = io_uring_cqe_get_data(entry);
		int said = entry->res;

		io_uring_cqe_seen(&queue->ring, entry);
		look_at(queue, slot, said);
	}
}

int file_uring_reap(void *context, struct uds_io_request **ret_done, size_t room)
{
	struct uring_queue *queue = context;
	struct io_uring_cqe *entry;
	size_t count = 0;
	int r;

	look_at_ready(queue);
	while (queue->finished == NULL && queue->waiting > 0) {
		r = io_uring_wait_cqe(&queue->ring, &entry);
		if (r < 0 && r != -EINTR && r != -EAGAIN)
			return r;
		look_at_ready(queue);
	}
	while (count < room && queue->finished != NULL) {
		struct slot *slot = queue->finished;

		queue->finished = slot->next;
		ret_done[count++] = slot->request;
		slot->next = queue->unused;
		queue->unused = slot;
	}
	return (int)count;
}
