/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The I/O layer: the library keeps everything on a struct uds_io, a range of bytes that can be
 * read, written and flushed. Files, block devices and memory are built in. A program can add a
 * backend with a struct uds_io_ops of its own.
 *
 * The library sees whole transfers or an error. Partial transfers, EINTR and retries are the
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
 * A place of the bytes of an I/O, to tell whether two I/Os have bytes in common. An I/O can have
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

	/* The rest is optional. */

	/* Releases the context; returns the error that closing met, if any. */
	int (*close)(void *context);

	/* The range is not needed; what it reads as is undefined until it is written again. */
	int (*discard)(void *context, uint64_t offset, uint64_t length);

	/* Makes the range of bytes this long; new bytes read as zero. */
	int (*resize)(void *context, uint64_t bytes);

	/* A read-only view of a range, valid until the I/O is closed. */
	int (*map)(void *context, uint64_t offset, size_t length, const void **ret_view);

	/*
	 * Where the bytes are: fills at most @room of @ret_places and returns how many there are. A
	 * backend on top of another I/O forwards what uds_io_places() says of that.
	 */
	int (*identity)(void *context, struct uds_io_place *ret_places, size_t room,
			size_t *ret_count);

	/*
	 * The range reads as zero afterwards. Without it, or with -EOPNOTSUPP, zeroes are written.
	 */
	int (*write_zeroes)(void *context, uint64_t offset, uint64_t length);

	/* A write that is durable when it returns, for UDS_IO_FUA. Without it: write and flush. */
	int (*write_durable)(void *context, const void *buffer, size_t length, uint64_t offset);

	/*
	 * Many requests at once, for a backend that can have several in flight by itself. Begins
	 * reads, writes and flushes, and returns; each is ended by uds_io_request_complete(), from
	 * any thread, which also wakes the engine. When it fails it has begun none of them, and
	 * with -EOPNOTSUPP they are carried out by the functions above. All are of one engine
	 * (request->engine) and obey the limits.
	 */
	int (*submit)(void *context, struct uds_io_request *const *requests, size_t count);

	/*
	 * Only with submit, for a backend without threads of its own: called by a thread that waits
	 * for an engine while requests of it are in flight here. Completes those that are ready,
	 * and waits for one at most @timeout_ms milliseconds (negative: as long as it takes). When
	 * it fails, the backend has given up all requests of this engine that it has not completed,
	 * and will not touch them any more: they fail with that error.
	 */
	int (*reap)(void *context, struct uds_io_engine *engine, int timeout_ms);

	/*
	 * Where the first bytes at or behind @offset are that may be other than zero, and where
	 * they end; both the size when there are none. Everything before them reads as zero.
	 * Without it, or with -EOPNOTSUPP, all bytes may.
	 */
	int (*find_data)(void *context, uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end);
};

#define UDS_IO_OPS_INIT                                                             \
	{                                                                           \
		sizeof(struct uds_io_ops), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 \
	}

/* What a backend needs, and its name. */
struct uds_io_limits {
	uint64_t size; /* of this struct: set by UDS_IO_LIMITS_INIT */
	/* offsets and lengths are multiples of it; a power of two; 1: anything */
	uint32_t block_bytes;
	uint32_t memory_alignment; /* of buffers; a power of two; 1: anything */
	bool read_only;
	const char *name; /* for messages: a path or the like; copied */

	/*
	 * Transfers do not wait for anything, as with memory: an engine carries them out when they
	 * are submitted.
	 */
	bool quick;

	uint8_t unused[7]; /* ignored */

	/*
	 * Where byte 0 is on the device that this I/O is a part of; 0: it is the whole of one. An
	 * index says in its super block where on the device it begins.
	 */
	uint64_t device_offset;

	/*
	 * Transfers that begin and end at multiples of so many bytes cost least, as on storage that
	 * keeps objects of this size; a multiple of block_bytes; 0: it makes no difference. The
	 * library cuts long runs of transfers there.
	 */
	uint64_t preferred_bytes;
};

