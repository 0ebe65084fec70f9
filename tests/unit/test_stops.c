/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every callback may end the work at each of its calls: it is not called again, the work returns
 * UDS_ERR_STOPPED, and what it worked on is as before.
 */
#include <stdio.h>
#include <string.h>

#include <uds/exception_store.h>
#include <uds/index.h>
#include <uds/snapshot.h>
#include <uds/volume.h>

#include "base/bytes.h"
#include "check_main.h"
#include "small_index.h"

#define CHUNK 512u

/* Counts the calls, and ends the work at one of them. */
static struct {
	unsigned int calls;
	unsigned int stop_at; /* 0: never */
} state;

static int called(void)
{
	ck_assert_msg(state.stop_at == 0 || state.calls < state.stop_at,
		      "called after it said stop");
	return ++state.calls == state.stop_at;
}

static int each_progress(void *context, uint64_t done, uint64_t total)
{
	(void)context;
	ck_assert(total == 0 || done <= total);
	return called();
}

static int each_sentence(void *context, const char *sentence)
{
	(void)context;
	ck_assert_int_ne(sentence[0], '\0');
	return called();
}

static int each_record(void *context, const struct uds_record_name *name,
		       const struct uds_record_data *data)
{
	(void)context, (void)name, (void)data;
	return called();
}

static int each_finding(void *context, const struct uds_exception_finding *finding)
{
	(void)context;
	ck_assert_uint_eq(finding->size, sizeof(*finding));
	ck_assert_int_ne(finding->sentence[0], '\0');
	return called();
}

static int each_range(void *context, uint64_t old_chunk, uint64_t new_chunk, uint64_t count)
{
	(void)context, (void)old_chunk, (void)new_chunk, (void)count;
	return called();
}

static int each_entry(void *context, uint64_t area, uint64_t index,
		      const struct uds_exception *exception)
{
	(void)context, (void)area, (void)index, (void)exception;
	return called();
}

static int each_changed(void *context, uint64_t offset, uint64_t length)
{
	(void)context, (void)offset, (void)length;
	return called();
}

static int each_loss(void *context, const struct uds_snapshot_loss *loss)
{
	(void)context, (void)loss;
	return called();
}

/* ---- What there is to be worked on ---- */

static struct uds_io
	*index_io; /* a sparse index of 3 chapters; unsaved, with two damaged chapters */
static struct uds_io *saved_io;	 /* one that is saved */
static struct uds_io *format_io; /* one with extras */
static struct uds_io *cow_io;	 /* a store with a finding of most kinds */
static struct uds_io *good_io;	 /* one without */
static struct uds_io *long_io;	 /* one of many areas */
static struct uds_io *origin_io;

static void fill(struct uds_io *io, bool save)
{
	struct small_shape shape;
	struct uds_index *index;

	small_index_shape(1, 4, &shape);
	ck_assert_int_eq(small_index_create(&shape, io, NULL, NULL), 0);
	ck_assert_int_eq(small_index_open(io, NULL, 1, UDS_INDEX_LOAD, NULL, &index), 0);
	for (uint64_t i = 0; i < 3 * shape.records + 20; i++) {
		struct uds_record_name name = { { 0 } };
		struct uds_record_data data = { { 0 } };

		put_le64(name.bytes, i * UINT64_C(0x9e3779b97f4a7c15));
		put_le64(name.bytes + 8, (i + 1) * UINT64_C(0xbf58476d1ce4e5b9));
		ck_assert_int_eq(uds_index_post(index, &name, &data, NULL, NULL), 0);
	}
	ck_assert_int_eq(save ? uds_index_save(index) : uds_index_flush(index), 0);
	ck_assert_int_eq(uds_index_close(index), 0);
}

