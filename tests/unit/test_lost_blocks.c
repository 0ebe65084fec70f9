/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Repairs of an index whose super block or config block is damaged: from what the rest of the index
 * says it is made again, bit for bit where that can be, and everything is found; or, where the rest
 * leaves more than one answer, nothing is changed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/murmur3.h"
#include "base/murmur3_find.h"
#include "check_main.h"
#include "crash.h"
#include "fault_io.h"
#include "index_image.h"
#include "names.h"
#include "small_index.h"
#include "torture_env.h"
#include "volume/layout.h"
#include "volume/nonces.h"
#include "volume/saves.h"
#include "../format/convert.h"

#define NONCE	     UINT64_C(0x1122334455667788)
#define CHAPTERS     6
#define OPEN_RECORDS 30
#define BLOCK	     4096u

/* An index to damage, and what asking it for each name came to while it was good. */
struct subject {
	const char *name;
	uint32_t page_bytes, record_pages;
	uint32_t sparse, rate; /* chapters; 0: dense */
	uint64_t written;      /* chapters */
	bool extras;
	bool crashed;		/* chapters and records came after the save */
	bool never_saved;	/* and closed without a save */
	uint64_t offset;	/* of the index on its I/O */
	uint64_t device_offset; /* of the I/O on its device */
};

static const struct subject subjects[] = {
	{ "extras", 4096, 3, 0, 0, 8, true, false, false, 0, 0 },
	{ "no extras", 8192, 2, 0, 0, 8, false, false, false, 0, 0 },
	{ "crashed", 4096, 3, 0, 0, 8, true, true, false, 0, 0 },
	{ "part of a lap", 4096, 5, 0, 0, 3, false, false, false, 0, 0 },
	{ "no chapter", 4096, 3, 0, 0, 0, true, false, false, 0, 0 },
	{ "pages of the largest size", 65536, 1, 0, 0, 7, false, false, false, 0, 0 },
	{ "sparse", 4096, 4, 3, 4, 8, true, false, false, 0, 0 },
	{ "in a VDO volume", 4096, 3, 0, 0, 8, false, false, false, 4096, 0 },
	{ "a part of a device", 4096, 3, 0, 0, 8, true, false, false, 0, 3 * 4096 },
};

#define SUBJECTS (sizeof(subjects) / sizeof(subjects[0]))

struct image {
	const struct subject *subject;
	struct uds_configuration configuration;
	uint8_t *bytes;
	uint64_t size;
	uint64_t names;
	bool *there; /* for each name */
	uint64_t config_at, super_at;
};

static struct image image;
static struct uds_env env;
static uint64_t now;
static char findings[4000];

static uint64_t tick(void *context)
{
	(void)context;
	return ++now;
}

static void say_nothing(void *context, enum uds_log_level level, const char *sentence)
{
	(void)context;
	(void)level;
	(void)sentence;
}

/* The bytes as a part of a device, if the subject is one. */
static struct uds_io *open_bytes(const uint8_t *bytes, uint64_t size)
{
	struct uds_io_ranges_options options = UDS_IO_RANGES_OPTIONS_INIT;
	struct uds_io *io = bytes_io(bytes, size), *part;
	struct uds_io_range range = { io, 0, size };

	if (image.subject == NULL || image.subject->device_offset == 0)
		return io;
	options.device_offset = image.subject->device_offset;
	options.close_parts = true;
	ck_assert_int_eq(uds_io_open_ranges(&range, 1, &options, NULL, NULL, &part), 0);
	return part;
}

static struct uds_index *open_index(struct uds_io *io)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message;
	struct uds_index *index;
	int r;

	options.env = &env;
	options.offset = image.subject->offset;
	r = uds_index_open(io, &options, &message, &index);
	ck_assert_msg(r == 0, "%s: %s", image.subject->name, message.text);
	return index;
}

static void post_until(struct uds_index *index, uint64_t chapters)
{
	while (small_index_open_chapter(index, NULL) < chapters) {
		struct uds_record_name name;
		struct uds_record_data data;

		make_name(1, image.names, &name);
		make_data('d', image.names++, 0, &data);
		ck_assert_int_eq(uds_index_post(index, &name, &data, NULL, NULL), 0);
	}
}

static void post_records(struct uds_index *index)
{
	for (int i = 0; i < OPEN_RECORDS; i++) {
		struct uds_record_name name;
		struct uds_record_data data;

		make_name(1, image.names, &name);
		make_data('d', image.names++, 0, &data);
		ck_assert_int_eq(uds_index_post(index, &name, &data, NULL, NULL), 0);
	}
}

/* Asks for every name. @there: what is found must be the same; NULL: it is noted. */
static void ask(struct uds_index *index, const bool *there)
{
	for (uint64_t i = 0; i < image.names; i++) {
		struct uds_record_name name;
		struct uds_record_data data, wanted;
		bool found = false;

		make_name(1, i, &name);
		make_data('d', i, 0, &wanted);
		ck_assert_int_eq(uds_index_peek(index, &name, &data, &found), 0);
		if (found)
			ck_assert_mem_eq(&data, &wanted, sizeof(data));
		if (there == NULL)
			image.there[i] = found;
		else
			ck_assert_msg(there[i] == found, "%s: name %" PRIu64 " is %s",
				      image.subject->name, i, found ? "there" : "gone");
	}
}

static void fill(struct uds_index *index)
{
	const struct subject *s = image.subject;

	post_until(index, s->written > 2 ? s->written - 2 : 0);
	if (!s->never_saved)
		ck_assert_int_eq(uds_index_save(index), 0);
	post_until(index, s->written - (s->crashed ? 1 : 0));
	post_records(index);
	if (!s->never_saved)
		ck_assert_int_eq(uds_index_save(index), 0);
	if (s->crashed || s->never_saved)
		post_until(index, s->written);
}

/* Seed data whose volume nonce is found early when they are lost. */
static void easy_seed(uint8_t seed[NONCE_DATA_BYTES])
{
	memset(seed, 0, NONCE_DATA_BYTES);
	for (uint64_t i = 0; nonce_hash_seed(nonce_primary(seed) + 1) >= 65536; i++)
		put_le64(seed, i);
}

static void format(const struct subject *s, struct uds_io *io)
{
	uint8_t seed[NONCE_DATA_BYTES];
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_configuration *c = &image.configuration;
	struct uds_message message = { "" };
	uint8_t vdo[BLOCK] = "dmvdo001";
	int r;

	*c = (struct uds_configuration)UDS_CONFIGURATION_INIT;
	c->page_bytes = s->page_bytes;
	c->record_pages_per_chapter = s->record_pages;
	c->chapters_per_volume = CHAPTERS;
	c->sparse_chapters_per_volume = s->sparse;
	c->sparse_sample_rate = s->rate;
	c->nonce = NONCE;
	options.env = &env;
	options.offset = s->offset;
	options.no_extras = !s->extras;
	easy_seed(seed);
	options.nonce_data = seed;
	if (s->offset > 0) {
		ck_assert_int_eq(uds_io_resize(io, BLOCK), 0);
		ck_assert_int_eq(uds_io_write(io, vdo, BLOCK, 0), 0);
	}
	r = uds_index_format(io, c, &options, &message);
	ck_assert_msg(r == 0, "%s", message.text);
}

