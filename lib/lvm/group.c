/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Opening a volume group: labels and metadata of the physical volumes that were given, the newest
 * text of those that are whole, and which of them are there.
 */
#include "lvm/group.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/env.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "io/bytes_io.h"
#include "io/io.h"
#include "lvm/model_check.h"

#define LABEL_AREA_BYTES (LVM_LABEL_SECTORS * LVM_SECTOR)

/* Where a copy of the metadata is. */
struct copy {
	const struct uds_io *io;
	uint64_t area;	   /* byte of it */
	size_t length;	   /* of the text */
	uint32_t checksum; /* of the text */
};

/* What has been found on all devices so far. */
struct search {
	const struct uds_env *env;
	struct uds_message *message;
	struct lvm_model best; /* the newest; its text is NULL as long as there is none */
	struct copy best_copy;
	/* has the seqno of the best one and another text; its io is NULL: none */
	struct copy other;
	uint32_t wrong_count;	   /* of copies that are damaged */
	int wrong_status;	   /* of the first copy that is damaged; 0: none */
	struct uds_message *wrong; /* its sentence */
};

static int read_label(struct uds_io *io, const struct uds_env *env, uint64_t *ret_bytes,
		      struct lvm_label *ret_label, struct uds_message *message)
{
	uint8_t *sectors;
	int r = uds_io_size(io, ret_bytes);

	if (r < 0)
		return failure(message, r, "asking for its size: %s", uds_strerror(r));
	if (*ret_bytes < LABEL_AREA_BYTES)
		return failure(message, -EINVAL,
			       "not an LVM physical volume: expected at least %" PRIu64
			       " bytes, found %" PRIu64,
			       LABEL_AREA_BYTES, *ret_bytes);
	sectors = env_allocate(env, LABEL_AREA_BYTES, 1);
	if (sectors == NULL)
		return failure(message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	r = bytes_read(io, env, sectors, LABEL_AREA_BYTES, 0, message);
	if (r == 0)
		r = lvm_label_decode(sectors, ret_label, message);
	env_release(env, sectors);
	return r;
}

/* A copy that cannot be used: others may do. */
static void note_wrong(struct search *s, const struct uds_io *io, int status,
		       const struct uds_message *said)
{
	/*
	 * Each is logged; the first one is kept, for when there is no good copy, and for a group
	 * that is to be written.
	 */
	env_log(s->env, UDS_LOG_WARNING, "%s: %s", uds_io_name(io), said->text);
	s->wrong_count++;
	if (s->wrong_status != 0)
		return;
	s->wrong_status = status;
	failure(s->wrong, status, "%s: %s", uds_io_name(io), said->text);
}

/* Keeps the newer one of two models. */
static int take_model(struct search *s, struct lvm_model *model, const struct copy *copy)
{
	int r = 0;

	if (s->best.text != NULL && strcmp(s->best.uuid, model->uuid) != 0) {
		r = failure(s->message, UDS_ERR_MISMATCH,
			    "%s: group: expected '%.100s' (%.40s), which %s is of, found '%.100s' "
			    "(%.40s)",
			    uds_io_name(copy->io), s->best.name, s->best.uuid,
			    uds_io_name(s->best_copy.io), model->name, model->uuid);
	} else if (s->best.text == NULL || model->seqno > s->best.seqno) {
		lvm_model_free(&s->best, s->env);
		s->best = *model;
		s->best_copy = *copy;
		s->other.io = NULL;
		return 0;
	} else if (model->seqno == s->best.seqno && s->other.io == NULL) {
		s->other = *copy;
	}
	lvm_model_free(model, s->env);
	return r;
}

static int parse_text(struct search *s, struct lvm_text *text, struct lvm_model *ret_model,
		      struct uds_message *message)
{
	struct lvm_model model;
	int r = lvm_model_parse(text, s->env, &model, message);

