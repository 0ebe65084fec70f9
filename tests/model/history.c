/* SPDX-License-Identifier: BSD-2-Clause */
/* What happened to each name. */
#include "history.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

#define REQUESTS 12
#define EVENTS	 128

struct noted_request {
	uint64_t begun, ended; /* of its batch, by the clock; 0: none */
	struct model_time time;
	int status;
	uint32_t version, old_version;
	uint8_t kind, location;
	bool found;
};

struct noted_event {
	uint64_t at;
	uint64_t newest;
	unsigned int zones;
	const char *what;
};

/* The last ones, in a ring. */
struct noted_name {
	uint32_t count;
	struct noted_request requests[REQUESTS];
};

struct history {
	_Atomic uint64_t clock;
	uint32_t event_count;
	struct noted_event events[EVENTS];
	struct noted_name *name;
};

struct history *history_make(uint32_t names)
{
	struct history *history = calloc(1, sizeof(*history));

	if (history == NULL)
		abort();
	history->name = calloc(names, sizeof(*history->name));
	if (history->name == NULL)
		abort();
	return history;
}

void history_free(struct history *history)
{
	free(history->name);
	free(history);
}

uint64_t history_tick(struct history *history)
{
	return ++history->clock;
}

void history_note_request(struct history *history, uint32_t i, const struct uds_request *request,
			  uint32_t version, uint64_t begun, const struct model_time *time)
{
	struct noted_name *name = &history->name[i];

	name->requests[name->count++ % REQUESTS] = (struct noted_request){
		.begun = begun,
		.ended = history_tick(history),
		.time = *time,
		.status = request->status,
		.version = version,
		.old_version = get_le32(request->old_data.bytes + 8),
		.kind = request->kind,
		.location = request->location,
		.found = request->found,
	};
}

void history_note(struct history *history, const char *what, uint64_t newest, unsigned int zones)
{
	history->events[history->event_count++ % EVENTS] =
		(struct noted_event){ history_tick(history), newest, zones, what };
}

static void print_request(const struct noted_request *noted)
{
	static const char *const kinds[] = { [UDS_POST] = "post",
					     [UDS_UPDATE] = "update",
					     [UDS_QUERY] = "query",
					     [UDS_PEEK] = "peek",
					     [UDS_DELETE] = "delete" };
	static const char *const locations[] = { [UDS_LOCATION_NONE] = "nowhere",
						 [UDS_LOCATION_OPEN_CHAPTER] = "the open chapter",
						 [UDS_LOCATION_DENSE] = "a dense chapter",
						 [UDS_LOCATION_SPARSE] = "a sparse chapter" };

	printf("    %" PRIu64 " to %" PRIu64 ", chapter %" PRIu64 " to %" PRIu64 ", oldest %" PRIu64
	       " to %" PRIu64 ": %s",
	       noted->begun, noted->ended, noted->time.newest_before, noted->time.newest_after,
	       noted->time.oldest_before, noted->time.oldest_after, kinds[noted->kind]);
	if (noted->kind == UDS_POST || noted->kind == UDS_UPDATE)
		printf(" of version %" PRIu32, noted->version);
	printf(": found in %s", locations[noted->location]);
	if (noted->found && noted->kind != UDS_DELETE)
		printf(", version %" PRIu32, noted->old_version);
	if (noted->status != 0)
		printf(", status %d", noted->status);
	printf("\n");
}

/* From @ret_event on, those before @at. */
static void print_events(const struct history *history, uint32_t *event, uint64_t at)
{
	for (; *event < history->event_count; (*event)++) {
		const struct noted_event *noted = &history->events[*event % EVENTS];

		if (noted->at >= at)
			return;
		printf("    %" PRIu64 ", chapter %" PRIu64 ": %s, %u zones\n", noted->at,
		       noted->newest, noted->what, noted->zones);
	}
}

static void print_model(const struct model_name *name)
{
	printf("    known: %s%s%s, version %" PRIu32 "; copies",
	       name->there ? "there" : "not there", name->uncertain ? ", uncertain" : "",
	       name->taken ? ", entry taken by its twin" : "", name->version);
	for (uint32_t i = 0; i < name->count; i++)
		printf(" %" PRIu32 " in %" PRIu64 " to %" PRIu64 "%s;", name->copies[i].version,
		       name->copies[i].low, name->copies[i].high,
		       name->copies[i].doubtful ? " perhaps" : "");
	printf("\n");
}

static void print_name(const struct history *history, const struct model *model, uint32_t i)
{
	const struct noted_name *name = &history->name[i];
	uint32_t first = name->count > REQUESTS ? name->count - REQUESTS : 0;
	uint32_t event = history->event_count > EVENTS ? history->event_count - EVENTS : 0;

	printf("  name %" PRIu32 ", after %" PRIu32 " requests:\n", i, first);
	for (uint32_t n = first; n < name->count; n++) {
		const struct noted_request *noted = &name->requests[n % REQUESTS];

		/* Nothing is done to the index while requests are carried out. */
		print_events(history, &event, noted->begun);
		print_request(noted);
	}
	print_events(history, &event, UINT64_MAX);
	print_model(&model->name[i]);
}

void history_print(const struct history *history, const struct model *model, uint32_t i)
{
	print_name(history, model, i);
	if (model->name[i].twin != 0)
		print_name(history, model, model->name[i].twin - 1);
}
