/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a fuzzer calls one target: -DFUZZ_TARGET=fuzz_NAME says which. */
#include "targets.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	FUZZ_TARGET(bytes, size);
	return 0;
}
