/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The names that functions, their options and statuses had in 0.1, so that programs written for it
 * still compile. Each of the headers includes this one. Define UDS_NO_OLD_NAMES to find what is
 * left of them in a program.
 */
#ifndef UDS_OLD_NAMES_H
#define UDS_OLD_NAMES_H

#ifndef UDS_NO_OLD_NAMES

#define uds_index_create			uds_index_format
#define uds_index_create_options		uds_index_format_options
#define UDS_INDEX_CREATE_OPTIONS_INIT		UDS_INDEX_FORMAT_OPTIONS_INIT
#define uds_index_iterate			uds_index_for_each
#define uds_exception_store_create		uds_exception_store_format
#define uds_exception_store_create_options	uds_exception_store_format_options
#define UDS_EXCEPTION_STORE_CREATE_OPTIONS_INIT UDS_EXCEPTION_STORE_FORMAT_OPTIONS_INIT
#define uds_exception_store_walk		uds_exception_store_for_each_entry
#define uds_exception_store_ranges		uds_exception_store_for_each_range
#define uds_exception_store_drop		uds_exception_store_invalidate
#define uds_snapshot_changed_ranges		uds_snapshot_for_each_changed_range

/* In 0.1 it had no ret_message. */
#define uds_io_create(ops, context, limits, env, ret_io) \
	uds_io_open_ops(ops, context, limits, env, NULL, ret_io)

/* These had none either: a call with one argument less passes NULL. */
#define UDS_OLD_NINTH(a, b, c, d, e, f, g, h, i, ...) i
#define UDS_OLD_OPEN_MEMORY(bytes, block_bytes, env, ret_io) \
	uds_io_open_memory(bytes, block_bytes, env, NULL, ret_io)
#define UDS_OLD_OPEN_OPS(ops, context, limits, env, ret_io) \
	uds_io_open_ops(ops, context, limits, env, NULL, ret_io)
#define uds_io_open_memory(...)                                                                \
	UDS_OLD_NINTH(__VA_ARGS__, uds_io_open_memory, uds_io_open_memory, uds_io_open_memory, \
		      uds_io_open_memory, UDS_OLD_OPEN_MEMORY, uds_io_open_memory,             \
		      uds_io_open_memory, uds_io_open_memory, 0)                               \
	(__VA_ARGS__)
#define uds_io_open_ops(...)                                                               \
	UDS_OLD_NINTH(__VA_ARGS__, uds_io_open_ops, uds_io_open_ops, uds_io_open_ops,      \
		      UDS_OLD_OPEN_OPS, uds_io_open_ops, uds_io_open_ops, uds_io_open_ops, \
		      uds_io_open_ops, 0)                                                  \
	(__VA_ARGS__)

/* Statuses that no call has ever returned. */
#define UDS_ERR_NOT_SUPPORTED_YET (-4101)
#define UDS_ERR_MERGE_FAILED	  (-4111)
#define UDS_ERR_FAILED_BEFORE	  (-4117)

#endif

#endif
