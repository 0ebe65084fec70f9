/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Committing exceptions: writers of the origin copy old chunks out and put their exceptions into the
 * ring, and one of them, with the baton, writes those of all. The device loses power at any moment; the
 * store is opened again, the writers begin again, and it loses power again.
 *
 * Models: lib/exceptions/store_commit.c: prepare finished_ones write_area accept_part write_part
 *		write_finished uds_exception_store_commit
 * Models: lib/exceptions/area.c: area_write cow_zero_chunk
 * Models: lib/exceptions/store_settle.c: store_settle
 * Models: lib/exceptions/store_areas.c: clean_tail
 * Models: lib/snapshot/keep_old.c: make_durable keep_window
 *
 * Holds (uds-cow(5), 12): an entry of the list names data that is there (I1); behind a full area the
 * list goes on with nothing old (I2); an origin chunk that has changed has its exception (I3);
 * an exception that was committed is durable; nobody waits forever.
 * Left out: writes that fail, abandoned exceptions, invalidation, more than one exception a request.
 *
 * MUTANT 1: no flush before the area is written
 * MUTANT 2: no flush after it
 * MUTANT 3: the next area is not zeroed
 * MUTANT 4: the next area is zeroed after the area that becomes full is written
 * MUTANT 5: the front of the ring is taken whether its data is written or not
 * MUTANT 6: there is no baton
 * MUTANT 7: the tail of the area is not cleaned at opening
 */
#define PER_AREA 2
#define CHUNKS	 3 /* of the origin, each with a writer: they fill one area and begin the next */
#define ENTRIES	 4
#define DATA	 ENTRIES
#define ORIGIN	 (DATA + CHUNKS)
#define CELLS	 (ORIGIN + CHUNKS)
#include "device.pml"
#define STALE	    99 /* an entry that an earlier store left in the second area */
#define NEW	    1  /* the content of an origin chunk after its writer; 0 before */
#define ENTRY(o, n) (1 + (o)*CHUNKS + (n))
#define OLD_OF(e)   (((e)-1) / CHUNKS)
#define NEW_OF(e)   (((e)-1) % CHUNKS)
#define COPY_OF(o)  ((o) + 1) /* the content of a data chunk; 0 before */

/* The ring: slot i is new chunk i, since new chunks rise along it; [0, committed) have left it. */
byte ring_old[CHUNKS], next_free, committed, done;
bool finished[CHUNKS], mapped[CHUNKS], listed[CHUNKS], busy, down;

/* With the baton: the finished ones at the front that go into the current area. */
inline write_part()
{
	d_step {
		first = committed;
		do
		:: count < PER_AREA - first % PER_AREA && first + count < next_free &&
		   (finished[first + count] || MUTANT == 5) -> count++
		:: else -> break
		od;
		fills = (first + count) % PER_AREA == 0
	}
	if :: fills && MUTANT != 3 && MUTANT != 4 -> zero_next() :: else fi;
	EXCEPT_IN(1, flush(0, ORIGIN));
	atomic {
		for (i : first .. first + count - 1) {
			write(i, ENTRY(ring_old[i], i))
		}
		i = 0
	}
	EXCEPT_IN(2, flush(0, ORIGIN));
	if :: fills && MUTANT == 4 -> zero_next(); flush(0, ORIGIN) :: else fi;
	d_step { assert(committed == first); committed = first + count; first = 0; count = 0 }
}

inline zero_next()
{
	clear(first + count, first + count + PER_AREA)
}

proctype writer(byte old)
{
	byte new, first, count, i;
	bool fills;

	{
		if
		:: mapped[old]
		:: else ->
			atomic { new = next_free; ring_old[new] = old; next_free++ } /* prepare */
			assert(seen[ORIGIN + old] != NEW);
			write(DATA + new, COPY_OF(old));
			finished[new] = true;
			do
			:: committed > new -> break
			:: atomic {
				committed <= new && finished[committed] && (!busy || MUTANT == 6);
				busy = true
			}
				write_part();
				busy = false
			od
		fi;
		write(ORIGIN + old, NEW);
		done++
	} unless { down }
}

/* Opens the store: reads the list, which must be right, and goes on behind it. */
inline open_store()
{
	atomic {
		for (i : 0 .. CHUNKS - 1) {
			listed[i] = false; finished[i] = false; ring_old[i] = 0
		}
		n = 0;
		do
		:: n < ENTRIES && seen[n] != 0 ->
			assert(seen[n] != STALE); /* I2 */
			assert(seen[DATA + NEW_OF(seen[n])] == COPY_OF(OLD_OF(seen[n]))); /* I1 */
			assert(!listed[OLD_OF(seen[n])]);
			listed[OLD_OF(seen[n])] = true;
			n++
		:: else -> break
		od;
		for (i : 0 .. CHUNKS - 1) {
			assert(seen[ORIGIN + i] != NEW || listed[i]); /* I3 */
			mapped[i] = listed[i]
		}
		assert(n >= committed);
		committed = n; next_free = n; busy = false; done = 0; i = 0
	}
}

init {
	byte life, i, n;
	bool cut;

	d_step { disk[2] = STALE; seen[2] = STALE; disk[3] = STALE; seen[3] = STALE }
	do
	:: life < 2 ->
		down = false;
		if :: cut = true :: life == 1 -> cut = false fi;
		atomic { for (i : 0 .. CHUNKS - 1) { run writer(i) } }
		if
		:: cut
		:: !cut -> done == CHUNKS /* nobody waits forever */
		fi;
		down = true;
		_nr_pr == 1;
		power_cut();
		open_store();
		if
		:: MUTANT != 7 ->
			do /* cleans the tail; the power may go away again in between */
			:: clear(n, (n / PER_AREA + 1) * PER_AREA);
				if
				:: power_cut(); open_store()
				:: flush(0, ORIGIN); break
				fi
			od
		:: else
		fi;
		life++
	:: else -> break
	od
}
