/* SPDX-License-Identifier: BSD-2-Clause */
#include "rbd/spec.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "common/copy_text.h"

/* Ends the text at the first @separator. Returns what is behind it; NULL: there is none. */
static char *cut(char *text, char separator)
{
	char *at = strchr(text, separator);

	if (at == NULL)
		return NULL;
	*at = '\0';
	return at + 1;
}

static int refuse(const char *name, const char *why, struct uds_message *message)
{
	return failure(message, -EINVAL, "%s: %s: expected POOL/IMAGE or POOL/IMAGE@SNAPSHOT", name,
		       why);
}

int spec_parse(const char *name, const char *text, const struct uds_env *env,
	       struct uds_message *message, struct image_spec *ret_spec)
{
	char *pool = copy_text(env, text), *image, *snapshot;
	const char *why = NULL;

	if (pool == NULL)
		return failure(message, -ENOMEM, "%s: no memory", name);
	image = cut(pool, '/');
	snapshot = image == NULL ? NULL : cut(image, '@');
	if (pool[0] == '\0' || image == NULL || image[0] == '\0')
		why = "no pool or no image";
	else if (strchr(image, '/') != NULL)
		why = "two slashes (a namespace is an option of its own)";
	else if (snapshot != NULL && snapshot[0] == '\0')
		why = "an empty name of a snapshot";
	if (why != NULL) {
		env_release(env, pool);
		return refuse(name, why, message);
	}
	ret_spec->memory = pool;
	ret_spec->pool = pool;
	ret_spec->image = image;
	ret_spec->snapshot = snapshot;
	return 0;
}
