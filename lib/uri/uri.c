/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening by URI: takes one apart by the tables of schemes (schemes.h), whose row opens it.
 *
 * A plain path is taken as it is, whatever bytes it holds. In a URI (one that names its scheme)
 * a percent sign and two hex digits stand for a byte, so a path may hold a question mark.
 */
#include "uri/uri.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/byte_count.h"
#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"

/* What every scheme takes, unless it has a parameter of that name itself. */
enum { RANGE_OFFSET, RANGE_LENGTH, RANGE_PARAMETERS };

static const struct uds_io_parameter range_parameters[RANGE_PARAMETERS] = {
	[RANGE_OFFSET] = { .name = "offset", .kind = UDS_IO_PARAMETER_SIZE },
	[RANGE_LENGTH] = { .name = "length", .kind = UDS_IO_PARAMETER_SIZE },
};

/*
 * A URI that is taken apart. Not for the stack: opening a file below it needs what
 * there is of that.
 */
struct parts {
	struct uds_io_uri uri; /* first, so that a nested open finds the rest */
	const struct built_in_schemes *built_in;
	unsigned int depth;
	struct uds_io_file_options options;
	struct uds_io_value values[UDS_IO_PARAMETERS_MAX];
	struct uds_io_value range[RANGE_PARAMETERS];
	struct uds_message said; /* by the backend */
	size_t copy_bytes;
	size_t used[UDS_IO_PARAMETERS_MAX]; /* of the lists of texts */
	/* of each parameter that may be repeated, copy_bytes each; NULL: there is none */
	char *lists;
	char copy[]; /* of what follows the scheme's name, to be cut up */
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

	/* In place: what is decoded is never longer than what it was. */
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

		/* The whole word: "auto" is not meant by "a". */
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
	return failure(message, -EINVAL,
		       "%s: %s (known here: %s), or offset=BYTES, length=BYTES for a part of it",
		       uri, wrong, known);
}

