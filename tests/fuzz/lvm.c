/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LVM physical volumes: what a group says lies on its devices, and no byte belongs to two volumes.
 */
#include <stdlib.h>
#include <string.h>

#include <uds/lvm.h>

#include "fuzz.h"
#include "lvm_image.h"

#define OPEN_AT_ONCE 4u
#define HEADER_BYTES 64u

struct volumes {
	struct uds_lvm_group *group;
	struct uds_io *ios[OPEN_AT_ONCE];
	size_t count;
};

static void check_io(struct volumes *volumes, struct uds_io *io, uint64_t expected)
{
	uint64_t bytes;
	uint8_t byte;

	FUZZ_REQUIRE(uds_io_size(io, &bytes) == 0 && bytes == expected && bytes > 0);
	FUZZ_REQUIRE(uds_io_read(io, &byte, 1, 0) == 0);
	FUZZ_REQUIRE(uds_io_read(io, &byte, 1, bytes / 2) == 0);
	FUZZ_REQUIRE(uds_io_read(io, &byte, 1, bytes - 1) == 0);
	for (size_t i = 0; i < volumes->count; i++)
		FUZZ_REQUIRE(!uds_io_overlap(io, volumes->ios[i]));
}

static int open_each(void *context, const struct uds_lvm_volume *volume)
{
	struct volumes *volumes = context;
	struct uds_lvm_volume again = UDS_LVM_VOLUME_INIT;
	struct uds_message message = { "" };
	struct uds_io *io;

	FUZZ_REQUIRE(uds_lvm_lookup_volume(volumes->group, volume->name, NULL, &again) == 0);
	FUZZ_REQUIRE(again.uuid == volume->uuid);
	if (volume->origin != NULL) {
		FUZZ_REQUIRE(uds_lvm_lookup_volume(volumes->group, volume->origin, NULL, &again) ==
			     0);
		FUZZ_REQUIRE(again.origin == NULL && volume->chunk_bytes > 0);
	}
	if (uds_lvm_open_volume(volumes->group, volume->name, &message, &io) < 0) {
		FUZZ_REQUIRE(message.text[0] != '\0');
		return 0;
	}
	check_io(volumes, io, volume->bytes);
	if (volumes->count < OPEN_AT_ONCE)
		volumes->ios[volumes->count++] = io;
	else
		FUZZ_REQUIRE(uds_io_close(io) == 0);
	return 0;
}

/* Opens what there is on one physical volume. Frees the image. */
static void open_image(uint8_t *image, const struct uds_env *env)
{
	struct uds_lvm_options options = UDS_LVM_OPTIONS_INIT;
	struct volumes volumes = { .group = NULL };
	struct uds_lvm_pv pv = UDS_LVM_PV_INIT;
	struct uds_message message = { "" };
	struct uds_io *io = fuzz_io(image, LVM_IMAGE_BYTES);
	int r;

	free(image);
	r = uds_lvm_read_pv(io, env, &message, &pv);
	FUZZ_REQUIRE(r == 0 || message.text[0] != '\0');
	message.text[0] = '\0';
	options.allow_missing = true;
	if (uds_lvm_open_group(&io, 1, &options, env, &message, &volumes.group) == 0) {
		FUZZ_REQUIRE(r == 0);
		FUZZ_REQUIRE(uds_lvm_for_each_volume(volumes.group, open_each, &volumes) == 0);
	} else {
		FUZZ_REQUIRE(message.text[0] != '\0');
	}
	while (volumes.count > 0)
		FUZZ_REQUIRE(uds_io_close(volumes.ios[--volumes.count]) == 0);
	FUZZ_REQUIRE(uds_lvm_close_group(volumes.group) == 0);
	FUZZ_REQUIRE(uds_io_close(io) == 0);
	fuzz_env_end();
}

/*
 * The sector of the label, the header of the metadata area, and the text, of which all but the last
 * have right checksums.
 */
void fuzz_lvm_pv(const uint8_t *bytes, size_t size)
{
	const struct uds_env *env = fuzz_env_begin(size + LVM_IMAGE_AREA, 2 << 20, 64);
	struct fuzz_input input = { bytes, size };
	uint8_t *image = lvm_image_make('a', NULL), *label = fuzz_take(&input, 512);
	uint8_t *header = fuzz_take(&input, HEADER_BYTES);
	size_t text = LVM_IMAGE_AREA - 512;

	if (input.left < text)
		text = input.left;
	memcpy(image + LVM_IMAGE_LABEL_AT, label, 512);
	memcpy(image + LVM_IMAGE_AREA_AT, header, HEADER_BYTES);
	if (text > 0)
		memcpy(image + LVM_IMAGE_AREA_AT + 512, input.at, text);
	lvm_image_seal_label(image);
	lvm_image_seal_area(image);
	free(label);
	free(header);
	open_image(image, env);
}

/* A text, with right checksums everywhere. */
void fuzz_lvm_group(const uint8_t *bytes, size_t size)
{
	const struct uds_env *env;
	size_t length = size < LVM_IMAGE_AREA - 512 ? size : LVM_IMAGE_AREA - 512;
	uint8_t *image = lvm_image_make('a', NULL);

	env = fuzz_env_begin(length, 2 << 20, 64);
	if (length > 0)
		lvm_image_put_text(image, (const char *)bytes, length, 512);
	open_image(image, env);
}
