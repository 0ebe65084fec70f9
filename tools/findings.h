/* SPDX-License-Identifier: BSD-2-Clause */
/* What the commands that check something find, and what they say at the end. */
#ifndef TOOLS_FINDINGS_H
#define TOOLS_FINDINGS_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

struct target;

struct index_findings {
	const struct target *target;
	json_t *list;	   /* NULL: they are printed as they come */
	const char *shard; /* NULL, or what each sentence in the list begins with */
};

/* What a check or a repair of an index calls back with; @context is a struct index_findings. */
int take_index_finding(void *context, const char *sentence);

/*
 * Says how many there were, in a line, or as an object with the list. @repair: that was asked for,
 * and done if there was anything. Returns 0, or -1 when it cannot be written.
 */
int print_verdict(const char *uri, json_t *list, uint64_t count, bool repair);

#endif
