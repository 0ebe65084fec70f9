/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The deduplication index: record name (16 bytes) to record data (16 bytes), on disk in the UDS format.
 *
 * An index holds a fixed number of records. The newest ones are in the open chapter, in memory; older
 * ones in chapters on the I/O, which leave oldest first when the volume is full. A record that is asked
 * for with post or query moves to the open chapter again, so what is used stays.
 *
 * Threads: an index may be used by any number of threads at once, but for uds_index_close().
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

/* What a request does. 0 is no kind: a request that was only cleared is refused. */
enum uds_request_kind {
	UDS_QUERY = 1,	/* look up, and keep the record from leaving soon */
	UDS_POST = 2,	/* look up; store new_data if the name is not there */
	UDS_PEEK = 3,	/* look up and change nothing */
	UDS_DELETE = 4, /* forget the name */
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
 * One request, 64 bytes on every machine. The caller fills in name, kind, user and, for post and update, new_data;
 * the rest is for results.
 */
struct uds_request {
	struct uds_record_name name;
	struct uds_record_data new_data; /* for post and update */
	struct uds_record_data old_data; /* out: valid when found, but for delete */
	union {
		void *user; /* the caller's: never looked at */
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
	UDS_INDEX_RECOVER = 3, /* recover in any case: look at no save, lose what only it has */
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

	/* How many bytes of volume pages may be kept in memory; 0: a default. */
	uint64_t cache_bytes;

	/*
	 * Reports recovery (chapters read, chapters to read), verifying (chapters checked, all) and each later
	 * uds_index_save() (bytes written, all). A value other than 0 ends these with UDS_ERR_STOPPED; an index
	 * whose save was stopped is used, and saved, as if that had not been called.
	 */
	uds_progress_fn progress;
	void *progress_context;

	/*
	 * Give up records that only a damaged save has, rather than fail with UDS_ERR_WOULD_LOSE_RECORDS.
	 * Mode RECOVER gives them up in any case.
	 */
	bool lose_records;

