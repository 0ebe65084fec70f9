/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each golden trace is carried out by the library on a device of zeros. Every answer must be the
 * recorded one, and at the end every byte of the device, as far as the format defines it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "base/bytes.h"
#include "image_diff.h"
#include "replay.h"

#define BATCH	  256
#define MAX_SHOWN 10

/*
 * The one recorded answer that is a defect of the reference (uds-format, 20.2, R13) and what is
 * right instead.
 */
#define STALE_PAGE_VECTOR  "converted-crash"
#define STALE_PAGE_LINE	   "Q n7764 8760 0 - -"
#define STALE_PAGE_VERSION 8106

struct run {
	struct replay replay;
	unsigned int batch; /* how many requests go into a call */
	unsigned int count;
	struct trace_line lines[BATCH];
	struct uds_request requests[BATCH];
	unsigned int requests_done;
	unsigned int wrong;
	bool stale_page_seen;
};

static void correct_line(struct run *run, struct trace_line *line)
{
	if (strcmp(run->replay.info.name, STALE_PAGE_VECTOR) != 0 ||
	    strcmp(line->text, STALE_PAGE_LINE) != 0)
		return;
	line->found = true;
	line->has_old = true;
	line->old_version = STALE_PAGE_VERSION;
	line->location = 'd';
	run->stale_page_seen = true;
}

static void flush_batch(struct run *run)
{
	struct uds_message message;
	int r;

	if (run->count == 0)
		return;
	r = uds_index_run(run->replay.index, run->requests, run->count);
	ck_assert_msg(r == 0, "line %u: status %d", run->lines[0].number, r);
	for (unsigned int i = 0; i < run->count; i++) {
		correct_line(run, &run->lines[i]);
		if (!replay_answer_matches(&run->lines[i], &run->requests[i], &message) &&
		    run->wrong++ < MAX_SHOWN)
			printf("%s: %s\n", run->replay.info.name, message.text);
	}
	run->requests_done += run->count;
	run->count = 0;
}

static void carry_out(struct run *run, FILE *file)
{
	struct trace_line line = { 0 };
	int r;

	while (true) {
		ck_assert_msg(trace_next(file, &line), "line %u: %s", line.number, line.text);
		if (line.op != 0 && strchr("PUQND", line.op) != NULL) {
			run->lines[run->count] = line;
			replay_request(&run->replay, &line, &run->requests[run->count++]);
			if (run->count == run->batch)
				flush_batch(run);
			continue;
		}
		flush_batch(run);
		if (line.op == 0)
			return;
		if (line.op == '#')
			continue;
		r = replay_control(&run->replay, &line);
		ck_assert_msg(r == 0, "line %u '%s': %d %s", line.number, line.text, r,
			      run->replay.message.text);
	}
}

/* What is behind the index is not the format's. */
static void compare_device(struct run *run, bool volume_index)
{
	struct vector_info *info = &run->replay.info;
	uint8_t *expected, *actual;
	size_t expected_size, size;
	char path[128];
	int differences;

	snprintf(path, sizeof(path), "index/%s.img.xz", info->name);
	expected = vector_read_file(path, &expected_size);
	actual = replay_device(&run->replay, &size);
	ck_assert(expected != NULL && actual != NULL);
	if (run->replay.extras)
		ck_assert_uint_lt(expected_size, size);
	else
		ck_assert_uint_eq(expected_size, size);
	ck_assert_uint_eq(run->replay.offset, info->offset_bytes);
	differences = image_diff(info, expected, actual, expected_size, volume_index);
	free(expected);
	free(actual);
	ck_assert_msg(differences == 0, "%s: %d differences", info->name, differences);
}

static void replay_vector(const char *name, unsigned int batch, bool volume_index, bool extras)
{
	struct run *run;
	FILE *file;

	if (vectors_dir() == NULL)
		skip_test("replay of %s: no vectors", name);
	run = calloc(1, sizeof(*run));
	ck_assert(run != NULL);
	ck_assert(replay_start(&run->replay, name));
	run->batch = batch;
	run->replay.extras = extras;
	file = vector_open(name, ".trace.xz");
	ck_assert(file != NULL);
	carry_out(run, file);
	pclose(file);
	ck_assert_msg(run->wrong == 0, "%s: %u of %u answers wrong", name, run->wrong,
		      run->requests_done);
	ck_assert(run->requests_done > 0);
	ck_assert(run->stale_page_seen == (strcmp(name, STALE_PAGE_VECTOR) == 0));
	compare_device(run, volume_index);
	replay_end(&run->replay);
	free(run);
}

/*
 * Whether a batch may be replayed: with several zones the requests of a batch are in order in each
 * zone only, so the place where a chapter ends is another.
 */
