/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The ring of batches and its threads.
 *
 * Batches are numbered from 0 as they are cut; number n uses place n % size of the ring. Each place
 * goes free -> cut -> read -> free. Three counters say how far cutting, reading and taking are, and
 * one lock guards everything: it is taken a few times a megabyte.
 */
#include "scan_pipe.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "scan_cut.h"
#include "scan_name.h"
#include "scan_read.h"

enum place_state { PLACE_FREE, PLACE_CUT, PLACE_READ };

struct place {
	struct scan_batch batch; /* first */
	enum place_state state;
};

struct reading {
	struct scan_pipe *pipe;
	struct batch_reader *reader;
	pthread_t thread;
};

struct scan_pipe {
	struct scan_options options;
	struct cutter cutter;
	struct place *places;
	unsigned int place_count;

	pthread_mutex_t lock;
	pthread_cond_t changed_free, changed_cut, changed_read;
	uint64_t cut, read, taken; /* numbers of the next batch to be cut, submitted and taken */
	bool cut_all;		   /* nothing more comes */
	int walk_status;	   /* why, when it was an error */
	bool stop;
	uint64_t read_errors;

	pthread_t walking;
	struct reading *reading;
	unsigned int reading_count;
	unsigned int batches_each; /* most that a thread has in flight, so that all have some */
	bool walking_started;
};

static struct place *place_of(struct scan_pipe *pipe, uint64_t number)
{
	return &pipe->places[number % pipe->place_count];
}

static void *walk_thread(void *argument)
{
	struct scan_pipe *pipe = argument;
	int r = 1;

	pthread_mutex_lock(&pipe->lock);
	while (r > 0) {
		struct place *place = place_of(pipe, pipe->cut);

		while (place->state != PLACE_FREE && !pipe->stop)
			pthread_cond_wait(&pipe->changed_free, &pipe->lock);
		if (pipe->stop)
			break;
		pthread_mutex_unlock(&pipe->lock);
		r = cutter_fill(&pipe->cutter, &place->batch);
		pthread_mutex_lock(&pipe->lock);
		if (place->batch.piece_count == 0)
			continue;
		place->state = PLACE_CUT;
		pipe->cut++;
		pthread_cond_signal(&pipe->changed_cut);
	}
	pipe->walk_status = r < 0 ? r : 0;
	pipe->cut_all = true;
	pthread_cond_broadcast(&pipe->changed_cut);
	pthread_cond_broadcast(&pipe->changed_read);
	pthread_mutex_unlock(&pipe->lock);
	return NULL;
}

/* The next batch that is cut; waits for one if @wait. NULL: there is none, or no more. */
static struct scan_batch *take_cut(struct scan_pipe *pipe, bool wait)
{
	struct scan_batch *batch = NULL;

	pthread_mutex_lock(&pipe->lock);
	while (wait && pipe->read == pipe->cut && !pipe->cut_all && !pipe->stop)
		pthread_cond_wait(&pipe->changed_cut, &pipe->lock);
	if (!pipe->stop && pipe->read != pipe->cut)
		batch = &place_of(pipe, pipe->read++)->batch;
	pthread_mutex_unlock(&pipe->lock);
	return batch;
}

/*
 * A batch that is read. What is there already is named first, while the processor has it at hand;
 * only then more is submitted, and only when there is nothing to submit either does the thread
 * wait: for data if some is in flight, else for the walk. NULL: no more.
 */
static struct scan_batch *next_batch(struct scan_pipe *pipe, struct batch_reader *reader)
{
	for (;;) {
		struct scan_batch *batch = batch_reader_take(reader, false);
		unsigned int count = batch_reader_count(reader);

		if (batch != NULL)
			return batch;
		if (count < pipe->batches_each)
			batch = take_cut(pipe, count == 0);
		if (batch != NULL)
			batch_reader_submit(reader, &pipe->options, batch);
		else
			return batch_reader_take(reader, true);
	}
}

static void *read_thread(void *argument)
{
	struct reading *reading = argument;
	struct scan_pipe *pipe = reading->pipe;
	struct scan_batch *batch;

	while ((batch = next_batch(pipe, reading->reader)) != NULL) {
		uint64_t errors = name_batch(&pipe->options, batch);

		pthread_mutex_lock(&pipe->lock);
		pipe->read_errors += errors;
		((struct place *)batch)->state = PLACE_READ;
		pthread_cond_signal(&pipe->changed_read);
		pthread_mutex_unlock(&pipe->lock);
	}
	return NULL;
}

int scan_pipe_take(struct scan_pipe *pipe, struct scan_batch **ret_batch)
{
	struct place *place;
	int r = 1;

	pthread_mutex_lock(&pipe->lock);
	place = place_of(pipe, pipe->taken);
	while (place->state != PLACE_READ && !(pipe->cut_all && pipe->taken == pipe->cut))
		pthread_cond_wait(&pipe->changed_read, &pipe->lock);
	if (place->state != PLACE_READ)
		r = pipe->walk_status;
	pthread_mutex_unlock(&pipe->lock);
	*ret_batch = &place->batch;
	return r;
}

