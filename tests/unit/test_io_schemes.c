/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * URI schemes that a program registers: what their open gets and gives back, and what is refused.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <uds/io.h>

#include "check_main.h"

static struct uds_message message;

static struct uds_io *open_good(const char *uri, const struct uds_io_file_options *options)
{
	struct uds_io *io = NULL;
	int r = uds_io_open_uri(uri, options, NULL, &message, &io);

	ck_assert_msg(r == 0, "%s", message.text);
	return io;
}

static void open_refused(const char *uri, int status, const char *words)
{
	struct uds_io *io = (struct uds_io *)1;

	message.text[0] = '\0';
	ck_assert_int_eq(uds_io_open_uri(uri, NULL, NULL, &message, &io), status);
	ck_assert_ptr_eq(io, (struct uds_io *)1);
	ck_assert_msg(strstr(message.text, words) != NULL, "%s", message.text);
}

/* ---- rom:PATH, which remembers what its open was given ---- */

enum { ROM_LOCKED, ROM_FILL, ROM_BYTES, ROM_LABEL, ROM_PARAMETERS };

static const struct uds_io_parameter rom_parameters[ROM_PARAMETERS] = {
	[ROM_LOCKED] = { .name = "locked", .kind = UDS_IO_PARAMETER_FLAG },
	[ROM_FILL] = { .name = "fill", .kind = UDS_IO_PARAMETER_CHOICE, .choices = "zero|one" },
	[ROM_BYTES] = { .name = "bytes", .kind = UDS_IO_PARAMETER_SIZE },
	[ROM_LABEL] = { .name = "label", .kind = UDS_IO_PARAMETER_TEXT },
};

static struct rom {
	int status;	      /* what open returns */
	const char *sentence; /* and its sentence; NULL: none */
	bool no_io;	      /* returns 0 without an I/O */
	int opened;
	char text[100], path[100], label[100];
	uint64_t numbers[ROM_PARAMETERS];
	bool given[ROM_PARAMETERS];
	struct uds_io_file_options options;
	uint64_t uri_size;
	void *env_context;
} rom;

static int rom_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	(void)offset;
	memset(buffer, (int)((struct rom *)context)->numbers[ROM_FILL], length);
	return 0;
}

static int rom_flush(void *context)
{
	(void)context;
	return 0;
}

static int rom_size(void *context, uint64_t *ret_bytes)
{
	*ret_bytes = ((struct rom *)context)->numbers[ROM_BYTES];
	return 0;
}

static int rom_close(void *context)
{
	((struct rom *)context)->opened--;
	return 0;
}

static int make_rom(struct rom *given_rom, const char *name, const struct uds_env *env,
		    struct uds_io **ret_io)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct uds_io_ops ops = UDS_IO_OPS_INIT;

	ops.read = rom_read;
	ops.flush = rom_flush;
	ops.get_size = rom_size;
	ops.close = rom_close;
	limits.name = name;
	limits.read_only = true;
	return uds_io_open_ops(&ops, given_rom, &limits, env, NULL, ret_io);
}

static int rom_open(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		    struct uds_message *ret_message, struct uds_io **ret_io)
{
	struct rom *this_rom = context;

	ck_assert_str_eq(ret_message->text, "");
	if (this_rom->sentence != NULL)
		snprintf(ret_message->text, sizeof(ret_message->text), "%s: %s", uri->text,
			 this_rom->sentence);
	if (this_rom->status != 0) {
		*ret_io = (struct uds_io *)this_rom; /* not what the caller may get */
		return this_rom->status;
	}
	if (this_rom->no_io)
		return 0;
	this_rom->uri_size = uri->size;
	snprintf(this_rom->text, sizeof(this_rom->text), "%s", uri->text);
	snprintf(this_rom->path, sizeof(this_rom->path), "%s", uri->path);
	for (int i = 0; i < ROM_PARAMETERS; i++) {
		this_rom->numbers[i] = uri->values[i].number;
		this_rom->given[i] = uri->values[i].text != NULL;
	}
	if (this_rom->given[ROM_LABEL])
		snprintf(this_rom->label, sizeof(this_rom->label), "%s",
			 uri->values[ROM_LABEL].text);
	this_rom->options = *uri->options;
	this_rom->env_context = env->context;
	this_rom->opened++;
	return make_rom(this_rom, uri->text, env, ret_io);
}

static struct uds_io_scheme rom_scheme(const char *name)
{
	struct uds_io_scheme scheme = UDS_IO_SCHEME_INIT;

