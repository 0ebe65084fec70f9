/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes the inputs that the corpora begin with: what the library itself makes, for each target,
 * and some cases by hand. usage: make_seeds FOLDER
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <uds/chapter.h>
#include <uds/snapshot.h>

#include "base/bytes.h"
#include "base/stream.h"
#include "delta/delta_code.h"
#include "extras/area.h"
#include "extras/checksums.h"
#include "extras/journal.h"
#include "fuzz.h"
#include "lvm_image.h"
#include "save_zone.h"
#include "seeds.h"
#include "vdo_image.h"
#include "volume/save_header.h"
#include "volume_index/volume_index.h"

static const char *folder;

/* An input being made. */
static uint8_t input[1 << 18];
static size_t used;

static void begin(void)
{
	used = 0;
}

static void add(const void *bytes, size_t size)
{
	FUZZ_REQUIRE(size <= sizeof(input) - used);
	memcpy(input + used, bytes, size);
	used += size;
}

static void add_byte(uint8_t byte)
{
	add(&byte, 1);
}

/* @trim: zeros at the end need not be there. */
static void end(const char *target, const char *name, bool trim)
{
	char path[4096];
	FILE *file;

	while (trim && used > 0 && input[used - 1] == 0)
		used--;
	snprintf(path, sizeof(path), "%s/%s", folder, target);
	(void)mkdir(path, 0777);
	snprintf(path, sizeof(path), "%s/%s/%s", folder, target, name);
	file = fopen(path, "wb");
	FUZZ_REQUIRE(file != NULL && fwrite(input, 1, used, file) == used);
	FUZZ_REQUIRE(fclose(file) == 0);
}

static const char *numbered(const char *name, unsigned int number)
{
	static char text[64];

	snprintf(text, sizeof(text), "%s-%u", name, number);
	return text;
}

/* ---- from indexes ---- */

static void index_blocks(unsigned int which)
{
	const struct seed_image *image = seed_index((uint8_t)which);
	const uint8_t *blocks = image->bytes;
	uint8_t at[8] = { 0 }, shape = which == 2;
	struct super_block super;

	FUZZ_REQUIRE(super_block_decode(blocks, 0, &super, NULL) == 0);
	begin();
	add(blocks, BLOCK_BYTES);
	end("region_table", numbered("super", which), true);
	begin();
	add(at, sizeof(at));
	add(blocks, BLOCK_BYTES);
	end("super_block", numbered("super", which), true);
	begin();
	add(blocks + super_block_config_at(&super) * BLOCK_BYTES, BLOCK_BYTES);
	end("config_block", numbered("config", which), true);
	for (unsigned int slot = 0; slot < SAVE_SLOTS; slot++) {
		const uint8_t *header = blocks + super_block_save_at(&super, slot) * BLOCK_BYTES;
		struct save save;

		begin();
		add(header, BLOCK_BYTES);
		end("region_table", numbered("save", 2 * which + slot), true);
		begin();
		add_byte((uint8_t)(shape | slot << 3));
		add(header, BLOCK_BYTES);
		end("save_header", numbered("save", 2 * which + slot), true);
		if (save_header_decode(header, &super, slot, &save, NULL) != 1)
			continue;
		begin();
		add_byte(shape);
		add(blocks + save.page_map.offset, (size_t)save.page_map.bytes);
		end("page_map", numbered("map", 2 * which + slot), true);
	}
}

/* A save header whose nonce belongs to the super block that the target makes. */
static void own_save_header(unsigned int shape, unsigned int zones)
{
	static const uint8_t nonce_data[NONCE_DATA_BYTES] = "a fuzz target's";
	struct geometry_sizes sizes;
	struct super_block super;
	uint8_t block[BLOCK_BYTES];
	struct save save;

	geometry_sizes(fuzz_geometry((uint8_t)shape), &sizes);
	super_block_make(&sizes, 0, nonce_data, &super);
	FUZZ_REQUIRE(save_header_plan(&super, 1, zones, &save, NULL) == 0);
	save.timestamp = UINT64_C(1700000000000);
	save.newest = 5;
	save.oldest = 3;
	save.last_save = 4;
	save.nonce = save_header_nonce(&super, &save);
	save_header_encode(&super, &save, block);
	begin();
	add_byte((uint8_t)(shape | 8));
	add(block, BLOCK_BYTES);
	end("save_header", numbered("own", shape), true);
}

