/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Taking the exceptions of several areas off the list at once, in two steps; the device loses power at
 * any moment. Then somebody appends to the list: this library, which cleans at opening, or a kernel,
 * which does not.
 *
 * Models: lib/exceptions/store_areas.c: store_take_off_areas choose_tail choose_rest write_all
 * Models: lib/exceptions/store_commit.c: write_area
 * Models: lib/exceptions/store_areas.c: clean_tail
 *
 * Holds (uds-cow(5), 11.6 and 11.8): the list is a prefix of the old one, then what was appended; after a kernel's
 * append there may be old entries behind, but only of the area that it appends to.
 * Left out: writes that fail, and that contents are restored then.
 *
 * MUTANT 1: one step: whole areas at once
 * MUTANT 2: no flush between the steps
 * MUTANT 3: the last sectors go second
 * MUTANT 4: the library does not clean the tail of the area at opening
 */
#define PER_AREA 3 /* each in a sector of its own */
#define AREAS	 2 /* full, and taken off together; one more is clear */
#define OLD_END	 (AREAS * PER_AREA)
#define CELLS	 (OLD_END + PER_AREA)
#include "device.pml"
#define OLD	 1
#define NEW	 2
#define APPENDS	 4

bool down;
byte keep; /* entries of the first area that stay */

inline clear_tails()
{
	clear(PER_AREA - 1, PER_AREA);
	clear(OLD_END - 1, OLD_END)
}

proctype take_off()
{
	{
		if :: MUTANT != 1 && MUTANT != 3 -> clear_tails() :: else fi;
		EXCEPT_IN(2, flush(0, CELLS));
		if
		:: MUTANT != 3 -> clear(keep, OLD_END)
		:: else ->
			clear(keep, PER_AREA - 1);
			clear(PER_AREA, OLD_END - 1);
			flush(0, CELLS);
			clear_tails()
		fi;
		flush(0, CELLS)
	} unless { down }
}

/* One entry at the end of the list, durably. */
inline append(at)
{
	if
	:: (at + 1) % PER_AREA == 0 && at + 1 < CELLS -> clear(at + 1, at + 1 + PER_AREA)
	:: else
	fi;
	flush(0, CELLS);
	write(at, NEW);
	flush(0, CELLS)
}

init {
	byte i, length, added;
	bool kernel;

	d_step {
		for (i : 0 .. OLD_END - 1) { disk[i] = OLD; seen[i] = OLD }
		i = 0
	}
	select (keep : 0 .. PER_AREA - 1);
	run take_off();
	down = true;
	_nr_pr == 1;
	power_cut();
	do
	:: length < CELLS && seen[length] == OLD -> length++
	:: else -> break
	od;
	assert(length >= keep && length <= OLD_END);
	if
	:: kernel = true
	:: kernel = false -> /* clean_tail, and what is behind */
		EXCEPT_IN(4, clear(length, CELLS); flush(0, CELLS))
	fi;
	do
	:: added < APPENDS && length + added < CELLS ->
		append(length + added);
		added++;
		/* What the next one to open it reads. */
		atomic {
			do
			:: i < CELLS && seen[i] != 0 ->
				assert(seen[i] == (i < length || i >= length + added -> OLD : NEW));
				assert(i < length + added ||
				       (kernel && i / PER_AREA == (length + added - 1) / PER_AREA));
				i++
			:: else -> break
			od;
			assert(i >= length + added);
			i = 0
		}
	:: else -> break
	od
}