	scheme.name = name;
	scheme.open = rom_open;
	scheme.context = &rom;
	scheme.parameters = rom_parameters;
	scheme.parameter_count = ROM_PARAMETERS;
	return scheme;
}

static void register_rom(void)
{
	struct uds_io_scheme scheme = rom_scheme("rom");
	int r;

	memset(&rom, 0, sizeof(rom));
	r = uds_io_register_scheme(&scheme, &message);
	ck_assert_msg(r == 0 || r == UDS_ERR_EXISTS, "%s", message.text);
	/* The struct was copied. */
	memset(&scheme, 0xff, sizeof(scheme));
}

static void log_nowhere(void *context, enum uds_log_level level, const char *text)
{
	(void)context, (void)level, (void)text;
}

START_TEST(a_registered_scheme_gets_the_uri_taken_apart)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct uds_env env = UDS_ENV_INIT;
	const char *uri = "rom:a/b%3fc?bytes=4K&label=x%26y%25&fill=one&locked=1";
	struct uds_io *io;
	uint8_t byte = 0;
	uint64_t size;

	register_rom();
	options.write = options.create = true;
	options.direct = UDS_IO_DIRECT_AUTO;
	env.log = log_nowhere;
	env.context = &rom;
	ck_assert_int_eq(uds_io_open_uri(uri, &options, &env, &message, &io), 0);
	ck_assert_str_eq(rom.text, uri);
	ck_assert_str_eq(uds_io_name(io), uri);
	ck_assert_str_eq(rom.path, "a/b?c");
	ck_assert_str_eq(rom.label, "x&y%");
	ck_assert_uint_eq(rom.numbers[ROM_BYTES], 4096);
	ck_assert_uint_eq(rom.numbers[ROM_FILL], 1);
	ck_assert_uint_eq(rom.numbers[ROM_LOCKED], 1);
	ck_assert_uint_eq(rom.uri_size, sizeof(struct uds_io_uri));
	ck_assert(rom.options.write && rom.options.create);
	ck_assert_uint_eq(rom.options.direct, UDS_IO_DIRECT_AUTO);
	ck_assert_ptr_eq(rom.env_context, &rom);
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, 4096);
	ck_assert_int_eq(uds_io_read(io, &byte, 1, 0), 0);
	ck_assert_uint_eq(byte, 1);
	ck_assert_int_eq(uds_io_write(io, &byte, 1, 0), UDS_ERR_READ_ONLY);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(rom.opened, 0);
}
END_TEST

/* offset= and length= are never the scheme's: it gets a URI without them. */
START_TEST(a_range_of_a_registered_scheme_opens)
{
	struct uds_io *io;
	uint64_t size;

	register_rom();
	io = open_good("rom:a?bytes=4K&offset=4000&length=90&label=x", NULL);
	ck_assert_uint_eq(rom.numbers[ROM_BYTES], 4096);
	ck_assert_str_eq(rom.label, "x");
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, 90);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(rom.opened, 0);
	open_refused("rom:a?bytes=4K&offset=4000&length=97", UDS_ERR_OUT_OF_RANGE,
		     "expected to end by byte 4096, found 97 bytes from 4000 on");
	ck_assert_int_eq(rom.opened, 0);
}
END_TEST

START_TEST(what_a_uri_does_not_have_is_not_given)
{
	struct uds_io *io;

	register_rom();
	memset(&rom.options, 0xff, sizeof(rom.options));
	io = open_good("rom:", NULL);
	ck_assert_str_eq(rom.path, "");
	for (int i = 0; i < ROM_PARAMETERS; i++) {
		ck_assert(!rom.given[i]);
		ck_assert_uint_eq(rom.numbers[i], 0);
	}
	ck_assert(!rom.options.write && !rom.options.create);
	ck_assert_uint_eq(rom.options.size, sizeof(rom.options));
	ck_assert_int_eq(uds_io_close(io), 0);
	io = open_good("rom:?label=&locked=0", NULL);
	ck_assert(rom.given[ROM_LABEL] && rom.given[ROM_LOCKED] && !rom.given[ROM_FILL]);
	ck_assert_str_eq(rom.label, "");
	ck_assert_int_eq(uds_io_close(io), 0);
}
END_TEST

