/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots: an origin and a COW device, both of them I/Os, as two devices that can be read and
 * written.
 *
 * The snapshot is the origin as it was when the store was made, with what was written to the
 * snapshot since. Before a chunk of the origin changes, its old content is copied to the COW
 * device; what is written to the snapshot goes to the COW device too. Merging makes the origin
 * equal to the snapshot and empties the store. On disk it is what Linux dm-snapshot and LVM have:
 * see <uds/exception_store.h> and uds-cow(5).
 *
 * A snapshot is only right while every write to the origin goes through
 * uds_snapshot_origin_write(), or through the kernel's snapshot-origin. Nothing on the devices can
 * tell when that was not so.
 *
 * Offsets and lengths are bytes, of any alignment; what the I/Os demand is the library's business.
 *
 * Threads: a snapshot may be used by any number of threads at once, but for uds_snapshot_close().
 * Requests to one chunk wait for each other; those to different chunks do not, and exceptions that
 * are made at the same time go to the device in one write.
 */
#ifndef UDS_SNAPSHOT_H
#define UDS_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/exception_store.h>
#include <uds/io.h>
#include <uds/old_names.h>
#include <uds/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uds_snapshot;

enum uds_snapshot_state {
	UDS_SNAPSHOT_EMPTY = 0,	   /* equals the origin */
	UDS_SNAPSHOT_ACTIVE = 1,   /* has exceptions, and room for more */
	UDS_SNAPSHOT_FULL = 2,	   /* the next write to a new chunk overflows it */
	UDS_SNAPSHOT_OVERFLOW = 3, /* a write to the snapshot found no room: it can be read only */
	UDS_SNAPSHOT_INVALID = 4,  /* its content is lost */
	UDS_SNAPSHOT_MERGING = 5,  /* has begun to merge, and has not ended it */
	UDS_SNAPSHOT_MERGED = 6,   /* everything is merged; the origin is passed through */
	UDS_SNAPSHOT_MERGE_FAILED = 7, /* a merge met an error; it can be run again */
	UDS_SNAPSHOT_DAMAGED = 8, /* the store has entries that contradict the format: read only */
};

/* A word and a sentence that says what it means for the user. Never NULL. */
const char *uds_snapshot_state_name(enum uds_snapshot_state state);
const char *uds_snapshot_state_meaning(enum uds_snapshot_state state);

struct uds_snapshot_options {
	uint64_t size; /* of this struct: set by UDS_SNAPSHOT_OPTIONS_INIT */
	const struct uds_env *env;

	/* Nothing is ever written to either I/O; only reading is possible. */
	bool read_only;

	/* As for uds_exception_store_open(). */
	bool strict;
	bool salvage;

	/*
	 * What happens when the COW device is full and the snapshot is written: false (P of the
	 * kernel): the snapshot becomes invalid. True (PO): it stays readable until it is closed,
	 * and writes to it fail. A write to the origin that finds no room makes it invalid in both
	 * cases, and goes through.
	 */
	bool keep_on_overflow;

	/*
	 * Not 0: a transient store with chunks of this size. The COW device holds nothing but data;
	 * what it held is overwritten, and when the snapshot is closed nothing on it means
	 * anything. Cannot be merged.
	 */
	uint64_t transient_chunk_bytes;

	/* How many transfers of one piece of work are in flight; 0: 32. */
	uint32_t queue_depth;

	/* For opening, in areas read. */
	uds_progress_fn progress;
	void *progress_context;
};

#define UDS_SNAPSHOT_OPTIONS_INIT                                                              \
	{                                                                                      \
		sizeof(struct uds_snapshot_options), 0, false, false, false, false, 0, 0, 0, 0 \
	}

/*
 * Opens a snapshot. The I/Os are borrowed: the caller closes them after the snapshot. The origin
 * may be read-only: then the snapshot can be read and written, but the origin not, and nothing
 * merged.
 *
 * A store that is marked invalid opens; reading the snapshot then fails with
 * UDS_ERR_INVALID_SNAPSHOT, and the origin can be read and written directly.
 *
 * Returns 0, what uds_exception_store_open() returns, or
 *   -EINVAL            origin and COW have bytes in common (uds_io_overlap()); a transient chunk size that is not allowed
 *   UDS_ERR_UNALIGNED  the chunk size is no multiple of the origin's block size, or the origin's
 *                      length is none (open the origin without O_DIRECT then)
 *
 * Threads: any, on different I/Os. Since 0.1.
 */
