/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Lines of a text file and names in a directory, for /proc and /sys, without memory from any
 * allocator: streams and DIR of the C library take some behind the caller's.
 *
 * A reader is kept on the stack of the function that reads, but not while functions are called that
 * need much of it.
 */
#ifndef IO_READERS_H
#define IO_READERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define READER_BYTES 320 /* an entry with the longest name has 280 */

/* What one read(2) or getdents64(2) has brought. */
struct reader {
	int fd;
	unsigned int at;
	unsigned int end;
	_Alignas(uint64_t) uint8_t bytes[READER_BYTES];
};

/* Of a text file. False when it cannot be opened. reader_close() ends it. */
bool reader_open(struct reader *reader, const char *path);

/* Of a directory. */
bool reader_open_directory(struct reader *reader, const char *path);

void reader_close(struct reader *reader);

/* The next byte of a text; -1 at its end, and where it cannot be read. */
int reader_next_byte(struct reader *reader);

/* The next line without its newline, cut to fit; false: there is none. */
bool reader_next_line(struct reader *reader, char *ret_line, size_t room);

/* The next name but "." and "..", valid until the next call; NULL: there is none. */
const char *reader_next_name(struct reader *reader);

#endif
