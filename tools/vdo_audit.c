/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `uds vdo audit`: each record of the index of a volume against the block that it points to.
 *
 * First the data blocks are read in their order, and 8 bytes of each block's name are kept; then
 * each record is compared with those of its block. So the device is read once, from front to end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "families.h"
#include "output.h"
#include "text.h"
#include "vdo_blocks.h"
#include "vdo_target.h"

#include "base/bytes.h"

/* Instead of a part of a name. */
enum { TAG_NOT_READ, TAG_ZERO, TAG_MAP, TAG_FIRST };

struct fragment_tag {
	uint64_t block; /* data block */
	uint64_t slot;
	uint64_t tag;
};

/* What a record turned out to be. */
enum verdict {
	ADVICE_RIGHT,
	ADVICE_OTHER_CONTENT,
	ADVICE_ZERO_BLOCK,
	ADVICE_OUTSIDE,
	ADVICE_FREE,
	ADVICE_NO_ADVICE,   /* data that VDO does not write */
	ADVICE_NOT_CHECKED, /* compressed, and no liblz4 */
	ADVICE_NOT_SAMPLED,
	VERDICTS
};

struct audit {
	struct vdo_target target;
	struct progress progress;
	uint64_t blocks; /* data blocks, of all slabs */
	uint64_t *tags;	 /* of each */
	uint8_t *free_bits, *known_bits;
	struct fragment_tag *fragments; /* ascending */
	size_t fragment_count, fragment_room;
	bool can_decompress, counters_are_right;
	uint64_t sample;

	uint64_t records, compressed_records;
	uint64_t verdicts[VERDICTS];
	uint64_t data_blocks, known_blocks, duplicates;
	double seconds;
};

static void set_bit(uint8_t *bits, uint64_t number)
{
	bits[number / 8] |= (uint8_t)(1u << number % 8);
}

static bool has_bit(const uint8_t *bits, uint64_t number)
{
	return (bits[number / 8] >> number % 8 & 1) != 0;
}

/* Names are uniformly distributed, so half of one is as good as all, but for one record in 2^64. */
static uint64_t tag_of(const struct uds_record_name *name)
{
	uint64_t tag = get_le64(name->bytes + 8);

	return tag < TAG_FIRST ? tag + TAG_FIRST : tag;
}

static int add_fragments(struct audit *audit, const struct vdo_run *run, unsigned int i)
{
	unsigned int count = run->fragment_at[i + 1] - run->fragment_at[i];

	if (audit->fragment_count + count > audit->fragment_room) {
		size_t room = 2 * audit->fragment_room + 1024;
		void *more = realloc(audit->fragments, room * sizeof(*audit->fragments));

		if (more == NULL)
			return -ENOMEM;
		audit->fragments = more;
		audit->fragment_room = room;
	}
	for (unsigned int f = run->fragment_at[i]; f < run->fragment_at[i + 1]; f++) {
		struct fragment_tag *to = &audit->fragments[audit->fragment_count++];

		to->block = run->first + i;
		to->slot = run->fragments[f].slot;
		to->tag = tag_of(&run->fragments[f].name);
	}
	return 0;
}

static int take_run(void *context, const struct vdo_run *run)
{
	struct audit *audit = context;
	int r = 0;

	for (unsigned int i = 0; r == 0 && i < run->count; i++) {
		uint64_t block = run->first + i;

		if (run->counters[i] == 0)
			set_bit(audit->free_bits, block);
		switch ((enum vdo_block_kind)run->kinds[i]) {
		case VDO_BLOCK_NOT_READ:
			break;
		case VDO_BLOCK_ZERO:
			audit->tags[block] = TAG_ZERO;
			break;
		case VDO_BLOCK_MAP:
			audit->tags[block] = TAG_MAP;
			break;
		case VDO_BLOCK_COMPRESSED:
			r = add_fragments(audit, run, i);
			/* fall through */
		case VDO_BLOCK_DATA:
			audit->tags[block] = tag_of(&run->names[i]);
			audit->data_blocks++;
			break;
		}
	}
	if (r < 0)
		return r;
	return progress_report(&audit->progress, (run->first + run->count) * UDS_VDO_BLOCK_BYTES,
			       audit->blocks * UDS_VDO_BLOCK_BYTES) != 0
		       ? UDS_ERR_STOPPED
		       : 0;
}

