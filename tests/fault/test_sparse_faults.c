/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A sparse index in which memory runs out, or a read fails, while old chapters are brought into the
 * sparse cache: the requests that need it say so, the others are answered, and no chapter stays in
 * the cache as one without records.
 */
#include <errno.h>

#include "base/bytes.h"
#include "check_main.h"
#include "fault_io.h"
#include "names.h"
#include "torture_env.h"

#include <uds/index.h>

#define SEED	     UINT64_C(0x5a25e)
#define PER_CHAPTER  128
#define CHAPTERS     16
#define SAMPLE_RATE  4
#define OLD_CHAPTERS 7 /* as many as the cache holds */
#define HOOKS	     8
#define OTHERS	     20
#define REQUESTS     (OLD_CHAPTERS * (HOOKS + OTHERS))

struct fixture {
	struct torture_env torture;
	struct fault_plan plan;
	struct uds_io *io;
	struct uds_index *index;
	struct uds_message message;
	struct uds_request requests[REQUESTS];
	uint64_t numbers[REQUESTS];
};

static void open_as(struct fixture *f, enum uds_index_mode mode)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	int r;

	options.env = &f->torture.env;
	options.mode = mode;
	r = uds_index_open(f->io, &options, &f->message, &f->index);
	ck_assert_msg(r == 0, "%s", f->message.text);
}

static bool is_hook(uint64_t i)
{
	struct uds_record_name name;

	make_name(SEED, i, &name);
	return (name.bytes[14] << 8 | name.bytes[15]) % SAMPLE_RATE == 0;
}

static uint32_t add_requests(struct fixture *f, uint32_t count, uint64_t chapter, bool hooks,
			     uint32_t wanted)
{
	for (uint64_t i = chapter * PER_CHAPTER; wanted > 0; i++) {
		ck_assert_uint_lt(i, (chapter + 1) * PER_CHAPTER);
		if (is_hook(i) != hooks)
			continue;
		f->numbers[count] = i;
		make_name(SEED, i, &f->requests[count].name);
		f->requests[count++].kind = UDS_PEEK;
		wanted--;
	}
	return count;
}

/*
 * An index with all chapters full, saved, and a batch: hooks of the oldest chapters,
 * then other names.
 */
static void start(struct fixture *f)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_record_name name;
	struct uds_record_data data;
	struct uds_io *memory;
	uint32_t count = 0;

	memset(f, 0, sizeof(*f));
	torture_env_start(&f->torture);
	c.page_bytes = 4096;
	c.record_pages_per_chapter = 1;
	c.chapters_per_volume = CHAPTERS;
	c.sparse_chapters_per_volume = CHAPTERS - 4;
	c.sparse_sample_rate = SAMPLE_RATE;
	fault_plan_start(&f->plan);
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &memory), 0);
	ck_assert_int_eq(fault_io_open(&f->plan, memory, NULL, &f->io), 0);
	ck_assert_int_eq(uds_index_format(f->io, &c, NULL, &f->message), 0);
	open_as(f, UDS_INDEX_LOAD);
	for (uint64_t i = 0; i < (CHAPTERS - 1) * PER_CHAPTER; i++) {
		make_name(SEED, i, &name);
		make_data('n', i, 1, &data);
		ck_assert_int_eq(uds_index_post(f->index, &name, &data, NULL, NULL), 0);
	}
	ck_assert_int_eq(uds_index_save(f->index), 0);
	ck_assert_int_eq(uds_index_close(f->index), 0);
	for (uint64_t chapter = 0; chapter < OLD_CHAPTERS; chapter++)
		count = add_requests(f, count, chapter, true, HOOKS);
	for (uint64_t chapter = 0; chapter < OLD_CHAPTERS; chapter++)
		count = add_requests(f, count, chapter, false, OTHERS);
	ck_assert_uint_eq(count, REQUESTS);
}

static void end(struct fixture *f)
{
	ck_assert_int_eq(uds_io_close(f->io), 0);
	fault_plan_end(&f->plan);
	torture_env_end(&f->torture);
}

/*
 * Runs the batch; what is found is right. Returns how many names were found, and the call's status.
 */
static uint32_t run_batch(struct fixture *f, int *ret_status)
{
	struct uds_record_data data;
	uint32_t found = 0;

	*ret_status = uds_index_run(f->index, f->requests, REQUESTS);
	for (uint32_t i = 0; i < REQUESTS; i++) {
		const struct uds_request *request = &f->requests[i];

		if (request->status < 0 || !request->found)
			continue;
		make_data('n', f->numbers[i], 1, &data);
		ck_assert_int_eq(memcmp(&data, &request->old_data, sizeof(data)), 0);
		found++;
	}
	return found;
}

/* With a failure, then without: nothing of it must be left. Returns whether there was one. */
static bool fail_one(struct fixture *f, uint64_t nth, bool allocation)
{
	int expected = allocation ? -ENOMEM : -EIO, r;
	bool failed;

	open_as(f, UDS_INDEX_READ_ONLY);
	if (allocation)
		torture_env_fail_at(&f->torture, nth, false);
	else
		fault_plan_fail(&f->plan, FAULT_READ, nth, expected, false);
	run_batch(f, &r);
	failed = f->torture.failed + f->plan.failed > 0;
	torture_env_fail_at(&f->torture, 0, false);
	fault_plan_fail(&f->plan, 0, 0, 0, false);
	ck_assert_msg(r == 0 || (failed && r == expected), "%llu: %s", (unsigned long long)nth,
		      uds_strerror(r));
	/* A chapter that could not be read counts as damaged as long as it is in the cache. */
	if (allocation) {
		ck_assert_uint_eq(run_batch(f, &r), REQUESTS);
		ck_assert_int_eq(r, 0);
	}
	ck_assert_int_eq(uds_index_close(f->index), 0);
	f->torture.failed = 0;
	f->plan.failed = 0;
	return failed;
}

START_TEST(each_allocation_failing_while_old_chapters_are_fetched)
{
	static struct fixture f;
	uint64_t nth;

	start(&f);
	for (nth = 1; fail_one(&f, nth, true); nth++)
		;
	ck_assert_uint_gt(nth, 3 * OLD_CHAPTERS);
	end(&f);
}
END_TEST

START_TEST(each_read_failing_while_old_chapters_are_fetched)
{
	static struct fixture f;
	uint64_t nth;

	start(&f);
	for (nth = 1; fail_one(&f, nth, false); nth++)
		;
	ck_assert_uint_gt(nth, OLD_CHAPTERS);
	end(&f);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sparse_faults");
	TCase *tc = tcase_create("faults");

	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, each_allocation_failing_while_old_chapters_are_fetched);
	tcase_add_test(tc, each_read_failing_while_old_chapters_are_fetched);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