#define UDS_IO_LIMITS_INIT                                                          \
	{                                                                           \
		sizeof(struct uds_io_limits), 1, 1, false, "io", false, { 0 }, 0, 0 \
	}

/*
 * Makes an I/O from a vtable.
 *
 * @ops: copied.
 * @context: passed to each of them; when this succeeds the new I/O owns it, and close releases it.
 * @limits: may be NULL, for no limits.
 * @env: memory and log; may be NULL.
 *
 * Returns 0, or
 *   -EINVAL          a vtable without read, flush or get_size, or with a reap but no submit; limits
 *                    that are not powers of two, or without a name; preferred_bytes that are no
 *                    multiple of block_bytes; the sentence says which
 *   -EINVAL, -E2BIG  a size member (libuds(3), Structs)
 *   -ENOMEM
 *
 * Threads: any. Since 0.2 (in 0.1 uds_io_create()).
 */
int uds_io_open_ops(const struct uds_io_ops *ops, void *context, const struct uds_io_limits *limits,
		    const struct uds_env *env, struct uds_message *ret_message,
		    struct uds_io **ret_io);

/*
 * Closes an I/O and frees its memory, also when it returns an error. Nothing is flushed: writes
 * since the last uds_io_flush() may still be lost with the power. No request for it may be in
 * flight in an engine.
 *
 * @io: may be NULL.
 *
 * Returns 0, or what the backend said.
 *
 * Threads: one; no other thread may be using the I/O. Since 0.1.
 */
int uds_io_close(struct uds_io *io);

/*
 * Copies the sentence about the calling thread's last call on this I/O that returns a status, if
 * that failed; empty when it did not (libuds(3), Errors). Calls that the library makes count, too:
 * an index or a snapshot on the I/O has sentences of its own. Requests of engines have only their
 * status.
 *
 * Threads: any number at once. Since 0.1.
 */
void uds_io_error_message(const struct uds_io *io, struct uds_message *ret_message);

/*
 * Reads exactly @length bytes.
 *
 * Returns 0, or
 *   UDS_ERR_UNALIGNED     offset, length or buffer break the limits of the I/O; nothing was done
 *   UDS_ERR_OUT_OF_RANGE  the range goes past the end
 *   -EIO, ...             what the backend said
 * After an error the buffer may have been written.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_io_read(struct uds_io *io, void *buffer, size_t length, uint64_t offset);

/*
 * Writes exactly @length bytes. They are durable after uds_io_flush().
 *
 * Returns 0, or
 *   UDS_ERR_UNALIGNED     offset, length or buffer break the limits of the I/O; nothing was done
 *   UDS_ERR_READ_ONLY     the I/O cannot be written; nothing was done
 *   UDS_ERR_OUT_OF_RANGE  the range goes past the end: a write does not make an I/O longer
 *   -EIO, -ENOSPC, ...    what the backend said
 * After one of the last two a part may have been written.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_io_write(struct uds_io *io, const void *buffer, size_t length, uint64_t offset);

/*
 * Makes every write durable that completed before the call.
 *
 * Returns 0, or what the backend said. After an error any write since the last good flush may be
 * lost; a later flush that succeeds does not bring it back.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_io_flush(struct uds_io *io);

/*
 * Makes a range read as zero, in the fastest way that the backend has.
 *
 * Returns what uds_io_write() returns, or -ENOMEM.
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_io_write_zeroes(struct uds_io *io, uint64_t offset, uint64_t length);

/*
 * Asks for the size in bytes, as it is now.
 *
 * Returns 0, or what the backend said.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_io_size(const struct uds_io *io, uint64_t *ret_bytes);

/*
 * Finds the first range of bytes at or behind @offset that is not known to read as zero: what there
 * is to read. A hole of a sparse file is passed over; zeroes that were written are not.
 *
 * @ret_begin, @ret_end: the range, not empty; both the size of the I/O when everything from @offset
 *     on is known to read as zero.
 *
 * Returns 0, or
 *   UDS_ERR_OUT_OF_RANGE  @offset is behind the end
 *   -EIO, ...             what the backend said
 *
 * Threads: any number at once; what another thread writes meanwhile may be missing. Since 0.2.
 */