int uds_snapshot_open(struct uds_io *origin, struct uds_io *cow,
		      const struct uds_snapshot_options *options, struct uds_message *ret_message,
		      struct uds_snapshot **ret_snapshot);

/*
 * Flushes nothing, gives the memory back. Exceptions are durable; for data written in place call
 * uds_snapshot_flush() before. NULL is fine. No other thread may be using the snapshot.
 *
 * Returns 0 or what uds_exception_store_close() returns.
 */
int uds_snapshot_close(struct uds_snapshot *snapshot);

/*
 * Copies the sentence about the calling thread's last call on this snapshot that returns a status, if that
 * failed; empty when it did not (libuds(3), Errors).
 *
 * Threads: any number at once. Since 0.1.
 */
void uds_snapshot_error_message(struct uds_snapshot *snapshot, struct uds_message *ret_message);

struct uds_snapshot_status {
	uint64_t size;	/* of this struct: set by UDS_SNAPSHOT_STATUS_INIT */
	uint32_t state; /* enum uds_snapshot_state */
	bool transient;
	bool merging;	     /* in the role of snapshot-merge: begun, and not ended */
	uint64_t size_bytes; /* of the snapshot: that of the origin */
	uint64_t chunk_bytes;
	uint64_t exceptions;
	uint64_t allocated_sectors;
	uint64_t total_sectors;
	uint64_t metadata_sectors;
	uint64_t room; /* how many more exceptions fit */
};

#define UDS_SNAPSHOT_STATUS_INIT                                                                  \
	{                                                                                         \
		sizeof(struct uds_snapshot_status), UDS_SNAPSHOT_EMPTY, false, false, 0, 0, 0, 0, \
			0, 0, 0                                                                   \
	}

/*
 * The figures as they are now; for more see uds_snapshot_store().
 * Returns 0, or -EINVAL for a size member that is too small.
 */
int uds_snapshot_get_status(struct uds_snapshot *snapshot, struct uds_snapshot_status *ret_status);

/*
 * The information part of the `dmsetup status` line: "5608/12288 32", "Invalid", "Overflow" or
 * "Merge failed". @room: of @ret_line; 80 is always enough. Returns 0, or -ERANGE.
 */
int uds_snapshot_status_line(struct uds_snapshot *snapshot, char *ret_line, size_t room);

/* The store below, to look at: valid until the snapshot is closed. NULL for a transient one. */
struct uds_exception_store *uds_snapshot_store(struct uds_snapshot *snapshot);

/* Length in bytes of the snapshot and of the origin. */
uint64_t uds_snapshot_size(const struct uds_snapshot *snapshot);

/*
 * Reads the snapshot.
 *
 * After a failure @buffer has everything that comes before the first byte that cannot be had: what
 * an I/O refuses is tried again in ever smaller parts, down to a block. uds_snapshot_read_partial()
 * says how much that is. The sentence names the exception, or the place on the origin.
 *
 * Returns 0, or
 *   UDS_ERR_OUT_OF_RANGE      the range goes past the end; nothing was read
 *   UDS_ERR_INVALID_SNAPSHOT  its content is lost
 *   UDS_ERR_CORRUPT           the new chunk of an exception is not on the COW device, or is the
 *                             place of an area
 *   -EIO, ...                 what an I/O said
 */
int uds_snapshot_read(struct uds_snapshot *snapshot, void *buffer, size_t length, uint64_t offset);

/*
 * The same. @ret_done: how many bytes from @offset on are in @buffer; set also after a failure.
 * Since 0.1.
 */
int uds_snapshot_read_partial(struct uds_snapshot *snapshot, void *buffer, size_t length,
			      uint64_t offset, size_t *ret_done);

/* A range of bytes of the snapshot that cannot be had. */
struct uds_snapshot_loss {
	uint64_t size; /* of this struct */
	uint64_t offset;
	uint64_t length;
	int status;	      /* UDS_ERR_CORRUPT, or what an I/O said */
	const char *sentence; /* about its first byte: where it should be; valid during the call */
};

/* Not 0: ends the work with UDS_ERR_STOPPED. */
typedef int (*uds_snapshot_loss_fn)(void *context, const struct uds_snapshot_loss *loss);

