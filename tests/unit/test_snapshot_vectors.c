/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kernel's images: what it wrote is read as it reads it, what it did to them we do bit for bit.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/snapshot.h>

#include "check_main.h"
#include "snap_image.h"
#include "exceptions/cow_format.h"

static const char *const vectors[] = {
	"c1-areas-exactly-full",
	"c1-manyareas",
	"c128",
	"c16",
	"c32-default",
	"c8-crash-writes",
	"c8-invalid-overflow",
	"c8-multiarea",
	"c8-po-overflow",
};

/* States with exceptions, and the two images of each. */
static const struct {
	const char *name;
	const char *origin;
	const char *cow;
	const char *line; /* key of the status line */
} states[] = {
	{ "filled", "origin.after.img", "cow.img", "reloaded.snap" },
	{ "merged", "origin.merged.img", "cow.merged.img", "filled-merged.snap-again" },
	{ "mid-suspended", "origin.mid-suspended.img", "cow.mid-suspended.img",
	  "mid-suspended.kernel-reload" },
	{ "mid-crash", "origin.mid-crash.img", "cow.mid-crash.img", "mid-crash.kernel-reload" },
	{ "mid-crash-precommit", "origin.mid-crash-precommit.img", "cow.mid-crash-precommit.img",
	  "mid-crash-precommit.kernel-reload" },
	{ "crash", "origin.crash.img", "cow.crash.img", "crash.snap" },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct pair {
	struct image origin;
	struct image cow;
	struct uds_io *origin_io;
	struct uds_io *cow_io;
	struct uds_snapshot *snapshot;
};

static char vector_name[64];

static json_t *manifest(const char *vector, const char *name)
{
	char path[600];
	json_error_t error;
	json_t *json;

	snprintf(path, sizeof(path), "%s/snapshot/%s/%s", vectors_dir(), vector, name);
	json = json_load_file(path, 0, &error);
	ck_assert_msg(json != NULL, "%s: %s", path, error.text);
	snprintf(vector_name, sizeof(vector_name), "%s", vector);
	return json;
}

static const char *text_of(const json_t *json, const char *a, const char *b)
{
	return json_string_value(json_object_get(json_object_get(json, a), b));
}

static bool pair_load(struct pair *pair, const char *vector, const char *origin, const char *cow)
{
	memset(pair, 0, sizeof(*pair));
	pair->origin = image_load(vector, origin);
	pair->cow = image_load(vector, cow);
	if (pair->origin.bytes != NULL && pair->cow.bytes != NULL)
		return true;
	image_free(&pair->origin);
	image_free(&pair->cow);
	return false;
}

static void pair_open(struct pair *pair, uint32_t block_bytes,
		      const struct uds_snapshot_options *options)
{
	struct uds_message message = { "" };
	int r;

	pair->origin_io = image_io(&pair->origin, block_bytes);
	pair->cow_io = image_io(&pair->cow, block_bytes);
	r = uds_snapshot_open(pair->origin_io, pair->cow_io, options, &message, &pair->snapshot);
	ck_assert_msg(r == 0, "%s: %s", vector_name, message.text);
}

static void pair_close(struct pair *pair)
{
	ck_assert_int_eq(uds_snapshot_close(pair->snapshot), 0);
	uds_io_close(pair->origin_io);
	uds_io_close(pair->cow_io);
	pair->snapshot = NULL;
}

static void pair_free(struct pair *pair)
{
	image_free(&pair->origin);
	image_free(&pair->cow);
}

static struct uds_exception_store_status store_status(struct uds_snapshot *snapshot)
{
	struct uds_exception_store_status status;

	status.size = sizeof(status);
	ck_assert_int_eq(uds_exception_store_get_status(uds_snapshot_store(snapshot), &status), 0);
	return status;
}

static void check_io(struct uds_io *io, const struct image *expected, const char *what)
{
	struct image got = io_image(io);
	char text[200];

	snprintf(text, sizeof(text), "%s: %s", vector_name, what);
	check_same(&got, expected, text);
	image_free(&got);
}

/*
 * Views that were hashed. All states of a vector have the same one, and to compare its bytes costs
 * much less than to hash them.
 */
static struct hashed {
	uint8_t *bytes; /* NULL: none yet */
	size_t size;
	char hex[65];
} hashed[COUNT(vectors)];

/* Takes @view over. */
static const char *hash_view(uint8_t *view, size_t size)
{
	struct hashed *h = hashed;

	for (; h < hashed + COUNT(vectors) - 1 && h->bytes != NULL; h++) {
		if (size == h->size && memcmp(view, h->bytes, size) == 0) {
			free(view);
			return h->hex;
		}
	}
	free(h->bytes); /* the last one is kept for what fits nowhere else */
	*h = (struct hashed){ view, size, "" };
	sha256_hex(view, size, h->hex);
	return h->hex;
}

static void check_view(struct uds_snapshot *snapshot, const char *expected, const char *what)
{
	size_t size = (size_t)uds_snapshot_size(snapshot);
	uint8_t *view = malloc(size);
	const char *hex;

	ck_assert_int_eq(uds_snapshot_read(snapshot, view, size, 0), 0);
	hex = hash_view(view, size);
	ck_assert_msg(strcmp(hex, expected) == 0, "%s: %s: view %s, expected %s", vector_name, what,
		      hex, expected);
}

static void check_number(const json_t *expected, const char *key, uint64_t got)
{
	json_t *number = json_object_get(expected, key);

	if (json_is_integer(number))
		ck_assert_msg((uint64_t)json_integer_value(number) == got,
			      "%s: %s: %llu, expected %llu", vector_name, key,
			      (unsigned long long)got,
			      (unsigned long long)json_integer_value(number));
}

static void check_state(const json_t *json, size_t i)
{
	const json_t *expected = json_object_get(json_object_get(json, "expected"), states[i].name);
	const char *view = json_string_value(json_object_get(expected, "snapshot_view_sha256"));
	const char *line = text_of(json, "status", states[i].line);
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_exception_store_status status;
	char got[80];
	struct pair pair;

	if (expected == NULL || !pair_load(&pair, vector_name, states[i].origin, states[i].cow))
		return;
	options.read_only = true;
	pair_open(&pair, 512, &options);
	status = store_status(pair.snapshot);
	check_number(expected, "exceptions", status.exceptions);
	check_number(expected, "header_valid", status.valid);
	if (status.valid) {
		check_number(expected, "current_area", status.current_area);
		check_number(expected, "committed_in_area", status.committed);
		check_number(expected, "next_free", status.next_free);
		check_view(pair.snapshot, view, states[i].name);
	}
	ck_assert_int_eq(uds_snapshot_status_line(pair.snapshot, got, sizeof(got)), 0);
	if (line != NULL)
		ck_assert_str_eq(got, strstr(line, "snapshot ") + strlen("snapshot "));
	check_io(pair.cow_io, &pair.cow, "unchanged by reading");
	pair_close(&pair);
	pair_free(&pair);
}

START_TEST(figures_and_view_are_those_of_the_kernel)
{
	if (vectors_dir() == NULL)
		skip_test("figures_and_view_are_those_of_the_kernel: no vectors");
	for (size_t v = 0; v < COUNT(vectors); v++) {
		json_t *json = manifest(vectors[v], "manifest.json");

		for (size_t i = 0; i < COUNT(states); i++)
			check_state(json, i);
		json_decref(json);
	}
}
END_TEST

static uint64_t chunk_length(const struct pair *pair, uint64_t chunk_bytes, uint64_t old_chunk,
			     uint64_t count)
{
	uint64_t left = pair->origin.size - old_chunk * chunk_bytes;

	return left < count * chunk_bytes ? left : count * chunk_bytes;
}

static void copy_run(struct pair *pair, uint64_t chunk_bytes, uint64_t old_chunk,
		     uint64_t new_chunk, uint64_t count)
{
	size_t length = (size_t)chunk_length(pair, chunk_bytes, old_chunk, count);
	uint8_t *buffer = aligned_alloc(4096, (length + 4095) / 4096 * 4096);

	ck_assert_int_eq(uds_io_read(pair->cow_io, buffer, length, new_chunk * chunk_bytes), 0);
	ck_assert_int_eq(uds_io_write(pair->origin_io, buffer, length, old_chunk * chunk_bytes), 0);
	free(buffer);
}

/* As the kernel merges: run by run. */
static void merge_by_runs(struct pair *pair)
{
	struct uds_exception_store *store = uds_snapshot_store(pair->snapshot);
	uint64_t chunk_bytes = uds_exception_store_chunk_bytes(store), count;
	struct uds_exception last;

	for (;;) {
		ck_assert_int_eq(uds_exception_store_prepare_merge(store, &last, &count), 0);
		if (count == 0)
			break;
		copy_run(pair, chunk_bytes, last.old_chunk - count + 1, last.new_chunk - count + 1,
			 count);
		ck_assert_int_eq(uds_exception_store_commit_merge(store, count + 1),
				 UDS_ERR_BAD_STATE);
		ck_assert_int_eq(uds_exception_store_commit_merge(store, count), 0);
	}
}

/* Batches of at most 100: some end in the middle of an area. */
static void merge_by_batches(struct pair *pair)
{
	struct uds_exception_store *store = uds_snapshot_store(pair->snapshot);
	uint64_t chunk_bytes = uds_exception_store_chunk_bytes(store);
	struct uds_exception batch[100];
	bool hidden[100];
	size_t count;

	for (;;) {
		ck_assert_int_eq(
			uds_exception_store_prepare_merge_batch(store, batch, hidden, 100, &count),
			0);
		if (count == 0)
			break;
		for (size_t i = 0; i < count; i++) {
			if (!hidden[i])
				copy_run(pair, chunk_bytes, batch[i].old_chunk, batch[i].new_chunk,
					 1);
		}
		ck_assert_int_eq(uds_exception_store_commit_merge(store, count), 0);
	}
}

static void merge_by_device(struct pair *pair)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = { .size = sizeof(result) };

	ck_assert_int_eq(uds_snapshot_merge(pair->snapshot, &options, &result), 0);
	ck_assert_uint_eq(result.remaining, 0);
}

