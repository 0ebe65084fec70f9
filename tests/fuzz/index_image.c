/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A whole index that was written over.
 *
 * Even the smallest index is much larger than what a fuzzer changes well, so its input is a list of
 * places of an image that the library has made, each with the bytes that are written there.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <uds/index.h>

#include "fuzz.h"
#include "seeds.h"

/* Each patch: offset (3 bytes), length (1), bytes. */
static void patch(struct fuzz_input *input, uint8_t *image, size_t size)
{
	while (input->left > 0) {
		size_t at = fuzz_u8(input) | (size_t)fuzz_u8(input) << 8;
		size_t length;

		at = (at | (size_t)fuzz_u8(input) << 16) % size;
		length = fuzz_u8(input);
		if (length > input->left)
			length = input->left;
		if (length > size - at)
			length = size - at;
		if (length > 0)
			memcpy(image + at, input->at, length);
		input->at += length;
		input->left -= length;
	}
}

static int count_finding(void *context, const char *sentence)
{
	FUZZ_REQUIRE(sentence[0] != '\0');
	++*(uint64_t *)context;
	return 0;
}

static int count_record(void *context, const struct uds_record_name *name,
			const struct uds_record_data *data)
{
	(void)name;
	(void)data;
	++*(uint64_t *)context;
	return 0;
}

/* No step of it may need more than an index of this size needs; all may fail. */
static void use_index(struct uds_index *index, bool writes)
{
	struct uds_index_statistics statistics = UDS_INDEX_STATISTICS_INIT;
	struct uds_request requests[64];
	uint64_t count = 0;

	for (unsigned int i = 0; i < 64; i++) {
		requests[i] = (struct uds_request){
			.kind = !writes	     ? UDS_PEEK
				: i % 4 == 0 ? UDS_POST
				: i % 4 == 1 ? UDS_QUERY
				: i % 4 == 2 ? UDS_PEEK
					     : UDS_DELETE,
		};
		seed_record(i * 5, &requests[i].name, &requests[i].new_data);
	}
	(void)uds_index_run(index, requests, 64);
	(void)uds_index_for_each(index, count_record, &count);
	FUZZ_REQUIRE(uds_index_get_statistics(index, &statistics) == 0);
}

static void open_and_use(struct uds_io *io, const struct uds_env *env, uint8_t how)
{
	static const enum uds_index_mode modes[] = { UDS_INDEX_LOAD_OR_RECOVER, UDS_INDEX_LOAD,
						     UDS_INDEX_RECOVER, UDS_INDEX_READ_ONLY };
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_index *index;
	bool writes;
	int r;

	options.env = env;
	options.mode = modes[how & 3];
	options.zones = how >> 2 & 1 ? 2 : 1;
	options.lose_records = how >> 3 & 1;
	options.cache_bytes = 1 << 16;
	writes = options.mode != UDS_INDEX_READ_ONLY;
	r = uds_index_open(io, &options, &message, &index);
	if (r < 0) {
		FUZZ_REQUIRE(message.text[0] != '\0');
		return;
	}
	use_index(index, writes);
	r = writes ? uds_index_save(index) : -EINVAL;
	FUZZ_REQUIRE(uds_index_close(index) == 0 || !writes);
	if (r < 0)
		return;
	/* What was saved is loaded again. */
	options.mode = UDS_INDEX_LOAD;
	r = uds_index_open(io, &options, &message, &index);
	FUZZ_REQUIRE(r == 0);
	FUZZ_REQUIRE(uds_index_close(index) == 0);
}

void fuzz_index_image(const uint8_t *bytes, size_t size)
{
	struct uds_index_info info = UDS_INDEX_INFO_INIT;
	struct uds_index_damage damage = UDS_INDEX_DAMAGE_INIT;
	struct uds_index_info_options asks = UDS_INDEX_INFO_OPTIONS_INIT;
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct fuzz_input input = { bytes, size };
	const struct seed_image *base = seed_index(fuzz_u8(&input));
	uint8_t how = fuzz_u8(&input), *image = malloc(base->size);
	const struct uds_env *env = fuzz_env_begin(base->size, 3 << 20, 6);
	struct uds_message message = { "" };
	uint64_t findings = 0, counted = 0;
	struct uds_io *io;
	int r;

	FUZZ_REQUIRE(image != NULL);
	memcpy(image, base->bytes, base->size);
	patch(&input, image, base->size);
	io = fuzz_io(image, base->size);
	asks.env = env;
	asks.check_save = true;
	if (uds_index_read_info(io, &asks, &message, &info) < 0)
		FUZZ_REQUIRE(message.text[0] != '\0');
	options.env = env;
	r = uds_index_read_damage(io, &options, &message, &damage);
	FUZZ_REQUIRE(r == 0 || (message.text[0] != '\0' && damage.blocks == 0));
	FUZZ_REQUIRE(damage.blocks != 0 || !damage.repairable);
	r = uds_index_verify(io, &options, count_finding, &counted, &message, &findings);
	FUZZ_REQUIRE(r < 0 || findings == counted);
	open_and_use(io, env, how);
	FUZZ_REQUIRE(uds_io_close(io) == 0);
	free(image);
	fuzz_env_end();
}
