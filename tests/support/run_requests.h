/* SPDX-License-Identifier: BSD-2-Clause */
/* Many requests of an engine in flight, for tests of backends that have several by themselves. */
#ifndef TESTS_RUN_REQUESTS_H
#define TESTS_RUN_REQUESTS_H

#include <uds/engine.h>

/*
 * A request for each of the first @count pieces of an I/O, in a mixed order; @memory is as long as
 * they are. The caller frees them.
 */
struct uds_io_request *make_requests(struct uds_io *io, enum uds_io_kind kind, uint8_t *memory,
				     size_t count, size_t piece_bytes);

/* Submits all at once, as far as the engine's depth goes, and checks each status. */
void run_requests(struct uds_io_engine *engine, struct uds_io_request *requests, size_t count,
		  int status);

#endif