/* Small rounds, and stopped after every 7 entries. */
static void merge_by_pieces(struct pair *pair)
{
	struct uds_merge_options options = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = { .size = sizeof(result) };

	options.limit = 7;
	options.round_bytes = 3 * 512;
	do {
		uint64_t before = store_status(pair->snapshot).exceptions;

		ck_assert_int_eq(uds_snapshot_merge(pair->snapshot, &options, &result), 0);
		ck_assert_uint_eq(result.exceptions, before < 7 ? before : 7);
		ck_assert_uint_eq(result.remaining, before - result.exceptions);
	} while (result.remaining > 0);
}

static void (*const mergers[])(struct pair *) = { merge_by_runs, merge_by_batches, merge_by_device,
						  merge_by_pieces };

static void check_merges(const json_t *json, size_t state, size_t merger)
{
	const char *view = json_string_value(json_object_get(
		json_object_get(json_object_get(json, "expected"), states[state].name),
		"snapshot_view_sha256"));
	struct pair pair, merged;
	char line[80];

	if (view == NULL || !pair_load(&pair, vector_name, states[state].origin, states[state].cow))
		return;
	ck_assert(pair_load(&merged, vector_name, "origin.merged.img", "cow.merged.img"));
	pair_open(&pair, merger % 2 == 0 ? 1 : 512, NULL);
	mergers[merger](&pair);
	check_view(pair.snapshot, view, "after the merge");
	check_io(pair.origin_io, &merged.origin, "origin after the merge");
	check_io(pair.cow_io, &merged.cow, "COW device after the merge");
	uds_exception_store_status_line(uds_snapshot_store(pair.snapshot), line, sizeof(line));
	ck_assert_str_eq(line, strstr(text_of(json, "status",
					      text_of(json, "status", "crash-merged.merge") != NULL
						      ? "crash-merged.merge"
						      : "filled-merged.merge"),
				      "merge ") +
				       6);
	pair_close(&pair);
	pair_free(&pair);
	pair_free(&merged);
}

