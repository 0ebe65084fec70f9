/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of a save: the streams of the volume index, and the open chapter. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uds/chapter.h>

#include "base/stream.h"
#include "fuzz.h"
#include "save_zone.h"
#include "volume_index/volume_index.h"

#define MOST_STREAMS 3

static int read_stream(void *context, void *ret_bytes, size_t length)
{
	struct fuzz_input *stream = context;

	if (length > stream->left)
		return UDS_ERR_OUT_OF_RANGE;
	memcpy(ret_bytes, stream->at, length);
	stream->at += length;
	stream->left -= length;
	return 0;
}

/* A stream being written; what was written is read from it. */
struct written {
	uint8_t *bytes;
	size_t used, room;
};

static int write_stream(void *context, const void *bytes, size_t length)
{
	struct written *written = context;

	if (written->used + length > written->room) {
		written->room = 2 * (written->used + length);
		written->bytes = realloc(written->bytes, written->room);
		FUZZ_REQUIRE(written->bytes != NULL);
	}
	memcpy(written->bytes + written->used, bytes, length);
	written->used += length;
	return 0;
}

static int count_entry(void *context, const struct list_entry *entry)
{
	(void)entry;
	++*(uint64_t *)context;
	return 0;
}

static uint64_t walk(const struct volume_index *index)
{
	uint64_t count = 0;

	for (int sub = 0; sub < 2; sub++) {
		uint32_t lists = volume_index_list_count(index, (enum sub_index)sub);

		for (uint32_t list = 0; list < lists; list++)
			FUZZ_REQUIRE(volume_index_walk(index, (enum sub_index)sub, list,
						       count_entry, &count) == 0);
	}
	return count;
}

/* What was loaded is saved by each zone, and loads again. */
static void save_and_load(const struct uds_env *env, const struct geometry *geometry,
			  struct volume_index *index, unsigned int zones)
{
	struct written written[MOST_STREAMS] = { { NULL, 0, 0 } };
	struct byte_source sources[MOST_STREAMS];
	struct fuzz_input inputs[MOST_STREAMS];
	struct volume_index *again;
	struct uds_message message;
	uint64_t dropped, all_dropped = 0;

	for (unsigned int z = 0; z < zones; z++) {
		struct byte_sink sink = { write_stream, &written[z] };

		FUZZ_REQUIRE(save_zone(index, z, UINT64_MAX, &sink, &message, &dropped) == 0);
		all_dropped += dropped;
		inputs[z] = (struct fuzz_input){ written[z].bytes, written[z].used };
		sources[z] = (struct byte_source){ read_stream, &inputs[z] };
	}
	FUZZ_REQUIRE(volume_index_load(env, geometry, zones, FUZZ_NONCE, NULL, NULL, sources, zones,
				       &message, &again) == 0);
	FUZZ_REQUIRE(all_dropped > 0 || walk(again) == walk(index));
	volume_index_free(again);
	for (unsigned int z = 0; z < zones; z++)
		free(written[z].bytes);
}

static void use_index(struct volume_index *index, unsigned int zones)
{
	uint64_t low, high;

	for (unsigned int z = 0; z < zones; z++) {
		volume_index_window(index, SUB_INDEX_DENSE, z, &low, &high);
		FUZZ_REQUIRE(low <= high + 1); /* an empty window, at most */
		(void)volume_index_set_open_chapter(index, z, high + 1);
	}
	(void)walk(index);
}

void fuzz_volume_index(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = { bytes, size };
	const struct geometry *geometry = fuzz_geometry(fuzz_u8(&input));
	unsigned int zones = fuzz_u8(&input) % MOST_STREAMS + 1;
	unsigned int streams = fuzz_u8(&input) % MOST_STREAMS + 1;
	const struct uds_env *env = fuzz_env_begin(size, 4 << 20, 8);
	struct byte_source sources[MOST_STREAMS];
	struct fuzz_input inputs[MOST_STREAMS];
	struct volume_index *index;
	struct uds_message message;
	size_t each = input.left / streams;
	int r;

	for (unsigned int i = 0; i < streams; i++) {
		inputs[i] = (struct fuzz_input){ input.at + i * each, each };
		sources[i] = (struct byte_source){ read_stream, &inputs[i] };
	}
	r = volume_index_load(env, geometry, zones, FUZZ_NONCE, NULL, NULL, sources, streams,
			      &message, &index);
	if (r == 0) {
		save_and_load(env, geometry, index, zones);
		use_index(index, zones);
		volume_index_free(index);
	} else {
		FUZZ_REQUIRE(r == UDS_ERR_CORRUPT || r == UDS_ERR_MISMATCH);
	}
	fuzz_env_end();
}

static void check_records(const struct uds_open_chapter *chapter)
{
	struct uds_record_data data;
	struct uds_record_name name;
	size_t bytes = uds_open_chapter_saved_bytes(chapter);
	uint8_t *again = malloc(bytes);

	FUZZ_REQUIRE(again != NULL);
	FUZZ_REQUIRE(uds_open_chapter_save(chapter, again, bytes) == 0);
	for (uint32_t i = 0; i < uds_open_chapter_count(chapter); i++) {
		memcpy(name.bytes, again + 14 + (size_t)i * UDS_RECORD_BYTES, sizeof(name.bytes));
		FUZZ_REQUIRE(uds_open_chapter_search(chapter, &name, &data));
		FUZZ_REQUIRE(memcmp(data.bytes, again + 30 + (size_t)i * UDS_RECORD_BYTES,
				    sizeof(data.bytes)) == 0);
	}
	free(again);
}

void fuzz_open_chapter(const uint8_t *bytes, size_t size)
{
	struct fuzz_input input = { bytes, size };
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	uint8_t which = fuzz_u8(&input);
	unsigned int zones = fuzz_u8(&input) % 4 + 1;
	const struct uds_env *env = fuzz_env_begin(size, 64 << 10, 8);
	struct uds_open_chapter *chapter;
	struct uds_message message;
	uint64_t dropped = 0;
	size_t length = input.left;
	uint8_t *saved = fuzz_take(&input, length);

	geometry_configuration(fuzz_geometry(which), &configuration);
	FUZZ_REQUIRE(uds_open_chapter_make(&configuration, zones, env, &message, &chapter) == 0);
	if (uds_open_chapter_load(chapter, saved, length, NULL, NULL, &dropped, &message) == 0)
		check_records(chapter);
	else
		FUZZ_REQUIRE(uds_open_chapter_count(chapter) == 0);
	uds_open_chapter_free(chapter);
	free(saved);
	fuzz_env_end();
}
