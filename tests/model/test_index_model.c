/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Random requests against a model: in batches, from one or several threads, over chapters that
 * leave, with saves, crashes and reopening with other numbers of zones in between.
 *
 * UDS_TEST_SCALE multiplies the number of requests (about a million in all).
 */
#include <inttypes.h>
#include <stdio.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <uds/async.h>

#include "../format/convert.h"
#include "check_main.h"
#include "history.h"
#include "index/index.h"
#include "model.h"
#include "names.h"
#include "sanitizer.h"
#include "volume/volume_private.h"

#define NAMES	    24000
#define BATCH	    200
#define MAX_SHOWN   10
#define MAX_THREADS 4

struct run {
	struct uds_configuration configuration;
	struct uds_io *io;
	uint64_t offset; /* of the index on it */
	struct uds_index *index;
	struct uds_index_queue *queue; /* NULL: requests are waited for */
	bool asynchronous;	       /* there is one from the next opening on */
	struct model *model;
	struct model *saved;   /* as it was at the last save */
	struct model *flushed; /* as it was at the last flush or save */
	struct history *history;
	bool journal;
	bool checkpoints; /* saves in the background, from the next opening on */
	uint64_t made;	  /* so many of these */
	unsigned int replays;
	uint64_t saved_newest;
	uint64_t seed;
	uint64_t dice; /* how often they were thrown */
	unsigned int zones;
	unsigned int wrong;
	uint64_t missed; /* names that were there once and are not found, but need not be */
	uint64_t found;
	bool used_save;	      /* by the latest opening, which was a recovery */
	pthread_mutex_t lock; /* of wrong, missed and found */
};

struct worker {
	struct run *run;
	unsigned int number;
	unsigned int of;
	unsigned int batches;
	uint64_t seed;
	uint64_t dice;
	uint32_t version;
	pthread_t thread;
};

static uint64_t throw(uint64_t seed, uint64_t *dice, uint64_t sides)
{
	return splitmix64(seed, (*dice)++) % sides;
}

static struct uds_index_statistics statistics(struct run *run)
{
	struct uds_index_statistics s = { .size = sizeof(s) };

	ck_assert_int_eq(uds_index_get_statistics(run->index, &s), 0);
	return s;
}

/* Half of the requests are about a few hundred names that wander. */
static uint32_t throw_name(struct worker *worker, uint32_t batch)
{
	uint32_t each = worker->run->model->names / worker->of;
	uint32_t i;

	if (throw(worker->seed, &worker->dice, 2) == 0)
		i = (uint32_t) throw(worker->seed, &worker->dice, each);
	else
		i = (batch * 31 + (uint32_t) throw(worker->seed, &worker->dice, 400)) % each;
	return i * worker->of + worker->number;
}

/*
 * Names of a worker are its own. Of twins the worker of the lower one has both: what a request for
 * the one does to the other is known only in the order of the requests.
 */
static uint32_t choose_name(struct worker *worker, uint32_t batch)
{
	for (;;) {
		uint32_t i = throw_name(worker, batch), twin = worker->run->model->name[i].twin;

		if (twin == 0 || i < twin - 1)
			return twin > 0 && throw(worker->seed, &worker->dice, 2) == 0 ? twin - 1
										      : i;
	}
}

static uint8_t choose_kind(struct worker *worker)
{
	static const uint8_t kinds[] = { UDS_POST,   UDS_POST,	UDS_POST, UDS_POST,
					 UDS_UPDATE, UDS_QUERY, UDS_PEEK, UDS_DELETE };

	return kinds[throw(worker->seed, &worker->dice, sizeof(kinds))];
}

static void report(struct worker *worker, uint32_t i, const struct uds_request *request,
		   const char *wrong)
{
	struct run *run = worker->run;

	pthread_mutex_lock(&run->lock);
	if (run->wrong++ < MAX_SHOWN) {
		printf("name %" PRIu32 " kind %u status %d found %d location %u data %" PRIu32
		       ": %s\n",
		       i, request->kind, request->status, request->found, request->location,
		       get_le32(request->old_data.bytes + 8), wrong);
		history_print(run->history, run->model, i);
	}
	pthread_mutex_unlock(&run->lock);
}

static void count_down(struct uds_index_operation *operation)
{
	_Atomic uint32_t *left = operation->request.user;

	atomic_fetch_sub(left, 1);
}

