/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Many lookups whose reads are under way together; what they need is kept with the volume for the
 * next ones.
 */
#ifndef VOLUME_VOLUME_BATCH_H
#define VOLUME_VOLUME_BATCH_H

#include "volume/volume.h"

/* Frees all that was kept. */
void volume_free_batches(struct volume *volume);

#endif
