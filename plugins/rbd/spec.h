/* SPDX-License-Identifier: BSD-2-Clause */
/* The name of an image: POOL/IMAGE[@SNAPSHOT]. */
#ifndef RBD_SPEC_H
#define RBD_SPEC_H

#include <uds/env.h>
#include <uds/status.h>

struct image_spec {
	char *memory; /* of the next three */
	const char *pool;
	const char *image;
	const char *snapshot; /* NULL: none */
};

/*
 * Takes a name apart. @name: for sentences. Returns 0, -EINVAL or -ENOMEM; afterwards
 * env_release() what is in memory.
 */
int spec_parse(const char *name, const char *text, const struct uds_env *env,
	       struct uds_message *message, struct image_spec *ret_spec);

#endif
