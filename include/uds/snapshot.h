/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Snapshots: an origin and a COW device, both I/Os, that can be read and written as two devices.
 *
 * The snapshot is the origin as it was when the store was made, plus what was written to the
 * snapshot since. Before a chunk of the origin changes, its old content is copied to the COW
 * device. Writes to the snapshot go to the COW device too. A merge makes the origin equal to the
 * snapshot and empties the store. The format on the COW device is that of Linux dm-snapshot and
 * LVM: <uds/exception_store.h>, uds-cow(5).
 *
 * A snapshot is right only while every write to the origin goes through
 * uds_snapshot_origin_write(), or through the kernel's snapshot-origin. Nothing on the devices
 * shows a write that did not.
 *
 * Offsets and lengths are bytes, of any alignment; the library meets the limits of the I/Os.
 *
 * Threads: any number of threads may use a snapshot at once, except for uds_snapshot_close().
 * Requests to one chunk wait for each other; requests to different chunks do not. Exceptions that
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
	UDS_SNAPSHOT_EMPTY = 0,	       /* equals the origin */
	UDS_SNAPSHOT_ACTIVE = 1,       /* has exceptions, and room for more */
	UDS_SNAPSHOT_FULL = 2,	       /* the next write to a new chunk overflows it */
	UDS_SNAPSHOT_OVERFLOW = 3,     /* a write to the snapshot found no room: it is read-only */
	UDS_SNAPSHOT_INVALID = 4,      /* its content is lost */
	UDS_SNAPSHOT_MERGING = 5,      /* has begun to merge, and has not ended it */
	UDS_SNAPSHOT_MERGED = 6,       /* everything is merged; the origin is passed through */
	UDS_SNAPSHOT_MERGE_FAILED = 7, /* a merge met an error; it can be run again */
	UDS_SNAPSHOT_DAMAGED = 8, /* the store has entries that contradict the format: read-only */
};

/*
 * Returns the word for a state: "empty", "active", "merge-failed" and so on; never NULL.
 *
 * Threads: any. Since 0.1.
 */
const char *uds_snapshot_state_name(enum uds_snapshot_state state);

/*
 * Returns a sentence that says what a state means for the user; never NULL.
 *
 * Threads: any. Since 0.1.
 */
const char *uds_snapshot_state_meaning(enum uds_snapshot_state state);

struct uds_snapshot_options {
	uint64_t size; /* of this struct: set by UDS_SNAPSHOT_OPTIONS_INIT */
	const struct uds_env *env;

	/* Write to neither I/O; the snapshot and the origin can only be read. */
	bool read_only;

	/* As for uds_exception_store_open(). */
	bool strict;
	bool salvage;

	/*
	 * What a write to the snapshot does when the COW device is full. False (P of the kernel):
	 * the snapshot becomes invalid. True (PO): the write fails, and so do later ones; the
	 * snapshot can be read until it is closed. A write to the origin that finds no room makes
	 * the snapshot invalid in both cases, and succeeds.
	 */
	bool keep_on_overflow;

	/*
	 * Other than 0: a transient store with chunks of this size. The COW device has data only:
	 * its old content is overwritten, and nothing on it is of use when the snapshot is closed.
	 * A transient store cannot be merged.
	 */
	uint64_t transient_chunk_bytes;

	/*
	 * How many transfers of one request or merge are in flight; 0: 32. Opening reads so many
	 * areas at once; 0: 64.
	 */
	uint32_t queue_depth;

	/* Opening reports (areas read, 0). A value other than 0 ends it with UDS_ERR_STOPPED. */
	uds_progress_fn progress;
	void *progress_context;

	/*
	 * May be NULL. An engine (uds/engine.h) whose threads do the transfers that are in flight
	 * together, those of a merge too, instead of threads of the snapshot's own, or of @beside;
	 * libuds_engine(3), Sharing. It may be closed first. Since 0.2.
	 */
	struct uds_io_engine *engine;
};

#define UDS_SNAPSHOT_OPTIONS_INIT                                                                 \
	{                                                                                         \
		sizeof(struct uds_snapshot_options), 0, false, false, false, false, 0, 0, 0, 0, 0 \
	}

