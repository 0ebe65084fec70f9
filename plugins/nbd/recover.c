/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A lost connection: made again within the time that the caller allows, with the same export behind
 * it, and with all that was acknowledged and not flushed written again before anything else goes
 * on. Where one of these cannot be had the client ends for good, and writes nothing more.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "base/env.h"
#include "base/message.h"
#include "nbd/client.h"

/* The pause between two attempts grows from the one to the other, in milliseconds. */
#define FIRST_PAUSE 20
#define LAST_PAUSE  500

/* A connection more than the first is not worth a longer wait, in milliseconds. */
#define MORE_MS 1000

/* Writes that are sent again at once. */
#define WINDOW 32u

/* How an attempt went, beside a negative status that ends everything. */
enum { AS_BEFORE = 0, TRY_AGAIN = 1 };

void client_die(struct client *client, int status, const char *why)
{
	uint32_t writes = client->unflushed.count;

	client->dead = status;
	client_drop_connections(client);
	if (writes > 0)
		env_log(&client->env, UDS_LOG_ERROR,
			"%s: given up: %s; the last %" PRIu32
			" writes that were not flushed may be lost",
			client->name, why, writes);
	else
		env_log(&client->env, UDS_LOG_ERROR, "%s: given up: %s", client->name, why);
}

void client_drop_connections(struct client *client)
{
	for (unsigned i = 0; i < client->connection_count; i++)
		nbd_close(client->connections[i].handle);
	memset(client->connections, 0, sizeof(client->connections));
	client->connection_count = 0;
	client->connected = false;
	parts_take_back(client);
}

static void add_connection(struct client *client, struct nbd_handle *handle)
{
	struct connection *connection = &client->connections[client->connection_count++];

	memset(connection, 0, sizeof(*connection));
	connection->handle = handle;
}

void client_add_connections(struct client *client)
{
	struct patience patience = { .stopped = client_is_stopped, .context = client };

	while (client->facts.can_multi_conn &&
	       client->connection_count < client->options.connections) {
		struct nbd_handle *handle;
		struct export_facts facts;

		patience.until_ms = monotonic_ms() + MORE_MS;
		/* A server may have enough of them, or show each another size: then no more. */
		if (export_connect(client->uri, &patience, NULL, &handle, &facts) < 0)
			return;
		/* A server that was started again may give other advice. */
		facts.preferred_bytes = client->facts.preferred_bytes;
		if (memcmp(&facts, &client->facts, sizeof(facts)) != 0) {
			export_disconnect(handle);
			return;
		}
		add_connection(client, handle);
	}
}

/* Whether the export is what it was: 0, or a status and why it is not. */
static int compare_facts(const struct export_facts *was, const struct export_facts *is, bool write,
			 struct uds_message *why)
{
	if (is->bytes != was->bytes)
		return failure(why, -ESTALE,
			       "the export has another size now: it had %" PRIu64
			       " bytes, and has %" PRIu64,
			       was->bytes, is->bytes);
	if (write && is->read_only)
		return failure(why, -EROFS, "the export is read-only now");
	if (is->block_bytes != was->block_bytes || is->most_bytes != was->most_bytes)
		return failure(why, -ESTALE, "the export takes requests of other sizes now");
	if (write && (is->can_flush != was->can_flush || is->can_fua != was->can_fua ||
		      is->can_zero != was->can_zero || is->can_trim != was->can_trim))
		return failure(why, -ESTALE,
			       "the server can no longer do what it could (flush, write durably, "
			       "trim, write zeroes)");
	return 0;
}

/* Whether a write that is sent again lies there. */
static bool is_unflushed(const struct unflushed *u, uint64_t offset, uint64_t length)
{
	for (uint32_t i = 0; i < u->count; i++) {
		const struct unflushed_write *write = unflushed_get(u, i);

		if (ranges_meet(write->offset, write->length, offset, length))
			return true;
	}
	return false;
}

/* What was flushed last must be there. */
static int compare_samples(struct client *client, struct nbd_handle *handle,
			   const struct patience *patience, struct uds_message *why)
{
	uint8_t found[SAMPLE_BYTES];

	for (unsigned i = 0; client->unflushed.samples != NULL && i < SAMPLES; i++) {
		const struct flushed_sample *sample = &client->unflushed.samples[i];
		int64_t cookie;
		int r;

		if (sample->length == 0 ||
		    is_unflushed(&client->unflushed, sample->offset, sample->length))
			continue;
		cookie = nbd_aio_pread(handle, found, sample->length, sample->offset,
				       NBD_NULL_COMPLETION, 0);
		r = cookie < 0 ? export_status() : export_wait(handle, cookie, patience);
		if (r < 0)
			return r;
		if (memcmp(found, sample->data, sample->length) != 0)
			return failure(
				why, -ESTALE,
				"the export does not have what was flushed to it: the %" PRIu32
				" bytes at %" PRIu64 " are others",
				sample->length, sample->offset);
	}
	return 0;
}

/* ---- writing again ---- */

struct window {
	int64_t cookie[WINDOW];
	const struct unflushed_write *write[WINDOW];
	unsigned count;
};

