/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening by URI: takes one apart by the table of schemes (schemes.h), whose row opens it.
 *
 * A plain path is taken as it is, whatever bytes it holds. In a URI (one that names its scheme)
 * a percent sign and two hex digits stand for a byte, so a path may hold a question mark.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/byte_count.h"
#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "io/schemes.h"

/* A URI that is taken apart. Not for the stack: opening a file below it needs what there is of that. */
struct parts {
	struct uds_io_uri uri;
	struct uds_io_file_options options;
	struct uds_io_value values[UDS_IO_PARAMETERS_MAX];
	struct uds_message said; /* by the backend */
	char copy[];		 /* of what follows the scheme's name, to be cut up */
};

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decodes in place. A byte of zero would end the path early, so it is refused too. */
static int percent_decode(char *text, const char *uri, struct uds_message *message)
{
	char *to = text;

	for (const char *from = text; *from != '\0'; from++) {
		int high, low;

		if (*from != '%') {
			*to++ = *from;
			continue;
		}
		high = hex_digit(from[1]);
		low = high < 0 ? -1 : hex_digit(from[2]);
		if (low < 0 || (high | low) == 0)
			return failure(message, -EINVAL,
				       "%s: '%%' must be followed by two hex digits, not 00 (write "
				       "%%25 for the sign itself)",
				       uri);
		*to++ = (char)(high << 4 | low);
		from += 2;
	}
	*to = '\0';
	return 0;
}

/* The place of a word among "0|1|auto"; -1: it is none of them. */
static int choice_number(const char *choices, const char *word)
{
	size_t length = strlen(word);

	for (int i = 0;; i++) {
		size_t n = strcspn(choices, "|");

		if (n == length && memcmp(choices, word, n) == 0)
			return i;
		if (choices[n] == '\0')
			return -1;
		choices += n + 1;
	}
}

/* Refuses a parameter: the URI, the parameter, what is wrong, and what its scheme knows. */
static int bad_parameter(const struct uds_io_scheme *scheme, const char *uri, const char *wrong,
			 struct uds_message *message)
{
	char known[200];

	scheme_parameters(scheme, known, sizeof(known));
	return failure(message, -EINVAL, "%s: %s (known here: %s)", uri, wrong, known);
}

/* Says what is wrong with the value, or NULL. */
static const char *read_value(const struct uds_io_parameter *parameter, const char *text,
			      uint64_t *ret_number)
{
	int choice;

	if (parameter->kind == UDS_IO_PARAMETER_SIZE)
		return parse_byte_count(text, ret_number)
			       ? NULL
			       : "is not a number of bytes (K, M, G, T may follow)";
	choice = choice_number(parameter_form(parameter), text);
	if (choice < 0)
		return "is none of its values";
	*ret_number = (uint64_t)choice;
	return NULL;
}

/* @text is decoded where it stands. */
static int set_value(const struct uds_io_scheme *scheme, const struct uds_io_parameter *parameter,
		     const char *uri, char *text, struct uds_io_value *ret_value,
		     struct uds_message *message)
{
	const char *wrong = NULL;
	char sentence[200];
	int r = 0;

	/* Only text is decoded: the other kinds have no byte that would need it. */
	if (parameter->kind == UDS_IO_PARAMETER_TEXT)
		r = percent_decode(text, uri, message);
	else
		wrong = read_value(parameter, text, &ret_value->number);
	if (r < 0)
		return r;
	if (wrong != NULL) {
		snprintf(sentence, sizeof(sentence), "parameter %.60s: '%.60s' %s", parameter->name,
			 text, wrong);
		return bad_parameter(scheme, uri, sentence, message);
	}
	ret_value->text = text;
	return 0;
}

static int set_parameter(const struct uds_io_scheme *scheme, const char *name, char *text,
			 struct parts *parts, struct uds_message *message)
{
	char sentence[100];

	for (uint32_t i = 0; text != NULL && i < scheme->parameter_count; i++) {
		if (strcmp(scheme->parameters[i].name, name) == 0)
			return set_value(scheme, &scheme->parameters[i], parts->uri.text, text,
					 &parts->values[i], message);
	}
	if (text == NULL)
		snprintf(sentence, sizeof(sentence), "parameter '%.60s' has no value", name);
	else
		snprintf(sentence, sizeof(sentence), "unknown parameter '%.60s'", name);
	return bad_parameter(scheme, parts->uri.text, sentence, message);
}

