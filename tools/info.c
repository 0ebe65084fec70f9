/* SPDX-License-Identifier: BSD-2-Clause */
/* `uds info`: what an index is, without opening it, and with --resident what opening it takes. */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "families.h"
#include "identify.h"
#include "output.h"
#include "schemes.h"
#include "shard_target.h"
#include "target.h"
#include "text.h"
#include "vdo_show.h"

/* What the process has in memory, from the kernel; 0 where it does not say. */
static uint64_t resident_bytes(void)
{
	unsigned long long whole, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f == NULL)
		return 0;
	if (fscanf(f, "%llu %llu", &whole, &resident) != 2)
		resident = 0;
	fclose(f);
	return (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Measured around an open, for --resident. */
struct residence {
	bool measured;
	uint64_t before, after;
	struct uds_index_statistics statistics;
};

static const char *state_sentence(enum uds_index_state state)
{
	switch (state) {
	case UDS_INDEX_NEW:
		return "it was created and nothing has been stored in it yet";
	case UDS_INDEX_CLEAN:
		return "it was saved; opening it loads the save";
	case UDS_INDEX_NEEDS_RECOVERY:
		break;
	}
	return "it was not saved after its last change (`uds recover` opens and saves it)";
}

/*
 * What opening does with an index that was not saved after its last change, and what is lost by it.
 */
static void print_recovery(const struct uds_index_info *info)
{
	const unsigned long long there = info->open_chapter - info->oldest_chapter;

	printf("  opening it     ");
	if (info->saved_zones > 0)
		printf("loads the latest save and reads %llu of %llu chapters",
		       (unsigned long long)info->recovery_chapters, there);
	else
		printf("reads all %llu chapters", there);
	if (info->journal_bytes > 0)
		printf(", and the journal, which has at most %llu changes more: nothing is lost "
		       "that was "
		       "flushed\n",
		       (unsigned long long)info->journal_records);
	else
		printf("; records that were not in a closed chapter are lost\n");
}

/* Made by a conversion: version 7 of the super block. */
static bool is_converted(const struct uds_index_info *info)
{
	return info->super_version == 7;
}

static const char *kind_sentence(const struct uds_index_info *info)
{
	bool converted = is_converted(info);

	if (info->configuration.sparse_chapters_per_volume > 0)
		return converted
			       ? "sparse, converted: of old chapters only a sample of the names is "
				 "looked up directly; one chapter was given up to LVM"
			       : "sparse: of old chapters only a sample of the names is looked up "
				 "directly; a chapter whose sample is hit is then searched as well";
	return converted ? "dense, converted: every record that has not left is found; one chapter "
			   "was given up to LVM"
			 : "dense: every record that has not left is found";
}

static bool has_extras(const struct uds_index_info *info)
{
	return info->extras == UDS_EXTRAS_CURRENT || info->extras == UDS_EXTRAS_STALE;
}

static const char *extras_key(const struct uds_index_info *info)
{
	switch (info->extras) {
	case UDS_EXTRAS_CURRENT:
		return "current";
	case UDS_EXTRAS_STALE:
		return "stale";
	case UDS_EXTRAS_DAMAGED:
		return "damaged";
	default:
		return "none";
	}
}

static const char *extras_sentence(const struct uds_index_info *info)
{
	switch (info->extras) {
	case UDS_EXTRAS_CURRENT:
		return "current: every page of a chapter has checksums, and one that is damaged is "
		       "an "
		       "error, never a wrong answer";
	case UDS_EXTRAS_STALE:
		return "stale: as current, but not for chapters that a program without checksums "
		       "has written since";
	case UDS_EXTRAS_DAMAGED:
		return "damaged: the index works as without; damage of its pages is found only "
		       "where "
		       "they contradict each other";
	default:
		return "none: damage of a page is found only where pages contradict each other; a "
		       "changed record is not noticed";
	}
}

/* The volume that the index is in, when it is that of a VDO volume. */
struct vdo_view {
	bool known;
	struct uds_vdo_info info;
	char uri[1024]; /* of its index */
};

/*
 * Without --offset, what begins as a VDO volume is taken for one. What cannot be opened is not
 * tried again.
 */
static int look_for_vdo(struct target *target, struct vdo_view *view)
{
	struct uds_io_file_options options = UDS_IO_FILE_OPTIONS_INIT;
	const struct uds_vdo_info empty = UDS_VDO_INFO_INIT;
	char inner[1024];
	bool named = inner_uri(target->uri, inner, sizeof(inner));
	struct uds_message message = { "" };
	struct uds_io *io;
	int r;

	options.no_lock = true;
	r = open_uri(named ? inner : target->uri, &options, NULL, &message, &io);
	if (r < 0)
		return failed(target->command, target->uri, r, &message);
	view->info = empty;
	view->known = uds_vdo_read_info(io, NULL, &view->info) == 0;
	uds_io_close(io);
	if (view->known && !named) {
		vdo_uri(target->uri, view->uri, sizeof(view->uri));
		target->uri = view->uri;
	}
	return EXIT_GOOD;
}

static void print_text(const struct target *target, const struct vdo_view *view,
		       const struct uds_index_info *info, const struct uds_geometry *geometry,
		       const struct residence *residence)
{
	const struct uds_configuration *c = &info->configuration;

	if (!view->known)
		print_line(stdout, "%s", target->uri);
	printf("  state          %s: %s\n", state_key(info->state), state_sentence(info->state));
	if (info->state == UDS_INDEX_NEEDS_RECOVERY)
		print_recovery(info);
	printf("  kind           %s\n", kind_sentence(info));
	printf("  chapters       %u", c->chapters_per_volume);
	if (c->sparse_chapters_per_volume > 0)
		printf(", %u of them sparse, sample rate %u", c->sparse_chapters_per_volume,
		       c->sparse_sample_rate);
	printf("\n  chapter        %u records on %u pages of %u bytes\n",
	       geometry->records_per_chapter, c->record_pages_per_chapter, c->page_bytes);
	printf("  in use         chapters %llu to %llu, at most %llu records of %llu\n",
	       (unsigned long long)info->oldest_chapter, (unsigned long long)info->open_chapter,
	       (unsigned long long)info->records, (unsigned long long)geometry->records_per_volume);
	if (info->saved_zones > 0)
		printf("  saved by       %u zone%s\n", info->saved_zones,
		       info->saved_zones == 1 ? "" : "s");
	printf("  size           %s (%llu bytes)\n", size_text(info->size_bytes).text,
	       (unsigned long long)info->size_bytes);
	printf("  memory         %s for an open index when it is full\n",
	       size_text(info->memory_bytes).text);
	if (residence->measured)
		printf("  resident       %s before opening, %s after; the index allocated %s, "
		       "%s of it for the volume index\n",
		       size_text(residence->before).text, size_text(residence->after).text,
		       size_text(residence->statistics.memory_bytes).text,
		       size_text(residence->statistics.volume_index_bytes).text);
	printf("  format         super block version %u, config block %02u.%02u\n",
	       info->super_version, info->config_version / 100, info->config_version % 100);
	printf("  nonce          %llu\n", (unsigned long long)c->nonce);
	printf("  volume nonce   %llu\n", (unsigned long long)info->volume_nonce);
	printf("  extras         %s\n", extras_sentence(info));
	if (info->journal_bytes > 0)
		printf("  journal        %s: what is flushed survives a power cut\n",
		       size_text(info->journal_bytes).text);
	else
		printf("  journal        none%s: a flush makes closed chapters durable, a save "
		       "all\n",
		       info->extras && c->chapters_per_volume % 2 != 0
			       ? ", as the number of chapters is odd"
			       : "");
}

static void add_residence(json_t *object, const struct residence *residence)
{
	if (!residence->measured)
		return;
	json_object_set_new(object, "resident_before_bytes", json_unsigned(residence->before));
	json_object_set_new(object, "resident_after_bytes", json_unsigned(residence->after));
	json_object_set_new(object, "allocated_bytes",
			    json_unsigned(residence->statistics.memory_bytes));
	json_object_set_new(object, "volume_index_bytes",
			    json_unsigned(residence->statistics.volume_index_bytes));
	json_object_set_new(object, "entries", json_unsigned(residence->statistics.entries));
	json_object_set_new(object, "collisions", json_unsigned(residence->statistics.collisions));
}

static int print_object(const struct vdo_view *view, const struct uds_index_info *info,
			const struct uds_geometry *geometry, const struct residence *residence)
{
	const struct uds_configuration *c = &info->configuration;
	json_t *o = json_object();

	if (view->known)
		json_object_set_new(o, "vdo", vdo_object(&view->info));
	json_object_set_new(o, "state", json_string(state_key(info->state)));
	json_object_set_new(o, "page_size", json_unsigned(c->page_bytes));
	json_object_set_new(o, "record_pages_per_chapter",
			    json_unsigned(c->record_pages_per_chapter));
	json_object_set_new(o, "chapters_per_volume", json_unsigned(c->chapters_per_volume));
	json_object_set_new(o, "sparse_chapters_per_volume",
			    json_unsigned(c->sparse_chapters_per_volume));
	json_object_set_new(o, "sparse_sample_rate", json_unsigned(c->sparse_sample_rate));
	json_object_set_new(o, "records_per_chapter", json_unsigned(geometry->records_per_chapter));
	json_object_set_new(o, "records_per_volume", json_unsigned(geometry->records_per_volume));
	json_object_set_new(o, "records", json_unsigned(info->records));
	json_object_set_new(o, "saved_records", json_unsigned(info->saved_records));
	json_object_set_new(o, "newest_chapter", json_unsigned(info->open_chapter));
	json_object_set_new(o, "oldest_chapter", json_unsigned(info->oldest_chapter));
	json_object_set_new(o, "super_version", json_unsigned(info->super_version));
	json_object_set_new(o, "config_version", json_unsigned(info->config_version));
	json_object_set_new(o, "saved_zones", json_unsigned(info->saved_zones));
	json_object_set_new(o, "nonce", json_unsigned(c->nonce));
	json_object_set_new(o, "volume_nonce", json_unsigned(info->volume_nonce));
	json_object_set_new(o, "size_bytes", json_unsigned(info->size_bytes));
	json_object_set_new(o, "memory_bytes", json_unsigned(info->memory_bytes));
	json_object_set_new(o, "converted", json_boolean(is_converted(info)));
	json_object_set_new(o, "extras", json_boolean(has_extras(info)));
	json_object_set_new(o, "extras_state", json_string(extras_key(info)));
	json_object_set_new(o, "extras_bytes", json_unsigned(info->extras_bytes));
	json_object_set_new(o, "journal_bytes", json_unsigned(info->journal_bytes));
	json_object_set_new(o, "journal_records", json_unsigned(info->journal_records));
	json_object_set_new(o, "recovery_chapters", json_unsigned(info->recovery_chapters));
	add_residence(o, residence);
	return print_json(o);
}

static int measure(struct target *target, struct residence *ret_residence)
{
	int status;

	ret_residence->before = resident_bytes();
	status = target_open(target, UDS_INDEX_READ_ONLY);
	if (status != EXIT_GOOD)
		return status;
	ret_residence->after = resident_bytes();
	ret_residence->measured = true;
	ret_residence->statistics.size = sizeof(ret_residence->statistics);
	uds_index_get_statistics(target->index, &ret_residence->statistics);
	return target_close(target, false, EXIT_GOOD);
}

static int read_info(struct target *target, struct uds_index_info *ret_info,
		     struct uds_geometry *ret_geometry)
{
	struct uds_message message = { "" };
	struct uds_index_info_options options = UDS_INDEX_INFO_OPTIONS_INIT;
	int status, r;

	status = target_open_io(target, false);
	if (status != EXIT_GOOD)
		return status;
	options.env = &target->env;
	options.offset = target->offset;
	options.check_save = true;
	r = uds_index_read_info(target->io, &options, &message, ret_info);
	if (r == 0)
		r = uds_geometry_compute(&ret_info->configuration, &message, ret_geometry);
	if (r < 0)
		status = failed(target->command, target->uri, r, &message);
	return target_close(target, false, status);
}

/* The volume is there all the same. */
static int index_is_missing(const struct options *options, const struct vdo_view *view, int status)
{
	json_t *o;

	if (!view->known)
		return status;
	complain(options->command,
		 "the volume has no index that can be used; with the volume stopped, uds vdo prime "
		 "--create makes it again and fills it");
	if (options->json) {
		o = json_object();
		json_object_set_new(o, "vdo", vdo_object(&view->info));
		print_json(o);
	}
	return finish_output(options->command, status);
}

static int info_of_manifest(struct target *target, const struct options *options)
{
	int status = check_manifest_options(target);

	if (status == EXIT_GOOD && options_given(options, "resident"))
		status = misused(target->command,
				 "--resident is for one index; %s is a manifest of shards",
				 target->uri);
	if (status == EXIT_GOOD)
		status = show_manifest(target, options->json);
	return finish_output(target->command, status);
}

int info_run(const struct command *command, int argc, char **argv)
{
	struct uds_index_info info = { .size = sizeof(info) };
	struct uds_geometry geometry = { .size = sizeof(geometry) };
	struct residence residence = { 0 };
	struct vdo_view view = { .known = false };
	struct target target = { 0 };
	struct options options;
	bool resident = false;
	int status = EXIT_GOOD;
	char **arguments;

	options_start(&options, command);
	target_options(&target, &options, false);
	options_flag(&options, "resident", &resident);
	if (!options_parse(&options, argc, argv, 1, 1, &arguments, &status))
		return status;
	target_set(&target, &options, arguments[0]);
	if (is_manifest(target.uri))
		return info_of_manifest(&target, &options);
	info.configuration.size = sizeof(info.configuration);
	if (!options_given(&options, "offset"))
		status = look_for_vdo(&target, &view);
	if (status != EXIT_GOOD)
		return finish_output(command, status);
	if (view.known && !options.json) {
		print_line(stdout, "%s", target.uri);
		print_vdo(&view.info);
	}
	status = read_info(&target, &info, &geometry);
	if (status == EXIT_GOOD && resident)
		status = measure(&target, &residence);
	if (status != EXIT_GOOD)
		return index_is_missing(&options, &view, status);
	if (!options.json)
		print_text(&target, &view, &info, &geometry, &residence);
	else if (print_object(&view, &info, &geometry, &residence) < 0)
		return failed(command, "JSON", -ENOMEM, NULL);
	return finish_output(command, EXIT_GOOD);
}
