/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast an index is: filling, going on when it is full, names that are not there, names
 * that are, saving, loading, recovering. Prints the median of some runs of each.
 * bench/README.md says more.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <uds.h>

#include "measure.h"
#include "names.h"
#include "workload.h"

#define MAX_RUNS 32

/* The first ones are the workloads. */
enum measure { SAVE = WORKLOADS, LOAD, RECOVERY, REBUILD, INDEX_BYTES, MEMORY, MEASURES };

static const char *const titles[MEASURES] = {
	[SAVE] = "save (s)",
	[LOAD] = "load (s)",
	[RECOVERY] = "recovery, 64 chapters after a save (s)",
	[REBUILD] = "rebuild of all chapters (s)",
	[INDEX_BYTES] = "volume index bytes a record",
	[MEMORY] = "all memory of the index (MB)",
};

struct bench {
	const char *path;
	struct uds_configuration configuration;
	unsigned int zones;
	unsigned int batch;
	unsigned int runs;
	bool sparse;
	bool no_extras;
	bool map;
	uint64_t records; /* to fill with; 0: as many as it holds */
	uint64_t misses;
	uint64_t hits;
	uint64_t steady;
	uint64_t duplicates;
	struct workload_names names;
	struct uds_io *io;
	struct uds_index *index;
	struct uds_request *requests;
	double values[MEASURES][MAX_RUNS];
	bool measured[MEASURES];
	unsigned int run;
	double found;		  /* part of the names of the latest workload */
	double began;		  /* what is measured */
	double processor_seconds; /* used until then */
};

static void die(const char *what, int status, const struct uds_message *message)
{
	fprintf(stderr, "bench/index: %s: %s: %s\n", what, uds_strerror(status),
		message != NULL ? message->text : "");
	exit(EXIT_FAILURE);
}

static void begin(struct bench *bench)
{
	bench->processor_seconds = processor_seconds();
	bench->began = now();
}

/* Since it began. */
static double seconds(const struct bench *bench)
{
	return now() - bench->began;
}

static void print_line(FILE *out, unsigned int measure, double value)
{
	char title[64];

	if (measure < WORKLOADS)
		snprintf(title, sizeof(title), "%s (M/s)", workload_titles[measure]);
	else
		snprintf(title, sizeof(title), "%s", titles[measure]);
	fprintf(out, "%-46s %10.3f", title, value);
}

/* What is read off, and takes no time. */
static void note_size(struct bench *bench, unsigned int measure, double value)
{
	bench->values[measure][bench->run] = value;
	bench->measured[measure] = true;
	fputs("  ", stderr);
	print_line(stderr, measure, value);
	fputs("\n", stderr);
}

static void note(struct bench *bench, unsigned int measure, double value)
{
	double processor = processor_seconds() - bench->processor_seconds;

	note_size(bench, measure, value);
	fprintf(stderr, "    (processor %.3f s)\n", processor);
}

static void open_index(struct bench *bench, enum uds_index_mode mode)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r;

	options.zones = bench->zones;
	options.mode = mode;
	r = uds_index_open(bench->io, &options, &message, &bench->index);
	if (r < 0)
		die("open", r, &message);
}

static void open_file(struct bench *bench, bool create)
{
	struct uds_io_file_options file = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r;

	file.write = true;
	file.create = create;
	file.map = bench->map;
	r = uds_io_open_file(bench->path, &file, NULL, &message, &bench->io);
	if (r < 0)
		die(bench->path, r, &message);
}

static void start(struct bench *bench)
{
	struct uds_index_format_options format = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r;

	unlink(bench->path);
	open_file(bench, true);
	format.no_extras = bench->no_extras;
	r = uds_index_format(bench->io, &bench->configuration, &format, &message);
	if (r < 0)
		die("create", r, &message);
	open_index(bench, UDS_INDEX_LOAD_OR_RECOVER);
	workload_names_init(&bench->names, bench->records, 0);
}

