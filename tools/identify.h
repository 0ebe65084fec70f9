/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What lies on a file or device, and with which command it is opened. The one place that knows:
 * `uds find` shows it, and a command that was given the wrong thing says it.
 */
#ifndef TOOLS_IDENTIFY_H
#define TOOLS_IDENTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/index.h>
#include <uds/vdo.h>

enum thing {
	THING_UNKNOWN,
	THING_INDEX,
	THING_VDO,
	THING_VDO_REGION, /* the index of a VDO volume, copied out of it */
	THING_STORE,	  /* an exception store */
	THING_PV,	  /* an LVM physical volume */
	THING_SHARDS,	  /* a manifest of shards */
	THING_OTHER,	  /* something else, which libblkid has a word for */
};

struct identity {
	enum thing thing;
	bool damaged;		  /* it is that thing, and cannot be used: the sentence says why */
	bool unknown_version;	  /* so is one that may be whole, to a later version of this */
	struct uds_message wrong; /* with the thing, or with the index in it */
	struct uds_vdo_info vdo;  /* of a VDO volume */
	bool has_index;		  /* index is filled in */
	struct uds_index_info index;
	struct uds_index_damage index_damage; /* why it is not */
	bool knows_nonce; /* the index is in a VDO volume, which has its nonce, too */
	uint64_t nonce;
	uint32_t chunk_bytes; /* of an exception store */
	bool store_is_valid;
	char pv_uuid[40],
		vg_name[128]; /* of a PV; the second empty: in no group, or not readable */
	char word[64];	      /* libblkid's */
	uint64_t bytes;	      /* of the whole file or device */
};

/* A short name for a thing: "VDO volume". */
const char *thing_name(enum thing thing);

/* Whether blocks are damaged that the index cannot be opened without, and which: "super block". */
bool has_index_damage(const struct identity *identity);
const char *damaged_blocks(const struct identity *identity);

/* "vdo:" and the URI, with what would end it there encoded. */
void vdo_uri(const char *uri, char *ret_uri, size_t room);

/*
 * The other way: what is in vdo:, as it is written by itself, without the parameters of vdo:. False
 * for another URI.
 */
bool inner_uri(const char *uri, char *ret_inner, size_t room);

/*
 * Looks at what a URI names, without a lock, and writes nothing. Returns 0, or what opening or
 * reading it said, with a sentence.
 */
int identify(const char *uri, struct uds_message *message, struct identity *ret_identity);

/* The command line that opens it, or creates its index; empty when there is none. */
void opening_command(const struct identity *identity, const char *uri, char *ret_text, size_t room);

/*
 * The command line that makes the damaged block of an index again, "--nonce N" in it where the user
 * has to know that number; empty when there is none.
 */
void repairing_command(const struct identity *identity, const char *uri, char *ret_text,
		       size_t room);

/* Names for explain_failure(), which does not recommend what was tried. */
#define REPAIR		  "verify --repair"
#define REPAIR_WITH_NONCE "verify --repair --nonce"

/* What that N is; empty when there is none. */
const char *repairing_note(const struct identity *identity);

/*
 * After a command has failed with @status on @uri: a sentence with what that is and what to type.
 * False when there is nothing to add. @command: its name.
 */
bool explain_failure(const char *command, const char *uri, int status, char *ret_text, size_t room);

#endif
