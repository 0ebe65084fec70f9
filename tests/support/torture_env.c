/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The failing, counting allocator. Each piece has a small head in front that says where it began,
 * and a tail behind it that must stay as it is.
 */
#include "torture_env.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"

#define MAGIC UINT64_C(0x746f7274757265ff)

static const uint8_t tail[32] = "what is written here is outside";

struct head {
	uint64_t magic;
	void *begin;
	uint64_t bytes;
	uint64_t unused;
};

static bool should_fail(struct torture_env *torture)
{
	uint64_t nth = atomic_fetch_add(&torture->count, 1) + 1;

	if (torture->fail_at == 0 || nth < torture->fail_at ||
	    (nth - torture->fail_at >= torture->times && !torture->and_after))
		return false;
	atomic_fetch_add(&torture->failed, 1);
	return true;
}

static void *torture_allocate(void *context, size_t bytes, size_t alignment)
{
	struct torture_env *torture = context;
	struct head head = { MAGIC, NULL, bytes, 0 };
	uint64_t total, peak;
	uint8_t *memory;

	if (should_fail(torture))
		return NULL;
	/* The head lies in front; its size is no power of two everywhere. */
	while (alignment < sizeof(head))
		alignment *= 2;
	/* Aligned as asked for and no better: code that needs more is found. */
	if (posix_memalign(&head.begin, 2 * alignment, alignment + bytes + sizeof(tail)) != 0)
		return NULL;
	memory = (uint8_t *)head.begin + alignment;
	memcpy(memory - sizeof(head), &head, sizeof(head));
	memset(memory, 0xa5, bytes < 65536 ? bytes : 65536);
	memcpy(memory + bytes, tail, sizeof(tail));
	atomic_fetch_add(&torture->live, 1);
	total = atomic_fetch_add(&torture->bytes, bytes) + bytes;
	peak = atomic_load(&torture->peak);
	while (total > peak && !atomic_compare_exchange_weak(&torture->peak, &peak, total))
		;
	return memory;
}

static void torture_release(void *context, void *memory)
{
	struct torture_env *torture = context;
	struct head head;

	ck_assert_ptr_nonnull(memory);
	memcpy(&head, (uint8_t *)memory - sizeof(head), sizeof(head));
	ck_assert_msg(head.magic == MAGIC, "released what was not allocated here, or twice");
	ck_assert_msg(memcmp((uint8_t *)memory + head.bytes, tail, sizeof(tail)) == 0,
		      "written behind the end of %llu bytes", (unsigned long long)head.bytes);
	memset((uint8_t *)memory - sizeof(head), 0xee, sizeof(head));
	atomic_fetch_sub(&torture->live, 1);
	atomic_fetch_sub(&torture->bytes, head.bytes);
	free(head.begin);
}

void torture_env_start(struct torture_env *torture)
{
	const struct uds_env env = UDS_ENV_INIT;

	memset(torture, 0, sizeof(*torture));
	torture->env = env;
	torture->env.context = torture;
	torture->env.allocate = torture_allocate;
	torture->env.release = torture_release;
}

const struct uds_env *guarded_env(void)
{
	static struct torture_env guarded;

	if (guarded.env.allocate == NULL)
		torture_env_start(&guarded);
	return &guarded.env;
}

void torture_env_fail_at(struct torture_env *torture, uint64_t nth, bool and_after)
{
	torture->fail_at = nth;
	torture->and_after = and_after;
	torture->times = 1;
	torture->count = 0;
	torture->failed = 0;
}

void torture_env_end(struct torture_env *torture)
{
	ck_assert_msg(torture->live == 0, "%llu allocations (%llu bytes) were not released",
		      (unsigned long long)torture->live, (unsigned long long)torture->bytes);
}

/* What one run asked for: how many allocations, and the most bytes at a time. */
struct run {
	uint64_t count, peak;
};

static bool run_once(int (*work)(const struct uds_env *, void *), void *context, bool may_succeed,
		     uint64_t nth, bool and_after, struct run *ret_run)
{
	struct torture_env torture;
	int r;

	torture_env_start(&torture);
	torture_env_fail_at(&torture, nth, and_after);
	r = work(&torture.env, context);
	ck_assert_msg(torture.live == 0, "allocation %llu failed: %llu allocations leaked",
		      (unsigned long long)nth, (unsigned long long)torture.live);
	if (torture.failed == 0)
		ck_assert_msg(r == 0, "nothing failed, but the work returned %d", r);
	else if (!may_succeed || r != 0)
		ck_assert_msg(r == -ENOMEM, "allocation %llu failed: the work returned %d",
			      (unsigned long long)nth, r);
	ret_run->count = torture.count;
	ret_run->peak = torture.peak;
	return torture.failed > 0;
}

uint64_t torture_each_allocation(int (*work)(const struct uds_env *env, void *context),
				 void *context, bool may_succeed)
{
	uint64_t nth = 1;
	struct run run;

	while (run_once(work, context, may_succeed, nth, false, &run)) {
		run_once(work, context, may_succeed, nth, true, &run);
		/* How much memory it takes is another number for each work. */
		nth = test_next(nth, run.peak);
	}
	return run.count;
}
