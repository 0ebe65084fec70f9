/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `uds exec`, and post, update, query, peek and delete: requests from standard input, a line each,
 * carried out strictly one after the other. An answer is written before the next line is read, when
 * a person or a program waits for it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "document.h"
#include "families.h"
#include "lines.h"
#include "output.h"
#include "target.h"

struct verb {
	const char *word;
	enum uds_request_kind kind;
	bool has_data;
};

static const struct verb verbs[] = {
	{ "post", UDS_POST, true },  { "update", UDS_UPDATE, true },  { "query", UDS_QUERY, false },
	{ "peek", UDS_PEEK, false }, { "delete", UDS_DELETE, false },
};

/* The verb that the @length characters at @word are; NULL: none. */
static const struct verb *find_verb(const char *word, size_t length)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (strlen(verbs[i].word) == length && strncmp(verbs[i].word, word, length) == 0)
			return &verbs[i];
	}
	return NULL;
}

/*
 * Takes a line apart. @verb: NULL when the line begins with it.
 * Returns NULL, or what is wrong with the line.
 */
static const char *parse_request(const struct verb *verb, const char *line,
				 struct uds_request *ret_request)
{
	const char *p = skip_blanks(line);

	if (verb == NULL) {
		size_t length = strcspn(p, " \t");

		verb = find_verb(p, length);
		if (verb == NULL)
			return *p == '\0' ? "the line is empty"
					  : "not post, update, query, peek or delete";
		p = skip_blanks(p + length);
	} else if (*p == '\0') {
		return "the line is empty";
	}
	memset(ret_request, 0, sizeof(*ret_request));
	ret_request->kind = (uint8_t)verb->kind;
	if (!take_hex(&p, ret_request->name.bytes))
		return "the name is not 32 hexadecimal digits";
	if (verb->has_data) {
		if (*p == '\0')
			return "the data is missing";
		if (!take_hex(&p, ret_request->new_data.bytes))
			return "the data is not 32 hexadecimal digits";
	}
	return *p == '\0' ? NULL : "something follows that does not belong there";
}

/* As JSON: null, the data as a string, or true for a delete that found its name. */
static void print_answer(const struct uds_request *request)
{
	char text[2 * UDS_DATA_BYTES + 2] = "-";
	bool json = document_wanted();

	if (request->found && request->kind == UDS_DELETE)
		strcpy(text, "+");
	else if (request->found)
		format_hex(request->old_data.bytes, UDS_DATA_BYTES, text);
	if (!json)
		puts(text);
	else if (!request->found)
		document_item(json_null());
	else
		document_item(request->kind == UDS_DELETE ? json_true() : json_string(text));
}

/* One line: parsed, done, answered. */
static int do_line(struct target *target, const struct verb *verb, struct line_reader *reader)
{
	struct uds_request request;
	const char *wrong = reader->has_zero_byte ? "there is a zero byte in it"
						  : parse_request(verb, reader->line, &request);
	int r;

	if (wrong != NULL) {
		complain(target->command, "standard input, line %llu: %s",
			 (unsigned long long)reader->number, wrong);
		return EXIT_FAILED;
	}
	r = target_run(target, &request, 1);
	if (r < 0) {
		int status = target_failed(target, r);

		complain(target->command, "standard input, line %llu: not carried out",
			 (unsigned long long)reader->number);
		return status;
	}
	print_answer(&request);
	/* The answers are not read any more: what follows is not carried out. */
	return output_failed() ? finish_output(target->command, EXIT_GOOD) : EXIT_GOOD;
}

static int do_lines(struct target *target, const struct verb *verb)
{
	struct line_reader reader;
	struct progress progress;
	int status = EXIT_GOOD;
	int r;

	/* For those who ask: a bar would run through the answers. */
	progress_start(&progress, true, "carrying out", "requests");
	if (document_wanted())
		document_begin_items("answers");
	lines_start(&reader, STDIN_FILENO);
	while (status == EXIT_GOOD && !was_interrupted()) {
		if (lines_must_wait(&reader))
			status = finish_output(target->command, status);
		r = lines_next(&reader);
		if (r < 0) {
			complain(target->command, "standard input, line %llu: %s",
				 (unsigned long long)reader.number + 1, strerror(-r));
			status = EXIT_FAILED;
		}
		if (r <= 0)
			break;
		status = do_line(target, verb, &reader);
		progress_report(&progress, reader.number, 0);
	}
	lines_end(&reader);
	progress_end(&progress);
	return finish_output(target->command, status);
}

int requests_run(const struct command *command, int argc, char **argv)
{
	const struct verb *verb = find_verb(command->name, strlen(command->name));
	bool reading_only = verb != NULL && verb->kind == UDS_PEEK;
	struct target target = { 0 };
	struct options options;
	bool no_save = false;
	char **arguments;
	int status;

	options_start(&options, command);
	target_options(&target, &options, true);
	target_nonce_option(&target, &options);
	target_checkpoint_option(&target, &options);
	options_flag(&options, "no-save", &no_save);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	target_set(&target, &options, arguments[0]);
	target.takes_shards = true;
	status = target_open(&target,
			     reading_only ? UDS_INDEX_READ_ONLY : UDS_INDEX_LOAD_OR_RECOVER);
	if (status != EXIT_GOOD)
		return status;
	status = do_lines(&target, verb);
	if (was_interrupted()) {
		complain(command, "interrupted; the lines before were carried out, and %s",
			 reading_only ? "nothing is changed"
			 : no_save    ? "are not saved"
				      : "are being saved");
		status = EXIT_FAILED;
	}
	return target_close(&target, !no_save && !reading_only, status);
}