	if (r < 0)
		return r;
	/*
	 * A copy counts only if all of it is right: its checksum says that LVM wrote it, not that
	 * its numbers fit.
	 */
	r = lvm_model_check(&model, s->env, message);
	if (r < 0)
		lvm_model_free(&model, s->env);
	else
		*ret_model = model;
	return r;
}

static int read_area(struct search *s, struct uds_io *io, uint64_t bytes,
		     const struct lvm_area *area)
{
	struct uds_message said = { "" };
	struct lvm_text text = { .bytes = NULL };
	struct copy copy = { .io = io, .area = area->offset };
	struct lvm_model model;
	int r = lvm_area_read(io, s->env, bytes, area, &text, &said);

	copy.checksum = text.checksum;
	copy.length = text.length;
	if (r == 0 && text.bytes == NULL)
		return 0;
	/* Copies of one text, as they usually are, are parsed once. */
	if (r == 0 && s->best.text != NULL && copy.length == s->best_copy.length &&
	    copy.checksum == s->best_copy.checksum) {
		env_release(s->env, text.bytes);
		return 0;
	}
	if (r == 0)
		r = parse_text(s, &text, &model, &said);
	env_release(s->env, text.bytes);
	if (r == 0)
		return take_model(s, &model, &copy);
	/* Said of the call, not of the copy: an older one must not be taken for want of memory. */
	if (r == -ENOMEM)
		return failure(s->message, r, "%s: %s", uds_io_name(io), uds_strerror(r));
	note_wrong(s, io, r, &said);
	return 0;
}

static int read_pv(struct search *s, struct uds_io *io, uint64_t *ret_bytes,
		   struct lvm_label *ret_label)
{
	int r = read_label(io, s->env, ret_bytes, ret_label, s->message);

	if (r < 0)
		return failure_in(s->message, r, "%s", uds_io_name(io));
	for (size_t i = 0; r == 0 && i < ret_label->area_count; i++)
		r = read_area(s, io, *ret_bytes, &ret_label->areas[i]);
	return r;
}

/* The device is the physical volume that has its uuid in the text. */
static int place_pv(struct lvm_model *model, struct uds_io *io, uint64_t bytes, const char *uuid,
		    struct uds_message *message)
{
	struct lvm_pv *pv = model->pvs;
	struct lvm_pv *end = pv + model->pv_count;

	while (pv < end && strcmp(pv->uuid, uuid) != 0)
		pv++;
	if (pv == end)
		return failure(message, UDS_ERR_MISMATCH,
			       "%s: uuid: expected that of a physical volume of group '%.100s' "
			       "(seqno %" PRIu64 "), found %.40s",
			       uds_io_name(io), model->name, model->seqno, uuid);
	if (pv->io != NULL && uds_io_overlap(pv->io, io))
		return failure(message, -EINVAL,
			       "%.150s is the same file or device as %.150s: expected physical "
			       "volume %.40s once",
			       uds_io_name(io), uds_io_name(pv->io), uuid);
	if (pv->io != NULL)
		return failure(message, -EINVAL,
			       "%s: physical volume %.40s: expected once, found on %s, too",
			       uds_io_name(io), uuid, uds_io_name(pv->io));
	pv->io = io;
	pv->io_bytes = bytes;
	return 0;
}

/* The labels of all, then what of the group they are. @labels, @bytes: scratch. */
static int find_group(struct search *s, struct uds_io *const *ios, size_t count,
		      struct lvm_label *labels, uint64_t *bytes)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = read_pv(s, ios[i], &bytes[i], &labels[i]);
	/* That there is a damaged copy says more than that there is no good one. */
	if (r == 0 && s->best.text == NULL && s->wrong_status != 0)
		return failure(s->message, s->wrong_status, "%s", s->wrong->text);
	if (r == 0 && s->best.text == NULL)
		return failure(
			s->message, -EINVAL,
			"%s: expected the metadata of a group, found none: it is in no group, "
			"or another physical volume has it",
			uds_io_name(ios[0]));
	/*
	 * Only now: the newest text says which physical volumes there are, and it may be on the
	 * last device.
	 */
	for (size_t i = 0; r == 0 && i < count; i++)
		r = place_pv(&s->best, ios[i], bytes[i], labels[i].uuid, s->message);
	return r;
}

