/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The time that a scan stores with its records, to tell them from those of earlier scans:
 * milliseconds since SCAN_EPOCH_MS (scan_data.h). A time that does not fit is refused.
 */
#ifndef TOOLS_SCAN_TIME_H
#define TOOLS_SCAN_TIME_H

#include "target.h"

/* "2026-11-21T08:55:01.123Z" */
void format_scan_time(uint64_t scan, char *ret_text, size_t room);

/* The range of times that records can hold, for messages. */
void format_time_range(char *ret_text, size_t room);

/*
 * The clock; or the time that was given, which several scans may have: then the number of records
 * that the index has taken moves it on.
 *
 * @before: each index of the target before the scan.
 * Returns an exit status, after a message.
 */
int choose_scan_time(struct target *target, const struct uds_index_statistics *before,
		     uint64_t *ret_time);

#endif
