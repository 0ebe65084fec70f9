/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names with one address in the volume index, twins here, after a power cut: each that was flushed
 * is found, also when the record of another one lies in the same chapter.
 *
 * A life is a text, and each letter of it a step. After each flush the power is cut, twice in a
 * row, on a copy of the device.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <uds/index.h>

#include "base/bytes.h"
#include "check_main.h"
#include "given_io.h"
#include "names.h"
#include "scale.h"
#include "small_index.h"

#define SEED	 UINT64_C(0x717)
#define TWINS	 3u
#define CHAPTERS 16u
#define RATE	 4u

struct twin {
	bool there;
	bool uncertain; /* another twin may have taken its entry, as requests may (17.1) */
	uint32_t version;
	uint64_t chapter;  /* where it was put last */
	uint64_t chapters; /* a bit for each where it was put */
};

struct life {
	const char *steps;
	const char *at;
	struct uds_io *io;
	struct uds_index *index;
	unsigned int zones;
	uint32_t version;
	uint64_t filler;
	uint64_t cuts;
	bool sample;	    /* the names are samples, if the index is sparse */
	bool forgets;	    /* deletions, as all chapters may have to be read */
	unsigned int begun; /* recoveries that began with a save */
	struct twin twins[TWINS];
};

static void twin_name(const struct life *life, uint32_t i, struct uds_record_name *ret_name)
{
	make_name(SEED, i, ret_name);
	/* The volume index uses the first 8 bytes; the last two say whether it is a sample. */
	memset(ret_name->bytes, 0x5a, 8);
	ret_name->bytes[14] = 0;
	ret_name->bytes[15] = life->sample ? RATE : RATE + 1;
}

static void count_saves(void *context, enum uds_log_level level, const char *text)
{
	struct life *life = context;

	(void)level;
	life->begun += strstr(text, "chapters since are entered") != NULL;
}

static void open_zones(struct life *life, struct uds_io *io, unsigned int zones,
		       struct uds_index **ret_index)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_env env = UDS_ENV_INIT;
	struct uds_message message = { "" };
	int r;

	env.context = life;
	env.log = count_saves;
	options.env = &env;
	options.zones = zones;
	options.threads = (uint8_t)(1 + life->cuts % 3);
	r = uds_index_open(io, &options, &message, ret_index);
	ck_assert_msg(r == 0, "%s: %s", life->steps, message.text);
}

/* ---- what is right ---- */

/* Whether a name that is not there may be found by the entry of a twin (libuds_index(3)). */
static bool may_be_found(const struct life *life, uint32_t i)
{
	for (uint32_t n = 0; n < TWINS; n++) {
		const struct twin *twin = &life->twins[n];

		if (n != i && (twin->uncertain || twin->there) &&
		    (twin->uncertain || (life->twins[i].chapters >> twin->chapter & 1) != 0))
			return true;
	}
	return false;
}

static void judge(const struct life *life, uint32_t i, const struct uds_request *request,
		  const char *when)
{
	const struct twin *twin = &life->twins[i];
	const int done = (int)(life->at - life->steps);

	ck_assert_int_eq(request->status, 0);
	if (twin->uncertain)
		return;
	if (!twin->there) {
		ck_assert_msg(!request->found || may_be_found(life, i) || life->forgets,
			      "%s, after \"%.*s\" of \"%s\": twin %u was deleted", when, done,
			      life->steps, life->steps, i);
		return;
	}
	ck_assert_msg(request->found, "%s, after \"%.*s\" of \"%s\": twin %u is lost", when, done,
		      life->steps, life->steps, i);
	if (request->kind != UDS_DELETE)
		ck_assert_msg(get_le32(request->old_data.bytes + 8) == twin->version,
			      "%s, after \"%.*s\" of \"%s\": twin %u has old data", when, done,
			      life->steps, life->steps, i);
}

static void peek_all(const struct life *life, struct uds_index *index, const char *when)
{
	for (uint32_t i = 0; i < TWINS; i++) {
		struct uds_request request = { .kind = UDS_PEEK };

		twin_name(life, i, &request.name);
		ck_assert_int_eq(uds_index_run(index, &request, 1), 0);
		judge(life, i, &request, when);
	}
}

/* As where a cut came before they were durable, and another one after the next chapter. */
static void erase_checksums(struct uds_io *io)
{
	const uint8_t zeroes[4096] = { 0 };
	uint8_t block[4096];
	uint64_t size;

	ck_assert_int_eq(uds_io_size(io, &size), 0);
	for (uint64_t at = 0; at < size; at += sizeof(block)) {
		ck_assert_int_eq(uds_io_read(io, block, sizeof(block), at), 0);
		if (memcmp(block, "UDSsums", 8) == 0)
			ck_assert_int_eq(uds_io_write(io, zeroes, sizeof(zeroes), at), 0);
	}
}

