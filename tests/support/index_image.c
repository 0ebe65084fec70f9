/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading index images and what stands beside them. */
#include "index_image.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check_main.h"

#define MAX_IMAGES 64

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

const char *const *index_image_names(void)
{
	static char *names[MAX_IMAGES + 1];
	char path[512];
	unsigned int count = 0;
	struct dirent *entry;
	DIR *dir;

	if (names[0] != NULL)
		return (const char *const *)names;
	if (vectors_dir() == NULL)
		return NULL;
	snprintf(path, sizeof(path), "%s/uds/index", vectors_dir());
	dir = opendir(path);
	if (dir == NULL)
		return NULL;
	while ((entry = readdir(dir)) != NULL && count < MAX_IMAGES) {
		char *end = strstr(entry->d_name, ".json");

		if (end != NULL)
			names[count++] = strndup(entry->d_name, (size_t)(end - entry->d_name));
	}
	closedir(dir);
	qsort(names, count, sizeof(names[0]), compare_names);
	return count == 0 ? NULL : (const char *const *)names;
}

/* All that a file or a command gives. */
static uint8_t *read_all(FILE *f, size_t *ret_size)
{
	size_t size = 0, room = 1 << 16, n;
	uint8_t *bytes = malloc(room);

	ck_assert_ptr_nonnull(f);
	while ((n = fread(bytes + size, 1, room - size - 1, f)) > 0) {
		size += n;
		if (room - size < 2)
			bytes = realloc(bytes, room *= 2);
		ck_assert_ptr_nonnull(bytes);
	}
	bytes[size] = 0;
	*ret_size = size;
	return bytes;
}

/* The value behind the first "key" in the text, as a number: 12, "12" or "0x1c". */
static uint64_t number(const char *text, const char *key)
{
	char quoted[80];
	const char *at;

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	at = strstr(text, quoted);
	ck_assert_msg(at != NULL, "no %s", key);
	at += strlen(quoted);
	at += strspn(at, " \"");
	return strtoull(at, NULL, 0);
}

static void read_saves(const char *text, struct image_save *saves)
{
	const char *at = strstr(text, "\"saves\":");

	ck_assert_ptr_nonnull(at);
	at = strchr(at, '[') + 1;
	for (int i = 0; i < IMAGE_SLOTS; i++) {
		at += strspn(at, " \n,");
		saves[i].present = *at == '{';
		if (!saves[i].present) {
			at += strlen("null");
			continue;
		}
		saves[i].zones = (unsigned int)number(at, "zones");
		saves[i].timestamp = number(at, "timestamp_ms");
		saves[i].nonce = number(at, "save_nonce");
		saves[i].newest = number(at, "newest");
		saves[i].oldest = number(at, "oldest");
		saves[i].last_save = number(at, "last_save");
		at = strchr(at, '}') + 1;
	}
}

static void read_json(const char *text, struct index_image *image)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	const char *hex = strstr(text, "\"nonce_seed_data\":");

	configuration.page_bytes = (uint32_t)number(text, "bytes_per_page");
	configuration.record_pages_per_chapter = (uint32_t)number(text, "record_pages_per_chapter");
	configuration.chapters_per_volume = (uint32_t)number(text, "chapters_per_volume");
	configuration.sparse_chapters_per_volume =
		(uint32_t)number(text, "sparse_chapters_per_volume");
	configuration.sparse_sample_rate = (uint32_t)number(text, "sparse_sample_rate");
	configuration.remapped_virtual = number(text, "remapped_virtual");
	configuration.remapped_physical = number(text, "remapped_physical");
	configuration.cache_chapters = (uint32_t)number(text, "cache_chapters");
	configuration.volume_index_mean_delta = (uint32_t)number(text, "volume_index_mean_delta");
	configuration.nonce = number(text, "user_nonce");
	image->configuration = configuration;
	image->index_pages = (uint32_t)number(text, "index_pages_per_chapter");
	image->records_per_chapter = (uint32_t)number(text, "records_per_chapter");
	image->delta_lists = (uint32_t)number(text, "delta_lists_per_chapter");
	image->offset = number(text, "index_offset_bytes");
	image->primary_nonce = number(text, "primary_nonce");
	image->volume_nonce = number(text, "volume_nonce");
	image->super_version = (uint32_t)number(text, "super_version");
	image->volume_offset = number(text, "volume_offset_blocks");
	image->start_offset = number(text, "start_offset_blocks");
	image->total_blocks = number(text, "total_blocks");
	image->name_seed = number(text, "name_stream_seed");
	image->clean = strstr(text, "\"clean\": true") != NULL;
	ck_assert_ptr_nonnull(hex);
	hex = strchr(hex + strlen("\"nonce_seed_data\":"), '"') + 1;
	for (int i = 0; i < 32; i++)
		ck_assert_int_eq(sscanf(hex + 2 * i, "%2hhx", &image->nonce_data[i]), 1);
	read_saves(text, image->saves);
}

void index_image_load(const char *name, struct index_image *ret_image)
{
	char text[1024];
	uint8_t *json;
	size_t size;
	FILE *f;

	memset(ret_image, 0, sizeof(*ret_image));
	snprintf(ret_image->name, sizeof(ret_image->name), "%s", name);
	snprintf(text, sizeof(text), "%s/uds/index/%s.json", vectors_dir(), name);
	f = fopen(text, "r");
	json = read_all(f, &size);
	fclose(f);
	read_json((const char *)json, ret_image);
	free(json);
	snprintf(text, sizeof(text), "xz -dc '%s/uds/index/%s.img.xz'", vectors_dir(), name);
	f = popen(text, "r");
	ret_image->bytes = read_all(f, &ret_image->size);
	ck_assert_int_eq(pclose(f), 0);
	ck_assert_uint_gt(ret_image->size, 0);
}

void index_image_free(struct index_image *image)
{
	free(image->bytes);
	image->bytes = NULL;
}

struct uds_io *index_image_io(const struct index_image *image)
{
	return bytes_io(image->bytes, image->size);
}

void assert_same_configuration(const struct uds_configuration *found,
			       const struct uds_configuration *wanted)
{
	ck_assert_uint_eq(found->size, wanted->size);
	ck_assert_uint_eq(found->page_bytes, wanted->page_bytes);
	ck_assert_uint_eq(found->record_pages_per_chapter, wanted->record_pages_per_chapter);
	ck_assert_uint_eq(found->chapters_per_volume, wanted->chapters_per_volume);
	ck_assert_uint_eq(found->sparse_chapters_per_volume, wanted->sparse_chapters_per_volume);
	ck_assert_uint_eq(found->cache_chapters, wanted->cache_chapters);
	ck_assert_uint_eq(found->volume_index_mean_delta, wanted->volume_index_mean_delta);
	ck_assert_uint_eq(found->sparse_sample_rate, wanted->sparse_sample_rate);
	ck_assert_uint_eq(found->nonce, wanted->nonce);
	ck_assert_uint_eq(found->remapped_virtual, wanted->remapped_virtual);
	ck_assert_uint_eq(found->remapped_physical, wanted->remapped_physical);
}
