/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Devices that may lose power, for the models that include this file. A model defines CELLS first.
 *
 * A cell is what a device writes whole or not at all: a sector, or anything whose parts need not be
 * told apart. Several devices are several ranges of cells. A write is pending until its device is
 * flushed; a power cut drops any subset of the pending writes, of all devices.
 */
byte disk[CELLS]; /* what is there after a power cut, whatever that drops */
byte seen[CELLS]; /* what a reader gets meanwhile: the newest write */
byte cell;	  /* a counter; 0 between steps */

/*
 * Of two pending writes to a cell the power cut may drop the later one alone: so the earlier one may
 * arrive before.
 */
inline write(at, value)
{
	atomic {
		if
		:: skip
		:: seen[at] != disk[at] -> disk[at] = seen[at]
		fi;
		seen[at] = value
	}
}

/* The cells [from, until) become 0. */
inline clear(from, until)
{
	atomic {
		cell = from;
		do
		:: cell < until -> write(cell, 0); cell++
		:: else -> break
		od;
		cell = 0
	}
}

/* The cells [from, until). */
inline flush(from, until)
{
	d_step {
		cell = from;
		do
		:: cell < until -> disk[cell] = seen[cell]; cell++
		:: else -> break
		od;
		cell = 0
	}
}

inline power_cut()
{
	atomic {
		do
		:: cell == CELLS -> break
		:: cell < CELLS -> disk[cell] = seen[cell]; cell++
		:: cell < CELLS && seen[cell] != disk[cell] -> seen[cell] = disk[cell]; cell++
		od;
		cell = 0
	}
}

/* Steps that a mutant leaves out, and those that only it has. */
#define EXCEPT_IN(mutant, ...) if :: MUTANT != (mutant) -> __VA_ARGS__ :: else fi
#define ONLY_IN(mutant, ...)   if :: MUTANT == (mutant) -> __VA_ARGS__ :: else fi
