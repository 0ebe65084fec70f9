/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Text from outside on its way to a terminal: names of files, arguments, and sentences with either
 * in them. Whatever prints such text does it through here.
 *
 * A control character (C0, DEL, C1, as one byte or as UTF-8) could move the cursor, colour the
 * screen or do worse; one that turns the direction of writing could make a name look like another.
 * These, and bytes that are not UTF-8, are shown as \ooo, byte by byte.
 */
#ifndef TOOLS_TEXT_H
#define TOOLS_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* One character as it may be shown: itself, or its bytes as \ooo. */
struct shown_character {
	char text[17]; /* ends with a zero byte */
	unsigned int bytes;
	unsigned int columns; /* on a terminal, at most */
};

/* How many bytes the well-formed UTF-8 character at @p has; 0 when there is none. */
size_t utf8_character(const char *p, uint32_t *ret_code);

/* Whether a character is one that only changes how others are shown. */
bool is_control(uint32_t code);

/* Takes the character at @p, which is not the end. Returns where the next one is. */
const char *show_character(const char *p, struct shown_character *ret_shown);

/* A path such that no two look the same: a backslash is shown as \134. */
void print_path(FILE *out, const char *path);

/* Formats a line, prints it clean, and ends it. */
void print_line(FILE *out, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same without the end of the line. */
void print_clean(FILE *out, const char *format, va_list args) __attribute__((format(printf, 2, 0)));

/* 2 * @count hexadecimal digits at @text; reads no further. False for anything else. */
bool parse_hex(const char *text, uint8_t *ret_bytes, size_t count);

#endif