static void recover(struct life *life, struct uds_io *io, const char *when, bool flushes)
{
	static const unsigned int zones[] = { 1, 3, 2 };
	struct uds_index *index;

	open_zones(life, io, zones[life->cuts++ % 3], &index);
	peek_all(life, index, when);
	if (flushes)
		ck_assert_int_eq(uds_index_flush(index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
}

/* The power goes, and goes again when the journal was written anew. */
static void cut(struct life *life)
{
	struct uds_io *copy = copy_of(life->io);

	recover(life, copy, "cut", true);
	recover(life, copy, "cut again", false);
	erase_checksums(copy);
	life->forgets = true;
	recover(life, copy, "cut without checksums", false);
	life->forgets = false;
	ck_assert_int_eq(uds_io_close(copy), 0);
}

/* ---- the steps ---- */

static uint64_t open_chapter(const struct life *life)
{
	return small_index_open_chapter(life->index, NULL);
}

/* A name that is not there takes the entry of the twin by which it is found. */
static void take_entry(struct life *life, uint32_t i)
{
	for (uint32_t n = 0; n < TWINS; n++) {
		if (n != i)
			life->twins[n].uncertain = true;
	}
}

static void request(struct life *life, uint32_t i, uint8_t kind)
{
	struct uds_request request = { .kind = kind };
	struct twin *twin = &life->twins[i];
	const uint64_t chapter = open_chapter(life);

	twin_name(life, i, &request.name);
	make_data('t', i, ++life->version, &request.new_data);
	ck_assert_int_eq(uds_index_run(life->index, &request, 1), 0);
	judge(life, i, &request, "request");
	if (request.found && (!twin->there || twin->uncertain) &&
	    request.location != UDS_LOCATION_OPEN_CHAPTER)
		take_entry(life, i);
	/* One whose entry was taken may have it again after a recovery, until it is stored. */
	if (kind == UDS_DELETE || (kind == UDS_QUERY && !request.found)) {
		twin->there = false;
		return;
	}
	twin->version = kind == UDS_UPDATE ? life->version : get_le32(request.old_data.bytes + 8);
	twin->there = true;
	twin->uncertain = false;
	twin->chapter = chapter;
	twin->chapters |= UINT64_C(1) << chapter;
}

/* Other names, until the next chapter is open. */
static void fill(struct life *life)
{
	const uint64_t chapter = open_chapter(life);

	while (open_chapter(life) == chapter) {
		struct uds_request request = { .kind = UDS_UPDATE };

		make_name(SEED + 1, life->filler++, &request.name);
		ck_assert_int_eq(uds_index_run(life->index, &request, 1), 0);
	}
}

static void step(struct life *life);

/* Steps up to the bracket's end, while the save is being made. */
static int go_on(void *context, uint64_t done, uint64_t total)
{
	struct life *life = context;

	(void)done, (void)total;
	while (*life->at != ']')
		step(life);
	return 0;
}

static void flush(struct life *life)
{
	ck_assert_int_eq(uds_index_flush(life->index), 0);
	cut(life);
}

static void step(struct life *life)
{
	const char letter = *life->at++;

	switch (letter) {
	case '|':
		fill(life);
		break;
	case 'f':
		flush(life);
		break;
	case 's':
		ck_assert_int_eq(uds_index_save(life->index), 0);
		break;
	case '[':
		ck_assert_int_eq(uds_index_save_reporting(life->index, go_on, life), 0);
		/* If there was nothing to save. */
		go_on(life, 0, 0);
		life->at++;
		break;
	case '!':
		ck_assert_int_eq(uds_index_flush(life->index), 0);
		ck_assert_int_eq(uds_index_close(life->index), 0);
		open_zones(life, life->io, life->zones, &life->index);
		break;
	default:
		if (letter >= 'a' && letter < (char)('a' + TWINS))
			request(life, (uint32_t)(letter - 'a'), UDS_UPDATE);
		else if (letter >= 'A' && letter < (char)('A' + TWINS))
			request(life, (uint32_t)(letter - 'A'), UDS_QUERY);
		else
			request(life, (uint32_t)(letter - 'x'), UDS_DELETE);
	}
}

/*
 * @sort: 0 a dense index, 1 a sparse one, 2 the same with names that are samples. Returns how many
 * recoveries began with a save.
 */
static unsigned int live(const char *steps, unsigned int sort, unsigned int zones)
{
	struct life life = { .steps = steps, .at = steps, .zones = zones, .sample = sort == 2 };
	struct small_shape shape;

	small_index_shape(1, CHAPTERS, &shape);
	shape.configuration.sparse_chapters_per_volume = sort == 0 ? 0 : 4;
	shape.configuration.sparse_sample_rate = sort == 0 ? 0 : RATE;
	small_index_measure(&shape, true);
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &life.io), 0);
	ck_assert_int_eq(small_index_create(&shape, life.io, NULL, NULL), 0);
	open_zones(&life, life.io, zones, &life.index);
	while (*life.at != '\0')
		step(&life);
	flush(&life);
	ck_assert_uint_lt(open_chapter(&life), CHAPTERS - 4);
	ck_assert_int_eq(uds_index_close(life.index), 0);
	ck_assert_int_eq(uds_io_close(life.io), 0);
	return life.begun;
}

