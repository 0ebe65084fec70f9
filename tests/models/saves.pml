/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Saves and chapters: an index with two chapter slots and two save slots stores records, writes chapters
 * and saves. It loses power at any moment, opens again, by its latest save or by its chapters, and goes on.
 *
 * Models: lib/volume/saves.c: saves_read saves_latest saves_begin saves_commit saves_outlast_chapter
 *		saves_invalidate victim_slot
 * Models: lib/volume/save_wipe.c: save_wipe save_is_wiped
 * Models: lib/volume/chapter_writer.c: write_chapter build invalidate_before write_records write_index
 *		invalidate_after write_pages invalidate_saves
 * Models: lib/volume/layout.c: find_outdated_save has_chapter
 * Models: lib/index/save.c: save_all freeze give_slot_up write_parts commit clear_open_slot
 * Models: lib/index/load.c: index_load
 * Models: lib/index/open.c: load_or_recover
 *
 * Holds: no record of a save is lost until its chapter is durable, and none of a durable chapter; no save is
 * loaded that was wiped, or that the volume has left behind; what is loaded is of one save, and of the
 * history that led here.
 * Left out: writes and reads that fail, damage, headers of several sectors, converted volumes. A chapter has
 * one record.
 *
 * MUTANT 1: saves are not invalidated
 * MUTANT 2: the save is invalidated before the chapter that it has open is durable
 * MUTANT 3: no flush between record pages and index pages
 * MUTANT 4: the parts of a save are not flushed before its header
 * MUTANT 5: a save goes to the slot of the latest one
 * MUTANT 6: a save is loaded although the volume has the chapter that is its open one
 * MUTANT 7: where the latest save is not to be loaded, the one before is
 * MUTANT 8: a save has the time stamp of the one before
 * MUTANT 9: a save that was left behind while it was made is not wiped
 */
#define CHAPTERS 5 /* that are written at most: slots are used again, and again */
#define SAVES	 2
#define LIVES	 3
#define NONE	 2
#define CELLS	 12
#include "device.pml"
#define HEADER	 0  /* of save slot 0 and 1: 0 no save, or stamp and open chapter */
#define OPEN	 2  /* the open chapter: 0 wiped, or its number and record */
#define BODY	 4  /* volume index and page map: the stamp of their save */
#define HEAD	 6  /* of chapter slot 0 and 1: index pages, the first sector and the rest: 1 + number */
#define TAIL	 8
#define RECORDS	 10 /* its number and record */
#define CODE(vcn, record) (1 + (vcn)*4 + (record))

byte newest, record; /* the open chapter: its number; 0 or its record, the life that it is from */
byte last_stamp, saves, life = 1;
byte stamp[2], open_in[2]; /* of each save slot; stamp 0: no valid save */
bool wiped[2], outdated[2], down;
byte saving = NONE, save_open, save_record; /* the slot of a save that is being made, and what it is of */
bool parts_written;
byte durable, durable_record; /* the open chapter that must be found again, or a later one */
byte history[CHAPTERS + 1];   /* the record of each chapter */

/* The valid save with the greatest stamp. */
#define LATEST	 (stamp[0] == 0 && stamp[1] == 0 -> NONE : (stamp[1] > stamp[0] -> 1 : 0))
#define VICTIM	 (stamp[0] <= stamp[1] -> 0 : 1)
/* Whether a load might choose save @i, and chapter @vcn would leave it behind too early. */
#define IN_THE_WAY(i, vcn) \
	(stamp[i] != 0 && stamp[i] >= stamp[1 - (i)] && (outdated[i] || open_in[i] != (vcn)))
#define WHOLE(s) (seen[HEAD + (s)] != 0 && seen[HEAD + (s)] == seen[TAIL + (s)])
#define HAS_CHAPTER(v) \
	((seen[HEAD + (v) % 2] > (v) && WHOLE((v) % 2)) || seen[HEAD + ((v) + 1) % 2] == (v) + 2)

inline invalidate()
{
	latest = LATEST;
	if
	:: latest == NONE || MUTANT == 1
	:: latest != NONE && wiped[latest % 2]
	:: else -> write(OPEN + latest, 0); flush(0, CELLS); wiped[latest] = true
	fi
}