/*
 * Opens a snapshot. The I/Os are borrowed: close them after the snapshot. With a read-only origin
 * the snapshot can be read and written, but the origin cannot be written, and nothing can be
 * merged.
 *
 * A store that is marked invalid opens. Reading the snapshot then fails with
 * UDS_ERR_INVALID_SNAPSHOT; the origin can be read and written.
 *
 * @options: may be NULL.
 *
 * Returns 0, what uds_exception_store_open() returns, or
 *   -EINVAL            origin and COW device have bytes in common (uds_io_overlap()); a transient
 *                      chunk size that is not allowed
 *   UDS_ERR_UNALIGNED  the chunk size, or the origin's length, is no multiple of the origin's block
 *                      size (then open the origin without O_DIRECT)
 *
 * Threads: any, on different I/Os. Since 0.1.
 */
int uds_snapshot_open(struct uds_io *origin, struct uds_io *cow,
		      const struct uds_snapshot_options *options, struct uds_message *ret_message,
		      struct uds_snapshot **ret_snapshot);

/*
 * Opens another snapshot of the same origin, with a COW device of its own. The snapshots of an
 * origin are equals: any of them can be opened first, closed first, written and merged. They may
 * have chunks of different sizes.
 *
 * A write to the origin through any of them, and a merge of one of them, first copies the old
 * content out to every other one that lacks it, to all at the same time. A snapshot that has no
 * room for it becomes invalid; the others go on. When a copy or a commit fails for another reason,
 * the origin is not written: invalidate that snapshot (the sentence names it), or try again. A
 * snapshot that is opened read-only keeps the others from writing the origin and from merging.
 *
 * While one is merged, the origin reads as that one, and the others still show what they were made
 * of. Only one can be merged at a time.
 *
 * @beside: an open snapshot of the origin. Its environment stays the origin's.
 * @options: may be NULL.
 *
 * Returns what uds_snapshot_open() returns; -EINVAL also when a snapshot that is open has bytes in
 * common with @cow.
 *
 * Threads: any number at once. Since 0.2.
 */
int uds_snapshot_open_beside(struct uds_snapshot *beside, struct uds_io *cow,
			     const struct uds_snapshot_options *options,
			     struct uds_message *ret_message, struct uds_snapshot **ret_snapshot);

/*
 * Closes a snapshot and frees its memory, also when it returns an error. Nothing is flushed:
 * exceptions are durable; for data that was written in place, call uds_snapshot_flush() before.
 *
 * @snapshot: may be NULL.
 *
 * Returns 0, or what uds_exception_store_close() returns.
 *
 * Threads: one; no other thread may be using the snapshot. Since 0.1.
 */
int uds_snapshot_close(struct uds_snapshot *snapshot);

/*
 * Copies the sentence about the calling thread's last call on this snapshot that returns a status,
 * if that failed; empty when it did not (libuds(3), Errors).
 *
 * Threads: any number at once. Since 0.1.
 */
void uds_snapshot_error_message(const struct uds_snapshot *snapshot,
				struct uds_message *ret_message);

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
 * Fills in the state and the sizes of a snapshot, as they are now. uds_snapshot_store() has more.
 *
 * Returns 0; -EINVAL or -E2BIG for a size member that is too small or too large (libuds(3),
 * Structs).
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_snapshot_get_status(const struct uds_snapshot *snapshot,
			    struct uds_snapshot_status *ret_status);

/*
 * Writes the information part of the `dmsetup status` line, as a string: "5608/12288 32",
 * "Invalid", "Overflow" or "Merge failed".
 *
 * @room: of @ret_line in bytes; 80 is always enough.
 *
 * Returns 0, or -ERANGE when @room is too small; nothing was written.
 *
 * Threads: any number at once. Since 0.1 (-ERANGE since 0.2).
 */
int uds_snapshot_status_line(const struct uds_snapshot *snapshot, char *ret_line, size_t room);

