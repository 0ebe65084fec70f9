/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The public face of the volume: uds/volume.h. Adds to struct volume what it leaves to others:
 * which chapters are there, and a writer once one is needed.
 */
#include <uds/volume.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/env.h"
#include "base/failures.h"
#include "base/message.h"
#include "base/struct_size.h"
#include "base/visibility.h"
#include "chapter/collation.h"
#include "chapter/public.h"
#include "volume/chapter_writer.h"
#include "volume/find_chapters.h"
#include "volume/volume_search.h"

struct uds_volume {
	struct uds_env env;
	struct failures *failures;
	struct uds_io *io;
	struct layout layout;
	struct volume *volume;
	uint64_t lost;
	_Atomic uint64_t oldest;
	_Atomic uint64_t newest;
	_Atomic uint64_t *vcns; /* for each slot the chapter that is there, or NO_CHAPTER */

	pthread_mutex_t write_lock;    /* one chapter at a time */
	struct chapter_writer *writer; /* NULL: none was written yet */
};

static int find(struct uds_volume *volume, const struct uds_volume_options *options,
		struct uds_message *ret_message)
{
	struct find_options find_options = {
		.skip_unreadable = options->skip_unreadable,
		.progress = options->progress,
		.progress_context = options->progress_context,
	};
	struct found_chapters found;
	int r;

	r = volume_find_chapters(volume->volume, &find_options, ret_message, &found);
	if (r < 0)
		return r;
	/* A copy with atomic elements: readers look at it while another thread writes a chapter. */
	volume->vcns = env_allocate(&volume->env, found.slots, sizeof(volume->vcns[0]));
	for (uint32_t slot = 0; volume->vcns != NULL && slot < found.slots; slot++)
		atomic_init(&volume->vcns[slot], found.vcns[slot]);
	volume->oldest = found.oldest;
	volume->newest = found.newest;
	volume->lost = found.lost;
	found_chapters_free(volume->volume, &found);
	if (volume->vcns == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	return 0;
}

UDS_PUBLIC int uds_volume_open(struct uds_io *io, const struct uds_volume_options *given,
			       struct uds_message *ret_message, struct uds_volume **ret_volume)
{
	struct uds_volume_options options = UDS_VOLUME_OPTIONS_INIT;
	struct uds_volume *volume;
	struct uds_env env;
	int r;

	if (given != NULL) {
		r = STRUCT_IN(&options, given, uds_volume_options, skip_unreadable, ret_message);
		if (r < 0)
			return r;
	}
	r = env_take(options.env, ret_message, &env);
	if (r < 0)
		return r;
	volume = env_allocate_zeroed(&env, 1, sizeof(*volume));
	if (volume == NULL)
		return failure(ret_message, -ENOMEM, "%s", uds_strerror(-ENOMEM));
	volume->env = env;
	volume->io = io;
	pthread_mutex_init(&volume->write_lock, NULL);
	r = failures_make(&env, &volume->failures);
	if (r < 0)
		failure(ret_message, r, "%s: no memory for a volume", uds_io_name(io));
	else
		r = layout_read(io, options.offset, ret_message, &volume->layout);
	if (r == 0) {
		r = volume_open(io, &volume->layout, options.cache_bytes, options.engine, &env,
				&volume->volume);
		if (r == 0)
			r = volume_read_checksums(volume->volume, &volume->layout);
		if (r < 0)
			failure(ret_message, r, "%s: %s", uds_io_name(io), uds_strerror(r));
	}
	if (r == 0)
		r = find(volume, &options, ret_message);
	if (r < 0) {
		/* Takes a volume of which any part is missing. */
		uds_volume_close(volume);
		return r;
	}
	*ret_volume = volume;
	return 0;
}

UDS_PUBLIC void uds_volume_close(struct uds_volume *volume)
{
	struct uds_env env;

	if (volume == NULL)
		return;
	env = volume->env;
	chapter_writer_free(volume->writer);
	volume_close(volume->volume);
	pthread_mutex_destroy(&volume->write_lock);
	failures_free(volume->failures);
	env_release(&env, volume->vcns);
	env_release(&env, volume);
}

UDS_PUBLIC void uds_volume_error_message(const struct uds_volume *volume,
					 struct uds_message *ret_message)
{
	failures_get(volume->failures, ret_message);
}

UDS_PUBLIC int uds_volume_get_configuration(const struct uds_volume *volume,
					    struct uds_configuration *ret_configuration)
{
	struct uds_message message;
	int r = STRUCT_OUT_CHECK(ret_configuration, uds_configuration, remapped_physical, &message);