/* As asynchronous operations, through the queue that all workers have. */
static void run_in_queue(struct run *run, struct uds_request *requests, uint32_t count)
{
	struct uds_index_operation operations[BATCH], *pointers[BATCH];
	_Atomic uint32_t left = count;

	memset(operations, 0, sizeof(operations));
	for (uint32_t j = 0; j < count; j++) {
		operations[j].request = requests[j];
		operations[j].request.user = &left;
		operations[j].completed = count_down;
		pointers[j] = &operations[j];
	}
	ck_assert_int_eq(uds_index_submit(run->queue, pointers, count, -1), (int)count);
	while (left > 0)
		ck_assert_int_eq(uds_index_reap(run->queue, NULL, 0, 1, -1), 0);
	for (uint32_t j = 0; j < count; j++)
		requests[j] = operations[j].request;
}

/* Reads of memory take no time, but operations can be made to wait for them all the same. */
static void carry_out(struct worker *worker, struct uds_request *requests, uint32_t count)
{
	struct run *run = worker->run;

	if (run->queue == NULL) {
		uds_index_run(run->index, requests, count);
		return;
	}
	if (throw(worker->seed, &worker->dice, 2) == 0)
		atomic_store(&run->index->volume->reader.slowness, SLOW_MAXIMUM);
	run_in_queue(run, requests, count);
}

static void run_batch(struct worker *worker, uint32_t batch)
{
	struct run *run = worker->run;
	struct uds_request requests[BATCH];
	uint32_t names[BATCH], first_version = worker->version;
	struct uds_index_statistics s = statistics(run);
	struct model_time time = { .newest_before = s.open_chapter,
				   .oldest_before = s.oldest_chapter };
	uint32_t count = 1 + (uint32_t) throw(worker->seed, &worker->dice, BATCH);
	uint64_t missed = 0, found = 0, begun = history_tick(run->history);

	for (uint32_t j = 0; j < count; j++) {
		names[j] = choose_name(worker, batch);
		model_request(run->model, names[j], choose_kind(worker), worker->version++,
			      &requests[j]);
	}
	carry_out(worker, requests, count);
	s = statistics(run);
	time.newest_after = s.open_chapter;
	time.oldest_after = s.oldest_chapter;
	for (uint32_t j = 0; j < count; j++) {
		bool was_there = run->model->name[names[j]].there;
		const char *wrong =
			model_judge(run->model, names[j], &requests[j], first_version + j, &time);

		history_note_request(run->history, names[j], &requests[j], first_version + j, begun,
				     &time);
		if (wrong != NULL)
			report(worker, names[j], &requests[j], wrong);
		missed += was_there && !requests[j].found;
		found += requests[j].found;
	}
	pthread_mutex_lock(&run->lock);
	run->missed += missed;
	run->found += found;
	pthread_mutex_unlock(&run->lock);
}

static void *work(void *context)
{
	struct worker *worker = context;

	for (uint32_t batch = 0; batch < worker->batches; batch++)
		run_batch(worker, batch);
	return NULL;
}

static void run_workers(struct run *run, unsigned int threads, unsigned int batches,
			uint32_t *version)
{
	struct worker workers[MAX_THREADS];

	for (unsigned int t = 0; t < threads; t++) {
		struct worker *worker = &workers[t];

		*worker = (struct worker){ .run = run,
					   .number = t,
					   .of = threads,
					   .batches = batches / threads,
					   .seed = splitmix64(run->seed, run->dice++),
					   .version = *version };
		*version += batches / threads * BATCH;
		if (threads == 1)
			work(worker);
		else
			ck_assert_int_eq(pthread_create(&worker->thread, NULL, work, worker), 0);
	}
	for (unsigned int t = 0; threads > 1 && t < threads; t++)
		pthread_join(workers[t].thread, NULL);
}

static void log_line(void *context, enum uds_log_level level, const char *text)
{
	struct run *run = context;

	(void)level;
	if (strstr(text, "chapters since are entered") != NULL)
		run->used_save = true;
}

static void open_index(struct run *run)
{
	struct uds_index_queue_options queue_options = UDS_INDEX_QUEUE_OPTIONS_INIT;
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_env env = UDS_ENV_INIT;
	struct uds_message message;
	int r;

	env.context = run;
	env.log = log_line;
	options.env = &env;
	run->used_save = false;

	options.zones = run->zones;
	options.offset = run->offset;
	options.threads = (uint8_t) throw(run->seed, &run->dice, 4);
	if (run->checkpoints)
		options.checkpoint_interval = (uint32_t) throw(run->seed, &run->dice, 4);
	r = uds_index_open(run->io, &options, &message, &run->index);
	ck_assert_msg(r == 0, "open: %d %s", r, message.text);
	/* Closing the index closes the one before. */
	run->queue = NULL;
	if (!run->asynchronous)
		return;
	queue_options.depth = 128;
	queue_options.threads = (uint32_t) throw(run->seed, &run->dice, 3);
	ck_assert_int_eq(uds_index_queue_open(run->index, &queue_options, &run->queue), 0);
}

