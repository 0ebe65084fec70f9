/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The deduplication index: maps a record name (16 bytes) to record data (16 bytes), in the UDS
 * format on an I/O (uds-format(5)).
 *
 * An index holds a fixed number of records. The newest are in the open chapter, in memory; older
 * ones are in chapters on the I/O. When the volume is full, the oldest chapter is evicted. Post and
 * query copy a record that they find to the open chapter, so records that are used stay.
 *
 * Threads: any number of threads may use an index at once, except for uds_index_close().
 */
#ifndef UDS_INDEX_H
#define UDS_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <uds/env.h>
#include <uds/geometry.h>
#include <uds/io.h>
#include <uds/record.h>
#include <uds/old_names.h>
#include <uds/status.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uds_index;

/* What a request does. Kind 0 is invalid, so a request that was only cleared is refused. */
enum uds_request_kind {
	UDS_QUERY = 1,	/* look up; copy what is found to the open chapter */
	UDS_POST = 2,	/* look up; store new_data if the name is not there */
	UDS_PEEK = 3,	/* look up and change nothing */
	UDS_DELETE = 4, /* remove the name */
	UDS_UPDATE = 5, /* store new_data, whether the name is there or not */
};

/* Where a name was found, before the request changed anything. */
enum uds_location {
	UDS_LOCATION_NONE = 0,
	UDS_LOCATION_OPEN_CHAPTER = 1,
	UDS_LOCATION_DENSE = 2,
	UDS_LOCATION_SPARSE = 3,
};

/*
 * One request, 64 bytes on every machine. The caller fills in name, kind, user and, for post and
 * update, new_data. The rest is output.
 */
struct uds_request {
	struct uds_record_name name;
	struct uds_record_data new_data; /* for post and update */
	struct uds_record_data old_data; /* out: valid when found, except for delete */
	union {
		void *user; /* the caller's; the library ignores it */
		uint64_t user_number;
	};
	uint8_t kind;	  /* enum uds_request_kind */
	uint8_t location; /* out: enum uds_location */
	bool found;	  /* out: the name was there before */
	uint8_t unused;	  /* ignored */
	int32_t status;	  /* out: 0, or why the request was not carried out */
};

enum uds_index_mode {
	UDS_INDEX_LOAD_OR_RECOVER = 0, /* load the save; recover when there is none that is valid */
	UDS_INDEX_LOAD = 1,	       /* load the save or fail with UDS_ERR_NEEDS_RECOVERY */
	UDS_INDEX_READ_ONLY = 2,       /* as LOAD_OR_RECOVER, but nothing is ever written */
	/* read all chapters: ignore the save, lose records that only it has */
	UDS_INDEX_RECOVER = 3,
};

struct uds_index_options {
	uint64_t size; /* of this struct: set by UDS_INDEX_OPTIONS_INIT */
	const struct uds_env *env;
	uint64_t offset; /* where the index begins on the I/O, bytes, a multiple of 4096 */
	uint32_t zones;	 /* 1 to 16; 0: one */

	/* For open. */
	uint32_t mode;	  /* enum uds_index_mode */
	bool check_nonce; /* refuse an index whose user nonce is not the one below */
	uint64_t nonce;

	/*
	 * Memory for what lookups have read of the volume, in bytes; 0: as much as cache_chapters
	 * chapters take. libuds_index(3), Caching, says what is cached when.
	 */
	uint64_t cache_bytes;

	/*
	 * Reports recovery (chapters read, chapters to read) and verifying (chapters checked, all).
	 * A value other than 0 ends either with UDS_ERR_STOPPED. Not called any more once the call
	 * that takes the options has returned.
	 */
	uds_progress_fn progress;
	void *progress_context;

	/*
	 * Lose records that only a damaged save or journal has; without it, opening fails with
	 * UDS_ERR_WOULD_LOSE_RECORDS. Mode RECOVER loses them always.
	 */
	bool lose_records;

	/*
	 * Skip what cannot be read, a chapter or a save; without it, opening fails with what the
	 * I/O said. The records of a skipped chapter are not found. Those of a skipped save are
	 * lost with the next save.
	 */
	bool skip_unreadable;

