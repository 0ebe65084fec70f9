/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The copier: a number of slots, each with a buffer, that go around: they are filled from the
 * source by one read or, where pieces lie apart there but go on on the target, by many; (are
 * compared with the target;) and are written to the target at once.
 *
 * All transfers, of both I/Os, are waited for in one engine.
 */
#include "io/copier.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "io/io.h"

#define REAP_MAX   64
#define SLOT_READS 64

enum slot_state { SLOT_READING, SLOT_COMPARING, SLOT_WRITING };

struct slot {
	struct uds_io_request request; /* for the target */
	struct uds_io_request reads[SLOT_READS];
	unsigned int read_count;
	unsigned int pending; /* of the reads */
	bool closed;	      /* nothing is added any more */
	bool blind;	      /* the target could not be read: nothing is equal */
	enum slot_state state;
	uint8_t *buffer;
	uint64_t to;
	uint64_t length;
	uint64_t room;	  /* how long it gets */
	uint64_t written; /* up to here it is written, or equal */
	struct slot *next_free;
};

struct copier {
	struct uds_env env;
	struct uds_io *from;
	struct uds_io *to;
	struct uds_io_engine *engine;
	unsigned int reading; /* in flight from the source */
	unsigned int writing; /* in flight on the target: writes, and reads to compare */
	unsigned int depth;
	uint64_t slot_bytes;
	uint8_t *buffers;
	uint8_t *compare_buffers; /* NULL until the first job that compares */
	struct slot *free;
	struct slot *filling; /* the slot that the next read may go to */

	/* The job. */
	struct copy_job *job;
	size_t piece;
	uint64_t piece_done;
	int status;
	struct uds_message *message;
	struct slot slots[];
};

static uint64_t buffer_bytes(const struct copier *copier)
{
	return copier->slot_bytes * copier->depth;
}

static uint8_t *allocate_buffers(const struct copier *copier)
{
	uint64_t alignment = uds_io_memory_alignment(copier->from);

	if (alignment < uds_io_memory_alignment(copier->to))
		alignment = uds_io_memory_alignment(copier->to);
	return env_allocate_aligned(&copier->env, buffer_bytes(copier),
				    alignment < 4096 ? 4096 : (size_t)alignment);
}

int copier_open(struct uds_io *from, struct uds_io *to, const struct uds_env *env,
		unsigned int depth, uint64_t slot_bytes, struct uds_io_engine *share,
		struct copier **ret_copier)
{
	struct copier *copier;
	int r;

	copier = env_allocate_zeroed(env, 1, sizeof(*copier) + depth * sizeof(copier->slots[0]));
	if (copier == NULL)
		return -ENOMEM;
	copier->env = *env;
	copier->from = from;
	copier->to = to;
	copier->depth = depth;
	copier->slot_bytes = round_up(slot_bytes, uds_io_block_bytes(from));
	copier->slot_bytes = round_up(copier->slot_bytes, uds_io_block_bytes(to));
	copier->buffers = allocate_buffers(copier);
	/* Up to @depth reads, and as many requests for the target, are in flight together. */
	r = copier->buffers == NULL ? -ENOMEM : engine_open(share, 2 * depth, env, &copier->engine);
	if (r < 0) {
		copier_close(copier);
		return r;
	}
	/* If it is refused, transfers still work, only slower. */
	(void)uds_io_engine_add_buffer(copier->engine, copier->buffers,
				       (size_t)buffer_bytes(copier));
	for (unsigned int i = 0; i < depth; i++) {
		copier->slots[i].request.io = to;
		copier->slots[i].request.user = &copier->slots[i];
		copier->slots[i].buffer = copier->buffers + i * copier->slot_bytes;
		copier->slots[i].next_free = copier->free;
		copier->free = &copier->slots[i];
	}
	*ret_copier = copier;
	return 0;
}

void copier_close(struct copier *copier)
{
	struct uds_env env;

	if (copier == NULL)
		return;
	env = copier->env;
	/* It waits for what is in flight, which uses the buffers. */
	uds_io_engine_close(copier->engine);
	env_release(&env, copier->buffers);
	env_release(&env, copier->compare_buffers);
	env_release(&env, copier);
}

static void fail(struct copier *copier, struct uds_io *io, const char *doing, uint64_t offset,
		 int status)
{
	/* The first failure stays; what fails afterwards is often its consequence. */
	if (copier->status == 0)
		copier->status = failure(copier->message, status, "%s: %s at %" PRIu64 ": %s",
					 uds_io_name(io), doing, offset, uds_strerror(status));
}

static void release_slot(struct copier *copier, struct slot *slot)
{
	slot->next_free = copier->free;
	copier->free = slot;
}

static void submit(struct copier *copier, unsigned int *in_flight,
		   struct uds_io_request *const *requests, size_t count)
{
	if (count == 0)
		return;
	*in_flight += (unsigned int)count;
	engine_submit(copier->engine, requests, count);
}

