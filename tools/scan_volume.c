/* SPDX-License-Identifier: BSD-2-Clause */
/* Opening volumes by URI, and what tells one from all others. */
#include "scan_volume.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "scan.h"
#include "schemes.h"

#define HASH_START UINT64_C(0xcbf29ce484222325)
#define HASH_PRIME UINT64_C(0x100000001b3)

/* What a backend has to say while it is read, such as that a server does not answer. */
static void print_log(void *context, enum uds_log_level level, const char *sentence)
{
	if (level <= UDS_LOG_WARNING)
		complain(context, "%s", sentence);
}

static uint64_t hash_text(const char *text)
{
	uint64_t hash = HASH_START;

	for (; *text != '\0'; text++)
		hash = (hash ^ (uint8_t)*text) * HASH_PRIME;
	return hash;
}

/* Whether a URI may name a part of something, or several things, whose places look like one. */
static bool may_be_part(const char *uri)
{
	return strncmp(uri, "concat:", strlen("concat:")) == 0 || strstr(uri, "length=") != NULL;
}

struct file_key volume_key(struct uds_io *io, const char *uri)
{
	const struct file_key by_name = { UINT64_MAX, hash_text(uri) };
	struct uds_io_place place;
	size_t count = 0;

	/* The first place is the thing itself; what it stands on comes behind. */
	if (may_be_part(uri) || uds_io_places(io, &place, 1, &count) < 0 || count == 0 ||
	    place.within != 0 || place.offset != 0)
		return by_name;
	return (struct file_key){ place.device,
				  place.kind == UDS_IO_PLACE_DEVICE ? 0 : place.object };
}

static int read_shape(const char *uri, struct uds_message *message, struct walked_file *file)
{
	struct file_key key = volume_key(file->io, uri);
	uint32_t block = uds_io_block_bytes(file->io);
	int r = uds_io_size(file->io, &file->size);

	if (r < 0) {
		uds_io_error_message(file->io, message);
		return r;
	}
	if (block > BATCH_BYTES) {
		snprintf(message->text, sizeof(message->text),
			 "%.400s: it is read in blocks of %" PRIu32 " bytes: at most %" PRIu64
			 " are possible",
			 uri, block, BATCH_BYTES);
		return UDS_ERR_UNALIGNED;
	}
	/* Records know it by what it is, not by the device and inode of a file. */
	file->inode = (key.device ^ key.inode) ^ (key.device ^ key.inode) >> 24;
	return 0;
}

int volume_open(const char *uri, const struct command *command, struct uds_message *ret_message,
		struct walked_file *ret_file)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct walked_file file = { .path = uri, .descriptor = -1, .may_have_holes = true };
	struct uds_env env = UDS_ENV_INIT;
	int r;

	env.log = print_log;
	env.context = (void *)(uintptr_t)command;
	options.no_lock = true; /* a program that writes to it may go on */
	r = open_uri(uri, &options, &env, ret_message, &file.io);
	if (r < 0)
		return r;
	r = read_shape(uri, ret_message, &file);
	if (r < 0)
		uds_io_close(file.io);
	else
		*ret_file = file;
	return r;
}

void volume_find_data(const struct walked_file *file, uint64_t offset, uint64_t *ret_begin,
		      uint64_t *ret_end)
{
	/* Where that is not known, all of it is read. */
	if (uds_io_find_data(file->io, offset, ret_begin, ret_end) < 0) {
		*ret_begin = offset;
		*ret_end = file->size;
	}
	/* It may have become longer: that part is left out. */
	if (*ret_begin > file->size)
		*ret_begin = file->size;
	if (*ret_end > file->size)
		*ret_end = file->size;
}
