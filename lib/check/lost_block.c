/* SPDX-License-Identifier: BSD-2-Clause */
/* Trying what may belong into a damaged block, and putting the right one into its place. */
#include "check/lost_block.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "index/index.h"
#include "volume/config_block.h"
#include "volume/config_restore.h"
#include "volume/super_restore.h"

struct lost_search {
	struct uds_io *io;
	const struct uds_index_options *options;
	const struct uds_env *env;
	struct uds_configuration given;
	bool has_given;
	bool trial;	     /* nothing is searched for */
	bool needs_nonce;    /* the user nonce of a config block is missing */
	uint64_t said_nonce; /* by the damaged one; 0 when it says none */
	uint8_t *found;	     /* super block and config block as they are on the device */
	uint8_t *block;	     /* as they should be */
	struct super_block super;
	struct config_candidates candidates;
	struct layout layout;
	struct uds_message why;	    /* what opening said */
	struct uds_message reason;  /* why nothing is made again */
	struct uds_message scratch; /* why a try failed */
};

/* The device with @length bytes of @block at byte @at. */
static int put_in_place(struct uds_io *io, const struct uds_env *env, const uint8_t *block,
			uint64_t at, uint64_t length, struct uds_message *message,
			struct lost_block *ret_lost)
{
	struct lost_block lost = { .device = io, .at = at, .length = length, .env = *env };
	struct uds_io_ranges_options options = UDS_IO_RANGES_OPTIONS_INIT;
	struct uds_io_range ranges[3];
	uint64_t bytes = 0;
	size_t count = 0;
	int r;

	options.name = uds_io_name(io);
	options.device_offset = uds_io_device_offset(io);
	r = uds_io_size(io, &bytes);
	if (r == 0)
		r = uds_io_open_memory(length, 1, env, NULL, &lost.memory);
	if (r == 0)
		r = uds_io_write(lost.memory, block, (size_t)length, 0);
	if (r == 0) {
		if (at > 0)
			ranges[count++] = (struct uds_io_range){ io, 0, at };
		ranges[count++] = (struct uds_io_range){ lost.memory, 0, length };
		if (at + length < bytes)
			ranges[count++] =
				(struct uds_io_range){ io, at + length, bytes - at - length };
		r = uds_io_open_ranges(ranges, count, &options, env, message, &lost.whole);
	} else {
		failure(message, r, "%s", uds_strerror(r));
	}
	if (r < 0)
		lost_block_free(&lost);
	else
		*ret_lost = lost;
	return r;
}

void lost_block_free(struct lost_block *lost)
{
	if (lost->whole != NULL)
		uds_io_close(lost->whole);
	if (lost->memory != NULL)
		uds_io_close(lost->memory);
	lost->whole = NULL;
	lost->memory = NULL;
}

int lost_block_write(const struct lost_block *lost, struct uds_message *message)
{
	uint8_t *block;
	int r;

	if (lost->memory == NULL)
		return 0;
	block = io_allocate_buffer(lost->device, &lost->env, lost->length);
	if (block == NULL)
		return -ENOMEM;
	r = io_read(lost->memory, block, (size_t)lost->length, 0, message);
	if (r == 0)
		r = io_write(lost->device, block, (size_t)lost->length, lost->at, message);
	if (r == 0)
		r = io_flush(lost->device, message);
	env_release(&lost->env, block);
	return r;
}

/* Whether the latest save loads with this configuration. Returns 1, 0, or an error. */
static int save_loads(struct lost_search *search, const struct uds_configuration *configuration,
		      uint32_t version, uint64_t at)
{
	struct lost_block lost;
	int r;

	config_block_encode(configuration, version, search->block);
	r = put_in_place(search->io, search->env, search->block, at, BLOCK_BYTES, &search->scratch,
			 &lost);
	if (r < 0)
		return r;
	r = layout_read(lost.whole, search->options->offset, &search->scratch, &search->layout);
	if (r == 0)
		r = index_try_load(lost.whole, &search->layout, search->env, &search->scratch);
	lost_block_free(&lost);
	return r == -ENOMEM ? r : r == 0;
}

/*
 * Where several configurations have the same sizes, the lists of a save can be decoded
 * with one only.
 */
