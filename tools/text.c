/* SPDX-License-Identifier: BSD-2-Clause */
/* What may be shown of text from outside, and how wide it is. */
#include "text.h"

#include <stdlib.h>
#include <string.h>

size_t utf8_character(const char *p, uint32_t *ret_code)
{
	static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned char first = (unsigned char)p[0];
	size_t n = first < 0x80 ? 1 : first < 0xc0 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
	uint32_t code = n == 1 ? first : first & (0x7fu >> n);

	if (n == 0 || first > 0xf4)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | ((unsigned char)p[i] & 0x3f);
	}
	if (code < lowest[n] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return n;
}

bool is_control(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code <= 0x9f) || code == 0x61c || code == 0x200e ||
	       code == 0x200f || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069);
}

/* Characters of Chinese, Japanese and Korean, and pictures, take two columns. */
static unsigned int columns_of(uint32_t code)
{
	bool wide = (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
		    (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
		    (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) ||
		    (code >= 0xffe0 && code <= 0xffe6) || code >= 0x1f000;

	return wide ? 2 : 1;
}

const char *show_character(const char *p, struct shown_character *ret_shown)
{
	uint32_t code = 0;
	size_t n = utf8_character(p, &code);

	if (n > 0 && !is_control(code)) {
		memcpy(ret_shown->text, p, n);
		ret_shown->text[n] = '\0';
		ret_shown->bytes = (unsigned int)n;
		ret_shown->columns = columns_of(code);
		return p + n;
	}
	if (n == 0)
		n = 1;
	for (size_t i = 0; i < n; i++)
		snprintf(ret_shown->text + 4 * i, 5, "\\%03o", (unsigned int)(unsigned char)p[i]);
	ret_shown->bytes = ret_shown->columns = (unsigned int)(4 * n);
	return p + n;
}

void print_path(FILE *out, const char *path)
{
	struct shown_character shown;

	while (*path != '\0') {
		bool backslash = *path == '\\';

		path = show_character(path, &shown);
		fputs(backslash ? "\\134" : shown.text, out);
	}
}

void print_clean(FILE *out, const char *format, va_list args)
{
	struct shown_character shown;
	char room[1024];
	char *text = room;
	const char *p;
	va_list again;
	int length;

	va_copy(again, args);
	length = vsnprintf(room, sizeof(room), format, args);
	if (length >= (int)sizeof(room)) {
		text = malloc((size_t)length + 1);
		if (text != NULL)
			vsnprintf(text, (size_t)length + 1, format, again);
		else
			text = room; /* without memory the beginning must do */
	}
	va_end(again);
	for (p = text; length > 0 && *p != '\0';) {
		p = show_character(p, &shown);
		fputs(shown.text, out);
	}
	if (text != room)
		free(text);
}

void print_line(FILE *out, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_clean(out, format, args);
	va_end(args);
	putc('\n', out);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 32);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool parse_hex(const char *text, uint8_t *ret_bytes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		int high = hex_digit(text[2 * i]);
		int low = high < 0 ? -1 : hex_digit(text[2 * i + 1]);

		if (low < 0)
			return false;
		ret_bytes[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}
