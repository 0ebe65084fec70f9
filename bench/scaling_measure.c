/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A dense and a sparse index are filled, saved and asked. What their files, memory, reads and
 * writes come to is compared with what the formulas say for the same configuration.
 */
#include "scaling_measure.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds.h>

#include "measure.h"
#include "names.h"
#include "scaling_io.h"

#define SEED	     UINT64_C(0x5eed)
#define RECORD_PAGES 16u
#define SAMPLE_RATE  32u
#define MOST_BATCH   256u
#define LONGEST_RUN  4096u /* in a chapter of 16384 */
#define MOST_RUNS    15000u

/* Chapters that are not asked for: they may leave, or are dense in a sparse index, too. */
#define OLDEST 2u
#define NEWEST 5u

/* So that the library reads whole pages, as from a device (libuds_index(3), Caching). */
#define SLOW_MICROSECONDS 100u

/* So many single names bring more pages than the caches hold, and fill little of a chapter. */
#define FILLING_RUNS 512u

struct subject {
	const char *path;
	const char *kind;
	struct uds_configuration configuration;
	struct uds_geometry geometry;
	struct counted_io counted;
	struct uds_io *io;
	struct uds_index *index;
	struct uds_request *requests; /* MOST_BATCH */
	struct scaling_checks *checks;
	uint64_t posted;
	uint64_t asked;	  /* turns the choice of names */
	unsigned int run; /* of old names, whose rate is measured */
};

static void die(const char *what, int status, const struct uds_message *message)
{
	fprintf(stderr, "bench/scaling: %s: %s: %s\n", what, uds_strerror(status),
		message != NULL ? message->text : "");
	exit(EXIT_FAILURE);
}

static void compare(struct scaling_checks *checks, const char *kind, const char *what,
		    double formula, double measured, double least, double most)
{
	struct scaling_check *check;

	if (checks->count == SCALING_MOST_CHECKS)
		die("too many checks", -ENOMEM, NULL);
	check = &checks->list[checks->count++];
	snprintf(check->name, sizeof(check->name), "%s, %s", kind, what);
	check->formula = formula;
	check->measured = measured;
	check->least = 1 - (1 - least) * checks->tolerance;
	check->most = 1 + (most - 1) * checks->tolerance;
	check->good = measured >= formula * check->least && measured <= formula * check->most;
}

/* ---- an index on a file ---- */

static struct uds_io *open_file(const char *path, bool create, uint32_t direct)
{
	struct uds_io_file_options file = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_io *io;
	int r;

	file.write = true;
	file.create = create;
	file.exclusive_create = create; /* nobody's file is lost */
	file.direct = direct;
	r = uds_io_open_file(path, &file, NULL, &message, &io);
	if (r < 0)
		die(path, r, &message);
	return io;
}

static void open_counted(struct subject *s, bool create, uint32_t direct)
{
	struct uds_message message = { "" };
	int r;

	memset(&s->counted, 0, sizeof(s->counted));
	s->counted.inner = open_file(s->path, create, direct);
	s->counted.page_bytes = s->configuration.page_bytes;
	r = counted_io_open(&s->counted, &message, &s->io);
	if (r < 0)
		die(s->path, r, &message);
}

static void open_index(struct subject *s)
{
	struct uds_message message = { "" };
	int r = uds_index_open(s->io, NULL, &message, &s->index);

	if (r < 0)
		die("open", r, &message);
}

static void close_all(struct subject *s)
{
	int r = uds_index_close(s->index);

	if (r < 0)
		die("close", r, NULL);
	uds_io_close(s->io);
}

/* With empty caches. */
static void open_again(struct subject *s, uint32_t direct)
{
	open_counted(s, false, direct);
	open_index(s);
}

static void run(struct subject *s, unsigned int count)
{
	struct uds_message message;
	int r = uds_index_run(s->index, s->requests, count);

	if (r == 0)
		return;
	uds_index_error_message(s->index, &message);
	die("requests", r, &message);
}

static struct uds_index_statistics statistics(struct subject *s)
{
	struct uds_index_statistics statistics = UDS_INDEX_STATISTICS_INIT;

	uds_index_get_statistics(s->index, &statistics);
	return statistics;
}

/* ---- asking ---- */

