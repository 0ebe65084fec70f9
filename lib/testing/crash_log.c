/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Recording: the log, its devices, and the I/Os on them. Each change is recorded before it is made,
 * so that what cannot be recorded does not happen; one that fails below is on the device or not,
 * like one that was cut off.
 */
#include "testing/crash_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "io/io.h"

/* What a discarded byte becomes. */
#define GARBAGE 0xd1

UDS_PUBLIC int uds_crash_log_make(const struct uds_env *given, struct uds_message *ret_message,
				  struct uds_crash_log **ret_log)
{
	struct uds_crash_log *log;
	struct uds_env env;
	int r = env_take(given, ret_message, &env);

	if (r < 0)
		return r;
	log = env_allocate_zeroed(&env, 1, sizeof(*log));
	if (log == NULL)
		return failure(ret_message, -ENOMEM, "making a log of devices: no memory");
	/* The allocator must outlive the log: the images and the events keep pieces of it. */
	log->env = env;
	pthread_mutex_init(&log->lock, NULL);
	*ret_log = log;
	return 0;
}

UDS_PUBLIC void uds_crash_log_free(struct uds_crash_log *log)
{
	struct uds_env env;

	if (log == NULL)
		return;
	env = log->env;
	for (uint32_t i = 0; i < log->device_count; i++) {
		crash_image_free(&log->devices[i].first, &env);
		crash_image_free(&log->devices[i].now, &env);
		crash_image_free(&log->devices[i].certain, &env);
		env_release(&env, log->devices[i].flat);
	}
	for (uint64_t i = 0; i < log->event_count; i++)
		env_release(&env, log->events[i].bytes);
	env_release(&env, log->events);
	pthread_mutex_destroy(&log->lock);
	env_release(&env, log);
}

/* ---- devices ---- */

static int check_device(const struct uds_crash_log *log, const struct uds_crash_device *device,
			struct uds_message *message)
{
	uint32_t least = device->base == NULL ? 1 : uds_io_block_bytes(device->base);

	/*
	 * Blocks that are smaller than the base's would let requests through that the base refuses,
	 * with the change in the log already.
	 */
	if (!is_power_of_two(device->block_bytes) || device->block_bytes < least)
		return failure(message, -EINVAL, "a device with blocks of %" PRIu32 " bytes",
			       device->block_bytes);
	/*
	 * The events before would be of a time when the device did not exist; a cut among them
	 * could not say what it holds.
	 */
	if (log->event_count > 0)
		return failure(message, -EBUSY, "adding a device: something was recorded before");
	if (log->device_count == UDS_CRASH_DEVICES)
		return failure(message, -ENOSPC, "a log has at most %d devices", UDS_CRASH_DEVICES);
	return 0;
}

/* What the device holds at first. */
static int fill(struct crash_image *image, const struct uds_env *env,
		const struct uds_crash_device *device, struct uds_message *message)
{
	uint64_t size = device->size_bytes, part = UINT64_C(1) << 20;
	uint8_t *buffer;
	int r = 0;

	if (device->base != NULL)
		r = uds_io_size(device->base, &size);
	if (r == 0)
		r = crash_image_resize(image, env, size);
	if (r < 0)
		return failure(message, r, "adding a device: %s", uds_strerror(r));
	if (device->base == NULL && device->bytes != NULL)
		r = crash_image_write(image, env, device->bytes, size, 0);
	if (r < 0)
		return failure(message, r, "adding a device: no memory");
	if (device->base == NULL)
		return 0;
	/* In parts, through a buffer that is aligned as the base asks for: the image is not. */
	buffer = io_allocate_buffer(device->base, env, part);
	if (buffer == NULL)
		return failure(message, -ENOMEM, "adding a device: no memory");
	for (uint64_t at = 0; at < size && r == 0; at += part) {
		part = size - at < part ? size - at : part;
		r = io_read(device->base, buffer, (size_t)part, at, message);
		if (r == 0 && crash_image_write(image, env, buffer, part, at) < 0)
			r = failure(message, -ENOMEM, "adding a device: no memory");
	}
	env_release(env, buffer);
	return r;
}

