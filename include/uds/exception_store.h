/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exception store: what a copy-on-write snapshot keeps on its COW device, in the persistent
 * format of Linux dm-snapshot, the one that LVM uses. Described in uds-cow(5).
 *
 * The origin is cut into chunks. An exception is a pair (old chunk, new chunk) and says: the
 * snapshot's content of this chunk of the origin lies in that chunk of the COW device. A store is a
 * list of exceptions that only grows at its end, or shrinks there while it is merged back. This
 * header is about the list; who copies the data is <uds/snapshot.h>, which stands on it and is what
 * most programs want.
 *
 *                 chunk 0   chunk 1   2 ... E+1           E+2       E+3 ... 2E+2
 *   COW device:   header    area 0    data, stripe 0      area 1    data, stripe 1   ...
 *
 * E, the exceptions in an area, is chunk_bytes / 16. All chunk numbers here are 64 bits wide;
 * lengths and offsets are bytes unless a name says chunks or sectors (512 bytes).
 *
 * Threads: a store may be used by any number of threads at once, but for
 * uds_exception_store_close(). Of the functions that merge, one thread at a time.
 */
#ifndef UDS_EXCEPTION_STORE_H
#define UDS_EXCEPTION_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/io.h>
#include <uds/old_names.h>
#include <uds/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uds_exception_store;

struct uds_exception {
	uint64_t old_chunk; /* on the origin */
	uint64_t new_chunk; /* on the COW device; never 0 */
};

/* What one can say about a store in a word. */
enum uds_exception_store_state {
	UDS_STORE_EMPTY = 0,   /* no exception: the snapshot equals the origin */
	UDS_STORE_ACTIVE = 1,  /* exceptions, and room for more */
	UDS_STORE_FULL = 2,    /* no room for one more exception */
	UDS_STORE_INVALID = 3, /* marked invalid: it could not be kept right any longer */
	UDS_STORE_DAMAGED = 4, /* has entries that contradict the format, see the counters */
};

/* The word: "empty", "active", "full", "invalid", "damaged". Never NULL. */
const char *uds_exception_store_state_name(enum uds_exception_store_state state);

/* One sentence that says what the state means for the user. Never NULL. */
const char *uds_exception_store_state_meaning(enum uds_exception_store_state state);

struct uds_exception_store_format_options {
	uint64_t size; /* of this struct: set by UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT */
	const struct uds_env *env;

	/*
	 * A power of two, 512 to 2^30, a multiple of the I/O's block size. 0: 16 KiB, or the block
	 * size.
	 */
	uint64_t chunk_bytes;

	/* Also over content that is not zero. */
	bool force;

	uint8_t unused[7]; /* ignored */
};

#define UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT                                 \
	{                                                                       \
		sizeof(struct uds_exception_store_format_options), 0, 0, false, \
		{                                                               \
			0                                                       \
		}                                                               \
	}

/*
 * Writes an empty store: area 0 as zeroes, a flush, then the header, and a flush, so that a valid
 * header never stands before an area that holds something else.
 *
 * @cow: at least 2 chunks long; what lies behind them is left alone.
 *
 * Returns 0, or
 *   -EINVAL            a chunk size that the format does not allow; the message has the allowed
 *                      range
 *   UDS_ERR_NOT_EMPTY  chunk 0 or 1 is not all zero, and not force; nothing was written
 *   UDS_ERR_NO_ROOM    shorter than 2 chunks; nothing was written
 *   UDS_ERR_READ_ONLY  the I/O cannot be written
 *   -EIO, ...          what the I/O said
 *
 * Threads: any, on different I/Os. Since 0.1.
 */
int uds_exception_store_format(struct uds_io *cow,
			       const struct uds_exception_store_format_options *options,
			       struct uds_message *ret_message);

struct uds_exception_store_options {
	uint64_t size; /* of this struct: set by UDS_EXCEPTION_STORE_OPTIONS_INIT */
	const struct uds_env *env;

	/* Nothing is ever written, not even to clean what a torn write left behind. */
	bool read_only;

	/*
	 * Refuse a store that has an entry which no writer makes: new chunk behind the end, header
	 * or metadata as new chunk, an old or a new chunk twice, an old chunk behind the origin's
	 * end. Without it the store opens as UDS_STORE_DAMAGED, can be read, and cannot be written.
	 */
	bool strict;

	/*
	 * Read the exceptions of a store that is marked invalid, or whose areas run on behind the
	 * end of a device that was cut short, or into an area that cannot be read (list_status of
	 * the status says so). What they say is right, but the list may lack chunks: where it has
	 * nothing, the origin may be newer than the snapshot. Such a store takes no new exceptions.
	 */
	bool salvage;

	/* The origin's length, to check old chunks against; 0: not known. */
	uint64_t origin_bytes;