/* A place in any chapter but the two oldest and the dense ones of a sparse index. */
static uint64_t choose_run(struct subject *s, uint64_t length)
{
	uint32_t chapter = s->geometry.records_per_chapter;
	uint32_t chapters = s->configuration.chapters_per_volume - OLDEST - NEWEST;
	uint64_t which = OLDEST + splitmix64(0x417, 2 * s->asked) % chapters;

	return which * chapter + splitmix64(0x417, 2 * s->asked++ + 1) % (chapter - length + 1);
}

/* Asks for @runs runs of @length names, with calls of at most @batch. Returns the part found. */
static double ask(struct subject *s, uint64_t runs, unsigned int length, unsigned int batch)
{
	uint64_t found = 0;
	unsigned int n = 0;

	for (uint64_t i = 0; i < runs; i++) {
		uint64_t first = choose_run(s, length);

		for (unsigned int k = 0; k < length; k++) {
			s->requests[n].kind = UDS_QUERY;
			make_name(SEED, first + k, &s->requests[n++].name);
			/* Runs shorter than a batch share it with others. */
			if (n < batch && (i + 1 < runs || k + 1 < length))
				continue;
			run(s, n);
			for (unsigned int j = 0; j < n; j++)
				found += s->requests[j].found;
			n = 0;
		}
	}
	return (double)found / (double)(runs * length);
}

/* ---- filling ---- */

static void post_names(struct subject *s, uint64_t count)
{
	uint64_t end = s->posted + count;

	while (s->posted < end) {
		unsigned int n = 0;

		for (; n < MOST_BATCH && s->posted < end; n++, s->posted++) {
			s->requests[n].kind = UDS_POST;
			make_name(SEED, s->posted, &s->requests[n].name);
			make_data('n', s->posted, 1, &s->requests[n].new_data);
		}
		run(s, n);
	}
}

/* All chapters are written but for one slot, and the open chapter is half full. */
static double fill(struct subject *s)
{
	uint64_t chapter = s->geometry.records_per_chapter;
	uint64_t count = chapter * (s->configuration.chapters_per_volume - 1) + chapter / 2;
	double began = processor_seconds();
	int r;

	post_names(s, count);
	/* The last chapter is written in the background. */
	r = uds_index_flush(s->index);
	if (r < 0)
		die("flush", r, NULL);
	return (double)count / (processor_seconds() - began);
}

/* What does not grow with an index: the volume index takes memory in pieces. */
#define FIXED_BYTES (1024.0 * 1024)

/*
 * With pages that were read: only where reads are slow are they kept, and whether they are while
 * an index is filled depends on what else the machine does.
 */
static void fill_caches(struct subject *s)
{
	atomic_store(&s->counted.delay_microseconds, SLOW_MICROSECONDS);
	ask(s, FILLING_RUNS, 1, 64);
	atomic_store(&s->counted.delay_microseconds, 0);
	s->asked = 0;
}

static void compare_sizes(struct subject *s)
{
	struct scaling_memory memory = scaling_memory_of(&s->configuration, &s->geometry);
	double sum = (double)scaling_memory_sum(&memory), index = (double)memory.volume_index;
	uint64_t bytes = 0;
	int r = uds_io_size(s->io, &bytes);

	if (r < 0)
		die(s->path, r, NULL);
	compare(s->checks, s->kind, "file size, bytes",
		(double)(s->geometry.index_bytes + s->geometry.extras_bytes), (double)bytes, 1, 1);
	compare(s->checks, s->kind, "volume index of a full index, bytes", index,
		(double)statistics(s).volume_index_bytes, 0.9, 1.1 + FIXED_BYTES / index);
	fill_caches(s);
	compare(s->checks, s->kind, "memory of a full index, bytes", sum,
		(double)statistics(s).memory_bytes, 0.9, 1.1 + FIXED_BYTES / sum);
}

/* Of a save the formula is the most: the one of a chapter that is half full is smaller. */
static void compare_save(struct subject *s)
{
	uint64_t written, before = atomic_load(&s->counted.bytes_written);
	int r = uds_index_save(s->index);

	if (r < 0)
		die("save", r, NULL);
	written = atomic_load(&s->counted.bytes_written) - before;
	compare(s->checks, s->kind, "a save, bytes", (double)s->geometry.save_bytes,
		(double)written, 0.4, 1);
}