static void make_indexes(void)
{
	struct uds_volume_info info = UDS_VOLUME_INFO_INIT;
	const uint8_t page[4096] = { 0 };
	struct small_shape shape;
	struct uds_volume *volume;

	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &index_io), 0);
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &saved_io), 0);
	ck_assert_int_eq(uds_io_open_memory(0, 1, NULL, NULL, &format_io), 0);
	fill(index_io, false);
	fill(saved_io, true);
	small_index_shape(1, 4, &shape);
	small_index_add_extras(&shape);
	ck_assert_int_eq(small_index_create(&shape, format_io, NULL, NULL), 0);
	ck_assert_int_eq(uds_volume_open(saved_io, NULL, NULL, &volume), 0);
	ck_assert_int_eq(uds_volume_get_info(volume, &info), 0);
	uds_volume_close(volume);
	/* Two chapters of two pages lose their record pages, the third its index page. */
	ck_assert_int_eq(uds_io_write(saved_io, page, sizeof(page), info.start + 4096), 0);
	ck_assert_int_eq(uds_io_write(saved_io, page, sizeof(page), info.start + 3 * 4096), 0);
	ck_assert_int_eq(uds_io_write(saved_io, page, sizeof(page), info.start + 4 * 4096), 0);
}

static void plant(struct uds_io *cow, uint64_t index, uint64_t old_chunk, uint64_t new_chunk)
{
	uint8_t entry[16];

	put_le64(entry, old_chunk);
	put_le64(entry + 8, new_chunk);
	ck_assert_int_eq(
		uds_io_write(cow, entry, 16, (1 + index / 32 * 33) * CHUNK + index % 32 * 16), 0);
}

static void make_stores(void)
{
	struct uds_exception_store_format_options format = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	static const struct {
		uint64_t old_chunk, new_chunk;
	} bad[] = { { 7, 900 }, /* behind the end */
		    { 900, 3 }, /* behind the origin */
		    { 20, 34 }, /* an area */
		    { 9, 4 },	/* fine */
		    { 10, 4 },	/* twice */
		    { 9, 5 },	/* twice */
		    { 10, 5 },	/* both twice */
		    { UINT64_MAX, UINT64_MAX } };

	format.chunk_bytes = CHUNK;
	ck_assert_int_eq(uds_io_open_memory(300 * CHUNK, 1, NULL, NULL, &origin_io), 0);
	ck_assert_int_eq(uds_io_open_memory(800 * CHUNK, 1, NULL, NULL, &cow_io), 0);
	ck_assert_int_eq(uds_io_open_memory(800 * CHUNK, 1, NULL, NULL, &good_io), 0);
	ck_assert_int_eq(uds_io_open_memory(33 * 140 * CHUNK, 1, NULL, NULL, &long_io), 0);
	ck_assert_int_eq(uds_exception_store_format(cow_io, &format, NULL), 0);
	ck_assert_int_eq(uds_exception_store_format(long_io, &format, NULL), 0);
	ck_assert_int_eq(uds_exception_store_format(good_io, &format, NULL), 0);
	for (uint64_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		plant(cow_io, i, bad[i].old_chunk, bad[i].new_chunk);
	/* Behind the end of the list. */
	plant(cow_io, 20, 50, 51);
	plant(cow_io, 22, 50, 51);
	/* Over three areas, scattered. */
	for (uint64_t i = 0; i < 80; i++)
		plant(good_io, i, 3 * i, 2 + i + i / 32);
	for (uint64_t i = 0; i < 130 * 32; i++)
		plant(long_io, i, 3 * i, 2 + i + i / 32);
}

/* ---- The works ---- */

static int verify_index(struct uds_io *io, bool progress)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	uint64_t findings = 12345;
	int r;

	options.progress = progress ? each_progress : NULL;
	r = uds_index_verify(io, &options, progress ? NULL : each_sentence, NULL, NULL, &findings);
	ck_assert((r < 0) == (findings == 12345));
	return r;
}

static int verify_findings(void)
{
	return verify_index(saved_io, false);
}

static int verify_progress(void)
{
	return verify_index(saved_io, true);
}