static void close_index(struct run *run)
{
	run->made += statistics(run).checkpoints;
	ck_assert_int_eq(uds_index_close(run->index), 0);
}

static void choose_zones(struct run *run)
{
	static const unsigned int zones[] = { 1, 2, 3, 5, 16 };

	run->zones = zones[throw(run->seed, &run->dice, 5)];
}

static void note(struct run *run, const char *what)
{
	history_note(run->history, what, statistics(run).open_chapter, run->zones);
}

static void remember_flush(struct run *run)
{
	model_assign(&run->flushed, run->model);
}

static void flush(struct run *run)
{
	ck_assert_int_eq(uds_index_flush(run->index), 0);
	remember_flush(run);
	note(run, "flushed");
}

static void remember_save(struct run *run)
{
	model_assign(&run->saved, run->model);
	remember_flush(run);
	run->saved_newest = statistics(run).open_chapter;
	note(run, "saved");
}

static void save(struct run *run)
{
	ck_assert_int_eq(uds_index_save(run->index), 0);
	remember_save(run);
}

static void save_and_reopen(struct run *run)
{
	struct uds_index_statistics s;

	save(run);
	close_index(run);
	choose_zones(run);
	open_index(run);
	s = statistics(run);
	ck_assert_uint_eq(s.open_chapter, run->saved_newest);
	if (s.dropped_at_load > 0)
		model_drop(run->model, s.open_chapter);
	note(run, s.dropped_at_load > 0 ? "opened again with less room" : "opened again");
	/*
	 * What a later crash falls back to is the same save, loaded again with whatever it drops.
	 */
}

/* Looks at all names, and changes nothing. */
static void peek_all(struct run *run)
{
	struct worker worker = { .run = run };
	struct uds_index_statistics s = statistics(run);
	struct model_time time = { s.open_chapter, s.open_chapter, s.oldest_chapter,
				   s.oldest_chapter };
	struct uds_request request;
	uint64_t begun = history_tick(run->history);

	for (uint32_t i = 0; i < run->model->names; i++) {
		const char *wrong;

		model_request(run->model, i, UDS_PEEK, 0, &request);
		uds_index_run(run->index, &request, 1);
		wrong = model_judge(run->model, i, &request, 0, &time);
		history_note_request(run->history, i, &request, 0, begun, &time);
		if (wrong != NULL)
			report(&worker, i, &request, wrong);
	}
}

/* Ends without a save. What was flushed comes back. */
static void crash_with_journal(struct run *run)
{
	uint64_t newest = statistics(run).open_chapter;
	struct uds_index_statistics s;

	/*
	 * A save in the background may have kept a version that the model has forgotten, so that
	 * none is to be lost.
	 */
	if (run->checkpoints || throw(run->seed, &run->dice, 2) == 0)
		flush(run);
	/* This makes the chapters durable that are closed, and nothing else. */
	close_index(run);
	choose_zones(run);
	open_index(run);
	s = statistics(run);
	/*
	 * With other zones there may be less room for the names of one, so that the open chapter
	 * was closed: at most as often as their shares go into a chapter.
	 */
	ck_assert_uint_ge(s.open_chapter, newest);
	ck_assert_uint_le(s.open_chapter, newest + run->zones + 1);
	model_replay(run->model, newest, s.open_chapter, run->flushed);
	if (s.dropped_at_load > 0)
		model_drop(run->model, newest);
	note(run, s.dropped_at_load > 0 ? "crashed, with less room" : "crashed");
	peek_all(run);
	remember_flush(run);
	run->replays++;
}

/*
 * The same without a journal. If no chapter was closed since the last save, that is what comes
 * back.
 */
static void crash(struct run *run)
{
	uint64_t newest = statistics(run).open_chapter;
	struct uds_index_statistics s;

	ck_assert_int_eq(uds_index_flush(run->index), 0);
	close_index(run);
	choose_zones(run);
	open_index(run);
	s = statistics(run);
	ck_assert_uint_eq(s.open_chapter, newest);
	if (run->saved != NULL && run->saved_newest == newest) {
		model_assign(&run->model, run->saved);
		if (s.dropped_at_load > 0)
			model_drop(run->model, newest);
	} else {
		model_recover(run->model, newest, run->used_save ? run->saved : NULL);
	}
	note(run, "crashed");
}

