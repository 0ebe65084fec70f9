/* SPDX-License-Identifier: BSD-2-Clause */
/* Text: URIs, and the lines that the uds command reads and prints. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz.h"
#include "lines.h"
#include "progress.h"
#include "text.h"

/* ---- URIs ---- */

static int fuzz_open(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		     struct uds_message *ret_message, struct uds_io **ret_io)
{
	(void)context;
	FUZZ_REQUIRE(uri->path != NULL && uri->values[0].number <= 1 && uri->values[1].number <= 2);
	for (unsigned int i = 0; i < 4; i++)
		FUZZ_REQUIRE(uri->values[i].text != NULL || uri->values[i].number == 0);
	FUZZ_REQUIRE(uri->values[3].text == NULL ||
		     strlen(uri->values[3].text) <= strlen(uri->text));
	return uds_io_open_memory(strlen(uri->path), 1, env, ret_message, ret_io);
}

static void register_scheme(void)
{
	static const struct uds_io_parameter parameters[] = {
		{ "flag", NULL, UDS_IO_PARAMETER_FLAG, 0 },
		{ "choice", "a|bc|def", UDS_IO_PARAMETER_CHOICE, 0 },
		{ "size", NULL, UDS_IO_PARAMETER_SIZE, 0 },
		{ "text", NULL, UDS_IO_PARAMETER_TEXT, 0 },
	};
	static struct uds_io_scheme scheme = UDS_IO_SCHEME_INIT;

	if (scheme.name != NULL)
		return;
	scheme.name = "fuzz";
	scheme.open = fuzz_open;
	scheme.parameters = parameters;
	scheme.parameter_count = 4;
	FUZZ_REQUIRE(uds_io_register_scheme(&scheme, NULL) == 0);
}

/* Never a path: what is in the file system is not the fuzzer's. */
void fuzz_uri(const uint8_t *bytes, size_t size)
{
	static const char *const starts[] = { "fuzz:", "mem:", "fuzz:?",
					      "nothing-such:", "mem:?size=" };
	struct fuzz_input input = { bytes, size };
	const char *start = starts[fuzz_u8(&input) % 5];
	size_t length = input.left, front = strlen(start);
	/*
	 * The size of a mem: I/O takes no memory but a table of it, which the input cannot bound.
	 */
	const struct uds_env *env = fuzz_env_begin(size, 8 << 20, 16);
	struct uds_message message = { "" };
	char *text = malloc(front + length + 1);
	struct uds_io *io;

	FUZZ_REQUIRE(text != NULL);
	register_scheme();
	memcpy(text, start, front);
	if (length > 0)
		memcpy(text + front, input.at, length);
	text[front + length] = '\0';
	if (uds_io_open_uri(text, NULL, env, &message, &io) == 0)
		FUZZ_REQUIRE(uds_io_close(io) == 0);
	else
		FUZZ_REQUIRE(message.text[0] != '\0');
	free(text);
	fuzz_env_end();
}

/* ---- lines ---- */

/* Of the command, whose signals are not here. */
bool was_interrupted(void)
{
	return false;
}

/* What is shown of any bytes controls no terminal. */
static void show(const char *text)
{
	struct shown_character shown;
	uint32_t code;

	while (*text != '\0') {
		const char *next = show_character(text, &shown);

		FUZZ_REQUIRE(next > text && shown.bytes < sizeof(shown.text));
		for (unsigned int at = 0; at < shown.bytes;) {
			size_t n = utf8_character(shown.text + at, &code);

			FUZZ_REQUIRE(n > 0 && !is_control(code));
			at += (unsigned int)n;
		}
		text = next;
	}
}

static void take_words(const char *line)
{
	uint8_t name[UDS_NAME_BYTES];
	const char *p = skip_blanks(line);

	while (take_hex(&p, name))
		FUZZ_REQUIRE(p >= line + 32 && p <= line + strlen(line));
}

void fuzz_lines(const uint8_t *bytes, size_t size)
{
	static FILE *file;
	struct line_reader reader;
	uint64_t lines = 0;
	int descriptor, r;

	if (file == NULL)
		file = tmpfile();
	FUZZ_REQUIRE(file != NULL);
	descriptor = fileno(file);
	FUZZ_REQUIRE(ftruncate(descriptor, 0) == 0);
	FUZZ_REQUIRE(pwrite(descriptor, bytes, size, 0) == (ssize_t)size);
	FUZZ_REQUIRE(lseek(descriptor, 0, SEEK_SET) == 0);
	lines_start(&reader, descriptor);
	while ((r = lines_next(&reader)) == 1) {
		FUZZ_REQUIRE(strlen(reader.line) < LINE_BYTES);
		FUZZ_REQUIRE(reader.number == ++lines && lines <= size);
		take_words(reader.line);
		show(reader.line);
		(void)lines_must_wait(&reader);
	}
	FUZZ_REQUIRE(r == 0);
	lines_end(&reader);
}
