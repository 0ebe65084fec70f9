/* SPDX-License-Identifier: BSD-2-Clause */
/* Calls that go to every shard: flush, save, statistics, and going through all records. */
#include "shards/move.h"

#include <errno.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "shards/placement.h"

int shards_end(const struct uds_shards *shards, int status, const char *what)
{
	return failures_end(shards->failures, status, "%s: %s", shards->name, what);
}

/* ---- the same in all shards at once ---- */

struct call {
	struct task task;
	struct shard *shard;
	int (*work)(struct shard *shard);
	int status;
	struct uds_message said;
};

static void run_call(struct task *task)
{
	struct call *call = (struct call *)task;

	call->status = call->work(call->shard);
	if (call->status < 0)
		uds_index_error_message(call->shard->index, &call->said);
}

int shards_do(struct uds_shards *shards, int (*work)(struct shard *shard), int *ret_joining)
{
	unsigned int count = shards->manifest.count;
	struct call *calls = env_allocate_zeroed(&shards->env, count, sizeof(*calls));
	struct round round;
	int status = 0;

	if (calls == NULL)
		return -ENOMEM;
	round_start(&round);
	for (unsigned int i = 0; i < count; i++) {
		calls[i].task.run = run_call;
		calls[i].shard = shards->shards[i];
		calls[i].work = work;
		round_give(&round, &shards->shards[i]->worker, &calls[i].task);
	}
	round_end(&round);
	for (unsigned int i = 0; i < count; i++) {
		if (shards->manifest.roles[i] == UDS_SHARD_JOINING) {
			*ret_joining = calls[i].status;
		} else if (calls[i].status < 0 && status == 0) {
			status = failures_say(shards->failures, calls[i].status,
					      "%.100s: shard %u (%.80s): %.300s", shards->name,
					      i + 1, shards->manifest.uris[i], calls[i].said.text);
		}
	}
	env_release(&shards->env, calls);
	return status;
}

int shard_persist(struct shard *shard)
{
	/* Without a journal a flush does not make the open chapter durable. */
	return shard->has_journal ? uds_index_flush(shard->index) : uds_index_save(shard->index);
}

static int flush_shard(struct shard *shard)
{
	return uds_index_flush(shard->index);
}

static int save_shard(struct shard *shard)
{
	return uds_index_save(shard->index);
}

/*
 * A shard that joins answers nothing yet, so its failure is the move's, not the caller's; but not
 * while it may be the home after a crash.
 */
static int make_durable(struct uds_shards *shards, int (*work)(struct shard *shard))
{
	int joining = 0;
	int r = shards_do(shards, work, &joining);

	if (joining < 0) {
		pthread_mutex_lock(&shards->told);
		shards_stop_telling(shards, joining);
		pthread_mutex_unlock(&shards->told);
	}
	return r < 0 ? r : shards_check_told(shards);
}

UDS_PUBLIC int uds_shards_flush(struct uds_shards *shards)
{
	int r;

	failures_begin(shards->failures);
	gate_enter(&shards->gate);
	r = make_durable(shards, flush_shard);
	gate_leave(&shards->gate);
	return shards_end(shards, r, "flushing");
}

UDS_PUBLIC int uds_shards_save(struct uds_shards *shards)
{
	int r;

	failures_begin(shards->failures);
	gate_enter(&shards->gate);
	r = make_durable(shards, save_shard);
	gate_leave(&shards->gate);
	return shards_end(shards, r, "saving");
}

/* ---- statistics ---- */

/* Every member behind size is a 64-bit count. */
static void add_up(struct uds_index_statistics *sum, const struct uds_index_statistics *s)
{
	uint64_t to[sizeof(*s) / 8], from[sizeof(*s) / 8];

	memcpy(to, sum, sizeof(to));
	memcpy(from, s, sizeof(from));
	for (size_t i = 1; i < sizeof(to) / sizeof(to[0]); i++)
		to[i] += from[i];
	memcpy(sum, to, sizeof(to));
}

UDS_PUBLIC int uds_shards_get_statistics(struct uds_shards *shards,
					 struct uds_index_statistics *ret_statistics)
{
	struct uds_index_statistics sum = UDS_INDEX_STATISTICS_INIT;
	struct uds_message message = { "" };
	int r;

	failures_begin(shards->failures);
	r = STRUCT_OUT_CHECK(ret_statistics, uds_index_statistics, chapters_written, &message);
	if (r < 0)
		return failures_keep(shards->failures, r, &message);
	gate_enter(&shards->gate);
	for (unsigned int i = 0; r == 0 && i < shards->manifest.count; i++) {
		struct uds_index_statistics s = UDS_INDEX_STATISTICS_INIT;

		r = uds_index_get_statistics(shards->shards[i]->index, &s);
		add_up(&sum, &s);
	}
	gate_leave(&shards->gate);
	sum.open_chapter = sum.oldest_chapter = 0;
	if (r == 0)
		struct_out(ret_statistics, &sum, sizeof(sum));
	return shards_end(shards, r, "adding up statistics");
}