/*
 * Makes one chapter less of the index, as the conversion of the format does (19.6). From then on
 * chapters lie elsewhere, and leave in other steps.
 */
static void convert(struct run *run)
{
	const uint64_t cut = 3 * 4096;
	struct timespec now;
	uint64_t size;
	uint8_t *image;

	save(run);
	ck_assert_int_eq(uds_index_close(run->index), 0);
	ck_assert_int_eq(uds_io_size(run->io, &size), 0);
	image = malloc((size_t)size);
	ck_assert(image != NULL);
	ck_assert_int_eq(uds_io_read(run->io, image, (size_t)size, 0), 0);
	clock_gettime(CLOCK_REALTIME, &now);
	run->offset = convert_image(image, 0, cut, (uint64_t)now.tv_sec * 1000 + 2000);
	ck_assert_int_eq(uds_io_close(run->io), 0);
	ck_assert_int_eq(uds_io_open_memory(size - cut, 1, NULL, NULL, &run->io), 0);
	ck_assert_int_eq(uds_io_write(run->io, image + cut, (size_t)(size - cut), 0), 0);
	free(image);
	run->journal = false;
	open_index(run);
	run->model->dense_chapters--;
	run->saved->dense_chapters--;
	ck_assert_uint_eq(statistics(run).open_chapter, run->saved_newest);
	if (statistics(run).dropped_at_load > 0)
		model_drop(run->model, run->saved_newest);
	note(run, "converted");
}

static void start_run(struct run *run, bool sparse, uint32_t twins, uint64_t seed)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_message message;
	int r;

	memset(run, 0, sizeof(*run));
	pthread_mutex_init(&run->lock, NULL);
	c.page_bytes = 4096;
	c.record_pages_per_chapter = 4;
	c.chapters_per_volume = sparse ? 40 : 16;
	if (sparse) {
		c.sparse_chapters_per_volume = 30;
		c.sparse_sample_rate = 8;
	}
	run->configuration = c;
	run->seed = seed;
	run->zones = 1;
	run->model = model_make(NAMES, twins, seed);
	run->model->sparse = sparse;
	run->history = history_make(NAMES);
	run->model->dense_chapters = c.chapters_per_volume - c.sparse_chapters_per_volume;
	run->model->sample_rate = c.sparse_sample_rate;
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &run->io), 0);
	r = uds_index_format(run->io, &c, NULL, &message);
	ck_assert_msg(r == 0, "%s", message.text);
	run->journal = true;
	open_index(run);
	remember_flush(run);
}

static void end_run(struct run *run)
{
	struct uds_index_statistics s = statistics(run);

	printf("found %" PRIu64 ", missed %" PRIu64 ", early expiries %" PRIu64
	       ", overflows %" PRIu64 "\n",
	       run->found, run->missed, s.early_expiries, s.overflows);
	ck_assert_uint_eq(run->wrong, 0);
	ck_assert_uint_gt(run->found, test_scaled(1000));
	uds_index_close(run->index);
	uds_io_close(run->io);
	model_free(run->model);
	model_free(run->saved);
	model_free(run->flushed);
	history_free(run->history);
	pthread_mutex_destroy(&run->lock);
}

/*
 * @requests: about how many, in all. @converted: after some of them it becomes a converted index.
 */
static void run_rounds(struct run *run, bool converted, unsigned int threads, unsigned int requests)
{
	unsigned int rounds = 24, batches = requests / rounds / (BATCH / 2);
	uint32_t version = 1;

	for (unsigned int round = 0; round < rounds; round++) {
		/* Some rounds are so short that no chapter is closed in them. */
		unsigned int n = throw(run->seed, &run->dice, 4) == 0 ? 2 * threads : batches;

		run_workers(run, threads, n, &version);
		if (converted && round == rounds / 4)
			convert(run);
		switch (throw(run->seed, &run->dice, 5)) {
		case 0:
			save(run);
			break;
		case 1:
			save_and_reopen(run);
			break;
		case 2:
			if (run->journal)
				crash_with_journal(run);
			else
				crash(run);
			break;
		case 3:
			flush(run);
			break;
		default:
			break;
		}
	}
}

static void run_model(bool sparse, bool converted, unsigned int threads, unsigned int requests,
		      uint64_t seed)
{
	struct run run;

	start_run(&run, sparse, 0, seed);
	run_rounds(&run, converted, threads, requests);
	end_run(&run);
}