	/*
	 * Give up what cannot be read, rather than fail with what the I/O said: a chapter, or a save. What a
	 * passed over chapter had is not found, and what a passed over save had is lost with the next save.
	 */
	bool skip_unreadable;
};

#define UDS_INDEX_OPTIONS_INIT                                                                     \
	{                                                                                          \
		sizeof(struct uds_index_options), 0, 0, 0, UDS_INDEX_LOAD_OR_RECOVER, false, 0, 0, \
			0, 0, false, false                                                         \
	}

struct uds_index_format_options {
	uint64_t size;		   /* of this struct: set by UDS_INDEX_FORMAT_OPTIONS_INIT */
	const struct uds_env *env; /* memory, and the time that goes into the nonce */
	uint64_t offset;	   /* bytes, a multiple of 4096 */
	uint64_t size_limit;	   /* how many bytes from offset on may be used; 0: up to the end */
	const uint8_t *nonce_data; /* 32 bytes, unique; NULL: made from time and random bytes */
};

#define UDS_INDEX_FORMAT_OPTIONS_INIT                               \
	{                                                           \
		sizeof(struct uds_index_format_options), 0, 0, 0, 0 \
	}

/*
 * Writes an empty index. What lay there before is not looked at: that is the caller's decision.
 * An I/O that can be resized is made as large as the index needs.
 *
 * Returns 0, or
 *   -EINVAL   a configuration that the format does not allow; the message has the allowed range
 *   UDS_ERR_NO_ROOM  the I/O, or size_limit, is smaller than the index; the message has both sizes
 *   -EIO, ... what the I/O said
 *
 * Threads: any, on different I/Os. Since 0.1.
 */
int uds_index_format(struct uds_io *io, const struct uds_configuration *configuration,
		     const struct uds_index_format_options *options,
		     struct uds_message *ret_message);

/*
 * Opens an index. The I/O is borrowed: the caller closes it after the index.
 * Its configuration is read from the I/O. Nothing is written before the first chapter closes or a save.
 *
 * A recovery reads all chapters. It is made when there is no save, when chapters were written since, or when
 * the save is damaged. From a damaged save the records of the open chapter are kept if they are intact;
 * otherwise opening fails with UDS_ERR_WOULD_LOSE_RECORDS. What cannot be read is not damaged: an error of
 * the I/O, or of memory, fails the open, in every mode.
 *
 * Returns 0, or
 *   UDS_ERR_NOT_AN_INDEX          no super block at the offset
 *   UDS_ERR_UNSUPPORTED_VERSION   a super block or config block of another version
 *   UDS_ERR_CORRUPT               the message names region, field, expected and found
 *   UDS_ERR_NONCE_MISMATCH        check_nonce, and it is another index
 *   UDS_ERR_NEEDS_RECOVERY        mode LOAD, and no valid save
 *   UDS_ERR_MISMATCH              the save is that of a sparse index and the config block that of a dense
 *                                 one, or the reverse, or the sample rates differ: a recovery would
 *                                 believe the config block, so it must be asked for, with mode RECOVER
 *   UDS_ERR_WOULD_LOSE_RECORDS    the save is damaged, and so are records that only it has; the message
 *                                 says how many. Ask for it with lose_records, or with mode RECOVER
 *   UDS_ERR_READ_ONLY             the I/O is read-only and the mode is not
 *   UDS_ERR_STOPPED               the progress callback ended the recovery
 *   -ENOMEM, -EIO, ...
 */
int uds_index_open(struct uds_io *io, const struct uds_index_options *options,
		   struct uds_message *ret_message, struct uds_index **ret_index);

/*
 * Ends the index and gives its memory back, also when it returns an error. Nothing is saved: records of
 * the open chapter are gone, as after a crash, unless uds_index_save() came last. NULL is fine.
 * No other thread may be using the index.
 *
 * Returns 0, or the error that the writing of a chapter met, if one did.
 */
int uds_index_close(struct uds_index *index);

/*
 * Carries out many requests: done as if one after the other, each with its own result. This is the fast
 * way in: the requests of a batch share cache misses and page reads. Batches of 64 to 1024 are best.
 *
 * With one zone they are done in the order of the array. With several, requests of one zone are, and so
 * all requests for one name; but one zone's share may come before another's.
 *
 * Returns 0 when every request was carried out (a name that was not found is a result, not an error);
 * otherwise the first error, and the requests not carried out have it as their status.
 *   -EINVAL           a kind that does not exist
 *   UDS_ERR_READ_ONLY a request other than peek on an index opened read-only
 *   UDS_ERR_CORRUPT   a page did not verify; uds_index_error_message() names it
 *   -EIO, -ENOSPC ... what the I/O said, to this request or to the writing of an earlier chapter. After
 *                     the latter the index is good for peeks only, until it is opened again
 */
int uds_index_run(struct uds_index *index, struct uds_request *requests, size_t count);

/*
 * One request. @ret_old: what was there before, when @ret_found; either may be NULL.
 * Return what uds_index_run() returns.
 */
int uds_index_post(struct uds_index *index, const struct uds_record_name *name,
		   const struct uds_record_data *data, struct uds_record_data *ret_old,
		   bool *ret_found);
int uds_index_update(struct uds_index *index, const struct uds_record_name *name,
		     const struct uds_record_data *data, struct uds_record_data *ret_old,
		     bool *ret_found);
int uds_index_query(struct uds_index *index, const struct uds_record_name *name,
		    struct uds_record_data *ret_data, bool *ret_found);
int uds_index_peek(struct uds_index *index, const struct uds_record_name *name,
		   struct uds_record_data *ret_data, bool *ret_found);
int uds_index_delete(struct uds_index *index, const struct uds_record_name *name, bool *ret_found);

/*
 * Waits until every chapter that was closed before the call is durable. Records in the open chapter are
 * not: they become durable with uds_index_save().
 */
int uds_index_flush(struct uds_index *index);

/*
 * Writes the open chapter, the volume index and the page map to the save slot that is the older one,
 * so that the next open needs no recovery. Other threads' requests wait. Writes nothing when no request
 * has stored or removed anything since the last save or load: after peeks, say, or after posts of names
 * that were in the open chapter already.
 */
int uds_index_save(struct uds_index *index);

struct uds_index_statistics {
	uint64_t size;	     /* of this struct: set by UDS_INDEX_STATISTICS_INIT */
	uint64_t entries;    /* in the volume index, stale ones included */
	uint64_t collisions; /* of these, with full names */
	uint64_t discards;   /* entries removed since it was opened, because their chapter left */
	uint64_t overflows;  /* records not stored because the volume index had no room */
	uint64_t early_expiries;      /* chapters forgotten early for the same reason */
	uint64_t dropped_at_load;     /* records of the saved open chapter that found no room */
	uint64_t unreachable_records; /* on record pages, but left out of their chapter index */
	uint64_t memory_bytes;	      /* what the index has allocated, all told */
	uint64_t volume_index_bytes;  /* of these, for the volume index */
	uint64_t open_chapter;	      /* virtual number of the chapter that is not yet written */
	uint64_t
		oldest_chapter; /* chapters from oldest_chapter to open_chapter - 1 are on the volume */
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
};

#define UDS_INDEX_STATISTICS_INIT                                                                 \
	{                                                                                         \
		sizeof(struct uds_index_statistics), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
			0, 0, 0, 0, 0, 0, 0, 0, 0                                                 \
	}

/*
 * Fills in what the index has counted since it was opened, and how full it is now.
 *
 * Returns 0; -EINVAL or -E2BIG for a size member that is too small or too large (libuds(3), Structs).
 *
 * Threads: any number at once; waits for requests that are being carried out. Since 0.1.
 */
int uds_index_get_statistics(const struct uds_index *index, struct uds_index_statistics *ret_statistics);

/*
 * Fills in the configuration that the index was formatted with.
 *
 * Returns 0; -EINVAL or -E2BIG for a size member that is too small or too large (libuds(3), Structs).
 *
 * Threads: any number at once. Since 0.1.
 */
int uds_index_get_configuration(const struct uds_index *index,
				struct uds_configuration *ret_configuration);

/* Called for each record; a value other than 0 ends the walk, which then returns UDS_ERR_STOPPED. */
typedef int (*uds_record_fn)(void *context, const struct uds_record_name *name,
			     const struct uds_record_data *data);

/*
 * Calls @each for every live record, oldest chapter first: each name once, with the data that a peek
 * would return. Other threads' requests wait. @each must not call the index.
 *
 * In a sparse index most names of the oldest chapters are known to their chapters only; one that several
 * of these have comes once for each, the latest last.
 *
 * Returns 0; UDS_ERR_STOPPED; the first error that reading a chapter met: the others were walked all the
 * same; the error of writing an earlier chapter: nothing was walked then; -ENOMEM.
 */
int uds_index_for_each(struct uds_index *index, uds_record_fn each, void *context);

/*
 * Copies the sentence about the calling thread's last call on this index that returns a status, if that
 * failed; empty when it did not (libuds(3), Errors).
 *
 * After a batch that failed it is that of the first request that failed.
 *
 * Threads: any number at once. Since 0.1.
 */
void uds_index_error_message(struct uds_index *index, struct uds_message *ret_message);

/* What lies on an I/O, without opening it as an index. */
enum uds_index_state {
	UDS_INDEX_NEW = 0,	      /* created, never saved, and no chapter on the volume */
	UDS_INDEX_CLEAN = 1,	      /* a valid save: opens without recovery */
	UDS_INDEX_NEEDS_RECOVERY = 2, /* anything else */
};

struct uds_index_info {
	uint64_t size;				/* of this struct: set by UDS_INDEX_INFO_INIT */
	struct uds_configuration configuration; /* for good of the size that it has in 0.1 */
	uint32_t state;				/* enum uds_index_state */
	uint32_t super_version;
	uint32_t config_version; /* 602 for 06.02, 802 for 08.02 */
	uint32_t saved_zones;	 /* of the latest save; 0 when there is none */
	uint64_t volume_nonce;
	uint64_t open_chapter;	 /* the first that is not on the volume */
	uint64_t oldest_chapter; /* chapters from oldest_chapter to open_chapter - 1 are there */
	uint64_t size_bytes;	 /* of the whole index on the I/O */
	uint64_t memory_bytes;	 /* what an open index of this configuration takes when full */
	uint64_t records;	 /* in the volume and the saved open chapter, an upper bound */
	uint64_t saved_records;	 /* that only the save has; 0 when it does not count */
};

#define UDS_INDEX_INFO_INIT                                                                       \
	{                                                                                         \
		sizeof(struct uds_index_info), UDS_CONFIGURATION_INIT, UDS_INDEX_NEW, 0, 0, 0, 0, \
			0, 0, 0, 0, 0, 0                                                          \
	}

struct uds_index_info_options {
	uint64_t size; /* of this struct: set by UDS_INDEX_INFO_OPTIONS_INIT */
	const struct uds_env *env;
	uint64_t offset; /* where the index begins on the I/O, bytes, a multiple of 4096 */