	/*
	 * How many threads load, recover or save, beside the caller's, and end before the call
	 * returns (saves in the background have none): 1 for none; more than 8 count as 8; 0: one
	 * for each processor where the chapters of the volume have 4 MiB or more, and none where
	 * they have less.
	 */
	uint8_t threads;
	uint8_t unused; /* ignored */

	/*
	 * Saves in the background, by a thread of the index, when so many chapters were closed
	 * since the latest save; 0: only uds_index_save() saves. Each writes the whole volume
	 * index, so many chapters are worth it: a recovery has at most about so many to replay.
	 * Ignored where there are no extras (uds-extras(5)), since a recovery cannot use a save
	 * there that chapters follow, and read-only. Since 0.2.
	 */
	uint32_t checkpoint_interval;

	/*
	 * May be NULL. An engine (uds/engine.h) whose threads do what is read at once, instead of
	 * threads of the index's own; libuds_engine(3), Sharing. It may be closed first. Since 0.2.
	 */
	struct uds_io_engine *engine;

	/*
	 * May be NULL. For uds_index_repair(): what the index was formatted with, if its config
	 * block is damaged and has to be told; ignored by all else, and where the config block is
	 * good. Since 0.2.
	 */
	const struct uds_configuration *configuration;
};

#define UDS_INDEX_OPTIONS_INIT                                                                     \
	{                                                                                          \
		sizeof(struct uds_index_options), 0, 0, 0, UDS_INDEX_LOAD_OR_RECOVER, false, 0, 0, \
			0, 0, false, false, 0, 0, 0, 0, 0                                          \
	}

struct uds_index_format_options {
	uint64_t size;		   /* of this struct: set by UDS_INDEX_FORMAT_OPTIONS_INIT */
	const struct uds_env *env; /* memory, and the time that goes into the nonce */
	uint64_t offset;	   /* bytes, a multiple of 4096 */
	uint64_t size_limit;	   /* the most bytes to use from offset on; 0: up to the end */
	const uint8_t *nonce_data; /* 32 bytes, unique; NULL: made from time and random bytes */

	/*
	 * Leave out the extras (uds-extras(5)): checksums of all chapters, and a journal, behind
	 * the index. The index is the same without them, and as other implementations make it.
	 */
	bool no_extras;
	uint8_t unused[7]; /* ignored */

	/*
	 * Reports the writing of the extras, which is most of the work (bytes written, bytes to
	 * write). A value other than 0 ends it with UDS_ERR_STOPPED.
	 */
	uds_progress_fn progress;
	void *progress_context;
};

#define UDS_INDEX_FORMAT_OPTIONS_INIT                                                   \
	{                                                                               \
		sizeof(struct uds_index_format_options), 0, 0, 0, 0, false, { 0 }, 0, 0 \
	}

/*
 * Writes an empty index. Whatever was on the I/O before is overwritten without a check. An I/O that
 * can be resized is made as large as the index needs, with its extras unless no_extras is set
 * (uds_geometry.index_bytes and extras_bytes). An index inside of a VDO volume has no extras.
 *
 * @options: may be NULL.
 *
 * Returns 0, or
 *   -EINVAL             a configuration that the format does not allow; the sentence has the
 *                       allowed range. Or an offset that is not a multiple of 4096
 *   -EINVAL, -E2BIG     a size member (libuds(3), Structs)
 *   UDS_ERR_NO_ROOM     the I/O, or size_limit, is smaller than the index with its extras; the
 *                       sentence has both sizes, and says when it would fit without extras
 *   UDS_ERR_READ_ONLY   the I/O cannot be written
 *   UDS_ERR_STOPPED     the progress callback asked to stop
 *   -ENOMEM, -EIO, ...  no memory; what the I/O said
 * After an error that is not one of the first four there is no new index yet, and one that was
 * there before may have lost its saves.
 *
 * Threads: any, on different I/Os. Since 0.2 (in 0.1 uds_index_create()).
 */