/*
 * Returns the exception store of a snapshot, to inspect it; NULL for a transient one. It is valid
 * until the snapshot is closed. Do not close it, and do not change it.
 *
 * Threads: any number at once. Since 0.1.
 */
struct uds_exception_store *uds_snapshot_store(struct uds_snapshot *snapshot);

/*
 * Returns the length of the snapshot, which is that of the origin, in bytes.
 *
 * Threads: any number at once. Since 0.1.
 */
uint64_t uds_snapshot_size(const struct uds_snapshot *snapshot);

/*
 * Reads the snapshot.
 *
 * After a failure @buffer has all bytes before the first one that cannot be read: what an I/O
 * refuses is read again in smaller and smaller parts, down to a block. uds_snapshot_read_partial()
 * reports how many bytes these are. The sentence names the exception, or the place on the origin.
 *
 * Returns 0, or
 *   UDS_ERR_OUT_OF_RANGE      the range goes past the end; nothing was read
 *   UDS_ERR_INVALID_SNAPSHOT  the snapshot's content is lost
 *   UDS_ERR_CORRUPT           the new chunk of an exception is not on the COW device, or is an area
 *   -ENOMEM, -EIO, ...        no memory; what an I/O said
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_snapshot_read(struct uds_snapshot *snapshot, void *buffer, size_t length, uint64_t offset);

/*
 * Reads the snapshot as uds_snapshot_read(), and reports how far it came.
 *
 * @ret_done: how many bytes from @offset on are in @buffer; set also after a failure.
 *
 * Returns what uds_snapshot_read() returns.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_snapshot_read_partial(struct uds_snapshot *snapshot, void *buffer, size_t length,
			      uint64_t offset, size_t *ret_done);

/* A range of bytes of the snapshot that cannot be read. */
struct uds_snapshot_loss {
	uint64_t size; /* of this struct: set by the library */
	uint64_t offset;
	uint64_t length;
	int32_t status;	      /* UDS_ERR_CORRUPT, or what an I/O said */
	const char *sentence; /* about its first byte: where it should be; valid during the call */
};

/* Called for each lost range. A value other than 0 ends the work, with UDS_ERR_STOPPED. */
typedef int (*uds_snapshot_loss_fn)(void *context, const struct uds_snapshot_loss *loss);

/*
 * Reads the snapshot, and goes on past bytes that cannot be read: they become zeroes in @buffer.
 *
 * @buffer: NULL to find lost ranges only; everything is read even so.
 * @each: may be NULL; called for each lost range, in ascending order. Adjacent ranges with the same
 *     status are joined. Ranges are exact to a block of the I/O, at least 512 bytes. It must not
 *     call the snapshot.
 * @ret_lost_bytes: may be NULL; the sum of the lengths of the lost ranges.
 *
 * To salvage a snapshot that is marked invalid, open it with salvage (uds_snapshot_options).
 *
 * Returns 0 when the whole range was read, whatever was lost, or
 *   UDS_ERR_OUT_OF_RANGE      the range goes past the end; nothing was read
 *   UDS_ERR_INVALID_SNAPSHOT  marked invalid, and not opened with salvage
 *   UDS_ERR_STOPPED           @each ended it
 *   -ENOMEM                   no memory
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_snapshot_salvage(struct uds_snapshot *snapshot, void *buffer, size_t length,
			 uint64_t offset, uds_snapshot_loss_fn each, void *context,
			 uint64_t *ret_lost_bytes);

/*
 * Finds the first range of the snapshot at or behind @offset that is not known to read as zero, as
 * uds_io_find_data() does: content is looked for where it lies, on the COW device or the origin.
 *
 * @ret_begin, @ret_end: the range, not empty, and maybe not to the end of the data; both the size
 *     of the snapshot when everything from @offset on is known to read as zero.
 *
 * Returns 0, or
 *   UDS_ERR_OUT_OF_RANGE      @offset is behind the end
 *   UDS_ERR_INVALID_SNAPSHOT  the snapshot's content is lost
 *   -EIO, ...                 what an I/O said
 *
 * Threads: any number at once; what another thread writes meanwhile may be missing. Since 0.2.
 */
