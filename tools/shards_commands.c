/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of the commands about shards, with their help texts. */
#include "families.h"
#include "target.h"

#ifndef WITH_SHARDS
/* Known all the same, so that a script is told what is missing. */
static int say_what_lacks(const struct command *command, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	complain(command, "this uds was built without libuds-shards");
	return EXIT_FAILED;
}

#define shards_create_run say_what_lacks
#define shards_info_run	  say_what_lacks
#define shards_move_run	  say_what_lacks
#define shards_verify_run say_what_lacks
#endif

static const char common_options[] = TARGET_COMMON_HELP;
static const char move_options[] =
	"  --zones Z             parts that threads work on side by side in each shard, 1 to 16 "
	"(1)\n" TARGET_COMMON_HELP;
static const char resume_options[] =
	"  --abandon             give the move up: names stay where they were\n"
	"  --zones Z             parts that threads work on side by side in each shard, 1 to 16 "
	"(1)\n" TARGET_COMMON_HELP;

const struct command shards_commands[] = {
	{
		.name = "shards create",
		.line = "Makes one logical index of several indexes",
		.usage = "[OPTION...] MANIFEST INDEX...",
		.options = common_options,
		.run = shards_create_run,
	},
	{
		.name = "shards info",
		.line = "Says which indexes belong together, what each is like, and if names move",
		.usage = "[OPTION...] MANIFEST",
		.options = common_options,
		.run = shards_info_run,
	},
	{
		.name = "shards add",
		.line = "Adds an index, and moves the names to it that belong there",
		.usage = "[OPTION...] MANIFEST INDEX",
		.options = move_options,
		.run = shards_move_run,
	},
	{
		.name = "shards remove",
		.line = "Moves the names of an index to the others, and removes it",
		.usage = "[OPTION...] MANIFEST INDEX",
		.options = move_options,
		.run = shards_move_run,
	},
	{
		.name = "shards resume",
		.line = "Goes on with adding or removing an index that was interrupted",
		.usage = "[--abandon] [OPTION...] MANIFEST",
		.options = resume_options,
		.run = shards_move_run,
	},
	{
		.name = "shards verify",
		.line = "Checks that all indexes are there, and everything in them",
		.usage = "[OPTION...] MANIFEST",
		.options = common_options,
		.run = shards_verify_run,
	},
	{ .name = NULL },
};
