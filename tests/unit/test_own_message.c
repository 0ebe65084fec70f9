/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls without a handle write the sentence of a failure to a message of the caller's, which may be
 * NULL: those that make an I/O, record pages, and the geometry.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <uds.h>

#include "check_main.h"
#include "torture_env.h"

static struct uds_message message;
static struct uds_message *given; /* &message or NULL */
static struct uds_env *given_env;

/* ---- an I/O from a vtable ---- */

static int no_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	(void)context, (void)buffer, (void)length, (void)offset;
	return -EIO;
}

static int no_flush(void *context)
{
	(void)context;
	return -EIO;
}

static int no_size(void *context, uint64_t *ret_bytes)
{
	(void)context, (void)ret_bytes;
	return -EIO;
}

static int no_reap(void *context, struct uds_io_engine *engine, int timeout_ms)
{
	(void)context, (void)engine, (void)timeout_ms;
	return -EIO;
}

static struct uds_io_ops good_ops(void)
{
	struct uds_io_ops ops = UDS_IO_OPS_INIT;

	ops.read = no_read;
	ops.flush = no_flush;
	ops.get_size = no_size;
	return ops;
}

static struct uds_io_limits good_limits(void)
{
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;

	limits.name = "shelf";
	return limits;
}

static int closed(int status, struct uds_io *made)
{
	ck_assert((status == 0) == (made != NULL));
	uds_io_close(made);
	return status;
}

static int open_with(const struct uds_io_ops *ops, const struct uds_io_limits *limits)
{
	struct uds_io *made = NULL;
	int r = uds_io_open_ops(ops, NULL, limits, given_env, given, &made);

	return closed(r, made);
}

static int ops_open(void)
{
	struct uds_io_limits limits = good_limits();
	struct uds_io_ops ops = good_ops();

	return open_with(&ops, &limits);
}

static int ops_not_there(void)
{
	return open_with(NULL, NULL);
}

static int ops_without_read(void)
{
	struct uds_io_limits limits = good_limits();
	struct uds_io_ops ops = good_ops();

	ops.read = NULL;
	return open_with(&ops, &limits);
}

static int ops_without_flush(void)
{
	struct uds_io_limits limits = good_limits();
	struct uds_io_ops ops = good_ops();

	ops.flush = NULL;
	return open_with(&ops, &limits);
}

static int ops_without_size(void)
{
	struct uds_io_ops ops = good_ops();

	ops.get_size = NULL;
	return open_with(&ops, NULL);
}

static int ops_without_submit(void)
{
	struct uds_io_limits limits = good_limits();
	struct uds_io_ops ops = good_ops();

	ops.reap = no_reap;
	return open_with(&ops, &limits);
}

static int ops_of_no_size(void)
{
	struct uds_io_ops ops = { .size = 0 };

	return open_with(&ops, NULL);
}

static int limits_of_no_size(void)
{
	struct uds_io_limits limits = { .size = 0 };
	struct uds_io_ops ops = good_ops();

	return open_with(&ops, &limits);
}

static int limits_without_a_name(void)
{
	struct uds_io_limits limits = good_limits();
	struct uds_io_ops ops = good_ops();

	limits.name = NULL;
	return open_with(&ops, &limits);
}

static int limits_of_odd_blocks(void)
{
	struct uds_io_limits limits = good_limits();
	struct uds_io_ops ops = good_ops();

	limits.block_bytes = 520;
	return open_with(&ops, &limits);
}

static int limits_of_odd_memory(void)
{
	struct uds_io_limits limits = good_limits();
	struct uds_io_ops ops = good_ops();

	limits.memory_alignment = 3;
	return open_with(&ops, &limits);
}

static int limits_of_odd_preferences(void)
{
	struct uds_io_limits limits = good_limits();
	struct uds_io_ops ops = good_ops();

	limits.block_bytes = 512;
	limits.preferred_bytes = 4096 + 256;
	return open_with(&ops, &limits);
}

static int with_half_an_env(int (*call)(void))
{
	struct uds_env half = UDS_ENV_INIT;
	int r;

	half.release = (void (*)(void *, void *))1;
	given_env = &half;
	r = call();
	given_env = NULL;
	return r;
}

