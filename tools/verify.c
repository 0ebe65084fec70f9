/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds verify`: names what is damaged. */
#include <errno.h>
#include <stdio.h>

#include "families.h"
#include "output.h"
#include "target.h"
#include "text.h"

/* What uds_index_verify() calls back with. */
struct findings {
	const struct target *target;
	json_t *list; /* NULL: they are printed as they come */
};

static int take_finding(void *context, const char *sentence)
{
	struct findings *findings = context;

	if (findings->list != NULL)
		json_array_append_new(findings->list, json_path(sentence));
	else
		complain_about(findings->target->command, findings->target->uri, sentence);
	return 0;
}

static int print_verdict(const struct target *target, json_t *list, uint64_t count)
{
	json_t *o;

	if (list == NULL) {
		if (count == 0)
			print_line(stdout, "%s: no damage found", target->uri);
		else
			print_line(stdout, "%s: %llu finding%s", target->uri,
				   (unsigned long long)count, count == 1 ? "" : "s");
		return 0;
	}
	o = json_object();
	json_object_set_new(o, "damaged", json_boolean(count > 0));
	json_object_set_new(o, "findings_count", json_unsigned(count));
	json_object_set(o, "findings", list);
	return print_json(o);
}

static int verify_io(struct target *target, json_t *list)
{
	struct findings findings = { target, list };
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct progress progress;
	uint64_t count = 0;
	int r;

	catch_interrupts();
	progress_start(&progress, target->quiet, "verifying", "chapters");
	options.env = &target->env;
	options.offset = target->offset;
	options.zones = (unsigned int)target->zones;
	options.mode = UDS_INDEX_READ_ONLY;
	options.progress = progress_report;
	options.progress_context = &progress;
	r = uds_index_verify(target->io, &options, take_finding, &findings, &message, &count);
	progress_end(&progress);
	if (r == UDS_ERR_STOPPED)
		complain(target->command, "interrupted: not everything was checked; nothing is "
					  "ever written");
	if (r < 0)
		return failed(target->command, target->uri, r, &message);
	if (print_verdict(target, list, count) < 0)
		return failed(target->command, "JSON", -ENOMEM, NULL);
	return count > 0 ? EXIT_DAMAGE : EXIT_GOOD;
}

int verify_run(const struct command *command, int argc, char **argv)
{
	struct target target = { 0 };
	struct options options;
	json_t *list = NULL;
	char **arguments;
	int status;

	options_start(&options, command);
	target_options(&target, &options, false);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	target_set(&target, &options, arguments[0]);
	status = target_open_io(&target, false);
	if (status != EXIT_GOOD)
		return status;
	if (options.json)
		list = json_array();
	status = target_close(&target, false, verify_io(&target, list));
	json_decref(list);
	return finish_output(command, status);
}
