/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The slots of the volume as threads see them: access to a slot, and the heads of its index
 * pages (header and table of list offsets), cached in memory so that a lookup need not read them
 * again.
 *
 * Readers enter a slot and leave it. One writer locks it: from then on no reader can enter, and
 * when slot_lock() returns, no reader is inside any more and the slot's heads are forgotten. So
 * what a reader sees of a slot, and what is cached of it, is of one chapter, never a mixture.
 * Readers never wait.
 *
 * Threads: all functions may be called by any thread, but for make and free.
 */
#ifndef VOLUME_SLOT_TABLE_H
#define VOLUME_SLOT_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>

#include "chapter/index_page.h"

struct slot_table;

/* The first bytes of an index page, up to the end of its table. */
struct cached_head {
	struct index_page_head head;
	_Atomic uint32_t list_reads; /* of single lists of this page: for slot_head_is_busy() */
	uint8_t bytes[];
};

/* Memory that the heads of all index pages of a volume take. */
uint64_t slot_table_full_bytes(const struct geometry *geometry);

/*
 * @index_pages: of each chapter. @budget_bytes: how much memory the heads may take; when there are
 * more, those of some slot are evicted.
 */
int slot_table_make(const struct uds_env *env, uint32_t slots, uint32_t index_pages,
		    uint64_t budget_bytes, struct slot_table **ret_table);

/* May be NULL. No reader is in a slot. */
void slot_table_free(struct slot_table *table);

/* Returns false when the slot is being written: the chapter that was there is gone. */
bool slot_enter(struct slot_table *table, uint32_t slot);
void slot_leave(struct slot_table *table, uint32_t slot);

/*
 * How often the slot was locked for writing so far. A reader that was outside in between, and finds
 * the same number inside, knows that nothing was written meanwhile. The caller is in the slot.
 */
uint32_t slot_writes(const struct slot_table *table, uint32_t slot);

/* One writer at a time for each slot. A slot may stay locked for good: its chapter is lost then. */
void slot_lock(struct slot_table *table, uint32_t slot);
void slot_unlock(struct slot_table *table, uint32_t slot);

/*
 * The cached head of an index page; may be NULL. The caller is in the slot; valid until it leaves.
 */
const struct cached_head *slot_head(const struct slot_table *table, uint32_t slot, uint32_t page);

/*
 * Brings what a lookup will touch into the processor's cache: of the slot, and, a call later,
 * of a head and its table. Looks at nothing that a writer could free, so the caller need not be
 * in the slot.
 */
void slot_prefetch(const struct slot_table *table, uint32_t slot, uint32_t page);
void slot_prefetch_head(const struct slot_table *table, uint32_t slot, uint32_t page,
			uint32_t list_in_page);

/*
 * Caches a copy of the first index_page_table_bytes() of an index page, if the budget allows. The
 * caller is in the slot.
 */
void slot_cache_head(struct slot_table *table, uint32_t slot, uint32_t page,
		     const struct index_page_head *head, const uint8_t *bytes);

/*
 * Counts a read of one list of the page, whose head is cached: the caller has it from slot_head().
 * Returns whether so many lists of it were read that it had been cheaper to read the page once and
 * cache it; counting starts over then.
 */
bool slot_head_is_busy(struct slot_table *table, uint32_t slot, uint32_t page);

/* Memory taken now. */
uint64_t slot_table_bytes(const struct slot_table *table);

#endif
