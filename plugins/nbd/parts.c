/* SPDX-License-Identifier: BSD-2-Clause */
/* Cutting jobs into parts, sending these to the server, and what becomes of its answers. */
#include <errno.h>

#include "nbd/client.h"

#include "base/run_part.h"

/* How often ages are looked at, in milliseconds. */
#define CHECK_MS 500

static void put_last(struct part_list *list, struct part *part)
{
	part->next = NULL;
	if (list->first == NULL)
		list->first = part;
	else
		list->last->next = part;
	list->last = part;
}

static struct part *take_first(struct part_list *list)
{
	struct part *part = list->first;

	list->first = part->next;
	return part;
}

/* ---- what the server has said ---- */

/* The bytes that a part needs room for until a flush. */
static uint32_t kept_bytes(const struct part *part)
{
	return part->kind == JOB_WRITE ? part->length : 0;
}

/* Whether writes are kept: not where each of them is durable when it is acknowledged. */
static bool keeps(const struct client *client, const struct part *part)
{
	return client->facts.can_flush && (part->kind == JOB_WRITE || part->kind == JOB_ZERO);
}

static void after_write(struct client *client, const struct part *part, int status)
{
	struct unflushed *u = &client->unflushed;

	/* Durable ones too: sent again alone, an older write would be over them. */
	if (status == 0)
		unflushed_keep(u, part->kind == JOB_WRITE ? part->buffer : NULL, part->offset,
			       part->length);
	else
		unflushed_unreserve(u, kept_bytes(part));
}

static void after_flush(struct client *client, const struct part *part, int status)
{
	if (part->job == NULL) {
		client->flushing = false;
		if (status < 0)
			client->flush_failed = status;
	}
	if (status < 0)
		return;
	unflushed_drop(&client->unflushed, part->mark);
	/* What is being changed at this moment may be anything. */
	for (unsigned i = 0; i < client->part_count; i++) {
		const struct part *other = &client->parts[i];

		if (other->connection != NULL && other->kind != JOB_READ)
			unflushed_forget_samples(&client->unflushed, other->offset, other->length);
	}
}

static void end_part(struct part *part, int status)
{
	struct client *client = part->client;
	struct job *job = part->job;

	part->connection = NULL;
	if (keeps(client, part))
		after_write(client, part, status);
	if (part->kind == JOB_FLUSH)
		after_flush(client, part, status);
	part->next = client->free_parts;
	client->free_parts = part;
	if (job == NULL)
		return;
	job->parts--;
	if (status < 0 && job->status == 0)
		job->status = status;
	if (job->parts == 0 && job->all_sent)
		job_end(client, job);
}

/* libnbd has the answer to a part, or has given it up. Called by its functions only. */
static int on_answer(void *context, int *error)
{
	struct part *part = context;
	struct connection *connection = part->connection;

	/*
	 * No answer: the connection is lost, or the server is about to end it. The part stays where
	 * it is until all of the connection is taken back.
	 */
	if (*error == ENOTCONN || *error == ESHUTDOWN) {
		connection->lost = true;
		return 1;
	}
	connection->in_flight--;
	part->client->in_flight--;
	end_part(part, *error == 0 ? 0 : -*error);
	return 1;
}

static int on_extents(void *context, const char *name, uint64_t offset, uint32_t *entries,
		      size_t count, int *error)
{
	const struct part *part = context;
	struct extents *extents = part->job->extents;

	(void)name, (void)error;
	/* From the beginning each time: a part may be sent again. */
	extents->offset = offset;
	extents->count = 0;
	for (size_t i = 0; i + 1 < count && extents->count < EXTENTS; i += 2) {
		extents->entry[extents->count].length = entries[i];
		extents->entry[extents->count++].zero = (entries[i + 1] & LIBNBD_STATE_ZERO) != 0;
	}
	return 0;
}

/* ---- sending ---- */

static uint32_t write_flags(const struct client *client, const struct job *job)
{
	/* Where there is no flush, each write has to be durable by itself. */
	bool durable = !client->facts.can_flush || (job != NULL && job->durable);

	return durable && client->facts.can_fua ? LIBNBD_CMD_FLAG_FUA : 0;
}

