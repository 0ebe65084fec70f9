/* SPDX-License-Identifier: BSD-2-Clause */
/* Sentences about failures: formatted once, where the failure is found; callers add the place. */
#include "base/message.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

int(failure)(struct uds_message *message, int status, const char *format, ...)
{
	va_list args;

	if (message == NULL)
		return status;
	va_start(args, format);
	vsnprintf(message->text, sizeof(message->text), format, args);
	va_end(args);
	return status;
}

int(failure_or)(struct uds_message *message, const struct uds_message *said, int status,
		const char *format, ...)
{
	va_list args;

	if (message == NULL)
		return status;
	if (said->text[0] != '\0') {
		*message = *said;
		return status;
	}
	va_start(args, format);
	vsnprintf(message->text, sizeof(message->text), format, args);
	va_end(args);
	return status;
}

int(failure_in)(struct uds_message *message, int status, const char *format, ...)
{
	char place[256];
	size_t n, room;
	va_list args;

	if (message == NULL)
		return status;
	room = sizeof(message->text);
	va_start(args, format);
	/* Room for the colon and the space that follow. */
	vsnprintf(place, sizeof(place) - 2, format, args);
	va_end(args);
	n = strlen(place);
	memcpy(place + n, ": ", 3);
	n += 2;
	/*
	 * The sentence so far moves back, and loses its end if there is no room: the place tells
	 * more.
	 */
	memmove(message->text + n, message->text, room - n);
	memcpy(message->text, place, n);
	message->text[room - 1] = '\0';
	return status;
}

const char *no_thread_text(int status)
{
	return status == -EAGAIN ? "the system has no more threads" : uds_strerror(status);
}

const char *printable_bytes(const void *bytes, size_t length, char *to)
{
	const uint8_t *from = bytes;
	char *at = to;

	/* By their numbers: what a locale prints is not what the reader of a log can. */
	for (size_t i = 0; i < length; i++) {
		if (from[i] >= ' ' && from[i] <= '~')
			*at++ = (char)from[i];
		else
			at += snprintf(at, sizeof("\\xNN"), "\\x%02x", from[i]);
	}
	*at = '\0';
	return to;
}
