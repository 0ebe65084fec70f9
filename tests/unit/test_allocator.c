/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A caller's allocator sees all memory: while calls of the library run, nothing takes memory from
 * the C library's allocator behind it, and everything is given back in the end.
 *
 * This program's malloc() and its like count who calls them. Not counted is what a loader or a
 * library below takes for its own: the thread-local memory of a new thread, liburing.
 */
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uds/engine.h>
#include <uds/index.h>
#include <uds/snapshot.h>

#include "base/sort.h"
#include "check_main.h"
#include "loop_device.h"
#include "sanitizer.h"
#include "sanitizer.h"

#if defined(__GLIBC__) && !SANITIZED
#define CAN_WATCH 1
#else
#define CAN_WATCH 0
#endif

static atomic_bool watching;
static atomic_uint behind; /* calls behind the caller's allocator */
static atomic_uintptr_t first_caller;

#if CAN_WATCH
struct object {
	uintptr_t address;
	bool ours; /* this program, or the C library on its behalf */
};

static int find_object(struct dl_phdr_info *info, size_t size, void *context)
{
	struct object *object = context;

	(void)size;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;

		if (info->dlpi_phdr[i].p_type == PT_LOAD && object->address >= start &&
		    object->address - start < info->dlpi_phdr[i].p_memsz) {
			object->ours = info->dlpi_name[0] == '\0' ||
				       strstr(info->dlpi_name, "/libc.so") != NULL ||
				       strstr(info->dlpi_name, "/libc-") != NULL;
			return 1;
		}
	}
	return 0;
}

static void note_call(const void *caller)
{
	struct object object = { (uintptr_t)caller, false };
	uintptr_t none = 0;

	if (!atomic_load(&watching))
		return;
	dl_iterate_phdr(find_object, &object);
	if (!object.ours)
		return;
	atomic_fetch_add(&behind, 1);
	atomic_compare_exchange_strong(&first_caller, &none, object.address);
}

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes)
{
	note_call(__builtin_return_address(0));
	return __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
	note_call(__builtin_return_address(0));
	return __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
	note_call(__builtin_return_address(0));
	return __libc_realloc(memory, bytes);
}

void *memalign(size_t alignment, size_t bytes)
{
	note_call(__builtin_return_address(0));
	return __libc_memalign(alignment, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	note_call(__builtin_return_address(0));
	return __libc_memalign(alignment, bytes);
}

int posix_memalign(void **ret_memory, size_t alignment, size_t bytes)
{
	note_call(__builtin_return_address(0));
	*ret_memory = __libc_memalign(alignment, bytes);
	return *ret_memory == NULL ? 12 : 0;
}
#endif

/* ---- the caller's allocator ---- */

static atomic_int live;
static atomic_uint taken;

static void *take(void *context, size_t bytes, size_t alignment)
{
	void *memory;

	(void)context;
	if (alignment < sizeof(void *))
		alignment = sizeof(void *);
#if CAN_WATCH
	memory = __libc_memalign(alignment, bytes);
#else
	memory = aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
#endif
	if (memory != NULL) {
		atomic_fetch_add(&live, 1);
		atomic_fetch_add(&taken, 1);
	}
	return memory;
}

static void give_back(void *context, void *memory)
{
	(void)context;
	atomic_fetch_sub(&live, 1);
	free(memory);
}

static struct uds_env env;

static void start(void)
{
	const struct uds_env none = UDS_ENV_INIT;

	env = none;
	env.allocate = take;
	env.release = give_back;
	live = 0;
	taken = 0;
	behind = 0;
	first_caller = 0;
	watching = true;
}

static void finish(void)
{
	watching = false;
	ck_assert_msg(behind == 0, "%u calls behind the caller's allocator, the first from %#lx",
		      behind, (unsigned long)first_caller);
	ck_assert_uint_gt(taken, 10);
	ck_assert_int_eq(live, 0);
}

/* ---- what is watched ---- */

/* A library call that must succeed. */
#define CALL(call)                                                               \
	do {                                                                     \
		int status_ = (call);                                            \
		if (status_ < 0) {                                               \
			watching = false;                                        \
			ck_abort_msg("%s: %d %s", #call, status_, message.text); \
		}                                                                \
	} while (0)

static struct uds_message message;

static struct uds_record_name name_of(uint64_t i)
{
	struct uds_record_name name;

	for (unsigned int b = 0; b < sizeof(name.bytes); b++) {
		i = i * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		name.bytes[b] = (uint8_t)(i >> 56);
	}
	return name;
}

static void post_many(struct uds_index *index, uint64_t first, uint64_t count)
{
	struct uds_request requests[16];

	for (uint64_t i = 0; i < count; i += 16) {
		memset(requests, 0, sizeof(requests));
		for (unsigned int k = 0; k < 16; k++) {
			requests[k].name = name_of(first + i + k);
			requests[k].kind = k % 5 == 4 ? UDS_QUERY : UDS_POST;
		}
		CALL(uds_index_run(index, requests, 16));
	}
}

static int ignore_record(void *context, const struct uds_record_name *name,
			 const struct uds_record_data *data)
{
	(void)context, (void)name, (void)data;
	return 0;
}

static int ignore_finding(void *context, const char *sentence)
{
	(void)context, (void)sentence;
	return 0;
}

static void verify(struct uds_io *io)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;
	uint64_t findings;

	options.env = &env;
	CALL(uds_index_verify(io, &options, ignore_finding, NULL, &message, &findings));
}

static void open_index(struct uds_io *io, enum uds_index_mode mode, struct uds_index **ret_index)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;

	options.env = &env;
	options.zones = 2;
	options.mode = mode;
	CALL(uds_index_open(io, &options, &message, ret_index));
}