void scan_pipe_give_back(struct scan_pipe *pipe, struct scan_batch *batch)
{
	struct place *place;

	batch_empty(batch);
	pthread_mutex_lock(&pipe->lock);
	place = place_of(pipe, pipe->taken++);
	place->state = PLACE_FREE;
	pthread_cond_signal(&pipe->changed_free);
	pthread_mutex_unlock(&pipe->lock);
}

/*
 * How many files may be open in each batch: all batches together stay within what the system allows
 * this process, with some left for others.
 */
static unsigned int pieces_allowed(unsigned int place_count)
{
	struct rlimit limit;
	uint64_t each;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 16;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < 128)
		return 1;
	each = ((uint64_t)limit.rlim_cur - 64) / (place_count + 1);
	return each > BATCH_PIECES ? BATCH_PIECES : each == 0 ? 1 : (unsigned int)each;
}

static int make_places(struct scan_pipe *pipe)
{
	pipe->place_count = 2 * (unsigned int)pipe->options.readers + 2;
	pipe->options.batch_pieces = pieces_allowed(pipe->place_count);
	pipe->places = calloc(pipe->place_count, sizeof(*pipe->places));
	pipe->reading = calloc((size_t)pipe->options.readers, sizeof(*pipe->reading));
	if (pipe->places == NULL || pipe->reading == NULL)
		return -ENOMEM;
	pipe->batches_each = (pipe->place_count + (unsigned int)pipe->options.readers - 1) /
			     (unsigned int)pipe->options.readers;
	for (unsigned int i = 0; i < pipe->place_count; i++) {
		pipe->places[i].batch.buffer = aligned_alloc(4096, BATCH_BYTES);
		if (pipe->places[i].batch.buffer == NULL)
			return -ENOMEM;
	}
	return 0;
}

static int start_reading(struct scan_pipe *pipe)
{
	struct reading *reading = &pipe->reading[pipe->reading_count];
	int r;

	reading->pipe = pipe;
	r = batch_reader_open(pipe->batches_each, pipe->options.batch_pieces, &reading->reader);
	if (r < 0)
		return r;
	r = -pthread_create(&reading->thread, NULL, read_thread, reading);
	if (r < 0)
		batch_reader_close(reading->reader);
	else
		pipe->reading_count++;
	return r;
}

/* The threads leave signals to the main one, which looks for them between batches. */
static int start_threads(struct scan_pipe *pipe)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&pipe->walking, NULL, walk_thread, pipe);
	pipe->walking_started = r == 0;
	r = -r;
	while (r == 0 && pipe->reading_count < pipe->options.readers)
		r = start_reading(pipe);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return pipe->reading_count > 0 ? 0 : r;
}

int scan_pipe_open(const struct scan_options *options, struct scan_pipe **ret_pipe)
{
	struct scan_pipe *pipe = calloc(1, sizeof(*pipe));
	struct scan_totals ignored;
	int r;

	if (pipe == NULL)
		return -ENOMEM;
	pipe->options = *options;
	pthread_mutex_init(&pipe->lock, NULL);
	pthread_cond_init(&pipe->changed_free, NULL);
	pthread_cond_init(&pipe->changed_cut, NULL);
	pthread_cond_init(&pipe->changed_read, NULL);
	r = make_places(pipe);
	if (r == 0)
		r = cutter_start(&pipe->cutter, &pipe->options);
	if (r == 0)
		r = start_threads(pipe);
	if (r < 0) {
		scan_pipe_close(pipe, &ignored);
		return r;
	}
	*ret_pipe = pipe;
	return 0;
}

void scan_pipe_close(struct scan_pipe *pipe, struct scan_totals *ret_totals)
{
	pthread_mutex_lock(&pipe->lock);
	pipe->stop = true;
	pthread_cond_broadcast(&pipe->changed_free);
	pthread_cond_broadcast(&pipe->changed_cut);
	pthread_mutex_unlock(&pipe->lock);
	if (pipe->walking_started)
		pthread_join(pipe->walking, NULL);
	for (unsigned int i = 0; i < pipe->reading_count; i++) {
		pthread_join(pipe->reading[i].thread, NULL);
		batch_reader_close(pipe->reading[i].reader);
	}
	for (unsigned int i = 0; pipe->places != NULL && i < pipe->place_count; i++) {
		batch_empty(&pipe->places[i].batch);
		free(pipe->places[i].batch.buffer);
	}
	if (pipe->cutter.walker != NULL) {
		ret_totals->files = pipe->cutter.files;
		ret_totals->left_out = walker_left_out(pipe->cutter.walker);
		ret_totals->errors = walker_errors(pipe->cutter.walker) + pipe->read_errors;
		cutter_end(&pipe->cutter);
	}
	pthread_cond_destroy(&pipe->changed_free);
	pthread_cond_destroy(&pipe->changed_cut);
	pthread_cond_destroy(&pipe->changed_read);
	pthread_mutex_destroy(&pipe->lock);
	free(pipe->places);
	free(pipe->reading);
	free(pipe);
}