int uds_index_format(struct uds_io *io, const struct uds_configuration *configuration,
		     const struct uds_index_format_options *options,
		     struct uds_message *ret_message);

/*
 * Opens an index. The I/O is borrowed: close it after the index. The configuration is read from it.
 * Nothing is written before the first chapter closes, or a save.
 *
 * Then what the journal has is brought in, in every mode but LOAD. In memory only: a save makes the
 * next open quick again.
 *
 * A recovery happens when there is no save, when chapters were written after it, or when it is
 * damaged. With extras it begins with the latest save and reads the chapters that were written
 * since, where it can; otherwise it reads all of them. Of a damaged save the records of the open
 * chapter are kept if they are intact; otherwise opening fails with UDS_ERR_WOULD_LOSE_RECORDS. A
 * read error is not damage: an error of the I/O, or no memory, fails the open in every mode.
 *
 * @options: may be NULL.
 *
 * Returns 0, or
 *   UDS_ERR_NOT_AN_INDEX         no super block at the offset
 *   UDS_ERR_UNSUPPORTED_VERSION  a super block or config block of another version
 *   UDS_ERR_CORRUPT              the sentence names region, field, expected and found
 *   UDS_ERR_NONCE_MISMATCH       check_nonce is set, and this is another index
 *   UDS_ERR_NEEDS_RECOVERY       mode LOAD, and no valid save, or a journal with more than it has
 *   UDS_ERR_MISMATCH             save and config block disagree on whether the index is sparse, or
 *                                on the sample rate. A recovery would trust the config block; to
 *                                ask for that, open with mode RECOVER
 *   UDS_ERR_WOULD_LOSE_RECORDS   the save or the journal is damaged, and so are records that only
 *                                it has; the sentence says how many. To lose them, set lose_records
 *                                or open with mode RECOVER
 *   UDS_ERR_READ_ONLY            the I/O is read-only, and the mode is not
 *   UDS_ERR_UNALIGNED            the I/O's blocks are larger than 4096 bytes
 *   UDS_ERR_STOPPED              the progress callback ended the recovery
 *   -EAGAIN                      the system has no more threads
 *   -EINVAL                      zones, mode or offset are out of range
 *   -EINVAL, -E2BIG              a size member (libuds(3), Structs)
 *   -ENOMEM, -EIO, ...           no memory; what the I/O said
 *
 * Threads: any, on different I/Os. Since 0.1.
 */
int uds_index_open(struct uds_io *io, const struct uds_index_options *options,
		   struct uds_message *ret_message, struct uds_index **ret_index);

/*
 * Closes an index and frees its memory, also when it returns an error. Nothing is saved or flushed:
 * records of the open chapter, and deletions, are lost that came after the last uds_index_flush()
 * or uds_index_save(), as after a crash.
 *
 * @index: may be NULL.
 *
 * A save in the background is stopped, as if it had not begun (checkpoint_interval).
 *
 * A chapter that could not be written is tried once more. If that fails, its records are lost; the
 * log says how many. If the index was flushed and nothing on the device says so yet, the header of
 * the extras is written; when only that fails, no record is lost, but later chapters may lose
 * records that find no room in their index until the index is flushed again.
 *
 * Returns 0, the error of writing a chapter, or else that of writing the header of the extras.
 *
 * Threads: one; no other thread may be using the index. Since 0.1.
 */
int uds_index_close(struct uds_index *index);