static int choose_configuration(struct lost_search *search, uint32_t version, uint64_t at,
				struct uds_message *message)
{
	struct config_candidates *candidates = &search->candidates;
	unsigned int loading = 0;

	if (candidates->count == 1)
		return 0;
	for (unsigned int i = 0; i < candidates->count; i++) {
		int r = save_loads(search, &candidates->list[i], version, at);

		if (r < 0)
			return failure(message, r, "%s", uds_strerror(r));
		if (r == 1)
			candidates->list[loading++] = candidates->list[i];
	}
	if (loading == 1)
		return 0;
	return failure(message, UDS_ERR_CORRUPT,
		       "%u configurations agree with the rest of the index",
		       loading > 0 ? loading : candidates->count);
}

/* Sets the nonce, which nothing else on the device has. */
static int take_nonce(struct lost_search *search, const uint8_t *config,
		      struct uds_message *message)
{
	struct uds_configuration damaged;
	char what[64] = "";
	uint32_t version;

	search->candidates.list[0].nonce = search->options->nonce;
	if (search->options->check_nonce)
		return 0;
	search->candidates.list[0].nonce = search->given.nonce;
	if (search->has_given)
		return 0;
	search->needs_nonce = true;
	if (config_block_decode(config, &version, &damaged, NULL) == 0) {
		search->said_nonce = damaged.nonce;
		snprintf(what, sizeof(what), " (%" PRIu64 " in the damaged block)", damaged.nonce);
	}
	return failure(message, UDS_ERR_CORRUPT,
		       "the user nonce%s is nowhere else and has to be given", what);
}

static void describe(const struct lost_search *search, struct uds_message *message)
{
	const struct uds_configuration *c = &search->candidates.list[0];
	const char *usual = search->has_given ? "as given" : "which nothing else has, as is usual";

	failure(message, 0,
		"%.230s; it is made again: %" PRIu32 " chapters (%" PRIu32 " sparse, sample rate "
		"%" PRIu32 ") of %" PRIu32 " record pages of %" PRIu32 " bytes, nonce %" PRIu64
		", and, %s, cache chapters %" PRIu32 ", mean delta %" PRIu32,
		search->why.text, c->chapters_per_volume, c->sparse_chapters_per_volume,
		c->sparse_sample_rate, c->record_pages_per_chapter, c->page_bytes, c->nonce, usual,
		c->cache_chapters, c->volume_index_mean_delta);
}

/* With a super block that is good. */
static int find_config(struct lost_search *search, struct uds_message *message,
		       struct uds_message *reason, struct lost_block *ret_lost)
{
	uint64_t at = super_block_config_at(&search->super) * BLOCK_BYTES;
	uint32_t version = search->super.version == SUPER_VERSION_CONVERTED
				   ? CONFIG_VERSION_CONVERTED
				   : CONFIG_VERSION_PLAIN;
	int r;

	r = io_read(search->io, search->found, BLOCK_BYTES, at, reason);
	if (r < 0)
		return r;
	r = config_restore(search->io, search->env, &search->super,
			   search->has_given ? &search->given : NULL, reason, &search->candidates);
	if (r == 0)
		r = choose_configuration(search, version, at, reason);
	if (r == 0)
		r = take_nonce(search, search->found, reason);
	if (r < 0)
		return r;
	config_block_encode(&search->candidates.list[0], version, search->block);
	if (memcmp(search->block, search->found, BLOCK_BYTES) == 0)
		return failure(reason, UDS_ERR_CORRUPT, "the config block is not what is damaged");
	r = put_in_place(search->io, search->env, search->block, at, BLOCK_BYTES, reason, ret_lost);
	if (r < 0)
		return r;
	ret_lost->blocks = UDS_INDEX_CONFIG_BLOCK;
	describe(search, message);
	return 0;
}

static void describe_super(const struct lost_search *search, bool same_seed, bool config_lost,
			   struct uds_message *message)
{
	const struct super_block *super = &search->super;
	const char *seed = same_seed ? "its seed data are as they were"
				     : "its seed data are lost, and others with the same volume "
				       "nonce are in their place";

