/* SPDX-License-Identifier: BSD-2-Clause */
/* The harness of all targets. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "fuzz.h"

void fuzz_fail(const char *file, int line, const char *function, const char *condition)
{
	fprintf(stderr, "%s:%d: %s: does not hold: %s\n", file, line, function, condition);
	abort();
}

/* ---- inputs ---- */

static void take(struct fuzz_input *input, uint8_t *ret_bytes, size_t bytes)
{
	size_t there = bytes < input->left ? bytes : input->left;

	memset(ret_bytes, 0, bytes);
	if (there == 0)
		return;
	memcpy(ret_bytes, input->at, there);
	input->at += there;
	input->left -= there;
}

uint8_t fuzz_u8(struct fuzz_input *input)
{
	uint8_t byte;

	take(input, &byte, 1);
	return byte;
}

uint32_t fuzz_u32(struct fuzz_input *input)
{
	uint8_t bytes[4];

	take(input, bytes, sizeof(bytes));
	return get_le32(bytes);
}

uint64_t fuzz_u64(struct fuzz_input *input)
{
	uint8_t bytes[8];

	take(input, bytes, sizeof(bytes));
	return get_le64(bytes);
}

uint8_t *fuzz_take(struct fuzz_input *input, size_t bytes)
{
	/* Exactly as long as it is said to be, so that a sanitizer sees each byte behind it. */
	uint8_t *copy = malloc(bytes > 0 ? bytes : 1);

	FUZZ_REQUIRE(copy != NULL);
	take(input, copy, bytes);
	return copy;
}

/* ---- memory ---- */

static struct {
	pthread_mutex_t lock;
	uint64_t live, pieces, bound, image_bytes;
} memory = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* Before each piece: its size, and where it really begins. */
struct head {
	uint64_t bytes;
	void *start;
};

static void *allocate(void *context, size_t bytes, size_t alignment)
{
	size_t room = alignment > sizeof(struct head) ? alignment : 2 * sizeof(struct head);
	struct head *head;
	uint8_t *start;

	(void)context;
	pthread_mutex_lock(&memory.lock);
	memory.live += bytes;
	memory.pieces++;
	if (memory.live > memory.bound) {
		fprintf(stderr, "%llu bytes of memory, %zu of them now, for an image of %llu\n",
			(unsigned long long)memory.live, bytes,
			(unsigned long long)memory.image_bytes);
		abort();
	}
	pthread_mutex_unlock(&memory.lock);
	start = aligned_alloc(room, (room + bytes + room - 1) / room * room);
	FUZZ_REQUIRE(start != NULL);
	head = (struct head *)(void *)(start + room - sizeof(*head));
	*head = (struct head){ bytes, start };
	memset(start + room, 0xa5, bytes);
	return start + room;
}

static void release(void *context, void *piece)
{
	struct head *head = (struct head *)piece - 1;

	(void)context;
	pthread_mutex_lock(&memory.lock);
	memory.live -= head->bytes;
	memory.pieces--;
	pthread_mutex_unlock(&memory.lock);
	free(head->start);
}

static uint64_t now(void *context)
{
	(void)context;
	return UINT64_C(1700000000000);
}

static const struct uds_env counting = {
	.size = sizeof(struct uds_env),
	.allocate = allocate,
	.release = release,
	.now_ms = now,
};

const struct uds_env *fuzz_env_begin(uint64_t image_bytes, uint64_t base, uint64_t factor)
{
	memory.live = 0;
	memory.pieces = 0;
	memory.image_bytes = image_bytes;
	memory.bound = base + factor * image_bytes;
	return &counting;
}

void fuzz_env_end(void)
{
	FUZZ_REQUIRE(memory.pieces == 0 && memory.live == 0);
}

struct uds_io *fuzz_io(const uint8_t *bytes, size_t size)
{
	struct uds_io *io;

	FUZZ_REQUIRE(uds_io_open_memory(size, 1, NULL, NULL, &io) == 0);
	FUZZ_REQUIRE(uds_io_write(io, bytes, size, 0) == 0);
	return io;
}

/* ---- geometries ---- */

#define GEOMETRIES 4

static void choose(unsigned int which, struct uds_configuration *ret_configuration)
{
	ret_configuration->page_bytes = which == 3 ? 8192 : 4096;
	ret_configuration->record_pages_per_chapter = which == 2 ? 8 : 1;
	ret_configuration->chapters_per_volume = which == 1 ? 6 : 3;
	if (which == 1) {
		ret_configuration->sparse_chapters_per_volume = 3;
		ret_configuration->sparse_sample_rate = 4;
	}
}

const struct geometry *fuzz_geometry(uint8_t which)
{
	static struct geometry all[GEOMETRIES];
	struct geometry *geometry = &all[which % GEOMETRIES];
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;

	if (geometry->page_bytes == 0) {
		choose(which % GEOMETRIES, &configuration);
		FUZZ_REQUIRE(geometry_make(&configuration, geometry, NULL) == 0);
	}
	return geometry;
}