/* The command for libnbd: its cookie, or -1. */
static int64_t command(struct nbd_handle *handle, struct part *part)
{
	nbd_completion_callback done = { .callback = on_answer, .user_data = part };
	nbd_extent_callback extent = { .callback = on_extents, .user_data = part };
	const struct client *client = part->client;
	uint32_t flags = write_flags(client, part->job);

	switch (part->kind) {
	case JOB_READ:
		return nbd_aio_pread(handle, part->buffer, part->length, part->offset, done, 0);
	case JOB_WRITE:
		return nbd_aio_pwrite(handle, part->buffer, part->length, part->offset, done,
				      flags);
	case JOB_FLUSH:
		return nbd_aio_flush(handle, done, 0);
	case JOB_TRIM:
		return nbd_aio_trim(handle, part->length, part->offset, done, 0);
	case JOB_ZERO:
		return nbd_aio_zero(handle, part->length, part->offset, done, flags);
	case JOB_EXTENTS:
		return nbd_aio_block_status(handle, part->length, part->offset, extent, done, 0);
	}
	return -1;
}

/*
 * The first connection that does not have enough to do, else the one with the least; NULL: all have
 * all that they can, or one is lost.
 */
static struct connection *free_connection(struct client *client)
{
	struct connection *best = NULL;

	for (unsigned i = 0; i < client->connection_count; i++) {
		struct connection *connection = &client->connections[i];

		if (connection->lost)
			return NULL;
		if (best != NULL && best->in_flight < ENOUGH)
			continue;
		if (connection->in_flight < DEPTH &&
		    (best == NULL || connection->in_flight < best->in_flight))
			best = connection;
	}
	return best;
}

static void send_part(struct client *client, struct connection *connection, struct part *part)
{
	part->connection = connection;
	part->sent_ms = monotonic_ms();
	connection->in_flight++;
	client->in_flight++;
	if (part->kind == JOB_FLUSH)
		part->mark = unflushed_mark(&client->unflushed);
	else if (part->kind != JOB_READ && part->kind != JOB_EXTENTS)
		unflushed_forget_samples(&client->unflushed, part->offset, part->length);
	if (command(connection->handle, part) >= 0)
		return;
	/*
	 * Not even begun; or begun and given up with the connection. Either way libnbd has ended
	 * with it.
	 */
	if (export_is_lost(connection->handle)) {
		connection->lost = true;
		return;
	}
	connection->in_flight--;
	client->in_flight--;
	end_part(part, export_status());
}

static struct part *new_part(struct client *client, struct job *job, enum job_kind kind)
{
	struct part *part = client->free_parts;

	client->free_parts = part->next;
	part->job = job;
	part->kind = kind;
	part->offset = part->length = 0;
	part->number = client->numbers++;
	return part;
}

/* Flushes for the client itself, so that there is room for writes. */
static void flush_for_room(struct client *client)
{
	struct connection *connection = free_connection(client);

	if (client->flushing || client->free_parts == NULL || connection == NULL)
		return;
	client->flushing = true;
	send_part(client, connection, new_part(client, NULL, JOB_FLUSH));
}

/* How long the next part of a job is. Parts end where the server prefers it, but for the last. */
static uint32_t next_length(const struct client *client, const struct job *job)
{
	/* Zeroes and the like carry no bytes. */
	uint64_t most = job->kind == JOB_READ || job->kind == JOB_WRITE
				? client->part_bytes
				: (UINT32_MAX & ~(uint64_t)(client->facts.block_bytes - 1)) / 2;

	most &= ~(uint64_t)(client->facts.block_bytes - 1);
	return (uint32_t)run_part(job->offset + job->sent, job->length - job->sent, most,
				  client->facts.preferred_bytes);
}

enum sent { SENT, NO_ROOM, ENDED };

/* Sends the next part of a job. */
static enum sent send_next(struct client *client, struct connection *connection, struct job *job)
{
	struct part *part = new_part(client, job, job->kind);
	bool last;

