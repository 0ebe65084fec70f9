/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Small LVM physical volumes in memory, byte by byte as the layout says it, with checksums of its
 * own: 48 extents of 4 KiB behind 64 KiB with the label and the metadata.
 */
#ifndef TESTS_LVM_IMAGE_H
#define TESTS_LVM_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#define LVM_IMAGE_EXTENT  4096u
#define LVM_IMAGE_DATA_AT 65536u
#define LVM_IMAGE_EXTENTS 48u
#define LVM_IMAGE_BYTES	  (LVM_IMAGE_DATA_AT + LVM_IMAGE_EXTENTS * LVM_IMAGE_EXTENT)

#define LVM_IMAGE_LABEL_AT 512u	 /* sector 1 */
#define LVM_IMAGE_AREA_AT  4096u /* the metadata area, up to the data */
#define LVM_IMAGE_AREA	   (LVM_IMAGE_DATA_AT - LVM_IMAGE_AREA_AT)

/*
 * A group "vg" of the physical volumes pv0 (uuid of letters a) and pv1 (of b): the volumes origin
 * (4 extents of pv0, 3 of pv1, 2 of pv0), stripes (two stripes of 4 extents in pieces of 2 KiB),
 * plain (1 extent), mirrored (of type mirror), and the snapshots snap, of origin, with chunks of
 * 4 KiB on 5 extents, and merging, of stripes, with chunks of 8 KiB, which is being merged.
 */
extern const char lvm_image_text[];

/* The text with what @find is, which must be there once, replaced. Free it. */
char *lvm_image_edit(const char *text, const char *find, const char *replacement);

/*
 * A physical volume whose uuid has 32 times @letter, with a text in its metadata area (NULL: none).
 * Each extent is filled with the letter, and its first 4 bytes are its number. Free it.
 */
uint8_t *lvm_image_make(char letter, const char *text);

/*
 * Puts a text of @length bytes into the area at byte @at of it, around its end where it
 * does not fit.
 */
void lvm_image_put_text(uint8_t *image, const char *text, size_t length, uint64_t at);

/* Makes the checksum of the label, or of the header of the area, right again. */
void lvm_image_seal_label(uint8_t *image);
void lvm_image_seal_area(uint8_t *image);

#endif
