/* SPDX-License-Identifier: BSD-2-Clause */
/* Replaying a log up to a cut, with what came after the last flush in one of the variants. */
#include "testing/crash_state.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/visibility.h"

/* splitmix64: the next number of the sequence that *state stands for. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static bool is_change(const struct crash_event *event, uint32_t device)
{
	return event->device == device && event->kind <= CRASH_RESIZE;
}

/* An image that is made of events. */
struct image_maker {
	struct crash_image *image;
	const struct uds_env *env;
	uint64_t *random;
};

/* An event's bytes [from, from + length). */
static int write_part(const struct image_maker *maker, const struct crash_event *event,
		      uint64_t from, uint64_t length)
{
	return crash_image_write(maker->image, maker->env,
				 event->bytes == NULL ? NULL : event->bytes + from, length,
				 event->offset + from);
}

/* The first @length bytes of an event. Returns 0 or -ENOMEM. */
static int apply(const struct image_maker *maker, const struct crash_event *event, uint64_t length)
{
	if (event->kind == CRASH_RESIZE)
		return crash_image_resize(maker->image, maker->env, event->offset);
	return write_part(maker, event, 0, length);
}

static int write_garbage(const struct image_maker *maker, uint64_t length, uint64_t offset)
{
	uint8_t bytes[UDS_CRASH_SECTOR];

	/* Byte by byte, the lowest first: the same garbage on machines of either byte order. */
	for (size_t i = 0; i < sizeof(bytes); i += sizeof(uint64_t)) {
		uint64_t number = next_random(maker->random);

		for (size_t b = 0; b < sizeof(number); b++)
			bytes[i + b] = (uint8_t)(number >> 8 * b);
	}
	return crash_image_write(maker->image, maker->env, bytes, length, offset);
}

/* A coin, or with @garbage a die of three sides, for each unit of the device. */
static int apply_units(const struct image_maker *maker, const struct crash_event *event,
		       uint64_t unit, bool garbage)
{
	uint64_t part;
	int r = 0;

	for (uint64_t at = 0; at < event->length && r == 0; at += part) {
		uint64_t thrown = next_random(maker->random);

		/*
		 * Units of the device, not of the write: one that begins inside a unit has a short
		 * first part.
		 */
		part = unit - (event->offset + at) % unit;
		if (part > event->length - at)
			part = event->length - at;
		if (garbage && thrown % 3 == 2)
			r = write_garbage(maker, part, event->offset + at);
		else if (garbage ? thrown % 3 == 1 : (thrown & 1) != 0)
			r = write_part(maker, event, at, part);
	}
	return r;
}

/* A number of bytes that ends between two of the write's units; not all of them. */
static uint64_t torn_length(const struct crash_event *event, uint64_t unit, uint64_t *random)
{
	/* Never the last unit: the whole write would be KEEP. */
	uint64_t first = event->offset / unit;
	uint64_t last = (event->offset + event->length - 1) / unit;
	uint64_t units = next_random(random) % (last - first + 1);

	return units == 0 ? 0 : (first + units) * unit - event->offset;
}

