/* SPDX-License-Identifier: BSD-2-Clause */
/* What of text from outside reaches a terminal. */
#include <stdlib.h>
#include <string.h>

#include "check_main.h"
#include "text.h"

/* The UTF-8 of a code point, surrogates included, with a zero byte behind. */
static size_t encode(uint32_t code, char *p)
{
	static const uint32_t limits[] = { 0x80, 0x800, 0x10000, 0x200000 };
	static const unsigned char first[] = { 0, 0xc0, 0xe0, 0xf0 };
	size_t n = 0;

	while (code >= limits[n])
		n++;
	for (size_t i = n; i > 0; i--) {
		p[i] = (char)(0x80 | (code & 0x3f));
		code >>= 6;
	}
	p[0] = (char)(first[n] | code);
	p[n + 1] = '\0';
	return n + 1;
}

static bool is_printable_ascii(const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text < 0x20 || *text > 0x7e)
			return false;
	}
	return true;
}

/*
 * Written down a second time, from the tables of Unicode: categories Cc, Zl, Zp and Bidi_Control.
 */
static bool is_forbidden(uint32_t code)
{
	static const uint32_t others[] = { 0x61c,  0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202b,
					   0x202c, 0x202d, 0x202e, 0x2066, 0x2067, 0x2068, 0x2069 };

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (code == others[i])
			return true;
	}
	return code <= 0x1f || code == 0x7f || (code >= 0x80 && code <= 0x9f);
}

/* Whether the character is shown as it should be. */
static bool is_shown_right(uint32_t code)
{
	bool surrogate = code >= 0xd800 && code <= 0xdfff;
	struct shown_character shown;
	char text[8];
	size_t n = encode(code, text);
	const char *next = show_character(text, &shown);

	if (strlen(shown.text) != shown.bytes || shown.columns < 1)
		return false;
	if (surrogate || is_forbidden(code))
		return is_printable_ascii(shown.text) && shown.text[0] == '\\' &&
		       shown.columns == shown.bytes && next == text + (surrogate ? 1 : n);
	return strcmp(shown.text, text) == 0 && next == text + n;
}

START_TEST(every_character_is_shown_as_itself_or_harmlessly)
{
	for (uint32_t code = 1; code <= 0x10ffff; code++) {
		if (!is_shown_right(code))
			ck_abort_msg("U+%04x", (unsigned int)code);
	}
}
END_TEST

START_TEST(bytes_that_are_no_character_are_shown_by_their_number)
{
	static const char *const bad[] = { "\x80",
					   "\x9b",
					   "\xff",
					   "\xc0\xaf",
					   "\xe0\x80\x9b",
					   "\xf0\x80\x80",
					   "\xed\xa0",
					   "\xf5\x80\x80\x80",
					   "\xc2",
					   "\xe2\x80",
					   "\xf4\x90\x80\x80" };
	struct shown_character shown;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *p = bad[i];
		char wanted[8];

		while (*p != '\0') {
			snprintf(wanted, sizeof(wanted), "\\%03o", (unsigned char)*p);
			ck_assert_ptr_eq(show_character(p, &shown), p + 1);
			ck_assert_str_eq(shown.text, wanted);
			p++;
		}
	}
}
END_TEST

static char *printed(void (*print)(FILE *out, const char *text), const char *text)
{
	char *result = NULL;
	size_t length = 0;
	FILE *out = open_memstream(&result, &length);

	ck_assert_ptr_nonnull(out);
	print(out, text);
	fclose(out);
	return result;
}

static void print_as_line(FILE *out, const char *text)
{
	print_line(out, "a %s %d", text, 5);
}

START_TEST(paths_and_lines_stay_on_their_line)
{
	char *path = printed(print_path, "a\\b\nc\x1b[31m\xc2\x9b\xc3\xa9\x7f\xff");
	char *line = printed(print_as_line, "x\\\n\xe2\x80\xae\x07");

	ck_assert_str_eq(path, "a\\134b\\012c\\033[31m\\302\\233\xc3\xa9\\177\\377");
	ck_assert_str_eq(line, "a x\\\\012\\342\\200\\256\\007 5\n");
	free(path);
	free(line);
}
END_TEST

START_TEST(long_lines_are_printed_whole)
{
	char text[5001], *line;

	memset(text, '\x1b', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	line = printed(print_as_line, text);
	ck_assert_uint_eq(strlen(line), 2 + 4 * 5000 + 3);
	ck_assert_ptr_null(strchr(line, '\x1b'));
	free(line);
}
END_TEST

START_TEST(wide_characters_take_two_columns)
{
	struct shown_character shown;

	show_character("a", &shown);
	ck_assert_uint_eq(shown.columns, 1);
	show_character("\xc3\xa9", &shown);
	ck_assert_uint_eq(shown.columns, 1);
	show_character("\xe6\xbc\xa2", &shown);
	ck_assert_uint_eq(shown.columns, 2);
	show_character("\xf0\x9f\x98\x80", &shown);
	ck_assert_uint_eq(shown.columns, 2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("tool text");
	TCase *tests = tcase_create("text");

	tcase_add_test(tests, every_character_is_shown_as_itself_or_harmlessly);
	tcase_add_test(tests, bytes_that_are_no_character_are_shown_by_their_number);
	tcase_add_test(tests, paths_and_lines_stay_on_their_line);
	tcase_add_test(tests, long_lines_are_printed_whole);
	tcase_add_test(tests, wide_characters_take_two_columns);
	suite_add_tcase(suite, tests);
	return run_suite(suite);
}