static int recover(void)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	struct uds_index *index = NULL;
	int r;

	options.mode = UDS_INDEX_READ_ONLY;
	options.progress = each_progress;
	r = uds_index_open(index_io, &options, NULL, &index);
	ck_assert((r < 0) == (index == NULL));
	if (r == 0)
		uds_index_close(index);
	return r;
}

/* An index that was there opens as before, at the end with the new nonce. */
static int format(void)
{
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_index_info before = UDS_INDEX_INFO_INIT, after = UDS_INDEX_INFO_INIT;
	const uint8_t nonce_data[32] = { (uint8_t)state.stop_at, 1 };
	struct uds_index *index;
	int r;

	ck_assert_int_eq(uds_index_read_info(format_io, NULL, NULL, &before), 0);
	options.nonce_data = nonce_data;
	options.progress = each_progress;
	r = uds_index_format(format_io, &before.configuration, &options, NULL);
	ck_assert_int_eq(uds_index_read_info(format_io, NULL, NULL, &after), 0);
	ck_assert((r < 0) == (before.volume_nonce == after.volume_nonce));
	ck_assert_int_eq(
		small_index_open(format_io, NULL, 1, UDS_INDEX_LOAD_OR_RECOVER, NULL, &index), 0);
	uds_index_close(index);
	return r;
}

static int open_volume(void)
{
	struct uds_volume_options options = UDS_VOLUME_OPTIONS_INIT;
	struct uds_volume *volume = NULL;
	int r;

	options.progress = each_progress;
	r = uds_volume_open(index_io, &options, NULL, &volume);
	ck_assert((r < 0) == (volume == NULL));
	if (r == 0)
		uds_volume_close(volume);
	return r;
}

static int with_index(int (*work)(struct uds_index *index))
{
	struct uds_index *index;
	int r;

	ck_assert_int_eq(small_index_open(index_io, NULL, 2, UDS_INDEX_RECOVER, NULL, &index), 0);
	r = work(index);
	uds_index_close(index);
	return r;
}

static int all_records_of(struct uds_index *index)
{
	return uds_index_for_each(index, each_record, NULL);
}

static int all_records(void)
{
	return with_index(all_records_of);
}

static int save_of(struct uds_index *index)
{
	int r = uds_index_save_reporting(index, each_progress, NULL);

	/* A save that was stopped is none, and the next one is whole. */
	if (r < 0) {
		ck_assert_int_eq(r, UDS_ERR_STOPPED);
		ck_assert_int_eq(uds_index_save(index), 0);
	}
	return r;
}

static int save(void)
{
	return with_index(save_of);
}

static int store_findings(void)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	uint64_t findings = 0;
	int r;

	options.origin_bytes = 300 * CHUNK;
	r = uds_exception_store_verify(cow_io, &options, each_finding, NULL, NULL, &findings);
	if (r == 0)
		ck_assert_uint_eq(findings, state.calls);
	return r;
}

static int store_progress(void)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	uint64_t findings = 0;

	options.progress = each_progress;
	return uds_exception_store_verify(long_io, &options, NULL, NULL, NULL, &findings);
}

static int open_store(void)
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_exception_store *store = NULL;
	int r;

	options.read_only = true;
	options.progress = each_progress;
	r = uds_exception_store_open(long_io, &options, NULL, &store);
	ck_assert((r < 0) == (store == NULL));
	if (r == 0)
		uds_exception_store_close(store);
	return r;
}

static int with_store(int (*work)(struct uds_exception_store *store))
{
	struct uds_exception_store_options options = UDS_EXCEPTION_STORE_OPTIONS_INIT;
	struct uds_exception_store *store;
	int r;

	options.read_only = true;
	ck_assert_int_eq(uds_exception_store_open(good_io, &options, NULL, &store), 0);
	r = work(store);
	ck_assert_int_eq(uds_exception_store_close(store), 0);
	return r;
}

