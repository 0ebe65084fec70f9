/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Asynchronous operations that meet failures: of reads, of memory, of threads and descriptors, of
 * damage. Each failure is that of the operations that it hits, and of no other.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <uds.h>

#include "check_main.h"
#include "names.h"
#include "slow_device.h"
#include "torture_env.h"

#define COUNT 8

static unsigned int threads_left = 1000;

/* In place of the C library's. */
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
		   void *context)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	if (threads_left == 0)
		return EAGAIN;
	threads_left--;
	return real(thread, attributes, run, context);
}

static struct slow_index s;
static struct uds_index_operation operations[COUNT], *pointers[COUNT], *done[COUNT];

/* Requests of one kind for names that are far from each other. */
static void prepare(enum uds_request_kind kind, uint64_t first)
{
	memset(operations, 0, sizeof(operations));
	for (unsigned int i = 0; i < COUNT; i++) {
		pointers[i] = &operations[i];
		operations[i].request.kind = (uint8_t)kind;
		operations[i].request.user_number = first + 40 * i;
		make_name(SLOW_SEED, first + 40 * i, &operations[i].request.name);
	}
}

static void check_sentence(const char *words)
{
	struct uds_message message;

	uds_index_error_message(s.index, &message);
	ck_assert_msg(strstr(message.text, words) != NULL, "\"%s\" has no \"%s\"", message.text,
		      words);
}

/* How many failed with @status; all others have found their record. */
static unsigned int count_failed(int status)
{
	unsigned int failed = 0;

	for (unsigned int i = 0; i < COUNT; i++) {
		struct uds_record_data data;

		if (operations[i].request.status != 0) {
			ck_assert_int_eq(operations[i].request.status, status);
			ck_assert(!operations[i].request.found);
			failed++;
			continue;
		}
		make_data('n', operations[i].request.user_number, 1, &data);
		ck_assert(operations[i].request.found);
		ck_assert_mem_eq(&operations[i].request.old_data, &data, sizeof(data));
	}
	return failed;
}

START_TEST(a_read_that_fails_is_the_failure_of_its_operation)
{
	struct uds_index_queue *queue;
	unsigned int fail_at = 0, failed;

	slow_index_begin(&s, 2, NULL);
	ck_assert_int_eq(uds_index_queue_open(s.index, NULL, &queue), 0);
	do {
		prepare(UDS_PEEK, 20);
		s.device.fail_at = ++fail_at;
		ck_assert_int_eq(uds_index_submit(queue, pointers, COUNT, 0), COUNT);
		ck_assert_int_eq(uds_index_reap(queue, done, COUNT, COUNT, -1), COUNT);
		failed = s.device.fail_at == 0;
		ck_assert_uint_eq(count_failed(-EIO), failed);
		if (failed > 0)
			check_sentence("device: ");
	} while (failed > 0);
	/* One page of the index, and one with the record. */
	ck_assert_uint_ge(fail_at, 2 * COUNT);
	uds_index_queue_close(queue);
	slow_index_end(&s);
}
END_TEST

static unsigned int called, with_sentence;

static void look_at_sentence(struct uds_index_operation *operation)
{
	struct uds_message message;

	called++;
	uds_index_error_message(s.index, &message);
	ck_assert_int_eq(operation->request.status < 0, message.text[0] != '\0');
	with_sentence += strstr(message.text, "does not verify") != NULL ||
			 strstr(message.text, "index page") != NULL;
}

/* Every page of chapters is overwritten. The callback of each operation finds why. */
START_TEST(damage_is_told_with_its_page)
{
	struct uds_index_queue *queue;

	slow_index_begin(&s, 1, NULL);
	memset(s.device.bytes + 8192 + 4096, 0xa5, 6 * 4096);
	ck_assert_int_eq(uds_index_queue_open(s.index, NULL, &queue), 0);
	prepare(UDS_PEEK, 20);
	for (unsigned int i = 0; i < COUNT; i++)
		operations[i].completed = look_at_sentence;
	called = with_sentence = 0;
	ck_assert_int_eq(uds_index_submit(queue, pointers, COUNT, 0), COUNT);
	ck_assert_int_eq(uds_index_reap(queue, NULL, 0, SIZE_MAX, -1), 0);
	ck_assert_uint_eq(called, COUNT);
	ck_assert_uint_eq(count_failed(UDS_ERR_CORRUPT), COUNT);
	ck_assert_uint_eq(with_sentence, COUNT);
	check_sentence("");
	uds_index_queue_close(queue);
	slow_index_end(&s);
}
END_TEST

