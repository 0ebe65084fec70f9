/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How fast a snapshot merges, beside a plain copy of the same bytes between the same two files with
 * the same block size and queue depth, and beside `qemu-img commit` of an equivalent overlay.
 *
 *	bench/merge [--dir DIR] [--mib N] [--chunk BYTES] [--scattered] [--runs N] [--depth N]
 *	            [--no-uring] [--no-qemu]
 *
 * Makes files in DIR (default /tmp): an origin, a COW device whose exceptions cover all of it, in
 * ascending or in random order, and a qcow2 overlay with the same clusters written in the same
 * order. All with O_DIRECT, all blocks written before. Then, for each run:
 *
 *	copy    each run of chunks (sequential: the stripes; scattered: each chunk, in random order)
 *	        is read from the COW device and written to the origin, and both are flushed at the
 *	        end;
 *	merge   uds_snapshot_merge(), with all its flushes;
 *	qemu    qemu-img commit -d -t none, the time of the process.
 *
 * Prints each run and the medians.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds.h>

#include "base/bytes.h"
#include "base/env.h"
#include "exceptions/cow_format.h"
#include "io/copier.h"
#include "measure.h"

#define MAX_RUNS 99

struct bench {
	const char *dir;
	uint64_t bytes;
	uint64_t chunk;
	bool scattered;
	unsigned int runs;
	unsigned int depth;
	bool uring;
	bool qemu;

	char origin_path[300];
	char cow_path[300];
	char overlay_path[300];
	struct uds_io *origin;
	struct uds_io *cow;
	struct cow_geometry g;
	uint64_t chunks;
	uint32_t *order; /* old chunk of each exception */
	struct uds_env env;
};

static void die(const char *what, const char *why)
{
	fprintf(stderr, "bench/merge: %s: %s\n", what, why);
	exit(1);
}

static void must(const char *what, int r)
{
	if (r < 0)
		die(what, uds_strerror(r));
}

static uint64_t random_number(void)
{
	static uint64_t state = 42;
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static uint64_t new_chunk(const struct bench *b, uint64_t exception)
{
	return cow_area_chunk(&b->g, exception / b->g.per_area) + 1 + exception % b->g.per_area;
}

static struct uds_io *make_file(struct bench *b, const char *path, uint64_t bytes)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	uint64_t *buffer = aligned_alloc(4096, 1 << 20);
	struct uds_io *io;

	options.write = true;
	options.create = true;
	options.direct = UDS_IO_DIRECT_YES;
	options.uring = b->uring;
	if (uds_io_open_file(path, &options, NULL, &message, &io) < 0)
		die(path, message.text);
	must(path, uds_io_resize(io, bytes));
	for (uint64_t at = 0; at < bytes; at += 1 << 20) {
		for (size_t i = 0; i < (1 << 20) / 8; i++)
			buffer[i] = random_number();
		must(path, uds_io_write(io, buffer, 1 << 20, at));
	}
	must(path, uds_io_flush(io));
	free(buffer);
	return io;
}

static void make_order(struct bench *b)
{
	b->order = malloc(b->chunks * sizeof(b->order[0]));
	for (uint64_t i = 0; i < b->chunks; i++)
		b->order[i] = (uint32_t)i;
	for (uint64_t i = b->chunks - 1; i > 0 && b->scattered; i--) {
		uint64_t j = random_number() % (i + 1);
		uint32_t swap = b->order[i];

		b->order[i] = b->order[j];
		b->order[j] = swap;
	}
}

/* The list as it was before the last merge. */
static void write_metadata(struct bench *b)
{
	uint64_t areas = b->chunks / b->g.per_area + 1;
	uint8_t *area = aligned_alloc(4096, b->chunk < 4096 ? 4096 : b->chunk);

	memset(area, 0, b->chunk);
	cow_header_put(area, b->chunk, true);
	must("header", uds_io_write(b->cow, area, b->chunk, 0));
	for (uint64_t k = 0; k < areas; k++) {
		memset(area, 0, b->chunk);
		for (uint64_t i = 0; i < b->g.per_area && k * b->g.per_area + i < b->chunks; i++)
			cow_entry_put(area, i, b->order[k * b->g.per_area + i],
				      new_chunk(b, k * b->g.per_area + i));
		must("area",
		     uds_io_write(b->cow, area, b->chunk, cow_area_chunk(&b->g, k) * b->chunk));
	}
	must("flush", uds_io_flush(b->cow));
	free(area);
}

