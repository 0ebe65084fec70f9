/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading lines by large reads, without ever waiting for more than the line that is asked for. */
#include "lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "progress.h"
#include "text.h"

#define BUFFER_BYTES 65536

void lines_start(struct line_reader *reader, int descriptor)
{
	memset(reader, 0, sizeof(*reader));
	reader->descriptor = descriptor;
	reader->buffer = malloc(BUFFER_BYTES);
}

void lines_end(struct line_reader *reader)
{
	free(reader->buffer);
}

/* Returns 1 when there are bytes, 0 at the end, or a negated errno. */
static int fill(struct line_reader *reader)
{
	ssize_t n;

	if (reader->at_end)
		return 0;
	do {
		n = read(reader->descriptor, reader->buffer, BUFFER_BYTES);
	} while (n < 0 && errno == EINTR && !was_interrupted());
	if (n < 0 && errno != EINTR)
		return -errno;
	if (n < 0)
		n = 0;
	reader->used = 0;
	reader->end = (size_t)n;
	reader->at_end = n == 0;
	return n > 0;
}

bool lines_must_wait(const struct line_reader *reader)
{
	return reader->used == reader->end ||
	       memchr(reader->buffer + reader->used, '\n', reader->end - reader->used) == NULL;
}

/* Appends to the line as far as it has room. */
static size_t append(struct line_reader *reader, size_t length, const char *from, size_t count)
{
	size_t room = LINE_BYTES - 1 - length;

	if (memchr(from, '\0', count) != NULL)
		reader->has_zero_byte = true;
	if (count > room)
		count = room;
	memcpy(reader->line + length, from, count);
	return length + count;
}

int lines_next(struct line_reader *reader)
{
	bool started = false;
	size_t length = 0;
	int r;

	if (reader->buffer == NULL)
		return -ENOMEM;
	reader->has_zero_byte = false;
	for (;;) {
		const char *from, *newline;
		size_t count;

		if (reader->used == reader->end) {
			r = fill(reader);
			if (r < 0)
				return r;
			if (r == 0)
				break;
		}
		started = true;
		from = reader->buffer + reader->used;
		count = reader->end - reader->used;
		newline = memchr(from, '\n', count);
		if (newline != NULL)
			count = (size_t)(newline - from);
		length = append(reader, length, from, count);
		reader->used += count + (newline != NULL);
		if (newline != NULL)
			break;
	}
	reader->line[length] = '\0';
	if (started)
		reader->number++;
	return started;
}

const char *skip_blanks(const char *p)
{
	while (*p == ' ' || *p == '\t')
		p++;
	return p;
}

bool take_hex(const char **p, uint8_t ret_bytes[UDS_NAME_BYTES])
{
	const char *end;

	if (!parse_hex(*p, ret_bytes, UDS_NAME_BYTES))
		return false;
	end = *p + (size_t)2 * UDS_NAME_BYTES;
	if (*end != '\0' && *end != ' ' && *end != '\t')
		return false;
	*p = skip_blanks(end);
	return true;
}
