/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Libraries that are used where they are there, and that nothing is linked with: they are looked
 * for when they are needed first. Threads: one.
 */
#ifndef TOOLS_OPTIONAL_H
#define TOOLS_OPTIONAL_H

#include <stdbool.h>
#include <stddef.h>

/*
 * What libblkid calls the content of a device or file: "ext4". False: it is not there, or
 * knows no word.
 */
bool blkid_word(const char *path, char *ret_word, size_t room);

/* Decompresses an LZ4 block; how many bytes came of it, negative for damage. */
typedef int (*lz4_fn)(const char *from, char *to, int length, int room);

/* LZ4_decompress_safe() of liblz4, which any thread may call; NULL: it is not there. */
lz4_fn lz4_decompressor(void);

#endif
