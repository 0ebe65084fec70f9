/* SPDX-License-Identifier: BSD-2-Clause */
/* Copying public structs from and to callers that know other versions of them. */
#include "base/struct_size.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <string.h>

#include "base/message.h"

static uint64_t size_of(const void *given)
{
	uint64_t size;

	/* By bytes: what the caller gave is of another type, perhaps of another version. */
	memcpy(&size, given, sizeof(size));
	return size;
}

/* A size above this is no struct's, and what it claims to have is not looked at. */
#define SIZE_LIMIT 4096

int struct_out_check(const void *given, size_t first, const char *name, struct uds_message *message)
{
	uint64_t size = size_of(given);

	if (size > SIZE_LIMIT)
		return failure(message, -E2BIG,
			       "%s: its size member is %" PRIu64
			       ", which no version of it has: start it "
			       "with its INIT macro",
			       name, size);

	if (size < first)
		return failure(message, -EINVAL,
			       "%s: its size member is %" PRIu64
			       ", and must be at least %zu: start it with "
			       "its INIT macro",
			       name, size, first);
	return 0;
}

int struct_in(void *known, size_t known_size, const void *given, size_t first, const char *name,
	      struct uds_message *message)
{
	const uint8_t *bytes = given;
	uint64_t size = size_of(given);
	int r = struct_out_check(given, first, name, message);

	if (r < 0)
		return r;
	/*
	 * As openat2() does: a newer program may run on this library as long as it asks for nothing
	 * that is unknown here.
	 */
	for (size_t i = known_size; i < size; i++) {
		if (bytes[i] != 0)
			return failure(
				message, -E2BIG,
				"%s: byte %zu of %zu is set, and this version of the library "
				"knows only %zu",
				name, i, (size_t)size, known_size);
	}
	/* Members that the caller's version does not have keep what INIT gave them. */
	memcpy(known, given, size < known_size ? (size_t)size : known_size);
	size = known_size;
	memcpy(known, &size, sizeof(size));
	return 0;
}

void struct_out(void *given, const void *known, size_t known_size)
{
	uint64_t size = size_of(given);
	size_t both = size < known_size ? (size_t)size : known_size;

	/* The size stays the caller's: it tells how much of the struct is there. */
	memcpy((uint8_t *)given + sizeof(size), (const uint8_t *)known + sizeof(size),
	       both - sizeof(size));
	/* A newer program finds zeros in members that this library does not fill. */
	memset((uint8_t *)given + both, 0, (size_t)size - both);
}
