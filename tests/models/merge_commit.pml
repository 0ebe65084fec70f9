/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Merging a snapshot: one thread copies groups of chunks to the origin, newest exceptions first, a second
 * one takes the exceptions of a copied group off the list, and a writer of the origin wants any of the
 * chunks. The devices lose power at any moment; the merge goes on from what is left, and they lose it
 * again.
 *
 * Models: lib/snapshot/merge.c: merge_group copy commit finish
 * Models: lib/snapshot/merge_group.c: merge_group_commit
 * Models: lib/snapshot/merge_committer.c: run merge_committer_hand_over merge_committer_finish
 * Models: lib/snapshot/range_lock.c: range_acquire range_release range_claim range_unclaim
 * Models: lib/snapshot/origin.c: origin_flush_copies
 * Models: lib/snapshot/origin_write.c: write_merging
 * Models: lib/exceptions/store_take_off.c: store_take_off
 *
 * Holds (uds-cow(5), 11): a reader sees each chunk as the snapshot has it, or as it was written since;
 * what was written and flushed is never lost; when the merge has ended, all of it is on the origin;
 * nobody waits forever.
 * Left out: writes that fail, groups that are given up for a writer, hidden and lost chunks. Cleaning the
 * tail of an area at opening is in area_commit.pml, taking several areas off at once in
 * take_off_areas.pml.
 *
 * MUTANT 1: the origin is not flushed before exceptions are taken off
 * MUTANT 2: writers do not wait for claims
 * MUTANT 3: a claim does not wait for the writer inside
 * MUTANT 4: a claim ends when its group is copied
 * MUTANT 5: the older group goes first
 * MUTANT 6: a group is handed over while the one before is in work
 */
#define CHUNKS	 4 /* exception i is that of chunk i; a group has two, in an area of their own */
#define DATA	 CHUNKS
#define ORIGIN	 (DATA + CHUNKS)
#define CELLS	 (ORIGIN + CHUNKS)
#include "device.pml"
#define NONE	 CHUNKS
#define SNAPSHOT 1 /* the content of a chunk of the snapshot; on the origin 0, by writers more */

bool mapped[CHUNKS], claimed[CHUNKS], merged, down;
byte inside = NONE, group = NONE, writes;
byte expect[CHUNKS]; /* what a reader has to see: this, */
byte also[CHUNKS];   /* or this, until it is flushed */

inline copy(c)
{
	write(ORIGIN + c, seen[DATA + c])
}

inline unclaim(one)
{
	d_step { claimed[one] = false; claimed[one + 1] = false }
}

proctype merger()
{
	byte first = CHUNKS, turn;

	{
		do
		:: turn < CHUNKS / 2 ->
			first = (MUTANT == 5 -> 2 * turn : CHUNKS - 2 - 2 * turn);
			if
			:: !mapped[first] && !mapped[first + 1]
			:: else ->
				d_step { claimed[first] = true; claimed[first + 1] = true }
				(inside != first && inside != first + 1) || MUTANT == 3;
				if :: mapped[first + 1] -> copy(first + 1) :: else fi;
				if :: mapped[first] -> copy(first) :: else fi;
				ONLY_IN(4, unclaim(first));
				atomic { group == NONE || MUTANT == 6 -> group = first }
			fi;
			turn++
		:: else -> break
		od;
		group == NONE;
		merged = true
	} unless { down }
}

/* The second thread. */
proctype committer()
{
	byte taken;

	{
end:		do
		:: atomic { group != NONE -> taken = group }
			EXCEPT_IN(1, flush(ORIGIN, CELLS));
			clear(taken, taken + 2);
			flush(0, ORIGIN);
			d_step { mapped[taken] = false; mapped[taken + 1] = false }
			unclaim(taken);
			d_step { group = NONE; taken = 0 }
		od
	} unless { down }
}

proctype writer()
{
	byte chunk;
	bool copied;

	{
		select (chunk : 0 .. CHUNKS - 1);
		atomic { !claimed[chunk] || MUTANT == 2 -> inside = chunk }
		copied = mapped[chunk];
		also[chunk] = SNAPSHOT + 1 + writes;
		if
		:: copied -> write(DATA + chunk, also[chunk])
		:: else -> write(ORIGIN + chunk, also[chunk])
		fi;
		inside = NONE;
		flush(0, ORIGIN);
		flush(ORIGIN, CELLS);
		d_step { expect[chunk] = also[chunk]; writes++ }
	} unless { down }
}

/* Each chunk as a reader sees it: through the map or, after a power cut, by the list; or the origin. */
inline look(is_mapped)
{
	d_step {
		for (i : 0 .. CHUNKS - 1) {
			got = (is_mapped -> seen[DATA + i] : seen[ORIGIN + i]);
			assert(got == expect[i] || got == also[i])
		}
		i = 0; got = 0
	}
}

/* Opens the origin with the snapshot: what it has now is what a reader has to see from here on. */
inline open_snapshot()
{
	d_step {
		do
		:: length < CHUNKS && seen[length] != 0 -> length++
		:: else -> break
		od;
		for (i : 0 .. CHUNKS - 1) {
			mapped[i] = i < length;
			claimed[i] = false;
			expect[i] = (mapped[i] -> seen[DATA + i] : seen[ORIGIN + i]);
			also[i] = expect[i]
		}
		i = 0; length = 0; inside = NONE; group = NONE;
		writes = life; merged = false; down = false
	}
}

init {
	byte life, i, got, length;
	bool cut;

	d_step {
		for (i : 0 .. CHUNKS - 1) {
			disk[i] = 1; seen[i] = 1;
			disk[DATA + i] = SNAPSHOT; seen[DATA + i] = SNAPSHOT
		}
		i = 0
	}
	do
	:: life < 2 ->
		open_snapshot();
		if :: cut = true :: life == 1 -> cut = false fi;
		atomic { run merger(); run committer(); run writer() }
		if
		:: cut -> look(mapped[i]) /* at any moment */
		:: !cut ->
			merged && writes == life + 1;
			assert(!mapped[0] && !mapped[1] && !mapped[2] && !mapped[3]);
			look(false)
		fi;
		down = true;
		_nr_pr == 1;
		power_cut();
		look(seen[0] != 0 && (i < 1 || seen[1] != 0) && (i < 2 || seen[2] != 0) &&
		     (i < 3 || seen[3] != 0));
		life++
	:: else -> break
	od
}
