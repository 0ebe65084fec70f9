/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LVM volume groups without LVM and without the kernel: which ranges of which physical volumes make
 * up a logical volume, and which logical volumes are a snapshot's origin and COW store (text
 * format, label LVM2 001).
 *
 * Linear and striped segments are read; a volume with segments of another type is listed, and
 * refused with the name of the type when it is opened. Nothing here writes metadata.
 */
#ifndef UDS_LVM_H
#define UDS_LVM_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/io.h>
#include <uds/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uds_lvm_group;

/* The most physical volumes that a group is opened on. */
#define UDS_LVM_PVS_MAX 4096u

/* A physical volume, from its label or from the metadata of its group. */
struct uds_lvm_pv {
	uint64_t size;	    /* of this struct: set by UDS_LVM_PV_INIT */
	struct uds_io *io;  /* NULL: missing */
	const char *name;   /* in the group: "pv0"; NULL from uds_lvm_read_pv() */
	const char *device; /* where LVM saw it last, a hint; NULL from uds_lvm_read_pv() */
	char uuid[40];	    /* as LVM shows it */
	uint64_t device_bytes;
	uint64_t data_offset; /* bytes, where its first extent begins */
	uint64_t extents;     /* 0 from uds_lvm_read_pv() */
};

#define UDS_LVM_PV_INIT                                            \
	{                                                          \
		sizeof(struct uds_lvm_pv), 0, 0, 0, { 0 }, 0, 0, 0 \
	}

/*
 * Reads the label of the physical volume on an I/O.
 *
 * @env: memory; may be NULL.
 *
 * Returns 0, or
 *   -EINVAL                      no label there
 *   UDS_ERR_CORRUPT              there is one, which is damaged
 *   UDS_ERR_UNSUPPORTED_VERSION  a label of another type
 *   -EINVAL, -E2BIG              a size member (libuds(3), Structs)
 *   -ENOMEM, -EIO, ...           no memory; what the I/O said
 *
 * Threads: any. Since 0.2.
 */
int uds_lvm_read_pv(struct uds_io *io, const struct uds_env *env, struct uds_message *ret_message,
		    struct uds_lvm_pv *ret_pv);

struct uds_lvm_options {
	uint64_t size;	/* of this struct: set by UDS_LVM_OPTIONS_INIT */
	bool close_pvs; /* the I/Os belong to the group, and are closed with it */
	/* to write, also when a physical volume or a copy of the metadata is missing */
	bool allow_missing;
	uint8_t unused[6]; /* ignored */
};

#define UDS_LVM_OPTIONS_INIT                                  \
	{                                                     \
		sizeof(struct uds_lvm_options), false, false, \
		{                                             \
			0                                     \
		}                                             \
	}

/*
 * Opens a volume group: reads the labels and the metadata of its physical volumes, and takes the
 * newest copy whose checksums hold. What the copy says is checked: every extent lies on its
 * physical volume and is used once, each name and each physical volume is there once, a snapshot's
 * origin is no snapshot.
 *
 * Two copies may have the newest seqno and different texts. Nothing tells which of them is right:
 * to read, the one that is found first is taken, and a warning with both places is logged; to
 * write, that is an error, also with allow_missing.
 *
 * I/Os that are read-only give volumes that are. With I/Os that can be written all physical volumes
 * of the group are needed. That nothing else uses them is seen to by uds_io_open_file(). If one
 * that is read is in use, a warning is logged: what is read may be mixed from several moments. One
 * is logged also for each physical volume that the metadata mark as missing: it may be stale.
 *
 * @pvs, @count: the physical volumes, in any order, 1 to UDS_LVM_PVS_MAX; those that are missing
 *     may be left out.
 * @options: may be NULL.
 * @env: memory and log; may be NULL.
 *
 * Returns 0, or, with a sentence that names the device, the place, the expected and
 * the found value:
 *   -EINVAL                      no label; no metadata on any of them; a physical volume
 *                                given twice; @count
 *   UDS_ERR_CORRUPT              a checksum is wrong on every copy, or the metadata contradict
 *                                themselves; to write, two copies of one seqno differ
 *   UDS_ERR_UNSUPPORTED_VERSION  of one of the parts
 *   UDS_ERR_MISMATCH             physical volumes of two groups
 *   -ENODEV                      to be written, and a physical volume is missing, or marked as
 *                                missing in the metadata: LVM has changed the group without it
 *   -EINVAL, -E2BIG              a size member (libuds(3), Structs)
 *   -ENOMEM, -EIO, ...           no memory; what an I/O said
 * After an error the I/Os are the caller's, also with close_pvs.
 *
 * Threads: any. Since 0.2.
 */
int uds_lvm_open_group(struct uds_io *const *pvs, size_t count,
		       const struct uds_lvm_options *options, const struct uds_env *env,
		       struct uds_message *ret_message, struct uds_lvm_group **ret_group);

/*
 * Closes a group. The I/Os of its volumes were closed before.
 *
 * @group: may be NULL.
 *
 * Returns 0, or with close_pvs what closing an I/O said first.
 *
 * Threads: one; no other thread may be using the group. Since 0.2.
 */