/* ---- tests ---- */

/* a, b, c: update; A, B, C: query; x, y, z: delete; |: the next chapter; [...]: during a save. */
static const char *const lives[] = {
	/* One of them is in the open chapter of the save, which closes then. */
	"ab|As|f",
	"ab|Bs|f",
	"abc|As|f",
	"abc|BCs|f",
	"abc|ABCs||f",
	"ab|as|Bf",
	"ab|A|Bs|f",
	/* It is deleted before that closes. */
	"ab|Asx|f",
	"ab|Bsy|f",
	"ab|Asxf|f",
	"ab|Bsyf|f",
	"abc|BCsyf|f",
	"abc|CBszf|f",
	"abc|ABCsxf|f",
	"abc|ABCsyf|f",
	"abc|ABs|xf",
	"abc|BAsx|yf",
	/* The save is followed by more chapters, and replayed more than once. */
	"ab|As|||!f|f",
	"ab|Bsy|!|!f",
	"ab|Asx|!||f",
	"ab|Asxf!|f",
	"ab|Bsyf!|f|f",
	/* A deletion that the save has is flushed beside it. */
	"ab|x[f]f",
	"ab|y[f]f",
	"abc|xz[f]f",
	"abc|y[f|f]f",
	"ab|x[f]|f",
	"ab|yf[f]!f",
	"ab|A|x[f]f",
	"ab|x|[f|f]|f",
	"abc|xf[yf]f",
	"abc|y[zf]|f",
	"ab|y[f]!f|f",
	"ab|xf!sf",
	/* Of three names two are stored again, in another order than their entries come back. */
	"a|bc|sxazcf",
	"a|bc|sxazcf|f!f",
	"a|bc|szcxaf",
	"a|bc|[xazcf]f",
	"fc|!B[]zA|A!bc[|yCa|bzfc]",
};

START_TEST(twins_survive_a_power_cut)
{
	const char *steps = lives[_i / 6];

	live(steps, (unsigned int)_i % 3, 1 + 2 * ((unsigned int)_i / 3 % 2));
}
END_TEST

/* Also the one to which the chapter has to be compared first, without checksums. */
START_TEST(all_three_recoveries_begin_with_the_save)
{
	ck_assert_uint_eq(live("ab|As|||", 0, 1), 3);
	ck_assert_uint_eq(live("ab|Bs|||", 0, 3), 3);
	ck_assert_uint_eq(live("abc|BCs|||", 0, 1), 3);
}
END_TEST

static void throw_life(uint64_t seed, char steps[64])
{
	static const char letters[] = "abcabcABCABCxyzxyz||||||ssssffff!![[[[";
	uint32_t chapters = 0, open = 0, count = 0;

	for (uint32_t i = 0; i < 24; i++) {
		char letter = letters[splitmix64(seed, i) % (sizeof(letters) - 1)];

		/* Inside of a save neither another one nor the end of the index. */
		if (open > 0 && (letter == 's' || letter == '!' || letter == '['))
			letter = ']';
		if (letter == '|' && ++chapters > 9)
			continue;
		open = letter == '[' ? 1 : letter == ']' ? 0 : open;
		steps[count++] = letter;
	}
	if (open > 0)
		steps[count++] = ']';
	steps[count] = '\0';
}

START_TEST(random_lives_of_twins_survive_power_cuts)
{
	const uint64_t count = test_scaled(25);
	char steps[64];

	for (uint64_t i = 0; i < count; i++) {
		throw_life(splitmix64((uint64_t)_i, i), steps);
		live(steps, (unsigned int)_i % 3, 1 + 2 * (unsigned int)(i % 2));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("twins");
	TCase *tcase = tcase_create("twins");

	tcase_add_loop_test(tcase, twins_survive_a_power_cut, 0,
			    6 * (int)(sizeof(lives) / sizeof(lives[0])));
	tcase_add_test(tcase, all_three_recoveries_begin_with_the_save);
	tcase_add_loop_test(tcase, random_lives_of_twins_survive_power_cuts, 0, 12);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
