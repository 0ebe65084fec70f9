/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds recover`: opens an index that was not saved after its last change, and saves it. */
#include <errno.h>
#include <stdio.h>

#include "families.h"
#include "output.h"
#include "target.h"
#include "text.h"

static int print_recovery(const struct target *target, bool json, bool recovered,
			  const struct uds_index_statistics *statistics)
{
	json_t *o;

	if (!json) {
		print_line(stdout, "%s: %s; chapters %llu to %llu, %llu entries", target->uri,
			   recovered ? "recovered and saved"
				     : "was saved already, nothing to recover",
			   (unsigned long long)statistics->oldest_chapter,
			   (unsigned long long)statistics->open_chapter,
			   (unsigned long long)statistics->entries);
		return 0;
	}
	o = json_object();
	json_object_set_new(o, "recovered", json_boolean(recovered));
	json_object_set_new(o, "oldest_chapter", json_unsigned(statistics->oldest_chapter));
	json_object_set_new(o, "newest_chapter", json_unsigned(statistics->open_chapter));
	json_object_set_new(o, "entries", json_unsigned(statistics->entries));
	return print_json(o);
}

/* What is there before; an exit status after a message when it is no index. */
static int read_state(struct target *target, struct uds_index_info *ret_info)
{
	struct uds_index_info info = { .size = sizeof(info) };
	struct uds_message message = { "" };
	struct uds_index_info_options options = UDS_INDEX_INFO_OPTIONS_INIT;
	int status, r;

	info.configuration.size = sizeof(info.configuration);
	status = target_open_io(target, false);
	if (status != EXIT_GOOD)
		return status;
	options.env = &target->env;
	options.offset = target->offset;
	options.check_save = true;
	r = uds_index_read_info(target->io, &options, &message, &info);
	if (r == 0)
		*ret_info = info;
	else if (!target->skip_unreadable) /* otherwise opening says what can be done without */
		status = failed(target->command, target->uri, r, &message);
	return target_close(target, false, status);
}

/* A save that is ignored takes the records of its open chapter with it: only when told so twice. */
static int refuse_loss(const struct target *target, const struct uds_index_info *info)
{
	complain(target->command,
		 "%s: its save has %llu records that are nowhere else; recover without "
		 "--ignore-saves to keep them, or add --lose-records to give them up",
		 target->uri, (unsigned long long)info->saved_records);
	return EXIT_FAILED;
}

int recover_run(const struct command *command, int argc, char **argv)
{
	struct uds_index_statistics statistics = { .size = sizeof(statistics) };
	struct uds_index_info info = { .state = UDS_INDEX_NEEDS_RECOVERY };
	struct target target = { 0 };
	struct options options;
	char **arguments;
	bool ignore_saves = false;
	bool recovered;
	int status;

	options_start(&options, command);
	target_options(&target, &options, true);
	target_nonce_option(&target, &options);
	options_flag(&options, "ignore-saves", &ignore_saves);
	options_flag(&options, "lose-records", &target.lose_records);
	options_flag(&options, "skip-unreadable", &target.skip_unreadable);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	target_set(&target, &options, arguments[0]);
	status = read_state(&target, &info);
	if (status == EXIT_GOOD && ignore_saves && !target.lose_records && info.saved_records > 0)
		status = refuse_loss(&target, &info);
	if (status != EXIT_GOOD)
		return status;
	status = target_open(&target, ignore_saves ? UDS_INDEX_RECOVER : UDS_INDEX_LOAD_OR_RECOVER);
	if (status != EXIT_GOOD)
		return status;
	recovered = ignore_saves || info.state != UDS_INDEX_CLEAN;
	uds_index_get_statistics(target.index, &statistics);
	status = target_close(&target, recovered, EXIT_GOOD);
	if (status != EXIT_GOOD)
		return status;
	if (print_recovery(&target, options.json, recovered, &statistics) < 0)
		return failed(command, "JSON", -ENOMEM, NULL);
	return finish_output(command, EXIT_GOOD);
}
