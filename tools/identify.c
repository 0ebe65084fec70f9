/* SPDX-License-Identifier: BSD-2-Clause */
/* Looking at the first blocks of a file or device. */
#include "identify.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uds/io.h>
#include <uds/lvm.h>

#include "optional.h"
#include "schemes.h"
#include "shard_target.h"
#include "tool.h"

#include "base/bytes.h"

#define VDO_SCHEME  "vdo:"
#define SECTOR	    512u
#define LOOK_BYTES  4096u
#define WORD_BYTES  1100
#define STORE_MAGIC UINT32_C(0x70416e53) /* "SnAp" */

const char *thing_name(enum thing thing)
{
	static const char *const names[] = {
		[THING_UNKNOWN] = "nothing known",
		[THING_INDEX] = "UDS index",
		[THING_VDO] = "VDO volume",
		[THING_VDO_REGION] = "index region of a VDO volume",
		[THING_STORE] = "exception store",
		[THING_PV] = "LVM physical volume",
		[THING_SHARDS] = "shards manifest",
		[THING_OTHER] = "something else",
	};

	return names[thing];
}

bool has_index_damage(const struct identity *identity)
{
	return identity->index_damage.blocks != 0;
}

const char *damaged_blocks(const struct identity *identity)
{
	switch (identity->index_damage.blocks) {
	case UDS_INDEX_SUPER_BLOCK:
		return "super block";
	case UDS_INDEX_CONFIG_BLOCK:
		return "config block";
	default:
		return "super block and config block";
	}
}

static bool is_vdo_uri(const char *uri)
{
	return strncmp(uri, VDO_SCHEME, strlen(VDO_SCHEME)) == 0;
}

void vdo_uri(const char *uri, char *ret_uri, size_t room)
{
	size_t n = (size_t)snprintf(ret_uri, room, VDO_SCHEME);

	for (; *uri != '\0' && n + 4 < room; uri++) {
		if (*uri == '%' || *uri == '?')
			n += (size_t)snprintf(ret_uri + n, room - n, "%%%02x", (unsigned char)*uri);
		else
			ret_uri[n++] = *uri;
	}
	ret_uri[n] = '\0';
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef", *at = strchr(digits, tolower((unsigned char)c));

	return c != '\0' && at != NULL ? (int)(at - digits) : -1;
}

bool inner_uri(const char *uri, char *ret_inner, size_t room)
{
	size_t n = 0;

	if (!is_vdo_uri(uri))
		return false;
	for (uri += strlen(VDO_SCHEME); *uri != '\0' && *uri != '?' && n + 1 < room; uri++) {
		int high = *uri == '%' ? hex_digit(uri[1]) : -1;
		int low = high >= 0 ? hex_digit(uri[2]) : -1;

		ret_inner[n++] = low >= 0 ? (char)(high * 16 + low) : *uri;
		uri += low >= 0 ? 2 : 0;
	}
	ret_inner[n] = '\0';
	return true;
}

/* Fills in what the index at byte 0 says; 0 when it does. */
static int read_index(struct uds_io *io, struct identity *identity)
{
	const struct uds_index_damage none = UDS_INDEX_DAMAGE_INIT;
	struct uds_message said;
	int r;

	identity->index.size = sizeof(identity->index);
	identity->index.configuration.size = sizeof(identity->index.configuration);
	r = uds_index_read_info(io, NULL, &identity->wrong, &identity->index);
	identity->has_index = r == 0;
	identity->index_damage = none;
	if (r < 0 && uds_index_read_damage(io, NULL, &said, &identity->index_damage) == 0 &&
	    has_index_damage(identity))
		identity->wrong = said;
	return r;
}

/*
 * The index in a volume, or in a region that was copied out. False when there is no place for one.
 * @is_region: take it for one also where it does not begin as an index does.
 */
static bool read_vdo_index(struct uds_io *io, bool is_region, struct identity *identity)
{
	struct uds_vdo_index_options options = UDS_VDO_INDEX_OPTIONS_INIT;
	struct uds_io *index;

	options.allow_region = is_region;
	if (uds_vdo_open_index(io, &options, NULL, &identity->wrong, &index) < 0)
		return false;
	(void)read_index(index, identity); /* its sentence stays in identity->wrong */
	uds_io_close(index);
	return true;
}

