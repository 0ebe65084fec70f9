/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The I/O layer: everything the library keeps lies on a struct uds_io, a range of bytes that can be
 * read, written and flushed. Files, block devices and memory are built in; a program can fill in a
 * struct uds_io_ops of its own.
 *
 * The library sees whole transfers or an error: partial transfers, EINTR and retries are the
 * backend's business. Offsets and lengths are in bytes.
 */
#ifndef UDS_IO_H
#define UDS_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/old_names.h>
#include <uds/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uds_io;
struct uds_io_engine;
struct uds_io_request; /* in uds/engine.h */

/*
 * A place where bytes of an I/O lie, for telling whether two I/Os have bytes in common. An I/O may have
 * several: a loop device is itself, a range of its file, and somewhere on the device below.
 */
enum uds_io_place_kind {
	UDS_IO_PLACE_FILE = 1,	 /* device, object: st_dev and st_ino */
	UDS_IO_PLACE_DEVICE = 2, /* device: st_rdev of a block device; object: 0 */
	UDS_IO_PLACE_OTHER = 3,	 /* device, object: numbers that a backend chose, such as a hash */
};

struct uds_io_place {
	uint32_t kind;
	uint32_t within; /* 1: the bytes lie only somewhere in the range; 0: they are the range */
	uint64_t device;
	uint64_t object;
	uint64_t offset;    /* bytes, in the file or device */
	uint64_t length;    /* bytes; UINT64_MAX: to the end, wherever that is */
	uint64_t unused[2]; /* 0 */
};

/*
 * What a backend does. Functions may be called from several threads at once.
 *
 * Functions, and requests in their status, return 0 or a negated errno, or UDS_ERR_OUT_OF_RANGE,
 * UDS_ERR_READ_ONLY or UDS_ERR_UNALIGNED. Anything else is an error of the backend and becomes
 * -EIO: a positive number, and the other UDS_ERR_... values, which stand for
 * what the library itself has found. So a backend that stands on another store of this library
 * translates what that one says. No errno is ever taken for more than an error: -ENOSPC does not
 * make a snapshot full.
 */
struct uds_io_ops {
	uint64_t size; /* of this struct: set by UDS_IO_OPS_INIT */

	int (*read)(void *context, void *buffer, size_t length, uint64_t offset);

	/* NULL for a backend that cannot be written. */
	int (*write)(void *context, const void *buffer, size_t length, uint64_t offset);

	/* Every write that completed before the call is durable when this returns 0. */
	int (*flush)(void *context);

	int (*get_size)(void *context, uint64_t *ret_bytes);

	/* Releases the context; returns the error that closing met, if any. */
	int (*close)(void *context);

	/* The rest is optional. */

	/* The range need not be kept; reading it gives anything until it is written again. */
	int (*discard)(void *context, uint64_t offset, uint64_t length);

	/* Makes the range of bytes this long; new bytes read as zero. */
	int (*resize)(void *context, uint64_t bytes);

	/* A read-only view of a range, valid until the I/O is closed. */
	int (*map)(void *context, uint64_t offset, size_t length, const void **ret_view);

	/*
	 * Where the bytes lie: fills at most @room of @ret_places and says how many there are. A backend on
	 * top of another I/O hands on what uds_io_places() says of that.
	 */
	int (*identity)(void *context, struct uds_io_place *ret_places, size_t room,
			size_t *ret_count);

	/* The range reads as zero afterwards. Without it, or with -EOPNOTSUPP, zeroes are written. */
	int (*write_zeroes)(void *context, uint64_t offset, uint64_t length);

	/* A write that is durable when it returns, for UDS_IO_FUA. Without it: write and flush. */
	int (*write_durable)(void *context, const void *buffer, size_t length, uint64_t offset);

	/*
	 * Many requests at once, for a backend that can have several in flight by itself. Begins reads,
	 * writes and flushes, and returns; each is ended by uds_io_request_complete(), from any
	 * thread, which also wakes the engine. When it fails it has begun none of them, and with
	 * -EOPNOTSUPP they are carried out by the functions above. All are of one engine
	 * (request->engine) and obey the limits.
	 */
	int (*submit)(void *context, struct uds_io_request *const *requests, size_t count);

	/*
	 * Only with submit, for a backend without threads of its own: called by who waits for an
	 * engine while requests of it are in flight here. Completes those that are ready, and
	 * waits for one at most @timeout_ms milliseconds (negative: as long as it takes). When it
	 * fails, the backend has given up all requests of this engine that it has not completed, and will
	 * not touch them any more: they fail with that error.
	 */
	int (*reap)(void *context, struct uds_io_engine *engine, int timeout_ms);
};

#define UDS_IO_OPS_INIT                                                          \
	{                                                                        \
		sizeof(struct uds_io_ops), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
	}

/* What a backend demands and is. */
struct uds_io_limits {
	uint64_t size; /* of this struct: set by UDS_IO_LIMITS_INIT */
	uint32_t
		block_bytes; /* offsets and lengths are multiples of it; a power of two; 1: anything */
	uint32_t memory_alignment; /* of buffers; a power of two; 1: anything */
	bool read_only;
	const char *name; /* for messages: a path or the like; copied */