START_TEST(bad_parameters_of_a_registered_scheme_are_named)
{
	static const char known[] =
		"(known here: locked=0|1, fill=zero|one, bytes=BYTES, label=TEXT)";
	struct uds_io_scheme bare = rom_scheme("bare");

	register_rom();
	open_refused("rom:x?size=1", -EINVAL, "rom:x?size=1: unknown parameter 'size'");
	open_refused("rom:x?size=1", -EINVAL, known);
	open_refused("rom:x?locked", -EINVAL, "'locked' has no value");
	open_refused("rom:x?locked", -EINVAL, known);
	open_refused("rom:x?locked=yes", -EINVAL, "locked: 'yes'");
	open_refused("rom:x?fill=two", -EINVAL, "fill: 'two'");
	open_refused("rom:x?fill=", -EINVAL, "fill: ''");
	open_refused("rom:x?bytes=many", -EINVAL, "bytes: 'many'");
	open_refused("rom:x?bytes=many", -EINVAL, known);
	open_refused("rom:x?label=%zz", -EINVAL, "rom:x?label=%zz: '%'");
	open_refused("rom:%zz", -EINVAL, "rom:%zz: '%'");
	open_refused("ro:x", -EINVAL,
		     "unknown scheme 'ro' (known: file, mem, concat, vdo, lvm, rom");
	open_refused("romx:x", -EINVAL, "unknown scheme 'romx'");
	ck_assert_int_eq(rom.opened, 0);
	bare.parameters = NULL;
	bare.parameter_count = 0;
	ck_assert_int_eq(uds_io_register_scheme(&bare, &message), 0);
	open_refused("bare:x?size=1", -EINVAL, "(known here: none)");
}
END_TEST

START_TEST(a_failure_of_a_registered_open_reaches_the_caller)
{
	struct uds_io *io;

	register_rom();
	rom.status = -ECONNREFUSED;
	rom.sentence = "nobody answers";
	open_refused("rom:x", -ECONNREFUSED, "rom:x: nobody answers");
	ck_assert_int_eq(uds_io_open_uri("rom:x", NULL, NULL, NULL, &io), -ECONNREFUSED);
	rom.sentence = NULL;
	open_refused("rom:x", -ECONNREFUSED, "rom:x: Connection refused");
	rom.status = UDS_ERR_IN_USE;
	open_refused("rom:x", UDS_ERR_IN_USE, uds_strerror(UDS_ERR_IN_USE));
	rom.status = 7;
	open_refused("rom:x", -EIO, "rom:x: the backend of 'rom' returned 7");
	rom.status = 0;
	rom.no_io = true;
	open_refused("rom:x", -EIO, "rom:x: the backend of 'rom' returned 0 and no I/O");
	/* A success leaves the sentence of the caller alone. */
	rom.no_io = false;
	rom.sentence = "a remark";
	strcpy(message.text, "as it was");
	ck_assert_int_eq(uds_io_close(open_good("rom:x", NULL)), 0);
	ck_assert_str_eq(message.text, "as it was");
}
END_TEST

static void register_refused(const struct uds_io_scheme *scheme, int status, const char *words)
{
	message.text[0] = '\0';
	ck_assert_int_eq(uds_io_register_scheme(scheme, &message), status);
	ck_assert_msg(strstr(message.text, words) != NULL, "%s", message.text);
	ck_assert_int_eq(uds_io_register_scheme(scheme, NULL), status);
}

START_TEST(a_name_that_is_taken_is_refused)
{
	static const char *const taken[] = { "file", "mem", "rom" };

	register_rom();
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		struct uds_io_scheme scheme = rom_scheme(taken[i]);

		register_refused(&scheme, UDS_ERR_EXISTS, taken[i]);
	}
	/* What was there still is. */
	ck_assert_int_eq(uds_io_close(open_good("mem:?size=1", NULL)), 0);
	ck_assert_int_eq(rom.opened, 0);
}
END_TEST

START_TEST(a_name_with_other_characters_is_refused)
{
	static const char *const bad[] = {
		"",	"1a",  "+a",  "a:",  "a b",	 "a/b",
		"a%41", "a?b", "a_b", "a\n", "\xc3\xa4", "abcdefghijklmnopqrstuvwxyz-01234",
	};
	struct uds_io_scheme scheme;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		scheme = rom_scheme(bad[i]);
		register_refused(&scheme, -EINVAL, "is no name of a scheme");
		register_refused(&scheme, -EINVAL, bad[i]);
	}
	scheme = rom_scheme(NULL);
	register_refused(&scheme, -EINVAL, "'' is no name of a scheme");
	scheme = rom_scheme("Abc-+.0123456789mnopqrstuvwxyz0");
	ck_assert_uint_eq(strlen(scheme.name), UDS_IO_SCHEME_NAME_MAX);
	ck_assert_int_eq(uds_io_register_scheme(&scheme, &message), 0);
	ck_assert_int_eq(uds_io_close(open_good("Abc-+.0123456789mnopqrstuvwxyz0:", NULL)), 0);
}
END_TEST