/*
 * Carries out many requests as if one after the other, each with its own result. This is the fast
 * way: the requests of a batch share cache misses and page reads. Batches of 64 to 1024 are best.
 *
 * With one zone the order is that of the array. With several zones it is that of the array within
 * each zone, and so for all requests with the same name; but requests of different zones may change
 * places.
 *
 * Returns 0 when every request was carried out (a name that was not found is a result, not an
 * error); otherwise the first error. Each request that was not carried out has its error as status.
 *   -EINVAL             an unknown kind
 *   UDS_ERR_READ_ONLY   a request other than peek on an index opened read-only
 *   UDS_ERR_CORRUPT     a page did not verify; the sentence names it
 *   -ENOMEM             no memory for what a request reads, or for one more thread's
 *                       requests at once
 *   -EIO, -ENOSPC, ...  what the I/O said, to this request, which changed nothing, or to the
 *                       writing of an earlier chapter. That one is tried again by each call that
 *                       needs room in the open chapter when this is full; until it is written,
 *                       requests that would add a record to the full chapter end with this error
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_index_run(struct uds_index *index, struct uds_request *requests, size_t count);

/*
 * Looks a name up, and stores @data when it is not there. A record that is found is copied to the
 * open chapter with its old data.
 *
 * @ret_old: may be NULL; the data that was there, untouched when there was none.
 * @ret_found: may be NULL; whether the name was there before.
 *
 * Returns what uds_index_run() returns.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_index_post(struct uds_index *index, const struct uds_record_name *name,
		   const struct uds_record_data *data, struct uds_record_data *ret_old,
		   bool *ret_found);

/*
 * Stores @data for a name, whether it is there or not.
 *
 * @ret_old: may be NULL; the data that was there, untouched when there was none.
 * @ret_found: may be NULL; whether the name was there before.
 *
 * Returns what uds_index_run() returns.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_index_update(struct uds_index *index, const struct uds_record_name *name,
		     const struct uds_record_data *data, struct uds_record_data *ret_old,
		     bool *ret_found);

/*
 * Looks a name up, and copies a record that is found to the open chapter, so that it stays longer.
 *
 * @ret_data: may be NULL; the data, untouched when the name is not there.
 * @ret_found: may be NULL; whether the name is there.
 *
 * Returns what uds_index_run() returns.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_index_query(struct uds_index *index, const struct uds_record_name *name,
		    struct uds_record_data *ret_data, bool *ret_found);

/*
 * Looks a name up and changes nothing.
 *
 * @ret_data: may be NULL; the data, untouched when the name is not there.
 * @ret_found: may be NULL; whether the name is there.
 *
 * Returns what uds_index_run() returns.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_index_peek(struct uds_index *index, const struct uds_record_name *name,
		   struct uds_record_data *ret_data, bool *ret_found);

/*
 * Removes a name: it is not found afterwards.
 *
 * @ret_found: may be NULL; whether the name was there before.
 *
 * Returns what uds_index_run() returns.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_index_delete(struct uds_index *index, const struct uds_record_name *name, bool *ret_found);

/*
 * Makes durable what was done before: all requests that had completed when it was called, with
 * one write to the journal and one flush of the I/O. Calls of several threads at once share
 * them. From time to time it saves instead, when the journal is full. Returns at once when
 * nothing has changed.
 *
 * An index without a journal (uds_index_info.journal_bytes is 0) makes the chapters durable that
 * were closed before the call, and no more: records in the open chapter, and deletions, become
 * durable with uds_index_save().
 *
 * A chapter that could not be written (no room, an error of the device) is tried again; its records
 * stay in memory, and are found, until it is.
 *
 * Returns 0, or what the I/O said, to this or to the writing of a chapter (then the sentence says
 * how many records are not durable), or -ENOMEM. After an error nothing is promised of what was
 * done since the last flush; the next one does all of it again.
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_index_flush(struct uds_index *index);

/*
 * Saves the open chapter, the volume index and the page map to the older one of the two save slots,
 * durably, so that the next open needs no recovery. Writes nothing when no request has stored or
 * removed anything since the last save or load: for example after peeks, or after posts of names
 * that were in the open chapter.
 *
 * What is saved is the index at one moment after the call began, at which requests of other
 * threads wait for as long as the open chapter, and 16 bytes for each list of the volume index,
 * take to be copied. They go on while it is written: libuds_index(3), Saves and requests, has the
 * memory that takes.
 *
 * Returns 0, or
 *   UDS_ERR_READ_ONLY   the index was opened read-only
 *   UDS_ERR_STOPPED     the progress callback asked to stop; the index is as before the call
 *   -ENOMEM, -EIO, ...  no memory, also for what a request changed meanwhile; what the I/O said, to
 *                       the save or to the writing of a chapter before or meanwhile, which is tried
 *                       again first. The other save slot still has what it had
 *
 * Threads: any number at once; one save waits for the other. Since 0.1.
 */
