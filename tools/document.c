/* SPDX-License-Identifier: BSD-2-Clause */
/* Putting the JSON document of a command together. */
#include "document.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "output.h"
#include "tool.h"

#define MOST_NOTES 1000 /* a million bad sectors need no million sentences */

/* One process, one command, one document. */
static struct {
	pthread_mutex_t lock;
	bool wanted, beside_data, streaming, has_items;
	json_t *result;
	json_t *notes;
	char *text;
	size_t text_bytes;
} document = { .lock = PTHREAD_MUTEX_INITIALIZER };

void document_want(bool wanted)
{
	document.wanted = wanted;
}

bool document_wanted(void)
{
	return document.wanted;
}

/* As getopt_long takes it, shortened too. */
bool words_want_document(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
		size_t n = strlen(argv[i]);

		if (n >= 3 && n <= 6 && strncmp(argv[i], "--json", n) == 0)
			return true;
	}
	return false;
}

void document_beside_data(void)
{
	document.beside_data = document.wanted;
}

bool document_is_beside_data(void)
{
	return document.beside_data;
}

void document_note(const char *sentence)
{
	if (!document.wanted)
		return;
	pthread_mutex_lock(&document.lock);
	if (document.notes == NULL)
		document.notes = json_array();
	if (json_array_size(document.notes) < MOST_NOTES)
		json_array_append_new(document.notes, json_path(sentence));
	pthread_mutex_unlock(&document.lock);
}

void document_set_result(json_t *result)
{
	json_decref(document.result);
	document.result = result;
}

void document_begin_items(const char *key)
{
	document.streaming = true;
	printf("{\n  \"%s\": [", key);
}

void document_item(json_t *item)
{
	char *text = item == NULL ? NULL : json_dumps(item, JSON_ENCODE_ANY);

	json_decref(item);
	printf("%s\n    %s", document.has_items ? "," : "", text == NULL ? "null" : text);
	document.has_items = true;
	free(text);
}

FILE *document_begin_text(void)
{
	FILE *memory =
		document.wanted ? open_memstream(&document.text, &document.text_bytes) : NULL;

	return memory != NULL ? memory : stdout;
}

void document_end_text(FILE *out, const char *key)
{
	json_t *o;

	if (out == stdout)
		return;
	o = json_object();
	if (fclose(out) == 0)
		json_object_set_new(o, key, json_string(document.text));
	free(document.text);
	document_set_result(o);
}

/* Of an end without a message: what it means. */
static const char *unsaid(int status)
{
	if (status == EXIT_DAMAGE)
		return "damage was found";
	return status == EXIT_NO_READER ? "the reader of the standard output is gone"
					: "the work was not done";
}

/* The result with what is the same for all commands. */
static json_t *complete(int status)
{
	json_t *o = document.result;

	if (o != NULL && status == 0)
		return o;
	if (json_is_array(o)) {
		o = json_object();
		json_object_set_new(o, "entries", document.result);
	}
	if (o == NULL)
		o = json_object();
	json_object_set_new(o, "exit_status", json_integer(status));
	if (status != 0 && document.notes == NULL)
		document.notes = json_pack("[s]", unsaid(status));
	if (status != 0)
		json_object_set(o, "error", json_array_get(document.notes, 0));
	if (document.notes != NULL)
		json_object_set_new(o, "messages", document.notes);
	document.notes = NULL;
	return o;
}

int document_end(int status)
{
	FILE *out = document.beside_data ? stderr : stdout;
	json_t *o;

	if (!document.wanted)
		return status;
	pthread_mutex_lock(&document.lock);
	o = complete(status);
	if (document.streaming)
		fputs(document.has_items ? "\n  ]" : "]", out);
	if (write_json(out, o, document.streaming) < 0)
		fputs("{ \"exit_status\": 1, \"error\": \"no memory for JSON\" }\n", out);
	document.result = NULL;
	pthread_mutex_unlock(&document.lock);
	return status;
}
