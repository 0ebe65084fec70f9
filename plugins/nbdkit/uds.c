/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nbdkit's plugin for snapshots: `nbdkit uds origin=URI cow=URI` serves what the snapshot shows,
 * or with show=origin the origin, whose writes copy what a snapshot needs out first. uds-nbdkit(1)
 * is its page.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <uds.h>

#define NBDKIT_API_VERSION 2
#include <nbdkit-plugin.h>

#include "schemes.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL
#define MOST_COWS    64

/* What the command line asks for. */
static struct {
	char *origin;
	char *cows[MOST_COWS];
	unsigned int count;
	bool show_origin, write, salvage, keep_on_overflow, direct;
} asked;

/* What is open from the first connection's beginning to the end. */
static struct {
	struct uds_io *origin, *cows[MOST_COWS];
	struct uds_snapshot *snapshots[MOST_COWS];
} served;

/* ---- the command line ---- */

/*
 * A bare path must be found after nbdkit has changed to "/"; what has a colon before any slash is a
 * URI. NULL after a sentence.
 */
static char *absolute(const char *key, const char *value)
{
	char *path = NULL;

	if (value[0] == '\0')
		nbdkit_error("%s= is empty", key);
	else if (value[strcspn(value, ":/")] != ':')
		path = nbdkit_absolute_path(value);
	else if ((path = strdup(value)) == NULL)
		nbdkit_error("no memory for %s=%s", key, value);
	return path;
}

static int add_cow(const char *value)
{
	if (asked.count == MOST_COWS) {
		nbdkit_error("cow=%s: at most %d snapshots of an origin", value, MOST_COWS);
		return -1;
	}
	asked.cows[asked.count] = absolute("cow", value);
	return asked.cows[asked.count++] == NULL ? -1 : 0;
}

static int set_flag(const char *value, bool *ret_flag)
{
	int flag = nbdkit_parse_bool(value);

	if (flag < 0)
		return -1;
	*ret_flag = flag != 0;
	return 0;
}

static int set_show(const char *value)
{
	if (strcmp(value, "snapshot") != 0 && strcmp(value, "origin") != 0) {
		nbdkit_error("show=%s: it is snapshot or origin", value);
		return -1;
	}
	asked.show_origin = strcmp(value, "origin") == 0;
	return 0;
}

static int plugin_config(const char *key, const char *value)
{
	if (strcmp(key, "origin") == 0) {
		if (asked.origin != NULL) {
			nbdkit_error("origin=%s: there is one already, %s", value, asked.origin);
			return -1;
		}
		asked.origin = absolute("origin", value);
		return asked.origin == NULL ? -1 : 0;
	}
	if (strcmp(key, "cow") == 0)
		return add_cow(value);
	if (strcmp(key, "show") == 0)
		return set_show(value);
	if (strcmp(key, "salvage") == 0)
		return set_flag(value, &asked.salvage);
	if (strcmp(key, "keep-on-overflow") == 0)
		return set_flag(value, &asked.keep_on_overflow);
	if (strcmp(key, "direct") == 0)
		return set_flag(value, &asked.direct);
	if (strcmp(key, "write") == 0)
		return set_flag(value, &asked.write);
	nbdkit_error("unknown parameter: %s", key);
	return -1;
}

static int plugin_config_complete(void)
{
	if (asked.count == 0 || (asked.origin == NULL && strncmp(asked.cows[0], "lvm:", 4) != 0)) {
		nbdkit_error("%s is missing: nbdkit uds origin=URI cow=URI",
			     asked.origin == NULL ? "origin=" : "cow=");
		return -1;
	}
	if (asked.write && asked.salvage) {
		nbdkit_error("write and salvage: what is salvaged can only be read");
		return -1;
	}
	return 0;
}

#define plugin_config_help                                                              \
	"origin=URI               (required) what the snapshot was taken of;\n"         \
	"                         a store that is lvm:GROUP/SNAPSHOT?pv=URI knows it\n" \
	"cow=URI                  (required) its exception store; those of other\n"     \
	"                         snapshots of the same origin may follow\n"            \
	"show=snapshot|origin     what is served (snapshot)\n"                          \
	"write=BOOL               let clients write (false)\n"                          \
	"salvage=BOOL             serve what an invalid store still has, read-only\n"   \
	"keep-on-overflow=BOOL    a full store refuses writes, and can still be read\n" \
	"direct=BOOL              past the page cache (O_DIRECT)"