/* Posts beyond the room in the open chapter while none can be written. */
START_TEST(a_chapter_that_cannot_be_written_fails_those_that_need_room)
{
	struct uds_index_queue *queue;
	unsigned int failed = 0;

	slow_index_begin(&s, 1, NULL);
	ck_assert_int_eq(uds_index_queue_open(s.index, NULL, &queue), 0);
	s.device.write_status = -EIO;
	for (uint64_t first = SLOW_NAMES; failed == 0; first += 40 * COUNT) {
		ck_assert_uint_lt(first, 50000);
		prepare(UDS_POST, first);
		ck_assert_int_eq(uds_index_submit(queue, pointers, COUNT, 0), COUNT);
		ck_assert_int_eq(uds_index_reap(queue, done, COUNT, COUNT, -1), COUNT);
		for (unsigned int i = 0; i < COUNT; i++)
			failed += operations[i].request.status == -EIO;
	}
	check_sentence("device: ");
	s.device.write_status = 0;
	ck_assert_int_eq(uds_index_submit(queue, pointers, COUNT, 0), COUNT);
	ck_assert_int_eq(uds_index_reap(queue, done, COUNT, COUNT, -1), COUNT);
	for (unsigned int i = 0; i < COUNT; i++)
		ck_assert_int_eq(operations[i].request.status, 0);
	uds_index_queue_close(queue);
	slow_index_end(&s);
}
END_TEST

/* A queue is opened, used and closed; the @nth allocation fails. Returns whether one did. */
static bool use_with_failing_memory(struct torture_env *torture, uint64_t nth, bool and_after)
{
	struct uds_index_queue *queue = NULL;
	bool met;
	int r;

	torture_env_fail_at(torture, nth, and_after);
	r = uds_index_queue_open(s.index, NULL, &queue);
	if (r < 0) {
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert_ptr_null(queue);
		check_sentence("device: opening a queue");
	} else {
		prepare(UDS_PEEK, 20);
		operations[0].kind = 7;
		ck_assert_int_eq(uds_index_submit(queue, pointers, COUNT, 0), COUNT);
		ck_assert_int_eq(uds_index_reap(queue, done, COUNT, COUNT, -1), COUNT);
		ck_assert_int_eq(operations[0].request.status, -EINVAL);
		/* The others are right, or have met it. */
		operations[0] = operations[1];
		(void)count_failed(-ENOMEM);
		check_sentence("device: ");
	}
	met = torture->failed > 0;
	torture_env_fail_at(torture, 0, false);
	uds_index_queue_close(queue);
	return met;
}

START_TEST(memory_that_is_missing_fails_only_what_needs_it)
{
	for (int and_after = 0; and_after < 2; and_after++) {
		struct torture_env torture;
		uint64_t nth = 0, live;
		bool met;

		torture_env_start(&torture);
		slow_index_begin(&s, 2, &torture.env);
		do {
			live = torture.live;
			met = use_with_failing_memory(&torture, ++nth, and_after != 0);
			/* Buffers that are kept for the next reads, and sentences, and no more. */
			ck_assert_uint_le(torture.live, live + 16);
		} while (met);
		ck_assert_uint_gt(nth, 8);
		slow_index_end(&s);
		torture_env_end(&torture);
	}
}
END_TEST

static void *peek_apart(void *argument)
{
	struct uds_record_name name;
	struct uds_record_data data, right;
	bool found = false, *ret_right = argument;

	make_name(SLOW_SEED, 10, &name);
	make_data('n', 10, 1, &right);
	*ret_right = uds_index_peek(s.index, &name, &data, &found) == 0 && found &&
		     memcmp(&data, &right, sizeof(data)) == 0;
	return NULL;
}

static bool is_held(struct slow_device *device)
{
	bool held;

	pthread_mutex_lock(&device->lock);
	held = device->waiting > 0;
	pthread_mutex_unlock(&device->lock);
	return held;
}

/* Goes on with one operation until both its reads are done, and no further. */
static void read_for_one(struct uds_index_queue *queue)
{
	slow_device_hold(&s.device);
	/* A page of the index, and one with the record. */
	for (unsigned int reads = 0; reads < 2; reads++) {
		while (!is_held(&s.device))
			ck_assert_int_eq(uds_index_reap(queue, done, COUNT, 0, 0), 0);
		slow_device_step(&s.device);
	}
}

/*
 * A thread that waits for a read has the memory with which its zone carries requests out, and there
 * is none for more: operations that have waited for reads, or behind others of their name, or have
 * just come, all end.
 */
START_TEST(operations_end_where_another_thread_has_the_memory_of_their_zone)
{
	struct uds_index_queue *queue;
	struct torture_env torture;
	bool right = false;
	pthread_t thread;

	torture_env_start(&torture);
	slow_index_begin(&s, 1, &torture.env);
	ck_assert_int_eq(uds_index_queue_open(s.index, NULL, &queue), 0);
	prepare(UDS_PEEK, 20);
	/* Three of one name. */
	for (unsigned int i = 1; i < 3; i++)
		operations[i].request = operations[0].request;
	ck_assert_int_eq(uds_index_submit(queue, pointers, 2, 0), 2);
	read_for_one(queue);
	ck_assert_int_eq(pthread_create(&thread, NULL, peek_apart, &right), 0);
	slow_device_wait(&s.device, 1);
	torture_env_fail_at(&torture, 1, true);
	ck_assert_int_eq(uds_index_submit(queue, pointers + 2, COUNT - 2, 0), COUNT - 2);
	ck_assert_int_eq(uds_index_reap(queue, done, COUNT, COUNT, -1), COUNT);
	torture_env_fail_at(&torture, 0, false);
	ck_assert_uint_eq(count_failed(-ENOMEM), COUNT);
	check_sentence("device: ");
	slow_device_release(&s.device);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert(right);
	/* Nothing of it is left. */
	ck_assert_int_eq(uds_index_submit(queue, pointers, COUNT, 0), COUNT);
	ck_assert_int_eq(uds_index_reap(queue, done, COUNT, COUNT, -1), COUNT);
	ck_assert_uint_eq(count_failed(0), 0);
	uds_index_queue_close(queue);
	slow_index_end(&s);
	torture_env_end(&torture);
}
END_TEST

