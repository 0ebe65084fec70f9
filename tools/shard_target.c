/* SPDX-License-Identifier: BSD-2-Clause */
/* Commands on several indexes as one. */
#include "shard_target.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "progress.h"

bool is_manifest(const char *path)
{
	char begin[256];
	struct stat status;
	ssize_t length;
	int file;

	/* A device or a pipe is never opened for this: that may wait, or have effects. */
	if (stat(path, &status) < 0 || !S_ISREG(status.st_mode))
		return false;
	file = open(path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return false;
	length = read(file, begin, sizeof(begin) - 1);
	close(file);
	if (length <= 0)
		return false;
	begin[length] = '\0';
	return begin[strspn(begin, " \t\r\n")] == '{' && strstr(begin, "\"uds-shards\"") != NULL;
}

static int open_shard(void *context, const char *uri, bool write, const struct uds_env *env,
		      struct uds_message *ret_message, struct uds_io **ret_io)
{
	return target_open_uri(context, uri, write, env, ret_message, ret_io);
}

void shard_options(struct target *target, const struct uds_index_options *index,
		   struct uds_shards_options *ret_options)
{
	struct uds_shards_options options = UDS_SHARDS_OPTIONS_INIT;

	options.env = &target->env;
	options.open_io = open_shard;
	options.open_context = target;
	options.index = index;
	*ret_options = options;
}

int shards_target_open(struct target *target, const struct uds_index_options *index,
		       bool abandon_move)
{
	struct uds_shards_options options;
	struct uds_message message = { "" };
	int status = check_manifest_options(target), r;

	if (status != EXIT_GOOD)
		return status;
	shard_options(target, index, &options);
	options.abandon_move = abandon_move;
	r = uds_shards_open(target->uri, &options, &message, &target->shards);
	return r < 0 ? failed(target->command, target->uri, r, &message) : EXIT_GOOD;
}

int shards_target_run(struct target *target, struct uds_request *requests, size_t count)
{
	return uds_shards_run(target->shards, requests, count);
}

unsigned int shards_target_count(struct target *target)
{
	struct uds_shards_info info = UDS_SHARDS_INFO_INIT;

	(void)uds_shards_get_info(target->shards, &info);
	return info.shards;
}

/* What the manifest says of a shard that is there. */
static struct uds_shard_info shard_of(struct target *target, unsigned int number)
{
	struct uds_shard_info info = UDS_SHARD_INFO_INIT;

	(void)uds_shards_get_shard(target->shards, number, &info);
	return info;
}

struct uds_index *shards_target_index(struct target *target, unsigned int number)
{
	return shard_of(target, number).index;
}

int shards_target_for_each(struct target *target, uds_record_fn each, void *context)
{
	return uds_shards_for_each(target->shards, each, context);
}

int shards_target_statistics(struct target *target, struct uds_index_statistics *ret_statistics)
{
	return uds_shards_get_statistics(target->shards, ret_statistics);
}

struct listing {
	shard_fn each;
	void *context;
};

static int list_shard(void *context, const struct uds_shard_info *shard)
{
	const struct listing *listing = context;

	return listing->each(listing->context, shard->uri, shard->volume_nonce);
}

int shards_target_list(struct target *target, shard_fn each, void *context)
{
	struct uds_shards_info info = UDS_SHARDS_INFO_INIT;
	struct listing listing = { each, context };
	struct uds_shards_options options;
	struct uds_message message = { "" };
	int r;

	shard_options(target, NULL, &options);
	r = uds_shards_read_info(target->uri, &options, list_shard, &listing, &message, &info);
	return r < 0 && r != UDS_ERR_STOPPED ? failed(target->command, target->uri, r, &message)
					     : EXIT_GOOD;
}

int shards_target_failed(struct target *target, int status)
{
	struct uds_message message = { "" };

	uds_shards_error_message(target->shards, &message);
	return failed(target->command, target->uri, status, &message);
}

int shards_target_close(struct target *target, bool save, int status)
{
	struct uds_message message = { "" };
	int r = save ? uds_shards_save(target->shards) : 0;

	if (r < 0) {
		int saving = shards_target_failed(target, r);

		complain(target->command, "%s: not saved", target->uri);
		status = status == EXIT_GOOD ? saving : status;
	}
	r = uds_shards_close(target->shards);
	target->shards = NULL;
	if (r < 0 && status == EXIT_GOOD)
		status = failed(target->command, target->uri, r, &message);
	return status;
}