	failures_begin(volume->failures);
	if (r == 0)
		struct_out(ret_configuration, &volume->layout.configuration,
			   sizeof(volume->layout.configuration));
	return r < 0 ? failures_keep(volume->failures, r, &message) : 0;
}

UDS_PUBLIC int uds_volume_get_info(const struct uds_volume *volume,
				   struct uds_volume_info *ret_info)
{
	struct uds_volume_info info = {
		.size = sizeof(info),
		.oldest_chapter = volume->oldest,
		.open_chapter = volume->newest,
		.lost_chapters = volume->lost,
		.volume_nonce = volume->layout.super.volume_nonce,
		.start = layout_volume_offset(&volume->layout),
	};
	struct uds_message message;
	int r = STRUCT_OUT_CHECK(ret_info, uds_volume_info, start, &message);

	failures_begin(volume->failures);
	if (r == 0)
		struct_out(ret_info, &info, sizeof(info));
	return r < 0 ? failures_keep(volume->failures, r, &message) : 0;
}

/* Whether a chapter is there, and its slot. */
static int find_slot(const struct uds_volume *volume, uint64_t vcn, uint32_t *ret_slot,
		     struct uds_message *ret_message)
{
	uint32_t slot = geometry_physical_chapter(&volume->layout.geometry, vcn);

	/* Chapters are addressed by number; the slot is theirs only while the volume holds them. */
	if (vcn >= CHAPTER_LIMIT || volume->vcns[slot] != vcn)
		return failure(ret_message, UDS_ERR_OUT_OF_RANGE,
			       "%s: chapter %" PRIu64 " is not on the volume",
			       uds_io_name(volume->io), vcn);
	*ret_slot = slot;
	return 0;
}

/* Reads a page, counted through the whole chapter, index pages first. */
static int read_page(struct uds_volume *volume, uint64_t vcn, uint32_t page, void *ret_page,
		     struct uds_message *ret_message)
{
	uint32_t slot;
	int r;

	r = find_slot(volume, vcn, &slot, ret_message);
	return r < 0 ? r : volume_read_page(volume->volume, vcn, page, ret_page, ret_message);
}

/* Refuses a page number. */
static int check_page(const struct uds_volume *volume, uint32_t page, uint32_t count,
		      const char *kind, struct uds_message *ret_message)
{
	if (page < count)
		return 0;
	return failure(ret_message, UDS_ERR_OUT_OF_RANGE,
		       "%s: %s page %" PRIu32 ": there are only %" PRIu32 " in a chapter",
		       uds_io_name(volume->io), kind, page, count);
}

static int read_index_page(struct uds_volume *volume, uint64_t virtual_chapter, uint32_t page,
			   void *ret_page, struct uds_message *ret_message)
{
	int r;

	r = check_page(volume, page, volume->layout.geometry.index_pages_per_chapter, "index",
		       ret_message);
	return r < 0 ? r : read_page(volume, virtual_chapter, page, ret_page, ret_message);
}

UDS_PUBLIC int uds_volume_read_index_page(struct uds_volume *volume, uint64_t virtual_chapter,
					  uint32_t page, void *ret_page,
					  struct uds_message *ret_message)
{
	struct uds_message message = { "" };

