/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The recording devices, and what a power cut leaves of them.
 *
 * Each device has its bytes as the program sees them, and its bytes as they were certain to be at one
 * cut, the base: everything up to the last flush before that cut. The base only moves forward
 * in the log, and begins anew when an earlier cut is asked for.
 */
#include "crash_io.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"

enum event_kind { EVENT_WRITE, EVENT_FLUSH, EVENT_RESIZE, EVENT_MARK };

struct event {
	enum event_kind kind;
	int device;
	uint64_t offset; /* resize: the new size; mark: its value */
	size_t length;
	uint8_t *bytes;
};

struct image {
	uint8_t *bytes;
	uint64_t size;
};

struct device {
	struct crash_log *log;
	int number;
	uint32_t block_bytes;
	struct image first, now, base;
	size_t base_events; /* the base holds the device's events before this one */
};

struct crash_log {
	pthread_mutex_t lock;
	struct device devices[CRASH_DEVICES];
	int device_count;
	struct event *events;
	size_t event_count, event_room;
};

static void *allocate(size_t bytes)
{
	void *memory = malloc(bytes == 0 ? 1 : bytes);

	ck_assert_ptr_nonnull(memory);
	return memory;
}

static void image_copy(struct image *to, const struct image *from)
{
	free(to->bytes);
	to->bytes = allocate(from->size);
	to->size = from->size;
	memcpy(to->bytes, from->bytes, from->size);
}

static void image_resize(struct image *image, uint64_t size)
{
	uint8_t *bytes = allocate(size);
	uint64_t kept = size < image->size ? size : image->size;

	if (kept > 0)
		memcpy(bytes, image->bytes, kept);
	memset(bytes + kept, 0, size - kept);
	free(image->bytes);
	image->bytes = bytes;
	image->size = size;
}

/* What lies behind the end, because a resize was lost, is lost with it. */
static void image_write(struct image *image, const uint8_t *bytes, size_t length, uint64_t offset)
{
	if (offset >= image->size)
		return;
	if (length > image->size - offset)
		length = (size_t)(image->size - offset);
	memcpy(image->bytes + offset, bytes, length);
}

struct crash_log *crash_log_new(void)
{
	struct crash_log *log = allocate(sizeof(*log));

	memset(log, 0, sizeof(*log));
	pthread_mutex_init(&log->lock, NULL);
	return log;
}

void crash_log_free(struct crash_log *log)
{
	if (log == NULL)
		return;
	for (int i = 0; i < log->device_count; i++) {
		free(log->devices[i].first.bytes);
		free(log->devices[i].now.bytes);
		free(log->devices[i].base.bytes);
	}
	for (size_t i = 0; i < log->event_count; i++)
		free(log->events[i].bytes);
	free(log->events);
	pthread_mutex_destroy(&log->lock);
	free(log);
}

int crash_log_add(struct crash_log *log, const void *bytes, uint64_t size, uint32_t block_bytes)
{
	struct device *device = &log->devices[log->device_count];

	ck_assert_int_lt(log->device_count, CRASH_DEVICES);
	device->log = log;
	device->number = log->device_count;
	device->block_bytes = block_bytes;
	image_resize(&device->now, size);
	if (bytes != NULL)
		memcpy(device->now.bytes, bytes, size);
	image_copy(&device->first, &device->now);
	return log->device_count++;
}

/* The caller holds the lock. @bytes are copied. */
static void record(struct crash_log *log, enum event_kind kind, int device, uint64_t offset,
		   const void *bytes, size_t length)
{
	struct event *event;

	if (log->event_count == log->event_room) {
		log->event_room = log->event_room == 0 ? 256 : 2 * log->event_room;
		log->events = realloc(log->events, log->event_room * sizeof(*log->events));
		ck_assert_ptr_nonnull(log->events);
	}
	event = &log->events[log->event_count++];
	event->kind = kind;
	event->device = device;
	event->offset = offset;
	event->length = length;
	event->bytes = NULL;
	if (length > 0) {
		event->bytes = allocate(length);
		memcpy(event->bytes, bytes, length);
	}
}

