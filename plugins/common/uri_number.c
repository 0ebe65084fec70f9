/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/uri_number.h"

#include <errno.h>
#include <stdlib.h>

#include "base/message.h"

int uri_number(const struct uds_io_uri *uri, const struct uds_io_value *value, const char *name,
	       uint32_t times, struct uds_message *message, uint32_t *number)
{
	const char *text = value->text;
	unsigned long read;
	char *end;

	if (text == NULL)
		return 0;
	read = strtoul(text, &end, 10);
	if (text[0] < '0' || text[0] > '9' || *end != '\0' || read > 1000000)
		return failure(message, -EINVAL, "%s: %s: '%.60s' is no number from 0 to 1000000",
			       uri->text, name, text);
	*number = (uint32_t)read * times;
	return 0;
}
