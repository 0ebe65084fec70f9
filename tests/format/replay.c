/* SPDX-License-Identifier: BSD-2-Clause */
/* Carrying out traces on a device in memory. */
#include "replay.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/message.h"
#include "convert.h"
#include "names.h"

static uint64_t replay_now(void *context)
{
	const struct replay *replay = context;

	return replay->time_ms;
}

static bool start(struct replay *replay, uint64_t bytes)
{
	replay->env = (struct uds_env)UDS_ENV_INIT;
	replay->env.context = replay;
	replay->env.now_ms = replay_now;
	return uds_io_open_memory(bytes, 1, &replay->env, NULL, &replay->io) == 0;
}

bool replay_start(struct replay *replay, const char *name)
{
	struct trace_line line = { 0 };
	uint64_t cut = 0;
	FILE *file;

	memset(replay, 0, sizeof(*replay));
	if (!vector_read_info(name, &replay->info))
		return false;
	replay->saves_left = trace_count_saves(name);
	file = vector_open(name, ".trace.xz");
	while (file != NULL && trace_next(file, &line) && line.op != 0) {
		if (line.op == 'V')
			cut = line.numbers[3];
	}
	if (file != NULL)
		pclose(file);
	/* A trace with a conversion begins on the device as it was before. */
	replay->offset = cut != 0 ? 0 : replay->info.offset_bytes;
	return start(replay, replay->info.image_bytes + cut);
}

bool replay_start_with_image(struct replay *replay, const char *name)
{
	uint8_t *image;
	char path[128];
	size_t size;
	int r;

	memset(replay, 0, sizeof(*replay));
	if (!vector_read_info(name, &replay->info))
		return false;
	snprintf(path, sizeof(path), "index/%s.img.xz", name);
	image = vector_read_file(path, &size);
	if (image == NULL)
		return false;
	replay->offset = replay->info.offset_bytes;
	replay->time_ms = UINT64_C(1800000000000);
	r = start(replay, size) ? uds_io_write(replay->io, image, size, 0) : -1;
	free(image);
	return r == 0;
}

void replay_end(struct replay *replay)
{
	uds_index_close(replay->index);
	uds_io_close(replay->io);
}

/* The images keep the times of the last two saves; those before get earlier ones. */
static void next_save_time(struct replay *replay)
{
	const struct vector_info *info = &replay->info;

	if (replay->saves_left > info->save_count)
		replay->time_ms = info->save_times_ms[0] - replay->saves_left;
	else if (replay->saves_left > 0)
		replay->time_ms = info->save_times_ms[info->save_count - replay->saves_left];
	else
		replay->time_ms++;
	if (replay->saves_left > 0)
		replay->saves_left--;
}

static int replay_create(struct replay *replay)
{
	struct uds_index_format_options options = UDS_INDEX_FORMAT_OPTIONS_INIT;
	struct uds_configuration configuration = replay->info.configuration;

	options.env = &replay->env;
	options.offset = replay->offset;
	options.nonce_data = replay->info.nonce_data;
	options.no_extras = !replay->extras;
	if (configuration.chapters_per_volume % 2 != 0) {
		configuration.chapters_per_volume++;
		configuration.remapped_virtual = 0;
		configuration.remapped_physical = 0;
	}
	return uds_index_format(replay->io, &configuration, &options, &replay->message);
}

static int replay_open(struct replay *replay, unsigned int zones)
{
	struct uds_index_options options = UDS_INDEX_OPTIONS_INIT;

	options.env = &replay->env;
	options.offset = replay->offset;
	options.zones = zones;
	return uds_index_open(replay->io, &options, &replay->message, &replay->index);
}

static int replay_close(struct replay *replay)
{
	int r = uds_index_close(replay->index);

	replay->index = NULL;
	return r;
}

static int replay_save(struct replay *replay)
{
	int r;

	next_save_time(replay);
	r = uds_index_save(replay->index);
	if (r < 0) {
		uds_index_error_message(replay->index, &replay->message);
		return r;
	}
	return replay_close(replay);
}

static int replay_convert(struct replay *replay, uint64_t cut)
{
	size_t size;
	uint8_t *image = replay_device(replay, &size);
	int r;

	if (image == NULL)
		return -1;
	next_save_time(replay);
	replay->offset = convert_image(image, replay->offset, cut, replay->time_ms);
	uds_io_close(replay->io);
	replay->io = NULL;
	r = start(replay, size - cut) ? uds_io_write(replay->io, image + cut, size - cut, 0) : -1;
	free(image);
	return r;
}

int replay_control(struct replay *replay, const struct trace_line *line)
{
	int r;

	switch (line->op) {
	case 'C':
		r = replay_create(replay);
		return r < 0 ? r : replay_open(replay, (unsigned int)line->numbers[0]);
	case 'R':
		return replay_open(replay, (unsigned int)line->numbers[0]);
	case 'S':
		return replay_save(replay);
	case 'X':
		return replay_close(replay);
	case 'V':
		return replay_convert(replay, line->numbers[3]);
	default:
		return -1;
	}
}

void replay_request(const struct replay *replay, const struct trace_line *line,
		    struct uds_request *ret_request)
{
	static const char ops[] = "?QPNDU"; /* by enum uds_request_kind */

	memset(ret_request, 0, sizeof(*ret_request));
	ret_request->kind = (uint8_t)(strchr(ops, line->op) - ops);
	trace_name(replay->info.seed, &line->token, &ret_request->name);
	make_data(line->token.letter, line->token.index, line->version, &ret_request->new_data);
}

bool replay_answer_matches(const struct trace_line *line, const struct uds_request *request,
			   struct uds_message *ret_message)
{
	static const char locations[] = "-ods";
	struct uds_record_data old;
	char data[40] = "";

	make_data(line->token.letter, line->token.index, line->old_version, &old);
	if (request->status == 0 && request->found == line->found &&
	    locations[request->location] == line->location &&
	    (!line->has_old || memcmp(&old, &request->old_data, sizeof(old)) == 0))
		return true;
	snprintf(data, sizeof(data), "%" PRIu64 " v%" PRIu32, get_le64(request->old_data.bytes),
		 get_le32(request->old_data.bytes + 8));
	failure(ret_message, 0, "line %u '%s': status %d found %d old %s location %c", line->number,
		line->text, request->status, request->found, request->found ? data : "-",
		locations[request->location]);
	return false;
}

uint8_t *replay_device(const struct replay *replay, size_t *ret_size)
{
	uint64_t size = 0;
	uint8_t *bytes;

	if (uds_io_size(replay->io, &size) < 0)
		return NULL;
	bytes = malloc((size_t)size);
	if (bytes != NULL && uds_io_read(replay->io, bytes, (size_t)size, 0) < 0) {
		free(bytes);
		bytes = NULL;
	}
	*ret_size = (size_t)size;
	return bytes;
}