/* Writes the clusters in the order of the exceptions, by qemu-io. */
static void make_overlay(struct bench *b)
{
	char command[1200];
	FILE *f;

	snprintf(command, sizeof(command),
		 "qemu-img create -q -f qcow2 -o cluster_size=%" PRIu64
		 " -F raw -b '%s' '%s' && qemu-io -t unsafe '%s' > /dev/null",
		 b->chunk, b->origin_path, b->overlay_path, b->overlay_path);
	f = popen(command, "w");
	for (uint64_t i = 0; i < b->chunks;) {
		uint64_t n = 1;

		while (!b->scattered && n < 256 && i + n < b->chunks)
			n++;
		fprintf(f, "write -q -P %d %" PRIu64 " %" PRIu64 "\n", (int)(i % 255 + 1),
			b->order[i] * b->chunk, n * b->chunk);
		i += n;
	}
	if (pclose(f) != 0)
		die("qemu-io", "failed");
	snprintf(command, sizeof(command), "sync '%s'", b->overlay_path);
	if (system(command) != 0)
		die("sync", "failed");
}

/* qemu-img has the origin to itself: our lock would be in its way. */
static void open_origin(struct bench *b)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;

	options.write = true;
	options.direct = UDS_IO_DIRECT_YES;
	options.uring = b->uring;
	must("open", uds_io_open_file(b->origin_path, &options, NULL, NULL, &b->origin));
}

static void setup(struct bench *b)
{
	uint64_t cow_bytes;

	snprintf(b->origin_path, sizeof(b->origin_path), "%s/bench-merge.origin", b->dir);
	snprintf(b->cow_path, sizeof(b->cow_path), "%s/bench-merge.cow", b->dir);
	snprintf(b->overlay_path, sizeof(b->overlay_path), "%s/bench-merge.qcow2", b->dir);
	b->env = (struct uds_env)UDS_ENV_INIT;
	must("environment", env_complete(NULL, &b->env));
	b->chunks = b->bytes / b->chunk;
	cow_geometry_make(b->chunk, 0, &b->g);
	cow_bytes = (cow_area_chunk(&b->g, b->chunks / b->g.per_area + 1) + 1) * b->chunk;
	cow_bytes = (cow_bytes + (1 << 20) - 1) >> 20 << 20;
	b->origin = make_file(b, b->origin_path, b->bytes);
	b->cow = make_file(b, b->cow_path, cow_bytes);
	make_order(b);
	if (b->qemu) {
		uds_io_close(b->origin);
		make_overlay(b);
		open_origin(b);
	}
}

static double run_copy(struct bench *b)
{
	struct copy_piece *pieces = malloc(b->chunks * sizeof(pieces[0]));
	struct copy_job job = { .pieces = pieces };
	struct copier *copier;
	double began;

	for (uint64_t i = 0; i < b->chunks; i++) {
		struct copy_piece piece = { new_chunk(b, i) * b->chunk, b->order[i] * b->chunk,
					    b->chunk };
		struct copy_piece *last = pieces + job.count - 1;

		if (job.count > 0 && !b->scattered && last->from + last->length == piece.from &&
		    last->to + last->length == piece.to)
			last->length += b->chunk;
		else
			pieces[job.count++] = piece;
	}
	must("copier",
	     copier_open(b->cow, b->origin, &b->env, b->depth, UINT64_C(256) << 10, NULL, &copier));
	began = now();
	must("copy", copier_run(copier, &job, NULL));
	must("flush", uds_io_flush(b->origin));
	must("flush", uds_io_flush(b->cow));
	began = now() - began;
	copier_close(copier);
	free(pieces);
	return began;
}

static double run_merge(struct bench *b, double *ret_open)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_merge_result result = { .size = sizeof(result) };
	struct uds_message message = { "" };
	struct uds_snapshot *s;
	double began = now();

	options.queue_depth = b->depth;
	if (uds_snapshot_open(b->origin, b->cow, &options, &message, &s) < 0)
		die("open", message.text);
	*ret_open = now() - began;
	began = now();
	must("merge", uds_snapshot_merge(s, NULL, &result));
	began = now() - began;
	if (result.chunks_copied != b->chunks || result.remaining != 0)
		die("merge", "did not merge everything");
	uds_snapshot_close(s);
	return began;
}

