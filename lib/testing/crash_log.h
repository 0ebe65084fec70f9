/* SPDX-License-Identifier: BSD-2-Clause */
/* What a log holds: for the modules that make states of it. */
#ifndef TESTING_CRASH_LOG_H
#define TESTING_CRASH_LOG_H

#include <pthread.h>
#include <stdbool.h>

#include <uds/testing.h>

#include "testing/crash_image.h"

enum crash_event_kind {
	CRASH_WRITE,
	CRASH_ZEROES,
	CRASH_DISCARD, /* with the garbage that it left */
	CRASH_RESIZE,
	CRASH_FLUSH,
	CRASH_DURABLE, /* the write at offset, a number of an event, is on the device */
	CRASH_MARK,
};

struct crash_event {
	enum crash_event_kind kind;
	uint32_t device;
	uint64_t offset; /* resize: the new size; mark: its value */
	uint64_t length;
	uint8_t *bytes;	 /* NULL: zeroes, or none */
	uint64_t sealed; /* of a write: the number of the event that makes it durable; 0: none */
};

struct crash_device {
	struct uds_crash_log *log;
	uint32_t number;
	uint32_t block_bytes;
	struct uds_io *base; /* NULL: memory alone */
	struct crash_image first, now;
	/* the bytes of now in one piece, when somebody asked for them; NULL: not made */
	uint8_t *flat;

	/*
	 * The bytes that were certain at one cut: everything up to the last flush before it. They
	 * move forward in the log, and start over when an earlier cut is asked for.
	 */
	struct crash_image certain;
	uint64_t certain_events; /* they hold the events before this one */
};

struct uds_crash_log {
	struct uds_env env;
	pthread_mutex_t lock;
	struct crash_device devices[UDS_CRASH_DEVICES];
	uint32_t device_count;
	struct crash_event *events;
	uint64_t event_count, event_room;
};

#endif
