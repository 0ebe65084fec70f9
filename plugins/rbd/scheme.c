/* SPDX-License-Identifier: BSD-2-Clause */
/* The scheme rbd. */
#include <errno.h>
#include <pthread.h>

#include "base/message.h"
#include "base/visibility.h"
#include "common/uri_number.h"
#include "rbd/open.h"

enum { CONF, ID, NAMESPACE, TIMEOUT, ANSWER, FULL, RESIZE };

static const struct uds_io_parameter parameters[] = {
	[CONF] = { .name = "conf", .kind = UDS_IO_PARAMETER_TEXT },
	[ID] = { .name = "id", .kind = UDS_IO_PARAMETER_TEXT },
	[NAMESPACE] = { .name = "namespace", .kind = UDS_IO_PARAMETER_TEXT },
	[TIMEOUT] = { .name = "timeout", .kind = UDS_IO_PARAMETER_TEXT },
	[ANSWER] = { .name = "answer", .kind = UDS_IO_PARAMETER_TEXT },
	[FULL] = { .name = "full", .kind = UDS_IO_PARAMETER_CHOICE, .choices = "wait|error" },
	[RESIZE] = { .name = "resize", .kind = UDS_IO_PARAMETER_FLAG },
};

static int read_seconds(const struct uds_io_uri *uri, int parameter, struct uds_message *message,
			uint32_t *ms)
{
	return uri_number(uri, &uri->values[parameter], parameters[parameter].name, 1000, message,
			  ms);
}

static int read_options(const struct uds_io_uri *uri, struct uds_rbd_options *options,
			struct uds_message *message)
{
	int r;

	options->write = uri->options->write;
	options->create = uri->options->exclusive_create;
	options->no_lock = uri->options->no_lock;
	options->conf = uri->values[CONF].text;
	options->id = uri->values[ID].text;
	options->pool_namespace = uri->values[NAMESPACE].text;
	options->fail_when_full = uri->values[FULL].text != NULL && uri->values[FULL].number == 1;
	options->resize = uri->values[RESIZE].text != NULL && uri->values[RESIZE].number == 1;
	r = read_seconds(uri, TIMEOUT, message, &options->connect_ms);
	return r == 0 ? read_seconds(uri, ANSWER, message, &options->answer_ms) : r;
}

static int open_uri(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		    struct uds_message *ret_message, struct uds_io **ret_io)
{
	struct uds_rbd_options options = UDS_RBD_OPTIONS_INIT;
	int r = read_options(uri, &options, ret_message);

	(void)context;
	if (r < 0)
		return r;
	return rbd_open_named(uri->text, uri->path, &options, env, ret_message, ret_io);
}

static const struct uds_io_scheme scheme = {
	.size = sizeof(struct uds_io_scheme),
	.name = "rbd",
	.open = open_uri,
	.parameters = parameters,
	.parameter_count = sizeof(parameters) / sizeof(parameters[0]),
};

UDS_PUBLIC int uds_rbd_register_schemes(struct uds_message *ret_message)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of what follows */
	static bool registered;
	int r = 0;

	pthread_mutex_lock(&lock);
	if (!registered)
		r = uds_io_register_scheme(&scheme, ret_message);
	registered = registered || r == 0;
	pthread_mutex_unlock(&lock);
	return r;
}
