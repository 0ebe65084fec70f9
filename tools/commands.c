/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of the commands about the index, with their help texts. */
#include "families.h"
#include "target.h"

#define NO_SAVE_HELP "  --no-save             leave everything as a crash would\n"

static const char create_options[] =
	"  --memory SIZE         256M (the default), 512M, 768M or 1G to 1024G of memory\n"
	"  --sparse              ten times the records, old ones found by their neighbours\n"
	"  --chapters N          an explicit geometry, for small indexes and tests\n"
	"  --record-pages P      record pages in a chapter (64)\n"
	"  --page-size BYTES     size of a page (32768)\n"
	"  --sparse-chapters N   how many of the chapters are sparse\n"
	"  --sample-rate R       of old chapters one name in R is sampled (32)\n"
	"  --nonce N             a number that says whose index it is (0)\n"
	"  --nonce-data HEX      32 bytes that make the index unique, instead of random ones\n"
	"  --size BYTES          use no more than this from the offset on\n"
	"  --no-extras           nothing behind the index: as other implementations make it\n"
	"  --create-image        make the image that the URI names (rbd:POOL/IMAGE), too\n"
	"  --force               write over what is there\n" TARGET_HELP TARGET_SAVE_HELP
		TARGET_COMMON_HELP;

static const char info_options[] =
	"  --resident            open it, and tell the memory before and after\n" TARGET_HELP
		TARGET_COMMON_HELP;

static const char find_options[] = TARGET_COMMON_HELP;

static const char scan_options[] =
	"  --index INDEX         an index that knows earlier scans, and will know this one\n"
	"  --block-size BYTES    a power of two from 512 to 1M (4096)\n"
	"  --top N               a table of the N files with the most duplicate bytes\n"
	"  --directories         with --top: of directories instead of files\n"
	"  --first-seen          list each duplicate range with the place where it was first seen\n"
	"  --sparse              without --index: less memory, for very much data\n"
	"  --readers N           threads that read and hash, 1 to 64 (one for each processor)\n"
	"  --one-file-system     do not go into other mounts\n"
	"  --no-save             with --index: leave it as a crash would\n" TARGET_HELP
		TARGET_NONCE_HELP TARGET_SAVE_HELP TARGET_CHECKPOINT_HELP TARGET_COMMON_HELP;

static const char verify_options[] =
	"  --repair              mend what is damaged\n"
	"  --lose-records        with --repair: give up the records of damaged pages\n" TARGET_HELP
		TARGET_NONCE_HELP TARGET_SAVE_HELP TARGET_COMMON_HELP;
static const char dump_options[] = TARGET_HELP TARGET_NONCE_HELP TARGET_COMMON_HELP;
static const char recover_options[] =
	"  --ignore-saves        read the volume in any case, whatever was saved\n"
	"  --lose-records        give up records that only a save has\n"
	"  --skip-unreadable     give up chapters and saves that cannot be read\n" TARGET_HELP
		TARGET_NONCE_HELP TARGET_SAVE_HELP TARGET_COMMON_HELP;
static const char request_options[] = TARGET_HELP TARGET_NONCE_HELP TARGET_SAVE_HELP
	TARGET_CHECKPOINT_HELP NO_SAVE_HELP TARGET_COMMON_HELP;

const struct command index_commands[] = {
	{
		.name = "create",
		.line = "Makes an empty index",
		.usage = "[--memory SIZE] [--sparse] [OPTION...] INDEX",
		.options = create_options,
		.run = create_run,
	},
	{
		.name = "info",
		.line = "Says what an index is, its state, and what it takes",
		.usage = "[OPTION...] INDEX",
		.options = info_options,
		.run = info_run,
	},
	{
		.name = "find",
		.line = "Says what lies on devices and files, and which command opens it",
		.usage = "[OPTION...] DEVICE|FILE...",
		.options = find_options,
		.run = find_run,
	},
	{
		.name = "scan",
		.line = "Says what deduplication would save in files, trees and volumes",
		.usage = "[--index INDEX] [--block-size BYTES] [OPTION...] PATH|URI...",
		.options = scan_options,
		.run = scan_run,
	},
	{
		.name = "verify",
		.line = "Checks everything in an index, and repairs it if asked to",
		.usage = "[--repair [--lose-records]] [OPTION...] INDEX",
		.options = verify_options,
		.run = verify_run,
	},
	{
		.name = "recover",
		.line = "Recovers an index after a crash, and saves it",
		.usage = "[OPTION...] INDEX",
		.options = recover_options,
		.run = recover_run,
	},
	{
		.name = "dump",
		.line = "Prints all live records as lines NAME DATA, oldest chapter first",
		.usage = "[OPTION...] INDEX",
		.options = dump_options,
		.run = dump_run,
	},
	{
		.name = "load",
		.line = "Stores the records that standard input has as lines NAME DATA",
		.usage = "[OPTION...] INDEX",
		.options = request_options,
		.run = load_run,
	},
	{ .name = NULL },
};

const struct command request_commands[] = {
	{
		.name = "exec",
		.line = "Carries out lines such as `post NAME DATA` or `query NAME`",
		.usage = "[--no-save] [OPTION...] INDEX",
		.options = request_options,
		.run = requests_run,
	},
	{
		.name = "post",
		.line = "Looks up lines NAME DATA, and stores the data of new names",
		.usage = "[--no-save] [OPTION...] INDEX",
		.options = request_options,
		.run = requests_run,
	},
	{
		.name = "update",
		.line = "Stores lines NAME DATA, whether the name is there or not",
		.usage = "[--no-save] [OPTION...] INDEX",
		.options = request_options,
		.run = requests_run,
	},
	{
		.name = "query",
		.line = "Looks up lines NAME, and keeps what is found from leaving soon",
		.usage = "[--no-save] [OPTION...] INDEX",
		.options = request_options,
		.run = requests_run,
	},
	{
		.name = "peek",
		.line = "Looks up lines NAME, and changes nothing",
		.usage = "[OPTION...] INDEX",
		.options = request_options,
		.run = requests_run,
	},
	{
		.name = "delete",
		.line = "Forgets the names in lines NAME",
		.usage = "[--no-save] [OPTION...] INDEX",
		.options = request_options,
		.run = requests_run,
	},
	{ .name = NULL },
};
