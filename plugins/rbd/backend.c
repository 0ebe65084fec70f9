/* SPDX-License-Identifier: BSD-2-Clause */
/* The functions of the I/O vtable: each gives librbd a request, and waits for it or does not. */
#include <errno.h>
#include <string.h>

#include <uds/engine.h>

#include "base/env.h"
#include "rbd/find_data.h"
#include "rbd/image.h"

/* The longest discard or write of zeroes at once, which librbd takes on every machine. */
#define MOST_BYTES (UINT64_C(1) << 30)

/* ---- one request ---- */

struct operation {
	struct image *image;
	enum uds_io_kind kind;
	void *buffer; /* not changed by a write */
	uint64_t offset, length;
	struct uds_io_request *request; /* NULL: a thread waits for it */
};

static bool changes_bytes(enum uds_io_kind kind)
{
	return kind == UDS_IO_WRITE || kind == UDS_IO_DISCARD || kind == UDS_IO_WRITE_ZEROES;
}

/* What is known before the cluster is asked: 0, or why not. */
static int check(struct image *image, enum uds_io_kind kind, uint64_t offset, uint64_t length)
{
	uint64_t bytes;
	int r = 0;

	if (kind != UDS_IO_FLUSH)
		r = rbd_get_size(image->handle, &bytes);
	if (r == 0 && kind != UDS_IO_FLUSH && (offset > bytes || length > bytes - offset))
		return UDS_ERR_OUT_OF_RANGE;
	return r < 0 || kind == UDS_IO_READ ? r : lock_check(image);
}

/* What librbd said, as a status. */
static int status_of(struct image *image, enum uds_io_kind kind, uint64_t length, int64_t said)
{
	if (said == -ESHUTDOWN)
		return lock_lost(image, "Ceph keeps this client out");
	/* Without the lock it takes no writes. */
	if (said == -EROFS && changes_bytes(kind))
		return lock_lost(image, "it is not this client's any more");
	if (said < 0)
		return (int)said;
	/* The image has become shorter meanwhile. */
	return kind == UDS_IO_READ && (uint64_t)said < length ? UDS_ERR_OUT_OF_RANGE : 0;
}

static int begin(const struct operation *operation, rbd_completion_t completion)
{
	rbd_image_t handle = operation->image->handle;
	const uint64_t offset = operation->offset, length = operation->length;

	switch (operation->kind) {
	case UDS_IO_READ:
		return rbd_aio_read(handle, offset, (size_t)length, operation->buffer, completion);
	case UDS_IO_WRITE:
		return rbd_aio_write(handle, offset, (size_t)length, operation->buffer, completion);
	case UDS_IO_FLUSH:
		return rbd_aio_flush(handle, completion);
	case UDS_IO_DISCARD:
		return rbd_aio_discard(handle, offset, length, completion);
	case UDS_IO_WRITE_ZEROES:
		return rbd_aio_write_zeroes(handle, offset, (size_t)length, completion, 0, 0);
	}
	return -EINVAL;
}

/* Gives it to librbd, which ends it unless this fails. */
static int start(const struct operation *operation, rbd_callback_t done,
		 rbd_completion_t *ret_completion)
{
	struct image *image = operation->image;
	void *context = (void *)(uintptr_t)operation;
	int r = rbd_aio_create_completion(context, done, ret_completion);

	if (r < 0)
		return r;
	if (changes_bytes(operation->kind))
		extents_change(&image->extents);
	atomic_fetch_add(&image->begun, 1);
	r = begin(operation, *ret_completion);
	if (r >= 0)
		return 0;
	atomic_fetch_add(&image->ended, 1);
	rbd_aio_release(*ret_completion);
	return r;
}

/* ---- one that is waited for ---- */

static int run_once(struct image *image, enum uds_io_kind kind, void *buffer, uint64_t length,
		    uint64_t offset)
{
	const struct operation operation = { image, kind, buffer, offset, length, NULL };
	rbd_completion_t completion;
	int64_t said = start(&operation, NULL, &completion);

	if (said < 0)
		return status_of(image, kind, length, said);
	rbd_aio_wait_for_complete(completion);
	said = rbd_aio_get_return_value(completion);
	rbd_aio_release(completion);
	atomic_fetch_add(&image->ended, 1);
	return status_of(image, kind, length, said);
}

static int run(struct image *image, enum uds_io_kind kind, void *buffer, uint64_t length,
	       uint64_t offset)
{
	int r = check(image, kind, offset, length);

	return r < 0 ? r : run_once(image, kind, buffer, length, offset);
}

/* In pieces: no bytes have to be in memory for it, so it may be of any length. */
static int run_long(struct image *image, enum uds_io_kind kind, uint64_t offset, uint64_t length)
{
	int r = check(image, kind, offset, length);

	while (r == 0 && length > 0) {
		uint64_t piece = length < MOST_BYTES ? length : MOST_BYTES;

		r = run_once(image, kind, NULL, piece, offset);
		offset += piece;
		length -= piece;
	}
	return r;
}

