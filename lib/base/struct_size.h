/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Public structs that begin with their size, so that they can grow (libuds(3), STRUCTS): one rule,
 * in both directions.
 *
 * A struct only ever gets new members at its end, behind the padding of what was there. A program
 * that was compiled with an older header hands over less than this library knows, with a newer one
 * more. The smallest size that is taken is that of the version that fixed the layout, 0.2; it stays
 * when a struct grows:
 *
 *	r = STRUCT_IN(&options, given, uds_thing_options, last_member_of_0_2, message);
 */
#ifndef BASE_STRUCT_SIZE_H
#define BASE_STRUCT_SIZE_H

#include <stddef.h>

#include <uds/status.h>

/* sizeof(struct @type) as it was when @last was its last member. */
#define STRUCT_FIRST_SIZE(type, last)                                                              \
	((offsetof(struct type, last) + sizeof(((struct type *)0)->last) + _Alignof(struct type) - \
	  1) &                                                                                     \
	 ~(_Alignof(struct type) - 1))

/*
 * Copies the caller's struct over @known, which holds this version's defaults; @known->size is this
 * version's size afterwards.
 *
 * Returns 0; -EINVAL for a size of less than @first; or -E2BIG when a byte behind the members that
 * are known here is not zero, or for a size that no struct has. @known is untouched then.
 */
int struct_in(void *known, size_t known_size, const void *given, size_t first, const char *name,
	      struct uds_message *message);

#define STRUCT_IN(known, given, type, last, message)                                \
	struct_in(known, sizeof(struct type), given, STRUCT_FIRST_SIZE(type, last), \
		  "struct " #type, message)

/*
 * Whether a struct for results can be filled: 0, -EINVAL for a size of less than @first, or -E2BIG.
 */
int struct_out_check(const void *given, size_t first, const char *name,
		     struct uds_message *message);

#define STRUCT_OUT_CHECK(given, type, last, message) \
	struct_out_check(given, STRUCT_FIRST_SIZE(type, last), "struct " #type, message)

/*
 * Fills a struct that struct_out_check() has passed: up to its size with what is known, and the
 * rest with zeroes. Its size member stays.
 */
void struct_out(void *given, const void *known, size_t known_size);

#endif