static int wait_for_window(struct nbd_handle *handle, struct window *window,
			   const struct patience *patience)
{
	int status = 0;

	for (unsigned i = 0; i < window->count && status == 0; i++)
		status = export_wait(handle, window->cookie[i], patience);
	window->count = 0;
	return status;
}

static bool meets_window(const struct window *window, const struct unflushed_write *write)
{
	for (unsigned i = 0; i < window->count; i++) {
		if (ranges_meet(window->write[i]->offset, window->write[i]->length, write->offset,
				write->length))
			return true;
	}
	return false;
}

static int write_again(struct nbd_handle *handle, const struct unflushed_write *write,
		       struct window *window)
{
	int64_t cookie = write->zeroes ? nbd_aio_zero(handle, write->length, write->offset,
						      NBD_NULL_COMPLETION, 0)
				       : nbd_aio_pwrite(handle, write->data, write->length,
							write->offset, NBD_NULL_COMPLETION, 0);

	if (cookie < 0)
		return export_is_lost(handle) ? -ENOTCONN : export_status();
	window->cookie[window->count] = cookie;
	window->write[window->count++] = write;
	return 0;
}

/* All that is not flushed, in its order where ranges meet. */
static int write_all_again(struct client *client, struct nbd_handle *handle,
			   const struct patience *patience)
{
	const struct unflushed *u = &client->unflushed;
	struct window window = { .count = 0 };
	int r = 0;

	for (uint32_t i = 0; i < u->count && r == 0; i++) {
		const struct unflushed_write *write = unflushed_get(u, i);

		if (window.count == WINDOW || meets_window(&window, write))
			r = wait_for_window(handle, &window, patience);
		if (r == 0)
			r = write_again(handle, write, &window);
	}
	return r == 0 ? wait_for_window(handle, &window, patience) : r;
}

/* Makes the server's state what it was: AS_BEFORE, TRY_AGAIN, or a status that ends everything. */
static int restore(struct client *client, struct nbd_handle *handle,
		   const struct export_facts *facts, struct uds_message *why)
{
	struct patience patience = { .stopped = client_is_stopped, .context = client };
	int r = compare_facts(&client->facts, facts, client->options.write, why);

	if (r < 0)
		return r;
	/* For all of it: no server needs that long, unless it does not answer at all. */
	patience.until_ms = monotonic_ms() + client->options.answer_ms;
	why->text[0] = '\0';
	r = compare_samples(client, handle, &patience, why);
	if (r == 0)
		r = write_all_again(client, handle, &patience);
	if (r == -ENOTCONN || r == -ESHUTDOWN) {
		failure(why, r, "the connection was lost again");
		return TRY_AGAIN;
	}
	if (r < 0 && why->text[0] == '\0')
		failure(why, r, "what was not flushed could not be written again: %s",
			uds_strerror(r));
	return r;
}

static int attempt(struct client *client, uint64_t deadline, struct uds_message *why)
{
	struct patience patience = { .stopped = client_is_stopped, .context = client };
	struct nbd_handle *handle;
	struct export_facts facts;
	int r;

	patience.until_ms = monotonic_ms() + client->options.connect_ms;
	if (patience.until_ms > deadline)
		patience.until_ms = deadline;
	if (export_connect(client->uri, &patience, why, &handle, &facts) < 0)
		return TRY_AGAIN;
	r = restore(client, handle, &facts, why);
	if (r == AS_BEFORE)
		add_connection(client, handle);
	else
		nbd_close(handle);
	return r;
}

static void pause_for(unsigned ms)
{
	const struct timespec time = { .tv_nsec = (long)ms * 1000000 };

	/* A signal that ends it early does no harm. */
	(void)nanosleep(&time, NULL);
}

/* It is as before: tells so, and lets everything go on. */
static void go_on(struct client *client)
{
	client->connected = true;
	client_add_connections(client);
	env_log(&client->env, UDS_LOG_NOTICE,
		"%s: connected again; %" PRIu32
		" writes that were acknowledged and not flushed were sent again",
		client->name, client->unflushed.count);
}

void client_recover(struct client *client)
{
	uint64_t deadline = monotonic_ms() + client->options.reconnect_ms;
	struct uds_message last = client->why;
	unsigned pause = FIRST_PAUSE;
	int r = client->options.reconnect_ms == 0 ? -ENOTCONN : TRY_AGAIN;

	if (last.text[0] == '\0')
		failure(&last, 0, "the server hung up");
	client->why.text[0] = '\0';
	if (r == TRY_AGAIN)
		env_log(&client->env, UDS_LOG_WARNING,
			"%s: the connection is lost (%s): connecting again for %" PRIu32
			" seconds at most",
			client->name, last.text, (client->options.reconnect_ms + 999) / 1000);
	while (r == TRY_AGAIN) {
		r = attempt(client, deadline, &last);
		if (r != TRY_AGAIN)
			break;
		if (client_is_stopped(client) || monotonic_ms() + pause > deadline) {
			r = -ENOTCONN;
			break;
		}
		pause_for(pause);
		pause = pause * 2 < LAST_PAUSE ? pause * 2 : LAST_PAUSE;
	}
	if (r == AS_BEFORE)
		go_on(client);
	else
		client_die(client, r, last.text);
}
