/* SPDX-License-Identifier: BSD-2-Clause */
/* What a cut leaves of a device. */
#ifndef TESTING_CRASH_STATE_H
#define TESTING_CRASH_STATE_H

#include "testing/crash_log.h"

#define CRASH_VARIANTS (UDS_CRASH_ANY_GARBAGE + 1)

/* Brings device->certain to the last flush before the cut. Returns 0 or -ENOMEM. */
int crash_move(struct crash_device *device, uint64_t cut);

/* After that: how many of the device's changes are not certain. */
uint64_t crash_count_pending(const struct crash_device *device, uint64_t cut);

#endif
