/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Names with one address in the volume index, twins here, after a power cut: each that was flushed
 * is found, also when the record of another one lies in the same chapter.
 *
 * A life is a text, and each letter of it a step. After each flush the power is cut, twice in a
 * row, on a copy of the device.
 */
#include <errno.h>
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
#include "torture_env.h"

#define SEED   UINT64_C(0x717)
#define TWINS  4u
#define SPARSE 4u /* chapters, of an index that has any */
#define RATE   4u

/* What a life is lived with. */
struct setting {
	unsigned int sort;  /* 0 a dense index, 1 a sparse one, 2 the same with samples */
	unsigned int zones; /* of the index; recoveries have 1, 3 and 2 in turn */
	unsigned int twins; /* 2 to TWINS */
	unsigned int dense; /* chapters */
	unsigned int order; /* of the names in a chapter: which permutation */
};

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
	const struct setting *setting;
	uint32_t version;
	uint64_t filler;
	uint64_t cuts;
	bool forgets;		      /* deletions, as all chapters may have to be read */
	bool drops;		      /* records of the chapter that the last save has open */
	uint64_t saved;		      /* that chapter */
	unsigned int begun;	      /* recoveries that began with a save */
	unsigned int dropped, closed; /* recoveries that dropped records, or closed a chapter */
	uint32_t order[TWINS];
	struct twin twins[TWINS];
};

