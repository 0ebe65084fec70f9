/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Slots and the heads of their index pages.
 *
 * The state of a slot is one word: how many readers are inside, and two flags. A reader that comes
 * while WRITING is set goes out again at once; one that comes while DROPPING is set tries again,
 * since that lasts for a few calls of free only. The thread that sets WRITING waits for the readers
 * to be gone; DROPPING is not set while there are any.
 *
 * Heads come in by compare-and-swap and go only while one of the flags keeps all readers out.
 */
#include "volume/slot_table.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

#include "base/env.h"

#define WRITING	 UINT32_C(0x80000000)
#define DROPPING UINT32_C(0x40000000)

/*
 * A list takes one block of the device, a page of the usual size eight. After so many lists the
 * page had been read for the same price.
 */
#define LISTS_PER_PAGE_READ 8

struct slot_table {
	struct uds_env env;
	uint32_t slots;
	uint32_t index_pages;
	uint64_t budget_bytes;
	_Atomic uint64_t head_bytes; /* that the heads take now */
	_Atomic uint32_t hand;	     /* the slot whose heads may go next */
	_Atomic uint32_t *states;
	_Atomic uint32_t *writes;	      /* see slot_writes() */
	_Atomic(struct cached_head *) *heads; /* index_pages for each slot */
	pthread_mutex_t lock;
	pthread_cond_t left; /* the last reader left a slot that somebody wants to write */
};

uint64_t slot_table_full_bytes(const struct geometry *geometry)
{
	const struct index_page_head none = { .list_count = 0 };
	uint64_t pages = geometry->index_pages_per_chapter;
	/*
	 * The tables of all pages of a chapter together have an entry for each list and one more
	 * for each page's end.
	 */
	uint64_t lists_bits = (uint64_t)geometry->delta_lists_per_chapter * INDEX_PAGE_OFFSET_BITS;

	return geometry->chapters_per_volume *
	       (pages * (sizeof(struct cached_head) + index_page_table_bytes(&none) + 1) +
		lists_bits / 8 + 1);
}

int slot_table_make(const struct uds_env *env, uint32_t slots, uint32_t index_pages,
		    uint64_t budget_bytes, struct slot_table **ret_table)
{
	struct slot_table *table = env_allocate_zeroed(env, 1, sizeof(*table));

	if (table == NULL)
		return -ENOMEM;
	table->env = *env;
	table->slots = slots;
	table->index_pages = index_pages;
	table->budget_bytes = budget_bytes;
	table->states = env_allocate_zeroed(env, slots, sizeof(table->states[0]));
	table->writes = env_allocate_zeroed(env, slots, sizeof(table->writes[0]));
	/* Only pointers: the heads come in as pages are read, and count against the budget. */
	table->heads =
		env_allocate_zeroed(env, (uint64_t)slots * index_pages, sizeof(table->heads[0]));
	if (table->states == NULL || table->writes == NULL || table->heads == NULL) {
		env_release(env, table->states);
		env_release(env, table->writes);
		env_release(env, table->heads);
		env_release(env, table);
		return -ENOMEM;
	}
	pthread_mutex_init(&table->lock, NULL);
	pthread_cond_init(&table->left, NULL);
	*ret_table = table;
	return 0;
}

static _Atomic(struct cached_head *) *head_at(const struct slot_table *table, uint32_t slot,
					      uint32_t page)
{
	return &table->heads[(size_t)slot * table->index_pages + page];
}

static size_t head_size(const struct cached_head *head)
{
	return sizeof(*head) + index_page_table_bytes(&head->head);
}

/* No reader is in the slot. */
static void drop_heads(struct slot_table *table, uint32_t slot)
{
	for (uint32_t page = 0; page < table->index_pages; page++) {
		struct cached_head *head = atomic_exchange(head_at(table, slot, page), NULL);

		if (head == NULL)
			continue;
		atomic_fetch_sub(&table->head_bytes, head_size(head));
		env_release(&table->env, head);
	}
}

void slot_table_free(struct slot_table *table)
{
	struct uds_env env;

	if (table == NULL)
		return;
	for (uint32_t slot = 0; slot < table->slots; slot++)
		drop_heads(table, slot);
	pthread_cond_destroy(&table->left);
	pthread_mutex_destroy(&table->lock);
	env = table->env;
	env_release(&env, table->heads);
	env_release(&env, table->writes);
	env_release(&env, table->states);
	env_release(&env, table);
}

/*
 * Wakes the writer when @before, the state before one of us went, says that it waits for us
 * alone.
 */
static void wake_writer(struct slot_table *table, uint32_t before, uint32_t leaving)
{
	if ((before & ~WRITING) != leaving || (before & WRITING) == 0)
		return;
	/*
	 * Taking the lock orders this with the writer's test: it either sees the slot empty, or is
	 * waiting already and is woken.
	 */
	pthread_mutex_lock(&table->lock);
	pthread_cond_broadcast(&table->left);
	pthread_mutex_unlock(&table->lock);
}

bool slot_enter(struct slot_table *table, uint32_t slot)
{
	for (;;) {
		/*
		 * One atomic addition for both, getting in and looking at the flags: a reader that
		 * comes in this way is seen by a writer that sets its flag afterwards.
		 */
		uint32_t before =
			atomic_fetch_add_explicit(&table->states[slot], 1, memory_order_acquire);

		if ((before & (WRITING | DROPPING)) == 0)
			return true;
		/*
		 * Out again at once, and as everybody else: the writer may have seen the count and
		 * be waiting.
		 */
		slot_leave(table, slot);
		if ((before & WRITING) != 0)
			return false;
		sched_yield();
	}
}