START_TEST(merging_gives_the_kernels_images_from_every_state)
{
	if (vectors_dir() == NULL)
		skip_test("merging_gives_the_kernels_images_from_every_state: no vectors");
	for (size_t v = 0; v < COUNT(vectors); v++) {
		json_t *json = manifest(vectors[v], "manifest.json");

		for (size_t i = (v + (size_t)_i) % test_step(); i < COUNT(states); i += test_step())
			check_merges(json, i, (size_t)_i);
		json_decref(json);
	}
}
END_TEST

static void play_file(struct pair *pair, const char *file, bool to_origin)
{
	unsigned long long sector, count;
	char path[600];
	uint32_t tag;
	FILE *f;

	snprintf(path, sizeof(path), "%s/snapshot/%s/%s", vectors_dir(), vector_name, file);
	f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	while (fscanf(f, "%llu %llu %u", &sector, &count, &tag) == 3) {
		uint8_t *data = aligned_alloc(4096, (count * 512 + 4095) / 4096 * 4096);

		fill_pattern(data, sector, count, tag);
		/* Failing is right where the store overflows: the images tell. */
		if (to_origin)
			ck_assert_int_eq(uds_snapshot_origin_write(pair->snapshot, data,
								   count * 512, sector * 512),
					 0);
		else
			(void)uds_snapshot_write(pair->snapshot, data, count * 512, sector * 512);
		free(data);
	}
	fclose(f);
}