int uds_snapshot_find_data(struct uds_snapshot *snapshot, uint64_t offset, uint64_t *ret_begin,
			   uint64_t *ret_end);

/*
 * Finds the first range of the origin at or behind @offset that is not known to read as zero.
 * During a merge the origin reads as the snapshot that is merged.
 *
 * @ret_begin, @ret_end: as for uds_snapshot_find_data().
 *
 * Returns 0, or
 *   UDS_ERR_OUT_OF_RANGE  @offset is behind the end
 *   -EIO, ...             what an I/O said
 *
 * Threads: any number at once; what another thread writes meanwhile may be missing. Since 0.2.
 */
int uds_snapshot_origin_find_data(struct uds_snapshot *snapshot, uint64_t offset,
				  uint64_t *ret_begin, uint64_t *ret_end);

/*
 * Writes the snapshot. When it returns 0, new exceptions are durable, and so is their data. Data
 * that was written in place is durable after uds_snapshot_flush().
 *
 * Returns 0, or
 *   UDS_ERR_OUT_OF_RANGE       the range goes past the end; nothing was written
 *   UDS_ERR_READ_ONLY          opened with read_only or salvage, or the COW device
 *                              cannot be written
 *   UDS_ERR_INVALID_SNAPSHOT   the snapshot is invalid, or has become so because there was no room
 *   UDS_ERR_SNAPSHOT_OVERFLOW  no room now or earlier, with keep_on_overflow. Chunks of this
 *                              request before the first one without room may have been written
 *   UDS_ERR_BAD_STATE          a merge has begun: write to the origin, which has the snapshot's
 *                              content
 *   UDS_ERR_CORRUPT            the store is damaged: a write could make it worse
 *   -ENOMEM, -EIO, ...         no memory; what an I/O said. Chunks without exception are as they
 *                              were
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_snapshot_write(struct uds_snapshot *snapshot, const void *buffer, size_t length,
		       uint64_t offset);

/*
 * Writes the snapshot as uds_snapshot_write(), and reports how far it came.
 *
 * @ret_done: how many bytes from @offset on are in the snapshot; set also after a failure. 0 when
 *     the write was refused, or the snapshot became invalid. Of the bytes after them any may be in
 *     the snapshot, except when it overflowed: then none is. To go on, write the rest.
 *
 * Returns what uds_snapshot_write() returns.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_snapshot_write_partial(struct uds_snapshot *snapshot, const void *buffer, size_t length,
			       uint64_t offset, size_t *ret_done);

/*
 * Reads the origin. During a merge this is the merged content, as it will be at the end.
 *
 * Returns 0, or
 *   UDS_ERR_OUT_OF_RANGE  the range goes past the end; nothing was read
 *   UDS_ERR_CORRUPT       during a merge: the new chunk of an exception is not on the COW device,
 *                         or is an area
 *   -ENOMEM, -EIO, ...    no memory; what an I/O said; @buffer as after uds_snapshot_read()
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_snapshot_origin_read(struct uds_snapshot *snapshot, void *buffer, size_t length,
			     uint64_t offset);

/*
 * Reads the origin as uds_snapshot_origin_read(), and reports how far it came.
 *
 * @ret_done: how many bytes from @offset on are in @buffer; set also after a failure.
 *
 * Returns what uds_snapshot_origin_read() returns.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_snapshot_origin_read_partial(struct uds_snapshot *snapshot, void *buffer, size_t length,
				     uint64_t offset, size_t *ret_done);

/*
 * Writes the origin, after the old content of its chunks is safe on the COW device. During a merge,
 * chunks that have an exception are written in their new chunks, others on the origin; a chunk that
 * is being copied is written after that.
 *
 * When there is no room for the old content the snapshot becomes invalid, durably, before the
 * origin changes. The write then succeeds, and later ones do too. When the COW device cannot be
 * marked, the write fails with what it said, and so do later ones until it can: the snapshot is
 * invalid until it is closed, but may still be valid on the device.
 *
 * Returns 0, or
 *   UDS_ERR_OUT_OF_RANGE      the range goes past the end; nothing was written
 *   UDS_ERR_READ_ONLY         opened with read_only or salvage, or an I/O cannot be written; or
 *                             another snapshot of the origin was opened read-only
 *   UDS_ERR_INVALID_SNAPSHOT  marked invalid, and opened with salvage
 *   UDS_ERR_CORRUPT           the store is damaged; to give the snapshot up, call
 *                             uds_snapshot_invalidate()
 *   -ENOMEM, -EIO, ...        no memory; what an I/O said to this write, or to a copy or a commit
 *                             that it needs. After a failed copy or commit the origin was not
 *                             written, in this part of the request
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_snapshot_origin_write(struct uds_snapshot *snapshot, const void *buffer, size_t length,
			      uint64_t offset);

/*
 * Writes the origin as uds_snapshot_origin_write(), and reports how far it came.
 *
 * @ret_done: how many bytes from @offset on are written; set also after a failure.
 *
 * Returns what uds_snapshot_origin_write() returns.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_snapshot_origin_write_partial(struct uds_snapshot *snapshot, const void *buffer,
				      size_t length, uint64_t offset, size_t *ret_done);

/*
 * Makes every write durable that completed before the call, on both devices.
 *
 * Returns 0, or what an I/O said to this flush, or to an earlier one that the library made by
 * itself. After an error any write since the last good flush may be lost.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_snapshot_flush(struct uds_snapshot *snapshot);

/*
 * Gives the snapshot up: marks it invalid, durably. The origin stays usable; see
 * uds_exception_store_invalidate().
 *
 * Returns 0, or
 *   UDS_ERR_READ_ONLY   opened with read_only or salvage
 *   UDS_ERR_BAD_STATE   a merge runs
 *   -ENOMEM, -EIO, ...  no memory; what the COW device said. The snapshot is invalid until it is
 *                       closed, but may still be valid on the device
 *
 * Threads: any number at once; waits for requests that are being carried out. Since 0.1.
 */
