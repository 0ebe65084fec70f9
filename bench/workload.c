/* SPDX-License-Identifier: BSD-2-Clause */
/* The numbers of names, and which of them an index still has. */
#include "workload.h"

#include <string.h>

#include "names.h"

#define SEED   UINT64_C(0x5eed)
#define ABSENT UINT64_C(0xab5e27) /* seed of names that are never stored */

/* Of the choices at random. */
#define RANDOM_RUNS  UINT64_C(0x418)
#define RANDOM_NAMES UINT64_C(0x417)

const char *const workload_words[WORKLOADS] = {
	[WORKLOAD_FILL] = "fill",
	[WORKLOAD_STEADY] = "steady",
	[WORKLOAD_DUPLICATES] = "duplicates",
	[WORKLOAD_MISSES] = "misses",
	[WORKLOAD_HITS] = "hits",
	[WORKLOAD_PEEKS] = "peeks",
	[WORKLOAD_STREAM] = "stream",
};

const char *const workload_titles[WORKLOADS] = {
	[WORKLOAD_FILL] = "fill, posts of new names",
	[WORKLOAD_STEADY] = "posts of new names, full index",
	[WORKLOAD_DUPLICATES] = "posts, half duplicates in runs of 4096",
	[WORKLOAD_MISSES] = "queries of absent names",
	[WORKLOAD_HITS] = "queries of random stored names",
	[WORKLOAD_PEEKS] = "peeks at random stored names",
	[WORKLOAD_STREAM] = "queries of old names in order",
};

void workload_names_init(struct workload_names *names, uint64_t records, uint64_t posted)
{
	memset(names, 0, sizeof(*names));
	names->records = records;
	names->margin = records / 8;
	names->posted = posted;
	names->written = posted;
	names->marks[0] = (struct workload_mark){ posted, posted };
	names->mark_count = 1;
}

/* Whether its requests for old names take the places of others. */
static bool evicts_meanwhile(enum workload_kind kind)
{
	return kind == WORKLOAD_DUPLICATES || kind == WORKLOAD_HITS || kind == WORKLOAD_STREAM;
}

/* The oldest name that is still held when @more records were written. */
static uint64_t oldest_held(const struct workload_names *names, uint64_t more)
{
	const struct workload_mark *marks = names->marks;
	uint64_t written = names->written + more, held = written - marks[0].written, least;
	unsigned int i = names->mark_count - 1;

	if (held > names->records - names->margin)
		held = names->records - names->margin;
	least = written - held;
	while (i > 0 && marks[i].written > least)
		i--;
	if (marks[i].written > least)
		return marks[i].number;
	least = marks[i].number + (least - marks[i].written);
	/* Between this mark and the next one some records were old names. */
	if (i + 1 < names->mark_count && least > marks[i + 1].number)
		least = marks[i + 1].number;
	return least < names->posted ? least : names->posted;
}

bool workload_begin(const struct workload_names *names, enum workload_kind kind, uint64_t count,
		    struct workload *ret_workload)
{
	uint64_t more = count < names->records / 4 ? count : names->records / 4;
	uint64_t first = oldest_held(names, evicts_meanwhile(kind) ? more : 0);

	*ret_workload = (struct workload){ .kind = kind,
					   .posted = names->posted,
					   .absent = names->absent,
					   .asked = names->asked,
					   .first = first,
					   .held = names->posted - first };
	return kind == WORKLOAD_FILL || kind == WORKLOAD_STEADY || kind == WORKLOAD_MISSES ||
	       ret_workload->held > WORKLOAD_RUN;
}

/* As a stream of backups does it. */
static struct workload_request duplicate(const struct workload *w, uint64_t i)
{
	const uint64_t run = i / WORKLOAD_RUN, at = i % WORKLOAD_RUN;

	if (run % 2 == 0)
		return (struct workload_request){ WORKLOAD_POST, false, SEED,
						  w->posted + run / 2 * WORKLOAD_RUN + at };
	return (struct workload_request){
		WORKLOAD_POST, true, SEED,
		w->first + splitmix64(RANDOM_RUNS, w->asked + run) % (w->held - WORKLOAD_RUN) + at
	};
}

struct workload_request workload_request(const struct workload *w, uint64_t i)
{
	enum workload_action action = WORKLOAD_QUERY;

	switch (w->kind) {
	case WORKLOAD_DUPLICATES:
		return duplicate(w, i);
	case WORKLOAD_MISSES:
		return (struct workload_request){ WORKLOAD_QUERY, false, ABSENT, w->absent + i };
	case WORKLOAD_PEEKS:
		action = WORKLOAD_PEEK;
		/* fall through */
	case WORKLOAD_HITS:
		return (struct workload_request){
			action, true, SEED,
			w->first + splitmix64(RANDOM_NAMES, w->asked + i) % w->held
		};
	case WORKLOAD_STREAM:
		return (struct workload_request){ WORKLOAD_QUERY, true, SEED,
						  w->first + i % w->held };
	default:
		return (struct workload_request){ WORKLOAD_POST, false, SEED, w->posted + i };
	}
}

/* How many of the first @done names of duplicates were new. */
static uint64_t new_ones(uint64_t done)
{
	const uint64_t rest = done % (2 * WORKLOAD_RUN);

	return done / 2 / WORKLOAD_RUN * WORKLOAD_RUN + (rest < WORKLOAD_RUN ? rest : WORKLOAD_RUN);
}

/* From here on each new name is one record again. */
static void set_mark(struct workload_names *names)
{
	if (names->mark_count == WORKLOAD_MARKS)
		memmove(names->marks, names->marks + 1,
			--names->mark_count * sizeof(names->marks[0]));
	names->marks[names->mark_count++] = (struct workload_mark){ names->posted, names->written };
}

void workload_end(const struct workload *w, uint64_t done, struct workload_names *names)
{
	switch (w->kind) {
	case WORKLOAD_MISSES:
		names->absent += done;
		return;
	case WORKLOAD_PEEKS:
		names->asked += done;
		return;
	case WORKLOAD_FILL:
	case WORKLOAD_STEADY:
		names->posted += done;
		names->written += done;
		return;
	case WORKLOAD_DUPLICATES:
		names->posted += new_ones(done);
		break;
	default:
		break;
	}
	names->asked += done;
	names->written += done;
	set_mark(names);
}