/*
 * Reads the snapshot and does not stop at what cannot be had: those bytes of @buffer are zeros.
 *
 * @buffer: NULL: only to learn what cannot be had; everything is read all the same.
 * @each: called with each range that cannot be had, in ascending order, touching ones of the same
 *     status joined, exact to a block of the I/O (512 bytes at least). It must not call the
 *     snapshot. NULL: they are only counted.
 * @ret_lost_bytes: the sum of their lengths. May be NULL.
 *
 * A snapshot that is marked invalid must be opened with salvage (uds_snapshot_options).
 *
 * Returns 0 when the whole range was looked at, whatever could not be had; or
 *   UDS_ERR_OUT_OF_RANGE, UDS_ERR_INVALID_SNAPSHOT, -ENOMEM
 *   UDS_ERR_STOPPED           @each asked for it
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_snapshot_salvage(struct uds_snapshot *snapshot, void *buffer, size_t length,
			 uint64_t offset, uds_snapshot_loss_fn each, void *context,
			 uint64_t *ret_lost_bytes);

/*
 * Writes to the snapshot. When it returns 0, new exceptions are durable with the data they came
 * with; data that went in place is durable after uds_snapshot_flush().
 *
 * Returns 0, or
 *   UDS_ERR_OUT_OF_RANGE, UDS_ERR_READ_ONLY
 *   UDS_ERR_INVALID_SNAPSHOT   it is invalid, or has become so because there was no room
 *   UDS_ERR_SNAPSHOT_OVERFLOW  no room now or earlier, with keep_on_overflow. Chunks of this
 *                              request that come before the first without room may have been
 *                              written
 *   UDS_ERR_BAD_STATE          it is being merged: write to the origin, which has its content
 *   UDS_ERR_CORRUPT            the store is damaged: writing could make it worse
 *   -EIO, ...                  what an I/O said; chunks without exception are as they were
 */
int uds_snapshot_write(struct uds_snapshot *snapshot, const void *buffer, size_t length,
		       uint64_t offset);

/*
 * The same. @ret_done: how many bytes from @offset on are in the snapshot now; set also after a
 * failure: 0 when it was refused, or the snapshot became invalid. Of the bytes behind them it is
 * not known which are in the snapshot, but for one that overflowed: none. To go on, write the rest.
 * Since 0.1.
 */
int uds_snapshot_write_partial(struct uds_snapshot *snapshot, const void *buffer, size_t length,
			       uint64_t offset, size_t *ret_done);

/* Reads the origin; while merging, what it will be: the merged content. */
int uds_snapshot_origin_read(struct uds_snapshot *snapshot, void *buffer, size_t length,
			     uint64_t offset);

/* The same. @ret_done: as for uds_snapshot_read_partial(). Since 0.1. */
int uds_snapshot_origin_read_partial(struct uds_snapshot *snapshot, void *buffer, size_t length,
				     uint64_t offset, size_t *ret_done);

/*
 * Writes to the origin, after the old content of its chunks is safe on the COW device. While
 * merging: chunks that have an exception are written in place there, others straight on the origin;
 * chunks that are being copied wait for that.
 *
 * A snapshot that has no room becomes invalid, which is durable before the origin is touched; the
 * write then goes through, and later ones too.
 *
 * Returns 0, or
 *   UDS_ERR_OUT_OF_RANGE, UDS_ERR_READ_ONLY
 *   UDS_ERR_CORRUPT   the store is damaged. To give the snapshot up: uds_snapshot_invalidate()
 *   -EIO, ...         what an I/O said, to this write or to a copy or commit that it needed or
 *                     waited for. When it was a copy or commit, the origin was not written, in this
 *                     part of the request
 */
int uds_snapshot_origin_write(struct uds_snapshot *snapshot, const void *buffer, size_t length,
			      uint64_t offset);

/* The same. @ret_done: how many bytes from @offset on are written, also after a failure. Since 0.1. */
int uds_snapshot_origin_write_partial(struct uds_snapshot *snapshot, const void *buffer,
				      size_t length, uint64_t offset, size_t *ret_done);

/*
 * Makes everything that completed before durable, on both devices. After an error it is not known
 * what was lost of the writes since the last good flush, also when it was the library itself that
 * flushed.
 */
