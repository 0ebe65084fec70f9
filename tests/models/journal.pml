/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The journal and saves: an index stores, deletes and promotes one name, closes chapters, flushes and saves. It loses
 * power at any moment, opens again, by its save or by its chapters, replays the journal, and goes on.
 *
 * Models: lib/index/flush.c: choose encode put_deletions put_records write_blocks lead start_over
 * Models: lib/index/journal.c: journal_begin_chapter journal_begin_save journal_announce_save
 *		journal_know_save journal_end_save journal_add_deletion
 * Models: lib/index/journal_recover.c: journal_recover start_journal
 * Models: lib/index/journal_replay.c: journal_replay take_entry carry
 * Models: lib/extras/journal.c: journal_find choose_chain is_complete
 * Models: lib/extras/area.c: extras_write_header extras_end_intent extras_save_journal
 * Models: lib/index/rebuild.c: continue_save begin_with_save
 *
 * Holds: after a power cut the name has the value of the last flush or save that ended, or one that it got since.
 * Left out: several names and zones, and with them the flush that is full because a chapter was closed; damage,
 * failed writes, other programs, chapters that leave, left-out records; and a save's two slots: it is old or new
 * (saves.pml). What a block, a save or a header has is known by its number, which is never used twice.
 *
 * MUTANT 1: a flush ends before its blocks are durable
 * MUTANT 2: the chain before is given up before the full flush that replaces it is durable
 * MUTANT 3: a flush counts although not all of its blocks are there
 * MUTANT 4: a deletion removes a name wherever it is found
 * MUTANT 5: deletions are not carried on
 * MUTANT 6: stores count although the volume has their chapter
 * MUTANT 7: a save is not announced, so that it is taken to cover what the one before does
 * MUTANT 8: a flush does not wait until the chapter before is durable
 * MUTANT 9: a save that was announced, and found committed, is forgotten when the next one is announced
 */
/* Many blocks and one save, or several saves and few blocks: both at once have too many states. */
#define MOST_BLOCKS (several_saves -> 2 : BLOCKS)
#define MOST_SAVES  (several_saves -> SAVES : 1)
#define CHAPTERS    2
#define SAVES	    2
#define VALUES	    2
#define BLOCKS	    5 /* numbers of blocks, 1 and on */
#define PLACES	    4
#define LIVES	    2
#define NONE	    7
#define CELLS	    (4 + PLACES)
#include "device.pml"
#define CHAPTER 0 /* of each: 0 not written, else 1 + the value in it */
#define BLOCK	2 /* of each place: the number of the block */
#define SAVE	(BLOCK + PLACES) /* the number of the save */
/* The number of the save that is known, and four times that of the one that is announced; 0: none. */
#define HEADER	(SAVE + 1)

#define STORE	1
#define DELETE	2
#define CARRIED 3

/* What is in memory. */
byte newest, open_value; /* 0: the name is not in the open chapter */
byte at = NONE;		 /* the chapter that its entry leads to */
byte value;		 /* 0: it is not there */
byte values, saves, life = 1;
bool anew = true, changed, gone; /* since the last flush: stored or overwritten; deleted */
byte carried;			 /* 1 + the chapter that was open at a deletion that no save has */
byte next = 1, tail = 1;	 /* numbers of blocks */
byte known;			 /* the save that the next header knows */
bool down, several_saves;

/* What was written, by its number. */
byte block_tail[BLOCKS + 1], block_end[BLOCKS + 1], block_chapter[BLOCKS + 1];
byte block_kind[BLOCKS + 1], block_value[BLOCKS + 1];
byte save_newest[SAVES + 1], save_value[SAVES + 1], save_at[SAVES + 1], save_next[SAVES + 1];
byte legal = 1; /* a bit for each value that may come back */

#define VALUE_AT(k) ((k) == NONE -> 0 : ((k) == newest -> open_value : seen[CHAPTER + (k)] - 1))

inline note()
{
	value = VALUE_AT(at);
	legal = legal | (1 << value)
}

inline put_block(kind, what, first, last)
{
	block_tail[next] = tail_now;
	block_end[next] = last + 1;
	block_chapter[next] = newest;
	block_kind[next] = kind;
	block_value[next] = what;
	next++
}

/* As many blocks as there are entries: one or two. */
inline flush_index()
{
	d_step {
		is_full = anew;
		if
		:: is_full ->
			first_kind = (carried == 0 -> 0 : (carried == newest + 1 -> DELETE : CARRIED));
			second = open_value != 0
		:: else ->
			first_kind = (gone -> DELETE : 0);
			second = changed && open_value != 0
		fi;
		count = (first_kind != 0 -> 1 : 0) + (second -> 1 : 0);
		first = next;
		tail_now = (is_full -> next : tail)
	}
	if
	:: count > 0 && next + count <= MOST_BLOCKS + 1 &&
	   next + count - (is_full && MUTANT == 2 -> next : tail) <= PLACES ->
		d_step {
			last = next + count - 1;
			if :: first_kind != 0 -> put_block(first_kind, carried, first, last) :: else fi;
			if :: second -> put_block(STORE, open_value, first, last) :: else fi;
			anew = false; changed = false; gone = false;
			was_legal = 1 << value
		}
		write(BLOCK + first % PLACES, first);
		if :: last != first -> write(BLOCK + last % PLACES, last) :: else fi;
		EXCEPT_IN(1, flush(0, CELLS));
		d_step { tail = tail_now; legal = was_legal }
	:: count == 0 && MUTANT != 8 -> legal = 1 << value
	:: else
	fi;
	d_step { is_full = false; first_kind = 0; second = false; count = 0; first = 0; last = 0; tail_now = 0; was_legal = 0 }
}

