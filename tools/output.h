/* SPDX-License-Identifier: BSD-2-Clause */
/* Results on standard output: sizes for people, JSON for scripts. */
#ifndef TOOLS_OUTPUT_H
#define TOOLS_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <jansson.h>

struct size_text {
	char text[32];
};

/* "1.50 GiB"; bytes below 1 KiB as "17 bytes". */
struct size_text size_text(uint64_t bytes);

/* Hours, minutes and seconds: "1:02:03", "2:03". */
struct size_text time_text(double seconds);

/* 2 * @count lower-case digits and a zero byte. */
void format_hex(const uint8_t *bytes, size_t count, char *ret_text);

/*
 * A path as a JSON string. Bytes that are not UTF-8 become U+FFFD: JSON has no way to say them.
 */
json_t *json_path(const char *path);

/* Sets @key, and for a path that is not UTF-8 @key_hex as well: its bytes in hexadecimal. */
void json_set_path(json_t *object, const char *key, const char *path);

/* Any unsigned number as a JSON number; only print_json() prints it right. */
json_t *json_unsigned(uint64_t n);

/*
 * Writes @object and a newline, and releases it. @as_rest: as the members that follow others, so
 * with a comma instead of its opening brace. NULL (no memory) is an error. Returns 0 or -1.
 */
int write_json(FILE *out, json_t *object, bool as_rest);

/* Takes @object as the result of the command: see document.h. NULL is an error. Returns 0 or -1. */
int print_json(json_t *object);

#endif
