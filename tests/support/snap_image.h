/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What tests of snapshots share: the kernel's images, the sector pattern that they are filled with,
 * I/Os in memory with a given content, SHA-256.
 *
 * Functions that return nothing end the test when something goes wrong.
 */
#ifndef TESTS_SNAP_IMAGE_H
#define TESTS_SNAP_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/io.h>

struct image {
	uint8_t *bytes;
	size_t size;
};

/* snapshot/@vector/@name.xz, unpacked; NULL bytes where there is no such file. */
struct image image_load(const char *vector, const char *name);
void image_free(struct image *image);

/* A copy of the image behind an I/O in memory. */
struct uds_io *image_io(const struct image *image, uint32_t block_bytes);

/* The content of an I/O. */
struct image io_image(struct uds_io *io);

/* Fails with the first difference, and @what. */
void check_same(const struct image *got, const struct image *expected, const char *what);

/* Sectors [sector, sector + count) of the pattern with a tag. */
void fill_pattern(void *bytes, uint64_t sector, uint64_t count, uint32_t tag);

/* 64 hexadecimal digits and a zero. */
void sha256_hex(const void *bytes, size_t size, char ret_hex[65]);

/* A sequence of random numbers; the state is any number. */
uint64_t next_random(uint64_t *state);

#endif