static int ranges_of(struct uds_exception_store *store)
{
	return uds_exception_store_for_each_range(store, 0, UINT64_MAX, each_range, NULL);
}

static int entries_of(struct uds_exception_store *store)
{
	return uds_exception_store_for_each_entry(store, each_entry, NULL);
}

static int ranges(void)
{
	return with_store(ranges_of);
}

static int entries(void)
{
	return with_store(entries_of);
}

static int with_snapshot(struct uds_io *cow, int (*work)(struct uds_snapshot *s))
{
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_snapshot *s;
	int r;

	options.read_only = true;
	options.salvage = cow == cow_io;
	ck_assert_int_eq(uds_snapshot_open(origin_io, cow, &options, NULL, &s), 0);
	r = work(s);
	ck_assert_int_eq(uds_snapshot_close(s), 0);
	return r;
}

static int changed_of(struct uds_snapshot *s)
{
	return uds_snapshot_for_each_changed_range(s, 0, UINT64_MAX, each_changed, NULL);
}

static int changed(void)
{
	return with_snapshot(good_io, changed_of);
}

static int losses_of(struct uds_snapshot *s)
{
	static uint8_t buffer[300 * CHUNK];

	return uds_snapshot_salvage(s, buffer, sizeof(buffer), 0, each_loss, NULL, NULL);
}

static int losses(void)
{
	return with_snapshot(cow_io, losses_of);
}

static int look_for_losses_of(struct uds_snapshot *s)
{
	return uds_snapshot_salvage(s, NULL, 300 * CHUNK, 0, each_loss, NULL, NULL);
}

static int look_for_losses(void)
{
	return with_snapshot(cow_io, look_for_losses_of);
}

static const struct {
	const char *name;
	int (*work)(void);
	unsigned int least_calls;
	bool exactly;
} works[] = {
	{ "findings of an index", verify_findings, 2, false },
	{ "progress of a verify", verify_progress, 1, false },
	{ "progress of a recovery", recover, 1, false },
	{ "progress of formatting an index", format, 2, false },
	{ "progress of opening a volume", open_volume, 1, false },
	{ "all records", all_records, 3 * 128, true },
	{ "progress of a save", save, 1, false },
	{ "findings of a store", store_findings, 9, false },
	{ "progress of verifying a store", store_progress, 2, false },
	{ "progress of opening a store", open_store, 2, false },
	{ "ranges of a store", ranges, 80, true },
	{ "entries of a store", entries, 80, true },
	{ "changed ranges", changed, 80, true },
	{ "losses", losses, 2, false },
	{ "losses that are only looked for", look_for_losses, 2, false },
};

START_TEST(a_callback_ends_the_work_at_each_of_its_calls)
{
	unsigned int calls;

	make_indexes();
	make_stores();
	memset(&state, 0, sizeof(state));
	ck_assert_int_eq(works[_i].work(), 0);
	calls = state.calls;
	ck_assert_msg(calls >= works[_i].least_calls &&
			      (!works[_i].exactly || calls == works[_i].least_calls),
		      "%s: %u calls", works[_i].name, calls);
	/* Many are of one kind: the first and last ones, and some between. */
	for (unsigned int n = 1; n <= calls; n += n < 20 || calls - n < 20 ? 1 : 7) {
		state.stop_at = n;
		state.calls = 0;
		ck_assert_msg(works[_i].work() == UDS_ERR_STOPPED, "%s: stopped at call %u of %u",
			      works[_i].name, n, calls);
		ck_assert_uint_eq(state.calls, n);
	}
	uds_io_close(index_io);
	uds_io_close(saved_io);
	uds_io_close(format_io);
	uds_io_close(cow_io);
	uds_io_close(good_io);
	uds_io_close(long_io);
	uds_io_close(origin_io);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("stops");
	TCase *tc = tcase_create("stops");

	tcase_add_loop_test(tc, a_callback_ends_the_work_at_each_of_its_calls, 0,
			    sizeof(works) / sizeof(works[0]));
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
