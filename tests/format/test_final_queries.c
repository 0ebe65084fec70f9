/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Each golden image is opened, as its maker would, with the recorded number of zones; where it was
 * not saved cleanly it is recovered. Then all recorded queries must have the recorded answers, and
 * the volume index the recorded number of entries.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "names.h"
#include "replay.h"

#define MAX_SHOWN 10

/* "# opened zones Z newest N oldest O": opens the image so and compares. */
static void open_as_recorded(struct replay *replay, const struct trace_line *line)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_index_statistics s = { .size = sizeof(s) };
	uint64_t newest, oldest;
	unsigned int zones;
	int r;

	ck_assert_int_eq(sscanf(line->text, "# opened zones %u newest %" SCNu64 " oldest %" SCNu64,
				&zones, &newest, &oldest),
			 3);
	options.env = &replay->env;
	options.offset = replay->offset;
	options.zones = zones;
	options.mode = replay->info.clean ? UDS_INDEX_LOAD : UDS_INDEX_LOAD_OR_RECOVER;
	r = uds_index_open(replay->io, &options, &replay->message, &replay->index);
	ck_assert_msg(r == 0, "%s: %d %s", replay->info.name, r, replay->message.text);
	ck_assert_int_eq(uds_index_get_statistics(replay->index, &s), 0);
	ck_assert_uint_eq(s.open_chapter, newest);
	ck_assert_uint_eq(s.oldest_chapter, oldest);
}

/*
 * The reference's rebuild gives the fill record of a chapter that has copies of it a second entry.
 * Ours does not: there may be one collision entry less for each chapter then.
 */
static void compare_entries(const struct replay *replay, const struct trace_line *line)
{
	struct uds_index_statistics s = { .size = sizeof(s) };
	uint64_t entries, collisions;

	ck_assert_int_eq(sscanf(line->text, "# entries %" SCNu64 " collisions %" SCNu64, &entries,
				&collisions),
			 2);
	ck_assert_int_eq(uds_index_get_statistics(replay->index, &s), 0);
	ck_assert_uint_eq(entries - s.entries, collisions - s.collisions);
	if (replay->info.clean)
		ck_assert_uint_eq(s.entries, entries);
	else
		ck_assert_uint_le(entries - s.entries, s.open_chapter - s.oldest_chapter);
}

static unsigned int ask(struct replay *replay, FILE *file, unsigned int *ret_wrong)
{
	struct trace_line line = { 0 };
	unsigned int asked = 0;

	while (true) {
		struct uds_request request;
		struct uds_message message;

		ck_assert_msg(trace_next(file, &line), "line %u: %s", line.number, line.text);
		if (line.op == 0)
			return asked;
		if (line.op == '#') {
			if (strncmp(line.text, "# opened", 8) == 0)
				open_as_recorded(replay, &line);
			else if (strncmp(line.text, "# entries", 9) == 0)
				compare_entries(replay, &line);
			continue;
		}
		ck_assert(replay->index != NULL);
		replay_request(replay, &line, &request);
		uds_index_run(replay->index, &request, 1);
		asked++;
		if (!replay_answer_matches(&line, &request, &message) && (*ret_wrong)++ < MAX_SHOWN)
			printf("%s: %s\n", replay->info.name, message.text);
	}
}

START_TEST(image_answers_all_recorded_queries)
{
	const char *name = index_vectors[_i];
	struct replay replay;
	unsigned int asked, wrong = 0;
	FILE *file;

	if (vectors_dir() == NULL)
		skip_test("final queries of %s: no vectors", name);
	ck_assert(replay_start_with_image(&replay, name));
	file = vector_open(name, ".final.xz");
	ck_assert(file != NULL);
	asked = ask(&replay, file, &wrong);
	pclose(file);
	ck_assert_msg(wrong == 0, "%s: %u of %u answers wrong", name, wrong, asked);
	ck_assert_uint_gt(asked, 0);
	replay_end(&replay);
}
END_TEST

static int print_finding(void *context, const char *sentence)
{
	(void)context;
	printf("%s\n", sentence);
	return 0;
}

/* All images are what the reference wrote: nothing is wrong with them. */
START_TEST(image_has_nothing_for_verify_to_find)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	uint64_t findings = 1, size_before, size_after;
	uint8_t *before, *after;
	struct replay replay;
	size_t size;
	int r;

	if (vectors_dir() == NULL)
		skip_test("verify of %s: no vectors", index_vectors[_i]);
	ck_assert(replay_start_with_image(&replay, index_vectors[_i]));
	before = replay_device(&replay, &size);
	size_before = size;
	options.env = &replay.env;
	options.offset = replay.offset;
	r = uds_index_verify(replay.io, &options, print_finding, NULL, &replay.message, &findings);
	ck_assert_msg(r == 0, "%s", replay.message.text);
	ck_assert_uint_eq(findings, 0);
	after = replay_device(&replay, &size);
	size_after = size;
	ck_assert(before != NULL && after != NULL && size_before == size_after);
	ck_assert_int_eq(memcmp(before, after, size), 0);
	free(before);
	free(after);
	replay_end(&replay);
}
END_TEST