/* It is the thing, and reading it came to @r. */
static void set_status(struct identity *identity, int r)
{
	identity->unknown_version = r == UDS_ERR_UNSUPPORTED_VERSION;
	identity->damaged = r < 0 && !identity->unknown_version;
}

static bool is_vdo(struct uds_io *io, struct identity *identity)
{
	const struct uds_vdo_info empty = UDS_VDO_INFO_INIT;
	int r;

	identity->vdo = empty;
	r = uds_vdo_read_info(io, &identity->wrong, &identity->vdo);
	if (r == UDS_ERR_NOT_AN_INDEX) {
		identity->wrong.text[0] = '\0';
		return false;
	}
	identity->thing = THING_VDO;
	set_status(identity, r);
	if (r < 0)
		return true;
	identity->knows_nonce = true;
	identity->nonce = identity->vdo.nonce;
	/* One that was never started has none. */
	(void)read_vdo_index(io, false, identity);
	identity->damaged = has_index_damage(identity);
	return true;
}

/* What cannot be read as an index at byte 0 may be one that was at block 1 of a volume. */
static bool is_region(struct uds_io *io, const struct identity *index, struct identity *region)
{
	*region = *index;
	if (read_vdo_index(io, false, region))
		return true;
	*region = *index;
	/* One that has lost its first block is known by what a repair would make of it. */
	return read_vdo_index(io, true, region) && region->index_damage.repairable;
}

/* @ret_lost_first: by its first block it could be something else. */
static bool is_index(struct uds_io *io, const char *uri, struct identity *identity,
		     bool *ret_lost_first)
{
	struct identity region;
	int r = read_index(io, identity);

	*ret_lost_first = r == UDS_ERR_NOT_AN_INDEX;
	if (r == UDS_ERR_NOT_AN_INDEX && !has_index_damage(identity))
		return false;
	identity->thing = THING_INDEX;
	/* By the name vdo:PATH it is known where it is. */
	if (r < 0 && !identity->index_damage.repairable && !is_vdo_uri(uri) &&
	    is_region(io, identity, &region)) {
		*identity = region;
		identity->thing = THING_VDO_REGION;
	}
	set_status(identity, identity->has_index ? 0 : r);
	if (identity->has_index)
		identity->wrong.text[0] = '\0';
	return true;
}

static bool is_store(const uint8_t *head, struct identity *identity)
{
	if (get_le32(head) != STORE_MAGIC)
		return false;
	identity->thing = THING_STORE;
	identity->store_is_valid = get_le32(head + 4) == 1;
	identity->chunk_bytes = get_le32(head + 12) * SECTOR;
	return true;
}

/* The group that a physical volume is of; without a name when it has no metadata of one. */
static void read_group(struct uds_io *io, struct identity *identity)
{
	struct uds_lvm_info info = UDS_LVM_INFO_INIT;
	struct uds_lvm_group *group = NULL;
	int r = uds_lvm_open_group(&io, 1, NULL, NULL, &identity->wrong, &group);

	if (r == 0 && uds_lvm_get_info(group, NULL, &info) == 0)
		snprintf(identity->vg_name, sizeof(identity->vg_name), "%s", info.name);
	else if (r == -EINVAL)
		identity->wrong.text[0] = '\0';
	else
		identity->damaged = true;
	uds_lvm_close_group(group);
}

static bool is_pv(struct uds_io *io, struct identity *identity)
{
	struct uds_lvm_pv pv = UDS_LVM_PV_INIT;
	int r = uds_lvm_read_pv(io, NULL, &identity->wrong, &pv);

	if (r == -EINVAL) {
		identity->wrong.text[0] = '\0';
		return false;
	}
	identity->thing = THING_PV;
	set_status(identity, r);
	if (r < 0)
		return true;
	memcpy(identity->pv_uuid, pv.uuid, sizeof(pv.uuid));
	read_group(io, identity);
	return true;
}

static bool is_other(const char *uri, struct identity *identity)
{
	if (!blkid_word(uri, identity->word, sizeof(identity->word)))
		return false;
	identity->thing = THING_OTHER;
	return true;
}

