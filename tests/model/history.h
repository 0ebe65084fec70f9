/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What happened to each name of a run against the model, so that a wrong answer can be explained:
 * the last requests for it with their answers, and what was done to the index in between.
 *
 * Threads: requests may be noted by several at once, each for names of its own; the rest by one
 * alone.
 */
#ifndef TESTS_MODEL_HISTORY_H
#define TESTS_MODEL_HISTORY_H

#include "model.h"

struct history;

struct history *history_make(uint32_t names);
void history_free(struct history *history);

/* The next value of the clock that orders everything here. */
uint64_t history_tick(struct history *history);

/* A request for name @i was carried out after @begun; its data was of @version. */
void history_note_request(struct history *history, uint32_t i, const struct uds_request *request,
			  uint32_t version, uint64_t begun, const struct model_time *time);

/* Something that concerns all names: @what, a string that stays. */
void history_note(struct history *history, const char *what, uint64_t newest, unsigned int zones);

/*
 * Prints what happened to name @i and to its twin, if it has one, and what the model knows of both.
 */
void history_print(const struct history *history, const struct model *model, uint32_t i);

#endif
