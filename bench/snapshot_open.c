/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long a store of many scattered exceptions takes to open, and how much memory it takes.
 *
 *	bench/snapshot_open [--dir DIR] [--millions N] [--no-uring]
 *
 * Makes a sparse COW file in DIR (default /tmp) with only the areas written: N million exceptions
 * (10) of 4 KiB, old chunks in random order. Opens it five times with O_DIRECT and prints each time
 * and the median, and beside it how long reading the areas alone takes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds.h>

#include "base/env.h"
#include "exceptions/area_reader.h"
#include "measure.h"

#define CHUNK UINT64_C(4096)
#define RUNS  5

static void must(const char *what, int r)
{
	if (r >= 0)
		return;
	fprintf(stderr, "bench/snapshot_open: %s: %s\n", what, uds_strerror(r));
	exit(1);
}

static uint64_t random_number(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* Distinct old chunks: an odd multiplier walks through all of a power of two. */
static void write_store(struct uds_io *io, const struct cow_geometry *g, uint64_t count)
{
	uint8_t *area = aligned_alloc(4096, CHUNK);
	uint64_t state = 1, factor = random_number(&state) | 1;

	memset(area, 0, CHUNK);
	cow_header_put(area, CHUNK, true);
	must("header", uds_io_write(io, area, CHUNK, 0));
	for (uint64_t k = 0; k <= count / g->per_area; k++) {
		memset(area, 0, CHUNK);
		for (uint64_t i = 0; i < g->per_area && k * g->per_area + i < count; i++)
			cow_entry_put(area, i, (k * g->per_area + i) * factor % (1 << 26),
				      cow_area_chunk(g, k) + 1 + i);
		must("area", uds_io_write(io, area, CHUNK, cow_area_chunk(g, k) * CHUNK));
	}
	must("flush", uds_io_flush(io));
	free(area);
}

static double read_areas(struct uds_io *io, const struct cow_geometry *g, uint64_t count)
{
	uint8_t *area = aligned_alloc(4096, CHUNK);
	struct area_reader *reader;
	struct uds_env env;
	double began = now();

	must("environment", env_complete(NULL, &env));
	must("reader", area_reader_open(io, &env, g, 0, 1, NULL, 0, &reader));
	for (uint64_t k = 0; k <= count / g->per_area; k++)
		must("area", area_reader_next(reader, area, NULL));
	area_reader_close(reader);
	free(area);
	return now() - began;
}

int main(int argc, char **argv)
{
	struct uds_io_file_options file = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_exception_store_status status = { .size = sizeof(status) };
	double opened[RUNS], areas[RUNS];
	uint64_t count = 10000000;
	const char *dir = "/tmp";
	struct cow_geometry g;
	struct uds_io *io;
	char path[300];

	file.uring = true;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc)
			dir = argv[++i];
		else if (strcmp(argv[i], "--millions") == 0 && i + 1 < argc)
			count = strtoull(argv[++i], NULL, 0) * 1000000;
		else if (strcmp(argv[i], "--no-uring") == 0)
			file.uring = false;
	}
	cow_geometry_make(CHUNK, 0, &g);
	cow_geometry_make(CHUNK, (cow_area_chunk(&g, count / g.per_area + 1) + 1) * CHUNK, &g);
	snprintf(path, sizeof(path), "%s/bench-open.cow", dir);
	file.write = true;
	file.create = true;
	file.direct = UDS_IO_DIRECT_YES;
	must(path, uds_io_open_file(path, &file, NULL, NULL, &io));
	must("size", uds_io_resize(io, g.device_bytes));
	write_store(io, &g, count);
	for (int i = 0; i < RUNS; i++) {
		struct uds_exception_store *store;

		areas[i] = read_areas(io, &g, count);
		opened[i] = now();
		must("open", uds_exception_store_open(io, &options, NULL, &store));
		opened[i] = now() - opened[i];
		uds_exception_store_get_status(store, &status);
		printf("  run %d: opened in %.2f s, areas alone %.2f s\n", i + 1, opened[i],
		       areas[i]);
		must("close", uds_exception_store_close(store));
	}
	printf("%" PRIu64 " exceptions: median %.2f s (areas alone %.2f s), %.1f bytes each\n",
	       status.exceptions, median(opened, RUNS), median(areas, RUNS),
	       (double)status.map_bytes / (double)status.exceptions);
	uds_io_close(io);
	unlink(path);
	return 0;
}