int uds_snapshot_invalidate(struct uds_snapshot *snapshot);

/* Called for a range of bytes. A value other than 0 ends the calls, with UDS_ERR_STOPPED. */
typedef int (*uds_snapshot_range_fn)(void *context, uint64_t offset, uint64_t length);

/*
 * Calls @each for the ranges of the origin that may differ from the snapshot, in ascending order:
 * what an incremental backup has to read. Adjacent ranges are joined. They are whole chunks, with
 * equal content or not, cut to the range of @length bytes at @offset and to the origin's end. The
 * callback must not call the snapshot.
 *
 * Returns 0, or
 *   UDS_ERR_STOPPED           @each ended it
 *   UDS_ERR_INVALID_SNAPSHOT  the snapshot's content is lost
 *
 * Threads: any number at once; a range that another thread changes meanwhile may be missing. Since
 * 0.2 (in 0.1 uds_snapshot_changed_ranges()).
 */
int uds_snapshot_for_each_changed_range(struct uds_snapshot *snapshot, uint64_t offset,
					uint64_t length, uds_snapshot_range_fn each, void *context);

/*
 * Calls @each for the ranges where a snapshot may differ from the origin or from another snapshot
 * of it, in ascending order; adjacent ranges are joined. With the content of @to in these ranges, a
 * copy of @from becomes one of @to: an incremental backup.
 *
 * @to: a snapshot that was opened beside @from; NULL: the origin.
 * @offset, @length: only what lies in these bytes.
 * @compare: read both, and leave out blocks (of 4096 bytes, cut to the chunks) whose content
 *     is equal. Without it nothing is read, and ranges are whole chunks of either, cut to
 *     the origin's end.
 * @each: must not call the snapshots.
 *
 * Returns 0, or
 *   UDS_ERR_STOPPED           @each ended it
 *   -EINVAL                   @to has another origin
 *   UDS_ERR_INVALID_SNAPSHOT  the content of one of them is lost
 *   -ENOMEM, -EIO, ...        with @compare: no memory; what uds_snapshot_read() returns for
 *                             @from or @to. Ranges before the failure were reported, but maybe
 *                             not the last one
 * The sentence is that of @from.
 *
 * Threads: any number at once; a range that another thread changes meanwhile may be
 * missing. Since 0.2.
 */
