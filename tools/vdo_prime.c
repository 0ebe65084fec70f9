/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds vdo prime`: fills the index of a stopped volume from its data blocks. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "families.h"
#include "output.h"
#include "text.h"
#include "vdo_blocks.h"
#include "vdo_target.h"

#define BATCH (VDO_RUN_BLOCKS * (1 + UDS_VDO_SLOTS))

struct prime {
	struct vdo_target target;
	struct progress progress;
	struct uds_request requests[BATCH];
	uint64_t capacity;   /* records of the index */
	uint64_t candidates; /* blocks that hold data, by the counters; 0: not counted */
	uint64_t records;    /* given to the index */
	uint64_t data_blocks, zero_blocks, map_blocks, compressed_blocks;
	uint64_t compressed_skipped; /* blocks with fragments that nothing here can look into */
	bool created;
	bool can_decompress;
	double seconds;
};

static void add_request(struct prime *prime, size_t *count, const struct uds_record_name *name,
			uint64_t block, int slot)
{
	struct uds_request *request = &prime->requests[(*count)++];
	struct uds_vdo_advice advice = { .block = block };

	memset(request, 0, sizeof(*request));
	advice.compressed = slot >= 0;
	advice.slot = slot >= 0 ? (uint32_t)slot : 0;
	request->kind = UDS_UPDATE;
	request->name = *name;
	uds_vdo_encode_advice(&advice, &request->new_data);
}

/* The records that one block gives: its own, or those of its fragments. */
static void add_block(struct prime *prime, const struct vdo_run *run, unsigned int i, size_t *count)
{
	uint64_t block = vdo_advice_block(&prime->target.info, run->block + i);

	switch ((enum vdo_block_kind)run->kinds[i]) {
	case VDO_BLOCK_ZERO:
		prime->zero_blocks++;
		break;
	case VDO_BLOCK_MAP:
		prime->map_blocks++;
		break;
	case VDO_BLOCK_DATA:
		prime->data_blocks++;
		add_request(prime, count, &run->names[i], block, -1);
		break;
	case VDO_BLOCK_COMPRESSED:
		prime->compressed_blocks++;
		prime->compressed_skipped += !prime->can_decompress;
		for (unsigned int f = run->fragment_at[i]; f < run->fragment_at[i + 1]; f++)
			add_request(prime, count, &run->fragments[f].name, block,
				    run->fragments[f].slot);
		break;
	case VDO_BLOCK_NOT_READ:
		break;
	}
}

static int take_run(void *context, const struct vdo_run *run)
{
	struct prime *prime = context;
	size_t count = 0;
	int r;

	for (unsigned int i = 0; i < run->count; i++)
		add_block(prime, run, i, &count);
	r = count > 0 ? uds_index_run(prime->target.index, prime->requests, count) : 0;
	if (r < 0)
		return r;
	prime->records += count;
	return progress_report(&prime->progress, (run->first + run->count) * UDS_VDO_BLOCK_BYTES,
			       vdo_data_blocks(&prime->target.info) * UDS_VDO_BLOCK_BYTES) != 0
		       ? UDS_ERR_STOPPED
		       : 0;
}

/* A fresh index, as dm-vdo would make it for the volume. */
static int create_index(struct prime *prime)
{
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	const struct uds_vdo_info *info = &prime->target.info;
	struct uds_message message = { "" };
	char memory[32];
	int r;

	if (info->index_memory_bytes < UINT64_C(1) << 30)
		snprintf(memory, sizeof(memory), "%lluM",
			 (unsigned long long)(info->index_memory_bytes >> 20));
	else
		snprintf(memory, sizeof(memory), "%lluG",
			 (unsigned long long)(info->index_memory_bytes >> 30));
	r = uds_configuration_for_memory(memory, info->index_is_sparse, &message, &configuration);
	configuration.nonce = info->nonce;
	options.env = &prime->target.env;
	options.no_extras = true;
	if (r == 0)
		r = uds_index_format(prime->target.region, &configuration, &options, &message);
	prime->created = r == 0;
	return r < 0 ? failed(prime->target.command, prime->target.uri, r, &message) : EXIT_GOOD;
}

/* How many records the index holds, and so how many of the blocks in front need not be read. */
static int measure(struct prime *prime, struct vdo_walk *walk)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_geometry geometry = { .size = sizeof(geometry) };
	struct uds_message message = { "" };
	int r = uds_index_get_configuration(prime->target.index, &configuration);

	if (r == 0)
		r = uds_geometry_compute(&configuration, &message, &geometry);
	if (r == 0 && walk->trust_counters)
		r = vdo_count_used(prime->target.device, &prime->target.info, &prime->candidates,
				   &message);
	if (r < 0)
		return failed(prime->target.command, prime->target.uri, r, &message);
	prime->capacity = geometry.records_per_volume;
	/* The newest are kept: what would be evicted again is left out from the start. */
	if (prime->candidates > prime->capacity)
		walk->skip = prime->candidates - prime->capacity;
	return EXIT_GOOD;
}

static int fill(struct prime *prime, struct vdo_walk *walk)
{
	struct vdo_target *target = &prime->target;
	struct uds_message message = { "" };
	double started = seconds_now();
	int status = EXIT_GOOD, r;

	progress_start(&prime->progress, target->quiet, "priming", NULL);
	r = vdo_walk(walk, &message);
	progress_end(&prime->progress);
	if (r == UDS_ERR_STOPPED && was_interrupted()) {
		complain(target->command, "interrupted: what was read so far is being saved");
		status = EXIT_FAILED;
	} else if (r < 0) {
		if (message.text[0] == '\0')
			uds_index_error_message(target->index, &message);
		status = failed(target->command, target->uri, r, &message);
	}
	r = uds_index_save(target->index);
	prime->seconds = seconds_now() - started;
	if (r < 0)
		return vdo_index_failed(target, r);
	return status;
}

/* What part of the data the index can know, from 0 to 1. */
static double fraction(const struct prime *prime)
{
	uint64_t all = prime->candidates > prime->records ? prime->candidates : prime->records;

	return all <= prime->capacity ? 1 : (double)prime->capacity / (double)all;
}

static void print_text(const struct prime *prime)
{
	print_line(stdout, "%s: %llu records from %llu data blocks, %llu of them compressed",
		   prime->target.uri, (unsigned long long)prime->records,
		   (unsigned long long)(prime->data_blocks + prime->compressed_blocks),
		   (unsigned long long)prime->compressed_blocks);
	printf("  the index holds %llu records: %.1f %% of the data fits%s\n",
	       (unsigned long long)prime->capacity, 100 * fraction(prime),
	       fraction(prime) < 1 ? ", the last blocks of the volume" : "");
	if (prime->compressed_skipped > 0)
		printf("  %llu compressed blocks were left out: liblz4 is not there\n",
		       (unsigned long long)prime->compressed_skipped);
	printf("  start the volume, and what is written from now on is deduplicated against "
	       "them\n");
}

static int print_object(const struct prime *prime)
{
	json_t *o = json_object();

	json_object_set_new(o, "created", json_boolean(prime->created));
	json_object_set_new(o, "records", json_unsigned(prime->records));
	json_object_set_new(o, "data_blocks", json_unsigned(prime->data_blocks));
	json_object_set_new(o, "compressed_blocks", json_unsigned(prime->compressed_blocks));
	json_object_set_new(o, "compressed_skipped", json_unsigned(prime->compressed_skipped));
	json_object_set_new(o, "zero_blocks", json_unsigned(prime->zero_blocks));
	json_object_set_new(o, "block_map_pages", json_unsigned(prime->map_blocks));
	json_object_set_new(o, "capacity", json_unsigned(prime->capacity));
	json_object_set_new(o, "fraction", json_real(fraction(prime)));
	json_object_set_new(o, "seconds", json_real(prime->seconds));
	return print_json(o);
}

static int prime_volume(struct prime *prime, bool create, bool all, unsigned int zones)
{
	struct vdo_target *target = &prime->target;
	struct vdo_walk walk = { 0 };
	int status = vdo_open(target, true);

	if (status == EXIT_GOOD && create)
		status = create_index(prime);
	if (status == EXIT_GOOD)
		status = vdo_open_index(target, UDS_INDEX_LOAD_OR_RECOVER, zones);
	if (status != EXIT_GOOD)
		return status;
	walk.io = target->device;
	walk.info = &target->info;
	walk.decompress = lz4_decompressor();
	walk.trust_counters = !all && vdo_counters_are_right(&target->info);
	walk.take = take_run;
	walk.context = prime;
	prime->can_decompress = walk.decompress != NULL;
	outlive_readers();
	status = measure(prime, &walk);
	return status == EXIT_GOOD ? fill(prime, &walk) : status;
}

int vdo_prime_run(const struct command *command, int argc, char **argv)
{
	static struct prime prime;
	struct options options;
	bool create = false, all = false;
	uint64_t zones = 1;
	char **arguments;
	int status;

	options_start(&options, command);
	options_flag(&options, "create", &create);
	options_flag(&options, "all", &all);
	options_flag(&options, "dirty", &prime.target.allow_dirty);
	options_number(&options, "zones", &zones, 1, 16);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	vdo_set(&prime.target, &options, arguments[0]);
	status = prime_volume(&prime, create, all, (unsigned int)zones);
	status = vdo_close(&prime.target, status);
	if (status != EXIT_GOOD)
		return status;
	if (!options.json)
		print_text(&prime);
	else if (print_object(&prime) < 0)
		return failed(command, "JSON", -ENOMEM, NULL);
	return finish_output(command, status);
}