UDS_PUBLIC int uds_crash_log_add(struct uds_crash_log *log, const struct uds_crash_device *given,
				 struct uds_message *ret_message, uint32_t *ret_number)
{
	struct uds_crash_device known = UDS_CRASH_DEVICE_INIT;
	struct crash_image first = { NULL, 0 }, now = { NULL, 0 };
	struct crash_device *device;
	int r = STRUCT_IN(&known, given, uds_crash_device, unused, ret_message);

	if (r == 0)
		r = check_device(log, &known, ret_message);
	if (r == 0)
		r = fill(&first, &log->env, &known, ret_message);
	/*
	 * Twice: a cut is replayed from what the device held at first, while reads see what it
	 * holds now.
	 */
	if (r == 0 && crash_image_copy(&now, &log->env, &first) < 0)
		r = failure(ret_message, -ENOMEM, "adding a device: no memory");
	if (r < 0) {
		crash_image_free(&first, &log->env);
		return r;
	}
	device = &log->devices[log->device_count];
	device->log = log;
	device->number = log->device_count;
	device->block_bytes = known.block_bytes;
	device->base = known.base;
	device->first = first;
	device->now = now;
	*ret_number = log->device_count++;
	return 0;
}

/* ---- events; all with the lock ---- */

static int make_room(struct uds_crash_log *log, uint64_t count)
{
	uint64_t room = log->event_room == 0 ? 256 : 2 * log->event_room;
	struct crash_event *events;

	if (log->event_count + count <= log->event_room)
		return 0;
	/*
	 * Doubled, so that recording n events copies no more than 2 n of them; uds_env cannot
	 * resize.
	 */
	events = env_allocate(&log->env, room, sizeof(*events));
	if (events == NULL)
		return -ENOMEM;
	if (log->event_count > 0)
		memcpy(events, log->events, (size_t)log->event_count * sizeof(*events));
	env_release(&log->env, log->events);
	log->events = events;
	log->event_room = room;
	return 0;
}

/* @bytes: copied; NULL: the event has none. */
static int record(struct uds_crash_log *log, enum crash_event_kind kind, uint32_t device,
		  uint64_t offset, uint64_t length, const void *bytes)
{
	struct crash_event event = { kind, device, offset, length, NULL, 0 };

	/* With room for what makes a write durable: that must not fail when the write is done. */
	if (make_room(log, kind == CRASH_WRITE ? 2 : 1) < 0)
		return -ENOMEM;
	if (bytes != NULL) {
		event.bytes = env_allocate(&log->env, length, 1);
		if (event.bytes == NULL)
			return -ENOMEM;
		/* The caller may use its buffer again as soon as the write is done. */
		memcpy(event.bytes, bytes, (size_t)length);
	}
	log->events[log->event_count++] = event;
	return 0;
}

UDS_PUBLIC int uds_crash_log_mark(struct uds_crash_log *log, uint64_t value,
				  struct uds_message *ret_message)
{
	int r;

	pthread_mutex_lock(&log->lock);
	r = record(log, CRASH_MARK, UDS_CRASH_DEVICES, value, 0, NULL);
	pthread_mutex_unlock(&log->lock);
	return r < 0 ? failure(ret_message, r, "recording a mark: no memory") : 0;
}

/* Its lock is nothing that a caller sees: to ask changes nothing. */
static pthread_mutex_t *lock_of(const struct uds_crash_log *log)
{
	return (pthread_mutex_t *)(uintptr_t)&log->lock;
}

UDS_PUBLIC uint64_t uds_crash_log_mark_at(const struct uds_crash_log *log, uint64_t cut)
{
	uint64_t value = 0;

	pthread_mutex_lock(lock_of(log));
	if (cut > log->event_count)
		cut = log->event_count;
	while (cut > 0 && log->events[cut - 1].kind != CRASH_MARK)
		cut--;
	if (cut > 0)
		value = log->events[cut - 1].offset;
	pthread_mutex_unlock(lock_of(log));
	return value;
}

UDS_PUBLIC uint64_t uds_crash_log_events(const struct uds_crash_log *log)
{
	uint64_t count;

	pthread_mutex_lock(lock_of(log));
	count = log->event_count;
	pthread_mutex_unlock(lock_of(log));
	return count;
}

