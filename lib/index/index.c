/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What all of lib/index needs of an open index: the zones' locks, and the sentences about failures.
 */
#include "index/index.h"

#include "base/visibility.h"

void index_lock_all(const struct uds_index *index)
{
	for (unsigned int i = 0; i < index->zone_count; i++)
		pthread_mutex_lock(&index->zones[i].lock);
}

void index_unlock_all(const struct uds_index *index)
{
	for (unsigned int i = index->zone_count; i-- > 0;)
		pthread_mutex_unlock(&index->zones[i].lock);
}

void index_lock_others(struct uds_index *index, struct index_zone *zone)
{
	if (index->zone_count == 1)
		return;
	/*
	 * Locks are taken in the order of the zones only, or two threads would wait for each
	 * other. So the caller has to look again at what it knew: the lock was released.
	 */
	pthread_mutex_unlock(&zone->lock);
	index_lock_all(index);
}

void index_unlock_others(struct uds_index *index, struct index_zone *zone)
{
	for (unsigned int i = index->zone_count; i-- > 0;) {
		if (&index->zones[i] != zone)
			pthread_mutex_unlock(&index->zones[i].lock);
	}
}

uint64_t index_lowest_named(const struct uds_index *index)
{
	uint64_t lowest = index->newest, low, high;

	for (unsigned int zone = 0; zone < index->zone_count; zone++) {
		for (int sub = 0; sub < (index->sparse ? 2 : 1); sub++) {
			volume_index_window(index->volume_index, (enum sub_index)sub, zone, &low,
					    &high);
			lowest = low < lowest ? low : lowest;
		}
	}
	return lowest;
}

int index_failure(const struct uds_index *index, int status, const struct uds_message *message)
{
	/* Opening has not made the table when it fails early, and has its own message. */
	if (index->failures != NULL && status < 0 && message->text[0] != '\0')
		failures_keep(index->failures, status, message);
	return status;
}

int index_end(const struct uds_index *index, int status, const char *what)
{
	return failures_end(index->failures, status, "%s: %s", uds_io_name(index->io), what);
}

UDS_PUBLIC void uds_index_error_message(const struct uds_index *index,
					struct uds_message *ret_message)
{
	failures_get(index->failures, ret_message);
}
