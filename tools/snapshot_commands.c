/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of the commands about snapshots, with their help texts. */
#include "families.h"
#include "snapshot_target.h"
#include "target.h"

static const char create_options[] =
	"  --chunk-size BYTES    a power of two from 512 to 1G (16K)\n"
	"  --size BYTES          make a new file of this size\n"
	"  --create-image        with --size: make the image that the URI names (rbd:POOL/IMAGE)\n"
	"  --force               write over what is there\n" TARGET_COMMON_HELP;

static const char info_options[] = SNAPSHOT_SALVAGE_HELP TARGET_COMMON_HELP;

static const char list_options[] =
	"  --ranges              lines OLD NEW COUNT, consecutive chunks together, by "
	"OLD\n" SNAPSHOT_SALVAGE_HELP TARGET_COMMON_HELP;

static const char read_options[] = SNAPSHOT_ORIGIN_HELP
	"  --offset BYTES        where to begin (0)\n"
	"  --length BYTES        how much (to the end)\n"
	"  --output FILE         write to FILE instead of standard output\n"
	"  --sparse              leave holes for zeros, and for what is missing\n"
	"  --salvage             go on behind what cannot be read, and read an invalid "
	"one\n" TARGET_COMMON_HELP;

static const char diff_options[] = SNAPSHOT_ORIGIN_HELP
	"  --equal               read both, and leave out blocks that are equal\n"
	"  --output FILE         write the content that is new there to FILE, at its place,\n"
	"                        with holes for the rest\n" TARGET_COMMON_HELP;

static const char write_options[] =
	SNAPSHOT_ORIGIN_HELP "  --offset BYTES        where to begin\n" TARGET_COMMON_HELP;

static const char write_origin_options[] = SNAPSHOT_ORIGIN_HELP
	"  --offset BYTES        where to begin\n" SNAPSHOT_COW_HELP TARGET_COMMON_HELP;

static const char merge_options[] = SNAPSHOT_ORIGIN_HELP SNAPSHOT_COW_HELP
	"  --limit CHUNKS        stop after that many exceptions\n"
	"  --dry-run             only say what would be copied\n"
	"  --rate BYTES          copy at most so much a second\n"
	"  --skip-equal          read the origin first, and do not write what "
	"is equal\n"
	"  --force               also into an origin that ends inside a chunk, "
	"at a length\n"
	"                        that no device has\n"
	"  --salvage             merge what can be read, list the rest; also of an "
	"invalid one\n" TARGET_COMMON_HELP;

static const char serve_options[] = SNAPSHOT_ORIGIN_HELP SNAPSHOT_COW_HELP
	"  --socket PATH         the Unix socket to make for clients\n"
	"  --show-origin         serve the origin, and copy out what a write replaces\n"
	"  --write               let clients write\n"
	"  --plugin FILE         another nbdkit-uds-plugin.so\n" SNAPSHOT_SALVAGE_HELP
		TARGET_COMMON_HELP;

static const char verify_options[] = SNAPSHOT_ORIGIN_HELP TARGET_COMMON_HELP;

const struct command snapshot_commands[] = {
	{
		.name = "snapshot create",
		.line = "Makes an empty exception store",
		.usage = "--chunk-size BYTES [--force] [OPTION...] COW",
		.options = create_options,
		.run = snapshot_create_run,
	},
	{
		.name = "snapshot info",
		.line = "Says what state a snapshot is in, and what that means",
		.usage = "[OPTION...] COW",
		.options = info_options,
		.run = snapshot_info_run,
	},
	{
		.name = "snapshot list",
		.line = "Lists the exceptions, a line OLD NEW each",
		.usage = "[--ranges] [OPTION...] COW",
		.options = list_options,
		.run = snapshot_list_run,
	},
	{
		.name = "snapshot read",
		.line = "Writes the content of the snapshot to standard output",
		.usage = "--origin O [OPTION...] COW",
		.options = read_options,
		.run = snapshot_read_run,
	},
	{
		.name = "snapshot diff",
		.line = "Says where the origin, or another snapshot, differs from a snapshot",
		.usage = "--origin O [--equal] [--output FILE] [OPTION...] COW [COW2]",
		.options = diff_options,
		.run = snapshot_diff_run,
	},
	{
		.name = "snapshot write",
		.line = "Writes standard input into the snapshot",
		.usage = "--origin O --offset BYTES [OPTION...] COW",
		.options = write_options,
		.run = snapshot_write_run,
	},
	{
		.name = "snapshot write-origin",
		.line = "Writes standard input into the origin, after copying out what it replaces",
		.usage = "--origin O --offset BYTES [--cow COW...] [OPTION...] COW",
		.options = write_origin_options,
		.run = snapshot_write_run,
	},
	{
		.name = "snapshot merge",
		.line = "Merges the snapshot into the origin, crash-safe and resumable",
		.usage = "--origin O [--limit CHUNKS] [--dry-run] [--rate BYTES] [OPTION...] COW",
		.options = merge_options,
		.run = snapshot_merge_run,
	},
	{
		.name = "snapshot verify",
		.line = "Checks everything in an exception store, and writes nothing",
		.usage = "[--origin O] [OPTION...] COW",
		.options = verify_options,
		.run = snapshot_verify_run,
	},
	{
		.name = "snapshot serve",
		.line = "Serves a snapshot, or its origin, to NBD clients",
		.usage = "--origin O --socket PATH [OPTION...] COW",
		.options = serve_options,
		.run = snapshot_serve_run,
	},
	{ .name = NULL },
};