/* Says what is wrong with the value, or NULL. */
static const char *read_value(const struct uds_io_parameter *parameter, const char *text,
			      uint64_t *ret_number)
{
	int choice;

	/* A flag is a choice of "0" and "1", whose place is its number. */
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
	if (parameter->kind >= UDS_IO_PARAMETER_TEXT)
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

/* Puts one more text behind those that a parameter which may be repeated has already. */
static void add_text(struct parts *parts, uint32_t number, const char *text)
{
	struct uds_io_value *value = &parts->values[number];
	char *list = parts->lists + number * parts->copy_bytes;
	size_t bytes = strlen(text) + 1;

	/* They all come from the one copy, so each list has room for all of it. */
	memcpy(list + parts->used[number], text, bytes);
	parts->used[number] += bytes;
	value->text = list;
	value->number++;
}

static int set_parameter(const struct uds_io_scheme *scheme, const char *name, char *text,
			 struct parts *parts, struct uds_message *message)
{
	char sentence[100];

	for (uint32_t i = 0; text != NULL && i < scheme->parameter_count; i++) {
		const struct uds_io_parameter *parameter = &scheme->parameters[i];
		struct uds_io_value one = { 0 };
		int r;

		if (strcmp(parameter->name, name) != 0)
			continue;
		r = set_value(scheme, parameter, parts->uri.text, text, &one, message);
		if (r == 0 && parameter->kind == UDS_IO_PARAMETER_TEXTS)
			add_text(parts, i, one.text);
		else if (r == 0)
			parts->values[i] = one;
		return r;
	}
	/* After those of the scheme: one that has a parameter of this name keeps it. */
	for (uint32_t i = 0; text != NULL && i < RANGE_PARAMETERS; i++) {
		if (strcmp(range_parameters[i].name, name) == 0)
			return set_value(scheme, &range_parameters[i], parts->uri.text, text,
					 &parts->range[i], message);
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

/* The range that the URI asks for, which owns what it is a part of. */
static int take_range(struct parts *parts, const struct uds_env *env, struct uds_message *message,
		      struct uds_io **io)
{
	struct uds_io_ranges_options options = UDS_IO_RANGES_OPTIONS_INIT;
	struct uds_io_range range = { *io, parts->range[RANGE_OFFSET].number, UINT64_MAX };
	int r;

	if (parts->range[RANGE_LENGTH].text != NULL)
		range.length = parts->range[RANGE_LENGTH].number;
	options.name = parts->uri.text;
	/* The caller gets one I/O, so closing that must close both. */
	options.close_parts = true;
	r = uds_io_open_ranges(&range, 1, &options, env, message, io);
	if (r < 0) {
		uds_io_close(*io);
		return failure_in(message, r, "%s", parts->uri.text);
	}
	return 0;
}

/* @copy: the URI without its scheme, to be cut up. */
static int open_copy(const struct uds_io_scheme *scheme, char *copy, struct parts *parts,
		     const struct uds_env *env, struct uds_message *message, struct uds_io **ret_io)
{
	char *question = strchr(copy, '?');
	struct uds_io *io = NULL;
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
	r = call_open(scheme, parts, env, message, &io);
	if (r == 0 &&
	    (parts->range[RANGE_OFFSET].text != NULL || parts->range[RANGE_LENGTH].text != NULL))
		r = take_range(parts, env, message, &io);
	if (r == 0)
		*ret_io = io;
	return r;
}

/*
 * How many lists of texts there has to be room for: up to the last parameter that may be repeated.
 */
static size_t list_count(const struct uds_io_scheme *scheme)
{
	size_t count = scheme->parameter_count;

	while (count > 0 && scheme->parameters[count - 1].kind != UDS_IO_PARAMETER_TEXTS)
		count--;
	return count;
}

static int open_parts(const struct uds_io_scheme *scheme, const struct built_in_schemes *built_in,
		      unsigned int depth, const char *uri,
		      const struct uds_io_file_options *options, const struct uds_env *env,
		      struct uds_message *message, struct uds_io **ret_io)
{
	const char *rest = uri + strlen(scheme->name) + 1;
	size_t bytes = strlen(rest) + 1;
	struct parts *parts =
		env_allocate_zeroed(env, 1, sizeof(*parts) + bytes + list_count(scheme) * bytes);
	int r;

	if (parts == NULL)
		return failure(message, -ENOMEM, "%s: no memory", uri);
	parts->uri.size = sizeof(parts->uri);
	parts->uri.text = uri;
	parts->uri.options = &parts->options;
	parts->uri.values = parts->values;
	parts->built_in = built_in;
	parts->depth = depth;
	/*
	 * A copy with all members that are known here: a backend may be older than the caller's
	 * struct.
	 */
	parts->options = *options;
	parts->copy_bytes = bytes;
	parts->lists = parts->copy + bytes;
	/*
	 * A copy, since taking it apart puts zeros into it. The text as given stays for sentences.
	 */
	memcpy(parts->copy, rest, bytes);
	r = open_copy(scheme, parts->copy, parts, env, message, ret_io);
	env_release(env, parts);
	return r;
}

static int unknown_scheme(const struct built_in_schemes *built_in, const char *uri, size_t length,
			  struct uds_message *message)
{
	char known[200];

	scheme_names(built_in, known, sizeof(known));
	return failure(message, -EINVAL,
		       "%s: unknown scheme '%.*s' (known: %s; for a path with a colon write ./PATH "
		       "or file:PATH)",
		       uri, (int)length, uri, known);
}

/* No scheme in front: a path, with all its bytes as they are. */
static int open_path(const char *path, const struct uds_io_file_options *options,
		     const struct uds_env *env, struct uds_message *message, struct uds_io **ret_io)
{
	int r = uds_io_open_file(path, options, env, message, ret_io);
	size_t length;

	if (r != -ENOENT || message == NULL || strchr(path, '?') == NULL)
		return r;
	length = strlen(message->text);
	snprintf(message->text + length, sizeof(message->text) - length,
		 "; with parameters write file:PATH?...");
	return r;
}

static int open_at_depth(const struct built_in_schemes *built_in, unsigned int depth,
			 const char *uri, const struct uds_io_file_options *options,
			 const struct uds_env *given_env, struct uds_message *ret_message,
			 struct uds_io **ret_io)
{
	struct uds_io_file_options own = UDS_IO_FILE_OPTIONS_INIT;
	size_t length = scheme_name_length(uri);
	const struct uds_io_scheme *scheme;
	struct uds_env env;
	int r;

	if (length == 0 || uri[length] != ':')
		return open_path(uri, options, given_env, ret_message, ret_io);
	/* Complete, so that a backend need not know which members are optional. */
	r = env_take(given_env, ret_message, &env);
	if (r == 0 && options != NULL)
		r = STRUCT_IN(&own, options, uds_io_file_options, uring, ret_message);
	if (r < 0)
		return failure_in(ret_message, r, "%s", uri);
	scheme = scheme_find(built_in, uri, length);
	if (scheme == NULL)
		return unknown_scheme(built_in, uri, length, ret_message);
	return open_parts(scheme, built_in, depth, uri, &own, &env, ret_message, ret_io);
}

int uri_open(const struct built_in_schemes *built_in, const char *uri,
	     const struct uds_io_file_options *options, const struct uds_env *env,
	     struct uds_message *ret_message, struct uds_io **ret_io)
{
	return open_at_depth(built_in, 0, uri, options, env, ret_message, ret_io);
}

static int open_nested(const struct uds_io_uri *outer, const char *uri,
		       const struct uds_io_file_options *options, const struct uds_env *env,
		       struct uds_message *message, struct uds_io **ret_io)
{
	const struct parts *parts = (const struct parts *)outer;

	/* Each takes some stack, and the text can be as long as a caller likes. */
	if (parts->depth >= UDS_IO_NESTING_MAX)
		return failure(message, -EINVAL, "%.200s: more than %u URIs in each other",
			       outer->text, UDS_IO_NESTING_MAX);
	return open_at_depth(parts->built_in, parts->depth + 1, uri, options, env, message, ret_io);
}

int uri_open_nested(const struct uds_io_uri *outer, const char *uri, const struct uds_env *env,
		    struct uds_message *ret_message, struct uds_io **ret_io)
{
	return open_nested(outer, uri, outer->options, env, ret_message, ret_io);
}

int uri_open_to_compare(const struct uds_io_uri *outer, const char *uri, const struct uds_env *env,
			struct uds_io **ret_io)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;

	options.no_lock = true;
	return open_nested(outer, uri, &options, env, NULL, ret_io);
}
