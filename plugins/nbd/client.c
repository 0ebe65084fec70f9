/* SPDX-License-Identifier: BSD-2-Clause */
/* The thread of an open export: its queue, waiting for the server, and its beginning and end. */
#include "nbd/client.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/env.h"
#include "base/message.h"
#include "common/copy_text.h"
#include "common/signals.h"
#include "nbd/place.h"

/* How often it is looked whether an answer is late, in milliseconds. */
#define LOOK_MS 500

/* ---- the queue ---- */

static void wake(struct client *client)
{
	const uint64_t one = 1;

	/* It fails only when the counter is full, and it is readable then. */
	if (write(client->event, &one, sizeof(one)) < 0)
		return;
}

void client_add(struct client *client, struct job *first, struct job *last)
{
	bool sleeping;

	last->next = NULL;
	pthread_mutex_lock(&client->lock);
	if (client->first_new == NULL)
		client->first_new = first;
	else
		client->last_new->next = first;
	client->last_new = last;
	/* Once: the thread takes all that is there when it wakes. */
	sleeping = client->sleeping;
	client->sleeping = false;
	pthread_mutex_unlock(&client->lock);
	if (sleeping)
		wake(client);
}

int client_run(struct client *client, struct job *job)
{
	pthread_cond_init(&job->ended, NULL);
	client_add(client, job, job);
	pthread_mutex_lock(&client->lock);
	while (!job->done)
		pthread_cond_wait(&job->ended, &client->lock);
	pthread_mutex_unlock(&client->lock);
	pthread_cond_destroy(&job->ended);
	return job->status;
}

void job_end(struct client *client, struct job *job)
{
	job->next = NULL;
	if (client->first_ended == NULL)
		client->first_ended = job;
	else
		client->last_ended->next = job;
	client->last_ended = job;
}

/* The owner may free it, or has it freed. */
static void tell_owner(struct client *client, struct job *job)
{
	struct uds_io_request *request = job->request;
	int status = job->status;

	if (request != NULL) {
		env_release(&client->env, job);
		uds_io_request_complete(request, status);
		return;
	}
	pthread_mutex_lock(&client->lock);
	job->done = true;
	pthread_cond_signal(&job->ended);
	pthread_mutex_unlock(&client->lock);
}

/* All at once, when what the server has said is read: owners that wait wake once. */
static void tell_owners(struct client *client)
{
	while (client->first_ended != NULL) {
		struct job *job = client->first_ended;

		client->first_ended = job->next;
		tell_owner(client, job);
	}
}

bool client_is_stopped(void *context)
{
	struct client *client = context;
	bool stop;

	pthread_mutex_lock(&client->lock);
	stop = client->stop;
	pthread_mutex_unlock(&client->lock);
	return stop;
}

/* ---- the thread ---- */

static void take_new(struct client *client)
{
	pthread_mutex_lock(&client->lock);
	if (client->first_new != NULL) {
		if (client->first_job == NULL)
			client->first_job = client->first_new;
		else
			client->last_job->next = client->first_new;
		client->last_job = client->last_new;
		client->first_new = NULL;
	}
	pthread_mutex_unlock(&client->lock);
}

static bool has_work(const struct client *client)
{
	return client->first_job != NULL || client->again.first != NULL;
}

/* Says that it will sleep, unless there is a reason not to. */
static bool may_sleep(struct client *client)
{
	bool may;

	pthread_mutex_lock(&client->lock);
	may = client->first_new == NULL && !client->stop;
	client->sleeping = may;
	pthread_mutex_unlock(&client->lock);
	return may;
}

/* Why a connection was lost, as far as libnbd knows. */
static void remember_why(struct client *client, bool failed)
{
	const char *said = failed ? nbd_get_error() : NULL;

	failure(&client->why, 0, "%s", said != NULL ? said : "the server hung up");
}

static bool has_more(struct connection *connection)
{
	struct pollfd polled = { .fd = nbd_aio_get_fd(connection->handle), .events = POLLIN };

	return (nbd_aio_get_direction(connection->handle) & LIBNBD_AIO_DIRECTION_READ) != 0 &&
	       poll(&polled, 1, 0) > 0 && polled.revents == POLLIN;
}

/*
 * Reads as many answers as are there. Only where there is something to read: told otherwise, libnbd
 * waits for an answer before it sends the rest of a request.
 */