/* ---- opening and closing ---- */

/* As nbdkit wants them: what is no number of errno is an error of the I/O. */
static int errno_of(int status)
{
	switch (status) {
	case UDS_ERR_NO_ROOM:
	case UDS_ERR_SNAPSHOT_OVERFLOW:
		return ENOSPC;
	case UDS_ERR_READ_ONLY:
		return EROFS;
	case UDS_ERR_OUT_OF_RANGE:
		return EINVAL;
	default:
		return status < 0 && status > -4096 ? -status : EIO;
	}
}

/* The store or origin that is open and has the bytes of this one, by whatever name; or NULL. */
static const char *given_twice(const char *uri)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	const char *other = NULL;
	struct uds_io *io;

	options.no_lock = true;
	if (open_uri(uri, &options, NULL, NULL, &io) < 0)
		return NULL;
	if (served.origin != NULL && uds_io_overlap(io, served.origin))
		other = asked.origin;
	for (unsigned int i = 0; i < asked.count && other == NULL; i++) {
		if (served.cows[i] != NULL && uds_io_overlap(io, served.cows[i]))
			other = asked.cows[i];
	}
	uds_io_close(io);
	return other;
}

static int open_io(const char *uri, bool write, struct uds_io **ret_io)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_message message = { "" };
	const char *other;
	int r;

	options.write = write;
	options.direct = asked.direct;
	r = open_uri(uri, &options, NULL, &message, ret_io);
	/* Locked by this very server: that says nothing. */
	other = r == UDS_ERR_IN_USE ? given_twice(uri) : NULL;
	if (other != NULL)
		nbdkit_error("%s: has bytes in common with %s: is given twice", uri, other);
	else if (r < 0)
		nbdkit_error("%s", message.text);
	return r;
}

/*
 * The name of a volume of the group that the first store is of, on the same physical volumes. NULL:
 * it is of none.
 */
static char *volume_of(const char *uri)
{
	const char *cow = asked.cows[0], *slash = strchr(uri, '/'), *parameters = strchr(uri, '?');

	if (uds_lvm_group_of(served.cows[0]) == NULL || slash == NULL || parameters == NULL ||
	    strncmp(uri, cow, (size_t)(slash - uri) + 1) != 0 ||
	    strcmp(parameters, strchr(cow, '?')) != 0)
		return NULL;
	return strndup(slash + 1, (size_t)(parameters - slash) - 1);
}

/*
 * A volume of that group, which has the physical volumes for itself where it is written; any other
 * URI by itself.
 */
static int open_beside(const char *uri, bool write, struct uds_io **ret_io)
{
	struct uds_message message = { "" };
	char *volume = volume_of(uri);
	int r;

	if (volume == NULL)
		return open_io(uri, write, ret_io);
	r = uds_lvm_open_volume(uds_lvm_group_of(served.cows[0]), volume, &message, ret_io);
	free(volume);
	if (r < 0)
		nbdkit_error("%s", message.text);
	return r;
}

/* The origin that the group names for the first store. */
static int open_origin_of_group(void)
{
	struct uds_lvm_group *group = uds_lvm_group_of(served.cows[0]);
	struct uds_lvm_volume volume = UDS_LVM_VOLUME_INIT;
	struct uds_message message = { "" };
	char *name = volume_of(asked.cows[0]);
	int r = name == NULL ? 0 : uds_lvm_lookup_volume(group, name, &message, &volume);

	free(name);
	if (r == 0 && volume.origin == NULL) {
		nbdkit_error("%s: is no snapshot of a group: origin= is missing", asked.cows[0]);
		return -EINVAL;
	}
	if (r == 0)
		r = uds_lvm_open_volume(group, volume.origin, &message, &served.origin);
	if (r < 0)
		nbdkit_error("%s", message.text);
	return r;
}

/* The origin is written only where it is what is served. */
static int open_origin(void)
{
	if (asked.origin == NULL)
		return open_origin_of_group();
	return open_beside(asked.origin, asked.write && asked.show_origin, &served.origin);
}