START_TEST(what_a_queue_takes_is_counted_and_given_back)
{
	struct uds_index_statistics before = UDS_INDEX_STATISTICS_INIT, after = before;
	struct uds_index_queue_options options = UDS_INDEX_QUEUE_OPTIONS_INIT;
	struct uds_index_queue *queue;

	slow_index_begin(&s, 2, NULL);
	options.depth = 2048;
	ck_assert_int_eq(uds_index_get_statistics(s.index, &before), 0);
	ck_assert_int_eq(uds_index_queue_open(s.index, &options, &queue), 0);
	ck_assert_int_eq(uds_index_get_statistics(s.index, &after), 0);
	/* About a kilobyte for each operation, and less with short pointers. */
	ck_assert_uint_gt(after.memory_bytes, before.memory_bytes + 2048 * 62 * sizeof(void *));
	ck_assert_uint_lt(after.memory_bytes, before.memory_bytes + 2048 * 1200);
	uds_index_queue_close(queue);
	ck_assert_int_eq(uds_index_get_statistics(s.index, &after), 0);
	ck_assert_uint_eq(after.memory_bytes, before.memory_bytes);
	slow_index_end(&s);
}
END_TEST

/* The second thread of three. */
START_TEST(a_queue_without_all_its_threads_is_not_opened)
{
	struct uds_index_queue_options options = UDS_INDEX_QUEUE_OPTIONS_INIT;
	struct torture_env torture;
	struct uds_index_queue *queue = NULL;
	uint64_t live;

	torture_env_start(&torture);
	slow_index_begin(&s, 2, &torture.env);
	/* The index keeps what its first queue has made for reads. */
	ck_assert_int_eq(uds_index_queue_open(s.index, &options, &queue), 0);
	uds_index_queue_close(queue);
	queue = NULL;
	options.threads = 3;
	live = torture.live;
	threads_left = 1;
	ck_assert_int_eq(uds_index_queue_open(s.index, &options, &queue), -EAGAIN);
	ck_assert_ptr_null(queue);
	check_sentence("device: opening a queue");
	/* The sentence. */
	ck_assert_uint_le(torture.live, live + 1);
	threads_left = 3;
	ck_assert_int_eq(uds_index_queue_open(s.index, &options, &queue), 0);
	threads_left = 1000;
	uds_index_queue_close(queue);
	slow_index_end(&s);
	torture_env_end(&torture);
}
END_TEST

/* As many descriptors as the process may open more. */
static void allow_descriptors(struct rlimit *before, unsigned int more)
{
	struct rlimit limit;
	int next = open("/dev/null", O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(next, 0);
	close(next);
	getrlimit(RLIMIT_NOFILE, before);
	limit = *before;
	limit.rlim_cur = (rlim_t)next + more;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* It takes three, and one less is not enough. None is left open then. */
START_TEST(an_event_descriptor_that_cannot_be_made_leaves_nothing)
{
	struct uds_index_queue *queue;
	struct rlimit before;
	int descriptor, r;

	slow_index_begin(&s, 2, NULL);
	ck_assert_int_eq(uds_index_queue_open(s.index, NULL, &queue), 0);
	for (unsigned int more = 0; more < 3; more++) {
		/* That of the engine stays with it. */
		allow_descriptors(&before, more > 0 ? 1 : 0);
		r = uds_index_queue_event_descriptor(queue, &descriptor);
		ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
		ck_assert_int_eq(r, -EMFILE);
		check_sentence("device: making a descriptor for the events of a queue");
	}
	ck_assert_int_eq(uds_index_queue_event_descriptor(queue, &descriptor), 0);
	uds_index_queue_close(queue);
	slow_index_end(&s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("asynchronous operations that fail");
	TCase *t = tcase_create("faults");

	tcase_add_test(t, a_read_that_fails_is_the_failure_of_its_operation);
	tcase_add_test(t, damage_is_told_with_its_page);
	tcase_add_test(t, a_chapter_that_cannot_be_written_fails_those_that_need_room);
	tcase_add_test(t, memory_that_is_missing_fails_only_what_needs_it);
	tcase_add_test(t, operations_end_where_another_thread_has_the_memory_of_their_zone);
	tcase_add_test(t, what_a_queue_takes_is_counted_and_given_back);
	tcase_add_test(t, a_queue_without_all_its_threads_is_not_opened);
	tcase_add_test(t, an_event_descriptor_that_cannot_be_made_leaves_nothing);
	suite_add_tcase(suite, t);
	return run_suite(suite);
}