START_TEST(an_index_takes_memory_from_the_callers_allocator_only)
{
	struct uds_configuration configuration = UDS_CONFIGURATION_INIT;
	struct uds_index_format_options format = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_index *index = NULL;
	struct uds_io *io = NULL;

	if (!CAN_WATCH)
		skip_test("the sanitizers or this C library have an allocator of their own");
	configuration.page_bytes = 4096;
	configuration.record_pages_per_chapter = 2;
	configuration.chapters_per_volume = 12;
	configuration.sparse_chapters_per_volume = _i == 0 ? 0 : 8;
	configuration.sparse_sample_rate = _i == 0 ? 0 : 4;
	format.env = &env;
	start();
	CALL(uds_io_open_memory(0, 1, &env, NULL, &io));
	CALL(uds_index_format(io, &configuration, &format, &message));
	open_index(io, UDS_INDEX_LOAD_OR_RECOVER, &index);
	post_many(index, 0, 6000);
	post_many(index, 3000, 3000); /* again: some are found */
	CALL(uds_index_save(index));
	CALL(uds_index_for_each(index, ignore_record, NULL));
	CALL(uds_index_close(index));
	verify(io);
	open_index(io, UDS_INDEX_LOAD, &index);
	post_many(index, 9000, 1500);
	CALL(uds_index_flush(index));
	CALL(uds_index_close(index)); /* not saved */
	open_index(io, UDS_INDEX_LOAD_OR_RECOVER, &index);
	CALL(uds_index_save(index));
	CALL(uds_index_close(index));
	CALL(uds_io_close(io));
	finish();
}
END_TEST

START_TEST(a_snapshot_takes_memory_from_the_callers_allocator_only)
{
	struct uds_exception_store_format_options format = UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT;
	struct uds_snapshot_options options = UDS_SNAPSHOT_OPTIONS_INIT;
	struct uds_merge_options merge = UDS_MERGE_OPTIONS_INIT;
	struct uds_merge_result result = { .size = sizeof(result) };
	struct uds_snapshot *snapshot = NULL;
	struct uds_io *origin = NULL, *cow = NULL;
	static uint8_t bytes[65536];

	if (!CAN_WATCH)
		skip_test("the sanitizers or this C library have an allocator of their own");
	format.env = &env;
	options.env = &env;
	start();
	CALL(uds_io_open_memory(4 << 20, 512, &env, NULL, &origin));
	CALL(uds_io_open_memory(8 << 20, 512, &env, NULL, &cow));
	CALL(uds_exception_store_format(cow, &format, &message));
	CALL(uds_snapshot_open(origin, cow, &options, &message, &snapshot));
	for (uint64_t i = 0; i < 60; i++)
		CALL(uds_snapshot_write(snapshot, bytes, 4096, i * 37 % 60 * 65536));
	CALL(uds_snapshot_close(snapshot));
	CALL(uds_snapshot_open(origin, cow, &options, &message, &snapshot));
	CALL(uds_snapshot_read(snapshot, bytes, sizeof(bytes), 65536));
	CALL(uds_snapshot_origin_write(snapshot, bytes, sizeof(bytes), 2 << 20));
	CALL(uds_snapshot_merge(snapshot, &merge, &result));
	CALL(uds_snapshot_close(snapshot));
	CALL(uds_io_close(origin));
	CALL(uds_io_close(cow));
	finish();
}
END_TEST

