/* SPDX-License-Identifier: BSD-2-Clause */
/* Schemes whose URIs have other URIs in them: concat: and vdo:. */
#include "uri/nested.h"

#include <errno.h>
#include <string.h>

#include <uds/vdo.h>

#include "base/env.h"
#include "base/message.h"
#include "uri/uri.h"

const struct uds_io_parameter concat_parameters[CONCAT_PARAMETERS] = {
	[CONCAT_PART] = { .name = "part", .kind = UDS_IO_PARAMETER_TEXTS },
};

static void close_ranges(const struct uds_io_range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		uds_io_close(ranges[i].io);
}

/* @ret_opened: how many of the parts are open, also when it fails. */
static int open_concat_parts(const struct uds_io_uri *uri, const struct uds_env *env,
			     struct uds_io_range *ranges, size_t *ret_opened,
			     struct uds_message *message)
{
	const char *part = uri->values[CONCAT_PART].text;
	int r = 0;

	for (*ret_opened = 0; r == 0 && *ret_opened < uri->values[CONCAT_PART].number;) {
		struct uds_io_range *range = &ranges[*ret_opened];

		range->offset = 0;
		range->length = UINT64_MAX;
		r = uri_open_nested(uri, part, env, message, &range->io);
		if (r == 0)
			++*ret_opened;
		part += strlen(part) + 1;
	}
	return r;
}

int concat_open(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		struct uds_message *ret_message, struct uds_io **ret_io)
{
	struct uds_io_ranges_options options = UDS_IO_RANGES_OPTIONS_INIT;
	uint64_t count = uri->values[CONCAT_PART].number;
	struct uds_io_range *ranges;
	size_t opened = 0;
	int r;

	(void)context;
	if (*uri->path != '\0' || count == 0)
		return failure(ret_message, -EINVAL,
			       "%s: concat: takes no path, only ?part=URI&part=URI", uri->text);
	ranges = env_allocate_zeroed(env, count, sizeof(*ranges));
	if (ranges == NULL)
		return failure(ret_message, -ENOMEM, "%s: no memory", uri->text);
	r = open_concat_parts(uri, env, ranges, &opened, ret_message);
	options.name = uri->text;
	options.close_parts = true;
	if (r == 0)
		r = uds_io_open_ranges(ranges, opened, &options, env, ret_message, ret_io);
	if (r < 0)
		close_ranges(ranges, opened);
	env_release(env, ranges);
	return r;
}

const struct uds_io_parameter vdo_parameters[VDO_PARAMETERS] = {
	[VDO_DIRTY] = { .name = "dirty", .kind = UDS_IO_PARAMETER_FLAG },
	[VDO_REGION] = { .name = "region", .kind = UDS_IO_PARAMETER_FLAG },
};

int vdo_scheme_open(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		    struct uds_message *ret_message, struct uds_io **ret_io)
{
	struct uds_vdo_index_options options = UDS_VDO_INDEX_OPTIONS_INIT;
	struct uds_io *device;
	int r;

	(void)context;
	if (*uri->path == '\0')
		return failure(ret_message, -EINVAL, "%s: names no device", uri->text);
	r = uri_open_nested(uri, uri->path, env, ret_message, &device);
	if (r < 0)
		return r;
	options.close_device = true;
	options.allow_dirty = uri->values[VDO_DIRTY].number != 0;
	options.allow_region = uri->values[VDO_REGION].number != 0;
	r = uds_vdo_open_index(device, &options, env, ret_message, ret_io);
	if (r < 0)
		uds_io_close(device);
	return r;
}
