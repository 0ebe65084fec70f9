/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one JSON document that a command with --json prints, whatever happens: its result, or what
 * went wrong, or both. Commands hand their result to print_json(), or items to document_item(); it
 * is printed when the command has ended, with its exit status and all that was said meanwhile.
 */
#ifndef TOOLS_DOCUMENT_H
#define TOOLS_DOCUMENT_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

/* Whether --json was given: before the command line is parsed, a guess from its words. */
void document_want(bool wanted);
bool document_wanted(void);
bool words_want_document(int argc, char **argv);

/* Standard output is for data: the document goes to standard error, and is all that goes there. */
void document_beside_data(void);
bool document_is_beside_data(void);

/* A sentence that was said on standard error. Any thread. */
void document_note(const char *sentence);

/* Takes over the result. */
void document_set_result(json_t *result);

/*
 * Text for people that is the result, such as help: written to what begin returns, which is
 * standard output, or memory whose content becomes @key of the document.
 */
FILE *document_begin_text(void);
void document_end_text(FILE *out, const char *key);

/*
 * For results of any length: each item is printed at once, as an element of the array @key. With no
 * item the array is empty. All items of a document have the same key.
 */
void document_begin_items(const char *key);
void document_item(json_t *item);

/* Prints the document, if one is wanted. Returns @status. */
int document_end(int status);

#endif
