/* SPDX-License-Identifier: BSD-2-Clause */
/* Text and JSON on standard output. */
#include "output.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "document.h"
#include "text.h"

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

json_t *json_path(const char *path)
{
	char *text = malloc(3 * strlen(path) + 1);
	json_t *string;
	size_t used = 0;

	if (text == NULL)
		return NULL;
	while (*path != '\0') {
		uint32_t code;
		size_t n = utf8_character(path, &code);

		if (n > 0) {
			memcpy(text + used, path, n);
			used += n;
			path += n;
		} else {
			memcpy(text + used, "\xef\xbf\xbd", 3);
			used += 3;
			path++;
		}
	}
	text[used] = '\0';
	string = json_string(text);
	free(text);
	return string;
}

static bool is_utf8(const char *text)
{
	uint32_t code;
	size_t n = 1;

	while (*text != '\0' && n > 0) {
		n = utf8_character(text, &code);
		text += n;
	}
	return n > 0;
}

void json_set_path(json_t *object, const char *key, const char *path)
{
	size_t length = strlen(path);
	char hex_key[64];
	char *hex;

	json_object_set_new(object, key, json_path(path));
	if (is_utf8(path))
		return;
	snprintf(hex_key, sizeof(hex_key), "%s_hex", key);
	hex = malloc(2 * length + 1);
	if (hex == NULL)
		return;
	format_hex((const uint8_t *)path, length, hex);
	json_object_set_new(object, hex_key, json_string(hex));
	free(hex);
}

/*
 * jansson knows signed numbers only. Larger ones travel as a string with a mark that no other
 * string begins with, because of its zero byte, and lose mark and quotes when they are printed.
 */
#define UNSIGNED_MARK	 "\0u64:"
#define UNSIGNED_PRINTED "\"\\u0000u64:"

json_t *json_unsigned(uint64_t n)
{
	char text[40] = UNSIGNED_MARK;
	const size_t mark = sizeof(UNSIGNED_MARK) - 1;
	int digits;

	if (n <= INT64_MAX)
		return json_integer((json_int_t)n);
	digits = snprintf(text + mark, sizeof(text) - mark, "%llu", (unsigned long long)n);
	return json_stringn(text, mark + (size_t)digits);
}

/* jansson escapes C0 only. The ends of lines are its own: those in strings are escaped already. */
static void print_json_text(FILE *out, const char *p, const char *end)
{
	while (p < end) {
		uint32_t code = 0;
		size_t n = utf8_character(p, &code);

		if (n == 0)
			n = 1; /* jansson lets in nothing but UTF-8 */
		if (code != '\n' && is_control(code))
			fprintf(out, "\\u%04x", (unsigned int)code);
		else
			fwrite(p, 1, n, out);
		p += n;
	}
}

int write_json(FILE *out, json_t *object, bool as_rest)
{
	char *text = object == NULL ? NULL : json_dumps(object, JSON_INDENT(2));
	const char *p = text;
	const char *mark;

	json_decref(object);
	if (text == NULL)
		return -1;
	if (as_rest) {
		fputc(',', out);
		p++;
	}
	while ((mark = strstr(p, UNSIGNED_PRINTED)) != NULL) {
		const char *digits = mark + strlen(UNSIGNED_PRINTED);
		size_t count = strspn(digits, "0123456789");

		print_json_text(out, p, mark);
		fwrite(digits, 1, count, out);
		p = digits + count + 1;
	}
	print_json_text(out, p, p + strlen(p));
	fputc('\n', out);
	free(text);
	return 0;
}

int print_json(json_t *object)
{
	if (object == NULL)
		return -1;
	document_set_result(object);
	return 0;
}
