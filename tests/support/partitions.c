/* SPDX-License-Identifier: BSD-2-Clause */
#include "partitions.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <uds/io.h>

#include "check_main.h"

#define DISK 1000u

static struct partition {
	uint8_t bytes[PARTITION_BYTES];
	bool locked;
} partitions[PARTITIONS];

static int read_partition(void *context, void *buffer, size_t length, uint64_t offset)
{
	memcpy(buffer, ((struct partition *)context)->bytes + offset, length);
	return 0;
}

static int write_partition(void *context, const void *buffer, size_t length, uint64_t offset)
{
	memcpy(((struct partition *)context)->bytes + offset, buffer, length);
	return 0;
}

static int flush_partition(void *context)
{
	(void)context;
	return 0;
}

static int size_partition(void *context, uint64_t *ret_bytes)
{
	(void)context;
	*ret_bytes = PARTITION_BYTES;
	return 0;
}

/* From the thing itself down to what it stands on, as files and devices are told. */
static int find_partition(void *context, struct uds_io_place *ret_places, size_t room,
			  size_t *ret_count)
{
	uint64_t number = (uint64_t)((struct partition *)context - partitions);
	const struct uds_io_place places[] = {
		{ .kind = UDS_IO_PLACE_DEVICE,
		  .device = DISK + 1 + number,
		  .length = PARTITION_BYTES },
		{ .kind = UDS_IO_PLACE_DEVICE,
		  .device = DISK,
		  .offset = number * PARTITION_BYTES,
		  .length = PARTITION_BYTES },
	};

	for (size_t i = 0; i < 2 && i < room; i++)
		ret_places[i] = places[i];
	*ret_count = 2;
	return 0;
}

static int open_partition(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
			  struct uds_message *ret_message, struct uds_io **ret_io)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_io_ops ops = UDS_IO_OPS_INIT;
	struct partition *partition = &partitions[(uint8_t)(uri->path[0] - 'a') % PARTITIONS];

	(void)context;
	if (partition->locked && !uri->options->no_lock) {
		snprintf(ret_message->text, sizeof(ret_message->text), "%s: locked by process 4711",
			 uri->text);
		return UDS_ERR_IN_USE;
	}
	ops.read = read_partition;
	ops.write = write_partition;
	ops.flush = flush_partition;
	ops.get_size = size_partition;
	ops.identity = find_partition;
	limits.read_only = !uri->options->write;
	limits.name = uri->text;
	return uds_io_open_ops(&ops, partition, &limits, env, ret_message, ret_io);
}

void partitions_start(void)
{
	static struct uds_io_scheme scheme = UDS_IO_SCHEME_INIT;

	memset(partitions, 0, sizeof(partitions));
	if (scheme.name != NULL)
		return;
	scheme.name = "partition";
	scheme.open = open_partition;
	ck_assert_int_eq(uds_io_register_scheme(&scheme, NULL), 0);
}

void partition_lock(char name, bool locked)
{
	partitions[name - 'a'].locked = locked;
}
