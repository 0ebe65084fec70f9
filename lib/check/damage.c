/* SPDX-License-Identifier: BSD-2-Clause */
/* Which of the blocks that an index begins with keeps it from being opened. */
#include <errno.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "check/lost_block.h"
#include "check/verify_private.h"
#include "index/index.h"
#include "volume/config_block.h"

struct damage_search {
	struct uds_io *io;
	const struct uds_index_options *options;
	const struct uds_env *env;
	struct layout layout;
	uint8_t *block;
	struct uds_message why;	    /* what opening says */
	struct uds_message scratch; /* and what a repair does */
};

/* UDS_ERR_CORRUPT: it is none; UDS_ERR_MISMATCH: it is one, with numbers that cannot be. */
static int judge_config(struct damage_search *search, uint64_t at)
{
	struct uds_configuration configuration;
	struct geometry geometry;
	uint32_t version;
	int r = uds_io_read(search->io, search->block, BLOCK_BYTES, at);

	/* The device ends before it. */
	if (r == UDS_ERR_OUT_OF_RANGE)
		return UDS_ERR_CORRUPT;
	if (r == 0)
		r = config_block_decode(search->block, &version, &configuration, NULL);
	if (r == 0 && geometry_make(&configuration, &geometry, NULL) < 0)
		r = UDS_ERR_MISMATCH;
	return r;
}

/*
 * The blocks of an index that a repair does not make whole. Returns 0, or @status where none can be
 * named, or what the I/O said.
 */
static int judge(struct damage_search *search, int status, uint32_t *ret_blocks)
{
	struct super_block super = { .total_blocks = 0 };
	uint64_t at = search->options->offset, config_at = at + BLOCK_BYTES;
	int first, second;

	first = layout_read_super_block(search->io, at, search->block, &super, NULL);
	if (first < 0 && !lost_block_may_be(first))
		return first;
	/* Decoded, and yet refused: the device ends too early for what it says. */
	if (first < 0 && super.total_blocks > 0)
		return status;
	if (first == 0)
		config_at = super_block_config_at(&super) * BLOCK_BYTES;
	second = judge_config(search, config_at);
	if (second < 0 && !lost_block_may_be(second))
		return second;
	/* Neither has a magic, or each is good and they contradict each other. */
	if ((first == UDS_ERR_NOT_AN_INDEX && second == UDS_ERR_CORRUPT) ||
	    (first == 0 && second == 0))
		return status;
	*ret_blocks = (first < 0 ? UDS_INDEX_SUPER_BLOCK : 0u) |
		      (second < 0 ? UDS_INDEX_CONFIG_BLOCK : 0u);
	return 0;
}

static int find_damage(struct damage_search *search, struct uds_index_damage *damage)
{
	int r, tried;

	r = layout_read(search->io, search->options->offset, &search->why, &search->layout);
	if (!lost_block_may_be(r) || r == UDS_ERR_UNSUPPORTED_VERSION)
		return r;
	search->scratch = search->why;
	tried = lost_block_try(search->io, search->options, search->env, r, &search->scratch,
			       &damage->blocks, &damage->needs_nonce);
	damage->repairable = tried == 0;
	if (tried == 0)
		return 0;
	if (lost_block_may_be(tried))
		tried = judge(search, r, &damage->blocks);
	/* The place with the reason why it is not made again; or what the I/O said. */
	if (tried != r)
		search->why = search->scratch;
	return tried;
}

UDS_PUBLIC int uds_index_read_damage(struct uds_io *io, const struct uds_index_options *options,
				     struct uds_message *ret_message,
				     struct uds_index_damage *ret_damage)
{
	struct uds_index_options o = UDS_INDEX_OPTIONS_INIT;
	struct uds_index_damage damage = UDS_INDEX_DAMAGE_INIT;
	struct damage_search *search;
	struct uds_env env;
	int r;

	r = STRUCT_OUT_CHECK(ret_damage, uds_index_damage, unused, ret_message);
	if (r == 0)
		r = index_take_options(options, &o, &env, ret_message);
	if (r < 0)
		return r;
	/* Not on the stack: a layout and sentences are too large for a thread with a small one. */
	search = env_allocate_zeroed(&env, 1, sizeof(*search));
	if (search == NULL)
		return failure(ret_message, -ENOMEM, "%s: %s", uds_io_name(io),
			       uds_strerror(-ENOMEM));
	env.log = verify_say_nothing;
	search->io = io;
	search->options = &o;
	search->env = &env;
	search->block = io_allocate_buffer(io, &env, BLOCK_BYTES);
	if (search->block == NULL)
		r = failure(&search->why, -ENOMEM, "%s: %s", uds_io_name(io),
			    uds_strerror(-ENOMEM));
	else
		r = find_damage(search, &damage);
	if (ret_message != NULL && (r < 0 || damage.blocks != 0))
		*ret_message = search->why;
	if (r == 0)
		struct_out(ret_damage, &damage, sizeof(damage));
	env_release(&env, search->block);
	env_release(&env, search);
	return r;
}
