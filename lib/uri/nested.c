/* SPDX-License-Identifier: BSD-2-Clause */
/* Schemes whose URIs have other URIs in them: concat:, vdo: and lvm:. */
#include "uri/nested.h"

#include <errno.h>
#include <string.h>

#include <uds/lvm.h>
#include <uds/vdo.h>

#include "base/env.h"
#include "base/message.h"
#include "io/share_lock.h"
#include "lvm/group.h"
#include "uri/uri.h"

const struct uds_io_parameter concat_parameters[CONCAT_PARAMETERS] = {
	[CONCAT_PART] = { .name = "part", .kind = UDS_IO_PARAMETER_TEXTS },
};

static void close_all(struct uds_io *const *ios, size_t count)
{
	for (size_t i = 0; i < count; i++)
		uds_io_close(ios[i]);
}

/*
 * What is in the way of a lock may be one of the parts before, by another name.
 *
 * @first: the name of the first of @count parts, which the others follow as in a list of texts.
 */
static int name_in_way(const struct uds_io_uri *uri, const char *part, const char *first,
		       struct uds_io *const *ios, size_t count, const struct uds_env *env,
		       struct uds_message *message)
{
	struct uds_io *io = NULL;
	int r = UDS_ERR_IN_USE;

	if (uri_open_to_compare(uri, part, env, &io) < 0)
		return r;
	for (size_t i = 0; i < count; i++, first += strlen(first) + 1) {
		if (uds_io_overlap(io, ios[i])) {
			r = failure(message, -EINVAL,
				    "%.100s: %.150s is the same file or device as %.150s",
				    uri->text, part, first);
			break;
		}
		if (io_share_lock(io, ios[i]))
			failure(message, r,
				"%.100s: %.150s is in the same file or on the same device as "
				"%.150s, which is locked as a whole",
				uri->text, part, first);
	}
	uds_io_close(io);
	return r;
}

/*
 * Opens all URIs that a parameter has.
 *
 * @ret_ios: to be released by the caller, when this succeeds.
 */
static int open_all(const struct uds_io_uri *uri, const struct uds_io_value *value,
		    const struct uds_env *env, struct uds_io ***ret_ios,
		    struct uds_message *message)
{
	struct uds_io **ios = env_allocate(env, value->number, sizeof(*ios));
	const char *part = value->text;
	size_t opened = 0;
	int r = 0;

	if (ios == NULL)
		return failure(message, -ENOMEM, "%s: no memory", uri->text);
	while (r == 0 && opened < value->number) {
		r = uri_open_nested(uri, part, env, message, &ios[opened]);
		if (r == UDS_ERR_IN_USE)
			r = name_in_way(uri, part, value->text, ios, opened, env, message);
		if (r == 0)
			opened++;
		/* The list is one text after the other, each with its zero byte. */
		part += strlen(part) + 1;
	}
	if (r == 0) {
		*ret_ios = ios;
		return 0;
	}
	/* The caller gets all of them or none. */
	close_all(ios, opened);
	env_release(env, ios);
	return r;
}

static int open_concat(const struct uds_io_uri *uri, const struct uds_env *env,
		       struct uds_io *const *ios, size_t count, struct uds_message *message,
		       struct uds_io **ret_io)
{
	struct uds_io_ranges_options options = UDS_IO_RANGES_OPTIONS_INIT;
	struct uds_io_range *ranges = env_allocate(env, count, sizeof(*ranges));
	int r;

	if (ranges == NULL)
		return failure(message, -ENOMEM, "%s: no memory", uri->text);
	for (size_t i = 0; i < count; i++)
		ranges[i] = (struct uds_io_range){ ios[i], 0, UINT64_MAX };
	/* Not the name of the first part: a sentence is about all of them. */
	options.name = uri->text;
	options.close_parts = true;
	r = uds_io_open_ranges(ranges, count, &options, env, message, ret_io);
	env_release(env, ranges);
	return r;
}

int concat_open(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		struct uds_message *ret_message, struct uds_io **ret_io)
{
	const struct uds_io_value *parts = &uri->values[CONCAT_PART];
	struct uds_io **ios;
	int r;

	(void)context;
	if (*uri->path != '\0' || parts->number == 0)
		return failure(ret_message, -EINVAL,
			       "%s: concat: takes no path, only ?part=URI&part=URI", uri->text);
	r = open_all(uri, parts, env, &ios, ret_message);
	if (r != 0)
		return r;
	r = open_concat(uri, env, ios, (size_t)parts->number, ret_message, ret_io);
	if (r < 0)
		close_all(ios, (size_t)parts->number);
	env_release(env, ios);
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
	/* The device was opened for this I/O alone. */
	options.close_device = true;
	options.allow_dirty = uri->values[VDO_DIRTY].number != 0;
	options.allow_region = uri->values[VDO_REGION].number != 0;
	r = uds_vdo_open_index(device, &options, env, ret_message, ret_io);
	if (r < 0)
		uds_io_close(device);
	return r;
}

const struct uds_io_parameter lvm_parameters[LVM_PARAMETERS] = {
	[LVM_PV] = { .name = "pv", .kind = UDS_IO_PARAMETER_TEXTS },
	[LVM_MISSING] = { .name = "missing", .kind = UDS_IO_PARAMETER_FLAG },
};

/* The group must be the one that the path names in front of the slash. */
static int check_group(const struct uds_io_uri *uri, const struct uds_lvm_group *group,
		       struct uds_message *message)
{
	struct uds_lvm_info info = UDS_LVM_INFO_INIT;
	size_t length = strcspn(uri->path, "/");
	int r = uds_lvm_get_info(group, message, &info);

	/*
	 * A script that names a group must not write to another one because devices have changed
	 * their names.
	 */
	if (r == 0 && (strlen(info.name) != length || memcmp(info.name, uri->path, length) != 0))
		r = failure(message, UDS_ERR_MISMATCH,
			    "%s: group: expected '%.*s', found '%s' on the physical volumes",
			    uri->text, (int)length, uri->path, info.name);
	return r;
}

static int open_lvm(const struct uds_io_uri *uri, const struct uds_env *env,
		    struct uds_io *const *ios, size_t count, struct uds_message *message,
		    struct uds_io **ret_io)
{
	struct uds_lvm_options options = UDS_LVM_OPTIONS_INIT;
	struct uds_lvm_group *group = NULL;
	int r;

	options.close_pvs = true;
	options.allow_missing = uri->values[LVM_MISSING].number != 0;
	r = uds_lvm_open_group(ios, count, &options, env, message, &group);
	if (r < 0) {
		close_all(ios, count);
		return r;
	}
	/* From here on closing the group closes the physical volumes. */
	r = check_group(uri, group, message);
	if (r == 0)
		r = lvm_volume_open(group, strchr(uri->path, '/') + 1, uri->text, true, message,
				    ret_io);
	if (r < 0)
		uds_lvm_close_group(group);
	return r;
}

int lvm_scheme_open(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		    struct uds_message *ret_message, struct uds_io **ret_io)
{
	const struct uds_io_value *pvs = &uri->values[LVM_PV];
	struct uds_io **ios;
	int r;

	(void)context;
	if (strchr(uri->path, '/') == NULL || pvs->number == 0)
		return failure(ret_message, -EINVAL,
			       "%s: expected lvm:GROUP/VOLUME?pv=URI, with each physical volume",
			       uri->text);
	r = open_all(uri, pvs, env, &ios, ret_message);
	if (r != 0)
		return r;
	r = open_lvm(uri, env, ios, (size_t)pvs->number, ret_message, ret_io);
	env_release(env, ios);
	return r;
}