	failures_begin(volume->failures);
	return failures_give(volume->failures,
			     read_index_page(volume, virtual_chapter, page, ret_page, &message),
			     &message, ret_message);
}

static int read_record_page(struct uds_volume *volume, uint64_t virtual_chapter, uint32_t page,
			    void *ret_page, struct uds_message *ret_message)
{
	const struct geometry *geometry = &volume->layout.geometry;
	int r;

	r = check_page(volume, page, geometry->record_pages_per_chapter, "record", ret_message);
	if (r < 0)
		return r;
	return read_page(volume, virtual_chapter, geometry->index_pages_per_chapter + page,
			 ret_page, ret_message);
}

UDS_PUBLIC int uds_volume_read_record_page(struct uds_volume *volume, uint64_t virtual_chapter,
					   uint32_t page, void *ret_page,
					   struct uds_message *ret_message)
{
	struct uds_message message = { "" };

	failures_begin(volume->failures);
	return failures_give(volume->failures,
			     read_record_page(volume, virtual_chapter, page, ret_page, &message),
			     &message, ret_message);
}

static int search(struct uds_volume *volume, uint64_t virtual_chapter,
		  const struct uds_record_name *name, bool *ret_found,
		  struct uds_record_data *ret_data, struct uds_message *ret_message)
{
	struct uds_record_data data;
	uint32_t slot;
	bool found = false;
	int r;

	r = find_slot(volume, virtual_chapter, &slot, ret_message);
	if (r == 0)
		r = volume_search_chapter(volume->volume, virtual_chapter, name, &found, &data,
					  ret_message);
	if (r < 0)
		return r;
	*ret_found = found;
	if (found && ret_data != NULL)
		*ret_data = data;
	return 0;
}

UDS_PUBLIC int uds_volume_search(struct uds_volume *volume, uint64_t virtual_chapter,
				 const struct uds_record_name *name, bool *ret_found,
				 struct uds_record_data *ret_data, struct uds_message *ret_message)
{
	struct uds_message message = { "" };

	failures_begin(volume->failures);
	return failures_give(volume->failures,
			     search(volume, virtual_chapter, name, ret_found, ret_data, &message),
			     &message, ret_message);
}

/* The lock is held. */
static int write_zones(struct uds_volume *volume, struct open_zone *const *zones,
		       unsigned int count, struct uds_message *ret_message)
{
	const struct geometry *geometry = &volume->layout.geometry;
	uint64_t vcn = volume->newest;
	uint32_t slot = geometry_physical_chapter(geometry, vcn);
	int r = 0;

	/*
	 * Made at the first chapter: most users only read, and a writer costs a thread and the
	 * memory of a chapter.
	 */
	if (volume->writer == NULL) {
		r = chapter_writer_make(volume->volume, &volume->layout, NULL, NULL,
					&volume->writer);
		if (r < 0)
			return failure(ret_message, r,
				       "%s: the thread that writes chapters cannot be made: %s",
				       uds_io_name(volume->io), no_thread_text(r));
	}
	/*
	 * An earlier failure stays: what its slot holds is not known, and this chapter would get
	 * its number.
	 */
	r = chapter_writer_status(volume->writer, ret_message);
	if (r < 0)
		return r;
	/*
	 * Before the first byte: from here on the slot's old chapter is not to be found, and if the
	 * write fails, what the slot holds is not known.
	 */
	volume->vcns[slot] = NO_CHAPTER;
	r = chapter_writer_submit(volume->writer, vcn, zones, count, ret_message);
	if (r == 0)
		r = chapter_writer_wait(volume->writer, ret_message);
	if (r < 0)
		return r;
	volume->vcns[slot] = vcn;
	/* Only now: a chapter counts when it is durable. */
	volume->newest = vcn + 1;
	volume->oldest += geometry_chapters_to_expire(geometry, vcn + 1);
	return 0;
}

static int write_chapter(struct uds_volume *volume, struct open_zone *const *zones,
			 unsigned int count, uint64_t *ret_vcn, struct uds_message *ret_message)
{
	struct collation collation;
	uint64_t vcn;
	int r;

	if (uds_io_is_read_only(volume->io))
		return failure(ret_message, UDS_ERR_READ_ONLY, "%s: %s", uds_io_name(volume->io),
			       uds_strerror(UDS_ERR_READ_ONLY));
	/* Writing makes the saves invalid, and that one may be good. */
	r = saves_check_readable(&volume->layout.saves, ret_message);
	if (r < 0)
		return failure_in(ret_message, r, "%s", uds_io_name(volume->io));
	r = collation_start(&collation, &volume->layout.geometry, zones, count);
	if (r < 0)
		return failure(ret_message, r, "a chapter without records is not written");
	pthread_mutex_lock(&volume->write_lock);
	vcn = volume->newest;
	r = write_zones(volume, zones, count, ret_message);
	pthread_mutex_unlock(&volume->write_lock);
	if (r == 0 && ret_vcn != NULL)
		*ret_vcn = vcn;
	return r;
}

static int write_open_chapter(struct uds_volume *volume, const struct uds_open_chapter *chapter,
			      uint64_t *ret_virtual_chapter, struct uds_message *ret_message)
{
	const struct geometry *own = &volume->layout.geometry;
	const struct geometry *other = public_chapter_geometry(chapter);
	struct open_zone *const *zones;
	unsigned int count;

	/*
	 * Only what decides where a record lies on a page: an open chapter made for another index
	 * of the same chapter size fits.
	 */
	if (other->page_bytes != own->page_bytes ||
	    other->record_pages_per_chapter != own->record_pages_per_chapter)
		return failure(ret_message, -EINVAL,
			       "the open chapter is for %" PRIu32 " pages of %" PRIu32
			       " bytes, the volume has chapters of %" PRIu32 " of %" PRIu32,
			       other->record_pages_per_chapter, other->page_bytes,
			       own->record_pages_per_chapter, own->page_bytes);
	zones = public_chapter_zones(chapter, &count);
	return write_chapter(volume, zones, count, ret_virtual_chapter, ret_message);
}

UDS_PUBLIC int uds_volume_write_chapter(struct uds_volume *volume,
					const struct uds_open_chapter *chapter,
					uint64_t *ret_virtual_chapter,
					struct uds_message *ret_message)
{
	struct uds_message message = { "" };