/* name=value, separated by ampersands; cuts @text up. */
static int read_parameters(const struct uds_io_scheme *scheme, char *text, struct parts *parts,
			   struct uds_message *message)
{
	int r = 0;

	while (r == 0 && text != NULL) {
		char *next = strchr(text, '&');
		char *value;

		/*
		 * Cut at ampersands before anything is decoded: an encoded one belongs to its
		 * value.
		 */
		if (next != NULL)
			*next++ = '\0';
		value = strchr(text, '=');
		if (value != NULL)
			*value++ = '\0';
		r = set_parameter(scheme, text, value, parts, message);
		text = next;
	}
	return r;
}

/* Nothing that a backend does may leave the caller without an I/O or a sentence. */
static int call_open(const struct uds_io_scheme *scheme, struct parts *parts,
		     const struct uds_env *env, struct uds_message *message, struct uds_io **ret_io)
{
	const struct uds_io_uri *uri = &parts->uri;
	struct uds_io *io = NULL;
	int r = scheme->open(scheme->context, uri, env, &parts->said, &io);

	/* A scheme that another library brings may return anything. */
	if (r > 0 || (r == 0 && io == NULL))
		return failure(message, -EIO, "%s: the backend of '%s' returned %d and no I/O",
			       uri->text, scheme->name, r);
	if (r < 0)
		return failure_or(message, &parts->said, r, "%s: %s", uri->text, uds_strerror(r));
	*ret_io = io;
	return 0;
}

/* @copy: the URI without its scheme, to be cut up. */
static int open_copy(const struct uds_io_scheme *scheme, char *copy, struct parts *parts,
		     const struct uds_env *env, struct uds_message *message, struct uds_io **ret_io)
{
	char *question = strchr(copy, '?');
	int r;

	/* At the first question mark; one in the path has to be encoded. */
	if (question != NULL)
		*question++ = '\0';
	r = read_parameters(scheme, question, parts, message);
	if (r == 0)
		r = percent_decode(copy, parts->uri.text, message);
	if (r < 0)
		return r;
	parts->uri.path = copy;
	return call_open(scheme, parts, env, message, ret_io);
}

static int open_parts(const struct uds_io_scheme *scheme, const char *uri,
		      const struct uds_io_file_options *options, const struct uds_env *env,
		      struct uds_message *message, struct uds_io **ret_io)
{
	const char *rest = uri + strlen(scheme->name) + 1;
	size_t bytes = strlen(rest) + 1;
	struct parts *parts = env_allocate_zeroed(env, 1, sizeof(*parts) + bytes);
	int r;

	if (parts == NULL)
		return failure(message, -ENOMEM, "%s: no memory", uri);
	parts->uri.size = sizeof(parts->uri);
	parts->uri.text = uri;
	parts->uri.options = &parts->options;
	parts->uri.values = parts->values;
	parts->options = *options;
	/* A copy, since taking it apart puts zeros into it. The text as given stays for sentences. */
	memcpy(parts->copy, rest, bytes);
	r = open_copy(scheme, parts->copy, parts, env, message, ret_io);
	env_release(env, parts);
	return r;
}

static int unknown_scheme(const char *uri, size_t length, struct uds_message *message)
{
	char known[200];

	scheme_names(known, sizeof(known));
	return failure(message, -EINVAL,
		       "%s: unknown scheme '%.*s' (known: %s; for a path with a colon write ./PATH "
		       "or file:PATH)",
		       uri, (int)length, uri, known);
}

UDS_PUBLIC int uds_io_open_uri(const char *uri, const struct uds_io_file_options *options,
			       const struct uds_env *given_env, struct uds_message *ret_message,
			       struct uds_io **ret_io)
{
	struct uds_io_file_options own = UDS_IO_FILE_OPTIONS_INIT;
	size_t length = scheme_name_length(uri);
	const struct uds_io_scheme *scheme;
	struct uds_env env;
	int r;

	/* No scheme in front: a path, with all its bytes as they are. */
	if (length == 0 || uri[length] != ':')
		return uds_io_open_file(uri, options, given_env, ret_message, ret_io);
	r = env_take(given_env, ret_message, &env);
	if (r == 0 && options != NULL)
		r = STRUCT_IN(&own, options, uds_io_file_options, uring, ret_message);
	if (r < 0)
		return failure_in(ret_message, r, "%s", uri);
	scheme = scheme_find(uri, length);
	if (scheme == NULL)
		return unknown_scheme(uri, length, ret_message);
	return open_parts(scheme, uri, &own, &env, ret_message, ret_io);
}
