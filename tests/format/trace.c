/* SPDX-License-Identifier: BSD-2-Clause */
/* Reading the golden index vectors. */
#include "trace.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "check_main.h"
#include "names.h"

const char *const index_vectors[] = { "minimal",
				      "fresh-saved",
				      "fresh-crash",
				      "dense-wrap",
				      "dense-2page-crash",
				      "unsaved-crash",
				      "savedback-crash",
				      "dense-3zone",
				      "dense-rezone-offset",
				      "dense-2zone-crash",
				      "dense-collisions",
				      "early-expiry",
				      "memory-overflow",
				      "does-not-fit",
				      "pagesize-32k",
				      "sparse-1zone",
				      "sparse-rezone",
				      "sparse-crash",
				      "converted-clean",
				      "converted-used",
				      "converted-crash",
				      NULL };

static uint64_t number_in(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_string(value))
		return strtoull(json_string_value(value), NULL, 0);
	return (uint64_t)json_integer_value(value);
}

static void read_configuration(const json_t *root, struct uds_configuration *ret)
{
	const json_t *g = json_object_get(root, "geometry");
	struct uds_configuration c = UDS_CONFIGURATION_INIT;

	c.page_bytes = (uint32_t)number_in(g, "bytes_per_page");
	c.record_pages_per_chapter = (uint32_t)number_in(g, "record_pages_per_chapter");
	c.chapters_per_volume = (uint32_t)number_in(g, "chapters_per_volume");
	c.sparse_chapters_per_volume = (uint32_t)number_in(g, "sparse_chapters_per_volume");
	c.sparse_sample_rate = (uint32_t)number_in(g, "sparse_sample_rate");
	c.remapped_virtual = number_in(g, "remapped_virtual");
	c.remapped_physical = number_in(g, "remapped_physical");
	c.cache_chapters = (uint32_t)number_in(root, "cache_chapters");
	c.volume_index_mean_delta = (uint32_t)number_in(root, "volume_index_mean_delta");
	c.nonce = number_in(root, "user_nonce");
	*ret = c;
}

static void read_saves(const json_t *root, struct vector_info *info)
{
	const json_t *saves = json_object_get(root, "saves");

	for (size_t i = 0; i < json_array_size(saves); i++) {
		const json_t *save = json_array_get(saves, i);

		if (json_is_object(save) && info->save_count < 2)
			info->save_times_ms[info->save_count++] = number_in(save, "timestamp_ms");
	}
	if (info->save_count == 2 && info->save_times_ms[0] > info->save_times_ms[1]) {
		uint64_t t = info->save_times_ms[0];

		info->save_times_ms[0] = info->save_times_ms[1];
		info->save_times_ms[1] = t;
	}
}

bool vector_read_info(const char *name, struct vector_info *ret_info)
{
	struct vector_info info = { 0 };
	char path[512];
	const char *hex;
	json_t *root;

	if (vectors_dir() == NULL)
		return false;
	snprintf(path, sizeof(path), "%s/uds/index/%s.json", vectors_dir(), name);
	root = json_load_file(path, 0, NULL);
	if (root == NULL)
		return false;
	snprintf(info.name, sizeof(info.name), "%s", name);
	read_configuration(root, &info.configuration);
	read_saves(root, &info);
	info.seed = number_in(root, "name_stream_seed");
	info.image_bytes = number_in(root, "image_bytes");
	info.offset_bytes = number_in(root, "index_offset_bytes");
	info.volume_nonce = number_in(root, "volume_nonce");
	info.super_version = (uint32_t)number_in(root, "super_version");
	info.clean = json_is_true(json_object_get(root, "clean"));
	hex = json_string_value(json_object_get(root, "nonce_seed_data"));
	for (unsigned int i = 0; hex != NULL && i < 32; i++) {
		unsigned int byte = 0;

		if (sscanf(hex + (size_t)2 * i, "%2x", &byte) != 1)
			break;
		info.nonce_data[i] = (uint8_t)byte;
	}
	json_decref(root);
	*ret_info = info;
	return true;
}