/* Fills an index with extras that has the image's shape and nonces, once around and a bit. */
static void make_another_life(const struct replay *replay, struct uds_io *io)
{
	struct uds_index_format_options format = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_geometry geometry = UDS_GEOMETRY_INIT;
	struct uds_message message;
	struct uds_index *index;

	format.offset = options.offset = replay->offset;
	format.nonce_data = replay->info.nonce_data;
	ck_assert_int_eq(uds_geometry_compute(&replay->info.configuration, NULL, &geometry), 0);
	ck_assert_int_eq(uds_index_format(io, &replay->info.configuration, &format, &message), 0);
	ck_assert_int_eq(uds_index_open(io, &options, &message, &index), 0);
	for (uint64_t i = 0; i < geometry.records_per_volume * 5 / 4; i++) {
		struct uds_record_name name;
		struct uds_record_data data;

		make_name(UINT64_C(0xa07e11fe), i, &name);
		make_data('l', i, 1, &data);
		ck_assert_int_eq(uds_index_update(index, &name, &data, NULL, NULL), 0);
	}
	ck_assert_int_eq(uds_index_save(index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
}

/*
 * Puts the extras of another life of the index behind the image, as if the reference implementation
 * had written all of it since: its chapters have other numbers, or the very same ones.
 */
static void put_other_extras_behind(struct replay *replay)
{
	struct uds_geometry geometry = UDS_GEOMETRY_INIT;
	uint64_t at, size;
	struct uds_io *io;
	uint8_t *bytes;

	ck_assert_int_eq(uds_geometry_compute(&replay->info.configuration, NULL, &geometry), 0);
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &io), 0);
	make_another_life(replay, io);
	at = replay->offset + geometry.index_bytes;
	ck_assert_int_eq(uds_io_size(replay->io, &size), 0);
	ck_assert_uint_le(size, at + geometry.extras_bytes);
	ck_assert_int_eq(uds_io_resize(replay->io, at + geometry.extras_bytes), 0);
	bytes = malloc(geometry.extras_bytes);
	ck_assert_ptr_nonnull(bytes);
	ck_assert_int_eq(uds_io_read(io, bytes, geometry.extras_bytes, at), 0);
	ck_assert_int_eq(uds_io_write(replay->io, bytes, geometry.extras_bytes, at), 0);
	free(bytes);
	ck_assert_int_eq(uds_io_close(io), 0);
}

START_TEST(image_with_extras_that_its_maker_did_not_know_is_as_good)
{
	struct uds_index_info_options info_options = UDS_INDEX_INFO_OPTIONS_INIT;
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	unsigned int asked, wrong = 0;
	uint64_t findings = 1;
	struct replay replay;
	FILE *file;

	if (vectors_dir() == NULL)
		skip_test("extras behind %s: no vectors", index_vectors[_i]);
	ck_assert(replay_start_with_image(&replay, index_vectors[_i]));
	put_other_extras_behind(&replay);
	info_options.offset = options.offset = replay.offset;
	ck_assert_int_eq(uds_index_read_info(replay.io, &info_options, &replay.message, &info), 0);
	ck_assert_uint_eq(info.extras, UDS_EXTRAS_STALE);
	ck_assert_int_eq(uds_index_verify(replay.io, &options, print_finding, NULL, &replay.message,
					  &findings),
			 0);
	ck_assert_uint_eq(findings, 0);
	file = vector_open(index_vectors[_i], ".final.xz");
	ck_assert(file != NULL);
	asked = ask(&replay, file, &wrong);
	pclose(file);
	ck_assert_msg(wrong == 0, "%u of %u answers wrong", wrong, asked);
	replay_end(&replay);
}
END_TEST

/*
 * An image that its maker could not load again, so nothing is recorded about it: its lists need
 * more memory than the format gives. It must open here, and answer as its trace says it would.
 */
START_TEST(image_too_full_for_the_reference_opens)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct replay replay;
	uint64_t found = 0;
	int r;

	if (vectors_dir() == NULL)
		skip_test("does-not-fit: no vectors");
	ck_assert(replay_start_with_image(&replay, "does-not-fit"));
	options.env = &replay.env;
	options.mode = UDS_INDEX_LOAD;
	r = uds_index_open(replay.io, &options, &replay.message, &replay.index);
	ck_assert_msg(r == 0, "%s", replay.message.text);
	for (uint64_t i = 0; i < 30000; i++) {
		struct trace_token token = { 'n', i };
		struct uds_record_name name;
		struct uds_record_data data;
		bool there;

		trace_name(replay.info.seed, &token, &name);
		ck_assert_int_eq(uds_index_peek(replay.index, &name, &data, &there), 0);
		if (!there)
			continue;
		ck_assert_uint_eq(data.bytes[12], 'n');
		found++;
	}
	/* Nine chapters of 2048 records are on the volume, most of their names of this letter. */
	ck_assert_uint_gt(found, 5000);
	replay_end(&replay);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("final queries");
	TCase *tcase = tcase_create("images");

	for (int i = 0; index_vectors[i] != NULL; i++) {
		if (strcmp(index_vectors[i], "does-not-fit") != 0)
			tcase_add_loop_test(tcase, image_answers_all_recorded_queries, i, i + 1);
	}
	for (int i = 0; index_vectors[i] != NULL; i++)
		tcase_add_loop_test(tcase, image_has_nothing_for_verify_to_find, i, i + 1);
	for (int i = 0; index_vectors[i] != NULL; i++) {
		if (strcmp(index_vectors[i], "does-not-fit") != 0 &&
		    strncmp(index_vectors[i], "converted", 9) != 0)
			tcase_add_loop_test(
				tcase, image_with_extras_that_its_maker_did_not_know_is_as_good, i,
				i + 1);
	}
	tcase_add_test(tcase, image_too_full_for_the_reference_opens);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