int uds_io_find_data(struct uds_io *io, uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end);

/*
 * Tells the backend that a range is not needed. What it reads as afterwards is undefined until it
 * is written.
 *
 * Returns 0, or
 *   -EOPNOTSUPP           the backend has no discard
 *   UDS_ERR_READ_ONLY     the I/O cannot be written
 *   UDS_ERR_OUT_OF_RANGE  the range goes past the end
 *   -EIO, ...             what the backend said
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_io_discard(struct uds_io *io, uint64_t offset, uint64_t length);

/*
 * Makes an I/O @bytes long. New bytes read as zero.
 *
 * Returns 0, or
 *   -EOPNOTSUPP        the backend cannot be resized; a block device cannot
 *   UDS_ERR_READ_ONLY  the I/O cannot be written
 *   UDS_ERR_UNALIGNED  @bytes is no multiple of the block size
 *   -ENOSPC, ...       what the backend said
 *
 * Threads: any, but not beside transfers behind the new end. Since 0.1.
 */
int uds_io_resize(struct uds_io *io, uint64_t bytes);

/*
 * Gives a read-only view of a range of bytes, without a copy.
 *
 * @ret_view: valid until the I/O is closed.
 *
 * Returns 0, -EOPNOTSUPP for a backend without it, or what the backend said.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_io_map(struct uds_io *io, uint64_t offset, size_t length, const void **ret_view);

/*
 * Returns the block size in bytes: offsets and lengths must be multiples of it. A power of two; 1:
 * no limit.
 *
 * Threads: any number at once. Since 0.1.
 */
uint32_t uds_io_block_bytes(const struct uds_io *io);

/*
 * Returns the alignment in bytes that buffers must have. A power of two; 1: no limit.
 *
 * Threads: any number at once. Since 0.1.
 */
uint32_t uds_io_memory_alignment(const struct uds_io *io);

/*
 * Returns whether the I/O cannot be written.
 *
 * Threads: any number at once. Since 0.1.
 */
bool uds_io_is_read_only(const struct uds_io *io);

/*
 * Returns the name of the I/O for messages, such as its path; never NULL, valid until the I/O is
 * closed.
 *
 * Threads: any number at once. Since 0.1.
 */
const char *uds_io_name(const struct uds_io *io);

/*
 * Lists the places of the bytes of an I/O, as far as its backend and the system can tell now:
 * itself and what it stands on.
 *
 * @ret_places, @room: memory for so many places.
 * @ret_count: how many places there are; the first @room of them are in @ret_places.
 *
 * Returns 0, -EOPNOTSUPP for a backend that cannot tell, such as memory, or what the backend said.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_io_places(struct uds_io *io, struct uds_io_place *ret_places, size_t room,
		  size_t *ret_count);

/*
 * Tells whether two I/Os are known to have bytes in common: the same file or device under any name,
 * a file and a loop device on it, two loop devices over one file, partitions and linear
 * device-mapper devices with ranges that meet, a device and a file on it.
 *
 * Returns true when they have; false when they have not, or when the system does not tell. Two I/Os
 * that are both somewhere on a third one do not count.
 *
 * Threads: any number at once. Since 0.1.
 */
bool uds_io_overlap(struct uds_io *a, struct uds_io *b);

/*
 * Returns where byte 0 of the I/O is on the device that it is a part of, in bytes; 0 for
 * a whole one.
 *
 * Threads: any number at once. Since 0.2.
 */
uint64_t uds_io_device_offset(const struct uds_io *io);

/*
 * Returns the preferred length in bytes: transfers that begin and end at multiples of it cost
 * least. It need not be a power of two. 0: it makes no difference.
 *
 * Threads: any number at once. Since 0.2.
 */
