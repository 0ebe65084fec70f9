/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of URI schemes. Rows are only ever added, and never change afterwards. */
#ifndef IO_SCHEMES_H
#define IO_SCHEMES_H

#include <uds/io.h>

/* The row of a scheme, or NULL. The name need not end in a zero. */
const struct uds_io_scheme *scheme_find(const char *name, size_t length);

/* "file, mem" and what was registered, cut to the @room. */
void scheme_names(char *ret_text, size_t room);

/* "direct=0|1|auto, uring=0|1": what the scheme takes, cut to the @room; "none" when it takes nothing. */
void scheme_parameters(const struct uds_io_scheme *scheme, char *ret_text, size_t room);

/* What a value of the parameter looks like: "BYTES", "0|1". */
const char *parameter_form(const struct uds_io_parameter *parameter);

/* The length of the name that @text begins with: a letter, then letters, digits, + - . */
size_t scheme_name_length(const char *text);

#endif
