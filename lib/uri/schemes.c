/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables of URI schemes. uri.c takes URIs apart by them.
 *
 * That of registered schemes is the one table that all users of the library in a process share, for
 * a backend registers itself once and everybody can open its URIs.
 */
#include "uri/schemes.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/message.h"
#include "base/struct_size.h"

static struct uds_io_scheme registered[UDS_IO_SCHEMES_MAX];
static size_t registered_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the two */

static const struct uds_io_scheme *find_in(const struct uds_io_scheme *rows, size_t count,
					   const char *name, size_t length)
{
	for (size_t i = 0; i < count; i++) {
		if (strlen(rows[i].name) == length && memcmp(rows[i].name, name, length) == 0)
			return &rows[i];
	}
	return NULL;
}

static const struct uds_io_scheme *find_locked(const struct built_in_schemes *built_in,
					       const char *name, size_t length)
{
	const struct uds_io_scheme *found = find_in(built_in->rows, built_in->count, name, length);

	/* Built-in ones first; none of their names can be registered. */
	return found != NULL ? found : find_in(registered, registered_count, name, length);
}

const struct uds_io_scheme *scheme_find(const struct built_in_schemes *built_in, const char *name,
					size_t length)
{
	const struct uds_io_scheme *found;

	pthread_mutex_lock(&lock);
	found = find_locked(built_in, name, length);
	/* The row stays where it is: schemes are never taken away. */
	pthread_mutex_unlock(&lock);
	return found;
}

/* Puts @name and @form behind the text that is there; what does not fit is cut. */
static void append(char *text, size_t room, const char *name, const char *form)
{
	size_t n = strlen(text);

	snprintf(text + n, room - n, "%s%s%s%s", n == 0 ? "" : ", ", name, *form == '\0' ? "" : "=",
		 form);
}

void scheme_names(const struct built_in_schemes *built_in, char *ret_text, size_t room)
{
	ret_text[0] = '\0';
	for (size_t i = 0; i < built_in->count; i++)
		append(ret_text, room, built_in->rows[i].name, "");
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < registered_count; i++)
		append(ret_text, room, registered[i].name, "");
	pthread_mutex_unlock(&lock);
}

const char *parameter_form(const struct uds_io_parameter *parameter)
{
	switch (parameter->kind) {
	case UDS_IO_PARAMETER_FLAG:
		return "0|1";
	case UDS_IO_PARAMETER_CHOICE:
		return parameter->choices;
	case UDS_IO_PARAMETER_SIZE:
		return "BYTES";
	default:
		return "TEXT";
	}
}

void scheme_parameters(const struct uds_io_scheme *scheme, char *ret_text, size_t room)
{
	ret_text[0] = '\0';
	for (uint32_t i = 0; i < scheme->parameter_count; i++)
		append(ret_text, room, scheme->parameters[i].name,
		       parameter_form(&scheme->parameters[i]));
	if (ret_text[0] == '\0')
		snprintf(ret_text, room, "none");
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

size_t scheme_name_length(const char *text)
{
	size_t n = 0;

	while (is_letter(text[n]) ||
	       (n > 0 && text[n] != '\0' && strchr("0123456789+-.", text[n]) != NULL))
		n++;
	return n;
}

/* Of a parameter: what a URI can hold there as it is. */
static bool is_parameter_name(const char *name)
{
	return name != NULL && is_letter(*name) &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789_-.")] == '\0';
}

static int check_parameter(const struct uds_io_scheme *scheme, uint32_t number,
			   struct uds_message *message)
{
	const struct uds_io_parameter *parameter = &scheme->parameters[number];

	if (!is_parameter_name(parameter->name))
		return failure(
			message, -EINVAL,
			"scheme '%s': parameter %u: '%s' is no name (a letter, then letters, "
			"digits, _ - .)",
			scheme->name, number, parameter->name != NULL ? parameter->name : "");
	for (uint32_t i = 0; i < number; i++) {
		if (strcmp(scheme->parameters[i].name, parameter->name) == 0)
			return failure(message, -EINVAL,
				       "scheme '%s': two parameters are named '%s'", scheme->name,
				       parameter->name);
	}
	/*
	 * A newer library may have more kinds: a backend that needs one is refused here, not
	 * misread later.
	 */
	if (parameter->kind < UDS_IO_PARAMETER_FLAG || parameter->kind > UDS_IO_PARAMETER_TEXTS ||
	    parameter->unused != 0)
		return failure(
			message, -EINVAL,
			"scheme '%s': parameter '%s' is of a kind that is not known (%u, %u)",
			scheme->name, parameter->name, parameter->kind, parameter->unused);
	if (parameter->kind == UDS_IO_PARAMETER_CHOICE &&
	    (parameter->choices == NULL || *parameter->choices == '\0'))
		return failure(message, -EINVAL, "scheme '%s': parameter '%s' has no choices",
			       scheme->name, parameter->name);
	return 0;
}

static int check_scheme(const struct uds_io_scheme *scheme, struct uds_message *message)
{
	size_t length = scheme->name == NULL ? 0 : scheme_name_length(scheme->name);
	int r = 0;

	/* The name must be one that a URI can begin with, as a whole. */
	if (length == 0 || scheme->name[length] != '\0' || length > UDS_IO_SCHEME_NAME_MAX)
		return failure(
			message, -EINVAL,
			"'%s' is no name of a scheme (a letter, then letters, digits, + - ., "
			"at most %u in all)",
			scheme->name != NULL ? scheme->name : "", UDS_IO_SCHEME_NAME_MAX);
	if (scheme->open == NULL)
		return failure(message, -EINVAL, "scheme '%s' has no open function", scheme->name);
	if (scheme->parameter_count > UDS_IO_PARAMETERS_MAX ||
	    (scheme->parameter_count > 0 && scheme->parameters == NULL))
		return failure(message, -EINVAL,
			       "scheme '%s': %u parameters%s (at most %u, in a table)",
			       scheme->name, scheme->parameter_count,
			       scheme->parameters == NULL ? " and no table of them" : "",
			       UDS_IO_PARAMETERS_MAX);
	for (uint32_t i = 0; r == 0 && i < scheme->parameter_count; i++)
		r = check_parameter(scheme, i, message);
	return r;
}

static int add_locked(const struct built_in_schemes *built_in, const struct uds_io_scheme *scheme,
		      struct uds_message *message)
{
	/* Under the same lock as the addition: of two threads one is refused. */
	if (find_locked(built_in, scheme->name, strlen(scheme->name)) != NULL)
		return failure(message, UDS_ERR_EXISTS, "a scheme '%s' is there already",
			       scheme->name);
	if (built_in->count + registered_count >= UDS_IO_SCHEMES_MAX)
		return failure(message, UDS_ERR_NO_ROOM,
			       "scheme '%s': the table of schemes is full (%u)", scheme->name,
			       UDS_IO_SCHEMES_MAX);
	/* The row is whole before the number counts it; both are read under the lock only. */
	registered[registered_count++] = *scheme;
	return 0;
}

int scheme_register(const struct built_in_schemes *built_in, const struct uds_io_scheme *scheme,
		    struct uds_message *ret_message)
{
	struct uds_io_scheme row = UDS_IO_SCHEME_INIT;
	int r = STRUCT_IN(&row, scheme, uds_io_scheme, unused, ret_message);

	if (r == 0)
		r = check_scheme(&row, ret_message);
	if (r < 0)
		return r;
	pthread_mutex_lock(&lock);
	r = add_locked(built_in, &row, ret_message);
	pthread_mutex_unlock(&lock);
	return r;
}