uint64_t uds_io_preferred_bytes(const struct uds_io *io);

/*
 * Returns whether the system was using the device when the I/O was opened to read: it was mounted,
 * swapped to, or held by device-mapper or the like. Then two reads may see two moments.
 *
 * Threads: any number at once. Since 0.2.
 */
bool uds_io_is_in_use(const struct uds_io *io);

/* Built-in backends. */

enum uds_io_direct {
	UDS_IO_DIRECT_NO = 0,	/* through the system's page cache */
	UDS_IO_DIRECT_YES = 1,	/* O_DIRECT, or an error that says why not */
	UDS_IO_DIRECT_AUTO = 2, /* O_DIRECT where the file system allows it */
};

struct uds_io_file_options {
	uint64_t size; /* of this struct: set by UDS_IO_FILE_OPTIONS_INIT */
	bool write;    /* open to read and write, and take the exclusive lock */
	bool create;   /* make the file, mode 0600 less umask, if it is not there; needs write */
	bool exclusive_create; /* with create: -EEXIST when it is there */
	bool no_lock;	 /* read without the shared lock: only for data that does not change */
	uint32_t direct; /* enum uds_io_direct */
	bool uring;	 /* engines use io_uring for it, or threads where the kernel refuses that */
	bool map;	 /* read through a mapping of it: see libuds_io(3), Mapped files, first */

	uint8_t unused[6]; /* ignored */
};

#define UDS_IO_FILE_OPTIONS_INIT                                                                  \
	{                                                                                         \
		sizeof(struct uds_io_file_options), false, false, false, false, UDS_IO_DIRECT_NO, \
			false, false,                                                             \
		{                                                                                 \
			0                                                                         \
		}                                                                                 \
	}

/*
 * Opens a regular file or a block device.
 *
 * @options: may be NULL: read-only, shared lock, through the page cache.
 * @env: memory and log; may be NULL.
 *
 * What is opened for writing is locked against every other opener of this library; what is opened
 * for reading is locked against writers. A block device is opened for writing with O_EXCL, so one
 * that is mounted or held by device-mapper is refused, and so is a file that a loop device, a mount
 * or swapping uses.
 *
 * With create a symbolic link is followed to a device only: one that leads to a file or nowhere is
 * refused, since somebody else may have chosen where to.
 *
 * Each open drops what the page cache has of a block device, and reads a device that others use
 * past the cache, so it sees what is on the device now. With O_DIRECT the block size is the logical
 * sector size of the device, or what the file system demands.
 *
 * Returns 0, or
 *   -ENOENT, -EACCES, -EISDIR, ...  what the system said
 *   -EINVAL                         neither a regular file nor a block device; options that
 *                                   contradict
 *   -EINVAL, -E2BIG                 a size member (libuds(3), Structs)
 *   -ELOOP                          create, and the path is a symbolic link to a file or to nothing
 *   -EROFS                          a read-only device, opened for writing
 *   -ENOMEM                         no memory
 *   UDS_ERR_IN_USE                  locked by another opener, mounted, or held by the system
 *   UDS_ERR_NO_DIRECT_IO            UDS_IO_DIRECT_YES on a file system that refuses it
 *   -ENODEV, ...                    map, where the system cannot map it
 * An open that fails leaves everything as it was: a file that it created is removed.
 *
 * A write does not make the file longer; uds_io_resize() does, except for a block device. The lock
 * ends with uds_io_close(), or with the process; a child made by fork() shares it until it ends or
 * executes another program. No descriptor below 3 is used, and all have O_CLOEXEC.
 *
 * Threads: any. Since 0.1.
 */
int uds_io_open_file(const char *path, const struct uds_io_file_options *options,
		     const struct uds_env *env, struct uds_message *ret_message,
		     struct uds_io **ret_io);

