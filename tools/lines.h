/* SPDX-License-Identifier: BSD-2-Clause */
/* Lines of text from a descriptor, with their numbers, for the commands that read requests. */
#ifndef TOOLS_LINES_H
#define TOOLS_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/record.h>

/* Longer lines are no requests; they are cut here and then found to be malformed. */
#define LINE_BYTES 256

struct line_reader {
	int descriptor;
	char *buffer;
	size_t used, end;
	bool at_end;
	uint64_t number; /* of the line, from 1 */
	char line[LINE_BYTES];
	bool has_zero_byte;
};

/* The descriptor stays the caller's. */
void lines_start(struct line_reader *reader, int descriptor);
void lines_end(struct line_reader *reader);

/*
 * The next line, without its newline, in reader->line. The last line may lack the newline.
 * Returns 1, 0 at the end, or a negated errno.
 */
int lines_next(struct line_reader *reader);

/* Whether the next line has not arrived yet: the moment to write out answers. */
bool lines_must_wait(const struct line_reader *reader);

/* Past blanks and tabs. */
const char *skip_blanks(const char *p);

/* Takes 32 hexadecimal digits that end at a blank or the end, and the blanks behind. */
bool take_hex(const char **p, uint8_t ret_bytes[UDS_NAME_BYTES]);

#endif