/* What one caller does is watched by the thread sanitizer where there is time. */
#define SKIP_ONE_CALLER_OF(threads)                                        \
	do {                                                               \
		if (THREAD_SANITIZER && (threads) == 1 && test_in_part())  \
			skip_test("one caller: only with UDS_TEST_SCALE"); \
	} while (0)

START_TEST(random_requests_of_one_thread_follow_the_model)
{
	SKIP_ONE_CALLER_OF(1);
	run_model(false, false, 1, (unsigned int)test_scaled(500000), 0x5eed1);
}
END_TEST

START_TEST(random_requests_of_four_threads_follow_the_model)
{
	run_model(false, false, 4, (unsigned int)test_scaled(500000), 0x5eed2);
}
END_TEST

START_TEST(random_requests_to_a_sparse_index_follow_the_model)
{
	SKIP_ONE_CALLER_OF(1);
	run_model(true, false, 1, (unsigned int)test_scaled(200000), 0x5eed3);
}
END_TEST

START_TEST(random_requests_of_four_threads_to_a_sparse_index_follow_the_model)
{
	run_model(true, false, 4, (unsigned int)test_scaled(200000), 0x5eed4);
}
END_TEST

START_TEST(random_requests_beside_saves_in_the_background_follow_the_model)
{
	struct run run;

	start_run(&run, _i % 2 != 0, 0, 0x5eed30 + (uint64_t)_i);
	run.checkpoints = true;
	run_rounds(&run, false, 4, (unsigned int)test_scaled(200000));
	ck_assert_uint_gt(run.made, 0);
	end_run(&run);
}
END_TEST

/* From several producers, by one queue. */
START_TEST(random_asynchronous_requests_follow_the_model)
{
	unsigned int threads = 1 + 3 * (unsigned int)(_i / 2);
	struct run run;

	SKIP_ONE_CALLER_OF(threads);
	start_run(&run, _i % 2 != 0, 0, 0x5eed40 + (uint64_t)_i);
	run.asynchronous = true;
	close_index(&run);
	open_index(&run);
	run_rounds(&run, false, threads, (unsigned int)test_scaled(60000));
	end_run(&run);
}
END_TEST

/*
 * Every tenth name shares its place in the volume index with another one that is asked for at about
 * the same time.
 */
START_TEST(random_requests_for_names_that_share_places_follow_the_model)
{
	unsigned int threads = _i / 4 % 2 != 0 ? 4 : 1;
	struct run run;

	SKIP_ONE_CALLER_OF(threads);
	start_run(&run, _i % 2 != 0, NAMES / 10, 0x5eed60 + (uint64_t)_i);
	run.checkpoints = _i / 2 % 2 != 0;
	run_rounds(&run, false, threads, (unsigned int)test_scaled(100000));
	end_run(&run);
}
END_TEST

/*
 * The place of the moved chapter follows from where the index is when it is converted: so several.
 */
START_TEST(random_requests_to_a_converted_index_follow_the_model)
{
	unsigned int threads = 1 + 3 * (unsigned int)(_i % 2);

	SKIP_ONE_CALLER_OF(threads);
	run_model(false, true, threads, (unsigned int)test_scaled(60000), 0x5eed10 + (uint64_t)_i);
}
END_TEST

START_TEST(random_requests_to_a_converted_sparse_index_follow_the_model)
{
	unsigned int threads = 1 + 3 * (unsigned int)(_i % 2);

	SKIP_ONE_CALLER_OF(threads);
	run_model(true, true, threads, (unsigned int)test_scaled(60000), 0x5eed20 + (uint64_t)_i);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index model");
	TCase *tcase = tcase_create("model");

	tcase_add_test(tcase, random_requests_of_one_thread_follow_the_model);
	tcase_add_test(tcase, random_requests_of_four_threads_follow_the_model);
	tcase_add_test(tcase, random_requests_to_a_sparse_index_follow_the_model);
	tcase_add_test(tcase, random_requests_of_four_threads_to_a_sparse_index_follow_the_model);
	tcase_add_loop_test(tcase, random_requests_beside_saves_in_the_background_follow_the_model,
			    0, 2);
	tcase_add_loop_test(tcase, random_asynchronous_requests_follow_the_model, 0, 4);
	tcase_add_alike(tcase, random_requests_for_names_that_share_places_follow_the_model, 0, 8);
	tcase_add_alike(tcase, random_requests_to_a_converted_index_follow_the_model, 0, 8);
	tcase_add_loop_test(tcase, random_requests_to_a_converted_sparse_index_follow_the_model, 0,
			    4);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