/* ---- what the manifest says ---- */

static uint32_t count_slots(const uint8_t *home, unsigned int number)
{
	uint32_t count = 0;

	for (uint32_t slot = 0; slot < UDS_SHARDS_SLOTS; slot++)
		count += home[slot] == number;
	return count;
}

void fill_info(const struct manifest *manifest, const uint8_t *home, const uint8_t *target,
	       struct uds_shards_info *ret_info)
{
	struct uds_shards_info info = UDS_SHARDS_INFO_INIT;

	info.generation = manifest->generation;
	info.state = manifest->state;
	info.shards = manifest->count;
	for (uint32_t slot = 0; slot < UDS_SHARDS_SLOTS; slot++)
		info.moving_slots += home[slot] != target[slot];
	info.configuration = manifest->geometry;
	struct_out(ret_info, &info, sizeof(info));
}

void fill_shard_info(const struct manifest *manifest, const uint8_t *home, unsigned int number,
		     struct uds_index *index, struct uds_shard_info *ret_info)
{
	struct uds_shard_info info = UDS_SHARD_INFO_INIT;

	info.uri = manifest->uris[number];
	info.volume_nonce = manifest->nonces[number];
	info.role = manifest->roles[number];
	info.slots = count_slots(home, number);
	info.index = index;
	struct_out(ret_info, &info, sizeof(info));
}

UDS_PUBLIC int uds_shards_get_info(struct uds_shards *shards, struct uds_shards_info *ret_info)
{
	struct uds_message message = { "" };
	int r;

	failures_begin(shards->failures);
	r = STRUCT_OUT_CHECK(ret_info, uds_shards_info, configuration, &message);
	if (r < 0)
		return failures_keep(shards->failures, r, &message);
	gate_enter(&shards->gate);
	fill_info(&shards->manifest, shards->home, shards->target, ret_info);
	gate_leave(&shards->gate);
	return shards_end(shards, 0, "reading what the manifest says");
}

UDS_PUBLIC int uds_shards_get_shard(struct uds_shards *shards, uint32_t number,
				    struct uds_shard_info *ret_info)
{
	struct uds_message message = { "" };
	int r;

	failures_begin(shards->failures);
	r = STRUCT_OUT_CHECK(ret_info, uds_shard_info, index, &message);
	if (r < 0)
		return failures_keep(shards->failures, r, &message);
	gate_enter(&shards->gate);
	if (number < shards->manifest.count)
		fill_shard_info(&shards->manifest, shards->home, number,
				shards->shards[number]->index, ret_info);
	else
		r = failures_say(shards->failures, UDS_ERR_OUT_OF_RANGE,
				 "%s: there is no shard number %u: there are %u", shards->name,
				 number, shards->manifest.count);
	gate_leave(&shards->gate);
	return shards_end(shards, r, "reading what the manifest says of a shard");
}

/* ---- all records ---- */

struct walk {
	struct uds_shards *shards;
	unsigned int number;
	uds_record_fn each;
	void *context;
};

/* A shard may still have names that moved away, or that are being copied to it. */
static int give_own(void *context, const struct uds_record_name *name,
		    const struct uds_record_data *data)
{
	const struct walk *walk = context;

	if (walk->shards->home[slot_of(name)] != walk->number)
		return 0;
	return walk->each(walk->context, name, data);
}

static int walk_shard(struct walk *walk)
{
	struct uds_index *index = walk->shards->shards[walk->number]->index;
	int r = uds_index_for_each(index, give_own, walk);
	struct uds_message said;

	if (r == UDS_ERR_STOPPED || r == 0)
		return r;
	uds_index_error_message(index, &said);
	return failures_say(walk->shards->failures, r, "%.100s: shard %u (%.80s): %.300s",
			    walk->shards->name, walk->number + 1,
			    walk->shards->manifest.uris[walk->number], said.text);
}

UDS_PUBLIC int uds_shards_for_each(struct uds_shards *shards, uds_record_fn each, void *context)
{
	struct walk walk = { shards, 0, each, context };
	int status = 0, r = 0;

	failures_begin(shards->failures);
	gate_enter(&shards->gate);
	for (; r != UDS_ERR_STOPPED && walk.number < shards->manifest.count; walk.number++) {
		r = walk_shard(&walk);
		/* A shard that fails does not keep the others from being walked. */
		if (status == 0)
			status = r;
	}
	gate_leave(&shards->gate);
	if (r == UDS_ERR_STOPPED)
		status = r;
	return shards_end(shards, status, "going through all records");
}

UDS_PUBLIC void uds_shards_error_message(const struct uds_shards *shards,
					 struct uds_message *ret_message)
{
	failures_get(shards->failures, ret_message);
}