int uds_snapshot_for_each_difference(struct uds_snapshot *from, struct uds_snapshot *to,
				     uint64_t offset, uint64_t length, bool compare,
				     uds_snapshot_range_fn each, void *context);

struct uds_merge_options {
	uint64_t size; /* of this struct: set by UDS_MERGE_OPTIONS_INIT */

	/* Stop after this many exceptions, hidden ones included; 0: no limit. */
	uint64_t limit;

	/* The most bytes of chunks per second, on average; 0: no limit. */
	uint64_t bytes_per_second;

	/* Check all conditions and count, but write nothing. */
	bool dry_run;

	/*
	 * Read the origin first, and do not write chunks that are equal. Chunks that cannot be read
	 * there are written.
	 */
	bool skip_equal;

	/* Merge a store that is marked invalid; it must be opened with salvage. */
	bool force;

	/*
	 * How many bytes are copied before their exceptions are committed; a write to one of these
	 * chunks waits for that. 0: at most 1 GiB, and at most what can be copied in about ten
	 * seconds. A round that a write has to wait for is then abandoned, and later rounds are
	 * small.
	 */
	uint64_t round_bytes;

	/*
	 * Reports (exceptions copied or merged, exceptions to merge in this call), between rounds
	 * and within them. When it asks to stop it is not called again, and the merge ends as
	 * uds_snapshot_stop_merge() says.
	 */
	uds_progress_fn progress;
	void *progress_context;

	/*
	 * Accept an origin that ends inside a chunk that has an exception, at a length that is no
	 * multiple of 512 bytes. No block device has such a length, so the origin is a file that
	 * was cut, or is the wrong one. What the snapshot has behind the origin's end is dropped.
	 */
	bool allow_cut;

	/*
	 * May be NULL. Called for each range of the snapshot that cannot be read, before anything
	 * is written, in ascending order. Adjacent ranges with the same status are joined. They are
	 * whole chunks, cut to the origin's end. To find them, all chunks that have an exception
	 * are read. It is called with salvage, and without it when the merge is refused because an
	 * exception cannot be merged. It must not call the snapshot. A value other than 0 ends the
	 * merge with UDS_ERR_STOPPED before anything is merged.
	 */
	uds_snapshot_loss_fn each_loss;
	void *loss_context;

	/*
	 * Merge what can be read. An exception is skipped when its new chunk is behind the end of
	 * the COW device, is an area, or cannot be read, wholly or in part: the origin keeps its
	 * content there, and the exception is removed from the list with the others. These
	 * exceptions are determined before anything is written; a chunk that becomes unreadable
	 * later ends the merge as without salvage. Skipped chunks stay skipped as long as the
	 * snapshot is open: reads and writes of them go to the origin.
	 *
	 * Also merges a list that is known only in part (list_status of the store's status); open
	 * the store with salvage for that.
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
	uint64_t exceptions;	/* removed from the list (dry run: would be) */
	uint64_t remaining;	/* still in the list (dry run: would be) */
	uint64_t bytes_copied;	/* written to the origin, some maybe twice (dry run: would be) */
	uint64_t chunks_copied; /* of the exceptions above */
	uint64_t chunks_equal;	/* skipped because they were equal */
	uint64_t chunks_hidden; /* skipped because an earlier exception hides them */
	uint64_t rounds;	/* writes of areas */

	/*
	 * How many bytes of a chunk that has an exception are behind the origin's end: a merge
	 * drops them. Known before anything is written, also when the merge is refused for it. 0
	 * when it is refused because whole chunks are behind that end.
	 */
	uint64_t bytes_cut;

	uint64_t chunks_lost; /* of the exceptions, skipped with salvage: they cannot be read */
};

#define UDS_MERGE_RESULT_INIT                                              \
	{                                                                  \
		sizeof(struct uds_merge_result), 0, 0, 0, 0, 0, 0, 0, 0, 0 \
	}

