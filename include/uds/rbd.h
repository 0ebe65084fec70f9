/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The I/O backend for images of a Ceph cluster (RBD), in a library of its own: libuds-rbd, which
 * stands on librbd. Link it with `pkg-config --libs libuds-rbd`.
 *
 * An image becomes a struct uds_io: an index or a snapshot on it is used like one on a file. The
 * writer holds the image's exclusive lock; one that is gone is fenced by Ceph, and an I/O that has
 * lost the lock never writes again. libuds_rbd(3) says how.
 */
#ifndef UDS_RBD_H
#define UDS_RBD_H

#include <stdbool.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/io.h>
#include <uds/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uds_rbd_options {
	uint64_t size; /* of this struct: set by UDS_RBD_OPTIONS_INIT */
	bool write;    /* open to write, and take the exclusive lock */
	bool create;   /* make the image, with no bytes, and with resize; needs write */
	bool resize;   /* uds_io_resize() changes the image; without it, it is -EOPNOTSUPP */
	bool no_lock;  /* read although somebody writes: only for data that does not change */

	/*
	 * Writes for which a full cluster or pool has no room fail with -ENOSPC or -EDQUOT; without
	 * it they wait until there is room, and the log says so.
	 */
	bool fail_when_full;

	uint8_t unused[3]; /* ignored */

	/*
	 * The most milliseconds until a monitor answers, and an answer while the image is being
	 * opened; not 0; in effect rounded up to seconds.
	 */
	uint32_t connect_ms;

	/*
	 * The most milliseconds until a request is carried out, which then fails with -ETIMEDOUT,
	 * rounded up to seconds; 0: requests wait as long as it takes.
	 */
	uint32_t answer_ms;

	const char *conf;	    /* ceph.conf; NULL: where Ceph looks for it */
	const char *id;		    /* of the client: "admin" for client.admin; NULL: that */
	const char *pool_namespace; /* may be NULL */
};

#define UDS_RBD_OPTIONS_INIT                                                                     \
	{                                                                                        \
		sizeof(struct uds_rbd_options), false, false, false, false, false, { 0 }, 10000, \
			0, 0, 0, 0                                                               \
	}

/*
 * Opens an image, or a snapshot of one.
 *
 * @image: "POOL/IMAGE" or "POOL/IMAGE@SNAPSHOT". A snapshot is read-only.
 * @options: may be NULL: read-only, and the defaults of UDS_RBD_OPTIONS_INIT. Its texts are copied.
 * @env: memory and log; may be NULL. What is waited for, for how long and why is logged, and that
 *	the lock was lost. The log is called from a thread of the I/O, too.
 *
 * To write, the image's exclusive lock is taken. Where its owner is gone that takes until Ceph has
 * noticed, usually 30 seconds; Ceph then keeps the owner from writing. Reading an image that
 * somebody is writing is refused, too: read a snapshot of it, or with no_lock.
 *
 * Returns 0, or
 *   -EINVAL          a name of another form; an option out of its range; options that contradict
 *   -EINVAL, -E2BIG  a size member (libuds(3), Structs)
 *   -ENOENT          no such pool, namespace, image, snapshot or configuration
 *   -EEXIST          create, and the image is there
 *   -EROFS           write, and it is a snapshot
 *   -EOPNOTSUPP      write, and the image does not have the feature exclusive-lock; the old image
 *                    format 1
 *   -EACCES, -EPERM  the cluster does not know the client, or does not let it
 *   -ETIMEDOUT       no monitor answered within connect_ms, or no OSD
 *   UDS_ERR_IN_USE   somebody else writes the image
 *   -ENOMEM, ...     what librados and librbd said
 *
 * Threads: any. Since 0.2.
 */
int uds_rbd_open(const char *image, const struct uds_rbd_options *options,
		 const struct uds_env *env, struct uds_message *ret_message,
		 struct uds_io **ret_io);

/*
 * Registers the scheme rbd with uds_io_register_scheme(), so that uds_io_open_uri() opens
 * "rbd:POOL/IMAGE@SNAPSHOT?conf=FILE&id=NAME&namespace=NAME", also within the URIs of other
 * schemes. Its other parameters are timeout=SECONDS, answer=SECONDS, full=wait|error and
 * resize=0|1. With exclusive_create in the options it makes the image. Registering it again does
 * nothing.
 *
 * Returns 0, or
 *   UDS_ERR_EXISTS   a scheme of this name is there, from elsewhere
 *   UDS_ERR_NO_ROOM  there are too many schemes
 *
 * Threads: any. Since 0.2.
 */
int uds_rbd_register_schemes(struct uds_message *ret_message);

#ifdef __cplusplus
}
#endif

#endif