START_TEST(a_scheme_without_its_duties_is_refused)
{
	struct uds_io_parameter table[UDS_IO_PARAMETERS_MAX + 1];
	struct uds_io_scheme scheme = rom_scheme("half");

	scheme.open = NULL;
	register_refused(&scheme, -EINVAL, "'half' has no open function");
	scheme = rom_scheme("half");
	scheme.parameters = NULL;
	register_refused(&scheme, -EINVAL, "'half': 4 parameters and no table");
	scheme.parameters = table;
	scheme.parameter_count = UDS_IO_PARAMETERS_MAX + 1;
	register_refused(&scheme, -EINVAL, "'half': 17 parameters (at most 16");
	scheme.size = 8;
	register_refused(&scheme, -EINVAL, "struct uds_io_scheme");
	scheme.size = sizeof(scheme);

	memcpy(table, rom_parameters, sizeof(rom_parameters));
	scheme.parameter_count = ROM_PARAMETERS;
	table[ROM_LABEL].name = "fill";
	register_refused(&scheme, -EINVAL, "two parameters are named 'fill'");
	table[ROM_LABEL].name = NULL;
	register_refused(&scheme, -EINVAL, "parameter 3: '' is no name");
	table[ROM_LABEL].name = "";
	register_refused(&scheme, -EINVAL, "parameter 3: '' is no name");
	table[ROM_LABEL].name = "a=b";
	register_refused(&scheme, -EINVAL, "'a=b' is no name");
	table[ROM_LABEL].name = "a&b";
	register_refused(&scheme, -EINVAL, "'a&b' is no name");
	table[ROM_LABEL].name = "1";
	register_refused(&scheme, -EINVAL, "'1' is no name");
	table[ROM_LABEL].name = "label";
	table[ROM_LABEL].kind = 0;
	register_refused(&scheme, -EINVAL, "'label' is of a kind that is not known");
	table[ROM_LABEL].kind = UDS_IO_PARAMETER_TEXTS + 1;
	register_refused(&scheme, -EINVAL, "'label' is of a kind that is not known");
	table[ROM_LABEL].kind = UDS_IO_PARAMETER_TEXT;
	table[ROM_LABEL].unused = 1;
	register_refused(&scheme, -EINVAL, "'label' is of a kind that is not known");
	table[ROM_LABEL].unused = 0;
	table[ROM_FILL].choices = NULL;
	register_refused(&scheme, -EINVAL, "'fill' has no choices");
	table[ROM_FILL].choices = "";
	register_refused(&scheme, -EINVAL, "'fill' has no choices");
	/* Nothing of that is there. */
	open_refused("half:", -EINVAL, "unknown scheme 'half'");
}
END_TEST

/* outer:URI opens another URI, and registers a scheme meanwhile. */
static int outer_open(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		      struct uds_message *ret_message, struct uds_io **ret_io)
{
	static const char name[] = "within";
	struct uds_io_scheme scheme = rom_scheme(name);
	int r = uds_io_register_scheme(&scheme, ret_message);

	(void)context;
	return r < 0 ? r : uds_io_open_uri(uri->path, uri->options, env, ret_message, ret_io);
}

START_TEST(an_open_may_open_and_register_others)
{
	struct uds_io_scheme scheme = UDS_IO_SCHEME_INIT;
	struct uds_io *io;
	uint64_t size;

	scheme.name = "outer";
	scheme.open = outer_open;
	ck_assert_int_eq(uds_io_register_scheme(&scheme, &message), 0);
	io = open_good("outer:mem:%3fsize=77", NULL);
	ck_assert_int_eq(uds_io_size(io, &size), 0);
	ck_assert_uint_eq(size, 77);
	ck_assert_int_eq(uds_io_close(io), 0);
	ck_assert_int_eq(uds_io_close(open_good("within:", NULL)), 0);
}
END_TEST

/* ---- many threads register the same names, and open what they find ---- */

#define THREADS 8
#define NAMES	12

static const char *const race_names[NAMES] = { "ra", "rb", "rc", "rd", "re", "rf",
					       "rg", "rh", "ri", "rj", "rk", "rl" };