/* @head: LOOK_BYTES, of which those that are there were read. */
static void look(struct uds_io *io, const char *uri, const uint8_t *head, struct identity *identity)
{
	struct identity index = *identity;
	bool lost_first = false, has_index;

	if (is_vdo(io, identity))
		return;
	has_index = is_index(io, uri, &index, &lost_first);
	/* An index behind another thing's first block is left of an earlier use of the device. */
	if ((!has_index || lost_first) &&
	    (is_store(head, identity) || is_pv(io, identity) || is_other(uri, identity)))
		return;
	if (has_index)
		*identity = index;
}

/* For an index by the name vdo:PATH: the nonce that the volume on PATH has. */
static void read_nonce(const char *uri, struct identity *identity)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	const struct uds_vdo_info empty = UDS_VDO_INFO_INIT;
	char inner[WORD_BYTES];
	struct uds_io *io;

	options.no_lock = true;
	if (!inner_uri(uri, inner, sizeof(inner)) || open_uri(inner, &options, NULL, NULL, &io) < 0)
		return;
	identity->vdo = empty;
	identity->knows_nonce = uds_vdo_read_info(io, NULL, &identity->vdo) == 0;
	identity->nonce = identity->vdo.nonce;
	uds_io_close(io);
}

static int read_head(struct uds_io *io, uint64_t *ret_bytes, uint8_t *ret_head)
{
	uint64_t bytes = 0, length;
	int r = uds_io_size(io, &bytes);

	length = bytes < LOOK_BYTES ? bytes - bytes % SECTOR : LOOK_BYTES;
	if (r == 0 && length > 0)
		r = uds_io_read(io, ret_head, (size_t)length, 0);
	*ret_bytes = bytes;
	return r;
}

int identify(const char *uri, struct uds_message *message, struct identity *ret_identity)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	struct identity identity = { .thing = THING_UNKNOWN };
	struct uds_io *io;
	uint8_t *head;
	int r;

	options.no_lock = true;
	r = open_uri(uri, &options, NULL, message, &io);
	if (r < 0)
		return r;
	head = aligned_alloc(LOOK_BYTES, LOOK_BYTES);
	if (head != NULL) {
		memset(head, 0, LOOK_BYTES);
		r = read_head(io, &identity.bytes, head);
	} else {
		r = -ENOMEM;
	}
	if (r == 0 && is_manifest(uri))
		identity.thing = THING_SHARDS;
	else if (r == 0)
		look(io, uri, head, &identity);
	else
		snprintf(message->text, sizeof(message->text), "%.300s: %s", uri, uds_strerror(r));
	free(head);
	uds_io_close(io);
	if (r == 0 && identity.thing == THING_INDEX)
		read_nonce(uri, &identity);
	if (r == 0)
		*ret_identity = identity;
	return r;
}

/* A URI as a word of a shell: in single quotes, if it has what a shell would take for its own. */
static void shell_word(const char *uri, char *ret_word, size_t room)
{
	size_t n = 0;

	if (strpbrk(uri, " \t\n&;|<>()$`\\\"'*?") == NULL) {
		snprintf(ret_word, room, "%s", uri);
		return;
	}
	ret_word[n++] = '\'';
	for (; *uri != '\0' && n + 6 < room; uri++) {
		if (*uri == '\'')
			n += (size_t)snprintf(ret_word + n, room - n, "'\\''");
		else
			ret_word[n++] = *uri;
	}
	ret_word[n++] = '\'';
	ret_word[n] = '\0';
}

static void vdo_word(const char *uri, char *ret_word, size_t room)
{
	char inner[WORD_BYTES];

	vdo_uri(uri, inner, sizeof(inner));
	shell_word(inner, ret_word, room);
}