static int compare_fragments(const void *a, const void *b)
{
	const struct fragment_tag *left = a, *right = b;

	if (left->block != right->block)
		return left->block < right->block ? -1 : 1;
	return left->slot < right->slot ? -1 : left->slot > right->slot;
}

static bool fragment_has(const struct audit *audit, uint64_t block, uint32_t slot, uint64_t tag)
{
	struct fragment_tag key = { block, slot, 0 }, *found = NULL;

	if (audit->fragment_count > 0)
		found = bsearch(&key, audit->fragments, audit->fragment_count, sizeof(key),
				compare_fragments);
	return found != NULL && found->tag == tag;
}

static enum verdict judge(struct audit *audit, const struct uds_record_name *name,
			  const struct uds_record_data *data)
{
	struct uds_vdo_advice advice;
	uint64_t block, tag;

	if (uds_vdo_decode_advice(data, NULL, &advice) < 0)
		return ADVICE_NO_ADVICE;
	block = vdo_data_block_of(&audit->target.info, advice.block);
	if (block == UINT64_MAX)
		return ADVICE_OUTSIDE;
	tag = audit->tags[block];
	if (audit->counters_are_right && has_bit(audit->free_bits, block))
		return ADVICE_FREE;
	if (tag == TAG_NOT_READ)
		return ADVICE_NOT_SAMPLED;
	if (tag == TAG_ZERO)
		return ADVICE_ZERO_BLOCK;
	audit->compressed_records += advice.compressed;
	if (advice.compressed && !audit->can_decompress)
		return ADVICE_NOT_CHECKED;
	if (advice.compressed ? fragment_has(audit, block, advice.slot, tag_of(name))
			      : tag == tag_of(name)) {
		set_bit(audit->known_bits, block);
		return ADVICE_RIGHT;
	}
	return has_bit(audit->free_bits, block) ? ADVICE_FREE : ADVICE_OTHER_CONTENT;
}

static int take_record(void *context, const struct uds_record_name *name,
		       const struct uds_record_data *data)
{
	struct audit *audit = context;

	audit->verdicts[judge(audit, name, data)]++;
	audit->records++;
	return was_interrupted();
}

static int compare_tags(const void *a, const void *b)
{
	uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

	return left < right ? -1 : left > right;
}

/* The tags are not needed any more, and are put in order. */
static void count_duplicates(struct audit *audit)
{
	uint64_t data = 0;

	for (uint64_t i = 0; i < audit->blocks; i++)
		audit->known_blocks += has_bit(audit->known_bits, i);
	for (uint64_t i = 0; i < audit->blocks; i++) {
		if (audit->tags[i] >= TAG_FIRST)
			audit->tags[data++] = audit->tags[i];
	}
	qsort(audit->tags, (size_t)data, sizeof(audit->tags[0]), compare_tags);
	for (uint64_t i = 1; i < data; i++)
		audit->duplicates += audit->tags[i] == audit->tags[i - 1];
}