static int ops_half_env(void)
{
	return with_half_an_env(ops_open);
}

/* ---- an I/O in memory ---- */

static int open_memory(uint64_t bytes, uint32_t block_bytes)
{
	struct uds_io *made = NULL;
	int r = uds_io_open_memory(bytes, block_bytes, given_env, given, &made);

	return closed(r, made);
}

static int memory_open(void)
{
	return open_memory(1 << 20, 512);
}

static int memory_of_odd_blocks(void)
{
	return open_memory(UINT64_MAX, 3);
}

static int memory_too_large(void)
{
	return open_memory(UDS_IO_MEMORY_BYTES_MAX + 1, 1);
}

static int memory_half_env(void)
{
	return with_half_an_env(memory_open);
}

/* ---- record pages ---- */

static int encode(uint32_t count)
{
	struct uds_record records[2] = { { { { 1 } }, { { 2 } } }, { { { 3 } }, { { 4 } } } };
	uint8_t bytes[2 * UDS_RECORD_BYTES];

	return uds_record_page_encode(records, count, given_env, given, bytes);
}

static int page_encode(void)
{
	return encode(2);
}

static int page_of_nothing(void)
{
	return encode(0);
}

static int page_too_large(void)
{
	return encode(2049);
}

static int page_half_env(void)
{
	return with_half_an_env(page_encode);
}

/* Checks a page of three records, of which the second, the first and the third are in order. */
static int check_page(uint8_t first, uint8_t second, uint8_t third, uint32_t expected)
{
	uint8_t bytes[3 * UDS_RECORD_BYTES] = { 0 };
	uint32_t bad = 77;
	int r;

	bytes[0] = first;
	bytes[UDS_RECORD_BYTES] = second;
	bytes[UDS_RECORD_BYTES + UDS_NAME_BYTES] = 1; /* data */
	bytes[2 * UDS_RECORD_BYTES] = third;
	r = uds_record_page_check(bytes, 3, given, &bad);
	ck_assert_uint_eq(bad, expected);
	ck_assert_int_eq(uds_record_page_check(bytes, 3, given, NULL), r);
	return r;
}

static int page_last_before_first(void)
{
	return check_page(5, 4, 1, 2);
}

static int page_first_before_second(void)
{
	return check_page(5, 6, 7, 0);
}

static int page_with_twins(void)
{
	return check_page(5, 5, 6, 0);
}

static int page_in_order(void)
{
	return check_page(5, 4, 6, 77);
}

/* ---- the geometry ---- */

static int slot_of(const struct uds_configuration *c)
{
	uint32_t slot = 77;
	int r = uds_geometry_physical_chapter(c, 2049, given, &slot);

	ck_assert_uint_eq(slot, r == 0 ? 1 : 77);
	return r;
}

static int slot_of_odd_pages(void)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;

	c.page_bytes = 77;
	return slot_of(&c);
}

static int slot_of_no_size(void)
{
	struct uds_configuration c = { .size = 0 };

	return slot_of(&c);
}

static int slot_known(void)
{
	struct uds_configuration c = UDS_CONFIGURATION_INIT;

	return slot_of(&c);
}

/* ---- the tests ---- */