	/*
	 * Load the save before it is called clean, which takes the time and memory of opening; without that
	 * memory the headers decide. Otherwise its headers decide at once.
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
 * Reads what lies on an I/O, without opening it as an index; never writes.
 *
 * @options: may be NULL.
 *
 * Returns 0, or
 *   -EINVAL, -E2BIG         a size member that is too small or too large (libuds(3), Structs)
 *   UDS_ERR_NOT_AN_INDEX, UDS_ERR_CORRUPT, UDS_ERR_UNSUPPORTED_VERSION
 *                           as uds_index_open()
 *   -ENOMEM, -EIO, ...      no memory; what the I/O said
 *
 * Threads: any, also while the index is open. Since 0.2 (0.1 had neither options nor the choice).
 */
int uds_index_read_info(struct uds_io *io, const struct uds_index_info_options *options,
			struct uds_message *ret_message, struct uds_index_info *ret_info);

/*
 * One thing that uds_index_verify() found wrong, as a sentence with place, expected and found. A value other
 * than 0 ends the check with UDS_ERR_STOPPED.
 */
typedef int (*uds_finding_fn)(void *context, const char *sentence);

/*
 * Checks everything that the format lets one check: super block, config, saves, every index page and
 * list, every record page's order, that each chapter index entry leads to its record, that the volume
 * index and page map of a save agree with the volume. Never writes.
 *
 * @options: as for opening, may be NULL; mode, lose_records and skip_unreadable are ignored. Progress is in
 * chapters.
 * @found: may be NULL. @ret_findings: how many times it was called; may be NULL.
 *
 * Returns 0 when the check went through, whatever it found, or
 *   UDS_ERR_STOPPED         a callback ended it
 *   UDS_ERR_NOT_AN_INDEX    nothing here to check
 *   -EINVAL, -ENOMEM, -EIO, ...  as uds_index_open()
 *
 * Threads: any, on an index that nobody changes. Since 0.1.
 */
int uds_index_verify(struct uds_io *io, const struct uds_index_options *options,
		     uds_finding_fn found, void *found_context, struct uds_message *ret_message,
		     uint64_t *ret_findings);

#ifdef __cplusplus
}
#endif

#endif