	/* How many areas are read at once; 0: 64. */
	uint32_t queue_depth;

	/* Reports areas read, and 0; stopping makes open return UDS_ERR_STOPPED. */
	uds_progress_fn progress;
	void *progress_context;
};

#define UDS_EXCEPTION_STORE_OPTIONS_INIT                                                       \
	{                                                                                      \
		sizeof(struct uds_exception_store_options), 0, false, false, false, 0, 0, 0, 0 \
	}

/*
 * Opens a store and reads all its exceptions. The I/O is borrowed: the caller closes it after the
 * store.
 *
 * Entries behind the end of the list, which a torn write can leave, are zeroed on the device at
 * once and flushed, unless read_only or salvage: else they could come back to life later.
 *
 * A store that is marked invalid opens; without salvage it has no exceptions and takes none.
 *
 * Returns 0, or
 *   UDS_ERR_NOT_A_SNAPSHOT       no magic at byte 0 (all zero: an empty place, see _create)
 *   UDS_ERR_UNSUPPORTED_VERSION  a version other than 1
 *   UDS_ERR_CORRUPT              a chunk size that cannot be; a device that ends before an area
 *                                that must be there; with strict: what it refuses. The message has
 *                                area, index, values
 *   UDS_ERR_READ_ONLY            the I/O is read-only and read_only is not set
 *   UDS_ERR_STOPPED              the progress callback asked for it
 *   -ENOMEM, -EIO, ...
 *
 * Threads: any, on different I/Os. Since 0.1.
 */
int uds_exception_store_open(struct uds_io *cow, const struct uds_exception_store_options *options,
			     struct uds_message *ret_message,
			     struct uds_exception_store **ret_store);

/*
 * Gives the memory back. Everything committed is on the device already; exceptions prepared but not
 * committed are forgotten. NULL is fine. No other thread may be using the store.
 *
 * Returns 0, or the error of repairing an area whose write had failed before.
 */
int uds_exception_store_close(struct uds_exception_store *store);

/*
 * Copies the sentence about the calling thread's last call on this store that returns a status, if that
 * failed; empty when it did not (libuds(3), Errors).
 *
 * Threads: any number at once. Since 0.1.
 */
void uds_exception_store_error_message(struct uds_exception_store *store,
				       struct uds_message *ret_message);

struct uds_exception_store_status {
	uint64_t size;	  /* of this struct: set by UDS_EXCEPTION_STORE_STATUS_INIT */
	uint32_t state;	  /* enum uds_exception_store_state */
	bool valid;	  /* what the header says */
	uint32_t version; /* of the format: 1 */
	uint64_t chunk_bytes;
	uint64_t exceptions;   /* entries in the list; 0 when invalid and not salvaged */
	uint64_t current_area; /* the area that takes the next exception, from 0 */
	uint64_t committed;    /* entries in that area */
	uint64_t next_free;    /* the new chunk that comes next; 0 when invalid */

	/* The three numbers of `dmsetup status`, in sectors. */
	uint64_t allocated_sectors;
	uint64_t total_sectors;
	uint64_t metadata_sectors;

	uint64_t room;	      /* how many more exceptions fit */
	uint64_t highest_old; /* the highest old chunk; 0 when there is none */

	/* Entries that contradict the format; each makes the store UDS_STORE_DAMAGED. */
	uint64_t new_behind_end;    /* new chunk not on the device */
	uint64_t new_is_metadata;   /* new chunk is the place of an area */
	uint64_t new_twice;	    /* new chunk of another entry too */
	uint64_t old_twice;	    /* old chunk of an earlier entry too, which hides this one */
	uint64_t old_behind_origin; /* when the origin's size is known */

	uint64_t stale_entries; /* found behind the end of the list; zeroed unless read_only */
	uint64_t unordered;	/* new chunks do not rise there: harmless, old kernels made such */
	uint64_t memory_bytes;	/* what the store has allocated */
	uint64_t map_bytes;	/* of these, for finding new chunks by old ones */

	/*
	 * Only with salvage: not 0: the list is known up to entry `exceptions` and goes on from there,
	 * in area `current_area`, which cannot be read: what the I/O said, or UDS_ERR_CORRUPT when
	 * it is not on the device. A chunk without a known exception may have an unknown one: where
	 * it reads as the origin, that may not be the snapshot's content.
	 */
	int list_status;
};

#define UDS_EXCEPTION_STORE_STATUS_INIT                                                           \
	{                                                                                         \
		sizeof(struct uds_exception_store_status), UDS_STORE_EMPTY, false, 0, 0, 0, 0, 0, \
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                            \
	}

/* The figures as they are now. Returns 0, or -EINVAL for a size member that is too small. */
int uds_exception_store_get_status(struct uds_exception_store *store,
				   struct uds_exception_store_status *ret_status);