static const struct row {
	int (*call)(void);
	int status;
	const char *sentence; /* all of it, or its beginning when it ends in "..." */
} rows[] = {
	{ ops_open, 0, "" },
	{ ops_not_there, -EINVAL, "io: expected a struct uds_io_ops, found NULL" },
	{ ops_without_read, -EINVAL, "shelf: the backend has no read" },
	{ ops_without_flush, -EINVAL, "shelf: the backend has no flush" },
	{ ops_without_size, -EINVAL, "io: the backend has no get_size" },
	{ ops_without_submit, -EINVAL, "shelf: the backend has a reap, and no submit" },
	{ ops_of_no_size, -EINVAL, "struct uds_io_ops: its size member is 0, ..." },
	{ limits_of_no_size, -EINVAL, "struct uds_io_limits: its size member is 0, ..." },
	{ limits_without_a_name, -EINVAL, "struct uds_io_limits: expected a name, found NULL" },
	{ limits_of_odd_blocks, -EINVAL, "shelf: block_bytes: expected a power of two, found 520" },
	{ limits_of_odd_memory, -EINVAL,
	  "shelf: memory_alignment: expected a power of two, found 3" },
	{ limits_of_odd_preferences, -EINVAL,
	  "shelf: preferred_bytes: expected a multiple of block_bytes (512), found 4352" },
	{ ops_half_env, -EINVAL, "struct uds_env: ..." },
	{ memory_open, 0, "" },
	{ memory_of_odd_blocks, -EINVAL, "mem:: block_bytes: expected a power of two, found 3" },
	{ memory_too_large, -EFBIG,
	  "mem:: expected at most 17592186044416 bytes, found 17592186044417" },
	{ memory_half_env, -EINVAL, "struct uds_env: ..." },
	{ page_encode, 0, "" },
	{ page_of_nothing, -EINVAL, "record page: expected 1 to 2048 records, found 0" },
	{ page_too_large, -EINVAL, "record page: expected 1 to 2048 records, found 2049" },
	{ page_half_env, -EINVAL, "struct uds_env: ..." },
	{ page_in_order, 0, "" },
	{ page_last_before_first, UDS_ERR_CORRUPT,
	  "record page: record 2 of 3 is out of order: expected a name behind that of record 0, "
	  "found one before it" },
	{ page_first_before_second, UDS_ERR_CORRUPT,
	  "record page: record 0 of 3 is out of order: expected a name behind that of record 1, "
	  "found one before it" },
	{ page_with_twins, UDS_ERR_CORRUPT,
	  "record page: record 0 of 3 has the name of record 1, and other data" },
	{ slot_known, 0, "" },
	{ slot_of_odd_pages, -EINVAL, "page size 77..." },
	{ slot_of_no_size, -EINVAL, "struct uds_configuration: its size member is 0, ..." },
};

#define ROWS ((int)(sizeof(rows) / sizeof(rows[0])))

static void check_sentence(const char *expected)
{
	size_t length = strlen(expected);

	if (length > 3 && strcmp(expected + length - 3, "...") == 0)
		ck_assert_msg(strncmp(message.text, expected, length - 3) == 0,
			      "\"%s\" does not begin as \"%s\"", message.text, expected);
	else
		ck_assert_str_eq(message.text, expected);
}

START_TEST(a_call_without_a_handle_says_what_is_wrong)
{
	const struct row *row = &rows[_i];

	given = NULL;
	ck_assert_int_eq(row->call(), row->status);
	given = &message;
	ck_assert_int_eq(row->call(), row->status);
	check_sentence(row->sentence);
}
END_TEST

/* Makes each allocation of a call fail in turn; @least of them there are. */
static void starve(int (*call)(void), uint64_t least, const char *expected)
{
	struct torture_env torture;
	uint64_t nth = 0;
	int r;

	torture_env_start(&torture);
	given_env = &torture.env;
	given = &message;
	do {
		message.text[0] = '\0';
		torture_env_fail_at(&torture, ++nth, false);
		r = call();
		ck_assert_int_eq(r, torture.failed > 0 ? -ENOMEM : 0);
		ck_assert_str_eq(message.text, r < 0 ? expected : "");
	} while (r < 0);
	ck_assert_uint_gt(nth, least);
	given_env = NULL;
	torture_env_end(&torture);
}

START_TEST(without_memory_the_sentence_names_what_was_to_be_made)
{
	char expected[80];

	snprintf(expected, sizeof(expected), "shelf: %s", uds_strerror(-ENOMEM));
	starve(ops_open, 3, expected);
	snprintf(expected, sizeof(expected), "mem:: %s", uds_strerror(-ENOMEM));
	starve(memory_open, 5, expected);
	snprintf(expected, sizeof(expected), "record page of 2 records: %s", uds_strerror(-ENOMEM));
	starve(page_encode, 1, expected);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("own_message");
	TCase *tc = tcase_create("own_message");

	tcase_add_loop_test(tc, a_call_without_a_handle_says_what_is_wrong, 0, ROWS);
	tcase_add_test(tc, without_memory_the_sentence_names_what_was_to_be_made);
	suite_add_tcase(suite, tc);
	return run_suite_apart(suite);
}
