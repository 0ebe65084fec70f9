/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading the golden vectors. */
#include "vector_file.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "check_main.h"

FILE *open_unit_vector(const char *name)
{
	char path[512];

	if (vectors_dir() == NULL)
		return NULL;
	snprintf(path, sizeof(path), "%s/uds/unit/%s", vectors_dir(), name);
	return fopen(path, "r");
}

uint8_t *read_unit_vector(const char *name, size_t *ret_bytes)
{
	FILE *f = open_unit_vector(name);
	uint8_t *bytes;
	long size;

	if (f == NULL)
		return NULL;
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	rewind(f);
	bytes = malloc((size_t)size);
	ck_assert_ptr_nonnull(bytes);
	ck_assert_uint_eq(fread(bytes, 1, (size_t)size, f), (size_t)size);
	fclose(f);
	*ret_bytes = (size_t)size;
	return bytes;
}

static int split(char *line, char **fields)
{
	int n = 0;

	line[strcspn(line, "\r\n")] = '\0';
	while (n < CSV_COLUMNS) {
		fields[n++] = line;
		line = strchr(line, ',');
		if (line == NULL)
			break;
		*line++ = '\0';
	}
	return n;
}

bool csv_open(struct csv *csv, const char *name)
{
	csv->file = open_unit_vector(name);
	if (csv->file == NULL)
		return false;
	ck_assert_ptr_nonnull(fgets(csv->head, sizeof(csv->head), csv->file));
	csv->columns = split(csv->head, csv->names);
	return true;
}

bool csv_next(struct csv *csv)
{
	if (fgets(csv->line, sizeof(csv->line), csv->file) == NULL) {
		fclose(csv->file);
		return false;
	}
	ck_assert_int_eq(split(csv->line, csv->fields), csv->columns);
	return true;
}

const char *csv_text(const struct csv *csv, const char *column)
{
	for (int i = 0; i < csv->columns; i++) {
		if (strcmp(csv->names[i], column) == 0)
			return csv->fields[i];
	}
	ck_abort_msg("no column %s", column);
	return NULL;
}

uint64_t csv_number(const struct csv *csv, const char *column)
{
	const char *text = csv_text(csv, column);
	char *end;
	uint64_t n = strtoull(text, &end, 10);

	ck_assert_msg(end != text && *end == '\0', "%s: not a number: \"%s\"", column, text);
	return n;
}

bool csv_is_empty(const struct csv *csv, const char *column)
{
	return *csv_text(csv, column) == '\0';
}

int parse_hex(const char *text, uint8_t *ret_bytes, size_t room)
{
	size_t n = strspn(text, "0123456789abcdef");

	if (n % 2 != 0 || n / 2 > room)
		return -1;
	for (size_t i = 0; i < n; i += 2) {
		char pair[3] = { text[i], text[i + 1], '\0' };

		ret_bytes[i / 2] = (uint8_t)strtoul(pair, NULL, 16);
	}
	return (int)(n / 2);
}

uint64_t splitmix(uint64_t seed, uint64_t k)
{
	uint64_t z = seed + (k + 1) * UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static void base(uint64_t seed, uint64_t i, uint8_t ret_bytes[16])
{
	put_le64(ret_bytes, splitmix(seed, 2 * i));
	put_le64(ret_bytes + 8, splitmix(seed, 2 * i + 1));
}

void token_name(uint64_t seed, const char *token, struct uds_record_name *ret_name)
{
	uint64_t i = strtoull(token + 1, NULL, 10);
	uint8_t n[16], m[16];

	base(seed, i, n);
	base(seed ^ (uint64_t)(uint8_t)token[0] << 56, i, m);
	switch (token[0]) {
	case 'v':
		memcpy(n + 8, m + 8, 8);
		break;
	case 'x':
		n[14] ^= 0x5a;
		n[15] = (uint8_t)(n[15] ^ (m[15] | 1));
		break;
	case 'h':
		memcpy(n, m, 8);
		memcpy(n + 14, m + 14, 2);
		break;
	default:
		break;
	}
	memcpy(ret_name->bytes, n, 16);
}

void token_data(const char *token, uint32_t version, struct uds_record_data *ret_data)
{
	put_le64(ret_data->bytes, strtoull(token + 1, NULL, 10));
	put_le32(ret_data->bytes + 8, version);
	ret_data->bytes[12] = (uint8_t)token[0];
	memcpy(ret_data->bytes + 13, "UDS", 3);
}

/* A number, in quotes or not, in a JSON file that names each key once. */
static uint64_t json_number(const char *text, const char *key, int base)
{
	const char *at = strstr(text, key);

	ck_assert_msg(at != NULL, "no %s", key);
	at += strlen(key);
	return strtoull(at + strspn(at, "\": "), NULL, base);
}

bool recorded_index_read(const char *name, struct recorded_index *ret_index)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;
	char path[512], text[65536];
	size_t n;
	FILE *f;

	if (vectors_dir() == NULL)
		return false;
	snprintf(path, sizeof(path), "%s/uds/index/%s.json", vectors_dir(), name);
	f = fopen(path, "r");
	if (f == NULL)
		return false;
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	c.page_bytes = (uint32_t)json_number(text, "\"bytes_per_page\"", 10);
	c.record_pages_per_chapter =
		(uint32_t)json_number(text, "\"record_pages_per_chapter\"", 10);
	c.chapters_per_volume = (uint32_t)json_number(text, "\"chapters_per_volume\"", 10);
	c.sparse_chapters_per_volume =
		(uint32_t)json_number(text, "\"sparse_chapters_per_volume\"", 10);
	c.sparse_sample_rate = (uint32_t)json_number(text, "\"sparse_sample_rate\"", 10);
	c.cache_chapters = (uint32_t)json_number(text, "\"cache_chapters\"", 10);
	c.volume_index_mean_delta = (uint32_t)json_number(text, "\"volume_index_mean_delta\"", 10);
	c.nonce = json_number(text, "\"user_nonce\"", 10);
	c.remapped_virtual = json_number(text, "\"remapped_virtual\"", 10);
	c.remapped_physical = json_number(text, "\"remapped_physical\"", 10);
	ret_index->configuration = c;
	ret_index->volume_nonce = json_number(text, "\"volume_nonce\"", 10);
	ret_index->name_stream_seed = json_number(text, "\"name_stream_seed\"", 16);
	ret_index->offset_bytes = json_number(text, "\"index_offset_bytes\"", 10);
	ret_index->image_bytes = json_number(text, "\"image_bytes\"", 10);
	return true;
}

uint8_t *read_packed_vector(const char *path, size_t *ret_bytes)
{
	size_t room = 1 << 20, n = 0, more;
	char command[600];
	uint8_t *bytes;
	FILE *p;

	if (vectors_dir() == NULL)
		return NULL;
	snprintf(command, sizeof(command), "%s/uds/%s", vectors_dir(), path);
	if (access(command, R_OK) != 0)
		return NULL;
	snprintf(command, sizeof(command), "xz -dc '%s/uds/%s'", vectors_dir(), path);
	p = popen(command, "r");
	bytes = malloc(room);
	ck_assert(p != NULL && bytes != NULL);
	while ((more = fread(bytes + n, 1, room - n, p)) > 0) {
		n += more;
		if (n == room) {
			room *= 2;
			bytes = realloc(bytes, room);
			ck_assert_ptr_nonnull(bytes);
		}
	}
	ck_assert_int_eq(pclose(p), 0);
	*ret_bytes = n;
	return bytes;
}
