/* SPDX-License-Identifier: BSD-2-Clause */
/* Shards in memory. */
#include "fixture.h"

#include <errno.h>
#include <string.h>

#include "check_main.h"
#include "names.h"

#define SEED 77

static int load(void *context, void *ret_bytes, size_t room, size_t *ret_length)
{
	struct shards_fixture *f = context;

	if (f->length == 0)
		return -ENOENT;
	memcpy(ret_bytes, f->text, f->length < room ? f->length : room);
	*ret_length = f->length;
	return 0;
}

static int replace(void *context, const void *bytes, size_t length)
{
	struct shards_fixture *f = context;
	int r = f->fail_replace;

	ck_assert_uint_le(length, sizeof(f->text));
	f->fail_replace = 0;
	if (r == 0 || f->fail_happens) {
		memcpy(f->text, bytes, length);
		f->length = length;
		f->replaced++;
	}
	if (f->after_replace != NULL)
		f->after_replace(f);
	return r;
}

static int open_io(void *context, const char *uri, bool write, const struct uds_env *env,
		   struct uds_message *message, struct uds_io **ret_io)
{
	struct shards_fixture *f = context;
	unsigned int number = (unsigned int)(uri[0] - '0');
	struct uds_io *below;
	int r;

	(void)write;
	(void)env;
	if (strlen(uri) != 1 || number >= FIXTURE_SHARDS) {
		strcpy(message->text, "there is no such device");
		return -ENOENT;
	}
	r = uds_crash_log_open(f->log, number, message, &below);
	return r < 0 ? r : fault_io_open(&f->plans[number], below, NULL, ret_io);
}

static void set_up(struct shards_fixture *f)
{
	static const struct uds_shards_options options = UDS_SHARDS_OPTIONS_INIT;
	static const struct uds_manifest_store store = UDS_MANIFEST_STORE_INIT;

	for (unsigned int i = 0; i < FIXTURE_SHARDS; i++)
		fault_plan_start(&f->plans[i]);
	f->store = store;
	f->store.context = f;
	f->store.load = load;
	f->store.replace = replace;
	f->options = options;
	f->options.store = &f->store;
	f->options.open_io = open_io;
	f->options.open_context = f;
}

void fixture_format_shard(struct shards_fixture *f, unsigned int number, uint8_t seed)
{
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;
	uint8_t nonce_data[32] = { seed, 1, 2, 3 };
	struct uds_io *io = crash_open(f->log, number);

	options.nonce_data = nonce_data;
	options.no_extras = !f->shape.extras;
	ck_assert_int_eq(uds_io_resize(io, f->shape.bytes), 0);
	ck_assert_int_eq(uds_index_format(io, &f->shape.configuration, &options, &f->message), 0);
	ck_assert_int_eq(uds_io_close(io), 0);
}

void fixture_start(struct shards_fixture *f, uint32_t chapters, bool extras)
{
	memset(f, 0, sizeof(*f));
	small_index_shape(1, chapters, &f->shape);
	if (extras)
		small_index_add_extras(&f->shape);
	f->log = crash_log();
	for (unsigned int i = 0; i < FIXTURE_SHARDS; i++)
		crash_add(f->log, NULL, f->shape.bytes, 1);
	set_up(f);
	for (unsigned int i = 0; i < FIXTURE_SHARDS; i++)
		fixture_format_shard(f, i, (uint8_t)(100 + i));
}

void fixture_start_after(struct shards_fixture *f, const struct shards_fixture *before,
			 struct uds_crash_log *log, const char *text, size_t length)
{
	memset(f, 0, sizeof(*f));
	f->shape = before->shape;
	f->log = log;
	set_up(f);
	f->options.no_threads = before->options.no_threads;
	f->options.index = before->options.index;
	memcpy(f->text, text, length);
	f->length = length;
}

void fixture_close(struct shards_fixture *f)
{
	ck_assert_int_eq(uds_shards_close(f->shards), 0);
	f->shards = NULL;
}

void fixture_end(struct shards_fixture *f)
{
	fixture_close(f);
	uds_crash_log_free(f->log);
	for (unsigned int i = 0; i < FIXTURE_SHARDS; i++)
		fault_plan_end(&f->plans[i]);
}

int fixture_format(struct shards_fixture *f, unsigned int count)
{
	static const char *const uris[] = { "0", "1", "2", "3", "4", "5" };

	return uds_shards_format("the manifest", uris, count, &f->options, &f->message);
}

int fixture_open(struct shards_fixture *f)
{
	f->message.text[0] = '\0';
	return uds_shards_open("the manifest", &f->options, &f->message, &f->shards);
}

void fixture_make(struct shards_fixture *f, unsigned int count)
{
	int r = fixture_format(f, count);

	ck_assert_msg(r == 0, "%d: %s", r, f->message.text);
	r = fixture_open(f);
	ck_assert_msg(r == 0, "%d: %s", r, f->message.text);
}

int fixture_do(struct shards_fixture *f, enum uds_request_kind kind, uint64_t name,
	       uint32_t version, struct uds_request *ret_request)
{
	memset(ret_request, 0, sizeof(*ret_request));
	make_name(SEED, name, &ret_request->name);
	make_data('s', name, version, &ret_request->new_data);
	ret_request->kind = (uint8_t)kind;
	return uds_shards_run(f->shards, ret_request, 1);
}

uint32_t fixture_version(struct shards_fixture *f, uint64_t name)
{
	struct uds_request request;

	ck_assert_int_eq(fixture_do(f, UDS_PEEK, name, 0, &request), 0);
	if (!request.found)
		return 0;
	ck_assert_uint_eq(get_le64(request.old_data.bytes), name);
	return get_le32(request.old_data.bytes + 8);
}
