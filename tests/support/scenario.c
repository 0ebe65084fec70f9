/* SPDX-License-Identifier: BSD-2-Clause */
/* What all kinds of worlds share. */
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "snap_image.h"

const struct scenario *scenario_at(unsigned int number)
{
	if (number < index_scenario_count)
		return &index_scenarios[number];
	number -= index_scenario_count;
	return number < snapshot_scenario_count ? &snapshot_scenarios[number] : NULL;
}

static uint64_t number_of(const char *variable, uint64_t usual)
{
	const char *text = getenv(variable);

	return text == NULL ? usual : strtoull(text, NULL, 10);
}

uint64_t scenario_seed(void)
{
	return number_of("UDS_SCENARIO_SEED", 1);
}

bool scenario_is_wanted(const struct scenario *scenario)
{
	const char *name = getenv("UDS_SCENARIO");

	return name == NULL || strcmp(name, scenario->name) == 0;
}

bool scenario_forgets(unsigned int device)
{
	return number_of("UDS_SCENARIO_FORGET", UINT64_MAX) == device;
}

/* ---- an I/O that shows less ---- */

struct narrow {
	struct uds_io *below;
	uint64_t size;
	const bool *drop_flush;
};

static int narrow_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	return uds_io_read(((struct narrow *)context)->below, buffer, length, offset);
}

static int narrow_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	return uds_io_write(((struct narrow *)context)->below, buffer, length, offset);
}

static int narrow_flush(void *context)
{
	struct narrow *narrow = context;

	return narrow->drop_flush != NULL && *narrow->drop_flush ? 0 : uds_io_flush(narrow->below);
}

static int narrow_size(void *context, uint64_t *ret_bytes)
{
	*ret_bytes = ((struct narrow *)context)->size;
	return 0;
}

static int narrow_close(void *context)
{
	free(context);
	return 0;
}

struct uds_io *narrow_io(struct uds_io *below, uint64_t size, const bool *drop_flush)
{
	static const struct uds_io_ops ops = {
		.size = sizeof(ops),
		.read = narrow_read,
		.write = narrow_write,
		.flush = narrow_flush,
		.get_size = narrow_size,
		.close = narrow_close,
	};
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct narrow *narrow = malloc(sizeof(*narrow));
	struct uds_io *io;

	ck_assert_ptr_nonnull(narrow);
	narrow->below = below;
	narrow->size = size;
	narrow->drop_flush = drop_flush;
	limits.block_bytes = uds_io_block_bytes(below);
	limits.quick = true;
	ck_assert_int_eq(uds_io_open_ops(&ops, narrow, &limits, NULL, NULL, &io), 0);
	return io;
}

/* ---- worlds ---- */

void world_open_devices(struct world *world, unsigned int count, struct fault_plan *plan)
{
	world->plan = plan;
	for (unsigned int i = 0; i < count; i++) {
		struct uds_io *io = crash_open(world->log, i);
		uint64_t size;

		world->io[i] = io;
		if (plan != NULL)
			ck_assert_int_eq(fault_io_open(plan, io, NULL, &world->io[i]), 0);
		if (plan != NULL || !scenario_forgets(i))
			continue;
		ck_assert_int_eq(uds_io_size(io, &size), 0);
		world->below[i] = io;
		world->io[i] = narrow_io(io, size, &world->forgets_flushes);
	}
}

void world_close_devices(struct world *world)
{
	for (unsigned int i = 0; i < 2; i++) {
		if (world->io[i] != NULL)
			ck_assert_int_eq(uds_io_close(world->io[i]), 0);
		if (world->below[i] != NULL)
			ck_assert_int_eq(uds_io_close(world->below[i]), 0);
		world->io[i] = world->below[i] = NULL;
	}
}

bool world_note(struct world *world, int status, const struct uds_message *message)
{
	if (status < 0 && world->status == 0) {
		world->status = status;
		world->message = *message;
	}
	return status == 0;
}

uint64_t world_random(struct world *world, uint64_t below)
{
	return next_random(&world->random) % below;
}

void world_begin_cuts(struct world *world)
{
	world->made = world->status == 0;
	world->forgets_flushes = true;
	world->first_cut = uds_crash_log_events(world->log);
}

const char *world_place(const struct world *world, const char *text)
{
	static char place[400];

	snprintf(place, sizeof(place), "%s: %s", world->scenario->name, text);
	return place;
}

struct uds_crash_log *world_cut(struct world *world, struct uds_crash_log *log, uint64_t cut)
{
	static const uint8_t variants[] = { UDS_CRASH_KEEP, UDS_CRASH_DROP, UDS_CRASH_TORN,
					    UDS_CRASH_SECTORS, UDS_CRASH_ANY };
	uint32_t variant = variants[world_random(world, sizeof(variants))];

	return crash_after(log, cut, variant, world_random(world, UINT32_MAX));
}
