/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of the commands about VDO volumes, with their help texts. */
#include "families.h"
#include "target.h"

static const char audit_options[] = "  --sample N            look at one MiB in N of the data "
				    "blocks (1: all)\n" TARGET_COMMON_HELP;

static const char prime_options[] =
	"  --create              make a fresh index first, with the nonce of the volume\n"
	"  --all                 read all data blocks, also what the reference counters call free\n"
	"  --dirty               also a volume that was not stopped; only if it does not run "
	"anywhere\n"
	"  --zones Z             parts that threads work on side by side, 1 to 16 "
	"(1)\n" TARGET_COMMON_HELP;

const struct command vdo_commands[] = {
	{
		.name = "vdo audit",
		.line = "Checks each record of a VDO volume's index against the block it points to",
		.usage = "[--sample N] [OPTION...] DEVICE",
		.options = audit_options,
		.run = vdo_audit_run,
	},
	{
		.name = "vdo prime",
		.line = "Fills the index of a stopped VDO volume from its data blocks",
		.usage = "[--create] [OPTION...] DEVICE",
		.options = prime_options,
		.run = vdo_prime_run,
	},
	{ .name = NULL },
};