static void create(struct subject *s, struct scaling_rates *ret_rates)
{
	struct uds_message message = { "" };
	uint64_t before;
	double chapters;
	int r;

	open_counted(s, true, UDS_IO_DIRECT_NO);
	r = uds_index_format(s->io, &s->configuration, NULL, &message);
	if (r < 0)
		die("create", r, &message);
	open_index(s);
	before = atomic_load(&s->counted.bytes_written);
	ret_rates->post = fill(s);
	chapters = (double)(s->posted / s->geometry.records_per_chapter);
	compare(s->checks, s->kind, "writes for each record, bytes",
		scaling_written_bytes(&s->geometry, 0),
		(double)(atomic_load(&s->counted.bytes_written) - before) /
			(chapters * s->geometry.records_per_chapter),
		0.95, 1.05);
	compare_sizes(s);
	compare_save(s);
	close_all(s);
}

/* ---- what lookups do ---- */

/* Found names go to the open chapter, which must not become full: the save would be void. */
static uint64_t most_runs(const struct subject *s, unsigned int length)
{
	struct scaling_lookups l = scaling_lookups_of(&s->configuration, &s->geometry, length);
	double runs = s->geometry.records_per_chapter / 3.0 / l.found / length;

	return (uint64_t)(runs < MOST_RUNS ? runs : MOST_RUNS);
}

/*
 * What is found and read of slow storage, beside the formula. For single names a part of a page
 * counts as one, since it takes as long; for runs bytes count, since a page is read in parts at
 * first.
 */
static void compare_lookups(struct subject *s, unsigned int length, unsigned int batch)
{
	struct scaling_lookups expected =
		scaling_lookups_of(&s->configuration, &s->geometry, length);
	uint64_t runs = most_runs(s, length);
	char what[64];
	double found, pages;

	open_again(s, UDS_IO_DIRECT_NO);
	atomic_store(&s->counted.delay_microseconds, SLOW_MICROSECONDS);
	ask(s, 64, 1, 64); /* until the storage is known to be slow */
	counted_io_reset(&s->counted);
	found = ask(s, runs, length, batch);
	if (length == 1)
		pages = (double)atomic_load(&s->counted.pages_read);
	else
		pages = (double)atomic_load(&s->counted.bytes_read) / s->configuration.page_bytes;
	snprintf(what, sizeof(what), "runs of %u in calls of %u: found", length, batch);
	compare(s->checks, s->kind, what, expected.found, found, 0.85, 1.15);
	snprintf(what, sizeof(what), "runs of %u in calls of %u: pages read", length, batch);
	compare(s->checks, s->kind, what, expected.pages, pages / (double)(runs * length),
		length == 1 ? 0.8 : 0.7, length == 1 ? 1.2 : 1.4);
	close_all(s);
}

/* Requests for each second of a processor when the system has the file in its cache. */
static double measure_rate(struct subject *s, unsigned int length)
{
	uint64_t runs = most_runs(s, length);
	double began, rate;

	open_again(s, UDS_IO_DIRECT_NO);
	ask(s, 64, 1, 64);
	began = processor_seconds();
	ask(s, runs, length, MOST_BATCH);
	rate = (double)(runs * length) / (processor_seconds() - began);
	close_all(s);
	return rate;
}

static void measure_kind(const char *path, bool sparse, uint32_t chapters,
			 struct scaling_rates *ret_rates, struct scaling_checks *checks,
			 struct subject *s)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_geometry g = UDS_GEOMETRY_INIT;
	struct uds_message message = { "" };
	int r;

	c.record_pages_per_chapter = RECORD_PAGES;
	c.chapters_per_volume = chapters;
	c.sparse_chapters_per_volume = sparse ? chapters - chapters / 20 - 1 : 0;
	c.sparse_sample_rate = sparse ? SAMPLE_RATE : 0;
	c.cache_chapters = 1;
	r = uds_geometry_compute(&c, &message, &g);
	if (r < 0)
		die("configuration", r, &message);
	*s = (struct subject){ .path = path,
			       .kind = sparse ? "sparse" : "dense",
			       .configuration = c,
			       .geometry = g,
			       .requests = s->requests,
			       .run = s->run,
			       .checks = checks };
	create(s, ret_rates);
	ret_rates->stream = measure_rate(s, s->run);
	ret_rates->random = measure_rate(s, 1);
	compare_lookups(s, 1, 1);
	compare_lookups(s, 128, 1);
	compare_lookups(s, 128, 64);
	compare_lookups(s, 1024, 256);
}