static atomic_int race_won[NAMES];
static atomic_int race_wrong;

static int race_open(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		     struct uds_message *ret_message, struct uds_io **ret_io)
{
	(void)ret_message;
	if (strncmp(uri->text, context, strlen(context)) != 0)
		return -ENXIO;
	return uds_io_open_memory(uri->values[0].number, 1, env, NULL, ret_io);
}

static void race_for(int i)
{
	static const struct uds_io_parameter bytes = { .name = "bytes",
						       .kind = UDS_IO_PARAMETER_SIZE };
	struct uds_io_scheme scheme = UDS_IO_SCHEME_INIT;
	struct uds_io *io = NULL;
	uint64_t size = 0;
	char uri[32];
	int r;

	scheme.name = race_names[i];
	scheme.open = race_open;
	scheme.context = (void *)race_names[i];
	scheme.parameters = &bytes;
	scheme.parameter_count = 1;
	r = uds_io_register_scheme(&scheme, NULL);
	race_won[i] += r == 0;
	race_wrong += r != 0 && r != UDS_ERR_EXISTS;
	/* Whoever won: it is there now. */
	snprintf(uri, sizeof(uri), "%s:?bytes=%d", race_names[i], i + 1);
	r = uds_io_open_uri(uri, NULL, NULL, NULL, &io);
	if (r == 0)
		r = uds_io_size(io, &size);
	race_wrong += r != 0 || size != (uint64_t)i + 1;
	uds_io_close(io);
}

static void *race(void *context)
{
	struct uds_message said;
	struct uds_io *io;

	for (int i = 0; i < NAMES; i++) {
		race_for((i + *(int *)context * 5) % NAMES);
		race_wrong += uds_io_open_uri("nowhere:", NULL, NULL, &said, &io) != -EINVAL;
	}
	return NULL;
}

START_TEST(threads_that_register_the_same_names_get_one_each)
{
	pthread_t threads[THREADS];
	int numbers[THREADS];

	for (int i = 0; i < THREADS; i++) {
		numbers[i] = i;
		ck_assert_int_eq(pthread_create(&threads[i], NULL, race, &numbers[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < NAMES; i++)
		ck_assert_int_eq(race_won[i], 1);
	ck_assert_int_eq(race_wrong, 0);
}
END_TEST

START_TEST(a_full_table_is_said_to_be_full)
{
	static char names[UDS_IO_SCHEMES_MAX][8];
	struct uds_io_scheme scheme;
	unsigned int n = 0;

	/* The five built-in ones count. */
	for (; n < UDS_IO_SCHEMES_MAX - 5; n++) {
		snprintf(names[n], sizeof(names[n]), "full%u", n);
		scheme = rom_scheme(names[n]);
		ck_assert_int_eq(uds_io_register_scheme(&scheme, &message), 0);
	}
	scheme = rom_scheme("more");
	register_refused(&scheme, UDS_ERR_NO_ROOM,
			 "scheme 'more': the table of schemes is full (32)");
	scheme = rom_scheme("full0");
	register_refused(&scheme, UDS_ERR_EXISTS, "'full0'");
	open_refused("more:", -EINVAL, "unknown scheme 'more'");
	memset(&rom, 0, sizeof(rom));
	ck_assert_int_eq(uds_io_close(open_good("full26:", NULL)), 0);
	ck_assert_int_eq(uds_io_close(open_good("mem:", NULL)), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("io_schemes");
	TCase *tc = tcase_create("schemes");

	tcase_add_test(tc, a_registered_scheme_gets_the_uri_taken_apart);
	tcase_add_test(tc, a_range_of_a_registered_scheme_opens);
	tcase_add_test(tc, what_a_uri_does_not_have_is_not_given);
	tcase_add_test(tc, bad_parameters_of_a_registered_scheme_are_named);
	tcase_add_test(tc, a_failure_of_a_registered_open_reaches_the_caller);
	tcase_add_test(tc, a_name_that_is_taken_is_refused);
	tcase_add_test(tc, a_name_with_other_characters_is_refused);
	tcase_add_test(tc, a_scheme_without_its_duties_is_refused);
	tcase_add_test(tc, an_open_may_open_and_register_others);
	tcase_add_test(tc, threads_that_register_the_same_names_get_one_each);
	tcase_add_test(tc, a_full_table_is_said_to_be_full);
	suite_add_tcase(suite, tc);
	return run_suite_apart(suite);
}