	failures_begin(volume->failures);
	return failures_give(volume->failures,
			     write_open_chapter(volume, chapter, ret_virtual_chapter, &message),
			     &message, ret_message);
}

static int write_records(struct uds_volume *volume, const struct uds_record *records,
			 uint32_t count, uint64_t *ret_virtual_chapter,
			 struct uds_message *ret_message)
{
	const uint32_t most = volume->layout.geometry.records_per_chapter;
	struct open_zone *zone;
	uint32_t room;
	int r;

	if (count < 1 || count > most)
		return failure(ret_message, -EINVAL,
			       "%" PRIu32 " records are not in the range 1 to %" PRIu32, count,
			       most);
	r = open_zone_make(&volume->env, most, &zone);
	if (r < 0)
		return failure(ret_message, r, "%s", uds_strerror(r));
	for (uint32_t i = 0; i < count && r == 0; i++) {
		/*
		 * The index over a chapter takes each name once; two records of one name would have
		 * one of them unreachable.
		 */
		if (open_zone_search(zone, &records[i].name) != NULL)
			r = failure(ret_message, UDS_ERR_DUPLICATE_NAME,
				    "the name of record %" PRIu32 " was there before", i);
		else
			r = open_zone_put(zone, &records[i].name, &records[i].data, &room);
	}
	if (r == 0)
		r = write_chapter(volume, &zone, 1, ret_virtual_chapter, ret_message);
	open_zone_free(zone);
	return r;
}

UDS_PUBLIC int uds_volume_write_records(struct uds_volume *volume, const struct uds_record *records,
					uint32_t count, uint64_t *ret_virtual_chapter,
					struct uds_message *ret_message)
{
	struct uds_message message = { "" };

	failures_begin(volume->failures);
	return failures_give(volume->failures,
			     write_records(volume, records, count, ret_virtual_chapter, &message),
			     &message, ret_message);
}