int uds_index_save(struct uds_index *index);

/*
 * Saves as uds_index_save(), with a report on the way; for a save of gigabytes.
 *
 * @report: called with bytes written and bytes to write, in the calling thread; may be
 * NULL. A value other than 0 stops the save: the index goes on, unsaved, and the next
 * save writes everything.
 *
 * Returns as uds_index_save(), or UDS_ERR_STOPPED.
 *
 * Threads: any number at once; @report may carry out requests, but must not flush or close; a save
 * in it ends with -EDEADLK. Since 0.2.
 */
int uds_index_save_reporting(struct uds_index *index, uds_progress_fn report, void *context);

struct uds_index_statistics {
	uint64_t size;		  /* of this struct: set by UDS_INDEX_STATISTICS_INIT */
	uint64_t entries;	  /* in the volume index, stale ones included */
	uint64_t collisions;	  /* of these, with full names */
	uint64_t discards;	  /* entries removed since open because their chapter was evicted */
	uint64_t overflows;	  /* records not stored because the volume index had no room */
	uint64_t early_expiries;  /* chapters forgotten early for the same reason */
	uint64_t dropped_at_load; /* records of the saved open chapter that found no room */
	uint64_t unreachable_records; /* left out of their chapter's index, and nowhere else */
	uint64_t memory_bytes;	      /* all memory that the index has allocated */
	uint64_t volume_index_bytes;  /* of these, for the volume index */
	union {
		uint64_t open_chapter;	 /* virtual number of the chapter that is not yet written */
		uint64_t newest_chapter; /* its name in 0.1 */
	};
	uint64_t oldest_chapter; /* the volume has those from this one to open_chapter - 1 */
	uint64_t open_chapter_records;
	uint64_t posts_found_open_chapter;
	uint64_t posts_found_dense;
	uint64_t posts_found_sparse;
	uint64_t posts_not_found;
	uint64_t updates_found;
	uint64_t updates_not_found;
	uint64_t deletions_found;
	uint64_t deletions_not_found;
	uint64_t queries_found; /* query and peek */
	uint64_t queries_not_found;
	uint64_t pages_read;
	uint64_t chapters_written;
	/* reads of pages that did not verify: each was an error of a request */
	uint64_t damaged_reads;
	/* of a closed chapter that could not be written yet: only in memory */
	uint64_t unwritten_records;
	uint64_t checkpoints;	      /* saves that were made in the background */
	uint64_t checkpoint_failures; /* and those that failed */
};

#define UDS_INDEX_STATISTICS_INIT                                                                  \
	{                                                                                          \
		sizeof(struct uds_index_statistics), 0, 0, 0, 0, 0, 0, 0, 0, 0, { 0 }, 0, 0, 0, 0, \
			0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0                                   \
	}

/*
 * Fills in what the index has counted since it was opened, and how full it is now.
 *
 * Returns 0; -EINVAL or -E2BIG for a size member that is too small or too large (libuds(3),
 * Structs).
 *
 * Threads: any number at once; waits for requests that are being carried out. Since 0.1.
 */
int uds_index_get_statistics(const struct uds_index *index,
			     struct uds_index_statistics *ret_statistics);

/*
 * Fills in the configuration that the index was formatted with.
 *
 * Returns 0; -EINVAL or -E2BIG for a size member that is too small or too large (libuds(3),
 * Structs).
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_index_get_configuration(const struct uds_index *index,
				struct uds_configuration *ret_configuration);

/* Called for each record. A value other than 0 ends the calls, with UDS_ERR_STOPPED. */
typedef int (*uds_record_fn)(void *context, const struct uds_record_name *name,
			     const struct uds_record_data *data);