static int rbd_backend_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	return run(context, UDS_IO_READ, buffer, length, offset);
}

static int rbd_backend_write(void *context, const void *buffer, size_t length, uint64_t offset)
{
	/* librbd only reads it. */
	return run(context, UDS_IO_WRITE, (void *)(uintptr_t)buffer, length, offset);
}

static int rbd_backend_flush(void *context)
{
	struct image *image = context;

	/*
	 * What was acknowledged is durable already where nothing caches; the image's own
	 * configuration may still have turned a cache on.
	 */
	return image->options.write ? run(image, UDS_IO_FLUSH, NULL, 0, 0) : 0;
}

static int rbd_backend_discard(void *context, uint64_t offset, uint64_t length)
{
	return run_long(context, UDS_IO_DISCARD, offset, length);
}

static int rbd_backend_write_zeroes(void *context, uint64_t offset, uint64_t length)
{
	return run_long(context, UDS_IO_WRITE_ZEROES, offset, length);
}

/* ---- the rest ---- */

static int rbd_backend_get_size(void *context, uint64_t *ret_bytes)
{
	struct image *image = context;

	return rbd_get_size(image->handle, ret_bytes);
}

/* librbd calls it when it makes an image shorter, without asking whether there is one. */
static int ignore_progress(uint64_t done, uint64_t total, void *context)
{
	(void)done, (void)total, (void)context;
	return 0;
}

static int rbd_backend_resize(void *context, uint64_t bytes)
{
	struct image *image = context;
	int r;

	if (!image->options.resize)
		return -EOPNOTSUPP;
	r = lock_check(image);
	if (r < 0)
		return r;
	extents_change(&image->extents);
	atomic_fetch_add(&image->begun, 1);
	r = rbd_resize2(image->handle, bytes, true, ignore_progress, NULL);
	atomic_fetch_add(&image->ended, 1);
	return status_of(image, UDS_IO_WRITE, 0, r);
}

static int rbd_backend_close(void *context)
{
	return image_close(context);
}

static int rbd_backend_identity(void *context, struct uds_io_place *ret_places, size_t room,
				size_t *ret_count)
{
	const struct image *image = context;

	if (room > 0)
		ret_places[0] = image->place;
	*ret_count = 1;
	return 0;
}

/* ---- many at once ---- */

/* In a thread of librbd's. */
static void on_done(rbd_completion_t completion, void *context)
{
	struct operation *operation = context;
	struct image *image = operation->image;
	struct uds_io_request *request = operation->request;
	int64_t said = rbd_aio_get_return_value(completion);
	int status = status_of(image, operation->kind, operation->length, said);

	rbd_aio_release(completion);
	env_release(&image->env, operation);
	atomic_fetch_add(&image->ended, 1);
	uds_io_request_complete(request, status);
}

static struct operation *make_operation(struct image *image, struct uds_io_request *request)
{
	struct operation *operation = env_allocate(&image->env, 1, sizeof(*operation));

	if (operation == NULL)
		return NULL;
	*operation = (struct operation){ .image = image,
					 .kind = (enum uds_io_kind)request->kind,
					 .request = request };
	if (request->kind == UDS_IO_FLUSH)
		return operation;
	operation->buffer = request->buffer;
	operation->offset = request->offset;
	operation->length = request->length;
	return operation;
}

static void start_request(struct image *image, struct uds_io_request *request)
{
	struct operation *operation;
	rbd_completion_t completion;
	int r = 0;

	if (request->kind == UDS_IO_FLUSH && !image->options.write) {
		uds_io_request_complete(request, 0);
		return;
	}
	r = check(image, (enum uds_io_kind)request->kind, request->offset, request->length);
	operation = r < 0 ? NULL : make_operation(image, request);
	if (r == 0 && operation == NULL)
		r = -ENOMEM;
	if (r == 0)
		r = start(operation, on_done, &completion);
	if (r == 0)
		return;
	env_release(&image->env, operation);
	uds_io_request_complete(request, status_of(image, UDS_IO_READ, 0, r));
}

static int rbd_backend_submit(void *context, struct uds_io_request *const *requests, size_t count)
{
	for (size_t i = 0; i < count; i++)
		start_request(context, requests[i]);
	return 0;
}

const struct uds_io_ops rbd_backend = {
	.size = sizeof(struct uds_io_ops),
	.read = rbd_backend_read,
	.write = rbd_backend_write,
	.flush = rbd_backend_flush,
	.get_size = rbd_backend_get_size,
	.close = rbd_backend_close,
	.discard = rbd_backend_discard,
	.resize = rbd_backend_resize,
	.identity = rbd_backend_identity,
	.write_zeroes = rbd_backend_write_zeroes,
	.submit = rbd_backend_submit,
	.find_data = rbd_find_data,
};
