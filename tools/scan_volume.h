/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a scan reads through the library's I/O layer: a volume that is named by a URI, such as an
 * NBD export.
 *
 * Threads: as of a walker.
 */
#ifndef TOOLS_SCAN_VOLUME_H
#define TOOLS_SCAN_VOLUME_H

#include <uds/io.h>

#include "scan_walk.h"

/*
 * Opens a volume to be read, also while others write to it. The caller closes it
 * (walked_file_close()).
 *
 * Returns 0, or a negative status with a sentence that names the URI.
 */
int volume_open(const char *uri, const struct command *command, struct uds_message *ret_message,
		struct walked_file *ret_file);

/* The key of what an I/O shows, which a file or device has by any name. @uri: that it has. */
struct file_key volume_key(struct uds_io *io, const char *uri);

/* find_data() of a volume. */
void volume_find_data(const struct walked_file *file, uint64_t offset, uint64_t *ret_begin,
		      uint64_t *ret_end);

#endif