/*
 * Makes an I/O of a regular file or a block device that is open already: by openat(2), say, because
 * its path is too long or may change, or by another process that may open it. Nothing is opened, so
 * this is also the cheapest way to many small files.
 *
 * @descriptor: 3 or higher, open to read, and with write also to write. When this succeeds it
 *	belongs to the I/O, and uds_io_close() closes it. It keeps its close-on-exec flag;
 *	O_NONBLOCK, O_APPEND and O_DIRECT of it become what the options say.
 * @name: for messages; copied.
 * @options: may be NULL: as for uds_io_open_file(), but create is not possible, and neither is
 *	write for a block device.
 * @env: memory and log; may be NULL.
 *
 * Returns 0, or
 *   -EBADF                it is not open, or not to what the options say
 *   -EINVAL               below 3; neither a regular file nor a block device; a block device to be
 *                         written; create; options that contradict
 *   -EINVAL, -E2BIG       a size member (libuds(3), Structs)
 *   -EISDIR               a directory
 *   -ENOMEM               no memory
 *   UDS_ERR_IN_USE        locked by another opener, or used by a loop device or a mount
 *   UDS_ERR_NO_DIRECT_IO  UDS_IO_DIRECT_YES on a file system that refuses it
 * After an error the descriptor is still the caller's, but its lock and flags may have changed.
 *
 * Threads: any. Since 0.2.
 */
int uds_io_open_descriptor(int descriptor, const char *name,
			   const struct uds_io_file_options *options, const struct uds_env *env,
			   struct uds_message *ret_message, struct uds_io **ret_io);

/* The most bytes that a memory I/O can have: 16 TiB. */
#define UDS_IO_MEMORY_BYTES_MAX (UINT64_C(1) << 44)

/*
 * Opens an I/O in memory, all zero. It can be resized. Its content is gone when it is closed.
 *
 * Memory is allocated when something other than zeroes is written, 32 KiB at a time, and 8 bytes
 * for each 32 MiB of the size at once. So a write may return -ENOMEM. Making it shorter frees
 * memory.
 *
 * @bytes: up to UDS_IO_MEMORY_BYTES_MAX.
 * @block_bytes: the block size to pretend, a power of two; 1 for no limit.
 * @env: memory and log; may be NULL.
 *
 * Returns 0, or
 *   -EFBIG           too many @bytes (so does uds_io_resize())
 *   -EINVAL          @block_bytes is no power of two
 *   -EINVAL, -E2BIG  a size member (libuds(3), Structs)
 *   -ENOMEM
 *
 * Threads: any. Since 0.1.
 */
int uds_io_open_memory(uint64_t bytes, uint32_t block_bytes, const struct uds_env *env,
		       struct uds_message *ret_message, struct uds_io **ret_io);

/* A range of bytes of an I/O. */
struct uds_io_range {
	struct uds_io *io; /* NULL: zeroes, which cannot be written */
	uint64_t offset;   /* where it begins in the I/O, bytes; ignored for zeroes */
	uint64_t length;   /* bytes; UINT64_MAX: up to the end of the I/O, as that is now */
};

/* The most ranges that one I/O is made of. */
#define UDS_IO_RANGES_MAX (1u << 24)

struct uds_io_ranges_options {
	uint64_t size;	  /* of this struct: set by UDS_IO_RANGES_OPTIONS_INIT */
	const char *name; /* for messages; copied; NULL: that of the first I/O */
	/* as in struct uds_io_limits; 0: that of the range, if there is one only */
	uint64_t device_offset;
	bool close_parts;  /* the I/Os belong to the new one, which closes each of them once */
	uint8_t unused[7]; /* ignored */
};

#define UDS_IO_RANGES_OPTIONS_INIT                                 \
	{                                                          \
		sizeof(struct uds_io_ranges_options), 0, 0, false, \
		{                                                  \
			0                                          \
		}                                                  \
	}

