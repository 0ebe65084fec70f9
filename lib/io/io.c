/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The front of the I/O layer: checks what a caller asks against the limits of the backend and hands
 * it on. Writing zeroes is in zeroes.c, requests of engines are in request.c and engine.c, backends
 * in files of their own.
 */
#include "io/io.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "base/bits.h"
#include "base/env.h"
#include "base/message.h"
#include "base/run_part.h"
#include "base/struct_size.h"
#include "base/visibility.h"

#define RUN_UNIT 4096

static int check_ops(const struct uds_io_ops *ops, const char *name, struct uds_message *message)
{
	const char *missing = NULL;

	if (ops->read == NULL)
		missing = "read";
	else if (ops->flush == NULL)
		missing = "flush";
	else if (ops->get_size == NULL)
		missing = "get_size";
	if (missing != NULL)
		return failure(message, -EINVAL, "%s: the backend has no %s", name, missing);
	if (ops->reap != NULL && ops->submit == NULL)
		return failure(message, -EINVAL, "%s: the backend has a reap, and no submit", name);
	return 0;
}

/* Powers of two: everything in the library computes with masks. */
static int check_limits(const struct uds_io_limits *limits, struct uds_message *message)
{
	if (limits->name == NULL)
		return failure(message, -EINVAL,
			       "struct uds_io_limits: expected a name, found NULL");
	if (!is_power_of_two(limits->block_bytes))
		return failure(message, -EINVAL,
			       "%s: block_bytes: expected a power of two, found %" PRIu32,
			       limits->name, limits->block_bytes);
	if (!is_power_of_two(limits->memory_alignment))
		return failure(message, -EINVAL,
			       "%s: memory_alignment: expected a power of two, found %" PRIu32,
			       limits->name, limits->memory_alignment);
	if ((limits->preferred_bytes & (limits->block_bytes - 1)) != 0)
		return failure(message, -EINVAL,
			       "%s: preferred_bytes: expected a multiple of block_bytes (%" PRIu32
			       "), found %" PRIu64,
			       limits->name, limits->block_bytes, limits->preferred_bytes);
	return 0;
}

UDS_PUBLIC int uds_io_open_ops(const struct uds_io_ops *ops, void *context,
			       const struct uds_io_limits *limits, const struct uds_env *given_env,
			       struct uds_message *ret_message, struct uds_io **ret_io)
{
	struct uds_io_limits known = UDS_IO_LIMITS_INIT;
	struct uds_io *io;
	struct uds_env env;
	size_t name_bytes;
	int r = env_take(given_env, ret_message, &env);

	if (r == 0 && limits != NULL)
		r = STRUCT_IN(&known, limits, uds_io_limits, name, ret_message);
	if (r == 0)
		r = check_limits(&known, ret_message);
	if (r < 0)
		return r;
	if (ops == NULL)
		return failure(ret_message, -EINVAL, "%s: expected a struct uds_io_ops, found NULL",
			       known.name);
	io = env_allocate_zeroed(&env, 1, sizeof(*io));
	if (io == NULL)
		return failure(ret_message, -ENOMEM, "%s: %s", known.name, uds_strerror(-ENOMEM));
	/* Taken after the allocation, into the handle itself: the caller's struct need not stay. */
	r = STRUCT_IN(&io->ops, ops, uds_io_ops, reap, ret_message);
	if (r == 0)
		r = check_ops(&io->ops, known.name, ret_message);
	if (r < 0) {
		env_release(&env, io);
		return r;
	}
	name_bytes = strlen(known.name) + 1;
	io->name = env_allocate(&env, name_bytes, 1);
	if (io->name == NULL || failures_make(&env, &io->failures) < 0) {
		env_release(&env, io->name);
		env_release(&env, io);
		return failure(ret_message, -ENOMEM, "%s: %s", known.name, uds_strerror(-ENOMEM));
	}
	memcpy(io->name, known.name, name_bytes);
	io->env = env;
	io->context = context;
	io->block_bytes = known.block_bytes;
	io->memory_alignment = known.memory_alignment;
	/* Without a write function everything is refused before it gets to the backend. */
	io->read_only = known.read_only || io->ops.write == NULL;
	io->quick = known.quick;
	io->device_offset = known.device_offset;
	io->preferred_bytes = known.preferred_bytes;
	*ret_io = io;
	return 0;
}

UDS_PUBLIC int uds_io_close(struct uds_io *io)
{
	struct uds_env env;
	int r = 0;

	if (io == NULL)
		return 0;
	env = io->env;
	if (io->ops.close != NULL)
		r = io_status(io, "close", io->ops.close(io->context));
	/* After the backend, which stands on it. The first error is the one that is told. */
	if (io->close_owned != NULL) {
		int owned_status = io->close_owned(io->owned);

		r = r < 0 ? r : owned_status;
	}
	failures_free(io->failures);
	env_release(&env, io->name);
	env_release(&env, io);
	return r;
}

