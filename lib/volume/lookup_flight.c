/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lookups and their reads, which an engine has under way. A thread that waits for one is woken by a
 * request without a transfer.
 */
#include "volume/lookup_flight.h"

#include <errno.h>
#include <stdatomic.h>

#include "base/env.h"
#include "volume/volume_private.h"

struct lookup_flight {
	struct volume *volume;
	struct uds_io_engine *engine;

	/* Lookups whose read is with the engine. Counted before it is, so never too few. */
	_Atomic unsigned int count;

	/* Of the buffers for pages, those that the engine knows. */
	pthread_mutex_t lock;
	const struct page_slab *known;

	atomic_bool waking; /* the request below is in flight */
	struct uds_io_request wake;
};

int lookup_flight_open(struct volume *volume, unsigned int depth, struct lookup_flight **ret_flight)
{
	struct lookup_flight *flight = env_allocate_zeroed(&volume->env, 1, sizeof(*flight));
	int r;

	if (flight == NULL)
		return -ENOMEM;
	flight->volume = volume;
	/* One more for the request that wakes. */
	r = page_reader_open_engine(&volume->reader, depth + 1, &flight->engine);
	if (r < 0) {
		env_release(&volume->env, flight);
		return r;
	}
	pthread_mutex_init(&flight->lock, NULL);
	*ret_flight = flight;
	return 0;
}

void lookup_flight_close(struct lookup_flight *flight)
{
	if (flight == NULL)
		return;
	uds_io_engine_close(flight->engine);
	pthread_mutex_destroy(&flight->lock);
	env_release(&flight->volume->env, flight);
}

bool lookup_flight_is_worth(struct lookup_flight *flight)
{
	return page_reader_is_slow(&flight->volume->reader);
}

/* What was taken for reads of these lookups must be known before they are submitted. */
static void announce_buffers(struct lookup_flight *flight)
{
	pthread_mutex_lock(&flight->lock);
	flight->known = page_buffers_announce(&flight->volume->reader.buffers, flight->engine,
					      flight->known);
	pthread_mutex_unlock(&flight->lock);
}

void lookup_flight_go(struct lookup_flight *flight, struct volume_lookup *const *lookups,
		      size_t count,
		      void (*ended)(void *context, struct volume_lookup *lookup,
				    const struct uds_message *message),
		      void *context)
{
	struct uds_io_request *transfers[LOOKUP_FLIGHT_SOME];
	struct volume *volume = flight->volume;
	struct uds_message message;
	size_t reads = 0;

	for (size_t i = 0; i < count; i++) {
		struct volume_lookup *lookup = lookups[i];
		int r;

		message.text[0] = '\0';
		lookup->message = &message;
		/* What is mapped needs no transfer. */
		while ((r = volume_lookup_step(volume, lookup)) == VOLUME_WANTS_PAGE &&
		       lookup->request.mapped != NULL)
			page_reader_read(&volume->reader, &lookup->request);
		if (r != VOLUME_WANTS_PAGE) {
			ended(context, lookup, &message);
			continue;
		}
		page_reader_compare(&volume->reader, &lookup->request);
		lookup->request.transfer.user = lookup;
		transfers[reads++] = &lookup->request.transfer;
	}
	if (reads == 0)
		return;
	announce_buffers(flight);
	atomic_fetch_add(&flight->count, (unsigned int)reads);
	atomic_fetch_add_explicit(&volume->reader.pages_read, reads, memory_order_relaxed);
	/* There is room: no more lookups are in flight than the engine is deep. */
	engine_submit(flight->engine, transfers, reads);
}

size_t lookup_flight_reap(struct lookup_flight *flight, struct volume_lookup **ret_lookups,
			  size_t room, int timeout_ms)
{
	struct uds_io_request *done[LOOKUP_FLIGHT_SOME];
	size_t count = 0;
	int n;

	n = uds_io_engine_reap(flight->engine, done, room, timeout_ms == 0 ? 0 : 1, timeout_ms);
	for (int i = 0; i < n; i++) {
		struct volume_lookup *lookup = done[i]->user;

		if (lookup == NULL) {
			atomic_store(&flight->waking, false);
			continue;
		}
		lookup->request.status = done[i]->status;
		ret_lookups[count++] = lookup;
	}
	atomic_fetch_sub(&flight->count, (unsigned int)count);
	return count;
}

void lookup_flight_wake(struct lookup_flight *flight)
{
	struct uds_io_request *request = &flight->wake;

	if (atomic_exchange(&flight->waking, true))
		return;
	*request = (struct uds_io_request){ .io = flight->volume->io, .kind = UDS_IO_READ };
	engine_submit(flight->engine, &request, 1);
}

unsigned int lookup_flight_count(const struct lookup_flight *flight)
{
	return atomic_load(&flight->count);
}

int lookup_flight_event(struct lookup_flight *flight, int *ret_descriptor)
{
	return uds_io_engine_event_descriptor(flight->engine, ret_descriptor);
}
