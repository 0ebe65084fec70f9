/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the text of a volume group says, checked by itself: its physical volumes, logical volumes
 * and their segments, and which of them are snapshots. Which devices are there is group.c's work.
 */
#ifndef LVM_MODEL_H
#define LVM_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/io.h>

#include "lvm/metadata_area.h"

#define LVM_NONE UINT32_MAX

struct lvm_pv {
	const char *name, *uuid;
	const char *device; /* a hint, or "" */
	uint64_t device_sectors, first_sector, extents;
	struct uds_io *io; /* NULL: not given */
	uint64_t io_bytes;
	bool is_marked; /* as missing: LVM has changed the group without it */
};

struct lvm_stripe {
	uint32_t pv;
	uint64_t first; /* extent of it */
};

struct lvm_segment {
	const char *type;
	uint64_t start, extents;
	uint32_t first_stripe, stripe_count; /* none: of a type that is not read */
	uint64_t stripe_sectors;	     /* with more than one stripe */
};

struct lvm_volume {
	const char *name, *uuid;
	uint64_t extents;
	uint32_t first_segment, segment_count;
	uint32_t origin; /* of a snapshot's COW store; else LVM_NONE */
	uint32_t chunk_sectors;
	bool visible, merging;
};

/* A snapshot as the text has it: names, which are looked up when all volumes are known. */
struct lvm_link {
	const char *section, *origin, *cow;
	uint32_t chunk_sectors;
	bool merging;
};

struct lvm_model {
	char *text; /* which all names lie in */
	const char *name, *uuid;
	uint64_t seqno, extent_sectors;
	struct lvm_pv *pvs;	    /* by name */
	struct lvm_volume *volumes; /* by name */
	struct lvm_segment *segments;
	struct lvm_stripe *stripes;
	struct lvm_link *links;
	uint32_t pv_count, volume_count, segment_count, stripe_count, link_count;
};

/*
 * Parses a text and checks each number in it; snapshots and extents are checked by
 * lvm_model_check().
 *
 * @text: belongs to the model when this succeeds.
 *
 * Returns 0; UDS_ERR_CORRUPT, UDS_ERR_UNSUPPORTED_VERSION or -ENOMEM.
 */
int lvm_model_parse(struct lvm_text *text, const struct uds_env *env, struct lvm_model *ret_model,
		    struct uds_message *message);

void lvm_model_free(struct lvm_model *model, const struct uds_env *env);

/* The number of a volume, or LVM_NONE. */
uint32_t lvm_model_find_volume(const struct lvm_model *model, const char *name);

#endif