static void add_patch(uint32_t at, const void *bytes, uint8_t length)
{
	add_byte((uint8_t)at);
	add_byte((uint8_t)(at >> 8));
	add_byte((uint8_t)(at >> 16));
	add_byte(length);
	add(bytes, length);
}

/* Each way to open each index as it is, and with something written over each of its blocks. */
static void index_images(void)
{
	static const uint8_t ones[8] = { 255, 255, 255, 255, 255, 255, 255, 255 }, zeros[8];

	for (uint8_t which = 0; which < SEED_INDEXES; which++) {
		uint32_t blocks = (uint32_t)(seed_index(which)->size / BLOCK_BYTES);

		for (uint8_t how = 0; how < 4; how++) {
			begin();
			add_byte(which);
			add_byte(how);
			end("index_image", numbered("whole", which * 4u + how), false);
		}
		for (uint32_t block = 0; block < blocks; block += 1 + block / 3) {
			begin();
			add_byte(which);
			add_byte((uint8_t)(block % 16 & ~3u) | 8);
			add_patch(block * BLOCK_BYTES + 16 + block % 40, block % 2 ? ones : zeros,
				  (uint8_t)(1 + block % 8));
			end("index_image", numbered("patched", which * 1000u + block), false);
		}
	}
}

/* ---- chapters ---- */

static struct uds_open_chapter *full_chapter(const struct uds_configuration *configuration,
					     unsigned int zones, uint32_t count)
{
	struct uds_open_chapter *chapter;
	struct uds_record_name name;
	struct uds_record_data data;
	uint32_t room;

	FUZZ_REQUIRE(uds_open_chapter_make(configuration, zones, NULL, NULL, &chapter) == 0);
	for (uint32_t i = 0; i < count; i++) {
		seed_record(i, &name, &data);
		/* Some names that collide in all bits but the last. */
		if (i % 16 == 1)
			seed_record(i - 1, &name, &data), name.bytes[0] ^= 1;
		(void)uds_open_chapter_put(chapter, &name, &data, &room);
	}
	return chapter;
}

static void chapters(uint8_t shape)
{
	const struct geometry *g = fuzz_geometry(shape);
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	size_t index_bytes = (size_t)g->index_pages_per_chapter * g->page_bytes;
	size_t record_bytes = (size_t)g->record_pages_per_chapter * g->page_bytes;
	uint8_t *pages = calloc(1, index_bytes + record_bytes), names[64], *saved;
	struct uds_chapter_index *index;
	struct uds_open_chapter *chapter;
	uint32_t list = 0, lists;

	FUZZ_REQUIRE(pages != NULL);
	geometry_configuration(g, &configuration);
	chapter = full_chapter(&configuration, 1, shape == 1 ? 60 : g->records_per_chapter - 1);
	FUZZ_REQUIRE(uds_chapter_index_make(&configuration, FUZZ_NONCE, NULL, NULL, &index) == 0);
	uds_chapter_index_reset(index, shape);
	FUZZ_REQUIRE(uds_open_chapter_close(chapter, index, pages + index_bytes, record_bytes) ==
		     0);
	for (uint32_t page = 0; page < g->index_pages_per_chapter; page++) {
		uint8_t *at = pages + (size_t)page * g->page_bytes;

		FUZZ_REQUIRE(uds_chapter_index_pack_page(index, list,
							 page + 1 == g->index_pages_per_chapter, at,
							 &lists, NULL) == 0);
		list += lists;
		for (unsigned int i = 0; i < 4; i++)
			memcpy(names + 16 * i, pages + index_bytes + 32 * i, 16);
		begin();
		add_byte(shape);
		add(names, sizeof(names));
		add(at, g->page_bytes);
		end("index_page", numbered("page", shape * 10u + page), false);
	}
	begin();
	add_byte(shape);
	add_byte((uint8_t)geometry_physical_chapter(g, shape));
	add(pages, index_bytes + record_bytes);
	if (shape < 2)
		end("chapter", numbered("whole", shape), false);
	begin();
	add((const uint8_t[4]){ (uint8_t)(g->records_per_page - 1), 0, 0, 0 }, 4);
	add(pages + index_bytes, g->page_bytes);
	if (shape < 2)
		end("record_page", numbered("page", shape), false);
	saved = malloc(uds_open_chapter_saved_bytes(chapter));
	FUZZ_REQUIRE(saved != NULL);
	FUZZ_REQUIRE(uds_open_chapter_save(chapter, saved, uds_open_chapter_saved_bytes(chapter)) ==
		     0);
	begin();
	add_byte(shape);
	add_byte(shape);
	add(saved, uds_open_chapter_saved_bytes(chapter));
	if (shape < 2)
		end("open_chapter", numbered("saved", shape), false);
	uds_chapter_index_free(index);
	uds_open_chapter_free(chapter);
	free(saved);
	free(pages);
}