	failure(message, 0,
		"%.230s; the super block is made again%s: version %" PRIu32 ", %" PRIu64
		" blocks, volume nonce 0x%" PRIx64 "; %s",
		search->why.text, config_lost ? ", and the config block as given" : "",
		super->version, super->total_blocks, super->volume_nonce, seed);
}

/*
 * The configuration that the super block follows from. Returns 1 when it is not on the device, 0,
 * or an error.
 */
static int take_configuration(struct lost_search *search, uint32_t *ret_version,
			      struct uds_configuration *ret_configuration,
			      struct uds_message *reason)
{
	struct geometry geometry;
	int r;

	r = config_block_decode(search->found + BLOCK_BYTES, ret_version, ret_configuration, NULL);
	if (r == 0)
		r = geometry_make(ret_configuration, &geometry, NULL);
	if (r == 0)
		return 0;
	if (!search->has_given)
		return failure(reason, UDS_ERR_CORRUPT,
			       "there is no good config block either, and no configuration is "
			       "given");
	*ret_configuration = search->given;
	if (search->options->check_nonce)
		ret_configuration->nonce = search->options->nonce;
	*ret_version =
		search->given.chapters_per_volume % 2 != 0 && search->given.remapped_virtual > 0
			? CONFIG_VERSION_CONVERTED
			: CONFIG_VERSION_PLAIN;
	return 1;
}

/* With a config block that is good, or a configuration that is given. */
static int find_super(struct lost_search *search, struct uds_message *message,
		      struct uds_message *reason, struct lost_block *ret_lost)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct super_clues clues = {
		.configuration = &configuration,
		.at = search->options->offset / BLOCK_BYTES,
		.found = search->found,
		.no_search = search->trial,
		.progress = search->options->progress,
		.progress_context = search->options->progress_context,
	};
	uint32_t version = 0;
	bool same_seed = false;
	int r, config_lost;

	r = io_read(search->io, search->found, (uint64_t)2 * BLOCK_BYTES, search->options->offset,
		    reason);
	/* What ends so early is no index, and no failing device. */
	if (r == UDS_ERR_OUT_OF_RANGE)
		r = UDS_ERR_CORRUPT;
	config_lost = r < 0 ? r : take_configuration(search, &version, &configuration, reason);
	if (config_lost < 0)
		return config_lost;
	clues.converted = version == CONFIG_VERSION_CONVERTED;
	r = super_restore(search->io, search->env, &clues, reason, &search->super, &same_seed);
	if (r < 0)
		return r;
	super_block_encode(&search->super, search->block);
	memcpy(search->block + BLOCK_BYTES, search->found + BLOCK_BYTES, BLOCK_BYTES);
	if (config_lost == 1)
		config_block_encode(&configuration, version, search->block + BLOCK_BYTES);
	if (memcmp(search->block, search->found, (size_t)2 * BLOCK_BYTES) == 0)
		return failure(reason, UDS_ERR_CORRUPT, "neither block is what is damaged");
	r = put_in_place(search->io, search->env, search->block, search->options->offset,
			 config_lost == 1 ? (uint64_t)2 * BLOCK_BYTES : BLOCK_BYTES, reason,
			 ret_lost);
	if (r < 0)
		return r;
	ret_lost->blocks = UDS_INDEX_SUPER_BLOCK | (config_lost == 1 ? UDS_INDEX_CONFIG_BLOCK : 0u);
	describe_super(search, same_seed, config_lost == 1, message);
	return 0;
}

/* Statuses that say what the bytes are, and not that they could not be read. */
static bool is_damage(int status)
{
	return status == UDS_ERR_CORRUPT || status == UDS_ERR_NOT_AN_INDEX ||
	       status == UDS_ERR_UNSUPPORTED_VERSION;
}

/*
 * Where both blocks are good by themselves and contradict each other, the rest agrees with one of
 * them; that of a super block has to be found in the saves.
 */
static int find_either(struct lost_search *search, struct uds_message *message,
		       struct uds_message *reason, struct lost_block *ret_lost)
{
	struct uds_message *other = &search->scratch;
	int r, found;