	/*
	 * Transfers take no time worth waiting for, as with memory: an engine carries them out when they
	 * are submitted.
	 */
	bool quick;

	uint8_t unused[7]; /* ignored */
};

#define UDS_IO_LIMITS_INIT                                              \
	{                                                               \
		sizeof(struct uds_io_limits), 1, 1, false, "io", false, \
		{                                                       \
			0                                               \
		}                                                       \
	}

/*
 * Makes an I/O from a vtable.
 *
 * @ops: copied. @context: given to each of them; owned by the new I/O when this succeeds.
 *
 * Returns 0, -ENOMEM, or -EINVAL for a vtable without read, flush, get_size or close, with a reap
 * but no submit, or with limits that are not powers of two.
 *
 * Threads: any. Since 0.1.
 */
int uds_io_open_ops(const struct uds_io_ops *ops, void *context, const struct uds_io_limits *limits,
		    const struct uds_env *env, struct uds_io **ret_io);

/*
 * Closes an I/O and gives its memory back, also when it returns an error. NULL is fine. No other
 * thread may use it any more or wait in an engine for its requests; none of these is in flight. It does not flush: what was written
 * since the last uds_io_flush() may still be lost with the power.
 *
 * Returns what the backend's close said.
 */
int uds_io_close(struct uds_io *io);

/*
 * Copies the sentence about the calling thread's last call on this I/O, if that
 * failed; empty when it did not (libuds(3), Errors). Calls that the library makes count, too: an index
 * or a snapshot on the I/O has sentences of its own. Requests of engines have only their status.
 *
 * Threads: any number at once. Since 0.1.
 */
void uds_io_error_message(struct uds_io *io, struct uds_message *ret_message);

/*
 * Reads or writes exactly @length bytes.
 *
 * Returns 0, or
 *   UDS_ERR_UNALIGNED     offset, length or buffer off the limits of the I/O; nothing was done
 *   UDS_ERR_READ_ONLY     a write to an I/O that cannot be written; nothing was done
 *   UDS_ERR_OUT_OF_RANGE  the range goes past the end; nothing is promised about the buffer
 *   -EIO, -ENOSPC, ...    what the backend said; a part may have been written
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_io_read(struct uds_io *io, void *buffer, size_t length, uint64_t offset);
int uds_io_write(struct uds_io *io, const void *buffer, size_t length, uint64_t offset);

/*
 * Makes every write that completed before durable.
 *
 * After an error nothing is known about the writes since the last good flush; a second flush that
 * succeeds does not bring them back.
 */
int uds_io_flush(struct uds_io *io);

/*
 * Makes a range read as zero, in the quickest way that the backend has. Returns as uds_io_write(), or
 * -ENOMEM.
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_io_write_zeroes(struct uds_io *io, uint64_t offset, uint64_t length);

/* The size in bytes now: 0, or what the backend said. */
int uds_io_size(struct uds_io *io, uint64_t *ret_bytes);

/*
 * Optional operations: -EOPNOTSUPP where the backend has none; UDS_ERR_READ_ONLY for a discard or resize
 * of what cannot be written, UDS_ERR_UNALIGNED for a new size that is no multiple of the block, and
 * UDS_ERR_OUT_OF_RANGE for a discard past the end.
 *
 * A resize must not run beside transfers that reach behind the new end.
 */
int uds_io_discard(struct uds_io *io, uint64_t offset, uint64_t length);
int uds_io_resize(struct uds_io *io, uint64_t bytes);
int uds_io_map(struct uds_io *io, uint64_t offset, size_t length, const void **ret_view);

/* Limits and name; valid until the I/O is closed. */
uint32_t uds_io_block_bytes(const struct uds_io *io);
uint32_t uds_io_memory_alignment(const struct uds_io *io);
bool uds_io_is_read_only(const struct uds_io *io);
const char *uds_io_name(const struct uds_io *io);

/*
 * Where the bytes of an I/O lie, as far as its backend and the system can tell at this moment: itself and
 * what it stands on.
 *
 * @ret_count: how many places there are, of which the first @room are in @ret_places.
 *
 * Returns 0, -EOPNOTSUPP for a backend that cannot tell (memory, for one), or what it said.
 *
 * Threads: any. Since 0.1.
 */
int uds_io_places(struct uds_io *io, struct uds_io_place *ret_places, size_t room,
		  size_t *ret_count);

/*
 * Whether two I/Os are known to have bytes in common: the same file or device by whatever name, a file
 * and a loop device on it, two loop devices over one file, partitions and linear device-mapper devices
 * whose ranges meet, a device and a file on it.
 *
 * False where the system does not tell, and for two things that merely lie on a third.
 *
 * Threads: any. Since 0.1.
 */
bool uds_io_overlap(struct uds_io *a, struct uds_io *b);

/* Built-in backends. */