/* ---- volume indexes ---- */

static int write_input(void *context, const void *bytes, size_t length)
{
	(void)context;
	add(bytes, length);
	return 0;
}

static void volume_index(uint8_t shape, unsigned int zones, uint32_t records)
{
	const struct uds_env *env = fuzz_env_begin(0, 1 << 30, 0);
	const struct byte_sink sink = { write_input, NULL };
	struct volume_index *index;
	struct uds_record_name name;
	struct uds_record_data data;
	struct name_place place;
	struct hint hint;
	uint64_t dropped;

	FUZZ_REQUIRE(volume_index_make(env, fuzz_geometry(shape), zones, 1, FUZZ_NONCE, NULL,
				       &index) == 0);
	for (uint32_t i = 0; i < records; i++) {
		seed_record(i, &name, &data);
		if (i % 16 == 1)
			seed_record(i - 1, &name, &data), name.bytes[15] ^= 1;
		volume_index_locate(index, &name, &place);
		volume_index_get(index, &place, &name, &hint);
		(void)volume_index_put(index, &hint, &name, 0);
	}
	begin();
	add_byte(shape);
	add_byte((uint8_t)zones);
	add_byte((uint8_t)(zones - 1));
	for (unsigned int z = 0; z < zones; z++) {
		size_t start = used;

		FUZZ_REQUIRE(save_zone(index, z, UINT64_MAX, &sink, NULL, &dropped) == 0);
		/*
		 * All streams are of one length in an input; what is behind the guard is not read.
		 */
		while (zones > 1 && used - start < 4096)
			add_byte(0);
	}
	end("volume_index", numbered("zones", shape * 10u + zones), false);
	volume_index_free(index);
	fuzz_env_end();
}

static void delta_lists(void)
{
	static const uint32_t means[] = { 8, 100, 4096, 99999 };
	static uint8_t memory[512];

	for (unsigned int i = 0; i < 4; i++) {
		struct delta_writer writer;
		struct delta_code code;
		uint8_t name[16] = { 1, 2, 3 }, mean[4];

		FUZZ_REQUIRE(delta_code_make(means[i], 10, &code) == 0);
		memset(memory, 0, sizeof(memory));
		delta_writer_start(&writer, &code, memory, 0, 8 * 400);
		for (uint32_t key = 0; key < 20; key++) {
			(void)delta_writer_append(&writer, key * means[i] + key % 3, key, NULL);
			if (key % 5 == 0)
				(void)delta_writer_append(&writer, key * means[i] + key % 3, 3,
							  name);
		}
		put_le32(mean, means[i] - 1);
		begin();
		add(mean, 4);
		add_byte(10);
		add_byte(0);
		add(memory, (delta_writer_finish(&writer) + 7) / 8);
		end("delta_list", numbered("list", i), false);
	}
}