static void run_batch(struct bench *bench, unsigned int count)
{
	struct uds_message message;
	int r = uds_index_run(bench->index, bench->requests, count);

	if (r == 0)
		return;
	uds_index_error_message(bench->index, &message);
	die("requests", r, &message);
}

static void make_request(const struct workload *workload, uint64_t i, struct uds_request *request)
{
	static const uint8_t kinds[] = {
		[WORKLOAD_POST] = UDS_POST, [WORKLOAD_QUERY] = UDS_QUERY, [WORKLOAD_PEEK] = UDS_PEEK
	};
	struct workload_request chosen = workload_request(workload, i);

	request->kind = kinds[chosen.action];
	make_name(chosen.seed, chosen.number, &request->name);
	make_data('n', chosen.number, 1, &request->new_data);
}

/* Returns how many per second, in millions. */
static double carry_out(struct bench *bench, enum workload_kind kind, uint64_t count)
{
	struct workload workload;
	uint64_t found = 0;
	double t;

	if (!workload_begin(&bench->names, kind, count, &workload))
		die(workload_titles[kind], -ENOENT, NULL);
	begin(bench);
	for (uint64_t i = 0; i < count;) {
		unsigned int n = 0;

		for (; n < bench->batch && i < count; n++, i++)
			make_request(&workload, i, &bench->requests[n]);
		run_batch(bench, n);
		for (unsigned int j = 0; j < n; j++)
			found += bench->requests[j].found;
	}
	if (workload_request(&workload, 0).action == WORKLOAD_POST)
		uds_index_flush(bench->index);
	t = seconds(bench);
	workload_end(&workload, count, &bench->names);
	bench->found = (double)found / (double)count;
	return (double)count / t / 1e6;
}

static struct uds_index_statistics statistics(struct bench *bench)
{
	struct uds_index_statistics s = { .size = sizeof(s) };

	uds_index_get_statistics(bench->index, &s);
	return s;
}

/* Reads the file once, so that what follows finds it in the system's page cache. */
static void warm(const struct bench *bench)
{
	static char buffer[1 << 20];
	FILE *file = fopen(bench->path, "rb");

	if (file == NULL)
		die(bench->path, -1, NULL);
	setvbuf(file, NULL, _IONBF, 0);
	while (fread(buffer, 1, sizeof(buffer), file) > 0)
		;
	fclose(file);
}

static void measure_workload(struct bench *bench, enum workload_kind kind, uint64_t count)
{
	if (count == 0)
		return;
	note(bench, kind, carry_out(bench, kind, count));
	if (kind >= WORKLOAD_MISSES)
		fprintf(stderr, "    found %.4f of them\n", bench->found);
}

static void measure_requests(struct bench *bench)
{
	struct uds_index_statistics s;

	measure_workload(bench, WORKLOAD_FILL, bench->records);
	s = statistics(bench);
	note_size(bench, INDEX_BYTES, (double)s.volume_index_bytes / (double)s.entries);
	note_size(bench, MEMORY, (double)s.memory_bytes / 1e6);
	measure_workload(bench, WORKLOAD_STEADY, bench->steady);
	if (bench->duplicates > 0)
		warm(bench);
	measure_workload(bench, WORKLOAD_DUPLICATES, bench->duplicates);
	measure_workload(bench, WORKLOAD_MISSES, bench->misses);
	if (bench->hits > 0)
		warm(bench);
	/* Of a sparse index most names are found only when their neighbours are asked for, too. */
	if (!bench->sparse)
		measure_workload(bench, WORKLOAD_HITS, bench->hits);
	measure_workload(bench, WORKLOAD_STREAM, bench->hits);
	/* With chapters in the sparse cache. */
	if (bench->sparse)
		measure_workload(bench, WORKLOAD_MISSES, bench->misses);
}

static void measure_save(struct bench *bench)
{
	int r;

	begin(bench);
	r = uds_index_save(bench->index);
	if (r < 0)
		die("save", r, NULL);
	note(bench, SAVE, seconds(bench));
	uds_index_close(bench->index);
	begin(bench);
	open_index(bench, UDS_INDEX_LOAD_OR_RECOVER);
	note(bench, LOAD, seconds(bench));
}

