/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Closing chapters between zones: threads fill both zones, whoever finds one full closes the chapter in all
 * of them, and the chapter writer brings it to the volume, or fails, and is asked to try again. Another thread
 * saves meanwhile.
 *
 * Models: lib/index/close_chapter.c: index_close_chapter swap_and_write index_write_chapter
 * Models: lib/index/index.c: index_lock_all index_unlock_all index_lock_others index_unlock_others
 * Models: lib/index/save.c: uds_index_save_reporting
 * Models: lib/volume/chapter_writer.c: chapter_writer_submit chapter_writer_finish begin_attempt wait_idle run
 *		note_result
 *
 * Holds: at most one chapter is being written, and its zones stay as they are meanwhile; no chapter is closed
 * before a zone of it is full; none is written behind one that failed, and that one is tried again with the same
 * records; each record is in one chapter, the one that was open when it was stored; a save sees all zones at one
 * moment; nobody waits forever.
 * Left out: what is stored, and lookups.
 *
 * MUTANT 1: whether the zone is still full is not asked again under all locks
 * MUTANT 2: a thread keeps the lock of its zone while it takes the others
 * MUTANT 3: closing does not wait for the chapter before
 * MUTANT 4: closing takes no other zone's lock
 * MUTANT 5: the zones do not change places
 * MUTANT 6: the error of a chapter is forgotten
 * MUTANT 7: the chapter that failed is tried again when the next one is closed already
 */
#define ZONES	 2
#define CAPACITY 2 /* records of a zone in a chapter */
#define THREADS	 2
#define PUTS	 4 /* by each thread: chapters enough to use both halves of a zone twice */

#define HALF(z, h) (2 * (z) + (h))
#define OPEN(z)	   HALF(z, open[z])
#define CLOSING(z) HALF(z, 1 - open[z])

bool locked[ZONES], busy;
bool failed; /* what the writer says */
bool lost;   /* a chapter, in fact, so far */
byte open[ZONES];	 /* which half is the open one */
byte count[2 * ZONES];	 /* records in each half */
byte newest;		 /* the number of the open chapter */
byte chapter[2 * ZONES]; /* that each half was reset for */
byte submitted;		 /* the chapter that the writer has */
byte stored, durable, working;

inline lock(one)
{
	atomic { !locked[one] -> locked[one] = true }
}

inline lock_all()
{
	lock(0);
	lock(1)
}

/* As index_lock_others() does it for the thread that holds @zone's lock. */
inline lock_others(zone)
{
	if
	:: MUTANT == 2 -> lock(1 - zone)
	:: MUTANT == 4
	:: else -> locked[zone] = false; lock_all()
	fi
}

inline swap_and_write(filled)
{
	d_step {
		assert(count[OPEN(filled)] == CAPACITY);
		for (i : 0 .. ZONES - 1) {
			if :: MUTANT != 5 -> open[i] = 1 - open[i] :: else fi;
			count[OPEN(i)] = 0;
			chapter[OPEN(i)] = newest + 1
		}
		i = 0;
		newest++
	}
	d_step { assert(!busy && !lost); submitted = newest - 1; busy = true }
}

/* As index_write_chapter(): nobody submits meanwhile, since all locks are held. */
inline write_chapter()
{
	!busy || MUTANT == 3;
	if
	:: failed -> busy = true; !busy
	:: else
	fi
}

inline close_chapter(mine)
{
	lock_others(mine);
	if
	:: count[OPEN(mine)] == CAPACITY || MUTANT == 1 ->
		if
		:: MUTANT == 7 && failed -> d_step { open[0] = 1 - open[0]; open[1] = 1 - open[1] }
		:: else
		fi;
		write_chapter();
		if
		:: failed -> gave_up = true
		:: else -> swap_and_write(mine)
		fi
	:: else
	fi;
	if :: MUTANT != 4 -> locked[1 - mine] = false :: else fi
}

proctype worker()
{
	byte puts, z, i, half;
	bool gave_up;

	do
	:: puts < PUTS && !gave_up ->
		select (z : 0 .. ZONES - 1);
		lock(z);
		do
		:: count[OPEN(z)] == CAPACITY && !gave_up -> close_chapter(z)
		:: else -> break
		od;
		if
		:: gave_up
		:: else ->
			half = OPEN(z);
			assert(count[half] < CAPACITY);
			d_step {
				assert(half == OPEN(z) && chapter[half] == newest);
				count[half]++; stored++
			}
		fi;
		d_step { locked[z] = false; z = 0; half = 0; puts++ }
	:: else -> break
	od;
	working--
}

proctype writer()
{
	byte first, second;

end:	do
	:: busy ->
		d_step { first = count[CLOSING(0)]; second = count[CLOSING(1)] }
		assert(first == CAPACITY || second == CAPACITY);
		assert(chapter[CLOSING(0)] == submitted && chapter[CLOSING(1)] == submitted);
		d_step { assert(first == count[CLOSING(0)] && second == count[CLOSING(1)]) }
		if
		:: durable = durable + first + second; lost = false; failed = false
		:: lost = true; failed = MUTANT != 6
		fi;
		d_step { first = 0; second = 0; busy = false }
	od
}

/* Everything is either on the volume or open, and stays so while all locks are held. */
proctype saver()
{
	byte saved;

	lock_all();
	write_chapter();
	if
	:: failed || lost
	:: else ->
		saved = count[OPEN(0)];
		assert(saved + count[OPEN(1)] + durable == stored);
		assert(chapter[OPEN(0)] == newest && chapter[OPEN(1)] == newest)
	fi;
	d_step { locked[1] = false; locked[0] = false; saved = 0 }
	working--
}

init {
	atomic {
		working = THREADS + 1;
		run worker();
		run worker();
		run saver();
		run writer()
	}
	working == 0 && !busy;
	assert(!locked[0] && !locked[1]);
	assert(lost || durable + count[OPEN(0)] + count[OPEN(1)] == stored)
}