static int read_volume(struct audit *audit)
{
	struct vdo_target *target = &audit->target;
	struct uds_message message = { "" };
	struct vdo_walk walk = {
		.io = target->device,
		.info = &target->info,
		.decompress = lz4_decompressor(),
		.sample = audit->sample,
		.take = take_run,
		.context = audit,
	};
	int r;

	audit->counters_are_right = vdo_counters_are_right(&target->info);
	walk.trust_counters = audit->counters_are_right;
	audit->can_decompress = walk.decompress != NULL;
	audit->blocks = vdo_data_blocks(&target->info);
	audit->tags = calloc((size_t)audit->blocks, sizeof(audit->tags[0]));
	audit->free_bits = calloc((size_t)audit->blocks / 8 + 1, 1);
	audit->known_bits = calloc((size_t)audit->blocks / 8 + 1, 1);
	if (audit->tags == NULL || audit->free_bits == NULL || audit->known_bits == NULL)
		return failed(target->command, target->uri, -ENOMEM, NULL);
	progress_start(&audit->progress, target->quiet, "reading the data blocks", NULL);
	r = vdo_walk(&walk, &message);
	progress_end(&audit->progress);
	return r < 0 && !was_interrupted() ? failed(target->command, target->uri, r, &message)
					   : EXIT_GOOD;
}

static uint64_t stale(const struct audit *audit)
{
	return audit->verdicts[ADVICE_OTHER_CONTENT] + audit->verdicts[ADVICE_ZERO_BLOCK] +
	       audit->verdicts[ADVICE_OUTSIDE] + audit->verdicts[ADVICE_FREE] +
	       audit->verdicts[ADVICE_NO_ADVICE];
}

static uint64_t unknown_blocks(const struct audit *audit)
{
	return audit->data_blocks - audit->known_blocks;
}

/* One sentence on what to do. */
static const char *advice(const struct audit *audit)
{
	uint64_t unknown = unknown_blocks(audit);

	if (audit->data_blocks == 0)
		return "no data block was found: there is nothing to do";
	if (unknown > audit->duplicates && (unknown - audit->duplicates) * 10 > audit->data_blocks)
		return "the index does not know much of what is stored: stop the volume and run "
		       "uds "
		       "vdo prime, and new copies of it are found";
	if (stale(audit) * 4 > audit->records)
		return "much of the advice is stale, which costs a read each time and no data: uds "
		       "vdo "
		       "prime --create makes an index without it";
	if (audit->duplicates * 20 > audit->data_blocks)
		return "the index is in order, but blocks are stored several times: only what is "
		       "written again is deduplicated";
	return "the index is in order: there is nothing to do";
}

static void print_text(const struct audit *audit)
{
	const uint64_t *v = audit->verdicts;

	print_line(stdout, "%s", audit->target.uri);
	printf("  records        %llu, %llu of them for fragments of compressed blocks\n",
	       (unsigned long long)audit->records, (unsigned long long)audit->compressed_records);
	printf("  right          %llu\n", (unsigned long long)v[ADVICE_RIGHT]);
	printf("  stale          %llu: %llu other content, %llu zero block, %llu outside of the "
	       "slabs, %llu free by the reference counts, %llu no advice\n",
	       (unsigned long long)stale(audit), (unsigned long long)v[ADVICE_OTHER_CONTENT],
	       (unsigned long long)v[ADVICE_ZERO_BLOCK], (unsigned long long)v[ADVICE_OUTSIDE],
	       (unsigned long long)v[ADVICE_FREE], (unsigned long long)v[ADVICE_NO_ADVICE]);
	if (v[ADVICE_NOT_CHECKED] > 0)
		printf("  not checked    %llu compressed: liblz4 is not there\n",
		       (unsigned long long)v[ADVICE_NOT_CHECKED]);
	if (audit->sample > 1)
		printf("  not looked at  %llu: their blocks are not in the sample, one MiB in "
		       "%llu\n",
		       (unsigned long long)v[ADVICE_NOT_SAMPLED],
		       (unsigned long long)audit->sample);
	printf("  data blocks    %llu, %llu of them not known to the index\n",
	       (unsigned long long)audit->data_blocks, (unsigned long long)unknown_blocks(audit));
	printf("  duplicates     %llu blocks that VDO missed, %s%s\n",
	       (unsigned long long)audit->duplicates,
	       size_text(audit->duplicates * UDS_VDO_BLOCK_BYTES).text,
	       audit->sample > 1 ? ", within the sample" : "");
	if (!audit->counters_are_right)
		printf("  counters       the volume was not stopped: what they call free is a "
		       "hint\n");
	printf("  advice         %s\n", advice(audit));
}

