/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds dump` and `uds load`: all live records as lines "name data", and back. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "document.h"
#include "families.h"
#include "lines.h"
#include "output.h"
#include "target.h"
#include "text.h"

#define BATCH 256

struct dump {
	struct progress progress; /* for those who ask: a bar would run through the lines */
	uint64_t count;
};

static int dump_record(void *context, const struct uds_record_name *name,
		       const struct uds_record_data *data)
{
	struct dump *dump = context;
	char name_text[2 * UDS_NAME_BYTES + 1], data_text[2 * UDS_DATA_BYTES + 1];

	format_hex(name->bytes, UDS_NAME_BYTES, name_text);
	format_hex(data->bytes, UDS_DATA_BYTES, data_text);
	if (document_wanted())
		document_item(json_pack("{s:s, s:s}", "name", name_text, "data", data_text));
	else
		printf("%s %s\n", name_text, data_text);
	/* The output is not read any more, or the disk is full: no use in going on. */
	return output_failed() || progress_report(&dump->progress, ++dump->count, 0) != 0;
}

int dump_run(const struct command *command, int argc, char **argv)
{
	struct dump dump = { .count = 0 };
	struct target target = { 0 };
	struct options options;
	char **arguments;
	int status, r;

	options_start(&options, command);
	target_options(&target, &options, false);
	target_nonce_option(&target, &options);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	target_set(&target, &options, arguments[0]);
	target.takes_shards = true;
	status = target_open(&target, UDS_INDEX_READ_ONLY);
	if (status != EXIT_GOOD)
		return status;
	if (options.json)
		document_begin_items("records");
	progress_start(&dump.progress, true, "printing", "records");
	r = target_for_each(&target, dump_record, &dump);
	progress_end(&dump.progress);
	if (was_interrupted()) {
		complain(command,
			 "interrupted; not all records were printed; the index is as it was");
		status = EXIT_FAILED;
	} else if (r < 0 && r != UDS_ERR_STOPPED) {
		status = target_failed(&target, r);
	}
	status = target_close(&target, false, status);
	return finish_output(command, status);
}

/* Stores a batch. @first: the line number of its first record. */
static int load_batch(struct target *target, struct uds_request *requests, size_t count,
		      uint64_t first)
{
	int status, r;

	r = target_run(target, requests, count);
	if (r >= 0)
		return EXIT_GOOD;
	status = target_failed(target, r);
	for (size_t i = 0; i < count; i++) {
		if (requests[i].status < 0) {
			complain(target->command, "standard input, line %llu: not stored",
				 (unsigned long long)(first + i));
			break;
		}
	}
	return status;
}

/* "name data" at reader->line; a message for anything else. */
static int parse_record(const struct target *target, const struct line_reader *reader,
			struct uds_request *ret_request)
{
	const char *p = skip_blanks(reader->line);
	const char *wrong = NULL;

	memset(ret_request, 0, sizeof(*ret_request));
	ret_request->kind = UDS_UPDATE;
	if (*p == '\0')
		wrong = "the line is empty";
	else if (reader->has_zero_byte)
		wrong = "there is a zero byte in it";
	else if (!take_hex(&p, ret_request->name.bytes))
		wrong = "the name is not 32 hexadecimal digits";
	else if (*p == '\0')
		wrong = "the data is missing";
	else if (!take_hex(&p, ret_request->new_data.bytes))
		wrong = "the data is not 32 hexadecimal digits";
	else if (*p != '\0')
		wrong = "something follows that does not belong there";
	if (wrong == NULL)
		return EXIT_GOOD;
	complain(target->command, "standard input, line %llu: %s",
		 (unsigned long long)reader->number, wrong);
	return EXIT_FAILED;
}

/* Whatever ends the lines, the records before are stored. */
static int load_lines(struct target *target, uint64_t *ret_count)
{
	struct uds_request batch[BATCH];
	struct line_reader reader;
	struct progress progress;
	int status = EXIT_GOOD, stored;
	size_t count = 0;
	int r = 0;

	*ret_count = 0;
	lines_start(&reader, STDIN_FILENO);
	progress_start(&progress, target->quiet, "storing", "records");
	while (status == EXIT_GOOD && !was_interrupted() && (r = lines_next(&reader)) > 0) {
		progress_report(&progress, reader.number, 0);
		status = parse_record(target, &reader, &batch[count]);
		if (status != EXIT_GOOD || ++count < BATCH)
			continue;
		status = load_batch(target, batch, count, reader.number - count + 1);
		*ret_count += status == EXIT_GOOD ? count : 0;
		count = 0;
	}
	progress_end(&progress);
	if (r < 0) {
		complain(target->command, "standard input, line %llu: %s",
			 (unsigned long long)reader.number + 1, strerror(-r));
		status = EXIT_FAILED;
	}
	stored = load_batch(target, batch, count, reader.number - count + (status == EXIT_GOOD));
	*ret_count += stored == EXIT_GOOD ? count : 0;
	lines_end(&reader);
	return status == EXIT_GOOD ? stored : status;
}

int load_run(const struct command *command, int argc, char **argv)
{
	struct target target = { 0 };
	struct options options;
	bool no_save = false;
	uint64_t count;
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
	status = target_open(&target, UDS_INDEX_LOAD_OR_RECOVER);
	if (status != EXIT_GOOD)
		return status;
	status = load_lines(&target, &count);
	if (was_interrupted()) {
		complain(command,
			 no_save ? "interrupted; the lines before are stored, and not saved"
				 : "interrupted; the lines before are stored, and being saved");
		status = EXIT_FAILED;
	}
	status = target_close(&target, !no_save, status);
	if (options.json) {
		json_t *o = json_object();

		json_object_set_new(o, "records", json_unsigned(count));
		print_json(o);
	} else if (!options.quiet) {
		print_line(stdout, "%s: %llu record%s stored", target.uri,
			   (unsigned long long)count, count == 1 ? "" : "s");
	}
	return finish_output(command, status);
}