/*
 * Makes an I/O of ranges of others, one behind the other: a part of a device, or a volume whose
 * extents lie on several. It has the largest block and alignment of its parts, and is read-only if
 * one of them is. It has a preferred length if all of them have the same, and a multiple of it in
 * the whole is one in each part. Its size is fixed.
 *
 * @ranges, @count: 1 to UDS_IO_RANGES_MAX; copied. One I/O may be in several.
 * @options: may be NULL: the I/Os are borrowed, and stay open until the new one is closed.
 * @env: memory and log; may be NULL.
 *
 * Returns 0, or
 *   -EINVAL               no range, or too many; zeroes without a length
 *   -EINVAL, -E2BIG       a size member (libuds(3), Structs)
 *   UDS_ERR_OUT_OF_RANGE  a range ends behind its I/O
 *   UDS_ERR_UNALIGNED     an offset or length is no multiple of the largest block
 *   -EFBIG                more than 2^63 bytes in all
 *   -ENOMEM, ...          no memory; what an I/O said when it was asked for its size
 * After an error the I/Os are the caller's, also with close_parts. Writing to zeroes fails with
 * UDS_ERR_READ_ONLY.
 *
 * Threads: any. Since 0.2.
 */
int uds_io_open_ranges(const struct uds_io_range *ranges, size_t count,
		       const struct uds_io_ranges_options *options, const struct uds_env *env,
		       struct uds_message *ret_message, struct uds_io **ret_io);

/*
 * Opens by URI:
 *
 *	PATH                            a plain path, taken as it is
 *	file:PATH?direct=1&uring=1      direct: 0, 1 or auto; uring: 0 or 1
 *	mem:?size=BYTES                 memory, zero at first; without a size 0 bytes; BYTES is a
 *	                                number, also with 0x, that may end in K, M, G or T, or in
 *	                                KiB, MiB, GiB or TiB (powers of 1024)
 *	concat:?part=URI&part=URI       the parts, one behind the other; an ampersand or percent
 *	                                sign in one is written as %26 or %25
 *	vdo:PATH                        the index of a VDO volume, see uds/vdo.h; PATH may be a URI
 *	lvm:GROUP/VOLUME?pv=URI&pv=URI  an LVM logical volume, from its physical volumes, see
 *	                                uds/lvm.h; missing=1 writes although one is missing
 *
 * Every scheme takes offset=BYTES and length=BYTES (without it: up to the end) for a range of what
 * it opens. URIs may stand in each other UDS_IO_NESTING_MAX deep.
 *
 * In a URI with a scheme %XX (two hex digits) in the path stands for a byte, so that a path may
 * hold a question mark. A plain path that has a colon before its first slash is written as
 * ./PATH or file:PATH. Of a parameter that is repeated the last value counts.
 * uds_io_register_scheme() adds schemes.
 *
 * @options: as for uds_io_open_file(), may be NULL; what the URI says overrides them.
 * @env: memory and log; may be NULL.
 *
 * Returns what the backend's open returns; -EINVAL for an unknown scheme or parameter, a value that
 * it cannot have, or a bad percent sign, each named in the sentence together with what is known;
 * -EINVAL for two parts or physical volumes to write that are the same file or device, by whatever
 * names, and UDS_ERR_IN_USE for two that are ranges of one without bytes in common; both are named;
 * -EIO for a registered open that returns a positive number, or 0 without an I/O.
 *
 * Threads: any. Since 0.1.
 */
int uds_io_open_uri(const char *uri, const struct uds_io_file_options *options,
		    const struct uds_env *env, struct uds_message *ret_message,
		    struct uds_io **ret_io);

/* ---- Schemes of other libraries ---- */

enum uds_io_parameter_kind {
	UDS_IO_PARAMETER_FLAG = 1,   /* 0 or 1 */
	UDS_IO_PARAMETER_CHOICE = 2, /* one of some words */
	UDS_IO_PARAMETER_SIZE = 3,   /* bytes, as in mem:?size=BYTES */
	UDS_IO_PARAMETER_TEXT = 4,   /* anything; %XX stands for a byte, as in the path */
	UDS_IO_PARAMETER_TEXTS = 5,  /* the same, and it may be repeated */
};

