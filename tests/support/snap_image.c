/* SPDX-License-Identifier: BSD-2-Clause */
/* Images, patterns and hashes for the tests of snapshots. */
#include "snap_image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "check_main.h"

static struct image image_decompress(const char *path)
{
	struct image image = { NULL, 0 };
	size_t room = 1 << 16, n;
	char command[700];
	FILE *f;

	snprintf(command, sizeof(command), "xz -dc '%s'", path);
	f = popen(command, "r");
	ck_assert_ptr_nonnull(f);
	image.bytes = malloc(room);
	while ((n = fread(image.bytes + image.size, 1, room - image.size, f)) > 0) {
		image.size += n;
		if (image.size == room) {
			room *= 2;
			image.bytes = realloc(image.bytes, room);
		}
	}
	ck_assert_msg(pclose(f) == 0, "%s", command);
	return image;
}

/* The images loaded last: tests load the same few again and again. */
static struct {
	char path[600];
	struct image image;
} loaded[6];

struct image image_load(const char *vector, const char *name)
{
	static unsigned int next;
	struct image image = { NULL, 0 };
	char path[600];
	size_t i = 0;

	snprintf(path, sizeof(path), "%s/snapshot/%s/%s.xz", vectors_dir(), vector, name);
	if (access(path, R_OK) != 0)
		return image;
	while (i < sizeof(loaded) / sizeof(loaded[0]) && strcmp(loaded[i].path, path) != 0)
		i++;
	if (i == sizeof(loaded) / sizeof(loaded[0])) {
		i = next++ % i;
		image_free(&loaded[i].image);
		loaded[i].image = image_decompress(path);
		memcpy(loaded[i].path, path, sizeof(path));
	}
	image.size = loaded[i].image.size;
	image.bytes = malloc(image.size + 1);
	ck_assert_ptr_nonnull(image.bytes);
	memcpy(image.bytes, loaded[i].image.bytes, image.size);
	return image;
}

void image_free(struct image *image)
{
	free(image->bytes);
	image->bytes = NULL;
	image->size = 0;
}

struct uds_io *image_io(const struct image *image, uint32_t block_bytes)
{
	struct uds_io *io;
	uint8_t *copy;

	ck_assert_int_eq(uds_io_open_memory(image->size, block_bytes, NULL, NULL, &io), 0);
	copy = aligned_alloc(4096, (image->size + 4095) / 4096 * 4096);
	memcpy(copy, image->bytes, image->size);
	ck_assert_int_eq(uds_io_write(io, copy, image->size, 0), 0);
	free(copy);
	return io;
}

struct image io_image(struct uds_io *io)
{
	struct image image;
	uint64_t size;

	ck_assert_int_eq(uds_io_size(io, &size), 0);
	image.size = (size_t)size;
	image.bytes = aligned_alloc(4096, (image.size + 4095) / 4096 * 4096);
	ck_assert_int_eq(uds_io_read(io, image.bytes, image.size, 0), 0);
	return image;
}

void check_same(const struct image *got, const struct image *expected, const char *what)
{
	ck_assert_msg(got->size == expected->size, "%s: %zu bytes, expected %zu", what, got->size,
		      expected->size);
	if (memcmp(got->bytes, expected->bytes, got->size) == 0)
		return;
	for (size_t i = 0; i < got->size; i++) {
		if (got->bytes[i] != expected->bytes[i])
			ck_abort_msg("%s: byte %zu (sector %zu) is %02x, expected %02x", what, i,
				     i / 512, got->bytes[i], expected->bytes[i]);
	}
}

static uint64_t mix(uint64_t z)
{
	z += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

void fill_pattern(void *bytes, uint64_t sector, uint64_t count, uint32_t tag)
{
	uint8_t *p = bytes;

	for (uint64_t s = sector; s < sector + count; s++) {
		uint32_t word = (uint32_t)mix(s << 20 ^ tag);

		for (int i = 0; i < 128; i++, p += 4)
			put_le32(p, word);
	}
}

uint64_t next_random(uint64_t *state)
{
	*state += UINT64_C(0x9e3779b97f4a7c15);
	return mix(*state);
}

static const uint32_t sha_k[64] = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2
};

static uint32_t rotate(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

static void sha_block(uint32_t h[8], const uint8_t *p)
{
	uint32_t a = h[0], b = h[1], c = h[2], d = h[3], e = h[4], f = h[5], g = h[6], last = h[7];
	uint32_t w[64];

	for (int i = 0; i < 16; i++)
		w[i] = get_be32(p + 4 * i);
	for (int i = 16; i < 64; i++)
		w[i] = w[i - 16] + w[i - 7] +
		       (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
		       (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
	for (int i = 0; i < 64; i++) {
		uint32_t s1 = rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25);
		uint32_t t1 = last + s1 + ((e & f) ^ (~e & g)) + sha_k[i] + w[i];
		uint32_t s0 = rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22);
		uint32_t t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));

		last = g;
		g = f;
		f = e;
		e = d + t1;
		d = c;
		c = b;
		b = a;
		a = t1 + t2;
	}
	h[0] += a;
	h[1] += b;
	h[2] += c;
	h[3] += d;
	h[4] += e;
	h[5] += f;
	h[6] += g;
	h[7] += last;
}

void sha256_hex(const void *bytes, size_t size, char ret_hex[65])
{
	uint32_t h[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
	uint8_t tail[128] = { 0 };
	const uint8_t *p = bytes;
	size_t left = size, end;

	for (; left >= 64; left -= 64, p += 64)
		sha_block(h, p);
	memcpy(tail, p, left);
	tail[left] = 0x80;
	end = left < 56 ? 64 : 128;
	for (int i = 0; i < 8; i++)
		tail[end - 1 - (size_t)i] = (uint8_t)((uint64_t)size * 8 >> 8 * i);
	sha_block(h, tail);
	if (end == 128)
		sha_block(h, tail + 64);
	for (int i = 0; i < 8; i++)
		snprintf(ret_hex + 8 * i, 9, "%08x", h[i]);
}