void opening_command(const struct identity *identity, const char *uri, char *ret_text, size_t room)
{
	char outer[WORD_BYTES], inner[WORD_BYTES];

	ret_text[0] = '\0';
	/* By the name vdo:PATH it has to be that of the volume. */
	if (identity->thing == THING_INDEX && has_index_damage(identity) && identity->knows_nonce &&
	    inner_uri(uri, inner, sizeof(inner))) {
		shell_word(inner, outer, sizeof(outer));
		snprintf(ret_text, room, "uds vdo prime --create %s", outer);
		return;
	}
	shell_word(uri, outer, sizeof(outer));
	vdo_word(uri, inner, sizeof(inner));
	if (identity->thing == THING_INDEX && !has_index_damage(identity))
		snprintf(ret_text, room, "uds info %s", outer);
	else if ((identity->thing == THING_VDO_REGION || identity->thing == THING_VDO) &&
		 identity->has_index)
		snprintf(ret_text, room, "uds info %s", inner);
	else if (identity->thing == THING_VDO && identity->knows_nonce)
		snprintf(ret_text, room, "uds vdo prime --create %s", outer);
	else if (identity->thing == THING_STORE)
		snprintf(ret_text, room, "uds snapshot info %s", outer);
	else if (identity->thing == THING_SHARDS && !identity->damaged &&
		 !identity->unknown_version)
		snprintf(ret_text, room, "uds info %s", outer);
}

/* The index by the name that it is written by. */
static void index_word(const struct identity *identity, const char *uri, char *ret_word,
		       size_t room)
{
	char name[WORD_BYTES], region[WORD_BYTES + 12];
	bool is_region = identity->thing == THING_VDO_REGION;

	snprintf(name, sizeof(name), "%s", uri);
	if (identity->thing == THING_VDO || is_region)
		vdo_uri(uri, name, sizeof(name));
	/* By the name vdo:PATH, what is in no volume is a region, too. */
	is_region = is_region || (is_vdo_uri(uri) && !identity->knows_nonce);
	snprintf(region, sizeof(region), "%s%s", name,
		 is_region && strchr(name, '?') == NULL ? "?region=1" : "");
	shell_word(region, ret_word, room);
}

void repairing_command(const struct identity *identity, const char *uri, char *ret_text,
		       size_t room)
{
	char word[WORD_BYTES], nonce[40] = "";

	ret_text[0] = '\0';
	if (!identity->index_damage.repairable)
		return;
	if (identity->index_damage.needs_nonce && identity->knows_nonce)
		snprintf(nonce, sizeof(nonce), " --nonce %llu",
			 (unsigned long long)identity->nonce);
	else if (identity->index_damage.needs_nonce)
		snprintf(nonce, sizeof(nonce), " --nonce N");
	index_word(identity, uri, word, sizeof(word));
	snprintf(ret_text, room, "uds verify --repair%s %s", nonce, word);
}

const char *repairing_note(const struct identity *identity)
{
	if (!has_index_damage(identity))
		return "";
	if (identity->knows_nonce && identity->vdo.state != UDS_VDO_CLEAN &&
	    identity->vdo.state != UDS_VDO_NEW)
		return "the volume is not stopped: if it runs, its index may only look damaged";
	if (identity->knows_nonce || !identity->index_damage.needs_nonce)
		return "";
	return identity->thing == THING_VDO_REGION
		       ? "N is the nonce of the volume, which uds find prints for it"
		       : "N is the user nonce, which nothing else has: 0 unless the index was made "
			 "with another one";
}

/* A thing with its article: "a VDO volume", "a UDS index whose config block is damaged". */
static void describe(const struct identity *identity, char *ret_text, size_t room)
{
	const char *name = thing_name(identity->thing);
	size_t n = (size_t)snprintf(ret_text, room, "a%s %s",
				    strchr("aeiou", name[0]) != NULL ? "n" : "", name);

	if (has_index_damage(identity))
		snprintf(ret_text + n, room - n, "%s whose %s %s damaged",
			 identity->thing == THING_VDO ? " with an index" : "",
			 damaged_blocks(identity),
			 strstr(damaged_blocks(identity), " and ") != NULL ? "are" : "is");
}

/* Whether the command that failed is the one which would be named. */
static bool was_tried(const struct identity *identity, const char *command)
{
	if (identity->thing != THING_INDEX)
		return false;
	return strcmp(command, REPAIR_WITH_NONCE) == 0 ||
	       (strcmp(command, REPAIR) == 0 && !identity->index_damage.needs_nonce);
}

