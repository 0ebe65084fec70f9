/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io_backend: an I/O backend of one's own. It keeps a fixed array, read-only, that answers each
 * read and counts them; everything in the library that takes a struct uds_io would work on it.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <uds/io.h>

struct array {
	const char *bytes;
	uint64_t size;
	_Atomic unsigned int reads; /* the library may call from several threads */
};

static int array_read(void *context, void *buffer, size_t length, uint64_t offset)
{
	struct array *array = context;

	if (offset > array->size || length > array->size - offset)
		return UDS_ERR_OUT_OF_RANGE;
	memcpy(buffer, array->bytes + offset, length);
	array->reads++;
	return 0;
}

static int array_flush(void *context)
{
	(void)context;
	return 0;
}

static int array_size(void *context, uint64_t *ret_bytes)
{
	*ret_bytes = ((struct array *)context)->size;
	return 0;
}

static int array_close(void *context)
{
	printf("%u reads\n", ((struct array *)context)->reads);
	return 0;
}

int main(void)
{
	static const char text[] = "a record name has sixteen bytes";
	struct array array = { text, sizeof(text) - 1, 0 };
	const struct uds_io_ops ops = {
		.size = sizeof(ops),
		.read = array_read,
		.flush = array_flush,
		.get_size = array_size,
		.close = array_close,
	};
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	char word[8] = "";
	struct uds_io *io;
	int r;

	limits.name = "array:text";
	r = uds_io_open_ops(&ops, &array, &limits, NULL, &io);
	if (r < 0)
		return 1;
	r = uds_io_read(io, word, 7, 18);
	printf("%s\n", r < 0 ? uds_strerror(r) : word);
	r = uds_io_read(io, word, 7, 30);
	printf("%s\n", r < 0 ? uds_strerror(r) : word);
	r = uds_io_write(io, word, 7, 0);
	printf("%s\n", uds_strerror(r));
	return uds_io_close(io) < 0;
}
