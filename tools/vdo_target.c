/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening and closing a VDO volume. */
#include "vdo_target.h"

#include "progress.h"
#include "schemes.h"

static void print_log(void *context, enum uds_log_level level, const char *sentence)
{
	const struct vdo_target *target = context;

	if (level <= UDS_LOG_WARNING && !target->quiet)
		complain_about(target->command, target->uri, sentence);
}

void vdo_set(struct vdo_target *target, const struct options *options, const char *uri)
{
	const struct uds_vdo_info info = UDS_VDO_INFO_INIT;
	const struct uds_env env = UDS_ENV_INIT;

	target->command = options->command;
	target->quiet = options->quiet;
	target->uri = uri;
	target->info = info;
	target->env = env;
	target->env.context = target;
	target->env.log = print_log;
}

int vdo_open(struct vdo_target *target, bool write)
{
	struct uds_vdo_index_options region = UDS_VDO_INDEX_OPTIONS_INIT;
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	int status, r;

	options.write = write;
	r = open_uri(target->uri, &options, &target->env, &message, &target->device);
	if (r < 0)
		return failed(target->command, target->uri, r, &message);
	r = uds_vdo_read_info(target->device, &message, &target->info);
	region.allow_dirty = target->allow_dirty;
	if (r == 0)
		r = uds_vdo_open_index(target->device, &region, &target->env, &message,
				       &target->region);
	if (r == 0)
		return EXIT_GOOD;
	status = failed(target->command, target->uri, r, &message);
	/* The sentence has the name that it has in a URI. */
	if (r == UDS_ERR_IN_USE)
		complain(target->command, "%s: for this command that is the option --dirty",
			 target->uri);
	return vdo_close(target, status);
}

int vdo_open_index(struct vdo_target *target, enum uds_index_mode mode, unsigned int zones)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct progress progress;
	int status, r;

	catch_interrupts();
	progress_start(&progress, target->quiet, "recovering", "chapters");
	options.env = &target->env;
	options.mode = mode;
	options.zones = zones;
	options.check_nonce = true;
	options.nonce = target->info.nonce;
	options.progress = progress_report;
	options.progress_context = &progress;
	r = uds_index_open(target->region, &options, &message, &target->index);
	progress_end(&progress);
	if (r == 0)
		return EXIT_GOOD;
	complain_about(target->command, target->uri,
		       message.text[0] != '\0' ? message.text : uds_strerror(r));
	status = r == UDS_ERR_CORRUPT || r == UDS_ERR_MISMATCH ? EXIT_DAMAGE : EXIT_FAILED;
	say_what_it_is(target->command, target->uri, r);
	if (r == UDS_ERR_NOT_AN_INDEX || r == UDS_ERR_CORRUPT || r == UDS_ERR_MISMATCH ||
	    r == UDS_ERR_NONCE_MISMATCH || r == UDS_ERR_WOULD_LOSE_RECORDS)
		complain(target->command,
			 "%s: the index cannot be used; with the volume stopped, uds vdo prime "
			 "--create %s makes it again and fills it",
			 target->uri, target->uri);
	return status;
}

int vdo_index_failed(struct vdo_target *target, int status)
{
	struct uds_message message = { "" };

	uds_index_error_message(target->index, &message);
	return failed(target->command, target->uri, status, &message);
}

int vdo_close(struct vdo_target *target, int status)
{
	int r = 0;

	if (target->index != NULL)
		r = uds_index_close(target->index);
	target->index = NULL;
	uds_io_close(target->region);
	target->region = NULL;
	if (r == 0)
		r = uds_io_close(target->device);
	else
		uds_io_close(target->device);
	target->device = NULL;
	if (r < 0 && status == EXIT_GOOD)
		status = failed(target->command, target->uri, r, NULL);
	return status;
}
