/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sequences of operations on an index, against the model of tests/model: requests in batches, over
 * chapters that leave, with saves, crashes, and opening with other numbers of zones in between.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/index.h>

#include "../model/model.h"
#include "fuzz.h"

#define NAMES 900
#define BATCH 64

struct run {
	const struct uds_env *env;
	struct uds_io *io;
	struct uds_index *index;
	struct model *model;
	uint64_t saved_newest;
	unsigned int zones;
	uint32_t version;
};

static struct uds_index_statistics statistics(const struct run *run)
{
	struct uds_index_statistics s = UDS_INDEX_STATISTICS_INIT;

	FUZZ_REQUIRE(uds_index_get_statistics(run->index, &s) == 0);
	return s;
}

static void open_index(struct run *run)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;

	options.env = run->env;
	options.zones = run->zones;
	options.cache_bytes = 1 << 16;
	FUZZ_REQUIRE(uds_index_open(run->io, &options, NULL, &run->index) == 0);
}

/*
 * @step: how far the names of a batch are apart, so that one byte of the input is a
 *     batch of its own.
 */
static void run_batch(struct run *run, uint8_t kind, uint32_t first, uint32_t step, uint32_t count)
{
	static const uint8_t kinds[] = { UDS_POST, UDS_UPDATE, UDS_QUERY, UDS_PEEK, UDS_DELETE };
	struct uds_index_statistics s = statistics(run);
	struct model_time time = { .newest_before = s.open_chapter,
				   .oldest_before = s.oldest_chapter };
	struct uds_request requests[BATCH];
	uint32_t names[BATCH], version = run->version;

	for (uint32_t j = 0; j < count; j++) {
		names[j] = (first + j * step) % NAMES;
		model_request(run->model, names[j], kinds[(kind + (kind > 4 ? j : 0)) % 5],
			      run->version++, &requests[j]);
	}
	(void)uds_index_run(run->index, requests, count);
	s = statistics(run);
	time.newest_after = s.open_chapter;
	time.oldest_after = s.oldest_chapter;
	for (uint32_t j = 0; j < count; j++) {
		const char *wrong =
			model_judge(run->model, names[j], &requests[j], version + j, &time);

		if (wrong != NULL)
			fprintf(stderr, "name %u, kind %u: %s\n", names[j], requests[j].kind,
				wrong);
		FUZZ_REQUIRE(wrong == NULL);
	}
}

static void save(struct run *run)
{
	FUZZ_REQUIRE(uds_index_save(run->index) == 0);
	run->saved_newest = statistics(run).open_chapter;
}

static void save_and_reopen(struct run *run)
{
	struct uds_index_statistics s;

	save(run);
	FUZZ_REQUIRE(uds_index_close(run->index) == 0);
	open_index(run);
	s = statistics(run);
	FUZZ_REQUIRE(s.open_chapter == run->saved_newest);
	if (s.dropped_at_load > 0)
		model_drop(run->model, s.open_chapter);
}

/* Ends without a save. All of it was flushed, and comes back. */
static void crash(struct run *run)
{
	uint64_t newest = statistics(run).open_chapter;
	struct uds_index_statistics s;

	FUZZ_REQUIRE(uds_index_flush(run->index) == 0);
	FUZZ_REQUIRE(uds_index_close(run->index) == 0);
	open_index(run);
	s = statistics(run);
	/* With other zones it may have less room. */
	FUZZ_REQUIRE(s.open_chapter >= newest);
	model_replay(run->model, newest, s.open_chapter, run->model);
	if (s.dropped_at_load > 0)
		model_drop(run->model, s.open_chapter);
}

static void verify(struct run *run)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	uint64_t findings = 0;

	FUZZ_REQUIRE(uds_index_flush(run->index) == 0);
	options.env = run->env;
	FUZZ_REQUIRE(uds_index_verify(run->io, &options, NULL, NULL, NULL, &findings) == 0);
	FUZZ_REQUIRE(findings == 0);
}

static void step(struct run *run, struct fuzz_input *input)
{
	static const unsigned int zones[] = { 1, 2, 3, 5 };
	uint8_t what = fuzz_u8(input), count, first, stride;

	switch (what % 16) {
	case 0:
		save(run);
		break;
	case 1:
		run->zones = zones[what >> 4 & 3];
		save_and_reopen(run);
		break;
	case 2:
		run->zones = zones[what >> 4 & 3];
		crash(run);
		break;
	case 3:
		verify(run);
		break;
	default:
		count = fuzz_u8(input) % BATCH + 1;
		first = fuzz_u8(input);
		stride = fuzz_u8(input);
		run_batch(run, what % 16 - 4, first * 3u + (what >> 4), stride % 16 + 1u, count);
	}
}

static void start(struct run *run, uint8_t shape)
{
	struct uds_index_format_options format = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	static const uint8_t nonce_data[32] = "operations";

	c.page_bytes = 4096;
	c.record_pages_per_chapter = 1;
	c.chapters_per_volume = shape & 1 ? 8 : 4;
	if (shape & 1) {
		c.sparse_chapters_per_volume = 5;
		c.sparse_sample_rate = 4;
	}
	memset(run, 0, sizeof(*run));
	/* Eight zones' worth of lists; what it is for is the leak check. */
	run->env = fuzz_env_begin(0, 64 << 20, 0);
	run->zones = 1;
	run->version = 1;
	run->model = model_make(NAMES, 0, 7);
	FUZZ_REQUIRE(run->model != NULL);
	run->model->sparse = shape & 1;
	run->model->dense_chapters = c.chapters_per_volume - c.sparse_chapters_per_volume;
	run->model->sample_rate = c.sparse_sample_rate;
	format.env = run->env;
	format.nonce_data = nonce_data;
	FUZZ_REQUIRE(uds_io_open_memory(0, 1, NULL, NULL, &run->io) == 0);
	FUZZ_REQUIRE(uds_index_format(run->io, &c, &format, NULL) == 0);
	open_index(run);
}

void fuzz_index_operations(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = { bytes, size < FUZZ_SESSION ? size : FUZZ_SESSION };
	struct run run;

	start(&run, fuzz_u8(&input));
	while (input.left > 0)
		step(&run, &input);
	FUZZ_REQUIRE(uds_index_close(run.index) == 0);
	FUZZ_REQUIRE(uds_io_close(run.io) == 0);
	model_free(run.model);
	fuzz_env_end();
}
