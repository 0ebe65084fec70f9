/* SPDX-License-Identifier: BSD-2-Clause */
/* Standard descriptors that were closed when the command started. */
#ifndef TOOLS_STANDARD_H
#define TOOLS_STANDARD_H

#include <stdbool.h>

/*
 * Opens something in the place of each standard descriptor that is closed, so that no file of the
 * command gets its number. Using it fails with EBADF, as if it were still closed. False when that
 * cannot be done.
 */
bool fill_standard_descriptors(void);

#endif