/* ---- extras ---- */

/*
 * Two headers, and the checksum blocks of two chapters, as the library writes them: the front
 * of each block.
 */
static void extras(uint8_t shape)
{
	const struct uds_env *env = fuzz_env_begin(0, 1 << 30, 0);
	const struct geometry *g = fuzz_geometry(shape);
	size_t bytes = (size_t)geometry_extras_blocks(g) * BLOCK_BYTES;
	uint8_t *image = calloc(1, bytes), *pages = calloc(g->pages_per_chapter, g->page_bytes);
	struct checksums *checksums;
	struct extras_area area;
	struct uds_message message;
	struct uds_io *io;

	FUZZ_REQUIRE(image != NULL && pages != NULL);
	extras_make(g, 0, FUZZ_NONCE, 77, &area);
	io = fuzz_io(image, bytes);
	FUZZ_REQUIRE(checksums_make(env, io, g, &area, &checksums) == 0);
	for (uint32_t slot = 0; slot < 2; slot++)
		checksums_set(checksums, slot, slot, pages);
	FUZZ_REQUIRE(checksums_write(checksums, &message) == 0);
	checksums_free(checksums);
	FUZZ_REQUIRE(uds_io_read(io, image, bytes, 0) == 0);
	uds_io_close(io);
	begin();
	add_byte(shape);
	add_byte(0);
	for (area.generation = 1; area.generation <= 2; area.generation++) {
		extras_encode_header(&area, pages);
		add_byte(0);
		add(pages, 160);
	}
	for (uint32_t slot = 0; slot < 2; slot++) {
		add_byte(0);
		add(image + extras_checksum_offset(&area, slot, 0), 160);
	}
	end("extras", numbered("area", shape), false);
	free(image);
	free(pages);
	fuzz_env_end();
}

/* A full flush of two blocks and one that is not full: the front of each block. */
static void journal(uint8_t shape)
{
	const struct geometry *g = fuzz_geometry(shape);
	struct journal_head head = { .tail = 1, .durable = 1, .chapter = 3 };
	struct journal_entry entry = { .kind = JOURNAL_STORE };
	struct extras_area area;
	uint8_t block[BLOCK_BYTES];

	extras_make(g, 0, FUZZ_NONCE, 77, &area);
	begin();
	add_byte(shape);
	add("\0\0", 3);
	for (head.number = 1; head.number <= 3; head.number++) {
		head.end = head.number < 3 ? 3 : 4;
		head.durable = head.number < 3 ? 1 : 3;
		head.count = (uint32_t)head.number;
		for (uint32_t i = 0; i < head.count; i++) {
			entry.kind = (uint8_t)(JOURNAL_STORE + i);
			entry.chapter = i;
			journal_put_entry(block, i, &entry);
		}
		journal_end_block(&area, &head, block);
		add_byte((uint8_t)head.number);
		add_byte(0);
		add(block, 200);
	}
	end("journal", numbered("chain", shape), false);
}

/* ---- snapshots ---- */

static void cow_image(unsigned int number, size_t bytes, unsigned int writes)
{
	struct uds_exception_store_format_options format = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	static uint8_t content[5000], image[1 << 16];
	struct uds_snapshot *snapshot;
	struct uds_io *origin = fuzz_io(content, sizeof(content)), *cow = fuzz_io(image, bytes);

	format.chunk_bytes = 512;
	FUZZ_REQUIRE(uds_exception_store_format(cow, &format, NULL) == 0);
	FUZZ_REQUIRE(uds_snapshot_open(origin, cow, NULL, NULL, &snapshot) == 0);
	for (unsigned int i = 0; i < writes; i++)
		(void)uds_snapshot_write(snapshot, "content", 7, i * 1300 % 4990);
	FUZZ_REQUIRE(uds_snapshot_close(snapshot) == 0);
	FUZZ_REQUIRE(uds_io_read(cow, image, bytes, 0) == 0);
	for (uint8_t how = 0; how < 4; how++) {
		begin();
		add_byte((uint8_t)(how * 5 | (how & 1) << 7 | (how & 2) << 3));
		add(image, bytes);
		end(how % 2 == 0 ? "exception_store" : "snapshot_image",
		    numbered("cow", number * 10 + how), false);
	}
	memset(image, 0, sizeof(image));
	uds_io_close(origin);
	uds_io_close(cow);
}