static void start_image(const struct subject *s)
{
	memset(&image, 0, sizeof(image));
	image.subject = s;
	env = (struct uds_env)UDS_ENV_INIT;
	env.now_ms = tick;
	env.log = say_nothing;
}

static void make_image(const struct subject *s)
{
	struct uds_index *index;
	struct uds_io *io;
	uint8_t *bytes;

	start_image(s);
	image.there = calloc(200000, 1);
	ck_assert_int_eq(uds_io_open_memory(0, BLOCK, NULL, NULL, &io), 0);
	format(s, io);
	/* Again where it is a part of a device, since the super block has its place there. */
	if (s->device_offset > 0) {
		ck_assert_int_eq(uds_io_size(io, &image.size), 0);
		ck_assert_int_eq(uds_io_close(io), 0);
		bytes = calloc(1, image.size);
		io = open_bytes(bytes, image.size);
		free(bytes);
		format(s, io);
	}
	index = open_index(io);
	fill(index);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_size(io, &image.size), 0);
	image.bytes = malloc(image.size);
	ck_assert_int_eq(uds_io_read(io, image.bytes, image.size, 0), 0);
	index = open_index(io);
	ask(index, NULL);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	image.super_at = s->offset;
	image.config_at = s->offset + BLOCK;
}

static void free_image(void)
{
	free(image.bytes);
	free(image.there);
}

static int take_finding(void *context, const char *sentence)
{
	size_t used = strlen(findings);

	snprintf(findings + used, sizeof(findings) - used, "%s\n", sentence);
	return context != NULL;
}

/* What a repair is told. */
struct told {
	bool nonce, configuration, lose, refuse;
};

static struct uds_index_options options_for(struct told told)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;

	options.env = &env;
	options.offset = image.subject->offset;
	options.check_nonce = told.nonce;
	options.nonce = told.nonce ? image.configuration.nonce : 0;
	options.configuration = told.configuration ? &image.configuration : NULL;
	options.lose_records = told.lose;
	return options;
}

static int repair_only(struct uds_io *io, struct told told, struct uds_message *message)
{
	struct uds_index_options options = options_for(told);

	findings[0] = '\0';
	return uds_index_repair(io, &options, take_finding, told.refuse ? &told : NULL, message,
				NULL);
}

/* What uds_index_read_damage() said last. */
static struct uds_index_damage damage;
static struct uds_message damage_message;

static int read_damage(struct uds_io *io, struct told told)
{
	const struct uds_index_damage none = UDS_INDEX_DAMAGE_INIT;
	struct uds_index_options options = options_for(told);
	int r;

	damage = none;
	damage_message.text[0] = '\0';
	r = uds_index_read_damage(io, &options, &damage_message, &damage);
	ck_assert(r == 0 || (damage.blocks == 0 && damage_message.text[0] != '\0'));
	ck_assert((damage_message.text[0] != '\0') == (r < 0 || damage.blocks != 0));
	ck_assert(damage.blocks != 0 || !damage.repairable);
	ck_assert(damage.repairable || !damage.needs_nonce);
	if (damage.blocks != 0)
		ck_assert_msg((strstr(damage_message.text, "it is not made again") == NULL) ==
				      damage.repairable,
			      "%s", damage_message.text);
	return r;
}

/* Repairs, after asking whether that can be done: the answer must have been right. */
static int repair(struct uds_io *io, struct told told, struct uds_message *message)
{
	int asked = read_damage(io, told), r = repair_only(io, told, message);
	bool done = r == 0 || r == UDS_ERR_STOPPED || r == UDS_ERR_WOULD_LOSE_RECORDS;

	/* Of a version that is not known nothing is said; a repair tells it from damage. */
	if (asked == UDS_ERR_UNSUPPORTED_VERSION)
		return r;
	ck_assert_msg(done == (asked == 0 &&
			       (damage.blocks == 0 || (damage.repairable && !damage.needs_nonce))),
		      "%s: %d %s, %d %s", image.subject->name, asked, damage_message.text, r,
		      message->text);
	return r;
}

static uint64_t verify(struct uds_io *io)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	uint64_t count = 0;
	int r;

	findings[0] = '\0';
	options.env = &env;
	options.offset = image.subject->offset;
	r = uds_index_verify(io, &options, take_finding, NULL, &message, &count);
	if (r == UDS_ERR_NOT_AN_INDEX || r == UDS_ERR_UNSUPPORTED_VERSION)
		return 1;
	ck_assert_msg(r == 0, "%s", message.text);
	return count;
}

static bool same_bytes(struct uds_io *io, const uint8_t *bytes, uint64_t at, uint64_t length)
{
	uint8_t *found = malloc(length);
	bool same;

	ck_assert_int_eq(uds_io_read(io, found, length, at), 0);
	same = memcmp(found, bytes, length) == 0;
	free(found);
	return same;
}

enum how {
	FLIPPED, /* no byte is the same */
	ZEROED,
	GARBAGE,
	ONE_BIT
};

struct damage {
	const char *name;
	uint64_t at, length;
	enum how how;
};

static void apply(uint8_t *block, const struct damage *how)
{
	for (uint64_t i = how->at; i < how->at + how->length; i++)
		block[i] = how->how == FLIPPED	 ? block[i] ^ (uint8_t)(0x55 + i % 127)
			   : how->how == ZEROED	 ? 0
			   : how->how == ONE_BIT ? block[i] ^ 2
						 : (uint8_t)(i * 37 + 11);
}

static const struct damage config_damages[] = {
	{ "magic", 0, 5, FLIPPED },
	{ "version", 5, 5, FLIPPED },
	{ "record pages", 10, 4, FLIPPED },
	{ "chapters", 14, 4, FLIPPED },
	{ "sparse chapters", 18, 4, FLIPPED },
	{ "cache chapters", 22, 4, FLIPPED },
	{ "mean delta", 30, 4, FLIPPED },
	{ "page size", 34, 4, FLIPPED },
	{ "sample rate", 38, 4, FLIPPED },
	{ "zeroes", 0, BLOCK, ZEROED },
	{ "first sector of zeroes", 0, 512, ZEROED },
	{ "garbage", 0, BLOCK, GARBAGE },
	{ "first sector of garbage", 0, 512, GARBAGE },
};

#define CONFIG_DAMAGES (sizeof(config_damages) / sizeof(config_damages[0]))

static uint8_t *damaged_bytes(uint64_t at, const struct damage *how)
{
	uint8_t *bytes = malloc(image.size);

	ck_assert_ptr_nonnull(bytes);
	memcpy(bytes, image.bytes, image.size);
	apply(bytes + at, how);
	return bytes;
}

