/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Checksums of the chapters of a volume: one for each 4096 bytes of every page, in memory, and in
 * the checksum blocks of the extras area (uds-extras).
 *
 * The checksums of a slot count for the chapter whose number they have; for any other one, written
 * by a program that does not know the area, nothing is known.
 *
 * All checksums are in memory: 4 bytes for each 4096, which is 0.035 bytes a record, one hundredth
 * of what the volume index takes. Besides there is a bit for each block that was checked since it
 * was written or the volume was opened.
 *
 * Threads: a slot's checksums are changed by one thread, while no reader is in the slot
 * (slot_table.h), and written by the same; checking and forgetting is for any threads that are
 * in the slot.
 */
#ifndef EXTRAS_CHECKSUMS_H
#define EXTRAS_CHECKSUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/status.h>

#include "extras/area.h"
#include "geometry/geometry.h"
#include "io/io.h"

struct checksums;

/* Makes them, all unknown. Returns 0 or -ENOMEM. */
int checksums_make(const struct uds_env *env, struct uds_io *io, const struct geometry *geometry,
		   const struct extras_area *area, struct checksums **ret_checksums);

/* May be NULL. */
void checksums_free(struct checksums *checksums);

/*
 * Reads all checksum blocks. Slots whose blocks are damaged, of another area or not to be read stay
 * unknown. No other thread uses the checksums.
 *
 * @ret_unreadable: how many slots could not be read; @ret_message: the first reason.
 *
 * Returns 0 or -ENOMEM.
 */
int checksums_read(struct checksums *checksums, uint32_t *ret_unreadable,
		   struct uds_message *ret_message);

/* Whether the checksums of a slot are those of chapter @vcn. */
bool checksums_know(const struct checksums *checksums, uint32_t slot, uint64_t vcn);

/* The chapter whose checksums a slot has; NO_CHAPTER: nothing is known. @checksums: may be NULL. */
uint64_t checksums_chapter(const struct checksums *checksums, uint32_t slot);

/* Whether those on the device are, as far as is known. Not while a chapter is being written. */
bool checksums_are_written(const struct checksums *checksums, uint32_t slot, uint64_t vcn);

/*
 * Whether the device has checksums of chapter @vcn, and it was found that another program has
 * written a chapter of this number since: see checksums_forget(). Only until checksums are written.
 */
bool checksums_are_of_another(const struct checksums *checksums, uint32_t slot, uint64_t vcn);

/* Whether blocks [@first, @end) of a slot were all checked before. */
bool checksums_were_checked(const struct checksums *checksums, uint32_t slot, uint32_t first,
			    uint32_t end);

/* What a checksum should be, and is. */
struct checksum_damage {
	uint32_t block; /* of the chapter */
	uint32_t expected, found;
};

/*
 * Compares @count blocks of a slot, from block @first on, with the checksums, and takes note of
 * those that are right. Returns whether all are; if not, @ret_damage has the first that is not.
 */
bool checksums_check(struct checksums *checksums, uint32_t slot, uint32_t first,
		     const uint8_t *bytes, uint32_t count, struct checksum_damage *ret_damage);

/* For one block that may be wrong without consequences. Takes no note. */
bool checksums_match(const struct checksums *checksums, uint32_t slot, uint32_t block,
		     const uint8_t *bytes);

/* Computes the checksums of chapter @vcn from all its pages. They are to be written yet. */
void checksums_set(struct checksums *checksums, uint32_t slot, uint64_t vcn, const uint8_t *pages);

/* From now on nothing is known of the slot, in memory. */
void checksums_forget(struct checksums *checksums, uint32_t slot);

/*
 * Before chapter @vcn is written: if the device may have checksums of a chapter with this
 * very number, which was given up since, they are made void, durably. They say that the
 * chapter was durable once.
 *
 * Returns 0, or what the I/O said.
 */
int checksums_begin_chapter(struct checksums *checksums, uint32_t slot, uint64_t vcn,
			    struct uds_message *ret_message);

/*
 * Writes the blocks of all slots that were set and are not written yet. The chapters are durable by
 * now; that their checksums become so is up to the next flush.
 *
 * Returns 0, or what the I/O said: the next call tries again.
 */
int checksums_write(struct checksums *checksums, struct uds_message *ret_message);

/*
 * A flush of the I/O failed: what was written since the last one that succeeded may be lost, and is
 * written once more by the next checksums_write(). Threads: any.
 */
void checksums_note_failed_flush(struct checksums *checksums);

/* A flush succeeded that began after everything was written. */
void checksums_note_flush(struct checksums *checksums);

/* Memory that the checksums of a volume take. */
uint64_t checksums_bytes(const struct geometry *geometry);

#endif