	r = layout_read_super_block(search->io, search->options->offset, search->found,
				    &search->super, reason);
	if (r < 0 && !is_damage(r))
		return r;
	if (r < 0)
		return find_super(search, message, reason, ret_lost);
	r = find_config(search, message, reason, ret_lost);
	if (r >= 0 || !is_damage(r))
		return r;
	found = find_super(search, message, other, ret_lost);
	if (found < 0 && !is_damage(found))
		*reason = *other;
	return found < 0 && is_damage(found) ? r : found;
}

static int find(struct lost_search *search, struct uds_message *message, struct uds_message *reason,
		struct lost_block *ret_lost)
{
	const struct uds_configuration *given = search->options->configuration;
	int r = 0;

	search->given = (struct uds_configuration)UDS_CONFIGURATION_INIT;
	search->has_given = given != NULL;
	if (given != NULL)
		r = STRUCT_IN(&search->given, given, uds_configuration, remapped_physical, reason);
	if (r < 0)
		return r;
	if (search->found == NULL)
		search->found =
			io_allocate_buffer(search->io, search->env, (uint64_t)2 * BLOCK_BYTES);
	if (search->block == NULL)
		search->block =
			io_allocate_buffer(search->io, search->env, (uint64_t)2 * BLOCK_BYTES);
	if (search->found == NULL || search->block == NULL)
		return failure(reason, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	return find_either(search, message, reason, ret_lost);
}

bool lost_block_may_be(int status)
{
	return is_damage(status) || status == UDS_ERR_MISMATCH;
}

static struct lost_search *search_make(struct uds_io *io, const struct uds_index_options *options,
				       const struct uds_env *env, struct uds_message *message)
{
	struct lost_search *search = env_allocate_zeroed(env, 1, sizeof(*search));

	if (search == NULL) {
		failure(message, -ENOMEM, "%s: %s", uds_io_name(io), uds_strerror(-ENOMEM));
		return NULL;
	}
	search->io = io;
	search->options = options;
	search->env = env;
	search->why = *message;
	return search;
}

/* @r: what came of it. Returns that, or @status where the index stays as it is. */
static int search_end(struct lost_search *search, int status, int r, struct uds_message *message)
{
	const struct uds_env *env = search->env;

	if (is_damage(r))
		r = failure(message, status, "%.300s; it is not made again: %.180s",
			    search->why.text, search->reason.text);
	else if (r < 0)
		r = failure(message, r, "%s: %.400s", uds_io_name(search->io), search->reason.text);
	env_release(env, search->found);
	env_release(env, search->block);
	env_release(env, search);
	return r;
}

int lost_block_find(struct uds_io *io, const struct uds_index_options *options,
		    const struct uds_env *env, int status, struct uds_message *message,
		    struct lost_block *ret_lost)
{
	struct lost_search *search = search_make(io, options, env, message);

	if (search == NULL)
		return -ENOMEM;
	return search_end(search, status, find(search, message, &search->reason, ret_lost),
			  message);
}

/* One try, with what was found in place. */
static int try_once(struct lost_search *search, struct uds_message *message, uint32_t *ret_blocks)
{
	struct lost_block lost;
	int r = find(search, message, &search->reason, &lost);

	if (r < 0)
		return r;
	r = layout_read(lost.whole, search->options->offset, &search->reason, &search->layout);
	lost_block_free(&lost);
	if (r == 0)
		*ret_blocks = lost.blocks;
	return r;
}

int lost_block_try(struct uds_io *io, const struct uds_index_options *options,
		   const struct uds_env *env, int status, struct uds_message *message,
		   uint32_t *ret_blocks, bool *ret_needs_nonce)
{
	struct lost_search *search = search_make(io, options, env, message);
	struct uds_index_options with_nonce = *options;
	bool needs_nonce;
	int r;

	if (search == NULL)
		return -ENOMEM;
	search->trial = true;
	r = try_once(search, message, ret_blocks);
	needs_nonce = is_damage(r) && search->needs_nonce;
	if (needs_nonce) {
		/* Any will do; with its own one, a block that is good is known for one. */
		with_nonce.check_nonce = true;
		with_nonce.nonce = search->said_nonce;
		search->options = &with_nonce;
		r = try_once(search, message, ret_blocks);
	}
	r = search_end(search, status, r, message);
	if (r == 0)
		*ret_needs_nonce = needs_nonce;
	return r;
}