static void measure_full_rebuild(struct bench *bench)
{
	uds_index_close(bench->index);
	begin(bench);
	open_index(bench, UDS_INDEX_RECOVER);
	note(bench, REBUILD, seconds(bench));
}

#define CHAPTERS_SINCE_SAVE 64

static void measure_rebuild(struct bench *bench)
{
	uint64_t chapter = (uint64_t)bench->configuration.record_pages_per_chapter *
			   bench->configuration.page_bytes / 32;

	/* New chapters make the save invalid. */
	carry_out(bench, WORKLOAD_STEADY, CHAPTERS_SINCE_SAVE * chapter + 1);
	uds_index_close(bench->index);
	begin(bench);
	open_index(bench, UDS_INDEX_LOAD_OR_RECOVER);
	note(bench, RECOVERY, seconds(bench));
	measure_full_rebuild(bench);
}

/* Fills a new index first. */
static void run_new(struct bench *bench, bool rebuild)
{
	start(bench);
	measure_requests(bench);
	measure_save(bench);
	if (rebuild)
		measure_rebuild(bench);
}

/* With the index of an earlier run, in which a few names are posted that it does not have. */
static void run_existing(struct bench *bench, bool rebuild)
{
	open_file(bench, false);
	open_index(bench, UDS_INDEX_LOAD_OR_RECOVER);
	workload_names_init(&bench->names, bench->records, (uint64_t)(now() * 1e9));
	carry_out(bench, WORKLOAD_STEADY, bench->batch);
	measure_save(bench);
	if (rebuild)
		measure_full_rebuild(bench);
}

static void print_medians(struct bench *bench)
{
	struct rusage usage;

	printf("medians of %u run%s, %" PRIu64 " records, batches of %u, %u zone%s\n", bench->runs,
	       bench->runs == 1 ? "" : "s", bench->records, bench->batch, bench->zones,
	       bench->zones == 1 ? "" : "s");
	for (int m = 0; m < MEASURES; m++) {
		if (!bench->measured[m])
			continue;
		print_line(stdout, (unsigned int)m, median(bench->values[m], bench->runs));
		puts("");
	}
	getrusage(RUSAGE_SELF, &usage);
	printf("%-46s %10.3f\n", "most resident memory (MB)", (double)usage.ru_maxrss / 1e3);
}

static void usage(FILE *out)
{
	fputs("usage: bench/index [--memory 256M] [--sparse] [--runs N] [--records N] [--misses "
	      "N]\n"
	      "                   [--hits N] [--steady N] [--duplicates N] [--zones Z]\n"
	      "                   [--batch N] [--no-rebuild] [--chapters N] [--record-pages N]\n"
	      "                   [--page-size BYTES] [--sparse-chapters N] [--sample-rate N]\n"
	      "                   [--no-extras] [--map] [--keep] PATH\n"
	      "PATH is overwritten, and removed at the end unless --keep is given.\n"
	      "       bench/index --existing [--runs N] [--zones Z] [--no-rebuild] PATH\n"
	      "PATH is what an earlier run kept: only save, load and rebuild.\n",
	      out);
}

static const struct option long_options[] = {
	{ "memory", required_argument, NULL, 'm' },
	{ "sparse", no_argument, NULL, 's' },
	{ "runs", required_argument, NULL, 'r' },
	{ "records", required_argument, NULL, 'n' },
	{ "misses", required_argument, NULL, 'M' },
	{ "hits", required_argument, NULL, 'H' },
	{ "steady", required_argument, NULL, 'S' },
	{ "duplicates", required_argument, NULL, 'D' },
	{ "zones", required_argument, NULL, 'z' },
	{ "batch", required_argument, NULL, 'b' },
	{ "no-rebuild", no_argument, NULL, 'R' },
	{ "chapters", required_argument, NULL, 'c' },
	{ "record-pages", required_argument, NULL, 'p' },
	{ "page-size", required_argument, NULL, 'B' },
	{ "sparse-chapters", required_argument, NULL, 'C' },
	{ "sample-rate", required_argument, NULL, 'a' },
	{ "no-extras", no_argument, NULL, 'X' },
	{ "map", no_argument, NULL, 'P' },
	{ "keep", no_argument, NULL, 'k' },
	{ "existing", no_argument, NULL, 'e' },
	{ "help", no_argument, NULL, 'h' },
	{ NULL, 0, NULL, 0 },
};

