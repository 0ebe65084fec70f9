/* SPDX-License-Identifier: BSD-2-Clause */
/* From the clock to what records hold, and back. */
#include "scan_time.h"

#include <stdio.h>
#include <time.h>

#include <uds/geometry.h>

#include "scan_data.h"

void format_scan_time(uint64_t scan, char *ret_text, size_t room)
{
	uint64_t ms = scan + SCAN_EPOCH_MS;
	time_t seconds = (time_t)(ms / 1000);
	char text[32];
	struct tm tm;

	gmtime_r(&seconds, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret_text, room, "%s.%03uZ", text, (unsigned int)(ms % 1000));
}

void format_time_range(char *ret_text, size_t room)
{
	char first[64], last[64];

	format_scan_time(0, first, sizeof(first));
	format_scan_time(FIELD_MASK, last, sizeof(last));
	snprintf(ret_text, room, "from %s to %s", first, last);
}

/*
 * The clock, in milliseconds since 1970. Returns an exit status, after a message if it
 * is of no use.
 */
static int read_clock(const struct command *command, uint64_t *ret_ms)
{
	struct timespec now;
	char range[160], text[32] = "an impossible time";
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	if (now.tv_sec >= 0) {
		*ret_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
		if (scan_time_fits(*ret_ms))
			return EXIT_GOOD;
	}
	if (gmtime_r(&now.tv_sec, &tm) != NULL)
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
	format_time_range(range, sizeof(range));
	complain(command,
		 "the clock says %s, and the records of a scan can only hold times %s: set it, or "
		 "give --save-time",
		 text, range);
	return EXIT_FAILED;
}

int choose_scan_time(struct target *target, const struct uds_index_statistics *before,
		     uint64_t *ret_time)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_geometry geometry = { .size = sizeof(geometry) };
	uint64_t ms = 0, taken = 0, last = SCAN_EPOCH_MS + FIELD_MASK;
	int status, r;

	if (!target->fixed_time) {
		status = read_clock(target->command, &ms);
		if (status == EXIT_GOOD)
			*ret_time = ms - SCAN_EPOCH_MS;
		return status;
	}
	r = uds_index_get_configuration(target_index(target, 0), &configuration);
	if (r == 0)
		r = uds_geometry_compute(&configuration, NULL, &geometry);
	if (r < 0)
		return failed(target->command, target->uri, r, NULL);
	for (unsigned int i = 0; i < target_index_count(target); i++)
		taken += before[i].open_chapter * geometry.records_per_chapter +
			 before[i].open_chapter_records;
	if (taken > last - target->save_time) {
		complain(target->command,
			 "--save-time, moved on by the %llu records that the index has taken, is "
			 "later than records can hold",
			 (unsigned long long)taken);
		return EXIT_FAILED;
	}
	*ret_time = target->save_time + taken - SCAN_EPOCH_MS;
	return EXIT_GOOD;
}
