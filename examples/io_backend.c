/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * io_backend: an I/O backend of one's own. It keeps a fixed array, read-only, that answers each
 * read and counts them; everything in the library that takes a struct uds_io would work on it. It
 * is opened by URI: array:, a scheme that is registered first.
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

static int array_open(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		      struct uds_message *ret_message, struct uds_io **ret_io)
{
	const struct uds_io_ops ops = {
		.size = sizeof(ops),
		.read = array_read,
		.flush = array_flush,
		.get_size = array_size,
		.close = array_close,
	};
	struct uds_io_limits limits = UDS_IO_LIMITS_INIT;
	struct array *array = context;

	limits.name = uri->text;
	if (uri->values[0].text != NULL && uri->values[0].number < array->size)
		array->size = uri->values[0].number;
	return uds_io_open_ops(&ops, array, &limits, env, ret_message, ret_io);
}

int main(void)
{
	static const char text[] = "a record name has sixteen bytes";
	static struct array array = { text, sizeof(text) - 1, 0 };
	static const struct uds_io_parameter size = { .name = "size",
						      .kind = UDS_IO_PARAMETER_SIZE };
	const struct uds_io_scheme scheme = {
		.size = sizeof(scheme),
		.name = "array",
		.open = array_open,
		.context = &array,
		.parameters = &size,
		.parameter_count = 1,
	};
	struct uds_message message = { "" };
	char word[8] = "";
	struct uds_io *io;
	int r;

	r = uds_io_register_scheme(&scheme, &message);
	if (r == 0)
		r = uds_io_open_uri("array:text?size=31", NULL, NULL, &message, &io);
	if (r < 0) {
		fprintf(stderr, "%s\n", message.text);
		return 1;
	}
	r = uds_io_read(io, word, 7, 18);
	printf("%s\n", r < 0 ? uds_strerror(r) : word);
	r = uds_io_read(io, word, 7, 30);
	printf("%s\n", r < 0 ? uds_strerror(r) : word);
	r = uds_io_write(io, word, 7, 0);
	printf("%s\n", uds_strerror(r));
	return uds_io_close(io) < 0;
}