int crash_move(struct crash_device *device, uint64_t cut)
{
	struct uds_crash_log *log = device->log;
	const struct image_maker maker = { &device->certain, &log->env, NULL };
	uint64_t flush = cut;

	/* Only a flush of this device counts: that of another one says nothing about its writes. */
	while (flush > 0 && !(log->events[flush - 1].kind == CRASH_FLUSH &&
			      log->events[flush - 1].device == device->number))
		flush--;
	/*
	 * Bytes cannot be taken back; going forward, a sweep replays each event once for all its
	 * cuts.
	 */
	if (device->certain.blocks == NULL || device->certain_events > flush) {
		if (crash_image_copy(&device->certain, &log->env, &device->first) < 0)
			return -ENOMEM;
		device->certain_events = 0;
	}
	for (; device->certain_events < flush; device->certain_events++) {
		const struct crash_event *event = &log->events[device->certain_events];

		/*
		 * Counted on only after it was applied: a failure can be tried again at the same
		 * event.
		 */
		if (is_change(event, device->number) && apply(&maker, event, event->length) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* The number of the last change that is not certain goes to *ret_last. */
static uint64_t count_pending(const struct crash_device *device, uint64_t cut, uint64_t *ret_last)
{
	uint64_t count = 0;

	for (uint64_t i = device->certain_events; i < cut; i++) {
		if (is_change(&device->log->events[i], device->number)) {
			*ret_last = i;
			count++;
		}
	}
	return count;
}

uint64_t crash_count_pending(const struct crash_device *device, uint64_t cut)
{
	uint64_t last;

	return count_pending(device, cut, &last);
}

/* Only some first units of a change, of sectors or of blocks; a resize cannot be torn. */
static int apply_torn(const struct image_maker *maker, const struct crash_event *event,
		      uint64_t unit)
{
	if (event->kind == CRASH_RESIZE || event->length == 0)
		return apply(maker, event, event->length);
	return apply(maker, event, torn_length(event, unit, maker->random));
}

/* A coin, or a die, for each unit of a change; for a resize, which cannot be torn, one coin. */
static int apply_some(const struct image_maker *maker, const struct crash_event *event,
		      uint64_t unit, bool garbage)
{
	if (event->kind != CRASH_RESIZE && event->length > 0)
		return apply_units(maker, event, unit, garbage);
	return (next_random(maker->random) & 1) == 0 ? 0 : apply(maker, event, event->length);
}

/* One change of those that are not certain, each with a die of its own. */
static int apply_any(const struct image_maker *maker, const struct crash_event *event, bool garbage)
{
	switch (next_random(maker->random) % (garbage ? 7 : 6)) {
	case 0:
		return 0;
	case 1:
		return apply(maker, event, event->length);
	case 2:
		return apply_torn(maker, event, UDS_CRASH_SECTOR);
	case 3:
		return apply_torn(maker, event, UDS_CRASH_BLOCK);
	case 4:
		return apply_some(maker, event, UDS_CRASH_SECTOR, false);
	case 5:
		return apply_some(maker, event, UDS_CRASH_BLOCK, false);
	default:
		return apply_some(maker, event, UDS_CRASH_SECTOR, true);
	}
}

/* One change of those that are not certain. */
static int apply_pending(const struct image_maker *maker, const struct crash_event *event,
			 uint32_t variant, bool last)
{
	switch (variant) {
	case UDS_CRASH_DROP:
		return 0;
	case UDS_CRASH_TORN:
	case UDS_CRASH_TORN_BLOCKS:
		if (last)
			return apply_torn(maker, event,
					  variant == UDS_CRASH_TORN ? UDS_CRASH_SECTOR
								    : UDS_CRASH_BLOCK);
		break;
	case UDS_CRASH_ONLY_LAST:
		if (!last)
			return 0;
		break;
	case UDS_CRASH_WRITES:
		if ((next_random(maker->random) & 1) == 0)
			return 0;
		break;
	case UDS_CRASH_SECTORS:
	case UDS_CRASH_GARBAGE:
		return apply_some(maker, event, UDS_CRASH_SECTOR, variant == UDS_CRASH_GARBAGE);
	case UDS_CRASH_BLOCKS:
		return apply_some(maker, event, UDS_CRASH_BLOCK, false);
	case UDS_CRASH_ANY:
	case UDS_CRASH_ANY_GARBAGE:
		return apply_any(maker, event, variant == UDS_CRASH_ANY_GARBAGE);
	default:
		break;
	}
	return apply(maker, event, event->length);
}

/*
 * The write and the event that seals it are two: a cut between them leaves the write uncertain,
 * like one that was cut before it returned.
 */
static bool is_sealed(const struct crash_event *event, uint64_t cut)
{
	return event->sealed != 0 && event->sealed < cut;
}

/*
 * Puts changes in any order. Not past one that is sealed: what came before it does not cover it,
 * and what came after it is not covered.
 */
static void shuffle(const struct uds_crash_log *log, uint64_t cut, uint64_t *numbers,
		    uint64_t count, uint64_t *random)
{
	uint64_t first = 0;

	for (uint64_t i = 0; i < count; i++) {
		uint64_t other, number = numbers[i];

		if (is_sealed(&log->events[number], cut)) {
			first = i + 1;
			continue;
		}
		other = first + next_random(random) % (i - first + 1);
		numbers[i] = numbers[other];
		numbers[other] = number;
	}
}

static int apply_all(const struct crash_device *device, uint64_t cut, uint32_t variant,
		     uint64_t *random, struct crash_image *image)
{
	const struct uds_crash_log *log = device->log;
	const struct image_maker maker = { image, &log->env, random };
	uint64_t last = 0, count = count_pending(device, cut, &last), found = 0;
	uint64_t *numbers;
	int r = 0;

	if (count == 0)
		return 0;
	numbers = env_allocate(&log->env, count, sizeof(*numbers));
	if (numbers == NULL)
		return -ENOMEM;
	for (uint64_t i = device->certain_events; i < cut; i++) {
		if (is_change(&log->events[i], device->number))
			numbers[found++] = i;
	}
	if (variant == UDS_CRASH_ANY || variant == UDS_CRASH_ANY_GARBAGE)
		shuffle(log, cut, numbers, count, random);
	for (uint64_t i = 0; i < count && r == 0; i++) {
		const struct crash_event *event = &log->events[numbers[i]];

		r = apply_pending(&maker, event, is_sealed(event, cut) ? UDS_CRASH_KEEP : variant,
				  numbers[i] == last);
	}
	env_release(&log->env, numbers);
	return r;
}

/* Adds the state of one device to @after. */
static int add_state(struct uds_crash_log *after, struct crash_device *device, uint64_t cut,
		     uint32_t variant, uint64_t *random)
{
	struct crash_device *added = &after->devices[after->device_count];
	uint32_t here = variant;
	int r = crash_move(device, cut);

	/*
	 * One of those below MIXED; the same sequence goes on from device to device, so that the
	 * devices can differ.
	 */
	if (variant == UDS_CRASH_MIXED)
		here = (uint32_t)(next_random(random) % UDS_CRASH_MIXED);
	added->log = after;
	added->number = after->device_count++;
	added->block_bytes = device->block_bytes;
	if (r == 0)
		r = crash_image_copy(&added->now, &after->env, &device->certain);
	if (r == 0)
		r = apply_all(device, cut, here, random, &added->now);
	if (r == 0)
		r = crash_image_copy(&added->first, &after->env, &added->now);
	return r;
}

UDS_PUBLIC int uds_crash_log_after(struct uds_crash_log *log, uint64_t cut, uint32_t variant,
				   uint64_t seed, struct uds_message *ret_message,
				   struct uds_crash_log **ret_after)
{
	/*
	 * Cut and variant are mixed in, so that a sweep with one seed does not tear every write at
	 * the same places.
	 */
	uint64_t random = seed ^ cut << 32 ^ (uint64_t)variant << 24;
	struct uds_crash_log *after;
	int r;

	if (cut > log->event_count || variant >= CRASH_VARIANTS)
		return failure(ret_message, -EINVAL,
			       "cut %" PRIu64 " of %" PRIu64 " events, variant %" PRIu32, cut,
			       log->event_count, variant);
	r = uds_crash_log_make(&log->env, ret_message, &after);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < log->device_count && r == 0; i++)
		r = add_state(after, &log->devices[i], cut, variant, &random);
	if (r < 0) {
		uds_crash_log_free(after);
		return failure(ret_message, r, "what a cut leaves: no memory");
	}
	*ret_after = after;
	return 0;
}
