/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening by URI: which backend, and what the parameters behind the question mark say.
 *
 * A plain path is taken as it is, whatever bytes it holds. In a URI (one that names its scheme)
 * a percent sign and two hex digits stand for a byte, so a path may hold a question mark.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/byte_count.h"
#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "io/io.h"

/* What all schemes' parameters come to. */
struct parameters {
	struct uds_io_file_options file;
	uint64_t size;
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

/* The scheme's length when the text begins with one (letter, then letters, digits, + - .), else 0. */
static size_t scheme_length(const char *text)
{
	size_t n = 0;

	while ((text[n] >= 'a' && text[n] <= 'z') || (text[n] >= 'A' && text[n] <= 'Z') ||
	       (n > 0 && text[n] != '\0' && strchr("0123456789+-.", text[n]) != NULL))
		n++;
	return text[n] == ':' ? n : 0;
}

static int set_flag(const char *uri, const char *name, const char *value, bool *ret_flag,
		    struct uds_message *message)
{
	if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0)
		return failure(message, -EINVAL, "%s: parameter %s: '%s' is neither 0 nor 1", uri,
			       name, value);
	*ret_flag = value[0] == '1';
	return 0;
}

static int set_direct(const char *uri, const char *value, enum uds_io_direct *ret_direct,
		      struct uds_message *message)
{
	if (strcmp(value, "0") == 0)
		*ret_direct = UDS_IO_DIRECT_NO;
	else if (strcmp(value, "1") == 0)
		*ret_direct = UDS_IO_DIRECT_YES;
	else if (strcmp(value, "auto") == 0)
		*ret_direct = UDS_IO_DIRECT_AUTO;
	else
		return failure(message, -EINVAL,
			       "%s: parameter direct: '%s' is neither 0, 1 nor auto", uri, value);
	return 0;
}

static int set_size(const char *uri, const char *value, uint64_t *ret_size,
		    struct uds_message *message)
{
	if (!parse_byte_count(value, ret_size))
		return failure(message, -EINVAL,
			       "%s: parameter size: '%s' is not a number of bytes (K, M, G, T may "
			       "follow)",
			       uri, value);
	return 0;
}

static int set_parameter(const char *uri, bool memory, const char *name, const char *value,
			 struct parameters *parameters, struct uds_message *message)
{
	if (value == NULL)
		return failure(message, -EINVAL, "%s: parameter '%s' has no value", uri, name);
	if (memory && strcmp(name, "size") == 0)
		return set_size(uri, value, &parameters->size, message);
	if (!memory && strcmp(name, "direct") == 0)
		return set_direct(uri, value, &parameters->file.direct, message);
	if (!memory && strcmp(name, "uring") == 0)
		return set_flag(uri, name, value, &parameters->file.uring, message);
	return failure(message, -EINVAL, "%s: unknown parameter '%s' (known here: %s)", uri, name,
		       memory ? "size" : "direct, uring");
}

/* name=value, separated by ampersands; cuts @text up. */
static int read_parameters(const char *uri, bool memory, char *text, struct parameters *parameters,
			   struct uds_message *message)
{
	int r = 0;

	while (r == 0 && text != NULL) {
		char *next = strchr(text, '&');
		char *value;

		if (next != NULL)
			*next++ = '\0';
		value = strchr(text, '=');
		if (value != NULL)
			*value++ = '\0';
		r = set_parameter(uri, memory, text, value, parameters, message);
		text = next;
	}
	return r;
}

static int open_memory(const char *uri, const char *rest, uint64_t size, const struct uds_env *env,
		       struct uds_message *message, struct uds_io **ret_io)
{
	int r;

	if (*rest != '\0')
		return failure(message, -EINVAL, "%s: mem: takes no path, only ?size=BYTES", uri);
	if (size > UDS_IO_MEMORY_BYTES_MAX)
		return failure(message, -EFBIG, "%s: more than memory is made for (%llu bytes)",
			       uri, (unsigned long long)UDS_IO_MEMORY_BYTES_MAX);
	r = uds_io_open_memory(size, 1, env, ret_io);
	if (r < 0)
		return failure(message, r, "%s: %s", uri, uds_strerror(r));
	return 0;
}

/* @copy: the URI without its scheme, to be cut up. */
static int open_scheme(const char *uri, bool memory, char *copy, struct parameters *parameters,
		       const struct uds_env *env, struct uds_message *message,
		       struct uds_io **ret_io)
{
	char *question = strchr(copy, '?');
	int r;

	if (question != NULL)
		*question++ = '\0';
	r = read_parameters(uri, memory, question, parameters, message);
	if (r < 0)
		return r;
	if (memory)
		return open_memory(uri, copy, parameters->size, env, message, ret_io);
	r = percent_decode(copy, uri, message);
	if (r < 0)
		return r;
	if (*copy == '\0')
		return failure(message, -EINVAL, "%s: names no path", uri);
	return uds_io_open_file(copy, &parameters->file, env, message, ret_io);
}

UDS_PUBLIC int uds_io_open_uri(const char *uri, const struct uds_io_file_options *options,
			       const struct uds_env *given_env, struct uds_message *ret_message,
			       struct uds_io **ret_io)
{
	struct parameters parameters = { UDS_IO_FILE_OPTIONS_INIT, 0 };
	size_t scheme = scheme_length(uri), bytes;
	struct uds_env env;
	bool memory;
	char *copy;
	int r;

	if (scheme == 0)
		return uds_io_open_file(uri, options, given_env, ret_message, ret_io);
	r = env_take(given_env, ret_message, &env);
	if (r == 0 && options != NULL)
		r = STRUCT_IN(&parameters.file, options, uds_io_file_options, uring, ret_message);
	if (r < 0)
		return failure_in(ret_message, r, "%s", uri);
	memory = scheme == 3 && memcmp(uri, "mem", 3) == 0;
	if (!memory && !(scheme == 4 && memcmp(uri, "file", 4) == 0))
		return failure(
			ret_message, -EINVAL,
			"%s: unknown scheme '%.*s' (known: file, mem; for a path with a colon "
			"write ./PATH or file:PATH)",
			uri, (int)scheme, uri);
	bytes = strlen(uri + scheme + 1) + 1;
	copy = env_allocate(&env, bytes, 1);
	if (copy == NULL)
		return failure(ret_message, -ENOMEM, "%s: no memory", uri);
	memcpy(copy, uri + scheme + 1, bytes);
	r = open_scheme(uri, memory, copy, &parameters, &env, ret_message, ret_io);
	env_release(&env, copy);
	return r;
}