int main(int argc, char **argv)
{
	struct bench bench = { .zones = 1,
			       .batch = 256,
			       .runs = 5,
			       .misses = 20000000,
			       .hits = 2000000,
			       .steady = 10000000,
			       .duplicates = 4000000 };
	struct uds_configuration *c = &bench.configuration;
	struct uds_message message = { "" };
	const char *memory = "256M";
	bool rebuild = true, keep = false, shape = false, existing = false;
	uint32_t chapters = 0, pages = 0, page_size = 0, sparse_chapters = 0, sample_rate = 0;
	int option, r;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		uint64_t n = optarg != NULL ? strtoull(optarg, NULL, 10) : 0;

		switch (option) {
		case 'm':
			memory = optarg;
			break;
		case 's':
			bench.sparse = true;
			break;
		case 'r':
			bench.runs = (unsigned int)n;
			break;
		case 'n':
			bench.records = n;
			break;
		case 'M':
			bench.misses = n;
			break;
		case 'H':
			bench.hits = n;
			break;
		case 'P':
			bench.map = true;
			break;
		case 'D':
			bench.duplicates = n;
			break;
		case 'S':
			bench.steady = n;
			break;
		case 'z':
			bench.zones = (unsigned int)n;
			break;
		case 'b':
			bench.batch = (unsigned int)n;
			break;
		case 'R':
			rebuild = false;
			break;
		case 'c':
			chapters = (uint32_t)n;
			shape = true;
			break;
		case 'p':
			pages = (uint32_t)n;
			break;
		case 'B':
			page_size = (uint32_t)n;
			break;
		case 'C':
			sparse_chapters = (uint32_t)n;
			break;
		case 'a':
			sample_rate = (uint32_t)n;
			break;
		case 'X':
			bench.no_extras = true;
			break;
		case 'k':
			keep = true;
			break;
		case 'e':
			existing = true;
			break;
		case 'h':
			usage(stdout);
			return EXIT_SUCCESS;
		default:
			usage(stderr);
			return 2;
		}
	}
	if (optind + 1 != argc || bench.runs < 1 || bench.runs > MAX_RUNS || bench.batch < 1) {
		usage(stderr);
		return 2;
	}
	bench.path = argv[optind];
	r = uds_configuration_for_memory(memory, bench.sparse, &message, c);
	if (r < 0)
		die("configuration", r, &message);
	if (shape) {
		c->chapters_per_volume = chapters;
		c->sparse_chapters_per_volume = sparse_chapters;
		c->sparse_sample_rate = sample_rate;
		c->record_pages_per_chapter = pages > 0 ? pages : 64;
		c->page_bytes = page_size > 0 ? page_size : 32768;
		bench.sparse = sparse_chapters > 0;
	}
	if (bench.records == 0)
		bench.records = (uint64_t)c->record_pages_per_chapter * (c->page_bytes / 32) *
				(c->chapters_per_volume - 1);
	bench.requests = calloc(bench.batch, sizeof(*bench.requests));
	if (bench.requests == NULL)
		return EXIT_FAILURE;
	for (bench.run = 0; bench.run < bench.runs; bench.run++) {
		fprintf(stderr, "run %u of %u\n", bench.run + 1, bench.runs);
		if (existing)
			run_existing(&bench, rebuild);
		else
			run_new(&bench, rebuild);
		uds_index_close(bench.index);
		uds_io_close(bench.io);
	}
	if (!keep && !existing)
		unlink(bench.path);
	print_medians(&bench);
	free(bench.requests);
	return EXIT_SUCCESS;
}
