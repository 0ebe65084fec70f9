/* SPDX-License-Identifier: BSD-2-Clause */
/* Holes of an image, by the objects that it has. */
#ifndef RBD_FIND_DATA_H
#define RBD_FIND_DATA_H

#include <stdint.h>

/* find_data of the vtable. @context: a struct image. */
int rbd_find_data(void *context, uint64_t offset, uint64_t *ret_begin, uint64_t *ret_end);

#endif
