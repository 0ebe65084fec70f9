/* SPDX-License-Identifier: BSD-2-Clause */
#include "run_requests.h"

#include <stdlib.h>

#include "check_main.h"

struct uds_io_request *make_requests(struct uds_io *io, enum uds_io_kind kind, uint8_t *memory,
				     size_t count, size_t piece_bytes)
{
	struct uds_io_request *requests = calloc(count, sizeof(*requests));

	ck_assert_ptr_nonnull(requests);
	for (size_t i = 0; i < count; i++) {
		size_t offset = (i * 7 % count) * piece_bytes;

		requests[i].io = io;
		requests[i].kind = kind;
		requests[i].buffer = memory + offset;
		requests[i].offset = offset;
		requests[i].length = piece_bytes;
	}
	return requests;
}

void run_requests(struct uds_io_engine *engine, struct uds_io_request *requests, size_t count,
		  int status)
{
	struct uds_io_request *done[64], *one;
	size_t sent = 0, ended = 0;

	while (ended < count) {
		int n;

		while (sent < count && uds_io_engine_in_flight(engine) < 64) {
			one = &requests[sent++];
			ck_assert_int_eq(uds_io_engine_submit(engine, &one, 1), 0);
		}
		n = uds_io_engine_reap(engine, done, 64, 1, -1);
		ck_assert_int_gt(n, 0);
		for (int i = 0; i < n; i++)
			ck_assert_int_eq(done[i]->status, status);
		ended += (size_t)n;
	}
}