inline write_chapter()
{
	outlast = !IN_THE_WAY(0, newest) && !IN_THE_WAY(1, newest) && MUTANT != 2;
	if :: !outlast -> invalidate() :: else fi;
	write(RECORDS + newest % 2, CODE(newest, record));
	EXCEPT_IN(3, flush(0, CELLS));
	write(HEAD + newest % 2, newest + 1);
	write(TAIL + newest % 2, newest + 1);
	flush(0, CELLS);
	d_step { durable = newest + 1; durable_record = 0 }
	if :: outlast -> invalidate() :: else fi;
	d_step { newest++; record = 0; latest = 0; outlast = false }
}

inline begin_save()
{
	if /* clear_open_slot */
	:: seen[HEAD + newest % 2] > newest -> write(HEAD + newest % 2, 0); flush(0, CELLS)
	:: else
	fi;
	victim = (MUTANT == 5 && LATEST != NONE -> LATEST : VICTIM);
	write(HEADER + victim, 0);
	flush(0, CELLS);
	d_step {
		stamp[victim] = 0; wiped[victim] = false; outdated[victim] = false;
		last_stamp = (MUTANT == 8 && last_stamp != 0 -> last_stamp : last_stamp + 1);
		saving = victim; save_open = newest; save_record = record; saves++; victim = 0
	}
}

inline write_parts()
{
	write(OPEN + saving, CODE(save_open, save_record));
	write(BODY + saving, last_stamp);
	EXCEPT_IN(4, flush(0, CELLS));
	parts_written = true
}

/* The chapter writer is held: no chapter is half written. */
inline commit_save()
{
	if
	:: newest > save_open && MUTANT != 9 -> write(OPEN + saving, 0); flush(0, CELLS)
	:: else
	fi;
	write(HEADER + saving, CODE(save_open, 0) + 32 * last_stamp);
	flush(0, CELLS);
	d_step {
		stamp[saving] = last_stamp; open_in[saving] = save_open;
		wiped[saving] = newest > save_open;
		if
		:: newest == save_open -> durable = newest; durable_record = save_record
		:: else
		fi;
		saving = NONE; parts_written = false
	}
}

proctype index()
{
	byte victim, latest;
	bool outlast;

	{
end:		do
		:: record == 0 -> d_step { record = life; history[newest] = life }
		:: record != 0 && newest < CHAPTERS -> write_chapter()
		:: saves < SAVES && saving == NONE -> begin_save()
		:: saving != NONE && !parts_written -> write_parts()
		:: saving != NONE && parts_written -> commit_save()
		od
	} unless { down }
}

inline open_index()
{
	last_stamp = 0; saving = NONE; parts_written = false;
	for (i : 0 .. 1) {
		stamp[i] = seen[HEADER + i] / 32;
		open_in[i] = (seen[HEADER + i] % 32) / 4;
		wiped[i] = false; outdated[i] = false;
		last_stamp = (stamp[i] > last_stamp -> stamp[i] : last_stamp)
	}
	latest = LATEST;
	if
	:: latest != NONE -> outdated[latest] = HAS_CHAPTER(open_in[latest]) && MUTANT != 6
	:: else
	fi;
	if
	:: MUTANT == 7 && latest != NONE && stamp[1 - latest] != 0 &&
	   (outdated[latest] || seen[OPEN + latest] == 0) -> latest = 1 - latest
	:: else
	fi;
	was = newest;
	if
	:: latest != NONE && !outdated[latest] && seen[OPEN + latest] != 0 -> /* index_load */
		assert(seen[BODY + latest] == stamp[latest]);
		newest = open_in[latest];
		record = (seen[OPEN + latest] - 1) % 4;
		assert(seen[OPEN + latest] == CODE(newest, record))
	:: else -> /* index_rebuild */
		newest = (WHOLE(0) -> seen[HEAD] : 0);
		newest = (WHOLE(1) && seen[HEAD + 1] > newest -> seen[HEAD + 1] : newest);
		record = 0
	fi;
	assert(newest <= was + 1);
	assert(newest >= durable);
	assert(newest > durable || durable_record == 0 || record == durable_record);
	assert(record == 0 || record == history[newest]);
	if
	:: newest > 0 ->
		assert(WHOLE((newest - 1) % 2) && seen[HEAD + (newest - 1) % 2] == newest);
		assert(seen[RECORDS + (newest - 1) % 2] == CODE(newest - 1, history[newest - 1]))
	:: else
	fi;
	durable = newest; durable_record = record; history[newest] = record;
	for (i : newest + 1 .. CHAPTERS) { history[i] = 0 }
	i = 0; latest = 0; was = 0
}

init {
	byte i, latest, was;

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