static void check_replay(const json_t *json, uint32_t block_bytes)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	const json_t *geometry = json_object_get(json, "geometry");
	const char *line = text_of(json, "status", "filled.snap");
	struct pair pair, after;
	const json_t *file;
	char got[80];
	size_t i;

	create.chunk_bytes =
		512 * (uint64_t)json_integer_value(json_object_get(geometry, "chunk_sectors"));
	options.keep_on_overflow = strstr(text_of(json, "table", "snapshot"), " PO ") != NULL;
	ck_assert(pair_load(&after, vector_name, "origin.after.img", "cow.img"));
	pair.origin = image_load(vector_name, "origin.before.img");
	pair.cow.size = after.cow.size;
	pair.cow.bytes = calloc(1, pair.cow.size);
	pair.origin_io = image_io(&pair.origin, block_bytes);
	pair.cow_io = image_io(&pair.cow, block_bytes);
	ck_assert_int_eq(uds_exception_store_format(pair.cow_io, &create, NULL), 0);
	ck_assert_int_eq(
		uds_snapshot_open(pair.origin_io, pair.cow_io, &options, NULL, &pair.snapshot), 0);
	json_array_foreach(json_object_get(json, "writes"), i, file) play_file(
		&pair, json_string_value(json_object_get(file, "file")),
		strcmp(json_string_value(json_object_get(file, "target")), "snapshot-origin") == 0);
	check_io(pair.origin_io, &after.origin, "origin after the writes");
	check_io(pair.cow_io, &after.cow, "COW device after the writes");
	ck_assert_int_eq(uds_snapshot_status_line(pair.snapshot, got, sizeof(got)), 0);
	ck_assert_str_eq(got, strstr(line, "snapshot ") + strlen("snapshot "));
	pair_close(&pair);
	pair_free(&pair);
	pair_free(&after);
}

START_TEST(writing_gives_the_kernels_images)
{
	if (vectors_dir() == NULL)
		skip_test("writing_gives_the_kernels_images: no vectors");
	for (size_t v = 0; v < COUNT(vectors); v++) {
		json_t *json = manifest(vectors[v], "manifest.json");

		/* The order of the crash vector's 32 writers is not known. */
		if (strcmp(vectors[v], "c8-crash-writes") != 0) {
			check_replay(json, 512);
			check_replay(json, 1);
		}
		json_decref(json);
	}
}
END_TEST

struct prefix {
	struct uds_exception *all;
	size_t count;
	size_t at;
};

static int collect(void *context, uint64_t area, uint64_t index, const struct uds_exception *e)
{
	struct prefix *p = context;

	(void)area;
	(void)index;
	p->all = realloc(p->all, (p->count + 1) * sizeof(*e));
	p->all[p->count++] = *e;
	return 0;
}

static int compare(void *context, uint64_t area, uint64_t index, const struct uds_exception *e)
{
	struct prefix *p = context;

	(void)area;
	(void)index;
	return p->at >= p->count || memcmp(&p->all[p->at++], e, sizeof(*e)) != 0;
}

