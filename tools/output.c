/* SPDX-License-Identifier: BSD-2-Clause */
/* Text and JSON on standard output. */
#include "output.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct size_text size_text(uint64_t bytes)
{
	static const char units[][4] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	struct size_text size;
	double n = (double)bytes / 1024;
	size_t unit = 0;

	if (bytes < 1024) {
		snprintf(size.text, sizeof(size.text), "%u bytes", (unsigned int)bytes);
		return size;
	}
	while (n >= 1024 && unit < 5) {
		n /= 1024;
		unit++;
	}
	snprintf(size.text, sizeof(size.text), "%.2f %s", n, units[unit]);
	return size;
}

struct size_text time_text(double seconds)
{
	struct size_text time;
	unsigned long s = seconds < 0 ? 0 : (unsigned long)(seconds + 0.5);

	if (s >= 3600)
		snprintf(time.text, sizeof(time.text), "%lu:%02lu:%02lu", s / 3600, s / 60 % 60,
			 s % 60);
	else
		snprintf(time.text, sizeof(time.text), "%lu:%02lu", s / 60, s % 60);
	return time;
}

void format_hex(const uint8_t *bytes, size_t count, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < count; i++) {
		ret_text[2 * i] = digits[bytes[i] >> 4];
		ret_text[2 * i + 1] = digits[bytes[i] & 15];
	}
	ret_text[2 * count] = '\0';
}

/* How many bytes the well-formed UTF-8 character at @p has; 0 when there is none. */
static size_t character_bytes(const unsigned char *p)
{
	static const unsigned int lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t n = p[0] < 0x80 ? 1 : p[0] < 0xc0 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
	unsigned int code = p[0] & (0x7fu >> n);

	if (n <= 1)
		return n;
	if (p[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3f);
	}
	if (code < lowest[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	return n;
}

const char *quote_path(const char *path, char *ret_text, size_t room)
{
	const unsigned char *p = (const unsigned char *)path;
	size_t used = 0;

	while (*p != '\0') {
		size_t n = character_bytes(p);
		bool plain = n > 1 || (n == 1 && *p >= 0x20 && *p != 0x7f && *p != '\\');

		/* Four bytes for this one, three for the dots, one for the end. */
		if (used + 8 > room) {
			strcpy(ret_text + used, "...");
			return ret_text;
		}
		if (plain) {
			memcpy(ret_text + used, p, n);
			used += n;
			p += n;
		} else {
			used += (size_t)sprintf(ret_text + used, "\\%03o", *p++);
		}
	}
	ret_text[used] = '\0';
	return ret_text;
}

json_t *json_path(const char *path)
{
	const unsigned char *p = (const unsigned char *)path;
	char *text = malloc(3 * strlen(path) + 1);
	json_t *string;
	size_t used = 0;

	if (text == NULL)
		return NULL;
	while (*p != '\0') {
		size_t n = character_bytes(p);

		if (n > 0) {
			memcpy(text + used, p, n);
			used += n;
			p += n;
		} else {
			memcpy(text + used, "\xef\xbf\xbd", 3);
			used += 3;
			p++;
		}
	}
	text[used] = '\0';
	string = json_string(text);
	free(text);
	return string;
}

/*
 * jansson knows signed numbers only. Larger ones travel as a string with a mark that no other
 * string of ours begins with, and lose mark and quotes when they are printed.
 */
#define UNSIGNED_MARK	 "\001u64:"
#define UNSIGNED_PRINTED "\"\\u0001u64:"

json_t *json_unsigned(uint64_t n)
{
	char text[40];

	if (n <= INT64_MAX)
		return json_integer((json_int_t)n);
	snprintf(text, sizeof(text), UNSIGNED_MARK "%llu", (unsigned long long)n);
	return json_string(text);
}

int print_json(json_t *object)
{
	char *text = object == NULL ? NULL : json_dumps(object, JSON_INDENT(2));
	const char *p = text;
	const char *mark;

	json_decref(object);
	if (text == NULL)
		return -1;
	while ((mark = strstr(p, UNSIGNED_PRINTED)) != NULL) {
		const char *digits = mark + strlen(UNSIGNED_PRINTED);
		size_t count = strspn(digits, "0123456789");

		fwrite(p, 1, (size_t)(mark - p), stdout);
		fwrite(digits, 1, count, stdout);
		p = digits + count + 1;
	}
	puts(p);
	free(text);
	return 0;
}