/*
 * The information part of the `dmsetup status` line: "5608/12288 32" or "Invalid", as a string.
 *
 * @room: of @ret_line, bytes; 80 is always enough. Returns 0, or -ERANGE.
 */
int uds_exception_store_status_line(struct uds_exception_store *store, char *ret_line, size_t room);

/* Chunk size in bytes: never changes. */
uint64_t uds_exception_store_chunk_bytes(const struct uds_exception_store *store);

/*
 * Where an old chunk lives.
 *
 * @ret_new: its new chunk, when there is an exception.
 * @ret_count: how many chunks from @old_chunk on go on like this: each with the next new chunk, or
 *     none with an exception (UINT64_MAX: to the end). It may be shorter than it could be. NULL is
 *     fine.
 *
 * Returns 1 when there is an exception, 0 when not.
 */
int uds_exception_store_lookup(struct uds_exception_store *store, uint64_t old_chunk,
			       uint64_t *ret_new, uint64_t *ret_count);

/*
 * Called with @count consecutive chunks on both sides; not 0: ends the walk with UDS_ERR_STOPPED.
 */
typedef int (*uds_exception_range_fn)(void *context, uint64_t old_chunk, uint64_t new_chunk,
				      uint64_t count);

/*
 * Calls @each for the exceptions of @count old chunks from @first_old on, in order of old chunks,
 * consecutive ones together. An exception that an earlier one hides is left out. @each must not
 * call the store.
 *
 * Returns 0 or UDS_ERR_STOPPED.
 */
int uds_exception_store_for_each_range(struct uds_exception_store *store, uint64_t first_old,
				       uint64_t count, uds_exception_range_fn each, void *context);

/* Called with an entry and its place; not 0: ends the walk with UDS_ERR_STOPPED. */
typedef int (*uds_exception_entry_fn)(void *context, uint64_t area, uint64_t index,
				      const struct uds_exception *exception);

/*
 * Calls @each for every entry in the order of the list, hidden ones too; they are read from the
 * device.
 * @each must not call the store; commits wait.
 *
 * Returns 0, UDS_ERR_STOPPED, or what the I/O said.
 */
int uds_exception_store_for_each_entry(struct uds_exception_store *store,
				       uds_exception_entry_fn each, void *context);

/*
 * Gives out the next new chunk for an old one. The caller then writes the chunk's data to
 * new_chunk * chunk_bytes and hands the exception to _commit() or, when that failed, to _abandon().
 *
 * Returns 0, or
 *   -EEXIST             the old chunk has an exception, or one is being made
 *   UDS_ERR_NO_ROOM     no room for the data, or the area it would fill has no successor on the
 *                       device; nothing was written
 *   -EINVAL             an old chunk of 2^55 or above
 *   UDS_ERR_INVALID_SNAPSHOT, UDS_ERR_READ_ONLY, UDS_ERR_CORRUPT (damaged)
 *   UDS_ERR_BAD_STATE   between prepare and commit of a merge
 *   -ENOMEM
 *   -EIO, ...           asking for the device's size, which may have grown, failed
 */
int uds_exception_store_prepare(struct uds_exception_store *store, uint64_t old_chunk,
				struct uds_exception *ret_exception);

/*
 * Puts exceptions whose data has been written on the device, durably: their data is flushed first,
 * then the area is written and flushed. When this returns 0 the old content of these chunks is
 * safe, and the origin may be written.
 *
 * Exceptions get into the list in the order in which they were given out. So this waits until those
 * given out before to other threads are committed or abandoned; a thread commits or abandons its
 * own in that order, or all in one call. What several threads commit at the same time goes out in
 * one write.
 *
 * Returns 0, or
 *   -EINVAL   one that was not given out by _prepare(), or is committed already: nothing was done
 *   -ENOMEM   no memory to keep them; they are abandoned
 *   -EIO, ... the flush or the write of the area failed: everyone who waited for it is told. These
 *             exceptions are abandoned; whether they are on the device is not known, so the area is
 *             written again before anything relies on it. The store stays usable.
 */
int uds_exception_store_commit(struct uds_exception_store *store,
			       const struct uds_exception *exceptions, size_t count);

/*
 * Takes exceptions back whose data could not be written. Their new chunks are not given out again
 * before the store is opened anew, unless they are the last that were given out.
 *
 * Returns 0, or -EINVAL: one that was not given out; nothing was done.
 */
int uds_exception_store_abandon(struct uds_exception_store *store,
				const struct uds_exception *exceptions, size_t count);