UDS_PUBLIC void uds_io_error_message(const struct uds_io *io, struct uds_message *ret_message)
{
	failures_get(io->failures, ret_message);
}

int io_check_transfer(const struct uds_io *io, enum uds_io_kind kind, const void *buffer,
		      uint64_t length, uint64_t offset)
{
	if (kind != UDS_IO_READ && io->read_only)
		return UDS_ERR_READ_ONLY;
	/* Length and offset in one test: they have to be multiples of the same block. */
	if (((offset | length) & (io->block_bytes - 1)) != 0 ||
	    ((uintptr_t)buffer & (io->memory_alignment - 1)) != 0)
		return UDS_ERR_UNALIGNED;
	/* off_t is signed; by subtraction, so that the sum cannot overflow. */
	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return UDS_ERR_OUT_OF_RANGE;
	return 0;
}

/* Whether a backend may say this. */
static bool is_backend_status(int said)
{
	/* Errnos end at 4095. Of the library's own, a backend may know these three by itself. */
	return said == 0 || (said < 0 && said > -4096) || said == UDS_ERR_READ_ONLY ||
	       said == UDS_ERR_UNALIGNED || said == UDS_ERR_OUT_OF_RANGE;
}

int io_status(const struct uds_io *io, const char *operation, int said)
{
	if (is_backend_status(said))
		return said;
	env_log(&io->env, UDS_LOG_ERROR,
		"%s: %s of the backend returned %d, which is not for it to return: taken for an "
		"I/O error",
		io->name, operation, said);
	return -EIO;
}

UDS_PUBLIC int uds_io_read(struct uds_io *io, void *buffer, size_t length, uint64_t offset)
{
	int r;

	failures_begin(io->failures);
	r = io_check_transfer(io, UDS_IO_READ, buffer, length, offset);
	if (r == 0 && length > 0)
		r = io_status(io, "read", io->ops.read(io->context, buffer, length, offset));
	return failures_end(io->failures, r, "%s: reading %zu bytes at %" PRIu64, io->name, length,
			    offset);
}

UDS_PUBLIC int uds_io_write(struct uds_io *io, const void *buffer, size_t length, uint64_t offset)
{
	int r;

	failures_begin(io->failures);
	r = io_check_transfer(io, UDS_IO_WRITE, buffer, length, offset);
	if (r == 0 && length > 0)
		r = io_status(io, "write", io->ops.write(io->context, buffer, length, offset));
	return failures_end(io->failures, r, "%s: writing %zu bytes at %" PRIu64, io->name, length,
			    offset);
}

UDS_PUBLIC int uds_io_flush(struct uds_io *io)
{
	int r;

	failures_begin(io->failures);
	/* Also for a read-only I/O: what other handles wrote to the same thing may be waiting. */
	r = io_status(io, "flush", io->ops.flush(io->context));
	return failures_end(io->failures, r, "%s: flushing", io->name);
}

UDS_PUBLIC int uds_io_size(const struct uds_io *io, uint64_t *ret_bytes)
{
	uint64_t bytes = 0;
	int r;

	failures_begin(io->failures);
	/* Into a variable of our own: a backend that fails must not have changed the caller's. */
	r = io_status(io, "get_size", io->ops.get_size(io->context, &bytes));
	if (r == 0)
		*ret_bytes = bytes;
	return failures_end(io->failures, r, "%s: asking for its size", io->name);
}

static int find_data(struct uds_io *io, uint64_t offset, uint64_t *begin, uint64_t *end)
{
	uint64_t bytes = 0;
	int r = io_status(io, "get_size", io->ops.get_size(io->context, &bytes));

	if (r < 0)
		return r;
	if (offset > bytes)
		return UDS_ERR_OUT_OF_RANGE;
	*begin = offset;
	*end = bytes;
	if (io->ops.find_data == NULL || offset == bytes)
		return 0;
	r = io_status(io, "find_data", io->ops.find_data(io->context, offset, begin, end));
	if (r == -EOPNOTSUPP) {
		*begin = offset;
		*end = bytes;
		return 0;
	}
	/*
	 * A backend that goes back, or finds nothing before the end, would keep its caller going
	 * round. (It may have become shorter or longer since it was asked.)
	 */
	if (r == 0 && (*begin < offset || *begin > *end || (*begin == *end && *begin < bytes)))
		return -EIO;
	return r;
}

