/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The journal's blocks, as they lie in the extras area (uds-extras(5)): encoding, writing, and
 * finding out after a power cut how far the journal goes.
 *
 * Blocks are numbered from 1 on, and a number is never used again; block n lies at place n mod
 * blocks. What is written together is a flush: it counts as a whole or not at all. Each block names
 * the first one that is needed to understand it, its tail; the blocks from there to the end of a
 * flush are a chain.
 *
 * Threads: pure functions, but for those that take an I/O: one at a time for each area.
 */
#ifndef EXTRAS_JOURNAL_H
#define EXTRAS_JOURNAL_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/record.h>
#include <uds/status.h>

#include "extras/area.h"
#include "io/io.h"

/* No journal reaches this number. */
#define JOURNAL_LIMIT (UINT64_C(1) << 60)

enum journal_kind {
	JOURNAL_STORE = 1,  /* a record was put into the open chapter */
	JOURNAL_DELETE = 2, /* a name was deleted while the block's chapter was open */
	JOURNAL_CARRIED = 3 /* a name was deleted while an earlier chapter was open */
};

struct journal_entry {
	uint8_t kind; /* enum journal_kind */
	struct uds_record_name name;
	struct uds_record_data data; /* of JOURNAL_STORE */
	uint64_t chapter;	     /* of JOURNAL_CARRIED: the one that was open */
	/* Of deletions: the time stamp of a save that was being made and has it; 0: none. */
	uint64_t save;
};

/* What is the same for all blocks of a flush, and where in it a block is. */
struct journal_head {
	uint64_t number; /* 0: none */
	uint64_t tail;	 /* the first block of its chain */
	uint64_t end;	 /* the number behind the last block of its flush */
	/* all flushes that end at or before this were durable when it was written */
	uint64_t durable;
	uint64_t chapter; /* the open one */
	uint32_t count;	  /* entries */
};

/* Where an entry lies in a block. */
void journal_put_entry(uint8_t block[BLOCK_BYTES], uint32_t i, const struct journal_entry *entry);
void journal_get_entry(const uint8_t block[BLOCK_BYTES], uint32_t i,
		       struct journal_entry *ret_entry);

/*
 * Fills in everything but the entries, and clears what is behind them. Last: there is a
 * checksum in it.
 */
void journal_end_block(const struct extras_area *area, const struct journal_head *head,
		       uint8_t block[BLOCK_BYTES]);

/*
 * Whether a block is one of this journal, at its place, and undamaged. Changes @ret_head only then.
 */
bool journal_check_block(const struct extras_area *area, uint64_t place,
			 const uint8_t block[BLOCK_BYTES], struct journal_head *ret_head);

/*
 * Writes blocks @first and on, in order, where they belong: with one write, or two where the
 * journal wraps. No flush. Returns 0 or what the I/O said.
 */
int journal_write(struct uds_io *io, const struct extras_area *area, uint64_t first,
		  const uint8_t *blocks, uint64_t count, struct uds_message *ret_message);

/* What is there. */
struct journal_found {
	uint64_t tail;	     /* the chain that counts: from here */
	uint64_t end;	     /* to here; the same: there is none */
	uint64_t chapter;    /* that was open */
	uint64_t next;	     /* the first number that was never used */
	uint64_t durable;    /* the highest end of a flush that was certainly durable once */
	uint64_t unreadable; /* blocks that could not be read */
};

/* How many blocks were durable once, and are missing: damage, unless a save covers them. */
uint64_t journal_lost_blocks(const struct journal_found *found);

/*
 * Reads the whole journal.
 *
 * @skip_unreadable: blocks that cannot be read are passed over.
 *
 * Returns 0, -ENOMEM, or what the I/O said.
 */
int journal_find(struct uds_io *io, const struct uds_env *env, const struct extras_area *area,
		 bool skip_unreadable, struct uds_message *ret_message,
		 struct journal_found *ret_found);

/*
 * What there is when no header is left that says which blocks count: reports how many blocks have a
 * place in a journal there, of whatever id, and the latest chapter that was open when one was
 * written. Blocks that cannot be read, or lie behind the end of the I/O, are passed over.
 *
 * @area: from extras_make(), with any id.
 *
 * Returns 0 or -ENOMEM, or what asking for the size of the I/O came to.
 */
int journal_find_headless(struct uds_io *io, const struct uds_env *env, struct extras_area *area,
			  uint64_t *ret_blocks, uint64_t *ret_chapter);

/*
 * Reads blocks [@first, @first + @count) of a chain, which do not wrap.
 *
 * Returns 0; UDS_ERR_CORRUPT when one of them is not what it was; or what the I/O said.
 */
int journal_read(struct uds_io *io, const struct extras_area *area, uint64_t first, uint64_t count,
		 uint8_t *blocks, struct uds_message *ret_message);

#endif