static int crash_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	struct device *device = context;
	int r = UDS_ERR_OUT_OF_RANGE;

	pthread_mutex_lock(&device->log->lock);
	if (offset <= device->now.size && length <= device->now.size - offset) {
		memcpy(buffer, device->now.bytes + offset, length);
		r = 0;
	}
	pthread_mutex_unlock(&device->log->lock);
	return r;
}

static int crash_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	struct device *device = context;
	int r = UDS_ERR_OUT_OF_RANGE;

	pthread_mutex_lock(&device->log->lock);
	if (offset <= device->now.size && length <= device->now.size - offset) {
		image_write(&device->now, buffer, length, offset);
		record(device->log, EVENT_WRITE, device->number, offset, buffer, length);
		r = 0;
	}
	pthread_mutex_unlock(&device->log->lock);
	return r;
}

static int crash_discard(void *context, uint64_t offset, uint64_t length)
{
	uint8_t *garbage = allocate(length);
	int r;

	memset(garbage, 0xd1, length);
	r = crash_write(context, garbage, (size_t)length, offset);
	free(garbage);
	return r;
}

static int crash_flush(void *context)
{
	struct device *device = context;

	pthread_mutex_lock(&device->log->lock);
	record(device->log, EVENT_FLUSH, device->number, 0, NULL, 0);
	pthread_mutex_unlock(&device->log->lock);
	return 0;
}

static int crash_size(void *context, uint64_t *ret_bytes)
{
	struct device *device = context;

	pthread_mutex_lock(&device->log->lock);
	*ret_bytes = device->now.size;
	pthread_mutex_unlock(&device->log->lock);
	return 0;
}

static int crash_resize(void *context, uint64_t bytes)
{
	struct device *device = context;

	pthread_mutex_lock(&device->log->lock);
	image_resize(&device->now, bytes);
	record(device->log, EVENT_RESIZE, device->number, bytes, NULL, 0);
	pthread_mutex_unlock(&device->log->lock);
	return 0;
}

static int crash_close(void *context)
{
	(void)context;
	return 0;
}

static const struct uds_io_ops crash_ops = {
	.size = sizeof(struct uds_io_ops),
	.read = crash_read,
	.write = crash_write,
	.flush = crash_flush,
	.get_size = crash_size,
	.close = crash_close,
	.discard = crash_discard,
	.resize = crash_resize,
};

int crash_log_open(struct crash_log *log, int device, const struct uds_env *env,
		   struct uds_io **ret_io)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	char name[20];

	snprintf(name, sizeof(name), "crash:%d", device);
	limits.name = name;
	limits.quick = true; /* in the order in which requests are submitted, always the same */
	limits.block_bytes = log->devices[device].block_bytes;
	return uds_io_open_ops(&crash_ops, &log->devices[device], &limits, env, ret_io);
}

const uint8_t *crash_log_bytes(const struct crash_log *log, int device, uint64_t *ret_size)
{
	if (ret_size != NULL)
		*ret_size = log->devices[device].now.size;
	return log->devices[device].now.bytes;
}

void crash_log_mark(struct crash_log *log, uint64_t value)
{
	pthread_mutex_lock(&log->lock);
	record(log, EVENT_MARK, -1, value, NULL, 0);
	pthread_mutex_unlock(&log->lock);
}

size_t crash_log_events(const struct crash_log *log)
{
	return log->event_count;
}

uint64_t crash_log_mark_at(const struct crash_log *log, size_t cut)
{
	while (cut > 0) {
		if (log->events[--cut].kind == EVENT_MARK)
			return log->events[cut].offset;
	}
	return 0;
}

/* splitmix64: the next number of the sequence that *state stands for. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static bool is_change(const struct event *event, int device)
{
	return event->device == device &&
	       (event->kind == EVENT_WRITE || event->kind == EVENT_RESIZE);
}

/* Applies an event's first @length bytes. */
static void apply(struct image *image, const struct event *event, size_t length)
{
	if (event->kind == EVENT_RESIZE)
		image_resize(image, event->offset);
	else
		image_write(image, event->bytes, length, event->offset);
}