	if (job->kind != JOB_FLUSH) {
		part->length = next_length(client, job);
		part->offset = job->offset + job->sent;
		part->buffer = job->buffer == NULL ? NULL : job->buffer + job->sent;
	}
	if (keeps(client, part) && !unflushed_reserve(&client->unflushed, kept_bytes(part))) {
		part->next = client->free_parts;
		client->free_parts = part;
		return NO_ROOM;
	}
	job->sent += part->length;
	job->all_sent = job->sent == job->length;
	job->parts++;
	last = job->all_sent;
	/* The job may be done when this returns. */
	send_part(client, connection, part);
	return last ? ENDED : SENT;
}

static void take_job(struct client *client)
{
	client->first_job = client->first_job->next;
}

/*
 * A flush that needs no server: where each write is durable by itself; or one that has to report
 * that a flush of the client's own failed, once.
 */
static bool end_flush_here(struct client *client, struct job *job)
{
	if (job->kind != JOB_FLUSH || (client->facts.can_flush && client->flush_failed == 0))
		return false;
	job->status = client->flush_failed;
	client->flush_failed = 0;
	take_job(client);
	job_end(client, job);
	return true;
}

/*
 * There is no room, and the flush that was to make some has failed: the write cannot be taken, as
 * it could not be sent again.
 */
static bool refuse_for_room(struct client *client, struct job *job)
{
	if (client->flushing || client->flush_failed == 0)
		return false;
	if (job->status == 0)
		job->status = client->flush_failed;
	job->all_sent = true;
	take_job(client);
	if (job->parts == 0)
		job_end(client, job);
	return true;
}

/* Sends a part of the first job; false: it has to wait. */
static bool send_first_job(struct client *client)
{
	struct job *job = client->first_job, *next = job->next;
	struct connection *connection;

	if (end_flush_here(client, job))
		return true;
	connection = free_connection(client);
	if (connection == NULL || client->free_parts == NULL)
		return false;
	switch (send_next(client, connection, job)) {
	case ENDED:
		/* Not by the job, which may be on the list of those that have ended. */
		client->first_job = next;
		return true;
	case SENT:
		return true;
	case NO_ROOM:
		break;
	}
	if (refuse_for_room(client, job))
		return true;
	flush_for_room(client);
	return false;
}

void parts_send(struct client *client)
{
	while (client->again.first != NULL) {
		struct connection *connection = free_connection(client);

		if (connection == NULL)
			return;
		send_part(client, connection, take_first(&client->again));
	}
	while (client->first_job != NULL && send_first_job(client))
		;
	if (unflushed_is_half_full(&client->unflushed))
		flush_for_room(client);
}

/* ---- lost connections ---- */

/* The part with the lowest number that is on the way. */
static struct part *oldest_sent(struct client *client)
{
	struct part *oldest = NULL;

	for (unsigned i = 0; i < client->part_count; i++) {
		struct part *part = &client->parts[i];

		if (part->connection != NULL && (oldest == NULL || part->number < oldest->number))
			oldest = part;
	}
	return oldest;
}

void parts_take_back(struct client *client)
{
	struct part_list list = { NULL, NULL };
	struct part *part;

	/* In their order, before those that were not even sent again yet. */
	while ((part = oldest_sent(client)) != NULL) {
		part->connection = NULL;
		put_last(&list, part);
	}
	while (client->again.first != NULL)
		put_last(&list, take_first(&client->again));
	client->again = list;
	client->in_flight = 0;
}

void parts_give_up(struct client *client, int status)
{
	while (client->again.first != NULL)
		end_part(take_first(&client->again), status);
	while (client->first_job != NULL) {
		struct job *job = client->first_job;

		take_job(client);
		job->all_sent = true;
		if (job->status == 0)
			job->status = status;
		if (job->parts == 0)
			job_end(client, job);
	}
}

bool parts_are_late(struct client *client)
{
	uint64_t now = monotonic_ms();

	if (client->in_flight == 0 || now - client->checked_ms < CHECK_MS)
		return false;
	client->checked_ms = now;
	for (unsigned i = 0; i < client->part_count; i++) {
		const struct part *part = &client->parts[i];

		if (part->connection != NULL && now - part->sent_ms > client->options.answer_ms)
			return true;
	}
	return false;
}