static int print_object(const struct audit *audit)
{
	const uint64_t *v = audit->verdicts;
	json_t *o = json_object();

	json_object_set_new(o, "records", json_unsigned(audit->records));
	json_object_set_new(o, "compressed_records", json_unsigned(audit->compressed_records));
	json_object_set_new(o, "right", json_unsigned(v[ADVICE_RIGHT]));
	json_object_set_new(o, "stale", json_unsigned(stale(audit)));
	json_object_set_new(o, "stale_other_content", json_unsigned(v[ADVICE_OTHER_CONTENT]));
	json_object_set_new(o, "stale_zero_block", json_unsigned(v[ADVICE_ZERO_BLOCK]));
	json_object_set_new(o, "stale_outside", json_unsigned(v[ADVICE_OUTSIDE]));
	json_object_set_new(o, "stale_free", json_unsigned(v[ADVICE_FREE]));
	json_object_set_new(o, "stale_no_advice", json_unsigned(v[ADVICE_NO_ADVICE]));
	json_object_set_new(o, "not_checked", json_unsigned(v[ADVICE_NOT_CHECKED]));
	json_object_set_new(o, "not_sampled", json_unsigned(v[ADVICE_NOT_SAMPLED]));
	json_object_set_new(o, "sample", json_unsigned(audit->sample));
	json_object_set_new(o, "data_blocks", json_unsigned(audit->data_blocks));
	json_object_set_new(o, "unknown_blocks", json_unsigned(unknown_blocks(audit)));
	json_object_set_new(o, "duplicate_blocks", json_unsigned(audit->duplicates));
	json_object_set_new(o, "duplicate_bytes",
			    json_unsigned(audit->duplicates * UDS_VDO_BLOCK_BYTES));
	json_object_set_new(o, "counters_are_right", json_boolean(audit->counters_are_right));
	json_object_set_new(o, "seconds", json_real(audit->seconds));
	json_object_set_new(o, "advice", json_string(advice(audit)));
	return print_json(o);
}

static int audit_volume(struct audit *audit)
{
	struct vdo_target *target = &audit->target;
	double started = seconds_now();
	int status = vdo_open(target, false), r = 0;

	if (status == EXIT_GOOD)
		status = vdo_open_index(target, UDS_INDEX_READ_ONLY, 1);
	if (status == EXIT_GOOD)
		status = read_volume(audit);
	if (status == EXIT_GOOD && !was_interrupted())
		r = uds_index_for_each(target->index, take_record, audit);
	if (was_interrupted()) {
		complain(target->command, "interrupted: nothing is known of the rest");
		return EXIT_FAILED;
	}
	/* A chapter that cannot be read is said; what the others have is shown all the same. */
	if (status == EXIT_GOOD && r < 0)
		status = vdo_index_failed(target, r);
	if (status == EXIT_GOOD || r < 0)
		count_duplicates(audit);
	audit->seconds = seconds_now() - started;
	return status;
}

int vdo_audit_run(const struct command *command, int argc, char **argv)
{
	struct audit audit = { .sample = 1 };
	struct options options;
	char **arguments;
	int status;

	options_start(&options, command);
	options_number(&options, "sample", &audit.sample, 1, UINT32_MAX);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	vdo_set(&audit.target, &options, arguments[0]);
	status = audit_volume(&audit);
	status = vdo_close(&audit.target, status);
	if (audit.records > 0 || status == EXIT_GOOD) {
		if (!options.json)
			print_text(&audit);
		else if (print_object(&audit) < 0)
			status = failed(command, "JSON", -ENOMEM, NULL);
	}
	free(audit.tags);
	free(audit.free_bits);
	free(audit.known_bits);
	free(audit.fragments);
	return finish_output(command, status);
}