static void close_all(void)
{
	struct uds_message message = { "" };

	for (unsigned int i = 0; i < asked.count; i++) {
		int r = served.snapshots[i] == NULL || !asked.write
				? 0
				: uds_snapshot_flush(served.snapshots[i]);

		if (r < 0) {
			uds_snapshot_error_message(served.snapshots[i], &message);
			nbdkit_error("%s", message.text);
		}
		if (uds_snapshot_close(served.snapshots[i]) < 0)
			nbdkit_error("%s: closing failed", asked.cows[i]);
	}
	(void)uds_io_close(served.origin);
	for (unsigned int i = asked.count; i-- > 0;)
		(void)uds_io_close(served.cows[i]);
	memset(&served, 0, sizeof(served));
}

static int open_all(void)
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r = open_io(asked.cows[0], asked.write, &served.cows[0]);

	if (r == 0)
		r = open_origin();
	options.read_only = !asked.write;
	options.salvage = asked.salvage;
	options.keep_on_overflow = asked.keep_on_overflow;
	for (unsigned int i = 0; i < asked.count && r == 0; i++) {
		if (i > 0)
			r = open_beside(asked.cows[i], asked.write, &served.cows[i]);
		if (r < 0)
			break;
		r = i == 0 ? uds_snapshot_open(served.origin, served.cows[0], &options, &message,
					       &served.snapshots[0])
			   : uds_snapshot_open_beside(served.snapshots[0], served.cows[i], &options,
						      &message, &served.snapshots[i]);
		if (r < 0)
			nbdkit_error("%s", message.text);
	}
	if (r < 0)
		close_all();
	return r;
}

/* In the foreground, where its errors are seen, and so that a wrong use leaves no server behind. */
static int plugin_get_ready(void)
{
	int r = open_all();

	if (r == 0)
		close_all();
	return r < 0 ? -1 : 0;
}

/* Again in the process that serves, as threads do not outlive a fork. */
static int plugin_after_fork(void)
{
	return open_all() < 0 ? -1 : 0;
}

static void plugin_cleanup(void)
{
	close_all();
}

static void plugin_unload(void)
{
	free(asked.origin);
	for (unsigned int i = 0; i < asked.count; i++)
		free(asked.cows[i]);
}

/* ---- connections: all share what is open ---- */

static void *plugin_open(int readonly)
{
	static int writer, reader;

	/* nbdkit's own -r, and what was opened to read. */
	return readonly || !asked.write ? &reader : &writer;
}

static int64_t plugin_get_size(void *handle)
{
	(void)handle;
	return (int64_t)uds_snapshot_size(served.snapshots[0]);
}

static int plugin_can_write(void *handle)
{
	(void)handle;
	return asked.write;
}

/* A flush by one connection makes what all of them wrote durable. */
static int plugin_can_multi_conn(void *handle)
{
	(void)handle;
	return 1;
}

static int plugin_can_fast_zero(void *handle)
{
	(void)handle;
	return 1;
}

/* Neither format can give a chunk back. */
static int plugin_can_trim(void *handle)
{
	(void)handle;
	return 0;
}

static int plugin_block_size(void *handle, uint32_t *ret_minimum, uint32_t *ret_preferred,
			     uint32_t *ret_maximum)
{
	struct uds_snapshot_status status = UDS_SNAPSHOT_STATUS_INIT;

	(void)handle;
	*ret_minimum = 1;
	*ret_preferred = 4096;
	*ret_maximum = UINT32_MAX;
	/* Smaller writes copy the rest of a chunk; NBD has room for no more than 32 MiB. */
	if (uds_snapshot_get_status(served.snapshots[0], &status) == 0 &&
	    status.chunk_bytes > *ret_preferred)
		*ret_preferred =
			status.chunk_bytes < (32 << 20) ? (uint32_t)status.chunk_bytes : 32 << 20;
	return 0;
}

/* 0, or -1 after the sentence of a request that failed. */
static int answer(int status)
{
	struct uds_message message = { "" };

	if (status == 0)
		return 0;
	uds_snapshot_error_message(served.snapshots[0], &message);
	nbdkit_error("%s", message.text);
	nbdkit_set_error(errno_of(status));
	return -1;
}