static int search(struct search *s, struct uds_io *const *ios, size_t count)
{
	struct lvm_label *labels = env_allocate(s->env, count, sizeof(*labels));
	uint64_t *bytes = env_allocate(s->env, count, sizeof(*bytes));
	int r;

	s->wrong = env_allocate_zeroed(s->env, 1, sizeof(*s->wrong));
	if (labels == NULL || bytes == NULL || s->wrong == NULL)
		r = failure(s->message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	else
		r = find_group(s, ios, count, labels, bytes);
	env_release(s->env, bytes);
	env_release(s->env, labels);
	if (r < 0)
		lvm_model_free(&s->best, s->env);
	return r;
}

/*
 * Each change of a group has a seqno of its own, so of two texts with one seqno nothing tells which
 * is the group's: what is written by the wrong one overwrites another volume. Reading destroys
 * nothing.
 */
static int check_copies(const struct uds_lvm_group *group, const struct search *s, bool write,
			struct uds_message *message)
{
	const struct copy *best = &s->best_copy, *other = &s->other;
	struct uds_message said;

	if (other->io == NULL)
		return 0;
	failure(&said, 0,
		"group '%.60s': metadata of seqno %" PRIu64
		": expected one text, found two: %.100s, "
		"area at byte %" PRIu64 " (checksum 0x%08" PRIx32 "), and %.100s, area at byte "
		"%" PRIu64 " (checksum 0x%08" PRIx32 ")",
		group->model.name, group->model.seqno, uds_io_name(best->io), best->area,
		best->checksum, uds_io_name(other->io), other->area, other->checksum);
	if (write)
		return failure(message, UDS_ERR_CORRUPT, "%s; nothing is written by either",
			       said.text);
	env_log(&group->env, UDS_LOG_WARNING, "%s; the first one is read, and may be the wrong one",
		said.text);
	return 0;
}

/*
 * A physical volume that was missing when LVM changed the group, and is back. LVM takes it for
 * missing until it is told otherwise: what lies on it may be older than the rest.
 */
static int check_marks(const struct uds_lvm_group *group, bool write, struct uds_message *message)
{
	struct uds_message said;

	for (uint32_t i = 0; i < group->model.pv_count; i++) {
		const struct lvm_pv *pv = &group->model.pvs[i];

		if (pv->io == NULL || !pv->is_marked)
			continue;
		failure(&said, 0,
			"group '%.60s': physical volume '%.60s' (%.40s) on %.100s is marked as "
			"missing: LVM has changed the group without it, and it may be stale",
			group->model.name, pv->name, pv->uuid, uds_io_name(pv->io));
		if (write)
			return failure(message, -ENODEV,
				       "%s; vgextend --restoremissing ends that, missing=1 writes "
				       "all the same",
				       said.text);
		env_log(&group->env, UDS_LOG_WARNING, "%s", said.text);
	}
	return 0;
}

/* What is missing, and what writing or reading means here. */
static int check_use(struct uds_lvm_group *group, const struct search *s,
		     const struct uds_lvm_options *options, struct uds_message *message)
{
	const struct lvm_pv *missing = NULL;
	bool write = false, in_use = false;
	int r;

	for (uint32_t i = 0; i < group->model.pv_count; i++) {
		const struct lvm_pv *pv = &group->model.pvs[i];

		write = write || (pv->io != NULL && !uds_io_is_read_only(pv->io));
		in_use = in_use || (pv->io != NULL && uds_io_is_in_use(pv->io));
		group->missing_count += pv->io == NULL;
		if (pv->io == NULL)
			missing = pv;
	}
	if (in_use && !write)
		env_log(&group->env, UDS_LOG_WARNING,
			"group '%s': a physical volume is in use: what is read may be mixed from "
			"several moments",
			group->model.name);
	r = check_copies(group, s, write, message);
	if (r == 0)
		r = check_marks(group, write && !options->allow_missing, message);
	if (r < 0)
		return r;
	/*
	 * What is read is right with what is there: a part that is missing is refused when its
	 * volume is opened.
	 */
	if (!write || options->allow_missing)
		return 0;
	if (missing != NULL)
		return failure(
			message, -ENODEV,
			"group '%.100s': to write, expected all %u physical volumes, found %u: "
			"'%.60s' (%.40s) is missing; missing=1 writes without it",
			group->model.name, group->model.pv_count,
			group->model.pv_count - group->missing_count, missing->name, missing->uuid);
	/* The damaged copy may be that of a later change, which moved what is to be written. */
	if (s->wrong_status != 0)
		return failure(message, s->wrong_status,
			       "group '%.60s': to write, expected whole copies of the metadata, "
			       "found a damaged one, which may be newer (missing=1 writes without "
			       "it): %.250s",
			       group->model.name, s->wrong->text);
	return 0;
}

static int open_group(struct uds_io *const *pvs, size_t count,
		      const struct uds_lvm_options *options, const struct uds_env *env,
		      struct uds_message *message, struct uds_lvm_group **ret_group)
{
	struct search s = { .env = env, .message = message };
	struct uds_lvm_group *group = env_allocate_zeroed(env, 1, sizeof(*group));
	struct uds_io **ios = env_allocate(env, count, sizeof(*ios));
	int r;

	if (group == NULL || ios == NULL)
		r = failure(message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	else
		r = search(&s, pvs, count);
	if (r == 0) {
		group->env = *env;
		group->model = s.best;
		group->io_count = count;
		group->wrong_copies = s.wrong_count + (s.other.io != NULL);
		r = check_use(group, &s, options, message);
	}
	env_release(env, s.wrong);
	if (r < 0) {
		if (group != NULL)
			lvm_model_free(&group->model, env);
		env_release(env, ios);
		env_release(env, group);
		return r;
	}
	/* Last, so that after an error the I/Os are still the caller's. */
	memcpy(ios, pvs, count * sizeof(*ios));
	group->ios = ios;
	group->close_pvs = options->close_pvs;
	*ret_group = group;
	return 0;
}

UDS_PUBLIC int uds_lvm_open_group(struct uds_io *const *pvs, size_t count,
				  const struct uds_lvm_options *given,
				  const struct uds_env *given_env, struct uds_message *ret_message,
				  struct uds_lvm_group **ret_group)
{
	struct uds_lvm_options options = UDS_LVM_OPTIONS_INIT;
	struct uds_env env;
	int r = env_take(given_env, ret_message, &env);

	if (r == 0 && given != NULL)
		r = STRUCT_IN(&options, given, uds_lvm_options, allow_missing, ret_message);
	if (r < 0)
		return r;
	if (count == 0 || count > UDS_LVM_PVS_MAX)
		return failure(ret_message, -EINVAL, "expected 1 to %u physical volumes, found %zu",
			       UDS_LVM_PVS_MAX, count);
	return open_group(pvs, count, &options, &env, ret_message, ret_group);
}

UDS_PUBLIC int uds_lvm_close_group(struct uds_lvm_group *group)
{
	struct uds_env env;
	int first = 0;

	if (group == NULL)
		return 0;
	env = group->env;
	for (size_t i = 0; group->close_pvs && i < group->io_count; i++) {
		int r = uds_io_close(group->ios[i]);

		first = first < 0 ? first : r;
	}
	lvm_model_free(&group->model, &env);
	env_release(&env, group->ios);
	env_release(&env, group);
	return first;
}

UDS_PUBLIC int uds_lvm_read_pv(struct uds_io *io, const struct uds_env *given_env,
			       struct uds_message *ret_message, struct uds_lvm_pv *ret_pv)
{
	struct uds_lvm_pv pv = UDS_LVM_PV_INIT;
	struct lvm_label label;
	struct uds_env env;
	uint64_t bytes = 0;
	int r = env_take(given_env, ret_message, &env);

	if (r == 0)
		r = STRUCT_OUT_CHECK(ret_pv, uds_lvm_pv, extents, ret_message);
	if (r != 0)
		return r;
	r = read_label(io, &env, &bytes, &label, ret_message);
	if (r != 0)
		return failure_in(ret_message, r, "%s", uds_io_name(io));
	pv.io = io;
	memcpy(pv.uuid, label.uuid, sizeof(label.uuid));
	pv.device_bytes = label.device_bytes;
	pv.data_offset = label.data_offset;
	struct_out(ret_pv, &pv, sizeof(pv));
	return 0;
}
