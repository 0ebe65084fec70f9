/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An open export: a thread that owns the connections, carries out what callers want in parts, and
 * makes the connections again when they are lost. For the files of this folder only, from the top:
 * backend.c (the vtable), client.c (the thread), recover.c (a lost connection), parts.c (what is on
 * the way to the server).
 *
 * What a caller wants is a job. A job that moves bytes is cut into parts; a part is one request to
 * the server, on one connection. A connection that is lost gives its parts back, and they are sent
 * again when all that was acknowledged and not flushed has been. Everything but the queue of new
 * jobs belongs to the thread.
 */
#ifndef NBD_CLIENT_H
#define NBD_CLIENT_H

#include <pthread.h>

#include <uds/engine.h>
#include <uds/nbd.h>

#include "common/extents.h"
#include "nbd/export.h"
#include "nbd/unflushed.h"

/* Requests on the way in each connection. */
#define DEPTH 64u

/* A connection has so many before the next one gets any: few that have many cost less. */
#define ENOUGH 16u

/* The longest part: a large transfer is on several connections at once. */
#define PART_BYTES (1u << 20)

enum job_kind { JOB_READ, JOB_WRITE, JOB_FLUSH, JOB_TRIM, JOB_ZERO, JOB_EXTENTS };

struct job {
	struct job *next;
	enum job_kind kind;
	bool durable; /* of a write: when it is done */
	uint8_t *buffer;
	uint64_t offset, length;
	struct extents *extents;

	uint64_t sent;	/* bytes that have been given to parts */
	bool all_sent;	/* there will be no more parts */
	unsigned parts; /* that are not done */
	int status;	/* the first error */

	struct uds_io_request *request; /* NULL: a thread waits for it */
	pthread_cond_t ended;
	bool done;
};

struct connection {
	struct nbd_handle *handle; /* NULL: none */
	unsigned in_flight;
	bool lost;
};

struct client;

/* One request to the server. */
struct part {
	struct part *next;
	struct client *client;
	struct job *job;	       /* NULL: a flush of the client's own */
	struct connection *connection; /* NULL: it is not on the way */
	enum job_kind kind;
	uint8_t *buffer;
	uint64_t offset;
	uint32_t length;
	uint64_t number;  /* parts are sent again in this order */
	uint64_t mark;	  /* of a flush: what it makes durable */
	uint64_t sent_ms; /* when it was sent */
};

struct part_list {
	struct part *first, *last;
};

struct client {
	struct uds_env env;
	struct uds_nbd_options options;
	char *name; /* for sentences */
	char *uri;  /* for libnbd */
	struct export_facts facts;
	uint32_t part_bytes;
	struct uds_io_place place;
	bool has_place;
	pthread_t thread;
	int event; /* wakes it */

	pthread_mutex_t lock; /* the next three */
	struct job *first_new, *last_new;
	bool stop, sleeping;

	struct known_extents extents;

	/* The thread's own from here on. */
	struct job *first_job, *last_job;
	struct job *first_ended, *last_ended; /* their owners are to be told */
	struct connection connections[UDS_NBD_CONNECTIONS_MAX];
	unsigned connection_count;
	bool connected;
	struct uds_message why; /* the connection was lost */
	struct part *parts;	/* all of them */
	unsigned part_count;
	struct part *free_parts;
	struct part_list again; /* to be sent before anything else */
	unsigned in_flight;
	uint64_t numbers;
	uint64_t checked_ms; /* when the parts' ages were looked at */
	struct unflushed unflushed;
	bool flushing;	  /* a flush of the client's own is on the way */
	int flush_failed; /* what it said, for the next flush of a caller */
	int dead;	  /* the status of everything from now on; 0: alive */
};

/* ---- parts.c ---- */

/* Sends what can be sent of the jobs. */
void parts_send(struct client *client);

/* All connections are gone: what was on the way comes back, in its order. */
void parts_take_back(struct client *client);

/* Ends everything that waits with the status. */
void parts_give_up(struct client *client, int status);

/* Whether a part has waited for its answer for too long. */
bool parts_are_late(struct client *client);

/* ---- recover.c ---- */

/* Closes what is left of the connections, and remembers why. */
void client_drop_connections(struct client *client);

/*
 * Makes the connections again, and the server as it was; or gives up for good. Called when
 * something is to be done only.
 */
void client_recover(struct client *client);

/* More connections, as many as are wanted and can be had. */
void client_add_connections(struct client *client);

/* Nothing works from now on. */
void client_die(struct client *client, int status, const char *why);

/* ---- client.c ---- */

/* A job is done: its owner is told soon. */
void job_end(struct client *client, struct job *job);

/* Whether the owner wants an end; for struct patience. */
bool client_is_stopped(void *client);

/* Connects, and starts the thread. */
int client_open(const char *name, const char *uri, const struct uds_nbd_options *options,
		const struct uds_env *env, struct uds_message *message, struct client **ret_client);

/* Ends the thread when all jobs are done, and frees everything. */
void client_close(struct client *client);

/* Gives jobs to the thread: those from @first to @last, linked. */
void client_add(struct client *client, struct job *first, struct job *last);

/* Carries a job out, and waits for it. */
int client_run(struct client *client, struct job *job);

/* ---- backend.c ---- */

extern const struct uds_io_ops nbd_backend;

#endif
