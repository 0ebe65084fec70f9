/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The exception store: the list of exceptions that a copy-on-write snapshot keeps on its COW
 * device, in the persistent format of Linux dm-snapshot, which LVM uses: uds-cow(5).
 *
 * The origin is divided into chunks. An exception is a pair (old chunk, new chunk): the snapshot's
 * content of the old chunk of the origin is in the new chunk of the COW device. The list grows at
 * its end, and shrinks there during a merge. This header has the list only. The data is copied by
 * <uds/snapshot.h>, which stands on it and is what most programs want.
 *
 *                 chunk 0   chunk 1   2 ... E+1           E+2       E+3 ... 2E+2
 *   COW device:   header    area 0    data, stripe 0      area 1    data, stripe 1   ...
 *
 * E, the number of exceptions in an area, is chunk_bytes / 16. Chunk numbers are 64 bits wide.
 * Lengths and offsets are bytes unless a name says chunks or sectors (512 bytes).
 *
 * Threads: any number of threads may use a store at once, except for uds_exception_store_close().
 * Only one thread at a time may merge.
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

/* The state of a store. */
enum uds_exception_store_state {
	UDS_STORE_EMPTY = 0,   /* no exception: the snapshot equals the origin */
	UDS_STORE_ACTIVE = 1,  /* exceptions, and room for more */
	UDS_STORE_FULL = 2,    /* no room for one more exception */
	UDS_STORE_INVALID = 3, /* marked invalid: the snapshot's content is lost */
	UDS_STORE_DAMAGED = 4, /* has entries that contradict the format, see the counters */
};

/*
 * Returns the word for a state: "empty", "active", "full", "invalid", "damaged"; never NULL.
 *
 * Threads: any. Since 0.1.
 */
const char *uds_exception_store_state_name(enum uds_exception_store_state state);

/*
 * Returns a sentence that says what a state means for the user; never NULL.
 *
 * Threads: any. Since 0.1.
 */
const char *uds_exception_store_state_meaning(enum uds_exception_store_state state);

struct uds_exception_store_format_options {
	uint64_t size; /* of this struct: set by UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT */
	const struct uds_env *env;

	/*
	 * A power of two, 512 to 2^30, a multiple of the I/O's block size. 0: 16 KiB, or the block
	 * size.
	 */
	uint64_t chunk_bytes;

	/* Overwrite content that is not zero. */
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
 * Writes an empty store: area 0 as zeroes, a flush, the header, a flush. In this order a valid
 * header never stands before an area that has other content.
 *
 * @cow: at least 2 chunks long; what follows them is not changed.
 * @options: may be NULL.
 *
 * Returns 0, or
 *   -EINVAL             a chunk size that the format does not allow; the sentence has the allowed
 *                       range
 *   -EINVAL, -E2BIG     a size member (libuds(3), Structs)
 *   UDS_ERR_NOT_EMPTY   chunk 0 or 1 is not all zero, and force is not set; nothing was written
 *   UDS_ERR_NO_ROOM     the I/O is shorter than 2 chunks; nothing was written
 *   UDS_ERR_READ_ONLY   the I/O cannot be written
 *   -ENOMEM, -EIO, ...  no memory; what the I/O said
 *
 * Threads: any, on different I/Os. Since 0.2 (in 0.1 uds_exception_store_create()).
 */
int uds_exception_store_format(struct uds_io *cow,
			       const struct uds_exception_store_format_options *options,
			       struct uds_message *ret_message);

struct uds_exception_store_options {
	uint64_t size; /* of this struct: set by UDS_EXCEPTION_STORE_OPTIONS_INIT */
	const struct uds_env *env;

	/* Write nothing, not even to clear the stale tail that a torn write leaves. */
	bool read_only;

	/*
	 * Refuse a store that has an entry which no writer makes: a new chunk behind the end of the
	 * device, or that is the header or an area; an old or a new chunk twice; an old chunk
	 * behind the origin's end. Without strict such a store opens as UDS_STORE_DAMAGED: it can
	 * be read, but not written.
	 */
	bool strict;