/*
 * The newest exceptions that are consecutive on both sides: what can be merged in one go.
 *
 * @ret_last: the newest pair.
 * @ret_count: how many there are, it included: old chunks last.old_chunk - count + 1 to
 *     last.old_chunk, the same for new ones. 0: the store is empty.
 *
 * The caller copies the chunks (cut at the end of the origin; not those that an earlier exception
 * hides), flushes the origin, and calls _commit_merge(). No exception may be prepared in between,
 * and nothing written to these chunks. Asking again without a commit gives the same answer.
 *
 * Returns 0, or
 *   UDS_ERR_BAD_STATE          exceptions are prepared and not committed
 *   UDS_ERR_INVALID_SNAPSHOT   marked invalid, and not opened with salvage
 *   UDS_ERR_CORRUPT            it has entries that cannot be merged (new chunk not a data chunk of
 *                              the device, old chunk behind the origin)
 *   UDS_ERR_READ_ONLY, -EIO, ... nothing has changed
 */
int uds_exception_store_prepare_merge(struct uds_exception_store *store,
				      struct uds_exception *ret_last, uint64_t *ret_count);

/*
 * The same for many runs at once: the newest entries of the current area, oldest first.
 *
 * @ret_exceptions: room for @room of them.
 * @ret_hidden: for each, whether an earlier entry for the same old chunk hides it: it is committed
 *     with the others, but must not be copied. May be NULL.
 * @ret_count: how many were put there: as many as fit, at most what the area has; 0: the store is
 *     empty.
 */
int uds_exception_store_prepare_merge_batch(struct uds_exception_store *store,
					    struct uds_exception *ret_exceptions, bool *ret_hidden,
					    size_t room, size_t *ret_count);

/*
 * Takes the newest @count exceptions off the list: their area is written without them, and flushed.
 * The caller has copied them to the origin and flushed it.
 *
 * @count: 1 to what was prepared last.
 *
 * Returns 0, or
 *   -EINVAL            @count is 0 or more than what was prepared; nothing was done
 *   UDS_ERR_BAD_STATE  nothing was prepared
 *   -EIO, ...          the write or flush failed. In memory nothing has changed: all exceptions are
 *                      still there, and preparing, copying and committing again is right, now or
 *                      after opening anew
 */
int uds_exception_store_commit_merge(struct uds_exception_store *store, uint64_t count);

/* Ends a merge between rounds: exceptions may be prepared again, in the place of those merged. */
int uds_exception_store_end_merge(struct uds_exception_store *store);

/*
 * Marks the store invalid, durably: for when the origin must change and its old content cannot be
 * kept. There is no way back. From now on it has no exceptions and takes none.
 *
 * Returns 0 also when it was invalid already; or what the I/O said: then the store is invalid in
 * memory, and the origin must not be changed, because the device may still call it valid.
 */
int uds_exception_store_invalidate(struct uds_exception_store *store);

/* What a check can find wrong. */
enum uds_exception_finding_kind {
	UDS_FINDING_NO_MAGIC = 0,
	UDS_FINDING_VERSION = 1,
	UDS_FINDING_CHUNK_SIZE = 2,
	UDS_FINDING_INVALID = 3,	/* marked invalid */
	UDS_FINDING_CUT_SHORT = 4,	/* the device ends before an area that must be there */
	UDS_FINDING_NEW_BEHIND_END = 5, /* new chunk not wholly on the device */
	UDS_FINDING_NEW_IS_METADATA = 6,
	UDS_FINDING_NEW_TWICE = 7,
	UDS_FINDING_OLD_TWICE = 8,
	UDS_FINDING_OLD_BEHIND_ORIGIN = 9,
	UDS_FINDING_STALE_ENTRY = 10, /* behind the end of the list, in the last area */
	UDS_FINDING_READ_ERROR = 11,  /* an area could not be read */
};

struct uds_exception_finding {
	uint32_t kind;	/* enum uds_exception_finding_kind */
	uint64_t area;	/* where; 0 for findings of the header */
	uint64_t index; /* entry in the area */
	uint64_t old_chunk;
	uint64_t new_chunk;
	const char *sentence; /* names all of it; valid during the call */
};

/* Not 0: ends the check with UDS_ERR_STOPPED. */
typedef int (*uds_exception_finding_fn)(void *context, const struct uds_exception_finding *finding);

/*
 * Checks everything that the format lets one check; never writes.
 *
 * @options: env, origin_bytes and progress are looked at. Exceptions of an invalid store are
 *     checked as well.
 * @found: called for each finding, in the order of the list. NULL: they are only counted.
 * @ret_findings: how many.
 *
 * Returns 0 when the check went through, whatever it found; UDS_ERR_STOPPED, -ENOMEM, or what
 * reading the header said.
 *
 * Threads: any. Since 0.1.
 */
int uds_exception_store_verify(struct uds_io *cow,
			       const struct uds_exception_store_options *options,
			       uds_exception_finding_fn found, void *found_context,
			       struct uds_message *ret_message, uint64_t *ret_findings);

#ifdef __cplusplus
}
#endif

#endif
