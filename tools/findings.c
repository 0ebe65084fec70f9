/* SPDX-License-Identifier: BSD-2-Clause */
#include "findings.h"

#include <inttypes.h>
#include <stdio.h>

#include "output.h"
#include "target.h"
#include "text.h"

int take_index_finding(void *context, const char *sentence)
{
	struct index_findings *findings = context;
	char named[2048];

	if (findings->list == NULL) {
		complain_about(findings->target->command, findings->target->uri, sentence);
		return 0;
	}
	if (findings->shard != NULL) {
		snprintf(named, sizeof(named), "%.1023s: %.1000s", findings->shard, sentence);
		sentence = named;
	}
	json_array_append_new(findings->list, json_path(sentence));
	return 0;
}

int print_verdict(const char *uri, json_t *list, uint64_t count, bool repair)
{
	json_t *o;

	if (list == NULL && count == 0)
		print_line(stdout, "%s: no damage found", uri);
	else if (list == NULL)
		print_line(stdout, "%s: %" PRIu64 " finding%s%s", uri, count, count == 1 ? "" : "s",
			   repair ? ", repaired" : "");
	if (list == NULL)
		return 0;
	o = json_object();
	json_object_set_new(o, "damaged", json_boolean(count > 0));
	json_object_set_new(o, "findings_count", json_unsigned(count));
	json_object_set(o, "findings", list);
	if (repair)
		json_object_set_new(o, "repaired", json_boolean(count > 0));
	return print_json(o);
}