/*
 * Calls @each for every live record, oldest chapter first: each name once, with the data that a
 * peek would return. @each must not call the index.
 *
 * In a sparse index the volume index does not know most names of the oldest chapters. A name that
 * several of these chapters have is reported once for each, the latest last.
 *
 * Returns 0, or
 *   UDS_ERR_STOPPED     @each ended it
 *   -EIO, ...           the first error of reading a chapter, though all other chapters were
 *                       reported
 *   UDS_ERR_CORRUPT     a page did not verify; all other chapters were reported
 *   -ENOMEM             no memory
 *
 * Threads: any number at once; requests of other threads wait. Since 0.2 (in 0.1
 * uds_index_iterate()).
 */
int uds_index_for_each(struct uds_index *index, uds_record_fn each, void *context);

/*
 * Calls @each for every live record of one chapter, as uds_index_for_each() does for all: requests
 * of other threads wait no longer than one chapter takes. @each must not call the index. Between
 * two chapters requests may store records, or copy them to the open chapter: those come with that
 * one.
 *
 * @chapter: virtual number, at most the open chapter's. One that was evicted, and so 0, stands for
 *     the oldest.
 * @ret_next: the number behind the chapter that was walked; untouched by a failure.
 *
 * Returns what uds_index_for_each() returns, or
 *   UDS_ERR_OUT_OF_RANGE  the chapter is behind the open one
 *
 * Threads: any number at once; requests of other threads wait. Since 0.2.
 */
int uds_index_for_each_in_chapter(struct uds_index *index, uint64_t chapter, uds_record_fn each,
				  void *context, uint64_t *ret_next);

/*
 * Copies the sentence about the calling thread's last call on this index that returns a status, if
 * that failed; empty when it did not (libuds(3), Errors). After a batch it is that of the first
 * request that failed.
 *
 * Threads: any number at once. Since 0.1.
 */
void uds_index_error_message(const struct uds_index *index, struct uds_message *ret_message);

/* The state of an index on an I/O that is not open. */
enum uds_index_state {
	UDS_INDEX_NEW = 0,	      /* formatted, never saved, and no chapter on the volume */
	UDS_INDEX_CLEAN = 1,	      /* a valid save: opens without recovery */
	UDS_INDEX_NEEDS_RECOVERY = 2, /* anything else; recovery_chapters says how much is read */
};

/* What is behind an index (uds-extras(5)). */
enum uds_extras {
	UDS_EXTRAS_NONE = 0,	/* nothing: made without, or by another implementation */
	UDS_EXTRAS_CURRENT = 1, /* checksums of the chapters, and a journal */
	/*
	 * The same, but a program that does not know extras has written since: of its chapters no
	 * checksums are known, and the journal from before is void if it has saved.
	 */
	UDS_EXTRAS_STALE = 2,
	UDS_EXTRAS_DAMAGED = 3, /* they cannot be used; the index works as without */
};

struct uds_index_info {
	uint64_t size;				/* of this struct: set by UDS_INDEX_INFO_INIT */
	struct uds_configuration configuration; /* its size member is set, too */
	uint32_t state;				/* enum uds_index_state */
	uint32_t super_version;
	uint32_t config_version; /* 602 for 06.02, 802 for 08.02 */
	uint32_t saved_zones;	 /* of the save that opening begins with; 0 when there is none */
	uint64_t volume_nonce;
	union {
		uint64_t open_chapter;	 /* the first that is not on the volume */
		uint64_t newest_chapter; /* its name in 0.1 */
	};
	uint64_t oldest_chapter; /* chapters from oldest_chapter to open_chapter - 1 are there */
	uint64_t size_bytes;	 /* of the whole index on the I/O */
	uint64_t memory_bytes;	 /* that an open index of this configuration takes when full */
	uint64_t records;	 /* in volume, saved open chapter and journal, an upper bound */
	uint64_t saved_records;	 /* that only the save has; 0 when it does not count */
	uint32_t extras;	 /* enum uds_extras */
	uint32_t unused;	 /* 0 */
	uint64_t extras_bytes;	 /* behind size_bytes; 0 without extras */
	/* of these; 0: uds_index_flush() makes closed chapters durable only */
	uint64_t journal_bytes;
	uint64_t journal_records; /* changes that no save and no chapter has, an upper bound */
	/* that opening has to read if the save that it begins with is good */
	uint64_t recovery_chapters;
};

