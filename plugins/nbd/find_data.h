/* SPDX-License-Identifier: BSD-2-Clause */
/* Holes of an export, by the block status that the server gives. */
#ifndef NBD_FIND_DATA_H
#define NBD_FIND_DATA_H

#include <stdint.h>

/* find_data of the vtable. @context: a struct client. */
int nbd_find_data(void *context, uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end);

#endif
