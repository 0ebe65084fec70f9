/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers in URIs of the plugins' schemes. */
#ifndef COMMON_URI_NUMBER_H
#define COMMON_URI_NUMBER_H

#include <stdint.h>

#include <uds/io.h>

/*
 * Reads a number of up to a million and stores it @times as much; where the URI does not have it,
 * @number stays.
 *
 * @value, @name: of the parameter.
 *
 * Returns 0, or -EINVAL with a sentence.
 */
int uri_number(const struct uds_io_uri *uri, const struct uds_io_value *value, const char *name,
	       uint32_t times, struct uds_message *message, uint32_t *number);

#endif
