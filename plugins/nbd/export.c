/* SPDX-License-Identifier: BSD-2-Clause */
/* Connecting to an NBD server, with an end to waiting for it. */
#include "nbd/export.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/bits.h"
#include "base/message.h"

/* Between two looks at whether somebody wants an end, in milliseconds. */
#define SLICE 100

/* What a server takes that names no limit (the protocol's own advice). */
#define MOST_BYTES (32u << 20)

/* Milliseconds that a server has to hang up. */
#define GOODBYE 1000

int export_status(void)
{
	int number = nbd_get_errno();

	/* A server that speaks something else, or has a wrong certificate, gives no number. */
	return number > 0 && number < 4096 ? -number : -EPROTO;
}

static int libnbd_failure(struct uds_message *message)
{
	int status = export_status();
	const char *said = nbd_get_error();

	return failure(message, status, "%s", said != NULL ? said : uds_strerror(status));
}

bool export_is_lost(struct nbd_handle *handle)
{
	return nbd_aio_is_dead(handle) != 0 || nbd_aio_is_closed(handle) != 0;
}

/* Lets the handle go on for a while: 0, or -ETIMEDOUT, -ECANCELED; -ENOTCONN: libnbd says why. */
static int go_on(struct nbd_handle *handle, const struct patience *patience)
{
	uint64_t now = monotonic_ms();
	uint64_t left = patience->until_ms > now ? patience->until_ms - now : 0;

	if (patience->stopped != NULL && patience->stopped(patience->context))
		return -ECANCELED;
	if (left == 0)
		return -ETIMEDOUT;
	return nbd_poll(handle, (int)(left < SLICE ? left : SLICE)) < 0 ? -ENOTCONN : 0;
}

static int set_up(struct nbd_handle *handle)
{
	/* Certificates and keys are files; the buffers are filled by reads that succeed only. */
	if (nbd_set_uri_allow_local_file(handle, true) < 0 ||
	    nbd_set_pread_initialize(handle, false) < 0 ||
	    nbd_add_meta_context(handle, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0)
		return -1;
	return 0;
}

static int connect_handle(struct nbd_handle *handle, const char *uri,
			  const struct patience *patience, struct uds_message *message)
{
	int r = 0;

	if (set_up(handle) < 0 || nbd_aio_connect_uri(handle, uri) < 0)
		return libnbd_failure(message);
	while (r == 0 && nbd_aio_is_connecting(handle) > 0)
		r = go_on(handle, patience);
	if (r == -ETIMEDOUT)
		return failure(message, r, "the server does not answer");
	if (r == -ECANCELED)
		return failure(message, r, "stopped");
	if (r == -ENOTCONN)
		return libnbd_failure(message);
	if (nbd_aio_is_ready(handle) <= 0)
		return failure(message, -ECONNRESET, "the server hung up while connecting");
	return 0;
}

/* The limits on sizes of requests; false: they cannot be kept. */
static bool read_block_sizes(struct nbd_handle *handle, struct export_facts *facts)
{
	int64_t least = nbd_get_block_size(handle, LIBNBD_SIZE_MINIMUM);
	int64_t preferred = nbd_get_block_size(handle, LIBNBD_SIZE_PREFERRED);
	int64_t most = nbd_get_block_size(handle, LIBNBD_SIZE_MAXIMUM);

	facts->block_bytes = least <= 0 ? 1 : (uint32_t)least;
	facts->most_bytes = most <= 0 || most > MOST_BYTES ? MOST_BYTES : (uint32_t)most;
	if (!is_power_of_two(facts->block_bytes) || facts->most_bytes < facts->block_bytes)
		return false;
	facts->most_bytes &= ~(facts->block_bytes - 1);
	if (preferred > 0 && preferred <= UINT32_MAX && preferred % facts->block_bytes == 0)
		facts->preferred_bytes = (uint32_t)preferred;
	return true;
}

static int read_facts(struct nbd_handle *handle, struct export_facts *facts,
		      struct uds_message *message)
{
	int64_t bytes = nbd_get_size(handle);

	/* With its padding: facts are compared as a whole. */
	memset(facts, 0, sizeof(*facts));
	if (bytes < 0)
		return libnbd_failure(message);
	facts->bytes = (uint64_t)bytes;
	/* An answer of -1, which a handle that is ready never gives, is taken for "no". */
	facts->read_only = nbd_is_read_only(handle) != 0;
	facts->can_flush = nbd_can_flush(handle) > 0;
	facts->can_fua = nbd_can_fua(handle) > 0;
	facts->can_trim = nbd_can_trim(handle) > 0;
	facts->can_zero = nbd_can_zero(handle) > 0;
	facts->can_multi_conn = nbd_can_multi_conn(handle) > 0;
	facts->has_extents = nbd_can_meta_context(handle, LIBNBD_CONTEXT_BASE_ALLOCATION) > 0;
	if (!read_block_sizes(handle, facts))
		return failure(message, -EPROTO,
			       "the server's block sizes contradict each other: %" PRIu32
			       " to %" PRIu32 " bytes",
			       facts->block_bytes, facts->most_bytes);
	return 0;
}

int export_connect(const char *uri, const struct patience *patience,
		   struct uds_message *ret_message, struct nbd_handle **ret_handle,
		   struct export_facts *ret_facts)
{
	struct nbd_handle *handle = nbd_create();
	int r;

	if (handle == NULL)
		return libnbd_failure(ret_message);
	r = connect_handle(handle, uri, patience, ret_message);
	if (r == 0)
		r = read_facts(handle, ret_facts, ret_message);
	if (r < 0)
		nbd_close(handle);
	else
		*ret_handle = handle;
	return r;
}

int export_wait(struct nbd_handle *handle, int64_t cookie, const struct patience *patience)
{
	int r = 0, done;

	for (;;) {
		/* Also after a loss: what was answered before it counts. */
		done = nbd_aio_command_completed(handle, (uint64_t)cookie);
		if (done > 0)
			return 0;
		if (r < 0)
			return r;
		if (export_is_lost(handle))
			return -ENOTCONN;
		if (done < 0)
			return export_status();
		r = go_on(handle, patience);
	}
}

void export_disconnect(struct nbd_handle *handle)
{
	const struct patience patience = { .until_ms = monotonic_ms() + GOODBYE };

	if (!export_is_lost(handle) && nbd_aio_disconnect(handle, 0) == 0) {
		while (!export_is_lost(handle) && go_on(handle, &patience) == 0)
			;
	}
	nbd_close(handle);
}
