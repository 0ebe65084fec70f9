/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of a scan, and the table of them. */
#include "scan_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scan_data.h"

/* From this size on a file has an I/O of its own. */
#define LARGE_FILE_BYTES (UINT64_C(256) << 10)

/*
 * A small file has none: making it takes as long as reading some blocks from the page cache. Nor
 * has one in memory, where io_uring gives each read to a thread although none has to wait.
 */
static int open_io(const struct walked_file *walked, const struct scan_device *device,
		   struct uds_io **ret_io)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;

	*ret_io = walked->io;
	if (walked->io != NULL || walked->size < LARGE_FILE_BYTES || device->in_memory)
		return 0;
	options.no_lock = true; /* a program that writes to the file may go on */
	options.uring = true;
	return uds_io_open_descriptor(walked->descriptor, walked->path, &options, NULL, NULL,
				      ret_io);
}

int scan_file_make(const struct walked_file *walked, const struct scan_device *device,
		   unsigned int number, struct scan_file **ret_file)
{
	struct scan_file *file = calloc(1, sizeof(*file));
	int r = -ENOMEM;

	if (file != NULL)
		file->path = strdup(walked->path);
	if (file != NULL && file->path != NULL)
		r = open_io(walked, device, &file->io);
	if (r < 0) {
		walked_file_close(walked);
		if (file != NULL)
			free(file->path);
		free(file);
		return r;
	}
	file->descriptor = walked->descriptor;
	file->size = walked->size;
	file->is_volume = walked->io != NULL;
	file->inode = walked->inode & FIELD_MASK;
	file->file_system = walked->is_device ? 0 : device->file_system;
	file->device = number;
	atomic_init(&file->users, 1);
	atomic_init(&file->readers, 1);
	atomic_init(&file->told, false);
	*ret_file = file;
	return 0;
}

static void close_descriptor(struct scan_file *file)
{
	if (file->io != NULL)
		uds_io_close(file->io);
	else if (file->descriptor >= 0)
		close(file->descriptor);
	file->io = NULL;
	file->descriptor = -1;
}

void scan_file_use(struct scan_file *file)
{
	atomic_fetch_add(&file->users, 1);
}

void scan_file_use_descriptor(struct scan_file *file)
{
	atomic_fetch_add(&file->readers, 1);
}

void scan_file_release_descriptor(struct scan_file *file)
{
	if (atomic_fetch_sub(&file->readers, 1) == 1)
		close_descriptor(file);
}

void scan_file_release(struct scan_file *file)
{
	if (atomic_fetch_sub(&file->users, 1) != 1)
		return;
	close_descriptor(file);
	free(file->path);
	free(file);
}

static size_t place_of(const struct file_table *table, unsigned int device, uint64_t inode)
{
	size_t at = (size_t)hash_key_apply(&table->key, inode, device) & (table->place_count - 1);

	while (table->places[at] != 0) {
		const struct scan_file *file = table->files[table->places[at] - 1];

		if (file->inode == inode && file->device == device)
			break;
		at = (at + 1) & (table->place_count - 1);
	}
	return at;
}

static int grow(struct file_table *table)
{
	size_t room = table->room == 0 ? 512 : 2 * table->room;
	struct scan_file **files = realloc(table->files, room * sizeof(*files));
	size_t *places;

	if (files == NULL)
		return -ENOMEM;
	table->files = files;
	if (table->place_count == 0)
		hash_key_make(&table->key);
	places = calloc(2 * room, sizeof(*places));
	if (places == NULL)
		return -ENOMEM;
	free(table->places);
	table->places = places;
	table->place_count = 2 * room;
	table->room = room;
	for (size_t i = 0; i < table->count; i++) {
		const struct scan_file *file = files[i];

		places[place_of(table, file->device, file->inode)] = i + 1;
	}
	return 0;
}

int file_table_add(struct file_table *table, struct scan_file *file)
{
	size_t at;
	int r;

	if (table->count == table->room) {
		r = grow(table);
		if (r < 0)
			return r;
	}
	scan_file_use(file);
	table->files[table->count++] = file;
	/* Two may have one key: past the first devices, and with inode numbers above 40 bits. */
	at = place_of(table, file->device, file->inode);
	if (table->places[at] == 0)
		table->places[at] = table->count;
	else
		table->files[table->places[at] - 1]->shares_key = true;
	return 0;
}

struct scan_file *file_table_find(const struct file_table *table, unsigned int device,
				  uint64_t inode)
{
	struct scan_file *file;
	size_t at;

	if (table->place_count == 0)
		return NULL;
	at = place_of(table, device, inode);
	if (table->places[at] == 0)
		return NULL;
	file = table->files[table->places[at] - 1];
	return file->shares_key ? NULL : file;
}

void file_table_free(struct file_table *table)
{
	for (size_t i = 0; i < table->count; i++)
		scan_file_release(table->files[i]);
	free(table->files);
	free(table->places);
	memset(table, 0, sizeof(*table));
}
