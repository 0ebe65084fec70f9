/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each thread takes a part of the workload, carries it out, and takes the next one. The clock is
 * looked at between parts only.
 */
#include "compare_work.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "measure.h"
#include "names.h"

#define LEAST_PART  64u	  /* requests, so that the clock costs nothing */
#define FLIGHT_PART 8192u /* at most, in flight: each part ends when nothing is */
#define OWN_COUNT   1000000u

/* What the threads of a workload share. */
struct shared {
	const struct bench_peer *peer;
	struct workload workload;
	struct compare_mode mode;
	unsigned int part;
	uint64_t operations;
	double end;
	_Atomic uint64_t taken;
	atomic_bool failed;
};

struct compare_worker {
	pthread_t thread;
	void *session;
	struct shared *shared;
	struct bench_request *requests; /* FLIGHT_PART */
	uint64_t operations, wrong;
	struct bench_why why;
	bool failed;
};

/* ---- requests ---- */

static void make_requests(const struct workload *workload, uint64_t first, unsigned int count,
			  struct bench_request *requests)
{
	static const uint8_t kinds[] = { [WORKLOAD_POST] = BENCH_POST,
					 [WORKLOAD_QUERY] = BENCH_QUERY,
					 [WORKLOAD_PEEK] = BENCH_PEEK };

	for (unsigned int i = 0; i < count; i++) {
		struct workload_request chosen = workload_request(workload, first + i);
		struct uds_record_name name;
		struct uds_record_data data;

		make_name(chosen.seed, chosen.number, &name);
		make_data('n', chosen.number, 1, &data);
		memcpy(requests[i].name, name.bytes, sizeof(requests[i].name));
		memcpy(requests[i].data, data.bytes, sizeof(requests[i].data));
		requests[i].kind = kinds[chosen.action];
		requests[i].found = false;
	}
}

/* Returns how many answers are wrong: what was found, and with which data. */
static uint64_t check_answers(const struct workload *workload, uint64_t first, unsigned int count,
			      const struct bench_request *requests)
{
	uint64_t wrong = 0;

	for (unsigned int i = 0; i < count; i++) {
		struct workload_request chosen = workload_request(workload, first + i);
		struct uds_record_data data;

		if (requests[i].found != chosen.stored) {
			wrong++;
		} else if (chosen.stored) {
			make_data('n', chosen.number, 1, &data);
			wrong += memcmp(requests[i].data, data.bytes, sizeof(data.bytes)) != 0;
		}
	}
	return wrong;
}

double compare_work_own(void)
{
	struct bench_request requests[LEAST_PART];
	struct workload_names names;
	struct workload workload;
	uint64_t wrong = 0;
	double began;

	workload_names_init(&names, OWN_COUNT, 0);
	(void)workload_begin(&names, WORKLOAD_MISSES, OWN_COUNT, &workload);
	began = now();
	for (uint64_t i = 0; i < OWN_COUNT; i += LEAST_PART) {
		make_requests(&workload, i, LEAST_PART, requests);
		wrong += check_answers(&workload, i, LEAST_PART, requests);
	}
	/* None is: the sum is used, so that no compiler leaves the work out. */
	return wrong == 0 ? (now() - began) / OWN_COUNT : 0;
}

/* ---- store and sessions ---- */

/* So many requests does a thread take at once. */
static unsigned int part_of(struct compare_mode mode, uint64_t records)
{
	const uint64_t flight = records / 64 < FLIGHT_PART ? records / 64 : FLIGHT_PART;

	if (mode.in_flight)
		return (unsigned int)flight;
	return (LEAST_PART + mode.count - 1) / mode.count * mode.count;
}

/* Names of a part may be posted before those of the parts that other threads took earlier. */
static uint64_t most_behind(const struct bench_place *place, const struct compare_mode *modes,
			    size_t mode_count)
{
	unsigned int most = 0;

	for (size_t i = 0; i < mode_count; i++) {
		const unsigned int part = part_of(modes[i], place->records);

		most = part > most ? part : most;
	}
	return (uint64_t)(place->threads - 1) * most;
}

static void detach(struct compare_work *work)
{
	for (unsigned int i = 0; i < work->threads; i++)
		work->peer->detach(work->workers[i].session);
}

static void free_workers(struct compare_work *work, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		free(work->workers[i].requests);
	free(work->workers);
}

static int allocate_workers(struct compare_work *work, unsigned int count, struct bench_why *why)
{
	bool complete = true;

	work->workers = calloc(count, sizeof(work->workers[0]));
	for (unsigned int i = 0; i < count && work->workers != NULL && complete; i++) {
		work->workers[i].requests = calloc(FLIGHT_PART, sizeof(struct bench_request));
		complete = work->workers[i].requests != NULL;
	}
	if (work->workers != NULL && complete)
		return 0;
	snprintf(why->text, sizeof(why->text), "no memory for requests");
	if (work->workers != NULL)
		free_workers(work, count);
	return -1;
}