static int no_device(const struct uds_crash_log *log, uint32_t number,
		     struct uds_message *ret_message)
{
	return failure(ret_message, -EINVAL,
		       "device %" PRIu32 ": expected one of the %" PRIu32 " that were added",
		       number, log->device_count);
}

UDS_PUBLIC int uds_crash_log_bytes(struct uds_crash_log *log, uint32_t number,
				   struct uds_message *ret_message, const uint8_t **ret_bytes,
				   uint64_t *ret_size_bytes)
{
	struct crash_device *device;

	if (number >= log->device_count)
		return no_device(log, number, ret_message);
	device = &log->devices[number];
	if (device->flat == NULL) {
		device->flat = env_allocate(&log->env, device->now.size + 1, 1);
		if (device->flat == NULL)
			return failure(ret_message, -ENOMEM,
				       "device %" PRIu32 ": no memory for its %" PRIu64 " bytes",
				       number, device->now.size);
		crash_image_read(&device->now, device->flat, device->now.size, 0);
	}
	*ret_bytes = device->flat;
	if (ret_size_bytes != NULL)
		*ret_size_bytes = device->now.size;
	return 0;
}

/* Before the device changes. */
static void forget_flat(struct crash_device *device)
{
	env_release(&device->log->env, device->flat);
	device->flat = NULL;
}

/* ---- the I/Os ---- */

static bool is_inside(const struct crash_device *device, uint64_t length, uint64_t offset)
{
	return offset <= device->now.size && length <= device->now.size - offset;
}

static int crash_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	struct crash_device *device = context;
	int r = UDS_ERR_OUT_OF_RANGE;

	pthread_mutex_lock(&device->log->lock);
	/* From the base and not from the image, so that a fault of the base is seen. */
	if (is_inside(device, length, offset) && device->base != NULL) {
		r = uds_io_read(device->base, buffer, length, offset);
	} else if (is_inside(device, length, offset)) {
		crash_image_read(&device->now, buffer, length, offset);
		r = 0;
	}
	pthread_mutex_unlock(&device->log->lock);
	return r;
}

/* With the lock. @bytes may be NULL for zeroes. */
static int change(struct crash_device *device, enum crash_event_kind kind, const void *bytes,
		  uint64_t length, uint64_t offset)
{
	int r;

	if (!is_inside(device, length, offset))
		return UDS_ERR_OUT_OF_RANGE;
	/* Recorded last, when nothing of the log's own can fail any more. */
	r = crash_image_prepare(&device->now, &device->log->env, length, offset);
	if (r == 0)
		r = record(device->log, kind, device->number, offset, length, bytes);
	if (r < 0)
		return r;
	forget_flat(device);
	/*
	 * In the image although the base may still fail: its event is in the log by now, and a
	 * replay of all events must give this image.
	 */
	crash_image_write(&device->now, &device->log->env, bytes, length, offset);
	if (device->base == NULL)
		return 0;
	if (kind == CRASH_WRITE)
		return uds_io_write(device->base, bytes, (size_t)length, offset);
	if (kind == CRASH_ZEROES)
		return uds_io_write_zeroes(device->base, offset, length);
	return uds_io_discard(device->base, offset, length);
}

static int crash_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	struct crash_device *device = context;
	int r;

	pthread_mutex_lock(&device->log->lock);
	r = change(device, CRASH_WRITE, buffer, length, offset);
	pthread_mutex_unlock(&device->log->lock);
	return r;
}

static int crash_write_zeroes(void *context, uint64_t offset, uint64_t length)
{
	struct crash_device *device = context;
	int r;

	pthread_mutex_lock(&device->log->lock);
	r = change(device, CRASH_ZEROES, NULL, length, offset);
	pthread_mutex_unlock(&device->log->lock);
	return r;
}

/* Below, a flush makes it durable; here, only this write is. */
static int crash_write_durable(void *context, const void *buffer, size_t length, uint64_t offset)
{
	struct crash_device *device = context;
	struct uds_crash_log *log = device->log;
	uint64_t number;
	int r;

	pthread_mutex_lock(&log->lock);
	/* The event that change() is about to make; the lock keeps it the next one. */
	number = log->event_count;
	r = change(device, CRASH_WRITE, buffer, length, offset);
	if (r == 0 && device->base != NULL)
		r = uds_io_flush(device->base);
	if (r == 0)
		r = record(log, CRASH_DURABLE, device->number, number, 0, NULL);
	if (r == 0)
		log->events[number].sealed = log->event_count - 1;
	pthread_mutex_unlock(&log->lock);
	return r;
}

