/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef COMMON_COPY_TEXT_H
#define COMMON_COPY_TEXT_H

#include <string.h>

#include "base/env.h"

/* A copy in memory of the environment; NULL: there is none. */
static inline char *copy_text(const struct uds_env *env, const char *text)
{
	size_t bytes = strlen(text) + 1;
	char *copy = env_allocate(env, bytes, 1);

	if (copy != NULL)
		memcpy(copy, text, bytes);
	return copy;
}

#endif