static uint8_t *compare_buffer(const struct copier *copier, const struct slot *slot)
{
	return copier->compare_buffers + (slot->buffer - copier->buffers);
}

/* The write of [begin, end) of a slot. What a block demands behind the slot's end is zero. */
static void make_write(struct copier *copier, struct slot *slot, uint64_t begin, uint64_t end)
{
	uint64_t block = uds_io_block_bytes(copier->to), put = round_up(end - begin, block);

	if (put > end - begin)
		memset(slot->buffer + end, 0, (size_t)(put - (end - begin)));
	slot->state = SLOT_WRITING;
	slot->written = end;
	slot->request.kind = UDS_IO_WRITE;
	slot->request.buffer = slot->buffer + begin;
	slot->request.offset = slot->to + begin;
	slot->request.length = (size_t)put;
	copier->job->copied_bytes += end - begin;
}

/* The next run of units that differ, behind what is written; false: there is none. */
static bool next_difference(struct copier *copier, struct slot *slot, uint64_t *ret_begin,
			    uint64_t *ret_end)
{
	const uint8_t *there = compare_buffer(copier, slot);
	uint64_t unit = copier->job->skip_equal_unit, at = slot->written;
	bool found = false;

	*ret_begin = at;
	/* Nothing to compare with: all of it counts as different, and is written. */
	if (slot->blind) {
		*ret_end = slot->length;
		return at < slot->length;
	}
	while (at < slot->length) {
		uint64_t part = slot->length - at < unit ? slot->length - at : unit;

		if (memcmp(slot->buffer + at, there + at, (size_t)part) != 0) {
			/* Runs of units that differ go out as one write. */
			if (!found)
				*ret_begin = at;
			found = true;
		} else {
			if (found)
				break;
			copier->job->equal_units++;
		}
		at += part;
	}
	*ret_end = at;
	return found;
}

/* What comes next for a slot whose transfer is done; true: its request is ready for the target. */
static bool advance(struct copier *copier, struct slot *slot)
{
	uint64_t begin, end;

	/* Without comparing, the slot goes out as one write. */
	if (slot->state == SLOT_READING && copier->job->skip_equal_unit == 0) {
		make_write(copier, slot, 0, slot->length);
		return true;
	}
	if (slot->state == SLOT_READING) {
		slot->state = SLOT_COMPARING;
		slot->request.kind = UDS_IO_READ;
		slot->request.buffer = compare_buffer(copier, slot);
		slot->request.offset = slot->to;
		slot->request.length =
			(size_t)round_up(slot->length, uds_io_block_bytes(copier->to));
		return true;
	}
	/*
	 * After a comparison or a write: on to the next run that differs, with one request at a
	 * time for each slot.
	 */
	if (slot->written < slot->length && next_difference(copier, slot, &begin, &end)) {
		make_write(copier, slot, begin, end);
		return true;
	}
	return false;
}

/* Sends a slot whose reads are all done on its way, or lets it go when something failed. */
static void go_on(struct copier *copier, struct slot *slot)
{
	struct uds_io_request *request = &slot->request;

	if (slot->pending > 0)
		return;
	/* After a failure nothing new is begun: what is in flight comes back, and the job ends. */
	if (copier->status == 0 && advance(copier, slot))
		submit(copier, &copier->writing, &request, 1);
	else
		release_slot(copier, slot);
}

static void close_filling(struct copier *copier)
{
	struct slot *slot = copier->filling;

	if (slot == NULL)
		return;
	/* Not the filling one any more before it goes on: it may be done, and free, at once. */
	copier->filling = NULL;
	slot->closed = true;
	go_on(copier, slot);
}

/* Whether the next part of the job can be added to the slot that is being filled. */
static bool fits(const struct copier *copier)
{
	const struct copy_piece *piece = &copier->job->pieces[copier->piece];
	const struct slot *slot = copier->filling;

	/* Only what goes on directly on the target can share a slot: it is written at once. */
	return slot != NULL && slot->read_count < SLOT_READS && slot->length < slot->room &&
	       slot->to + slot->length == piece->to + copier->piece_done;
}

/*
 * How long the slot gets that begins with the next part of the job: it ends where transfers of the
 * target cost least, or those of the source if the target says nothing about it.
 */
static uint64_t find_room(const struct copier *copier)
{
	const struct copy_piece *piece = &copier->job->pieces[copier->piece];
	struct uds_io *by = copier->to;
	uint64_t at = piece->to, room;

	if (uds_io_preferred_bytes(by) == 0) {
		by = copier->from;
		at = piece->from;
	}
	room = io_run_part(by, at + copier->piece_done, UINT64_MAX, copier->slot_bytes);
	/* What is behind it must begin with a block of either. */
	if (room % uds_io_block_bytes(copier->from) != 0 ||
	    room % uds_io_block_bytes(copier->to) != 0)
		room = copier->slot_bytes;
	return room;
}

