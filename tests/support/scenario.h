/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Scenarios: what a program may do with an index or with a snapshot, each with a model of what must
 * be true afterwards. tests/crash cuts the power in them, tests/fault makes their calls fail.
 *
 * A scenario lives in a world: devices that record, the library's objects on them, and the
 * model. The first failure ends the life; the model knows which requests may or may not have
 * been carried out.
 */
#ifndef TESTS_SCENARIO_H
#define TESTS_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

#include "crash.h"
#include "fault_io.h"
#include "index_history.h"
#include "torture_env.h"

struct world;
struct scenario;

/* What a kind of world can do; what does not hold ends the test. */
struct world_kind {
	bool survives_garbage; /* in sectors that were being written */

	/* Makes devices and model. The library has done nothing yet. @plan: may be NULL. */
	struct world *(*make)(const struct scenario *scenario, uint64_t seed,
			      struct fault_plan *plan, const struct uds_env *env);
	void (*free)(struct world *world);

	/*
	 * What a power cut left: it opens, what was promised is there, and every answer is right;
	 * every so many states (by their @number) it goes on, is verified and cut again.
	 */
	void (*check_cut)(struct world *world, struct uds_crash_log *after,
			  const struct uds_crash_state *state, uint64_t number);

	/*
	 * After a failure that has passed: what the open objects answer is right. Then
	 * they are closed.
	 */
	void (*check_open)(struct world *world, const char *place);

	/*
	 * Opens everything again. A failure goes to world->status, and there is nothing open then.
	 */
	void (*reopen)(struct world *world);

	/* What was opened again has what was promised, goes on and is whole at the end. */
	void (*check_reopened)(struct world *world, const char *place);
};

struct scenario {
	const char *name;
	const struct world_kind *kind;
	void (*live)(struct world *world);
	/* Costlier than others, or another shape of one of them: a check makes fewer states. */
	bool costly;

	/* Of an index. */
	uint32_t record_pages; /* of a chapter; 0: 1 */
	uint32_t chapters;     /* 0: 3 */
	uint32_t sparse_chapters;
	uint32_t zones; /* 0: 1 */
	bool extras;
	bool converted;
	/* so many steps more before the conversion, which decide where the moved chapter is */
	uint32_t before;
	uint8_t crowd;		       /* struct history */
	bool twins;		       /* struct history */
	uint32_t page_bytes;	       /* 0: 4096 */
	const struct history_mix *mix; /* NULL: the usual one */

	/* Of a snapshot. */
	uint32_t chunk_bytes; /* 0: 512 */
	uint32_t cow_chunks;  /* 0: enough */
	bool keep_on_overflow;
};

/* What all worlds begin with. */
struct world {
	const struct scenario *scenario;
	struct uds_crash_log *log;
	struct uds_io *io[2]; /* for the library; 1: the COW device */
	struct uds_env env;
	struct fault_plan *plan; /* NULL: no call fails */
	uint64_t random;

	/* The first failure, and its sentence. With one, nothing more is done. */
	int status;
	struct uds_message message;

	bool made;		 /* what the life begins with is there: from now on it opens */
	uint64_t first_cut;	 /* events before are not cut */
	struct uds_io *below[2]; /* of io, where there is something between */
	bool forgets_flushes;	 /* to test the test: see scenario_forgets() */
	unsigned int went_on, cut_again, verified;
};

extern const struct scenario index_scenarios[], snapshot_scenarios[];
extern const unsigned int index_scenario_count, snapshot_scenario_count;

/* All of them in one row; NULL behind the last one. */
const struct scenario *scenario_at(unsigned int number);

/* Which seed and which one of them are asked for: UDS_SCENARIO_SEED (1), UDS_SCENARIO (all). */
uint64_t scenario_seed(void);
bool scenario_is_wanted(const struct scenario *scenario);

/* To test the test: flushes of this device do nothing: UDS_SCENARIO_FORGET (0 or 1). */
bool scenario_forgets(unsigned int device);

/* ---- for the kinds ---- */

/* Opens the devices for the library, through a plan of failures if there is one. */
void world_open_devices(struct world *world, unsigned int count, struct fault_plan *plan);
void world_close_devices(struct world *world);

/*
 * An I/O that shows the first @size bytes of another one, which stays the caller's. @drop_flush:
 * may be NULL.
 */
struct uds_io *narrow_io(struct uds_io *below, uint64_t size, const bool *drop_flush);

/* Notes the first failure. Returns whether all is well. */
bool world_note(struct world *world, int status, const struct uds_message *message);

uint64_t world_random(struct world *world, uint64_t below);

/* From here on the power may be cut. */
void world_begin_cuts(struct world *world);

/* Where in which scenario: for messages. */
const char *world_place(const struct world *world, const char *text);

/* Any of the variants, for a second cut. */
struct uds_crash_log *world_cut(struct world *world, struct uds_crash_log *log, uint64_t cut);

#endif