UDS_PUBLIC int uds_io_find_data(struct uds_io *io, uint64_t offset, uint64_t *ret_begin,
				uint64_t *ret_end)
{
	uint64_t begin = 0, end = 0;
	int r;

	failures_begin(io->failures);
	r = find_data(io, offset, &begin, &end);
	if (r == 0) {
		*ret_begin = begin;
		*ret_end = end;
	}
	return failures_end(io->failures, r, "%s: looking for data at %" PRIu64, io->name, offset);
}

int io_discard(struct uds_io *io, uint64_t offset, uint64_t length)
{
	if (io->ops.discard == NULL)
		return -EOPNOTSUPP;
	if (io->read_only)
		return UDS_ERR_READ_ONLY;
	/* Whole blocks are not asked for: a backend discards those that lie in the range. */
	if (offset > INT64_MAX || length > INT64_MAX - offset)
		return UDS_ERR_OUT_OF_RANGE;
	return io_status(io, "discard", io->ops.discard(io->context, offset, length));
}

UDS_PUBLIC int uds_io_discard(struct uds_io *io, uint64_t offset, uint64_t length)
{
	failures_begin(io->failures);
	return failures_end(io->failures, io_discard(io, offset, length),
			    "%s: discarding %" PRIu64 " bytes at %" PRIu64, io->name, length,
			    offset);
}

static int resize(struct uds_io *io, uint64_t bytes)
{
	if (io->ops.resize == NULL)
		return -EOPNOTSUPP;
	if (io->read_only)
		return UDS_ERR_READ_ONLY;
	if ((bytes & (io->block_bytes - 1)) != 0)
		return UDS_ERR_UNALIGNED;
	return io_status(io, "resize", io->ops.resize(io->context, bytes));
}

UDS_PUBLIC int uds_io_resize(struct uds_io *io, uint64_t bytes)
{
	failures_begin(io->failures);
	return failures_end(io->failures, resize(io, bytes), "%s: resizing it to %" PRIu64 " bytes",
			    io->name, bytes);
}

UDS_PUBLIC int uds_io_map(struct uds_io *io, uint64_t offset, size_t length, const void **ret_view)
{
	int r = -EOPNOTSUPP;

	failures_begin(io->failures);
	if (io->ops.map != NULL)
		r = io_status(io, "map", io->ops.map(io->context, offset, length, ret_view));
	return failures_end(io->failures, r, "%s: mapping %zu bytes at %" PRIu64, io->name, length,
			    offset);
}

UDS_PUBLIC uint32_t uds_io_block_bytes(const struct uds_io *io)
{
	return io->block_bytes;
}

UDS_PUBLIC uint32_t uds_io_memory_alignment(const struct uds_io *io)
{
	return io->memory_alignment;
}

UDS_PUBLIC uint64_t uds_io_preferred_bytes(const struct uds_io *io)
{
	return io->preferred_bytes;
}

uint64_t io_run_part(const struct uds_io *io, uint64_t offset, uint64_t length, uint64_t most)
{
	uint64_t prefers = io->preferred_bytes;

	return run_part(offset, length, most, prefers % RUN_UNIT == 0 ? prefers : 0);
}

UDS_PUBLIC bool uds_io_is_read_only(const struct uds_io *io)
{
	return io->read_only;
}

UDS_PUBLIC const char *uds_io_name(const struct uds_io *io)
{
	return io->name;
}

void *io_allocate_buffer(const struct uds_io *io, const struct uds_env *env, uint64_t bytes)
{
	/* A page at least, whatever the backend says: good for O_DIRECT on any device. */
	return env_allocate_aligned(env, bytes,
				    io->memory_alignment > 4096 ? io->memory_alignment : 4096);
}

int io_read(struct uds_io *io, void *buffer, size_t length, uint64_t offset,
	    struct uds_message *message)
{
	int r = uds_io_read(io, buffer, length, offset);

	if (r < 0)
		return failure(message, r, "%s: reading %zu bytes at %" PRIu64 ": %s", io->name,
			       length, offset, uds_strerror(r));
	return 0;
}

int io_write(struct uds_io *io, const void *buffer, size_t length, uint64_t offset,
	     struct uds_message *message)
{
	int r = uds_io_write(io, buffer, length, offset);

	if (r < 0)
		return failure(message, r, "%s: writing %zu bytes at %" PRIu64 ": %s", io->name,
			       length, offset, uds_strerror(r));
	return 0;
}

int io_flush(struct uds_io *io, struct uds_message *message)
{
	int r = uds_io_flush(io);

	if (r < 0)
		return failure(message, r, "%s: flushing: %s", io->name, uds_strerror(r));
	return 0;
}