static void check_repaired(struct uds_io *io, uint64_t at, const struct damage *how)
{
	struct uds_index *index;

	ck_assert_msg(same_bytes(io, image.bytes + at, at, BLOCK), "%s, %s: another block",
		      image.subject->name, how->name);
	ck_assert_msg(verify(io) == 0, "%s, %s: %s", image.subject->name, how->name, findings);
	index = open_index(io);
	ask(index, image.there);
	ck_assert_int_eq(uds_index_close(index), 0);
}

static void one_config(const struct damage *how, bool configuration)
{
	const struct told all = { .nonce = !configuration, .configuration = configuration };
	const struct told refusing = { .nonce = true,
				       .configuration = configuration,
				       .refuse = true };
	uint8_t *bytes = damaged_bytes(image.config_at, how);
	struct uds_io *io = open_bytes(bytes, image.size);
	struct uds_message message = { "" };
	int r;

	ck_assert_msg(verify(io) > 0, "%s, %s: not found", image.subject->name, how->name);
	/* The nonce is nowhere else: without it nothing is done, and the sentence asks for it. */
	r = repair(io, (struct told){ .lose = true }, &message);
	ck_assert_msg(r == UDS_ERR_CORRUPT || r == UDS_ERR_UNSUPPORTED_VERSION ||
			      r == UDS_ERR_MISMATCH,
		      "%d", r);
	ck_assert_msg(strstr(message.text, "nonce") != NULL, "%s", message.text);
	ck_assert_str_eq(findings, "");
	if (r != UDS_ERR_UNSUPPORTED_VERSION)
		ck_assert(damage.blocks == UDS_INDEX_CONFIG_BLOCK && damage.needs_nonce);
	ck_assert_int_eq(repair(io, refusing, &message), UDS_ERR_STOPPED);
	ck_assert_msg(strstr(findings, "config block: ") != NULL, "%s", findings);
	ck_assert(same_bytes(io, bytes, 0, image.size));
	r = repair(io, all, &message);
	ck_assert_msg(r == 0, "%s, %s: %s", image.subject->name, how->name, message.text);
	ck_assert_msg(strstr(findings, "it is made again") != NULL, "%s", findings);
	check_repaired(io, image.config_at, how);
	ck_assert_int_eq(read_damage(io, all), 0);
	ck_assert_uint_eq(damage.blocks, 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(bytes);
}

START_TEST(a_config_block_is_made_again)
{
	make_image(&subjects[_i]);
	for (size_t i = (size_t)_i % test_step(); i < CONFIG_DAMAGES; i += test_step())
		one_config(&config_damages[i], i % 2 == 1);
	free_image();
}
END_TEST

/* The index goes on for @chapters, and stays what it should be. */
static void go_on(struct uds_io *io, uint64_t chapters)
{
	struct uds_index *index = open_index(io);

	post_until(index, small_index_open_chapter(index, NULL) + chapters);
	ck_assert_int_eq(uds_index_save(index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_msg(verify(io) == 0, "%s", findings);
}

/*
 * A converted one, from the conversion on, until the moved chapter has left, and longer: the block
 * need not be the same then, but every chapter is where it says, and those to come are.
 */
START_TEST(a_config_block_of_a_converted_index_is_made_again)
{
	const struct subject converted = { "converted", 4096,  1,     0, 0, (uint64_t)_i,
					   false,	false, false, 0, 0 };
	const struct damage zeroes = { "zeroes", 0, BLOCK, ZEROED };
	struct uds_message message = { "" };
	unsigned int repaired = 0;
	uint64_t cut;

	make_image(&converted);
	cut = (uint64_t)2 * BLOCK; /* a chapter: an index page and a record page */
	ck_assert_uint_eq(convert_image(image.bytes, 0, cut, now + 1000), 0);
	now += 2000;
	image.size -= cut;
	memmove(image.bytes, image.bytes + cut, image.size);
	for (int chapter = 0; chapter < 14; chapter++) {
		struct uds_io *io = bytes_io(image.bytes, image.size);
		uint64_t names;
		struct uds_index *index;
		uint8_t *bytes;

		if (chapter > 0)
			go_on(io, 1);
		ck_assert_int_eq(uds_io_read(io, image.bytes, image.size, 0), 0);
		index = open_index(io);
		ask(index, NULL);
		ck_assert_int_eq(uds_index_close(index), 0);
		ck_assert_int_eq(uds_io_close(io), 0);
		names = image.names;
		bytes = damaged_bytes(image.config_at, &zeroes);
		io = bytes_io(bytes, image.size);
		if (repair(io, (struct told){ .nonce = true }, &message) < 0) {
			/* Where the moved chapter leaves, several may be the one. */
			ck_assert_msg(strstr(message.text, "more than one") != NULL, "%s",
				      message.text);
			ck_assert(same_bytes(io, bytes, 0, image.size));
			ck_assert_int_eq(uds_io_close(io), 0);
			free(bytes);
			continue;
		}
		repaired++;
		ck_assert_msg(verify(io) == 0, "%s", findings);
		index = open_index(io);
		ask(index, image.there);
		ck_assert_int_eq(uds_index_close(index), 0);
		go_on(io, 9);
		image.names = names;
		ck_assert_int_eq(uds_io_close(io), 0);
		free(bytes);
	}
	ck_assert_uint_ge(repaired, 7);
	free_image();
}
END_TEST

#define SEED_AT 224

static const struct damage super_damages[] = {
	{ "magic", 0, 8, FLIPPED },
	{ "total blocks", 8, 8, FLIPPED },
	{ "type", 16, 2, FLIPPED },
	{ "region table version", 18, 2, FLIPPED },
	{ "region count", 20, 2, FLIPPED },
	{ "payload length", 22, 2, FLIPPED },
	{ "header region", 24, 24, FLIPPED },
	{ "config region: start", 48, 8, FLIPPED },
	{ "sub-index region: blocks", 80, 8, FLIPPED },
	{ "volume region: blocks", 104, 8, FLIPPED },
	{ "save region: kind", 140, 2, FLIPPED },
	{ "seal region: instance", 190, 2, FLIPPED },
	{ "label", 192, 32, FLIPPED },
	{ "primary nonce", 256, 8, FLIPPED },
	{ "version", 264, 4, FLIPPED },
	{ "block size", 268, 4, FLIPPED },
	{ "sub-indexes", 272, 2, FLIPPED },
	{ "save slots", 274, 2, FLIPPED },
	{ "open chapter blocks", 280, 8, FLIPPED },
	{ "open chapter blocks, one bit", 280, 1, ONE_BIT },
	{ "page map blocks", 288, 8, FLIPPED },
	{ "page map blocks, one bit", 288, 1, ONE_BIT },
	{ "seed data", SEED_AT, 32, FLIPPED },
	{ "seed data and primary nonce", SEED_AT, 40, FLIPPED },
	{ "zeroes", 0, BLOCK, ZEROED },
	{ "first sector of zeroes", 0, 512, ZEROED },
	{ "garbage", 0, BLOCK, GARBAGE },
};

#define SUPER_DAMAGES (sizeof(super_damages) / sizeof(super_damages[0]))

static bool loses_seed(const struct damage *how)
{
	return how->at <= SEED_AT && how->at + how->length > SEED_AT;
}

/*
 * All but the seed data is as it was; and the primary nonce that they lead to, if that
 * was lost, too.
 */
static void check_super(struct uds_io *io, const struct damage *how)
{
	const uint64_t at = image.super_at, rest = at + SEED_AT + 40;

	if (loses_seed(how)) {
		ck_assert_msg(same_bytes(io, image.bytes + at, at, SEED_AT), "%s", how->name);
		ck_assert(same_bytes(io, image.bytes + rest, rest, BLOCK - SEED_AT - 40));
		ck_assert_msg(strstr(findings, "seed data are lost") != NULL, "%s", findings);
	} else {
		ck_assert_msg(same_bytes(io, image.bytes + at, at, BLOCK), "%s, %s: another block",
			      image.subject->name, how->name);
	}
}

static void one_super(const struct damage *how, bool asks)
{
	uint8_t *bytes = damaged_bytes(image.super_at, how);
	struct uds_io *io = open_bytes(bytes, image.size);
	struct uds_message message = { "" };
	struct uds_index *index;
	int r;

	ck_assert_msg(verify(io) > 0, "%s, %s: not found", image.subject->name, how->name);
	ck_assert_int_eq(repair(io, (struct told){ .refuse = true }, &message), UDS_ERR_STOPPED);
	ck_assert_msg(strstr(findings, "super block is made again") != NULL, "%s", findings);
	ck_assert(same_bytes(io, bytes, 0, image.size));
	/* A version that cannot be is told from damage by a repair alone. */
	if (strstr(how->name, "version") == NULL)
		ck_assert_msg(damage.blocks == UDS_INDEX_SUPER_BLOCK, "%s", how->name);
	r = repair(io, (struct told){ .refuse = false }, &message);
	ck_assert_msg(r == 0, "%s, %s: %s", image.subject->name, how->name, message.text);
	check_super(io, how);
	ck_assert_msg(verify(io) == 0, "%s, %s: %s", image.subject->name, how->name, findings);
	if (asks) {
		index = open_index(io);
		ask(index, image.there);
		ck_assert_int_eq(uds_index_close(index), 0);
	}
	ck_assert_int_eq(uds_io_close(io), 0);
	free(bytes);
}

START_TEST(a_super_block_is_made_again)
{
	make_image(&subjects[_i]);
	for (size_t i = (size_t)_i % test_step(); i < SUPER_DAMAGES; i += test_step())
		one_super(&super_damages[i], i + 3 > SUPER_DAMAGES);
	free_image();
}
END_TEST

/*
 * Where it was never saved, chapters tell its nonce; before there is one, the extras, or nothing.
 */
START_TEST(a_super_block_of_an_index_without_a_save_is_made_again)
{
	static const struct subject never[] = {
		{ "never saved", 4096, 3, 0, 0, 8, false, false, true, 0, 0 },
		{ "new, with extras", 4096, 3, 0, 0, 0, true, false, true, 0, 0 },
		{ "new", 4096, 3, 0, 0, 0, false, false, true, 0, 0 },
	};
	const struct damage *zeroes = &super_damages[SUPER_DAMAGES - 2];
	struct uds_message message = { "" };
	struct uds_io *io;
	uint8_t *bytes;

	make_image(&never[_i]);
	one_super(&super_damages[0], true);
	if (_i < 2) {
		one_super(zeroes, true);
	} else {
		bytes = damaged_bytes(image.super_at, zeroes);
		io = open_bytes(bytes, image.size);
		ck_assert_int_eq(repair(io, (struct told){ .lose = true }, &message),
				 UDS_ERR_NOT_AN_INDEX);
		ck_assert_msg(strstr(message.text, "seed data") != NULL, "%s", message.text);
		ck_assert(same_bytes(io, bytes, 0, image.size));
		ck_assert_int_eq(uds_io_close(io), 0);
		free(bytes);
	}
	free_image();
}
END_TEST

/* Of one page and three of records each. */
static uint8_t *first_page_of_slot(uint8_t *bytes, uint32_t slot)
{
	return bytes + image.super_at + (2 + 1 + (uint64_t)slot * 4) * BLOCK;
}

/* Chapters that tell the nonce have to agree; what is no whole chapter tells nothing. */
START_TEST(chapters_of_two_indexes_tell_no_nonce)
{
	static const struct subject never = { "never saved", 4096,  3,	  0, 0, 8,
					      false,	     false, true, 0, 0 };
	const struct damage *zeroes = &super_damages[SUPER_DAMAGES - 2];
	struct uds_message message = { "" };
	struct uds_io *io;
	uint8_t *bytes, *page;
	int r;

	make_image(&never);
	for (int i = 0; i < 3; i++) {
		bytes = damaged_bytes(image.super_at, zeroes);
		page = first_page_of_slot(bytes, 2);
		put_le64(page, i == 0 ? 0 : get_le64(page) + 1);
		/* Its last byte is part of the guard that each page has. */
		if (i == 1)
			page[BLOCK - 1] ^= 0xff;
		io = open_bytes(bytes, image.size);
		r = repair(io, (struct told){ .lose = true }, &message);
		if (i == 2) {
			ck_assert_int_lt(r, 0);
			ck_assert_msg(strstr(message.text, "chapters of two indexes") != NULL, "%s",
				      message.text);
			ck_assert(same_bytes(io, bytes, 0, image.size));
		} else {
			ck_assert_msg(strstr(findings, "super block: ") != NULL, "%s", findings);
			ck_assert_msg(strstr(message.text, "chapters of two") == NULL, "%s",
				      message.text);
		}
		ck_assert_int_eq(uds_io_close(io), 0);
		free(bytes);
	}
	free_image();
}
END_TEST

/* Fields of a saved volume index that tell whether an index is sparse. */
static const struct {
	uint64_t at;
	unsigned int bytes;
} stream_fields[] = {
	{ 0, 1 },  /* magic number of a sparse index */
	{ 8, 4 },  /* sample rate, which is not 0 */
	{ 12, 1 }, /* magic number of its first sub-index */
	{ 20, 8 }, /* volume nonce */
};

/* Clears it in the save of a slot. */
static void clear_stream_field(uint8_t *bytes, const struct save *save, int field)
{
	memset(bytes + save->volume_index[0].offset + stream_fields[field].at, 0,
	       stream_fields[field].bytes);
}

static void check_not_repaired(const uint8_t *bytes, const char *says)
{
	struct uds_io *io = open_bytes(bytes, image.size);
	struct uds_message message = { "" };

	ck_assert_int_eq(repair(io, (struct told){ .nonce = true, .lose = true }, &message),
			 UDS_ERR_CORRUPT);
	ck_assert_msg(strstr(message.text, says) != NULL, "%s", message.text);
	ck_assert(same_bytes(io, bytes, 0, image.size));
	ck_assert_int_eq(uds_io_close(io), 0);
}

/* What the whole image has. */
static struct layout layout_of_image(void)
{
	struct uds_io *io = open_bytes(image.bytes, image.size);
	struct uds_message message = { "" };
	struct layout layout;

	ck_assert_int_eq(layout_read(io, 0, &message, &layout), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	return layout;
}

/*
 * Five configurations have the sizes of this sparse index, and which of them it is could only be
 * told by loading the latest save. @_i: what both saves have lost.
 */
START_TEST(the_older_save_tells_what_the_latest_does_not)
{
	const struct damage zeroes = { "zeroes", 0, BLOCK, ZEROED };
	const struct save_slot *latest;
	struct layout layout;
	uint8_t *bytes;

	make_image(&subjects[6]);
	layout = layout_of_image();
	latest = saves_find_latest(&layout.saves);
	ck_assert_ptr_nonnull(latest);
	ck_assert_int_eq(layout.saves.slots[1 - latest->save.slot].state, SLOT_VALID);
	bytes = damaged_bytes(image.config_at, &zeroes);
	clear_stream_field(bytes, &latest->save, _i);
	check_not_repaired(bytes, "5 configurations agree");
	clear_stream_field(bytes, &layout.saves.slots[1 - latest->save.slot].save, _i);
	check_not_repaired(bytes, "only a save says whether the index is sparse");
	free(bytes);
	free_image();
}
END_TEST

/* Both blocks at once: only with the configuration. */
START_TEST(both_blocks_are_made_again_from_a_configuration)
{
	const struct damage both = { "both", 0, (uint64_t)2 * BLOCK, GARBAGE };
	struct uds_message message = { "" };
	struct uds_index *index;
	struct uds_io *io;
	uint8_t *bytes;

	make_image(&subjects[_i]);
	bytes = damaged_bytes(image.super_at, &both);
	io = open_bytes(bytes, image.size);
	ck_assert_int_eq(repair(io, (struct told){ .nonce = true, .lose = true }, &message),
			 UDS_ERR_NOT_AN_INDEX);
	ck_assert_msg(strstr(message.text, "no configuration is given") != NULL, "%s",
		      message.text);
	image.configuration.chapters_per_volume += 2;
	ck_assert_int_eq(repair(io, (struct told){ .configuration = true, .lose = true }, &message),
			 UDS_ERR_NOT_AN_INDEX);
	ck_assert(same_bytes(io, bytes, 0, image.size));
	image.configuration.chapters_per_volume -= 2;
	ck_assert_int_eq(read_damage(io, (struct told){ .configuration = true }), 0);
	ck_assert_uint_eq(damage.blocks, UDS_INDEX_SUPER_BLOCK | UDS_INDEX_CONFIG_BLOCK);
	ck_assert_msg(repair(io, (struct told){ .configuration = true }, &message) == 0, "%s",
		      message.text);
	check_super(io, &both);
	ck_assert(same_bytes(io, image.bytes + image.config_at, image.config_at, BLOCK));
	ck_assert_uint_eq(verify(io), 0);
	index = open_index(io);
	ask(index, image.there);
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(bytes);
	free_image();
}
END_TEST

/* One that says what it is, and cannot be made again, is named all the same. */
START_TEST(blocks_that_are_not_made_again_are_named)
{
	static const struct {
		struct damage super, config;
		uint32_t blocks;
		int status;
		const char *says;
	} cases[] = {
		{ { "", 0, 8, FLIPPED },
		  { "", 10, 4, FLIPPED },
		  UDS_INDEX_SUPER_BLOCK | UDS_INDEX_CONFIG_BLOCK,
		  0,
		  "there is no good config block either" },
		{ { "", 192, 32, FLIPPED },
		  { "", 0, 512, ZEROED },
		  UDS_INDEX_SUPER_BLOCK | UDS_INDEX_CONFIG_BLOCK,
		  0,
		  "super block: label" },
		{ { "", 0, 512, ZEROED },
		  { "", 0, 512, ZEROED },
		  0,
		  UDS_ERR_NOT_AN_INDEX,
		  "not a UDS index: super block" },
		{ { "", 0, 0, ZEROED }, { "", 0, 0, ZEROED }, 0, 0, "" },
	};
	const struct told told = { .nonce = true };

	make_image(&subjects[0]);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t *bytes = damaged_bytes(image.super_at, &cases[i].super);
		struct uds_io *io;

		apply(bytes + image.config_at, &cases[i].config);
		io = open_bytes(bytes, image.size);
		ck_assert_int_eq(read_damage(io, told), cases[i].status);
		ck_assert_uint_eq(damage.blocks, cases[i].blocks);
		ck_assert(!damage.repairable);
		ck_assert_msg(strstr(damage_message.text, cases[i].says) != NULL, "%s",
			      damage_message.text);
		ck_assert(same_bytes(io, bytes, 0, image.size));
		ck_assert_int_eq(uds_io_close(io), 0);
		free(bytes);
	}
	free_image();
}
END_TEST

/* With a device that ends too early a good block is not to blame, and a lost one not to be had. */
START_TEST(an_index_that_was_cut_off_is_not_called_repairable)
{
	const struct damage *zeroes = &super_damages[SUPER_DAMAGES - 3];
	const struct told told = { .nonce = true };
	struct uds_message message;
	uint64_t whole;

	make_image(&subjects[1]);
	whole = image.size;
	for (uint64_t size = 0; size <= whole; size += BLOCK) {
		uint8_t *bytes = damaged_bytes(image.super_at, zeroes);
		/* The seal at the end is never written, and need not be there. */
		bool is_whole = size + BLOCK >= whole;
		struct uds_io *io = bytes_io(image.bytes, size);
		int r = read_damage(io, told);

		ck_assert_msg(r == (is_whole	? 0
				    : size == 0 ? UDS_ERR_NOT_AN_INDEX
						: UDS_ERR_CORRUPT),
			      "%" PRIu64 " bytes: %d %s", size, r, damage_message.text);
		ck_assert_uint_eq(damage.blocks, 0);
		ck_assert_int_eq(uds_io_close(io), 0);
		io = bytes_io(bytes, size);
		/* Named as long as the config block is there. */
		r = read_damage(io, told);
		ck_assert_msg(r == (size < 2 * BLOCK ? UDS_ERR_NOT_AN_INDEX : 0),
			      "%" PRIu64 " bytes: %d %s", size, r, damage_message.text);
		ck_assert_uint_eq(damage.blocks, r < 0 ? 0 : UDS_INDEX_SUPER_BLOCK);
		ck_assert_msg(damage.repairable == is_whole, "%" PRIu64 " bytes", size);
		if (size < BLOCK * 3)
			ck_assert_int_eq(repair_only(io, told, &message), UDS_ERR_NOT_AN_INDEX);
		ck_assert_int_eq(uds_io_close(io), 0);
		free(bytes);
	}
	free_image();
}
END_TEST

static int stop_at_once(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	ck_assert_uint_le(done, total);
	return 1;
}

START_TEST(the_search_for_a_seed_can_be_stopped)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	struct uds_io *io;
	uint8_t *bytes;

	make_image(&subjects[0]);
	bytes = damaged_bytes(image.super_at, &super_damages[SUPER_DAMAGES - 1]);
	io = open_bytes(bytes, image.size);
	options.progress = stop_at_once;
	ck_assert_int_eq(uds_index_repair(io, &options, NULL, NULL, &message, NULL),
			 UDS_ERR_STOPPED);
	ck_assert_str_ne(message.text, "");
	ck_assert(same_bytes(io, bytes, 0, image.size));
	ck_assert_int_eq(uds_io_close(io), 0);
	free(bytes);
	free_image();
}
END_TEST

/* An index of a version that is not supported is none to be made one of. */
START_TEST(a_super_block_of_another_version_is_left_alone)
{
	struct uds_message message = { "" };
	struct uds_io *io;

	make_image(&subjects[0]);
	put_le32(image.bytes + 264, 4);
	io = open_bytes(image.bytes, image.size);
	ck_assert_int_eq(repair(io, (struct told){ .lose = true }, &message),
			 UDS_ERR_UNSUPPORTED_VERSION);
	ck_assert_msg(strstr(message.text, "one of version 4") != NULL, "%s", message.text);
	ck_assert(same_bytes(io, image.bytes, 0, image.size));
	ck_assert_int_eq(uds_io_close(io), 0);
	free_image();
}
END_TEST

/* The ways back of the hash, for any nonce. */
START_TEST(bytes_and_seeds_are_found_for_a_nonce)
{
	uint8_t bytes[32] = "any", x[16] = { 0 };

	for (uint64_t i = 1; i < 1000; i++) {
		uint64_t nonce = i * UINT64_C(0x9e3779b97f4a7c15);
		uint32_t seed = (uint32_t)nonce, found = 0;

		nonce_bytes_for(i, nonce, bytes);
		ck_assert_uint_eq(nonce_hash(i, bytes, sizeof(bytes)), nonce);
		ck_assert_uint_eq(nonce_hash_seed(nonce_start_for(seed)), seed);
		if (i > 3)
			continue;
		put_le64(x, i + 1000);
		nonce = nonce_hash(nonce_start_for(((uint32_t)i << 24) + 77), x, sizeof(x));
		ck_assert_int_eq(nonce_find_seed(nonce, i + 1000, (unsigned int)i, &found), 1);
		ck_assert_uint_eq(found, (i << 24) + 77);
	}
}
END_TEST

/* Of a vector: what it says in the fields that are used, and nothing more is promised. */
static bool same_config(struct uds_io *io)
{
	const uint8_t *wanted = image.bytes + image.config_at;

	return same_bytes(io, wanted, image.config_at, 26) &&
	       same_bytes(io, wanted + 30, image.config_at + 30, 36);
}

/* Of these the rest does not say what they are: the caller has to. */
static bool is_ambiguous(const struct index_image *vector)
{
	return strcmp(vector->name, "fresh-crash") == 0 ||
	       strcmp(vector->name, "unsaved-crash") == 0 ||
	       strcmp(vector->name, "sparse-crash") == 0;
}

/* The vector that the subject is named after becomes the image. */
static void start_vector(struct subject *subject, struct index_image *ret_vector)
{
	index_image_load(subject->name, ret_vector);
	subject->offset = ret_vector->offset;
	start_image(subject);
	image.bytes = ret_vector->bytes;
	image.size = ret_vector->size;
	image.configuration = ret_vector->configuration;
	image.super_at = ret_vector->offset;
	image.config_at = ret_vector->offset + BLOCK;
	now = UINT64_C(1) << 45;
}

/*
 * The vectors' names. In a run in part each of the three tests that ask, @number 0 to 2, has
 * its own.
 */
static const char *const *vectors_of(size_t number)
{
	const char *const *names = index_image_names();
	static const char *taken[64];
	size_t count = 0;

	for (size_t i = 0; names != NULL && names[i] != NULL; i++) {
		if (i % test_step_to(3) != number % test_step_to(3))
			continue;
		ck_assert_uint_lt(count + 1, sizeof(taken) / sizeof(taken[0]));
		taken[count++] = names[i];
	}
	taken[count] = NULL;
	return taken;
}

/* Those that the reference implementation made, too. */
START_TEST(config_blocks_of_the_vectors_are_made_again)
{
	const char *const *names = vectors_of(0);
	const struct damage zeroes = { "zeroes", 0, BLOCK, ZEROED };

	for (; names != NULL && *names != NULL; names++) {
		struct subject subject = { .name = *names };
		struct uds_message message = { "" };
		struct index_image vector;
		struct uds_io *io;
		uint8_t *bytes;
		int r;

		start_vector(&subject, &vector);
		bytes = damaged_bytes(image.config_at, &zeroes);
		io = bytes_io(bytes, image.size);
		r = repair(io, (struct told){ .nonce = true, .lose = true }, &message);
		ck_assert_msg((r < 0) == is_ambiguous(&vector), "%s: %s", *names, message.text);
		if (r < 0) {
			ck_assert(same_bytes(io, bytes, 0, image.size));
			r = repair(io, (struct told){ .configuration = true, .lose = true },
				   &message);
		}
		ck_assert_msg(r == 0, "%s: %s", *names, message.text);
		ck_assert_msg(same_config(io), "%s: another block", *names);
		ck_assert_msg(verify(io) == 0, "%s: %s", *names, findings);
		ck_assert_int_eq(uds_io_close(io), 0);
		free(bytes);
		index_image_free(&vector);
	}
}
END_TEST

/* Another configuration with the same sizes than the one that is there. */
START_TEST(a_configuration_that_contradicts_the_index_is_refused)
{
	const struct damage zeroes = { "zeroes", 0, BLOCK, ZEROED };
	struct uds_message message = { "" };
	struct uds_io *io;
	uint8_t *bytes;

	make_image(&subjects[0]);
	bytes = damaged_bytes(image.config_at, &zeroes);
	io = open_bytes(bytes, image.size);
	image.configuration.chapters_per_volume += 2;
	ck_assert_int_eq(repair(io, (struct told){ .configuration = true }, &message),
			 UDS_ERR_CORRUPT);
	ck_assert_msg(strstr(message.text, "contradicts the rest") != NULL, "%s", message.text);
	image.configuration.size = 1;
	ck_assert_int_eq(repair(io, (struct told){ .configuration = true }, &message), -EINVAL);
	ck_assert(same_bytes(io, bytes, 0, image.size));
	ck_assert_int_eq(uds_io_close(io), 0);
	free(bytes);
	free_image();
}
END_TEST

/* Without a save nothing says whether the index is sparse, unless the caller does. */
START_TEST(an_index_that_was_never_saved_needs_its_configuration)
{
	const struct subject never = { "never saved", 4096, 3, 0, 0, 8, true, false, true, 0, 0 };
	const struct damage zeroes = { "zeroes", 0, BLOCK, ZEROED };
	struct uds_message message = { "" };
	struct uds_io *io;
	uint8_t *bytes;

	make_image(&never);
	bytes = damaged_bytes(image.config_at, &zeroes);
	io = open_bytes(bytes, image.size);
	ck_assert_int_eq(repair(io, (struct told){ .nonce = true }, &message), UDS_ERR_CORRUPT);
	ck_assert_msg(strstr(message.text, "only a save says") != NULL, "%s", message.text);
	ck_assert(same_bytes(io, bytes, 0, image.size));
	ck_assert_msg(repair(io, (struct told){ .configuration = true }, &message) == 0, "%s",
		      message.text);
	check_repaired(io, image.config_at, &zeroes);
	ck_assert_int_eq(uds_io_close(io), 0);
	free(bytes);
	free_image();
}
END_TEST

/* The config block, or the super block with its seed data. */
static uint8_t *lost_block_bytes(bool super)
{
	return super ? damaged_bytes(image.super_at, &super_damages[SUPER_DAMAGES - 1])
		     : damaged_bytes(image.config_at, &config_damages[CONFIG_DAMAGES - 1]);
}

static void check_whole(struct uds_io *io)
{
	struct uds_index *index;

	ck_assert(same_bytes(io, image.bytes + image.config_at, image.config_at, BLOCK));
	ck_assert_msg(verify(io) == 0, "%s", findings);
	index = open_index(io);
	ask(index, image.there);
	ck_assert_int_eq(uds_index_close(index), 0);
}

/*
 * The power is cut at each write: the block is good, or damaged as before, or torn;
 * and is repaired.
 */
START_TEST(a_power_cut_leaves_what_can_be_repaired)
{
	const struct told told = { .nonce = true };
	struct uds_crash_log *log, *after;
	struct uds_message message;
	unsigned int states = 0;
	struct crash_cuts cuts;
	struct uds_io *io;
	uint8_t *bytes;

	make_image(&subjects[0]);
	bytes = lost_block_bytes(_i == 1);
	log = crash_log();
	crash_add(log, bytes, image.size, BLOCK);
	io = crash_open(log, 0);
	ck_assert_int_eq(repair_only(io, told, &message), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	crash_start(&cuts, log, 3);
	cuts.options.variants =
		1u << UDS_CRASH_DROP | 1u << UDS_CRASH_TORN | 1u << UDS_CRASH_SECTORS;
	while ((after = crash_next(&cuts)) != NULL) {
		io = crash_open(after, 0);
		ck_assert_msg(repair_only(io, told, &message) == 0, "%s: %s", cuts.state.text,
			      message.text);
		check_whole(io);
		ck_assert_int_eq(uds_io_close(io), 0);
		uds_crash_log_free(after);
		states++;
	}
	ck_assert_uint_gt(states, 20);
	uds_crash_log_free(log);
	free(bytes);
	free_image();
}
END_TEST

/* Each read, write and flush fails once; then it is done again. */
START_TEST(a_call_of_the_device_that_fails_changes_nothing_for_good)
{
	const unsigned int kinds[] = { FAULT_READ, FAULT_WRITE | FAULT_FLUSH, FAULT_SIZE };
	const struct told told = { .nonce = true };
	struct uds_message message;
	struct fault_plan plan;
	bool failed = true;
	struct uds_io *io;
	uint8_t *bytes;

	make_image(&subjects[0]);
	bytes = lost_block_bytes(_i >= 3);
	for (uint64_t nth = 1; failed; nth = test_next(nth, (uint64_t)_i)) {
		int r;

		fault_plan_start(&plan);
		ck_assert_int_eq(fault_io_open(&plan, open_bytes(bytes, image.size), NULL, &io), 0);
		fault_plan_fail(&plan, kinds[_i % 3], nth, -EIO, false);
		message.text[0] = '\0';
		r = repair_only(io, told, &message);
		failed = plan.failed > 0;
		fault_plan_fail(&plan, kinds[_i % 3], 0, 0, false);
		ck_assert_msg(r == 0 || (failed && message.text[0] != '\0'), "%d %s", r,
			      message.text);
		if (r < 0 && findings[0] == '\0')
			ck_assert(same_bytes(io, bytes, 0, image.size));
		if (r < 0)
			ck_assert_msg(repair_only(io, told, &message) == 0, "%s", message.text);
		/* A save that cannot be read is a loss of its own, and reported. */
		if (strstr(findings, "mem:: save ") == NULL)
			check_whole(io);
		else
			ck_assert_uint_eq(verify(io), 0);
		ck_assert_int_eq(uds_io_close(io), 0);
		fault_plan_end(&plan);
	}
	free(bytes);
	free_image();
}
END_TEST

static int repair_copy(const struct uds_env *given, void *context)
{
	struct uds_io *io = open_bytes(context, image.size);
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r;

	options.env = given;
	options.check_nonce = true;
	options.nonce = NONCE;
	r = uds_index_repair(io, &options, NULL, NULL, &message, NULL);
	ck_assert(r == 0 || message.text[0] != '\0');
	if (r < 0)
		ck_assert_int_eq(repair_only(io, (struct told){ .nonce = true }, &message), 0);
	ck_assert(same_bytes(io, image.bytes + image.config_at, image.config_at, BLOCK));
	ck_assert_uint_eq(verify(io), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
	return r;
}

static int ask_copy(const struct uds_env *given, void *context)
{
	struct uds_io *io = open_bytes(context, image.size);
	const struct uds_index_damage none = UDS_INDEX_DAMAGE_INIT;
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_message message = { "" };
	int r;

	options.env = given;
	damage = none;
	r = uds_index_read_damage(io, &options, &message, &damage);
	ck_assert(r == 0 || (message.text[0] != '\0' && damage.blocks == 0));
	ck_assert(r < 0 || damage.repairable);
	ck_assert_int_eq(uds_io_close(io), 0);
	return r;
}

/* A failing call is no answer. */
START_TEST(a_question_that_fails_is_not_answered)
{
	const unsigned int kinds[] = { FAULT_READ, FAULT_SIZE };
	struct fault_plan plan;
	bool failed = true;
	struct uds_io *io;
	uint8_t *bytes;

	make_image(&subjects[_i / 4 * 6]);
	bytes = lost_block_bytes(_i % 2 == 1);
	for (uint64_t nth = 1; failed; nth = test_next(nth, (uint64_t)_i)) {
		int r;

		fault_plan_start(&plan);
		ck_assert_int_eq(fault_io_open(&plan, open_bytes(bytes, image.size), NULL, &io), 0);
		fault_plan_fail(&plan, kinds[_i / 2 % 2], nth, -EIO, false);
		r = read_damage(io, (struct told){ .nonce = _i % 2 == 1 });
		failed = plan.failed > 0;
		ck_assert_msg(r == 0 || (failed && r == -EIO), "%d %s", r, damage_message.text);
		/* What is one of several sources may be missing. */
		ck_assert(r < 0 || damage.blocks != 0);
		ck_assert(failed || damage.repairable);
		ck_assert_int_eq(uds_io_close(io), 0);
		fault_plan_end(&plan);
	}
	if (_i < 4)
		ck_assert_uint_gt(torture_each_allocation(ask_copy, bytes, true), 5);
	free(bytes);
	free_image();
}
END_TEST

START_TEST(each_allocation_may_fail)
{
	/* Of the sparse one, the save is loaded to choose between configurations. */
	static const struct subject small[] = {
		{ "small", 4096, 1, 0, 0, 2, true, false, false, 0, 0 },
		{ "small, sparse", 4096, 1, 3, 4, 3, false, false, false, 0, 0 },
	};
	uint8_t *bytes;

	make_image(&small[_i % 2]);
	bytes = lost_block_bytes(_i == 2);
	ck_assert_uint_gt(torture_each_allocation(repair_copy, bytes, true), 30);
	free(bytes);
	free_image();
}
END_TEST

/* With seed data that are lost, but not the primary nonce, so that no search is needed. */
START_TEST(super_blocks_of_the_vectors_are_made_again)
{
	const char *const *names = vectors_of(1 + (size_t)_i);
	const struct damage damages[] = { { "magic", 0, 8, FLIPPED },
					  { "regions and seed", 24, 232, GARBAGE } };

	for (; names != NULL && *names != NULL; names++) {
		struct subject subject = { .name = *names };
		struct uds_message message = { "" };
		struct index_image vector;
		struct uds_io *io;
		uint8_t *bytes;
		int r;

		start_vector(&subject, &vector);
		bytes = damaged_bytes(image.super_at, &damages[_i]);
		io = bytes_io(bytes, image.size);
		r = repair(io, (struct told){ .lose = true }, &message);
		/* Empty and never saved, this one has nothing that its seed led to. */
		if (_i == 1 && strcmp(*names, "fresh-crash") == 0) {
			ck_assert_int_eq(r, UDS_ERR_CORRUPT);
			ck_assert(same_bytes(io, bytes, 0, image.size));
			memcpy(bytes, image.bytes, image.size);
			ck_assert_int_eq(uds_io_write(io, bytes, image.size, 0), 0);
			r = 0;
		}
		ck_assert_msg(r == 0, "%s: %s", *names, message.text);
		/* All that is used of it. */
		ck_assert(same_bytes(io, image.bytes + image.super_at, image.super_at, SEED_AT));
		ck_assert(same_bytes(io, image.bytes + image.super_at + SEED_AT + 32,
				     image.super_at + SEED_AT + 32, 64));
		ck_assert_msg(verify(io) == 0, "%s: %s", *names, findings);
		ck_assert_int_eq(uds_io_close(io), 0);
		free(bytes);
		index_image_free(&vector);
	}
}
END_TEST

/* What makes a save header tell nothing about the place of an index without a super block. */
static const struct damage header_damages[] = {
	{ "magic", 0, 8, FLIPPED },
	{ "total blocks", 8, 1, ONE_BIT },
	{ "region count", 20, 2, ZEROED },
	{ "header region: kind", 44, 2, FLIPPED },
	{ "header region: before its place", 24, 8, ZEROED },
	{ "header region: beyond all places", 31, 1, FLIPPED },
	{ "page map region: blocks", 56, 1, ONE_BIT },
};

/*
 * One header is enough; without both nothing says where the index lies. @_i: what is damaged.
 */
START_TEST(a_save_header_that_contradicts_the_configuration_tells_no_place)
{
	const struct damage *how = &header_damages[_i];
	struct uds_message message = { "" };
	struct layout layout;
	struct uds_io *io;
	uint8_t *bytes;

	make_image(&subjects[0]);
	layout = layout_of_image();
	bytes = damaged_bytes(image.super_at, &super_damages[0]);
	for (unsigned int slot = 0; slot < 2; slot++) {
		apply(bytes + super_block_save_at(&layout.super, slot) * BLOCK, how);
		io = open_bytes(bytes, image.size);
		if (slot == 0) {
			ck_assert_msg(repair(io, (struct told){ .lose = true }, &message) == 0,
				      "%s: %s", how->name, message.text);
			ck_assert(same_bytes(io, image.bytes + image.super_at, image.super_at,
					     BLOCK));
		} else {
			ck_assert_int_lt(repair(io, (struct told){ .lose = true }, &message), 0);
			ck_assert_msg(strstr(message.text, "no save header is where") != NULL,
				      "%s: %s", how->name, message.text);
			ck_assert(same_bytes(io, bytes, 0, image.size));
		}
		ck_assert_int_eq(uds_io_close(io), 0);
	}
	free(bytes);
	free_image();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lost_blocks");
	TCase *tcase = tcase_create("lost_blocks");

	tcase_set_timeout(tcase, 120);
	tcase_add_alike(tcase, a_config_block_is_made_again, 0, SUBJECTS);
	tcase_add_alike(tcase, a_config_block_of_a_converted_index_is_made_again, 3, 13);
	tcase_add_alike(tcase, a_super_block_is_made_again, 0, SUBJECTS);
	tcase_add_loop_test(tcase, a_super_block_of_an_index_without_a_save_is_made_again, 0, 3);
	tcase_add_test(tcase, chapters_of_two_indexes_tell_no_nonce);
	tcase_add_loop_test(tcase, the_older_save_tells_what_the_latest_does_not, 0, 4);
	tcase_add_alike(tcase, both_blocks_are_made_again_from_a_configuration, 0, SUBJECTS);
	tcase_add_test(tcase, blocks_that_are_not_made_again_are_named);
	tcase_add_test(tcase, an_index_that_was_cut_off_is_not_called_repairable);
	tcase_add_alike(tcase, a_question_that_fails_is_not_answered, 0, 8);
	tcase_add_test(tcase, the_search_for_a_seed_can_be_stopped);
	tcase_add_test(tcase, a_super_block_of_another_version_is_left_alone);
	tcase_add_loop_test(tcase, a_save_header_that_contradicts_the_configuration_tells_no_place,
			    0, sizeof(header_damages) / sizeof(header_damages[0]));
	tcase_add_test(tcase, bytes_and_seeds_are_found_for_a_nonce);
	tcase_add_test(tcase, a_configuration_that_contradicts_the_index_is_refused);
	tcase_add_test(tcase, an_index_that_was_never_saved_needs_its_configuration);
	tcase_add_loop_test(tcase, a_power_cut_leaves_what_can_be_repaired, 0, 2);
	tcase_add_alike(tcase, a_call_of_the_device_that_fails_changes_nothing_for_good, 0, 6);
	tcase_add_loop_test(tcase, each_allocation_may_fail, 0, 3);
	tcase_add_test(tcase, config_blocks_of_the_vectors_are_made_again);
	tcase_add_loop_test(tcase, super_blocks_of_the_vectors_are_made_again, 0, 2);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