/* A coin for each unit of the device. */
static void apply_units(struct image *image, const struct event *event, size_t unit,
			uint64_t *random)
{
	size_t part;

	for (size_t at = 0; at < event->length; at += part) {
		part = unit - (event->offset + at) % unit;
		if (part > event->length - at)
			part = event->length - at;
		if ((next_random(random) & 1) != 0)
			image_write(image, event->bytes + at, part, event->offset + at);
	}
}

/* A number of bytes that ends between two of the write's sectors; not all of them. */
static size_t torn_length(const struct event *event, uint64_t *random)
{
	uint64_t first = event->offset / CRASH_SECTOR;
	uint64_t last = (event->offset + event->length - 1) / CRASH_SECTOR;
	uint64_t sectors = next_random(random) % (last - first + 1);

	return sectors == 0 ? 0 : (size_t)((first + sectors) * CRASH_SECTOR - event->offset);
}

/* Moves the base to the last flush before the cut. */
static void move_base(struct device *device, size_t cut)
{
	struct crash_log *log = device->log;
	size_t flush = cut;

	while (flush > 0 && !(log->events[flush - 1].kind == EVENT_FLUSH &&
			      log->events[flush - 1].device == device->number))
		flush--;
	if (device->base.bytes == NULL || device->base_events > flush) {
		image_copy(&device->base, &device->first);
		device->base_events = 0;
	}
	for (size_t i = device->base_events; i < flush; i++) {
		if (is_change(&log->events[i], device->number))
			apply(&device->base, &log->events[i], log->events[i].length);
	}
	device->base_events = flush;
}

/* The device's writes that are not certain at the cut; the last one's number in *ret_last. */
static size_t count_pending(const struct device *device, size_t cut, size_t *ret_last)
{
	size_t count = 0;

	for (size_t i = device->base_events; i < cut; i++) {
		if (is_change(&device->log->events[i], device->number)) {
			*ret_last = i;
			count++;
		}
	}
	return count;
}

static void apply_pending(const struct device *device, size_t cut, enum crash_variant variant,
			  uint64_t *random, struct image *image)
{
	size_t last = 0;

	if (count_pending(device, cut, &last) == 0 || variant == CRASH_DROP)
		return;
	for (size_t i = device->base_events; i < cut; i++) {
		const struct event *event = &device->log->events[i];

		if (!is_change(event, device->number))
			continue;
		if (event->kind == EVENT_WRITE && variant == CRASH_SECTORS)
			apply_units(image, event, CRASH_SECTOR, random);
		else if (event->kind == EVENT_WRITE && variant == CRASH_BLOCKS)
			apply_units(image, event, CRASH_BLOCK, random);
		else if (event->kind == EVENT_WRITE && variant == CRASH_TORN && i == last)
			apply(image, event, torn_length(event, random));
		else if (variant == CRASH_KEEP || variant == CRASH_TORN ||
			 (variant == CRASH_ONLY_LAST && i == last) ||
			 ((variant == CRASH_WRITES || variant == CRASH_SECTORS ||
			   variant == CRASH_BLOCKS) &&
			  (next_random(random) & 1) != 0))
			apply(image, event, event->length);
	}
}

struct crash_log *crash_log_after(struct crash_log *log, size_t cut, enum crash_variant variant,
				  uint64_t seed)
{
	uint64_t random = seed ^ (uint64_t)cut << 32 ^ (uint64_t)variant << 24;
	struct crash_log *after = crash_log_new();

	ck_assert_uint_le(cut, log->event_count);
	for (int i = 0; i < log->device_count; i++) {
		struct device *device = &log->devices[i];
		struct image image = { NULL, 0 };
		enum crash_variant here = variant;

		move_base(device, cut);
		image_copy(&image, &device->base);
		if (variant == CRASH_MIXED)
			here = (enum crash_variant)(next_random(&random) % CRASH_MIXED);
		apply_pending(device, cut, here, &random, &image);
		crash_log_add(after, image.bytes, image.size, device->block_bytes);
		free(image.bytes);
	}
	return after;
}

