/* SPDX-License-Identifier: BSD-2-Clause */
/* Reads areas one after the other with many in flight. */
#ifndef EXCEPTIONS_AREA_READER_H
#define EXCEPTIONS_AREA_READER_H

#include <uds/env.h>
#include <uds/io.h>

#include "exceptions/cow_format.h"

struct area_reader;

/*
 * Reads areas one after the other, several at once ahead. The window grows with what is taken, so
 * little is read in vain when there is only one area.
 *
 * @first, @step: the first area, and +1 or -1.
 * @share: the engine whose threads are used; NULL: its own.
 * @depth: how many reads are in flight; 0: a number that suits most devices.
 */
int area_reader_open(struct uds_io *cow, const struct uds_env *env, const struct cow_geometry *g,
		     uint64_t first, int step, struct uds_io_engine *share, unsigned int depth,
		     struct area_reader **ret_reader);
void area_reader_close(struct area_reader *reader);

/*
 * The next area into @ret_bytes: 0, what the I/O said, or UDS_ERR_CORRUPT when it is not on the
 * device.
 */
int area_reader_next(struct area_reader *reader, uint8_t *ret_bytes, struct uds_message *message);

#endif
