/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Schemes whose URIs have other URIs in them. Each open function is that of a struct uds_io_scheme.
 */
#ifndef URI_NESTED_H
#define URI_NESTED_H

#include <uds/io.h>

enum { CONCAT_PART, CONCAT_PARAMETERS };
extern const struct uds_io_parameter concat_parameters[CONCAT_PARAMETERS];
int concat_open(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		struct uds_message *ret_message, struct uds_io **ret_io);

enum { VDO_DIRTY, VDO_REGION, VDO_PARAMETERS };
extern const struct uds_io_parameter vdo_parameters[VDO_PARAMETERS];
int vdo_scheme_open(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		    struct uds_message *ret_message, struct uds_io **ret_io);

enum { LVM_PV, LVM_MISSING, LVM_PARAMETERS };
extern const struct uds_io_parameter lvm_parameters[LVM_PARAMETERS];
int lvm_scheme_open(void *context, const struct uds_io_uri *uri, const struct uds_env *env,
		    struct uds_message *ret_message, struct uds_io **ret_io);

#endif