int uds_lvm_close_group(struct uds_lvm_group *group);

struct uds_lvm_info {
	uint64_t size;	  /* of this struct: set by UDS_LVM_INFO_INIT */
	const char *name; /* valid until the group is closed */
	const char *uuid;
	uint64_t seqno; /* of the metadata: LVM adds one with each change */
	uint64_t extent_bytes;
	uint32_t pv_count, volume_count;
	uint32_t missing_count; /* physical volumes that were not given */

	/* Of the metadata that were given: damaged, or of this seqno with another text. */
	uint32_t wrong_copies;
};

#define UDS_LVM_INFO_INIT                                           \
	{                                                           \
		sizeof(struct uds_lvm_info), 0, 0, 0, 0, 0, 0, 0, 0 \
	}

/*
 * Fills in what a group is.
 *
 * Returns 0; -EINVAL or -E2BIG for a size member (libuds(3), Structs).
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_lvm_get_info(const struct uds_lvm_group *group, struct uds_message *ret_message,
		     struct uds_lvm_info *ret_info);

/*
 * Called for each physical volume; the struct is valid during the call. A value other than 0 ends
 * the calls, with UDS_ERR_STOPPED.
 */
typedef int (*uds_lvm_pv_fn)(void *context, const struct uds_lvm_pv *pv);

/*
 * Calls @each for each physical volume of the group, in the order of their names.
 *
 * Returns 0, or UDS_ERR_STOPPED when @each ended it.
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_lvm_for_each_pv(const struct uds_lvm_group *group, uds_lvm_pv_fn each, void *context);

/*
 * A logical volume. A snapshot is the one that is its COW store, whose name it has. Strings are
 * valid until the group is closed.
 */
struct uds_lvm_volume {
	uint64_t size; /* of this struct: set by UDS_LVM_VOLUME_INIT */
	const char *name;
	const char *uuid;
	const char
		*type; /* "linear", "striped"; or a type that is not read, "mirror" for instance */
	const char *origin; /* of a snapshot; else NULL */
	uint64_t bytes;
	uint64_t chunk_bytes; /* of a snapshot; else 0 */
	uint32_t segment_count;
	bool visible; /* users see it: it is no part of another one */
	bool merging; /* a snapshot that is being merged into its origin */
	bool missing; /* something of it lies on a physical volume that is missing */

	uint8_t unused[1]; /* 0 */
};

#define UDS_LVM_VOLUME_INIT                                                              \
	{                                                                                \
		sizeof(struct uds_lvm_volume), 0, 0, 0, 0, 0, 0, 0, false, false, false, \
		{                                                                        \
			0                                                                \
		}                                                                        \
	}

/*
 * Called for each logical volume; the struct is valid during the call. A value other than 0 ends
 * the calls, with UDS_ERR_STOPPED.
 */
typedef int (*uds_lvm_volume_fn)(void *context, const struct uds_lvm_volume *volume);

/*
 * Calls @each for each logical volume of the group, in the order of their names.
 *
 * Returns 0, or UDS_ERR_STOPPED when @each ended it.
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_lvm_for_each_volume(const struct uds_lvm_group *group, uds_lvm_volume_fn each,
			    void *context);

/*
 * Finds one logical volume.
 *
 * Returns 0; -ENOENT when there is none of that name; -EINVAL or -E2BIG for a size
 * member (libuds(3), Structs).
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_lvm_lookup_volume(const struct uds_lvm_group *group, const char *name,
			  struct uds_message *ret_message, struct uds_lvm_volume *ret_volume);

/*
 * Makes an I/O of a logical volume, from the ranges of the physical volumes that make it up. Of a
 * snapshot this is the COW store, which uds_snapshot_open() takes together with the I/O of its
 * origin. Several volumes may be open at once.
 *
 * @name: of the volume, without that of the group.
 *
 * Returns 0, or
 *   -ENOENT               no logical volume of that name
 *   -ENODEV               a part lies on a physical volume that is missing; the sentence names it
 *   -EOPNOTSUPP           a segment is neither linear nor striped; the sentence has its type
 *   UDS_ERR_OUT_OF_RANGE  a part lies behind the end of the device
 *   -EFBIG                more than UDS_IO_RANGES_MAX stripes
 *   UDS_ERR_UNALIGNED     extents are no multiple of the blocks of a device
 *   -ENOMEM
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_lvm_open_volume(struct uds_lvm_group *group, const char *name,
			struct uds_message *ret_message, struct uds_io **ret_io);

/*
 * Returns the group of an I/O that was opened by the URI lvm:GROUP/VOLUME?pv=URI, which owns it: to
 * open the origin of a snapshot on the same physical volumes, for instance, since a second open to
 * write would find them in use. NULL for every other I/O, also for a range of such a one.
 *
 * I/Os of other volumes of the group are closed before this one.
 *
 * Threads: any number at once. Since 0.2.
 */
struct uds_lvm_group *uds_lvm_group_of(const struct uds_io *io);

#ifdef __cplusplus
}
#endif

#endif
