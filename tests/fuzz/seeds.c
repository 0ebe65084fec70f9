/* SPDX-License-Identifier: BSD-2-Clause */
/* The small indexes. */
#include "seeds.h"

#include <stdlib.h>
#include <string.h>

#include <uds/index.h>

#include "base/bytes.h"
#include "fuzz.h"

void seed_record(uint32_t i, struct uds_record_name *ret_name, struct uds_record_data *ret_data)
{
	uint64_t z = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

	for (unsigned int part = 0; part < 2; part++) {
		z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
		z ^= z >> 31;
		put_le64(ret_name->bytes + 8 * part, z);
	}
	memset(ret_data->bytes, 0, sizeof(ret_data->bytes));
	put_le32(ret_data->bytes, i);
}

static void post(struct uds_index *index, uint32_t first, uint32_t end)
{
	struct uds_record_name name;
	struct uds_record_data data;

	for (uint32_t i = first; i < end; i++) {
		seed_record(i, &name, &data);
		FUZZ_REQUIRE(uds_index_post(index, &name, &data, NULL, NULL) == 0);
	}
}

static void make(unsigned int which, struct seed_image *ret_image)
{
	static const uint8_t nonce_data[32] = "the base of a fuzz target";
	struct uds_index_format_options format = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	const struct uds_env *env = fuzz_env_begin(0, 1 << 30, 0);
	struct uds_index *index;
	struct uds_io *io;
	uint64_t size;

	geometry_configuration(fuzz_geometry(which == 2), &configuration);
	format.env = env;
	format.nonce_data = nonce_data;
	/*
	 * Checksums would find nearly all that is written over: this is for what they do not cover.
	 */
	format.no_extras = which != 4;
	options.env = env;
	options.zones = which == 2 ? 2 : 1;
	FUZZ_REQUIRE(uds_io_open_memory(0, 1, NULL, NULL, &io) == 0);
	FUZZ_REQUIRE(uds_index_format(io, &configuration, &format, NULL) == 0);
	FUZZ_REQUIRE(uds_index_open(io, &options, NULL, &index) == 0);
	post(index, 0, 300);
	if (which != 1)
		FUZZ_REQUIRE(uds_index_save(index) == 0);
	if (which == 3)
		post(index, 300, 450);
	FUZZ_REQUIRE(uds_index_flush(index) == 0);
	FUZZ_REQUIRE(uds_index_close(index) == 0);
	FUZZ_REQUIRE(uds_io_size(io, &size) == 0);
	ret_image->size = (size_t)size;
	ret_image->bytes = malloc(ret_image->size);
	FUZZ_REQUIRE(ret_image->bytes != NULL);
	FUZZ_REQUIRE(uds_io_read(io, ret_image->bytes, ret_image->size, 0) == 0);
	FUZZ_REQUIRE(uds_io_close(io) == 0);
	fuzz_env_end();
}

const struct seed_image *seed_index(uint8_t which)
{
	static struct seed_image all[SEED_INDEXES];
	struct seed_image *image = &all[which % SEED_INDEXES];

	if (image->bytes == NULL)
		make(which % SEED_INDEXES, image);
	return image;
}