static int plugin_pread(void *handle, void *buffer, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void)handle, (void)flags;
	return answer(asked.show_origin
			      ? uds_snapshot_origin_read(served.snapshots[0], buffer, count, offset)
			      : uds_snapshot_read(served.snapshots[0], buffer, count, offset));
}

static int write_bytes(const void *bytes, size_t count, uint64_t offset)
{
	if (asked.show_origin)
		return uds_snapshot_origin_write(served.snapshots[0], bytes, count, offset);
	return uds_snapshot_write(served.snapshots[0], bytes, count, offset);
}

static int plugin_pwrite(void *handle, const void *buffer, uint32_t count, uint64_t offset,
			 uint32_t flags)
{
	/* NBDKIT_FLAG_FUA does not come here: nbdkit calls flush. */
	(void)handle, (void)flags;
	return answer(write_bytes(buffer, count, offset));
}

static int plugin_flush(void *handle, uint32_t flags)
{
	(void)handle, (void)flags;
	return answer(uds_snapshot_flush(served.snapshots[0]));
}

/* ---- zeroes ---- */

static int find_data(uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end)
{
	if (asked.show_origin)
		return uds_snapshot_origin_find_data(served.snapshots[0], offset, ret_begin,
						     ret_end);
	return uds_snapshot_find_data(served.snapshots[0], offset, ret_begin, ret_end);
}

static int write_zeroes(uint64_t offset, uint64_t end)
{
	static const uint8_t zeroes[1 << 20];
	int r = 0;

	for (size_t part; offset < end && r == 0; offset += part) {
		part = end - offset < sizeof(zeroes) ? (size_t)(end - offset) : sizeof(zeroes);
		r = write_bytes(zeroes, part, offset);
	}
	return r;
}

/*
 * Only where something else may be: an exception for what is zero anyway would take
 * room for nothing.
 */
static int plugin_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	uint64_t end = offset + count, begin, stop;
	int r = 0;

	(void)handle;
	while (offset < end && r == 0) {
		r = find_data(offset, &begin, &stop);
		if (r < 0 || begin >= end)
			break;
		if (flags & NBDKIT_FLAG_FAST_ZERO) {
			nbdkit_set_error(EOPNOTSUPP);
			return -1;
		}
		offset = stop < end ? stop : end;
		r = write_zeroes(begin, offset);
	}
	return answer(r);
}

static int plugin_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags,
			  struct nbdkit_extents *extents)
{
	uint64_t end = offset + count, begin, stop;

	(void)handle;
	while (offset < end) {
		int r = find_data(offset, &begin, &stop);

		if (r < 0)
			return answer(r);
		if (begin > offset &&
		    nbdkit_add_extent(extents, offset, begin - offset,
				      NBDKIT_EXTENT_HOLE | NBDKIT_EXTENT_ZERO) < 0)
			return -1;
		if (stop > begin && nbdkit_add_extent(extents, begin, stop - begin, 0) < 0)
			return -1;
		if (flags & NBDKIT_FLAG_REQ_ONE || stop <= offset)
			break;
		offset = stop;
	}
	return 0;
}

static struct nbdkit_plugin plugin = {
	.name = "uds",
	.longname = "libuds snapshots",
	.version = UDS_VERSION_STRING,
	.description = "serves a snapshot in the format of Linux dm-snapshot, or its origin",
	.config = plugin_config,
	.config_complete = plugin_config_complete,
	.config_help = plugin_config_help,
	.get_ready = plugin_get_ready,
	.after_fork = plugin_after_fork,
	.cleanup = plugin_cleanup,
	.unload = plugin_unload,
	.open = plugin_open,
	.get_size = plugin_get_size,
	.can_write = plugin_can_write,
	.can_trim = plugin_can_trim,
	.can_multi_conn = plugin_can_multi_conn,
	.can_fast_zero = plugin_can_fast_zero,
	.block_size = plugin_block_size,
	.pread = plugin_pread,
	.pwrite = plugin_pwrite,
	.flush = plugin_flush,
	.zero = plugin_zero,
	.extents = plugin_extents,
};

struct nbdkit_plugin *plugin_init(void); /* nbdkit's header declares none */
NBDKIT_REGISTER_PLUGIN(plugin)