static int crash_discard(void *context, uint64_t offset, uint64_t length)
{
	struct crash_device *device = context;
	uint8_t *garbage = env_allocate(&device->log->env, length, 1);
	int r;

	/*
	 * Neither old bytes nor zeroes, so that code that counts on one of the two after a discard
	 * fails.
	 */
	if (garbage == NULL)
		return -ENOMEM;
	memset(garbage, GARBAGE, (size_t)length);
	pthread_mutex_lock(&device->log->lock);
	r = change(device, CRASH_DISCARD, garbage, length, offset);
	pthread_mutex_unlock(&device->log->lock);
	env_release(&device->log->env, garbage);
	return r;
}

static int crash_flush(void *context)
{
	struct crash_device *device = context;
	int r = 0;

	pthread_mutex_lock(&device->log->lock);
	if (device->base != NULL)
		/*
		 * The lock is held over the flush: no write can begin between it and its event, and
		 * so the event stands exactly between what is certain and what is not. A flush that
		 * failed promises nothing and is not recorded.
		 */
		r = uds_io_flush(device->base);
	if (r == 0)
		r = record(device->log, CRASH_FLUSH, device->number, 0, 0, NULL);
	pthread_mutex_unlock(&device->log->lock);
	return r;
}

static int crash_size(void *context, uint64_t *ret_bytes)
{
	struct crash_device *device = context;

	pthread_mutex_lock(&device->log->lock);
	*ret_bytes = device->now.size;
	pthread_mutex_unlock(&device->log->lock);
	return 0;
}

static int crash_resize(void *context, uint64_t bytes)
{
	struct crash_device *device = context;
	struct uds_crash_log *log = device->log;
	struct crash_image resized = { NULL, 0 };
	int r;

	pthread_mutex_lock(&log->lock);
	r = crash_image_copy(&resized, &log->env, &device->now);
	if (r == 0)
		r = crash_image_resize(&resized, &log->env, bytes);
	if (r == 0)
		/* Memory first: once the base has its new size, nothing may fail. */
		r = make_room(log, 1);
	if (r == 0 && device->base != NULL)
		r = uds_io_resize(device->base, bytes);
	if (r == 0) {
		struct crash_image before = device->now;

		forget_flat(device);
		device->now = resized;
		resized = before;
		r = record(log, CRASH_RESIZE, device->number, bytes, 0, NULL);
	}
	crash_image_free(&resized, &log->env);
	pthread_mutex_unlock(&log->lock);
	return r;
}

static int crash_identity(void *context, struct uds_io_place *ret_places, size_t room,
			  size_t *ret_count)
{
	struct crash_device *device = context;

	if (device->base == NULL)
		return -EOPNOTSUPP;
	return uds_io_places(device->base, ret_places, room, ret_count);
}

static int crash_close(void *context)
{
	/*
	 * The device belongs to the log; it may be opened again, and its states are asked for
	 * later.
	 */
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
	.identity = crash_identity,
	.write_zeroes = crash_write_zeroes,
	.write_durable = crash_write_durable,
};

UDS_PUBLIC int uds_crash_log_open(struct uds_crash_log *log, uint32_t number,
				  struct uds_message *ret_message, struct uds_io **ret_io)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct crash_device *device;
	char name[20];

	if (number >= log->device_count)
		return no_device(log, number, ret_message);
	device = &log->devices[number];
	snprintf(name, sizeof(name), "crash:%" PRIu32, number);
	limits.name = name;
	limits.quick = true; /* in the order in which requests are submitted, always the same */
	limits.block_bytes = device->block_bytes;
	limits.read_only = device->base != NULL && uds_io_is_read_only(device->base);
	limits.memory_alignment = device->base == NULL ? 1 : uds_io_memory_alignment(device->base);
	return uds_io_open_ops(&crash_ops, device, &limits, &log->env, ret_message, ret_io);
}