START_TEST(middle_states_hold_a_prefix_of_the_list)
{
	if (vectors_dir() == NULL)
		skip_test("middle_states_hold_a_prefix_of_the_list: no vectors");
	for (size_t v = 0; v < COUNT(vectors); v++) {
		struct prefix prefix = { NULL, 0, 0 };
		struct pair pair;

		snprintf(vector_name, sizeof(vector_name), "%s", vectors[v]);
		if (!pair_load(&pair, vectors[v], "origin.after.img", "cow.img"))
			continue;
		pair_open(&pair, 1, NULL);
		ck_assert_int_eq(uds_exception_store_for_each_entry(
					 uds_snapshot_store(pair.snapshot), collect, &prefix),
				 0);
		pair_close(&pair);
		pair_free(&pair);
		for (size_t i = 2; i < 5; i++) {
			if (!pair_load(&pair, vectors[v], states[i].origin, states[i].cow))
				continue;
			prefix.at = 0;
			pair_open(&pair, 1, NULL);
			ck_assert_int_eq(
				uds_exception_store_for_each_entry(
					uds_snapshot_store(pair.snapshot), compare, &prefix),
				0);
			ck_assert_uint_eq(prefix.at, store_status(pair.snapshot).exceptions);
			pair_close(&pair);
			pair_free(&pair);
		}
		free(prefix.all);
	}
}
END_TEST

/* What the library says where the kernel refuses to load. */
static int expected_refusal(const char *name)
{
	if (strcmp(name, "badmagic") == 0)
		return UDS_ERR_NOT_A_SNAPSHOT;
	if (strcmp(name, "badversion") == 0)
		return UDS_ERR_UNSUPPORTED_VERSION;
	if (strcmp(name, "cs3") == 0 || strcmp(name, "cs0") == 0 ||
	    strcmp(name, "full-then-devend") == 0)
		return UDS_ERR_CORRUPT;
	return 0;
}

/* The table line: what a caller of the library would do with it. */
static void open_as_table_says(struct pair *pair, const json_t *test, const char *name)
{
	struct uds_exception_store_format_options create = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	const char *table = json_string_value(json_object_get(test, "snapshot_table"));
	const char *load = json_string_value(json_object_get(test, "load"));
	struct uds_message message = { "" };
	char kind[8];
	unsigned int sectors;
	int r = 0;

	ck_assert_int_eq(sscanf(strstr(table, "<cow> ") + 6, "%7s %u", kind, &sectors), 2);
	create.chunk_bytes = sectors * UINT64_C(512);
	create.force = true; /* only the magic is looked at */
	options.keep_on_overflow = (kind[1] | 0x20) == 'o';
	if (kind[0] == 'N')
		options.transient_chunk_bytes = create.chunk_bytes;
	else if (memcmp(pair->cow.bytes, "\0\0\0", 4) == 0 && strcmp(name, "PX") != 0)
		r = uds_exception_store_format(pair->cow_io, &create, &message);
	if (strcmp(name, "param24") == 0) {
		create.chunk_bytes = 24 * 512;
		ck_assert_int_eq(uds_exception_store_format(pair->cow_io, &create, &message), -22);
		return;
	}
	if (strcmp(name, "PX") == 0)
		return; /* an option that the library cannot be given */
	if (r == 0)
		r = uds_snapshot_open(pair->origin_io, pair->cow_io, &options, &message,
				      &pair->snapshot);
	ck_assert_msg((r == 0) == (strcmp(load, "ok") == 0), "%s: %s", name, message.text);
	ck_assert_msg(r == expected_refusal(name), "%s: %d", name, r);
	if (r < 0)
		ck_assert_str_ne(message.text, "");
}

static void check_case_view(struct pair *pair, const json_t *test, const char *name)
{
	const char *view = json_string_value(json_object_get(test, "view_sha256"));
	const char *read = json_string_value(json_object_get(test, "view_read"));
	uint8_t *buffer = malloc(pair->origin.size);

	if (view != NULL)
		check_view(pair->snapshot, view, name);
	if (read != NULL)
		ck_assert_int_lt(uds_snapshot_read(pair->snapshot, buffer, pair->origin.size, 0),
				 0);
	free(buffer);
}

static void check_case_merge(struct pair *pair, const json_t *test, const char *name)
{
	const char *status = json_string_value(json_object_get(test, "status_after_merge"));
	const char *origin = json_string_value(json_object_get(test, "origin_after_merge_sha256"));
	struct image got;
	char line[80];
	char hex[65];

	if (status == NULL)
		return;
	ck_assert_int_eq(uds_snapshot_merge(pair->snapshot, NULL, NULL), 0);
	ck_assert_int_eq(uds_snapshot_status_line(pair->snapshot, line, sizeof(line)), 0);
	ck_assert_str_eq(line, status);
	got = io_image(pair->origin_io);
	sha256_hex(got.bytes, got.size, hex);
	ck_assert_msg(strcmp(hex, origin) == 0, "%s", name);
	image_free(&got);
}