static int read_answers(struct connection *connection)
{
	int r;

	do {
		r = nbd_aio_notify_read(connection->handle);
	} while (r == 0 && !connection->lost && connection->in_flight > 0 && has_more(connection));
	return r;
}

/* One connection has something to read, or room to write. */
static void serve_connection(struct client *client, struct connection *connection, short events)
{
	unsigned direction = nbd_aio_get_direction(connection->handle);
	int r = 0;

	if ((events & (POLLIN | POLLHUP)) != 0 && (direction & LIBNBD_AIO_DIRECTION_READ) != 0)
		r = read_answers(connection);
	else if ((events & POLLOUT) != 0 && (direction & LIBNBD_AIO_DIRECTION_WRITE) != 0)
		r = nbd_aio_notify_write(connection->handle);
	else if ((events & (POLLERR | POLLNVAL)) != 0)
		connection->lost = true;
	if (r < 0 || export_is_lost(connection->handle))
		connection->lost = true;
	if (connection->lost)
		remember_why(client, r < 0);
}

static short wanted_events(struct nbd_handle *handle)
{
	unsigned direction = nbd_aio_get_direction(handle);
	int events = 0;

	if ((direction & LIBNBD_AIO_DIRECTION_READ) != 0)
		events |= POLLIN;
	if ((direction & LIBNBD_AIO_DIRECTION_WRITE) != 0)
		events |= POLLOUT;
	return (short)events;
}

/* Waits for the server or for new jobs, and reads what the server has said. */
static void wait_for_something(struct client *client)
{
	struct pollfd polled[1 + UDS_NBD_CONNECTIONS_MAX] = { { .fd = client->event,
								.events = POLLIN } };
	int timeout = client->in_flight > 0 ? LOOK_MS : -1;
	uint64_t count;

	for (unsigned i = 0; i < client->connection_count; i++) {
		struct connection *connection = &client->connections[i];

		/* poll() passes over a descriptor of -1. */
		polled[1 + i].fd = connection->lost ? -1 : nbd_aio_get_fd(connection->handle);
		polled[1 + i].events =
			connection->lost ? (short)0 : wanted_events(connection->handle);
	}
	if (poll(polled, 1 + client->connection_count, may_sleep(client) ? timeout : 0) <= 0)
		return;
	if (polled[0].revents != 0 && read(client->event, &count, sizeof(count)) < 0)
		return;
	for (unsigned i = 0; i < client->connection_count; i++) {
		if (polled[1 + i].revents != 0 && !client->connections[i].lost)
			serve_connection(client, &client->connections[i], polled[1 + i].revents);
	}
}

/*
 * When one connection is lost all are made again: nothing else tells whether the server is the same
 * one. Those that are not lost are let finish first, so that no write of theirs is carried out
 * behind one that is sent again.
 */
static void look_for_loss(struct client *client)
{
	bool lost = false, waiting = false;

	for (unsigned i = 0; i < client->connection_count; i++) {
		lost = lost || client->connections[i].lost;
		waiting = waiting ||
			  (!client->connections[i].lost && client->connections[i].in_flight > 0);
	}
	if (lost && !waiting)
		client_drop_connections(client);
}

static void look_for_late_answers(struct client *client)
{
	struct uds_message why;

	if (!parts_are_late(client))
		return;
	failure(&why, 0, "the server has not answered for %" PRIu32 " seconds",
		client->options.answer_ms / 1000);
	client_die(client, -ETIMEDOUT, why.text);
}

static void *run(void *context)
{
	struct client *client = context;

	for (;;) {
		take_new(client);
		if (!client->connected && client->dead == 0 && has_work(client) &&
		    !client_is_stopped(client))
			client_recover(client);
		if (client->dead != 0)
			parts_give_up(client, client->dead);
		else if (client->connected)
			parts_send(client);
		tell_owners(client);
		look_for_loss(client);
		/* Its owner has nothing on the way when it stops. */
		if (client_is_stopped(client))
			return NULL;
		if (client->connected || client->dead != 0 || !has_work(client))
			wait_for_something(client);
		tell_owners(client);
		look_for_late_answers(client);
		look_for_loss(client);
	}
}

/* ---- beginning and end ---- */

/* Whether the export can be what the caller wants. */
static int check_export(const struct client *client, struct uds_message *message)
{
	const struct export_facts *facts = &client->facts;

	if (!client->options.write)
		return 0;
	if (facts->read_only)
		return failure(message, -EROFS, "%s: the server exports it read-only",
			       client->name);
	if (!facts->can_flush && !facts->can_fua)
		return failure(message, -EOPNOTSUPP,
			       "%s: the server can neither flush nor write durably: nothing "
			       "written there would be safe",
			       client->name);
	return 0;
}