/* ---- by hand ---- */

static void texts(const char *target, const char *const *list, bool with_start)
{
	for (unsigned int i = 0; list[i] != NULL; i++) {
		const char *text = list[i];

		begin();
		if (with_start)
			add_byte((uint8_t)(*text++ - '0'));
		add(text, strlen(text));
		end(target, numbered("text", i), false);
	}
}

static void hand_made(void)
{
	static const char *const uris[] = {
		"0path?flag=1&choice=bc&size=0x10K&text=a%20b",
		"0%41%zz?flag=2",
		"0?flag=1&flag=0",
		"1?size=16T",
		"1?size=18446744073709551616",
		"1path",
		"2text=%00",
		"2size=9GiB&",
		"2choice=a|bc",
		"3x?y=z",
		"412KiB",
		"41e9",
		"0",
		"1",
		"2=&=&",
		NULL,
	};
	static const char *const lines[] = {
		"00112233445566778899aabbccddeeff 00112233445566778899aabbccddeeff\n",
		"post 00112233445566778899AABBCCDDEEFF\t00000000000000000000000000000001",
		"\n\n# nothing\n\r\n",
		"\xc3\xa4\xe2\x80\xae\xc2\x85\xff\x1b[31m\x7f",
		"query 0\n",
		NULL,
	};
	static const uint8_t vdo[] = "dmvdo001\5\0\0\0\5\0\0\0\0\0\0\0\x65\0\0\0\0\0\0\0";
	static const uint8_t bad_geometry[] = { 1, 0, 0xff, 0xff, 0xff, 0xff };

	texts("uri", uris, true);
	texts("lines", lines, false);
	begin();
	for (unsigned int i = 0; i < 600; i++)
		add_byte('f');
	end("lines", "long", false);
	for (uint8_t version = 4; version <= 5; version++) {
		begin();
		add(vdo, sizeof(vdo) - 1);
		input[12] = version;
		input[20] = version == 4 ? 93 : 101;
		while (used < 120)
			add_byte(0);
		input[version == 4 ? 60 : 68] = 1;
		input[version == 4 ? 72 : 80] = 9;
		put_le32(input + (version == 4 ? 68 : 76), 1);
		end("vdo_geometry", numbered("version", version), true);
	}
	for (uint8_t version = 4; version <= 5; version++) {
		uint8_t block[4096];

		begin();
		add_byte(VDO_BLOCKS - 4);
		vdo_image_geometry(block, version, 2);
		add(block, 120);
		vdo_image_super(block);
		add(block, 512);
		end("vdo_volume", numbered("version", version), false);
	}
	begin();
	add(bad_geometry, sizeof(bad_geometry));
	end("exception_store", "no-magic", false);
	begin();
	add_byte(0);
	/* Chunks of 1 GiB, on a device of a few bytes. */
	add((const uint8_t[16]){ 0x53, 0x6e, 0x41, 0x70, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0x20, 0 },
	    16);
	end("exception_store", "huge-chunks", false);
	end("snapshot_image", "huge-chunks", false);
}

