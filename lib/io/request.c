/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One request of an engine: whether it may be handed on, and carrying it out by the plain
 * functions of its backend, which is how all requests go that neither io_uring nor the
 * backend's submit takes.
 */
#include <errno.h>

#include "io/io.h"

static bool has_data(const struct uds_io_request *request)
{
	return request->kind == UDS_IO_READ || request->kind == UDS_IO_WRITE;
}

static bool knows_flags(const struct uds_io_request *request)
{
	bool writes = request->kind == UDS_IO_WRITE || request->kind == UDS_IO_WRITE_ZEROES;

	return request->flags == 0 || (writes && request->flags == UDS_IO_FUA);
}

int io_check_request(const struct uds_io_request *request)
{
	/* A request comes from the caller: every field is looked at before the backend sees it. */
	if (request->io == NULL || request->kind < UDS_IO_READ ||
	    request->kind > UDS_IO_WRITE_ZEROES || !knows_flags(request))
		return -EINVAL;
	/* Only on machines with 32 bits: a buffer cannot be as long. */
	if (has_data(request) && request->length > SIZE_MAX)
		return -EINVAL;
	if (has_data(request) || request->kind == UDS_IO_WRITE_ZEROES)
		return io_check_transfer(request->io, (enum uds_io_kind)request->kind,
					 has_data(request) ? request->buffer : NULL,
					 request->length, request->offset);
	return 0;
}

bool io_is_empty_request(const struct uds_io_request *request)
{
	return request->length == 0 && (has_data(request) || request->kind == UDS_IO_WRITE_ZEROES);
}

static int flush(struct uds_io *io)
{
	return io_status(io, "flush", io->ops.flush(io->context));
}

static int write(const struct uds_io_request *request)
{
	struct uds_io *io = request->io;
	size_t length = (size_t)request->length;
	int r;

	/*
	 * One operation where the backend has one; else a write and a flush, which is more than was
	 * asked for.
	 */
	if ((request->flags & UDS_IO_FUA) != 0 && io->ops.write_durable != NULL)
		return io_status(io, "write_durable",
				 io->ops.write_durable(io->context, request->buffer, length,
						       request->offset));
	/* Durable is the data of this write; the flush makes it so, with all that came before. */
	r = io_status(io, "write",
		      io->ops.write(io->context, request->buffer, length, request->offset));
	return r == 0 && (request->flags & UDS_IO_FUA) != 0 ? flush(io) : r;
}

int io_carry_out(const struct uds_io_request *request)
{
	struct uds_io *io = request->io;
	int r = -EINVAL;

	switch ((enum uds_io_kind)request->kind) {
	case UDS_IO_READ:
		r = io_status(io, "read",
			      io->ops.read(io->context, request->buffer, (size_t)request->length,
					   request->offset));
		break;
	case UDS_IO_WRITE:
		r = write(request);
		break;
	case UDS_IO_FLUSH:
		r = flush(io);
		break;
	case UDS_IO_DISCARD:
		r = io_discard(io, request->offset, request->length);
		break;
	case UDS_IO_WRITE_ZEROES:
		r = io_write_zeroes(io, request->offset, request->length);
		if (r == 0 && (request->flags & UDS_IO_FUA) != 0)
			r = flush(io);
		break;
	}
	return r;
}