int uds_snapshot_flush(struct uds_snapshot *snapshot);

/*
 * Gives the snapshot up: marks it invalid, durably. The origin goes on. See
 * uds_exception_store_invalidate().
 */
int uds_snapshot_invalidate(struct uds_snapshot *snapshot);

/* Called with a range of bytes; not 0: ends the walk with UDS_ERR_STOPPED. */
typedef int (*uds_snapshot_range_fn)(void *context, uint64_t offset, uint64_t length);

/*
 * Calls @each for the ranges of the origin that may differ from the snapshot, in ascending order,
 * touching ones joined, cut to [@offset, @offset + @length) and to the origin's end: what an
 * incremental backup has to look at. Whole chunks; equal content is not found out. @each must not
 * call the snapshot.
 *
 * Returns 0, UDS_ERR_STOPPED or UDS_ERR_INVALID_SNAPSHOT.
 */
int uds_snapshot_for_each_changed_range(struct uds_snapshot *snapshot, uint64_t offset,
					uint64_t length, uds_snapshot_range_fn each, void *context);

struct uds_merge_options {
	uint64_t size; /* of this struct: set by UDS_MERGE_OPTIONS_INIT */

	/* Stop after this many exceptions, hidden ones counted; 0: all. */
	uint64_t limit;

	/* At most so many bytes of chunks a second, on average; 0: as fast as it goes. */
	uint64_t bytes_per_second;

	/* Read-only look at what would be done: checks all conditions, counts, writes nothing. */
	bool dry_run;

	/*
	 * Read the origin first, and do not write chunks that are equal. What cannot be read there is
	 * written.
	 */
	bool skip_equal;

	/* Merge although the store is marked invalid; it must be opened with salvage. */
	bool force;

	/*
	 * How much is copied before the exceptions of it are committed; a write to a chunk of it
	 * waits for that. 0: at most 1 GiB, and what can be copied in some ten seconds; a round
	 * that a write has to wait for is given up then, and rounds are small from then on.
	 */
	uint64_t round_bytes;

	/*
	 * In exceptions copied or merged, and exceptions to merge in this call. Between rounds and
	 * within them. When it asks to stop, it is not called again, and the merge ends as
	 * uds_snapshot_stop_merge() says.
	 */
	uds_progress_fn progress;
	void *progress_context;

	/*
	 * The origin may end inside a chunk that has an exception, at a length that is no multiple
	 * of 512 bytes. No block device has such a length, so the origin is a file that was cut, or
	 * another one. What the snapshot has behind the origin's end is dropped.
	 */
	bool allow_cut;

	/*
	 * Told, before anything is written, each range of the snapshot that cannot be had, in
	 * ascending order, touching ones of the same status joined: whole chunks, cut to the
	 * origin's end. For that all chunks that have an exception are read. Called with salvage;
	 * and without it when the merge is refused because an exception cannot be merged. It must
	 * not call the snapshot; not 0: nothing is merged (UDS_ERR_STOPPED).
	 */
	uds_snapshot_loss_fn each_loss;
	void *loss_context;

	/*
	 * Merge what can be had. An exception whose chunk lies behind the end of the COW device, in
	 * the place of an area, or cannot be read, wholly or in part, is left out: the origin keeps
	 * what it has there, and the exception is taken off the list with the others. Which these
	 * are is found out before anything is written; a chunk that cannot be read later than that
	 * ends the merge as without salvage. They are left out as long as the snapshot is open: reading
	 * and writing them goes to the origin from then on.
	 *
	 * Also: merge a list that is known only in part (list_status of the store's status); the
	 * store must be opened with salvage for that.
	 */
	bool salvage;
};

#define UDS_MERGE_OPTIONS_INIT                                                                     \
	{                                                                                          \
		sizeof(struct uds_merge_options), 0, 0, false, false, false, 0, 0, 0, false, 0, 0, \
			false                                                                      \
	}

struct uds_merge_result {
	uint64_t size;		/* of this struct: set by UDS_MERGE_RESULT_INIT */
	uint64_t exceptions;	/* taken off the list (dry run: would be) */
	uint64_t remaining;	/* still in the list (dry run: would be) */
	uint64_t bytes_copied;	/* written to the origin, some perhaps twice (dry run: would be) */
	uint64_t chunks_copied; /* of the exceptions above */
	uint64_t chunks_equal;	/* left out because they were equal */
	uint64_t chunks_hidden; /* left out because an earlier exception hides them */
	uint64_t rounds;	/* writes of areas */