/* What to type for an index with a damaged block. False when that is what has failed. */
static bool explain_damage(const struct identity *identity, const char *command, const char *uri,
			   char *ret_text, size_t room)
{
	char type[WORD_BYTES + 100], what[100], outer[WORD_BYTES];
	const char *note = repairing_note(identity);

	describe(identity, what, sizeof(what));
	shell_word(uri, outer, sizeof(outer));
	if (was_tried(identity, command))
		return false;
	repairing_command(identity, uri, type, sizeof(type));
	if (!identity->index_damage.repairable) {
		note = "no repair makes it whole";
		opening_command(identity, uri, type, sizeof(type));
	}
	if (type[0] == '\0')
		snprintf(type, sizeof(type), "uds find %s", outer);
	snprintf(ret_text, room, "%s: this is %s; type: %s%s%s%s", uri, what, type,
		 note[0] != '\0' ? " (" : "", note, note[0] != '\0' ? ")" : "");
	return true;
}

/* Commands for volumes take the volume, and not the name of its index. */
static bool explain_vdo_name(const char *command, const char *uri, char *ret_text, size_t room)
{
	struct identity identity = { .thing = THING_UNKNOWN };
	char device[WORD_BYTES], word[WORD_BYTES];
	struct uds_message unused;

	if (!inner_uri(uri, device, sizeof(device)) || identify(device, &unused, &identity) < 0 ||
	    identity.thing != THING_VDO)
		return false;
	shell_word(device, word, sizeof(word));
	snprintf(ret_text, room, "%s: this is the index of a VDO volume; type: uds %s %s", uri,
		 command, word);
	return true;
}

bool explain_failure(const char *command, const char *uri, int status, char *ret_text, size_t room)
{
	bool snapshot = strncmp(command, "snapshot ", 9) == 0,
	     vdo = strncmp(command, "vdo ", 4) == 0;
	struct identity identity = { .thing = THING_UNKNOWN };
	struct uds_message unused;
	char outer[WORD_BYTES], inner[WORD_BYTES], type[WORD_BYTES + 100], what[100];
	char device[WORD_BYTES];
	bool is_inner = false;

	if (status != UDS_ERR_NOT_AN_INDEX && status != UDS_ERR_NOT_A_SNAPSHOT &&
	    status != UDS_ERR_CORRUPT)
		return false;
	if (vdo && explain_vdo_name(command, uri, ret_text, room))
		return true;
	if (identify(uri, &unused, &identity) < 0) {
		/* Where vdo:PATH finds no index, by what is on PATH. */
		is_inner = inner_uri(uri, device, sizeof(device));
		if (!is_inner || identify(device, &unused, &identity) < 0)
			return false;
		uri = device;
	}
	if (identity.thing == THING_UNKNOWN)
		return false;
	if (has_index_damage(&identity))
		return explain_damage(&identity, command, uri, ret_text, room);
	if (identity.thing == THING_VDO && vdo)
		return false;
	/* Of the right thing that is damaged, the sentence has said it already. */
	if (status == UDS_ERR_CORRUPT && identity.thing != THING_VDO_REGION)
		return false;
	/* The sentence names the shard that it is about. */
	if ((identity.thing == THING_INDEX || identity.thing == THING_SHARDS) && !snapshot &&
	    !vdo && !is_inner)
		return false;
	opening_command(&identity, uri, type, sizeof(type));
	describe(&identity, what, sizeof(what));
	shell_word(uri, outer, sizeof(outer));
	vdo_word(uri, inner, sizeof(inner));
	if (!snapshot && !vdo && (identity.has_index && identity.thing != THING_INDEX))
		snprintf(type, sizeof(type), "uds %s %s", command, inner);
	if (identity.thing == THING_OTHER)
		snprintf(ret_text, room, "%s: what is there is known as %s", uri, identity.word);
	else if (identity.thing == THING_PV)
		snprintf(ret_text, room,
			 "%s: this is an LVM physical volume%s%s; uds find %s says more", uri,
			 identity.vg_name[0] != '\0' ? " of group " : "", identity.vg_name, outer);
	else if (type[0] == '\0')
		snprintf(ret_text, room, "%s: this is %s; uds find %s says more", uri, what, outer);
	else
		snprintf(ret_text, room, "%s: this is %s; type: %s", uri, what, type);
	return true;
}