void slot_leave(struct slot_table *table, uint32_t slot)
{
	/*
	 * Release: what was read of the slot is done with before a writer can see that no
	 * reader is inside.
	 */
	uint32_t before = atomic_fetch_sub_explicit(&table->states[slot], 1, memory_order_release);

	wake_writer(table, before, 1);
}

void slot_lock(struct slot_table *table, uint32_t slot)
{
	/* From here on new readers are turned away; those inside are waited for. */
	atomic_fetch_or(&table->states[slot], WRITING);
	pthread_mutex_lock(&table->lock);
	while (atomic_load_explicit(&table->states[slot], memory_order_acquire) != WRITING)
		pthread_cond_wait(&table->left, &table->lock);
	pthread_mutex_unlock(&table->lock);
	/* Only now: a reader that was inside until a moment ago must not know the new number. */
	atomic_fetch_add(&table->writes[slot], 1);
	drop_heads(table, slot);
}

void slot_unlock(struct slot_table *table, uint32_t slot)
{
	atomic_fetch_and_explicit(&table->states[slot], ~WRITING, memory_order_release);
}

uint32_t slot_writes(const struct slot_table *table, uint32_t slot)
{
	return atomic_load_explicit(&table->writes[slot], memory_order_relaxed);
}

const struct cached_head *slot_head(const struct slot_table *table, uint32_t slot, uint32_t page)
{
	return atomic_load_explicit(head_at(table, slot, page), memory_order_acquire);
}

void slot_prefetch(const struct slot_table *table, uint32_t slot, uint32_t page)
{
	__builtin_prefetch(&table->states[slot], 1);
	__builtin_prefetch(head_at(table, slot, page));
}

void slot_prefetch_head(const struct slot_table *table, uint32_t slot, uint32_t page,
			uint32_t list_in_page)
{
	/* Only its address is used: the head may be gone by now. */
	const uint8_t *head = (const uint8_t *)slot_head(table, slot, page);
	const struct index_page_head before = { .list_count = list_in_page };

	if (head == NULL)
		return;
	__builtin_prefetch(head);
	__builtin_prefetch(head + sizeof(struct cached_head) + index_page_table_bytes(&before) - 1);
}

/* Evicts the heads of some slots without readers, until there is room again. */
static void make_room(struct slot_table *table)
{
	/*
	 * 16: a few busy slots are passed over, but a caller that only wants to cache a head does
	 * not search for long.
	 */
	for (unsigned int tries = 0; tries < 16; tries++) {
		uint32_t slot = atomic_fetch_add(&table->hand, 1) % table->slots;
		uint32_t idle = 0;

		if (atomic_load(&table->head_bytes) <= table->budget_bytes)
			return;
		/*
		 * Only from no readers and no flags: heads are read without a lock by a thread
		 * that is inside.
		 */
		if (!atomic_compare_exchange_strong(&table->states[slot], &idle, DROPPING))
			continue;
		drop_heads(table, slot);
		/*
		 * A writer may have come meanwhile: it saw DROPPING in the state and waits for it
		 * to go.
		 */
		wake_writer(table, atomic_fetch_and(&table->states[slot], ~DROPPING), DROPPING);
	}
}

bool slot_head_is_busy(struct slot_table *table, uint32_t slot, uint32_t page)
{
	struct cached_head *head =
		atomic_load_explicit(head_at(table, slot, page), memory_order_acquire);
	uint32_t before;

	before = atomic_fetch_add_explicit(&head->list_reads, 1, memory_order_relaxed);
	if (before + 1 < LISTS_PER_PAGE_READ)
		return false;
	/*
	 * Starts over: if the page is evicted again it takes as many lists until it is read whole
	 * again.
	 */
	atomic_store_explicit(&head->list_reads, 0, memory_order_relaxed);
	return true;
}

void slot_cache_head(struct slot_table *table, uint32_t slot, uint32_t page,
		     const struct index_page_head *head, const uint8_t *bytes)
{
	size_t length = index_page_table_bytes(head);
	struct cached_head *cached, *none = NULL;

	if (slot_head(table, slot, page) != NULL)
		return;
	/* Taken from the budget first, so that threads together never exceed it. */
	if (atomic_fetch_add(&table->head_bytes, sizeof(*cached) + length) + sizeof(*cached) +
		    length >
	    table->budget_bytes)
		make_room(table);
	/* Still full: the head is not cached. The next lookup reads it again. */
	cached = atomic_load(&table->head_bytes) > table->budget_bytes
			 ? NULL
			 : env_allocate(&table->env, 1, sizeof(*cached) + length);
	if (cached != NULL) {
		cached->head = *head;
		atomic_init(&cached->list_reads, 0);
		memcpy(cached->bytes, bytes, length);
		if (atomic_compare_exchange_strong(head_at(table, slot, page), &none, cached))
			return;
		env_release(&table->env, cached); /* another thread was faster */
	}
	atomic_fetch_sub(&table->head_bytes, sizeof(*cached) + length);
}

uint64_t slot_table_bytes(const struct slot_table *table)
{
	return sizeof(*table) +
	       (uint64_t)table->slots * (sizeof(table->states[0]) + sizeof(table->writes[0])) +
	       (uint64_t)table->slots * table->index_pages * sizeof(table->heads[0]) +
	       atomic_load(&table->head_bytes);
}
