/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The tables of URI schemes: the built-in ones, a constant table that the caller hands in, and
 * those that programs register. Rows are only ever added, and never change afterwards.
 */
#ifndef URI_SCHEMES_H
#define URI_SCHEMES_H

#include <uds/io.h>

struct built_in_schemes {
	const struct uds_io_scheme *rows;
	size_t count;
};

/* The row of a scheme, or NULL. The name need not end in a zero. */
const struct uds_io_scheme *scheme_find(const struct built_in_schemes *built_in, const char *name,
					size_t length);

/* Registers a scheme: uds_io_register_scheme(). */
int scheme_register(const struct built_in_schemes *built_in, const struct uds_io_scheme *scheme,
		    struct uds_message *ret_message);

/* "file, mem" and what was registered, cut to the @room. */
void scheme_names(const struct built_in_schemes *built_in, char *ret_text, size_t room);

/*
 * "direct=0|1|auto, uring=0|1": what the scheme takes, cut to the @room; "none" when
 * it takes nothing.
 */
void scheme_parameters(const struct uds_io_scheme *scheme, char *ret_text, size_t room);

/* What a value of the parameter looks like: "BYTES", "0|1". */
const char *parameter_form(const struct uds_io_parameter *parameter);

/* The length of the name that @text begins with: a letter, then letters, digits, + - . */
size_t scheme_name_length(const char *text);

#endif