static double run_qemu(struct bench *b)
{
	char command[700];
	double began = now();

	snprintf(command, sizeof(command), "qemu-img commit -q -d -t none '%s'", b->overlay_path);
	if (system(command) != 0)
		die("qemu-img commit", "failed");
	return now() - began;
}

/* The merge must have brought every chunk to its place. */
static void check_origin(struct bench *b)
{
	uint8_t *x = aligned_alloc(4096, b->chunk), *y = aligned_alloc(4096, b->chunk);

	for (uint64_t n = 0; n < 500; n++) {
		uint64_t i = random_number() % b->chunks;

		must("read", uds_io_read(b->cow, x, b->chunk, new_chunk(b, i) * b->chunk));
		must("read", uds_io_read(b->origin, y, b->chunk, b->order[i] * b->chunk));
		if (memcmp(x, y, b->chunk) != 0)
			die("merge", "a chunk is wrong");
	}
	free(x);
	free(y);
}

static void run(struct bench *b)
{
	double copy[MAX_RUNS], merge[MAX_RUNS], qemu[MAX_RUNS], mib = (double)(b->bytes >> 20);
	double opened;

	printf("%s, chunks of %" PRIu64 ", %.0f MiB, depth %u, %s\n",
	       b->scattered ? "scattered" : "sequential", b->chunk, mib, b->depth,
	       b->uring ? "io_uring" : "plain calls");
	for (unsigned int i = 0; i < b->runs; i++) {
		write_metadata(b);
		copy[i] = run_copy(b);
		merge[i] = run_merge(b, &opened);
		printf("  run %u: copy %.0f MiB/s, merge %.0f MiB/s (opened in %.3f s)", i + 1,
		       mib / copy[i], mib / merge[i], opened);
		if (i == 0)
			check_origin(b);
		if (b->qemu) {
			uds_io_close(b->origin);
			qemu[i] = run_qemu(b);
			printf(", qemu-img commit %.0f MiB/s", mib / qemu[i]);
			open_origin(b);
		}
		printf("\n");
		fflush(stdout);
	}
	printf("  medians: copy %.0f MiB/s, merge %.0f MiB/s = %.0f %% of the copy",
	       mib / median(copy, b->runs), mib / median(merge, b->runs),
	       100 * median(copy, b->runs) / median(merge, b->runs));
	if (b->qemu)
		printf(", qemu-img commit %.0f MiB/s", mib / median(qemu, b->runs));
	else
		printf(", qemu-img commit: skipped");
	printf("\n");
}

static uint64_t number(const char *option, const char *text)
{
	char *end;
	uint64_t n = text == NULL ? 0 : strtoull(text, &end, 0);

	if (text == NULL || *end != '\0' || n == 0)
		die(option, "wants a number");
	return n;
}

int main(int argc, char **argv)
{
	struct bench b = { .dir = "/tmp",
			   .bytes = UINT64_C(1) << 30,
			   .chunk = 4096,
			   .runs = 5,
			   .depth = 32,
			   .uring = true,
			   .qemu = true };

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--scattered") == 0)
			b.scattered = true;
		else if (strcmp(argv[i], "--no-uring") == 0)
			b.uring = false;
		else if (strcmp(argv[i], "--no-qemu") == 0)
			b.qemu = false;
		else if (strcmp(argv[i], "--dir") == 0 && argv[i + 1] != NULL)
			b.dir = argv[++i];
		else if (strcmp(argv[i], "--mib") == 0)
			b.bytes = number("--mib", argv[i + 1]) << 20, i++;
		else if (strcmp(argv[i], "--chunk") == 0)
			b.chunk = number("--chunk", argv[i + 1]), i++;
		else if (strcmp(argv[i], "--runs") == 0)
			b.runs = (unsigned int)number("--runs", argv[i + 1]) % (MAX_RUNS + 1), i++;
		else if (strcmp(argv[i], "--depth") == 0)
			b.depth = (unsigned int)number("--depth", argv[i + 1]), i++;
		else
			die(argv[i], "unknown option");
	}
	if (b.qemu && system("command -v qemu-img qemu-io > /dev/null") != 0)
		b.qemu = false;
	setup(&b);
	run(&b);
	uds_io_close(b.origin);
	uds_io_close(b.cow);
	unlink(b.origin_path);
	unlink(b.cow_path);
	unlink(b.overlay_path);
	return 0;
}
