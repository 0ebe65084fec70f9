/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The open chapter as a save keeps it (uds-format, 10.5 and 10.6): all live records of all zones in
 * one piece of memory. Reading and writing that memory is the caller's.
 */
#ifndef CHAPTER_SAVED_CHAPTER_H
#define CHAPTER_SAVED_CHAPTER_H

#include <stddef.h>

#include "chapter/open_zone.h"
#include "geometry/geometry.h"
#include "geometry/name_zone.h"

#define SAVED_CHAPTER_HEAD_BYTES 14u

/* Bytes that a save of these zones takes now. */
uint64_t saved_chapter_bytes(struct open_zone *const *zones, unsigned int count);

/*
 * Writes exactly saved_chapter_bytes(). @room: of @memory in bytes.
 *
 * Returns 0, or UDS_ERR_OVERFLOW when @room is too small, or UDS_ERR_BAD_STATE when the zones'
 * counters do not agree with their records.
 */
int saved_chapter_write(struct open_zone *const *zones, unsigned int count, uint8_t *memory,
			size_t room);

/*
 * How many bytes a save has, from its first SAVED_CHAPTER_HEAD_BYTES: so that no more is read.
 *
 * Returns 0, or UDS_ERR_CORRUPT for a wrong magic or version, or more records than a chapter has.
 */
int saved_chapter_check_head(const struct geometry *geometry,
			     const uint8_t head[SAVED_CHAPTER_HEAD_BYTES], uint64_t *ret_bytes,
			     struct uds_message *message);

/* Called for each record that did not fit. */
typedef void (*dropped_record_fn)(void *context, const struct uds_record *record);

/*
 * Puts the records of a save into zones, which are reset first; their number and capacity may be
 * others than those of the save. Each zone is left with a free record number, if its capacity is
 * more than 1; records beyond that are dropped (their volume index entries must go, too).
 *
 * @chooser: must be for @count zones. @dropped: may be NULL; called for each dropped
 *     record. @ret_dropped: how many.
 *
 * Returns 0, or UDS_ERR_CORRUPT (a bad head, a save that is shorter than its count says, a
 * name that is there twice): the zones are empty then, though some names may have been
 * reported as dropped.
 */
int saved_chapter_load(const struct geometry *geometry, const struct zone_chooser *chooser,
		       struct open_zone *const *zones, unsigned int count, const uint8_t *memory,
		       size_t bytes, dropped_record_fn dropped, void *dropped_context,
		       uint64_t *ret_dropped, struct uds_message *message);

#endif