/*
 * Begins a merge, without copying anything yet: takes the role of the kernel's snapshot-merge. From
 * now on the origin reads as the snapshot, writes to the origin go where the content is, and the
 * snapshot can be read but not written. uds_snapshot_merge() does this by itself. Does nothing when
 * a merge has begun.
 *
 * The format allows an origin that ends inside a chunk, which looks the same as one that was cut.
 * When that chunk has an exception, a merge drops what is behind the end. A warning is logged
 * before anything is written.
 *
 * Returns 0, or
 *   UDS_ERR_INVALID_SNAPSHOT  the store is marked invalid
 *   UDS_ERR_CORRUPT           an exception cannot be merged; the sentence names the first one and
 *                             counts the others. Or the list is known only in part
 *   UDS_ERR_OUT_OF_RANGE      the origin is too small for the exceptions; or it ends inside a chunk
 *                             that has an exception, at a length that is no multiple of 512 (see
 *                             allow_cut)
 *   UDS_ERR_READ_ONLY         the origin or the COW device cannot be written, or another snapshot
 *                             of the origin was opened read-only
 *   UDS_ERR_BAD_STATE         a transient store; or another snapshot of the origin is being merged
 *   -ENOMEM, -EIO, ...        no memory; what an I/O said
 * After an error nothing was written.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_snapshot_begin_merge(struct uds_snapshot *snapshot);

/*
 * Merges: copies the newest exceptions to the origin, flushes it, removes them from the list
 * durably, and so on backwards. The snapshot's content is whole at every moment: after a crash, a
 * stop or an error the snapshot can be opened, or merged further, here or by the kernel.
 *
 * @options: may be NULL.
 * @ret_result: may be NULL; filled in also when the merge fails.
 *
 * Returns 0 when everything, or the limit, is merged (see remaining), or
 *   ...                 what uds_snapshot_begin_merge() returns
 *   UDS_ERR_STOPPED     the progress callback or uds_snapshot_stop_merge() asked to stop, and
 *                       exceptions remain. At least one round was merged, and nothing that was
 *                       copied is lost. (A salvage that stops while it looks for lost chunks has
 *                       merged nothing)
 *   UDS_ERR_BAD_STATE   another thread is merging
 *   -EINVAL, -E2BIG     a size member (libuds(3), Structs)
 *   -ENOMEM, -EIO, ...  no memory; what an I/O said. The state is UDS_SNAPSHOT_MERGE_FAILED;
 *                       nothing is lost, and another call goes on where this one ended
 *
 * Threads: one at a time; all other functions can be called meanwhile. Since 0.1.
 */
int uds_snapshot_merge(struct uds_snapshot *snapshot, const struct uds_merge_options *options,
		       struct uds_merge_result *ret_result);

/*
 * Asks a merge in another thread to stop. Does not wait for it.
 *
 * The merge ends when the round that is being copied is committed, so what was copied is kept:
 * after about ten seconds at most, with rounds of the default size. A merge that is stopped before
 * its first round does one round, so each call makes progress. Only a dry run ends at once. When
 * nothing remains then, the merge returns 0.
 *
 * Threads: any number at once. Since 0.1.
 */
void uds_snapshot_stop_merge(struct uds_snapshot *snapshot);

/*
 * Ends a merge, and leaves the role of snapshot-merge: what remains in the store is a snapshot of
 * the origin as it is now. Content that was written to the origin in a chunk not yet merged is then
 * in the snapshot, and not on the origin.
 *
 * After a merge with salvage that skipped chunks this succeeds only when the list is empty:
 * otherwise the skipped chunks would read as the origin. Close the snapshot and open it again
 * instead.
 *
 * Returns 0, or
 *   UDS_ERR_BAD_STATE   a merge runs, or has skipped chunks and is not at its end
 *   -ENOMEM, -EIO, ...  no memory; what the I/O said when it rewrote an area whose last write had
 *                       failed
 *
 * Threads: any number at once; waits for requests that are being carried out. Since 0.1.
 */
int uds_snapshot_end_merge(struct uds_snapshot *snapshot);

#ifdef __cplusplus
}
#endif

#endif
