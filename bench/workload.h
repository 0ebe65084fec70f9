/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which names benchmarks of an index post and look up. Names are numbered in the order in which
 * they are new; tests/support/names.h makes the names themselves. Which one the i-th request of a
 * workload has is a function of i, so that any number of threads can carry a workload out in
 * parts.
 *
 * Looked up are names that an index of so many records must still have, though it evicts the
 * oldest ones: each new name, and each old one that is found by a post or a query, takes the place
 * of the oldest record. A margin is left, for threads that are behind others and chapters that
 * close early.
 */
#ifndef BENCH_WORKLOAD_H
#define BENCH_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

#define WORKLOAD_RUN   4096u /* names one after the other, of duplicates */
#define WORKLOAD_MARKS 64u

enum workload_kind {
	WORKLOAD_FILL,	     /* posts of new names */
	WORKLOAD_STEADY,     /* the same, when it is full */
	WORKLOAD_DUPLICATES, /* posts: a run of new names, a run of old ones from one place */
	WORKLOAD_MISSES,     /* queries of names that were never posted */
	WORKLOAD_HITS,	     /* queries of old names at random: each is in use again, and stays */
	WORKLOAD_PEEKS,	     /* the same, but nothing changes */
	WORKLOAD_STREAM,     /* queries of the oldest names in order */
	WORKLOADS
};

enum workload_action { WORKLOAD_POST, WORKLOAD_QUERY, WORKLOAD_PEEK };

/* The name @number was the @written-th record. */
struct workload_mark {
	uint64_t number;
	uint64_t written;
};

/* What an index was given so far. */
struct workload_names {
	uint64_t records; /* that it has room for */
	uint64_t margin;  /* records, the oldest of a full index, that are not looked up */
	uint64_t posted;  /* the number of the next new name */
	uint64_t written; /* records, old ones that were written again included */
	uint64_t absent;  /* the number of the next name that is never posted */
	uint64_t asked;	  /* names chosen at random */
	unsigned int mark_count;
	struct workload_mark
		marks[WORKLOAD_MARKS]; /* between them, one record or more for each name */
};

/* One workload, from its begin to its end. */
struct workload {
	enum workload_kind kind;
	uint64_t posted, absent, asked; /* when it began */
	uint64_t first, held;		/* the old names */
};

struct workload_request {
	enum workload_action action;
	bool stored; /* it must be found */
	uint64_t seed, number;
};

extern const char *const workload_words[WORKLOADS];  /* one word each */
extern const char *const workload_titles[WORKLOADS]; /* what is done */

/* @posted: the number of the first new name. The margin becomes an eighth of the records. */
void workload_names_init(struct workload_names *names, uint64_t records, uint64_t posted);

/*
 * Returns false when there are too few old names for it.
 *
 * @count: of requests at most. Old names that they themselves may evict are not looked up, as long
 *     as they are no more than a quarter of the records.
 */
bool workload_begin(const struct workload_names *names, enum workload_kind kind, uint64_t count,
		    struct workload *ret_workload);

/* The request number @i. */
struct workload_request workload_request(const struct workload *workload, uint64_t i);

/* The first @done requests were carried out. */
void workload_end(const struct workload *workload, uint64_t done, struct workload_names *names);

#endif
