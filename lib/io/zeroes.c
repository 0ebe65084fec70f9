/* SPDX-License-Identifier: BSD-2-Clause */
/* Writing zeroes: by the backend's own operation, or by writes where it has none. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/visibility.h"
#include "io/io.h"

/* Zeroes are written in parts of this where the backend has no better way. */
#define ZEROES_BYTES (UINT64_C(256) << 10)

static int write_by_parts(struct uds_io *io, uint64_t offset, uint64_t length)
{
	uint64_t most = io->block_bytes > ZEROES_BYTES ? io->block_bytes : ZEROES_BYTES;
	uint8_t *zeroes;
	int r = 0;

	if (most > length)
		most = length;
	zeroes = io_allocate_buffer(io, &io->env, most);
	if (zeroes == NULL)
		return -ENOMEM;
	memset(zeroes, 0, (size_t)most);
	while (r == 0 && length > 0) {
		uint64_t part = length < most ? length : most;

		r = io_status(io, "write",
			      io->ops.write(io->context, zeroes, (size_t)part, offset));
		offset += part;
		length -= part;
	}
	env_release(&io->env, zeroes);
	return r;
}

int io_write_zeroes(struct uds_io *io, uint64_t offset, uint64_t length)
{
	int r = -EOPNOTSUPP;

	if (io->ops.write_zeroes != NULL)
		r = io_status(io, "write_zeroes",
			      io->ops.write_zeroes(io->context, offset, length));
	/* The backend may have the operation and refuse it for this range or device. */
	return r == -EOPNOTSUPP ? write_by_parts(io, offset, length) : r;
}

UDS_PUBLIC int uds_io_write_zeroes(struct uds_io *io, uint64_t offset, uint64_t length)
{
	int r;

	failures_begin(io->failures);
	r = io_check_transfer(io, UDS_IO_WRITE_ZEROES, NULL, length, offset);
	if (r == 0 && length > 0)
		r = io_write_zeroes(io, offset, length);
	return failures_end(io->failures, r, "%s: writing %" PRIu64 " bytes of zeroes at %" PRIu64,
			    io->name, length, offset);
}