#define UDS_INDEX_INFO_INIT                                                                       \
	{                                                                                         \
		sizeof(struct uds_index_info), UDS_CONFIGURATION_INIT, UDS_INDEX_NEW, 0, 0, 0, 0, \
			{ 0 }, 0, 0, 0, 0, 0, UDS_EXTRAS_NONE, 0, 0, 0, 0, 0                      \
	}

struct uds_index_info_options {
	uint64_t size; /* of this struct: set by UDS_INDEX_INFO_OPTIONS_INIT */
	const struct uds_env *env;
	uint64_t offset; /* where the index begins on the I/O, bytes, a multiple of 4096 */

	/*
	 * Call the index clean only after loading the save, which takes the time and memory of
	 * opening it. Without it, or without that memory, the headers of the save decide.
	 */
	bool check_save;
	uint8_t unused[7]; /* ignored */
};

#define UDS_INDEX_INFO_OPTIONS_INIT                                 \
	{                                                           \
		sizeof(struct uds_index_info_options), 0, 0, false, \
		{                                                   \
			0                                           \
		}                                                   \
	}

/*
 * Reads what index is on an I/O and in which state, without opening it. Never writes.
 *
 * @options: may be NULL.
 *
 * Returns 0, or
 *   UDS_ERR_NOT_AN_INDEX, UDS_ERR_CORRUPT, UDS_ERR_UNSUPPORTED_VERSION, UDS_ERR_UNALIGNED, -EINVAL
 *                       as uds_index_open()
 *   -EINVAL, -E2BIG     a size member (libuds(3), Structs)
 *   -ENOMEM, -EIO, ...  no memory; what the I/O said
 *
 * Threads: any, also while the index is open. Since 0.2 (in 0.1 without options).
 */
int uds_index_read_info(struct uds_io *io, const struct uds_index_info_options *options,
			struct uds_message *ret_message, struct uds_index_info *ret_info);

/* What an index cannot be opened without. */
enum uds_index_block {
	UDS_INDEX_SUPER_BLOCK = 1,  /* the first one: where everything lies, and the volume nonce */
	UDS_INDEX_CONFIG_BLOCK = 2, /* the second one: configuration and user nonce */
};

/* Filled in by uds_index_read_damage(). */
struct uds_index_damage {
	uint64_t size;	 /* of this struct: set by UDS_INDEX_DAMAGE_INIT */
	uint32_t blocks; /* that are damaged: enum uds_index_block, or'ed; 0: none */

	/* uds_index_repair() makes them again from the rest of the index. */
	bool repairable;

	/* But only with check_nonce and nonce, since nothing else has it, or with configuration. */
	bool needs_nonce;
	uint8_t unused[2]; /* 0 */
};

#define UDS_INDEX_DAMAGE_INIT                                     \
	{                                                         \
		sizeof(struct uds_index_damage), 0, false, false, \
		{                                                 \
			0                                         \
		}                                                 \
	}

/*
 * Says which of the two blocks that an index begins with keeps it from being opened, and whether
 * uds_index_repair() can make it again. That asks the same function, so the answers agree; what
 * else is damaged, and what is lost by it, only uds_index_verify() and uds_index_repair() know.
 * Reads these blocks, save headers and some chapters, and never writes. Where seed data are lost
 * and would be searched for, which takes a repair a minute or more, that is not tried here, and
 * counted as found.
 *
 * @options: as for uds_index_repair(), may be NULL; env, offset, check_nonce, nonce and
 *     configuration count.
 * @ret_message: after 0 and @ret_damage->blocks > 0: what is wrong with the block, and, when it is
 *     not repairable, why.
 *
 * Returns 0 when there is an index whose two blocks are good, or one of which a block is damaged,
 * or
 *   UDS_ERR_NOT_AN_INDEX         neither block is one of an index
 *   UDS_ERR_UNSUPPORTED_VERSION  not called damage: it may be a later one
 *   UDS_ERR_CORRUPT, UDS_ERR_MISMATCH
 *                                both can be read, and contradict each other or the size of the
 *                                I/O, which may have been cut off; the rest tells no answer
 *   UDS_ERR_UNALIGNED, -EINVAL, -E2BIG
 *                                as uds_index_open()
 *   -ENOMEM, -EIO, ...           no memory; what the I/O said
 *
 * Threads: any, on an index that is not open. Since 0.2.
 */