static void twin_name(const struct life *life, uint32_t i, struct uds_record_name *ret_name)
{
	make_name(SEED, life->order[i], ret_name);
	/*
	 * The volume index uses the first 8 bytes: in one of two zones. The last two say whether it
	 * is a sample.
	 */
	memset(ret_name->bytes, life->setting->order % 2 == 0 ? 0 : 0x5a, 8);
	ret_name->bytes[14] = 0;
	ret_name->bytes[15] = life->setting->sort == 2 ? RATE : RATE + 1;
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

/* Whether the chapter of a record is there, and names in it have entries. */
static bool has_left(const struct life *life, const struct twin *twin, uint64_t open)
{
	const struct setting *setting = life->setting;

	return twin->chapter + setting->dense + (setting->sort == 2 ? SPARSE : 0) <= open;
}

/* Whether a name that is not there may be found by the entry of a twin (libuds_index(3)). */
static bool may_be_found(const struct life *life, uint32_t i)
{
	for (uint32_t n = 0; n < life->setting->twins; n++) {
		const struct twin *twin = &life->twins[n];

		if (n != i && (twin->uncertain || twin->there) &&
		    (twin->uncertain || (life->twins[i].chapters >> twin->chapter & 1) != 0))
			return true;
	}
	return false;
}

/* For a failure: where in which life. */
static const char *tell(const struct life *life, const char *when)
{
	const struct setting *setting = life->setting;
	static char text[400];

	snprintf(text, sizeof(text),
		 "%s, after \"%.*s\" of \"%s\" (sort %u, %u zones, %u chapters, order %u)", when,
		 (int)(life->at - life->steps), life->steps, life->steps, setting->sort,
		 setting->zones, setting->dense, setting->order);
	return text;
}

static void judge(const struct life *life, uint32_t i, uint64_t open,
		  const struct uds_request *request, const char *when)
{
	const struct twin *twin = &life->twins[i];

	ck_assert_int_eq(request->status, 0);
	if (twin->uncertain || (twin->there && has_left(life, twin, open)))
		return;
	/* Not found, or with older data of its own (libuds_index(3), CAVEATS). */
	if (life->drops && twin->there && twin->chapter == life->saved)
		return;
	if (!twin->there)
		ck_assert_msg(!request->found || may_be_found(life, i) || life->forgets,
			      "%s: twin %u was deleted", tell(life, when), i);
	else
		ck_assert_msg(request->found, "%s: twin %u is lost", tell(life, when), i);
	if (twin->there && request->kind != UDS_DELETE)
		ck_assert_msg(get_le32(request->old_data.bytes + 8) == twin->version,
			      "%s: twin %u has old data", tell(life, when), i);
}

static void peek_all(const struct life *life, struct uds_index *index, uint64_t open,
		     const char *when)
{
	for (uint32_t i = 0; i < life->setting->twins; i++) {
		struct uds_request request = { .kind = UDS_PEEK };

		twin_name(life, i, &request.name);
		ck_assert_int_eq(uds_index_run(index, &request, 1), 0);
		judge(life, i, open, &request, when);
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

static uint64_t open_chapter(const struct life *life)
{
	return small_index_open_chapter(life->index, NULL);
}

static void recover(struct life *life, struct uds_io *io, const char *when, bool flushes)
{
	static const unsigned int zones[] = { 1, 3, 2 };
	struct uds_index_statistics statistics = { .size = sizeof(statistics) };
	struct uds_index *index;

	open_zones(life, io, zones[(life->cuts + life->cuts / 3) % 3], &index);
	life->cuts++;
	ck_assert_int_eq(uds_index_get_statistics(index, &statistics), 0);
	life->drops = statistics.dropped_at_load > 0;
	life->dropped += life->drops;
	life->closed += statistics.open_chapter > open_chapter(life);
	peek_all(life, index, statistics.open_chapter, when);
	life->drops = false;
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

/* A name that is not there takes the entry of the twin by which it is found. */
static void take_entry(struct life *life, uint32_t i)
{
	for (uint32_t n = 0; n < life->setting->twins; n++) {
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
	judge(life, i, chapter, &request, "request");
	if (has_left(life, twin, chapter))
		twin->there = false;
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

/* Other names, until the open chapter is nearly full: too full for other numbers of zones. */
static void crowd(struct life *life)
{
	const uint64_t chapter = open_chapter(life);
	uint64_t records = 0;

	while (small_index_open_chapter(life->index, &records) == chapter && records < 122) {
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
	if (total > 0)
		life->saved = open_chapter(life);
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
	case '~':
		crowd(life);
		break;
	case 'f':
		flush(life);
		break;
	case 's':
		life->saved = open_chapter(life);
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
		open_zones(life, life->io, life->setting->zones, &life->index);
		break;
	default:
		if (letter >= 'a' && letter < (char)('a' + TWINS))
			request(life, (uint32_t)(letter - 'a'), UDS_UPDATE);
		else if (letter >= 'A' && letter < (char)('A' + TWINS))
			request(life, (uint32_t)(letter - 'A'), UDS_QUERY);
		else
			request(life, (uint32_t)(strchr("xyzw", letter) - "xyzw"), UDS_DELETE);
	}
}

/* Permutation @number of the names, by their place in a chapter. */
static void set_order(struct life *life, unsigned int number)
{
	for (uint32_t i = 0; i < life->setting->twins; i++) {
		const uint32_t at = number % (i + 1);

		number /= i + 1;
		for (uint32_t n = i; n > at; n--)
			life->order[n] = life->order[n - 1];
		life->order[at] = i;
	}
}

/* Up to the last step. */
static void begin_life(const char *steps, const struct setting *setting, struct life *life)
{
	const uint32_t sparse = setting->sort == 0 ? 0 : SPARSE;
	struct small_shape shape;

	*life = (struct life){ .steps = steps, .at = steps, .setting = setting };
	set_order(life, setting->order);
	small_index_shape(1, setting->dense + sparse, &shape);
	shape.configuration.sparse_chapters_per_volume = sparse;
	shape.configuration.sparse_sample_rate = sparse == 0 ? 0 : RATE;
	small_index_measure(&shape, true);
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &life->io), 0);
	ck_assert_int_eq(small_index_create(&shape, life->io, NULL, NULL), 0);
	open_zones(life, life->io, setting->zones, &life->index);
	while (*life->at != '\0')
		step(life);
}

static void end_life(struct life *life)
{
	ck_assert_int_eq(uds_index_close(life->index), 0);
	ck_assert_int_eq(uds_io_close(life->io), 0);
}

static struct life live(const char *steps, const struct setting *setting)
{
	struct life life;

	begin_life(steps, setting, &life);
	flush(&life);
	end_life(&life);
	return life;
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
	const struct setting setting = {
		.sort = (unsigned int)_i % 3,
		.zones = 1 + 2 * ((unsigned int)_i / 3 % 2),
		.twins = 3,
		.dense = 12,
	};

	/* In a run in part each life is of one sort, with one zone and with three. */
	if ((_i % 6 + _i / 6) % (int)test_step_to(3) == 0)
		live(lives[_i / 6], &setting);
}
END_TEST

/* Also the one to which the chapter has to be compared first, without checksums. */
START_TEST(all_three_recoveries_begin_with_the_save)
{
	const struct setting one = { .zones = 1, .twins = 3, .dense = 12 };
	const struct setting three = { .zones = 3, .twins = 3, .dense = 12 };

	ck_assert_uint_eq(live("ab|As|||", &one).begun, 3);
	ck_assert_uint_eq(live("ab|Bs|||", &three).begun, 3);
	ck_assert_uint_eq(live("abc|BCs|||", &one).begun, 3);
}
END_TEST

/* For names of which the chapter of the first one, the first two or the last one leaves. */
static const char *const leaving[] = {
	/* a leaves. b was deleted, and has an old record in the chapter of c. */
	"a|bc|ysb||||f",
	"a|bc|ysby||||f",
	"a|bc|ysb|y|||f",
	"a|bc|yb|ys||||f",
	"a|bc|ys|b||f||f",
	"a|bc|ys||||bf!f",
	"a|bc|ys||||fyf",
	"a|bc|yBsb||!||f",
	"a|bc|y[b||]||f",
	"a|bcd|ysb|w|||f",
	"a|bcd|ywsbd||||f",
	"a|bcd|ywsbdz||||f",
	"ad|bc|ysb||||f",
	"ad|bc|ysby||||f",
	"a|d|bc|ysb||||f",
	"a|d|bc|ysby||||f",
	"a|d|bc|ys||b|||f",
	"a|bd|bc|ywsbd||||f",
	"a|bd|bc|ywsb|w|y||f",
	/* a and b are what is left. */
	"ab|x|sa||||f",
	"ab|xsax||||f",
	"ab|asx||||f",
};

static const char *const closing[] = {
	/* The journal fills a chapter of another number of zones. */
	"a|bc|yf~bf",
	"a|bc|y~bfyf",
	"a|bc|~yfbf",
	"a|bc|~bxfyaf",
	"a|bc|~abcfxyf",
	"a|bc|~abcfxayf",
	"a|bc|abc~fxzf",
	"a|bc|abcsx~afyzf",
	"a|bc|abcs~xfyaf",
	"abc|abc~fxaybfzf",
	"abc|abc~xyabfzf!f",
	"ab|a~fxf",
	"ab|b~fyf",
	"ab|ab~fxf",
	"ab|a~fxfaf",
	"abc|a~fxf",
	"abc|ab~fxyf",
	"abc|ba~fxyf!f",
	"abc|abc~fyxf",
	"abcd|ab~fxyf",
	"abcd|adc~fwzf",
	"ab|~xfaf",
	"ab|abs~xyafbf",
	"abcd|~dcbafwyf",
	"abcd|abcd~fwxyf",
	"abcd|abcd~wfxyadf",
	/* And another chapter leaves by that. */
	"a|bc|ys|||b~fy~f",
	"a|bc|ys|||~bfyf",
	"a|bcd|ys|||~bfywf",
	"a|d|bc|ys||~bfyf",
};

static const char *const dropping[] = {
	/* A load with other zones drops records that were stored last. */
	"ab|~asxf",	"ab|~bsyf",	 "ab|~bsyf!f",	   "ab|x~asxf",	   "ab|y~bsyf",
	"ab|y~bsyfbf",	"abc|~bcsyf",	 "abc|y~bcsyfzf",  "abc|xy~absxf", "abc|xy~absyxf|f",
	"a|bc|y~absyf", "a|bc|y~bsyfbf", "abcd|wy~bdswyf",
};

/* How many names a life has. */
static unsigned int count_twins(const char *steps)
{
	unsigned int count = 0;

	for (; *steps != '\0'; steps++) {
		for (unsigned int i = count; i < TWINS; i++) {
			if (*steps == (char)('a' + i) || *steps == (char)('A' + i))
				count = i + 1;
		}
	}
	return count;
}

#define LEAVES 6u /* so many chapters later, a chapter has left */
#define ORDERS 6u /* all of three names, and some of four */
#define KINDS  (3 * 2 * ORDERS)

static struct life live_as(const char *steps, unsigned int kind)
{
	const struct setting setting = {
		.sort = kind % 3,
		.zones = 1 + 2 * (kind / 3 % 2),
		.twins = count_twins(steps),
		.dense = kind % 3 == 2 ? LEAVES - SPARSE : LEAVES,
		.order = kind / 6 * 5,
	};

	return live(steps, &setting);
}

/*
 * With all sorts, numbers of zones and orders; in a run in part with some of them, others for each
 * @number of a life.
 */
static void live_all(const char *steps, int number)
{
	const unsigned int step = (unsigned int)test_step_to(10);

	for (unsigned int kind = (unsigned int)number % step; kind < KINDS; kind += step)
		live_as(steps, kind);
}

START_TEST(twins_survive_when_a_chapter_leaves)
{
	live_all(leaving[_i], _i);
}
END_TEST

START_TEST(twins_survive_when_a_recovery_closes_a_chapter)
{
	live_all(closing[_i], _i);
}
END_TEST

START_TEST(twins_survive_when_a_load_drops_records)
{
	live_all(dropping[_i], _i);
}
END_TEST

/* That these lives are what they are taken for. */
START_TEST(recoveries_close_chapters_and_drop_records)
{
	unsigned int closed = 0, dropped = 0;

	for (unsigned int i = 0; i < sizeof(closing) / sizeof(closing[0]); i++)
		closed += live_as(closing[i], 0).closed > 0;
	for (unsigned int i = 0; i < sizeof(dropping) / sizeof(dropping[0]); i++)
		dropped += live_as(dropping[i], 0).dropped > 0;
	ck_assert_uint_eq(closed, sizeof(closing) / sizeof(closing[0]));
	ck_assert_uint_eq(dropped, sizeof(dropping) / sizeof(dropping[0]));
}
END_TEST

/* Opens a copy when allocation @nth fails. Returns whether it did. */
static bool open_without_memory(struct life *life, unsigned int zones, uint64_t nth)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_io *copy = copy_of(life->io);
	struct torture_env torture;
	struct uds_index *index;
	bool failed;
	int r;

	torture_env_start(&torture);
	torture_env_fail_at(&torture, nth, false);
	options.env = &torture.env;
	options.zones = zones;
	options.threads = 1;
	r = uds_index_open(copy, &options, NULL, &index);
	failed = torture.failed > 0;
	torture_env_fail_at(&torture, 0, false);
	ck_assert_msg(r == 0 || (failed && r == -ENOMEM), "\"%s\", allocation %" PRIu64 ": %s",
		      life->steps, nth, uds_strerror(r));
	if (r == 0) {
		peek_all(life, index, open_chapter(life), "opened with less memory");
		ck_assert_int_eq(uds_index_close(index), 0);
	}
	torture_env_end(&torture);
	/* What did not open can be opened, and nothing is lost. */
	open_zones(life, copy, zones, &index);
	peek_all(life, index, open_chapter(life), "opened later");
	ck_assert_int_eq(uds_index_close(index), 0);
	ck_assert_int_eq(uds_io_close(copy), 0);
	return failed;
}

START_TEST(an_index_of_twins_opens_right_or_not_at_all_without_memory)
{
	static const struct {
		const char *steps;
		unsigned int zones;
	} cases[] = {
		{ "a|bc|ysby||||", 1 }, { "a|bc|ysb||||", 3 }, { "abc|ABCsxyf|", 1 },
		{ "ab|a~fx", 3 },	{ "abc|y~bcsy", 3 },
	};
	const struct setting setting = { .zones = 1, .twins = 3, .dense = LEAVES };
	struct life life;
	uint64_t nth = 1;

	begin_life(cases[_i].steps, &setting, &life);
	ck_assert_int_eq(uds_index_flush(life.index), 0);
	/* Dropped records count as uncertain. */
	life.drops = strchr(life.steps, '~') != NULL && strchr(life.steps, 's') != NULL;
	while (open_without_memory(&life, cases[_i].zones, nth))
		nth = test_next(nth, (uint64_t)_i);
	ck_assert_uint_gt(nth, 50);
	end_life(&life);
}
END_TEST

static void throw_life(uint64_t seed, uint32_t most, char steps[64])
{
	static const char letters[] = "ABCDxyzw||||||ssssffff!![[[[abcdabcd~";
	uint32_t chapters = 0, open = 0, count = 0;

	for (uint32_t i = 0; i < 30; i++) {
		char letter = letters[splitmix64(seed, i) % (sizeof(letters) - 1)];

		/* Inside of a save neither another one nor the end of the index. */
		if (open > 0 && (letter == 's' || letter == '!' || letter == '['))
			letter = ']';
		if (letter == '|' && ++chapters > most)
			continue;
		open = letter == '[' ? 1 : letter == ']' ? 0 : open;
		steps[count++] = letter;
	}
	if (open > 0)
		steps[count++] = ']';
	steps[count] = '\0';
}

/* Leaves names out that are too many. */
static void leave_names_out(char *steps, unsigned int twins)
{
	static const char all[3][TWINS + 1] = { "abcd", "ABCD", "xyzw" };

	for (; *steps != '\0'; steps++) {
		for (unsigned int i = 0; i < 3; i++) {
			const char *at = strchr(all[i], *steps);

			if (at != NULL)
				*steps = all[i][(unsigned int)(at - all[i]) % twins];
		}
	}
}

START_TEST(random_lives_of_twins_survive_power_cuts)
{
	const uint64_t count = test_scaled(25);
	char steps[64];

	for (uint64_t i = 0; i < count; i++) {
		const struct setting setting = {
			.sort = (unsigned int)_i % 3,
			.zones = 1 + 2 * (unsigned int)(i % 2),
			.twins = 2 + (unsigned int)(i % 3),
			.dense = _i / 3 % 2 == 0 ? 12 : 4,
			.order = (unsigned int)(i / 3 % 24),
		};

		throw_life(splitmix64((uint64_t)_i, i), 9, steps);
		leave_names_out(steps, setting.twins);
		live(steps, &setting);
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
	tcase_add_alike(tcase, twins_survive_when_a_chapter_leaves, 0,
			(int)(sizeof(leaving) / sizeof(leaving[0])));
	tcase_add_alike(tcase, twins_survive_when_a_recovery_closes_a_chapter, 0,
			(int)(sizeof(closing) / sizeof(closing[0])));
	tcase_add_loop_test(tcase, twins_survive_when_a_load_drops_records, 0,
			    (int)(sizeof(dropping) / sizeof(dropping[0])));
	tcase_add_loop_test(tcase, an_index_of_twins_opens_right_or_not_at_all_without_memory, 0,
			    5);
	tcase_add_test(tcase, recoveries_close_chapters_and_drop_records);
	tcase_add_alike(tcase, random_lives_of_twins_survive_power_cuts, 0, 12);
	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