/* Opens @uri to write, uses it, and is refused where it is open already. */
static void use_what_is_opened(const char *uri)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	static uint8_t bytes[4096] __attribute__((aligned(4096)));
	struct uds_io_engine *engine = NULL;
	struct uds_io *io = NULL, *second = NULL;
	struct uds_io_place places[16];
	struct uds_io_request request = { .kind = UDS_IO_WRITE, .buffer = bytes, .length = 4096 };
	struct uds_io_request *one = &request, *done;
	size_t count;

	options.write = true;
	CALL(uds_io_open_uri(uri, &options, &env, &message, &io));
	CALL(uds_io_places(io, places, 16, &count));
	if (uds_io_open_uri(uri, &options, &env, &message, &second) != UDS_ERR_IN_USE) {
		watching = false;
		ck_abort_msg("opened twice");
	}
	CALL(uds_io_write(io, bytes, 4096, 4096));
	CALL(uds_io_engine_open(NULL, &env, &message, &engine));
	request.io = io;
	CALL(uds_io_engine_submit(engine, &one, 1));
	CALL(uds_io_engine_reap(engine, &done, 1, 1, -1));
	uds_io_engine_close(engine);
	CALL(uds_io_close(io));
}

START_TEST(opening_a_file_takes_memory_from_the_callers_allocator_only)
{
	static const char *const how[] = { "", "?uring=1", "?direct=auto" };
	char path[300], uri[400];
	FILE *file;

	if (!CAN_WATCH)
		skip_test("the sanitizers or this C library have an allocator of their own");
	snprintf(path, sizeof(path), "%s/file", scratch_dir());
	file = fopen(path, "w");
	ck_assert(file != NULL && ftruncate(fileno(file), 1 << 20) == 0 && fclose(file) == 0);
	start();
	for (size_t i = 0; i < 3; i++) {
		snprintf(uri, sizeof(uri), "file:%s%s", path, how[i]);
		use_what_is_opened(uri);
	}
	finish();
	unlink(path);
}
END_TEST

/* Also who uses a device is found out without memory behind the allocator. */
START_TEST(opening_a_device_takes_memory_from_the_callers_allocator_only)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	char path[300], uri[400], why[200];
	struct loop_device loop;
	struct uds_io *io;
	int r;

	if (!CAN_WATCH)
		skip_test("the sanitizers or this C library have an allocator of their own");
	snprintf(path, sizeof(path), "%s/image", scratch_dir());
	if (loop_attach(path, 1 << 20, 512, false, &loop, why, sizeof(why)) < 0)
		skip_test("opening_a_device_takes_memory_from_the_callers_allocator_only: %s", why);
	start();
	for (size_t i = 0; i < 2; i++) {
		snprintf(uri, sizeof(uri), "file:%s?uring=%zu", loop.path, i);
		use_what_is_opened(uri);
	}
	options.write = true;
	r = uds_io_open_file(path, &options, &env, &message, &io);
	finish();
	ck_assert_int_eq(r, UDS_ERR_IN_USE);
	loop_detach(&loop);
	unlink(path);
}
END_TEST

static int compare_bytes(const void *a, const void *b)
{
	return *(const uint8_t *)a - *(const uint8_t *)b;
}

/* This test can see something: the C library's own calls are counted as well as direct ones. */
START_TEST(memory_taken_behind_the_allocator_is_noticed)
{
	char *copy, *volatile memory;
	uint8_t *elements;
	unsigned int direct;

	if (!CAN_WATCH)
		skip_test("the sanitizers or this C library have an allocator of their own");
	elements = calloc(1, 100000);
	start();
	memory = malloc(10);
	direct = behind;
	copy = strdup("through the C library");
	watching = false;
	free(memory);
	free(copy);
	ck_assert_uint_eq(direct, 1);
	ck_assert_uint_gt(behind, direct);
	start();
	sort_elements(elements, 1000, 100, compare_bytes);
	watching = false;
	ck_assert_uint_eq(behind, 0);
	free(elements);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("allocator");
	TCase *tc = tcase_create("allocator");

	tcase_add_loop_test(tc, an_index_takes_memory_from_the_callers_allocator_only, 0, 2);
	tcase_add_test(tc, a_snapshot_takes_memory_from_the_callers_allocator_only);
	tcase_add_test(tc, opening_a_file_takes_memory_from_the_callers_allocator_only);
	tcase_add_test(tc, opening_a_device_takes_memory_from_the_callers_allocator_only);
	tcase_add_test(tc, memory_taken_behind_the_allocator_is_noticed);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
