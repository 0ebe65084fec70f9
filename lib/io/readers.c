/* SPDX-License-Identifier: BSD-2-Clause */
/* Text files and directories by the system's own calls, into a small buffer of the caller. */
#include "io/readers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "io/descriptor.h"

static bool open_with(struct reader *reader, const char *path, int flags)
{
	reader->at = 0;
	reader->end = 0;
	reader->fd = descriptor_open(path, O_RDONLY | flags);
	return reader->fd >= 0;
}

bool reader_open(struct reader *reader, const char *path)
{
	return open_with(reader, path, 0);
}

bool reader_open_directory(struct reader *reader, const char *path)
{
	return open_with(reader, path, O_DIRECTORY);
}

void reader_close(struct reader *reader)
{
	close(reader->fd);
}

/* @n: what the system returned. An error ends a file as its end does. */
static bool take(struct reader *reader, long n)
{
	reader->at = 0;
	reader->end = n > 0 ? (unsigned int)n : 0;
	return n > 0;
}

int reader_next_byte(struct reader *reader)
{
	ssize_t n;

	if (reader->at == reader->end) {
		do
			n = read(reader->fd, reader->bytes, sizeof(reader->bytes));
		while (n < 0 && errno == EINTR);
		if (!take(reader, n))
			return -1;
	}
	return reader->bytes[reader->at++];
}

bool reader_next_line(struct reader *reader, char *ret_line, size_t room)
{
	size_t length = 0;
	int c = reader_next_byte(reader);

	if (c < 0)
		return false;
	for (; c >= 0 && c != '\n'; c = reader_next_byte(reader)) {
		/*
		 * The rest of a line that is too long is read and dropped, so that the next one
		 * begins right.
		 */
		if (length + 1 < room)
			ret_line[length++] = (char)c;
	}
	ret_line[length] = '\0';
	return true;
}

/* What the kernel puts in front of each name; the name ends in a zero. */
struct entry_head {
	uint64_t inode;
	int64_t offset;
	uint16_t bytes; /* of the entry with its name */
	uint8_t type;
};

#define NAME_OFFSET 19 /* the compiler may pad behind the head, the kernel does not */

const char *reader_next_name(struct reader *reader)
{
	for (;;) {
		struct entry_head head;
		const char *name;

		if (reader->at == reader->end &&
		    !take(reader, syscall(SYS_getdents64, reader->fd, reader->bytes,
					  sizeof(reader->bytes))))
			return NULL;
		/*
		 * Copied, since the kernel's entries may be at any address. All are whole ones.
		 */
		memcpy(&head, reader->bytes + reader->at, NAME_OFFSET);
		name = (const char *)reader->bytes + reader->at + NAME_OFFSET;
		reader->at += head.bytes;
		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
			return name;
	}
}