static bool has_one_zone(const char *name)
{
	return strcmp(name, "dense-3zone") != 0 && strcmp(name, "dense-rezone-offset") != 0 &&
	       strcmp(name, "dense-2zone-crash") != 0 && strcmp(name, "pagesize-32k") != 0 &&
	       strcmp(name, "sparse-rezone") != 0;
}

START_TEST(replay_one_by_one_makes_the_same_answers_and_device)
{
	replay_vector(index_vectors[_i], 1, true, false);
}
END_TEST

START_TEST(replay_in_batches_makes_the_same_answers_and_device)
{
	replay_vector(index_vectors[_i], BATCH, true, false);
}
END_TEST

START_TEST(extras_change_nothing_in_front_of_them)
{
	replay_vector(index_vectors[_i], has_one_zone(index_vectors[_i]) ? BATCH : 1, true, true);
}
END_TEST

/*
 * Where the reference ran out of list memory, an index with more room knows more names, and forgets
 * others early; from then on the answers need not be the recorded ones. But they must never be
 * wrong: what is found is what was stored last. (A deleted name can be found again, through the
 * entry of another name that shares its place in the volume index: the traces have many of those.)
 */
struct stored {
	bool ever;
	uint32_t version;
};

#define TOKENS 40000

static void learn(struct stored *stored, const struct trace_line *line,
		  const struct uds_request *request)
{
	ck_assert_int_eq(request->status, 0);
	if (request->found) {
		ck_assert_msg(stored->ever, "line %u: found, but never stored", line->number);
		if (line->op != 'D')
			ck_assert_msg(get_le32(request->old_data.bytes + 8) == stored->version,
				      "line %u: found another version than the last", line->number);
	}
	if (line->op == 'U' || (line->op == 'P' && !request->found)) {
		stored->ever = true;
		stored->version = line->version;
	}
}

/* Returns how many requests found what the reference no longer knew. */
static unsigned int replay_with_more_room(struct replay *replay, FILE *file)
{
	struct stored *stored = calloc(256 * TOKENS, sizeof(*stored));
	struct trace_line line = { 0 };
	struct uds_request request;
	unsigned int more = 0;

	ck_assert(stored != NULL);
	for (ck_assert(trace_next(file, &line)); line.op != 0; ck_assert(trace_next(file, &line))) {
		if (strchr("PUQND", line.op) == NULL) {
			if (line.op != '#')
				ck_assert_msg(replay_control(replay, &line) == 0, "%s",
					      replay->message.text);
			continue;
		}
		ck_assert_uint_lt(line.token.index, TOKENS);
		replay_request(replay, &line, &request);
		uds_index_run(replay->index, &request, 1);
		learn(&stored[(uint8_t)line.token.letter * TOKENS + line.token.index], &line,
		      &request);
		more += request.found && !line.found;
	}
	free(stored);
	return more;
}

static void replay_overflow(const char *name)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct replay replay;
	unsigned int more;
	FILE *file;

	if (vectors_dir() == NULL)
		skip_test("replay of %s: no vectors", name);
	ck_assert(replay_start(&replay, name));
	file = vector_open(name, ".trace.xz");
	ck_assert(file != NULL);
	more = replay_with_more_room(&replay, file);
	pclose(file);
	printf("%s: %u names found that the reference had lost\n", name, more);
	ck_assert_uint_gt(more, 0);
	/* What was saved is there, and can be loaded. */
	options.mode = UDS_INDEX_LOAD;
	ck_assert_msg(uds_index_open(replay.io, &options, &replay.message, &replay.index) == 0,
		      "%s", replay.message.text);
	replay_end(&replay);
}

START_TEST(index_with_more_room_than_the_reference_is_never_wrong)
{
	replay_overflow(_i == 0 ? "memory-overflow" : "does-not-fit");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("trace replay");
	TCase *tcase = tcase_create("replay");

	for (int i = 0; index_vectors[i] != NULL; i++) {
		const char *name = index_vectors[i];

		if (strcmp(name, "memory-overflow") == 0 || strcmp(name, "does-not-fit") == 0)
			continue;
		tcase_add_loop_test(tcase, replay_one_by_one_makes_the_same_answers_and_device, i,
				    i + 1);
		if (has_one_zone(name))
			tcase_add_loop_test(tcase,
					    replay_in_batches_makes_the_same_answers_and_device, i,
					    i + 1);
		if (strncmp(name, "converted", 9) != 0)
			tcase_add_loop_test(tcase, extras_change_nothing_in_front_of_them, i,
					    i + 1);
	}
	tcase_add_loop_test(tcase, index_with_more_room_than_the_reference_is_never_wrong, 0, 2);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