void crash_sweep_start(struct crash_sweep *sweep, struct crash_log *log, uint64_t seed)
{
	memset(sweep, 0, sizeof(*sweep));
	sweep->log = log;
	sweep->seed = seed;
	sweep->end = log->event_count;
	sweep->step = 1;
	sweep->rounds = 1;
}

static bool throws_coins(enum crash_variant variant)
{
	return variant == CRASH_TORN || variant == CRASH_WRITES || variant == CRASH_SECTORS ||
	       variant == CRASH_BLOCKS || variant == CRASH_MIXED;
}

/* Whether the variant can leave something else here than those before it. */
static bool matters(const struct crash_sweep *sweep)
{
	size_t most = 0, last = 0;
	int devices = 0;

	for (int i = 0; i < sweep->log->device_count; i++) {
		struct device *device = &sweep->log->devices[i];
		size_t pending;

		move_base(device, sweep->cut);
		pending = count_pending(device, sweep->cut, &last);
		most = pending > most ? pending : most;
		devices += pending > 0;
	}
	switch (sweep->variant) {
	case CRASH_KEEP:
		return true;
	case CRASH_DROP:
	case CRASH_TORN:
	case CRASH_SECTORS:
	case CRASH_BLOCKS:
		return most > 0;
	case CRASH_ONLY_LAST:
	case CRASH_WRITES:
		return most > 1;
	default:
		return devices > 1;
	}
}

/* To the next variant or the next cut. False at the end. */
static bool advance(struct crash_sweep *sweep)
{
	const struct crash_log *log = sweep->log;

	if (!sweep->begun) {
		sweep->begun = true;
		sweep->cut = sweep->first;
	} else if (throws_coins(sweep->variant) && sweep->round + 1 < sweep->rounds) {
		sweep->round++;
		return true;
	} else if (sweep->variant + 1 < CRASH_VARIANTS) {
		sweep->variant++;
		sweep->round = 0;
		return true;
	} else {
		sweep->cut += sweep->step;
	}
	sweep->variant = CRASH_KEEP;
	sweep->round = 0;
	/* The same bytes with a stronger promise: only that one is worth the time. */
	while (sweep->cut < sweep->end && log->events[sweep->cut].kind == EVENT_MARK)
		sweep->cut++;
	return sweep->cut <= sweep->end;
}

static void describe(struct crash_sweep *sweep, uint64_t seed)
{
	static const char *const kinds[] = { "write", "flush", "resize", "mark" };
	static const char *const variants[] = { "keep",	  "drop",    "torn",   "only-last",
						"writes", "sectors", "blocks", "mixed" };
	const struct event *event = sweep->cut > 0 ? &sweep->log->events[sweep->cut - 1] : NULL;

	snprintf(sweep->text, sizeof(sweep->text),
		 "cut %zu of %zu (after %s of device %d at %llu, %zu bytes), %s, seed %llu",
		 sweep->cut, sweep->log->event_count,
		 event == NULL ? "nothing" : kinds[event->kind], event == NULL ? -1 : event->device,
		 event == NULL ? 0 : (unsigned long long)event->offset,
		 event == NULL ? (size_t)0 : event->length, variants[sweep->variant],
		 (unsigned long long)seed);
}

struct crash_log *crash_sweep_next(struct crash_sweep *sweep)
{
	uint64_t seed;

	do {
		if (!advance(sweep))
			return NULL;
	} while (!matters(sweep));
	seed = sweep->seed + sweep->round * UINT64_C(0x100000001b3);
	sweep->mark = crash_log_mark_at(sweep->log, sweep->cut);
	describe(sweep, seed);
	return crash_log_after(sweep->log, sweep->cut, sweep->variant, seed);
}