int compare_work_open(const struct bench_peer *peer, const struct bench_place *place,
		      const struct compare_mode *modes, size_t mode_count,
		      struct compare_work *ret_work, struct bench_why *why)
{
	const uint64_t behind = most_behind(place, modes, mode_count);
	struct compare_work work = { .peer = peer };
	struct bench_why ignored;

	if (allocate_workers(&work, place->threads, why) < 0)
		return -1;
	if (peer->open(place, &work.store, why) != 0)
		goto out_workers;
	for (; work.threads < place->threads; work.threads++) {
		if (peer->attach(work.store, &work.workers[work.threads].session, why) != 0)
			goto out_store;
	}
	workload_names_init(&work.names, place->records, 0);
	work.names.margin += behind;
	if (work.names.margin > place->records)
		work.names.margin = place->records;
	*ret_work = work;
	return 0;

out_store:
	detach(&work);
	(void)peer->close(work.store, &ignored);
out_workers:
	free_workers(&work, place->threads);
	return -1;
}

int compare_work_close(struct compare_work *work, struct bench_why *why)
{
	int r;

	detach(work);
	r = work->peer->close(work->store, why);
	free_workers(work, work->threads);
	return r != 0 ? -1 : 0;
}

/* ---- a workload ---- */

/* Returns false when the peer failed. */
static bool run_part(struct compare_worker *worker, uint64_t first, unsigned int count)
{
	const struct shared *shared = worker->shared;
	const struct bench_peer *peer = shared->peer;
	struct bench_request *requests = worker->requests;
	int r = 0;

	make_requests(&shared->workload, first, count, requests);
	if (shared->mode.in_flight)
		r = peer->run_in_flight(worker->session, requests, count, shared->mode.count,
					&worker->why);
	for (unsigned int i = 0; i < count && r == 0 && !shared->mode.in_flight;
	     i += shared->mode.count) {
		unsigned int n = count - i < shared->mode.count ? count - i : shared->mode.count;

		r = peer->run(worker->session, requests + i, n, &worker->why);
	}
	if (r != 0)
		return false;
	worker->operations += count;
	worker->wrong += check_answers(&shared->workload, first, count, requests);
	return true;
}

static void *work_on(void *context)
{
	struct compare_worker *worker = context;
	struct shared *shared = worker->shared;

	/* Parts that were taken are in a row, and each is carried out. */
	while (now() < shared->end && !atomic_load(&shared->failed)) {
		uint64_t first = atomic_fetch_add(&shared->taken, shared->part), left;

		if (first >= shared->operations)
			break;
		left = shared->operations - first;
		if (!run_part(worker, first,
			      left < shared->part ? (unsigned int)left : shared->part)) {
			worker->failed = true;
			atomic_store(&shared->failed, true);
		}
	}
	return NULL;
}

/* Returns false when a thread cannot be started. */
static bool run_threads(struct compare_work *work, struct shared *shared, struct bench_why *why)
{
	unsigned int started = 0;
	int r = 0;

	for (unsigned int i = 0; i < work->threads; i++) {
		work->workers[i].shared = shared;
		work->workers[i].operations = 0;
		work->workers[i].wrong = 0;
		work->workers[i].failed = false;
	}
	/* The last one is this thread. */
	while (started + 1 < work->threads && r == 0) {
		struct compare_worker *worker = &work->workers[started];

		r = pthread_create(&worker->thread, NULL, work_on, worker);
		started += r == 0;
	}
	if (r == 0)
		work_on(&work->workers[work->threads - 1]);
	else
		atomic_store(&shared->failed, true);
	for (unsigned int i = 0; i < started; i++)
		pthread_join(work->workers[i].thread, NULL);
	if (r != 0)
		snprintf(why->text, sizeof(why->text), "a thread cannot be started: %s",
			 strerror(r));
	return r == 0;
}

static int add_up(const struct compare_work *work, struct compare_done *ret_done,
		  struct bench_why *why)
{
	for (unsigned int i = 0; i < work->threads; i++) {
		if (work->workers[i].failed) {
			*why = work->workers[i].why;
			return -1;
		}
		ret_done->operations += work->workers[i].operations;
		ret_done->wrong += work->workers[i].wrong;
	}
	return 0;
}

int compare_work_run(struct compare_work *work, enum workload_kind kind, struct compare_mode mode,
		     uint64_t operations, double seconds, struct compare_done *ret_done,
		     struct bench_why *why)
{
	struct shared shared = { .peer = work->peer,
				 .mode = mode,
				 .part = part_of(mode, work->names.records) };
	struct compare_done done = { .operations = 0 };
	double began, processor;

	if (!workload_begin(&work->names, kind, operations, &shared.workload))
		return 1;
	processor = processor_seconds();
	began = now();
	shared.operations = operations;
	shared.end = began + seconds;
	if (!run_threads(work, &shared, why) || add_up(work, &done, why) < 0)
		return -1;
	if (workload_request(&shared.workload, 0).action == WORKLOAD_POST &&
	    work->peer->flush(work->store, why) != 0)
		return -1;
	done.seconds = now() - began;
	done.processor_seconds = processor_seconds() - processor;
	workload_end(&shared.workload, done.operations, &work->names);
	*ret_done = done;
	return 0;
}
