/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * libuds: a deduplication index and copy-on-write snapshots over one pluggable I/O layer.
 *
 * This header is the umbrella; each part can be included by itself.
 */
#ifndef UDS_H
#define UDS_H

#include <uds/async.h>
#include <uds/chapter.h>
#include <uds/engine.h>
#include <uds/env.h>
#include <uds/exception_store.h>
#include <uds/geometry.h>
#include <uds/index.h>
#include <uds/io.h>
#include <uds/lvm.h>
#include <uds/record.h>
#include <uds/snapshot.h>
#include <uds/status.h>
#include <uds/vdo.h>
#include <uds/version.h>
#include <uds/volume.h>

#endif