static void check_case(const json_t *test, const struct image *origin)
{
	const char *name = json_string_value(json_object_get(test, "name"));
	const char *status = json_string_value(json_object_get(test, "status"));
	char file[100], line[80];
	struct pair pair = { .origin = *origin };

	snprintf(file, sizeof(file), "%s.cow.img", name);
	pair.cow = image_load("header-and-synthetic", file);
	ck_assert_ptr_nonnull(pair.cow.bytes);
	pair.origin_io = image_io(&pair.origin, 512);
	pair.cow_io = image_io(&pair.cow, 512);
	open_as_table_says(&pair, test, name);
	if (pair.snapshot != NULL) {
		ck_assert_int_eq(uds_snapshot_status_line(pair.snapshot, line, sizeof(line)), 0);
		ck_assert_msg(strcmp(line, status) == 0, "%s: %s, expected %s", name, line, status);
		check_case_view(&pair, test, name);
		check_case_merge(&pair, test, name);
	}
	pair_close(&pair);
	image_free(&pair.cow);
}

START_TEST(all_synthetic_cases_end_as_in_the_kernel)
{
	struct image origin;
	json_t *json, *test;
	size_t i;

	if (vectors_dir() == NULL)
		skip_test("all_synthetic_cases_end_as_in_the_kernel: no vectors");
	json = manifest("header-and-synthetic", "cases.json");
	origin = image_load("header-and-synthetic", "origin.img");
	json_array_foreach(json_object_get(json, "cases"), i, test) check_case(test, &origin);
	ck_assert_uint_eq(i, 24);
	image_free(&origin);
	json_decref(json);
}
END_TEST

/* D15, with the kernel's own hazard at hand. */
START_TEST(stale_tail_of_the_vector_does_not_come_back)
{
	struct uds_exception_store_status status;
	struct pair pair = { .snapshot = NULL };
	struct image cow;
	uint8_t data[512];

	if (vectors_dir() == NULL)
		skip_test("stale_tail_of_the_vector_does_not_come_back: no vectors");
	pair.cow = image_load("stale-tail", "cow.img");
	pair.origin.size = 512 * 512;
	pair.origin.bytes = malloc(pair.origin.size);
	fill_pattern(pair.origin.bytes, 0, 512, 1);
	pair_open(&pair, 512, NULL);
	ck_assert_uint_eq(store_status(pair.snapshot).exceptions, 10);
	ck_assert_uint_eq(store_status(pair.snapshot).stale_entries, 9);
	fill_pattern(data, 300, 1, 5);
	ck_assert_int_eq(uds_snapshot_write(pair.snapshot, data, 512, 300 * 512), 0);
	ck_assert_uint_eq(store_status(pair.snapshot).exceptions, 11);
	cow = io_image(pair.cow_io);
	pair_close(&pair);
	for (size_t i = 512 + 11 * 16; i < 1024; i++)
		ck_assert_uint_eq(cow.bytes[i], 0);
	image_free(&pair.cow);
	pair.cow = cow;
	pair_open(&pair, 512, NULL);
	status = store_status(pair.snapshot);
	ck_assert_uint_eq(status.exceptions, 11);
	ck_assert_uint_eq(status.stale_entries, 0);
	pair_close(&pair);
	pair_free(&pair);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("snapshot vectors");
	TCase *tc = tcase_create("vectors");

	tcase_add_test(tc, figures_and_view_are_those_of_the_kernel);
	tcase_add_loop_test(tc, merging_gives_the_kernels_images_from_every_state, 0,
			    (int)COUNT(mergers));
	tcase_add_test(tc, writing_gives_the_kernels_images);
	tcase_add_test(tc, middle_states_hold_a_prefix_of_the_list);
	tcase_add_test(tc, all_synthetic_cases_end_as_in_the_kernel);
	tcase_add_test(tc, stale_tail_of_the_vector_does_not_come_back);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