enum uds_io_direct {
	UDS_IO_DIRECT_NO = 0,	/* through the system's page cache */
	UDS_IO_DIRECT_YES = 1,	/* O_DIRECT, or an error that says why not */
	UDS_IO_DIRECT_AUTO = 2, /* O_DIRECT where the file system allows it */
};

struct uds_io_file_options {
	uint64_t size;	       /* of this struct: set by UDS_IO_FILE_OPTIONS_INIT */
	bool write;	       /* open to read and write, and take the exclusive lock */
	bool create;	       /* make the file when it is not there; needs write */
	bool exclusive_create; /* with create: -EEXIST when it is there */
	bool no_lock;	 /* to read without the shared lock: only for data that nobody changes */
	uint32_t direct; /* enum uds_io_direct */
	bool uring;	 /* engines use io_uring for it, or threads where the kernel refuses that */

	uint8_t unused[7]; /* ignored */
};

#define UDS_IO_FILE_OPTIONS_INIT                                                                  \
	{                                                                                         \
		sizeof(struct uds_io_file_options), false, false, false, false, UDS_IO_DIRECT_NO, \
			false,                                                                    \
		{                                                                                 \
			0                                                                         \
		}                                                                                 \
	}

/*
 * Opens a regular file or a block device.
 *
 * @options: NULL for the defaults: to read, shared lock, through the page cache.
 *
 * Opened to write it is locked against every other opener of this library; to read, against
 * writers. A block device is opened to write with O_EXCL, so one that is mounted or held by
 * device-mapper is refused, and so is a file that a loop device, a mount or swapping uses.
 *
 * What the page cache holds of a block device is dropped at the open, and a device that others use is read
 * past it, so each open sees what is on the device now. With O_DIRECT the block size is the device's logical sector size, or what
 * the file system asks for.
 *
 * Returns 0, or
 *   -ENOENT, -EACCES, -EISDIR, ...  what the system said
 *   -EINVAL                neither a regular file nor a block device, or options that contradict
 *   -EROFS                 to write, on a read-only device
 *   UDS_ERR_IN_USE         locked by another opener, mounted, or held by the system
 *   UDS_ERR_NO_DIRECT_IO   UDS_IO_DIRECT_YES on a file system that refuses it
 * and a sentence with the path and the reason. An open that fails leaves everything as it was: a
 * file that it made is gone again.
 *
 * Afterwards: a write does not make the file longer, uds_io_resize() does; it cannot resize a
 * block device (-EOPNOTSUPP). The lock ends with uds_io_close(), or with the process; a child made by
 * fork() shares it until it ends or executes another program. No descriptor below 3 is ever used, and
 * all have O_CLOEXEC.
 *
 * Threads: any. Since 0.1.
 */
int uds_io_open_file(const char *path, const struct uds_io_file_options *options,
		     const struct uds_env *env, struct uds_message *ret_message,
		     struct uds_io **ret_io);

/* The most bytes that a memory I/O can have: 16 TiB. */
#define UDS_IO_MEMORY_BYTES_MAX (UINT64_C(1) << 44)

/*
 * Bytes in memory, zero at first. It can be resized; its content ends with it.
 *
 * Memory is allocated when something other than zeros is written, 32 KiB at a time (and 8 bytes
 * for each 32 MiB of the size at once), so a write may return -ENOMEM. A resize gives memory back.
 *
 * @bytes: up to UDS_IO_MEMORY_BYTES_MAX. @block_bytes: what it pretends to demand, a power of two; 1
 * for no demand.
 *
 * Returns 0, -ENOMEM, -EFBIG for too many @bytes (so does uds_io_resize()), or -EINVAL for a
 * @block_bytes that is no power of two.
 *
 * Threads: any. Since 0.1.
 */
int uds_io_open_memory(uint64_t bytes, uint32_t block_bytes, const struct uds_env *env,
		       struct uds_io **ret_io);

/*
 * Opens by URI:
 *
 *	PATH                            a plain path, taken as it is
 *	file:PATH?direct=1&uring=1      direct: 0, 1 or auto; uring: 0 or 1
 *	mem:?size=BYTES                 memory, zero at first; without a size 0 bytes; BYTES is a
 *	                                number, also with 0x, that may end in K, M, G or T, or in KiB,
 *	                                MiB, GiB or TiB (powers of 1024)
 *
 * In a URI with a scheme %XX (two hex digits) in the path stands for a byte, so that a path may hold
 * a question mark. A plain path that has a colon before its first slash is written as ./PATH or
 * file:PATH.
 *
 * @options: as for uds_io_open_file; what the URI says comes on top. NULL for the defaults.
 *
 * Returns what the backend's open returns; -EINVAL for an unknown scheme or parameter, a value that it
 * cannot have, or a bad percent sign, each named in the sentence.
 *
 * Threads: any. Since 0.1.
 */
int uds_io_open_uri(const char *uri, const struct uds_io_file_options *options,
		    const struct uds_env *env, struct uds_message *ret_message,
		    struct uds_io **ret_io);

#ifdef __cplusplus
}
#endif

#endif
