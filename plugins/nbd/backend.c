/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions of the I/O vtable: each makes a job of what the library wants. */
#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "nbd/client.h"
#include "nbd/find_data.h"

static int run_job(struct client *client, enum job_kind kind, void *buffer, uint64_t length,
		   uint64_t offset, bool durable)
{
	struct job job = {
		.kind = kind,
		.buffer = buffer,
		.length = length,
		.offset = offset,
		.durable = durable,
	};

	if (kind == JOB_WRITE || kind == JOB_ZERO || kind == JOB_TRIM)
		extents_change(&client->extents);
	return client_run(client, &job);
}

/* The server would say the same, in other words. */
static bool is_inside(const struct client *client, uint64_t length, uint64_t offset)
{
	return offset <= client->facts.bytes && length <= client->facts.bytes - offset;
}

static int nbd_backend_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	if (!is_inside(context, length, offset))
		return UDS_ERR_OUT_OF_RANGE;
	return run_job(context, JOB_READ, buffer, length, offset, false);
}

static int write_bytes(struct client *client, const void *buffer, size_t length, uint64_t offset,
		       bool durable)
{
	if (!is_inside(client, length, offset))
		return UDS_ERR_OUT_OF_RANGE;
	/* A write only reads it. */
	return run_job(client, JOB_WRITE, (void *)(uintptr_t)buffer, length, offset, durable);
}

static int nbd_backend_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	return write_bytes(context, buffer, length, offset, false);
}

static int nbd_backend_flush(void *context)
{
	struct client *client = context;

	/* A reader has written nothing, and a server that exports read-only may refuse. */
	return client->options.write ? run_job(client, JOB_FLUSH, NULL, 0, 0, false) : 0;
}

static int nbd_backend_write_durable(void *context, const void *buffer, size_t length,
				     uint64_t offset)
{
	struct client *client = context;
	int r = write_bytes(client, buffer, length, offset, true);

	return r == 0 && !client->facts.can_fua ? nbd_backend_flush(client) : r;
}

static int nbd_backend_get_size(void *context, uint64_t *ret_bytes)
{
	const struct client *client = context;

	*ret_bytes = client->facts.bytes;
	return 0;
}

static int nbd_backend_close(void *context)
{
	client_close(context);
	return 0;
}

static int nbd_backend_discard(void *context, uint64_t offset, uint64_t length)
{
	struct client *client = context;
	uint64_t mask = client->facts.block_bytes - 1, end;

	if (!client->facts.can_trim)
		return -EOPNOTSUPP;
	if (!is_inside(client, length, offset))
		return UDS_ERR_OUT_OF_RANGE;
	/* The whole blocks in the range. */
	end = (offset + length) & ~mask;
	offset = (offset + mask) & ~mask;
	return offset >= end ? 0 : run_job(client, JOB_TRIM, NULL, end - offset, offset, false);
}

static int nbd_backend_write_zeroes(void *context, uint64_t offset, uint64_t length)
{
	struct client *client = context;

	if (!client->facts.can_zero)
		return -EOPNOTSUPP;
	if (!is_inside(client, length, offset))
		return UDS_ERR_OUT_OF_RANGE;
	return run_job(client, JOB_ZERO, NULL, length, offset, false);
}

static int nbd_backend_identity(void *context, struct uds_io_place *ret_places, size_t room,
				size_t *ret_count)
{
	const struct client *client = context;

	if (!client->has_place)
		return -EOPNOTSUPP;
	if (room > 0)
		ret_places[0] = client->place;
	*ret_count = 1;
	return 0;
}

/* ---- many at once ---- */

static enum job_kind job_kind_of(const struct uds_io_request *request)
{
	if (request->kind == UDS_IO_READ)
		return JOB_READ;
	return request->kind == UDS_IO_WRITE ? JOB_WRITE : JOB_FLUSH;
}

/* A job for a request. */
static struct job *make_job(struct client *client, struct uds_io_request *request)
{
	struct job *job = env_allocate_zeroed(&client->env, 1, sizeof(*job));

	if (job == NULL)
		return NULL;
	job->kind = job_kind_of(request);
	job->request = request;
	if (job->kind == JOB_FLUSH)
		return job;
	job->buffer = request->buffer;
	job->offset = request->offset;
	job->length = request->length;
	return job;
}

static void free_jobs(struct client *client, struct job *job)
{
	while (job != NULL) {
		struct job *next = job->next;

		env_release(&client->env, job);
		job = next;
	}
}

static bool is_answered_here(struct client *client, const struct uds_io_request *request,
			     int *ret_status)
{
	*ret_status = 0;
	if (request->kind == UDS_IO_FLUSH)
		return !client->options.write;
	*ret_status = UDS_ERR_OUT_OF_RANGE;
	return !is_inside(client, request->length, request->offset);
}

static int nbd_backend_submit(void *context, struct uds_io_request *const *requests, size_t count)
{
	struct job *first = NULL, *last = NULL;
	struct client *client = context;
	int status;

	/* All the memory first: when it fails, nothing has begun. */
	for (size_t i = 0; i < count; i++) {
		struct job *job;

		if (is_answered_here(client, requests[i], &status))
			continue;
		job = make_job(client, requests[i]);
		if (job == NULL) {
			free_jobs(client, first);
			return -ENOMEM;
		}
		if (first == NULL)
			first = job;
		else
			last->next = job;
		last = job;
		if (job->kind == JOB_WRITE)
			extents_change(&client->extents);
	}
	for (size_t i = 0; i < count; i++) {
		if (is_answered_here(client, requests[i], &status))
			uds_io_request_complete(requests[i], status);
	}
	if (first != NULL)
		client_add(client, first, last);
	return 0;
}

const struct uds_io_ops nbd_backend = {
	.size = sizeof(struct uds_io_ops),
	.read = nbd_backend_read,
	.write = nbd_backend_write,
	.flush = nbd_backend_flush,
	.get_size = nbd_backend_get_size,
	.close = nbd_backend_close,
	.discard = nbd_backend_discard,
	.identity = nbd_backend_identity,
	.write_zeroes = nbd_backend_write_zeroes,
	.write_durable = nbd_backend_write_durable,
	.submit = nbd_backend_submit,
	.find_data = nbd_find_data,
};
