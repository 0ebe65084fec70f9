/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds verify`: names what is damaged, and repairs it. */
#include <errno.h>
#include <stdio.h>

#include "families.h"
#include "findings.h"
#include "identify.h"
#include "output.h"
#include "target.h"
#include "text.h"

static int repair_failed(const struct target *target, int status, const struct uds_message *message)
{
	struct command repair = *target->command;

	if (status == UDS_ERR_STOPPED) {
		complain(target->command, "interrupted: a repair can be begun again");
	} else if (status == UDS_ERR_WOULD_LOSE_RECORDS) {
		complain(target->command,
			 "%s: nothing was changed; add --lose-records to give these records up",
			 target->uri);
		return EXIT_DAMAGE;
	}
	repair.name = target->check_nonce ? REPAIR_WITH_NONCE : REPAIR;
	return failed(&repair, target->uri, status, message);
}

static int verify_io(struct target *target, json_t *list, bool repair)
{
	struct index_findings findings = { target, list };
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct progress progress;
	uint64_t count = 0;
	int r;

	catch_interrupts();
	progress_start(&progress, target->quiet, repair ? "repairing" : "verifying", "chapters");
	options.env = &target->env;
	options.offset = target->offset;
	options.zones = (unsigned int)target->zones;
	options.lose_records = target->lose_records;
	options.check_nonce = target->check_nonce;
	options.nonce = target->nonce;
	options.progress = progress_report;
	options.progress_context = &progress;
	r = repair ? uds_index_repair(target->io, &options, take_index_finding, &findings, &message,
				      &count)
		   : uds_index_verify(target->io, &options, take_index_finding, &findings, &message,
				      &count);
	progress_end(&progress);
	if (r < 0 && repair)
		return repair_failed(target, r, &message);
	if (r == UDS_ERR_STOPPED)
		complain(target->command, "interrupted: not everything was checked; nothing is "
					  "ever written");
	if (r < 0)
		return failed(target->command, target->uri, r, &message);
	if (print_verdict(target->uri, list, count, repair) < 0)
		return failed(target->command, "JSON", -ENOMEM, NULL);
	if (count > 0)
		say_what_it_is(target->command, target->uri, UDS_ERR_CORRUPT);
	return count > 0 && !repair ? EXIT_DAMAGE : EXIT_GOOD;
}

int verify_run(const struct command *command, int argc, char **argv)
{
	struct target target = { 0 };
	struct options options;
	json_t *list = NULL;
	bool repair = false;
	char **arguments;
	int status;

	options_start(&options, command);
	target_options(&target, &options, true);
	target_nonce_option(&target, &options);
	options_flag(&options, "repair", &repair);
	options_flag(&options, "lose-records", &target.lose_records);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	if (!repair && (target.lose_records || options_given(&options, "save-time")))
		return misused(command, "--lose-records and --save-time are for --repair");
	target_set(&target, &options, arguments[0]);
	status = target_open_io(&target, repair);
	if (status != EXIT_GOOD)
		return status;
	if (options.json)
		list = json_array();
	status = target_close(&target, false, verify_io(&target, list, repair));
	json_decref(list);
	return finish_output(command, status);
}