static int connect_first(struct client *client, struct uds_message *message)
{
	const struct patience patience = { .until_ms =
						   monotonic_ms() + client->options.connect_ms };
	struct uds_message why = { "" };
	struct nbd_handle *handle;
	int r = export_connect(client->uri, &patience, &why, &handle, &client->facts);

	if (r < 0)
		return failure(message, r, "%s: %s", client->name, why.text);
	client->connections[0].handle = handle;
	client->connection_count = 1;
	client->connected = true;
	client->has_place = place_of_export(handle, &client->place);
	return check_export(client, message);
}

static int make_parts(struct client *client)
{
	client->part_count = client->connection_count * DEPTH;
	/* As many as there can be: a connection more may come with the next server. */
	if (client->facts.can_multi_conn)
		client->part_count = client->options.connections * DEPTH;
	client->parts = env_allocate_zeroed(&client->env, client->part_count, sizeof(struct part));
	if (client->parts == NULL)
		return -ENOMEM;
	for (unsigned i = 0; i < client->part_count; i++) {
		client->parts[i].client = client;
		client->parts[i].next = client->free_parts;
		client->free_parts = &client->parts[i];
	}
	return 0;
}

/* The memory for what is on the way and what is not flushed. */
static int make_memory(struct client *client)
{
	const struct export_facts *facts = &client->facts;
	uint64_t bytes = client->options.unflushed_bytes;
	int r = make_parts(client);

	client->part_bytes = facts->most_bytes < PART_BYTES ? facts->most_bytes : PART_BYTES;
	if (client->part_bytes > bytes / 4)
		client->part_bytes = (uint32_t)(bytes / 4) & ~(facts->block_bytes - 1);
	if (client->part_bytes < facts->block_bytes)
		client->part_bytes = facts->block_bytes;
	/* A server with blocks that large gets the memory for some of them. */
	if (bytes / 4 < facts->block_bytes)
		bytes = (uint64_t)facts->block_bytes * 4;
	if (r == 0 && client->options.write)
		r = unflushed_make(&client->unflushed, &client->env, bytes, facts->block_bytes);
	return r;
}

static void free_client(struct client *client)
{
	struct uds_env env = client->env;

	for (unsigned i = 0; i < client->connection_count; i++)
		export_disconnect(client->connections[i].handle);
	if (client->event >= 0)
		close(client->event);
	unflushed_free(&client->unflushed, &env);
	pthread_mutex_destroy(&client->lock);
	extents_free(&client->extents, &env);
	env_release(&env, client->parts);
	env_release(&env, client->uri);
	env_release(&env, client->name);
	env_release(&env, client);
}

static int start(struct client *client, struct uds_message *message)
{
	int r = make_memory(client);

	if (r < 0)
		return failure(message, r, "%s: %s", client->name, uds_strerror(r));
	client_add_connections(client);
	client->event = eventfd(0, EFD_CLOEXEC);
	r = client->event < 0 ? -errno : start_quiet_thread(&client->thread, run, client);
	if (r < 0)
		return failure(message, r, "%s: its thread cannot be started: %s", client->name,
			       uds_strerror(r));
	return 0;
}

int client_open(const char *name, const char *uri, const struct uds_nbd_options *options,
		const struct uds_env *env, struct uds_message *message, struct client **ret_client)
{
	struct client *client = env_allocate_zeroed(env, 1, sizeof(*client));
	int r;

	if (client == NULL)
		return failure(message, -ENOMEM, "%s: no memory", name);
	client->env = *env;
	client->options = *options;
	client->event = -1;
	pthread_mutex_init(&client->lock, NULL);
	extents_init(&client->extents);
	client->name = copy_text(env, name);
	client->uri = copy_text(env, uri);
	if (client->name == NULL || client->uri == NULL)
		r = failure(message, -ENOMEM, "%s: no memory", name);
	else
		r = connect_first(client, message);
	if (r == 0)
		r = start(client, message);
	if (r < 0)
		free_client(client);
	else
		*ret_client = client;
	return r;
}

void client_close(struct client *client)
{
	pthread_mutex_lock(&client->lock);
	client->stop = true;
	pthread_mutex_unlock(&client->lock);
	wake(client);
	pthread_join(client->thread, NULL);
	free_client(client);
}
