/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Tests a tiny log for power cuts: crash_test [nobug|bug].
 *
 * The log appends blocks and keeps their number in a header block. An append must flush the new
 * block before the header counts it; with "bug" it does not, and the test finds a cut after which
 * the header counts a block that is not there.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <uds/testing.h>

#define BLOCK	4096
#define APPENDS 8

/* ---- the program under test ---- */

static int append(struct uds_io *io, uint64_t number, bool bug)
{
	char block[BLOCK];
	int r;

	memset(block, 'a' + (int)number, BLOCK);
	r = uds_io_write(io, block, BLOCK, (1 + number) * BLOCK);
	if (r == 0 && !bug)
		r = uds_io_flush(io); /* the block first, then what says that it is there */
	memset(block, 0, BLOCK);
	block[0] = (char)(number + 1);
	if (r == 0)
		r = uds_io_write(io, block, BLOCK, 0);
	return r == 0 ? uds_io_flush(io) : r;
}

/* Returns how many blocks the log has, or -1 when one of them is wrong. */
static int count_blocks(struct uds_io *io)
{
	char header[BLOCK], block[BLOCK];

	if (uds_io_read(io, header, BLOCK, 0) < 0)
		return -1;
	for (int i = 0; i < header[0]; i++) {
		if (uds_io_read(io, block, BLOCK, (uint64_t)(1 + i) * BLOCK) < 0)
			return -1;
		for (int b = 0; b < BLOCK; b++) {
			if (block[b] != 'a' + i)
				return -1;
		}
	}
	return header[0];
}

/* ---- its test ---- */

static int record(struct uds_crash_log *log, bool bug)
{
	struct uds_crash_device device = UDS_CRASH_DEVICE_INIT;
	struct uds_message message;
	struct uds_io *io;
	uint32_t number;
	int r;

	device.size_bytes = (1 + APPENDS) * BLOCK;
	device.block_bytes = 512;
	r = uds_crash_log_add(log, &device, &message, &number);
	if (r == 0)
		r = uds_crash_log_open(log, number, &message, &io);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < APPENDS && r == 0; i++) {
		r = append(io, i, bug);
		if (r == 0)
			r = uds_crash_log_mark(log, i + 1, &message); /* so many are promised now */
	}
	uds_io_close(io);
	return r;
}

/* One state: what was promised is there, and nothing that is wrong. Then it goes on. */
static int check(struct uds_crash_log *after, const struct uds_crash_state *state)
{
	struct uds_message message;
	struct uds_io *io;
	int count, r;

	r = uds_crash_log_open(after, 0, &message, &io);
	if (r < 0)
		return r;
	count = count_blocks(io);
	if (count >= 0 && count < APPENDS && append(io, (uint64_t)count, false) == 0 &&
	    count_blocks(io) != count + 1)
		count = -1;
	uds_io_close(io);
	if (count >= 0 && (uint64_t)count >= state->mark)
		return 0;
	printf("%d blocks where %d were promised: %s\n", count, (int)state->mark, state->text);
	return 1;
}

int main(int argc, char **argv)
{
	struct uds_crash_state state = UDS_CRASH_STATE_INIT;
	struct uds_crash_log *log = NULL, *after;
	struct uds_crash_sweep *sweep = NULL;
	struct uds_message message;
	int r, states = 0, wrong = 0;

	r = uds_crash_log_make(NULL, &message, &log);
	if (r == 0)
		r = record(log, argc > 1 && strcmp(argv[1], "bug") == 0);
	if (r == 0)
		r = uds_crash_sweep_make(log, NULL, &message, &sweep);
	while (r == 0 && wrong == 0 &&
	       (r = uds_crash_sweep_next(sweep, &state, &message, &after)) > 0) {
		r = check(after, &state);
		if (r > 0)
			wrong = 1;
		r = r < 0 ? r : 0;
		uds_crash_log_free(after);
		states++;
	}
	if (r < 0)
		fprintf(stderr, "crash_test: %s\n", uds_strerror(r));
	else
		printf("%d states, %d wrong\n", states, wrong);
	uds_crash_sweep_free(sweep);
	uds_crash_log_free(log);
	return r < 0 ? 2 : wrong;
}
