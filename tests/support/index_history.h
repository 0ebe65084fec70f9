/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an index was asked to do, and what it may answer after failures and power cuts.
 *
 * A history makes requests, deterministically from a seed, runs them on an index, and checks each
 * answer at once: an answer is right when its data are the last that were stored for the name, and
 * a name may be missing only when it was deleted or its chapter has left. The data of a record say
 * by which request they were stored, so any answer can be judged at any time.
 *
 * After a failure or a power cut, history_check() asks a reopened index for every name:
 *   - data that were never stored for the name, or stored after the cut, are wrong;
 *   - a name must be there, with data no older than promised, when its record was durable (its
 *     chapter was flushed, or it was saved and the save still counts), its chapter has not left,
 *     and no delete came after.
 *
 * Requests that ended with an error may have had their effect or not.
 *
 * Names may be twins, with one address in the volume index. One that is not there is then found by
 * the entry of its twin if that leads to a chapter which has records of both, and, if it is stored,
 * promoted or deleted so, takes that entry along (libuds_index(3), CAVEATS).
 */
#ifndef TESTS_INDEX_HISTORY_H
#define TESTS_INDEX_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/index.h>

struct history_step {
	uint32_t name;		/* number of the name */
	uint8_t kind;		/* enum uds_request_kind */
	bool certain;		/* false: it failed, and may have had its effect or not */
	bool puts;		/* (may have) put a record into the open chapter */
	bool takes;		/* may have taken the entry of the twin */
	uint32_t data;		/* the step whose data it put */
	uint64_t chapter_least; /* the open chapter before the batch, */
	uint64_t chapter_most;	/* and after it */
	uint64_t time;		/* history->clock() after the batch */
};

/* What is asked for: of 100 requests so many; those that are left are deletions. */
struct history_mix {
	uint8_t post_next; /* names in a row, most of them new, so that chapters fill */
	uint8_t post, update, query, peek; /* any name */
};

#define HISTORY_MIX_INIT         \
	{                        \
		60, 10, 12, 8, 5 \
	}

struct history {
	uint64_t chapters; /* of the volume; of a sparse index those that are dense */
	/*
	 * Open chapters with which a converted volume has one chapter less (uds-format,
	 * 11.4); end: exclusive.
	 */
	uint64_t one_less_from, one_less_end;
	bool sparse;	/* older chapters may answer, or not, and with data that were replaced */
	uint32_t names; /* how many there are to choose from */
	struct history_mix mix;
	uint8_t crowd; /* of 100 names so many have one place in the indexes of chapters */
	bool twins;    /* each name of an odd number is the twin of the one before */
	/* history_check() asks for every so many names, from another one each time; 0: all */
	uint32_t look_every;
	uint64_t random;
	struct history_step *steps;
	uint32_t count, room;
	uint64_t open_chapter; /* after the last step, and what came since: history_look() */
	uint32_t *last;	       /* by name: its last step that put or deleted, plus 1 */
	bool *taken;	       /* by name: its twin may have its entry */

	/* What time is it, for struct history_step; NULL: 0. For crash tests: events so far. */
	uint64_t (*clock)(void *context);
	void *clock_context;

	struct uds_message message; /* of the last batch that failed */
};

/* What is certain to be there. */
struct history_promise {
	uint64_t chapters; /* chapters below this number are durable */
	uint32_t steps;	   /* and everything that the first so many steps did */
	bool any_age;	   /* but the data may be older ones of the same name */

	/*
	 * Deletions among the first @deletions steps are durable for good, those among
	 * @steps while this chapter is the open one: without a journal, a full rebuild finds
	 * deleted records again.
	 */
	uint32_t deletions;
	uint64_t saved_chapter;
};

void history_start(struct history *history, uint64_t chapters, uint32_t names, uint64_t seed);
void history_end(struct history *history);

/*
 * A history that goes on after a failure: the first @issued steps, any of which may be lost that
 * were not promised. It knows which data were ever stored, and for certain what @kept promises.
 *
 * @kept: may be NULL: nothing is certain.
 */
void history_continue(const struct history *history, uint32_t issued,
		      const struct history_promise *kept, struct history *ret_history);

/*
 * Runs one batch of @count (1 to 64) requests and checks the answers. Returns what uds_index_run()
 * returned; the caller decides whether an error was to be expected, whose sentence is in @history.
 */
int history_run(struct history *history, struct uds_index *index, size_t count);

/*
 * After everything but steps that may close a chapter, as a flush and a save may, whether they fail
 * or not: the oldest chapter leaves then.
 */
void history_look(struct history *history, struct uds_index *index);

/* Steps that had begun at this time of the clock. */
uint32_t history_steps_at(const struct history *history, uint64_t time);

/*
 * Asks @index for every name without changing it.
 *
 * @issued: steps that had begun before the failure.
 * @place: for messages.
 *
 * Ends the test when an answer is wrong. Returns how many names were there.
 */
uint32_t history_check(const struct history *history, struct uds_index *index, uint32_t issued,
		       const struct history_promise *promise, const char *place);

#endif