int uds_index_read_damage(struct uds_io *io, const struct uds_index_options *options,
			  struct uds_message *ret_message, struct uds_index_damage *ret_damage);

/*
 * Called for each finding of uds_index_verify(), with a sentence that has place, expected and
 * found. A value other than 0 ends the check, with UDS_ERR_STOPPED.
 */
typedef int (*uds_finding_fn)(void *context, const char *sentence);

/*
 * Checks everything that the format allows to check: super block, config block, saves, every index
 * page and list, the order of every record page, that each chapter index entry leads to its record,
 * and that the volume index and page map of a save agree with the volume. Never writes.
 *
 * @options: as for uds_index_open(), may be NULL; mode, lose_records and skip_unreadable are
 *     ignored. Progress is in chapters.
 * @found: may be NULL; called for each finding.
 * @ret_findings: may be NULL; the number of findings.
 *
 * Returns 0 when the check is complete, whatever it found, or
 *   UDS_ERR_STOPPED              a callback ended it
 *   UDS_ERR_NOT_AN_INDEX         no super block at the offset
 *   -EINVAL, -ENOMEM, -EIO, ...  as uds_index_open()
 *
 * Threads: any, on an index that no thread changes. Since 0.1.
 */
int uds_index_verify(struct uds_io *io, const struct uds_index_options *options,
		     uds_finding_fn found, void *found_context, struct uds_message *ret_message,
		     uint64_t *ret_findings);

/*
 * Repairs what uds_index_verify() finds in the chapters, the saves and the extras, durably. Damaged
 * record pages are dropped: their records are not found afterwards, and cause no error. Damaged
 * index pages are made again from the records, without loss; a chapter is dropped as a whole when
 * nothing says that its records are not those of another one. A damaged super block or config block
 * is made again if the rest of the index leaves one answer. Everything else is found as before. A
 * repair ends with a save; libuds_index(3), Repair, has the details.
 *
 * @options: as for uds_index_open(), may be NULL; mode and skip_unreadable are ignored.
 *     Without lose_records nothing is written when records would be lost. Progress is in
 *     chapters, and before that in parts of the search for lost seed data, if there is one. A
 *     config block is made again only with check_nonce, since nothing else has the user nonce,
 *     or with configuration.
 * @found: may be NULL; called before anything is written, once for each damage, with a sentence
 *     that says what is lost by it. A value other than 0 refuses: nothing is written.
 * @ret_findings: may be NULL; how many of these there were. 0: nothing was damaged,
 *     nothing was written.
 *
 * After a power cut or an error a repair can be done again, and then has the same result.
 *
 * Returns 0, or
 *   UDS_ERR_WOULD_LOSE_RECORDS   lose_records is not set, and records would be lost
 *   UDS_ERR_STOPPED              a callback refused, or ended it
 *   UDS_ERR_CORRUPT, UDS_ERR_NOT_AN_INDEX, UDS_ERR_UNSUPPORTED_VERSION
 *                                the super block or the config block is damaged, and the rest
 *                                leaves no answer, or several; the sentence says what is missing
 *   UDS_ERR_MISMATCH, UDS_ERR_NONCE_MISMATCH, UDS_ERR_READ_ONLY, UDS_ERR_UNALIGNED, -EINVAL, -E2BIG
 *                                as uds_index_open()
 *   -ENOMEM, -EIO, ...           no memory; what the I/O said to a write
 *
 * Threads: any, on an index that is not open. Since 0.2.
 */
int uds_index_repair(struct uds_io *io, const struct uds_index_options *options,
		     uds_finding_fn found, void *found_context, struct uds_message *ret_message,
		     uint64_t *ret_findings);

#ifdef __cplusplus
}
#endif

#endif
