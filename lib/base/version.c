/* SPDX-License-Identifier: BSD-2-Clause */
/* The version that runs. */
#include <uds/version.h>

#include "base/visibility.h"

UDS_PUBLIC const char *uds_version(void)
{
	return UDS_VERSION_STRING;
}