	/*
	 * Read the exceptions of a store that is marked invalid, or whose list goes on behind the
	 * end of a device that was cut short, or in an area that cannot be read (then list_status
	 * of the status is set). The exceptions that are read are right, but some may be missing:
	 * where there is none, the origin may be newer than the snapshot. Such a store takes no new
	 * exceptions.
	 */
	bool salvage;

	/* The origin's length, to check old chunks against; 0: not known, unless origin_known. */
	uint64_t origin_bytes;

	/* How many area reads are in flight at once; 0: 64. */
	uint32_t queue_depth;

	/* Reports (areas read, 0). A value other than 0 ends opening with UDS_ERR_STOPPED. */
	uds_progress_fn progress;
	void *progress_context;

	/* origin_bytes is the origin's length, also where it is 0. Since 0.2. */
	bool origin_known;
	uint8_t unused[7]; /* ignored */

	struct uds_io_engine *engine; /* as in struct uds_snapshot_options. Since 0.2 */
};

#define UDS_EXCEPTION_STORE_OPTIONS_INIT                                                        \
	{                                                                                       \
		sizeof(struct uds_exception_store_options), 0, false, false, false, 0, 0, 0, 0, \
			false, { 0 }, 0                                                         \
	}

/*
 * Opens a store and reads all its exceptions. The I/O is borrowed: close it after the store.
 *
 * A torn write can leave entries behind the end of the list. They are zeroed on the device and
 * flushed at once, unless read_only or salvage is set: otherwise they could become part of the list
 * later. A store that is UDS_STORE_DAMAGED is not written by that either, only when a merge begins.
 *
 * A store that is marked invalid opens. Without salvage it has no exceptions and takes none.
 *
 * @options: may be NULL.
 *
 * Returns 0, or
 *   UDS_ERR_NOT_A_SNAPSHOT       no magic at byte 0
 *   UDS_ERR_UNSUPPORTED_VERSION  a version other than 1
 *   UDS_ERR_CORRUPT              a chunk size that is impossible; a device that ends before an area
 *                                of the list; with strict, a bad entry. The sentence has area,
 *                                index and values
 *   UDS_ERR_READ_ONLY            the I/O is read-only, and read_only is not set
 *   UDS_ERR_STOPPED              the progress callback asked to stop
 *   -EINVAL, -E2BIG              a size member (libuds(3), Structs)
 *   -ENOMEM, -EIO, ...           no memory; what the I/O said
 *
 * Threads: any, on different I/Os. Since 0.1.
 */
int uds_exception_store_open(struct uds_io *cow, const struct uds_exception_store_options *options,
			     struct uds_message *ret_message,
			     struct uds_exception_store **ret_store);

/*
 * Closes a store and frees its memory, also when it returns an error. What was committed is on the
 * device already; exceptions that were prepared and not committed are forgotten.
 *
 * @store: may be NULL.
 *
 * Returns 0, or what the I/O said when it rewrote an area whose last write had failed.
 *
 * Threads: one; no other thread may be using the store. Since 0.1.
 */
int uds_exception_store_close(struct uds_exception_store *store);

/*
 * Copies the sentence about the calling thread's last call on this store that returns a status, if
 * that failed; empty when it did not (libuds(3), Errors).
 *
 * Threads: any number at once. Since 0.1.
 */
void uds_exception_store_error_message(const struct uds_exception_store *store,
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

	uint64_t stale_entries; /* found behind the end of the list when it was opened */
	uint64_t unordered;    /* places where new chunks do not rise: harmless, from old kernels */
	uint64_t memory_bytes; /* what the store has allocated */
	uint64_t map_bytes;    /* of these, for finding new chunks by old ones */

	/*
	 * Set only with salvage. Other than 0: the list is known up to entry `exceptions` and goes
	 * on in area `current_area`, which cannot be read. The value is what the I/O said, or
	 * UDS_ERR_CORRUPT when the area is not on the device. A chunk without a known exception may
	 * have an unknown one: then its content on the origin is not that of the snapshot.
	 */
	int32_t list_status;
};

#define UDS_EXCEPTION_STORE_STATUS_INIT                                                           \
	{                                                                                         \
		sizeof(struct uds_exception_store_status), UDS_STORE_EMPTY, false, 0, 0, 0, 0, 0, \
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                            \
	}

/*
 * Fills in the state of a store, its sizes and its counters, as they are now.
 *
 * Returns 0; -EINVAL or -E2BIG for a size member that is too small or too large (libuds(3),
 * Structs).
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_exception_store_get_status(const struct uds_exception_store *store,
				   struct uds_exception_store_status *ret_status);

/*
 * Writes the information part of the `dmsetup status` line: "5608/12288 32" or "Invalid", as a
 * string.
 *
 * @room: of @ret_line in bytes; 80 is always enough.
 *
 * Returns 0, or -ERANGE when @room is too small; nothing was written.
 *
 * Threads: any number at once. Since 0.1 (-ERANGE since 0.2).
 */
int uds_exception_store_status_line(const struct uds_exception_store *store, char *ret_line,
				    size_t room);

/*
 * Returns the chunk size in bytes; it never changes.
 *
 * Threads: any number at once. Since 0.1.
 */
uint64_t uds_exception_store_chunk_bytes(const struct uds_exception_store *store);

/*
 * Looks up the exception of an old chunk. Never reads the device.
 *
 * @ret_new: the new chunk; untouched when there is no exception.
 * @ret_count: may be NULL; for how many chunks from @old_chunk on the answer holds: each has the
 *     next new chunk, or none has an exception (UINT64_MAX: no more exceptions). It may be too
 *     small.
 *
 * Returns 1 when there is an exception, 0 when there is none. It cannot fail.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_exception_store_lookup(struct uds_exception_store *store, uint64_t old_chunk,
			       uint64_t *ret_new, uint64_t *ret_count);

/*
 * Called for @count chunks, consecutive on both sides. A value other than 0 ends the calls, with
 * UDS_ERR_STOPPED.
 */
typedef int (*uds_exception_range_fn)(void *context, uint64_t old_chunk, uint64_t new_chunk,
				      uint64_t count);

/*
 * Calls @each for the exceptions of the old chunks from @first_old to @first_old + @count,
 * exclusive, in order of old chunks. Consecutive ones are joined. Hidden exceptions are left out.
 * The callback must not call the store.
 *
 * Returns 0, or UDS_ERR_STOPPED when @each ended it.
 *
 * Threads: any number at once; an exception that another thread makes meanwhile may be missing.
 * Since 0.2 (in 0.1 uds_exception_store_ranges()).
 */
int uds_exception_store_for_each_range(struct uds_exception_store *store, uint64_t first_old,
				       uint64_t count, uds_exception_range_fn each, void *context);

/* Called with an entry and its place. A value other than 0 ends the calls, with UDS_ERR_STOPPED. */
typedef int (*uds_exception_entry_fn)(void *context, uint64_t area, uint64_t index,
				      const struct uds_exception *exception);

/*
 * Calls @each for every entry in the order of the list, hidden ones too. They are read from the
 * device. The callback must not call the store. A store that is marked invalid, and was not opened
 * with salvage, has no entries.
 *
 * Returns 0, or
 *   UDS_ERR_STOPPED     @each ended it
 *   -ENOMEM, -EIO, ...  no memory; what the I/O said
 *
 * Threads: any number at once; commits of other threads wait. Since 0.2 (in 0.1
 * uds_exception_store_walk()).
 */
int uds_exception_store_for_each_entry(struct uds_exception_store *store,
				       uds_exception_entry_fn each, void *context);

/*
 * Allocates the next new chunk for an old one. The caller then writes the chunk's data to
 * new_chunk * chunk_bytes, and hands the exception to uds_exception_store_commit() or, when writing
 * failed, to uds_exception_store_abandon().
 *
 * @old_chunk: less than 2^55.
 *
 * Returns 0, or
 *   UDS_ERR_EXISTS            the old chunk has an exception, or one is being made
 *   UDS_ERR_OVERFLOW          @old_chunk is out of range
 *   UDS_ERR_NO_ROOM           no room for the data, or for the area after the one that
 *                             it would fill
 *   UDS_ERR_INVALID_SNAPSHOT  the store is marked invalid
 *   UDS_ERR_READ_ONLY         opened with read_only or salvage
 *   UDS_ERR_CORRUPT           the store is damaged
 *   UDS_ERR_BAD_STATE         a merge has begun and not ended
 *   -ENOMEM, -EIO, ...        no memory; what the I/O said about its size, which may have grown
 * After an error nothing was allocated. An errno is what the allocator or the I/O said, never what
 * the store itself found.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_exception_store_prepare(struct uds_exception_store *store, uint64_t old_chunk,
				struct uds_exception *ret_exception);

/*
 * Makes exceptions durable whose data has been written: flushes their data, then writes and flushes
 * their area. When this returns 0, the old content of these chunks is safe and the origin may be
 * written.
 *
 * Exceptions enter the list in the order in which they were prepared. So this waits until those
 * that other threads prepared earlier are committed or abandoned. A thread must commit or abandon
 * its own in that order, or all in one call. Exceptions that several threads commit at once go out
 * in one write.
 *
 * Returns 0, or
 *   UDS_ERR_BAD_STATE  an exception that was not prepared, or is committed already;
 *                      nothing was done
 *   -ENOMEM            no memory to keep them; they are abandoned
 *   -EIO, ...          what the I/O said to a flush or to the write of the area. Every thread that
 *                      waits for this write gets the error, and its exceptions are abandoned.
 *                      Whether they are on the device is not known, so the area is rewritten before
 *                      anything relies on it. The store stays usable
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_exception_store_commit(struct uds_exception_store *store,
			       const struct uds_exception *exceptions, size_t count);

/*
 * Gives up exceptions whose data could not be written. Their new chunks are allocated again only
 * when the store is opened again, or at once if they are the last that were allocated.
 *
 * Returns 0, or UDS_ERR_BAD_STATE for an exception that was not prepared, or is committed already;
 * nothing was done.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_exception_store_abandon(struct uds_exception_store *store,
				const struct uds_exception *exceptions, size_t count);

/*
 * Returns the newest exceptions that are consecutive on both sides, to merge them in one step. The
 * first call begins a merge; uds_exception_store_end_merge() ends it.
 *
 * The caller copies the chunks (cut at the end of the origin, and without those that an earlier
 * exception hides), flushes the origin, and calls uds_exception_store_commit_merge(). Until then no
 * exception may be prepared, and these chunks may not be written. Asking again without a commit
 * gives the same answer.
 *
 * @ret_last: the newest exception; untouched when the store is empty.
 * @ret_count: how many exceptions there are, the newest included: old chunks last.old_chunk - count
 *     + 1 to last.old_chunk, inclusive, and new chunks likewise. 0: the store is empty.
 *
 * Returns 0, or
 *   UDS_ERR_BAD_STATE         exceptions are prepared and not committed
 *   UDS_ERR_INVALID_SNAPSHOT  marked invalid, and not opened with salvage
 *   UDS_ERR_CORRUPT           an entry cannot be merged: its new chunk is no data chunk of the
 *                             device, or its old chunk is behind the origin
 *   UDS_ERR_READ_ONLY         opened with read_only
 *   -ENOMEM, -EIO, ...        no memory; what the I/O said
 * After an error nothing has changed.
 *
 * Threads: one thread merges at a time. Since 0.1.
 */
int uds_exception_store_prepare_merge(struct uds_exception_store *store,
				      struct uds_exception *ret_last, uint64_t *ret_count);

/*
 * Returns the newest entries of the current area, oldest first, to merge them in one step.
 * Otherwise as uds_exception_store_prepare_merge().
 *
 * @ret_exceptions, @room: memory for so many exceptions.
 * @ret_hidden: may be NULL; for each, whether an earlier entry for the same old chunk hides it:
 *     commit it with the others, but do not copy its chunk.
 * @ret_count: how many there are: at most @room, and at most the entries of the area. 0: the store
 *     is empty.
 *
 * Returns what uds_exception_store_prepare_merge() returns.
 *
 * Threads: one thread merges at a time. Since 0.1.
 */
int uds_exception_store_prepare_merge_batch(struct uds_exception_store *store,
					    struct uds_exception *ret_exceptions, bool *ret_hidden,
					    size_t room, size_t *ret_count);

/*
 * Removes the newest @count exceptions from the list: writes their area without them, and flushes
 * it. The caller has copied them to the origin and flushed it.
 *
 * @count: 1 to the number that was prepared last.
 *
 * Returns 0, or
 *   UDS_ERR_BAD_STATE  nothing was prepared, or @count is out of range; nothing was done
 *   -ENOMEM            no memory; nothing was done
 *   -EIO, ...          what the I/O said. In memory nothing has changed: the exceptions are still
 *                      there. Preparing, copying and committing them again is safe, now or after
 *                      opening again
 *
 * Threads: one thread merges at a time. Since 0.1.
 */
int uds_exception_store_commit_merge(struct uds_exception_store *store, uint64_t count);

/*
 * Ends a merge: exceptions can be prepared again, and take the place of those that were merged.
 * Does nothing when no merge has begun.
 *
 * Returns 0, or what the I/O said when it rewrote an area whose last write had failed: then the
 * merge has not ended.
 *
 * Threads: one thread merges at a time. Since 0.1.
 */
int uds_exception_store_end_merge(struct uds_exception_store *store);

/*
 * Marks the store invalid, durably: for when the origin must change and its old content cannot be
 * kept. This cannot be undone. The store takes no exceptions from now on. Does nothing when it is
 * invalid already.
 *
 * Returns 0, or
 *   UDS_ERR_READ_ONLY   opened with read_only
 *   -ENOMEM, -EIO, ...  no memory; what the I/O said. The store is invalid in memory then, but may
 *                       still be valid on the device: do not change the origin
 *
 * Threads: any number at once. Since 0.2 (in 0.1 uds_exception_store_drop()).
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
	uint64_t size;	 /* of this struct: set by the library */
	uint32_t kind;	 /* enum uds_exception_finding_kind */
	uint32_t unused; /* 0 */
	uint64_t area;	 /* where; 0 for findings of the header */
	uint64_t index;	 /* entry in the area */
	uint64_t old_chunk;
	uint64_t new_chunk;
	const char *sentence; /* names all of it; valid during the call */
};

/* Called for each finding. A value other than 0 ends the check, with UDS_ERR_STOPPED. */
typedef int (*uds_exception_finding_fn)(void *context, const struct uds_exception_finding *finding);

/*
 * Checks everything that the format allows to check. Never writes.
 *
 * @options: may be NULL; env, the origin's length, queue_depth, progress and engine are used. The
 *     exceptions of an invalid store are checked as well.
 * @found: may be NULL; called for each finding, in the order of the list.
 * @ret_findings: the number of findings.
 *
 * Returns 0 when the check is complete, whatever it found, or
 *   UDS_ERR_STOPPED     a callback asked to stop
 *   -EINVAL, -E2BIG     a size member (libuds(3), Structs)
 *   -ENOMEM, -EIO, ...  no memory; what the I/O said to reading the header
 *
 * Threads: any, on a store that no thread changes. Since 0.1.
 */
int uds_exception_store_verify(struct uds_io *cow,
			       const struct uds_exception_store_options *options,
			       uds_exception_finding_fn found, void *found_context,
			       struct uds_message *ret_message, uint64_t *ret_findings);

#ifdef __cplusplus
}
#endif

#endif