uint8_t *vector_read_file(const char *relative_path, size_t *ret_size)
{
	size_t size = 0, room = 1 << 20;
	uint8_t *bytes, *more;
	char command[600];
	size_t n;
	FILE *pipe;

	if (vectors_dir() == NULL)
		return NULL;
	snprintf(command, sizeof(command), "xz -dc '%s/uds/%s'", vectors_dir(), relative_path);
	pipe = popen(command, "r");
	if (pipe == NULL)
		return NULL;
	bytes = malloc(room);
	while (bytes != NULL && (n = fread(bytes + size, 1, room - size, pipe)) > 0) {
		size += n;
		if (size < room)
			continue;
		room *= 2;
		more = realloc(bytes, room);
		if (more == NULL)
			free(bytes);
		bytes = more;
	}
	if (pclose(pipe) != 0) {
		free(bytes);
		return NULL;
	}
	*ret_size = size;
	return bytes;
}

FILE *vector_open(const char *name, const char *suffix)
{
	char command[600];

	if (vectors_dir() == NULL)
		return NULL;
	snprintf(command, sizeof(command), "xz -dc '%s/uds/index/%s%s'", vectors_dir(), name,
		 suffix);
	return popen(command, "r");
}

static bool parse_request(struct trace_line *line)
{
	char token[32], old[64];
	int found;

	if (sscanf(line->text, "%*c %31s %" SCNu32 " %d %63s %c", token, &line->version, &found,
		   old, &line->location) != 5)
		return false;
	line->token.letter = token[0];
	line->token.index = strtoull(token + 1, NULL, 10);
	line->found = found != 0;
	line->has_old = old[0] != '-';
	line->old_version = line->has_old ? (uint32_t)strtoul(old, NULL, 10) : 0;
	return strchr("nvxh", line->token.letter) != NULL && old[0] != '!';
}

bool trace_next(FILE *file, struct trace_line *line)
{
	uint64_t *n = line->numbers;

	line->op = 0;
	if (fgets(line->text, sizeof(line->text), file) == NULL)
		return true;
	line->text[strcspn(line->text, "\n")] = '\0';
	line->number++;
	line->op = line->text[0];
	switch (line->op) {
	case 'P':
	case 'U':
	case 'Q':
	case 'N':
	case 'D':
		return parse_request(line);
	case 'C':
	case 'R':
		return sscanf(line->text, "%*c %" SCNu64, n) == 1;
	case 'V':
		return sscanf(line->text, "%*c %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, n,
			      n + 1, n + 2, n + 3) == 4;
	case 'S':
	case 'X':
	case '#':
		return true;
	default:
		return false;
	}
}

void trace_name(uint64_t seed, const struct trace_token *token, struct uds_record_name *ret_name)
{
	struct uds_record_name n, m;

	make_name(seed, token->index, &n);
	make_name(seed ^ (uint64_t)(uint8_t)token->letter << 56, token->index, &m);
	switch (token->letter) {
	case 'v': /* the same place in the volume index */
		memcpy(n.bytes + 8, m.bytes + 8, 8);
		break;
	case 'x': /* differs in the sampling bytes only */
		n.bytes[14] ^= 0x5a;
		n.bytes[15] ^= m.bytes[15] | 1;
		break;
	case 'h': /* the same place in the chapter index */
		memcpy(n.bytes, m.bytes, 8);
		memcpy(n.bytes + 14, m.bytes + 14, 2);
		break;
	default:
		break;
	}
	*ret_name = n;
}

unsigned int trace_count_saves(const char *name)
{
	struct trace_line line = { 0 };
	unsigned int count = 0;
	FILE *file = vector_open(name, ".trace.xz");

	if (file == NULL)
		return 0;
	while (trace_next(file, &line) && line.op != 0)
		count += line.op == 'S' || line.op == 'V';
	pclose(file);
	return count;
}
