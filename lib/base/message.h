/* SPDX-License-Identifier: BSD-2-Clause */
/* Filling in the message of a failure. */
#ifndef BASE_MESSAGE_H
#define BASE_MESSAGE_H

#include <stddef.h>

#include <uds/status.h>

/*
 * Writes the sentence (NULL @message: nowhere) and returns @status, so that a failure is one
 * statement: return failure(message, UDS_ERR_CORRUPT, "%s: page %u: ...", ...).
 */
int failure(struct uds_message *message, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Hands a sentence on: @said to @message, or what @format says where @said is empty. Returns
 * @status.
 */
int failure_or(struct uds_message *message, const struct uds_message *said, int status,
	       const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Puts "@format: " in front of the sentence that is there. Returns @status. */
int failure_in(struct uds_message *message, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Why a thread could not be made, for a sentence. @status: what pthread_create() said, negated. */
const char *no_thread_text(int status);

/* How much printable_bytes() writes for @length bytes. */
#define PRINTABLE_BYTES(length) (4 * (length) + 1)

/*
 * Bytes from a device, for a sentence: a character of ASCII as itself, others as \xNN. @to: room
 * for PRINTABLE_BYTES(length). Returns @to.
 */
const char *printable_bytes(const void *bytes, size_t length, char *to);

#ifdef UDS_ANALYZED
/* By a tool that looks at one file at a time, and would take a failure for a possible success. */
static inline int failure_status(int said, int status)
{
	(void)said;
	return status;
}
#define failure(message, status, ...) failure_status(failure(message, status, __VA_ARGS__), status)
#define failure_or(message, said, status, ...) \
	failure_status(failure_or(message, said, status, __VA_ARGS__), status)
#define failure_in(message, status, ...) \
	failure_status(failure_in(message, status, __VA_ARGS__), status)
#endif

#endif