/* A parameter that URIs of a scheme may have. */
struct uds_io_parameter {
	const char *name;    /* a letter, then letters, digits, _ - . */
	const char *choices; /* the words of a choice: "0|1|auto"; NULL for other kinds */
	uint32_t kind;	     /* enum uds_io_parameter_kind */
	uint32_t unused;     /* 0 */
};

/* What a URI says about one parameter. */
struct uds_io_value {
	const char *text; /* as it is in the URI, a text decoded; NULL: the URI does not have it. Of
			     texts all of them, in order, each ended by a zero byte */
	/* a flag; the place of a choice, from 0; a size in bytes; how many texts; else 0 */
	uint64_t number;
};

/* A URI taken apart, as the open function of its scheme gets it. Valid during that call. */
struct uds_io_uri {
	uint64_t size;			   /* of this struct: set by the library */
	const char *text;		   /* all of it, as the caller wrote it, for sentences */
	const char *path;		   /* from the colon to the question mark, decoded */
	const struct uds_io_value *values; /* one for each row of the scheme's parameters */
	const struct uds_io_file_options *options; /* the caller's, or the defaults; never NULL */
};

/* A scheme. What its pointers point to stays as it is until the process ends. */
struct uds_io_scheme {
	uint64_t size;	  /* of this struct: set by UDS_IO_SCHEME_INIT */
	const char *name; /* a letter, then letters, digits, + - .; case counts */

	/*
	 * Opens what @uri names, usually with uds_io_open_ops(). @env has all its members set; pass
	 * it on or copy it.
	 *
	 * Obey those of @uri->options that apply: without write, set read_only in the limits.
	 *
	 * Returns 0 with *@ret_io; or a negated errno or UDS_ERR_..., with a sentence in
	 * @ret_message that names the URI (never NULL, empty at first; left empty,
	 * uds_strerror()'s text is used). May be called from several threads at once, and may open
	 * URIs and register schemes itself.
	 */
	int (*open)(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		    struct uds_message *ret_message, struct uds_io **ret_io);

	void *context;				   /* given to open */
	const struct uds_io_parameter *parameters; /* NULL: none */
	uint32_t parameter_count;		   /* up to UDS_IO_PARAMETERS_MAX */
	uint32_t unused;			   /* ignored */
};

#define UDS_IO_SCHEME_INIT                                     \
	{                                                      \
		sizeof(struct uds_io_scheme), 0, 0, 0, 0, 0, 0 \
	}

/*
 * The most characters of a scheme's name, parameters of a scheme, and schemes with
 * the built-in ones.
 */
#define UDS_IO_SCHEME_NAME_MAX 31u
#define UDS_IO_PARAMETERS_MAX  16u
#define UDS_IO_SCHEMES_MAX     32u

/* How deep URIs may stand in each other, as in vdo:concat:?part=... */
#define UDS_IO_NESTING_MAX 8u

/*
 * Adds a scheme to those that uds_io_open_uri() knows, for the whole process and until it ends: a
 * backend in another library calls it once, before its URIs are opened. There is no way to take one
 * out, so that library is not unloaded.
 *
 * @scheme: the struct is copied. Its name, its table of parameters, their names and choices, and
 * its context are not: they must stay valid and unchanged.
 *
 * Returns 0, or
 *   UDS_ERR_EXISTS   a scheme of that name is there, built in or registered; nothing has changed
 *   UDS_ERR_NO_ROOM  UDS_IO_SCHEMES_MAX schemes are there
 *   -EINVAL          a name or parameter's name with other characters, too long, or missing;
 *                    no open; too many parameters, two of one name, an unknown kind, a
 *                    choice without words
 *   -EINVAL, -E2BIG  a size member (libuds(3), Structs)
 *
 * Threads: any. Since 0.2.
 */
int uds_io_register_scheme(const struct uds_io_scheme *scheme, struct uds_message *ret_message);

#ifdef __cplusplus
}
#endif

#endif
