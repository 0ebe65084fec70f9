#!/bin/bash -eu
# SPDX-License-Identifier: BSD-2-Clause
# Run by OSS-Fuzz, which sets CC, CFLAGS, LIB_FUZZING_ENGINE and OUT.
"$SRC/libuds/tests/fuzz/build" "$OUT"
rm -rf "$OUT/work"