static void start_filling(struct copier *copier)
{
	struct slot *slot = copier->free;

	copier->free = slot->next_free;
	copier->filling = slot;
	slot->to = copier->job->pieces[copier->piece].to + copier->piece_done;
	slot->length = 0;
	slot->room = find_room(copier);
	slot->written = 0;
	slot->read_count = 0;
	slot->pending = 0;
	slot->closed = false;
	slot->blind = false;
	slot->state = SLOT_READING;
}

/* The next part of the job as a read into the slot that is being filled. */
static struct uds_io_request *add_read(struct copier *copier)
{
	const struct copy_piece *piece = &copier->job->pieces[copier->piece];
	struct slot *slot = copier->filling;
	struct uds_io_request *read = &slot->reads[slot->read_count++];
	uint64_t left = piece->length - copier->piece_done;
	uint64_t room = slot->room - slot->length, part = left < room ? left : room;

	read->io = copier->from;
	read->kind = UDS_IO_READ;
	read->buffer = slot->buffer + slot->length;
	read->offset = piece->from + copier->piece_done;
	/*
	 * Whole blocks are read; the part behind the piece's end is overwritten by the next read,
	 * or by zeros (make_write()).
	 */
	read->length = (size_t)round_up(part, uds_io_block_bytes(copier->from));
	read->user = slot;
	slot->pending++;
	slot->length += part;
	copier->piece_done += part;
	if (copier->piece_done == piece->length) {
		copier->piece++;
		copier->piece_done = 0;
	}
	return read;
}

static void start_reads(struct copier *copier)
{
	struct uds_io_request *reads[REAP_MAX];
	size_t count = 0;

	while (copier->status == 0 && copier->piece < copier->job->count &&
	       copier->reading + count < copier->depth) {
		if (!fits(copier)) {
			/* Those collected belong to this slot, or to ones before it. */
			submit(copier, &copier->reading, reads, count);
			count = 0;
			close_filling(copier);
			/*
			 * Every slot is on its way: the next transfer that ends may give one back.
			 */
			if (copier->free == NULL)
				break;
			start_filling(copier);
		}
		reads[count++] = add_read(copier);
		if (count == REAP_MAX) {
			submit(copier, &copier->reading, reads, count);
			count = 0;
		}
	}
	submit(copier, &copier->reading, reads, count);
	/*
	 * Nothing more will be added: otherwise its write would wait for a read that never comes.
	 */
	if (copier->piece == copier->job->count || copier->status < 0)
		close_filling(copier);
}

static void finish_transfers(struct copier *copier, struct uds_io_request **done, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct slot *slot = done[i]->user;

		if (slot->state == SLOT_READING)
			copier->reading--;
		else
			copier->writing--;
		if (done[i]->status < 0 && slot->state == SLOT_COMPARING)
			slot->blind = true; /* writing may mend it */
		else if (done[i]->status < 0)
			fail(copier, done[i]->io,
			     slot->state == SLOT_WRITING ? "writing" : "reading", done[i]->offset,
			     done[i]->status);
		if (slot->state == SLOT_READING)
			slot->pending--;
		if (slot->closed)
			go_on(copier, slot);
	}
}

/* Waits for transfers. */
static void reap(struct copier *copier)
{
	struct uds_io_request *done[REAP_MAX];
	int n = uds_io_engine_reap(copier->engine, done, REAP_MAX, 1, -1);

	finish_transfers(copier, done, (size_t)n);
}

int copier_run(struct copier *copier, struct copy_job *job, struct uds_message *message)
{
	copier->job = job;
	copier->piece = 0;
	copier->piece_done = 0;
	copier->status = 0;
	copier->message = message;
	job->copied_bytes = 0;
	job->equal_units = 0;
	/* What is written begins with a unit, and must be aligned in memory. */
	if (job->skip_equal_unit != 0 && job->skip_equal_unit < uds_io_memory_alignment(copier->to))
		job->skip_equal_unit = uds_io_memory_alignment(copier->to);
	if (job->skip_equal_unit != 0 && copier->compare_buffers == NULL) {
		copier->compare_buffers = allocate_buffers(copier);
		if (copier->compare_buffers == NULL)
			return failure(message, -ENOMEM, "no memory to compare");
		(void)uds_io_engine_add_buffer(copier->engine, copier->compare_buffers,
					       (size_t)buffer_bytes(copier));
	}
	for (;;) {
		start_reads(copier);
		/* All slots are through, or nothing can go on. */
		if (copier->reading + copier->writing == 0)
			break;
		reap(copier);
		/*
		 * Asked between transfers only. After a stop, what is in flight is still waited
		 * for.
		 */
		if (job->tick != NULL && copier->status == 0 && job->tick(job->tick_context) != 0)
			copier->status = failure(message, UDS_ERR_STOPPED, "the copy was stopped");
	}
	close_filling(copier);
	return copier->status;
}