inline close_chapter()
{
	write(CHAPTER + newest, 1 + open_value);
	EXCEPT_IN(8, flush(0, CELLS));
	d_step {
		newest++; open_value = 0;
		anew = true; changed = false; gone = false
	}
}

inline save_all()
{
	d_step {
		saves++;
		save_newest[saves] = newest; save_value[saves] = open_value; save_at[saves] = at;
		save_next[saves] = next
	}
	EXCEPT_IN(7, write(HEADER, known + 4 * saves));
	EXCEPT_IN(7, flush(0, CELLS));
	write(SAVE, saves);
	flush(0, CELLS);
	legal = 1 << value;
	known = (MUTANT == 7 -> known : saves);
	EXCEPT_IN(7, write(HEADER, known));
	EXCEPT_IN(7, flush(0, CELLS));
	d_step { carried = 0; anew = true; tail = next }
}

proctype index()
{
	byte first_kind, count, first, last, tail_now, was_legal;
	bool is_full, second;

	{
end:		do
		:: values < VALUES -> d_step {
			values++; open_value = values; at = newest; changed = true; note() }
		:: at != NONE -> d_step {
			at = NONE; open_value = 0; gone = true;
			carried = (MUTANT == 5 -> 0 : newest + 1); note() }
		:: at != NONE && at < newest && seen[CHAPTER + at % CHAPTERS] > 1 -> d_step {
			open_value = seen[CHAPTER + at] - 1; at = newest; changed = true; note() }
		:: newest < CHAPTERS && open_value != 0 -> close_chapter()
		:: flush_index()
		:: saves < MOST_SAVES -> save_all()
		od
	} unless { down }
}

/* The block n - back of the chain that block n belongs to. */
#define IS_LINK(n, back) \
	(seen[BLOCK + ((n) + PLACES - (back)) % PLACES] == (n) - (back) && \
	 block_tail[(n) - (back)] == block_tail[n])

/* A chain has no more blocks than there are places. */
#define COMPLETE(n) \
	(seen[BLOCK + (n) % PLACES] == (n) && \
	 (block_tail[n] == (n) || \
	  (IS_LINK(n, 1) && (block_tail[n] == (n) - 1 || \
	  (IS_LINK(n, 2) && (block_tail[n] == (n) - 2 || \
	  (IS_LINK(n, 3) && block_tail[n] == (n) - 3)))))))

inline open_index()
{
	/* The base: the save, or the chapters. */
	save = seen[SAVE];
	known = (seen[HEADER] / 4 == save && MUTANT != 9 -> save : seen[HEADER] % 4);
	newest = 0;
	do
	:: newest < CHAPTERS && seen[CHAPTER + newest] != 0 -> newest++
	:: else -> break
	od;
	at = NONE; open_value = 0; covers = 0; i = 0;
	if
	:: save != 0 ->
		/* Announced or known; one that is neither is taken for the one before. */
		covers = (seen[HEADER] / 4 == save || seen[HEADER] % 4 == save -> save_next[save] : 0);
		i = save_newest[save];
		at = save_at[save];
		if
		:: newest <= i -> newest = i; open_value = save_value[save]
		:: else -> at = (at == i -> NONE : at) /* continues_save: its chapter tells */
		fi
	:: else
	fi;
	do
	:: i < newest -> at = (seen[CHAPTER + i] > 1 -> i : at); i++
	:: else -> break
	od;
	/* journal_find */
	n = 0; i = 1;
	do
	:: i <= BLOCKS ->
		if
		:: COMPLETE(i) && (block_end[i] == i + 1 || MUTANT == 3) -> n = i
		:: else
		fi;
		i++
	:: else -> break
	od;
	tail = (n == 0 || n < covers -> next : block_tail[n]);
	carried = 0;
	begin = newest;
	if
	:: n != 0 && n >= covers ->
		i = block_tail[n];
		do
		:: i <= n ->
			d = (block_kind[i] == CARRIED -> block_value[i] - 1 : block_chapter[n]);
			if
			:: block_kind[i] == STORE && (block_chapter[n] >= begin || MUTANT == 6) ->
				open_value = block_value[i]; at = newest
			:: block_kind[i] == STORE && block_chapter[n] < begin && MUTANT != 6
			:: block_kind[i] != STORE ->
				carried = 1 + (d > newest -> newest : d);
				if
				:: at != NONE && (at < d || (block_kind[i] == DELETE && at >= begin) ||
						  MUTANT == 4) ->
					open_value = (at == newest -> 0 : open_value); at = NONE
				:: else
				fi
			fi;
			i++
		:: else -> break
		od
	:: else
	fi;
	value = VALUE_AT(at);
	assert((legal & (1 << value)) != 0);
	legal = 1 << value;
	anew = true; changed = false; gone = false;
	/* What no later life can tell apart: what was written over, or never was. */
	i = 1;
	do
	:: i <= BLOCKS ->
		if
		:: seen[BLOCK + i % PLACES] != i ->
			block_tail[i] = 0; block_end[i] = 0; block_chapter[i] = 0;
			block_kind[i] = 0; block_value[i] = 0
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 1;
	do
	:: i <= SAVES ->
		if
		:: seen[SAVE] != i ->
			save_newest[i] = 0; save_value[i] = 0; save_at[i] = 0; save_next[i] = 0
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0; n = 0; save = 0; covers = 0; begin = 0; d = 0
}

init {
	byte i, n, save, covers, begin, d;

	if :: several_saves = true :: skip fi;
	do
	:: life <= LIVES ->
		run index();
		down = true;
		_nr_pr == 1;
		power_cut();
		d_step { open_index(); life++; down = false }
	:: else -> break
	od
}