/* ---- storage ---- */

#define READS 200u

/* The median of single page reads, in seconds. */
static double measure_single_reads(struct subject *s)
{
	double seconds[READS];
	void *page = aligned_alloc(4096, s->configuration.page_bytes);
	uint64_t pages = s->geometry.pages_per_volume;

	if (page == NULL)
		die("memory", -ENOMEM, NULL);
	for (uint64_t i = 0; i < READS; i++) {
		uint64_t which = splitmix64(0x9a6e, i) % pages;
		double began = now();
		int r = uds_io_read(s->io, page, s->configuration.page_bytes,
				    which * s->configuration.page_bytes);

		if (r < 0)
			die(s->path, r, NULL);
		seconds[i] = now() - began;
	}
	free(page);
	return median(seconds, READS);
}

/* Of the dense index, past the system's cache where the file system can do that. */
static void measure_storage(struct subject *s, struct scaling_inputs *inputs)
{
	double began;

	open_again(s, UDS_IO_DIRECT_AUTO);
	s->checks->direct = uds_io_block_bytes(s->io) > 1;
	inputs->read_seconds = measure_single_reads(s);
	ask(s, 64, 1, 64);
	counted_io_reset(&s->counted);
	began = now();
	ask(s, most_runs(s, 1), 1, MOST_BATCH);
	inputs->reads = (double)atomic_load(&s->counted.pages_read) / (now() - began);
	close_all(s);
}

/* ---- the usual sizes, which are never filled here ---- */

/* The library's own figure for an index of this size (uds_index_read_info()). */
static void compare_memory(struct scaling_checks *checks, const char *size, bool sparse)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	struct uds_geometry g = UDS_GEOMETRY_INIT;
	struct uds_message message = { "" };
	struct scaling_memory memory;
	struct uds_io *io = NULL;
	char what[64];
	int r;

	r = uds_configuration_for_memory(size, sparse, &message, &c);
	if (r == 0)
		r = uds_geometry_compute(&c, &message, &g);
	if (r == 0)
		r = uds_io_open_memory(g.index_bytes + g.extras_bytes, 4096, NULL, &message, &io);
	if (r < 0)
		die(size, r, &message);
	r = uds_index_format(io, &c, NULL, &message);
	if (r == 0)
		r = uds_index_read_info(io, NULL, &message, &info);
	if (r < 0)
		die(size, r, &message);
	uds_io_close(io);
	memory = scaling_memory_of(&c, &g);
	snprintf(what, sizeof(what), "memory of %s as uds info has it, bytes", size);
	compare(checks, sparse ? "sparse" : "dense", what, (double)scaling_memory_sum(&memory),
		(double)info.memory_bytes, 0.95, 1.05);
}

void scaling_measure(const char *path, uint32_t chapters, double tolerance,
		     struct scaling_inputs *inputs, struct scaling_checks *ret_checks)
{
	static const char *const sizes[] = { "256M", "1G", "4G" };
	struct subject subject = { .requests = calloc(MOST_BATCH, sizeof(struct uds_request)) };

	if (subject.requests == NULL)
		die("memory", -ENOMEM, NULL);
	memset(ret_checks, 0, sizeof(*ret_checks));
	ret_checks->tolerance = tolerance;
	subject.run = (unsigned int)(inputs->run < LONGEST_RUN ? inputs->run : LONGEST_RUN);
	measure_kind(path, true, chapters, &inputs->rates[1], ret_checks, &subject);
	unlink(path);
	measure_kind(path, false, chapters, &inputs->rates[0], ret_checks, &subject);
	measure_storage(&subject, inputs);
	unlink(path);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		compare_memory(ret_checks, sizes[i], false);
		compare_memory(ret_checks, sizes[i], true);
	}
	free(subject.requests);
}