	/*
	 * How much of a chunk that has an exception lies behind the origin's end: this much of it is
	 * dropped when it is merged. Known before anything is written, also when that is refused.
	 */
	uint64_t bytes_cut;

	uint64_t chunks_lost; /* of the exceptions, left out with salvage: they cannot be had */
};

#define UDS_MERGE_RESULT_INIT                                              \
	{                                                                  \
		sizeof(struct uds_merge_result), 0, 0, 0, 0, 0, 0, 0, 0, 0 \
	}

/*
 * Takes the role of the kernel's snapshot-merge, without copying anything yet: from now on the
 * origin reads as the snapshot, writes to it go where the content lives, and the snapshot itself
 * can be read but not written. uds_snapshot_merge() does this by itself. Fine when it is so
 * already.
 *
 * The format allows an origin that ends inside a chunk, and cannot tell it from one that was cut.
 * When that chunk has an exception, a merge drops what lies behind the end; a warning is logged
 * before anything is written.
 *
 * Returns 0, or what makes a merge impossible, before anything is written:
 *   UDS_ERR_INVALID_SNAPSHOT  the store is invalid (without salvage and force)
 *   UDS_ERR_CORRUPT           an exception cannot be merged; the message names the first and counts
 *                             the others. Or the list is known only in part
 *   UDS_ERR_OUT_OF_RANGE      the origin is smaller than the chunks demand; or it ends inside a
 *                             chunk that has an exception, at a length that is no multiple of 512
 *                             (see allow_cut)
 *   UDS_ERR_READ_ONLY         the origin or the COW device cannot be written
 *   UDS_ERR_BAD_STATE         a transient store
 */
int uds_snapshot_begin_merge(struct uds_snapshot *snapshot);

/*
 * Merges: copies the newest exceptions to the origin, flushes it, takes them off the list durably,
 * and so on backwards. At every moment the snapshot's content is whole: after a crash, a stop or an
 * error it can be opened as a snapshot, or merged on, here or by the kernel.
 *
 * @options: NULL for the defaults. @ret_result: filled in also when the merge fails. NULL is fine.
 *
 * Returns 0: all, or the limit, is merged (see remaining); or
 *   what uds_snapshot_begin_merge() returns
 *   UDS_ERR_STOPPED    the progress callback or uds_snapshot_stop_merge() asked for it, and
 *                      something is left to merge; at least one round was merged, and nothing
 *                      that was copied is lost
 *                      (a salvage that is stopped while it looks for what cannot be had has done
 *                      nothing yet)
 *   UDS_ERR_BAD_STATE  another thread is merging
 *   -EIO, ...          the state is UDS_SNAPSHOT_MERGE_FAILED; nothing is lost, and calling it
 *                      again goes on where it stood
 *
 * Threads: one at a time; all other functions go on meanwhile.
 */
int uds_snapshot_merge(struct uds_snapshot *snapshot, const struct uds_merge_options *options,
		       struct uds_merge_result *ret_result);

/*
 * Asks a merge that runs in another thread to stop. Does not wait.
 *
 * The merge ends when the round that is being copied is committed, so that what is copied is kept:
 * after some ten seconds at most with rounds of the default size. A call that is stopped before its
 * first round does one, so each call makes progress, however often it is stopped; only a dry run
 * ends at once. When nothing is left then, the merge returns 0.
 */
void uds_snapshot_stop_merge(struct uds_snapshot *snapshot);

/*
 * Leaves the role of snapshot-merge: what is left of the store is a snapshot of the origin as it is
 * now. Content that was written to the origin in a chunk not yet merged is then in the snapshot,
 * and not on the origin.
 *
 * After a merge with salvage that left chunks out, only when nothing is left in the list: the chunks
 * that were left out would read as the origin. Close the snapshot and open it again.
 *
 * Returns 0, UDS_ERR_BAD_STATE (a merge runs, or has left chunks out), or what repairing an area said.
 */
int uds_snapshot_end_merge(struct uds_snapshot *snapshot);

#ifdef __cplusplus
}
#endif

#endif