static void lvm(void)
{
	static const char *const odd[] = {
		"vg { id = \"x\" seqno = 1 extent_size = 8 }",
		"a { b { c { d { e { f { g { h { i { j { k { l { m { n { o { p { q { } } } } } } } "
		"} } } } } } } } } }",
		"vg { seqno = 18446744073709551616 status = [\"READ\", -1.5, ] # \n",
		"\"vg\"{'seqno'\f=\v7 type = a:b id = 'a\\' b = \"\\\"\\n\"} version = 1 contents "
		"= end",
		NULL,
	};
	uint8_t *image = lvm_image_make('a', lvm_image_text);

	begin();
	add(image + LVM_IMAGE_LABEL_AT, 512);
	add(image + LVM_IMAGE_AREA_AT, 64);
	add(lvm_image_text, strlen(lvm_image_text) + 1);
	end("lvm_pv", "group", false);
	free(image);
	image = lvm_image_make('a', NULL);
	begin();
	add(image + LVM_IMAGE_LABEL_AT, 512);
	add(image + LVM_IMAGE_AREA_AT, 64);
	end("lvm_pv", "no-group", true);
	free(image);
	begin();
	add(lvm_image_text, strlen(lvm_image_text) + 1);
	end("lvm_group", "group", false);
	texts("lvm_group", odd, false);
}

/* As manifest_print() writes it, and what it refuses. */
static void manifests(void)
{
#define HEAD(version, generation, state)                                              \
	"{\n  \"format\": \"uds-shards\",\n  \"version\": " version ",\n  "           \
	"\"generation\": " generation ",\n  \"state\": \"" state "\",\n  "            \
	"\"geometry\": {\n    \"page_bytes\": 4096,\n    "                            \
	"\"record_pages_per_chapter\": 1,\n    \"chapters_per_volume\": 16,\n    "    \
	"\"sparse_chapters_per_volume\": 0,\n    \"cache_chapters\": 7,\n    "        \
	"\"volume_index_mean_delta\": 4096,\n    \"sparse_sample_rate\": 0\n  },\n  " \
	"\"shards\": [\n"
#define SHARD(uri, nonce, role)                                                        \
	"    {\n      \"uri\": \"" uri "\",\n      \"volume_nonce\": \"" nonce "\",\n" \
	"      \"role\": \"" role "\"\n    }"
	static const char *const texts_of[] = {
		HEAD("1", "1", "stable")
			SHARD("/data/a.uds", "0x0123456789abcdef", "member") "\n  ]\n}\n",
		HEAD("1", "7", "moving")
			SHARD("/data/a.uds", "0x0123456789abcdef", "member") ",\n" SHARD(
				"file:/data/b%FF?uring=1", "0x00000000000000ff",
				"joining") ",\n" SHARD("nbd://h/x\\u00e4\\n", "0xffffffffffffffff",
						       "member") "\n  ]\n}\n",
		HEAD("1", "4611686018427387904", "moving")
			SHARD("a", "0x0000000000000001", "leaving") ",\n" SHARD(
				"b", "0x0000000000000002", "member") "\n  ]\n}\n",
		HEAD("2", "9223372036854775808", "stable") "]}",
		"[[[[{\"format\": \"uds-shards\", \"version\": 1e0",
		NULL,
	};

	texts("shards_manifest", texts_of, false);
}

/* Bytes that look like what a long session does. */
static void operations(void)
{
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t random = i + 1;

		begin();
		add_byte((uint8_t)i);
		for (unsigned int n = 0; n < 300; n++) {
			random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
			add_byte((uint8_t)(random >> 40));
		}
		end("index_operations", numbered("session", i), false);
		end("snapshot_operations", numbered("session", i), false);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: make_seeds FOLDER\n");
		return 2;
	}
	folder = argv[1];
	for (unsigned int which = 0; which < SEED_INDEXES; which++)
		index_blocks(which);
	for (unsigned int shape = 0; shape < 4; shape++) {
		own_save_header(shape, 1 + shape);
		chapters((uint8_t)shape);
		extras((uint8_t)shape);
		journal((uint8_t)shape);
	}
	index_images();
	volume_index(0, 1, 60);
	volume_index(0, 2, 60);
	volume_index(1, 1, 60);
	delta_lists();
	cow_image(0, 3072, 3);
	cow_image(1, 5000, 20);
	cow_image(2, 9000, 8);
	hand_made();
	lvm();
	manifests();
	operations();
	return 0;
}
